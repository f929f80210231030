"""Rows of one rank: no page and no part shows one of them twice, or never, in any shape of query.

InnoDB sorts the rows of one rank otherwise for each limit, so an order alone is no place to go on
from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model, relation
from so.errors import QueryUseError
from tests.db.model_tables import make_table

Shape = Callable[[Database], Any]


class Part(Model):
    table = "parts"
    timestamps = False


class Bin(Model):
    table = "bins"
    timestamps = False

    @relation
    def parts(self) -> Any:
        return self.belongs_to_many(Part, "bin_part", "bin_id", "part_id").with_pivot("place")

    @relation
    def tagged(self) -> Any:
        return self.belongs_to_many(Part, "tags", "bin_id", "part_id")


class Shelf(Model):
    table = "shelves"
    timestamps = False

    @relation
    def parts(self) -> Any:
        return self.has_many_through(Part, Bin)


@pytest.fixture
def filled(empty_db: Database) -> Database:
    """91 parts of three ranks and none, in bins, in two ways, and in tables without a number."""
    make_table(empty_db, "parts", "bin_id int", "place int", "maker varchar(9)")
    make_table(empty_db, "bins", "shelf_id int", "place int")
    make_table(empty_db, "shelves", "name varchar(9)")
    key = "primary key (bin_id, part_id)"
    make_table(empty_db, "bin_part", "bin_id int", "part_id int", "place int", key, key="")
    make_table(empty_db, "tags", "bin_id int", "part_id int", key="")
    make_table(empty_db, "codes", "place int", key="code varchar(9) primary key")
    empty_db.connection().statement("create view seen as select * from parts")
    numbers = range(91)
    empty_db.table("shelves").insert([{"name": "a"}, {"name": "b"}])
    empty_db.table("bins").insert([{"shelf_id": 1, "place": 1}, {"shelf_id": 1, "place": 1}])
    for table, row in (
        ("parts", lambda n: {"bin_id": 1 + n % 2, "maker": "xyz"[n % 3]}),
        ("bin_part", lambda n: {"bin_id": 1, "part_id": n + 1}),
        ("codes", lambda n: {"code": f"c{n}"}),
    ):
        ranked = [{**row(n), "place": n % 3 if n % 7 else None} for n in numbers]
        empty_db.table(table).insert(ranked)
    empty_db.table("tags").insert([{"bin_id": 1, "part_id": n + 1} for n in numbers])
    return empty_db


SHAPES: dict[str, Shape] = {
    "table": lambda db: db.table("parts").order_by("place"),
    "falling, under a name": lambda db: db.table("parts as p").order_by_desc("p.place"),
    "without the key": lambda db: db.table("parts").select("place", "maker").order_by("place"),
    "another id": lambda db: db.table("parts").select("place", "place as id").order_by("place"),
    "key of letters": lambda db: db.table("codes").order_by("place"),
    "key of two": lambda db: db.table("bin_part").order_by("place"),
    "no key": lambda db: db.table("tags").order_by("bin_id"),
    "view": lambda db: db.table("seen").order_by("place"),
    "join": lambda db: (
        db.table("bins")
        .join("parts", "parts.bin_id", "bins.id")
        .select("bins.place", "parts.id as part")
        .order_by("bins.place")
    ),
    "join of a select": lambda db: (
        db.table("bins")
        .join_sub(db.table("parts").select("id as part", "bin_id"), "s", "s.bin_id", "bins.id")
        .select("bins.place", "s.part")
        .order_by("bins.place")
    ),
    "from a select": lambda db: (
        db.query().from_sub(db.table("parts").where("place", 1), "s").order_by("s.place")
    ),
    "distinct": lambda db: db.table("parts").distinct().select("place", "id").order_by("place"),
    "counted": lambda db: Bin.with_count("parts").order_by("parts_count"),
    "group": lambda db: (
        db.table("parts").select_raw("count(*) as n").group_by("id", "maker").order_by("n")
    ),
    "group by SQL": lambda db: (
        db.table("parts").select_raw("count(*) as n").group_by_raw("coalesce(id, 1)").order_by("n")
    ),
    "union": lambda db: (
        db.table("parts").where("place", 1).union(db.table("parts").where("place", 2))
    ).order_by("place"),
    "union of others": lambda db: (
        db.table("parts").select("id", "place").union(db.table("bins").select("shelf_id", "id"))
    ).order_by("place"),
    "union of a join": lambda db: (
        db.table("parts")
        .join("bins", "bins.id", "parts.bin_id")
        .select("parts.id", "parts.place")
        .union(db.table("bins").select("id", "place"))
    ).order_by("place"),
    "models": lambda db: Part.order_by("place"),
    "models joined": lambda db: (
        Part.join("bins", "bins.id", "parts.bin_id").select("parts.*").order_by("bins.place")
    ),
    "pairs": lambda db: Bin.find(1).related("parts").order_by("parts.place"),
    "pairs by the pivot": lambda db: Bin.find(1).related("parts").order_by_pivot("place"),
    "pairs without a key": lambda db: Bin.find(1).related("tagged").order_by("parts.place"),
    "through": lambda db: Shelf.find(1).related("parts").order_by("parts.place"),
}
BY_ANOTHER_NAME = {
    "falling, under a name": "p.place", "no key": "bin_id", "join": "bins.place", "group": "n",
    "join of a select": "bins.place", "group by SQL": "n", "pairs": "parts.place",
    "pairs without a key": "parts.place", "through": "parts.place", "from a select": "s.place",
    "counted": "parts_count", "pairs by the pivot": "parts.place", "models joined": "parts.place",
}  # fmt: skip


def told(rows: Any) -> list[Any]:
    """Rows as they compare, in one order."""
    values = (getattr(row, "_attributes", row) for row in rows)
    return sorted(sorted((name, str(value)) for name, value in one.items()) for one in values)


def by_cursor(query: Callable[[], Any], end: str) -> Iterator[Any]:
    """The rows of all pages, on to the next or back to the previous one."""
    page = query().cursor_paginate(9)
    while end == "prev_cursor" and page.next_cursor:
        page = query().cursor_paginate(9, page.next_cursor)
    yield from page.data
    for _ in range(40):
        if page[end] is None:
            return
        page = query().cursor_paginate(9, page[end])
        yield from page.data
    raise AssertionError("these pages have no end")


def by_number(query: Callable[[], Any], kind: str) -> Iterator[Any]:
    number, more = 1, True
    while more:
        page = getattr(query(), kind)(9, number)
        number, more = number + 1, page.has_more
        yield from page.data


def check(db: Database, walk: Callable[[str, Callable[[], Any]], Any]) -> None:
    """Every shape gives by *walk* the rows that it gives at once."""
    for name, shape in SHAPES.items():
        assert told(walk(name, lambda shape=shape: shape(db))) == told(shape(db).get()), name


@pytest.mark.parametrize("end", ["next_cursor", "prev_cursor"])
def test_pages_by_cursor_show_each_row_once(filled: Database, end: str) -> None:
    check(filled, lambda name, query: by_cursor(query, end))


@pytest.mark.parametrize("kind", ["paginate", "simple_paginate"])
def test_pages_by_number_show_each_row_once(filled: Database, kind: str) -> None:
    check(filled, lambda name, query: by_number(query, kind))


def test_parts_hold_each_row_once(filled: Database) -> None:
    check(filled, lambda name, query: query().lazy(9))


@pytest.mark.parametrize("walk", ["lazy_by_id", "lazy_by_id_desc"])
def test_parts_by_a_column_that_is_not_unique_hold_each_row_once(
    filled: Database, walk: str
) -> None:
    check(filled, lambda name, query: getattr(query(), walk)(9, BY_ANOTHER_NAME.get(name, "place")))


def test_nobody_who_watches_sees_the_question_for_the_key(filled: Database) -> None:
    told_of: list[Any] = []
    filled.listen(told_of.append)

    filled.table("parts").order_by("place").simple_paginate(9)

    assert len(told_of) == 1


def test_a_cursor_too_long_to_be_read_again_is_refused(empty_db: Database) -> None:
    make_table(empty_db, "texts", "body longtext")
    empty_db.table("texts").insert([{"body": "x" * 9000}, {"body": "y" * 9000}])

    with pytest.raises(QueryUseError, match="order by shorter columns"):
        empty_db.table("texts").order_by("body").cursor_paginate(1)
