"""Real conflicts: deadlocks, lock waits, stale snapshots, many threads at one row."""

# ruff: noqa: PT012  (a transaction is left by an exception from the middle of its block)

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.errors import ConnectionOwnerError, DeadlockError, LockTimeoutError
from tests.db.tables import counter, create


def in_threads(number: int, work: Callable[[int], Any]) -> list[BaseException]:
    """Run work(0) … work(number - 1) at once; what they raised."""
    failures: list[BaseException] = []

    def run(index: int) -> None:
        try:
            work(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.fixture
def pair(db_config) -> None:
    with Connection(db_config) as conn:
        create(conn, "pairs", "id integer primary key, n integer not null")
        conn.insert("insert into pairs values (1, 0), (2, 0)")


def bump(conn: Connection, number: int) -> None:
    conn.update("update pairs set n = n + 1 where id = ?", [number])


@pytest.mark.parametrize("level", [1, 2])
def test_a_deadlock_reruns_the_outermost_transaction_whole(db_config, pair, level):
    """Two threads lock two rows in opposite order; one is the victim, and both come through."""
    barrier = threading.Barrier(2, timeout=60)
    runs: list[int] = []
    levels: list[int] = []

    def work(index: int) -> None:
        first, second = (1, 2) if index == 0 else (2, 1)
        with Connection(db_config) as conn:
            tries = []

            def locked() -> None:
                bump(conn, first)
                if len(tries) == 1:
                    meet()
                bump(conn, second)

            def meet() -> None:
                # SQLite never lets two in at once, so there is nobody to meet.
                if conn.dialect.name == "mysql":
                    barrier.wait()

            def outer() -> None:
                tries.append(1)
                if level == 2:
                    conn.transaction(locked)
                else:
                    locked()

            conn.transaction(outer, 5)
            runs.append(len(tries))
            levels.append(conn.transaction_level())

    assert in_threads(2, work) == []
    with Connection(db_config) as conn:
        assert conn.select_tuples("select n from pairs order by id") == [(2,), (2,)]
    assert levels == [0, 0]
    assert sorted(runs) == ([1, 2] if db_config["driver"] == "mysql" else [1, 1])


def test_a_deadlock_without_attempts_is_raised_and_cannot_be_committed_over(mysql_config):
    """The victim that swallows the error must not commit the rest of its work."""
    config = mysql_config
    with Connection(config) as conn:
        create(conn, "pairs", "id integer primary key, n integer not null")
        conn.insert("insert into pairs values (1, 0), (2, 0)")
    barrier = threading.Barrier(2, timeout=60)
    outcomes: list[str] = []

    def work(index: int) -> None:
        first, second = (1, 2) if index == 0 else (2, 1)
        with Connection(config) as conn:
            conn.begin_transaction()
            bump(conn, first)
            barrier.wait()
            try:
                bump(conn, second)
            except DeadlockError:
                for swallowed in (lambda: bump(conn, 1), conn.begin_transaction, conn.commit):
                    with pytest.raises(DeadlockError, match="this transaction is over"):
                        swallowed()
                assert conn.transaction_level() == 1
                conn.roll_back()
                outcomes.append("victim")
            else:
                conn.commit()
                outcomes.append("winner")
            assert conn.transaction_level() == 0

    assert in_threads(2, work) == []
    assert sorted(outcomes) == ["victim", "winner"]
    with Connection(config) as conn:
        assert conn.select_tuples("select n from pairs order by id") == [(1,), (1,)]


def test_a_lock_that_does_not_come_free_is_a_lock_timeout(db_config, pair):
    quick = {**db_config}
    if db_config["driver"] == "sqlite":
        quick["busy_timeout"] = 50
    with Connection(db_config) as holder, Connection(quick) as waiter:
        if db_config["driver"] == "mysql":
            waiter.statement("set innodb_lock_wait_timeout = 1")
        holder.begin_transaction()
        bump(holder, 1)

        with pytest.raises(LockTimeoutError):
            bump(waiter, 1)
        with pytest.raises(LockTimeoutError), waiter.transaction():
            bump(waiter, 1)

        assert waiter.transaction_level() == 0
        holder.commit()
        bump(waiter, 1)
        assert waiter.scalar("select n from pairs where id = 1") == 2


def test_a_lock_timeout_runs_the_transaction_again(db_config, pair):
    quick = {**db_config}
    if db_config["driver"] == "sqlite":
        quick["busy_timeout"] = 50
    tries: list[int] = []
    with Connection(db_config) as holder, Connection(quick) as waiter:
        if db_config["driver"] == "mysql":
            waiter.statement("set innodb_lock_wait_timeout = 1")
        holder.begin_transaction()
        bump(holder, 1)

        def work() -> None:
            tries.append(1)
            if len(tries) == 2:
                holder.commit()
            bump(waiter, 1)

        waiter.transaction(work, 3, mode="deferred")

        assert len(tries) == 2
        assert waiter.scalar("select n from pairs where id = 1") == 2


def test_nowait_is_a_lock_timeout_at_once(mysql_config):
    config = mysql_config
    with Connection(config) as holder, Connection(config) as waiter:
        create(holder, "pairs", "id integer primary key, n integer not null")
        holder.insert("insert into pairs values (1, 0)")
        with holder.transaction():
            bump(holder, 1)
            with pytest.raises(LockTimeoutError):
                waiter.select("select * from pairs where id = 1 for update nowait")


def test_a_stale_snapshot_of_sqlite_is_a_deadlock_and_retried(tmp_path):
    """A deferred transaction that read before another one wrote can never write."""
    path = str(tmp_path / "a.db")
    with Connection(path) as one, Connection(path) as two:
        counter(one)
        tries = []

        def work() -> None:
            tries.append(1)
            n = one.scalar("select n from counters")
            if len(tries) == 1:
                two.update("update counters set n = n + 1")
            one.update("update counters set n = ?", [n + 1])

        with pytest.raises(DeadlockError), one.transaction(mode="deferred"):
            one.scalar("select n from counters")
            two.update("update counters set n = n + 1")
            one.update("update counters set n = 99")
        one.transaction(work, 3, mode="deferred")

        assert len(tries) == 2
        assert one.scalar("select n from counters") == 3


def test_many_threads_add_to_one_row(db_config):
    with Connection(db_config) as conn:
        counter(conn)
    database = Database({"default": db_config})

    def work(_: int) -> None:
        for _ in range(25):

            def add(conn: Connection) -> None:
                lock = " for update" if conn.dialect.name == "mysql" else ""
                n = conn.scalar("select n from counters where id = 1" + lock)
                conn.update("update counters set n = ? where id = 1", [n + 1])

            database.transaction(add, 10)

    assert in_threads(8, work) == []
    assert database.scalar("select n from counters") == 200
    database.close()


def test_fifty_threads_have_a_handle_of_their_own(db_config):
    database = Database({"default": db_config})
    seen: list[int] = []

    def work(index: int) -> None:
        connection = database.connection()
        assert connection is database.connection()
        seen.append(id(connection))
        for n in range(200):
            assert database.scalar("select ?", [index * 1000 + n]) == index * 1000 + n

    assert in_threads(50, work) == []
    database.close()


def test_use_from_another_thread_is_an_error(db):
    conn = db.connection()
    conn.scalar("select 1")
    uses: list[Callable[[], Any]] = [
        lambda: conn.scalar("select 1"),
        lambda: conn.select_tuples("select 1"),
        lambda: conn.insert("insert into cache values (1)"),
        lambda: conn.run("select 1"),
        lambda: conn.begin_transaction(),
        lambda: list(conn.cursor("select 1")),
        lambda: conn.reconnect(),
    ]

    failures = in_threads(len(uses), lambda index: uses[index]())

    assert [type(error) for error in failures] == [ConnectionOwnerError] * len(uses)
    assert all("ask the Database for a connection in each thread" in str(e) for e in failures)
    assert conn.scalar("select 1") == 1


def test_the_worker_loop_sees_what_others_commit(db):
    """No stale snapshot of REPEATABLE READ outside of transactions."""
    conn, other = db.connection(), db.connection().separate()
    counter(conn)
    assert conn.scalar("select n from counters") == 0

    other.update("update counters set n = 5")

    assert conn.scalar("select n from counters") == 5
    other.close()


def test_a_thousand_rollbacks_open_no_connection(db):
    conn = db.connection()
    counter(conn)
    if conn.dialect.name == "mysql":
        before = conn.scalar("select count(*) from information_schema.processlist")

    for _ in range(1_000):
        conn.begin_transaction()
        conn.update("update counters set n = n + 1")
        conn.roll_back()

    assert conn.scalar("select n from counters") == 0
    if conn.dialect.name == "mysql":
        own = "select count(*) from information_schema.processlist where db = database()"
        assert conn.scalar(own) <= before


def test_a_statement_alone_that_is_a_deadlocks_victim_runs_again(mysql_config):
    """Outside a transaction the victim's single statement was undone, so it just runs again."""
    config = mysql_config
    with Connection(config) as conn:
        create(conn, "queue", "id integer primary key, n integer not null")
        conn.insert("insert into queue values " + ", ".join(f"({i}, 0)" for i in range(60)))

    def work(index: int) -> None:
        order = "asc" if index % 2 else "desc"
        with Connection(config) as conn:
            for _ in range(30):
                conn.update(f"update queue set n = n + 1 where n >= 0 order by id {order}")

    assert in_threads(4, work) == []
    with Connection(config) as conn:
        assert conn.select_tuples("select distinct n from queue") == [(120,)]


_STREAMER = """
import json, resource, sys
from so.db.connection import Connection

connection = Connection(json.loads(sys.argv[1]))
connection.scalar("select count(*) from many")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = 0
for row in connection.cursor("select * from many"):
    count += 1
    if count % 20000 == 0:
        connection.update("update many set words = words where id = ?", [row.id])
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_hundred_thousand_rows_stream_in_little_memory(db_config):
    with Connection(db_config) as conn:
        create(conn, "many", "id {id}, words varchar(100)")
        conn.insert("insert into many (words) values (?)", ["x" * 100])
        for _ in range(17):
            conn.insert("insert into many (words) select words from many")

    done = subprocess.run(
        [sys.executable, "-c", _STREAMER, json.dumps(db_config)],
        capture_output=True,
        text=True,
        timeout=120,
    )

    count, megabytes = map(int, done.stdout.split())
    assert count == 2**17
    assert megabytes < 30
