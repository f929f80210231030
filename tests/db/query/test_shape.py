"""Groups, order, limits, unions, locks and time limits."""

from __future__ import annotations

import pytest

from tests.db.queries import Recorder, base, cases, check, mysql, query, raw, sqlite

U = 'select * from "users"'


def users():
    return base("users")


def item():
    q = base("item").select(["category", raw('count(*) as "total"')])
    return q.where("department", "popular").group_by("category")


ITEM = (
    'select "category", count(*) as "total" from "item" where "department" = ? group by "category"'
)


@cases(
    ("one", users().group_by("email"), U + ' group by "email"', []),
    ("several", users().group_by("id", "email"), U + ' group by "id", "email"', []),
    ("list", users().group_by(["id", "email"]), U + ' group by "id", "email"', []),
    ("raw", users().group_by(raw("DATE(c)")), U + " group by DATE(c)", []),
    (
        "raw with values",
        users().group_by("a").group_by_raw("DATE(c), ?", ["foo"]),
        U + ' group by "a", DATE(c), ?',
        ["foo"],
    ),
    ("having", users().group_by("e").having("e", ">", 1), U + ' group by "e" having "e" > ?', [1]),
    (
        "or having",
        users().or_having("e", "=", "a").or_having("e", "b"),
        U + ' having "e" = ? or "e" = ?',
        ["a", "b"],
    ),
    (
        "having raw value",
        item().having("total", ">", raw("3")),
        ITEM + ' having "total" > 3',
        ["popular"],
    ),
    ("having value", item().having("total", ">", 3), ITEM + ' having "total" > ?', ["popular", 3]),
    ("having expression", users().having(raw("1 = 1")), U + " having 1 = 1", []),
    ("having bits", users().having("bar", "&", 1), U + ' having "bar" & ?', [1]),
    (
        "nested",
        users().having("e", "foo").or_having(lambda q: q.having("n", "bar").having("a", 25)),
        U + ' having "e" = ? or ("n" = ? and "a" = ?)',
        ["foo", "bar", 25],
    ),
    (
        "nested takes havings only",
        base().having("e", "foo").having(lambda q: q.select_raw("?", ["x"]).having("n", "bar")),
        'select * having "e" = ? and ("n" = ?)',
        ["foo", "bar"],
    ),
    ("nested and empty", users().having(lambda q: None), U, []),
    (
        "between",
        users().having_between("id", [1, 2, 3]).or_having_between("x", 3, 4),
        U + ' having "id" between ? and ? or "x" between ? and ?',
        [1, 2, 3, 4],
    ),
    (
        "not between",
        users().having_not_between("id", [[1, 2], [3]]).or_having_not_between("x", [5, 6]),
        U + ' having "id" not between ? and ? or "x" not between ? and ?',
        [1, 2, 5, 6],
    ),
    (
        "null",
        users().having_null("a").or_having_null(["b", "c"]),
        U + ' having "a" is null or "b" is null or "c" is null',
        [],
    ),
    (
        "not null",
        users().having_not_null("a").or_having_not_null("b"),
        U + ' having "a" is not null or "b" is not null',
        [],
    ),
    (
        "raw",
        users().having("baz", 1).or_having_raw("a < ?", [2]).having_raw("c"),
        U + ' having "baz" = ? or a < ? and c',
        [1, 2],
    ),
    (
        "values in order",
        base().having_raw("?", ["h"]).group_by_raw("?", ["g"]).where_raw("?", ["w"]),
        "select * where ? group by ? having ?",
        ["w", "g", "h"],
    ),
)
def test_groups(q, sql, bindings):
    check(q, sql, bindings)


