"""The queue's own statements under faults: killed between any two of them, and refused ones.

A child process runs one worker and dies at the n-th statement; the test tries every n. What was
refused by the database (a deadlock, a lost answer) must never count against the job.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.errors import DeadlockError, LostConnectionError
from so.support.clock import Clock
from so.support.current import replaced
from so.systems.queue import Job, Queue
from so.systems.worker import Worker, WorkerOptions
from tests.conftest import install
from tests.crash.queue_jobs import Leaves
from tests.crash.queue_world import World, worlds
from tests.support.mariadb import MariaDB, ServerMissing, launch
from tests.support.needed import lacking, mysql_only
from tests.support.plans import explained
from tests.systems.queue.jobs import DIARY, Fails, Note


class Once(Fails):
    """Fails at its only attempt."""

    tries = 1
    unique_for = 600


class Again(Job):
    """Puts itself back."""

    tries = 5

    def handle(self) -> None:
        self.release(5)


class Books(Job):
    """Writes a row in one transaction with its removal."""

    transactional = True

    def handle(self) -> None:
        from so.support.current import current

        current("queue").source.connection().run(
            "insert into cache (`key`, value, expiration) values ('k', 'v', 1)"
        )


MAKE: dict[str, Callable[[], Job]] = {
    "fails": Once,
    "releases": Again,
    "retries": Fails,
    "books": Books,
    "succeeds": lambda: Note("a"),
}
OPEN_END = 60


def run_and_die(config: dict[str, Any], at: int) -> bool:
    """Run one job in a child that dies before its *at*-th statement; whether it came that far."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def count(sql: str, bindings: Any, connection: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)

        with Database({"default": config}) as database:
            queue = Queue(database)
            worker = Worker(queue, WorkerOptions(once=True))
            worker.conn.before_executing(count)
            database.before_executing(count)
            with replaced("queue", queue):
                worker.run_one()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("how", list(MAKE))
def test_09_killed_between_any_two_statements_a_job_is_in_exactly_one_place(
    db_config: dict[str, Any], how: str
) -> None:
    with Database({"default": db_config}) as db:
        queue = Queue(db)
        for at in range(1, OPEN_END):
            queue.push(MAKE[how]())
            db.close()
            died = run_and_die(db_config, at)

            waiting, failed = queue.size(), queue.failed_jobs.count()
            booked = db.table("cache").count()
            locked = db.table("queue_locks").where("kind", "unique").count()
            if how == "fails":
                assert waiting + failed == 1
                assert locked == waiting
            elif how == "books":
                assert waiting + booked == 1
            elif how == "succeeds":
                assert failed == 0
            else:
                assert (waiting, failed) == (1, 0)
            for table in ("jobs", "failed_jobs", "queue_locks", "cache"):
                db.table(table).delete()
            if not died:
                break
        else:
            pytest.fail(f"a {how} job never came to its end within {OPEN_END} statements")


class Fault:
    """Raises one error at the n-th statement of a connection that holds a word."""

    def __init__(self, word: str, error: type[Exception], times: int = 1) -> None:
        self.word, self.error, self.times = word, error, times

    def __call__(self, sql: str, bindings: Any, connection: Any) -> None:
        if self.times and self.word in sql:
            self.times -= 1
            raise self.error(message=f"injected at {sql[:40]}")  # type: ignore[call-arg]


@pytest.fixture
def queue(db: Database, clock: Clock) -> Queue:
    DIARY.clear()
    return Queue(db, clock=clock)


@pytest.mark.parametrize(
    "word", ["update jobs", "commit", "select id, available_at", "transaction"]
)
def test_05_a_refused_claim_costs_the_job_nothing(
    queue: Queue, db: Database, engine: str, word: str
) -> None:
    worker = Worker(queue)
    queue.push(Note("a"))
    worker.conn.before_executing(Fault(word, DeadlockError, times=3))
    worker.finished = []

    assert worker.run_one()

    assert DIARY == ["a"]
    assert queue.size() == queue.failed_jobs.count() == 0


