"""Levels, savepoints, callbacks, retries: what one connection promises alone."""

# ruff: noqa: PT012, SIM117  (a transaction is left by an exception from the middle of its block)

from __future__ import annotations

import logging

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.schema import server_of
from so.errors import (
    DeadlockError,
    ImplicitCommitError,
    LockTimeoutError,
    QueryError,
    TransactionError,
)
from so.support.scope import Scope, entered
from tests.db.tables import create


@pytest.fixture
def conn(db: Database) -> Connection:
    connection = db.connection()
    create(connection, "items", "id integer primary key")
    return connection


def add(conn: Connection, number: int) -> None:
    conn.insert("insert into items values (?)", [number])


def ids(conn: Connection) -> list[int]:
    return [number for (number,) in conn.select_tuples("select id from items order by id")]


class Stop(Exception):
    pass


# --- the usual way


def test_a_function_is_committed_and_its_result_given_back(conn, db):
    assert db.transaction(lambda: add(conn, 1) or "done") == "done"
    assert db.transaction(lambda c: c is conn and add(c, 2) or "with") == "with"
    assert ids(conn) == [1, 2]
    assert conn.transaction_level() == 0


def test_a_block_is_committed(conn, db):
    with db.transaction() as c:
        assert c is conn
        assert c.in_transaction
        assert c.transaction_level() == 1
        add(c, 1)

    assert ids(conn) == [1]
    assert not conn.in_transaction


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, SystemExit])
def test_any_exception_rolls_back_and_goes_on(conn, error):
    with pytest.raises(error), conn.transaction():
        add(conn, 1)
        raise error

    def work() -> None:
        add(conn, 2)
        raise error

    with pytest.raises(error):
        conn.transaction(work, 3)

    assert ids(conn) == []
    assert conn.transaction_level() == 0


def test_attempts_need_a_function(conn):
    with pytest.raises(ValueError, match="give a function"):
        conn.transaction(attempts=2)
    with pytest.raises(ValueError, match="at least 1"):
        conn.transaction(lambda: None, 0)


def test_the_decorator(conn, db):
    calls = []

    @db.transactional(attempts=3)
    def work(number: int, *, fail: bool = False) -> int:
        """Docs stay."""
        calls.append(number)
        add(conn, number)
        if fail:
            raise Stop
        return number * 2

    assert work(1) == 2
    with pytest.raises(Stop):
        work(2, fail=True)

    assert ids(conn) == [1]
    assert calls == [1, 2]
    assert work.__doc__ == "Docs stay."


@pytest.mark.parametrize(
    ("fn", "takes"),
    [
        (lambda: 0, False),
        (lambda c: 0, True),
        (lambda c=1: 0, False),
        (lambda *a: 0, False),
        (print, False),
        (dict, False),
    ],
)
def test_a_function_gets_the_connection_if_it_has_a_place_for_it(fn, takes):
    from so.db.transactions import takes_connection

    assert takes_connection(fn) is takes


def test_methods_and_callable_objects_get_the_connection_too(conn):
    class Work:
        def bare(self) -> str:
            return "bare"

        def with_connection(self, c: Connection) -> bool:
            return c is conn

        def __call__(self, c: Connection) -> bool:
            return c is conn

    assert conn.transaction(Work().bare) == "bare"
    assert conn.transaction(Work().with_connection) is True
    assert conn.transaction(Work()) is True


# --- nesting


def test_an_inner_rollback_undoes_only_the_inner_part(conn):
    with conn.transaction():
        add(conn, 1)
        with pytest.raises(Stop), conn.transaction():
            assert conn.transaction_level() == 2
            add(conn, 2)
            raise Stop
        add(conn, 3)

    assert ids(conn) == [1, 3]


def test_an_inner_success_commits_nothing_yet(conn):
    other = conn.separate()
    with pytest.raises(Stop), conn.transaction():
        with conn.transaction():
            add(conn, 1)
        assert ids(other) == []
        raise Stop

    assert ids(conn) == []
    other.close()


def test_three_levels_by_hand(conn, db):
    db.begin_transaction()
    add(conn, 1)
    db.begin_transaction()
    add(conn, 2)
    db.begin_transaction()
    add(conn, 3)
    assert db.transaction_level() == 3

    db.roll_back()
    assert db.transaction_level() == 2
    db.commit()
    assert db.transaction_level() == 1
    db.commit()

    assert ids(conn) == [1, 2]
    assert db.transaction_level() == 0


