"""What an application gets and may do, over real sockets: PEP 3333."""

import json
import socket

import pytest

from tests.server.conformance.runner import Answer, Client, Wrong
from tests.server.processes import serving, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    log = tmp_path_factory.mktemp("wsgi") / "server.log"
    with serving(
        "tests.server.apps:application",
        log,
        workers=1,
        threads=2,
        body_memory_bytes=1000,
        response_memory_bytes=100_000,
    ) as running:
        yield running


def request(path: str, *lines: str, method: str = "GET", version: str = "1.1", body=b"") -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    if body:
        fields += f"Content-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/{version}\r\nHost: a\r\n{fields}\r\n".encode() + body


def ask(server, path: str, *lines: str, **more) -> Answer:
    with Client(server.address) as client:
        client.send(request(path, *lines, **more))
        return client.read(more.get("method", "GET"))


def test_the_environ_satisfies_the_validator_of_the_standard_library(tmp_path):
    with serving("tests.server.apps:validated", tmp_path / "log", workers=1, threads=1) as server:
        for raw in (
            request("/a%20b?c"),
            request("/", method="POST", body=b"hello"),
            request("/", method="HEAD"),
            request("/", version="1.0"),
            request("http://b/c"),
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ):
            with Client(server.address) as client:
                client.send(raw)
                assert client.read("HEAD" if raw[:4] == b"HEAD" else "GET").status == 200


def test_the_environ_says_who_asks_for_what(server):
    answer = ask(server, "/told?a=%20b", "X-Thing: c")

    told = json.loads(answer.body)
    assert told["REMOTE_ADDR"] == "127.0.0.1"
    assert told["REMOTE_PORT"].isdigit()
    assert (told["SERVER_NAME"], told["SERVER_PORT"]) == ("127.0.0.1", str(server.port))
    assert told["RAW_URI"] == told["REQUEST_URI"] == "/told?a=%20b"
    assert told["QUERY_STRING"] == "a=%20b"
    assert told["SCRIPT_NAME"] == ""
    assert told["HTTP_X_THING"] == "c"
    assert told["wsgi.url_scheme"] == "http"
    assert told["wsgi.multithread"]
    assert told["wsgi.multiprocess"]
    assert not told["wsgi.run_once"]
    assert told["wsgi.input_terminated"]
    assert "CONTENT_LENGTH" not in told


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 that takes IPv4 as well")
def test_an_address_of_ipv4_reads_the_same_on_a_socket_for_both(tmp_path):
    app = "tests.server.apps:application"
    with serving(app, tmp_path / "log", workers=1, host="::") as server:
        told = json.loads(ask(server, "/told").body)

        assert (told["REMOTE_ADDR"], told["SERVER_NAME"]) == ("127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize(
    ("size", "kind"), [(1, "memory"), (1000, "memory"), (1001, "file"), (300_000, "file")]
)
def test_a_body_is_in_memory_up_to_a_limit_then_in_a_file(server, size, kind):
    answer = ask(server, "/upload", method="POST", body=b"x" * (size - 1) + b"\n")

    assert answer.body.decode() == f"{kind} {size} 0 {size}"


def test_a_body_in_chunks_has_its_length_in_the_environ(server):
    with Client(server.address) as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(30):
            client.send(b"64\r\n" + b"x" * 99 + b"\n\r\n")
        client.send(b"0\r\n\r\n")

        assert client.read().body == b"file 100 2900 3000"


@pytest.mark.parametrize(
    "path",
    [
        "/fail", "/twice", "/no-list", "/bad-status", "/split-status", "/split-value",
        "/split-name", "/wide-value", "/bad-length", "/never-started",
        "/text", "/text-pieces", "/bare-bytes", "/wrong-value",
    ],
)  # fmt: skip
def test_a_fault_of_the_application_is_a_plain_500_and_a_line_in_the_log(server, path):
    with Client(server.address) as client:
        client.send(request(path))
        answer = client.read()

        assert answer.status == 500
        assert answer.body == b"Internal Server Error\n"
        assert "x-evil" not in answer.fields
        assert client.has_ended()
    wait_until(lambda: f"GET {path} failed" in server.log.read_text(), "the log")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/fail-half-way", "/aborting"])
def test_a_fault_after_the_head_resets_the_connection(server, path, version):
    # For a client of HTTP/1.0 an orderly end would be the end of the body.
    with socket.create_connection(server.address, 20) as link:
        link.sendall(request(path, version=version))
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: link.recv(4096), b""))


def test_a_field_cannot_pass_for_the_variable_that_names_a_proxy(server):
    for _ in range(2):  # what is known goes a shorter way the second time
        told = json.loads(ask(server, "/told", "Proxy: http://evil", "X-Proxy: fine").body)

        assert "HTTP_PROXY" not in told
        assert told["HTTP_X_PROXY"] == "fine"


def test_a_late_error_may_replace_the_status(server):
    assert ask(server, "/replaced").status == 503


def test_a_late_error_cannot_replace_what_was_sent(server):
    with Client(server.address) as client:
        client.send(request("/replaced-too-late"))
        with pytest.raises((Wrong, EOFError, ConnectionResetError)):
            client.read()


