"""Joins: on columns, on values, nested, with sub-queries."""

from __future__ import annotations

import pytest

from tests.db.queries import base, cases, check, mysql, query, raw, sqlite

U = 'select * from "users" '


def users():
    return base("users")


def contacts(build):
    def clause(join):
        build(join.on("users.id", "=", "contacts.id"))

    return base("users").join("contacts", clause)


ON = U + 'inner join "contacts" on "users"."id" = "contacts"."id"'


@cases(
    ("two columns", users().join("contacts", "users.id", "contacts.id"), ON, []),
    (
        "left after inner",
        users()
        .join("contacts", "users.id", "=", "contacts.id")
        .left_join("photos", "users.id", "=", "photos.id"),
        ON + ' left join "photos" on "users"."id" = "photos"."id"',
        [],
    ),
    ("right", users().right_join("b", "a", "<>", "c"), U + 'right join "b" on "a" <> "c"', []),
    (
        "on values",
        users()
        .left_join_where("photos", "users.id", "=", "bar")
        .join_where("photos", "users.id", "=", "foo")
        .right_join_where("x", "y", "=", None),
        U + 'left join "photos" on "users"."id" = ? inner join "photos" on "users"."id" = ?'
        ' right join "x" on "y" is null',
        ["bar", "foo"],
    ),
    ("cross", base("sizes").cross_join("colors"), 'select * from "sizes" cross join "colors"', []),
    (
        "cross on",
        base("b").cross_join("a", "a.x", "=", "b.y"),
        'select * from "b" cross join "a" on "a"."x" = "b"."y"',
        [],
    ),
    (
        "kind as an argument",
        base("b").join("a", "a.x", "=", "b.y", "cross"),
        'select * from "b" cross join "a" on "a"."x" = "b"."y"',
        [],
    ),
    (
        "cross with a sub-query",
        base("sales")
        .select_raw("sale / overall.sales")
        .cross_join_sub(base("sales").select_raw("SUM(sale) AS sales"), "overall"),
        'select sale / overall.sales from "sales" cross join'
        ' (select SUM(sale) AS sales from "sales") as "overall"',
        [],
    ),
    (
        "or on",
        contacts(lambda j: j.or_on("users.name", "=", "contacts.name")),
        ON + ' or "users"."name" = "contacts"."name"',
        [],
    ),
    (
        "only values",
        users().join("c", lambda j: j.where("u.id", "=", "foo").or_where("u.name", "bar")),
        U + 'inner join "c" on "u"."id" = ? or "u"."name" = ?',
        ["foo", "bar"],
    ),
    ("null", contacts(lambda j: j.where_null("c.d")), ON + ' and "c"."d" is null', []),
    (
        "or not null",
        contacts(lambda j: j.or_where_not_null("c.d")),
        ON + ' or "c"."d" is not null',
        [],
    ),
    (
        "in",
        contacts(lambda j: j.where_in("c.n", [48, "baz", None])),
        ON + ' and "c"."n" in (?, ?, ?)',
        [48, "baz", None],
    ),
    (
        "or not in",
        contacts(lambda j: j.or_where_not_in("c.n", [48])),
        ON + ' or "c"."n" not in (?)',
        [48],
    ),
    (
        "in a sub-query",
        contacts(lambda j: j.where_in("c.n", base("contacts").select("name").where("name", "b"))),
        ON + ' and "c"."n" in (select "name" from "contacts" where "name" = ?)',
        ["b"],
    ),
    (
        "sub-query by callable",
        contacts(
            lambda j: j.where_in(
                "type_id",
                lambda q: q.select("id").from_("types").where("cat", "1").where_null("deleted"),
            )
        ),
        ON + ' and "type_id" in (select "id" from "types" where "cat" = ? and "deleted" is null)',
        ["1"],
    ),
    (
        "exists",
        contacts(
            lambda j: j.where_exists(
                lambda q: q.select_raw("1").from_("types").where_raw("a = b").where("c", "1")
            )
        ),
        ON + ' and exists (select 1 from "types" where a = b and "c" = ?)',
        ["1"],
    ),
    (
        "conditions in parentheses",
        contacts(lambda j: j.where(lambda j: j.where("c.country", "US").or_where("c.partner", 1))),
        ON + ' and ("c"."country" = ? or "c"."partner" = ?)',
        ["US", 1],
    ),
    (
        "parentheses in parentheses",
        contacts(
            lambda j: j.where("c.active", 1).or_on(
                lambda j: j.or_where(
                    lambda j: j.where("c.country", "UK").or_on("c.type", "=", "u.type")
                ).where(lambda j: j.where("c.country", "US").or_where_null("c.partner"))
            )
        ),
        ON + ' and "c"."active" = ? or (("c"."country" = ? or "c"."type" = "u"."type")'
        ' and ("c"."country" = ? or "c"."partner" is null))',
        [1, "UK", "US"],
    ),
    (
        "a query's conditions",
        contacts(lambda j: j.add_nested_where_query(base().where("c.id", 1))),
        ON + ' and ("c"."id" = ?)',
        [1],
    ),
    (
        "joins in a join",
        users().left_join(
            "contacts",
            lambda j: (
                j.on("users.id", "contacts.id")
                .join("types", "contacts.type_id", "=", "types.id")
                .left_join(
                    "countries",
                    lambda j: j.on("contacts.country", "=", "countries.country").join(
                        "planets",
                        lambda j: (
                            j.on("countries.planet_id", "=", "planet.id")
                            .where("planet.settled", 1)
                            .where("planet.population", ">=", 10000)
                        ),
                    ),
                )
            ),
        ),
        U + 'left join ("contacts" inner join "types" on "contacts"."type_id" = "types"."id"'
        ' left join ("countries" inner join "planets" on "countries"."planet_id" = "planet"."id"'
        ' and "planet"."settled" = ? and "planet"."population" >= ?)'
        ' on "contacts"."country" = "countries"."country")'
        ' on "users"."id" = "contacts"."id"',
        [1, 10000],
    ),
    (
        "raw table",
        users().join(raw("contacts use index (x)"), "a", "b"),
        U + 'inner join contacts use index (x) on "a" = "b"',
        [],
    ),
    (
        "raw column",
        users().join("c", raw("lower(a)"), "=", raw("lower(b)")),
        U + 'inner join "c" on lower(a) = lower(b)',
        [],
    ),
    (
        "no conditions",
        users().join("c", lambda j: None),
        U + 'inner join "c"',
        [],
    ),
)
def test_joins(q, sql, bindings):
    check(q, sql, bindings)