@pytest.mark.parametrize("error", [DeadlockError, LostConnectionError])
@pytest.mark.parametrize("make", [lambda: Note("a"), Once, Fails, Again])
def test_05_a_refused_ending_is_written_all_the_same(
    queue: Queue, db: Database, make: Callable[[], Job], error: type[Exception]
) -> None:
    worker = Worker(queue)
    queue.push(make())
    (row,) = worker._claim(1)
    fault = Fault("jobs", error, times=2)
    worker.conn.before_executing(fault)
    worker._process(row)
    worker.settle_finished()

    assert fault.times == 0
    left = db.table("jobs").get()
    expected = {Note: (0, 0), Once: (0, 1), Fails: (1, 0), Again: (1, 0)}[type(make())]
    assert (len(left), queue.failed_jobs.count()) == expected
    assert all(row["worker_id"] is None for row in left)


def test_a_claim_whose_answer_was_lost_is_found_again(queue: Queue, db: Database) -> None:
    worker = Worker(queue)
    queue.push(Note("a"))
    original = worker.store.claim
    lost = [True]

    def claim(*args: Any) -> Any:
        rows = original(*args)
        if lost.pop() if lost else False:
            if worker.conn.in_transaction:
                worker.conn.commit()
            raise LostConnectionError(message="the answer was lost")
        return rows

    worker.store.claim = claim  # type: ignore[method-assign]
    assert worker.run_one()

    assert DIARY == ["a"]
    assert queue.size() == 0


def test_a_commit_of_a_transactional_job_whose_answer_was_lost_counts(
    queue: Queue, db: Database
) -> None:
    with replaced("queue", queue):
        worker = Worker(queue)
        queue.push(Books())
        conn = db.connection()
        commit = conn._commit_outermost

        def answer_lost() -> None:
            commit()
            conn._level -= 1
            conn.close()
            raise LostConnectionError(message="the answer was lost")

        conn._commit_outermost = answer_lost  # type: ignore[method-assign]
        worker.run_one()
        conn._commit_outermost = commit  # type: ignore[method-assign]

    assert db.table("cache").count() == 1
    assert queue.size() == queue.failed_jobs.count() == 0


def test_a_deadlock_in_a_transactional_job_runs_all_of_it_again(queue: Queue, db: Database) -> None:
    with replaced("queue", queue):
        worker = Worker(queue)
        queue.push(Books())
        db.before_executing(Fault("insert into cache", DeadlockError, times=2))
        worker.run_one()

    assert db.table("cache").count() == 1
    assert queue.size() == 0


def test_06_a_claim_reads_no_more_rows_than_it_takes(db: Database, engine: str) -> None:
    conn = db.connection()
    queue = Queue(db)
    conn.run("delete from jobs")
    queue.bulk(_delayed(n) for n in range(2000))
    queue.bulk(Note(str(n)) for n in range(20))
    worker = Worker(queue)
    if engine == "sqlite":
        plan = worker.conn.select_tuples(
            "explain query plan select id from jobs indexed by jobs_due_index "
            "where queue = ? and available_at <= ? order by available_at, id limit 5",
            ("default", 1),
        )
        assert "COVERING INDEX jobs_due_index (queue=? AND available_at<?)" in plan[0][3]
        return
    read = "show session status like 'Handler_read_%'"
    before = sum(int(row[1]) for row in worker.conn.select_tuples(read))
    assert len(worker._claim(5)) == 5
    after = sum(int(row[1]) for row in worker.conn.select_tuples(read))
    # what a claim touches: the index entries, the rows to change, the rows to return
    assert after - before < 3 * 5 + 20


def _delayed(number: int) -> Job:
    job = Note(str(number))
    job.delay = 86_400
    return job


@mysql_only  # one writer at a time: nothing can be committed out of order
def test_07_a_job_committed_late_with_an_earlier_place_is_not_missed(
    db: Database, engine: str, clock: Clock
) -> None:
    queue = Queue(db, clock=clock)
    DIARY.clear()
    worker = Worker(queue)
    late = db.connection().separate()
    late.begin_transaction()
    Queue(late, clock=clock).push(Note("late"))
    queue.push(Note("early"))
    assert worker.run_one()
    late.commit()
    # Where the look at the front was slow, on a busy machine, the next one rests a little.
    until = time.monotonic() + 10
    while not worker.run_one() and time.monotonic() < until:
        time.sleep(0.01)

    assert DIARY == ["early", "late"]
    late.close()


