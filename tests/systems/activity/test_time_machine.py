"""The time machine agrees with the table, or says that it cannot know."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum

import pytest

from so.db.expressions import Expression
from so.db.manager import Database
from so.db.model import Model
from so.errors import ActivityError
from so.support.current import replaced
from so.systems.activity import ActivityLog, LogsActivity, unaudited


class Item(LogsActivity, Model):
    table = "time_items"
    type_alias = "time_item"
    timestamps = False
    guarded = []
    hidden = ["pin"]
    casts = {"price": "decimal:2", "tags": "json", "seen_at": "datetime", "is_on": bool}


class Titled(Item):
    type_alias = "time_titled"
    log_attributes = ["name"]


@pytest.fixture
def log(db, clock):
    connection = db.connection()
    auto = " auto_increment" if connection.dialect.name == "mysql" else ""
    blob = "varbinary(20)" if connection.dialect.name == "mysql" else "blob"
    connection.unprepared("drop table if exists time_items")
    connection.unprepared(
        f"create table time_items (id integer primary key{auto}, name varchar(50), qty int default"
        " 5, price decimal(10,2), tags text, seen_at datetime(6), is_on int, pin varchar(20),"
        f" status varchar(20) not null default 'new', raw {blob}, rate decimal(8,3))"
    )
    with replaced("activity", ActivityLog(db, clock=clock)) as activity:
        yield activity
    connection.unprepared("drop table if exists time_items")


class Colour(Enum):
    RED = "r"
    BLUE = "b"


@dataclass(frozen=True)
class Point:
    x: int
    y: int


class PointCast:
    def get(self, model, key, value, attributes):
        return None if value is None else Point(*map(int, value.split(",")))

    def set(self, model, key, value, attributes):
        return None if value is None else f"{value.x},{value.y}"


class UpperCast:
    def get(self, model, key, value, attributes):
        return value and value.upper()

    def set(self, model, key, value, attributes):
        return value and value.lower()


CASTS = {
    "int": ("int", [1, -5, None, 0]),
    "float": ("double", [1.5, 0.1, None, 1e20]),
    "str": ("varchar(50)", ["x", "", None, "ä😀", "  pad ", "1.0"]),
    "bool": ("int", [True, False, None]),
    "decimal:3": ("decimal(12,3)", [Decimal("1.500"), "-0.001", None]),
    "json": ("text", [{"a": [1, {"b": None}]}, [], None, "text", 5, True]),
    "array": ("text", [[1, 2], [], None]),
    "dict": ("text", [{"k": 1}, {}, None]),
    "date": ("date", [date(2026, 3, 29), date(1999, 12, 31), None]),
    "datetime": ("datetime(6)", [
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2))), None]),
    "datetime:%d.%m.%Y": ("datetime(6)", [datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC), None]),
    "timestamp": ("datetime", [datetime(2026, 1, 1, tzinfo=UTC), None]),
    Colour: ("varchar(5)", [Colour.RED, Colour.BLUE, None]),
    PointCast: ("varchar(20)", [Point(1, 2), Point(-3, 4), None]),
    UpperCast: ("varchar(20)", ["ABC", None, "D"]),
}  # fmt: skip


def of_the_table(model):
    found = type(model).find(model.get_key())
    return (
        None
        if found is None
        else {name: found[name] for name in found.get_attributes() if name != "pin"}
    )


def of_the_trail(model, moment):
    old = model.as_of(moment)
    return (
        None if old is None else {name: old[name] for name in old.get_attributes() if name != "pin"}
    )


VALUES = {
    "name": ["a", "b", "", None, "ä😀", "001", "01"],
    "qty": [0, 1, -7, None],
    "price": ["1", "1.50", Decimal("99.99"), None],
    "tags": [{"a": 1, "b": [1, 2]}, [], None, {"a": {"c": None}}],
    "seen_at": [datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), None],
    "is_on": [True, False, None],
    "status": ["paid", "new", "draft"],
    "raw": [b"\x00\xff", b"", None],
    "rate": ["1.500", Decimal("2.125"), None],
}


@pytest.mark.parametrize("seed", range(6))
def test_any_history_played_again_is_what_the_table_was(log, db, clock, seed):
    dice = random.Random(seed)
    clock.travel(1)
    item = Item.find(Item.create(name="first").id)
    seen = [(clock.now(), of_the_table(item))]
    for _ in range(25):
        clock.travel(60)
        names = dice.sample(list(VALUES), dice.randint(1, 3))
        values = {name: dice.choice(VALUES[name]) for name in names}
        how = dice.randrange(4)
        if how == 0:
            item.update(values)
        elif how == 1:
            Item.where("id", item.id).update(values)
        elif how == 2:
            Item.where("id", item.id).increment("qty", dice.randint(1, 3))
        else:
            item.increment("qty", 2)
        item = Item.find(item.id)
        seen.append((clock.now(), of_the_table(item)))

    for moment, wanted in seen:
        assert of_the_trail(item, moment + timedelta(seconds=1)) == wanted
    clock.travel(60)
    item.delete()
    assert item.as_of(clock.now()) is None
    assert of_the_trail(item, seen[5][0]) == seen[5][1]


@pytest.mark.parametrize(  # SQLite keeps UTC
    ("engine", "offset"), [("sqlite", "+00:00"), ("mysql", "+00:00"), ("mysql", "+05:30")]
)
def test_values_of_every_cast_come_back(db_config, clock, offset):
    types = {f"c{n}": cast for n, cast in enumerate(CASTS)}
    columns = ", ".join(f"{name} {CASTS[cast][0]}" for name, cast in types.items())

    class Everything(LogsActivity, Model):
        table = "time_casts"
        type_alias = "time_cast"
        timestamps = False
        guarded = []
        casts = types
        connection = "zoned"

    config = {"default": db_config, "zoned": {**db_config, "timezone": offset}}
    with Database(config, clock=clock) as db, replaced("db", db):
        connection = db.connection("zoned")
        auto = " auto_increment" if connection.dialect.name == "mysql" else ""
        connection.unprepared(f"create table time_casts (id integer primary key{auto}, {columns})")
        with replaced("activity", ActivityLog(db, clock=clock)):
            item = Everything.create({name: CASTS[cast][1][0] for name, cast in types.items()})
            seen = []
            for turn in range(6):
                values = {name: CASTS[c][1][turn % len(CASTS[c][1])] for name, c in types.items()}
                clock.travel(10)
                item.update(values)
                item.refresh()
                seen.append((clock.now(), {name: item[name] for name in types}))
            for moment, values in seen:
                old = item.as_of(moment)
                assert {name: old[name] for name in types} == values
            for number, (_, values) in enumerate(seen[1:], 2):
                item.revert_to(number)
                item.refresh()
                assert {name: item[name] for name in types} == values
        connection.unprepared("drop table time_casts")


def test_a_model_that_was_never_saved_has_no_trail(log):
    with pytest.raises(ActivityError, match="never saved"):
        Item(name="x").versions()


def test_what_the_database_filled_in_is_known_from_the_start(log, clock):
    item = Item.create(name="x")
    born = clock.now()
    assert item.activities().first().properties["attributes"]["status"] == "new"
    clock.travel(60)
    Item.find(item.id).update(status="paid", qty=None)

    old = item.as_of(born)

    assert (old.status, old.qty, old.seen_at) == ("new", 5, None)
    assert item.diff(1, 2) == {"status": ("new", "paid"), "qty": (5, None)}
    assert item.revert_to(1)
    assert (Item.find(item.id).status, Item.find(item.id).qty) == ("new", 5)


def test_a_record_older_than_its_trail_is_whole(log, db, clock):
    db.connection().table("time_items").insert({"name": "old", "qty": 1, "price": "2.00"})
    before = clock.now()
    clock.travel(60)
    item = Item.first()
    item.update(qty=2)
    after = clock.now()
    clock.travel(60)
    item.update(price="3")

    assert (item.as_of(after).name, item.as_of(after).qty) == ("old", 2)
    assert item.as_of(after).price == Decimal("2.00")
    assert item.versions()[0].attributes["name"] == "old"
    with pytest.raises(ActivityError, match="its trail begins later"):
        item.as_of(before)


def test_a_record_without_a_trail_is_not_known(log, db, clock):
    db.connection().table("time_items").insert({"name": "old"})

    with pytest.raises(ActivityError, match="its trail begins later"):
        Item.first().as_of(clock.now())


def test_what_was_changed_past_the_log_is_left_out(log, db, clock):
    item = Item.create(name="x", qty=1)
    then = clock.now()
    clock.travel(60)
    db.connection().unprepared("update time_items set qty = 9")

    now = item.as_of(clock.now())

    assert "qty" not in now.get_attributes()
    assert now.name == "x"
    assert then < clock.now()


def test_a_row_that_went_past_the_log_is_not_known(log, db, clock):
    item = Item.create(name="x", qty=1)
    with unaudited("cleaning up"):
        Item.where("id", item.id).delete()

    with pytest.raises(ActivityError, match="deleted past the log"):
        item.as_of(clock.now())
    with pytest.raises(ActivityError, match="its row is gone"):
        item.revert_to(1)


def test_columns_that_are_not_logged_are_unknown(log, clock):
    item = Titled.create(name="x", qty=1)
    then = clock.now()
    clock.travel(1)
    item.update(qty=2, name="y")

    assert set(item.as_of(then).get_attributes()) == {"name"}
    assert "qty" in item.versions()[0].unknown
    item.revert_to(1)
    assert (Titled.find(item.id).name, Titled.find(item.id).qty) == ("x", 2)


@pytest.mark.parametrize("moment", [datetime(2026, 1, 1), "2026-01-01", None])  # noqa: DTZ001
def test_a_moment_without_a_zone_is_refused_in_words(log, moment):
    item = Item.create(name="x")

    with pytest.raises(ActivityError, match="give a datetime with a zone"):
        item.as_of(moment)
    if isinstance(moment, datetime):
        with pytest.raises(ActivityError, match="with a zone"):
            item.diff(moment, 1)
        with pytest.raises(ActivityError, match="with a zone"):
            item.revert_to(moment)


def test_an_expression_is_logged_as_what_it_came_to(log):
    item = Item.create(name="x", qty=5)

    item.qty = Expression("qty + 1")
    item.save()

    assert item.activities().first().changes() == {"qty": (5, 6)}


def test_changes_that_are_none_write_no_row(log):
    class Nested(Item):
        log_attributes = ["tags.a.b", "name"]

    item = Nested.create(name="x", tags={"a": {"b": 1, "c": 1}})
    item = Nested.find(item.id)
    count = item.activities().count()
    item.update(tags={"a": {"b": 1, "c": 2}})
    Nested.where("id", item.id).update(tags={"a": {"b": 1, "c": 3}})
    assert item.activities().count() == count

    plain = Item.find(item.id)
    plain.update(qty=None)
    count = plain.activities().count()
    plain.increment("qty")
    Item.where("id", plain.id).increment("qty")
    assert plain.activities().count() == count


def test_values_the_trail_does_not_hold_are_not_reverted(log):
    item = Item.create(name="x", pin="1234")
    item.update(pin="9999", name="y")

    with pytest.raises(ActivityError, match="cannot revert pin"):
        item.revert_to(1)
    assert "pin" not in item.as_of(log.clock.now()).get_attributes()


def test_a_column_with_a_secret_inside_is_not_known_and_not_reverted(log, clock):
    item = Item.create(name="a", tags={"token": "geheim", "n": 1})
    moment = clock.now()
    clock.travel(60)
    item.update(name="b")
    assert "tags" in item.versions()[0].unknown
    assert "tags" not in item.as_of(moment).get_attributes()
    item.revert_to(1)
    assert (item.name, item.tags["token"]) == ("a", "geheim")

    item.update(tags={"token": "other", "n": 1})
    with pytest.raises(ActivityError, match="cannot revert tags"):
        item.revert_to(1)


def test_properties_of_entries_by_hand_are_no_versions(log):
    item = Item.create(name="x")
    log.entry().on(item).with_properties({"attributes": {"name": "forged"}}).log("note")

    assert [version.attributes["name"] for version in item.versions()] == ["x"]
