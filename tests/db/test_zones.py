"""What is written in the connection's zone is read back as the same moment, by every way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.migrations import Migrator
from so.db.model import Model
from so.errors import ConfigError
from so.support.clock import Clock
from so.support.current import provide
from so.systems.activity import Activity, ActivityLog
from so.systems.auth import AccessTokens, HasApiTokens
from so.systems.notifications import Notifiable
from tests.db.tables import create

EAST = timezone(timedelta(hours=9))
NAIVE = datetime(2026, 7, 1, 22, 30, 0, 123456)  # noqa: DTZ001
NIGHT = NAIVE.replace(tzinfo=UTC)  # the next day at +02:00
ZONES = ("+02:00", "-03:30", "UTC", "+00:00", "Z")


class Event(Model):
    casts = {
        "at": "datetime",
        "shown": "datetime:%d.%m.%Y %H:%M",
        "day": "date",
        "stamp": "timestamp",
        "data": "json",
    }
    guarded: list[str] = []


class Person(HasApiTokens, Notifiable, Model):
    guarded: list[str] = []
    timestamps = False


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> Clock:
    return Clock(NIGHT)


@pytest.fixture
def zoned(mysql_config: dict[str, Any], zone: str, clock: Clock) -> Iterator[Database]:
    """A server whose connection is in *zone*; SQLite has UTC alone."""
    database = Database({"default": {**mysql_config, "timezone": zone}}, clock=clock)
    provide("db", lambda: database)
    with database:
        create(
            database.connection(),
            "events",
            "id integer primary key auto_increment, at datetime(6), shown datetime(6), day date,"
            " stamp datetime, data json, created_at datetime(6), updated_at datetime(6)",
        )
        create(database.connection(), "people", "id integer primary key auto_increment, n int")
        yield database
    provide("db", None)


def test_casts_and_stamps_keep_their_moment_however_often_saved(zoned):
    event = Event.create(at=NIGHT, shown=NIGHT, day=date(2026, 7, 1), stamp=NIGHT)

    for _ in range(3):
        found = Event.find(event.id)
        found.at += timedelta(seconds=1)
        found.save()

    found = Event.find(event.id)
    assert found.at == NIGHT + timedelta(seconds=3)
    assert (found.shown, found.day, found.stamp) == (
        NIGHT,
        date(2026, 7, 1),
        int(NIGHT.timestamp()),
    )
    assert found.created_at == found.updated_at == NIGHT
    assert found.to_dict()["shown"] == "01.07.2026 22:30"
    assert found.is_clean()


@pytest.mark.parametrize("at", [NIGHT, NIGHT.astimezone(EAST), NAIVE], ids=["utc", "east", "naive"])
def test_every_way_of_writing_and_of_asking_means_the_same(zoned, at):
    table = zoned.table("events")
    table.insert({"id": 1, "at": at})
    zoned.insert("insert into events (id, at) values (?, ?)", [2, at])
    zoned.insert("insert into events (id, at) values (:id, :at)", {"id": 3, "at": at})
    table.upsert({"id": 4, "at": at}, "id")
    table.insert({"id": 5})
    table.clone().where("id", 5).update({"at": at})
    table.insert({"id": 6})
    table.clone().where("id", 6).increment("id", 0, {"at": at})
    Event.create(id=7, at=at)
    Event.insert({"id": 8, "at": at})

    assert set(table.pluck("at")) == {NIGHT}
    assert {row["at"] for row in zoned.select("select at from events")} == {NIGHT}
    assert zoned.scalar("select max(at) from events") == Event.max("at") == NIGHT
    for query in (
        table.clone().where("at", at),
        table.clone().where_in("at", [at]),
        table.clone().where_between("at", [at, at]),
        table.clone().where_date("at", at),
        table.clone().where_time("at", at.replace(microsecond=0)),
        table.clone().where_day("at", at),
        table.clone().where_year("at", at),
        table.clone().where_today("at"),
        table.clone().where_now_or_past("at"),
        Event.where("at", at),
    ):
        assert query.count() == 8
    assert table.clone().where_past("at").count() == table.clone().where_future("at").count() == 0


def test_dates_by_day_are_those_of_the_zone(zoned, zone):
    zoned.table("events").insert({"at": NIGHT})
    day = 2 if zone == "+02:00" else 1

    assert zoned.table("events").where_date("at", date(2026, 7, day)).count() == 1


def test_json_keeps_moments(zoned):
    event = Event.create(data={"at": NIGHT})

    assert datetime.fromisoformat(Event.find(event.id).data["at"]) == NIGHT


@pytest.mark.parametrize("at", [NIGHT, NIGHT.astimezone(EAST), NAIVE], ids=["utc", "east", "naive"])
def test_moments_in_json_are_found_by_what_was_written(zoned, at):
    Event.create(data={"at": NIGHT})
    table = zoned.table("events")
    table.insert({"data": {}})
    table.clone().where("data->at", None).update({"data->at": at})

    for found in (
        table.clone().where("data->at", at),
        table.clone().where("data->at", ">=", at),
        table.clone().where_in("data->at", [at]),
        table.clone().where_between("data->at", [at, at]),
        table.clone().where_null_safe_equals("data->at", at),
        table.clone().where_json_contains("data->at", at),
        Event.where("data->at", at),
    ):
        assert found.count() == 2
    assert table.where("data->at", ">", at).count() == 0


def test_a_token_lives_as_long_as_it_was_given(zoned, clock):
    person = Person.create(n=1)
    tokens = AccessTokens(zoned)
    made = person.create_token("x", expires_at=clock.now() + timedelta(hours=1))

    assert tokens.find(made.plain_text).created_at == NIGHT
    clock.travel(timedelta(minutes=59))
    assert tokens.find(made.plain_text) is not None
    clock.travel(timedelta(minutes=2))
    assert tokens.find(made.plain_text) is None


def test_the_trail_tells_when(zoned, clock):
    ActivityLog(zoned, clock=clock).entry().log("seen")

    (entry,) = Activity.all()
    assert entry.created_at == NIGHT
    assert Activity.where("created_at", NIGHT).count() == 1


def test_a_migration_tells_when(zoned, tmp_path):
    (tmp_path / "2026_01_01_000000_x.sql").write_text("-- nothing")
    Migrator(zoned.connection(), tmp_path).run()

    assert zoned.scalar("select applied_at from migrations") == NIGHT


@pytest.mark.parametrize("driver", ["sqlite", "mysql", "mariadb"])
@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        "America/New_York",
        "Mars/North",
        "local",
        "SYSTEM",
        "+25:00",
        "+2",
        "CEST",
        "+14:30",
    ],
)
def test_a_zone_that_is_not_clear_is_refused_at_the_start(driver, zone):
    config = {"driver": driver, "database": "x", "timezone": zone}

    with pytest.raises(ConfigError, match="time ?zone"):
        Database({"main": config})
    with pytest.raises(ConfigError, match="time ?zone"):
        Connection(config)


@pytest.mark.parametrize("zone", ["+02:00", "-00:30", "Asia/Kolkata"])
def test_sqlite_keeps_utc_alone(zone):
    with pytest.raises(ConfigError, match="SQLite keeps texts that name no zone"):
        Database({"main": {"driver": "sqlite", "database": ":memory:", "timezone": zone}})
    with pytest.raises(ConfigError, match="SQLite"):
        Connection(f"sqlite:///tmp/x?timezone={zone.replace('+', '%2B')}")


@pytest.mark.parametrize("zone", ["UTC", "utc", "Z", "+00:00", "Etc/UTC", "-00:00"])
def test_utc_has_several_names(zone):
    with Connection({"database": ":memory:", "timezone": zone}) as conn:
        assert conn.zone.utcoffset(None) == timedelta(0)
