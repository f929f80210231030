"""Counts the statements of a piece of work, and keeps the slow ones: their text, never a value.

Heard from every thread of a process and kept in memory; written when a request, or a worker that
looks for jobs, comes by ten seconds after the last time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Any

from so.errors import DatabaseError
from so.settings.console import ConsoleSettings
from so.support.masking import Masker
from so.support.scope import current_scope

log = logging.getLogger("so")

TABLE = "console_statements"
LONGEST = 1000  # characters of a statement
AT_ONCE = 50  # that wait to be written; of more the newest
FLUSH_SECONDS = 10.0


class Statements:
    """Those of one process."""

    def __init__(self, app: Any, settings: ConsoleSettings) -> None:
        self._app, self._settings = app, settings
        self._slow: deque[dict[str, Any]] = deque(maxlen=AT_ONCE)
        self._masker = Masker()
        self._guard = threading.Lock()
        self._flushed_at = time.monotonic()

    def hear(self, event: Any) -> None:
        """Count a statement; keep it if it was slow."""
        scope = current_scope()
        if scope is not None:
            scope.data["statements"] = scope.data.get("statements", 0) + 1
        if event.time_ms >= self._settings.slow_statement_ms:
            route = None if scope is None else scope.route
            kind = "script" if scope is None else scope.kind
            self._slow.append(
                {
                    "at": int(self._app.clock.time()),
                    "ms": int(event.time_ms),
                    "statement": self._masker.text(" ".join(event.sql.split()))[:LONGEST],
                    "source": (kind if route is None else f"/{str(route.uri).lstrip('/')}")[:255],
                    "request_id": "" if scope is None else str(scope.request_id)[:64],
                }
            )

    def write(self) -> None:
        """Write what was kept, if there is any and it is time; never within a transaction."""
        if not self._slow or time.monotonic() - self._flushed_at < FLUSH_SECONDS:
            return
        db = self._app.make("db")
        if db.transaction_level():
            return
        with self._guard:
            self._flushed_at, rows = time.monotonic(), list(self._slow)
            self._slow.clear()
        try:
            db.table(TABLE).insert(rows)
            newest = int(db.table(TABLE).max("id") or 0)
            db.table(TABLE).where("id", "<=", newest - self._settings.keep_requests).delete()
        except DatabaseError as error:
            log.debug("console: slow statements are not noted: %s", error)