@cases(
    ("two", users().order_by("e").order_by("a", "desc"), U + ' order by "e" asc, "a" desc', []),
    (
        "any case",
        users().order_by("e", "DESC").order_by("f", "Asc"),
        U + ' order by "e" desc, "f" asc',
        [],
    ),
    ("desc", users().order_by_desc("n"), U + ' order by "n" desc', []),
    ("expression", users().order_by(raw("lower(n)")), U + " order by lower(n) asc", []),
    (
        "raw",
        users().order_by("e").order_by_raw('"age" ? desc', ["foo"]),
        U + ' order by "e" asc, "age" ? desc',
        ["foo"],
    ),
    ("latest", users().latest(), U + ' order by "created_at" desc', []),
    ("latest by", users().latest("u").limit(1), U + ' order by "u" desc limit 1', []),
    ("oldest", users().oldest().oldest("u"), U + ' order by "created_at" asc, "u" asc', []),
    ("random", users().in_random_order(), U + " order by RANDOM()", []),
    (
        "random, mysql",
        mysql("users").in_random_order(),
        "select * from `users` order by RAND()",
        [],
    ),
    (
        "random, seed",
        mysql("users").in_random_order("123"),
        "select * from `users` order by RAND(123)",
        [],
    ),
    (
        "in order of",
        users().where("x", True).in_order_of("status", ["a", "b"]).order_by("n"),
        U + ' where "x" = ? order by case when "status" = ? then 1 when "status" = ? then 2'
        ' else 3 end, "n" asc',
        [True, "a", "b"],
    ),
    (
        "in order of one",
        mysql("users").in_order_of("s", [raw("x")]),
        "select * from `users` order by case when `s` = x then 1 else 2 end",
        [],
    ),
    ("in order of nothing", users().in_order_of("status", []), U, []),
    ("reorder", users().order_by("n").reorder(), U, []),
    ("reorder by", users().order_by("n").reorder("e", "desc"), U + ' order by "e" desc', []),
    ("reorder desc", users().order_by("n").reorder_desc("e"), U + ' order by "e" desc', []),
    ("reorder and values", users().order_by_raw("?", [1]).reorder(), U, []),
    (
        "sub-query",
        users().order_by(
            lambda q: (
                q.select("created_at").from_("logins").where_column("user_id", "users.id").limit(1)
            ),
            "desc",
        ),
        U + ' order by (select "created_at" from "logins" where "user_id" = "users"."id" limit 1)'
        " desc",
        [],
    ),
    (
        "sub-query of a union",
        base("posts")
        .where("public", 1)
        .union_all(base("videos").where("public", 1))
        .order_by(base().select_raw("field(c, ?, ?)", ["news", "opinion"])),
        '(select * from "posts" where "public" = ?) union all'
        ' (select * from "videos" where "public" = ?) order by (select field(c, ?, ?)) asc',
        [1, 1, "news", "opinion"],
    ),
)
def test_orders(q, sql, bindings):
    check(q, sql, bindings)


@pytest.mark.parametrize("direction", ["asec", "", "asc; drop table users", None, 1, ["asc"]])
def test_only_asc_and_desc_are_directions(direction):
    with pytest.raises(ValueError, match=r'^Order direction must be "asc" or "desc"\.$'):
        users().order_by("age", direction)


@pytest.mark.parametrize("seed", ["1); drop", "x", [1]])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises((ValueError, TypeError)):
        mysql("users").in_random_order(seed)


def test_the_order_can_be_read_and_taken_away():
    q = users().order_by("email").order_by("age", "desc")
    assert len(q.orders) == 2
    q.orders = None
    check(q, U, [])
    q.orders = []
    check(q, U, [])


