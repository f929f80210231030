"""A block whose transaction died inside, its error caught: what comes next finds all in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.errors import DeadlockError, QueryError
from tests.db.tables import create


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
