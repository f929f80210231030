"""Where the server listens: what it takes over, what it leaves alone, and what it refuses."""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from so.errors import ServerError
from so.server import serve
from so.server.listen import open_listeners
from tests.server.processes import Server, serve_argv, wait_until

APP = "tests.server.apps:application"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head_second": 1}, "unknown server limit 'head_second'"),
        ({"head_seconds": -1}, "head_seconds must be a number from 0 to 2000000, not -1"),
        ({"grace_seconds": "30"}, "grace_seconds must be a number from 0 to 2000000, not '30'"),
        ({"grace_seconds": float("nan")}, "grace_seconds must be a number from 0 to 2000000"),
        ({"grace_seconds": 10**10}, "grace_seconds must be a number from 0 to 2000000"),
        ({"backlog": 1.5}, "backlog must be a whole number >= 0, not 1.5"),
        ({"connections": 0}, "connections must be at least 1"),
        ({"heartbeat_seconds": 1}, "heartbeat_seconds must be at least 2, or 0 for none, not 1"),
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"workers": "2"}, "workers must be at least 1, not '2'"),
        ({"access_log": "/nowhere/a.log"}, "cannot write the access log /nowhere/a.log: No such"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"pages": "all"}, "pages must be one of loopback, everyone, off, not 'all'"),
        ({"access_format": "xml"}, "must be common or json, not 'xml'"),
        ({"key": "k"}, "a TLS key without a certificate"),
        ({"cert": "/nowhere"}, "cannot read the certificate /nowhere: No such file"),
        ({"host": "no.such.host.invalid"}, "cannot listen on 'no.such.host.invalid'"),
        ({"host": "192.0.2.1", "port": 0}, "this machine has no such address"),
        ({"fd": 0}, "descriptor 0"),
        ({"fd": -1}, "descriptor -1 is no socket"),
        ({"fd": 10**20}, "descriptor 100000000000000000000 is no socket"),
    ],
)
def test_a_server_that_cannot_start_says_why(options, message):
    with pytest.raises(ServerError, match=message.replace("'", ".")):
        serve(None, **{"port": 0, **options})


def test_a_thread_that_hears_no_signals_cannot_serve():
    with ThreadPoolExecutor(1) as pool, pytest.raises(ServerError, match="in the main thread"):
        pool.submit(serve, None, port=0).result()


def test_an_address_of_ipv6_may_stand_in_brackets():
    [listener], _ = open_listeners("[::1]", 0, None, None, 1)
    with listener:
        assert listener.getsockname()[0] == "::1"


def test_a_port_in_use_is_said_with_the_mend():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ServerError, match="in use; stop the other server or choose another"):
            serve(None, port=port)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_an_inherited_socket_that_does_not_listen_is_refused(kind):
    with socket.socket(type=kind) as other:
        with pytest.raises(ServerError, match=f"descriptor {other.fileno()} does not listen"):
            serve(None, fd=other.fileno())
        assert other.getsockname() == ("0.0.0.0", 0)


def test_a_path_in_use_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ServerError, match="a file of that name exists"):
        serve(None, socket=str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "precious"

    path = str(tmp_path / "web.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(ServerError, match="another server does"):
            serve(None, socket=path)
    with pytest.raises(ServerError, match="cannot listen on"):
        serve(None, socket=str(tmp_path / "no" / "web.sock"))


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as link:
        return link.connect_ex(str(path)) == 0


def answers_at(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as link:
        if link.connect_ex(str(path)) != 0:
            return False
        link.sendall(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        return link.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_socket_nobody_listens_on_any_more_is_replaced_and_removed_at_the_end(tmp_path):
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    server = Server(serve_argv(APP, None, workers=1, socket=str(path)), 0, tmp_path / "log")

    wait_until(lambda: answers_at(path), "the server")
    assert server.stop() == 0
    assert not path.exists()


def test_a_socket_that_others_use_otherwise_is_left_alone(tmp_path):
    path = str(tmp_path / "other.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        with pytest.raises(ServerError, match="another server does"):
            serve(None, socket=path)
    assert os.path.exists(path)


def test_a_server_whose_queue_is_full_is_not_waited_for(tmp_path):
    path = str(tmp_path / "web.sock")
    with (
        socket.socket(socket.AF_UNIX) as other,
        socket.socket(socket.AF_UNIX) as first,
    ):
        other.bind(path)
        other.listen(0)
        first.connect(path)
        with pytest.raises(ServerError, match="another server does"):
            serve(None, socket=path)


def test_a_server_that_still_drains_leaves_its_successor_the_socket(tmp_path):
    path = tmp_path / "web.sock"
    argv = serve_argv(APP, None, workers=1, socket=str(path))
    server = Server(argv, 0, tmp_path / "log")
    wait_until(lambda: answers_at(path), "the server")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
        server.signal(signal.SIGTERM)
        wait_until(lambda: not accepts(path), "the end of the socket")
        successor = Server(argv, 0, tmp_path / "log2")
        wait_until(lambda: answers_at(path), "the successor")

    try:
        assert server.wait() == 0
        assert answers_at(path)
    finally:
        server.stop()
        assert successor.stop() == 0


def test_a_socket_of_the_service_manager_outlives_the_server(tmp_path):
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        options = {"socket": str(path), "fd": listener.fileno(), "workers": 1}
        argv = serve_argv(APP, None, **options)
        server = Server(argv, 0, tmp_path / "log", pass_fds=(listener.fileno(),))
        assert answers_at(path)
        assert server.stop() == 0
        assert path.exists()
