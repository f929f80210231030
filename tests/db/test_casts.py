from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from random import Random
from typing import Any

import pytest

from so.db.casts import Cast, cast_for
from so.db.model import Model
from so.errors import CastError, InvalidArgumentError
from tests.db.model_tables import make_table

NAIVE = datetime(2026, 1, 15, 12)  # noqa: DTZ001  what a driver gives


class Status(Enum):
    DRAFT = "draft"
    PAID = "paid"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


def get(spec: Any, stored: Any) -> Any:
    return cast_for(spec).get(None, "x", stored, {})


def put(spec: Any, value: Any) -> Any:
    return cast_for(spec).set(None, "x", value, {})


@pytest.mark.parametrize(
    ("spec", "stored", "value"),
    [
        ("int", "12", 12),
        ("integer", 12.0, 12),
        (int, True, 1),
        (int, Level.HIGH, 2),
        ("float", "1.5", 1.5),
        (float, Decimal("0.5"), 0.5),
        ("str", 5, "5"),
        ("string", b"caf\xc3\xa9", "café"),
        (str, True, "1"),
        (str, Status.PAID, "paid"),
        ("bool", 1, True),
        ("boolean", "off", False),
        (bool, b"\x00", False),
        (bool, "yes", True),
        ("decimal:2", "12.345", Decimal("12.35")),
        ("decimal:2", 12.1, Decimal("12.10")),
        ("decimal", "1.500", Decimal("1.500")),
        (Decimal, 3, Decimal("3")),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
        ("array", [1], [1]),
        (dict, '{"b": true}', {"b": True}),
        ("date", "2026-01-15 10:00:00", date(2026, 1, 15)),
        (date, datetime(2026, 1, 15, 23, tzinfo=UTC), date(2026, 1, 15)),
        ("date", date(2026, 1, 15), date(2026, 1, 15)),
        ("datetime", "2026-01-15 12:00:00.250000", datetime(2026, 1, 15, 12, 0, 0, 250000, UTC)),
        (datetime, NAIVE, datetime(2026, 1, 15, 12, tzinfo=UTC)),
        ("datetime", date(2026, 1, 15), datetime(2026, 1, 15, tzinfo=UTC)),
        ("timestamp", "2026-01-15 12:00:00", 1768478400),
        ("timestamp", 1768478400, 1768478400),
        (Status, "paid", Status.PAID),
        (Level, "2", Level.HIGH),
    ],
)
def test_a_stored_value_reads_as_its_cast_says(spec: Any, stored: Any, value: Any) -> None:
    found = get(spec, stored)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("spec", "value", "stored"),
    [
        ("int", " 7 ", 7),
        ("bool", True, 1),
        ("bool", "0", 0),
        ("decimal:2", "2.005", Decimal("2.01")),
        ("decimal:2", -0.125, Decimal("-0.13")),
        ("json", {"ä": 1}, '{"ä":1}'),
        ("json", "text", '"text"'),
        ("datetime", datetime(2026, 1, 15, 13, tzinfo=timezone(timedelta(hours=1))),
         datetime(2026, 1, 15, 12, tzinfo=UTC)),
        ("timestamp", NAIVE, datetime(2026, 1, 15, 12, tzinfo=UTC)),
        ("timestamp", 5.9, 5),
        (Status, Status.DRAFT, "draft"),
        (Status, "paid", "paid"),
        (Level, Level.LOW, 1),
    ],
)  # fmt: skip
def test_a_value_is_stored_in_one_form(spec: Any, value: Any, stored: Any) -> None:
    assert put(spec, value) == stored


@pytest.mark.parametrize(
    "spec", ["int", "float", "str", "bool", "decimal:2", "json", "date", "datetime", "timestamp",
             Status]
)  # fmt: skip
def test_none_stays_none_in_every_cast(spec: Any) -> None:
    assert get(spec, None) is None
    assert put(spec, None) is None


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("int", "12abc"),
        ("int", 1.5),
        ("int", float("inf")),
        ("int", ""),
        ("float", "much"),
        ("str", b"\xff"),
        ("bool", "perhaps"),
        ("decimal:2", "ten"),
        ("decimal:2", "NaN"),
        ("decimal:2", [1]),
        ("json", "{not json"),
        ("date", "yesterday"),
        ("datetime", "soon"),
        ("datetime", True),
        (Status, "lost"),
    ],
)
def test_a_value_that_does_not_fit_is_a_cast_error(spec: Any, value: Any) -> None:
    with pytest.raises(CastError, match="is not"):
        get(spec, value)


