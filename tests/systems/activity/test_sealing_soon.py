"""Rows are sealed by themselves a moment after the commit, and never before."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from so.db.connection import Connection
from so.systems.activity import ActivityLog
from so.systems.activity.integrity import SealSoon
from tests.conftest import install

KEY = "audit-" + "k" * 32


@pytest.fixture
def log(db, clock):
    made = ActivityLog(db, clock=clock, keys=[KEY], seal_delay_seconds=0.01)
    yield made
    made.soon.wait()


def test_a_burst_of_commits_is_sealed_without_being_asked(log, db):
    for n in range(5):
        log.entry().log(str(n))
    log.soon.wait()

    assert db.connection().scalar("select count(*) from activity_log where seal_no is null") == 0
    assert log.verify().exit_code == 0


def test_whoever_sealed_leaves_no_file_behind(log, db):
    from so.systems.activity.turns import turn_of

    log.entry().log("x")
    log.soon.wait()

    assert turn_of(db.connection()).asked() == 0
    assert db.connection().scalar("select seal_no from activity_log") == 1


def test_a_row_is_not_sealed_while_its_transaction_is_open(log, db):
    connection = db.connection()
    with db.transaction():
        log.entry().log("later")
        assert log.soon._thread is None
    log.soon.wait()

    assert connection.scalar("select seal_no from activity_log") == 1


def test_a_row_that_is_rolled_back_wakes_nobody(log, db):
    db.connection().begin_transaction()
    log.entry().log("never")
    db.connection().roll_back()

    assert log.soon._thread is None


def test_a_database_in_memory_is_sealed_as_well(clock):
    with Connection(":memory:", clock=clock) as connection:
        install(connection)
        made = ActivityLog(connection, clock=clock, keys=[KEY], seal_delay_seconds=0.01)
        row = made.row("x", subject=(None, None, None), causer=None, properties={})
        made.write(connection, [row])
        made.soon.wait()

        assert connection.scalar("select seal_no from activity_log") == 1


def test_an_error_while_sealing_is_told_to_the_log(db, caplog):
    def fail(connection):
        raise OSError("no disk")

    soon = SealSoon(fail, 0.01)
    with caplog.at_level(logging.WARNING, "so.activity"):
        soon.wake(db.connection())
        soon.wait()

    assert "no disk" in caplog.text


def test_a_forked_child_has_a_sealer_of_its_own(log):
    log.entry().log("parent")
    pid = os.fork()
    if pid == 0:
        before = log.soon._thread
        log.soon.wake(log.db.connection())
        os._exit(0 if log.soon._thread not in (None, before) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
def test_while_another_process_seals_a_sealer_does_nothing(db, clock):
    from so.systems.activity.sealing import lock

    made = ActivityLog(db, clock=clock, keys=[KEY], seal_delay_seconds=None)
    made.entry().log("x")
    with db.connection().separate() as other, lock(other, "seal") as is_ours:
        assert is_ours
        assert made.sealer.seal().rows == 0
    assert made.sealer.seal().rows == 1


def test_a_sealer_that_comes_second_leaves_no_trace(db, clock, monkeypatch):
    from so.systems.activity.sealing import Head

    made = ActivityLog(db, clock=clock, keys=[KEY], seal_delay_seconds=None)
    made.entry().log("x")
    stale = made.sealer.head(db.connection())
    made.sealer.seal()
    made.entry().log("y")
    monkeypatch.setattr(made.sealer, "head", lambda connection: Head(*stale.__dict__.values()))

    assert made.sealer.seal().rows == 0
    monkeypatch.undo()
    assert db.connection().scalar("select count(*) from activity_seals") == 1
    assert made.sealer.seal().rows == 1
    assert made.verify().exit_code == 0


def test_one_process_of_a_machine_seals_and_hears_of_what_others_leave(log, db):
    from so.systems.activity.turns import turn_of

    connection = db.connection()
    turn, (told, tell) = turn_of(connection), os.pipe()
    other = os.fork()
    if other == 0:
        turn.take()
        before = turn.asked()
        os.write(tell, b"x")
        for _ in range(1000):
            if turn.asked() != before:
                threading.Event().wait(0.3)
                os._exit(0)
            threading.Event().wait(0.01)
        os._exit(1)
    os.read(told, 1)
    log.entry().log("x")
    log.soon.wait()
    assert connection.scalar("select seal_no from activity_log") is None

    assert os.waitpid(other, 0)[1] == 0
    log.entry().log("y")
    log.soon.wait()
    assert connection.scalar("select count(*) from activity_log where seal_no is null") == 0
    os.close(told)
    os.close(tell)