@cases(
    ("both", users().offset(5).limit(10), U + " limit 10 offset 5", []),
    ("aliases", users().skip(5).take(10), U + " limit 10 offset 5", []),
    ("offset alone", users().offset(5), U + " offset 5", []),
    ("no limit", users().limit(5).limit(None), U, []),
    ("limit 0", users().limit(0), U + " limit 0", []),
    ("zeros", users().offset(0).limit(0), U + " limit 0 offset 0", []),
    ("negative", users().offset(-5).limit(-10), U + " offset 0", []),
    ("text", users().offset("5").limit("10"), U + " limit 10 offset 5", []),
    ("page", users().for_page(2, 15), U + " limit 15 offset 15", []),
    ("page 0", users().for_page(0, 15), U + " limit 15 offset 0", []),
    ("page -2", users().for_page(-2, 15), U + " limit 15 offset 0", []),
    ("pages of 0", users().for_page(2, 0), U + " limit 0 offset 0", []),
    (
        "before an id",
        users().for_page_before_id(15, 0),
        U + ' where "id" < ? order by "id" desc limit 15',
        [0],
    ),
    (
        "before nothing",
        users().for_page_before_id(15, None),
        U + ' where "id" is not null order by "id" desc limit 15',
        [],
    ),
    (
        "after an id",
        users().order_by("id", "desc").order_by("n").for_page_after_id(15, 7),
        U + ' where "id" > ? order by "n" asc, "id" asc limit 15',
        [7],
    ),
    (
        "after nothing",
        users().for_page_after_id(15, None),
        U + ' where "id" is not null order by "id" asc limit 15',
        [],
    ),
    (
        "of each group",
        base("posts").where("a", 1).order_by("id").group_limit(3, "user_id"),
        'select * from (select *, row_number() over (partition by "user_id" order by "id" asc)'
        ' as "laravel_row" from "posts" where "a" = ?) as "laravel_table"'
        ' where "laravel_row" <= 3 order by "laravel_row"',
        [1],
    ),
    (
        "of each group, further on",
        base("posts")
        .select_raw("?", [0])
        .where("a", 1)
        .order_by_raw("?", [2])
        .group_limit(3, "posts.user_id")
        .offset(2),
        'select * from (select ?, row_number() over (partition by "posts"."user_id" order by ?)'
        ' as "laravel_row" from "posts" where "a" = ?) as "laravel_table"'
        ' where "laravel_row" <= 5 and "laravel_row" > 2 order by "laravel_row"',
        [0, 2, 1],
    ),
    (
        "of each group, without order",
        base("posts").group_limit(1, "u"),
        'select * from (select *, row_number() over (partition by "u") as "laravel_row"'
        ' from "posts") as "laravel_table" where "laravel_row" <= 1 order by "laravel_row"',
        [],
    ),
)
def test_limits(q, sql, bindings):
    check(q, sql, bindings)


def test_a_limit_is_a_whole_number():
    for bad in ("x", "1; drop", [1], "1.5"):
        with pytest.raises(ValueError, match="whole number"):
            users().limit(bad)
        with pytest.raises(ValueError, match="whole number"):
            users().offset(bad)


def test_limit_and_offset_can_be_asked_for():
    q = users().limit(3).offset(4)
    assert (q.get_limit(), q.get_offset()) == (3, 4)
    q.union(users()).limit(5)
    assert (q.get_limit(), q.get_offset()) == (5, None)


def one():
    return base("users").where("id", 1)


@cases(
    (
        "union",
        one().union(users().where("id", 2)),
        "(" + U + ' where "id" = ?) union (' + U + ' where "id" = ?)',
        [1, 2],
    ),
    (
        "union all of several",
        one().union_all(users().where("id", 2)).union(lambda q: q.from_("t").where("id", 3)),
        "(" + U + ' where "id" = ?) union all (' + U + ' where "id" = ?)'
        ' union (select * from "t" where "id" = ?)',
        [1, 2, 3],
    ),
    (
        "ordered",
        one().union(users()).order_by("id", "desc"),
        "(" + U + ' where "id" = ?) union (' + U + ') order by "id" desc',
        [1],
    ),
    (
        "limits of the members and of the whole",
        users().limit(11).union(base("dogs").limit(22)).offset(5).limit(10),
        "(" + U + ' limit 11) union (select * from "dogs" limit 22) limit 10 offset 5',
        [],
    ),
    (
        "with a join",
        users().union(
            base("dogs").join(
                "b", lambda j: j.on("dogs.b_id", "=", "b.id").where("b.native", "=", 1)
            )
        ),
        "(" + U + ') union (select * from "dogs" inner join "b" on "dogs"."b_id" = "b"."id"'
        ' and "b"."native" = ?)',
        [1],
    ),
    (
        "mysql",
        mysql("t1")
        .select("a")
        .where("a", 10)
        .union(mysql("t2").select("a").where("a", 11))
        .order_by("a")
        .limit(10),
        "(select `a` from `t1` where `a` = ?) union (select `a` from `t2` where `a` = ?)"
        " order by `a` asc limit 10",
        [10, 11],
    ),
    (
        "sqlite",
        sqlite("users")
        .select("n")
        .where("id", 1)
        .union(sqlite("users").select("n").where("id", 2)),
        'select * from (select "n" from "users" where "id" = ?)'
        ' union select * from (select "n" from "users" where "id" = ?)',
        [1, 2],
    ),
    (
        "reordered",
        base("first").union(base("second")).order_by("name").reorder(),
        '(select * from "first") union (select * from "second")',
        [],
    ),
    (
        "raw order with values",
        base("posts")
        .where("p", 1)
        .union_all(base("videos").where("p", 2))
        .order_by_raw("field(c, ?) asc", ["news"]),
        '(select * from "posts" where "p" = ?) union all (select * from "videos" where "p" = ?)'
        " order by field(c, ?) asc",
        [1, 2, "news"],
    ),
)
def test_unions(q, sql, bindings):
    check(q, sql, bindings)


