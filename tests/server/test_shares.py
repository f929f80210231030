"""Newcomers go to the worker that holds the fewest connections."""

import os
import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from so.server.shares import DEAF_SECONDS, VAIN_RINGS, Shares
from tests.server.conformance.runner import Client
from tests.server.processes import Server, serving, wait_until
from tests.server.test_life_cycle import APP, get


def test_a_worker_with_more_connections_gives_way_and_rings():
    shares = Shares(2)
    first, second = shares.seat(0), shares.seat(1)

    first.hold(2)

    assert first.gives_way(100.0)
    assert not second.gives_way(100.0)
    second.drain()  # there is something in it, or this would say so


def test_a_difference_of_one_is_none():
    shares = Shares(2)
    first, _ = shares.seat(0), shares.seat(1)

    first.hold(1)

    assert not first.gives_way(100.0)


def test_among_many_connections_a_few_more_are_no_reason_to_ring():
    shares = Shares(2)
    first, second = shares.seat(0), shares.seat(1)
    second.hold(800)

    first.hold(850)
    assert not first.gives_way(100.0)

    first.hold(1000)
    assert first.gives_way(100.0)


def test_a_worker_that_does_not_hear_is_left_alone_for_a_while():
    shares = Shares(2)
    first, _ = shares.seat(0), shares.seat(1)
    first.hold(9)

    for _ in range(VAIN_RINGS):
        assert first.gives_way(100.0)
        assert not first.gives_way(100.0)  # in vain: it takes one itself

    assert not first.gives_way(100.0 + DEAF_SECONDS / 2)
    assert first.gives_way(100.0 + DEAF_SECONDS)


def test_a_worker_that_leaves_counts_no_more():
    shares = Shares(2)
    old = shares.seat(0)
    old.hold(7)
    new = shares.seat(0)

    old.leave()
    old.hold(6)

    assert not new.gives_way(100.0)


def test_a_server_of_one_worker_has_nobody_to_ring():
    seat = Shares(1).seat(0)
    seat.hold(1000)

    assert not seat.has_bell
    assert not seat.gives_way(100.0)


def worker_of(server: Server, clients: ExitStack) -> bytes:
    """Which worker answers one more client, who stays."""
    client = clients.enter_context(Client(server.address))
    client.send(get("/pid"))
    return bytes(client.read().body)


def test_connections_are_spread_over_all_workers(tmp_path):
    by_worker: Counter[bytes] = Counter()
    with serving(APP, tmp_path / "log", workers=2) as server:
        with ExitStack() as clients:
            seen: set[bytes] = set()  # one may still be starting

            def are_both_there() -> bool:
                seen.add(worker_of(server, clients))
                return len(seen) == 2

            wait_until(are_both_there, "both workers")
        with ExitStack() as clients:
            for _ in range(60):
                by_worker[worker_of(server, clients)] += 1

    assert len(by_worker) == 2
    assert min(by_worker.values()) >= 10, by_worker


def test_a_stopped_worker_holds_no_newcomer_up(tmp_path):
    with serving(APP, tmp_path / "log", workers=2) as server, ExitStack() as clients:
        stopped, other = server.workers()
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: " T " in Path(f"/proc/{stopped}/stat").read_text(), "the stop")
        try:
            begun = time.monotonic()
            for _ in range(40):
                client = clients.enter_context(Client(server.address))
                client.send(get("/pid"))
                assert client.read().body == str(other).encode()
            assert time.monotonic() - begun < 5
        finally:
            os.kill(stopped, signal.SIGCONT)
