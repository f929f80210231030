"""One worker process: the loop over its connections, the threads of its crew, and the main thread.

The main thread watches over the others, tells the master that all is well, and what was served.
Processes and their replacement are the master's (so/server/master.py).
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import signal
import sys
import time
import traceback

from so.server import metrics
from so.server.loop import Loop
from so.server.poller import IN

log = logging.getLogger("so.server")

_BEAT_SECONDS = 1.0


class ServerWorker(Loop):
    """See the module."""

    def run(self) -> int:
        """Serve until SIGTERM and everything begun is finished; 0."""
        self._install_signals()
        self._entrance.open()
        self._poller.register(self._wake_in.fileno(), IN)
        if self._seat.has_bell:
            self._poller.register(self._seat.fileno(), IN)
        self._crew.start()
        rounds = -1
        while not self._crew.is_over:
            # The sign of life is the loop's: a worker whose loop stands still must look dead.
            if self._rounds != rounds:
                rounds = self._rounds
                self._report()
            self._check_stuck()
            self._crew.watch(_BEAT_SECONDS)
        self._report()
        if self._access:
            self._access.flush(_BEAT_SECONDS)
        return 0

    def _install_signals(self) -> None:
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        for signum in (signal.SIGTERM, signal.SIGINT):
            # The handler does nothing: the byte in the wake-up socket reaches whoever leads.
            signal.signal(signum, lambda *_: None)
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)
        # Without a standard error there is nowhere to write to.
        with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
            faulthandler.register(signal.SIGUSR1, all_threads=True)

    def _report(self) -> None:
        gauges = [len(self._connections), self._crew.busy, self._crew.waiting]
        self._lifeline.send([*self._counts, *gauges])

    def _check_stuck(self) -> None:
        """Log where a request that takes too long stands, and ask for a successor."""
        limit = self.limits.request_seconds
        if not limit:
            return
        now = time.monotonic()
        for number, exchange in list(self._running.items()):
            if now - exchange.progress > limit:
                exchange.progress = now
                self._counts[metrics.TIMEOUTS] += 1
                head = exchange.head
                log.error(
                    "%s %s gives no answer for %s seconds; the worker will be replaced\n%s",
                    head.method,
                    head.target,
                    limit,
                    self._stack_of(number),
                )
                exchange.overdue = True
                self._wake()
                self._retire()

    def _stack_of(self, number: int) -> str:
        frame = sys._current_frames().get(self._crew.ident(number) or 0)
        return "".join(traceback.format_stack(frame)) if frame else ""
