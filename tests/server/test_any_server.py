"""The application is plain WSGI: the same questions get the same answers on every server."""

import http.client
import importlib.util
import json
import os
import signal
import socket
import sys

import pytest

from tests.server.processes import ROOT, Server, free_port, wait_until
from tests.support.needed import lacking

FILES = {
    "config/app.py": 'config = {"env": "production", "key": "Zk3vQp9mXr7sLd2wTg5h"}\n',
    "app/__init__.py": "",
    "numbers.txt": "".join(f"{number:07} " for number in range(50_000)),
    "app/routes.py": """from pathlib import Path

from so import JsonResponse, Request, Response, Router, abort


def told(request: Request) -> JsonResponse:
    return JsonResponse({
        "method": request.method(), "path": request.path(), "query": request.query(),
        "input": request.all(), "header": request.header("X-Thing"), "ip": request.ip(),
    })


def upload(request: Request) -> JsonResponse:
    file = request.file("document")
    return JsonResponse({"name": file.client_name, "size": file.size})


def pieces() -> Response:
    return Response.stream(b"%d," % number for number in range(1000))



def fail() -> None:
    raise RuntimeError("no")


Router.any("/told/{name?}", told)
Router.post("/upload", upload)
Router.get("/pieces", pieces)
Router.get("/file", lambda: Response.file(Path(__file__).parent.parent / "numbers.txt"))
Router.get("/fail", fail)
Router.get("/teapot", lambda: abort(418))
Router.get("/empty", lambda: Response("", 204))
""",
}
SERVERS = ("so", "simple", "gunicorn", "waitress", "uvicorn")


def command(name: str, port: int) -> list[str]:
    python = sys.executable
    console = "import sys; from so.console.main import main; sys.exit(main())"
    return {
        "so": [python, "-c", console, "serve", f"--port={port}", "--workers=1"],
        "simple": [python, "-c", console, "serve", f"--port={port}", "--simple"],
        "gunicorn": [
            python, "-m", "gunicorn", "-k", "gthread", "--threads=4", f"-b127.0.0.1:{port}",
            "--log-level=critical", "so.wsgi:application",
        ],
        "waitress": [
            python, "-m", "waitress", f"--listen=127.0.0.1:{port}", "so.wsgi:application"
        ],
        "uvicorn": [
            python, "-W", "ignore", "-m", "uvicorn", "--interface=wsgi", f"--port={port}",
            "--log-level=critical", "so.wsgi:application",
        ],
    }[name]  # fmt: skip


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    name = request.param
    if name not in ("so", "simple") and importlib.util.find_spec(name) is None:
        lacking(f"{name}: it is in requirements-dev.txt")
    folder = tmp_path_factory.mktemp(name)
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    port = free_port()
    running = Server(
        command(name, port),
        port,
        folder / "server.log",
        SIXORBIT_BASE=str(folder),
        PYTHONPATH=f"{ROOT}{os.pathsep}{folder}",
    )
    running.wait_ready()
    yield running
    running.signal(signal.SIGTERM)
    wait_until(lambda: running.process.poll() is not None, "the end")
    running.output.close()


def ask(server: Server, method: str, target: str, body=None, **headers: str):
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        link.request(method, target, body, {key.replace("_", "-"): v for key, v in headers.items()})
        answer = link.getresponse()
        return answer, answer.read()
    finally:
        link.close()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_method_path_query_and_fields_arrive(server, method):
    answer, body = ask(server, method, "/told/a%20b?c=%C3%A9&d[]=1&d[]=2", X_Thing="x")

    told = json.loads(body)
    assert answer.status == 200
    assert told["method"] == method
    assert told["path"] == "told/a%20b"
    assert told["query"] == {"c": "é", "d": ["1", "2"]}
    assert told["header"] == "x"
    assert told["ip"] == "127.0.0.1"


def test_forms_and_json_arrive(server):
    form = "application/x-www-form-urlencoded"
    _, body = ask(server, "POST", "/told", "a=b&c=%C3%A9", Content_Type=form)
    assert json.loads(body)["input"] == {"a": "b", "c": "é"}

    text = json.dumps({"a": [1, {"b": None}]})
    _, body = ask(server, "POST", "/told", text, Content_Type="application/json")
    assert json.loads(body)["input"] == {"a": [1, {"b": None}]}


def test_a_large_upload_arrives(server):
    content = b"0123456789" * 150_000
    body = (
        b'--x\r\nContent-Disposition: form-data; name="document"; filename="big.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--x--\r\n"
    )
    answer, told = ask(
        server, "POST", "/upload", body, Content_Type="multipart/form-data; boundary=x"
    )

    assert answer.status == 200, told
    assert json.loads(told) == {"name": "big.bin", "size": len(content)}


