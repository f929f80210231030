"""Responses that go on after their request: the loop has their connections, and no thread does.

An application that will have more to say later asks for a `Held` while it runs, by
`environ["so.hold"]()`, and answers with a stream of what it has now. When that ends, the response
stays open: what `Held.send` is given, in any thread, the loop sends on. It ends when the
application says so, when the client leaves or does not read, and when the worker stops.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from so.server.connection import HELD, ClientConnection, ClientGone
from so.server.poller import IN, OUT


class HeldAnswer:
    """One response that is kept open, for whoever will have something to say in it."""

    __slots__ = ("_pieces", "_ring", "connection", "is_chunked", "is_ended", "is_open")

    def __init__(self, ring: Callable[[HeldAnswer], None]) -> None:
        """*ring* tells the loop that there is something to do."""
        self._ring = ring
        self._pieces: deque[bytes] = deque()
        self.connection: ClientConnection | None = None  # as soon as the loop has it
        self.is_chunked = False
        self.is_ended = False
        self.is_open = True

    def send(self, data: bytes) -> bool:
        """Send *data* soon; False when nobody is there any more."""
        if self.is_open:
            self._pieces.append(data)
            self._ring(self)
        return self.is_open

    def end(self) -> None:
        """End the response in good order, after what was sent."""
        self.is_ended = True
        self._ring(self)

    def due(self, ends: bool) -> bytes:
        """What is to go out now; with the end of the response where it *ends*."""
        data = b"".join([self._pieces.popleft() for _ in range(len(self._pieces))])
        if not self.is_chunked:
            return data
        chunk = b"%x\r\n%s\r\n" % (len(data), data) if data else b""
        return chunk + b"0\r\n\r\n" if ends else chunk


class Keeper:
    """The held responses of one worker; but for `offer`, for the thread that leads its loop."""

    def __init__(
        self,
        most: int,
        wake: Callable[[], None],
        arm: Callable[[ClientConnection, int], None],
        drop: Callable[[ClientConnection], None],
        finish: Callable[[ClientConnection], None],
    ) -> None:
        """*most* at the same time; *wake* reaches the loop from another thread."""
        self._most = most
        self._wake, self._arm, self._drop, self._finish = wake, arm, drop, finish
        self._held: set[HeldAnswer] = set()
        self._rung: deque[HeldAnswer] = deque()
        self._is_leaving = False

    def offer(self) -> HeldAnswer | None:
        """A response to be held; None where there is no room: the application answers at once."""
        return None if self._is_leaving or len(self._held) >= self._most else HeldAnswer(self._ring)

    def _ring(self, held: HeldAnswer) -> None:
        self._rung.append(held)
        self._wake()

    @property
    def has_work(self) -> bool:
        """True if somebody wants to send."""
        return bool(self._rung)

    def take(self, connection: ClientConnection, now: float) -> None:
        """The request of *connection* is answered as far as it goes: hold it from here on."""
        held: HeldAnswer = connection.held
        held.connection = connection
        held.is_ended |= self._is_leaving
        connection.state = HELD
        self._held.add(held)
        self._serve(held, now)

    def work(self, now: float) -> None:
        """Send what was given since."""
        while self._rung:
            held = self._rung.popleft()
            if held.connection is not None:
                self._serve(held, now)

    def _serve(self, held: HeldAnswer, now: float) -> None:
        connection = held.connection
        assert connection is not None
        if not connection.outgoing:
            connection.since = now
        ends = held.is_ended
        try:
            connection.push(held.due(ends))
        except ClientGone:
            self._drop(connection)
            return
        if ends:
            connection.closes |= self._is_leaving or not held.is_chunked
            self.leave(connection)
            self._finish(connection)
        elif connection.outgoing.is_in_file:
            self._drop(connection)  # it does not read, and may come again
        else:
            self._watch(connection)

    def _watch(self, connection: ClientConnection) -> None:
        events = IN | OUT if connection.outgoing else IN
        if connection.events != events:
            self._arm(connection, events)

    def happened(self, connection: ClientConnection, events: int, now: float) -> None:
        """The client takes more, or it leaves: there is nothing it could say meanwhile."""
        try:
            if events & OUT and connection.outgoing.flush(connection.link):
                connection.since = now
            if events & ~OUT:
                connection.link.recv(1)
                self._drop(connection)
                return
        except BlockingIOError:
            pass
        except OSError:
            self._drop(connection)
            return
        self._watch(connection)

    def leave(self, connection: ClientConnection) -> None:
        """*connection* is held no longer."""
        held = connection.held
        if held is not None:
            held.is_open, held.connection, connection.held = False, None, None
            self._held.discard(held)

    def leave_all(self) -> None:
        """The worker stops: end them all. Their clients come again, and find another one."""
        self._is_leaving = True
        for held in self._held:
            held.end()
