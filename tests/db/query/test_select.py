"""Columns, tables, aliases, prefixes, and the hooks that shape a query."""

from __future__ import annotations

import pytest

from so.db import builder
from so.db.query import Query
from tests.db.queries import Recorder, base, cases, check, mysql, query, raw, sqlite


@cases(
    ("everything", base("users").select("*"), 'select * from "users"', []),
    ("nothing said", base("users"), 'select * from "users"', []),
    ("no table", base().where("foo", "bar"), 'select * where "foo" = ?', ["bar"]),
    ("quotes doubled", base('some"table'), 'select * from "some""table"', []),
    ("back-ticks doubled", mysql("some`table"), "select * from `some``table`", []),
    ("schema", base("public.users"), 'select * from "public"."users"', []),
    (
        "alias is one name",
        base("baz").select("x.y as foo.bar"),
        'select "x"."y" as "foo.bar" from "baz"',
        [],
    ),
    (
        "spaces in a part",
        base("baz").select("w x.y.z as foo.bar"),
        'select "w x"."y"."z" as "foo.bar" from "baz"',
        [],
    ),
    (
        "upper-case AS",
        base("users").select("foo AS bar"),
        'select "foo" as "bar" from "users"',
        [],
    ),
    (
        "added columns",
        base("users").select("foo").add_select("bar").add_select(["baz", "boom"]),
        'select "foo", "bar", "baz", "boom" from "users"',
        [],
    ),
    (
        "an added column once",
        base("users").select("foo").add_select("foo", "bar"),
        'select "foo", "bar" from "users"',
        [],
    ),
    ("a list", base("users").select(["a", "b"]), 'select "a", "b" from "users"', []),
    (
        "distinct",
        base("users").distinct().select("foo", "bar"),
        'select distinct "foo", "bar" from "users"',
        [],
    ),
    (
        "distinct columns are for counting",
        base("users").distinct("foo").select("foo", "bar"),
        'select distinct "foo", "bar" from "users"',
        [],
    ),
    (
        "distinct taken back",
        base("users").distinct(False).select("foo"),
        'select "foo" from "users"',
        [],
    ),
    ("distinct all", base("users").distinct(), 'select distinct * from "users"', []),
    ("from with alias", base().from_("users", "u"), 'select * from "users" as "u"', []),
    ("table()", base().table("users"), 'select * from "users"', []),
    (
        "raw column",
        base("users").select(raw("substr(foo, 6)")),
        'select substr(foo, 6) from "users"',
        [],
    ),
    (
        "raw column with values",
        base("users").select_raw("substr(foo, ?)", [6]),
        'select substr(foo, ?) from "users"',
        [6],
    ),
    (
        "expressions under a name",
        base("one").select_expression(raw("1 + 1"), "a").select_expression("2 + 2", "b"),
        'select (1 + 1) as "a", (2 + 2) as "b" from "one"',
        [],
    ),
    (
        "a dict of columns",
        base("one").select(
            "two",
            {
                "three": "threee as threeee",
                "four": base("tbl").select("col"),
                "five": raw("1 + 1"),
            },
        ),
        'select "two", "threee" as "threeee", (select "col" from "tbl") as "four", 1 + 1'
        ' from "one"',
        [],
    ),
    (
        "an added sub-query keeps the table's columns",
        base("users").add_select({"post": base("posts").select("title")}),
        'select "users".*, (select "title" from "posts") as "post" from "users"',
        [],
    ),
    (
        "sub-query by callable",
        base("one")
        .select(["foo", "bar"])
        .where("key", "=", "val")
        .select_sub(lambda q: q.from_("two").select("baz").where("subkey", "=", "subval"), "sub"),
        'select "foo", "bar", (select "baz" from "two" where "subkey" = ?) as "sub"'
        ' from "one" where "key" = ?',
        ["subval", "val"],
    ),
    (
        "sub-query as text",
        base("t").select_sub("CONCAT(a, b)", "c"),
        'select (CONCAT(a, b)) as "c" from "t"',
        [],
    ),
    (
        "from a query",
        base().from_(base("users"), "u"),
        'select * from (select * from "users") as "u"',
        [],
    ),
    (
        "from a sub-query",
        base()
        .from_sub(
            lambda q: (
                q.select(raw("max(seen) as seen")).from_("user_sessions").where("foo", "=", "1")
            ),
            "sessions",
        )
        .where("bar", "<", "10"),
        'select * from (select max(seen) as seen from "user_sessions" where "foo" = ?)'
        ' as "sessions" where "bar" < ?',
        ["1", "10"],
    ),
    (
        "from raw",
        base().from_raw(raw('(select 1) as "x"')).where("last", ">", "15"),
        'select * from (select 1) as "x" where "last" > ?',
        ["15"],
    ),
    (
        "from raw with values",
        base().from_raw("generate(?)", [3]).where("a", 1),
        'select * from generate(?) where "a" = ?',
        [3, 1],
    ),
    (
        "use index",
        mysql("users").select("foo").use_index("test_index"),
        "select `foo` from `users` use index (test_index)",
        [],
    ),
    (
        "force index",
        mysql("users").select("foo").force_index("a, b"),
        "select `foo` from `users` force index (a, b)",
        [],
    ),
    (
        "ignore index",
        mysql("users").select("foo").ignore_index("test_index"),
        "select `foo` from `users` ignore index (test_index)",
        [],
    ),
    (
        "sqlite suggests no index",
        sqlite("users").select("foo").use_index("i"),
        'select "foo" from "users"',
        [],
    ),
    (
        "sqlite forces an index",
        sqlite("users").select("foo").force_index("i"),
        'select "foo" from "users" indexed by i',
        [],
    ),
    (
        "sqlite forbids no index",
        sqlite("users").ignore_index("i"),
        'select * from "users"',
        [],
    ),
    ("base hints nothing", base("users").force_index("i"), 'select * from "users"', []),
    (
        "star of a table",
        base("users").select("users.*", "p.id"),
        'select "users".*, "p"."id" from "users"',
        [],
    ),
)
def test_columns_and_tables_are_written_as_laravel_does(q, sql, bindings):
    check(q, sql, bindings)


