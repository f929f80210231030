"""Runs jobs in this very process: `queue:work --once` and `--workers=0`, for cron and debuggers.

Simple to follow and to step through, and still nothing can hang for ever: an alarm ends what is
over its time, and a small process beside it (guard.py) sees to what ignores the alarm.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from so.errors import DatabaseError
from so.support import systemd
from so.systems.queue.queue import Queue
from so.systems.queue.run.run import Interrupted, JobOutcome, TimeUp
from so.systems.queue.tables.jobs import Reserved
from so.systems.queue.tables.workers import BEAT_SECONDS
from so.systems.queue.waking import Watch
from so.systems.worker.guard import CrewGuard
from so.systems.worker.lines import to_stdout
from so.systems.worker.loop import Worker, memory_mb
from so.systems.worker.opened import OpenedFile
from so.systems.worker.options import WorkerOptions
from so.systems.worker.stacks import StackFile

log = logging.getLogger("so.queue")
ALARM_SECONDS = 0.2


class Single:
    """A Worker with signals, alarm and bell of its own."""

    def __init__(
        self, queue: Queue, options: WorkerOptions, out: Callable[[str], Any] | None = to_stdout
    ) -> None:
        """Nothing is changed in this process before `run()`."""
        self.queue = queue
        self.options = options
        self.worker = Worker(queue, options, out=None if options.quiet else out)
        self.worker.on_job = self._begin
        self.worker.after_job = self._after
        self.worker.wait = self._wait
        self.worker.is_paused = lambda: self._paused
        self._paused = False
        self._deadline = 0.0
        self._stops = 0
        # Signals are the main thread's; elsewhere jobs run without an alarm.
        self._has_signals = threading.current_thread() is threading.main_thread()
        self._generation = 0
        self._opened: OpenedFile
        self._beat_at = 0.0
        self._ear = None if options.once else queue.bell.listen()
        self._watch = Watch(
            queue.store,
            queue.worker_connection(),
            queue.clock,
            options.sleep_seconds,
            has_bell=self._ear is not None,
        )
        self._wake_in, self._wake_out = os.pipe()
        self._stack = StackFile()
        self._guard: CrewGuard | None = None
        if self._has_signals and not self.worker.is_alone:
            # It keeps the lease as well: no thread of our own, beside which jobs would fork.
            self.worker.leftovers = None
            self._guard = CrewGuard(queue, options, self.worker, self._stack)
        self._started_at = int(queue.clock.time())
        self._notify = systemd.Notifier()

    def run(self) -> int:
        """Work until there is a reason to end; the exit code."""
        with self._handlers() if self._has_signals else contextlib.nullcontext():
            try:
                if self._guard is not None:
                    self._guard.start()
                self._generation = self.queue.control.generation(self.worker.conn)
                self._opened = OpenedFile(self.worker.conn)
                if self.options.on_boot is not None:
                    self.options.on_boot()
                self.worker.on_outage = self._end_if_replaced
                if not self.options.once:
                    self.worker.on_look = self._look
                self._notify.ready()
                return self.worker.run()
            finally:
                self._notify.stopping()
                self._close()

    def _close(self) -> None:
        if self._guard is not None:
            self._guard.close()
        with contextlib.suppress(DatabaseError):
            if self._beat_at:
                self.queue.control.leave(self.worker.conn, self.worker.name)
        if not self.worker.is_alone:
            self._watch.close()
            self.worker.conn.close()
        if self._ear is not None:
            self._ear.close()
        self._stack.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    # --- signals ---

    @contextlib.contextmanager
    def _handlers(self) -> Iterator[None]:
        handlers: dict[int, Any] = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGALRM: self._on_alarm,
            signal.SIGUSR2: lambda *_: self._set_paused(True),
            signal.SIGCONT: lambda *_: self._set_paused(False),
        }
        before = {number: signal.signal(number, fn) for number, fn in handlers.items()}
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        descriptor = signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        self._stack.register()
        try:
            yield
        finally:
            self._stack.unregister()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _set_paused(self, paused: bool) -> None:
        self._paused = paused
        log.info("queue: %s by a signal", "paused" if paused else "continued")

    def _on_stop(self, *_: Any) -> None:
        self._stops += 1
        self.worker.stop()
        if self._stops > 1 and self.worker.runner.inside:
            raise Interrupted

    def _on_alarm(self, *_: Any) -> None:
        if self.worker.runner.inside and self._deadline and time.monotonic() >= self._deadline:
            raise TimeUp

    # --- time ---

    def _begin(self, row: Reserved, payload: Any, timeout: float | None) -> None:
        if self._guard is not None:
            self._guard.begin(row, payload, timeout)
        if timeout and self._has_signals:
            self._deadline = time.monotonic() + timeout
            signal.setitimer(signal.ITIMER_REAL, timeout, ALARM_SECONDS)

    def _after(self, outcome: JobOutcome) -> None:
        if self._deadline:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self._deadline = 0.0
        if self._guard is not None:
            self._guard.end()
        if self.worker.is_too_big():
            log.warning("queue: over the memory limit of %s MB, ending", self.options.memory_mb)
            self.worker.stop()

    # --- looking around ---

    def _look(self) -> None:
        now = time.monotonic()
        self._end_if_replaced()  # first: nothing can be asked of a file that is gone
        if self.worker.stopping:
            return
        if self.queue.control.generation(self.worker.conn) != self._generation:
            log.info("queue: restart was asked for")
            self.worker.stop()
        if now - self._beat_at >= BEAT_SECONDS:
            self._beat_at = now
            self._beat()

    def _end_if_replaced(self) -> None:
        if not self.worker.stopping and self._opened.is_replaced():
            self.worker.stop()

    def _beat(self) -> None:
        self._notify.watchdog()
        self.queue.control.beat(
            self.worker.conn,
            {
                "id": self.worker.name,
                "host": socket.gethostname()[:255],
                "pid": os.getpid(),
                "queues": self.options.queues,
                "processes": 1,
                "state": "paused" if self._paused else "running",
                "generation": self._generation,
                "done": self.worker.done,
                "failed": self.worker.failed,
                "started_at": self._started_at,
                "memory_mb": round(memory_mb()),
            },
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + self.options.sleep_seconds
        handles: list[Any] = [self._wake_in, *([self._ear] if self._ear is not None else [])]
        while not self.worker.stopping and time.monotonic() < deadline:
            ready, _, _ = select.select(handles, [], [], min(self._watch.pause(), 0.5))
            if self._wake_in in ready:
                os.read(self._wake_in, 4096)
            if self._ear is not None and self._ear in ready:
                self._ear.drain()
                self._watch.note_activity()
                return
            self.worker.look()
            if not self._paused and self._is_due():
                return

    def _is_due(self) -> bool:
        try:
            return self._watch.look(self.worker.open_queues())
        except DatabaseError as error:
            log.warning("queue: cannot look for work: %s", error)
            time.sleep(ALARM_SECONDS)
            return False
