"""Connections on a real three-node Galera cluster whose nodes are killed under load.

Runs with `SIXORBIT_TEST_CLUSTER=1`: forming the cluster takes a quarter of a minute.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.errors import DeadlockError, LostConnectionError, UniqueConstraintError
from so.testing import Client
from tests.support.galera import Cluster
from tests.support.mariadb import ServerMissing
from tests.web.console.conftest import build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("SIXORBIT_TEST_CLUSTER") != "1",
        reason="set SIXORBIT_TEST_CLUSTER=1 to form a Galera cluster",
    ),
]
DEADLINE_SECONDS = 120


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    try:
        found = Cluster()
    except ServerMissing as missing:
        pytest.skip(f"NO CLUSTER: {missing}")
    try:
        found.form()
        with Connection(found.nodes[0].config()) as root:
            root.statement("create database shop collate utf8mb4_unicode_ci")
        yield found
    finally:
        found.stop()


def fresh_table(cluster: Cluster) -> None:
    with Connection(cluster.config("shop")) as connection:
        connection.statement("drop table if exists entries")
        connection.statement("create table entries (id int primary key, n int not null)")
        connection.insert("insert into entries values (0, 0)")
    for node in cluster.nodes:  # wait until each has it
        with Connection(node.config("shop")) as connection:
            connection.statement("set wsrep_sync_wait = 1")
            assert connection.scalar("select count(*) from entries") == 1


def test_the_console_tells_of_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    app = build(tmp_path, cluster.config("shop"), "local", abilities=False)
    try:
        page = Client(app).get("/console/database?format=json").json()
        text = Client(app).get("/console/database").text
    finally:
        app.__exit__(None, None, None)

    told = page["server"]
    assert (told["wsrep_cluster_size"], told["wsrep_cluster_status"]) == ("3", "Primary")
    assert told["wsrep_local_state_comment"] == "Synced"
    assert "<dt>Nodes of the cluster</dt><dd>3</dd>" in text
    assert page["replicas"] == []


def test_a_certification_conflict_at_commit_is_a_deadlock(cluster: Cluster):
    """Both nodes accept the change; the second commit is refused, and must say so."""
    fresh_table(cluster)
    one = Connection(cluster.nodes[0].config("shop"))
    two = Connection(cluster.nodes[1].config("shop"))
    for connection in (one, two):
        connection.begin_transaction()
        connection.update("update entries set n = n + 1 where id = 0")
    one.commit()

    with pytest.raises(DeadlockError):
        two.commit()

    assert two.transaction_level() == 0
    two.update("update entries set n = n + 1 where id = 0")
    with Connection(cluster.nodes[0].config("shop")) as first:
        first.statement("set wsrep_sync_wait = 1")
        assert first.scalar("select n from entries where id = 0") == 2
    one.close()
    two.close()


def test_an_aborted_transaction_cannot_be_committed_in_part(cluster: Cluster):
    """The driver itself would swallow the abort and report a commit that never was."""
    fresh_table(cluster)
    one = Connection(cluster.nodes[0].config("shop"))
    two = Connection(cluster.nodes[1].config("shop"))
    two.begin_transaction()
    two.update("update entries set n = 100 where id = 0")
    one.update("update entries set n = 1 where id = 0")
    with Connection(cluster.nodes[1].config("shop")) as second:
        second.statement("set wsrep_sync_wait = 1")
        assert second.scalar("select n from entries where id = 0") == 1  # so the abort is there

    with pytest.raises(DeadlockError):
        two.insert("insert into entries values (5, 5)")
    with pytest.raises(DeadlockError):
        two.commit()
    two.roll_back()

    assert two.select_tuples("select id, n from entries") == [(0, 1)]
    one.close()
    two.close()


def test_transactions_on_all_nodes_at_once_lose_nothing(cluster: Cluster):
    """Three writers, each on a node of its own, add to one row."""
    fresh_table(cluster)
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            with Connection(cluster.nodes[index].config("shop")) as connection:
                connection.statement("set wsrep_sync_wait = 1")
                for _ in range(40):
                    connection.transaction(_add_one, attempts=50)
        except BaseException as error:
            failures.append(error)

    _run(3, work)

    assert failures == []
    with Connection(cluster.nodes[0].config("shop")) as connection:
        connection.statement("set wsrep_sync_wait = 1")
        assert connection.scalar("select n from entries where id = 0") == 120


def _add_one(connection: Connection) -> None:
    n = connection.scalar("select n from entries where id = 0 for update")
    connection.update("update entries set n = ? where id = 0", [n + 1])


def _run(number: int, work: Any) -> None:
    threads = [threading.Thread(target=work, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_nodes_killed_under_load_lose_no_acknowledged_row(cluster: Cluster):
    fresh_table(cluster)
    stop = threading.Event()
    done: list[int] = []
    unknown: list[int] = []
    others: list[BaseException] = []
    # Each writer begins with another node, as servers of a real site would.
    hosts = cluster.hosts().split(",")
    databases = [
        Database({"default": cluster.config("shop", host=hosts[i:] + hosts[:i], read_timeout=30)})
        for i in range(3)
    ]

    def work(index: int) -> None:
        number = (index + 1) * 1_000_000
        while not stop.is_set():
            number += 1
            try:
                databases[index].transaction(
                    lambda c, n=number: c.insert("insert into entries values (?, 0)", [n]), 20
                )
                done.append(number)
            except LostConnectionError:
                unknown.append(number)
                time.sleep(0.01)
            except BaseException as error:
                others.append(error)

    runner = threading.Thread(target=_run, args=(3, work))
    runner.start()
    try:
        for victim in (1, 0):
            _wait_for_progress(done)
            cluster.nodes[victim].kill()
            _wait_for_progress(done)
            cluster.start(cluster.nodes[victim])
        _wait_for_progress(done)
    finally:
        stop.set()
        runner.join()

    assert others == []
    with Connection(cluster.nodes[0].config("shop")) as connection:
        connection.statement("set wsrep_sync_wait = 1")
        there = {n for (n,) in connection.select_tuples("select id from entries where id > 0")}
    assert set(done) <= there
    assert there <= set(done) | set(unknown)
    for database in databases:
        database.close()


def test_a_cluster_without_quorum_is_reported_and_recovers(cluster: Cluster):
    fresh_table(cluster)
    connection = Connection(cluster.config("shop", connect_timeout=2, read_timeout=20))
    connection.insert("insert into entries values (1, 0)")
    for node in cluster.nodes[1:]:
        node.kill()

    for number in (2, 3):
        with pytest.raises(LostConnectionError):
            connection.insert("insert into entries values (?, 0)", [number])

    with Connection(cluster.nodes[0].config()) as alone:
        alone.statement("set global wsrep_provider_options = 'pc.bootstrap=1'")
    for node in cluster.nodes[1:]:
        cluster.start(node)
    with pytest.raises(UniqueConstraintError):
        connection.insert("insert into entries values (1, 0)")
    connection.close()


def _wait_for_progress(done: list[int]) -> None:
    goal = len(done) + 60
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(done) < goal:
        assert time.monotonic() < deadline, f"only {len(done)} of {goal}"
        time.sleep(0.05)
