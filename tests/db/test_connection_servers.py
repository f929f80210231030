"""Servers: lost connections, several hosts, replicas, the pool, scopes, forks. MySQL mostly."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.dialects.mysql import HAVE_C_EXTENSION
from so.db.manager import Database
from so.errors import DatabaseError, LostConnectionError, QueryError, ReadOnlyError
from so.support.scope import Scope, entered
from tests.db.tables import counter, create
from tests.support.mariadb import MariaDB, free_port, launch

Config = dict[str, Any]
PURES = [False, True] if HAVE_C_EXTENSION else [True]


@pytest.fixture(params=PURES, ids=lambda pure: "pure" if pure else "c-extension")
def config(request: pytest.FixtureRequest, mysql_config: Config) -> Config:
    return {**mysql_config, "use_pure": request.param}


@pytest.fixture
def conn(config: Config) -> Iterator[Connection]:
    with Connection(config) as connection:
        counter(connection)
        yield connection


def session_id(connection: Connection) -> int:
    return int(connection.scalar("select connection_id()", use_read=False))


def kill(config: Config, number: int) -> None:
    """End a session from the server's side, and wait until it is gone."""
    with Connection(config) as other:
        other.statement(f"kill {number}")
        left = "select count(*) from information_schema.processlist where id = ?"
        while other.scalar(left, [number]):
            pass


# --- settings


def test_a_mariadb_server_is_reached_with_the_default_settings(conn):
    found = conn.select_one(
        "select @@collation_connection as collation, @@character_set_client as charset,"
        " @@time_zone as zone, @@autocommit as autocommit"
    )

    assert found == {
        "collation": "utf8mb4_unicode_ci",
        "charset": "utf8mb4",
        "zone": "+00:00",
        "autocommit": 1,
    }
    assert "STRICT_TRANS_TABLES" in conn.scalar("select @@sql_mode")
    assert "ONLY_FULL_GROUP_BY" in conn.scalar("select @@sql_mode")


def test_the_collation_is_configurable(config):
    with Connection({**config, "collation": "utf8mb4_general_ci"}) as conn:
        assert conn.scalar("select @@collation_connection") == "utf8mb4_general_ci"


def test_strictness_is_configurable(config):
    with Connection({**config, "strict": False}) as conn:
        modes = conn.scalar("select @@sql_mode").split(",")  # MySQL's also cut microseconds off
        assert [mode for mode in modes if not mode.startswith("TIME_")] == [
            "NO_ENGINE_SUBSTITUTION"
        ]
    with Connection({**config, "modes": ["STRICT_ALL_TABLES"]}) as conn:
        assert "STRICT_ALL_TABLES" in conn.scalar("select @@sql_mode")


def test_values_survive_both_builds_of_the_driver(conn):
    create(conn, "things", "id {id}, words {text}, raw {blob}, at {time}, money {money}")
    from datetime import UTC, datetime
    from decimal import Decimal

    values = ["it's \\ 😀 %s", b"\0\xff'\\", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)]
    conn.insert(
        "insert into things (words, raw, at, money) values (?, ?, ?, ?)", [*values, Decimal("1.5")]
    )

    found = conn.select_tuples("select words, raw, at, money from things")[0]

    assert list(found[:3]) == values
    assert found[3] == Decimal("1.5000")
    assert type(found[1]) is bytes
    assert [row.words for row in conn.cursor("select words from things")] == [values[0]]


def test_no_two_statements_at_once(conn):
    with pytest.raises(QueryError):
        conn.select("select 1; select 2")
    with pytest.raises(QueryError):
        conn.unprepared("update counters set n = 1; update counters set n = 2")

    assert conn.scalar("select n from counters") == 0


def test_a_dead_port_fails_at_once_and_names_the_host():
    conn = Connection({"driver": "mysql", "host": "127.0.0.1", "port": free_port()})

    with pytest.raises(LostConnectionError, match=r"cannot connect 'default' to 127\.0\.0\.1:\d+"):
        conn.select("select 1")


@pytest.mark.parametrize("pure", PURES)
def test_a_server_that_never_answers_is_given_up(pure):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = {"driver": "mysql", "host": "127.0.0.1", "port": port, "connect_timeout": 1}

        with pytest.raises(LostConnectionError):
            Connection({**config, "use_pure": pure}).select("select 1")


def test_a_wrong_password_or_database_is_told_apart_from_a_lost_server(config):
    with pytest.raises(QueryError, match="cannot connect") as caught:
        Connection({**config, "database": "nosuch"}).select("select 1")
    assert not isinstance(caught.value, LostConnectionError)

    with pytest.raises(QueryError, match="cannot connect"):
        Connection({**config, "username": "nobody", "password": "hunter22"}).select("select 1")


