"""Pages tell the truth: they are those of the rows the query gives, whatever gives it fewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.db.model.mixins import SoftDeletes
from so.errors import QueryUseError
from tests.db.model_tables import make_table


class Order(SoftDeletes, Model):
    timestamps = False


@pytest.fixture
def orders(empty_db: Database) -> Database:
    """Nine orders of ann (4), bob (3), cyd (2), one of bob's trashed; lines of four of them."""
    make_table(empty_db, "orders", "customer varchar(9)", "n int", "deleted_at datetime(6)")
    make_table(empty_db, "bits", "order_id bigint", "m int")
    names = ["ann"] * 4 + ["bob"] * 3 + ["cyd"] * 2
    for n, customer in enumerate(names):
        empty_db.table("orders").insert({"customer": customer, "n": n if n % 3 else None})
    empty_db.table("orders").where("id", 7).update({"deleted_at": "2026-01-01 00:00:00"})
    for order in (1, 1, 1, 2, 5, 5, 9):
        empty_db.table("bits").insert({"order_id": order, "m": order})
    return empty_db


SHAPES: list[tuple[str, Callable[[Any], Any]]] = [
    ("plain", lambda q: q.order_by("orders.id")),
    ("distinct", lambda q: q.select("customer").distinct().order_by("customer")),
    ("distinct twice", lambda q: q.distinct().select("customer", "customer as c").order_by("c")),
    ("group", lambda q: q.select("customer").group_by("customer").order_by("customer")),
    (
        "having",
        lambda q: (
            q.select("customer")
            .select_raw("count(*) as n")
            .group_by("customer")
            .having("n", ">", 2)
            .order_by("customer")
        ),
    ),
    ("limit", lambda q: q.order_by("orders.id").limit(5)),
    ("offset", lambda q: q.order_by("orders.id").offset(3)),
    ("limit and offset", lambda q: q.order_by("orders.id").limit(4).offset(2)),
    ("limit of more", lambda q: q.order_by("orders.id").limit(99).offset(6)),
    ("offset of more", lambda q: q.order_by("orders.id").offset(99)),
    ("distinct, limited", lambda q: q.select("customer").distinct().order_by("customer").limit(2)),
    ("sum", lambda q: q.select_raw("count(*) as c")),
    (
        "join",
        lambda q: (
            q.select("orders.id", "bits.m")
            .join("bits", "bits.order_id", "orders.id")
            .order_by("bits.id")
        ),
    ),
    (
        "distinct join",
        lambda q: (
            q.select("orders.id", "bits.m as id2")
            .distinct()
            .join("bits", "bits.order_id", "orders.id")
            .order_by("orders.id")
        ),
    ),
]
in_every_shape = pytest.mark.parametrize(
    "shape", [fn for _, fn in SHAPES], ids=[n for n, _ in SHAPES]
)
of_both = pytest.mark.parametrize("start", ["rows", "models"])


def begin(db: Database, start: str) -> Any:
    return db.table("orders") if start == "rows" else Order.query()


def plain(rows: Any) -> list[dict[str, Any]]:
    return [dict(r) if isinstance(r, dict) else r.to_dict() for r in rows]