@pytest.mark.parametrize("path", ["/long-body", "/long-pieces"])
def test_a_body_longer_than_its_length_is_cut(server, path):
    with Client(server.address) as client:
        client.send(request(path))
        assert client.read().body == b"hel"

        client.send(request("/"))
        assert client.read().body == b"hello"


@pytest.mark.parametrize("path", ["/short-body", "/short-pieces"])
def test_a_body_shorter_than_its_length_ends_the_connection(server, path):
    with Client(server.address) as client:
        client.send(request(path))
        with pytest.raises(Wrong, match="shorter"):
            client.read()


@pytest.mark.parametrize(
    ("path", "body", "framing"),
    [
        ("/pieces", b"one,two", "content-length"),
        ("/no-pieces", b"", "content-length"),
        ("/empty-pieces", b"", "content-length"),
        ("/bare-status", b"ok", "content-length"),
        ("/writing", b"one,two,three", "transfer-encoding"),
        ("/file-in-memory", b"in memory", "transfer-encoding"),
        ("/packed-file", b"unpacked", "transfer-encoding"),
        ("/file", b"0123456789" * 100_000, "content-length"),
        ("/file?10", b"0123456789", "content-length"),
        ("/big?40", b"x" * 65536 * 40, "transfer-encoding"),
        ("/big-whole?3000000", b"x" * 3_000_000, "content-length"),
    ],
)
def test_a_body_of_any_kind_arrives_whole_and_the_connection_stays(server, path, body, framing):
    with Client(server.address) as client:
        for _ in range(2):
            client.send(request(path))
            answer = client.read()
            assert answer.status == 200
            assert answer.body == body
            assert framing in answer.fields


def test_a_file_shorter_than_promised_ends_the_connection(server):
    with Client(server.address) as client:
        client.send(request("/file?9000000"))
        with pytest.raises(Wrong, match="shorter"):
            client.read()


def test_a_file_its_application_has_closed_ends_the_connection(server):
    ask(server, "/notes")
    with Client(server.address) as client:
        client.send(request("/closed-file"))
        wait_until(lambda: json.loads(ask(server, "/notes").body), "the end of the file")

        with pytest.raises((Wrong, EOFError)):
            client.read()
    assert "the loop of the server failed" not in server.log.read_text()


@pytest.mark.parametrize("path", ["/big?10", "/file", "/file?10", "/pieces", "/writing", "/"])
def test_head_is_answered_without_a_body(server, path):
    with Client(server.address) as client:
        client.send(request(path, method="HEAD") + request("/"))

        assert client.read("HEAD").status == 200
        assert client.read().body == b"hello"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("HEAD", "/endless", b""), ("GET", "/endless-304", b""), ("GET", "/endless-5", b"xxxxx")],
)
def test_no_more_is_asked_of_the_application_than_the_client_gets(server, method, path, body):
    with Client(server.address) as client:
        client.send(request(path, method=method) + request("/"))

        assert client.read(method).body == body
        assert client.read().body == b"hello"


def test_fields_of_the_connection_are_the_servers_own(server):
    with Client(server.address) as client:
        client.send(request("/own-fields"))
        answer = client.read()

        assert answer.body == b"ok"
        assert answer.fields["date"] == "yesterday"
        assert answer.fields["connection"] == "close"
        assert "transfer-encoding" not in answer.fields
        assert "keep-alive" not in answer.fields
        assert client.has_ended()


def test_close_is_called_when_the_response_is_made(server):
    ask(server, "/notes")
    assert ask(server, "/closing").body == b"hello"
    assert ask(server, "/failing-close").body == b"hello"
    assert json.loads(ask(server, "/notes").body) == ["closed", "closed"]


def test_an_application_can_ask_whether_its_client_is_still_there(server):
    assert ask(server, "/still-there").body == b"there"
    ask(server, "/notes")

    with Client(server.address) as client:
        client.send(request("/gone"))

    found: list[str] = []
    wait_until(lambda: found.extend(json.loads(ask(server, "/notes").body)) or found, "the note")
    assert found == ["gone"]


def test_a_client_that_resets_in_the_middle_of_a_response_does_no_harm(server):
    with Client(server.address) as client:
        client.send(request("/big?200"))
        client.link.recv(10)
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    assert ask(server, "/").body == b"hello"


def test_requests_sent_together_are_answered_in_order_and_do_not_starve_others(server):
    with Client(server.address) as greedy:
        greedy.send(request("/pid") * 500)
        assert ask(server, "/").body == b"hello"

        assert {greedy.read().status for _ in range(500)} == {200}


def test_a_unix_socket_serves_as_well(tmp_path):
    from tests.server.processes import Server, serve_argv

    path = tmp_path / "web.sock"
    argv = serve_argv("tests.server.apps:application", None, workers=1, socket=str(path))
    server = Server(argv, 0, tmp_path / "log")
    try:
        with socket.socket(socket.AF_UNIX) as link:
            wait_until(lambda: link.connect_ex(str(path)) == 0, "the socket")
            link.sendall(request("/told", "Connection: close"))
            told = b""
            while piece := link.recv(65536):
                told += piece
        assert b'"REMOTE_ADDR": ""' in told
    finally:
        assert server.stop() == 0
    assert not path.exists()
