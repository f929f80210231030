"""Answers that go on after their request, and hold no thread: `environ["so.hold"]`."""

from __future__ import annotations

import contextlib
import signal
import socket

import pytest

from tests.server.conformance.runner import Client
from tests.server.processes import serving, wait_until
from tests.server.test_wsgi import ask, request

MOST = 60


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    log = tmp_path_factory.mktemp("held") / "server.log"
    options = {"workers": 1, "threads": 1, "held": MOST, "response_memory_bytes": 100_000}
    with serving("tests.server.apps:application", log, **options) as server:
        yield server


@pytest.fixture
def server(running):
    yield running
    ask(running, "/end")
    wait_until(lambda: told(running, "x") == 0, "the end of what is held")


def told(server, what: str) -> int:
    """Says *what* to all who listen; how many do."""
    return int(ask(server, f"/tell?{what}").body)


class Listener(Client):
    """A client whose answer goes on."""

    def __init__(self, server, version: str = "1.1", query: str = "") -> None:
        super().__init__(server.address)
        self.send(request(f"/hold{query}", version=version))
        self.head = self._until(b"\r\n\r\n").decode().lower()

    def chunk(self) -> bytes:
        size = int(self._until(b"\r\n"), 16)
        found = self._take(size)
        self._take(2)
        return found


def test_an_answer_goes_on_and_ends_in_good_order(server):
    with Listener(server) as client:
        assert "transfer-encoding: chunked" in client.head
        assert client.chunk() == b"hello"

        assert told(server, "one") == 1
        assert client.chunk() == b"one"
        told(server, "two")
        assert client.chunk() == b"two"

        ask(server, "/end")
        assert client.chunk() == b""
        client.send(request("/"))
        assert client.read().body == b"hello", "the connection can be used again"


def test_many_hold_no_thread_and_beyond_the_limit_there_is_no_room(server):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Listener(server)) for _ in range(MOST)]
        for client in clients:
            client.chunk()

        assert told(server, "news") == MOST
        assert all(client.chunk() == b"news" for client in clients)
        assert ask(server, "/hold").body == b"no room"


def test_who_leaves_is_missed(server):
    client = Listener(server)
    client.chunk()
    assert told(server, "x") == 1

    client.link.close()

    wait_until(lambda: told(server, "x") == 0, "the server notices that the client has left")


def test_who_asks_for_something_else_in_between_is_sent_away(server):
    with Listener(server) as client:
        client.chunk()

        client.send(request("/"))

        assert client.has_ended()


def test_who_does_not_read_is_sent_away(server):
    client = Listener(server)
    client.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    wait_until(lambda: told(server, "x*100000") == 0, "the server gives up on the client")
    client.link.close()


def test_who_reads_slowly_gets_all_of_it(server):
    with Listener(server) as client:
        client.chunk()
        parts = [f"{number}*20000" for number in range(10)]
        for part in parts:
            told(server, part)
        ask(server, "/end")

        found = b""
        while piece := client.chunk():
            found += piece
        assert found == b"".join(str(number).encode() * 20000 for number in range(10))


def test_a_client_of_http_1_0_gets_it_until_the_connection_ends(server):
    with Listener(server, "1.0") as client:
        wait_until(lambda: told(server, "+") == 1, "the answer is held")
        ask(server, "/end")

        while client._more():
            pass
        assert client.buffer == b"hello+"


@pytest.mark.parametrize(("query", "status"), [("?fail", 500), ("?length", 200)])
def test_what_is_answered_otherwise_is_not_held(server, query, status):
    assert ask(server, f"/hold{query}").status == status
    assert told(server, "x") == 0


def test_nothing_is_held_for_a_head(server):
    assert ask(server, "/hold", method="HEAD").status == 200
    assert told(server, "x") == 0


def test_a_server_that_stops_ends_them(tmp_path):
    with serving("tests.server.apps:application", tmp_path / "log", workers=1, threads=1) as server:
        clients = [Listener(server) for _ in range(20)]
        for client in clients:
            client.chunk()

        server.signal(signal.SIGTERM)

        for client in clients:
            assert client.chunk() == b""
            assert client.has_ended()
            client.link.close()
        assert server.wait() == 0
