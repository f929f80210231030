"""Running jobs: attempts, backoff, failing, releasing, and payloads that cannot be run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from so.db.manager import Database
from so.errors import (
    DeadlockError,
    InvalidPayloadError,
    QueueError,
    RecordNotFoundError,
    UnknownJobError,
)
from so.support.clock import Clock
from so.support.codec import Codec
from so.systems.queue import Job, JobEvent, Queue, exponential
from so.systems.queue.delays import backoff_seconds
from so.systems.queue.payload import Payload
from so.systems.queue.writer import job_class
from so.systems.worker import Worker, WorkerOptions
from tests.systems.queue.jobs import DIARY, Fails, FailsOnce, Note, NoteAttempt


def job_row(db: Database) -> dict[str, Any]:
    row = db.connection().select_one("select * from jobs")
    assert row is not None
    return dict(row)


def insert_by_hand(db: Database, payload: str, clock: Clock, **more: Any) -> None:
    now = int(clock.time())
    columns = {
        "queue": "default",
        "payload": payload,
        "attempts": 0,
        "available_at": now,
        "created_at": now,
        **more,
    }
    db.table("jobs").insert(columns)


def test_a_job_runs_and_is_gone(queue: Queue, worker: Worker) -> None:
    queue.push(Note("a"))

    assert worker.run_one()
    assert not worker.run_one()
    assert DIARY == ["a"]
    assert queue.size() == 0


def test_jobs_run_in_the_order_of_their_dispatch(queue: Queue, worker: Worker) -> None:
    for word in "abc":
        queue.push(Note(word))

    worker.run_all()

    assert DIARY == ["a", "b", "c"]


def test_a_delayed_job_waits_for_its_moment(queue: Queue, worker: Worker, clock: Clock) -> None:
    queue.later(60, Note("a"))

    assert not worker.run_one()
    clock.travel(59)
    assert not worker.run_one()
    clock.travel(1)
    assert worker.run_one()


def test_queues_are_served_by_rank(queue: Queue) -> None:
    for name in ("low", "high", "low", "high"):
        queue.push(Note(name), name)

    Worker(queue, WorkerOptions(queues=["high", "low"])).run_all()

    assert DIARY == ["high", "high", "low", "low"]


def test_a_failed_attempt_is_tried_again_after_its_backoff(
    queue: Queue, worker: Worker, clock: Clock
) -> None:
    queue.push(FailsOnce())

    worker.run_one()
    assert not worker.run_one()
    clock.travel(10)
    worker.run_one()

    assert DIARY == [1, 2]
    assert queue.size() == 0


def test_a_job_that_fails_for_the_last_time_lands_in_failed_jobs(
    queue: Queue, worker: Worker, clock: Clock
) -> None:
    queue.push(Fails("the printer is on fire"))

    assert worker.run_all() == 3

    (failed,) = queue.failed()
    assert DIARY == ["try", "try", "try", "failed: the printer is on fire"]
    assert failed.job == "tests.systems.queue.jobs.Fails"
    assert failed.reason == "ValueError: the printer is on fire"
    assert "in handle" in failed.exception
    assert (failed.queue, failed.connection, failed.attempts) == ("default", "database", 3)
    assert failed.failed_at == clock.now()
    assert json.loads(failed.payload)["uuid"] == failed.uuid
    assert queue.size() == 0


def test_the_workers_tries_hold_for_jobs_that_say_nothing(queue: Queue) -> None:
    class Silent(Job):
        def handle(self) -> None:
            raise ValueError

    options = WorkerOptions()
    options.limits.tries = 1
    queue.push(Silent())
    Worker(queue, options).run_all()

    assert queue.failed_jobs.count() == 1


def test_no_number_of_tries_is_without_end(queue: Queue, worker: Worker) -> None:
    class Stubborn(Fails):
        tries = 0

    queue.push(Stubborn())
    for _ in range(10):
        worker.run_one()

    assert queue.size() == 1


def test_max_exceptions_counts_exceptions_and_not_releases(queue: Queue, worker: Worker) -> None:
    class Moody(Job):
        tries = 10
        max_exceptions = 2

        def handle(self) -> None:
            DIARY.append(self.attempts())
            if self.attempts() % 2:
                return self.release()
            raise ValueError

    queue.push(Moody())
    worker.run_all()

    assert DIARY == [1, 2, 3, 4]
    assert queue.failed_jobs.count() == 1


def test_retry_until_replaces_the_count_of_tries(
    queue: Queue, worker: Worker, clock: Clock
) -> None:
    class Persistent(Job):
        def retry_until(self) -> datetime:
            return datetime(2026, 1, 15, 12, 1, tzinfo=UTC)

        def handle(self) -> None:
            DIARY.append("try")
            raise ValueError

    queue.push(Persistent())
    for _ in range(5):
        worker.run_one()
    assert queue.size() == 1
    clock.travel(60)
    worker.run_one()

    assert queue.size() == 0
    assert queue.failed_jobs.count() == 1


def test_10_a_release_puts_the_same_row_back_and_counts(
    queue: Queue, db: Database, worker: Worker, clock: Clock
) -> None:
    class Later(Job):
        def handle(self) -> None:
            self.release(timedelta(seconds=30))

    queue.push(Later())
    before = job_row(db)
    worker.run_one()
    after = job_row(db)

    assert (after["id"], after["uuid"], after["created_at"]) == (
        before["id"],
        before["uuid"],
        before["created_at"],
    )
    assert after["attempts"] == 1
    assert after["reserved_at"] is None
    assert after["available_at"] == int(clock.time()) + 30


def test_a_job_that_only_releases_itself_has_an_end(queue: Queue, worker: Worker) -> None:
    runs: list[int] = []

    class Again(Job):
        tries = 2

        def handle(self) -> None:
            runs.append(self.attempts())
            self.release()

    queue.push(Again())
    worker.run_all()

    (failed,) = queue.failed()
    assert runs == [1, 2]
    assert failed.reason.startswith("MaxAttemptsExceeded")


def test_a_job_may_fail_itself(queue: Queue, worker: Worker) -> None:
    class Gives(Job):
        tries = 5

        def handle(self) -> None:
            self.fail("no such customer")

        def failed(self, exception: BaseException) -> None:
            DIARY.append(str(exception))

    queue.push(Gives())
    worker.run_one()

    assert DIARY == ["no such customer"]
    assert queue.failed_jobs.count() == 1


def test_a_job_may_delete_itself_and_still_raise_nothing(queue: Queue, worker: Worker) -> None:
    class Done(Job):
        def handle(self) -> None:
            self.delete()

    queue.push(Done())
    worker.run_one()

    assert queue.size() == queue.failed_jobs.count() == 0


def test_what_works_in_handle_only_says_so(queue: Queue) -> None:
    with pytest.raises(QueueError, match=r"Note.release\(\) works inside handle"):
        Note("a").release()
    assert Note("a").attempts() == 0
    assert Note("a").job_id is None
    assert Note("a").job_uuid is None
    assert not Note("a").cancelled()
    assert Note("a").still_mine()


def test_a_job_without_handle_says_what_is_missing(queue: Queue, worker: Worker) -> None:
    class Empty(Job):
        tries = 1

    queue.push(Empty())
    worker.run_one()

    assert "has no handle()" in queue.failed()[0].reason


def test_an_error_in_failed_stops_nothing(
    queue: Queue, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(Fails):
        tries = 1

        def failed(self, exception: BaseException) -> None:
            raise RuntimeError("again")

    queue.push(Clumsy())
    queue.push(Note("next"))
    worker.run_all()

    assert DIARY == ["try", "next"]
    assert "raised an error itself" in caplog.text


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_of_a_job_is_an_exception_like_any_other(
    queue: Queue, worker: Worker, kind: type[BaseException]
) -> None:
    class Exits(Job):
        tries = 2

        def handle(self) -> None:
            raise kind(3)

    queue.push(Exits())
    worker.run_all()

    (failed,) = queue.failed()
    assert failed.attempts == 2
    assert kind.__name__ in failed.reason
    assert "in handle" in failed.exception


def test_handle_gets_what_the_container_gives(db: Database, clock: Clock) -> None:
    class Wants(Job):
        def handle(self, service: object) -> None:
            DIARY.append(service)

    DIARY.clear()
    queue = Queue(db, clock=clock, call=lambda fn: fn("service"))
    queue.push(Wants())
    Worker(queue).run_one()

    assert DIARY == ["service"]


def test_hooks_are_told_and_an_error_in_one_stops_nothing(
    queue: Queue, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, str, int]] = []

    def note(event: JobEvent) -> None:
        told.append((event.kind, event.name.rpartition(".")[2], event.attempts))

    for register in (queue.before, queue.after, queue.failing):
        register(note)
    queue.listen("retrying", note)
    queue.before(lambda event: 1 / 0)
    queue.looping(lambda: 1 / 0)
    queue.push(Note("a"))
    queue.push(Fails())
    queue.loop()
    worker.run_all()

    assert told == [
        ("before", "Note", 1),
        ("after", "Note", 1),
        ("before", "Fails", 1),
        ("retrying", "Fails", 1),
        ("before", "Fails", 2),
        ("retrying", "Fails", 2),
        ("before", "Fails", 3),
        ("failing", "Fails", 3),
    ]
    assert "a hook for 'before' raised an error" in caplog.text
    assert "a looping hook raised an error" in caplog.text


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{not json", "InvalidPayloadError: the payload is not JSON"),
        ('["a list"]', "InvalidPayloadError: the payload is list"),
        ('{"data": {}}', "InvalidPayloadError: the payload names no job"),
        ('{"job": "os.system", "data": ["ls"]}', "UnknownJobError: no job named 'os.system'"),
        (
            '{"job": "tests.systems.queue.jobs.Note", "data": {"wrong": 1}}',
            "InvalidPayloadError: the arguments do not fit",
        ),
        ('{"job": "x", "maxTries": "three"}', "InvalidPayloadError: the payload's maxTries is"),
        ('{"job": "x", "backoff": ["a"]}', "InvalidPayloadError: the payload's backoff is"),
        ('{"job": "x", "chained": [1]}', "InvalidPayloadError: the payload's chained holds"),
        (
            '{"job": "tests.systems.queue.jobs.Note", "data": "text"}',
            "InvalidPayloadError: the payload's data is str",
        ),
        (
            '{"job": "tests.systems.queue.jobs.Note", "data": {"word": {"$": "nope", "v": 1}}}',
            "CodecError: unknown type tag 'nope'",
        ),
    ],
)
def test_12_a_payload_that_cannot_run_is_one_failed_job(
    queue: Queue, db: Database, worker: Worker, clock: Clock, payload: str, reason: str
) -> None:
    insert_by_hand(db, payload, clock)
    queue.push(Note("next"))

    assert worker.run_all() == 2

    (failed,) = queue.failed()
    assert failed.payload == payload
    assert failed.reason.startswith(reason)
    assert DIARY == ["next"]
    assert queue.size() == 0


@pytest.mark.parametrize(
    "data", ['{"word": "x", "count": 2}', '["x", 2]', '{"args": ["x"], "kwargs": {"count": 2}}']
)
def test_a_row_inserted_by_hand_runs(
    queue: Queue, db: Database, worker: Worker, clock: Clock, data: str
) -> None:
    payload = (
        '{"uuid": "u-1", "displayName": "Note", "job": "tests.systems.queue.jobs.Note", '
        '"maxTries": 3, "timeout": 60, "backoff": 0, "createdAt": 1, "context": {}, '
        f'"data": {data}}}'
    )
    insert_by_hand(db, payload, clock)

    worker.run_one()

    assert DIARY == ["x"]


def test_a_delayed_row_inserted_by_hand_waits(
    queue: Queue, db: Database, worker: Worker, clock: Clock
) -> None:
    payload = '{"job": "tests.systems.queue.jobs.NoteAttempt"}'
    insert_by_hand(db, payload, clock, available_at=int(clock.time()) + 60)

    assert not worker.run_one()
    clock.travel(60)
    assert worker.run_one()
    assert DIARY == [1]


def test_11_the_same_uuid_failing_again_replaces_its_row(
    queue: Queue, db: Database, worker: Worker, clock: Clock
) -> None:
    payload = '{"uuid": "u-1", "job": "nobody"}'
    insert_by_hand(db, payload, clock)
    worker.run_one()
    insert_by_hand(db, payload, clock)
    worker.run_one()

    assert [failed.uuid for failed in queue.failed()] == ["u-1"]


def test_a_lost_workers_job_comes_back_when_its_lease_ends(queue: Queue, clock: Clock) -> None:
    lost, finds = Worker(queue), Worker(queue)
    queue.push(NoteAttempt())
    lost._claim(1)

    assert not finds.run_one()
    assert queue.reserved_size() == 1
    clock.travel(16)
    assert finds.run_one()
    assert DIARY == [1]  # the crash was not its fault


def test_16_a_lost_job_is_found_by_its_lease_whatever_became_of_the_workers_row(
    queue: Queue, db: Database, clock: Clock
) -> None:
    queue.push(NoteAttempt())
    Worker(queue)._claim(1)
    db.table("queue_workers").delete()
    clock.travel(16)

    assert Worker(queue).run_one()
    assert Worker(queue).name != Worker(queue).name


def test_02_an_exhausted_job_with_a_living_lease_is_left_alone(queue: Queue, clock: Clock) -> None:
    class Once(Note):
        tries = 1

    first, second = Worker(queue), Worker(queue)
    queue.push(Once("a"))
    first._claim(1)

    assert not second.run_one()
    assert queue.failed_jobs.count() == 0


def test_13_a_job_that_keeps_killing_its_worker_has_an_end(queue: Queue, clock: Clock) -> None:
    class Deadly(Note):
        tries = 0

    queue.push(Deadly("a"))
    for _ in range(3):
        Worker(queue)._claim(1)
        clock.travel(16)
    Worker(queue).run_one()

    (failed,) = queue.failed()
    assert failed.reason.startswith("WorkerLost")
    assert "died 3 time(s)" in failed.reason
    assert DIARY == []


def test_14_a_job_may_ask_to_fail_at_the_first_crash(queue: Queue, clock: Clock) -> None:
    class Fragile(Note):
        on_crash = "fail"

    queue.push(Fragile("a"))
    Worker(queue)._claim(1)
    clock.travel(16)
    Worker(queue).run_one()

    assert DIARY == []
    assert queue.failed_jobs.count() == 1


def test_03_a_worker_that_lost_its_lease_cannot_finish_fail_or_release(
    queue: Queue, db: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for outcome in ("done", "fails", "releases"):

        class Slow(Job):
            tries = 1

            def __init__(self, how: str) -> None:
                self.how = how

            def handle(self) -> None:
                clock.travel(16)
                Worker(queue)._claim(1)
                assert not self.still_mine()
                if self.how == "fails":
                    raise ValueError
                if self.how == "releases":
                    self.release(5)

        queue.push(Slow(outcome))
        Worker(queue).run_one()

        assert queue.reserved_size() == 1
        assert job_row(db)["attempts"] == 2
        assert queue.failed_jobs.count() == 0
        assert "lease_lost" in caplog.text
        caplog.clear()
        db.table("jobs").delete()


def test_what_was_given_back_costs_nothing(queue: Queue, db: Database) -> None:
    worker = Worker(queue)
    queue.push(Note("a"))
    worker.waiting.extend(worker._claim(1))

    worker.leave()

    row = job_row(db)
    assert (row["attempts"], row["reserved_at"], row["crashes"]) == (0, None, 0)


def test_a_transaction_left_open_by_a_job_is_rolled_back_and_told(
    queue: Queue, db: Database, worker: Worker
) -> None:
    class Forgetful(Job):
        tries = 1

        def handle(self) -> None:
            db.begin_transaction()
            db.table("cache").insert({"key": "k", "value": "v", "expiration": 1})

    queue.push(Forgetful())
    worker.run_one()

    assert not db.connection().in_transaction
    assert db.table("cache").count() == 0
    assert "transaction still open" in queue.failed()[0].reason


def test_a_transactional_job_and_its_removal_are_one_transaction(
    queue: Queue, db: Database, worker: Worker
) -> None:
    class Books(Job):
        transactional = True
        tries = 2

        def handle(self) -> None:
            db.table("cache").insert({"key": "k", "value": "v", "expiration": 1})
            if self.attempts() == 1:
                raise ValueError

    queue.push(Books())
    worker.run_one()
    assert db.table("cache").count() == 0
    worker.run_one()

    assert db.table("cache").count() == 1
    assert queue.size() == 0


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_transactional_job_that_gives_way_runs_again_as_if_for_the_first_time(
    queue: Queue, db: Database, worker: Worker, is_wrapped: bool
) -> None:
    class Books(Note):
        transactional = True
        tries = 1

        def handle(self) -> None:
            db.table("cache").insert({"key": self.word, "value": "1", "expiration": 0})
            DIARY.append(self.word)
            self.word = "changed"
            if len(DIARY) < 3:
                conflict = DeadlockError(message="deadlock")
                if is_wrapped:
                    raise ValueError("the order is busy") from conflict
                raise conflict

    queue.push(Books("a"))
    worker.run_one()

    assert DIARY == ["a", "a", "a"]
    assert db.table("cache").pluck("value") == ["1"]
    assert queue.failed_jobs.count() == 0


def test_a_transactional_job_that_lost_its_lease_has_no_effect(
    queue: Queue, db: Database, clock: Clock
) -> None:
    class Books(Job):
        transactional = True

        def handle(self) -> None:
            db.table("cache").insert({"key": "k", "value": "v", "expiration": 1})
            db.table("jobs").update({"worker_id": "another"})

    queue.push(Books())
    Worker(queue).run_one()

    assert db.table("cache").count() == 0
    assert queue.size() == 1


def test_complete_in_removes_the_job_with_its_effects(
    queue: Queue, db: Database, worker: Worker
) -> None:
    class Books(Job):
        tries = 2

        def handle(self) -> None:
            with db.transaction() as conn:
                db.table("cache").insert({"key": "k", "value": "v", "expiration": 1})
                self.complete_in(conn)
            raise ValueError("too late to matter")

    queue.push(Books())
    worker.run_one()

    assert db.table("cache").count() == 1
    assert queue.size() == queue.failed_jobs.count() == 0


def test_complete_in_without_a_transaction_says_so(queue: Queue, worker: Worker, db: Any) -> None:
    class Books(Job):
        tries = 1

        def handle(self) -> None:
            self.complete_in(db.connection())

    queue.push(Books())
    worker.run_one()

    assert "needs an open transaction" in queue.failed()[0].reason


def test_a_missing_model_fails_the_job_or_drops_it(db: Database, clock: Clock) -> None:
    class Gone:
        pass

    def find(key: Any) -> Any:
        raise RecordNotFoundError(f"no {key}")

    codec = Codec()
    codec.register(Gone, "gone", lambda value: 1, find)
    queue = Queue(db, clock=clock, codec=codec)

    class Loose(Note):
        delete_when_missing_models = True

    queue.push(Note(Gone()))
    queue.push(Loose(Gone()))
    Worker(queue).run_all()

    assert [failed.reason for failed in queue.failed()] == ["RecordNotFoundError: no 1"]
    assert queue.size() == 0


def test_a_causer_who_is_gone_is_none(db: Database, clock: Clock) -> None:
    from so.support.scope import UNSET, Scope

    class Person:
        pass

    def find(key: Any) -> Any:
        raise RecordNotFoundError("gone")

    codec = Codec()
    codec.register(Person, "person", lambda value: 1, find)
    queue = Queue(db, clock=clock, codec=codec)
    scope = Scope("job")
    queue.workshop.restore_context(scope, {"causer": {"$": "person", "v": 1}, "batch": "b"})

    assert scope.causer is UNSET
    assert scope.batch == "b"
    queue.workshop.restore_context(scope, {"causer": {"$": "nobody", "v": 1}})
    assert scope.causer is UNSET


def test_a_context_that_cannot_be_restored_stops_nothing(
    db: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("no scope")

    DIARY.clear()
    queue = Queue(db, clock=clock, capture=lambda: {"request_id": "r"}, restore=broken)
    queue.push(Note("a"))
    Worker(queue).run_one()

    assert DIARY == ["a"]
    assert "cannot be restored" in caplog.text


@pytest.mark.parametrize(
    ("backoff", "attempt", "seconds"),
    [(0, 1, 0), (5, 3, 5), ([1, 10], 1, 1), ([1, 10], 5, 10), ([], 1, 0), (None, 1, 0)],
)
def test_a_backoff_is_a_number_or_one_for_each_attempt(
    backoff: Any, attempt: int, seconds: float
) -> None:
    assert backoff_seconds(backoff, attempt) == seconds


def test_an_exponential_backoff_grows_to_its_cap_and_jitters_below() -> None:
    plain = exponential(2, factor=3, cap=50, jitter=False)
    jittered = exponential(2, factor=3, cap=50)

    assert [plain.seconds(n) for n in (1, 2, 3, 4)] == [2, 6, 18, 50]
    assert all(0 <= jittered.seconds(3) <= 18 for _ in range(50))
    assert len({jittered.seconds(3) for _ in range(10)}) > 1


def test_a_payload_knows_its_class_or_says_so() -> None:
    assert job_class(Payload.read('{"job": "so.callback"}')).alias == "so.callback"
    with pytest.raises(UnknownJobError):
        job_class(Payload.read('{"job": "x"}'))
    with pytest.raises(InvalidPayloadError):
        Payload.read('{"job": 7}')


def test_nobody_prolongs_the_lease_of_another(queue: Queue, worker: Worker) -> None:
    """Who was away for too long renews what was his: it is another's by then."""
    queue.push(Note("a"))
    (held,) = worker._claim(1)
    conn, jobs = worker.conn, queue.tables.jobs
    before = conn.scalar("select available_at from jobs")

    assert jobs.extend(conn, [held.id], "somebody-else", before + 60) == 0
    assert conn.scalar("select available_at from jobs") == before
    assert jobs.extend(conn, [held.id], held.worker, before + 60) == 1
    assert conn.scalar("select available_at from jobs") == before + 60
