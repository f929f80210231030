"""Connections and the queue on a real Group Replication of three servers, the primary killed.

Runs with `SIXORBIT_TEST_CLUSTER=1` where MySQL's server is found (see tests/support/groups.py).
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.errors import LostConnectionError, ReadOnlyError
from tests.conftest import install
from tests.crash.queue_jobs import Books, Plain
from tests.crash.queue_world import World, worlds
from tests.support.groups import Group
from tests.support.mariadb import ServerMissing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("SIXORBIT_TEST_CLUSTER") != "1",
        reason="set SIXORBIT_TEST_CLUSTER=1 to form a Group Replication",
    ),
]
DEADLINE_SECONDS = 120
JOBS = 200


@pytest.fixture(scope="module")
def group() -> Iterator[Group]:
    try:
        found = Group()
    except ServerMissing as missing:
        pytest.skip(f"NO GROUP: {missing}")
    try:
        found.form()
        with Connection(found.primary().config()) as root:
            root.statement("create database shop collate utf8mb4_unicode_ci")
        yield found
    finally:
        found.stop()


@pytest.fixture
def world(group: Group, tmp_path: Path) -> Iterator[World]:
    with Connection(group.primary().config()) as root:
        root.statement("drop database if exists shop_queue")
        root.statement("create database shop_queue collate utf8mb4_unicode_ci")
    with Connection(group.primary().config("shop_queue")) as connection:
        install(connection)
    yield from worlds(group.config("shop_queue"), tmp_path)


def test_a_write_finds_the_primary_whatever_host_stands_first(group: Group) -> None:
    with Connection(group.primary().config("shop")) as primary:
        primary.statement("create table places (id int primary key)")
    hosts = [f"127.0.0.1:{member.port}" for member in group.members]

    for first in range(3):
        config = group.config("shop", host=",".join(hosts[first:] + hosts[:first]))
        with Connection(config) as connection:
            connection.insert("insert into places values (?)", [first])
            assert connection.scalar("select @@port") == group.primary().port

    secondary = next(member for member in group.members if member is not group.primary())
    with Connection(secondary.config("shop")) as alone, pytest.raises(ReadOnlyError):
        alone.insert("insert into places values (9)")


def test_a_primary_killed_under_load_loses_no_acknowledged_row(group: Group) -> None:
    with Connection(group.primary().config("shop")) as primary:
        primary.statement("create table entries (id int primary key)")
    stop = threading.Event()
    done: list[int] = []
    unknown: set[int] = set()
    others: list[BaseException] = []
    database = Database({"default": group.config("shop", read_timeout=30)})

    def work(index: int) -> None:
        number = (index + 1) * 1_000_000
        while not stop.is_set():
            number += 1
            try:
                database.connection().insert("insert into entries values (?)", [number])
                done.append(number)
            except (LostConnectionError, ReadOnlyError):
                unknown.add(number)
                time.sleep(0.05)
            except BaseException as error:
                others.append(error)
                return

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    try:
        _progress(done, others)
        victim = group.primary()
        victim.kill()
        _progress(done, others)
        assert group.primary() is not victim
        group.start(victim)
        _progress(done, others)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        database.close()

    assert others == []
    with Connection(group.primary().config("shop")) as primary:
        there = {n for (n,) in primary.select_tuples("select id from entries")}
    assert set(done) <= there
    assert there <= set(done) | unknown


def test_workers_lose_nothing_and_do_nothing_twice_while_the_primary_dies(
    world: World, group: Group
) -> None:
    world.start(processes=2, quiet=True)
    jobs = [(Books if n % 2 else Plain)(str(n)) for n in range(JOBS)]
    uncertain = _dispatch(world, jobs[:100])
    while not world.effects():  # a worker that finds no primary when it starts ends at once
        time.sleep(0.05)
    victim = group.primary()
    victim.kill()
    uncertain |= _dispatch(world, jobs[100:])
    group.start(victim)
    world.until_empty()

    marks = Counter(world.effects())
    assert [n for n in range(JOBS) if not marks[str(n)]] == []
    once = (n for n in range(1, JOBS, 2) if jobs[n] not in uncertain)
    assert [n for n in once if marks[str(n)] != 1] == []
    assert world.queue.failed_jobs.count() == 0


def _dispatch(world: World, jobs: list[Any]) -> set[Any]:
    """Each ten again until they are acknowledged; those of which that makes two, perhaps."""
    uncertain: set[Any] = set()
    for at in range(0, len(jobs), 10):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                world.queue.bulk(jobs[at : at + 10])
                break
            except (LostConnectionError, ReadOnlyError):
                assert time.monotonic() < deadline
                uncertain.update(jobs[at : at + 10])
                time.sleep(0.1)
    return uncertain


def _progress(done: list[int], others: list[BaseException]) -> None:
    goal = len(done) + 200
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(done) < goal:
        assert time.monotonic() < deadline, f"only {len(done)} of {goal}"
        assert others == []
        time.sleep(0.05)
