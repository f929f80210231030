"""Sockets as the server sees them: non-blocking, and `BlockingIOError` whenever one has to wait.

A plain socket is nearly that already. Under TLS a read may have to wait for writing and the other
way round, and bytes may be waiting inside the library where no poller sees them; both are hidden
here.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Protocol

from so.errors import ServerError
from so.server.answers import refusal

if TYPE_CHECKING:
    import ssl

# The largest record of TLS.
_RECORD_BYTES = 16 * 1024
_PLAIN_BYTES = 64 * 1024


class Link(Protocol):
    """What the server needs of a socket: `socket.socket` has it as it is."""

    def fileno(self) -> int:
        """The descriptor, for the poller."""

    def recv(self, size: int) -> bytes:
        """What has arrived; b"" at the end."""

    def send(self, data: bytes | memoryview) -> int:
        """Send some of *data*; how much."""

    def shutdown(self, how: int) -> None:
        """Tell the client that nothing more comes."""

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """As the socket's."""

    def close(self) -> None:
        """Let go of the descriptor."""


class TlsLink:
    """An accepted socket under TLS; the handshake happens with the first reads."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        """*plain* is non-blocking and belongs to the link from here on."""
        import ssl

        self._wait = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
        self._closed = (ssl.SSLZeroReturnError, ssl.SSLEOFError)
        self._tls = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._met = False

    def fileno(self) -> int:
        """The descriptor, for the poller."""
        return self._tls.fileno()

    def recv(self, size: int) -> bytes:
        """Up to *size* bytes and whatever the library holds beyond; b"" at the end."""
        try:
            self._meet()
            found = self._tls.recv(max(size, _RECORD_BYTES))
        except self._wait as wait:
            raise BlockingIOError from wait
        except self._closed:
            return b""
        # What the library has decrypted already would never wake the poller.
        while found and self._tls.pending():
            found += self._tls.recv(self._tls.pending())
        return found

    def send(self, data: bytes | memoryview) -> int:
        """Send some of *data*; how much. What follows has to begin with the rest.

        Record by record: of a larger piece the library takes a part without saying so, and wants
        to be offered no less the next time.
        """
        view, sent = memoryview(data), 0
        try:
            self._meet()
            while sent < len(view):
                sent += self._tls.send(view[sent : sent + _RECORD_BYTES])
        except self._wait as wait:
            if not sent:
                raise BlockingIOError from wait
        return sent

    def _meet(self) -> None:
        if self._met:
            return
        try:
            self._tls.do_handshake()
        except OSError as error:
            if getattr(error, "reason", "") == "HTTP_REQUEST":
                self._explain()
            raise
        self._met = True

    def _explain(self) -> None:
        """Tell a client that takes this for a port without TLS."""
        text = "This port speaks TLS: write https:// in front of the address.\n"
        with contextlib.suppress(OSError):
            socket.socket.send(self._tls, refusal(400, text))
            # Unread bytes would make the system throw the answer away.
            socket.socket.recv(self._tls, _PLAIN_BYTES)

    def shutdown(self, how: int) -> None:
        """Say farewell and shut the socket below; the client's farewell is not waited for."""
        import ssl

        with contextlib.suppress(ssl.SSLError, OSError, ValueError):
            self._tls.unwrap()
        socket.socket.shutdown(self._tls, how)

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """Set an option of the socket below."""
        self._tls.setsockopt(level, name, value)

    def close(self) -> None:
        """Close the socket."""
        self._tls.close()


def is_silent(link: Link) -> bool:
    """Whether nothing waits to be read, or ever will: closing would throw our answer away else.

    False where that can't be known.
    """
    if not isinstance(link, socket.socket):
        return False
    try:
        return not link.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False


def tls_context(cert: str, key: str | None) -> ssl.SSLContext:
    """A server's context for the certificate (chain) *cert* and *key*: TLS 1.2 or later.

    Without *key* it is in the same file. ServerError when they can't be used.
    """
    import ssl

    key = key or cert
    _check_pem(cert, "certificate", b"CERTIFICATE-----")
    _check_pem(key, "private key", b"PRIVATE KEY-----")

    def refuse_encrypted() -> bytes:
        raise ServerError(
            f"the key {key} is encrypted, and nobody is there to type its password: "
            f"decrypt it with `openssl pkey -in {key} -out NEW`"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, refuse_encrypted)
    except ssl.SSLError as error:
        raise ServerError(
            f"the certificate {cert} and the key {key} do not fit ({error.reason or error}): give "
            "the key the certificate was made for, and put the server's own first in a chain"
        ) from error
    return context


def _check_pem(path: str, what: str, mark: bytes) -> None:
    try:
        with open(path, "rb") as file:
            found = mark in file.read()
    except OSError as error:
        raise ServerError(f"cannot read the {what} {path}: {error.strerror or error}") from error
    if not found:
        raise ServerError(f"there is no {what} in {path}: give a file in PEM form")
