"""TLS on the server's own port: what differs from a plain socket, and what must not."""

import contextlib
import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from so.server.links import TlsLink, tls_context
from tests.server.processes import wait_until

TLS = Path(__file__).parent / "tls"
CERT, KEY = str(TLS / "cert.pem"), str(TLS / "key.pem")

pytestmark = pytest.mark.xdist_group("tls")


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