@cases(
    ("table", query(prefix="p_", table="users"), 'select * from "p_users"', []),
    (
        "alias",
        query(prefix="p_", table="users as people"),
        'select * from "p_users" as "p_people"',
        [],
    ),
    (
        "schema",
        query(prefix="p_", table="my.users"),
        'select * from "my"."p_users"',
        [],
    ),
    (
        "qualified column",
        query(prefix="p_", table="users").select("users.id", "name"),
        'select "p_users"."id", "name" from "p_users"',
        [],
    ),
    (
        "joined alias",
        query(prefix="p_", table="services").join(
            "translations AS t", "t.item_id", "=", "services.id"
        ),
        'select * from "p_services" inner join "p_translations" as "p_t"'
        ' on "p_t"."item_id" = "p_services"."id"',
        [],
    ),
    (
        "sub-query's name",
        query(prefix="p_")
        .from_sub(lambda q: q.from_("s").where("foo", "1"), "sessions")
        .where("bar", "<", "10"),
        'select * from (select * from "p_s" where "foo" = ?) as "p_sessions" where "bar" < ?',
        ["1", "10"],
    ),
    (
        "joined sub-query's name",
        query(prefix="p_", table="users").join_sub(
            'select * from "contacts"', "sub", "users.id", "=", "sub.id"
        ),
        'select * from "p_users" inner join (select * from "contacts") as "p_sub"'
        ' on "p_users"."id" = "p_sub"."id"',
        [],
    ),
    (
        "lateral",
        query("mysql", prefix="p_", table="users").join_lateral("select 1", "sub"),
        "select * from `p_users` inner join lateral (select 1) as `p_sub` on true",
        [],
    ),
)
def test_a_prefix_goes_before_every_table_and_alias(q, sql, bindings):
    check(q, sql, bindings)