@mysql_only  # InnoDB only: it keeps the index entries of finished jobs for the snapshot
def test_07_under_an_open_snapshot_a_claim_seeks_past_the_dead_whatever_the_statistics_say(
    db: Database, engine: str
) -> None:
    queue = Queue(db)
    conn = db.connection()
    queue.bulk(Note(n) for n in range(6000))
    with closing(conn.separate()) as report:
        report.begin_transaction(mode="read")
        report.select_tuples("select count(*) from jobs")
        worker = Worker(queue)
        statements: list[tuple[str, Any]] = []
        run = worker.conn.run
        worker.conn.run = lambda sql, values=(): (
            statements.append((sql, values)) or run(sql, values)
        )

        mariadb = conn.server.returns_rows
        rounds = 20 if mariadb else 15  # a table of some hundred jobs MySQL walks all the same
        plans = []
        for _ in range(rounds):
            worker.store.delete_many(worker.conn, worker._claim(290))
            conn.run("analyze table jobs")
            statements.clear()
            worker.store.delete_many(worker.conn, worker._claim(1))
            finds = [each for each in statements if each[0].startswith("select id")]
            plans += [explained(conn, sql, values)[0] for sql, values in finds]

        # One look each, by a range over all three columns of the index.
        whole = str((4 * 64 + 2) + 4 + 8)
        assert [(plan["type"], plan["key_len"]) for plan in plans] == [("range", whole)] * rounds


@mysql_only  # InnoDB only
def test_07_while_the_front_is_full_of_the_dead_it_is_looked_at_rarely_but_it_is(
    db: Database, engine: str, clock: Clock
) -> None:
    queue = Queue(db, clock=clock)
    DIARY.clear()
    worker = Worker(queue)
    late = db.connection().separate()
    late.begin_transaction()
    Queue(late, clock=clock).push(Note("late"))
    queue.push(Note("early"))
    assert worker.run_one()
    late.commit()
    front = queue.store._front
    front._again["default"] = time.monotonic() + 3600  # as after a walk of a minute
    assert not worker.run_one()
    front._again["default"] = time.monotonic()
    assert worker.run_one()

    assert DIARY == ["early", "late"]
    late.close()


def test_08_idle_workers_never_block_an_insert(db: Database, engine: str) -> None:
    queue = Queue(db)
    conn = db.connection()
    if engine == "mysql":
        conn.statement("set session innodb_lock_wait_timeout = 1")
    idle = [Worker(queue) for _ in range(4)]
    for worker in idle:
        assert worker._claim(1) == []
        if engine == "mysql":
            worker.conn.begin_transaction()
            assert worker.store._pick(worker.conn, "default", 1, 2_000_000_000) == []
    queue.push(Note("a"))  # would wait for a gap lock under REPEATABLE READ

    for worker in idle:
        worker.conn.roll_back(0)
        worker.conn.close()
    assert queue.size() == 1


@mysql_only  # for clusters only
def test_claiming_at_random_takes_each_job_once(db: Database, engine: str, clock: Clock) -> None:
    queue = Queue(db, clock=clock)
    DIARY.clear()
    queue.bulk(Note(n) for n in range(100))
    worker = Worker(queue)
    assert not queue.store.randomise
    queue.store.randomise = True
    worker.run_all()

    assert sorted(DIARY) == list(range(100))
    assert sorted(DIARY) != DIARY


@pytest.fixture
def own_server() -> Iterator[MariaDB]:
    """A server that a test may kill."""
    try:
        server = launch("--innodb-flush-log-at-trx-commit=1")
    except ServerMissing as missing:
        lacking(str(missing))
    yield server
    server.stop()


@pytest.fixture
def own_world(own_server: MariaDB, tmp_path: Path) -> Iterator[World]:
    with Connection(own_server.config()) as conn:
        conn.statement("create database queue_test collate utf8mb4_unicode_ci")
    with Connection(own_server.config("queue_test")) as conn:
        install(conn)
    yield from worlds(own_server.config("queue_test"), tmp_path)


def test_28_workers_survive_a_restart_of_the_server(own_world: World, own_server: MariaDB) -> None:
    world = own_world
    process = world.start(processes=2)
    world.queue.push(Leaves("before"))
    world.until(lambda: world.effects("end before"))
    world.queue.push(Leaves("during", 1.0))
    world.until(lambda: world.effects("start during"))
    own_server.kill()
    world.db.close()
    own_server.start()
    world.queue.push(Leaves("after"))

    world.until(lambda: world.effects("end after"), "for the job after the restart")
    world.until_empty()
    assert world.stop(process) == 0
    assert sum("trying again" in line for line in world.log.splitlines()) < 60