def test_a_post_without_a_body_is_not_waited_for(server):
    with socket.create_connection(server.address, 60) as link:
        link.sendall(b"POST /told HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert link.recv(12).endswith(b" 200")


@pytest.mark.parametrize("wanted", [None, "0-99", "100-299999", "399990-", "-70000"])
def test_files_and_parts_of_them_arrive(server, wanted):
    whole = FILES["numbers.txt"].encode()
    answer, body = ask(server, "GET", "/file", **({"Range": f"bytes={wanted}"} if wanted else {}))

    first, _, last = (wanted or "0-").partition("-")
    start = int(first) if first else len(whole) - int(last)
    end = int(last) + 1 if first and last else len(whole)
    is_whole = body == whole[start:end]  # a difference would take minutes to print
    assert is_whole
    assert answer.status == (206 if wanted else 200)
    assert answer.getheader("Content-Length") == str(end - start)


def test_a_stream_arrives_whole(server):
    _, body = ask(server, "GET", "/pieces")

    assert body == b"".join(b"%d," % number for number in range(1000))


@pytest.mark.parametrize("target", ["/told", "/pieces"])
def test_head_has_no_body(server, target):
    answer, body = ask(server, "HEAD", target)

    assert (answer.status, body) == (200, b"")


@pytest.mark.parametrize(
    ("target", "status"), [("/fail", 500), ("/teapot", 418), ("/nowhere", 404), ("/empty", 204)]
)
def test_statuses_arrive(server, target, status):
    answer, body = ask(server, "GET", target, Accept="application/json")

    assert answer.status == status
    if status == 204:
        assert body == b""
        assert answer.getheader("Transfer-Encoding") is None
    else:
        assert json.loads(body)["message"]


def test_a_wrong_method_is_405_with_allow(server):
    answer, _ = ask(server, "GET", "/upload")

    assert answer.status == 405
    assert "POST" in answer.getheader("Allow")


# Other servers have ways of their own to ask for a body.
on_ours = pytest.mark.parametrize("server", ["so", "simple"], indirect=True)


def first_answer(server: Server, head: str) -> tuple[bytes, socket.socket]:
    """What comes before any byte of the body, and the connection."""
    link = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    link.sendall(f"{head}\r\nHost: a\r\nExpect: 100-continue\r\n\r\n".encode())
    return link.recv(65536), link


@on_ours
@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST /nowhere HTTP/1.1\r\nContent-Length: 3", b"404"),
        ("POST /nowhere HTTP/1.1\r\nTransfer-Encoding: chunked", b"404"),
        (
            "POST /nowhere HTTP/1.1\r\nContent-Length: 3\r\n"
            "Content-Type: application/x-www-form-urlencoded",
            b"404",
        ),
        ("PUT /upload HTTP/1.1\r\nContent-Length: 3", b"405"),
        ("POST /pieces HTTP/1.1\r\nContent-Length: 3", b"405"),
        ("POST /upload HTTP/1.1\r\nContent-Length: 99999999999", b"413"),
        ("POST /upload HTTP/1.1\r\nContent-Length: 99999999999999999999999", b"413"),
    ],
)
def test_what_is_refused_anyway_is_refused_before_its_body_is_asked_for(server, head, status):
    answer, link = first_answer(server, head)

    with link:
        assert answer.split(b" ")[1] == status
        link.shutdown(socket.SHUT_WR)
        rest = answer + b"".join(iter(lambda: link.recv(65536), b""))
        assert b"100 Continue" not in rest
        assert b"HTTP/1.0" in rest or b"\r\nConnection: close\r\n" in rest


@on_ours
@pytest.mark.parametrize(
    ("head", "words"),
    [
        (
            "POST /upload HTTP/1.1\r\nContent-Length: 99999999999",
            b"413 Content Too Large: more than 536870912 bytes of a body (server.body_bytes).",
        ),
        (
            f"GET /{'a' * 9000} HTTP/1.1",
            b"414 URI Too Long: more than 8192 bytes of a request line (server.request_line_b",
        ),
        (
            f"GET / HTTP/1.1\r\nX-Long: {'a' * 70000}",
            b"431 Request Header Fields Too Large: more than 65536 bytes of header fields",
        ),
        (
            "GET / HTTP/1.1" + "\r\nX: 1" * 101,
            b"more than 100 header fields (server.header_count).",
        ),
        ("GET /%00 HTTP/1.1", b"400 Bad Request: a NUL in the path."),
    ],
)
def test_a_person_reads_what_was_too_much_and_which_setting_says_so(server, head, words):
    answer, link = first_answer(server, head)

    with link:
        link.shutdown(socket.SHUT_WR)
        assert words in answer + b"".join(iter(lambda: link.recv(65536), b""))


@on_ours
@pytest.mark.parametrize("path", ["/told", "/told?a=b"])
def test_a_body_that_is_wanted_is_asked_for_once(server, path):
    head = f"POST {path} HTTP/1.1\r\nContent-Length: 2\r\nContent-Type: application/json"
    answer, link = first_answer(server, head)

    with link:
        assert answer == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(b"{}")
        assert b" 200 OK\r\n" in link.recv(65536)


@on_ours
def test_a_client_of_http_1_0_is_asked_for_nothing(server):
    link = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    with link:
        head = "POST /told HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        link.sendall(head.encode())
        link.sendall(b"{}")
        assert b" 200 OK\r\n" in link.recv(65536)
