"""A second thread for the moment when one of a group of short jobs turns out to be long.

It gives the jobs that wait behind it back to other workers, removes those that are already done,
prints the lines that were held back, and where no crew does it (any more), renews the leases.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from so.errors import DatabaseError
from so.systems.queue.sqltools import Retry

if TYPE_CHECKING:
    from so.systems.worker.loop import Worker

log = logging.getLogger("so.queue")
LONG_SECONDS = 0.025


class Leftovers:
    """Watches one worker; its thread starts when there is something to watch."""

    def __init__(self, worker: Worker, keeps_leases: bool) -> None:
        """*keeps_leases* where nobody else renews them."""
        self._worker = worker
        self.keeps_leases = keeps_leases
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
            except DatabaseError as error:
                log.warning("queue: could not look after what is left over: %s", error)
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
            self._renewed_at = now
            self._renew()

    def _rescue(self) -> None:
        worker = self._worker
        with worker.lock:
            if worker.current is None:
                return
            waiting, ended = list(worker.waiting), worker.finished
            worker.waiting.clear()
            worker.finished = []
        worker.lines.flush()
        if not waiting and not ended:
            return
        conn, retry = self._connection(), Retry()
        by_claim: dict[str, list[Any]] = {}
        for row in ended:
            by_claim.setdefault(row.worker, []).append(row)
        for rows in by_claim.values():
            retry(conn, partial(worker.store.delete_many, conn, rows))
        worker.queue.settler.give_back(conn, waiting, retry)
        if waiting:
            worker.queue.wake()

    def _renew(self) -> None:
        worker = self._worker
        with worker.lock:
            held = [*worker.waiting, *worker.finished]
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
