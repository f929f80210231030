"""The listening sockets of one worker: watched, paused for want of room, and emptied at the end."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import sys
from collections.abc import Iterator
from typing import Any

from so.server.exchange import FileWrapper
from so.server.poller import Poller

_PAUSE_SECONDS = 1.0
# The process, or the system, can't hold another socket now.
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Entrance:
    """All listening sockets together; one poller watches them."""

    def __init__(self, listeners: list[socket.socket], poller: Poller, *, secure: bool) -> None:
        """*secure* is whether their connections speak TLS."""
        self._poller = poller
        self._listeners = {each.fileno(): _Listener(each, secure=secure) for each in listeners}
        self.opens_at = math.inf
        """When to watch again; infinite when they are watched now, or no more."""

    def __contains__(self, fd: int) -> bool:
        return fd in self._listeners

    def open(self) -> None:
        """Watch all."""
        self.opens_at = math.inf
        for number in self._listeners:
            self._poller.register_listener(number)

    def pause(self, now: float, seconds: float = _PAUSE_SECONDS) -> None:
        """Let those who come wait in the queue of the system for a while."""
        if self.opens_at == math.inf:
            self._look_away()
        self.opens_at = now + seconds

    def note_room(self, now: float) -> None:
        """End a pause with the next round: somebody has left."""
        if self.opens_at < math.inf:
            self.opens_at = now

    def open_again(self, now: float) -> None:
        """Watch all once more, if a pause is over."""
        if now >= self.opens_at:
            self.open()

    def numbers(self) -> list[int]:
        """The descriptors of all that listen."""
        return list(self._listeners)

    def accept(self, fd: int) -> tuple[socket.socket, dict[str, Any]]:
        """A new socket and its part of the environ; OSError as `socket.accept()`."""
        return self._listeners[fd].accept()

    def close(self, most: int) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
        """Watch no more; up to *most* of those who stand in each queue still come in.

        A queue there is no room to empty stays open, for another call.
        """
        if self.opens_at == math.inf:
            self._look_away()
        self.opens_at = math.inf
        for number, listener in list(self._listeners.items()):
            try:
                for _ in range(most):
                    yield listener.accept()
            except OSError as error:
                if error.errno in NO_ROOM:
                    continue
            listener.socket.close()
            del self._listeners[number]

    @property
    def is_closed(self) -> bool:
        """Whether all queues have been emptied."""
        return not self._listeners

    def _look_away(self) -> None:
        for number in self._listeners:
            self._poller.unregister(number)


class _Listener:
    """A listening socket and the part of the environ its connections share."""

    def __init__(self, listener: socket.socket, *, secure: bool) -> None:
        self.socket = listener
        self._base: dict[str, Any] = {
            "SCRIPT_NAME": "",
            "SERVER_SOFTWARE": "SixOrbit",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if secure else "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
        }
        if secure:
            self._base["HTTPS"] = "on"
        self._is_inet = listener.family in (socket.AF_INET, socket.AF_INET6)
        self._any_address = False
        if self._is_inet:
            host, port = listener.getsockname()[:2]
            self._any_address = host in ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)
            self._base["SERVER_NAME"], self._base["SERVER_PORT"] = host, str(port)
        else:
            self._base["SERVER_NAME"] = "localhost"
            self._base["SERVER_PORT"] = "443" if secure else "80"

    def accept(self) -> tuple[socket.socket, dict[str, Any]]:
        """See Entrance."""
        link, address = self.socket.accept()
        return link, self._base_for(link, address)

    def _base_for(self, link: socket.socket, address: Any) -> dict[str, Any]:
        """The part of the environ that is the same for every request of one connection."""
        base = self._base.copy()
        if self._is_inet:
            base["REMOTE_ADDR"], base["REMOTE_PORT"] = _plain(address[0]), str(address[1])
            if self._any_address:
                with contextlib.suppress(OSError):
                    base["SERVER_NAME"] = _plain(link.getsockname()[0])
        else:
            base["REMOTE_ADDR"] = ""
        return base


def _plain(address: str) -> str:
    """*address*, one of IPv4 as such: a socket for both kinds writes it as ::ffff:127.0.0.1."""
    return address.removeprefix("::ffff:") if address.count(":") == 3 else address
