"""The sockets to listen on: opened here, or inherited from whoever started the server."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import Any

from so.errors import ServerError
from so.support import systemd

LARGEST_PORT = 65_535


class ListeningSocket(socket.socket):
    """A socket to listen with, its family and type plain numbers.

    `accept()` asks for both; as members of an Enum they cost a third of its time.
    """

    __slots__ = ("family", "type")

    def __init__(self, *args: Any, **options: Any) -> None:
        """As that of a socket."""
        super().__init__(*args, **options)
        self.family = int(super().family)  # type: ignore[misc, assignment]  # the slot hides it
        self.type = int(super().type)  # type: ignore[misc, assignment]


def open_listeners(
    host: str, port: int, path: str | None, fd: int | None, backlog: int
) -> tuple[list[socket.socket], str | None]:
    """Listening sockets: systemd's if it passed any, else *fd*, else *path*, else host and port.

    With them the file that was made for one, to be removed at the end. ServerError when they can't
    be had.
    """
    inherited = systemd.listen_fds()
    if fd is not None and not inherited:
        inherited = [fd]
    made: str | None = None
    if inherited:
        found = [_adopt(number) for number in inherited]
    elif path:
        found, made = [_bind_path(path)], path
    else:
        found = _bind_address(host, port)
    for listener in found:
        listener.setblocking(False)
        if listener.family != socket.AF_UNIX:
            # Accepted sockets inherit it: responses are sent whole, nothing is worth waiting for.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.listen(backlog)
    return found, made


def describe(listener: socket.socket, *, tls: bool) -> str:
    """Where *listener* listens, as people write it."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{'https' if tls else 'http'}://{host}:{name[1]}"


def _adopt(number: int) -> socket.socket:
    try:
        listener = ListeningSocket(fileno=number)
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except (OSError, ValueError, OverflowError) as error:
        raise ServerError(f"descriptor {number} is no socket: pass a listening one") from error
    # One that is not bound would begin to listen on any port, for everyone.
    if not listens or listener.type != socket.SOCK_STREAM:
        listener.detach()
        raise ServerError(f"descriptor {number} does not listen: pass a stream socket that does")
    os.set_inheritable(number, False)
    return listener


def _bind_address(host: str, port: int) -> list[socket.socket]:
    """One socket for each address *host* stands for: localhost may be 127.0.0.1 and ::1."""
    if not 0 <= port <= LARGEST_PORT:  # the system would take its remainder
        raise ServerError(f"there is no port {port}: choose one from 1 to {LARGEST_PORT}")
    try:
        plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        # As bytes, where it can be: text would go through the tables of IDNA first.
        name = plain.encode() if plain.isascii() else plain
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ServerError(
            f"cannot listen on {host!r}: {error}; give an address of this machine"
        ) from error
    bound: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        if bound and port == 0:
            address = (address[0], bound[0].getsockname()[1], *address[2:])
        try:
            bound.append(_bind(family, kind, protocol, address))
        except OSError as error:
            # A name may stand for an address this machine does not have, as long as one is there.
            if bound and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            for listener in bound:
                listener.close()
            raise ServerError(f"cannot listen on {host}:{port}: {_reason(error)}") from error
    return bound


def _bind(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    listener = ListeningSocket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6 and address[0] != "::":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop the other server or choose another port"
    if error.errno == errno.EACCES:
        return "ports below 1024 need a privilege; choose another, or let systemd open the socket"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return str(error)


def _bind_path(path: str) -> socket.socket:
    _remove_stale(path)
    listener = ListeningSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise ServerError(f"cannot listen on {path}: {error.strerror or error}") from error
    return listener


def _remove_stale(path: str) -> None:
    """Remove a socket nobody listens on any more; ServerError when something else is there."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServerError(f"cannot listen on {path}: a file of that name exists; remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a queue may be full
        # Only a refusal shows that nobody listens: it may not be for us, or of another kind.
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise ServerError(f"cannot listen on {path}: another server does; stop it first")
    with contextlib.suppress(OSError):
        os.unlink(path)