def test_rolling_back_to_a_level(conn, db):
    for number in (1, 2, 3):
        conn.begin_transaction()
        add(conn, number)

    db.roll_back(to_level=1)

    assert conn.transaction_level() == 1
    assert ids(conn) == [1]
    db.roll_back(to_level=0)
    assert ids(conn) == []


def test_savepoints_are_named_after_their_level(conn):
    conn.begin_transaction()
    conn.begin_transaction()
    add(conn, 1)
    conn.begin_transaction()
    add(conn, 2)

    conn.statement("rollback to savepoint trans3")
    assert ids(conn) == [1]
    conn.statement("rollback to savepoint trans2")
    assert ids(conn) == []
    conn.roll_back(0)


def test_many_nested_blocks_in_one_transaction(conn):
    with conn.transaction():
        for number in range(200):
            with conn.transaction():
                add(conn, number)

    assert len(ids(conn)) == 200


def test_commit_without_a_transaction_is_an_error_and_roll_back_is_not(conn):
    with pytest.raises(TransactionError, match="begin one first"):
        conn.commit()

    conn.roll_back()
    conn.roll_back(5)


def test_a_block_that_ended_its_own_transaction_is_told(conn):
    with pytest.raises(TransactionError, match="began at level 1 and ended at level 0"):
        with conn.transaction():
            add(conn, 1)
            conn.commit()

    assert conn.transaction_level() == 0


def test_a_block_that_left_a_transaction_open_is_rolled_back(conn):
    def work() -> None:
        add(conn, 1)
        conn.begin_transaction()

    with pytest.raises(TransactionError, match="ended at level 2"):
        conn.transaction(work)

    assert (ids(conn), conn.transaction_level()) == ([], 0)


# --- callbacks


def test_after_commit_waits_for_the_outermost_commit_in_order(conn, db):
    said: list[object] = []
    db.after_commit(lambda: said.append("at once"))
    with db.transaction():
        db.after_commit(lambda: said.append("outer"))
        with db.transaction():
            db.after_commit(lambda: said.append("inner"))
        said.append("before")
        db.after_commit(lambda: said.append(conn.transaction_level()))

    assert said == ["at once", "before", "outer", "inner", 0]


def test_a_callback_is_dropped_with_its_level(conn):
    said: list[str] = []
    with conn.transaction():
        conn.after_commit(lambda: said.append("outer"))
        with pytest.raises(Stop), conn.transaction():
            with conn.transaction():
                conn.after_commit(lambda: said.append("promoted, then dropped"))
            raise Stop
    with pytest.raises(Stop), conn.transaction():
        conn.after_commit(lambda: said.append("never"))
        raise Stop
    with conn.transaction():
        pass

    assert said == ["outer"]


def test_after_roll_back(conn, db):
    said: list[str] = []
    db.after_roll_back(lambda: said.append("never: no transaction"))
    with conn.transaction():
        conn.after_roll_back(lambda: said.append("never: committed"))
        with pytest.raises(Stop), conn.transaction():
            conn.after_roll_back(lambda: said.append("inner"))
            raise Stop
    with pytest.raises(Stop), conn.transaction():
        with conn.transaction():
            conn.after_roll_back(lambda: said.append("both"))
        raise Stop

    assert said == ["inner", "both"]


def test_a_callback_may_begin_a_transaction_of_its_own(conn):
    def later() -> None:
        with conn.transaction():
            add(conn, 2)
            conn.after_commit(lambda: add(conn, 3))

    with conn.transaction():
        add(conn, 1)
        conn.after_commit(later)

    assert ids(conn) == [1, 2, 3]


def test_a_failing_callback_stops_no_other_and_undoes_nothing(conn, caplog):
    said: list[str] = []

    def fail(text: str) -> None:
        raise Stop(text)

    with pytest.raises(Stop, match="first"), conn.transaction():
        add(conn, 1)
        conn.after_commit(lambda: fail("first"))
        conn.after_commit(lambda: said.append("second"))
        conn.after_commit(lambda: fail("third"))

    assert said == ["second"]
    assert ids(conn) == [1]
    assert "a transaction callback failed" in caplog.text


