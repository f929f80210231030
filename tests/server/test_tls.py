"""TLS on the server's own port: what differs from a plain socket, and what must not."""

import contextlib
import json
import os
import signal
import socket
import ssl
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from so.errors import ServerError
from so.server.links import TlsLink, tls_context
from tests.server.conformance.runner import Client
from tests.server.processes import Server, free_port, serve_argv, wait_until

TLS = Path(__file__).parent / "tls"
CERT, KEY = str(TLS / "cert.pem"), str(TLS / "key.pem")

# Made for these tests alone.
OTHER_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFr3YuB2HJGgCBkSh
ahcPkP9vdrIhx5eJunpKo+j0juShRANCAAQZFpUjTFU+tVmYFrCoYg+iLGszUc9w
8QpSDod6oFLruy21ET6yA1JwIJr6H8AtUHHsQBDn8FewJVsI9YKfZ1P4
-----END PRIVATE KEY-----
"""
ENCRYPTED_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAh/qGolS/EtrwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEKoGn7ed6F06oErew1tXhz0EgZBX
qtOhPnMS9+oglpJE9l8UfOOur7adg+5aeVTbAwp92RlTOhehNcL3loX+8/GfLSD8
mP4ErjjyCePu3fJU3uF6xb1VJl+6Jk/CjucI0iIWGUIda/CQBgDSnGTjI+8+YrNm
8g3VRrsmymrZz4pygNJPsRAUtn0YedaQPGpRJhEw+2rsrRRqZVn/EZeE2gpcRfs=
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    port = free_port()
    argv = serve_argv("tests.server.apps:application", port, workers=1, cert=CERT, key=KEY)
    running = Server(argv, port, tmp_path_factory.mktemp("tls") / "log")
    try:
        wait_until(lambda: accepts(running), "the server")
        yield running
    finally:
        assert running.stop() == 0


def accepts(server: Server) -> bool:
    try:
        socket.create_connection(server.address, 1).close()
    except OSError:
        assert server.process.poll() is None, server.log.read_text()
        return False
    return True


class Secure(Client):
    """A client that speaks TLS."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.address)
        context = ssl.create_default_context(cafile=CERT)
        self.link = context.wrap_socket(self.link, server_hostname="localhost")


def get(path: str, *lines: str) -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


def ask(server: Server, path: str) -> bytes:
    with Secure(server) as client:
        client.send(get(path))
        return client.read().body


def test_what_could_not_be_sent_at_once_may_be_sent_in_smaller_parts():
    near, far = socket.socketpair()
    near.setblocking(False)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400_000)
    far.settimeout(20)
    link = TlsLink(near, tls_context(CERT, KEY))
    data = os.urandom(2_000_000)

    with ThreadPoolExecutor() as pool, contextlib.closing(link):
        context = ssl.create_default_context(cafile=CERT)
        meeting = pool.submit(context.wrap_socket, far, server_hostname="localhost")
        wait_until(lambda: offered(link, b"x"), "the handshake")
        with meeting.result() as client:
            sent = offered(link, data)
            assert sent < len(data)
            reading = pool.submit(read_exactly, client, 1 + len(data))
            while sent < len(data):
                sent += offered(link, data[sent : sent + 20_000])

            assert reading.result() == b"x" + data


def offered(link: TlsLink, data: bytes) -> int:
    """How much of *data* the link takes now."""
    try:
        return link.send(data)
    except BlockingIOError:
        return 0


def read_exactly(client: ssl.SSLSocket, size: int) -> bytes:
    found = b""
    while len(found) < size and (piece := client.recv(65536)):
        found += piece
    return found


def test_a_client_that_is_gone_before_the_handshake_is_no_fault_of_the_server(server):
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
        for _ in range(20):
            with socket.create_connection(server.address, 20) as link:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                link.send(data)

    assert ask(server, "/") == b"hello"
    assert "the loop of the server failed" not in server.log.read_text()


def test_a_client_without_tls_is_told_that_it_needs_it(server):
    with Client(server.address) as client:
        client.send(get("/"))
        answer = client.read()

        assert answer.status == 400
        assert b"https://" in answer.body
        assert client.has_ended()


def test_an_application_can_ask_whether_its_client_is_still_there(server):
    assert ask(server, "/still-there") == b"there"
    ask(server, "/notes")

    with Secure(server) as client:
        client.send(get("/gone"))

    found: list[str] = []
    wait_until(lambda: found.extend(json.loads(ask(server, "/notes"))) or found, "the note")
    assert found == ["gone"]


def test_an_answer_can_go_on_without_a_thread(server):
    with Secure(server) as client:
        client.send(get("/hold"))
        wait_until(lambda: ask(server, "/tell?+") == b"1", "the answer is held")
        ask(server, "/end")

        assert client.read().body == b"hello+"


def test_the_environ_says_https(server):
    told = json.loads(ask(server, "/told"))

    assert told["wsgi.url_scheme"] == "https"
    assert told["HTTPS"] == "on"


def presented(server: Server) -> bytes:
    """The certificate the server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(server.address, 20) as link, context.wrap_socket(link) as secure:
        return secure.getpeercert(binary_form=True)


def test_a_reload_takes_the_renewed_certificate_and_refuses_a_broken_one(tmp_path):
    cert = tmp_path / "cert.pem"
    cert.write_text(Path(CERT).read_text())
    renewed = (TLS / "renewed.pem").read_text()
    port = free_port()
    argv = serve_argv("tests.server.apps:application", port, workers=1, cert=str(cert), key=KEY)
    server = Server(argv, port, tmp_path / "log")
    try:
        wait_until(lambda: accepts(server), "the server")
        before = presented(server)

        cert.write_text(renewed)
        server.signal(signal.SIGHUP)
        wait_until(lambda: presented(server) != before, "the new certificate")
        assert presented(server) == ssl.PEM_cert_to_DER_cert(renewed)

        cert.write_text("")
        server.signal(signal.SIGHUP)
        wait_until(lambda: f"no certificate in {cert}" in server.log.read_text(), "the refusal")
        assert presented(server) == ssl.PEM_cert_to_DER_cert(renewed)
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("cert", "key", "message"),
    [
        (CERT, "/nowhere", "cannot read the private key /nowhere: No such file"),
        (CERT, str(TLS), f"cannot read the private key {TLS}: Is a directory"),
        (KEY, KEY, f"there is no certificate in {KEY}: give a file in PEM form"),
        (CERT, None, f"there is no private key in {CERT}"),
        (CERT, "other.pem", f"the certificate {CERT} and the key other.pem do not fit"),
        (CERT, "broken.pem", f"the certificate {CERT} and the key broken.pem do not fit"),
        (CERT, "secret.pem", "the key secret.pem is encrypted, .*: decrypt it with `openssl"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_refused_with_the_mend(
    cert, key, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("other.pem").write_text(OTHER_KEY)
    Path("broken.pem").write_text(OTHER_KEY[:90] + OTHER_KEY[99:])
    Path("secret.pem").write_text(ENCRYPTED_KEY)

    with pytest.raises(ServerError, match=message):
        tls_context(cert, key)
