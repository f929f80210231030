"""Work beside a request that must not hold it up: what a login leaves in the activity log.

SQLite has one writer a file. While a long import writes, an entry would make the login wait for
it; then it is written by a thread of its own as soon as the file is free. Servers lock rows, so
there it is written at once, as it is on SQLite whenever nobody else writes.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from so.errors import DatabaseError

PATIENCE_SECONDS = 900.0  # after which an entry is given up, with an error in the log
PAUSE_SECONDS = 0.25

logger = logging.getLogger("so.auth")


class Aside:
    """Does work at once, or later where the database of *connection* is being written."""

    def __init__(self, connection: Callable[[], Any]) -> None:
        self._connection = connection
        self._waiting: queue.Queue[tuple[contextvars.Context, Callable[[], object]]] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], object], *, stays: bool = False) -> None:
        """Do *work*, which writes one thing; raises what it raises, if it is done at once.

        With *stays*, it stays done when a transaction around it is rolled back.
        """
        is_within = stays and self._connection().in_transaction
        if not is_within and not self._is_busy():
            work()
            return
        self._waiting.put((contextvars.copy_context(), work))
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="so-aside", daemon=True)
                self._thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """Wait for what is still to be done, at most so long."""
        until = time.monotonic() + seconds
        while self._waiting.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.02)

    def _is_busy(self) -> bool:
        """True while another connection writes; within a transaction of ours nobody else does."""
        connection = self._connection()
        name = str(connection.config.get("database", ""))
        if connection.dialect.name != "sqlite" or connection.in_transaction:
            return False
        if not name or name.startswith((":", "file:")):
            return False
        with contextlib.closing(sqlite3.connect(name, timeout=0, isolation_level=None)) as probe:
            try:
                probe.execute("begin immediate")
                probe.execute("rollback")
            except sqlite3.OperationalError:
                return True
        return False

    def _work(self) -> None:
        while True:
            try:
                context, work = self._waiting.get(timeout=1)
            except queue.Empty:
                return
            try:
                self._try(context, work)
            finally:
                self._waiting.task_done()

    @staticmethod
    def _try(context: contextvars.Context, work: Callable[[], object]) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                context.run(work)
                return
            except DatabaseError:
                if time.monotonic() > until:
                    logger.exception("an entry of the activity log could not be written")
                    return
                time.sleep(PAUSE_SECONDS)
            except Exception:
                logger.exception("an entry of the activity log could not be written")
                return
