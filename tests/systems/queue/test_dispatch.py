"""Dispatching: when a row is stored, what is in it, and when it may start."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from so import batch, chain, dispatch, dispatch_sync
from so.db.connection import Connection
from so.db.manager import Database
from so.errors import CodecError, QueueError
from so.support.clock import Clock
from so.support.codec import allow
from so.support.scope import Scope, current_scope, entered
from so.systems.queue import Job, Queue, exponential, queue_fake
from so.systems.worker import Worker
from tests.systems.queue.jobs import DIARY, Fails, Note

ROOT = Path(__file__).resolve().parents[3]


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


def test_settings_in_seconds_may_be_timedeltas_or_plain_attributes(
    queue: Queue, db: Database, clock: Clock
) -> None:
    class Timed(Note):
        timeout = timedelta(minutes=2)
        backoff = [timedelta(seconds=5), 60]
        unique_for = timedelta(hours=1)
        unique_id = "only one"  # type: ignore[assignment]
        retry_until = timedelta(days=1)  # type: ignore[assignment]
        tags = "month"  # type: ignore[assignment]

    class Own(Note):
        def __init__(self, word: str) -> None:
            super().__init__(word)
            self.timeout = self.backoff = timedelta(seconds=90)
            self.retry_until = datetime(2026, 1, 16, tzinfo=UTC)  # type: ignore[method-assign]
            self.unique_id = word  # type: ignore[method-assign]
            self.tags = ["a", "b"]  # type: ignore[method-assign]

    assert queue.push(Timed("a")) is not None
    assert queue.push(Timed("b")) is None
    queue.bulk([Own("c"), Own("c")])
    clock.travel(3601)
    assert queue.push(Timed("d")) is not None

    first, second, _ = (json.loads(row["payload"]) for row in rows(db))
    assert (first["timeout"], first["backoff"], first["tags"]) == (120, [5, 60], ["month"])
    assert first["retryUntil"] == clock.time() - 3601 + 86400
    assert (second["timeout"], second["backoff"], second["tags"]) == (90, 90, ["a", "b"])
    assert second["retryUntil"] == datetime(2026, 1, 16, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("setting", ["timeout", "backoff", "unique_for", "retry_until"])
def test_a_setting_that_is_no_time_is_told(queue: Queue, setting: str) -> None:
    job = Note("a")
    setattr(job, setting, "long")

    with pytest.raises(QueueError, match=f"cannot use 'long' as {setting}: give seconds"):
        queue.push(job)


def test_a_method_says_a_setting_for_each_job(queue: Queue, db: Database) -> None:
    class Says(Note):
        def tries(self) -> int:  # type: ignore[override]
            return self.count

        def backoff(self) -> list[int]:  # type: ignore[override]
            return [self.count]

    queue.push(Says("a", 2))
    queue.push(Says("b", 3))

    payloads = [json.loads(row["payload"]) for row in rows(db)]
    assert [(fields["maxTries"], fields["backoff"]) for fields in payloads] == [(2, [2]), (3, [3])]


def test_a_word_of_tags_is_one_tag(queue: Queue, db: Database) -> None:
    class Tagged(Note):
        def tags(self) -> str:
            return "month"

    queue.push(Tagged("a"))

    assert json.loads(rows(db)[0]["payload"])["tags"] == ["month"]


def test_a_delay_may_be_a_decimal_but_not_endless(queue: Queue, db: Database, clock: Clock) -> None:
    dispatch(Note("a")).delay(Decimal("1.5"))

    assert rows(db)[0]["available_at"] == int(clock.time()) + 2
    for endless in (float("nan"), float("inf"), Decimal("NaN")):
        with pytest.raises(QueueError, match="cannot delay a job by"):
            queue.later(endless, Note("b"))


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


def test_a_dispatch_that_fails_silently_is_told_in_full(caplog: pytest.LogCaptureFixture) -> None:
    without_tables = Queue(Connection(":memory:"))
    unraisable: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        without_tables.dispatch(Note("lost"))
    finally:
        sys.unraisablehook = hook

    assert len(unraisable) == 1
    assert "Note ('lost',) {}" in caplog.text
    assert "could not be queued: no such table" in caplog.text


# --- what is wrong is raised where it is said ----------------------------------------------------


@pytest.mark.parametrize(
    ("method", "value", "text"),
    [
        ("delay", "tomorrow", "cannot delay a job by 'tomorrow'"),
        ("on_connection", "nowhere", "no queue connection 'nowhere'"),
        ("on_queue", "größe", "cannot use 'größe' as the name of a queue"),
        ("on_queue", 7, "cannot use 7 as the name of a queue"),
    ],
)
def test_a_wrong_word_about_a_dispatch_is_raised_there(
    queue: Queue, method: str, value: object, text: str
) -> None:
    for pending in (dispatch(Note("a")), chain([Note("a")]), batch([Note("a")])):
        if hasattr(pending, method):
            with pytest.raises(QueueError, match=text):
                getattr(pending, method)(value)

    del pending
    assert queue.size() == 0  # and nothing is queued otherwise than it was meant


def test_an_argument_without_a_form_is_raised_by_the_dispatch(queue: Queue) -> None:
    with pytest.raises(CodecError, match="object"):
        dispatch(Note(object()))

    assert queue.size() == 0


@pytest.mark.parametrize(
    ("setting", "value"), [("delay", "soon"), ("queue", "größe"), ("connection", "nowhere")]
)
def test_a_wrong_setting_of_a_job_is_raised_by_the_dispatch(
    queue: Queue, setting: str, value: str
) -> None:
    job = Note("a")
    setattr(job, setting, value)

    with pytest.raises(QueueError, match=value):
        dispatch(job)
    assert queue.size() == 0


def test_a_dispatch_whose_condition_is_not_met_is_false_and_harmless(queue: Queue) -> None:
    pending = Note.dispatch_if(False, "a")

    later = pending.on_queue("low").delay(5).on_connection("nowhere").after_commit()
    assert later.before_commit().send() is None
    assert not pending
    assert Note.dispatch_unless(False, "b")
    assert queue.size() == 1


# --- on the connection "sync" --------------------------------------------------------------------


@pytest.fixture
def sync_queue(db: Database, clock: Clock) -> Queue:
    DIARY.clear()
    return Queue(db, clock=clock, default="sync")


def test_a_dispatch_on_the_sync_connection_raises_what_the_job_raises(sync_queue: Queue) -> None:
    with pytest.raises(ValueError, match="no luck"):
        sync_queue.dispatch(Fails())

    assert DIARY == ["try", "failed: no luck"]


def test_what_is_said_after_a_sync_dispatch_changes_nothing(sync_queue: Queue) -> None:
    pending = sync_queue.dispatch(Note("a")).on_queue("low").delay(60).after_commit()

    assert pending.on_connection("sync").send() is None
    with pytest.raises(QueueError, match="Note has run already, because the connection was 'sync'"):
        pending.on_connection("database")
    assert DIARY == ["a"]
    assert sync_queue.size("low") == 0


def test_a_job_of_the_sync_connection_waits_for_the_commit_if_its_class_says_so(
    sync_queue: Queue, db: Database
) -> None:
    class Patient(Note):
        after_commit = True

    with db.transaction():
        sync_queue.dispatch(Patient("a"))
        assert DIARY == []
    assert DIARY == ["a"]


def test_a_job_sent_to_the_sync_connection_raises_there(queue: Queue) -> None:
    with pytest.raises(ValueError, match="no luck"):
        dispatch(Fails()).on_connection("sync")

    assert queue.size() == 0


# --- a dispatch that is held ---------------------------------------------------------------------


def words(db: Database) -> list[Any]:
    return [json.loads(row["payload"])["data"]["word"] for row in rows(db)]


def test_dispatches_in_a_list_are_queued_in_order(queue: Queue, db: Database) -> None:
    [Note.dispatch(number) for number in range(3)]

    assert words(db) == [0, 1, 2]


def test_a_held_dispatch_is_sent_before_the_next(queue: Queue, db: Database) -> None:
    held = dispatch(Note("a")).on_queue("low")
    dispatch(Note("b"))

    assert words(db) == ["a", "b"]
    with pytest.raises(QueueError, match="Note has been sent already"):
        held.on_queue("high")


def test_a_held_dispatch_is_gone_after_a_rollback(queue: Queue, db: Database) -> None:
    with suppress(ZeroDivisionError), db.transaction():
        held = dispatch(Note("a"))
        with db.transaction():
            inner = dispatch(Note("b"))
        raise ZeroDivisionError

    del held, inner
    assert queue.size() == 0


def test_a_held_dispatch_is_gone_with_its_savepoint(queue: Queue, db: Database) -> None:
    with db.transaction():
        with suppress(ZeroDivisionError), db.transaction():
            held = dispatch(Note("a"))
            raise ZeroDivisionError
        del held

    assert queue.size() == 0


def test_a_held_dispatch_is_stored_with_the_commit(queue: Queue, db: Database) -> None:
    with db.transaction():
        held = dispatch(Note("a"))

    assert queue.size() == 1
    assert held.send() == held.id is not None


def test_a_dispatch_held_from_outside_is_no_part_of_a_transaction(
    queue: Queue, db: Database
) -> None:
    held = dispatch(Note("outside"))
    with suppress(ZeroDivisionError), db.transaction():
        dispatch(Note("inside"))
        raise ZeroDivisionError
    assert queue.size() == 0

    del held
    assert words(db) == ["outside"]


def test_a_held_dispatch_to_another_database_is_gone_with_the_callers_rollback(
    queue: Queue, db: Database, clock: Clock
) -> None:
    own = Connection({**db.connection().config}, "own", clock)
    apart = Queue(own, clock=clock, caller=db)
    with suppress(ZeroDivisionError), db.transaction():
        held = apart.dispatch(Note("a"))
        raise ZeroDivisionError

    del held
    assert apart.size() == 0
    own.close()


def test_a_held_dispatch_is_noted_by_the_fake_it_was_made_under(queue: Queue) -> None:
    before = dispatch(Note("before"))
    with queue_fake() as fake:
        held = dispatch(Note("a")).on_queue("low")
    del before, held

    fake.assert_pushed_on("low", Note)
    fake.assert_count(1)
    assert queue.size() == 1


def test_another_threads_dispatch_is_left_alone(queue: Queue, db: Database) -> None:
    if db.connection().config["database"] == ":memory:":
        pytest.skip("one thread alone has this database")
    held = dispatch(Note("mine"))
    thread = Thread(target=lambda: queue.dispatch(Note("theirs")).send())
    thread.start()
    thread.join()

    assert words(db) == ["theirs"]
    held.send()


HOLDS = """
import sys
from so.db.connection import Connection
from so.systems.queue import Queue
from tests.systems.queue.jobs import Note

