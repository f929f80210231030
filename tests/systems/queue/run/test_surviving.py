"""Whatever a row holds and a job does, the worker goes on, and nothing is lost or hidden."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from so.db.manager import Database
from so.errors import InvalidPayloadError, QueueError
from so.support.clock import Clock
from so.systems.queue import Job, Queue, ThrottlesExceptions
from so.systems.queue.delays import backoff_seconds
from so.systems.queue.payload import Payload
from so.systems.queue.run.run import TimeUp
from so.systems.queue.run.runner import JobLimits
from so.systems.worker import Worker
from tests.support.needed import sqlite_only
from tests.systems.queue.jobs import DIARY, Fails, Note
from tests.systems.queue.run.test_running import insert_by_hand, job_row

NOTE = "tests.systems.queue.jobs.Note"
FAILS = "tests.systems.queue.jobs.Fails"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def payload(**fields: Any) -> str:
    """A payload as a hand might write it; `json.dumps` also writes NaN and Infinity."""
    return json.dumps({"uuid": "u-1", "job": NOTE, "data": {"word": "x"}, **fields})


def link(**fields: Any) -> list[dict[str, Any]]:
    return [{"uuid": "u-2", "job": NOTE, "data": {"word": "y"}, **fields}]


# --- payloads ---


@pytest.mark.parametrize(
    "text",
    [
        payload(chained=5),
        payload(chained="abc"),
        payload(chained={"a": 1}),
        payload(chained=link(delay="x")),
        payload(chained=link(delay=float("inf"))),
        payload(chained=link(onQueue="q" * 65)),
        payload(chained=link(uuid="u" * 65)),
        payload(chained=link(batchId={"a": 1})),
        payload(job=FAILS, data={}, maxTries=1, chainCatch=link(delay="x")),
        payload(job=FAILS, data={}, backoff={"nope": 1}),
        payload(job=FAILS, data={}, backoff={"base": "x"}),
        payload(job=FAILS, data={}, backoff=[None]),
        payload(job=FAILS, data={}, backoff=float("nan")),
        payload(job=FAILS, data={}, backoff=1e30),
        payload(job=FAILS, data={}, backoff=float("inf")),
        payload(maxTries=float("inf")),
        payload(maxTries=float("nan")),
        payload(maxExceptions=float("inf")),
        payload(timeout=1e30),
        payload(retryUntil=float("nan")),
        payload(job="\ud800"),
        payload(job="nobody", displayName="\ud800"),
        payload(uuid="\ud800"),
        payload(uuid="u" * 65),
        payload(context={"causer": {"$": "model", "v": [1]}}, job=FAILS, data={}, maxTries=1),
        payload(data={"word": {"$": "model", "v": [1]}}),
        "[" * 100_000,
        '{"job": "x", "maxTries": ' + "9" * 5_000 + "}",
    ],
)
def test_12_a_payload_of_nonsense_fails_and_the_next_job_runs(
    queue: Queue, db: Database, worker: Worker, clock: Clock, text: str
) -> None:
    insert_by_hand(db, text, clock)
    queue.push(Note("next"))

    worker.run_all()

    (failed,) = queue.failed()
    assert failed.payload == text
    assert "Error" in failed.reason
    assert DIARY[-1] == "next"
    assert queue.size() == 0


@sqlite_only  # MySQL takes only text into a column of text
def test_12_bytes_that_are_no_text_fail_and_the_next_job_runs(queue: Queue, clock: Clock) -> None:
    conn = queue.source.connection()
    now = int(clock.time())
    conn.run(
        "insert into jobs (queue, payload, uuid, available_at, created_at) "
        "values ('default', cast(x'ff00' as text), cast(x'ff' as text), ?, ?)",
        (now, now),
    )
    queue.push(Note("next"))
    worker = Worker(queue)
    worker.run_all()
    worker.conn.close()

    (failed,) = queue.failed()
    assert failed.reason.startswith("InvalidPayloadError: the payload is not JSON")
    assert DIARY == ["next"]


def test_12_a_payload_as_long_as_a_packet_may_be_fails_with_its_traceback(
    queue: Queue, db: Database, worker: Worker, clock: Clock, engine: str
) -> None:
    length = 1_000_000
    if engine == "mysql":
        length = int(db.connection().scalar("select @@max_allowed_packet")) - 400
    text = payload(job=FAILS, data={}, maxTries=1, filler="")
    text = text.replace('"filler": ""', f'"filler": "{"x" * (length - len(text))}"')
    insert_by_hand(db, text, clock)

    worker.run_one()

    assert queue.size() == 0
    assert db.connection().scalar("select length(payload) from failed_jobs") == len(text)
    assert "in handle" in str(db.connection().scalar("select exception from failed_jobs"))


def test_a_chain_whose_next_link_cannot_be_stored_fails(
    queue: Queue, db: Database, worker: Worker, clock: Clock
) -> None:
    insert_by_hand(db, payload(chained=link(data={"word": "\ud800"})), clock)
    queue.push(Note("next"))

    worker.run_all()

    assert DIARY == ["x", "next"]
    assert "UnicodeEncodeError" in queue.failed()[0].exception
    assert queue.size() == 0


def test_a_failure_is_kept_even_if_what_follows_from_it_cannot_be_stored(
    queue: Queue, db: Database, worker: Worker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    catch = link(data={"word": "\ud800"})
    insert_by_hand(db, payload(job=FAILS, data={}, maxTries=1, chainCatch=catch), clock)
    queue.push(Note("next"))

    worker.run_all()

    assert queue.failed()[0].reason == "ValueError: no luck"
    assert "fails without the jobs that are to follow it" in caplog.text
    assert DIARY[-1] == "next"


def test_a_row_reserved_by_hand_is_at_its_first_attempt(
    queue: Queue, db: Database, worker: Worker, clock: Clock
) -> None:
    now = int(clock.time())
    text = payload(job="tests.systems.queue.jobs.NoteAttempt", data={})
    insert_by_hand(db, text, clock, reserved_at=now - 90, available_at=now - 60)

    worker.run_one()

    assert DIARY == [1]


def test_a_job_cannot_be_put_off_for_ever(queue: Queue) -> None:
    for delay in (float("nan"), float("inf"), 1e12):
        with pytest.raises(QueueError, match="cannot delay a job"):
            queue.later(delay, Note("a"))
    assert backoff_seconds({"base": 1.0, "factor": 1e9, "cap": 60, "jitter": False}, 60) == 60
    assert backoff_seconds(float("inf"), 1) < 2**31


def test_an_odd_uuid_is_told() -> None:
    with pytest.raises(InvalidPayloadError, match="give at most 64 ASCII characters"):
        Payload.read('{"job": "x", "uuid": "ü"}')


# --- exceptions ---


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("cannot read " + os.fsdecode(b"caf\xe9.csv")), r"cannot read caf\udce9.csv"),
        (Unspeakable(), "Unspeakable: <exception str() failed>"),
    ],
)
def test_an_exception_that_cannot_be_written_down_is_kept_all_the_same(
    queue: Queue, worker: Worker, error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Half a surrogate in the log would be too much for pytest-xdist.
    caplog.set_level("CRITICAL", "so.queue")

    class Odd(Job):
        tries = 1

        def handle(self) -> None:
            raise error

    queue.push(Odd())
    queue.push(Note("next"))
    worker.run_all()

    (failed,) = queue.failed()
    assert told in failed.exception
    assert "in handle" in failed.exception
    assert DIARY == ["next"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, TimeUp])
def test_an_exit_in_failed_stops_nothing(
    queue: Queue, worker: Worker, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    class Clumsy(Fails):
        tries = 1

        def failed(self, exception: BaseException) -> None:
            raise kind

    queue.push(Clumsy())
    queue.push(Note("next"))
    worker.run_all()

    assert DIARY == ["try", "next"]
    assert "did not come to its end" in caplog.text


def test_a_throttled_job_keeps_the_exception_of_its_last_attempt(
    queue: Queue, worker: Worker, clock: Clock
) -> None:
    class Throttled(Fails):
        tries = 3

        def middleware(self) -> list[object]:
            return [ThrottlesExceptions(10, 60)]

    queue.push(Throttled("the bank is closed"))
    worker.run_all()

    (failed,) = queue.failed()
    assert failed.reason == "ValueError: the bank is closed"
    assert "in handle" in failed.exception
    assert failed.attempts == 3


# --- what a job says of its own end ---


def test_a_job_that_has_deleted_itself_is_gone_whatever_happens_next(
    queue: Queue, worker: Worker
) -> None:
    class Done(Job):
        def handle(self) -> None:
            self.delete()
            raise ValueError

    queue.push(Done())
    worker.run_one()

    assert queue.size() == queue.failed_jobs.count() == 0


def test_an_exception_after_a_release_keeps_its_delay(
    queue: Queue, db: Database, worker: Worker, clock: Clock
) -> None:
    class Later(Job):
        def handle(self) -> None:
            self.release(30)
            raise ValueError

    queue.push(Later())
    worker.run_one()

    assert job_row(db)["available_at"] == int(clock.time()) + 30
    assert job_row(db)["exceptions"] == 1


def test_a_failure_is_not_taken_back_by_a_release(queue: Queue, worker: Worker) -> None:
    class Torn(Job):
        def handle(self) -> None:
            self.release(30)
            self.fail("enough")
            self.release()
            self.delete()

    queue.push(Torn())
    worker.run_one()

    assert [failed.reason for failed in queue.failed()] == ["QueueError: enough"]


# --- transactions ---


@pytest.mark.parametrize("how", ["release", "fail"])
def test_a_transactional_job_that_comes_back_leaves_no_effects(
    queue: Queue, db: Database, worker: Worker, how: str
) -> None:
    class Books(Job):
        transactional = True

        def handle(self) -> None:
            db.table("cache").insert({"key": "a", "value": "b", "expiration": 0})
            getattr(self, how)()

    queue.push(Books())
    worker.run_one()

    assert db.table("cache").count() == 0
    assert queue.size() + queue.failed_jobs.count() == 1


def test_a_transactional_job_that_deletes_itself_keeps_its_effects(
    queue: Queue, db: Database, worker: Worker
) -> None:
    class Books(Job):
        transactional = True

        def handle(self) -> None:
            db.table("cache").insert({"key": "a", "value": "b", "expiration": 0})
            self.delete()

    queue.push(Books())
    worker.run_one()

    assert db.table("cache").count() == 1
    assert queue.size() == 0


def test_a_transactional_job_run_at_once_is_a_transaction_too(queue: Queue, db: Database) -> None:
    class Books(Job):
        transactional = True

        def handle(self) -> None:
            db.table("cache").insert({"key": "a", "value": "b", "expiration": 0})
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        queue.dispatch_sync(Books())

    assert db.table("cache").count() == 0


def test_hooks_hear_of_jobs_that_end_in_a_transaction_after_its_commit(
    queue: Queue, db: Database, worker: Worker
) -> None:
    class Books(Job):
        transactional = True

        def handle(self) -> None:
            DIARY.append("books")

    class Completes(Job):
        def handle(self) -> None:
            with db.connection().transaction() as conn:
                self.complete_in(conn)

    told: list[tuple[str, int]] = []
    queue.after(lambda event: told.append((event.name.rpartition(".")[2], queue.size())))
    queue.push(Books())
    worker.run_one()
    queue.push(Completes())
    worker.run_one()

    assert told == [("Books", 0), ("Completes", 0)]


@pytest.mark.parametrize("raises", [False, True])
def test_a_transaction_begun_in_plain_sql_is_ended_with_its_job(
    queue: Queue, db: Database, worker: Worker, engine: str, raises: bool
) -> None:
    class Begins(Job):
        tries = 1

        def handle(self) -> None:
            db.connection().unprepared("begin immediate" if engine == "sqlite" else "begin")
            db.table("cache").insert({"key": "a", "value": "b", "expiration": 0})
            if raises:
                raise ValueError

    queue.push(Begins())
    queue.push(Note("next"))
    worker.run_all()

    (failed,) = queue.failed()
    assert ("ValueError" if raises else "transaction still open") in failed.reason
    assert db.table("cache").count() == 0
    assert DIARY == ["next"]


# --- handlers that never run ---


async def coroutine(self: Any) -> None:
    DIARY.append("never")


def generator(self: Any) -> Iterator[int]:
    yield 1


async def async_generator(self: Any) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("handle", [coroutine, generator, async_generator])
def test_a_handler_that_nobody_would_run_is_refused_at_dispatch(queue: Queue, handle: Any) -> None:
    lazy = type("Lazy", (Job,), {"handle": handle})

    with pytest.raises(QueueError, match="plain function"):
        queue.push(lazy())

    assert queue.size() == 0


def test_a_handler_that_gives_a_coroutine_has_not_run(queue: Queue, worker: Worker) -> None:
    class Lazy(Job):
        tries = 1

        def handle(self) -> Any:
            return coroutine(self)

    queue.push(Lazy())
    worker.run_one()

    assert "make it a plain function" in queue.failed()[0].reason


# --- limits ---


def test_what_failed_may_take_is_limited(worker: Worker) -> None:
    runner = worker.runner
    runner.limits = JobLimits(timeout=None)

    assert runner.failed_timeout(Payload("", {"timeout": 7})) == 7
    assert runner.failed_timeout(Payload("", {"timeout": 0})) == 60
