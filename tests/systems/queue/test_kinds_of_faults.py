"""Kinds of faults that people report of other queues: each test is named for its kind."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.errors import (
    DeadlockError,
    LockTimeoutError,
    LostConnectionError,
    QueryError,
    QueueError,
    ReadOnlyError,
    StatementTimeoutError,
    UnavailableError,
)
from so.support import processes
from so.support.clock import Clock
from so.systems.queue import JOBS, Job, JobEvent, Queue
from so.systems.worker import Worker, WorkerOptions, work
from tests.support.needed import mysql_only
from tests.systems.queue.jobs import DIARY, Fails, Note

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


class Until(Job):
    """May be tried until a moment that the test gives."""

    def __init__(self, until: Any = None) -> None:
        self.retry_until = until

    def handle(self) -> None:
        DIARY.append("ran")

    def failed(self, exception: BaseException) -> None:
        DIARY.append(f"failed: {type(exception).__name__}")


@pytest.mark.parametrize(
    "until",
    [
        NOON + timedelta(seconds=30),
        (NOON + timedelta(seconds=30)).replace(tzinfo=None),
        (NOON + timedelta(seconds=30)).timestamp(),
        int(NOON.timestamp()) + 30,
        timedelta(seconds=30),
    ],
    ids=["aware", "naive", "float", "int", "timedelta"],
)
@pytest.mark.parametrize("has_passed", [False, True])
def test_a_moment_to_try_until_that_has_passed_fails_the_job_unrun(
    queue: Queue, worker: Worker, clock: Clock, until: Any, has_passed: bool
) -> None:
    queue.push(Until(until))
    clock.travel(60 if has_passed else 20)

    worker.run_all()

    assert queue.size() == 0
    if not has_passed:
        assert DIARY == ["ran"]
        return
    assert DIARY == ["failed: MaxAttemptsExceeded"]
    (failed,) = queue.failed()
    assert failed.reason == (
        f"MaxAttemptsExceeded: {Until.alias} was to be tried until 2026-01-15 12:00:30 UTC, "
        "which has passed"
    )


def test_a_moment_to_try_until_holds_while_a_job_waits_without_being_run(
    queue: Queue, worker: Worker, clock: Clock
) -> None:
    class Waits(Until):
        def middleware(self) -> list[Any]:
            return [lambda job, _: job._run.release(20, cost="nothing")]

    queue.push(Waits(timedelta(seconds=30)))
    for _ in range(3):
        worker.run_all()
        clock.travel(20)

    assert DIARY == ["failed: MaxAttemptsExceeded"]


HOOKS: dict[str, Any] = {
    "delete": lambda event: event.job.delete(),
    "release": lambda event: event.job.release(60),
    "fail": lambda event: event.job.fail("not today"),
}


class Careful(Note):
    """Says when it has failed."""

    def failed(self, exception: BaseException) -> None:
        DIARY.append(f"failed: {exception}")


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("how", list(HOOKS))
def test_a_before_hook_that_ends_a_job_keeps_it_from_running(
    queue: Queue, worker: Worker, how: str, transactional: bool
) -> None:
    told: list[str] = []
    queue.before(HOOKS[how])
    queue.after(lambda event: told.append(event.kind))
    queue.failing(lambda event: told.append(event.kind))
    job = Careful("ran")
    job.transactional = transactional
    queue.push(job)

    assert worker.run_one()

    left = (queue.delayed_size(), queue.failed_jobs.count())
    expected = {"delete": (0, 0), "release": (1, 0), "fail": (0, 1)}
    assert left == expected[how]
    if how == "fail":
        assert (DIARY, told) == (["failed: not today"], ["failing"])
    else:
        assert (DIARY, told) == ([], [])
    assert queue.reserved_size() == 0


def test_a_before_hook_ends_one_job_and_the_next_one_runs(queue: Queue, worker: Worker) -> None:
    def only_b(event: JobEvent) -> None:
        if event.job is not None and event.job.word == "a":  # type: ignore[attr-defined]
            event.job.delete()

    queue.before(only_b)
    queue.bulk([Note("a"), Note("b")])

    worker.run_all()

    assert DIARY == ["b"]
    assert queue.size() == 0


def test_a_before_hook_keeps_a_job_that_runs_at_once_from_running(queue: Queue) -> None:
    queue.before(lambda event: event.job.delete() if event.job else None)

    assert queue.dispatch_sync(Note("a")) is None
    assert DIARY == []


# --- what was not written down: leases, switchovers, commits that were lost ---------------------


class Refuses:
    """Raises an error at the next *times* statements that hold a word, as a database might."""

    def __init__(self, word: str, error: Callable[[], Exception], times: int = 3) -> None:
        self.word, self.error, self.times = word, error, times

    def __call__(self, sql: str, bindings: Any, connection: Any) -> None:
        if self.times and self.word in sql:
            self.times -= 1
            raise self.error()


OUTAGES: dict[str, Callable[[], Exception]] = {
    "deadlock": lambda: DeadlockError(message="deadlock"),
    "busy": lambda: LockTimeoutError(message="database is locked"),
    "lost": lambda: LostConnectionError(message="gone away"),
    "read-only": lambda: ReadOnlyError(message="the server is read-only"),
    "too slow": lambda: StatementTimeoutError(message="too slow"),
    "disk full": lambda: UnavailableError(message="database or disk is full"),
}


class Once(Fails):
    """Fails at its only attempt."""

    tries = 1


@pytest.mark.parametrize("why", list(OUTAGES))
@pytest.mark.parametrize(
    ("make", "left"),
    [(lambda: Note("a"), (0, 0)), (Once, (0, 1)), (Fails, (1, 0))],
    ids=["done", "failed", "retried"],
)
def test_an_end_is_written_however_long_the_database_refuses_it(
    queue: Queue, worker: Worker, make: Callable[[], Job], left: tuple[int, int], why: str
) -> None:
    queue.push(make())
    (row,) = worker._claim(1)
    fault = Refuses(" jobs", OUTAGES[why])
    worker.conn.before_executing(fault)

    worker._process(row)
    worker.settle_finished()

    assert fault.times == 0
    assert (queue.size(), queue.failed_jobs.count()) == left
    assert len(DIARY) == (2 if isinstance(make(), Once) else 1)
    assert queue.reserved_size() == 0


@pytest.mark.parametrize("why", list(OUTAGES))
def test_a_claim_waits_for_a_database_that_refuses_it(
    queue: Queue, worker: Worker, why: str
) -> None:
    queue.push(Note("a"))
    worker.conn.before_executing(Refuses("update jobs", OUTAGES[why]))

    assert worker.run_one()

    assert DIARY == ["a"]
    assert queue.size() == 0


def test_what_could_not_be_written_down_at_all_is_kept_for_the_next_time(
    queue: Queue, worker: Worker
) -> None:
    queue.push(Note("a"))
    (row,) = worker._claim(1)
    worker._process(row)
    fault = Refuses("delete from jobs", lambda: QueryError(message="no such table"), 2)
    worker.conn.before_executing(fault)

    for write in (worker.settle_finished, lambda: worker._claim(1)):
        with pytest.raises(QueryError):
            write()
        assert worker.finished == [row]
    worker.settle_finished()

    assert queue.size() == 0
    assert DIARY == ["a"]


@pytest.mark.parametrize("why", ["read-only", "lost", "disk full", "nonsense"])
def test_a_group_that_cannot_be_given_back_is_neither_lost_nor_run_twice(
    queue: Queue, worker: Worker, why: str
) -> None:
    if worker.leftovers is None:
        pytest.skip("one connection: nothing is claimed ahead")
    leftovers = worker.leftovers
    queue.bulk(Note(n) for n in range(6))
    rows = worker._claim(6)
    worker._process(rows[0])
    worker.waiting.extend(rows[1:])
    worker.current = worker.waiting.popleft()
    errors = {**OUTAGES, "nonsense": lambda: QueryError(message="no such table")}
    fault = Refuses("update jobs set reserved_at = null", errors[why], 10**9)
    leftovers._connection().before_executing(fault)
    leftovers.try_seconds = 0.05

    with pytest.raises(QueryError):
        leftovers._rescue()

    assert [row.id for row in worker.waiting] == [row.id for row in rows[2:]]
    assert worker.finished == worker.leaving == []
    fault.times = 0
    leftovers._rescue()
    assert not worker.waiting
    worker._process(worker.current)
    worker.run_all()
    assert sorted(DIARY) == list(range(6))
    assert queue.size() == 0
    leftovers._connection().close()


def test_a_job_that_waited_longer_than_its_lease_is_started_only_if_it_is_still_ours(
    queue: Queue, worker: Worker, clock: Clock
) -> None:
    queue.bulk(Note(n) for n in range(3))
    worker.waiting.extend(worker._claim(3))
    clock.travel(30)
    other = Worker(queue, WorkerOptions())
    taken = other._claim(1)
    assert [row.id for row in taken] == [worker.waiting[0].id]

    mine = [row for row in (worker._next() for _ in range(3)) if row is not None]

    assert len(mine) == 2
    assert taken[0].id not in [row.id for row in mine]
    assert other._claim(3) == []  # for they were renewed before they start
    for each in (worker, other):
        each.store.delete_many(each.conn, mine if each is worker else taken)
    other.leave()
    if not other.is_alone:
        other.conn.close()


def test_a_row_that_comes_back_with_a_failover_is_given_back_by_the_worker_it_names(
    queue: Queue, worker: Worker, db: Any, clock: Clock
) -> None:
    queue.push(Note("a"))
    (row,) = worker._claim(1)
    kept = dict(db.connection().select_one("select * from jobs"))
    worker._process(row)
    worker.settle_finished()
    db.table("jobs").insert(kept)  # as a restore does, or a failover that has lost the commit
    queue.push(Note("b"))
    (ours,) = worker._claim(1)
    worker.waiting.append(ours)

    worker.give_back_orphans()

    back = db.connection().select_one("select * from jobs where id = ?", [kept["id"]])
    assert (back["worker_id"], back["reserved_at"], back["attempts"]) == (None, None, 0)
    assert worker.store.is_held(worker.conn, ours)
    worker.waiting.clear()
    worker._process(ours)
    worker.run_all()
    assert DIARY == ["a", "b", "a"]
    assert queue.size() == 0


def test_after_an_outage_as_long_as_a_lease_nobody_claims_before_the_ends_are_written(
    queue: Queue, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.bulk(Note(n) for n in range(2))
    (row,) = worker._claim(1)
    worker._process(row)
    worker._heard_at -= worker.options.lease_seconds
    worker.conn.before_executing(Refuses(" jobs", OUTAGES["lost"], 1))

    assert worker._claim(1) == []

    assert queue.size() == 1  # what has ended is gone
    assert not worker._ends_when_empty()
    assert worker._claim_from("default", 1)
    monkeypatch.setattr("so.systems.worker.loop.HOLD_BACK_SECONDS", 0.0)
    worker._heard_at -= worker.options.lease_seconds
    queue.push(Note(3))
    worker.conn.before_executing(Refuses(" jobs", OUTAGES["deadlock"], 1))
    assert worker._claim(1)  # a conflict is no outage


# --- forks ----------------------------------------------------------------------------------------


class Looks(Job):
    """Writes down how many threads there are beside it, and has an odd number of them itself."""

    timeout = 30

    def handle(self) -> None:
        DIARY.append(threading.active_count())


def test_a_worker_in_this_process_forks_once_and_starts_no_thread_beside_which_to_fork(
    db_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    forks: list[int] = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: forks.append(threading.active_count()) or fork())
    DIARY.clear()
    with Database({"default": db_config}) as db:
        queue = Queue(db)
        before = threading.active_count()
        queue.bulk(Looks() for _ in range(5))

        options = WorkerOptions(processes=0, stop_when_empty=True, memory_mb=0, quiet=True)
        assert work(queue, options) == 0

    assert [before] * 5 == DIARY
    assert forks == [before]


@pytest.mark.parametrize("processes", [0, 1])
def test_a_worker_that_has_ended_leaves_no_connection_open(
    db_config: dict[str, Any], processes: int
) -> None:
    def opened() -> set[int]:
        found = [one for one in gc.get_objects() if isinstance(one, Connection)]
        return {id(one) for one in found if one._session is not None}

    with Database({"default": db_config}) as db:
        queue = Queue(db)
        before = opened()
        queue.push(Looks())
        options = WorkerOptions(processes=processes, max_seconds=0.3, sleep_seconds=0.2, quiet=True)
        assert work(queue, options) == 0
        db.close()

        assert opened() <= before


def test_a_fork_beside_threads_of_the_application_is_no_error() -> None:
    def warning_fork() -> int:
        warnings.warn("this process is multi-threaded", DeprecationWarning, stacklevel=2)
        return 7

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(os, "fork", warning_fork)

        assert processes.fork() == 7


# --- what is done costs nothing any more ----------------------------------------------------------


def pages(conn: Any) -> int:
    sql = "show global status like 'Innodb_buffer_pool_read_requests'"
    return int(conn.select_tuples(sql)[0][1])


@mysql_only  # InnoDB only: it keeps the index entries of finished jobs for the snapshot
@pytest.mark.parametrize("name", ["default", "alpha", "zulu"])
def test_under_an_open_snapshot_a_poll_that_finds_too_little_reads_few_pages(
    queue: Queue, worker: Worker, db: Any, engine: str, name: str
) -> None:
    queue.bulk(Note(n) for n in range(5000))
    with closing(db.connection().separate()) as report:
        report.begin_transaction(mode="read")
        report.select_tuples("select count(*) from jobs")
        while rows := worker._claim(500):
            worker.store.delete_many(worker.conn, rows)
        asking = Worker(queue, WorkerOptions(queues=[name]))
        for due in (0, 1):
            read = []
            for _ in range(5):
                queue.bulk([Note("due")] * due, name)
                before = pages(report)
                assert len(asking._claim(64)) == due
                read.append(pages(report) - before)
            # A locking read asks for three to six pages for each of the 5000. The server counts
            # what others read meanwhile, too.
            assert min(read) < 1500
        asking.leave()
        asking.conn.close()
        report.roll_back(0)


@mysql_only  # one writer at a time: nobody claims at the same moment
def test_jobs_that_others_are_claiming_are_passed_over_in_their_order(
    queue: Queue, db: Any, engine: str
) -> None:
    queue.bulk(Note(n) for n in range(40))
    workers = [Worker(queue, WorkerOptions()) for _ in range(12)]
    found: list[int] = []
    try:
        for number, each in enumerate(workers):
            each.conn.begin_transaction()
            rows = each.store.claim(each.conn, "default", 2, f"w{number}/", 2_000_000_000, 15)
            found += [row.id for row in rows]
    finally:
        for each in workers:
            each.conn.roll_back(0)
            each.conn.close()

    assert found == sorted(found)
    assert len(set(found)) == 24


def test_a_worker_that_is_stopped_while_its_database_is_away_does_not_wait_for_it(
    queue: Queue, worker: Worker
) -> None:
    worker.conn.before_executing(Refuses(" jobs", OUTAGES["lost"], 10**9))
    worker.on_outage = worker.stop

    assert worker.run() == 0


def test_two_jobs_of_one_alias_in_different_modules_are_refused() -> None:
    def job_of(module: str) -> type[Job]:
        return type("Report", (Job,), {"__module__": module, "alias": "kinds.report"})

    first = job_of("sales.jobs")

    with pytest.raises(QueueError, match=r"stock\.jobs\.Report and sales\.jobs\.Report are both"):
        job_of("stock.jobs")
    assert JOBS["kinds.report"] is first
    assert job_of("sales.jobs") is JOBS["kinds.report"]  # its module was loaded anew
