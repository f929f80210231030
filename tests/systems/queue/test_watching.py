"""Metrics, status, doctor, waking, retries of the queue's own statements."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from so.db.manager import Database
from so.db.schema import install
from so.errors import DeadlockError, LockTimeoutError, LostConnectionError
from so.settings.queue import QueueSettings
from so.support.clock import Clock
from so.systems.queue import (
    JobEvent,
    Queue,
    RateLimited,
    Skip,
    ThrottlesExceptions,
    WithoutOverlapping,
)
from so.systems.queue.care.doctor import Doctor, _supports_skip_locked
from so.systems.queue.tables.jobs import CHUNK, NewJob, _parts
from so.systems.queue.tables.locks import lock_name
from so.systems.queue.tables.sql import Retry
from so.systems.queue.waking import Bell, Ear, Watch
from so.systems.worker import Worker, WorkerOptions
from so.systems.worker.loop import housekeeping, memory_mb
from tests.systems.queue.jobs import DIARY, Fails, Note


def beat(queue: Queue, clock: Clock, **more: Any) -> None:
    row = {
        "id": "w1",
        "host": "erp1",
        "pid": 7,
        "queues": ["default", "low"],
        "processes": 2,
        "state": "running",
        "generation": 0,
        "done": 0,
        "failed": 0,
        "started_at": int(clock.time()),
        "current": [],
    }
    queue.control.beat(queue.source.connection(), {**row, **more})


# --- metrics --------------------------------------------------------------------------------------


def test_the_state_of_each_queue_is_counted(queue: Queue, worker: Worker, clock: Clock) -> None:
    queue.push(Note("done"))
    worker.run_one()
    queue.push(Note("a"))
    queue.later(60, Note("b"))
    queue.push(Note("c"), "low")
    queue.control.pause("low")
    clock.travel(5)
    beat(queue, clock, current=[{"id": 1, "queue": "default", "job": "X", "seconds": 1}])

    default, low = queue.metrics.states()
    assert (default.name, default.pending, default.oldest_seconds) == ("default", 1, 5)
    assert (default.done_last_hour, default.failed_last_hour, default.reserved) == (1, 0, 1)
    assert (low.pending, low.paused, low.delayed) == (1, True, 0)
    assert low.to_dict()["name"] == "low"


def test_counters_are_written_as_open_metrics(queue: Queue, worker: Worker, clock: Clock) -> None:
    queue.push(Note("a"))
    queue.push(Fails())
    worker.run_all()
    beat(queue, clock)

    text = queue.metrics.open_metrics()
    assert 'so_queue_done_total{queue="default"} 1' in text
    assert 'so_queue_retried_total{queue="default"} 2' in text
    assert 'so_queue_failed_total{queue="default"} 1' in text
    assert 'so_queue_run_seconds_count{queue="default"} 4' in text
    assert 'so_queue_run_seconds_bucket{queue="default",le="+Inf"} 4' in text
    assert "so_queue_workers 2" in text
    assert text.endswith("# EOF\n")


def test_counters_are_kept_when_they_cannot_be_written(queue: Queue, db: Database) -> None:
    queue.metrics.count("default", "done")

    class Broken:
        def transaction(self) -> Any:
            raise LockTimeoutError()

    with pytest.raises(LockTimeoutError):
        queue.metrics.flush(Broken())
    queue.metrics.flush(db.connection())
    queue.metrics.flush(db.connection())

    assert queue.metrics.totals() == {"default": {"done": 1}}


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


class Held(Note):
    """Meets one of the middlewares that may hold a job up."""

    def __init__(self, how: str, key: str = "a") -> None:
        self.how, self.key = how, key

    def middleware(self) -> list[Any]:
        return {
            "skip": [Skip.when(lambda job: True)],
            "limit": [RateLimited("supplier")],
            "drop": [RateLimited("supplier").dont_release()],
            "overlap": [WithoutOverlapping("x")],
            "throttle": [ThrottlesExceptions(1, 60)],
        }.get(self.how, [])

    def handle(self) -> None:
        if self.how == "snooze":
            self.release(60)
        if self.how == "throttle":
            raise ValueError("closed")


class Only(Note):
    unique_for = 60


@pytest.mark.parametrize(
    ("how", "kind", "reason"),
    [
        ("skip", "skipped", "skipped by its middleware"),
        ("limit", "released", "rate limit"),
        ("drop", "skipped", "over its rate limit"),
        ("overlap", "released", "overlap"),
        ("throttle", "released", "throttled ValueError: closed"),
        ("snooze", "released", "released"),
        ("unique", "skipped", "another one is queued already"),
    ],
)
def test_36_what_is_held_up_is_told_by_event_counter_and_log(
    queue: Queue, worker: Worker, caplog: pytest.LogCaptureFixture, how: str, kind: str, reason: str
) -> None:
    caplog.set_level("INFO", "so.queue")
    events: list[JobEvent] = []
    queue.listen(kind, events.append)
    queue.limit("supplier", lambda job: (0, 60))
    if how == "overlap":
        queue.push(Note("runs elsewhere"), "other")
        (row,) = Worker(queue, WorkerOptions(queues=["other"]))._claim(1)
        name, owner = lock_name("overlap", Held.alias, "x"), f"{row.id}:{row.worker}"
        conn, now = queue.source.connection(), queue.clock.time()
        assert queue.locks.take_overlap(conn, name, owner, now, None)
    if how == "unique":
        queue.push(Only("a"))
        queue.push(Only("a"))
    else:
        queue.push(Held(how))
        worker.run_one()

    assert [event.reason for event in events] == [reason]
    assert queue.metrics.totals()["default"][kind] == 1
    assert f'so_queue_{kind}_total{{queue="default"}} 1' in queue.metrics.open_metrics()
    assert reason in caplog.text


# --- doctor ---------------------------------------------------------------------------------------


def names(queue: Queue, **settings: Any) -> list[str]:
    return [finding.name for finding in Doctor(queue, QueueSettings(**settings)).examine()]


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

    (finding,) = Doctor(queue).examine()
    assert "(unreadable payload), gone.Later" in finding.text


def test_the_doctor_forgives_a_dead_worker_that_was_replaced(queue: Queue, clock: Clock) -> None:
    beat(queue, clock, id="first")
    clock.travel(60)
    beat(queue, clock, id="other machine", host="erp2")
    beat(queue, clock, id="other queues", queues=["low"])
    assert [finding.is_fatal for finding in Doctor(queue).examine()] == [True]

    beat(queue, clock, id="second")
    (finding,) = Doctor(queue).examine()
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
    assert Doctor(queue).examine()[0].to_dict()["name"] == "clock"


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


# --- waking ---------------------------------------------------------------------------------------


def test_the_bell_wakes_every_worker_of_the_machine(tmp_path: Path) -> None:
    folder = str(tmp_path / ("deep" * 20) / "bells")
    bell = Bell(folder)
    bell.ring()  # nobody has ever listened
    ears = [bell.listen(), bell.listen()]

    for ear in ears:
        assert ear is not None
    bell.ring()
    for ear in ears:
        assert ear is not None
        assert ear._socket.recv(8) == b"\n"
        ear.pass_on()
        ear.drain()
        with pytest.raises(BlockingIOError):
            ear._socket.recv(8)
        ear.close()
    assert list(Path(folder).iterdir()) == []


def test_a_bell_left_by_a_killed_worker_is_cleared_away(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "1-x.bell"))
    Bell(str(tmp_path)).ring()

    assert list(tmp_path.iterdir()) == []


def test_a_full_bell_and_a_missing_folder_hold_nobody_up(tmp_path: Path) -> None:
    bell = Bell(str(tmp_path))
    ear = bell.listen()
    for _ in range(1000):
        bell.ring()
    assert ear is not None
    ear.close()

    assert Bell(None).listen() is None
    Bell(None).ring()
    assert Bell("/proc/nowhere").listen() is None
    assert Ear(str(tmp_path)).fileno() > 0


def test_a_dispatch_rings(db: Database, clock: Clock, tmp_path: Path) -> None:
    queue = Queue(db, clock=clock, wake_folder=str(tmp_path))
    ear = queue.bell.listen()
    assert ear is not None

    queue.push(Note("a"))
    assert ear._socket.recv(8) == b"\n"
    with db.transaction():
        queue.push(Note("b"))
        with pytest.raises(BlockingIOError):
            ear._socket.recv(8)
    assert ear._socket.recv(8) == b"\n"
    ear.close()


def test_the_glance_sees_what_no_bell_tells(queue: Queue, db: Database, clock: Clock) -> None:
    conn = queue.worker_connection()
    watch = Watch(queue.store, conn, clock, 3.0)

    assert not watch.look(["default"])
    queue.later(60, Note("a"))
    assert not watch.look(["default"])
    clock.travel(60)
    assert watch.look(["default"])
    assert watch.look(["default"])
    assert not watch.look(["other"])
    assert not watch.look([])
    conn.close()


def test_pauses_grow_while_nothing_happens(queue: Queue, clock: Clock, engine: str) -> None:
    watch = Watch(queue.store, queue.worker_connection(), clock, 0.6)
    pauses = [watch.pause() for _ in range(20)]
    watch.note_activity()

    assert max(pauses) <= 0.6
    assert watch.pause() == pauses[0]
    if engine == "mysql":
        assert pauses[-1] == 0.6
    watch._active_at -= 100
    assert watch.pause() > 0
    watch._conn.close()


# --- trying again ---------------------------------------------------------------------------------


class Flaky:
    """A stand-in for a connection that is out of luck."""

    in_transaction = False

    def roll_back(self, level: int) -> None:
        DIARY.append("rolled back")


def test_conflicts_are_tried_again_and_never_reach_the_job() -> None:
    DIARY.clear()
    errors = [DeadlockError(), LockTimeoutError(), LostConnectionError()]
    kinds: list[str] = []
    retry = Retry(on_retry=kinds.append)

    def work() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    assert retry(Flaky(), work) == "done"
    assert kinds == ["conflict", "conflict", "lost"]
    assert retry.lost
    assert DIARY == ["rolled back"] * 3


def test_patience_has_an_end() -> None:
    def work() -> None:
        raise LostConnectionError()

    with pytest.raises(LostConnectionError):
        Retry(patience=0.05)(Flaky(), work)


def test_inside_a_transaction_nothing_is_repeated(db: Database) -> None:
    def work() -> None:
        raise DeadlockError()

    with db.transaction() as conn, pytest.raises(DeadlockError):
        Retry()(conn, work)


def test_33_bulk_statements_are_bounded_in_rows_and_bytes() -> None:
    small = [NewJob("q", "x", 1, 1, "u")] * (2 * CHUNK + 1)
    large = [NewJob("q", "x" * 400_000, 1, 1, "u")] * 4

    assert [len(part) for part in _parts(small)] == [CHUNK, CHUNK, 1]
    assert [len(part) for part in _parts(large)] == [1, 1, 1, 1]
    assert list(_parts([])) == []


# --- the thread beside the worker -----------------------------------------------------------------


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
    import time

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


def test_the_line_of_a_job_is_printed_while_it_runs(queue: Queue) -> None:
    texts: list[str] = []

    class Looks(Note):
        def handle(self) -> None:
            DIARY.append("".join(texts))

    queue.push(Looks("a"))
    # As in a child of a crew, where no second thread watches a job that is alone.
    Worker(queue, out=texts.append, keeps_leases=False).run_one()

    assert "attempt 1 RUNNING" in DIARY[0]


def test_a_single_worker_renews_its_own_leases(
    queue: Queue, db: Database, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    import time

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
