"""Clients that drip, idle, vanish or never read: the others must not notice, memory stays bounded.

Sizes are small here; `python -m tests.server.siege` does the same at full size and with a clock.
"""

import contextlib
import resource
import socket
import time

import pytest

from tests.server.conformance.runner import Client, Wrong
from tests.server.processes import Server, serving, wait_until
from tests.server.siege import Siege, memory_mb

APP = "tests.server.apps:application"


def hello(server: Server) -> None:
    with Client(server.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.read().body == b"hello"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    log = tmp_path_factory.mktemp("hostile") / "server.log"
    limits = {"head_seconds": 1, "body_seconds": 1, "write_seconds": 1, "keep_alive_seconds": 1}
    with serving(APP, log, workers=1, threads=2, **limits) as running:
        yield running


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A server with its usual limits."""
    log = tmp_path_factory.mktemp("patient") / "server.log"
    with serving(APP, log, workers=1, threads=2) as running:
        yield running


@pytest.mark.parametrize("kind", ["drip", "idle", "unread", "upload", "fresh"])
def test_others_are_served_during_a_siege(patient, kind):
    with Siege(patient.address, kind, count=40, size=4_000_000):
        for _ in range(20):
            hello(patient)


def test_unread_responses_cost_bounded_memory_and_no_thread(patient):
    hello(patient)
    before = memory_mb(patient.process.pid)
    with Siege(patient.address, "unread", count=8, size=20_000_000):
        for _ in range(20):
            hello(patient)
        # 160 MB are owed to clients that read none of them; once they are written to a file,
        # and the application has let go of them, hardly any of it is in memory.
        wait_until(lambda: memory_mb(patient.process.pid) < before + 60, "the memory")


def test_threads_that_wait_for_clients_leave_their_places_to_others(tmp_path):
    limits = {"response_memory_bytes": 10_000, "response_file_bytes": 100_000}
    with serving(APP, tmp_path / "log", workers=1, threads=1, **limits) as server:
        unread = [Client(server.address) for _ in range(4)]
        for client in unread:
            client.send(b"GET /big?200 HTTP/1.1\r\nHost: a\r\n\r\n")
        # Each of them holds its thread, as memory and file are full; there is but one by right.
        for _ in range(10):
            hello(server)
        for client in unread:
            assert len(client.read().body) == 200 * 65536
            client.link.close()
        hello(server)


def test_a_head_that_does_not_come_is_answered_408(server):
    with Client(server.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost")
        assert client.read().status == 408
        assert client.has_ended()


def test_a_body_that_does_not_come_is_answered_408(server):
    with Client(server.address) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert client.read().status == 408
        assert client.has_ended()


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_an_idle_connection_is_closed_without_a_word(server, first):
    with Client(server.address) as client:
        if first:
            client.send(first)
            assert client.read().status == 200
        assert client.has_ended()


def test_a_response_nobody_reads_is_given_up(server):
    with Client(server.address) as client:
        client.send(b"GET /big-whole?30000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: connections(server) == 0, "the end of the connection")
        with pytest.raises((Wrong, EOFError)):
            client.read()


def test_a_response_that_is_given_up_does_not_pass_for_a_whole_one(server):
    # For a client of HTTP/1.0 an orderly end would be the end of the body.
    with socket.create_connection(server.address, 20) as link:
        link.sendall(b"GET /big?600 HTTP/1.0\r\n\r\n")
        wait_until(lambda: connections(server) == 0, "the end of the connection")
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: link.recv(65536), b""))


@pytest.mark.parametrize(
    "limits", [{}, {"response_memory_bytes": 10_000, "response_file_bytes": 100_000}]
)
def test_a_client_that_reads_slowly_but_steadily_gets_the_whole_response(tmp_path, limits):
    client = Client.__new__(Client)
    client.buffer = b""
    with (
        serving(APP, tmp_path / "log", workers=1, write_seconds=2, **limits) as server,
        socket.socket() as client.link,
    ):
        client.link.settimeout(20)
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 30_000)
        client.link.connect(server.address)
        client.send(b"GET /big?150 HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(40):
            client.buffer += client.link.recv(20_000)
            time.sleep(0.1)

        assert len(client.read().body) == 150 * 65536


def connections(server: Server) -> int:
    """Established connections to the server, but this question's own."""
    wanted = f":{server.port:04X}"
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return sum(row[1].endswith(wanted) and row[3] == "01" for row in rows)


def test_a_client_that_resets_in_the_middle_of_its_body_leaves_nothing_behind(server):
    for _ in range(20):
        client = Client(server.address)
        client.send(
            b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n" + b"x" * 9000
        )
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.link.close()

    wait_until(lambda: connections(server) == 0, "the end of the connections")
    hello(server)


def test_a_client_that_sends_on_after_a_refusal_still_gets_the_answer(server):
    with Client(server.address) as client:
        client.send(b"G@T / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(50):
                client.link.sendall(b"x" * 10_000)
        assert client.read().status == 400


def test_the_connection_idle_for_longest_makes_room_for_a_new_one(tmp_path):
    with serving(APP, tmp_path / "log", workers=1, connections=10) as server:
        idle = [Client(server.address) for _ in range(30)]
        for _ in range(5):
            hello(server)
        assert sum(ended(client) for client in idle) >= 20
        for client in idle:
            client.link.close()


def ended(client: Client) -> bool:
    client.link.settimeout(0.2)
    try:
        return client.link.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_when_all_connections_are_busy_new_ones_wait_their_turn(tmp_path):
    with serving(APP, tmp_path / "log", workers=1, threads=4, connections=4) as server:
        busy = [Client(server.address) for _ in range(4)]
        for client in busy:
            client.send(b"GET /sleep?0.3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        hello(server)
        assert [client.read().body for client in busy] == [b"slept"] * 4
        for client in busy:
            client.link.close()


def test_when_memory_and_file_are_full_the_application_waits_for_its_client(tmp_path):
    limits = {"response_memory_bytes": 10_000, "response_file_bytes": 100_000}
    with (
        serving(APP, tmp_path / "log", workers=1, **limits) as server,
        Client(server.address) as client,
    ):
        client.send(b"GET /big?300 HTTP/1.1\r\nHost: a\r\n\r\n")
        hello(server)
        assert len(client.read().body) == 300 * 65536


def test_an_application_does_not_wait_for_ever(tmp_path):
    limits = {"response_memory_bytes": 10_000, "response_file_bytes": 100_000}
    with (
        serving(APP, tmp_path / "log", workers=1, write_seconds=0.5, **limits) as server,
        Client(server.address) as client,
    ):
        client.send(b"GET /big?3000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: connections(server) == 0, "the end of the connection")
        with pytest.raises((Wrong, EOFError)):
            client.read()


def test_a_server_short_of_descriptors_goes_on(tmp_path):
    """Idle connections are closed to make room; what is served already is not disturbed."""
    with serving(APP, tmp_path / "log", workers=1) as server:
        (worker,) = server.workers()
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (24, 24))
        idle = [Client(server.address) for _ in range(60)]
        for _ in range(5):
            hello(server)
        assert "cannot accept a connection" in server.log.read_text()
        for client in idle:
            client.link.close()


def test_a_request_that_waited_for_its_turn_is_not_taken_for_a_stuck_one(tmp_path):
    with serving(APP, tmp_path / "log", workers=1, threads=1, request_seconds=3) as server:
        clients = [Client(server.address) for _ in range(5)]
        for client in clients:
            client.send(b"GET /sleep?0.9 HTTP/1.1\r\nHost: a\r\n\r\n")

        for client in clients:
            assert client.read().status == 200
            client.link.close()
        assert "gives no answer" not in server.log.read_text()


# --- bodies in files ------------------------------------------------------------------------------


def upload(size: int) -> bytes:
    return b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


def test_a_body_there_is_no_room_for_is_refused_and_never_cut_short(tmp_path):
    limits = {"body_memory_bytes": 1000, "file_total_bytes": 300_000}
    with serving(APP, tmp_path / "log", workers=1, **limits) as server:
        for _ in range(3):
            with Client(server.address) as client:
                client.send(upload(400_000))
                assert client.read().status == 503
                assert client.has_ended()
            with Client(server.address) as client:
                client.send(upload(200_000))
                assert client.read().body == b"file 200000 0 200000"


def test_a_disk_that_is_full_for_a_moment_leaves_no_hole_in_a_body(tmp_path):
    with (
        serving(APP, tmp_path / "log", workers=1, body_memory_bytes=1000) as server,
        Client(server.address) as client,
    ):
        (worker,) = server.workers()
        whole = upload(600_000)
        client.send(whole[:200_000])
        hello(server)
        before = resource.prlimit(worker, resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        client.send(whole[200_000:500_000])
        wait_until(lambda: "cannot store the body" in server.log.read_text(), "the full disk")
        resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
        client.send(whole[500_000:])

        assert client.read().status == 503
        assert client.has_ended()


def test_when_all_files_are_full_applications_wait_for_their_clients(tmp_path):
    limits = {"response_memory_bytes": 10_000, "file_total_bytes": 100_000}
    with serving(APP, tmp_path / "log", workers=1, threads=1, **limits) as server:
        unread = [Client(server.address) for _ in range(3)]
        for client in unread:
            client.send(b"GET /big?200 HTTP/1.1\r\nHost: a\r\n\r\n")
        hello(server)
        for client in unread:
            assert len(client.read().body) == 200 * 65536
            client.link.close()


# --- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [b"\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
@pytest.mark.parametrize("size", [10, 3_000_000])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_bytes_after_the_last_request_do_not_cut_its_response(patient, late, size, version):
    with Client(patient.address) as client:
        client.send(
            b"GET /slow-whole?%d HTTP/%s\r\nHost: a\r\nConnection: close\r\n\r\n" % (size, version)
        )
        wait_until(lambda: "slow-whole" in patient.log.read_text(), "the request")
        client.send(late)

        assert len(client.read().body) == size
        assert client.link.recv(1) == b""


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n",
    ],
)
def test_an_empty_line_after_a_request_is_no_request(server, raw):
    for half_closed in (True, False):
        with Client(server.address) as client:
            client.send(raw)
            if half_closed:
                client.link.shutdown(socket.SHUT_WR)
            assert client.read().status == 200
            assert client.has_ended()


def test_nothing_but_an_empty_line_gets_no_answer(server):
    with Client(server.address) as client:
        client.send(b"\r\n")
        client.link.shutdown(socket.SHUT_WR)
        assert client.has_ended()
