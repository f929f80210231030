"""Small parts of the server by themselves, where a process would not show more."""

import os
import socket
import sys
import tempfile
import tracemalloc
from types import SimpleNamespace

import pytest

from so.errors import ServerError
from so.server.access_log import AccessLog
from so.server.connection import LINGERING, Body
from so.server.deadlines import Due, drips, due
from so.server.exchange import Exchange
from so.server.limits import CheckedLimits
from so.server.listen import describe, open_listeners
from so.server.metrics import COUNTERS, GAUGES, Board, Tally
from so.server.outgoing import Budget, Outgoing
from so.server.pages import server_families
from so.support.exposition import prometheus


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def drain(outgoing: Outgoing, ours: socket.socket, theirs: socket.socket) -> bytes:
    theirs.setblocking(False)
    found = b""
    while outgoing:
        outgoing.flush(ours)
        found += theirs.recv(10_000_000)
    return found


def test_memory_comes_first_then_a_file_in_the_order_of_adding(pair):
    budget = Budget(1000)
    outgoing = Outgoing(CheckedLimits.of(response_memory_bytes=10), budget, Budget(100))
    for piece in (b"12345", b"67890", b"abc", b"d"):
        outgoing.add(piece)

    assert drain(outgoing, *pair) == b"1234567890abcd"
    assert budget.take(1000)


def memory_of(*, pieces: int, add) -> int:
    """The bytes kept after *pieces* calls of *add*."""
    tracemalloc.start()
    try:
        for _ in range(pieces):
            add(b"0123456789")
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_a_response_in_small_pieces_costs_little_more_memory_than_it_holds():
    outgoing = Outgoing(CheckedLimits(), Budget(100_000), Budget(0))

    assert memory_of(pieces=10_000, add=outgoing.add) < 200_000


def test_a_body_in_small_pieces_costs_little_more_memory_than_it_holds():
    body = Body(100_000, Budget(100_000), Budget(0))

    assert memory_of(pieces=10_000, add=lambda data: body.add(bytes([*data]))) < 200_000
    assert body.open().read() == b"0123456789" * 10_000


def test_all_bodies_share_what_they_keep_in_memory():
    memory, files = Budget(10), Budget(100)
    first, second = (Body(10, memory, files) for _ in range(2))
    first.add(b"12345678")
    second.add(b"ab")
    second.add(b"cde")

    with first.open() as whole, second.open() as stored:
        assert (whole.read(), stored.read()) == (b"12345678", b"abcde")
    assert memory.take(2)
    assert not files.take(96)

    for body in (first, second):
        body.discard()
    assert memory.take(8)
    assert files.take(100)


def test_a_budget_that_others_have_used_up_sends_all_to_the_file(pair):
    budget = Budget(10)
    first, second = (Outgoing(CheckedLimits(), budget, Budget(100)) for _ in range(2))
    first.add(b"1234567890")
    second.add(b"abc")

    assert drain(second, *pair) == b"abc"
    first.clear()
    assert budget.take(10)


def test_a_file_that_shrinks_is_a_broken_connection(pair):
    closed = []
    with tempfile.TemporaryFile() as file:
        file.write(b"abc")
        file.flush()
        outgoing = Outgoing(CheckedLimits(), Budget(10), Budget(10))
        outgoing.add_file(file, 0, 9, lambda: closed.append(True))

        with pytest.raises(OSError, match="shorter than it was"):
            drain(outgoing, *pair)

        outgoing.clear()
    assert closed == [True]


