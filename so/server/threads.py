"""Which thread does what in a worker: one leads the loop, the others run the application.

Under the interpreter's lock a hand-over to another thread costs more than a short request itself.
So the leader runs a request itself as long as requests are short; the watch (the main thread) looks
on, and when one takes long after all, gives the lead to another thread, which goes on in the middle
of the round. When that happens often, the leader hands every request over at once instead.

At most *threads* run the application; one more is there to lead while they do. A thread that only
waits for a client or a disk may step aside: another one then works in its place. This module knows
nothing of sockets: a request is an opaque job here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

log = logging.getLogger("so.server")

# A request the leader runs itself for longer than this costs it the lead.
STALL_SECONDS = 0.002
_NAP_SECONDS = 0.002
_QUIET_NAPS = 20
# How many of the last requests stalled, as a moving average; above the limit all are handed over.
_STALL_WEIGHT = 1 / 64
_STALL_LIMIT = 2 / 64
# How many threads may have stepped aside at the same time.
_ASIDE_LIMIT = 16


class Lead:
    """The order to lead the loop."""


LEAD = Lead()


class ThreadCrew:
    """The threads of a worker and what they are doing."""

    def __init__(
        self,
        threads: int,
        *,
        queue_limit: int,
        lead: Callable[[int], None],
        run: Callable[[Any, int], None],
        settle: Callable[[Any], None],
    ) -> None:
        """*lead(number)* runs the loop until `is_leader(number)` turns False or all is over.

        *run(job, number)* runs one request in thread *number*; *settle(job)* gives it back when
        that thread does not lead (any more).
        """
        self._count = threads + 1
        self._queue_limit = queue_limit
        self._lead, self._run, self._settle = lead, run, settle
        self._turn = threading.Lock()
        self._orders: SimpleQueue[Any] = SimpleQueue()
        self._waiting: deque[Any] = deque()
        # Threads without a job: those that wait for an order, and those not started yet. Below
        # zero when some that had stepped aside are back.
        self._free = self._count
        self._aside = 0
        self._parked = 0
        self._leader = -1
        self._inline_since = 0.0
        self._stalled = 0.0
        self._finished = 0
        self._over = False
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._dozing = False
        self._threads: list[threading.Thread] = []

    @property
    def size(self) -> int:
        """How many threads there are, apart from those that stand in for others."""
        return self._count

    @property
    def busy(self) -> int:
        """Threads that run the application now."""
        leading = self._leader >= 0 and not self._inline_since
        return self._count - self._free - leading

    @property
    def waiting(self) -> int:
        """Requests without a thread."""
        return len(self._waiting)

    @property
    def is_over(self) -> bool:
        """True after `finish()`."""
        return self._over

    def ident(self, number: int) -> int | None:
        """The system's name for thread *number*."""
        return self._threads[number].ident if number < len(self._threads) else None

    def start(self) -> None:
        """Start a thread that leads; the others are started when there is something to do."""
        with self._turn:
            self._order(LEAD)

    def _order(self, order: Any) -> None:
        """Give *order* to a free thread; under the lock, when there is one."""
        self._free -= 1
        self._orders.put(order)
        if self._parked:
            self._parked -= 1
            return
        number = len(self._threads)
        thread = threading.Thread(
            target=self._work, args=(number,), name=f"so-{number}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def finish(self) -> None:
        """Let all threads go, once they are done with what they do."""
        with self._turn:
            self._over = True
            for _ in self._threads:
                self._orders.put(None)
        self._bell.put(None)

    def is_leader(self, number: int) -> bool:
        """Whether thread *number* leads."""
        return self._leader == number and not self._over

    # --- the leader's calls ----------------------------------------------------------------------

    def take(self, job: Any, number: int) -> bool | None:
        """Have *job* run; the leader's call.

        True: it ran right here, and thread *number* still leads. False: another thread has it, or
        will, or took the lead meanwhile; hands off. None: there is no room, it must be turned away.
        """
        if self._stalled < _STALL_LIMIT and self._free > 0 and not self._waiting:
            return self._run_here(job, number)
        with self._turn:
            if self._free > 0:
                self._order(job)
                return False
            if len(self._waiting) >= self._queue_limit:
                return None
            self._waiting.append(job)
            return False

    def _run_here(self, job: Any, number: int) -> bool:
        self._inline_since = time.monotonic()
        if self._dozing:
            self._dozing = False
            self._bell.put(None)
        self._do(job, number)
        with self._turn:
            if self._leader == number:
                self._inline_since = 0.0
                self._stalled -= self._stalled * _STALL_WEIGHT
                return True
        self._settle(job)
        return False

    def _do(self, job: Any, number: int) -> None:
        try:
            self._run(job, number)
        except Exception:
            # Whatever it was: the job must be settled, and the thread must go on.
            log.exception("a request broke the server's own code")
        self._finished += 1

    # --- standing aside --------------------------------------------------------------------------

    def step_aside(self, number: int) -> bool:
        """Let another thread work in place of *number*; False when too many have done so.

        To be called in the middle of a job, and undone by `step_back()` at its end.
        """
        with self._turn:
            if self._aside >= _ASIDE_LIMIT:
                return False
            self._aside += 1
            self._free += 1
            if self._leader == number:
                self._inline_since = 0.0
                self._leader = -1
                self._order(LEAD)
            elif self._waiting:
                self._order(self._waiting.popleft())
        return True

    def step_back(self) -> None:
        """Count again, after `step_aside()`."""
        with self._turn:
            self._aside -= 1
            self._free -= 1

    # --- the threads -----------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        order = self._orders.get()
        while order is not None:
            if order is LEAD:
                with self._turn:
                    self._leader = number
                self._lead(number)
            else:
                self._serve(order, number)
            order = self._next(number)

    def _serve(self, job: Any, number: int) -> None:
        begun = time.monotonic()
        self._do(job, number)
        stalled = time.monotonic() - begun > STALL_SECONDS
        self._stalled += (stalled - self._stalled) * _STALL_WEIGHT
        self._settle(job)

    def _next(self, number: int) -> Any:
        with self._turn:
            if self._waiting and self._free >= 0:
                return self._waiting.popleft()
            self._free += 1
            self._parked += 1
        return self._orders.get()

    # --- the watch -------------------------------------------------------------------------------

    def watch(self, seconds: float) -> None:
        """Look after the leader for about *seconds*; the main thread's call, again and again."""
        until = time.monotonic() + seconds
        quiet, seen = 0, self._finished
        while not self._over and (remaining := until - time.monotonic()) > 0:
            if quiet >= _QUIET_NAPS:
                self._doze(remaining)
                quiet = 0
            else:
                time.sleep(_NAP_SECONDS)
            since = self._inline_since
            if since and time.monotonic() - since > STALL_SECONDS:
                self._pass_lead_on(since)
            quiet = quiet + 1 if self._finished == seen and not since else 0
            seen = self._finished

    def _doze(self, seconds: float) -> None:
        """Sleep until the leader begins a request, so that an idle worker sleeps as a whole."""
        self._dozing = True
        try:
            self._bell.get(timeout=seconds)
        except Empty:
            pass
        finally:
            self._dozing = False

    def _pass_lead_on(self, since: float) -> None:
        with self._turn:
            # Still in the same request? And is there anybody to take over?
            if self._inline_since != since or self._free <= 0:
                return
            self._inline_since = 0.0
            self._stalled += (1 - self._stalled) * _STALL_WEIGHT
            self._leader = -1
            self._order(LEAD)
