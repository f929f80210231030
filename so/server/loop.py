"""The loop of a worker over all its connections; one thread of its crew runs it at a time.

It accepts, reads heads and bodies, writes what clients did not take at once, and enforces the
timeouts; no idle, slow or silent client holds a thread. A request goes to the application when it
is complete, in the same thread or in another (so/server/threads.py).
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from so.errors import WireError
from so.server import metrics
from so.server.accepting import NO_ROOM, Entrance
from so.server.access_log import AccessLog
from so.server.answers import no_request, own_answer, refusal
from so.server.connection import (
    APPLICATION,
    BODY,
    CLOSED,
    HELD,
    LINGERING,
    READING,
    WRITING,
    Application,
    Body,
    ClientConnection,
    ClientGone,
    discard_body,
)
from so.server.deadlines import LAST_CALL_SECONDS, Due, due
from so.server.environ import environ_of
from so.server.exchange import Exchange
from so.server.held import Keeper
from so.server.limits import CheckedLimits
from so.server.links import Link, TlsLink, is_silent
from so.server.outgoing import Budget
from so.server.pages import PATHS, Desk, Pages
from so.server.poller import IN, OUT, new_poller
from so.server.shares import COURTESY_SECONDS, Seat
from so.server.threads import ThreadCrew
from so.server.wire import Data, RequestHead
from so.support.supervisor import Lifeline

if TYPE_CHECKING:
    import ssl

log = logging.getLogger("so.server")

_READ_BYTES = 64 * 1024
_ACCEPTS_A_ROUND = 4
_SWEEP_SECONDS = 0.5
_FAILED_SECONDS = 0.05
# How long before the grace ends whatever is still there is brought to an end.
_FAREWELL_SECONDS = 1.0


@dataclass(frozen=True)
class Setup:
    """What a worker is told by its master."""

    app: Application
    listeners: list[socket.socket]
    limits: CheckedLimits
    threads: int
    pages: Pages
    seat: Seat
    tls: ssl.SSLContext | None = None
    access: AccessLog | None = None
    max_requests: int = 0


class Loop:
    """See the module."""

    is_draining = False
    _polling = False
    _rounds = 0
    _served = 0
    _retiring = False
    _ends_at = math.inf

    def __init__(self, setup: Setup, lifeline: Lifeline) -> None:
        """Nothing runs before the crew does."""
        self.app = setup.app
        self._refuses_unread = getattr(setup.app, "refuses_unread", lambda environ: False)
        self.limits = setup.limits
        self.pid = os.getpid()
        self._setup, self._lifeline = setup, lifeline
        self._pages = setup.pages
        self._desk = Desk(setup.pages, lambda: self.is_draining, self._give_back)
        self._access = setup.access
        self._poller = new_poller()
        self._budget = Budget(setup.limits.response_memory_total_bytes)
        self._bodies = Budget(setup.limits.body_memory_total_bytes)
        self._files = Budget(setup.limits.file_total_bytes)
        self._connections: dict[int, ClientConnection] = {}
        self._entrance = Entrance(setup.listeners, self._poller, secure=setup.tls is not None)
        self._seat = setup.seat
        self._batch: deque[tuple[int, int]] = deque()
        self._again: deque[ClientConnection] = deque()
        self._returned: deque[ClientConnection] = deque()
        self._wake_in, self._wake_out = socket.socketpair()
        self._now = time.monotonic()
        self._sweep_at = self._now + _SWEEP_SECONDS
        self._counts = [0.0] * len(metrics.COUNTERS)
        self._crew = ThreadCrew(
            setup.threads,
            queue_limit=setup.limits.queue,
            lead=self._lead,
            run=self._execute,
            settle=self._give_back,
        )
        self._running: dict[int, Exchange] = {}
        held = setup.limits.held
        self._keeper = Keeper(held, self._wake, self._arm, self._drop, self._finish)
        self.offer = self._keeper.offer
        self._acts = {
            APPLICATION: self._look_away,
            WRITING: self._write,
            LINGERING: self._linger,
        }

    # --- the loop --------------------------------------------------------------------------------

    def _lead(self, number: int) -> None:
        """Go through what happens, round by round, for as long as thread *number* leads."""
        leads = self._crew.is_leader
        while leads(number):
            try:
                if not self._batch:
                    self._begin_round()
                while self._batch and leads(number):
                    fd, events = self._batch.popleft()
                    self._happened(fd, events, number)
                if leads(number):
                    self._end_round(number)
            except Exception:
                # A fault of ours must not stop the loop: all other connections hang on it.
                log.exception("the loop of the server failed; it goes on")
                # If it fails for good, the master will notice; until then the log must not fill up.
                time.sleep(_FAILED_SECONDS)

    def _begin_round(self) -> None:
        self._polling = True
        pending = self._returned or self._again or self._keeper.has_work
        until = min(self._sweep_at, self._entrance.opens_at)
        found = self._poller.poll(0 if pending else max(0.0, until - self._now))
        self._polling = False
        self._rounds += 1
        self._now = time.monotonic()
        self._batch.extend(found)

    def _end_round(self, number: int) -> None:
        while self._returned:
            self._take_back(self._returned.popleft())
        self._keeper.work(self._now)
        # One more request each of those that sent several at once, then the others have their turn.
        for _ in range(len(self._again)):
            connection = self._again.popleft()
            connection.queued = False
            if connection.state == READING:
                self._advance(connection, number)
            if not self._crew.is_leader(number):
                return
        if self._now >= self._sweep_at:
            self._sweep()
        self._entrance.open_again(self._now)
        if self._access:
            self._access.flush()
        if self.is_draining:
            self._empty_queues()
            has_ended = self._entrance.is_closed or self._now >= self._ends_at
            if has_ended and not self._connections:
                self._crew.finish()

    def _happened(self, fd: int, events: int, number: int) -> None:
        connection = self._connections.get(fd)
        if connection is None:
            if fd in self._entrance:
                self._accept(fd, number)
            elif fd == self._wake_in.fileno():
                self._read_wake_ups()
            elif self._seat.has_bell and fd == self._seat.fileno():
                self._answer_bell(number)
            return
        state = connection.state
        if state <= BODY:
            if not connection.queued:
                self._read(connection, number)
        elif state == HELD:
            self._keeper.happened(connection, events, self._now)
        elif state in self._acts:
            self._acts[state](connection)

    def _read_wake_ups(self) -> None:
        with contextlib.suppress(BlockingIOError):
            # Numbers of signals, and zeros that only wake.
            found = self._wake_in.recv(4096)
            if signal.SIGTERM in found or signal.SIGINT in found:
                self._drain()

    def _wake(self) -> None:
        if self._polling:
            with contextlib.suppress(OSError):
                self._wake_out.send(b"\0")

    # --- accepting -------------------------------------------------------------------------------

    def _accept(self, fd: int, number: int) -> None:
        for _ in range(_ACCEPTS_A_ROUND):
            if not self._accept_one(fd, number):
                return

    def _answer_bell(self, number: int) -> None:
        """Another worker holds more connections than this one: take what has come."""
        self._seat.drain()
        for fd in self._entrance.numbers():
            if not self._crew.is_leader(number):
                return
            self._accept(fd, number)

    def _accept_one(self, fd: int, number: int) -> bool:
        if len(self._connections) >= self.limits.connections and not self._evict():
            self._entrance.pause(self._now)
            return False
        if self._seat.gives_way(self._now):
            self._entrance.pause(self._now, COURTESY_SECONDS)
            return False
        try:
            connection = self._welcome(*self._entrance.accept(fd))
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in NO_ROOM:
                if not self._evict():
                    self._entrance.pause(self._now)
                log.warning("cannot accept a connection: %s", error)
                return False
            return True
        # Most clients speak at once: their request is here already.
        self._read(connection, number)
        if not self._crew.is_leader(number):
            return False
        if connection.state <= BODY and connection.events != IN:
            self._arm(connection, IN)
        return True

    def _welcome(self, plain: socket.socket, base: dict[str, Any]) -> ClientConnection:
        """A new connection; OSError when the client has left meanwhile, as far as TLS can tell."""
        plain.setblocking(False)
        link: Link = TlsLink(plain, self._setup.tls) if self._setup.tls else plain
        connection = ClientConnection(link, base, self.limits, self._budget, self._files, self._now)
        self._connections[connection.fd] = connection
        self._seat.hold(len(self._connections))
        self._counts[metrics.ACCEPTED] += 1
        return connection

    def _evict(self) -> bool:
        """Close the connection that has been idle for the longest; False when none is.

        One that has just come, or just had its answer, may have a request on the way.
        """
        oldest = min(
            (each for each in self._connections.values() if each.is_idle),
            key=lambda each: each.since,
            default=None,
        )
        if oldest is None or self._now - oldest.since < LAST_CALL_SECONDS:
            return False
        self._drop(oldest)
        return True

    # --- reading ---------------------------------------------------------------------------------

    def _read(self, connection: ClientConnection, number: int) -> None:
        try:
            data = connection.link.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        if not data:
            self._input_ended(connection)
            return
        parser = connection.parser
        if connection.state == BODY or parser.is_idle:
            connection.since = self._now
        parser.feed(data)
        self._advance(connection, number)

    def _input_ended(self, connection: ClientConnection) -> None:
        """The client sends no more: fine between requests, a fault within one."""
        if connection.parser.is_idle:
            self._drop(connection)
        else:
            self._refuse(connection, WireError(400, "the request ends in the middle"))

    def _advance(self, connection: ClientConnection, number: int) -> None:
        """Take events out of the parser until a request is complete, or bytes are missing."""
        parser = connection.parser
        try:
            while (event := parser.next_event()) is not None:
                if type(event) is RequestHead:
                    connection.head = event
                    if event.has_body and not self._is_refused_unread(connection, event):
                        self._begin_body(connection, event)
                        continue
                elif type(event) is Data:
                    assert connection.body is not None
                    connection.body.add(event.data)
                    if not event.last:
                        continue
                self._dispatch(connection, number)
                return
        except WireError as fault:
            self._refuse(connection, fault)
        except OSError as error:
            # The body could not be stored: what the application got would not be what was sent.
            log.error("cannot store the body of a request: %s", error)
            self._refuse(connection, WireError(503, "no room for the body"))

    def _is_refused_unread(self, connection: ClientConnection, head: RequestHead) -> bool:
        """Whether the client asks first, and the application refuses it whatever the body says.

        It then runs without a body, and the connection ends with its answer (RFC 9110, 10.1.1).
        """
        if not (head.expects_continue and self._refuses_unread(environ_of(connection.base, head))):
            return False
        connection.closes = True
        return True

    def _begin_body(self, connection: ClientConnection, head: RequestHead) -> None:
        connection.body = Body(self.limits.body_memory_bytes, self._bodies, self._files)
        connection.state = BODY
        connection.since = connection.begun = self._now
        if head.expects_continue and not connection.parser.has_input:
            with contextlib.suppress(ClientGone):
                connection.push(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- a complete request ----------------------------------------------------------------------

    def _dispatch(self, connection: ClientConnection, number: int) -> None:
        head = connection.head
        assert head is not None
        if head.path == "*" or head.method == "CONNECT":
            connection.closes = head.path != "*" or self.is_draining or not head.keep_alive
            self._answer(connection, own_answer(head, closes=connection.closes))
            return
        connection.state = APPLICATION
        if head.path in PATHS and self._pages.is_for(connection, head):
            answer = self._desk.answer(connection, head)
            if answer is not None:
                self._answer(connection, answer)
            return
        connection.exchange = Exchange(connection, head, self, self._now)
        done = self._crew.take(connection, number)
        if done:
            self._finish(connection)
        elif done is None:
            self._counts[metrics.OVERLOAD] += 1
            connection.closes = True
            text = "All threads are busy and the queue is full. Try again soon.\n"
            again, to_head = [("Retry-After", "1")], head.method == "HEAD"
            self._note(connection, head, 503, len(text), 0.0)
            self._answer(connection, refusal(503, text, again, to_head=to_head))

    def _note(
        self, connection: ClientConnection, head: RequestHead, code: int, sent: int, seconds: float
    ) -> None:
        """Count and log one answered request."""
        metrics.note(self._counts, code, sent, seconds)
        if self._access:
            self._access.add(connection, head, code, sent, seconds)

    def _answer(self, connection: ClientConnection, answer: bytes) -> None:
        with contextlib.suppress(Exception):
            connection.push(answer)
        self._finish(connection)

    def _execute(self, connection: ClientConnection, number: int) -> None:
        """Run the application for *connection*, in any thread of the crew."""
        exchange: Exchange = connection.exchange
        exchange.number = number
        exchange.progress = time.monotonic()  # before that it only waited for its turn
        self._running[number] = exchange
        exchange.run()
        del self._running[number]
        if exchange.is_aside:
            self._crew.step_back()
        # Otherwise it was cut, or answered in place of the application.
        if exchange.has_begun:
            seconds = time.monotonic() - exchange.started
            self._note(connection, exchange.head, exchange.code, exchange.sent, seconds)
        self._served += 1
        if self._served == self._setup.max_requests:
            self._retire()

    def _retire(self) -> None:
        if not self._retiring and not self.is_draining:
            self._retiring = True
            self._lifeline.send("retire")

    def step_aside(self, number: int) -> bool:
        """From a thread that waits for its client from here on: another may work in its place."""
        return self._crew.step_aside(number)

    def _give_back(self, connection: ClientConnection) -> None:
        """From a thread that does not lead: the connection belongs to the loop again."""
        self._returned.append(connection)
        self._wake()

    def _take_back(self, connection: ClientConnection) -> None:
        if connection.state == APPLICATION:
            self._finish(connection)

    def _finish(self, connection: ClientConnection) -> None:
        """The response is made: send what is left of it, then the next request, or the end."""
        discard_body(connection)
        if connection.broken:
            self._drop(connection)
            return
        exchange = connection.exchange
        connection.ends_plainly = exchange is not None and exchange.ends_plainly
        connection.exchange = connection.head = None
        connection.since = self._now
        if connection.held is not None:
            self._keeper.take(connection, self._now)
        elif connection.outgoing:
            connection.state = WRITING
            connection.begun = self._now
            connection.moved = 0
            self._write(connection)
        elif connection.closes:
            self._close_politely(connection)
        else:
            self._await_next(connection)

    def _await_next(self, connection: ClientConnection) -> None:
        connection.state = READING
        if connection.parser.has_input:
            connection.queued = True
            self._again.append(connection)
        if connection.events != IN:
            self._arm(connection, IN)

    # --- writing and closing ---------------------------------------------------------------------

    def _write(self, connection: ClientConnection) -> None:
        try:
            if moved := connection.outgoing.flush(connection.link):
                connection.moved += moved
                connection.since = self._now
        except (OSError, ValueError):  # the latter for a file that its application has closed
            self._drop(connection)
            return
        if connection.outgoing:
            if connection.events != OUT:
                self._arm(connection, OUT)
        elif connection.closes:
            self._close_politely(connection)
        else:
            connection.since = self._now
            self._await_next(connection)

    def _refuse(self, connection: ClientConnection, fault: WireError) -> None:
        """Answer a request that is none, and close."""
        self._counts[metrics.REFUSED] += 1
        head = connection.head
        to_head = head.method == "HEAD" if head else connection.parser.is_for_head
        connection.closes = True
        connection.head = None
        if self._access:
            self._access.add_refusal(connection, fault.status)
        self._answer(connection, no_request(fault, to_head=to_head))

    def _close_politely(self, connection: ClientConnection) -> None:
        """Close without resetting: unread bytes would make the system throw our answer away."""
        if connection.ends_plainly and connection.parser.is_idle and is_silent(connection.link):
            self._drop(connection)
            return
        with contextlib.suppress(OSError):
            connection.link.shutdown(socket.SHUT_WR)
        connection.state = LINGERING
        connection.begun = self._now
        self._linger(connection)
        if connection.state == LINGERING and connection.events != IN:
            self._arm(connection, IN)

    def _linger(self, connection: ClientConnection) -> None:
        """Throw away what still comes, until the client closes too."""
        connection.since = self._now
        try:
            for _ in range(16):
                if not connection.link.recv(_READ_BYTES):
                    break
            else:
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._drop(connection)

    def _drop(self, connection: ClientConnection) -> None:
        if connection.state == CLOSED:
            return
        connection.state = CLOSED
        self._keeper.leave(connection)
        self._entrance.note_room(self._now)
        if self._connections.get(connection.fd) is connection:
            del self._connections[connection.fd]
            self._seat.hold(len(self._connections))
        if connection.events:
            self._poller.unregister(connection.fd)
        if connection.outgoing:
            connection.cut()
            connection.outgoing.clear()
        discard_body(connection)
        with contextlib.suppress(OSError):
            connection.link.close()

    def _arm(self, connection: ClientConnection, events: int) -> None:
        if connection.events:
            self._poller.modify(connection.fd, events)
        else:
            self._poller.register(connection.fd, events)
        connection.events = events

    def _look_away(self, connection: ClientConnection) -> None:
        """Something came while the application has the connection: not now."""
        if connection.events:
            self._poller.unregister(connection.fd)
            connection.events = 0

    # --- time ------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Close what took too long; go on with what waited for this moment."""
        self._sweep_at = self._now + _SWEEP_SECONDS
        stage = {"draining": self.is_draining, "ending": self._now >= self._ends_at}
        for connection in list(self._connections.values()):
            verdict = due(connection, self._now, self.limits, **stage)
            if verdict is Due.DROP:
                self._drop(connection)
            elif verdict is Due.TIME_OUT:
                self._time_out(connection)
            elif verdict is Due.GIVE_UP:
                self._give_up(connection)

    def _time_out(self, connection: ClientConnection) -> None:
        self._counts[metrics.TIMEOUTS] += 1
        self._refuse(connection, WireError(408, "the request took too long to arrive"))

    def _give_up(self, connection: ClientConnection) -> None:
        """Answer in place of an application that does not; its thread finds the door closed."""
        exchange: Exchange | None = connection.exchange
        if exchange is None:
            return  # at the desk, which does not take long
        if exchange.claim():
            head = exchange.head
            log.warning("%s %s was not answered in time", head.method, head.target)
            text = "The application takes too long.\n"
            self._note(connection, head, 503, len(text), self._now - exchange.started)
            with contextlib.suppress(Exception):
                to_head = head.method == "HEAD"
                connection.link.send(refusal(503, text, to_head=to_head))
            self._close_politely(connection)

    # --- the end ---------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Begin to end: take what stands in the queues of the listeners, then no more."""
        if self.is_draining:
            return
        self.is_draining = True
        self._keeper.leave_all()
        self._seat.leave()
        if self._seat.has_bell:
            self._poller.unregister(self._seat.fileno())
        self._sweep_at = self._now
        grace = self._lifeline.grace_seconds
        self._ends_at = self._now + grace - min(grace / 2, _FAREWELL_SECONDS)

    def _empty_queues(self) -> None:
        for plain, base in self._entrance.close(self.limits.backlog):
            with contextlib.suppress(OSError):
                self._arm(self._welcome(plain, base), IN)