@cases(
    (
        "text",
        users().join_sub('select * from "contacts"', "sub", "users.id", "=", "sub.id"),
        U + 'inner join (select * from "contacts") as "sub" on "users"."id" = "sub"."id"',
        [],
    ),
    (
        "callable",
        users().join_sub(lambda q: q.from_("contacts"), "sub", "users.id", "sub.id"),
        U + 'inner join (select * from "contacts") as "sub" on "users"."id" = "sub"."id"',
        [],
    ),
    (
        "several, one on a value",
        users()
        .join_sub(base("contacts").where("name", "foo"), "s1", "users.id", "=", 1, "inner", True)
        .join_sub(base("contacts").where("name", "bar"), "s2", "users.id", "=", "s2.user_id"),
        U + 'inner join (select * from "contacts" where "name" = ?) as "s1" on "users"."id" = ?'
        ' inner join (select * from "contacts" where "name" = ?) as "s2"'
        ' on "users"."id" = "s2"."user_id"',
        ["foo", 1, "bar"],
    ),
    (
        "left and right",
        users()
        .left_join_sub(base("a"), "s", "x", "=", "y")
        .right_join_sub(base("b"), "t", lambda j: j.on("x", "z").where("w", 1)),
        U + 'left join (select * from "a") as "s" on "x" = "y"'
        ' right join (select * from "b") as "t" on "x" = "z" and "w" = ?',
        [1],
    ),
    (
        "lateral",
        mysql("users")
        .join_lateral(lambda q: q.from_("c").where_column("c.u", "users.id").where("n", 1), "s")
        .left_join_lateral(mysql("d").where("m", 2), "t"),
        "select * from `users` inner join lateral"
        " (select * from `c` where `c`.`u` = `users`.`id` and `n` = ?) as `s` on true"
        " left join lateral (select * from `d` where `m` = ?) as `t` on true",
        [1, 2],
    ),
    (
        "straight",
        mysql("users")
        .straight_join("b", "a", "c")
        .straight_join_where("d", "e", "=", 1)
        .straight_join_sub(mysql("f"), "s", "g", "h"),
        "select * from `users` straight_join `b` on `a` = `c` straight_join `d` on `e` = ?"
        " straight_join (select * from `f`) as `s` on `g` = `h`",
        [1],
    ),
)
def test_joins_with_sub_queries(q, sql, bindings):
    check(q, sql, bindings)


def test_a_joins_bindings_can_be_looked_at():
    q = users().join_sub(base("c").where("n", "foo"), "s", "u.id", "=", 1, "inner", True)

    assert q.get_raw_bindings()["join"] == ["foo", 1]
    assert [join.kind for join in q.joins] == ["inner"]
    q.joins = None
    check(q, 'select * from "users"', [])


@pytest.mark.parametrize("dialect", ["mariadb", "sqlite", "base"])
def test_only_mysql_joins_laterally(dialect):
    with pytest.raises(RuntimeError, match="lateral"):
        query(dialect, "users").join_lateral("select 1", "s").to_sql()


def test_a_join_clause_makes_clauses_of_its_own_kind():
    seen = []
    users().join("c", lambda j: seen.append((j.new_query(), j.for_sub_query())))
    ((clause, sub),) = seen

    assert type(clause).__name__ == "JoinClause"
    assert type(sub).__name__ == "Query"
    assert sqlite().to_sql() == "select *"
