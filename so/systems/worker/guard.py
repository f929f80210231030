"""A process beside the only worker: it renews the lease of its job, says that the worker lives
and where it is, and ends what hangs for good.

It is forked once, before anything else runs here: jobs may start threads, beside which a fork can
inherit locks that nobody gives back (and CPython 3.15 refuses it where warnings are errors).
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

from so.errors import DatabaseError, TimeoutExceeded
from so.support.processes import descendants, fork
from so.support.scope import entered
from so.systems.queue.payload import Payload
from so.systems.queue.queue import Queue
from so.systems.queue.run.runner import JobRunner, scope_of
from so.systems.queue.tables.jobs import Reserved
from so.systems.queue.tables.sql import Retry
from so.systems.queue.tables.workers import BEAT_SECONDS
from so.systems.worker.loop import Worker
from so.systems.worker.options import WorkerOptions
from so.systems.worker.stacks import LONGEST

log = logging.getLogger("so.queue")
LAST_WORDS_SECONDS = 30
AGAIN_SECONDS = 1.0


class CrewGuard:
    """The worker's side: forks the guard, and tells it of each job."""

    def __init__(self, queue: Queue, options: WorkerOptions, worker: Worker, stack: Any) -> None:
        """*stack* is a file that the worker writes its stack to; nothing is forked yet."""
        self._make: Callable[[int, int], _Watchman] = lambda parent, pipe: _Watchman(
            queue, options, worker, stack, parent, pipe
        )
        self._lines = worker.lines
        self._pid = 0
        self._pipe = -1

    def start(self) -> None:
        """Fork the process that waits for jobs to hang."""
        self._lines.flush()
        theirs, self._pipe = os.pipe()
        parent = os.getpid()
        self._pid = fork()
        if self._pid == 0:
            os.close(self._pipe)
            self._make(parent, theirs).run()
        os.close(theirs)

    def begin(self, row: Reserved, payload: Payload, timeout: float | None) -> None:
        """Say that the job in *row* starts now, and how many seconds it may run."""
        doing = {"id": row.id, "job": payload.name, "queue": row.queue}
        self._tell(f"{json.dumps([doing, timeout or 0, row.worker])}\n")

    def end(self) -> None:
        """Say that nothing runs any more."""
        self._tell("\n")

    def _tell(self, text: str) -> None:
        # Should it have died, the job runs unguarded: that is no reason to fail it.
        with contextlib.suppress(OSError):
            os.write(self._pipe, text.encode())

    def close(self) -> None:
        """Dismiss it."""
        if self._pid:
            os.close(self._pipe)  # which is what it waits for
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0


