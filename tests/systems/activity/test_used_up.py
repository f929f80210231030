"""A row with the last number there is does not stop the trail."""

from __future__ import annotations

import pytest

from so.errors import ActivityError
from so.support.current import replaced
from tests.systems.activity.conftest import Person, make

LAST = {"sqlite": 2**63 - 1, "mysql": 2**64 - 1}


@pytest.fixture
def forged(log, db, clock):
    """The trail of another process, which finds a row with the last number."""
    connection = db.connection()
    sealed = make(db, clock)
    with replaced("activity", sealed):
        sealed.entry().log("before")
        sealed.sealer.seal()
        copy = "insert into activity_log (id, log_name, description, uid) values (?, 'x', 'y', 'z')"
        connection.insert(copy, [LAST[connection.dialect.name]])
        yield make(db, clock)
    if connection.dialect.name == "mysql":
        connection.unprepared("drop table activity_log")  # the next test installs it anew
    else:
        connection.unprepared("delete from activity_log")
        connection.unprepared("update sqlite_sequence set seq = 0 where name = 'activity_log'")


def test_what_is_written_after_a_forged_last_number_is_logged_and_verified(forged, db):
    with replaced("activity", forged):
        for name in ("x", "y"):
            Person.create(name=name)
        Person.where("name", "x").update({"name": "z"})
    forged.sealer.seal()

    found = db.connection().table("activity_log").where("subject_type", "person")
    assert found.order_by("id").pluck("event") == ["created", "created", "updated"]
    report = forged.verify()
    assert report.kinds == {"inserted": 1}
    assert report.faults[0].row == LAST[db.connection().dialect.name]


def test_rows_of_one_statement_get_numbers_of_their_own(forged, db):
    with replaced("activity", forged):
        Person.insert([{"name": "a"}, {"name": "b"}, {"name": "c"}])

    found = db.connection().table("activity_log").where("event", "created").pluck("id")
    assert len(set(found)) == 3


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_process_that_is_hit_says_so_once_and_goes_on(log, db):
    log.entry().log("before")
    db.connection().unprepared(f"update activity_log set id = {LAST['sqlite']}")

    with pytest.raises(ActivityError, match="last number.*run it again.*activity:verify"):
        Person.create(name="x")
    Person.create(name="y")

    assert Person.pluck("name") == ["y"]
    assert db.connection().table("activity_log").where("event", "created").count() == 1