queue = Queue(Connection(sys.argv[1]))
held = queue.dispatch(Note("at exit"))
if len(sys.argv) > 2:
    import os
    if not (child := os.fork()):
        sys.exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize("more", [[], ["forks"]], ids=["alone", "with a child"])
def test_a_dispatch_held_at_the_end_of_a_program_is_stored_once(
    tmp_path: Path, request: pytest.FixtureRequest, more: list[str]
) -> None:
    path = tmp_path / "queue.sqlite"
    shutil.copyfile(request.getfixturevalue("_sqlite_template"), path)

    ended = subprocess.run(
        [sys.executable, "-c", HOLDS, str(path), *more], capture_output=True, text=True, cwd=ROOT
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    with Connection(str(path)) as connection:
        assert Queue(connection).size() == 1


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("tries", "3"), ("tries", -1), ("tries", 1.5), ("tries", True), ("max_exceptions", "x"),
     ("max_exceptions", -1), ("max_crashes", "x"), ("timeout", -1), ("timeout", timedelta(-1))],
)  # fmt: skip
def test_a_setting_that_no_worker_could_obey_is_refused_when_it_is_dispatched(
    queue: Queue, db: Database, name: str, wrong: Any
) -> None:
    """The worker judged it alone: the job was stored, and could only fail."""
    odd = type("Odd", (Note,), {name: wrong})

    with pytest.raises(QueueError, match=f"as {name}: give"):
        dispatch(odd("a")).send()

    assert rows(db) == []


def test_one_job_by_itself_is_a_chain_and_a_batch_of_one(queue: Queue) -> None:
    chain(Note("a")).dispatch()
    batch(Note("b")).dispatch()

    assert queue.bulk(Note("c")) == 1
    assert queue.size() == 3
