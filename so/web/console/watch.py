"""Counts requests, and keeps the last slow and failing ones.

A global middleware. It counts in memory and adds to the table when a request comes ten seconds
after the last time, so an idle server writes nothing. What is kept of a request is its route and
not its path: paths hold the secrets of reset links.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from so.errors import DatabaseError
from so.http.request import Request
from so.http.response import Response
from so.settings.console import ConsoleSettings
from so.support.scope import current_scope

log = logging.getLogger("so")

TABLE, COUNTERS = "console_requests", "console_counters"
FLUSH_SECONDS = 10.0
ROOM = 32  # rows above the limit until the oldest are deleted


class WatchRequests:
    """One for each process."""

    def __init__(self, app: Any, settings: ConsoleSettings, provider: Any) -> None:
        """*provider* writes slow statements."""
        self._app, self._settings, self._provider = app, settings, provider
        self._lock = threading.Lock()
        self._counts = {"requests": 0, "errors": 0, "request_ms": 0}
        self._flushed_at = time.monotonic()

    def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
        """Run the request; count it."""
        began = time.perf_counter()
        response = next(request)
        ms = int((time.perf_counter() - began) * 1000)
        failed = response.status >= 500 and response.status != 503
        with self._lock:
            counts = self._counts
            counts["requests"] += 1
            counts["errors"] += failed
            counts["request_ms"] += ms
            is_due = time.monotonic() - self._flushed_at >= FLUSH_SECONDS
        if is_due:
            self.flush()
        self._provider.write_statements()
        if (failed or ms >= self._settings.slow_ms) and self._settings.requests:
            self._tell(self._keep, request, response.status, ms)
        return response

    def flush(self) -> None:
        """Add what was counted to the table."""
        with self._lock:
            counts, self._counts = self._counts, dict.fromkeys(self._counts, 0)
            self._flushed_at = time.monotonic()
        self._tell(self._add, counts)

    def _tell(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except DatabaseError as error:
            log.debug("console: a request is not noted: %s", error)

    def _add(self, counts: dict[str, int]) -> None:
        db = self._app.make("db")
        if db.transaction_level():
            return  # a request that left one open is none to write in
        for name, amount in counts.items():
            row = db.table(COUNTERS).where("name", name)
            if amount and not row.increment("amount", amount):
                db.table(COUNTERS).insert_or_ignore({"name": name, "amount": 0})
                row.increment("amount", amount)

    def _keep(self, request: Request, status: int, ms: int) -> None:
        scope = current_scope()
        data: dict[str, Any] = {} if scope is None else scope.data
        route = None if scope is None else scope.route
        queries = data.get("queries")  # of which there are only so many, with debug
        user = None if scope is None else scope.user
        id = (
            self._app.make("db")
            .table(TABLE)
            .insert_get_id(
                {
                    "at": int(self._app.clock.time()),
                    "method": str(request.real_method)[:16],
                    "route": f"/{str(route.uri).lstrip('/')}"[:255] if route is not None else None,
                    "status": status,
                    "ms": ms,
                    "statements": data.get("statements", None if queries is None else len(queries)),
                    "user_id": None if user is None else str(_key(user))[:64],
                    "request_id": "" if scope is None else str(scope.request_id)[:64],
                    "exception": data.get("exception"),
                }
            )
        )
        if id % ROOM == 0:
            oldest = id - self._settings.keep_requests
            self._app.make("db").table(TABLE).where("id", "<=", oldest).delete()


def note_exception(error: BaseException) -> None:
    """Keep the words of an error with the request it broke."""
    scope = current_scope()
    if scope is not None:
        scope.data["exception"] = f"{type(error).__name__}: {error}"[:500]


def _key(user: Any) -> Any:
    get_key = getattr(user, "get_key", None)
    return get_key() if callable(get_key) else user