class _Watchman:
    """The guard's own side."""

    def __init__(
        self,
        queue: Queue,
        options: WorkerOptions,
        worker: Worker,
        stack: Any,
        parent: int,
        pipe: int,
    ) -> None:
        self._queue = queue
        self._options = options
        self._name, self._lines = worker.name, worker.lines
        self._stack = stack
        self._parent = parent
        self._pipe = pipe
        self._conn: Any = None
        self._doing: dict[str, Any] = {}
        self._began = 0.0
        self._told: tuple[float, str] = (-math.inf, "")  # when the stack was asked for, and it
        self._claim = ""
        self._timeout = 0.0
        self._deadline = math.inf
        self._renew_at = self._beat_at = math.inf

    def run(self) -> NoReturn:
        """Watch until the worker is gone, or had to be ended."""
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGUSR2, signal.SIGCONT):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while self._listen():
                if time.monotonic() >= self._deadline:
                    signal.alarm(LAST_WORDS_SECONDS)
                    self._end_late()
                    break
                if time.monotonic() >= self._renew_at:
                    self._renew()
                if time.monotonic() >= self._beat_at:
                    self._beat()
        finally:
            os._exit(0)

    def _listen(self) -> bool:
        """Wait for a word of the worker's or something to do; False when the worker is gone."""
        pause = min(self._deadline, self._renew_at, self._beat_at) - time.monotonic()
        waiting = None if pause == math.inf else max(0.0, pause)
        ready, _, _ = select.select([self._pipe], [], [], waiting)
        if ready:
            text = os.read(self._pipe, 65_536).decode()
            if not text:
                return False
            self._hear(text.splitlines()[-1])
        # A process that the job has left behind may keep the pipe open.
        return os.getppid() == self._parent

    def _hear(self, line: str) -> None:
        if not line:
            self._deadline = self._renew_at = self._beat_at = math.inf
            return
        self._doing, self._timeout, self._claim = json.loads(line)
        self._began = now = time.monotonic()
        self._told = (-math.inf, "")
        self._beat_at = now + min(BEAT_SECONDS, self._options.stuck_seconds)
        self._renew_at = now + self._options.lease_seconds / 3
        patience = self._timeout + self._options.kill_grace_seconds
        self._deadline = now + patience if self._timeout else math.inf

    def _renew(self) -> None:
        if _is_stopped(self._parent):
            # Who knows for how long: its job is for those who can run it.
            self._renew_at = time.monotonic() + AGAIN_SECONDS
            return
        try:
            until = int(self._queue.clock.time()) + self._options.lease_seconds
            conn = self._connection()
            self._queue.store.extend(conn, [self._doing["id"]], self._claim, until)
            self._renew_at = time.monotonic() + self._options.lease_seconds / 3
        except DatabaseError as error:
            id = self._doing["id"]
            log.warning("queue: the lease of job %s cannot be renewed: %s", id, error)
            self._renew_at = time.monotonic() + AGAIN_SECONDS

    def _beat(self) -> None:
        """What the worker itself says between two jobs; one that stands still says nothing."""
        now = time.monotonic()
        self._beat_at = now + BEAT_SECONDS
        if _is_stopped(self._parent):
            return
        doing = {**self._doing, "seconds": round(now - self._began, 1), "pid": self._parent}
        if now - self._began >= self._options.stuck_seconds:
            doing["stack"] = self._where(now)
        try:
            self._queue.control.attend(self._connection(), self._name, doing)
        except DatabaseError as error:
            log.warning("queue: worker %s cannot be told of: %s", self._name, error)

    def _where(self, now: float) -> str:
        """Where the job is, asked once in so many seconds."""
        if now - self._told[0] >= self._options.stuck_seconds:
            self._told = now, self._stack.ask(self._parent)[:LONGEST]
        return self._told[1]

    def _connection(self) -> Any:
        if self._conn is None:
            self._conn = self._queue.worker_connection(quick=True)
        return self._conn

    def _end_late(self) -> None:
        stack = self._stack.ask(self._parent)
        for pid in [*descendants(self._parent), self._parent]:
            if pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        conn, retry = self._connection(), Retry(LAST_WORDS_SECONDS / 2, outlasts=True)
        store = self._queue.store
        for row in retry(conn, lambda: store.held(conn, self._claim, [self._doing["id"]])):
            self._write_down(conn, row, stack, retry)

    def _write_down(self, conn: Any, row: Reserved, stack: str, retry: Retry) -> None:
        payload = Payload.read(row.payload)
        with entered(scope_of(row, payload)):
            self._end(conn, row, payload, stack, retry)

    def _end(self, conn: Any, row: Reserved, payload: Payload, stack: str, retry: Retry) -> None:
        error = TimeoutExceeded(f"{payload.name} ran for longer than {self._timeout:g} seconds")
        error.stack = stack  # type: ignore[attr-defined]  # read when the trace is written
        outcome = JobRunner(self._queue.workshop, conn, self._options.limits).verdict(
            row, payload, error
        )
        outcome.payload = payload
        if self._queue.settler.settle(conn, row, outcome, retry):
            word = "FAIL" if outcome.kind == "failed" else "RETRY"
            self._lines.tell(row, payload.name, word, None, f"TimeoutExceeded: {error}")
            self._lines.flush()
            log.error("queue: job %s (%s) was over its time, killed", row.id, payload.name)
            if outcome.kind == "failed":
                self._queue.workshop.call_failed(payload, error)


def _is_stopped(pid: int) -> bool:
    """Whether the process *pid* stands still by a signal, where the system tells."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