def test_json_that_cannot_be_written_is_a_cast_error() -> None:
    with pytest.raises(CastError, match="JSON data"):
        put("json", {"a": object()})
    with pytest.raises(CastError):
        put("json", float("nan"))


@pytest.mark.parametrize(
    ("spec", "first", "second", "same"),
    [
        ("int", "1", 1, True),
        ("int", "001", 1, True),
        ("bool", 0, None, False),
        ("decimal:2", "1.00", Decimal("1.0"), True),
        ("decimal:2", "1.00", "1.01", False),
        ("json", '{"a": 1, "b": 2}', '{"b":2,"a":1}', True),
        ("json", "[1]", "[true]", False),
        ("json", '{"a":0}', '{"a":false}', False),
        ("json", None, "null", False),
        ("json", "[1]", "broken", False),
        ("datetime", "2026-01-15 12:00:00",
         datetime(2026, 1, 15, 14, tzinfo=timezone(timedelta(hours=2))), True),
        (Status, "paid", "draft", False),
        ("int", "x", "x", True),
    ],
)  # fmt: skip
def test_stored_values_are_compared_by_what_they_mean(
    spec: Any, first: Any, second: Any, same: bool
) -> None:
    assert cast_for(spec).same(first, second) is same


def test_a_decimal_with_65_digits_is_not_rounded() -> None:
    long = "1" * 55 + ".0123456789"

    assert str(get("decimal:10", long)) == long


def test_an_unknown_cast_offers_the_nearest() -> None:
    with pytest.raises(InvalidArgumentError, match="did you mean 'decimal'"):
        cast_for("decimall:2")
    with pytest.raises(InvalidArgumentError, match="known are"):
        cast_for("zzz")


def test_a_date_format_says_how_a_moment_is_stored() -> None:
    cast = cast_for("datetime", "%d.%m.%Y %H:%M")

    assert cast.set(None, "x", datetime(2026, 1, 15, 12, 30, tzinfo=UTC), {}) == "15.01.2026 12:30"
    assert cast.get(None, "x", "15.01.2026 12:30", {}) == datetime(2026, 1, 15, 12, 30, tzinfo=UTC)
    assert cast.set(None, "x", "2026-01-15T12:30:00Z", {}) == "15.01.2026 12:30"


def test_the_format_of_a_cast_is_for_the_client() -> None:
    moment = datetime(2026, 1, 15, 12, tzinfo=UTC)

    assert cast_for("datetime:%d.%m.%Y").plain(moment) == "15.01.2026"
    assert cast_for("date:%Y/%m/%d").plain(moment.date()) == "2026/01/15"
    assert cast_for("datetime").plain(moment) == "2026-01-15T12:00:00.000000Z"
    assert cast_for("date").plain(moment.date()) == "2026-01-15"
    assert cast_for(Status).plain(Status.PAID) == "paid"


def random_row(random: Random) -> dict[str, Any]:
    letters = "aZ09 '\"\\%_?:{}äß漢🎉\t\n"
    text = "".join(random.choice(letters) for _ in range(random.randrange(30)))
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=random.randrange(-(10**16), 10**16)
    )
    some = [None, True, -1, 1.5, text, [text], {text: [moment.year]}]
    return {
        "flag": random.choice([True, False, None]),
        "amount": Decimal(random.randrange(-(10**14), 10**14)) / 100,
        "big": random.randrange(-(2**63), 2**63),
        "ratio": random.uniform(-1e9, 1e9),
        "note": text,
        "text": random.choice([text, None, ""]),
        "data": {"a": random.choice(some), "b": random.choice(some)},
        "raw_bytes": random.randbytes(random.randrange(20)),
        "day": moment.date(),
        "moment": moment.astimezone(timezone(timedelta(hours=random.randrange(-12, 13)))),
        "status": random.choice([*Status, None]),
        "absent": None,
    }


def test_two_hundred_random_rows_come_back_as_they_went_in(db: Any) -> None:
    make_exact_values(db)
    random = Random(20260115)
    rows = [random_row(random) for _ in range(200)]
    with db.transaction():
        keys = [Exact.create(row).id for row in rows]

    for key, row in zip(keys, rows, strict=True):
        found = Exact.find(key)
        assert {name: found[name] for name in row} == row
        assert found.fill(row).is_clean()
    assert Exact.sum("amount") == sum(row["amount"] for row in rows)