def test_an_error_of_a_callback_is_no_reason_to_run_again(conn):
    runs = []

    def callback() -> None:
        raise DeadlockError(message="from a callback")

    def work() -> None:
        runs.append(1)
        conn.after_commit(callback)

    with pytest.raises(DeadlockError):
        conn.transaction(work, 3)

    assert len(runs) == 1


def test_callbacks_belong_to_their_own_connection(db_config):
    database = Database({"default": db_config, "other": db_config})
    said: list[str] = []

    with database.transaction():
        database.connection("other").after_commit(lambda: said.append("other"))
        assert said == ["other"]
    database.close()


# --- retries


@pytest.mark.parametrize("kind", [DeadlockError, LockTimeoutError])
def test_a_concurrency_error_runs_all_of_the_function_again(conn, kind):
    runs = []

    def work() -> str:
        runs.append(1)
        add(conn, len(runs))
        if len(runs) < 3:
            raise kind(message="busy")
        return "done"

    assert conn.transaction(work, 5) == "done"
    assert len(runs) == 3
    assert ids(conn) == [3]


def test_attempts_run_out(conn):
    runs = []

    def work() -> None:
        runs.append(1)
        raise DeadlockError(message="busy")

    with pytest.raises(DeadlockError):
        conn.transaction(work, 2)

    assert len(runs) == 2


def test_a_conflict_wrapped_in_another_error_counts(conn):
    runs = []

    def work() -> None:
        runs.append(1)
        try:
            raise DeadlockError(message="busy")
        except DeadlockError as error:
            if len(runs) == 1:
                raise Stop from error

    conn.transaction(work, 2)

    assert len(runs) == 2


def test_other_errors_are_not_retried(conn):
    runs = []

    def work() -> None:
        runs.append(1)
        raise Stop

    with pytest.raises(Stop):
        conn.transaction(work, 5)

    assert len(runs) == 1


def test_an_inner_transaction_leaves_the_retry_to_the_outermost(conn):
    runs = []

    def inner() -> None:
        runs.append(conn.transaction_level())
        if len(runs) == 2:
            raise DeadlockError(message="busy")

    def outer() -> None:
        runs.append(conn.transaction_level())
        add(conn, 1)
        conn.transaction(inner, 5)

    conn.transaction(outer, 2)

    assert runs == [1, 2, 1, 2]
    assert ids(conn) == [1]


# --- DDL, scopes, modes


def test_ddl_in_a_transaction_of_mysql_is_refused(conn):
    if conn.dialect.name == "sqlite":
        with pytest.raises(Stop), conn.transaction():
            conn.statement("create table more (a int)")
            raise Stop
        with pytest.raises(QueryError):
            conn.select("select * from more")
        return

    with conn.transaction():
        add(conn, 1)
        with pytest.raises(ImplicitCommitError, match="outside the transaction: create table"):
            conn.statement("create table more (a int)")
        conn.statement("create temporary table scratch (a int)")
        conn.roll_back()
        conn.begin_transaction()

    assert ids(conn) == []


def test_what_a_scope_leaves_open_is_rolled_back_at_its_end(conn, caplog):
    with caplog.at_level(logging.WARNING), entered(Scope("job")):
        conn.begin_transaction()
        add(conn, 1)
        with entered(Scope("job")):
            add(conn, 2)
        assert conn.transaction_level() == 1

    assert conn.transaction_level() == 0
    assert ids(conn) == []
    assert "left open at the end of a job" in caplog.text


def test_a_transaction_of_its_own_is_no_stray_one(conn):
    with conn.transaction():
        add(conn, 1)
        assert conn.end_stray_transaction() is False

    assert conn.end_stray_transaction() is False
    assert ids(conn) == [1]


@pytest.mark.parametrize("mode", ["deferred", "immediate", "exclusive", "read", "write"])
def test_modes_are_understood_by_both_engines(conn, mode):
    with conn.transaction(mode=mode):
        assert ids(conn) == []


def test_an_unknown_mode_or_level_is_refused(db_config):
    with Connection(db_config) as conn:
        if conn.dialect.name == "sqlite":
            with pytest.raises(ValueError, match="unknown transaction mode 'sideways'"):
                conn.begin_transaction(mode="sideways")
        else:
            with pytest.raises(ValueError, match="unknown isolation level 'none'"):
                conn.begin_transaction(isolation="none")
        assert conn.transaction_level() == 0


