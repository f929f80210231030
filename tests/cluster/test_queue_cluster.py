"""Workers on every node of a real Galera cluster, one of which is killed and comes back.

Runs with `SIXORBIT_TEST_CLUSTER=1` (`make cluster`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from so.db.connection import Connection
from tests.conftest import install
from tests.crash.queue_jobs import Books, Plain
from tests.crash.queue_world import World, worlds
from tests.support.galera import Cluster
from tests.support.mariadb import ServerMissing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("SIXORBIT_TEST_CLUSTER") != "1",
        reason="set SIXORBIT_TEST_CLUSTER=1 to form a Galera cluster",
    ),
]
JOBS = 600


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    try:
        found = Cluster()
    except ServerMissing as missing:
        pytest.skip(f"NO CLUSTER: {missing}")
    try:
        found.form()
        with Connection(found.nodes[0].config()) as root:
            root.statement("create database shop_queue collate utf8mb4_unicode_ci")
        with Connection(found.nodes[0].config("shop_queue")) as conn:
            install(conn)
        yield found
    finally:
        found.stop()


@pytest.fixture
def world(cluster: Cluster, tmp_path: Path) -> Iterator[World]:
    yield from worlds(cluster.config("shop_queue"), tmp_path)


def test_workers_on_all_nodes_lose_nothing_while_one_node_dies_and_rejoins(
    world: World, cluster: Cluster
) -> None:
    hosts = [f"127.0.0.1:{node.port}" for node in cluster.nodes]
    for first in range(3):
        # each worker has a node of its own, and the others to fall back on
        world.config = {
            **cluster.config("shop_queue"),
            "host": [*hosts[first:], *hosts[:first]],
        }
        world.start(processes=2, quiet=True)
    jobs = [(Books if n % 2 else Plain)(str(n)) for n in range(JOBS)]
    for start in range(0, JOBS, 20):
        world.queue.bulk(jobs[start : start + 20])
        if start == JOBS // 3:
            cluster.nodes[2].kill()
        if start == 2 * JOBS // 3:
            cluster.start(cluster.nodes[2])
    world.until_empty()

    marks = Counter(world.effects())
    lost = [n for n in range(JOBS) if not marks[str(n)]]
    twice = [n for n in range(1, JOBS, 2) if marks[str(n)] != 1]
    assert lost == []
    assert twice == []
    assert world.queue.failed_jobs.count() == 0
