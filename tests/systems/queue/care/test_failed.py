"""Failed jobs: groups, retries, pruning; progress, cancelling and resuming."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from so.db.manager import Database
from so.errors import QueueError
from so.support.clock import Clock
from so.support.progress import heard
from so.systems.queue import Job, Queue, queue_fake
from so.systems.queue.care.failed import moment
from so.systems.queue.tables.workers import ALL
from so.systems.worker import Worker
from tests.systems.queue.jobs import DIARY, Fails, Note


class FailsOtherwise(Fails):
    tries = 1

    def handle(self) -> None:
        raise KeyError(self.text)


@pytest.fixture
def failures(queue: Queue, worker: Worker) -> Queue:
    """Three failures of one kind in two queues, and one of another."""

    class Once(Fails):
        tries = 1

    for name in ("default", "default", "low"):
        queue.push(Once(name), name)
    queue.push(FailsOtherwise("x"))
    worker.options.queues = ["default", "low"]
    worker.run_all()
    DIARY.clear()
    return queue


def test_failures_are_grouped_by_class_kind_and_place(failures: Queue) -> None:
    groups = failures.failed_jobs.groups()

    assert [(group.count, group.reason) for group in groups] == [
        (3, "ValueError: low"),
        (1, "KeyError: 'x'"),
    ]
    assert groups[0].job.endswith("Once")
    assert groups[0].to_dict()["count"] == 3


def test_failures_are_retried_by_uuid_id_queue_group_range_and_all(failures: Queue) -> None:
    jobs = failures.failed_jobs
    low, newest, _, oldest = jobs.latest()
    assert low.queue == "low"

    assert jobs.retry([newest.uuid, "unknown"]).count == 1
    assert jobs.retry([str(oldest.id)]).count == 1
    assert jobs.retry_all(queue="low").count == 1
    (last,) = jobs.latest()
    assert jobs.retry_all(ids=(last.id, last.id)).count == 1
    assert jobs.count() == 0
    assert failures.size() + failures.size("low") == 4


def test_a_group_is_retried_as_one(failures: Queue) -> None:
    group = failures.failed_jobs.groups()[0]

    assert failures.failed_jobs.retry_all(group=group.fingerprint).count == 3
    assert failures.failed_jobs.count() == 1


def test_a_retried_job_starts_afresh_and_remembers_its_failures(
    failures: Queue, db: Database
) -> None:
    uuid = failures.failed()[-1].uuid
    failures.failed_jobs.retry([uuid])

    row = db.table("jobs").first()
    assert row is not None
    payload = json.loads(row["payload"])
    assert (row["uuid"], row["attempts"], payload["uuid"]) == (uuid, 0, uuid)
    assert payload["failures"][0]["exception"] == "ValueError: default"


def test_an_unreadable_failure_may_be_retried_as_it_is(
    queue: Queue, db: Database, worker: Worker, clock: Clock
) -> None:
    now = int(clock.time())
    db.table("jobs").insert(
        {"queue": "default", "payload": "{broken", "available_at": now, "created_at": now}
    )
    worker.run_one()

    assert queue.failed_jobs.retry_all().count == 1
    assert db.table("jobs").value("payload") == "{broken"


def test_failures_are_read_page_by_page(failures: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("so.systems.queue.care.failed.PAGE", 2)

    assert len(list(failures.failed_jobs.each())) == 4
    assert len(list(failures.failed_jobs.each("low"))) == 1
    assert failures.failed_jobs.retry_all().count == 4


def test_failures_are_found_forgotten_and_counted_by_age(failures: Queue, clock: Clock) -> None:
    jobs = failures.failed_jobs
    found = jobs.latest(2)[1]

    assert jobs.find(found.uuid) == jobs.find(str(found.id)) == found
    assert jobs.find("unknown") is None
    clock.travel(timedelta(days=8))
    assert jobs.ages() == {"day": 0, "week": 0, "month": 4, "older": 0}
    assert jobs.forget([found.uuid, "unknown"]) == 1
    assert jobs.latest(queue="low")[0].queue == "low"


@pytest.mark.parametrize(
    "key", ["{}abc", "{}_0", " {}", "９{}", "٣", "9" * 30, "9" * 5000, "", "\0"]
)
def test_what_is_no_id_names_no_failure(failures: Queue, key: str) -> None:
    jobs = failures.failed_jobs
    key = key.format(jobs.latest(1)[0].id)

    assert jobs.find(key) is None
    assert jobs.forget([key]) == 0
    assert jobs.retry([key]).count == 0
    assert jobs.count() == 4


@pytest.mark.parametrize("key", ["{}abc", "{}_0", "{}.0", "９{}", "٣", "9" * 30, 2**70, True, None])
def test_what_is_no_id_cancels_no_job(queue: Queue, key: Any) -> None:
    id = queue.push(Note("stays"))
    key = key.format(id) if isinstance(key, str) else key

    assert queue.cancel(key) is None
    assert queue.size() == 1
    assert queue.cancel(str(id)) == "removed"


def test_26_old_failures_are_pruned_in_pieces(
    failures: Queue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("so.systems.queue.care.failed.PAGE", 2)
    pages: list[tuple[int, int]] = []

    assert failures.failed_jobs.prune(24) == 0
    clock.travel(timedelta(hours=25))
    with heard(lambda done, total: pages.append((done, total))):
        assert failures.failed_jobs.prune(24) == 4
    assert pages == [(0, 4), (2, 4), (4, 4)]


def test_a_reason_is_the_exceptions_own_line(failures: Queue) -> None:
    failed = failures.failed()[0]
    failed.exception = "Traceback\n  File x\nso.errors.TimeoutExceeded: too\nlong"
    assert failed.reason == "TimeoutExceeded: too"
    failed.exception = ""
    assert failed.reason == ""
    failed.exception = "just words"
    assert failed.reason == "just words"
    assert failed.to_dict()["uuid"] == failed.uuid
    assert moment("2026-01-15 12:00:00").tzinfo is not None


# --- progress -----------------------------------------------------------------------------------


def test_progress_can_be_read_while_the_job_runs_and_after(
    queue: Queue, worker: Worker, clock: Clock
) -> None:
    class Posts(Job):
        def handle(self) -> None:
            self.progress(1, 4, "Posting invoices")
            assert self.job_id is not None
            DIARY.append(queue.progress(self.job_id))
            clock.travel(30)
            self.progress(2, 4)  # too soon after the last one to be written
            self.progress(4, 4, "Done")
            DIARY.append(queue.progress(str(self.job_uuid)))

    queue.push(Posts())
    worker.run_one()

    first, last = DIARY
    assert (first.state, first.percent, first.message) == ("running", 25, "Posting invoices")
    assert first.seconds_left is None
    assert (last.done, last.percent, last.message) == (4, 100, "Done")
    assert last.seconds_left == 0
    after = queue.progress(last.uuid)
    assert after is not None
    assert (after.state, after.percent, after.seconds_left) == ("done", 100, None)
    assert after.to_dict()["percent"] == 100
    assert queue.progress(4711) is None


def test_progress_of_an_earlier_attempt_is_ended_by_the_last_one(
    queue: Queue, worker: Worker
) -> None:
    class Posts(Job):
        def handle(self) -> None:
            if self.attempts() == 1:
                self.progress(1, 2)
                raise ValueError

    job_id = queue.push(Posts())
    worker.run_all()

    assert job_id is not None
    found = queue.progress(job_id)
    assert found is not None
    assert found.state == "done"


def test_progress_in_a_transaction_of_the_job_does_not_wait_for_itself(
    queue: Queue, db: Database, worker: Worker
) -> None:
    class Posts(Job):
        transactional = True

        def handle(self) -> None:
            db.table("cache").insert({"key": "k", "value": "v", "expiration": 1})
            self.progress(1, None)

    queue.push(Posts())
    worker.run_one()

    assert queue.failed_jobs.count() == 0
    assert queue.progress_table.running(db.connection()) == []


def test_progress_of_a_job_run_at_once_goes_nowhere(queue: Queue, db: Database) -> None:
    class Posts(Job):
        def handle(self) -> None:
            self.progress(1, 2)
            assert not self.cancelled()
            assert self.still_mine()
            assert self.job_uuid
            self.complete_in(db.connection())
            DIARY.extend(self.resume([1, 2]))
            assert self.batch() is None

    queue.dispatch_sync(Posts())

    assert DIARY == [1, 2]


def test_old_progress_is_swept(queue: Queue, db: Database, worker: Worker, clock: Clock) -> None:
    class Posts(Job):
        def handle(self) -> None:
            self.progress(1, 2)

    job_id = queue.push(Posts())
    worker.run_one()
    clock.travel(timedelta(days=2))

    assert queue.progress_table.sweep(db.connection(), clock.time()) == 1
    assert job_id is not None
    assert queue.progress(job_id) is None


# --- cancelling ---------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_by_removing_it(queue: Queue, worker: Worker) -> None:
    job_id = queue.push(Note("a"))

    assert job_id is not None
    assert queue.cancel(job_id) == "removed"
    assert queue.cancel(job_id) is None
    assert not worker.run_one()


def test_a_running_job_learns_that_it_was_cancelled(queue: Queue, worker: Worker) -> None:
    class Long(Job):
        def handle(self) -> None:
            assert self.job_id is not None
            assert queue.cancel(self.job_id) == "asked"
            assert self.cancelled()
            assert self.cancelled()
            self.progress(1, 100)
            DIARY.append("went on")

        def failed(self, exception: BaseException) -> None:
            DIARY.append("failed")

    queue.push(Long())
    worker.run_one()

    assert DIARY == []
    assert queue.size() == queue.failed_jobs.count() == 0


def test_a_cancelled_job_whose_worker_died_does_not_start_again(queue: Queue, clock: Clock) -> None:
    job_id = queue.push(Note("a"))
    Worker(queue)._claim(1)
    assert job_id is not None
    queue.cancel(job_id)
    clock.travel(16)
    Worker(queue).run_one()

    assert DIARY == []
    assert queue.size() == 0


def test_a_cancelled_member_counts_as_ended_in_its_batch(queue: Queue, db: Database) -> None:
    found = queue.batch([Note("a"), Note("b")]).dispatch()
    job_id = int(db.table("jobs").order_by("id").value("id"))

    assert queue.cancel(job_id) == "removed"
    assert queue.clear() == 1

    after = found.fresh()
    assert after is not None
    assert (after.remaining_jobs, after.finished, after.cancelled) == (0, True, True)


def test_clearing_leaves_running_jobs_alone(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("so.systems.queue.care.removal.CLEAR_CHUNK", 2)
    for word in "abcdef":
        queue.push(Note(word))
    queue.push(Note("other"), "other")
    Worker(queue)._claim(1)

    assert queue.clear() == 5
    assert queue.size() == queue.reserved_size() == 1
    assert queue.size("other") == 1


# --- resuming -----------------------------------------------------------------------------------


@pytest.mark.parametrize("transaction", [False, True])
def test_a_resumed_loop_goes_on_where_it_stopped(
    queue: Queue, worker: Worker, transaction: bool
) -> None:
    class Imports(Job):
        tries = 5

        def handle(self) -> None:
            for number in self.resume(range(10), every=3, transaction=transaction):
                DIARY.append(number)
                if number == 7 and self.attempts() == 1:
                    raise ValueError

    queue.push(Imports())
    worker.run_all()

    assert DIARY == [0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9]
    assert queue.size() == 0


def test_a_resumed_loop_in_transactions_has_each_effect_once(
    queue: Queue, db: Database, worker: Worker
) -> None:
    class Imports(Job):
        tries = 5

        def handle(self) -> None:
            for number in self.resume(range(10), every=3, transaction=True):
                db.table("cache").insert({"key": f"k{number}", "value": "v", "expiration": 1})
                if number == 7 and self.attempts() == 1:
                    raise ValueError

    reasons: list[str] = []
    queue.listen("retrying", lambda event: reasons.append(type(event.exception).__name__))
    queue.push(Imports())
    worker.run_all()

    assert db.table("cache").count() == 10  # a repeated key would have failed
    assert reasons == ["ValueError"]


def test_a_resumed_loop_ends_when_its_job_was_taken_over(
    queue: Queue, db: Database, worker: Worker
) -> None:
    class Imports(Job):
        def handle(self) -> None:
            for number in self.resume(range(10), every=2):
                DIARY.append(number)
                db.table("jobs").update({"worker_id": "another"})

    queue.push(Imports())
    worker.run_one()

    assert DIARY == [0, 1]
    assert queue.size() == 1


# --- control ------------------------------------------------------------------------------------


def test_pauses_end_by_themselves_or_by_hand(queue: Queue, db: Database, clock: Clock) -> None:
    conn = db.connection()
    queue.control.pause("a", 60)
    queue.control.pause("a", 30)
    queue.control.pause()

    assert set(queue.control.paused(conn)) == {"a", ALL}
    clock.travel(31)
    assert set(queue.control.paused(conn)) == {ALL}
    assert queue.control.resume()
    assert not queue.control.resume()
    assert queue.control.paused(conn) == {}


def test_27_a_restart_is_a_number_in_the_database(queue: Queue, db: Database) -> None:
    assert queue.control.generation(db.connection()) == 0
    assert [queue.control.restart(), queue.control.restart()] == [1, 2]


def test_workers_are_listed_until_they_leave_or_are_forgotten(
    queue: Queue, db: Database, clock: Clock
) -> None:
    conn = db.connection()
    row = {
        "id": "w1",
        "host": "erp1",
        "pid": 7,
        "queues": ["a", "b"],
        "processes": 2,
        "state": "running",
        "generation": 0,
        "done": 1,
        "failed": 0,
        "started_at": int(clock.time()),
        "current": [{"id": 1}],
    }
    queue.control.beat(conn, row)
    queue.control.beat(conn, {**row, "id": "w2", "done": 5, "current": None})

    first, second = queue.control.workers()
    assert (first.queues, first.current, first.alive) == (["a", "b"], [{"id": 1}], True)
    assert second.to_dict()["done"] == 5
    queue.control.leave(conn, "w1")
    clock.travel(20)
    (left,) = queue.control.workers()
    assert not left.alive
    clock.travel(3600)
    assert queue.control.forget_dead(conn) == 1


# --- fakes --------------------------------------------------------------------------------------


def test_a_fake_takes_notes_and_queues_nothing(queue: Queue) -> None:
    with queue_fake() as q:
        q.assert_nothing_pushed()
        Note.dispatch("a")
        Note.dispatch("b").on_queue("low")
        queue.later(10, Fails())
        queue.bulk([Note("c")])
        queue.chain([Note("x"), Fails()]).dispatch()
        found = queue.batch([Note("y")]).name("B").dispatch()

    assert queue.size() == 0
    q.assert_pushed(Note, times=4)
    q.assert_pushed(Note, 4)
    q.assert_pushed(Note, lambda job: job.word == "a", 1)
    q.assert_pushed(Fails)
    q.assert_pushed_on("low", Note, lambda job: job.word == "b")
    q.assert_not_pushed(FailsOtherwise)
    q.assert_count(5)
    q.assert_chained([Note, Fails])
    q.assert_chained([Note("x"), Fails()])
    q.assert_batched([Note])
    q.assert_batched(lambda batch: batch.name == "B")
    assert found.total_jobs == 1
    for wrong in (
        lambda: q.assert_pushed(FailsOtherwise),
        lambda: q.assert_pushed(Note, times=9),
        lambda: q.assert_not_pushed(Note),
        lambda: q.assert_nothing_pushed(),
        lambda: q.assert_count(1),
        lambda: q.assert_pushed_on("high", Note),
        lambda: q.assert_chained([Fails, Note]),
        lambda: q.assert_chained([Note("z"), Fails()]),
        lambda: q.assert_batched([Fails]),
        lambda: q.assert_nothing_batched(),
    ):
        with pytest.raises(AssertionError):
            wrong()


def test_a_fake_tells_where_chains_and_batches_went(queue: Queue) -> None:
    with queue_fake() as q:
        queue.chain([Note("a"), Fails()]).on_queue("low").dispatch()
        pending = queue.batch([[Note("b"), Fails()], queue.chain([Note("c")]), Note("d")])
        found = pending.name("B").on_queue("slow").on_connection("sync").then(Note("e")).dispatch()

    q.assert_pushed_on("low", Note)
    q.assert_batched([[Note, Fails], [Note("c")], Note("d")])
    q.assert_batched(lambda batch: (batch.name, batch.queue) == ("B", "slow"))
    q.assert_batched(lambda batch: batch.connection == "sync" and not batch.allows_failures)
    q.assert_batched(lambda batch: [job.word for job in batch.callbacks["then"]] == ["e"])
    assert found.total_jobs == 4


def test_without_a_queue_dispatching_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("so.support.current._provided", {})

    with pytest.raises(RuntimeError, match="no queue is running"):
        Note.dispatch("a")


def test_a_script_binds_its_queue(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, worker: Any
) -> None:
    from so.support.current import provide
    from so.systems.queue import current_queue

    monkeypatch.setattr("so.support.current._provided", {})
    provide("queue", lambda: queue)
    assert current_queue() is queue


def test_resume_needs_a_running_job() -> None:
    with pytest.raises(QueueError, match="works inside handle"):
        list(Note("a").resume([1]))
