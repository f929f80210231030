"""Start, stop, reload, replacement: real processes and signals, clients that count failures."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server.conformance.runner import Client
from tests.server.processes import ROOT, Server, free_port, serve_argv, serving, wait_until

APP = "tests.server.apps:application"
TLS = Path(__file__).parent / "tls"


def get(path: str, *lines: str) -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


def ask(server: Server, path: str) -> bytes:
    with Client(server.address) as client:
        client.send(get(path, "Connection: close"))
        answer = client.read()
        assert answer.status == 200, (answer, server.log.read_text())
        return answer.body


class Load:
    """Clients that send one request after the other on connections kept alive, until told."""

    def __init__(self, address, clients: int = 6, path: str = "/pid") -> None:
        self.address = address
        self.path = path
        self.over = threading.Event()
        self.served = 0
        self.seen: set[bytes] = set()
        self.failures: list[BaseException] = []
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _run(self):
        while not self.over.is_set():
            try:
                self._use_one_connection()
            except BaseException as problem:
                self.failures.append(problem)

    def _use_one_connection(self):
        with Client(self.address, 60) as client:
            while not self.over.is_set():
                client.send(get(self.path))
                answer = client.read()
                assert answer.status == 200
                self.served += 1
                self.seen.add(answer.body)
                if answer.fields.get("connection") == "close":
                    return


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_two_hundred_slow_requests_first(tmp_path, signum):
    with serving(APP, tmp_path / "log", workers=2, threads=10, pages="off") as server:
        clients = [Client(server.address, 60) for _ in range(200)]
        for client in clients[:-1]:
            client.send(get("/sleep?0.1"))
        clients[-1].send(get("/sleep?3"))
        server.signal(signum)

        answers = [client.read() for client in clients]

        assert {answer.status for answer in answers} == {200}
        assert answers[-1].fields["connection"] == "close"
        assert server.wait() == 0
        for client in clients:
            client.link.close()


def test_what_the_grace_is_too_short_for_is_answered_503(tmp_path):
    options = {"workers": 1, "threads": 1, "grace_seconds": 2}
    with serving(APP, tmp_path / "log", **options) as server:
        running, waiting = Client(server.address), Client(server.address)
        running.send(get("/stuck"))
        wait_until(lambda: "stuck" in server.log.read_text(), "the request")
        waiting.send(get("/"))
        server.signal(signal.SIGTERM)

        assert [running.read().status, waiting.read().status] == [503, 503]
        for client in (running, waiting):
            client.link.close()
        assert server.wait() == 0
        assert "GET /stuck was not answered in time" in server.log.read_text()


def test_clients_that_stand_still_do_not_outlast_the_grace(tmp_path):
    with serving(APP, tmp_path / "log", workers=1, grace_seconds=2) as server:
        sending, reading = Client(server.address), Client(server.address)
        sending.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        reading.send(get("/big-whole?50000000"))
        ask(server, "/")
        server.signal(signal.SIGTERM)

        assert sending.read().status == 408
        assert server.wait() == 0
        for client in (sending, reading):
            client.link.close()


def test_a_stop_answers_those_there_was_no_descriptor_for(tmp_path):
    port = free_port()
    argv = serve_argv(APP, port, workers=1, queue=1000)
    limited = ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *argv]
    server = Server(limited, port, tmp_path / "log")
    try:
        server.wait_ready()
        clients = [Client(server.address, 60) for _ in range(80)]
        for client in clients:
            client.send(get("/sleep?0.01"))
        wait_until(lambda: "cannot accept" in server.log.read_text(), "the last descriptor")
        server.signal(signal.SIGTERM)

        for client in clients:
            assert client.read().status == 200
            client.link.close()
        assert server.wait() == 0
    finally:
        server.stop()


def test_a_second_signal_stops_at_once(tmp_path):
    with serving(APP, tmp_path / "log", workers=1, grace_seconds=600) as server:
        client = Client(server.address)
        client.send(get("/sleep?600"))
        ask(server, "/")
        server.signal(signal.SIGTERM)
        wait_until(lambda: not accepts(server), "the listener to close")
        server.signal(signal.SIGTERM)

        assert server.wait() == 128 + signal.SIGTERM
        client.link.close()


def accepts(server: Server) -> bool:
    try:
        socket.create_connection(server.address, 1).close()
    except OSError:
        return False
    return True


def test_the_grace_is_not_exceeded(tmp_path):
    with serving(APP, tmp_path / "log", workers=1, grace_seconds=0.3) as server:
        client = Client(server.address)
        client.send(get("/stuck"))
        ask(server, "/")
        server.signal(signal.SIGTERM)

        assert server.wait() == 1
        client.link.close()


def test_idle_connections_do_not_hold_up_a_stop(tmp_path):
    with serving(APP, tmp_path / "log", workers=1) as server:
        idle = [Client(server.address) for _ in range(5)]
        for client in idle:
            client.send(get("/"))
            client.read()
        server.signal(signal.SIGTERM)

        assert server.wait() == 0
        assert all(client.has_ended() for client in idle)
        for client in idle:
            client.link.close()


def test_a_reload_under_load_loses_nothing_and_brings_new_workers(tmp_path):
    with (
        serving(APP, tmp_path / "log", workers=2) as server,
        Load(server.address) as load,
    ):
        for _ in range(2):
            old = set(server.workers())
            server.signal(signal.SIGHUP)
            wait_until(lambda old=old: not old & set(server.workers()), "new workers")
            load.seen.clear()
            wait_until(lambda: load.seen, "answers")

    assert load.failures == []
    assert load.served > 0


def test_a_restart_with_a_socket_from_systemd_loses_nothing(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        address = listener.getsockname()

        def start() -> Server:
            # As systemd does it: the socket is descriptor 3, the number of the process is told.
            call = (
                "import os, sys; os.dup2(int(sys.argv[1]), 3);"
                "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
                "os.execv(sys.argv[2], sys.argv[2:])"
            )
            bootstrap = [sys.executable, "-c", call, str(listener.fileno())]
            argv = [*bootstrap, *serve_argv(APP, None, workers=2)]
            os.set_inheritable(listener.fileno(), True)
            server = Server(argv, address[1], tmp_path / "log", pass_fds=(listener.fileno(),))
            server.wait_ready()
            return server

        with Load(address, clients=4) as load:
            for _ in range(2):
                server = start()
                served = load.served
                wait_until(lambda served=served: load.served > served + 20, "answers")
                assert server.stop() == 0
            server = start()
        assert server.stop() == 0

    assert load.failures == []


def test_a_worker_that_crashes_is_replaced(tmp_path):
    with serving(APP, tmp_path / "log", workers=1) as server:
        (old,) = server.workers()
        with Client(server.address) as client:
            client.send(get("/crash"))
            with pytest.raises(EOFError):
                client.read()

        assert ask(server, "/pid") != str(old).encode()


def test_a_worker_that_gives_no_sign_is_killed_and_replaced(tmp_path):
    with serving(APP, tmp_path / "log", workers=1, heartbeat_seconds=2) as server:
        (old,) = server.workers()
        client = Client(server.address)
        client.send(get("/frozen"))

        wait_until(lambda: old not in server.workers(), "the end of the worker")
        assert ask(server, "/pid") != str(old).encode()
        assert "gave no sign" in server.log.read_text()
        client.link.close()


def test_a_worker_without_descriptors_is_replaced_and_does_not_fill_the_log(tmp_path):
    with serving(APP, tmp_path / "log", workers=1, heartbeat_seconds=2) as server:
        (old,) = server.workers()
        with Client(server.address) as client:
            client.send(get("/close-all"))

        wait_until(lambda: old not in server.workers(), "the end of the worker")
        assert ask(server, "/pid") != str(old).encode()
        assert server.log.read_text().count("the loop of the server failed") < 1000


def test_the_process_that_forks_the_workers_has_no_threads(tmp_path):
    with serving(APP, tmp_path / "log", workers=2) as server:
        assert ask(server, "/pid")

        assert len(os.listdir(f"/proc/{server.process.pid}/task")) == 1


def test_a_process_the_application_forks_does_not_serve_on(tmp_path):
    with serving(APP, tmp_path / "log", workers=1) as server, Client(server.address) as client:
        for _ in range(3):
            client.send(get("/forking"))
            assert client.read().body == b"hello"


def test_a_request_without_an_answer_is_given_up_and_its_worker_replaced(tmp_path):
    with serving(
        APP, tmp_path / "log", workers=1, threads=2, request_seconds=0.5, grace_seconds=1
    ) as server:
        (old,) = server.workers()
        with Client(server.address) as client:
            client.send(get("/stuck"))
            answer = client.read()

        assert answer.status == 503
        wait_until(lambda: server.workers() and old not in server.workers(), "a new worker")
        assert ask(server, "/pid") != str(old).encode()
        text = server.log.read_text()
        assert "GET /stuck gives no answer" in text
        assert "threading.Event().wait()" in text


def test_workers_leave_after_so_many_requests_and_nobody_notices(tmp_path):
    with (
        serving(APP, tmp_path / "log", workers=2, max_requests=40) as server,
        Load(server.address, clients=3) as load,
    ):
        wait_until(lambda: len(load.seen) >= 5, "five workers")

    assert load.failures == []


def test_a_change_of_the_code_reloads_in_development(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "one.py").write_text("")
    with serving(APP, tmp_path / "log", workers=1, reload=(str(folder),)) as server:
        before = ask(server, "/pid")
        (folder / "two.py").write_text("")

        wait_until(lambda: ask(server, "/pid") != before, "a new worker")


def test_an_application_that_cannot_be_made_ends_the_server_with_status_one(tmp_path):
    argv = serve_argv("tests.server.broken_app", free_port(), workers=2)
    server = Server(argv, 0, tmp_path / "log")

    assert server.wait() == 1
    server.stop()
    assert "the application cannot be made" in server.log.read_text()


def test_an_application_that_exits_instead_of_being_made_ends_the_server_with_its_words(tmp_path):
    (tmp_path / "exiting_app.py").write_text("raise SystemExit('set the key first')\n")
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    argv = serve_argv("exiting_app", free_port())
    server = Server(argv, 0, tmp_path / "log", PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1")

    assert server.wait() == 1
    server.stop()
    assert "set the key first" in server.log.read_text()


@pytest.mark.parametrize("app", ["tests.server.apps:TEXT", "tests.server.apps:no.such"])
def test_something_else_than_an_application_is_not_served(tmp_path, app):
    server = Server(serve_argv(app, free_port()), 0, tmp_path / "log")

    assert server.wait() == 1
    server.stop()
    assert "a worker cannot start" in server.log.read_text()


def test_a_reload_with_broken_code_keeps_the_old_workers(tmp_path):
    module = tmp_path / "changing_app.py"
    module.write_text("from tests.server.apps import application\n")
    port = free_port()
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    argv = serve_argv("changing_app:application", port, workers=1)
    server = Server(argv, port, tmp_path / "log", PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1")
    try:
        server.wait_ready()
        before = ask(server, "/pid")
        module.write_text("raise RuntimeError('half a deployment')\n")
        server.signal(signal.SIGHUP)
        wait_until(lambda: "half a deployment" in server.log.read_text(), "the failure")
        assert ask(server, "/pid") == before

        module.write_text("from tests.server.apps import application\n")
        wait_until(lambda: ask(server, "/pid") != before, "the new worker")
    finally:
        assert server.stop() == 0


def test_the_service_manager_is_told(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inlet:
        inlet.bind(str(tmp_path / "notify"))
        inlet.settimeout(60)
        port = free_port()
        argv = serve_argv(APP, port, workers=1)
        server = Server(argv, port, tmp_path / "log", NOTIFY_SOCKET=str(tmp_path / "notify"))
        try:
            assert inlet.recv(1000).startswith(b"READY=1\nSTATUS=")
            server.signal(signal.SIGHUP)
            assert inlet.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert inlet.recv(1000).startswith(b"READY=1")
        finally:
            assert server.stop() == 0
        assert inlet.recv(1000) == b"STOPPING=1"


def test_a_worker_ends_when_its_master_is_killed(tmp_path):
    with serving(APP, tmp_path / "log", workers=2) as server:
        workers = server.workers()
        server.signal(signal.SIGKILL)
        server.wait()

        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "their end")


# --- what is around the requests ------------------------------------------------------------------


def test_a_full_queue_is_answered_503_with_a_time_to_retry(tmp_path):
    with serving(APP, tmp_path / "log", workers=1, threads=1, queue=1, pages="off") as server:
        clients = [Client(server.address) for _ in range(6)]
        for client in clients:
            client.send(get("/sleep?0.5"))

        answers = [client.read() for client in clients]

        assert [answer.status for answer in answers].count(503) >= 3
        assert [answer.status for answer in answers].count(200) >= 1
        refused = next(answer for answer in answers if answer.status == 503)
        assert refused.fields["retry-after"] == "1"
        assert refused.fields["connection"] == "close"
        for client in clients:
            client.link.close()


@pytest.mark.parametrize("form", ["common", "json"])
def test_each_request_is_one_line_of_the_access_log(tmp_path, form):
    file = tmp_path / "access.log"
    with (
        serving(
            APP, tmp_path / "log", workers=1, access_log=str(file), access_format=form
        ) as server,
        Client(server.address) as client,
    ):
        client.send(get("/?evil=%22%0a", 'User-Agent: a "b" \\ \xe9'))
        client.read()
        client.send(b"G@T / HTTP/1.1\r\n\r\n")
        assert client.read().status == 400
        wait_until(lambda: "400" in file.read_text(), "the lines")

    assert ('"status":400' if form == "json" else '"-" 400') in file.read_text()
    lines = [line for line in file.read_text().splitlines() if "evil" in line]
    assert len(lines) == 1
    if form == "json":
        entry = json.loads(lines[0])
        assert (entry["client"], entry["status"], entry["bytes"]) == ("127.0.0.1", 200, 5)
        assert entry["target"] == "/?evil=%22%0a"
    else:
        assert lines[0].startswith("127.0.0.1 - - [")
        assert '"GET /?evil=%22%0a HTTP/1.1" 200 5 "-" "a \\x22b\\x22 \\x5c' in lines[0]


def test_a_request_turned_away_is_counted_and_has_its_line(tmp_path):
    file = tmp_path / "access.log"
    options = {"workers": 1, "threads": 1, "queue": 0, "access_log": str(file)}
    with serving(APP, tmp_path / "log", **options) as server:
        with Client(server.address) as waiting:
            waiting.send(get("/gone"))
            wait_until(lambda: status_of(server, "/turned-away") == 503, "a refusal")
        wait_until(lambda: "/turned-away" in file.read_text(), "the line")
        wait_until(
            lambda: b'sixorbit_requests_total{status="5xx"} 0' not in ask(server, "/metrics"),
            "the counters",
        )

    assert '"GET /turned-away HTTP/1.1" 503 ' in file.read_text()


def status_of(server: Server, path: str) -> int:
    with Client(server.address) as client:
        client.send(get(path))
        return client.read().status


def test_a_request_given_up_has_one_line_with_what_its_client_got(tmp_path):
    file = tmp_path / "access.log"
    options = {"workers": 1, "request_seconds": 0.5, "access_log": str(file)}
    with serving(APP, tmp_path / "log", **options) as server:
        assert status_of(server, "/sleep?2") == 503
        wait_until(lambda: "/sleep" in file.read_text(), "the line")

    (line,) = [line for line in file.read_text().splitlines() if "/sleep" in line]
    assert '"GET /sleep?2 HTTP/1.1" 503 ' in line


def test_health_readiness_and_metrics_are_for_this_machine_only(tmp_path):
    with serving(APP, tmp_path / "log", workers=2) as server:
        assert ask(server, "/healthz") == b"ok\n"
        assert ask(server, "/readyz") == b"ok\n"
        for _ in range(5):
            ask(server, "/")
        wait_until(
            lambda: b'sixorbit_requests_total{status="2xx"} 0' not in ask(server, "/metrics"),
            "the counters",
        )
        text = ask(server, "/metrics").decode()
        assert "sixorbit_workers 2" in text
        assert 'sixorbit_request_duration_seconds_bucket{le="+Inf"}' in text
        with Client(server.address) as client:
            client.send(get("/healthz", "X-Forwarded-For: 10.0.0.1"))
            # The application of this test knows no such path.
            assert client.read().status == 500


def test_an_application_may_say_that_it_is_not_ready_and_nobody_else_waits(tmp_path, monkeypatch):
    monkeypatch.setenv("ANSWER_IN", str(tmp_path))
    app = "tests.server.apps:vital"
    with serving(app, tmp_path / "log", workers=1, threads=1) as server:
        with Client(server.address) as client:
            client.send(get("/readyz") + get("/") + get("/readyz", "Connection: close"))
            assert ask(server, "/healthz") == b"ok\n"
            assert ask(server, "/") == b"hello"
            (tmp_path / "answer").touch()
            first, second, third = (client.read() for _ in range(3))
        text = ask(server, "/metrics").decode()

    assert (first.status, first.body) == (503, b"no paper left\n")
    assert (second.status, third.status) == (200, 503)
    assert "sixorbit_workers 1" in text


def test_the_pages_can_be_for_everyone(tmp_path):
    with (
        serving(APP, tmp_path / "log", workers=1, pages="everyone") as server,
        Client(server.address) as client,
    ):
        client.send(get("/healthz", "X-Forwarded-For: 10.0.0.1"))
        assert client.read().status == 200
        client.send(get("/healthz").replace(b"GET", b"HEAD"))
        assert client.read("HEAD").status == 200
        client.send(get("/healthz").replace(b"GET", b"POST"))
        assert client.read().status == 500


def test_tls_serves_any_size_and_refuses_old_versions(tmp_path):
    context = ssl.create_default_context(cafile=str(TLS / "cert.pem"))
    port = free_port()
    options = {"cert": str(TLS / "cert.pem"), "key": str(TLS / "key.pem")}
    server = Server(serve_argv(APP, port, workers=1, **options), port, tmp_path / "log")
    try:
        wait_until(lambda: accepts(server), "the server")
        with Client(server.address) as client:
            client.link = context.wrap_socket(client.link, server_hostname="localhost")
            client.send(get("/told"))
            assert json.loads(client.read().body)["wsgi.url_scheme"] == "https"
            for path, size in (("/big?30", 30 * 65536), ("/file", 1_000_000)):
                client.send(get(path))
                assert len(client.read().body) == size
            client.send(
                b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n"
                + b"x" * 600_000
            )
            assert client.read().body == b"file 600000 0 600000"
            client.send(get("/", "Connection: close"))
            assert client.read().body == b"hello"
            assert client.has_ended()
        assert refuses_old_tls(server)
    finally:
        assert server.stop() == 0


def refuses_old_tls(server: Server) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(server.address, 20) as link:
        context.wrap_socket(link).close()
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(server.address, 20) as link:
        try:
            context.wrap_socket(link)
        except (ssl.SSLError, OSError):
            return True
    return False


def test_several_servers_start_and_stop_side_by_side(tmp_path):
    def life(number: int) -> int:
        with serving(APP, tmp_path / f"log{number}", workers=1) as server:
            assert ask(server, "/") == b"hello"
            return server.stop()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(life, range(3))) == [0, 0, 0]


def test_the_server_needs_nothing_but_itself():
    """Importing it loads neither the application layer nor anything heavy."""
    call = (
        "import sys; import so.server, so.server.master;"
        "print([name for name in sys.modules if name.startswith('so.') and"
        " name.split('.')[1] not in ('server', 'settings', 'support', 'errors')],"
        " [name for name in ('ssl', 'asyncio', 'email', 'tempfile', 'random', 'http')"
        " if name in sys.modules])"
    )
    found = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); {call}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[] []"
