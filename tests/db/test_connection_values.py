"""What is written comes back as it was, on both engines."""

from __future__ import annotations

import enum
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from so.db.connection import Connection
from so.db.values import datetime_text, interval_text, plain
from so.support.markup import Markup
from tests.db.tables import create


@pytest.fixture
def conn(db) -> Connection:
    connection = db.connection()
    create(
        connection,
        "things",
        "id {id}, money {money}, words {text}, raw {blob}, at {time}, yes {bool}, big {big},"
        " ratio double",
    )
    return connection


def back(conn: Connection, column: str, value: object) -> object:
    number = conn.insert_get_id(f"insert into things ({column}) values (?)", [value])
    return conn.scalar(f"select {column} from things where id = ?", [number])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "trailing  ",
        "it's",
        'say "hi"',
        "back\\slash",
        "\\",
        "\\'",
        "'; drop table things; --",
        "nul\0inside",
        "line\nbreak\r\n\ttab\x1a",
        "emoji 😀🏳️‍🌈",
        "汉字 עברית e\u0301",
        "100%s %(a)s ? :name",
        "x" * 1_000_000,
    ],
)
def test_text(conn, text):
    assert back(conn, "words", text) == text


@pytest.mark.parametrize(
    "raw", [b"", b"\0\1\xff", bytes(range(256)) * 4, b'it\'s \\ "quoted"', b"\xf0\x9f" * 500_000]
)
def test_bytes(conn, raw):
    found = back(conn, "raw", raw)

    assert found == raw
    assert type(found) is bytes
    assert back(conn, "raw", bytearray(raw)) == raw
    assert back(conn, "raw", memoryview(raw)) == raw


@pytest.mark.parametrize("number", [0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_integers(conn, number):
    assert back(conn, "big", number) == number


def test_unsigned_integers_of_mysql(mariadb):
    with Connection(mariadb.config()) as conn:
        assert conn.scalar("select cast(? as unsigned)", [2**64 - 1]) == 2**64 - 1


def test_an_integer_too_big_for_the_column_is_an_error(conn):
    from so.errors import QueryError

    with pytest.raises(QueryError):
        back(conn, "big", 2**63)


@pytest.mark.parametrize("value", [True, False])
def test_booleans_are_stored_as_one_and_zero(conn, value):
    assert back(conn, "yes", value) == int(value)


def test_null(conn):
    for column in ("words", "raw", "at", "yes", "big", "money", "ratio"):
        assert back(conn, column, None) is None


@pytest.mark.parametrize("number", [0.1, -2.5, 1e300, 5e-324, 1 / 3])
def test_floats(conn, number):
    assert back(conn, "ratio", number) == number


@pytest.mark.parametrize(
    "text", ["0.10", "-12345678901234.5678", "1E+3", "0.0001", "9999999999999999.9999"]
)
def test_decimals(conn, text):
    found = back(conn, "money", Decimal(text))

    # Text on SQLite, Decimal on MySQL: never a float on the way.
    assert isinstance(found, str | Decimal)
    assert Decimal(found) == Decimal(text)


def test_a_decimal_of_more_digits_than_mysql_has_arrives_whole_as_text(conn):
    digits = "1" * 80 + ".5"

    assert back(conn, "words", Decimal(digits)) == digits


def test_times_are_stored_in_utc_with_microseconds(conn):
    zone = timezone(timedelta(hours=5, minutes=30))
    at = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=zone)

    found = back(conn, "at", at)

    if isinstance(found, datetime):
        assert found == at
        assert found.tzinfo is UTC
    else:
        assert found == "2026-03-28 21:00:00.123456"
    assert datetime_text(at) == "2026-03-28 21:00:00.123456"


def test_a_time_without_zone_is_taken_as_utc(conn):
    found = back(conn, "at", datetime(2026, 1, 1, 10))  # noqa: DTZ001

    assert found in ("2026-01-01 10:00:00.000000", datetime(2026, 1, 1, 10, tzinfo=UTC))


def test_another_zone_may_be_configured_where_it_can_be_told(mysql_config):
    with Connection({**mysql_config, "timezone": "+02:00"}) as conn:
        create(conn, "things", "id {id}, at {time}")
        found = back(conn, "at", datetime(2026, 1, 1, 10, tzinfo=UTC))

        assert found == datetime(2026, 1, 1, 10, tzinfo=UTC)
        assert conn.scalar("select date_format(at, '%H:%i') from things") == "12:00"


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (date(2026, 1, 2), "2026-01-02"),
        (time(9, 8, 7), "09:08:07"),
        (time(9, 8, 7, 5), "09:08:07.000005"),
        (timedelta(hours=30, seconds=1), "30:00:01"),
        (-timedelta(microseconds=5), "-00:00:00.000005"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Colour.RED, "red"),
        (Level.HIGH, "3"),
        (Path("/a/b"), "/a/b"),
        ({"b": [1, "ü", None], "a": True}, '{"b":[1,"ü",null],"a":true}'),
        ([1, 2], "[1,2]"),
        ((1, 2), "[1,2]"),
        (Markup("<b>"), "<b>"),
    ],
)
def test_other_values_have_one_text(conn, value, stored):
    assert str(back(conn, "words", value)) == stored


def test_json_survives(conn):
    value = {"ключ": ["😀", 1.5, None, True, {"deep": []}]}

    found = back(conn, "words", value)

    assert isinstance(found, str)
    assert json.loads(found) == value


def test_named_bindings_are_converted_too(conn):
    conn.insert(
        "insert into things (words, money) values (:w, :m)",
        {"w": UUID(int=1), "m": Decimal("1.5")},
    )

    row = conn.select_one("select words, money from things")
    assert row.words == str(UUID(int=1))
    assert Decimal(row.money) == Decimal("1.5")


def test_a_statement_of_a_megabyte_arrives_byte_by_byte(conn):
    text = "".join(chr(0x4E00 + i % 1000) for i in range(350_000))

    assert conn.scalar(f"select '{text}'") == text


def test_plain_values():
    assert plain(Level.HIGH) == 3
    assert type(plain(Level.HIGH)) is int
    assert type(plain(Markup("x"))) is str
    assert interval_text(timedelta(days=2)) == "48:00:00"


def test_microseconds_are_cut_off_for_a_column_without_them(db_config):
    with Connection(db_config) as conn:
        if conn.dialect.name == "sqlite":
            return  # a text keeps them
        conn.statement("create table seconds (at datetime)")
        at = datetime(2026, 1, 1, 0, 0, 5, 999999, tzinfo=UTC)
        conn.insert("insert into seconds values (?)", [at])

        assert conn.scalar("select at from seconds").second == 5
