"""The jobs that one process has in hand: claimed, running, or ended and not yet removed.

Two threads work on them, under one lock: the worker (loop.py) and that of the leftovers, for the
moment when one of a group of short jobs turns out to be long. It gives the jobs that wait behind it
back to other workers, removes those that are already done, prints the lines that were held back,
and where no crew does it (any more), renews the leases.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

from so.support.ids import short_id
from so.systems.queue.queue import Queue
from so.systems.queue.tables.jobs import Reserved
from so.systems.queue.tables.sql import Retry
from so.systems.worker.lines import JobLines
from so.systems.worker.options import WorkerOptions


def worker_name() -> str:
    """A name for this process that no other has had: host, pid and something random."""
    host = "".join(c for c in socket.gethostname() if c.isascii() and c.isalnum() or c == "-")
    return f"{host[:20]}-{os.getpid()}-{short_id()}"


class InHand:
    """What is claimed under one worker's name, and how far it is."""

    def __init__(
        self, queue: Queue, options: WorkerOptions | None, out: Callable[[str], Any] | None
    ) -> None:
        """*out* gets the lines (None: nothing is printed)."""
        self.queue = queue
        self.options = options or WorkerOptions(queues=[queue.default_queue])
        self.name = worker_name()
        self.store = queue.store
        self.lines = JobLines(queue.clock, as_json=self.options.as_json, out=out)
        self.lock = Lock()
        self.waiting: deque[Reserved] = deque()
        self.finished: list[Reserved] = []
        self.leaving: list[Reserved] = []
        """What the thread of the leftovers is about to write down."""
        self.current: Reserved | None = None
        self.current_since = 0.0
        self.sequence = 0
        self.on_claim: Callable[[int], None] = lambda number: None


log = logging.getLogger("so.queue")
LONG_SECONDS = 0.025
PAUSE_SECONDS = 0.5
TRY_SECONDS = 2.0
"""Seconds for one try; what cannot be written down until then is tried again."""


class Leftovers:
    """Watches one worker; its thread starts when there is something to watch."""

    def __init__(self, worker: InHand, keeps_leases: bool) -> None:
        """*keeps_leases* where nobody else renews them."""
        self._worker = worker
        self.keeps_leases = keeps_leases
        self.try_seconds = TRY_SECONDS
        self._busy = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None
        self._conn: Any = None
        self._renewed_at = time.monotonic()

    def watch(self) -> None:
        """Look closely until the worker is idle."""
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._run, name="leftovers", daemon=True)
            self._thread.start()
        if not self._busy.is_set():
            self._busy.set()

    def stop(self) -> None:
        """End the thread."""
        self._ended = True
        self._busy.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            self._busy.wait()
            if self._ended:
                break
            if self._is_idle():
                self._busy.clear()
                # Once more: it may have begun just before the event was cleared.
                if not self._is_idle():
                    self._busy.set()
                continue
            time.sleep(LONG_SECONDS)
            try:
                self._attend()
            except Exception as error:
                log.warning("queue: could not look after what is left over: %s", error)
                time.sleep(PAUSE_SECONDS)
        if self._conn is not None:
            self._conn.close()

    def _is_idle(self) -> bool:
        worker = self._worker
        return worker.current is None and not worker.waiting

    def _attend(self) -> None:
        worker, now = self._worker, time.monotonic()
        if worker.current is not None and now - worker.current_since >= LONG_SECONDS:
            self._rescue()
        if self.keeps_leases and now - self._renewed_at >= worker.options.lease_seconds / 3:
            self._renew()
            self._renewed_at = now

    def _rescue(self) -> None:
        worker = self._worker
        with worker.lock:
            if worker.current is None:
                return
            waiting, ended, number = list(worker.waiting), worker.finished, worker.sequence
            worker.waiting.clear()
            worker.finished = []
            worker.leaving = [*waiting, *ended]
        worker.lines.flush()
        try:
            self._write_down(waiting, ended)
        finally:
            self._take_back(waiting, ended)
        if number == worker.sequence:
            worker.on_claim(0)

    def _write_down(self, waiting: list[Reserved], ended: list[Reserved]) -> None:
        """Remove and give back; both lists lose what is written down."""
        worker = self._worker
        if not waiting and not ended:
            return
        conn, retry = self._connection(), Retry(self.try_seconds, outlasts=True)
        while ended:
            rows = [row for row in ended if row.worker == ended[0].worker]
            retry(conn, partial(worker.store.delete_many, conn, rows))
            ended[:] = [row for row in ended if row not in rows]
        had_waiting = bool(waiting)
        while waiting:
            # To be looked at anew before it is started, should this fail with its answer lost.
            waiting[-1].lease_until = 0
            worker.queue.settler.give_back(conn, waiting[-1:], retry)
            waiting.pop()
        if had_waiting:
            worker.queue.wake()

    def _take_back(self, waiting: list[Reserved], ended: list[Reserved]) -> None:
        """Keep what could not be written down: the worker sees to it, or the next look does."""
        worker = self._worker
        with worker.lock:
            worker.leaving = []
            worker.waiting.extendleft(reversed(waiting))
            worker.finished = ended + worker.finished

    def _renew(self) -> None:
        worker = self._worker
        with worker.lock:
            held = [*worker.waiting, *worker.finished, *worker.leaving]
            if worker.current is not None:
                held.append(worker.current)
        if held:
            until = int(worker.queue.clock.time()) + worker.options.lease_seconds
            ids = [row.id for row in held]
            worker.store.extend(self._connection(), ids, f"{worker.name}/", until)

    def _connection(self) -> Any:
        if self._conn is None:
            self._conn = self._worker.queue.worker_connection()
        return self._conn
