"""Days, times and moments: what is compared is what was stored, and the same on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.errors import InvalidNumberError, ReadOnlyError
from tests.db.model_tables import make_table

NOON = datetime(2026, 1, 15, 12, 30, 5, tzinfo=UTC)
LATER = NOON + timedelta(days=40)


class Shift(Model):
    table = "shifts"
    timestamps = False
    date_format = "%Y/%m/%d %H-%M-%S"
    casts = {"begins": "datetime"}


CONDITIONS: dict[str, Any] = {
    "where": lambda at: Shift.where("begins", at),
    "another zone": lambda at: Shift.where("begins", at.astimezone(timezone(timedelta(hours=5)))),
    "no zone": lambda at: Shift.where("begins", at.replace(tzinfo=None)),
    "before": lambda at: Shift.where("begins", "<=", at),
    "dict": lambda at: Shift.where({"shifts.begins": at}),
    "name": lambda at: Shift.where(begins=at),
    "in": lambda at: Shift.where_in("begins", [at]),
    "not in": lambda at: Shift.where_not_in("begins", [LATER]),
    "between": lambda at: Shift.where_between("begins", at, at + timedelta(days=1)),
    "nested": lambda at: Shift.where(lambda q: q.where("id", 9).or_where("begins", at)),
    "any": lambda at: Shift.where_any(["begins"], "=", at),
    "row": lambda at: Shift.where_row_values(["id", "begins"], "=", [1, at]),
    "null safe": lambda at: Shift.where_null_safe_equals("begins", at),
    "past": lambda at: Shift.where_past("begins"),
}


def test_a_moment_is_looked_for_in_the_form_in_which_the_model_stores_it(
    empty_db: Database,
) -> None:
    make_table(empty_db, "shifts", "begins varchar(30)")
    for at in (NOON, LATER):
        Shift.force_create(begins=at)
    empty_db.connection().clock.freeze(NOON + timedelta(days=1))

    found = {name: fn(NOON).pluck("id") for name, fn in CONDITIONS.items()}

    assert found == {name: [1] for name in CONDITIONS}
    assert Shift.first_or_create({"begins": NOON}).id == 1


ODD: list[tuple[str, str, Any, list[int]]] = [
    ("date", "=", "2026-1-15", [1]),
    ("date", "=", 20260115, [1]),
    ("date", "<", " 2026-02-24 ", [1]),
    ("date", "<", "abc", [1, 2]),
    ("date", ">=", "abc", []),
    ("time", "=", "12", []),
    ("time", "=", "12:30:05", [1, 2]),
    ("time", "<", "13:00", [1, 2]),
    ("day", "<", 2026, [1, 2]),
    ("day", ">=", 2**70, []),
    ("year", ">=", 26, [1, 2]),
    ("year", "<", "26", []),
    ("year", "<", 2**70, [1, 2]),
]


def test_odd_days_and_times_find_the_same_on_both_engines(empty_db: Database) -> None:
    make_table(empty_db, "moments", "at datetime(6)")
    empty_db.table("moments").insert([{"at": NOON}, {"at": LATER}])
    query = empty_db.table("moments").order_by("id")

    for part, operator, value, wanted in ODD:
        found = getattr(query.clone(), f"where_{part}")("at", operator, value).pluck("id")
        assert found == wanted, (part, operator, value)
    for part in ("day", "month", "year"):
        with pytest.raises(InvalidNumberError):
            getattr(query, f"where_{part}")("at", "<", "2_0")


def test_a_write_in_a_read_only_transaction_costs_neither_it_nor_its_session(
    mysql_config: dict[str, Any],
) -> None:
    with Database({"default": mysql_config}).connection() as conn:
        before = conn.scalar("select connection_id()")

        with conn.transaction(mode="read only"):
            with pytest.raises(ReadOnlyError):
                conn.table("cache").insert({"key": "a", "value": "", "expiration": 0})
            inside = conn.scalar("select connection_id()")

        assert before == inside == conn.scalar("select connection_id()")
