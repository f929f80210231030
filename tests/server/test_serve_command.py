"""`bin/sixorbit serve` on an application of its own, as people start it."""

import os
import signal
import socket
import sys

import pytest

from tests.server.conformance.runner import Client
from tests.server.processes import ROOT, Server, free_port, wait_until

ROUTES = """from so import Request, Response, Router, env


def hello() -> Response:
    return Response("one " + env("GREETING", "none"))


def echo(request: Request) -> Response:
    return Response(request.input("word", "no word"))


Router.get("/hello", hello)
Router.post("/echo", echo)
"""


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "config/app.py": 'config = {"env": "production", "key": "Zk3vQp9mXr7sLd2wTg5h"}\n',
        "app/__init__.py": "",
        "app/routes.py": ROUTES,
        ".env": "GREETING=first\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def start(folder, *options: str, port: int | None = None, streams: str = "") -> Server:
    port = free_port() if port is None else port
    call = "import sys; from so.console.main import main; sys.exit(main())"
    argv = [sys.executable, "-c", call, "serve", f"--port={port}", *options]
    if streams:
        argv = ["sh", "-c", f'exec "$@" {streams}', "sh", *argv]
    return Server(
        argv,
        port,
        folder / "server.log",
        SIXORBIT_BASE=str(folder),
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONUNBUFFERED="1",
    )


def ask(server: Server, raw: bytes = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n") -> str:
    with Client(server.address) as client:
        client.send(raw)
        answer = client.read()
        assert answer.status == 200, (answer, server.log.read_text())
        return answer.body.decode()


def test_it_serves_says_where_and_stops_with_zero(folder):
    server = start(folder, "--workers=1", "--threads=2")
    try:
        server.wait_ready()
        assert ask(server) == "one first"
        assert f"Serving http://127.0.0.1:{server.port}" in server.log.read_text()
    finally:
        assert server.stop() == 0


def test_a_reload_brings_new_code_and_new_settings(folder):
    server = start(folder, "--workers=1")
    try:
        server.wait_ready()
        assert ask(server) == "one first"
        (folder / "app" / "routes.py").write_text(ROUTES.replace('"one "', '"two "'))
        (folder / ".env").write_text("GREETING=second\n")
        server.signal(signal.SIGHUP)

        wait_until(lambda: ask(server) == "two second", server.log.read_text())
    finally:
        assert server.stop() == 0


def test_changed_settings_reload_in_development(folder):
    server = start(folder, "--workers=1", "--reload")
    try:
        server.wait_ready()
        assert ask(server) == "one first"
        (folder / ".env").write_text("GREETING=second\n")

        wait_until(lambda: ask(server) == "one second", server.log.read_text())
    finally:
        assert server.stop() == 0


def look(server: Server) -> tuple[int, str]:
    with Client(server.address) as client:
        client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.read()
        return answer.status, answer.body.decode()


@pytest.mark.parametrize("debug", [True, False])
def test_broken_code_is_shown_in_development_told_once_and_heals_when_mended(folder, debug):
    (folder / ".env").write_text(f"GREETING=first\nAPP_DEBUG={debug}\n")
    (folder / "config/app.py").write_text('config = {"env": "local"}\n')
    server = start(folder, "--workers=2", "--reload")
    try:
        server.wait_ready()
        routes = folder / "app" / "routes.py"
        routes.write_text(ROUTES + "\n\ndef broken(:\n    pass\n")
        wait_until(lambda: look(server)[0] == 500, server.log.read_text())
        shown = look(server)[1]
        assert ("def broken(:" in shown, "routes.py" in shown) == (debug, debug)

        routes.write_text(ROUTES.replace('"one "', '"mended "'))
        wait_until(lambda: look(server) == (200, "mended first"), server.log.read_text())
        assert server.log.read_text().count("SyntaxError: ") == 1
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("options", "form"), [(["--access-log"], "common"), (["--access-log=-"], "json")]
)
def test_the_access_log_goes_to_standard_output_or_a_file(folder, options, form):
    server = start(folder, "--workers=1", f"--access-format={form}", *options)
    try:
        server.wait_ready()
        ask(server)
        wait_until(lambda: "/hello" in server.log.read_text(), "the line")
    finally:
        assert server.stop() == 0


def test_the_access_log_of_a_file_is_relative_to_the_application(folder):
    server = start(folder, "--workers=1", "--access-log=access.log")
    try:
        server.wait_ready()
        ask(server)
        wait_until(lambda: "/hello" in (folder / "access.log").read_text(), "the line")
    finally:
        assert server.stop() == 0