def test_selecting_anew_forgets_the_bindings_of_earlier_columns():
    q = base("one").select_sub(
        lambda s: s.from_("two").select("baz").where("subkey", "subval"), "sub"
    )
    assert q.get_bindings() == ["subval"]

    q.select("*")

    check(q, 'select * from "one"', [])


def test_a_sub_query_is_taken_as_it_was_when_it_was_given():
    sub = base("posts").select("id")
    q = base("users").where_in("post_id", sub)

    sub.where("later", 1)

    check(q, 'select * from "users" where "post_id" in (select "id" from "posts")', [])


@pytest.mark.parametrize("name", ["", "a\0b", "x.\0", None, 7], ids=lambda name: repr(name))
def test_what_is_not_a_name_is_refused(name):
    with pytest.raises((ValueError, TypeError)):
        base("users").select(name).to_sql()


def test_an_index_hint_takes_plain_names_only():
    with pytest.raises(ValueError, match="index name"):
        mysql("users").use_index("i) where 1 = 1 --").to_sql()


def test_an_unknown_dialect_is_refused_with_the_ones_there_are():
    with pytest.raises(ValueError, match=r"oracle.*base, mariadb, mysql, sqlite"):
        builder("oracle")


def test_columns_given_to_get_count_only_where_none_are_selected():
    recorder = Recorder(answer=[])
    q = query(table="users", recorder=recorder)

    q.get(["foo", "bar"])
    q.get("baz")
    q.get()
    q.clone().select("own").get(["other"])

    assert [sql for _, sql, _ in recorder.statements] == [
        'select "foo", "bar" from "users"',
        'select "baz" from "users"',
        'select * from "users"',
        'select "own" from "users"',
    ]
    assert q.columns is None


# --- hooks --------------------------------------------------------------------------------------


def test_when_runs_its_callback_with_the_query_and_the_condition():
    seen = []

    def one(q, condition):
        seen.append(condition)
        q.where("id", 1)

    def other(q, condition):
        seen.append(condition)
        q.where("id", 2)

    def made(condition):
        q = base("users").when(condition, one, other).where("email", "foo")
        return q.to_sql(), q.get_bindings()

    both = 'select * from "users" where "id" = ? and "email" = ?'
    assert made("truthy") == (both, [1, "foo"])
    assert made(0) == (both, [2, "foo"])
    assert seen == ["truthy", 0]
    assert base("users").when(False, one).to_sql() == 'select * from "users"'


def test_unless_is_when_the_other_way_round():
    q = base("users").unless(0, lambda q: q.where("id", 1), lambda q: q.where("id", 2))
    check(q, 'select * from "users" where "id" = ?', [1])
    q = base("users").unless("yes", lambda q: q.where("id", 1), lambda q: q.where("id", 2))
    check(q, 'select * from "users" where "id" = ?', [2])
    assert base("users").unless(True, lambda q: q.where("id", 1)).get_bindings() == []


def test_what_when_returns_replaces_the_query():
    other = base("posts")

    assert base("users").when(True, lambda q: other) is other


def test_a_callable_condition_is_asked_with_the_query():
    q = base("users").when(lambda q: q.columns is None, lambda q, value: q.where("v", value))

    check(q, 'select * from "users" where "v" = ?', [True])


def test_tap_gives_the_query_and_pipe_what_the_callback_gives():
    q = base("users")

    assert q.tap(lambda q: "ignored") is q
    assert q.pipe(lambda q: q.where("a", 1).get_bindings()) == [1]
    assert q.pipe(lambda q: None) is q


def test_before_query_runs_once_right_before_compiling():
    q = base().before_query(lambda q: q.where("foo", "bar"))

    check(q, 'select * where "foo" = ?', ["bar"])


