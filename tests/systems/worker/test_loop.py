"""The worker's loop: which job comes next, when it ends, what it tidies up, and its clock."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

import pytest

from so.db.manager import Database
from so.support.clock import Clock
from so.systems.queue import Queue
from so.systems.worker import Worker, WorkerOptions
from so.systems.worker.loop import housekeeping, memory_mb
from tests.support.needed import mysql_only
from tests.systems.queue.conftest import beat
from tests.systems.queue.jobs import DIARY, Fails, Note, NoteAttempt


def test_26_workers_prune_old_failures_and_tell_a_wrong_clock(
    queue: Queue,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue.push(Fails())
    Worker(queue).run_all()
    clock.travel(25 * 3600)
    monkeypatch.setattr("so.db.connection.Connection.database_time", lambda self: clock.time() + 3)
    worker = Worker(queue, WorkerOptions(stop_when_empty=True, prune_failed_hours=24))
    worker._kept_at -= 3600
    worker._tidy()
    worker.run()

    assert queue.failed_jobs.count() == 0
    assert "clock is 3.0 s off" in caplog.text


def test_housekeeping_sweeps_the_small_tables(queue: Queue, db: Database, clock: Clock) -> None:
    conn = db.connection()
    queue.metrics.count("default", "done")
    queue.metrics.flush(conn)
    queue.locks.hit(conn, "limit:x", clock.time(), 1, 60)
    beat(queue, clock)
    clock.travel(2 * 3600)
    housekeeping(queue, conn)

    assert db.table("queue_locks").count() == db.table("queue_workers").count() == 0
    assert db.table("queue_metrics").where("minute", ">", 0).count() == 0
    assert queue.locks.sweep(conn, clock.time()) == 0
    assert memory_mb() > 1


def test_35_by_rank_the_second_queue_waits_for_the_first(queue: Queue) -> None:
    worker = Worker(queue, WorkerOptions(queues=["north", "south"], stop_when_empty=True))
    queue.bulk([Note("n") for _ in range(300)], queue="north")
    queue.push(Note("s"), queue="south")
    worker.run()

    assert DIARY.index("s") == 300


def test_35_taken_in_turn_no_queue_waits_for_another_to_be_empty(queue: Queue) -> None:
    options = WorkerOptions(queues=["north", "idle", "south"], fair=True, stop_when_empty=True)
    worker = Worker(queue, options)
    queue.bulk([Note("n") for _ in range(300)], queue="north")
    queue.push(Note("s1"), queue="south")
    queue.push(Note("s2"), queue="south")
    worker.run()

    # One of each queue, then groups that grow, but never beyond a fair part.
    assert DIARY.index("s1") <= 2
    assert DIARY.index("s2") <= 2 + options.prefetch_jobs
    assert len(DIARY) == 302


def test_34_what_waits_behind_a_long_job_is_given_back(queue: Queue, db: Database) -> None:
    class Long(Note):
        def handle(self) -> None:
            deadline = time.monotonic() + 20
            while queue.pending_size() < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            DIARY.append(queue.pending_size())

    queue.bulk([Note("a"), Long("b"), Note("c"), Note("d")])
    worker = Worker(queue, WorkerOptions(max_jobs=2))
    worker._wanted = lambda: 4  # type: ignore[method-assign]
    worker.run()

    assert DIARY == ["a", 2]
    assert [row["attempts"] for row in db.table("jobs").get()] == [0, 0]


def test_a_worker_does_not_end_while_its_own_jobs_are_being_given_back(queue: Queue) -> None:
    given_back = threading.Event()
    looks = iter([lambda: None, lambda: None, given_back.set])

    class Long(Note):
        def handle(self) -> None:
            deadline = time.monotonic() + 20
            while worker.waiting and time.monotonic() < deadline:
                time.sleep(0.001)

    def out(_: str) -> None:
        if threading.current_thread().name == "leftovers":
            given_back.wait(5)  # it has them in hand, and the queue is empty

    queue.looping(lambda: next(looks, given_back.set)())
    queue.bulk([Long("a"), Note("b"), Note("c")])
    worker = Worker(queue, WorkerOptions(stop_when_empty=True), out=out)
    worker._wanted = lambda: 3  # type: ignore[method-assign]
    worker.run()

    assert (sorted(DIARY), queue.size()) == (["b", "c"], 0)


def test_a_single_worker_renews_its_own_leases(
    queue: Queue, db: Database, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    class Long(Note):
        def handle(self) -> None:
            end = int(db.table("jobs").value("available_at"))
            clock.travel(10)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                if int(db.table("jobs").value("available_at")) > end:
                    DIARY.append("renewed")
                    return
                time.sleep(0.01)

    options = WorkerOptions(once=True, lease_seconds=3)
    queue.push(Long("a"))
    worker = Worker(queue, options)
    assert worker.leftovers is not None
    worker.leftovers._renewed_at -= 60
    worker.run()

    assert DIARY == ["renewed"]
    assert os.getpid()


def test_a_database_in_memory_is_served_by_its_one_connection(clock: Clock) -> None:
    from so.db.connection import Connection
    from tests.conftest import install

    DIARY.clear()
    with Connection(":memory:", clock=clock) as conn:
        install(conn)
        queue = Queue(conn, clock=clock)
        queue.bulk([Note("a"), Note("b")])

        assert Worker(queue, WorkerOptions(stop_when_empty=True)).run() == 0
        assert DIARY == ["a", "b"]


def test_a_worker_ends_after_so_many_jobs(queue: Queue) -> None:
    queue.bulk(Note(n) for n in range(5))

    Worker(queue, WorkerOptions(max_jobs=3)).run()
    assert DIARY == [0, 1, 2]
    Worker(queue, WorkerOptions(once=True)).run()
    assert DIARY == [0, 1, 2, 3]
    assert queue.size() == queue.pending_size() == 1


def test_a_worker_takes_nothing_from_paused_queues(queue: Queue, clock: Clock) -> None:
    worker = Worker(queue, WorkerOptions(queues=["a", "b"]))
    queue.push(Note("a"), "a")
    queue.push(Note("b"), "b")
    queue.control.pause("a", 30)

    worker.run_all()
    assert DIARY == ["b"]
    queue.control.pause()
    clock.travel(31)
    worker.run_all()
    assert DIARY == ["b"]
    assert queue.control.resume()
    queue.control.resume("a")
    worker.run_all()
    assert DIARY == ["b", "a"]


def test_take_moves_a_job_out_without_running_it(queue: Queue, worker: Worker) -> None:
    queue.push(Note("a"))

    taken = worker.take()

    assert taken is not None
    assert json.loads(taken.payload)["data"] == {"word": "a"}
    assert worker.take() is None
    assert DIARY == []


def test_the_options_say_what_does_not_fit() -> None:
    assert WorkerOptions(lease_seconds=2).faults() != []
    assert WorkerOptions(queues=[]).faults() != []
    assert WorkerOptions().faults() == []


@mysql_only  # all on one machine, with one clock
def test_a_worker_whose_clock_is_ahead_takes_nothing_that_others_are_running(
    db_config: dict[str, Any], engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    DIARY.clear()
    ahead = Clock()
    ahead.adjust(20)
    for_both = {"default": db_config}
    with Database(for_both) as here, Database(for_both, clock=ahead) as there:
        first = Worker(Queue(here))
        first.queue.push(NoteAttempt())
        assert first._claim(1)

        second = Worker(Queue(there, clock=ahead), WorkerOptions(stop_when_empty=True))
        second.run()
        first.conn.close()
        second.conn.close()

    assert DIARY == []
    assert "clock is 20.0 s off the database's" in caplog.text


def test_a_clock_that_goes_wrong_later_is_noticed(
    queue: Queue, db: Database, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    worker = Worker(Queue(db, clock=clock))
    monkeypatch.setattr("so.db.connection.Connection.database_time", lambda self: 1_000.0)
    worker._metrics_at -= 3600
    worker._tidy()

    assert abs(clock.time() - 1_000) < 5


@pytest.mark.parametrize("given", [{"stop_when_empty": True}, {"once": True}])
def test_it_does_not_end_while_jobs_wait_behind_the_mark_of_the_front(
    queue: Queue, db: Database, given: dict[str, bool]
) -> None:
    """On InnoDB a slow look at the front is followed by a rest, in which it is not looked at."""
    worker = Worker(queue, WorkerOptions(**given))
    queue.push(Note("first"))
    worker.run_one()
    worker.done = 0
    queue.push(Note("late"))
    db.table("jobs").decrement("available_at", 3600)
    front = worker.store._front
    front._again = dict.fromkeys(front._marks, time.monotonic() + 60)
    front._marks = dict.fromkeys(front._marks, (int(queue.clock.time()), 0))

    worker.run()

    assert (DIARY, queue.size()) == (["first", "late"], 0)