@pytest.mark.parametrize("engine", ["mysql"])  # deferred on SQLite: the first write takes the lock
def test_a_read_only_transaction_of_mysql_refuses_writes(conn, engine):
    from so.errors import ReadOnlyError

    with pytest.raises(ReadOnlyError), conn.transaction(mode="read only"):
        add(conn, 1)


@pytest.mark.parametrize("level", ["read committed", "repeatable-read", "SERIALIZABLE"])
@pytest.mark.parametrize("engine", ["sqlite"])
def test_sqlite_takes_every_level_as_the_highest(conn, engine, level):
    with conn.transaction(isolation=level):
        add(conn, 1)
        with pytest.raises(LockTimeoutError), conn.separate(busy_timeout=0) as other:
            add(other, 2)

    assert ids(conn) == [1]


@pytest.mark.parametrize("engine", ["mysql"])
@pytest.mark.parametrize(
    ("level", "is_row_of_another_seen", "is_what_was_read_locked"),
    [
        ("read committed", True, False),
        ("repeatable-read", False, False),
        ("SERIALIZABLE", False, True),
    ],
)
def test_a_transaction_is_isolated_as_it_asks(
    conn, engine, level, is_row_of_another_seen, is_what_was_read_locked
):
    add(conn, 1)
    with conn.separate() as other, conn.transaction(isolation=level):
        assert ids(conn) == [1]

        if is_what_was_read_locked:
            with pytest.raises(QueryError):
                other.select("select id from items where id = 1 for update nowait")
        else:
            add(other, 2)

        assert ids(conn) == ([1, 2] if is_row_of_another_seen else [1])


@pytest.mark.parametrize("engine", ["mysql"])  # SQLite's is always serializable
def test_the_isolation_of_a_connection_may_be_configured(db_config, engine):
    with Connection({**db_config, "isolation": "read-committed"}) as conn:
        level = "transaction_isolation" if server_of(conn) == "mysql" else "tx_isolation"
        assert conn.scalar(f"select @@{level}") == "READ-COMMITTED"


def test_a_broken_constraint_found_at_commit_rolls_back(tmp_path):
    from so.errors import ForeignKeyError

    with Connection(str(tmp_path / "a.db")) as conn:
        conn.statement("create table p (id integer primary key)")
        conn.statement("create table c (p_id int references p (id) deferrable initially deferred)")

        with pytest.raises(ForeignKeyError), conn.transaction():
            conn.insert("insert into c values (9)")

        assert conn.transaction_level() == 0
        assert conn.scalar("select count(*) from c") == 0


def test_a_savepoint_that_is_gone_does_not_hide_the_error_that_matters(conn):
    with pytest.raises(Stop):
        with conn.transaction():
            with conn.transaction():
                conn.statement("rollback to savepoint trans2")
                conn.statement("release savepoint trans2")
                raise Stop

    assert conn.transaction_level() == 0
    with conn.transaction():
        add(conn, 1)
    assert ids(conn) == [1]


def test_sqlite_ending_a_transaction_by_itself_is_noticed(tmp_path):
    with Connection(str(tmp_path / "a.db")) as conn:
        conn.statement("create table items (id integer primary key on conflict rollback)")
        add(conn, 1)
        conn.begin_transaction()
        add(conn, 2)

        with pytest.raises(QueryError):
            add(conn, 1)
        with pytest.raises(QueryError, match="this transaction is over"):
            add(conn, 3)
        with pytest.raises(QueryError, match="this transaction is over"):
            conn.commit()
        conn.roll_back()

        assert ids(conn) == [1]
        add(conn, 4)
        assert ids(conn) == [1, 4]


def test_the_decorator_without_arguments(conn, db):
    @db.transactional
    def work() -> int:
        return conn.transaction_level()

    assert work() == 1


@pytest.mark.parametrize("options", [{"mode": "silly"}, {"isolation": "silly"}])
def test_an_unknown_mode_or_isolation_is_refused_on_both_engines(conn, options):
    with pytest.raises(ValueError, match="unknown .* 'silly': use "):
        conn.transaction(lambda: None, **options)

    assert conn.transaction_level() == 0
    assert conn.transaction(lambda: 1, mode="write", isolation="Read-Committed") == 1
