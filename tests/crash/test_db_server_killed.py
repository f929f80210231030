"""MariaDB under `kill -9` and restart, with readers and writers at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.errors import LostConnectionError
from tests.support.mariadb import MariaDB, ServerMissing, launch
from tests.support.needed import lacking

RESTARTS = 3
DEADLINE_SECONDS = 120


@pytest.fixture
def server(mariadb: MariaDB) -> Iterator[MariaDB]:
    """A server of our own, durable at every commit, that may be killed."""
    try:
        found = launch("--innodb-flush-log-at-trx-commit=1")
    except ServerMissing as missing:  # the shared one came by URL, and none can be started here
        lacking(f"a server to kill: {missing}")
    yield found
    found.stop()


class Load:
    """Readers and writers that go on until told to stop, and what became of each write."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.database = Database({"default": config})
        self.stop = threading.Event()
        self.reads = 0
        self.read_errors: list[BaseException] = []
        self.done: list[int] = []
        self.unknown: list[int] = []
        self.in_transactions: list[int] = []
        self.other_errors: list[BaseException] = []
        self.threads = [
            threading.Thread(target=self._read),
            threading.Thread(target=self._write, args=(1_000_000,)),
            threading.Thread(target=self._write, args=(2_000_000,)),
            threading.Thread(target=self._transact, args=(3_000_000,)),
        ]

    def _read(self) -> None:
        while not self.stop.is_set():
            try:
                self._patiently(lambda: self.database.scalar("select count(*) from entries"))
                self.reads += 1
            except BaseException as error:
                self.read_errors.append(error)

    def _patiently(self, work: Any) -> Any:
        """Run *work*; while no server can be connected to at all, try again."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                return work()
            except LostConnectionError as error:
                if "cannot connect" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _write(self, number: int) -> None:
        while not self.stop.is_set():
            number += 1
            try:
                self._patiently(
                    lambda n=number: self.database.insert("insert into entries values (?)", [n])
                )
                self.done.append(number)
            except LostConnectionError:
                self.unknown.append(number)
            except BaseException as error:
                self.other_errors.append(error)

    def _transact(self, number: int) -> None:
        while not self.stop.is_set():
            number += 2

            def work(c: Connection, n: int = number) -> None:
                c.insert("insert into entries values (?)", [n])
                c.insert("insert into entries values (?)", [n + 1])

            try:
                self._patiently(lambda w=work: self.database.transaction(w))
                self.in_transactions.append(number)
            except LostConnectionError:
                self.unknown.append(number)
            except BaseException as error:
                self.other_errors.append(error)

    def wait_for_progress(self) -> None:
        """Until readers and writers each got somewhere."""
        before = self.reads, len(self.done), len(self.in_transactions)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            now = self.reads, len(self.done), len(self.in_transactions)
            if all(a >= b + 20 for a, b in zip(now, before, strict=True)):
                return
            time.sleep(0.01)
        raise AssertionError(f"no progress: {before} → {now}, {self.other_errors[:1]}")


@pytest.mark.slow
def test_a_server_killed_and_restarted_under_load(server: MariaDB):
    with Connection(server.config()) as root:
        root.statement("create database shop")
        root.statement("create table shop.entries (id int primary key) engine=InnoDB")
    load = Load(server.config("shop"))
    for thread in load.threads:
        thread.start()

    try:
        for _ in range(RESTARTS):
            load.wait_for_progress()
            server.kill()
            server.start()
        load.wait_for_progress()
    finally:
        load.stop.set()
        for thread in load.threads:
            thread.join()

    # Reads outside of transactions went on by themselves, but for the time without a server.
    assert load.read_errors == []
    # No error but LostConnectionError: above all no duplicate key, so nothing was written twice.
    assert load.other_errors == []
    with Connection(server.config("shop")) as root:
        there = {n for (n,) in root.select_tuples("select id from entries")}
    # What was acknowledged is there; what is there was acknowledged or of unknown fate.
    assert set(load.done) <= there
    assert {n for n in load.in_transactions} | {n + 1 for n in load.in_transactions} <= there
    unknown = set(load.unknown) | {n + 1 for n in load.unknown if n > 3_000_000}
    known = set(load.done) | {m for n in load.in_transactions for m in (n, n + 1)}
    assert there <= known | unknown
    assert len(load.unknown) <= 3 * RESTARTS
    # Of a transaction there are both rows or none.
    assert all((n in there) == (n + 1 in there) for n in load.unknown if n > 3_000_000)
    load.database.close()
