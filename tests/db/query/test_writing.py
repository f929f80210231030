"""Writing: the statements sent, and what is refused before anything is."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from so.errors import RecordNotFoundError
from tests.db.queries import Recorder, base, query, raw

AT = datetime(2019, 8, 6, tzinfo=UTC)


def sent(dialect, do, *answers, table="users"):
    recorder = Recorder(*answers)
    result = do(query(dialect, table, recorder=recorder))
    return result, recorder.statements


def one(dialect, do, answer=1):
    result, statements = sent(dialect, do, answer)
    assert len(statements) == 1
    return result, *statements[0]


# --- insert -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "do", "sql", "bindings"),
    [
        (
            "base",
            lambda q: q.insert({"email": "foo"}),
            'insert into "users" ("email") values (?)',
            ["foo"],
        ),
        (
            "base",
            lambda q: q.insert({"email": raw("CURRENT TIMESTAMP")}),
            'insert into "users" ("email") values (CURRENT TIMESTAMP)',
            [],
        ),
        (
            "base",
            lambda q: q.insert([{"email": raw("UPPER('F')")}, {"email": raw("LOWER('F')")}]),
            "insert into \"users\" (\"email\") values (UPPER('F')), (LOWER('F'))",
            [],
        ),
        (
            "mysql",
            lambda q: q.insert([{"b": 1, "a": 2}, {"a": 4, "b": 3}]),
            "insert into `users` (`b`, `a`) values (?, ?), (?, ?)",
            [1, 2, 3, 4],
        ),
        (
            "sqlite",
            lambda q: q.insert_batch([{"a": [1, {"b": "é"}], "d": Decimal("1.50"), "t": AT}]),
            'insert into "users" ("a", "d", "t") values (?, ?, ?)',
            ['[1,{"b":"é"}]', Decimal("1.50"), AT],
        ),
    ],
)
def test_insert(dialect, do, sql, bindings):
    result, kind, got_sql, got_bindings = one(dialect, do, None)
    assert (result, kind, got_sql, got_bindings) == (True, "insert", sql, bindings)


@pytest.mark.parametrize("nothing", [[], {}, [{}], None])
def test_inserting_nothing_sends_nothing(nothing):
    assert sent("base", lambda q: q.insert(nothing)) == (True, [])


def test_insert_get_id_gives_the_databases_answer():
    result, kind, sql, bindings = one(
        "base", lambda q: q.insert_get_id({"email": "foo", "bar": raw("bar")}, "id"), 7
    )
    assert (result, kind) == (7, "insert_get_id")
    assert (sql, bindings) == ('insert into "users" ("email", "bar") values (?, bar)', ["foo"])


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("mysql", "insert into `users` () values ()"),
        ("sqlite", 'insert into "users" default values'),
        ("base", 'insert into "users" default values'),
    ],
)
def test_a_row_of_defaults(dialect, sql):
    _, kind, got, bindings = one(dialect, lambda q: q.insert_get_id({}))
    assert (kind, got, bindings) == ("insert_get_id", sql, [])


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("mysql", "insert ignore into `users` (`email`) values (?)"),
        ("sqlite", 'insert or ignore into "users" ("email") values (?)'),
    ],
)
def test_insert_or_ignore(dialect, sql):
    result, _, got, bindings = one(dialect, lambda q: q.insert_or_ignore({"email": "foo"}), 1)
    assert (result, got, bindings) == (1, sql, ["foo"])
    assert sent(dialect, lambda q: q.insert_or_ignore([])) == (0, [])


def from_table2(q):
    q.select(["bar"]).from_("table2").where("foreign_id", "=", 5)


@pytest.mark.parametrize(
    ("dialect", "do", "sql"),
    [
        (
            "base",
            lambda q: q.insert_using(["foo"], from_table2),
            'insert into "t1" ("foo") select "bar" from "table2" where "foreign_id" = ?',
        ),
        (
            "base",
            lambda q: q.insert_using([], from_table2),
            'insert into "t1" select "bar" from "table2" where "foreign_id" = ?',
        ),
        (
            "mysql",
            lambda q: q.insert_or_ignore_using(["foo"], from_table2),
            "insert ignore into `t1` (`foo`) select `bar` from `table2` where `foreign_id` = ?",
        ),
        (
            "sqlite",
            lambda q: q.insert_or_ignore_using(["*"], from_table2),
            'insert or ignore into "t1" select "bar" from "table2" where "foreign_id" = ?',
        ),
    ],
)
def test_insert_using_a_sub_query(dialect, do, sql):
    result, statements = sent(dialect, do, 3, table="t1")
    assert result == 3
    assert statements[0][1:] == (sql, [5])


def test_the_generic_dialect_cannot_ignore_or_upsert():
    for do in (
        lambda q: q.insert_or_ignore({"a": 1}),
        lambda q: q.insert_or_ignore_using(["a"], "select 1"),
        lambda q: q.upsert({"a": 1}, "a"),
        lambda q: q.update_from({"a": 1}),
    ):
        with pytest.raises(RuntimeError, match="does not support"):
            sent("base", do)


def test_rows_with_other_columns_than_the_first_are_refused():
    for rows, text in (
        ([{"a": 1, "b": 2}, {"a": 1}], "row 1 lacks b"),
        ([{"a": 1}, {"a": 1, "c": 2}], "row 1 has also c"),
        ([{"a": 1}, {}], "row 1 lacks a"),
        ([{"a": 1}, 5], "row 1 is not a dict but int"),
    ):
        with pytest.raises(ValueError, match=text):
            base("users").insert(rows)


@pytest.mark.parametrize(
    "do",
    [
        lambda q: q.insert({"a": object()}),
        lambda q: q.insert([{"a": {1, 2}}]),
        lambda q: q.update({"a": object()}),
        lambda q: q.upsert([{"a": 1j}], "a"),
        lambda q: q.insert_get_id({"a": float}),
    ],
)
def test_a_value_no_column_holds_is_refused_before_anything_is_sent(do):
    recorder = Recorder()
    with pytest.raises((TypeError, ValueError)):
        do(query("sqlite", "users", recorder=recorder))
    assert recorder.statements == []


def test_long_inserts_go_in_parts():
    rows = [{"a": n, "b": n, "c": n} for n in range(25_000)]

    result, statements = sent("sqlite", lambda q: q.insert(rows))

    assert result is True
    assert [len(bindings) for _, _, bindings in statements] == [30_000, 30_000, 15_000]
    assert [value for _, _, some in statements for value in some][::3] == list(range(25_000))
    count, statements = sent("mysql", lambda q: q.insert_or_ignore(rows), 20_000, 5_000)
    assert count == 25_000
    assert len(statements) == 2


# --- upsert -------------------------------------------------------------------------------------

TWO = [{"email": "foo", "name": "bar"}, {"name": "bar2", "email": "foo2"}]


@pytest.mark.parametrize(
    ("dialect", "update", "sql", "more"),
    [
        (
            "mysql",
            None,
            "insert into `users` (`email`, `name`) values (?, ?), (?, ?)"
            " on duplicate key update `email` = values(`email`), `name` = values(`name`)",
            [],
        ),
        (
            "mariadb",
            ["name"],
            "insert into `users` (`email`, `name`) values (?, ?), (?, ?)"
            " on duplicate key update `name` = values(`name`)",
            [],
        ),
        (
            "sqlite",
            "name",
            'insert into "users" ("email", "name") values (?, ?), (?, ?)'
            ' on conflict ("email") do update set "name" = "excluded"."name"',
            [],
        ),
        (
            "sqlite",
            {"name": "x", "n": raw('"n" + 1')},
            'insert into "users" ("email", "name") values (?, ?), (?, ?)'
            ' on conflict ("email") do update set "name" = ?, "n" = "n" + 1',
            ["x"],
        ),
        (
            "mysql",
            {"name": "x"},
            "insert into `users` (`email`, `name`) values (?, ?), (?, ?)"
            " on duplicate key update `name` = ?",
            ["x"],
        ),
    ],
)
def test_upsert(dialect, update, sql, more):
    result, _, got, bindings = one(dialect, lambda q: q.upsert(TWO, "email", update), 2)
    assert (result, got) == (2, sql)
    assert bindings == ["foo", "bar", "foo2", "bar2", *more]


def test_upsert_of_one_row_by_several_columns():
    _, _, sql, _ = one("sqlite", lambda q: q.upsert({"a": 1, "b": 2}, ["a", "b"], ["b"]))
    assert sql == (
        'insert into "users" ("a", "b") values (?, ?)'
        ' on conflict ("a", "b") do update set "b" = "excluded"."b"'
    )


def test_upsert_without_changes_is_an_insert_and_without_rows_nothing():
    _, kind, sql, _ = one("mysql", lambda q: q.upsert({"a": 1}, "a", []))
    assert (kind, sql) == ("insert", "insert into `users` (`a`) values (?)")
    assert sent("mysql", lambda q: q.upsert([], "a")) == (0, [])


@pytest.mark.parametrize("unique_by", [[], "", None, ()])
def test_upsert_needs_a_unique_key(unique_by):
    with pytest.raises(ValueError, match="unique_by"):
        sent("sqlite", lambda q: q.upsert(TWO, unique_by))


# --- update -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "do", "sql", "bindings"),
    [
        (
            "base",
            lambda q: q.where("id", 1).update({"email": "foo", "name": "bar"}),
            'update "users" set "email" = ?, "name" = ? where "id" = ?',
            ["foo", "bar", 1],
        ),
        (
            "base",
            lambda q: q.where("id", 1).update({"email": raw("foo"), "name": "bar"}),
            'update "users" set "email" = foo, "name" = ? where "id" = ?',
            ["bar", 1],
        ),
        (
            "mysql",
            lambda q: q.where("id", 1).order_by("foo", "desc").limit(5).update({"a": 1}),
            "update `users` set `a` = ? where `id` = ? order by `foo` desc limit 5",
            [1, 1],
        ),
        (
            "base",
            lambda q: q.where("id", 1).update(
                {
                    "credits": base("transactions")
                    .select_raw("sum(credits)")
                    .where_column("transactions.user_id", "users.id")
                    .where("type", "foo")
                }
            ),
            'update "users" set "credits" = (select sum(credits) from "transactions"'
            ' where "transactions"."user_id" = "users"."id" and "type" = ?) where "id" = ?',
            ["foo", 1],
        ),
        (
            "base",
            lambda q: (
                q.join("orders", "users.id", "=", "orders.user_id")
                .where("users.id", 1)
                .update({"email": "foo", "name": "bar"})
            ),
            'update "users" inner join "orders" on "users"."id" = "orders"."user_id"'
            ' set "email" = ?, "name" = ? where "users"."id" = ?',
            ["foo", "bar", 1],
        ),
        (
            "mysql",
            lambda q: q.join(
                "orders", lambda j: j.on("users.id", "orders.user_id").where("users.id", 1)
            ).update({"email": "foo", "name": "bar"}),
            "update `users` inner join `orders` on `users`.`id` = `orders`.`user_id`"
            " and `users`.`id` = ? set `email` = ?, `name` = ?",
            [1, "foo", "bar"],
        ),
        (
            "sqlite",
            lambda q: q.where("users.id", ">", 1).limit(3).oldest("id").update({"a": 1}),
            'update "users" set "a" = ? where "rowid" in (select "users"."rowid" from "users"'
            ' where "users"."id" > ? order by "id" asc limit 3)',
            [1, 1],
        ),
        (
            "sqlite",
            lambda q: q.join(
                "orders", lambda j: j.on("users.id", "orders.user_id").where("users.id", 7)
            ).update({"users.email": "foo", "name": "bar"}),
            'update "users" set "email" = ?, "name" = ? where "rowid" in (select "users"."rowid"'
            ' from "users" inner join "orders" on "users"."id" = "orders"."user_id"'
            ' and "users"."id" = ?)',
            ["foo", "bar", 7],
        ),
        (
            "sqlite",
            lambda q: (
                q.from_("users as u").join("orders as o", "u.id", "=", "o.user_id").update({"a": 1})
            ),
            'update "users" as "u" set "a" = ? where "rowid" in (select "u"."rowid"'
            ' from "users" as "u" inner join "orders" as "o" on "u"."id" = "o"."user_id")',
            [1],
        ),
        (
            "base",
            lambda q: q.select_raw("?", ["ignored"]).where("id", 1).update({"a": 2}),
            'update "users" set "a" = ? where "id" = ?',
            [2, 1],
        ),
        (
            "mysql",
            lambda q: q.where("active", 1).update({"name->first": "John", "name->last": "Doe"}),
            "update `users` set `name` = json_set(`name`, '$.\"first\"', ?),"
            " `name` = json_set(`name`, '$.\"last\"', ?) where `active` = ?",
            ["John", "Doe", 1],
        ),
        (
            "mysql",
            lambda q: q.where("active", 1).update(
                {
                    "options": {"2fa": False, "presets": ["laravel", "vue"]},
                    "meta->tags": ["white", "large"],
                    "group_id": raw("45"),
                    "created_at": AT,
                }
            ),
            "update `users` set `options` = ?, `meta` = json_set(`meta`, '$.\"tags\"',"
            " cast(? as json)), `group_id` = 45, `created_at` = ? where `active` = ?",
            ['{"2fa":false,"presets":["laravel","vue"]}', '["white","large"]', AT, 1],
        ),
        (
            "mysql",
            lambda q: q.update(
                {
                    "o->[1]->2fa": False,
                    "m->t[0][2]": "large",
                    "o->size": None,
                    "o->n": raw("45"),
                    "o->on": True,
                    "o->s": base("t").select("x").where("y", 9),
                }
            ),
            "update `users` set `o` = json_set(`o`, '$[1].\"2fa\"', false),"
            " `m` = json_set(`m`, '$.\"t\"[0][2]', ?), `o` = json_set(`o`, '$.\"size\"', ?),"
            " `o` = json_set(`o`, '$.\"n\"', 45), `o` = json_set(`o`, '$.\"on\"', true),"
            " `o` = json_set(`o`, '$.\"s\"', (select `x` from `t` where `y` = ?))",
            ["large", None, 9],
        ),
        (
            "sqlite",
            lambda q: q.update(
                {
                    "options->name": "Taylor",
                    "group_id": raw("45"),
                    "options->security": {"2fa": False, "presets": ["laravel", "vue"]},
                    "users.options->sharing->twitter": "username",
                    "created_at": AT,
                }
            ),
            'update "users" set "group_id" = 45, "created_at" = ?,'
            ' "options" = json_patch(ifnull("options", json(\'{}\')), json(?))',
            [
                AT,
                '{"name":"Taylor","security":{"2fa":false,"presets":["laravel","vue"]},'
                '"sharing":{"twitter":"username"}}',
            ],
        ),
        (
            "sqlite",
            lambda q: q.where("options->[1]->2fa", True).update(
                {"options->[1]->2fa": False, "meta->tags[0][2]": "large"}
            ),
            'update "users" set "options" = json_patch(ifnull("options", json(\'{}\')), json(?)),'
            ' "meta" = json_patch(ifnull("meta", json(\'{}\')), json(?))'
            ' where json_extract("options", \'$[1]."2fa"\') = true',
            ['{"[1]":{"2fa":false}}', '{"tags[0][2]":"large"}'],
        ),
    ],
)
def test_update(dialect, do, sql, bindings):
    result, kind, got, got_bindings = one(dialect, do, 1)
    assert (result, kind, got, got_bindings) == (1, "update", sql, bindings)


def test_updating_nothing_sends_nothing():
    assert sent("base", lambda q: q.update({})) == (0, [])


def test_update_or_fail_wants_a_row():
    assert sent("base", lambda q: q.update_or_fail({"a": 1}), 2)[0] == 2
    with pytest.raises(RecordNotFoundError):
        sent("base", lambda q: q.update_or_fail({"a": 1}), 0)


@pytest.mark.parametrize(
    ("do", "sql", "bindings"),
    [
        (lambda q: q.increment("a"), '"a" = "a" + 1', []),
        (lambda q: q.decrement("a", 5), '"a" = "a" - 5', []),
        (lambda q: q.increment("a", Decimal("1E-2"), {"b": 2}), '"a" = "a" + 0.01, "b" = ?', [2]),
        (lambda q: q.increment("a", "2.50"), '"a" = "a" + 2.50', []),
        (lambda q: q.increment("a", -1.5), '"a" = "a" + -1.5', []),
        (
            lambda q: q.increment_each({"a": 1, "b": 2}, {"c": 3}),
            '"a" = "a" + 1, "b" = "b" + 2, "c" = ?',
            [3],
        ),
        (lambda q: q.decrement_each({"t.a": 1}), '"t"."a" = "t"."a" - 1', []),
    ],
)
def test_stepping_columns(do, sql, bindings):
    result, kind, got, got_bindings = one("base", do)
    assert (result, kind) == (1, "update")
    assert (got, got_bindings) == (f'update "users" set {sql}', bindings)


@pytest.mark.parametrize("amount", ["a", None, [1], True, "1; drop", "nan", float("inf"), ""])
def test_a_step_is_a_number(amount):
    with pytest.raises(TypeError, match=r"^Non-numeric value passed as increment amount.*'col'\.$"):
        sent("base", lambda q: q.increment_each({"col": amount}))
    with pytest.raises(TypeError, match="Non-associative array"):
        sent("base", lambda q: q.increment_each({11: 11}))


def test_update_or_insert_asks_first():
    yes, no = [{"exists": 1}], [{"exists": 0}]
    attributes = {"email": "foo"}

    result, statements = sent("base", lambda q: q.update_or_insert(attributes, {"n": 1}), no, True)
    assert result is True
    assert statements == [
        (
            "select",
            'select exists(select * from "users" where ("email" = ?)) as "exists"',
            ["foo"],
        ),
        ("insert", 'insert into "users" ("email", "n") values (?, ?)', ["foo", 1]),
    ]

    result, statements = sent("mysql", lambda q: q.update_or_insert(attributes, {"n": 1}), yes, 1)
    assert result is True
    assert statements[1] == (
        "update",
        "update `users` set `n` = ? where (`email` = ?) limit 1",
        [1, "foo"],
    )

    assert len(sent("base", lambda q: q.update_or_insert(attributes), yes)[1]) == 1
    _, statements = sent(
        "base", lambda q: q.update_or_insert(attributes, lambda exists: {"n": exists}), no
    )
    assert statements[1][2] == ["foo", False]


# --- delete -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "do", "sql", "bindings"),
    [
        (
            "base",
            lambda q: q.where("email", "foo").delete(),
            'delete from "users" where "email" = ?',
            ["foo"],
        ),
        (
            "base",
            lambda q: q.select_raw("?", ["ignored"]).delete(1),
            'delete from "users" where "users"."id" = ?',
            [1],
        ),
        (
            "sqlite",
            lambda q: q.where("email", "foo").order_by("id").limit(1).delete(),
            'delete from "users" where "rowid" in (select "users"."rowid" from "users"'
            ' where "email" = ? order by "id" asc limit 1)',
            ["foo"],
        ),
        (
            "sqlite",
            lambda q: q.from_("users as u").join("contacts as c", "u.id", "=", "c.id").delete(5),
            'delete from "users" as "u" where "rowid" in (select "u"."rowid" from "users" as "u"'
            ' inner join "contacts" as "c" on "u"."id" = "c"."id" where "u"."id" = ?)',
            [5],
        ),
        (
            "mysql",
            lambda q: q.where("email", "foo").order_by("id").limit(1).delete(),
            "delete from `users` where `email` = ? order by `id` asc limit 1",
            ["foo"],
        ),
        (
            "mysql",
            lambda q: (
                q.from_("users AS a")
                .join("users AS b", "a.id", "=", "b.user_id")
                .where("email", "foo")
                .order_by("id")
                .limit(1)
                .delete()
            ),
            "delete `a` from `users` as `a` inner join `users` as `b` on `a`.`id` = `b`.`user_id`"
            " where `email` = ?",
            ["foo"],
        ),
        (
            "mysql",
            lambda q: q.join("contacts", "users.id", "=", "contacts.id").delete(),
            "delete `users` from `users` inner join `contacts` on `users`.`id` = `contacts`.`id`",
            [],
        ),
    ],
)
def test_delete(dialect, do, sql, bindings):
    result, kind, got, got_bindings = one(dialect, do, 1)
    assert (result, kind, got, got_bindings) == (1, "delete", sql, bindings)


def test_deleting_by_id_leaves_the_query_alone():
    recorder = Recorder(answer=1)
    q = query("base", "users", recorder=recorder)
    q.delete(1)
    assert q.to_sql() == 'select * from "users"'


@pytest.mark.parametrize(
    ("dialect", "table", "prefix", "statements"),
    [
        ("mysql", "users", "", [("truncate table `users`", [])]),
        ("base", "my.users", "p_", [('truncate table "my"."p_users"', [])]),
        (
            "sqlite",
            "users",
            "p_",
            [
                ("delete from sqlite_sequence where name = ?", ["p_users"]),
                ('delete from "p_users"', []),
            ],
        ),
        (
            "sqlite",
            "my.users",
            "",
            [
                ('delete from "my".sqlite_sequence where name = ?', ["users"]),
                ('delete from "my"."users"', []),
            ],
        ),
    ],
)
def test_truncate(dialect, table, prefix, statements):
    recorder = Recorder()
    query(dialect, table, prefix=prefix, recorder=recorder).truncate()
    assert recorder.statements == [("statement", *one) for one in statements]


@pytest.mark.parametrize(
    "do",
    [
        lambda q: q.insert({"a": 1}),
        lambda q: q.update({"a": 1}),
        lambda q: q.delete(),
        lambda q: q.delete(1),
        lambda q: q.truncate(),
    ],
)
def test_writing_needs_a_table(do):
    with pytest.raises(ValueError, match="no table to write to"):
        do(base())