def test_settings_come_from_the_configuration_and_options_win(folder):
    (folder / "config" / "server.py").write_text(
        'config = {"workers": 3, "threads": 9, "limits": {"header_count": 4}}\n'
    )
    server = start(folder, "--workers=2", "--max-requests=1000", "--grace=9", "--pages=everyone")
    try:
        server.wait_ready()
        assert len(server.workers()) == 2
        with Client(server.address) as client:
            client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 4 + b"\r\n")
            assert client.read().status == 431
        healthz = b"GET /healthz HTTP/1.1\r\nHost: a\r\nVia: 1.1 proxy\r\n\r\n"
        assert ask(server, healthz) == "ok\n"
    finally:
        assert server.stop() == 0


def test_it_is_not_ready_while_its_database_is_away(folder):
    file = folder / "storage" / "database.sqlite"
    server = start(folder, "--workers=1")
    try:
        server.wait_ready()
        assert ask(server, READY) == "ok\n"
        assert 'so_database_up{connection="sqlite"} 1' in ask(server, FIGURES)
        file.rename(folder / "away")
        wait_until(lambda: code_of(server, READY) == 503, "the fault")
        assert ask(server) == "one first"
        (folder / "away").rename(file)
        wait_until(lambda: code_of(server, READY) == 200, "its end")
    finally:
        assert server.stop() == 0


READY = b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"
FIGURES = READY.replace(b"/readyz", b"/metrics")


def code_of(server: Server, raw: bytes) -> int:
    with Client(server.address) as client:
        client.send(raw)
        return client.read().status


def test_the_server_of_the_standard_library_serves_the_same_application(folder):
    server = start(folder, "--simple", "--access-log")
    try:
        server.wait_ready()
        assert ask(server) == "one first"
        body = b"word=here"
        head = (
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        )
        assert ask(server, head + b"Content-Length: 9\r\n\r\n" + body) == "here"
        # A body without a length must not be waited for.
        assert ask(server, head + b"\r\n") == "no word"
        # It is logged after it was answered, and the first line waits for imports.
        wait_until(lambda: '"GET /hello HTTP/1.1" 200' in server.log.read_text(), "its line")
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("streams", ["2>&-", "<&- >&- 2>&-", ">/dev/full 2>&1"])
def test_it_serves_without_anywhere_to_print_to(folder, streams):
    server = start(folder, "--workers=1", "--access-log", streams=streams)
    try:
        server.wait_ready()
        assert ask(server) == "one first"
    finally:
        assert server.stop() == 0


def test_an_address_on_the_command_line_wins_over_a_socket_of_the_settings(folder):
    (folder / "config" / "server.py").write_text(f'config = {{"socket": "{folder}/web.sock"}}\n')
    server = start(folder, "--workers=1")
    try:
        server.wait_ready()
        assert ask(server) == "one first"
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--socket=web.sock"], "--host or --port and --socket exclude each other: choose one"),
        (["--fd=3"], "--fd and --host or --port exclude each other: choose one"),
        (["--simple", "--cert=cert.pem"], "--simple knows no --cert: leave one of them out"),
        (["--simple", "--reload"], "--simple knows no --reload: leave one of them out"),
    ],
)
def test_options_that_exclude_each_other_are_refused(folder, options, message):
    server = start(folder, *options)

    assert server.wait() == 2
    server.stop()
    assert message in server.log.read_text()


@pytest.mark.parametrize("option", ["--port=many", "--workers=-1", "--grace=1s"])
def test_an_option_that_is_no_number_is_refused(folder, option):
    server = start(folder, option)

    assert server.wait() == 2
    server.stop()
    assert f"{option} is no whole number" in server.log.read_text()


@pytest.mark.parametrize("options", [[], ["--simple"]])
def test_a_port_in_use_is_an_error_in_one_line(folder, options):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = start(folder, *options, port=taken.getsockname()[1])

        assert server.wait() == 1
    server.stop()
    assert "cannot listen on 127.0.0.1" in server.log.read_text()
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("options", [[], ["--simple"]])
def test_a_port_beyond_the_last_is_refused_and_no_other_taken(folder, options):
    server = start(folder, *options, port=99_999)

    assert server.wait() == 1
    server.stop()
    assert "there is no port 99999: choose one from 1 to 65535" in server.log.read_text()


def test_the_command_of_the_project_itself_lists_it(tmp_path):
    argv = [sys.executable, str(ROOT / "bin" / "sixorbit"), "help", "serve"]
    server = Server(argv, 0, tmp_path / "log", NO_COLOR="1")

    assert server.wait() == 0
    server.stop()
    for option in ("--host", "--socket", "--fd", "--reload", "--access-log", "--simple", "--cert"):
        assert option in server.log.read_text()
    assert os.path.exists(ROOT / "config" / "server.py")