@pytest.mark.parametrize(
    ("run", "statement"),
    [
        (lambda q: q.insert({"a": 1}), ("insert", 'insert into "users" ("a") values (?)', [1])),
        (
            lambda q: q.insert_get_id({"a": 1}),
            ("insert_get_id", 'insert into "users" ("a") values (?)', [1]),
        ),
        (lambda q: q.update({"a": 1}), ("update", 'update "users" set "a" = ?', [1])),
        (lambda q: q.delete(), ("delete", 'delete from "users"', [])),
        (lambda q: q.truncate(), ("statement", 'truncate table "users"', [])),
        (
            lambda q: q.exists(),
            ("select", 'select exists(select * from "users") as "exists"', []),
        ),
        (
            lambda q: q.insert_using(["a"], base()),
            ("insert", 'insert into "users" ("a") select *', []),
        ),
    ],
    ids=["insert", "insert_get_id", "update", "delete", "truncate", "exists", "insert_using"],
)
def test_before_query_is_heeded_by_every_statement(run, statement):
    recorder = Recorder()

    run(query(recorder=recorder).before_query(lambda q: q.from_("users")))

    assert recorder.statements == [statement]


def test_after_query_may_replace_what_a_read_gives():
    recorder = Recorder(answer=[{"id": 1}, {"id": 2}])
    q = query(table="users", recorder=recorder)
    q.after_query(lambda rows: None).after_query(lambda rows: [len(rows)])

    assert q.get() == [2]
    assert q.pluck("id") == [2]


# --- copies -------------------------------------------------------------------------------------


def test_a_clone_leaves_the_original_alone():
    q = base("users").where("a", 1).order_by("b").before_query(lambda q: None)
    clone = q.clone().where("email", "foo").order_by("c").limit(1)
    clone.add_binding(9)

    check(q, 'select * from "users" where "a" = ? order by "b" asc', [1])
    assert clone.get_bindings() == [1, "foo", 9]


def test_clone_without_leaves_parts_out():
    q = base("users").where("email", "foo").order_by("email").limit(3)

    check(q.clone_without(["orders", "limit"]), 'select * from "users" where "email" = ?', ["foo"])
    bare = q.clone_without(["wheres"]).clone_without_bindings(["where"])
    check(bare, 'select * from "users" order by "email" asc limit 3', [])
    assert q.get_bindings() == ["foo"]
    with pytest.raises(ValueError, match="unknown part 'fruit'"):
        q.clone_without(["fruit"])


def test_a_new_query_is_empty_and_on_the_same_runner():
    q = base("users").where("a", 1)

    assert isinstance(q.new_query(), Query)
    assert q.new_query().runner is q.runner
    assert q.new_query().to_sql() == "select *"


# --- bindings -----------------------------------------------------------------------------------


def test_bindings_stand_in_the_order_of_the_text_not_of_the_calls():
    text = (
        'select * from "users" inner join "othertable" on "bar" = ? where "registered" = ?'
        ' group by "city" having "population" > ? order by match ("foo") against(?)'
    )
    straight = (
        base("users")
        .join("othertable", lambda join: join.where("bar", "=", "foo"))
        .where("registered", 1)
        .group_by("city")
        .having("population", ">", 3)
        .order_by_raw('match ("foo") against(?)', ["bar"])
    )
    reverse = (
        base("users")
        .order_by_raw('match ("foo") against(?)', ["bar"])
        .having("population", ">", 3)
        .group_by("city")
        .where("registered", 1)
        .join("othertable", lambda join: join.where("bar", "=", "foo"))
    )

    check(straight, text, ["foo", 1, 3, "bar"])
    check(reverse, text, ["foo", 1, 3, "bar"])