@cases(
    (
        "for update",
        mysql("foo").where("b", 1).lock(),
        "select * from `foo` where `b` = ? for update",
        [1],
    ),
    ("shared", mysql("foo").lock(False), "select * from `foo` lock in share mode", []),
    ("own words", mysql("foo").lock("for update of x"), "select * from `foo` for update of x", []),
    ("named", mysql("foo").lock_for_update(), "select * from `foo` for update", []),
    (
        "skip locked",
        mysql("foo").lock_for_update(skip_locked=True),
        "select * from `foo` for update skip locked",
        [],
    ),
    (
        "nowait",
        mysql("foo").lock_for_update(nowait=True),
        "select * from `foo` for update nowait",
        [],
    ),
    ("shared, named", mysql("foo").shared_lock(), "select * from `foo` lock in share mode", []),
    ("sqlite", sqlite("foo").lock_for_update(), 'select * from "foo"', []),
    ("base", base("foo").lock(), 'select * from "foo"', []),
    ("none", mysql("foo").lock(None), "select * from `foo`", []),
    (
        "timeout",
        mysql("foo").timeout(5),
        "select /*+ MAX_EXECUTION_TIME(5000) */ * from `foo`",
        [],
    ),
    (
        "timeout of a union",
        mysql("foo").union(mysql("bar").timeout(1)).timeout(5),
        "(select /*+ MAX_EXECUTION_TIME(5000) */ * from `foo`) union (select * from `bar`)",
        [],
    ),
    (
        "timeout, mariadb",
        query("mariadb", "foo").timeout(5),
        "SET STATEMENT max_statement_time=5 FOR select * from `foo`",
        [],
    ),
    ("timeout, sqlite", sqlite("foo").timeout(5), 'select * from "foo"', []),
    ("timeout taken back", mysql("foo").timeout(5).timeout(None), "select * from `foo`", []),
)
def test_locks_and_time_limits(q, sql, bindings):
    check(q, sql, bindings)


def test_a_time_limit_is_more_than_nothing():
    with pytest.raises(ValueError, match=r"^Timeout must be greater than zero\.$"):
        mysql("foo").timeout(0)


class Connection:
    """A runner that notes whether a replica would do."""

    def __init__(self):
        self.use_read = []

    def select(self, sql, bindings=(), use_read=True):
        self.use_read.append(use_read)
        return [{"exists": 1}]


def test_locks_and_use_write_read_from_the_writer():
    runner = Connection()
    q = mysql("foo")
    q.runner = runner

    q.get()
    q.exists()
    q.clone().lock().get()
    q.clone().lock(False).get()
    q.clone().use_write().first()
    q.clone().use_write_pdo().exists()

    assert runner.use_read == [True, True, False, False, False, False]


def test_what_is_read_of_the_shape():
    q = users().group_by("a").having("b", 1).union(users())

    assert q.groups == ["a"]
    assert len(q.havings) == 1
    assert len(q.unions) == 1
    assert Recorder().statements == []
