"""Numbers that a client sends and no column holds: the right rows, or a refusal that is a 400."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.db.relations.definition import relation
from so.errors import CastError, InvalidNumberError, QueryError, UnfitValueError
from so.http.request import Request
from so.support import numbers
from tests.db.model_tables import make_table

LARGEST = 2**63 - 1
WIDE = [LARGEST + 1, 2**64, 2**70, 10**300, -(2**63) - 1, -(2**63) - 2000, -(2**70)]
PYTHONS_OWN = ["2_0", "٣", "१०", "nan", "inf", "0x10", "1e", "", "--1", "²", "1\u00a0"]


class Thing(Model):
    timestamps = False

    @relation
    def parts(self) -> Any:
        return self.has_many(Thing, "n")


class Tag(Model):
    timestamps = False
    key_type = str


@pytest.fixture
def things(empty_db: Database) -> Database:
    """Rows 1 to 3 with the greatest, no and the least number."""
    make_table(empty_db, "things", "n bigint", "x double")
    for n in (LARGEST, 0, -(2**63)):
        empty_db.table("things").insert({"n": n, "x": 1.5})
    return empty_db


@pytest.mark.parametrize("value", WIDE)
def test_a_number_past_64_bits_finds_the_right_rows(things: Database, value: int) -> None:
    def found(query: Any) -> list[int]:
        return query.order_by("id").pluck("id")

    def table() -> Any:
        return things.table("things")

    low = [] if value > 0 else [1, 2, 3]
    high = [1, 2, 3] if value > 0 else []
    assert found(table().where("n", value)) == []
    assert found(table().where("n", "!=", value)) == [1, 2, 3]
    assert found(table().where("n", "<", value)) == high
    assert found(table().where("n", ">=", value)) == low
    assert found(table().where_in("n", [0, value])) == [2]
    assert found(table().where_not_in("n", [0, value])) == [1, 3]
    assert found(table().where_between("n", min(0, value), max(0, value))) == (
        [1, 2] if value > 0 else [2, 3]
    )
    assert found(table().where_integer_in_raw("n", [0, value])) == [2]
    assert table().find(value) is None
    assert table().where("n", value).delete() == 0
    assert table().where("n", value).update({"x": 2}) == 0
    assert Thing.find(value) is None
    assert Thing.find(str(value)) is None
    assert Thing.find_many([value, 2]).pluck("id") == [2]
    assert Thing.where("n", value).count() == 0
    assert Thing.where_key(value).count() == 0
    assert Thing.find(2).related("parts").where("n", value).count() == 0


@pytest.mark.parametrize("value", [10**30, str(10**30), 2**63, "9" * 300])
def test_a_limit_past_all_rows_is_no_limit(things: Database, value: Any) -> None:
    def table() -> Any:
        return things.table("things").order_by("id")

    assert len(table().limit(value).get()) == 3
    assert table().limit(1).offset(value).get() == []
    assert len(table().take(value).skip(0).get()) == 3
    assert table().paginate(2, page=value)["current_page"] == 1
    assert table().simple_paginate(2, page=value)["current_page"] == 1


def test_pages_of_any_number_and_size(things: Database) -> None:
    query = things.table("things").order_by("id")

    assert len(query.paginate(10**30)["data"]) == 3
    assert len(query.cursor_paginate(10**30)["data"]) == 3
    assert query.paginate(10**30, page=2**31 - 1)["data"] == []
    assert query.paginate(2, page=True)["current_page"] == 1


def test_a_size_from_a_request_is_read_wherever_one_is_asked_for(things: Database) -> None:
    def table() -> Any:
        return things.table("things").order_by("id")

    ids = table().pluck("id")
    parts: list[Any] = []
    assert [row.id for row in table().paginate("2")["data"]] == ids[:2]
    assert [row.id for row in table().simple_paginate("2")["data"]] == ids[:2]
    assert [row.id for row in table().cursor_paginate("2")["data"]] == ids[:2]
    assert table().for_page("2", "2").pluck("id") == ids[2:4]
    assert table().chunk("2", lambda rows: parts.append(len(rows)))
    assert things.table("things").chunk_by_id("2", lambda rows: parts.append(len(rows)))
    assert parts == [2, 1, 2, 1]
    assert [row.id for row in table().lazy("2")] == ids
    assert table().group_limit("1", "id").count() == 3


@pytest.mark.parametrize("value", PYTHONS_OWN)
def test_what_python_alone_takes_for_a_number_is_none(things: Database, value: str) -> None:
    def table() -> Any:
        return things.table("things").order_by("id")

    for way in (
        lambda: table().limit(value),
        lambda: table().paginate(value),
        lambda: table().for_page(value),
        lambda: table().for_page(1, value),
        lambda: table().chunk(value, print),
        lambda: list(table().lazy(value)),
        lambda: table().group_limit(value, "n"),
        lambda: table().where_day("x", value).get(),
        lambda: table().where_json_length("x", value),
        lambda: table().in_random_order(value or "x"),
    ):
        with pytest.raises(InvalidNumberError):
            way()
    assert table().paginate(2, page=value)["current_page"] == 1
    assert things.table("things").find(value) is None
    assert things.table("things").delete(value) == 0
    assert Thing.find(value) is None
    assert Thing.resolve_route_binding(value) is None
    assert Thing.resolve_route_binding(value, "n") is None
    request = Request.create("/", "POST", {"v": value})
    assert request.integer("v", 7) == 7
    assert request.decimal("v", 7) == 7
    assert request.float("v", 7.0) == 7.0
    assert numbers.whole(value) is None
    assert numbers.decimal(value) is None


@pytest.mark.parametrize("key", ["2_0", "a b", "ä", "x' or 1=1", "1.2", "1e3", "2.0.1", "07"])
def test_a_key_that_is_a_text_is_found_and_deleted_by_it(empty_db: Database, key: str) -> None:
    empty_db.connection().statement(
        "create table tags (id varchar(20) primary key, name varchar(20))"
    )
    empty_db.table("tags").insert([{"id": key}, {"id": "2"}])

    assert empty_db.table("tags").find(key).id == key
    assert Tag.resolve_route_binding(key, "id").id == key
    assert Tag.resolve_route_binding(key, "name") is None
    assert empty_db.table("tags").delete("none") == 0
    assert empty_db.table("tags").delete(key) == 1
    assert empty_db.table("tags").pluck("id") == ["2"]


@pytest.mark.parametrize("value", ["2_0", "٣", "it's", "a\\\0", "y" * 300])
def test_a_write_compares_no_number_with_a_text_that_says_none(
    things: Database, engine: str, value: str
) -> None:
    def write() -> int:
        return things.table("things").where("x", value).update({"n": 7})

    if engine == "sqlite":
        assert write() == 0
    else:
        with pytest.raises(UnfitValueError, match="numbers or times; check") as caught:
            write()
        assert caught.value.status == 400
    assert things.table("things").where("n", 7).doesnt_exist()


@pytest.mark.parametrize("value", [2**70, -(2**63) - 1, "\ud800"])
@pytest.mark.parametrize("way", ["insert", "update", "create", "upsert"])
def test_what_no_column_holds_is_refused_as_the_clients_fault(
    things: Database, way: str, value: Any
) -> None:
    def table() -> Any:
        return things.table("things")

    with pytest.raises(UnfitValueError, match="check what comes from outside") as caught:
        {
            "insert": lambda: table().insert({"n": value}),
            "update": lambda: table().where("id", 1).update({"n": value}),
            "create": lambda: Thing.force_create(n=value),
            "upsert": lambda: table().upsert([{"id": 1, "n": value}], ["id"]),
        }[way]()

    assert caught.value.status == 400
    assert table().count() == 3


def test_a_number_compared_with_odd_texts_in_a_column_is_not_the_clients_fault(
    empty_db: Database, engine: str
) -> None:
    make_table(empty_db, "orders", "code varchar(20)", "n int")
    empty_db.table("orders").insert({"code": "A-1", "n": 1})

    def write() -> int:
        return empty_db.table("orders").where("code", 5).update({"n": 2})

    if engine == "sqlite":
        assert write() == 0
    else:
        with pytest.raises(QueryError, match="compare it with a text") as caught:
            write()
        assert not isinstance(caught.value, UnfitValueError)


@pytest.mark.parametrize("cast", ["int", "float", "decimal:2"])
@pytest.mark.parametrize("value", ["2_0", "٣", "nan"])
def test_no_cast_takes_it(cast: str, value: str) -> None:
    class Cast(Model):
        table = "things"
        casts = {"n": cast}

    with pytest.raises(CastError):
        Cast(n=value)


@pytest.mark.parametrize(
    ("operator", "value", "hits"),
    [
        ("<", float("inf"), 3), ("=", float("inf"), 0), (">", float("-inf"), 3),
        ("<", float("nan"), 0), ("=", float("nan"), 0), (">=", float("nan"), 0),
    ],
)  # fmt: skip
def test_infinity_is_past_every_number_and_nan_is_like_none(
    things: Database, operator: str, value: float, hits: int
) -> None:
    assert things.table("things").where("x", operator, value).count() == hits
    assert things.table("things").where_in("x", [value, 1.5]).count() == 3
    grouped = things.table("things").select("id", "x").group_by("id", "x")
    assert grouped.having("x", operator, value).count() == hits


@pytest.mark.parametrize("part", ["date", "time", "year"])
def test_no_time_is_that_of_nan(things: Database, part: str) -> None:
    for operator in ("=", ">=", "<"):
        query = things.table("things")
        assert getattr(query, f"where_{part}")("x", operator, float("nan")).count() == 0


def test_a_refused_number_is_the_clients_fault() -> None:
    assert InvalidNumberError.status == 400
    assert (numbers.whole(" +5 "), numbers.whole("-07"), numbers.whole(5.5)) == (5, -7, 5)
    assert (numbers.decimal("1.50"), numbers.decimal(".5e2")) == (Decimal("1.50"), Decimal("50"))
    assert numbers.amount("2.5") == 2.5
    with pytest.raises(ValueError, match="1e999"):
        numbers.amount("1e999")


@pytest.mark.parametrize("value", [2**70, -(2**70), [1], {"a": 1}, 1.5, "x", None])
def test_a_cursor_that_a_client_made_up(things: Database, value: Any) -> None:
    from so.db.pagination import Cursor

    page = things.table("things").order_by("id").cursor_paginate(2, Cursor({"id": value}).encode())

    assert len(page["data"]) <= 2
