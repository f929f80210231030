"""One accepted connection: its parser, what it still has to send, and who may touch it now.

Only the owner touches it: the thread that leads the worker's loop, or, from a complete request to
the end of its response, the thread that runs the application.
"""

from __future__ import annotations

import contextlib
import errno
import io
import select
import socket
import struct
from collections.abc import Callable
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import IO, Any

from so.server.limits import CheckedLimits
from so.server.links import Link
from so.server.outgoing import Budget, Outgoing
from so.server.wire import RequestHead, RequestParser

# States; the first two read. READING covers heads and idle keep-alive, APPLICATION also the wait
# for a thread; HELD is an answer that goes on without one (so/server/held.py).
READING, BODY, APPLICATION, WRITING, LINGERING, HELD, CLOSED = range(7)

# The end of what the client sends, also behind bytes nobody has read yet.
_RDHUP = getattr(select, "POLLRDHUP", 0)
# For SO_LINGER: close without waiting for anything, which resets the connection.
_RESET = struct.pack("ii", 1, 0)
_COUNT = struct.Struct("i")


class ClientGone(Exception):
    """The client can't be reached any more; raised within the server only."""


class Body:
    """A request body on its way in: in memory up to a limit, then in a temporary file."""

    __slots__ = ("_budget", "_file", "_files", "_held", "_limit", "_memory", "size")

    def __init__(self, limit: int, budget: Budget, files: Budget) -> None:
        """*limit* is the number of bytes to keep in memory, *budget* that of all bodies together.

        *files* is what may go into files.
        """
        self._limit = limit
        self._budget = budget
        self._held = 0
        self._files = files
        self._memory = io.BytesIO()
        self._file: io.FileIO | None = None
        self.size = 0

    def add(self, data: bytes) -> None:
        """Take the next piece. OSError when there is no room for it."""
        self.size += len(data)
        if self._file is None and self.size <= self._limit and self._budget.take(len(data)):
            self._held += len(data)
            self._memory.write(data)
            return
        if self._file is None:
            import tempfile

            # Unbuffered: what there is no room for must be known with this piece.
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by discard)
            self._files.spend(self._held)
        self._files.spend(len(data))
        if self._files.is_spent:
            raise OSError(errno.ENOSPC, "server.limits.file_total_bytes are used up")
        if self._held:
            self._store(self._memory.getvalue())
            self._memory.close()
            self._release()
        self._store(data)

    def _store(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def open(self) -> IO[bytes]:
        """The whole body as a file, from its start."""
        if self._file is None:
            self._memory.seek(0)
            return self._memory
        self._file.seek(0)
        return io.BufferedReader(self._file)

    def discard(self) -> None:
        """Give the room back; memory goes with whoever still reads it."""
        self._release()
        if self._file is not None:
            self._file.close()
            self._files.give(self.size)

    def _release(self) -> None:
        self._budget.give(self._held)
        self._held = 0


class ClientConnection:
    """See the module."""

    __slots__ = (
        "base",
        "begun",
        "body",
        "broken",
        "closes",
        "ends_plainly",
        "events",
        "exchange",
        "fd",
        "head",
        "held",
        "link",
        "moved",
        "outgoing",
        "parser",
        "queued",
        "since",
        "state",
        "unread",
    )

    def __init__(
        self,
        link: Link,
        base: dict[str, Any],
        limits: CheckedLimits,
        budget: Budget,
        files: Budget,
        now: float,
    ) -> None:
        """*base* is the part of the WSGI environ that is the same for every request here.

        *budget* and *files* are what all connections may keep in memory and in files.
        """
        self.link = link
        self.fd = link.fileno()
        self.base = base
        self.parser = RequestParser(limits)
        self.outgoing = Outgoing(limits, budget, files)
        self.state = READING
        # When the present state began, or, for bodies and writing, last made progress.
        self.since = now
        # When the body, the writing or the lingering began, and how much was written since.
        self.begun = now
        self.moved = 0
        # What the system had not yet delivered of it, at the last look.
        self.unread = 0
        # What the poller watches it for; 0: not at all.
        self.events = 0
        # Waiting for its turn to have the next of several requests taken out of the parser.
        self.queued = False
        self.head: RequestHead | None = None
        self.body: Body | None = None
        self.exchange: Any = None
        # The answer that goes on after its request.
        self.held: Any = None
        # Close when everything is sent / at once.
        self.closes = False
        self.broken = False
        # Whether it may be closed at once instead of in stages, if nothing more has come.
        self.ends_plainly = False

    @property
    def is_idle(self) -> bool:
        """Between two requests."""
        return self.state == READING and self.parser.is_idle

    def push(self, data: bytes | memoryview) -> None:
        """Send *data*, or queue what can't be sent now. ClientGone when there is nobody."""
        sent = 0
        try:
            if self.outgoing:
                self.outgoing.flush(self.link)
            if not self.outgoing:
                sent = self.link.send(data)
        except BlockingIOError:
            pass
        except OSError as error:
            self.broken = True
            raise ClientGone from error
        if sent < len(data):
            self.outgoing.add(memoryview(data)[sent:])

    def cut(self) -> None:
        """Have the connection reset when it is closed, for a response that is not whole.

        For a client of HTTP/1.0 an orderly end would be the end of the body.
        """
        self.broken = True
        with contextlib.suppress(OSError):
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def has_read_on(self) -> bool:
        """Whether the client has taken of what the system holds for it since the last call."""
        before = self.unread
        try:
            (self.unread,) = _COUNT.unpack(ioctl(self.fd, TIOCOUTQ, bytes(_COUNT.size)))
        except OSError:
            return False
        return self.unread != before

    def is_disconnected(self) -> bool:
        """Whether the client has gone away, or sends no more, as far as the system knows."""
        fd = self.link.fileno()
        if fd < 0:
            return True
        watch = select.poll()
        watch.register(fd, _RDHUP)
        return bool(watch.poll(0))


def discard_body(connection: ClientConnection) -> None:
    """Forget the request body of *connection*."""
    if connection.body is not None:
        connection.body.discard()
        connection.body = None


Application = Callable[[dict[str, Any], Callable[..., Any]], Any]