@in_every_shape
@of_both
def test_total_last_page_and_has_more_are_those_of_the_rows(
    orders: Database, start: str, shape: Any
) -> None:
    query = shape(begin(orders, start))
    wanted = plain(query.get())
    last = max(1, -(-len(wanted) // 2))

    pages = [query.paginate(2, page=number) for number in range(1, last + 2)]

    assert [row for page in pages for row in plain(page["data"])] == wanted
    assert {page["total"] for page in pages} == {len(wanted)}
    assert {page["last_page"] for page in pages} == {last}
    assert [page["has_more"] for page in pages] == [n < last for n in range(1, last + 2)]
    assert plain(query.get()) == wanted


@in_every_shape
@of_both
def test_pages_without_a_total_end_with_the_rows(orders: Database, start: str, shape: Any) -> None:
    query = shape(begin(orders, start))
    wanted = plain(query.get())
    seen, number, more = [], 1, True
    while more and number < 12:
        page = query.simple_paginate(2, page=number)
        seen += plain(page["data"])
        number, more = number + 1, page["has_more"]

    assert seen == wanted
    assert number - 1 == max(1, -(-len(wanted) // 2))


CURSORS = [
    ("id", lambda q: q.order_by("id")),
    ("down", lambda q: q.order_by_desc("id")),
    ("null", lambda q: q.order_by("n").order_by("id")),
    ("null last", lambda q: q.order_by_desc("n").order_by("id")),
    ("null both", lambda q: q.order_by_desc("n").order_by_desc("id")),
    ("null alone", lambda q: q.where_not_null("n").or_where("id", 1).order_by_desc("n")),
    ("distinct", lambda q: q.select("customer").distinct().order_by_desc("customer")),
    ("group", lambda q: q.select("customer").group_by("customer").order_by("customer")),
    (
        "count",
        lambda q: (
            q.select("customer")
            .select_raw("count(*) as c")
            .group_by("customer")
            .order_by_desc("c")
            .order_by("customer")
        ),
    ),  # fmt: skip
    (
        "group of an expression",
        lambda q: (
            q.select_raw("n % 3 as m, count(*) as c").group_by_raw("n % 3").order_by_desc("m")
        ),
    ),
    ("limit", lambda q: q.order_by("id").limit(5)),
    ("limit and offset", lambda q: q.order_by_desc("id").limit(4).offset(1)),
    (
        "union",
        lambda q: (
            q.select("id", "n")
            .where_raw("id = 1 or id = 2")
            .union(lambda u: u.from_("orders").select("id", "n").where_raw("id = 5 or id = 9"))
            .order_by_desc("n")
            .order_by("id")
        ),
    ),  # fmt: skip
    (
        "union of limits",
        lambda q: (
            q.select("id")
            .where("id", "<", 3)
            .union(
                lambda u: u.from_("orders").select("id").where("id", ">", 3).order_by("id").limit(2)
            )
            .order_by("id")
        ),
    ),  # fmt: skip
]


@pytest.mark.parametrize("shape", [fn for _, fn in CURSORS], ids=[name for name, _ in CURSORS])
@of_both
def test_cursors_lead_to_the_end_and_back(orders: Database, start: str, shape: Any) -> None:
    query = shape(begin(orders, start))
    wanted = plain(query.get())
    seen, cursor, pages = [], None, []
    while len(pages) < 12:
        page = query.cursor_paginate(2, cursor)
        pages.append(plain(page["data"]))
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break

    back, cursor = [pages[-1]], page["prev_cursor"]
    while cursor and len(back) < 12:
        page = query.cursor_paginate(2, cursor)
        back.append(plain(page["data"]))
        cursor = page["prev_cursor"]

    assert [row for rows in pages for row in rows] == wanted
    assert [row for rows in reversed(back) for row in rows] == wanted, seen


@of_both
def test_a_name_that_both_tables_have_is_that_of_the_one_selected_whole(
    orders: Database, start: str
) -> None:
    """As in the order of the rows themselves: pairs have an id and moments as well."""
    query = begin(orders, start).join("bits", "bits.order_id", "orders.id").select("orders.*")
    wanted = [row["id"] for row in plain(query.clone().order_by("id").get())]
    first = query.clone().order_by("id").cursor_paginate(4)
    then = query.clone().order_by("id").cursor_paginate(4, first["next_cursor"])
    walked = query.clone().lazy_by_id(2)

    assert [row["id"] for page in (first, then) for row in plain(page["data"])] == wanted
    assert [row["id"] for row in plain(walked)] == wanted


def _joined(orders: Database) -> Any:
    return orders.table("orders").join("bits", "bits.order_id", "=", "orders.id")


MIXED: dict[str, Callable[[Database], tuple[Any, Any]]] = {
    "tables": lambda db: (
        db.table("orders").select("id", "customer as what"),
        db.table("bits").select("id", "m as what"),
    ),
    "joins of the same tables": lambda db: (
        _joined(db).select("bits.id", "customer as what"),
        _joined(db).select("bits.id", "bits.m as what"),
    ),
    "a join and its table": lambda db: (
        db.table("bits").select("id", "m as what"),
        db.table("bits").join("orders", "orders.id", "=", "bits.m").select("bits.id", "customer"),
    ),
    "expressions": lambda db: (
        db.table("orders").select("id").select_raw("'x' as what"),
        db.table("orders").select("id").select_raw("1"),
    ),
    "an expression and a column": lambda db: (
        db.table("orders").select("id").select_raw("case when n > 4 then 'x' else 'y' end as what"),
        db.table("bits").select("id", "m as what"),
    ),
}


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("mixed", MIXED)
def test_a_union_of_texts_and_numbers_comes_to_its_end_and_back(
    orders: Database, direction: str, mixed: str
) -> None:
    first, second = MIXED[mixed](orders)
    query = first.union_all(second).order_by("what", direction).order_by("id")
    wanted, pages = plain(query.get()), [query.cursor_paginate(4)]
    while pages[-1]["has_more"] and len(pages) < 9:
        pages.append(query.cursor_paginate(4, pages[-1]["next_cursor"]))

    assert [row for page in pages for row in plain(page["data"])] == wanted
    for before, page in zip(pages, pages[1:], strict=False):
        back = query.cursor_paginate(4, page["prev_cursor"])
        assert plain(back["data"]) == plain(before["data"])


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("column", ["n", "customer"])
@pytest.mark.parametrize("columns", [[], ["orders.id", "n", "customer"]])
def test_no_model_is_lost_between_its_equals(
    orders: Database, columns: list[str], column: str, direction: str
) -> None:
    """Three of the nine have a NULL, four are of one customer."""
    query = Order.with_trashed().order_by(column, direction)
    query = query.select(*columns) if columns else query
    seen, page = [], query.cursor_paginate(2)
    while len(seen) < 12:
        seen += plain(page["data"])
        if not page["has_more"]:
            break
        page = query.cursor_paginate(2, page["next_cursor"])

    assert sorted(row["id"] for row in seen) == list(range(1, 10))
    assert [row[column] for row in seen] == [row[column] for row in plain(query.get())]


def test_a_part_of_each_group_has_no_pages(orders: Database) -> None:
    query = orders.table("orders").order_by("id").group_limit(1, "customer")

    for way in (query.paginate, query.simple_paginate, query.cursor_paginate):
        with pytest.raises(QueryUseError, match="group_limit"):
            way(2)
    assert (len(query.get()), query.count()) == (3, 3)


def test_an_order_that_no_cursor_can_hold_is_refused(orders: Database) -> None:
    for query in (
        orders.table("orders").order_by_raw("n desc").order_by("id"),
        orders.table("orders").in_order_of("customer", ["cyd"]).order_by("id"),
        orders.table("orders").in_random_order().order_by("id"),
        orders.table("orders").order_by(orders.raw("n")),
    ):
        with pytest.raises(QueryUseError, match="named columns"):
            query.cursor_paginate(2)


@of_both
def test_what_is_counted_is_what_is_given(orders: Database, start: str) -> None:
    def query() -> Any:
        return begin(orders, start)

    assert query().select("customer").distinct().count() == 3
    assert query().group_by("customer").select("customer").count() == 3
    assert query().distinct().count("customer") == 3
    assert query().offset(2).order_by("id").count() == query().count()
    joined = query().join("bits", "bits.order_id", "orders.id")
    assert joined.count() == 7
    assert joined.select("orders.id").distinct().count() == 4
