"""The doctor: what is wrong with a queue, its workers, its tables and its server."""

from __future__ import annotations

from typing import Any

import pytest

from so.db.manager import Database
from so.db.schema import install
from so.settings.queue import QueueSettings
from so.support.clock import Clock
from so.systems.queue import Queue
from so.systems.queue.care.doctor import _supports_skip_locked
from so.systems.worker import Worker
from tests.systems.queue.conftest import beat
from tests.systems.queue.jobs import Fails, Note


def names(queue: Queue, **settings: Any) -> list[str]:
    return [finding.name for finding in queue.doctor(QueueSettings(**settings)).examine()]


def test_the_doctor_finds_nothing_in_a_healthy_queue(queue: Queue, clock: Clock) -> None:
    queue.push(Note("a"))
    beat(queue, clock)

    assert names(queue) == []


def test_the_doctor_names_each_seeded_fault(queue: Queue, db: Database, clock: Clock) -> None:
    beat(queue, clock, id="dead")
    clock.travel(3700)
    beat(queue, clock, queues=["low"])
    queue.control.restart()
    now = int(clock.time())
    db.table("jobs").insert(
        [
            {
                "queue": "default",
                "payload": '{"job": "gone.Class"}',
                "available_at": now - 3601,
                "created_at": now,
            },
            {"queue": "low", "payload": "{", "available_at": now, "created_at": now},
        ]
    )
    queue.control.pause("low")

    found = names(queue, lease_seconds=2, kill_grace=100, stop_grace=0, timeout=60)
    assert sorted(found) == [
        "dead_worker",
        "kill_grace",
        "lease",
        "oldest_wait",
        "paused",
        "restart",
        "stop_grace",
        "unknown_class",
        "unknown_class",
        "unserved",
    ]


def test_the_doctor_looks_at_delayed_jobs_and_at_any_payload(
    queue: Queue, db: Database, clock: Clock
) -> None:
    row = {"queue": "default", "created_at": 0, "available_at": int(clock.time()) + 60}
    for payload in ('{"job": {}}', "null", '"text"', "[" * 5000, '{"job": "gone.Later"}'):
        db.table("jobs").insert({**row, "payload": payload})

    (finding,) = queue.doctor().examine()
    assert "(unreadable payload), gone.Later" in finding.text


def test_the_doctor_forgives_a_dead_worker_that_was_replaced(queue: Queue, clock: Clock) -> None:
    beat(queue, clock, id="first")
    clock.travel(60)
    beat(queue, clock, id="other machine", host="erp2")
    beat(queue, clock, id="other queues", queues=["low"])
    assert [finding.is_fatal for finding in queue.doctor().examine()] == [True]

    beat(queue, clock, id="second")
    (finding,) = queue.doctor().examine()
    assert not finding.is_fatal
    assert "second has taken its place" in finding.text


def test_the_doctor_sees_what_is_not_there(queue: Queue, db: Database, engine: str) -> None:
    assert names(Queue(db, clock=queue.clock, default="redis")) == ["connection"]
    conn = db.connection()
    index = "drop index failed_jobs_fingerprint_index"
    conn.statement(index if engine == "sqlite" else f"alter table failed_jobs {index}")
    conn.statement("alter table queue_locks rename to away")
    try:
        assert sorted(names(queue)) == ["schema", "schema"]
    finally:
        conn.statement("alter table away rename to queue_locks")
        install(conn)
    assert names(queue) == []


def test_the_doctor_asks_the_database_for_its_clock(db_config: dict[str, Any], engine: str) -> None:
    class Late(Clock):
        def time(self) -> float:
            return super().time() - 9

    with Database({"default": db_config}, clock=Late()) as db:
        # An SQLite database has the clock of its machine.
        assert names(Queue(db, clock=Late())) == (["clock"] if engine == "mysql" else [])


def test_the_doctor_sees_a_wrong_index(queue: Queue, db: Database, engine: str) -> None:
    conn = db.connection()
    if engine == "sqlite":
        conn.statement("drop index jobs_due_index")
    else:
        conn.statement("alter table jobs drop index jobs_due_index")
        conn.statement("alter table jobs add index jobs_due_index (queue)")
    try:
        assert "index" in names(queue)
    finally:
        if engine == "mysql":
            conn.statement("alter table jobs drop index jobs_due_index")
            conn.statement("alter table jobs add index jobs_due_index (queue, available_at, id)")


def test_the_doctor_sees_a_clock_that_is_off_and_many_failures(
    queue: Queue, db: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("so.db.connection.Connection.database_time", lambda self: clock.time() + 9)
    monkeypatch.setattr("so.systems.queue.care.doctor.MANY_FAILURES", 1)
    queue.push(Fails())
    Worker(queue).run_all()
    beat(queue, clock)

    assert names(queue) == ["clock", "failed_jobs"]
    assert queue.doctor().examine()[0].to_dict()["name"] == "clock"


def test_the_doctor_sees_what_is_wrong_with_the_engine(
    queue: Queue,
    db: Database,
    db_config: dict[str, Any],
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conn = db.connection()
    if engine == "mysql":
        monkeypatch.setattr(Queue, "worker_connection", lambda self: conn)
        conn.statement("set session transaction isolation level serializable")
        assert names(queue) == ["isolation", "isolation"]
        conn.statement("set session transaction isolation level repeatable read")
        monkeypatch.undo()
        with Database({"default": {**db_config, "isolation": "serializable"}}) as strict:
            assert names(Queue(strict)) == ["isolation"]
    else:
        conn.close()
        with Database({"default": {**db_config, "journal_mode": "delete"}}) as slow:
            assert names(Queue(slow)) == ["journal_mode"]


@pytest.mark.parametrize(
    ("version", "supported"),
    [("10.11.19-MariaDB", True), ("10.5.1-MariaDB", False), ("8.0.36", True), ("5.7.44", False)],
)
def test_old_servers_know_no_skip_locked(version: str, supported: bool) -> None:
    assert _supports_skip_locked(version) is supported