def test_an_access_log_that_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(ServerError, match="cannot write the access log"):
        AccessLog(str(tmp_path / "no" / "access.log"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ServerError, match="cannot write the access log .*pipe"):
        AccessLog(str(tmp_path / "pipe"))
    with pytest.raises(ServerError, match="unknown access log format 'xml'"):
        AccessLog("-", "xml")


def test_an_access_log_that_cannot_be_written_does_no_harm(tmp_path):
    log = AccessLog(str(tmp_path / "access.log"))
    os.close(log._fd)
    log._lines.append("a line")

    log.flush()

    assert (log._lines, bytes(log._unwritten)) == ([], b"")  # given up, so it does not pile up


def test_the_counts_of_the_dead_stay_and_their_gauges_go():
    board = Board()
    tally = Tally(board)
    values = [1.0] * len(COUNTERS) + [5.0] * len(GAUGES)
    tally.heard(1, values)
    tally.heard(2, values)
    tally.exited(1, hung=True)
    tally.reloaded()
    tally.publish(workers=1)

    found = board.read()
    assert (found["requests_2xx"], found["connections"]) == (2.0, 5.0)
    assert (found["workers"], found["worker_exits"], found["worker_hangs"]) == (1.0, 1.0, 1.0)

    tally.exited(2, hung=False)
    tally.publish(workers=0)
    assert (board.read()["requests_2xx"], board.read()["connections"]) == (2.0, 0.0)


def test_a_line_made_while_the_log_is_written_is_not_lost(tmp_path):
    log = AccessLog(str(tmp_path / "access.log"))

    class Fields(dict):
        def get(self, *name):
            log.flush()
            return "value"

    connection = SimpleNamespace(base={})
    head = SimpleNamespace(fields=Fields(), method="GET", target="/here", minor=1)
    for _ in range(2):
        log.add(connection, head, 200, 5, 0.1)
    log.flush()
    log.close()

    assert (tmp_path / "access.log").read_text().count("/here") == 2


def test_a_log_that_nobody_reads_waits_in_memory_up_to_a_limit(monkeypatch):
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdout", open(writing, "w"))  # noqa: SIM115 (closed below)
    log = AccessLog("-")
    head = SimpleNamespace(fields={}, method="GET", target="/here", minor=1)
    for number in range(40_000):
        log.add(SimpleNamespace(base={}), head, 200, number, 0.1)
        if number % 1000 == 0:
            log.flush()
    log.flush()
    found = os.read(reading, 1_000_000)
    while len(found) < 1_000_000:
        log.flush()
        found += os.read(reading, 1_000_000)
    log.flush()
    sys.stdout.close()
    with open(reading, "rb") as rest:
        lines = (found + rest.read()).splitlines()

    assert 10_000 < len(lines) < 40_000
    assert all(int(line.split()[9]) == number for number, line in enumerate(lines))


def test_a_request_answered_while_it_waited_is_not_run():
    ran = []
    connection = SimpleNamespace(base={}, body=None, is_disconnected=None)
    head = SimpleNamespace(fields={}, method="POST", path="/", query="", target="/", minor=1)
    service = SimpleNamespace(
        app=lambda *_: ran.append("ran"), limits=CheckedLimits(), is_draining=True
    )
    exchange = Exchange(connection, head, service, 0.0)

    assert exchange.claim()
    exchange.run()

    assert ran == []


def test_metrics_are_text_every_line_of_which_is_a_sample_or_a_comment():
    for line in prometheus(server_families(Board().read())).splitlines():
        name, _, value = line.rpartition(" ")
        assert line.startswith("# ") or (name and float(value) >= 0)


@pytest.mark.parametrize(
    ("family", "address", "tls", "text"),
    [
        (socket.AF_INET, ("127.0.0.1", 0), False, "http://127.0.0.1:"),
        (socket.AF_INET6, ("::1", 0), True, "https://[::1]:"),
    ],
)
def test_a_listener_is_described_as_an_address_to_open(family, address, tls, text):
    with socket.socket(family) as listener:
        try:
            listener.bind(address)
        except OSError:
            pytest.skip(f"this machine has no {address[0]}")

        assert describe(listener, tls=tls).startswith(text)


def test_a_name_may_stand_for_several_addresses(monkeypatch):
    stream = (socket.SOCK_STREAM, 0, "")
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_, **__: [
            (socket.AF_INET, *stream, ("127.0.0.1", 0)),
            (socket.AF_INET, *stream, ("127.0.0.2", 0)),
            # An address of nobody, RFC 5737.
            (socket.AF_INET, *stream, ("192.0.2.1", 0)),
        ],
    )

    found, _ = open_listeners("localhost", 0, None, None, 5)

    names = [listener.getsockname() for listener in found]
    assert [name[0] for name in names] == ["127.0.0.1", "127.0.0.2"]
    assert names[0][1] == names[1][1]
    for listener in found:
        listener.close()


def test_what_moves_too_slowly_is_given_up_after_a_minute():
    connection = type("Connection", (), {"begun": 1000.0 - 60 - 10})()

    assert drips(connection, 1000.0, 10 * 256 - 1, CheckedLimits())
    assert not drips(connection, 1000.0, 10 * 256, CheckedLimits())
    connection.begun = 1000.0 - 60
    assert not drips(connection, 1000.0, 0, CheckedLimits())


def test_a_client_that_still_sends_is_heard_out_for_half_a_minute_after_a_refusal():
    def verdict(*, began: float, last: float, draining: bool = False) -> Due | None:
        lingering = {"state": LINGERING, "begun": 100.0 - began, "since": 100.0 - last}
        connection = type("Connection", (), lingering)()
        return due(connection, 100.0, CheckedLimits(), draining=draining, ending=False)

    assert verdict(began=29, last=1) is None
    assert verdict(began=30, last=1) is Due.DROP
    assert verdict(began=2, last=2) is Due.DROP
    assert verdict(began=2, last=1, draining=True) is Due.DROP
