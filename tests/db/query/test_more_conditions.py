"""Conditions on dates, patterns, JSON and text, in each dialect."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from types import SimpleNamespace

import pytest

from so.db.grammar import grammar_for
from so.db.query import Query
from so.support.clock import Clock
from tests.db.queries import base, cases, check, mysql, query, raw, sqlite

M = "select * from `users` where "
S = 'select * from "users" where '
BERLIN = timezone(timedelta(hours=2))


def my():
    return mysql("users")


def lite():
    return sqlite("users")


@cases(
    ("date", my().where_date("c", "=", "2015-12-21"), M + "date(`c`) = ?", ["2015-12-21"]),
    (
        "date, two arguments",
        my().where_date("c", "2015-12-21"),
        M + "date(`c`) = ?",
        ["2015-12-21"],
    ),
    ("raw date", my().where_date("c", raw("NOW()")), M + "date(`c`) = NOW()", []),
    ("day", my().where_day("c", 1), M + "day(`c`) = ?", ["01"]),
    ("month", my().where_month("c", ">=", "5"), M + "month(`c`) >= ?", ["05"]),
    ("year", my().where_year("c", 2014), M + "year(`c`) = ?", [2014]),
    ("time", my().where_time("c", ">=", "22:00"), M + "time(`c`) >= ?", ["22:00"]),
    (
        "or",
        my()
        .where("id", 1)
        .or_where_date("c", "2020-01-01")
        .or_where_day("c", 2)
        .or_where_month("c", 3)
        .or_where_year("c", 4)
        .or_where_time("c", "05:00"),
        M + "`id` = ? or date(`c`) = ? or day(`c`) = ? or month(`c`) = ? or year(`c`) = ?"
        " or time(`c`) = ?",
        [1, "2020-01-01", "02", "03", 4, "05:00"],
    ),
    (
        "raw parts",
        my().where_day("c", raw("x")).where_year("c", raw("y")),
        M + "day(`c`) = x and year(`c`) = y",
        [],
    ),
    (
        "sqlite",
        lite()
        .where_date("c", "2015-12-21")
        .where_day("c", 1)
        .where_month("c", 5)
        .where_year("c", 2014)
        .where_time("c", ">=", "22:00")
        .where_date("d", raw("NOW()")),
        S + "strftime('%Y-%m-%d', \"c\") = cast(? as text)"
        " and strftime('%d', \"c\") = cast(? as text)"
        " and strftime('%m', \"c\") = cast(? as text)"
        " and strftime('%Y', \"c\") = cast(? as text)"
        " and strftime('%H:%M:%S', \"c\") >= cast(? as text)"
        " and strftime('%Y-%m-%d', \"d\") = cast(NOW() as text)",
        ["2015-12-21", "01", "05", 2014, "22:00"],
    ),
    (
        "Python's own dates",
        my()
        .where_date("c", date(2024, 2, 3))
        .where_date("c", datetime(2024, 2, 4, 0, 30, tzinfo=BERLIN))
        .where_time("c", time(4, 5, 6))
        .where_day("c", date(2024, 2, 3))
        .where_month("c", datetime(2024, 2, 3))  # noqa: DTZ001 - one without a zone
        .where_year("c", date(2024, 2, 3)),
        None,
        ["2024-02-03", "2024-02-03", "04:05:06", "03", "02", "2024"],
    ),
    (
        "null",
        my().where_date("c", None).where_time("c", "!=", None),
        M + "`c` is null and `c` is not null",
        [],
    ),
    ("base", base("users").where_day("c", 1), S + 'day("c") = ?', ["01"]),
)
def test_parts_of_dates(q, sql, bindings):
    check(q, sql if sql is not None else q.to_sql(), bindings)


def at(moment):
    runner = SimpleNamespace(clock=Clock(moment))
    return Query(runner, grammar_for("mysql"), "posts")


NOW = datetime(2022, 4, 20, 23, 45, 6, 123456, tzinfo=UTC)
P = "select * from `posts` where "


@pytest.mark.parametrize(
    ("build", "sql", "bindings"),
    [
        (lambda q: q.where_past("a"), "`a` < ?", [NOW]),
        (lambda q: q.where_past(["a", "b"]), "`a` < ? and `b` < ?", [NOW, NOW]),
        (lambda q: q.where("i", 1).or_where_past("a"), "`i` = ? or `a` < ?", [1, NOW]),
        (lambda q: q.where_now_or_past("a"), "`a` <= ?", [NOW]),
        (lambda q: q.where("i", 1).or_where_now_or_past("a"), "`i` = ? or `a` <= ?", [1, NOW]),
        (lambda q: q.where_future("a"), "`a` > ?", [NOW]),
        (lambda q: q.where("i", 1).or_where_future(["a"]), "`i` = ? or `a` > ?", [1, NOW]),
        (lambda q: q.where_now_or_future("a"), "`a` >= ?", [NOW]),
        (lambda q: q.where("i", 1).or_where_now_or_future("a"), "`i` = ? or `a` >= ?", [1, NOW]),
        (lambda q: q.where_today("a"), "date(`a`) = ?", ["2022-04-20"]),
        (
            lambda q: q.where_today(["a", "b"]),
            "date(`a`) = ? and date(`b`) = ?",
            ["2022-04-20"] * 2,
        ),
        (
            lambda q: q.where("i", 1).or_where_today("a"),
            "`i` = ? or date(`a`) = ?",
            [1, "2022-04-20"],
        ),
        (lambda q: q.where_before_today("a"), "date(`a`) < ?", ["2022-04-20"]),
        (lambda q: q.or_where_before_today("a"), "date(`a`) < ?", ["2022-04-20"]),
        (lambda q: q.where_today_or_before("a"), "date(`a`) <= ?", ["2022-04-20"]),
        (lambda q: q.or_where_today_or_before("a"), "date(`a`) <= ?", ["2022-04-20"]),
        (lambda q: q.where_after_today("a"), "date(`a`) > ?", ["2022-04-20"]),
        (lambda q: q.or_where_after_today("a"), "date(`a`) > ?", ["2022-04-20"]),
        (lambda q: q.where_today_or_after("a"), "date(`a`) >= ?", ["2022-04-20"]),
        (lambda q: q.or_where_today_or_after("a"), "date(`a`) >= ?", ["2022-04-20"]),
    ],
)
def test_now_and_today_are_the_clocks(build, sql, bindings):
    check(build(at(NOW)), P + sql, bindings)


def test_without_a_clock_now_is_now():
    before = datetime.now(UTC)
    (bound,) = base("posts").where_past("a").get_bindings()
    assert before <= bound <= datetime.now(UTC)


# --- patterns -----------------------------------------------------------------------------------


@cases(
    ("mysql", my().where_like("id", "1"), M + "`id` like ?", ["1"]),
    ("mysql, case", my().where_like("id", "1", True), M + "`id` like binary ?", ["1"]),
    (
        "mysql, not",
        my().where_not_like("id", "1").where_not_like("id", "1", True),
        M + "`id` not like ? and `id` not like binary ?",
        ["1", "1"],
    ),
    (
        "or",
        my().where_like("a", "1").or_where_like("b", "2").or_where_not_like("c", "3"),
        M + "`a` like ? or `b` like ? or `c` not like ?",
        ["1", "2", "3"],
    ),
    ("sqlite", lite().where_like("id", "1"), S + '"id" like ?', ["1"]),
    (
        "sqlite, case",
        lite().where_like("d", "Hell* _orld?%", True).where_not_like("d", "%Doe%", True),
        S + '"d" glob ? and "d" not glob ?',
        ["Hell[*] ?orld[?]*", "*Doe*"],
    ),
    ("sqlite, case, number", lite().where_like("d", 5, True), S + '"d" glob ?', [5]),
    (
        "sqlite, mixed",
        lite().where_like("n", "J%").or_where_like("n", "J%", True),
        S + '"n" like ? or "n" glob ?',
        ["J%", "J*"],
    ),
    ("sqlite, not", lite().where_not_like("id", "1"), S + '"id" not like ?', ["1"]),
    ("raw pattern", lite().where_like("id", raw("x"), True), S + '"id" glob x', []),
    (
        "escaped",
        base("users").where_like("n", "%100% m_%", escape=True),
        S + '"n" like ?',
        ["%100\\% m\\_%"],
    ),
    (
        "escaped start",
        base("users").where_like("n", "t_x%", escape=True),
        S + '"n" like ?',
        ["t\\_x%"],
    ),
    (
        "escaped backslash",
        base("users").where_like("n", "a\\b", escape=True),
        S + '"n" like ?',
        ["a\\\\b"],
    ),
    ("escaped lone", base("users").where_like("n", "%", escape=True), S + '"n" like ?', ["%"]),
)
def test_patterns(q, sql, bindings):
    check(q, sql, bindings)


def test_the_generic_dialect_cannot_mind_the_case():
    with pytest.raises(RuntimeError, match="case sensitive like"):
        base("users").where_like("a", "b", True).to_sql()


# --- full text ----------------------------------------------------------------------------------


@cases(
    (
        "one column",
        my().where_full_text("body", "Hello"),
        M + "match (`body`) against (? in natural language mode)",
        ["Hello"],
    ),
    (
        "expanded",
        my().where_full_text("body", "H", {"expanded": True}),
        M + "match (`body`) against (? in natural language mode with query expansion)",
        ["H"],
    ),
    (
        "boolean mode expands nothing",
        my().where_full_text("body", "+H -W", {"mode": "boolean", "expanded": True}),
        M + "match (`body`) against (? in boolean mode)",
        ["+H -W"],
    ),
    (
        "several columns",
        my().where("a", 1).or_where_full_text(["body", "title"], "Car"),
        M + "`a` = ? or match (`body`, `title`) against (? in natural language mode)",
        [1, "Car"],
    ),
)
def test_full_text(q, sql, bindings):
    check(q, sql, bindings)


# --- JSON ---------------------------------------------------------------------------------------


@cases(
    (
        "mysql path",
        my().select("items->price").where("users.items->price", "=", 1).order_by("items->price"),
        "select json_unquote(json_extract(`items`, '$.\"price\"')) from `users`"
        " where json_unquote(json_extract(`users`.`items`, '$.\"price\"')) = ?"
        " order by json_unquote(json_extract(`items`, '$.\"price\"')) asc",
        [1],
    ),
    (
        "mysql nested path",
        my().where("items->price->in_usd", 1.5),
        M + 'json_unquote(json_extract(`items`, \'$."price"."in_usd"\')) = ?',
        [1.5],
    ),
    (
        "mysql alias",
        my().select("items->price as p"),
        "select json_unquote(json_extract(`items`, '$.\"price\"')) as `p` from `users`",
        [],
    ),
    (
        "mysql booleans",
        my().where("items->a", "=", True).where("items->b", False).where("items->n", 0),
        M + "json_extract(`items`, '$.\"a\"') = true and json_extract(`items`, '$.\"b\"') = false"
        " and json_unquote(json_extract(`items`, '$.\"n\"')) = ?",
        [0],
    ),
    (
        "mysql raw boolean",
        my().where(raw("items->'$.available'"), "=", True),
        M + "items->'$.available' = true",
        [],
    ),
    (
        "mysql null",
        my().where_null("items->id").where_not_null(raw("items->id")),
        M + "(json_extract(`items`, '$.\"id\"') is null OR"
        " json_type(json_extract(`items`, '$.\"id\"')) = 'NULL')"
        " and (json_extract(`items`, '$.\"id\"') is not null AND"
        " json_type(json_extract(`items`, '$.\"id\"')) != 'NULL')",
        [],
    ),
    (
        "mariadb path",
        query("mariadb", "users").where("items->price", 1),
        M + "json_value(`items`, '$.\"price\"') = ?",
        [1],
    ),
    (
        "sqlite path",
        lite().select("items->price").where("users.items->price", 1).order_by("items->price"),
        'select json_extract("items", \'$."price"\') from "users"'
        ' where json_extract("users"."items", \'$."price"\') = ?'
        ' order by json_extract("items", \'$."price"\') asc',
        [1],
    ),
    (
        "sqlite boolean",
        lite().where("options->[1]->2fa", True),
        S + 'json_extract("options", \'$[1]."2fa"\') = true',
        [],
    ),
    (
        "array index",
        my().where("o->tags[0][2]", 1),
        M + "json_unquote(json_extract(`o`, '$.\"tags\"[0][2]')) = ?",
        [1],
    ),
    (
        "date in JSON",
        lite().where_date("o->at", "2020-01-01"),
        S + "strftime('%Y-%m-%d', json_extract(\"o\", '$.\"at\"')) = cast(? as text)",
        ["2020-01-01"],
    ),
)
def test_json_paths(q, sql, bindings):
    check(q, sql, bindings)


@pytest.mark.parametrize("path", ["'))#", "\\'))#", "\\\\'))#", "\\\\\\'))#"])
def test_a_quote_in_a_json_path_cannot_end_the_literal(path):
    q = mysql().select("json->" + path)

    assert q.to_sql() == "select json_unquote(json_extract(`json`, '$.\"''))#\"'))"


@cases(
    ("contains", my().where_json_contains("o", ["en"]), M + "json_contains(`o`, ?)", ['["en"]']),
    ("contains text", my().where_json_contains("o", "é"), M + "json_contains(`o`, ?)", ['"é"']),
    (
        "contains at a path",
        my().where_json_contains("users.o->l", ["en"]),
        M + "json_contains(`users`.`o`, ?, '$.\"l\"')",
        ['["en"]'],
    ),
    (
        "contains raw",
        my().where("id", 1).or_where_json_contains("o->l", raw("'[\"en\"]'")),
        M + "`id` = ? or json_contains(`o`, '[\"en\"]', '$.\"l\"')",
        [1],
    ),
    (
        "doesn't contain",
        my().where_json_doesnt_contain("o->l", ["en"]).or_where_json_doesnt_contain("o", 1),
        M + "not json_contains(`o`, ?, '$.\"l\"') or not json_contains(`o`, ?)",
        ['["en"]', "1"],
    ),
    (
        "overlaps",
        my().where_json_overlaps("o", ["en", "fr"]).or_where_json_overlaps("o->l", ["x"]),
        M + "json_overlaps(`o`, ?) or json_overlaps(`o`, ?, '$.\"l\"')",
        ['["en","fr"]', '["x"]'],
    ),
    (
        "doesn't overlap",
        my().where_json_doesnt_overlap("o->l", ["en"]).or_where_json_doesnt_overlap("o", raw("x")),
        M + "not json_overlaps(`o`, ?, '$.\"l\"') or not json_overlaps(`o`, x)",
        ['["en"]'],
    ),
    (
        "sqlite contains",
        lite().where_json_contains("o", "en").where_json_doesnt_contain("users.o->l", "fr"),
        S + 'exists (select 1 from json_each("o") where "json_each"."value" is ?)'
        ' and not exists (select 1 from json_each("users"."o", \'$."l"\')'
        ' where "json_each"."value" is ?)',
        ["en", "fr"],
    ),
    (
        "sqlite contains all",
        lite().where_json_contains("o", ["en", {"a": 1}]).or_where_json_contains("o", raw("x")),
        S + '(exists (select 1 from json_each("o") where "json_each"."value" is ?)'
        ' and exists (select 1 from json_each("o") where "json_each"."value" is ?))'
        ' or exists (select 1 from json_each("o") where "json_each"."value" is x)',
        ["en", '{"a":1}'],
    ),
    (
        "sqlite contains nothing",
        lite().where_json_contains("o->l", []),
        S + '(json_type("o", \'$."l"\') is not null)',
        [],
    ),
    (
        "sqlite overlaps",
        lite().where_json_overlaps("o", ["a", 1]).where_json_doesnt_overlap("o", "b"),
        S + 'exists (select 1 from json_each("o") where "json_each"."value" in (?, ?))'
        ' and not exists (select 1 from json_each("o") where "json_each"."value" in (?))',
        ["a", 1, "b"],
    ),
    (
        "key",
        my().where_json_contains_key("users.o->l").or_where_json_contains_key("o->l[0][1]"),
        M + "ifnull(json_contains_path(`users`.`o`, 'one', '$.\"l\"'), 0)"
        " or ifnull(json_contains_path(`o`, 'one', '$.\"l\"[0][1]'), 0)",
        [],
    ),
    (
        "no key",
        my().where_json_doesnt_contain_key("o->l->p").or_where_json_doesnt_contain_key("o->m"),
        M + "not ifnull(json_contains_path(`o`, 'one', '$.\"l\".\"p\"'), 0)"
        " or not ifnull(json_contains_path(`o`, 'one', '$.\"m\"'), 0)",
        [],
    ),
    (
        "sqlite key",
        lite().where_json_contains_key("o->l->p").or_where_json_doesnt_contain_key("o->l[0][1]"),
        S + 'json_type("o", \'$."l"."p"\') is not null'
        ' or not json_type("o", \'$."l"[0][1]\') is not null',
        [],
    ),
    (
        "length",
        my().where_json_length("o", 0).or_where_json_length("u.o->l", ">", raw("0")),
        M + "json_length(`o`) = ? or json_length(`u`.`o`, '$.\"l\"') > 0",
        [0],
    ),
    (
        "sqlite length",
        lite().where_json_length("o", 0).or_where_json_length("u.o->l", ">", 1),
        S + 'json_array_length("o") = ? or json_array_length("u"."o", \'$."l"\') > ?',
        [0, 1],
    ),
)
def test_json_tests(q, sql, bindings):
    check(q, sql, bindings)


@pytest.mark.parametrize(
    "use",
    [
        lambda q: q.where("a->b", 1),
        lambda q: q.where("a->b", True),
        lambda q: q.where_json_contains("a", 1),
        lambda q: q.where_json_overlaps("a", 1),
        lambda q: q.where_json_contains_key("a->b"),
        lambda q: q.where_json_length("a", 1),
        lambda q: q.where_full_text("a", "b"),
        lambda q: q.join_lateral("select 1", "x"),
        lambda q: q.straight_join("b", "a", "c"),
    ],
)
def test_what_a_dialect_lacks_is_said_when_compiling(use):
    with pytest.raises(RuntimeError, match="does not support"):
        use(base("users")).to_sql()


def test_a_json_column_must_be_a_name():
    with pytest.raises(ValueError, match="JSON column"):
        lite().where_json_contains(["a"], 1)
    with pytest.raises(ValueError, match="is not a name"):
        lite().where_json_contains_key("a->\0").to_sql()
