"""Rows that somebody wrote past the log: each is found, and none of them stops who reads."""

from __future__ import annotations

import contextlib
import json

import pytest

from so.errors import ActivityError, DatabaseError, IntegrityError
from so.support.current import replaced
from so.systems.activity import Activity, framing
from tests.support.needed import sqlite_only
from tests.systems.activity.conftest import Person, make

COLUMNS = ("row_mac", "salt", *framing.FRAMED, *framing.CONTENT)
FORMS = {
    "sqlite": ["coalesce({c}, '') || 'x'", "null", "''", "cast({c} as blob)", "17",
               "cast(x'ff' as text)", "{c} || cast(x'00' as text)"],
    "mysql": ["concat(coalesce({c}, ''), 'x')", "null", "''", "concat({c}, ' ')", "upper({c})"],
}  # fmt: skip


class Undone(Exception):
    """Takes a change back."""


@pytest.mark.parametrize("id", [3, 16], ids=["sealed", "loose"])
def test_every_signed_column_in_any_other_form_is_found(trail, db, id):
    connection, missed = db.connection(), []

    def stored(column):
        kind = "typeof({0})" if connection.dialect.name == "sqlite" else "1"
        sql = f"select hex({{0}}), {{0}} is null, {kind} from activity_log where id = ?"
        return connection.select_tuples(sql.format(column), [id])

    def attack(column, form):
        before = stored(column)
        change = f"{column} = {form.format(c=column)}"
        connection.update(f"update activity_log set {change} where id = ?", [id])
        if stored(column) != before and trail.verify().exit_code != 1:
            missed.append(change)
        raise Undone

    for column in COLUMNS:
        for form in FORMS[connection.dialect.name]:
            try:
                with connection.transaction():
                    attack(column, form)
            except (Undone, DatabaseError):
                pass  # not every column takes every form

    assert missed == []


@sqlite_only  # it takes numbers only
def test_a_seals_number_that_is_no_text_at_all_is_a_finding(trail, db):
    db.connection().update("update activity_log set seal_no = cast(x'ff41' as text) where id = 3")

    assert {fault.kind for fault in trail.verify().faults} == {"deleted", "inserted"}


ODD = {
    "properties": ["'no JSON'", "'[1]'", "'5'", "null", """'{"attributes": [1], "old": 5}'"""],
    "context": ["'{'", "'[1]'", "null"],
    "event": ["null"],
    "log_name": ["null"],
    "created_at": ["null"],
}
ODD_IN_SQLITE = {
    "created_at": ["'some day'"],
    "subject_label": ["cast(x'fe' as text)"],
    "properties": ["cast(x'7b22ff227d' as text)"],
    "causer_id": ["x'0001'"],
}


@pytest.mark.parametrize("is_signed", [True, False], ids=["signed", "unsigned"])
def test_an_odd_row_stops_neither_lists_nor_exports_nor_care(log, db, clock, is_signed):
    trail, connection = make(db, clock) if is_signed else log, db.connection()
    with replaced("activity", trail):
        person = Person.create(name="Ada", email="a@x.example")
        person.update(name="Bea")
        odd = [(column, value) for column, values in ODD.items() for value in values]
        if connection.dialect.name == "sqlite":
            odd += [(column, value) for column, values in ODD_IN_SQLITE.items() for value in values]
        for column, value in odd:
            connection.begin_transaction()
            connection.update(f"update activity_log set {column} = {value} where id = 2")
            read_all(trail, person, is_broken="cast" in value)
            connection.roll_back()


def read_all(trail, person, *, is_broken):
    for format in ("csv", "json", "jsonl"):
        assert len("".join(trail.export(format)).splitlines()) >= 2
        assert "Ada" in "".join(trail.report(format))
    trail.stats()
    list(trail.mentions("person", str(person.id), ("name",)))
    if is_broken:
        return  # SQLite's driver itself cannot read it, and says which column it is
    for entry in Activity.order_by("id").get():
        json.dumps([entry.properties, entry.context, entry.changes(), entry.to_dict()], default=str)
    for ask in (person.versions, lambda: person.as_of(trail.clock.now())):
        with contextlib.suppress(ActivityError):  # which says what to do
            ask()


@sqlite_only  # it keeps no broken text
def test_what_is_odd_and_signed_is_evidence_that_erasing_leaves_alone(log, db, clock):
    trail = make(db, clock)
    with replaced("activity", trail):
        Person.create(name="Ada", email="a@x.example")
        sql = "update activity_log set properties = cast(x'ff' as text)"
        db.connection().update(sql)

        with pytest.raises(IntegrityError, match="is evidence"):
            trail.erase("person", "1", ("name",))