def test_a_statement_that_takes_too_long_is_given_up(config):
    with Connection({**config, "read_timeout": 1}) as conn:
        with pytest.raises(LostConnectionError):
            conn.affecting_statement("do sleep(10)")
        with pytest.raises(LostConnectionError):  # nor is a read that took too long begun again
            conn.scalar("select sleep(10)")

        assert conn.scalar("select 1") == 1


# --- lost connections


def test_a_read_outside_a_transaction_goes_on_by_itself(conn, config):
    for read in (
        lambda: conn.scalar("select n from counters"),
        lambda: conn.select("select n from counters")[0].n,
        lambda: conn.run("select n from counters").rows[0][0],
        lambda: next(conn.cursor("select n from counters")).n,
    ):
        kill(config, session_id(conn))
        assert read() == 0


def test_a_transaction_begins_on_a_new_session(conn, config):
    kill(config, session_id(conn))

    with conn.transaction():
        conn.update("update counters set n = n + 1")

    assert conn.scalar("select n from counters") == 1


def test_a_write_is_not_repeated(conn, config):
    kill(config, session_id(conn))

    with pytest.raises(LostConnectionError):
        conn.update("update counters set n = n + 1")

    assert conn.scalar("select n from counters") == 0
    assert conn.update("update counters set n = n + 1") == 1


def test_a_session_that_rested_is_looked_at_before_a_write(conn, config):
    kill(config, session_id(conn))
    conn._session.used_at -= 60

    conn.update("update counters set n = n + 1")

    assert conn.scalar("select n from counters") == 1
    conn._session.used_at -= 60
    conn.update("update counters set n = n + 1")
    assert conn.scalar("select n from counters") == 2


def test_in_a_transaction_nothing_is_repeated_and_all_of_it_is_over(conn, config):
    runs = []

    def work() -> None:
        runs.append(1)
        conn.update("update counters set n = n + 1")
        kill(config, session_id(conn))
        conn.scalar("select n from counters")

    with pytest.raises(LostConnectionError):
        conn.transaction(work, 3)

    assert len(runs) == 1
    assert conn.transaction_level() == 0
    assert conn.scalar("select n from counters") == 0


def test_a_lost_transaction_that_is_swallowed_cannot_go_on_unprotected(conn, config):
    said: list[str] = []
    conn.begin_transaction()
    conn.after_commit(lambda: said.append("committed"))
    conn.after_roll_back(lambda: said.append("rolled back"))
    conn.begin_transaction()
    kill(config, session_id(conn))

    for _ in range(3):
        with pytest.raises(LostConnectionError):
            conn.update("update counters set n = n + 1")
    with pytest.raises(LostConnectionError, match="this transaction is over"):
        conn.commit()

    assert conn.transaction_level() == 0
    conn.roll_back()
    conn.roll_back()
    assert said == ["rolled back"]
    conn.update("update counters set n = n + 1")
    assert conn.scalar("select n from counters") == 1


def test_a_connection_lost_at_commit_is_reported_as_lost(conn, config):
    conn.begin_transaction()
    conn.update("update counters set n = n + 1")
    kill(config, session_id(conn))

    with pytest.raises(LostConnectionError):
        conn.commit()

    assert conn.transaction_level() == 0
    assert conn.scalar("select n from counters") == 0


def test_a_stream_that_breaks_off_is_reported(conn, config):
    create(conn, "many", "id {id}, words varchar(200)")
    conn.insert("insert into many (words) values (repeat('x', 200))")
    for _ in range(15):
        conn.insert("insert into many (words) select words from many")
    with Connection(config) as other:
        rows = conn.cursor("select * from many")
        next(rows)
        streaming = other.scalar(
            "select id from information_schema.processlist where info = 'select * from many'"
        )
        other.statement(f"kill {streaming}")

        with pytest.raises(LostConnectionError):
            list(rows)


# C code is not interrupted by a Python signal handler.
@pytest.mark.parametrize("config", [True], ids=["python"], indirect=True)
def test_an_interrupted_statement_is_not_taken_for_the_answer_of_the_next(config):
    import signal

    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with Connection(config) as conn:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Alarm), conn.transaction():
                conn.scalar("select sleep(30)")

            assert conn.scalar("select 5") == 5
            assert conn.transaction_level() == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("around", [0, 16_384, 32_768, 65_535, 1_000_000])
