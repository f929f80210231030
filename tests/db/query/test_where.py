"""Conditions on columns, lists, ranges, sub-queries and raw SQL, with their twins."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from uuid import UUID

import pytest

from tests.db.queries import base, cases, check, mysql, raw, sqlite

ALL = 'select * from "users" where '


class Status(Enum):
    DONE = 5
    OPEN = "open"


def users():
    return base("users")


@cases(
    ("value", users().where("id", "=", 1), ALL + '"id" = ?', [1]),
    (
        "shortcut",
        users().where("id", 1).or_where("name", "foo"),
        ALL + '"id" = ? or "name" = ?',
        [1, "foo"],
    ),
    ("keyword", users().where(status="active"), ALL + '"status" = ?', ["active"]),
    (
        "keywords",
        users().where("x", 1).where(a=1, b=None),
        ALL + '"x" = ? and ("a" = ? and "b" is null)',
        [1, 1],
    ),
    ("column and keyword", users().where("x", 1, c=2), ALL + '"x" = ? and "c" = ?', [1, 2]),
    (
        "dict",
        users().where({"foo": 1, "bar": 2}),
        ALL + '("foo" = ? and "bar" = ?)',
        [1, 2],
    ),
    (
        "list of conditions",
        users().where([("foo", 1), ["bar", "<", 2]]),
        ALL + '("foo" = ? and "bar" < ?)',
        [1, 2],
    ),
    (
        "list joined by or",
        users().where([("foo", 1), ("bar", "<", 2)], boolean="or"),
        ALL + '("foo" = ? or "bar" < ?)',
        [1, 2],
    ),
    (
        "or dict",
        users().where("x", "x").or_where({"foo": 1, "bar": 2}),
        ALL + '"x" = ? or ("foo" = ? or "bar" = ?)',
        ["x", 1, 2],
    ),
    (
        "or list",
        users().where("x", "x").or_where([("foo", 1), ("bar", "<", 2)]),
        ALL + '"x" = ? or ("foo" = ? or "bar" < ?)',
        ["x", 1, 2],
    ),
    (
        "nested",
        users().where("email", "foo").or_where(lambda q: q.where("name", "bar").where("age", 25)),
        ALL + '"email" = ? or ("name" = ? and "age" = ?)',
        ["foo", "bar", 25],
    ),
    (
        "nested takes conditions only",
        users().where("e", 1).where(lambda q: q.select_raw("?", ["no"]).where("n", 2)),
        ALL + '"e" = ? and ("n" = ?)',
        [1, 2],
    ),
    ("nested and empty", users().where(lambda q: None), 'select * from "users"', []),
    (
        "deeper",
        users().where(lambda q: q.where(lambda q: q.where("a", 1).or_where("b", 2)).where("c", 3)),
        ALL + '(("a" = ? or "b" = ?) and "c" = ?)',
        [1, 2, 3],
    ),
    ("boolean in any case", users().where("n", "=", "T", "And"), ALL + '"n" = ?', ["T"]),
    (
        "operator in any case",
        users().where("n", "LIKE", "%a").where("m", "Not Like", "b"),
        ALL + '"n" LIKE ? and "m" Not Like ?',
        ["%a", "b"],
    ),
    ("bits", users().where("bar", "&", 1), ALL + '"bar" & ?', [1]),
    (
        "sounds like",
        mysql("users").where("name", "sounds like", "John"),
        "select * from `users` where `name` sounds like ?",
        ["John"],
    ),
    ("null", users().where("foo", None), ALL + '"foo" is null', []),
    ("= null", users().where("foo", "=", None), ALL + '"foo" is null', []),
    ("!= null", users().where("foo", "!=", None), ALL + '"foo" is not null', []),
    ("<> null", users().where("foo", "<>", None), ALL + '"foo" is not null', []),
    ("<=> null", users().where("foo", "<=>", None), ALL + '"foo" is null', []),
    ("is null", users().where("foo", "is", None), ALL + '"foo" is null', []),
    ("is not null", users().where("foo", "is not", None), ALL + '"foo" is not null', []),
    ("raw value", users().where("a", "=", raw("b + 1")), ALL + '"a" = b + 1', []),
    ("raw column", users().where(raw("a + b"), ">", 2), ALL + "a + b > ?", [2]),
    ("raw alone", users().where(raw("1 = 1")), ALL + "1 = 1", []),
    ("list counts as its first", users().where("id", [12, 30]), ALL + '"id" = ?', [12]),
    ("nested list too", users().where("id", "!=", [[12, 30]]), ALL + '"id" != ?', [12]),
    ("enum", users().where("s", Status.OPEN), ALL + '"s" = ?', ["open"]),
    ("bool", users().where("s", True), ALL + '"s" = ?', [True]),
    ("decimal", users().where("s", Decimal("1.10")), ALL + '"s" = ?', [Decimal("1.10")]),
    (
        "uuid and path",
        users().where("u", UUID(int=1)).where("p", PurePosixPath("/a")),
        ALL + '"u" = ? and "p" = ?',
        ["00000000-0000-0000-0000-000000000001", "/a"],
    ),
    ("dict value", users().where("o", "=", {"a": [1]}), ALL + '"o" = ?', ['{"a":[1]}']),
    (
        "sub-query",
        users()
        .where("email", "foo")
        .or_where(
            "id", "=", lambda q: q.select(raw("max(id)")).from_("users").where("email", "bar")
        ),
        ALL + '"email" = ? or "id" = (select max(id) from "users" where "email" = ?)',
        ["foo", "bar"],
    ),
    (
        "sub-query shortcut",
        users().where("id", base("t").select("m").limit(1)),
        ALL + '"id" = (select "m" from "t" limit 1)',
        [],
    ),
    (
        "sub-query as column",
        users().where(base("t").select("m").where("x", 1), "<", 3),
        ALL + '(select "m" from "t" where "x" = ?) < ?',
        [1, 3],
    ),
    (
        "where_sub",
        users().where_sub("a", ">", base("t").select("m")).or_where_sub("b", "=", base("t")),
        ALL + '"a" > (select "m" from "t") or "b" = (select * from "t")',
        [],
    ),
    ("optional, absent", users().where_if_not_null("a", None), 'select * from "users"', []),
    ("optional, given", users().where_if_not_null("a", 0), ALL + '"a" = ?', [0]),
    (
        "optional, or",
        users().where("b", 1).or_where_if_not_null("a", 0),
        ALL + '"b" = ? or "a" = ?',
        [1, 0],
    ),
)
def test_where_compares(q, sql, bindings):
    check(q, sql, bindings)


@cases(
    (
        "values",
        users().where_not("name", "foo").or_where_not("name", "<>", "bar"),
        ALL + 'not "name" = ? or not "name" <> ?',
        ["foo", "bar"],
    ),
    (
        "first or",
        users().or_where_not("name", "foo"),
        ALL + 'not "name" = ?',
        ["foo"],
    ),
    (
        "nested",
        users().where("n", "b").where_not(lambda q: q.where("email", "foo")),
        ALL + '"n" = ? and not ("email" = ?)',
        ["b", "foo"],
    ),
    (
        "or nested",
        users().where("n", "b").or_where_not(lambda q: q.where("email", "foo")),
        ALL + '"n" = ? or not ("email" = ?)',
        ["b", "foo"],
    ),
    (
        "list",
        users().where_not([("foo", 1), ("bar", "<", 2)]),
        ALL + 'not (("foo" = ? and "bar" < ?))',
        [1, 2],
    ),
    (
        "dict by or",
        users().where_not({"foo": 1, "bar": 2}, boolean="or"),
        ALL + 'not (("foo" = ? or "bar" = ?))',
        [1, 2],
    ),
    (
        "or dict",
        users().where("x", 1).or_where_not({"foo": 1, "bar": 2}),
        ALL + '"x" = ? or not (("foo" = ? or "bar" = ?))',
        [1, 1, 2],
    ),
    ("null", users().where_not("a", None), ALL + 'not "a" is null', []),
)
def test_where_not_negates_what_where_takes(q, sql, bindings):
    check(q, sql, bindings)


@cases(
    (
        "raw",
        users().where_raw("id = ? or email = ?", [1, "foo"]),
        ALL + "id = ? or email = ?",
        [1, "foo"],
    ),
    (
        "or raw",
        users().where("id", 1).or_where_raw("email = ?", ["foo"]),
        ALL + '"id" = ? or email = ?',
        [1, "foo"],
    ),
    ("raw with one value", users().where_raw("id = ?", 1), ALL + "id = ?", [1]),
    (
        "or nested",
        users().where("id", 1).or_where_nested(lambda q: q.where("a", 1).or_where("b", 2)),
        ALL + '"id" = ? or ("a" = ? or "b" = ?)',
        [1, 1, 2],
    ),
    (
        "a query's conditions",
        users().where("a", 1).add_nested_where_query(base().where("b", 2), "or"),
        ALL + '"a" = ? or ("b" = ?)',
        [1, 2],
    ),
    (
        "columns",
        users().where_column("first", "last").or_where_column("first", "middle"),
        ALL + '"first" = "last" or "first" = "middle"',
        [],
    ),
    (
        "columns with operator",
        users().where_column("updated_at", ">", "created_at"),
        ALL + '"updated_at" > "created_at"',
        [],
    ),
    (
        "list of columns",
        users().where_column([("first", "last"), ("u", ">", "c")]),
        ALL + '("first" = "last" and "u" > "c")',
        [],
    ),
    (
        "dict of columns by or",
        users().where("x", 1).or_where_column({"foo": "_foo", "bar": "_bar"}),
        ALL + '"x" = ? or ("foo" = "_foo" or "bar" = "_bar")',
        [1],
    ),
    ("null column", users().where_null("id"), ALL + '"id" is null', []),
    (
        "or null",
        users().where("id", 1).or_where_null("id"),
        ALL + '"id" = ? or "id" is null',
        [1],
    ),
    (
        "null columns",
        users().where("id", 1).or_where_null(["id", "expires_at"]),
        ALL + '"id" = ? or "id" is null or "expires_at" is null',
        [1],
    ),
    (
        "not null",
        users().where_not_null(["a", "b"]),
        ALL + '"a" is not null and "b" is not null',
        [],
    ),
    (
        "or not null",
        users().where("id", ">", 1).or_where_not_null("id"),
        ALL + '"id" > ? or "id" is not null',
        [1],
    ),
    (
        "raw null",
        mysql("users").where_null(raw("id")).or_where_null(raw("b")),
        "select * from `users` where id is null or b is null",
        [],
    ),
    (
        "null-safe",
        users().where_null_safe_equals("a", "b").or_where_null_safe_equals("c", None),
        ALL + '"a" is not distinct from ? or "c" is not distinct from ?',
        ["b", None],
    ),
    (
        "null-safe operator",
        users().where("a", "<=>", "b"),
        ALL + '"a" is not distinct from ?',
        ["b"],
    ),
    (
        "null-safe mysql",
        mysql("users").where_null_safe_equals("a", "b").where("c", "<=>", 1),
        "select * from `users` where `a` <=> ? and `c` <=> ?",
        ["b", 1],
    ),
    (
        "null-safe sqlite",
        sqlite("users").where_null_safe_equals("a", "b").where("c", "<=>", raw("d")),
        ALL + '"a" is ? and "c" is d',
        ["b"],
    ),
)
def test_raw_columns_and_nulls(q, sql, bindings):
    check(q, sql, bindings)


@cases(
    ("in", users().where_in("id", [1, 2, 3]), ALL + '"id" in (?, ?, ?)', [1, 2, 3]),
    (
        "or in",
        users().where("id", 1).or_where_in("id", (1, 2)),
        ALL + '"id" = ? or "id" in (?, ?)',
        [1, 1, 2],
    ),
    ("not in", users().where_not_in("id", {1: "a"}), ALL + '"id" not in (?)', ["a"]),
    (
        "or not in",
        users().where("id", 1).or_where_not_in("id", [2]),
        ALL + '"id" = ? or "id" not in (?)',
        [1, 2],
    ),
    (
        "records of one field",
        users().where_in("id", [{"issue": 4}, [2], (3,)]),
        ALL + '"id" in (?, ?, ?)',
        [4, 2, 3],
    ),
    (
        "from a generator",
        users().where_in("id", (n for n in (1, 2))),
        ALL + '"id" in (?, ?)',
        [1, 2],
    ),
    (
        "enums",
        users().where_in("s", [Status.DONE, Status.OPEN]),
        ALL + '"s" in (?, ?)',
        [5, "open"],
    ),
    ("empty", users().where_in("id", []), ALL + "0 = 1", []),
    (
        "or empty",
        users().where("id", 1).or_where_in("id", []),
        ALL + '"id" = ? or 0 = 1',
        [1],
    ),
    ("not empty", users().where_not_in("id", []), ALL + "1 = 1", []),
    (
        "raw values among others",
        users().where_in("id", [raw("1"), 2]),
        ALL + '"id" in (1, ?)',
        [2],
    ),
    (
        "sub-query",
        users().where_in(
            "id", lambda q: q.select("id").from_("users").where("age", ">", 25).limit(3)
        ),
        ALL + '"id" in (select "id" from "users" where "age" > ? limit 3)',
        [25],
    ),
    (
        "not in sub-query",
        users().where_not_in("id", base("a").select("id")).or_where_not_in("x", base("b")),
        ALL + '"id" not in (select "id" from "a") or "x" not in (select * from "b")',
        [],
    ),
    (
        "the sub names",
        users()
        .where_in_sub("a", base("t"))
        .where_not_in_sub("b", base("t"))
        .or_where_in_sub("c", base("t"))
        .or_where_not_in_sub("d", base("t")),
        ALL + '"a" in (select * from "t") and "b" not in (select * from "t")'
        ' or "c" in (select * from "t") or "d" not in (select * from "t")',
        [],
    ),
    (
        "whole numbers inline",
        users().where_integer_in_raw("id", ["1a", 2, Status.DONE, {"id": "-3x"}, "x", 4.9]),
        ALL + '"id" in (1, 2, 5, -3, 0, 4)',
        [],
    ),
    (
        "or inline",
        users().where("id", 1).or_where_integer_in_raw("id", [2]),
        ALL + '"id" = ? or "id" in (2)',
        [1],
    ),
    (
        "not inline",
        users().where_integer_not_in_raw("id", [2]).or_where_integer_not_in_raw("id", [3]),
        ALL + '"id" not in (2) or "id" not in (3)',
        [],
    ),
    (
        "empty inline",
        users().where_integer_in_raw("id", []).or_where_integer_not_in_raw("id", []),
        ALL + "0 = 1 or 1 = 1",
        [],
    ),
)
def test_where_in(q, sql, bindings):
    check(q, sql, bindings)


@cases(
    ("list", users().where_between("id", [1, 2]), ALL + '"id" between ? and ?', [1, 2]),
    ("two values", users().where_between("id", 1, 2), ALL + '"id" between ? and ?', [1, 2]),
    (
        "nested list",
        users().where_between("id", [[1], [2, 3]]),
        ALL + '"id" between ? and ?',
        [1, 2],
    ),
    (
        "raw",
        users().where_between("id", [raw(1), raw(2)]),
        ALL + '"id" between 1 and 2',
        [],
    ),
    (
        "or, not, or not",
        users()
        .or_where_between("a", [1, 2])
        .where_not_between("b", [3, 4])
        .or_where_not_between("c", [5, 6]),
        ALL + '"a" between ? and ? and "b" not between ? and ? or "c" not between ? and ?',
        [1, 2, 3, 4, 5, 6],
    ),
    (
        "sub-query",
        users().where_between(base("posts").select("id").where("s", "p").limit(1), [1, 2]),
        ALL + '(select "id" from "posts" where "s" = ? limit 1) between ? and ?',
        ["p", 1, 2],
    ),
    (
        "columns",
        users().where_between_columns("id", ["u.a", "b"]),
        ALL + '"id" between "u"."a" and "b"',
        [],
    ),
    (
        "columns, the twins",
        users()
        .where("x", 1)
        .or_where_between_columns("id", "a", "b")
        .where_not_between_columns("id", ["a", "b"])
        .or_where_not_between_columns("id", [raw(1), raw(2)]),
        ALL + '"x" = ? or "id" between "a" and "b" and "id" not between "a" and "b"'
        ' or "id" not between 1 and 2',
        [1],
    ),
    (
        "columns around a sub-query",
        users().where_between_columns(base("p").select("c").where("s", 1), ["a", "b"]),
        ALL + '(select "c" from "p" where "s" = ?) between "a" and "b"',
        [1],
    ),
    (
        "value",
        users().where_value_between("2020", ["a", "b"]),
        ALL + '? between "a" and "b"',
        ["2020"],
    ),
    (
        "value, the twins",
        users()
        .where("id", 2)
        .or_where_value_between(raw(1), ["a", "b"])
        .where_value_not_between("x", ["a", "b"])
        .or_where_value_not_between("y", [raw(1), raw(2)]),
        ALL + '"id" = ? or 1 between "a" and "b" and ? not between "a" and "b"'
        " or ? not between 1 and 2",
        [2, "x", "y"],
    ),
    (
        "row values",
        users()
        .where_row_values(["a", "b"], "<", [1, 2])
        .or_where_row_values(["c", "d"], "=", [raw(3), 4]),
        ALL + '("a", "b") < (?, ?) or ("c", "d") = (3, ?)',
        [1, 2, 4],
    ),
)
def test_ranges_and_rows(q, sql, bindings):
    check(q, sql, bindings)


def products():
    return base("products").where("products.id", "=", raw('"orders"."id"'))


@cases(
    (
        "exists",
        base("orders").where_exists(products()),
        'select * from "orders" where exists (select * from "products"'
        ' where "products"."id" = "orders"."id")',
        [],
    ),
    (
        "the twins",
        base("orders")
        .where("id", 1)
        .or_where_exists(lambda q: q.from_("a").where("x", 2))
        .where_not_exists(lambda q: q.from_("b"))
        .or_where_not_exists(base("c").where("y", 3)),
        'select * from "orders" where "id" = ? or exists (select * from "a" where "x" = ?)'
        ' and not exists (select * from "b") or not exists (select * from "c" where "y" = ?)',
        [1, 2, 3],
    ),
    (
        "a query added",
        base("orders").add_where_exists_query(base("a"), "or", True),
        'select * from "orders" where not exists (select * from "a")',
        [],
    ),
    (
        "all",
        users().where_all(["last", "email"], "not like", "%O%").or_where_all(["a", "b"], 2),
        ALL + '("last" not like ? and "email" not like ?) or ("a" = ? and "b" = ?)',
        ["%O%", "%O%", 2, 2],
    ),
    (
        "any",
        users().where_any(["last", "email"], "like", "%O%").or_where_any(["a", "b"], 2),
        ALL + '("last" like ? or "email" like ?) or ("a" = ? or "b" = ?)',
        ["%O%", "%O%", 2, 2],
    ),
    (
        "none",
        users().where("f", 1).where_none(["l", "e"], "like", "%O%").or_where_none(["a"], 2),
        ALL + '"f" = ? and not ("l" like ? or "e" like ?) or not ("a" = ?)',
        [1, "%O%", "%O%", 2],
    ),
    (
        "boolean as an argument",
        users().where("f", 1).where_none(["l", "e"], "like", "%", "or"),
        ALL + '"f" = ? or not ("l" like ? or "e" like ?)',
        [1, "%", "%"],
    ),
    (
        "callables",
        users().where_none(
            [lambda q: q.where("last", "like", "%O%"), lambda q: q.where("email", "like", "%O%")]
        ),
        ALL + 'not (("last" like ?) or ("email" like ?))',
        ["%O%", "%O%"],
    ),
    (
        "merged",
        users().where("a", 1).merge_wheres(base().where("b", 2).or_where("c", 3).wheres),
        ALL + '"a" = ? and "b" = ? or "c" = ?',
        [1, 2, 3],
    ),
    (
        "merged text",
        users().where("a", 1).merge_wheres(["b = ?"], {12: 2}),
        ALL + '"a" = ? and b = ?',
        [1, 2],
    ),
)
def test_sub_queries_and_several_columns(q, sql, bindings):
    check(q, sql, bindings)


@pytest.mark.parametrize(
    "use",
    [
        lambda q: q.where("a", ">", None),
        lambda q: q.where("a", "like", None),
        lambda q: q.prepare_value_and_operator(None, "like"),
    ],
)
def test_null_with_an_order_comparison_is_refused(use):
    with pytest.raises(ValueError, match=r"^Illegal operator and value combination\.$"):
        use(users())


def test_a_value_and_an_operator_are_told_apart_by_the_number_of_arguments():
    assert users().prepare_value_and_operator(">", "20") == (">", "20")
    assert users().prepare_value_and_operator(">", "20", True) == ("20", "=")


@pytest.mark.parametrize("operator", ["==", "= 1 or 1 =", "sounds like", "", None, 7, "; drop"])
def test_an_unknown_operator_is_refused(operator):
    with pytest.raises(ValueError, match="unknown operator"):
        users().where("a", operator, 1)
    with pytest.raises(ValueError, match="unknown operator"):
        users().where_column("a", operator, "b")
    with pytest.raises(ValueError, match="unknown operator"):
        users().having("a", operator, 1)


@pytest.mark.parametrize(
    "use",
    [
        lambda q: q.where(["id", "name"]),
        lambda q: q.where([{"a": 1}]),
        lambda q: q.where({"a": 1}, "=", 1),
        lambda q: q.where(["a"], 1, 2),
        lambda q: q.order_by(["a"]),
        lambda q: q.order_by({"a": "asc"}),
        lambda q: q.group_by({"a": 1}),
        lambda q: q.select_sub(["a"], "b"),
        lambda q: q.from_sub({"a": 1}, "b"),
        lambda q: q.join_sub(["foo"], "sub", "a", "=", "b"),
        lambda q: q.where_null({"a": 1}),
        lambda q: q.where_in(["a"], [1]),
        lambda q: q.where_in("a", "abc"),
        lambda q: q.where_in("a", 5),
        lambda q: q.where_in("a", [[1, 2], [3]]),
        lambda q: q.where("a", []),
        lambda q: q.where_between("a", [1]),
        lambda q: q.where_between("a", 1),
        lambda q: q.where_row_values(["a"], "<", [1, 2]),
        lambda q: q.where(),
        lambda q: q.where("a"),
        lambda q: q.where_column("a"),
        lambda q: q.where("a", 1, boolean="xor"),
        lambda q: q.where("a", "=", 1, "and 1 = 1 or"),
        lambda q: q.add_nested_where_query("a = 1"),
        lambda q: q.join(["t"], "a", "b"),
        lambda q: q.join("t", "a"),
        lambda q: q.join("t", "a", "=", "b", "inner join x on 1 = 1 left"),
        lambda q: q.from_({"a": 1}),
        lambda q: q.union("select 1"),
    ],
)
def test_what_makes_no_sense_as_a_clause_is_a_value_error(use):
    with pytest.raises(ValueError):
        use(users())


@pytest.mark.parametrize("value", [object(), {1, 2}, users, 1j, lambda: None])
def test_a_value_that_no_column_holds_is_refused_before_execution(value):
    with pytest.raises((TypeError, ValueError)):
        users().where_in("a", [value])
    with pytest.raises((TypeError, ValueError)):
        users().where_between("a", [value, 1])
    with pytest.raises(TypeError, match="cannot bind a value of type"):
        users().add_binding(object())


def test_a_json_value_with_nan_is_refused():
    with pytest.raises(TypeError, match="as JSON"):
        users().where("o", "=", {"a": float("nan")})


def test_the_conditions_can_be_read_and_replaced():
    q = users().where("a", 1)
    kept = q.wheres
    q.wheres = []
    check(q, 'select * from "users"', [])
    q.wheres = kept
    check(q, ALL + '"a" = ?', [1])
