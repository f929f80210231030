"""Runs jobs in this very process: `queue:work --once` and `--workers=0`, for cron and debuggers.

Simple to follow and to step through, and still nothing can hang for ever: an alarm ends what is
over its time, and a small process beside it sees to what ignores the alarm.
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
from typing import Any, NoReturn

from so.errors import DatabaseError, TimeoutExceeded
from so.support import systemd
from so.support.processes import descendants
from so.systems.queue.control import BEAT_SECONDS
from so.systems.queue.queue import Queue
from so.systems.queue.running import Interrupted, Outcome, TimeUp
from so.systems.queue.sqltools import Retry
from so.systems.queue.store import Reserved
from so.systems.queue.waking import Watch
from so.systems.worker.lines import to_stdout
from so.systems.worker.loop import Worker
from so.systems.worker.opened import OpenedFile
from so.systems.worker.options import WorkerOptions
from so.systems.worker.stacks import StackFile

log = logging.getLogger("so.queue")
ALARM_SECONDS = 0.2
GUARD_SECONDS = 30


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
        self._guard: tuple[int, int] | None = None
        self._started_at = int(queue.clock.time())
        self._notify = systemd.Notifier()

    def run(self) -> int:
        """Work until there is a reason to end; the exit code."""
        with self._handlers() if self._has_signals else contextlib.nullcontext():
            try:
                self._generation = self.queue.control.generation(self.worker.conn)
                self._opened = OpenedFile(self.worker.conn)
                if self.options.on_boot is not None:
                    self.options.on_boot()
                if not self.options.once:
                    self.worker.on_look = self._look
                self._notify.ready()
                return self.worker.run()
            finally:
                self._notify.stopping()
                self._close()

    def _close(self) -> None:
        self._dismiss_guard()
        with contextlib.suppress(DatabaseError):
            if self._beat_at:
                self.queue.control.leave(self.worker.conn, self.worker.name)
        if not self.worker.is_alone:
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
        if not timeout or not self._has_signals:
            return
        self._dismiss_guard()
        self._deadline = time.monotonic() + timeout
        signal.setitimer(signal.ITIMER_REAL, timeout, ALARM_SECONDS)
        if not self.worker.is_alone:
            self._set_guard(row, payload, timeout)

    def _after(self, outcome: Outcome) -> None:
        if self._deadline:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self._deadline = 0.0
        self._dismiss_guard()
        if self.worker.is_too_big():
            log.warning("queue: over the memory limit of %s MB, ending", self.options.memory_mb)
            self.worker.stop()

    def _set_guard(self, row: Reserved, payload: Any, timeout: float) -> None:
        """Fork a process that waits for the end of this job, or of its time and grace."""
        self.worker.lines.flush()
        mine, guards = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(guards)
            self._be_guard(parent, mine, row, payload, timeout)
        os.close(mine)
        self._guard = (pid, guards)

    def _dismiss_guard(self) -> None:
        if self._guard is not None:
            pid, handle = self._guard
            self._guard = None
            os.close(handle)  # which is what it waits for
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _be_guard(
        self, parent: int, handle: int, row: Reserved, payload: Any, timeout: float
    ) -> NoReturn:
        """In the guard: nothing to do when the job ends in time, else everything."""
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGUSR2, signal.SIGCONT):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            patience = timeout + self.options.kill_grace_seconds
            ended, _, _ = select.select([handle], [], [], patience)
            if not ended:
                signal.alarm(GUARD_SECONDS)
                self._end_late(parent, row, payload, timeout)
        finally:
            os._exit(0)

    def _end_late(self, parent: int, row: Reserved, payload: Any, timeout: float) -> None:
        error = TimeoutExceeded(f"{payload.name} ran for longer than {timeout:g} seconds")
        error.stack = self._stack.ask(parent)  # type: ignore[attr-defined]  # read when the trace is written
        for pid in [*descendants(parent), parent]:
            if pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        outcome = self.worker.runner.verdict(row, payload, error)
        outcome.payload = payload
        conn = self.queue.worker_connection()
        if self.queue.settler.settle(conn, row, outcome, Retry(patience=GUARD_SECONDS / 2)):
            word = "FAIL" if outcome.kind == "failed" else "RETRY"
            self.worker.lines.tell(row, payload.name, word, None, f"TimeoutExceeded: {error}")
            self.worker.lines.flush()
            if outcome.kind == "failed":
                self.queue.call_failed(payload, error)

    # --- looking around ---

    def _look(self) -> None:
        now = time.monotonic()
        if self.queue.control.generation(self.worker.conn) != self._generation:
            log.info("queue: restart was asked for")
            self.worker.stop()
        elif not self.worker.stopping and self._opened.is_replaced():
            self.worker.stop()
        if now - self._beat_at >= BEAT_SECONDS:
            self._beat_at = now
            self._beat()

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