class Money:
    """An application's cast over two columns."""

    def get(self, model: Any, key: str, value: Any, attributes: Any) -> tuple[int, str] | None:
        return None if value is None else (value, attributes.get("currency", "EUR"))

    def set(self, model: Any, key: str, value: Any, attributes: Any) -> Any:
        return {key: value[0], "currency": value[1]}


class Upper(Cast):
    def convert(self, value: Any) -> str:
        return str(value).upper()


class Priced(Model):
    casts = {"price": Money, "code": Upper, "sku": Upper()}


def test_an_applications_cast_may_fill_several_columns() -> None:
    priced = Priced(price=(5, "USD"), code="ab", sku="cd")

    assert priced.get_attributes() == {"price": 5, "currency": "USD", "code": "AB", "sku": "CD"}
    assert priced.price == (5, "USD")


def test_a_cast_error_names_model_and_column() -> None:
    class Order(Model):
        casts = {"quantity": "int"}

    with pytest.raises(CastError, match=r"Order\.quantity: 'many' is not a whole number"):
        Order(quantity="many")
    read = Order().set_raw_attributes({"quantity": "?"}, sync=True)
    with pytest.raises(CastError, match=r"Order\.quantity"):
        _ = read.quantity


VALUES = {
    "flag": True,
    "amount": Decimal("12345678901234.56"),
    "big": 2**62 + 1,
    "ratio": 0.1,
    "note": "",
    "text": "Grüße 🎉 'x' \"y\" %s \\",
    "data": {"a": [1, 2.5, None, True, "ü"], "b": {}},
    "raw_bytes": b"\x00\xff'\"",
    "day": date(2024, 2, 29),
    "moment": datetime(2026, 1, 15, 12, 0, 0, 123456, UTC),
    "status": Status.PAID,
    "absent": None,
}


class Exact(Model):
    table = "exact_values"
    timestamps = False
    casts = {
        "flag": "bool", "amount": "decimal:2", "data": "json", "day": "date",
        "moment": "datetime", "status": Status,
    }  # fmt: skip


def make_exact_values(db: Any) -> None:
    make_table(
        db, "exact_values", "flag tinyint(1)", "amount decimal(18,2)", "big bigint",
        "ratio double precision", "note varchar(50)", "text varchar(100)", "data text",
        "raw_bytes blob", "day date", "moment datetime(6)", "status varchar(20)",
        "absent varchar(20)",
    )  # fmt: skip


def test_every_kind_of_value_survives_a_round_trip_through_the_model(db: Any) -> None:
    make_exact_values(db)
    made = Exact.create(VALUES)

    found = Exact.find(made.id)

    for name, value in VALUES.items():
        assert getattr(found, name) == value, name
        assert type(getattr(found, name)) is type(value), name
    assert found.is_clean()
    assert found.fill(VALUES).is_clean()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Y-m-d", "2026-01-05"),
        ("d.m.Y H:i", "05.01.2026 09:07"),
        (r"j. F Y \u\m G:i", "5. January 2026 um 9:07"),
        (r"Y-m-d\TH:i:sP", "2026-01-05T09:07:00+00:00"),
        ("%d/%m/%y", "05/01/26"),
    ],
)
def test_a_moment_is_shown_in_phps_letters_or_in_strftimes(written, shown):
    moment = datetime(2026, 1, 5, 9, 7, tzinfo=UTC)

    assert cast_for(f"datetime:{written}").plain(moment) == shown
    assert cast_for("immutable_date:Y").plain(moment.date()) == "2026"


def test_a_letter_that_is_none_of_a_date_is_refused():
    with pytest.raises(InvalidArgumentError, match="unknown letter 'x' in the date format 'Y-x'"):
        cast_for("datetime:Y-x")


def test_a_collection_in_a_column_may_be_changed_in_place(empty_db):
    make_table(empty_db, "bags", "things text")

    class Bag(Model):
        timestamps = False
        casts = {"things": "collection"}

    bag = Bag.create(things=[{"n": 1}])
    bag.things.append({"n": 2})

    assert bag.is_dirty("things")
    assert bag.save()
    assert Bag.find(bag.id).things.sum("n") == 3
