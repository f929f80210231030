"""A block whose transaction died inside, its error caught: what comes next finds all in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.errors import DeadlockError, LockTimeoutError, QueryError
from tests.db.tables import create
from tests.support.mariadb import ServerMissing, launch
from tests.support.needed import lacking


@pytest.fixture
def conn(empty_db: Database) -> Connection:
    connection = empty_db.connection()
    create(connection, "items", "id integer primary key, name text")
    connection.insert("insert into items (id) values (-1), (-2)")
    if connection.dialect.name == "sqlite":
        pages = connection.scalar("pragma page_count")
        connection.statement(f"pragma max_page_count = {pages + 20}")
    return connection


def add(conn: Connection, number: int) -> None:
    conn.insert("insert into items (id) values (?)", [number])


def ids(conn: Connection) -> list[int]:
    rows = conn.select_tuples("select id from items where id > 0 order by id")
    return [number for (number,) in rows]


# --- how a transaction may die


def fill_the_disk(conn: Connection) -> None:
    """SQLite ends the whole transaction by itself when there is no page left."""
    for number in range(100, 1000):
        conn.insert("insert into items (id, name) values (?, ?)", [number, "x" * 4000])


def be_killed(conn: Connection) -> None:
    id = conn.scalar("select connection_id()")
    with Connection(conn.config) as other:
        other.statement(f"kill {id}")
    add(conn, 2)


def lose_a_deadlock(conn: Connection) -> None:
    """Another transaction that has done more work wants what this one has, and the other way."""
    conn.update("update items set name = 'a' where id = -1")
    holds_it = threading.Event()

    def work() -> None:
        with Connection(conn.config) as other, other.transaction():
            other.update("update items set name = 'b' where id = -2")
            other.table("items").insert([{"id": number} for number in range(5000, 5050)])
            holds_it.set()
            other.update("update items set name = 'b' where id = -1")
            other.delete("delete from items where id >= 5000")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert holds_it.wait(20)
        _until_it_waits(conn.config)
        conn.update("update items set name = 'a' where id = -2")
    finally:
        thread.join()


def _until_it_waits(config: Any) -> None:
    with Connection(config) as watcher:
        for _ in range(2000):
            if watcher.scalar(
                "select count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT'"
            ):
                return
            time.sleep(0.005)


DEATHS = [
    pytest.param("sqlite", fill_the_disk, id="disk full"),
    pytest.param("mysql", be_killed, id="killed"),
    pytest.param("mysql", lose_a_deadlock, id="deadlock"),
]


# --- how a transaction may be written

Work = Callable[[], object]


def block(db: Database, work: Work) -> None:
    with db.transaction():
        work()


def decorated(db: Database, work: Work) -> None:
    @db.transactional
    def run() -> None:
        work()

    run()


def nested(db: Database, work: Work) -> None:
    with db.transaction(), db.transaction():
        work()


FORMS: dict[str, Callable[[Database, Work], object]] = {
    "block": block,
    "callable": lambda db, work: db.transaction(lambda: work()),
    "decorator": decorated,
    "nested blocks": nested,
    "nested callables": lambda db, work: db.transaction(lambda: db.transaction(lambda: work())),
}


@pytest.mark.parametrize(("engine", "die"), DEATHS)
@pytest.mark.parametrize("form", FORMS)
def test_a_dead_transaction_ends_with_its_block(conn, empty_db, die, form):
    said: list[str] = []

    def work() -> None:
        add(conn, 1)
        conn.after_commit(lambda: said.append("committed"))
        conn.after_roll_back(lambda: said.append("rolled back"))
        with suppress(QueryError):
            die(conn)

    with pytest.raises(QueryError, match="this transaction is over"):
        FORMS[form](empty_db, work)

    assert (conn.transaction_level(), said) == (0, ["rolled back"])
    assert conn.scalar("select 1") == 1
    assert ids(conn) == []
    empty_db.transaction(lambda: add(conn, 3), attempts=3)
    with empty_db.transaction():
        add(conn, 4)
    assert ids(conn) == [3, 4]


@pytest.mark.parametrize(("engine", "die"), DEATHS)
def test_an_inner_block_that_is_caught_leaves_the_outer_one_refusing(conn, empty_db, die):
    def inner() -> None:
        with suppress(QueryError):
            die(conn)

    def outer() -> None:
        add(conn, 1)
        with suppress(QueryError):
            empty_db.transaction(inner)
        with pytest.raises(QueryError, match="this transaction is over"):
            add(conn, 2)

    with pytest.raises(QueryError, match="this transaction is over"):
        empty_db.transaction(outer)

    add(conn, 3)
    assert ids(conn) == [3]


@pytest.mark.parametrize("engine", ["mysql"])
def test_attempts_run_again_what_swallowed_its_deadlock(conn, empty_db):
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        add(conn, 1)
        if len(runs) == 1:
            with suppress(DeadlockError):
                lose_a_deadlock(conn)

    empty_db.transaction(work, attempts=3)

    assert (len(runs), ids(conn)) == (2, [1])


@pytest.mark.parametrize(("engine", "die"), DEATHS)
def test_by_hand_it_is_rolled_back_and_the_connection_goes_on(conn, die):
    conn.begin_transaction()
    add(conn, 1)
    with suppress(QueryError):
        die(conn)
    with pytest.raises(QueryError, match="this transaction is over"):
        conn.commit()
    conn.roll_back()

    add(conn, 2)
    assert ids(conn) == [2]


# --- a lock that does not come free: by the server's settings it ends the statement, or all


@pytest.fixture(scope="module", params=["OFF", "ON"])
def waiting(request: pytest.FixtureRequest) -> Iterator[tuple[Connection, bool]]:
    """A connection that waits a second for locks, and whether its server ends all then."""
    try:
        server = launch(f"--innodb-rollback-on-timeout={request.param}")
    except ServerMissing as missing:
        lacking(str(missing))
    with Connection(server.config()) as root:
        root.statement("create database waits")
    with Connection(server.config("waits")) as connection:
        create(connection, "items", "id integer primary key, name text")
        connection.statement("set innodb_lock_wait_timeout = 1")
        yield connection, request.param == "ON"
    server.stop()


@pytest.mark.slow
def test_whether_a_lock_wait_ends_the_transaction_is_asked(waiting) -> None:
    conn, ends = waiting
    conn.insert("insert into items (id) values (-1)")
    with Connection(conn.config) as other, other.transaction():
        other.update("update items set name = 'held' where id = -1")
        conn.begin_transaction()
        add(conn, 1)
        with pytest.raises(LockTimeoutError):
            conn.update("update items set name = 'mine' where id = -1")

        if ends:
            with pytest.raises(DeadlockError, match="this transaction is over"):
                add(conn, 2)
            conn.roll_back()
        else:
            add(conn, 2)
            conn.commit()

    assert conn.transaction_level() == 0
    assert ids(conn) == ([] if ends else [1, 2])
    with conn.transaction():
        add(conn, 3)
    assert 3 in ids(conn)