def test_a_row_of_any_size_comes_back_to_the_letter_and_so_does_the_next(conn, around):
    for size in range(max(0, around - 12), around + 3):
        text = "ab" * (size // 2) + "c" * (size % 2)
        assert conn.select_tuples("select ?, 7", [text]) == [(text, 7)]
    assert conn.select_tuples("select 8") == [(8,)]


def test_a_stream_of_small_and_large_rows_comes_whole(conn):
    conn.statement("create temporary table sized (id int primary key, words longtext)")
    sizes = [3, 16_380, 0, 40_000, 1, 200_000, 5] * 5
    for number, size in enumerate(sizes):
        conn.insert("insert into sized values (?, repeat('x', ?))", [number, size])

    with conn.transaction():
        rows = [len(row["words"]) for row in conn.cursor("select * from sized order by id")]

    assert rows == sizes


# --- the pool and scopes


@contextmanager
def opened(*arguments: Any, **options: Any) -> Iterator[Database]:
    database = Database(*arguments, **options)
    try:
        yield database
    finally:
        database.close()


def test_a_scope_gives_its_session_back_for_the_next(config):
    with opened({"default": config}) as database:
        ids = []
        for _ in range(3):
            with entered(Scope()):
                ids.append(database.scalar("select connection_id()"))
            assert database.connection()._session is None

        assert len(set(ids)) == 1


def test_threads_share_the_pool_one_after_the_other(config):
    with opened({"default": config}) as database:
        ids = []

        def work() -> None:
            with entered(Scope()):
                ids.append(database.scalar("select connection_id()"))

        for _ in range(3):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

        assert len(set(ids)) == 1


def test_a_thread_that_ends_closes_its_connection(config):
    with opened({"default": config}) as database:
        ids = []
        thread = threading.Thread(
            target=lambda: ids.append(database.scalar("select connection_id()"))
        )
        thread.start()
        thread.join()

        gone = "select count(*) from information_schema.processlist where id = ?"
        until = time.monotonic() + 30
        while database.scalar(gone, ids):
            assert time.monotonic() < until, "its connection is still there"


def test_an_inner_scope_leaves_the_transaction_of_the_outer_alone(config):
    with opened({"default": config}) as database, entered(Scope()):
        counter(database.connection())
        with database.transaction():
            database.update("update counters set n = 1")
            with entered(Scope("job")):
                assert database.scalar("select n from counters") == 1
        assert database.scalar("select n from counters") == 1


@pytest.mark.parametrize(
    "sql",
    ["set foreign_key_checks = 0", "select get_lock('a', 1)", "create temporary table x (a int)"],
)
def test_a_session_that_was_changed_is_not_handed_on(config, sql):
    with opened({"default": config}) as database:
        ids = []
        for run in (database.run, database.connection().unprepared, database.run):
            with entered(Scope()):
                ids.append(database.scalar("select connection_id()"))
                run(sql)

        assert len(set(ids)) == 3


def test_an_insert_that_returns_rows_is_not_taken_for_a_read(conn, config):
    if not conn.server.returns_rows:
        pytest.skip("MySQL has no returning")
    kill(config, session_id(conn))

    with pytest.raises(LostConnectionError):
        conn.select("insert into counters values (2, 0) returning id")

    assert conn.select("insert into counters values (2, 0) returning id") == [{"id": 2}]


def test_a_session_older_than_max_age_is_not_used_again(config):
    with opened({"default": {**config, "max_age": 100}}) as database:
        ids = []
        for _ in range(2):
            with entered(Scope()):
                ids.append(database.scalar("select connection_id()"))
                database.connection()._session.opened_at -= 101

        assert len(set(ids)) == 2


def test_the_pool_keeps_no_more_than_it_is_told(config):
    from so.db.pool import Pool

    pool = Pool(max_idle=1)
    conns = [Connection(config, pool=pool) for _ in range(2)]
    for conn in conns:
        conn.select("select 1")
        conn._release()

    assert len(pool._idle["default", "write", f"{config['host']}:{config['port']}"]) == 1
    pool.close("other")
    pool.close()
    assert pool._idle == {}


def test_purge_disconnect_and_reconnect(config):
    with opened({"default": config, "other": config}) as database:
        first = database.connection()
        one = session_id(first)
        assert set(database.connections()) == {"default"}

        assert session_id(database.reconnect()) != one
        database.disconnect()
        assert first._session is None
        database.purge()
        database.purge()
        assert database.connection() is not first
        database.disconnect("other")
        database.purge("other")


def test_closing_the_database_lets_other_threads_go_on(config):
    with opened({"default": config}) as database:
        results: list[int] = []
        started, closed = threading.Event(), threading.Event()

        def work() -> None:
            database.scalar("select 1")
            started.set()
            closed.wait(60)
            results.append(database.scalar("select 2"))

        thread = threading.Thread(target=work)
        thread.start()
        started.wait(60)
        database.close()
        closed.set()
        thread.join()

        assert results == [2]


# --- replicas


@pytest.fixture
def split(mysql_config: Config, mariadb: MariaDB) -> Iterator[Config]:
    """A writer and a "replica" that differ in what they hold."""
    name = f"{mysql_config['database']}_replica"
    with Connection(mysql_config) as writer:
        create(writer, "places", "name varchar(20)")
        writer.insert("insert into places values ('writer')")
        writer.statement(f"create database {name}")
        writer.statement(f"create table {name}.places as select 'replica' as name")
    yield {**mysql_config, "read": {"database": name}}
    with Connection(mysql_config) as writer:
        writer.statement(f"drop database {name}")


WHERE = "select name from places"


def test_reads_go_to_the_replica_until_the_scope_wrote(split):
    with opened({"default": split}) as database:
        for _ in range(3):  # each scope starts anew: stickiness does not leak from job to job
            with entered(Scope("job")):
                assert database.scalar(WHERE) == "replica"
                assert database.select(WHERE)[0].name == "replica"
                assert next(database.cursor(WHERE)).name == "replica"
                assert database.scalar(WHERE, use_read=False) == "writer"
                assert database.scalar(WHERE) == "replica"
                database.update("update places set name = 'writer'")
                assert database.scalar(WHERE) == "writer"
                assert next(database.cursor(WHERE)).name == "writer"


def test_without_a_scope_the_connection_remembers_until_told_to_forget(split):
    with opened({"default": split}) as database:
        assert database.scalar(WHERE) == "replica"
        database.insert_get_id("insert into places values ('writer')")
        assert database.scalar(WHERE) == "writer"

        database.connection().forget_writes()

        assert database.scalar(WHERE) == "replica"


def test_a_scope_can_forget_too(split):
    with opened({"default": split}) as database, entered(Scope()):
        database.statement("update places set name = 'writer'")
        database.connection().forget_writes()

        assert database.scalar(WHERE) == "replica"


def test_reads_in_a_transaction_and_locking_reads_go_to_the_writer(split):
    with opened({"default": split}) as database:
        with database.transaction():
            assert database.scalar(WHERE) == "writer"
        assert database.scalar(WHERE) == "replica"
        assert database.scalar(WHERE + " for update") == "writer"


def test_without_sticky_reads_stay_on_the_replica(split):
    with opened({"default": {**split, "sticky": False}}) as database:
        database.insert("insert into places values ('writer')")

        assert database.scalar(WHERE) == "replica"


def test_listeners_hear_where_a_statement_went(split):
    heard = []
    with opened({"default": split}) as database:
        database.listen(lambda event: heard.append(event.read_write))
        database.select(WHERE)
        database.update("update places set name = 'writer'")
        database.select(WHERE)

    assert heard == ["read", "write", "write"]


def test_a_replica_that_is_down_is_replaced_by_the_writer(split):
    dead = {**split, "read": {"host": [f"127.0.0.1:{free_port()}"]}}
    with opened({"default": dead}) as database:
        assert database.scalar(WHERE) == "writer"


def test_a_lost_replica_session_is_replaced(split, mysql_config):
    with opened({"default": split}) as database:
        database.select(WHERE)
        kill(mysql_config, database.connection().scalar("select connection_id()"))

        assert database.scalar(WHERE) == "replica"


# --- several hosts

SHOP = f"shop_{os.getpid()}"  # several workers may share the first


@pytest.fixture(scope="module")
def second() -> Iterator[MariaDB]:
    """A second server, read-only or not as a test likes."""
    server = launch()
    with Connection(server.config()) as connection:
        connection.statement(f"create database {SHOP}")
        connection.statement(f"create table {SHOP}.places as select 'second' as name")
    yield server
    server.stop()


@pytest.fixture
def both(mariadb: MariaDB, second: MariaDB) -> Iterator[Config]:
    with Connection(mariadb.config()) as connection:
        connection.statement(f"create database {SHOP}")
        connection.statement(f"create table {SHOP}.places as select 'first' as name")
    first = f"{mariadb.host}:{mariadb.port}"
    yield second.config(SHOP, host=f"{second.host}:{second.port},{first}", read_timeout=30)
    with Connection(second.config()) as connection:
        connection.statement("set global read_only = 0")
    with Connection(mariadb.config()) as connection:
        connection.statement(f"drop database {SHOP}")


def test_the_first_host_that_works_is_used(both):
    dead = f"127.0.0.1:{free_port()}"
    with Connection(both) as conn:
        assert conn.scalar(WHERE) == "second"
    with Connection({**both, "host": [dead, *both["host"].split(",")]}) as conn:
        assert conn.scalar(WHERE) == "second"
    with (
        Connection({**both, "host": [dead, dead]}) as conn,
        pytest.raises(LostConnectionError, match=f"cannot connect 'default' to {dead}, {dead}"),
    ):
        conn.scalar(WHERE)


def test_a_read_only_host_is_passed_over_for_writes(both, second):
    with Connection(second.config()) as root:
        root.statement("set global read_only = 1")

    with Connection(both) as conn:
        assert conn.scalar(WHERE) == "first"
        assert conn.update("update places set name = 'first'") == 1


def test_a_host_that_turns_read_only_is_left_for_the_next(both, second):
    with Connection(second.config()) as root:
        root.statement("drop user if exists app@'127.0.0.1'")
        root.statement("create user app@'127.0.0.1'")
        root.statement(f"grant all on {SHOP}.* to app@'127.0.0.1'")
    first = both["host"].split(",")[1]
    with Connection({**both, "host": first}) as root:
        root.statement("drop user if exists app@'127.0.0.1'")
        root.statement("create user app@'127.0.0.1'")
        root.statement(f"grant all on {SHOP}.* to app@'127.0.0.1'")
    with Connection({**both, "username": "app"}) as conn:
        assert conn.update("update places set name = 'second'") == 1
        with Connection(second.config()) as root:
            root.statement("set global read_only = 1")

        assert conn.update("update places set name = 'first'") == 1
        assert conn.scalar(WHERE) == "first"

    alone = {**both, "username": "app", "host": both["host"].split(",")[0]}
    with Connection(alone) as conn, pytest.raises(ReadOnlyError):
        conn.update("update places set name = 'second'")


def test_reads_may_use_a_read_only_host(both, second):
    with Connection(second.config()) as root:
        root.statement("set global read_only = 1")
    replicas = {**both, "read": {"host": both["host"].split(",")}}
    with opened({"default": replicas}) as database:
        seen = set()
        for _ in range(60):
            with entered(Scope()):
                seen.add(database.scalar(WHERE))

    assert seen == {"first", "second"}


# --- forks


def in_child(work: Callable[[], object]) -> str:
    """What *work* gives in a forked child, as text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = str(work())
        except BaseException as error:
            text = repr(error)
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def test_a_forked_child_gets_sessions_of_its_own(db):
    conn = db.connection()
    counter(conn)

    def child() -> str:
        assert conn.transaction_level() == 0
        with db.transaction():
            db.update("update counters set n = n + 1")
        return str(db.scalar("select n from counters"))

    for number in range(3):
        assert in_child(child) == str(number + 1)
        assert conn.scalar("select n from counters") == number + 1


def test_a_fork_in_a_transaction_leaves_it_to_the_parent(db):
    conn = db.connection()
    counter(conn)
    conn.begin_transaction()
    conn.update("update counters set n = 5")

    def child() -> tuple[int, int]:
        level = conn.transaction_level()
        conn.roll_back()
        conn.close()
        return level, db.scalar("select n from counters")

    assert in_child(child) == "(0, 0)"
    conn.commit()
    assert conn.scalar("select n from counters") == 5


def test_a_block_left_in_the_child_says_whose_transaction_it_was(db):
    conn = db.connection()

    def child() -> str:
        try:
            block.__exit__(None, None, None)
        except DatabaseError as error:
            return type(error).__name__
        return "nothing"

    block = conn.transaction()
    block.__enter__()
    assert in_child(child) == "TransactionError"
    block.__exit__(None, None, None)


def test_a_child_that_ends_normally_does_not_end_the_parents_session(db_config, tmp_path):
    """The interpreter's own clean-up must not say goodbye in the parent's name."""
    script = textwrap.dedent(
        f"""
        import os, sys
        from so.db.manager import Database
        database = Database({{"default": {db_config!r}}})
        database.connection().statement("create table if not exists forked (n integer)")
        database.begin_transaction()
        database.insert("insert into forked values (1)")
        child = os.fork()
        if child == 0:
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        database.commit()
        assert database.scalar("select n from forked") == 1
        print("fine")
        """
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120
    )

    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_sessions_waiting_in_the_pool_are_not_inherited(config):
    with opened({"default": config}) as database:
        with entered(Scope()):
            before = database.scalar("select connection_id()")

        def child() -> int:
            with entered(Scope()):
                return int(database.scalar("select connection_id()"))

        assert int(in_child(child)) != before
        with entered(Scope()):
            assert database.scalar("select connection_id()") == before
