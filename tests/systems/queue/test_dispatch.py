"""Dispatching: when a row is stored, what is in it, and when it may start."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from so.db.manager import Database
from so.errors import CodecError, QueueError
from so.support.clock import Clock
from so.support.codec import allow
from so.support.scope import Scope, current_scope, entered
from so.systems.queue import Job, Queue, chain, dispatch, dispatch_sync, exponential
from so.systems.worker import Worker
from tests.systems.queue.jobs import DIARY, Fails, Note


def rows(db: Database) -> list[dict[str, Any]]:
    return [dict(row) for row in db.connection().select("select * from jobs order by id")]


def test_a_dispatched_job_is_stored_before_the_statement_ends(queue: Queue, db: Database) -> None:
    dispatch(Note("a"))

    assert [json.loads(row["payload"])["data"] for row in rows(db)] == [{"word": "a"}]


def test_the_payload_has_the_documented_fields(queue: Queue, db: Database, clock: Clock) -> None:
    Note.dispatch("a", count=2)

    payload = json.loads(rows(db)[0]["payload"])
    assert payload["uuid"] == rows(db)[0]["uuid"]
    assert payload["job"] == payload["displayName"] == "tests.systems.queue.jobs.Note"
    assert payload["data"] == {"word": "a", "count": 2}
    assert payload["createdAt"] == int(clock.time())
    assert {"maxTries", "timeout", "backoff", "context"} <= set(payload)


def test_arguments_come_back_as_what_they_were(queue: Queue, worker: Worker) -> None:
    moment = datetime(2026, 1, 15, tzinfo=UTC)
    queue.push(Note({"at": moment, "sum": Decimal("1.10"), "set": {1, 2}, "inf": float("inf")}))

    worker.run_one()

    assert [{"at": moment, "sum": Decimal("1.10"), "set": {1, 2}, "inf": float("inf")}] == DIARY


def test_an_argument_that_cannot_be_written_is_refused_at_once(queue: Queue) -> None:
    with pytest.raises(CodecError, match="object"):
        queue.push(Note(object()))


class Colour(Enum):
    RED = "red"


@allow
class Size(Enum):
    SMALL = "s"


@allow
@dataclass
class Box:
    size: Size
    count: int = 1


def test_enums_and_dataclasses_come_back_once_they_are_allowed(
    queue: Queue, worker: Worker
) -> None:
    with pytest.raises(CodecError, match=r"cannot write Colour: put @allow on the class"):
        queue.push(Note(Colour.RED))
    queue.push(Note([Box(Size.SMALL), Size.SMALL]))
    worker.run_one()

    assert [[Box(Size.SMALL, 1), Size.SMALL]] == DIARY


def test_what_an_application_needs_of_the_queue_imports_from_so() -> None:
    import so

    for name in (
        "exponential callback allow TimeoutExceeded MaxAttemptsExceeded WorkerLost JobCancelled "
        "QueueError InvalidPayloadError UnknownJobError"
    ).split():
        assert getattr(so, name).__name__ == name


def test_dispatching_something_else_is_refused(queue: Queue) -> None:
    with pytest.raises(QueueError, match="give an instance of a Job"):
        dispatch("Report")  # type: ignore[arg-type]


def test_a_pending_dispatch_says_where_and_when(queue: Queue, db: Database, clock: Clock) -> None:
    dispatch(Note("a")).on_queue("high").delay(60)
    dispatch(Note("b")).delay(timedelta(minutes=2))
    dispatch(Note("c")).delay(datetime(2026, 1, 15, 13, tzinfo=UTC))

    now = int(clock.time())
    assert [(row["queue"], row["available_at"] - now) for row in rows(db)] == [
        ("high", 60),
        ("default", 120),
        ("default", 3600),
    ]


def test_sending_twice_stores_once(queue: Queue) -> None:
    pending = dispatch(Note("a"))

    first, second = pending.send(), pending.send()
    del pending

    assert first == second
    assert queue.size() == 1


def test_dispatch_if_and_unless(queue: Queue) -> None:
    Note.dispatch_if(False, "a")
    Note.dispatch_if(lambda: True, "b")
    Note.dispatch_unless(True, "c")
    Note.dispatch_unless(False, "d")

    assert queue.size() == 2


def test_later_and_push_name_their_queue(queue: Queue) -> None:
    queue.push(Note("a"), "low")
    queue.later(10, Note("b"), queue="low")

    assert queue.size("low") == 2
    assert queue.pending_size("low") == 1
    assert queue.delayed_size("low") == 1
    assert queue.reserved_size("low") == 0


def test_a_bad_delay_and_a_bad_queue_name_are_told(queue: Queue) -> None:
    with pytest.raises(QueueError, match="cannot delay a job by 'soon'"):
        queue.later("soon", Note("a"))
    with pytest.raises(QueueError, match="name of a queue"):
        queue.push(Note("a"), "schlüssel")


def test_bulk_stores_all_or_nothing(queue: Queue, worker: Worker) -> None:
    assert queue.bulk(Note(n) for n in range(1203)) == 1203
    with pytest.raises(CodecError):
        queue.bulk([Note("good"), Note(object())])

    assert queue.size() == 1203
    assert worker.run_all() == 1203
    assert list(range(1203)) == DIARY


def test_bulk_sends_each_job_to_its_connection(queue: Queue) -> None:
    class Sync(Note):
        connection = "sync"

    assert queue.bulk([Note("a"), Sync("b"), Note("c").on_connection("sync")]) == 3
    assert DIARY == ["b", "c"]
    assert queue.size() == 1

    with pytest.raises(QueueError, match="no queue connection 'nowhere'"):
        queue.bulk([Note("d"), Sync("e"), Note("f").on_connection("nowhere")])
    assert (queue.size(), len(DIARY)) == (1, 2)


def test_a_job_dispatched_in_a_transaction_waits_for_its_commit(
    queue: Queue, db: Database, worker: Worker
) -> None:
    with db.transaction():
        dispatch(Note("a"))
        if worker.store.dialect == "mysql":
            assert not worker.run_one()

    assert worker.run_one()


def test_a_job_dispatched_in_a_transaction_is_gone_after_its_rollback(
    queue: Queue, db: Database
) -> None:
    db.begin_transaction()
    dispatch(Note("a"))
    with db.transaction():
        queue.bulk([Note("b"), Note("c")])
    chain([Note("d"), Note("e")]).dispatch()
    db.roll_back()

    assert queue.size() == 0


def test_24_a_savepoint_takes_its_own_jobs_with_it(queue: Queue, db: Database) -> None:
    with db.transaction():
        dispatch(Note("kept"))
        db.begin_transaction()
        dispatch(Note("dropped"))
        db.roll_back()

    assert [json.loads(row["payload"])["data"]["word"] for row in rows(db)] == ["kept"]


def test_after_commit_stores_only_after_the_commit(queue: Queue, db: Database) -> None:
    with db.transaction():
        dispatch(Note("a")).after_commit()
        assert queue.size() == 0
    assert queue.size() == 1

    db.begin_transaction()
    dispatch(Note("b")).after_commit()
    db.roll_back()
    assert queue.size() == 1


def test_before_commit_overrules_the_class(queue: Queue, db: Database) -> None:
    class Patient(Note):
        after_commit = True

    with db.transaction():
        dispatch(Patient("a")).before_commit()
        assert queue.size() == 1


def test_the_sync_connection_runs_at_once_and_raises(db: Database, clock: Clock) -> None:
    queue = Queue(db, clock=clock, default="sync")
    DIARY.clear()

    queue.dispatch(Note("a"))
    with pytest.raises(ValueError, match="no luck"):
        queue.push(Fails())

    assert DIARY == ["a", "try", "failed: no luck"]
    assert queue.size() == 0


def test_a_sync_job_may_wait_for_the_commit(queue: Queue, db: Database) -> None:
    with db.transaction():
        dispatch(Note("a")).on_connection("sync").after_commit()
        assert DIARY == []

    assert DIARY == ["a"]


def test_dispatch_sync_runs_here_and_gives_the_result(queue: Queue) -> None:
    class Sums(Job):
        def __init__(self, a: int, b: int) -> None:
            self.sum = a + b

        def handle(self) -> int:
            assert self.attempts() == 1
            return self.sum

    assert dispatch_sync(Sums(1, 2)) == 3
    assert Sums.dispatch_sync(2, 2) == 4
    assert queue.size() == 0


def test_an_unknown_connection_is_told(queue: Queue) -> None:
    with pytest.raises(QueueError, match="no queue connection 'redis': use one of database, sync"):
        dispatch(Note("a")).on_connection("redis").send()


def test_another_connection_is_another_queue(queue: Queue, db: Database, clock: Clock) -> None:
    front = Queue(db, clock=clock, connection_name="front", others={"database": queue})

    front.push(Note("a").on_connection("database"))

    assert queue.size() == 1


def test_the_default_queue_is_the_connections(db: Database, clock: Clock) -> None:
    queue = Queue(db, clock=clock, default_queue="main")

    queue.push(Note("a"))

    assert queue.size("main") == queue.size() == 1


def test_the_settings_of_a_class_and_of_one_job_are_in_the_payload(
    queue: Queue, db: Database
) -> None:
    class Careful(Note):
        tries = 7
        timeout = None
        backoff = exponential(5, cap=60, jitter=False)
        on_crash = "fail"

        def tags(self) -> list[str]:
            return ["month"]

        def retry_until(self) -> datetime:
            return datetime(2026, 1, 16, tzinfo=UTC)

    job = Careful("b")
    job.tries = 2
    queue.push(Careful("a"))
    queue.push(job)

    first, second = (json.loads(row["payload"]) for row in rows(db))
    assert (first["maxTries"], second["maxTries"]) == (7, 2)
    assert first["timeout"] == 0
    assert first["backoff"] == {"base": 5, "factor": 2, "cap": 60, "jitter": False}
    assert first["onCrash"] == "fail"
    assert first["tags"] == ["month"]
    assert first["retryUntil"] == datetime(2026, 1, 16, tzinfo=UTC).timestamp()


def test_a_job_with_free_arguments_keeps_them_by_position(queue: Queue, worker: Worker) -> None:
    class Free(Job):
        def __init__(self, *words: str, **more: int) -> None:
            self.words = words
            self.more = more

        def handle(self) -> None:
            DIARY.append((self.words, self.more))

    queue.push(Free("a", "b", n=1))
    worker.run_one()

    assert DIARY == [(("a", "b"), {"n": 1})]


def test_a_job_takes_over_request_id_batch_and_causer(queue: Queue, worker: Worker) -> None:
    class Asks(Job):
        def handle(self) -> None:
            scope = current_scope()
            assert scope is not None
            DIARY.append((scope.kind, scope.request_id, scope.batch, scope.causer))

    with entered(Scope("request", request_id="r-1")) as scope:
        scope.causer = "system:test"
        scope.batch = "b-1"
        dispatch(Asks())
    worker.run_one()

    assert DIARY == [("job", "r-1", "b-1", "system:test")]
    assert current_scope() is None


def test_a_dispatch_that_fails_silently_is_told_in_full(
    queue: Queue, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    unraisable: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        dispatch(Note(object()))
    finally:
        sys.unraisablehook = hook

    assert len(unraisable) == 1
    assert "could not be queued" in caplog.text