def test_bindings_of_sub_queries_stand_where_they_are_written():
    second = base("users").order_by_raw("id = ?", 2)
    third = base("users").where("id", 3).group_by("id").having("id", "!=", 4)
    q = base().group_by("a").having("a", "=", 1).union(second).union(third)
    assert q.get_bindings() == [1, 2, 3, 4]

    def newest(q):
        q.select(raw("max(id)")).from_("users").where("email", "=", "bar")
        q.order_by_raw("email like ?", "%.com").group_by("id").having("id", "=", 4)

    q = (
        base("users")
        .where("email", "=", newest)
        .or_where("id", "=", "foo")
        .group_by("id")
        .having("id", "=", 5)
    )
    assert q.get_bindings() == ["bar", 4, "%.com", "foo", 5]


def test_bindings_added_by_hand_stand_with_their_part():
    q = base().add_binding(["bar", "baz"], "having").add_binding(["foo"], "where")
    assert q.get_bindings() == ["foo", "bar", "baz"]
    assert base().add_binding(["foo", "bar"]).add_binding("baz").get_bindings() == [
        "foo",
        "bar",
        "baz",
    ]
    with pytest.raises(ValueError, match="Invalid binding type: nowhere"):
        q.add_binding(1, "nowhere")


def test_bindings_can_be_merged_and_set():
    q = base().add_binding("foo", "where").add_binding("baz", "having")
    q.merge_bindings(base().add_binding("bar", "where"))
    assert q.get_bindings() == ["foo", "bar", "baz"]

    q.set_bindings(["x"], "where").set_bindings([], "having")
    assert q.get_bindings() == ["x"]
    assert q.clone_without_bindings(["where"]).get_bindings() == []


def test_bindings_added_by_hand_go_along_into_a_sub_query():
    sub = base("posts").select("id").where_raw("a = ?").add_binding(5)
    q = base("users").where("x", 1).where_in("id", sub).where("y", 2)

    assert q.get_bindings() == [1, 5, 2]


def test_raw_bindings_are_sorted_by_part():
    q = (
        base("users")
        .select_raw("?", [1])
        .join("b", lambda join: join.where("c", 2))
        .where("d", 3)
        .group_by_raw("?", [4])
        .having("e", 5)
        .order_by_raw("?", [6])
        .union(base("f").where("g", 7))
        .order_by_raw("?", [8])
    )

    assert q.get_raw_bindings() == {
        "select": [1],
        "from": [],
        "join": [2],
        "where": [3],
        "group_by": [4],
        "having": [5],
        "order": [6],
        "union": [7],
        "union_order": [8],
    }


def test_raw_sql_has_the_values_written_in():
    q = mysql("us?ers").where("name", "O'Hara?").where("n", 1.5).where("b", b"\x01")
    q.where("t", True).where_null_safe_equals("z", None).where_raw("x = '?' and y = ?", [None])

    assert q.to_raw_sql() == (
        "select * from `us?ers` where `name` = 'O''Hara?' and `n` = 1.5 and `b` = x'01'"
        " and `t` = 1 and `z` <=> null and x = '?' and y = null"
    )


def test_dump_prints_and_dd_ends_the_program(capsys):
    q = base("users").where("a", 1)

    assert q.dump() is q
    with pytest.raises(SystemExit):
        q.dd()

    assert capsys.readouterr().out == 'select * from "users" where "a" = ? [1]\n' * 2

    assert q.dump_raw_sql() is q
    with pytest.raises(SystemExit):
        q.dd_raw_sql()

    assert capsys.readouterr().out == 'select * from "users" where "a" = 1\n' * 2


def test_a_query_tells_what_it_is_made_of():
    q = base("users").select("a", raw("b + 1")).select_sub("select 1", "c")

    assert q.get_columns() == ["a", "b + 1", '(select 1) as "c"']
    assert base("users").get_columns() == []
    assert q.get_connection() is q.runner
    assert q.get_grammar() is q.grammar
    assert q.clean_bindings([1, q.raw("x"), None]) == [1, None]


def test_without_a_recorder_nothing_can_be_run():
    with pytest.raises(RuntimeError, match="no database to run 'select'"):
        base("users").get()
    with pytest.raises(RuntimeError, match="no database to run 'insert'"):
        base("users").insert({"a": 1})
