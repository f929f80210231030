"""What several lights ask of one row each, in one statement for each database it lies in.

A question is a query of one column and at most one row. Where they cannot be asked together, as
with a table that is missing, each light asks its own, so that it alone says what is wrong.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from so.db.expressions import raw
from so.errors import SixOrbitError
from so.web.console.jobs import tasks
from so.web.console.pages.cache import ENDLESS, own_rows

LEFT_SECONDS = 15.0  # a lock without an end that is held for longer may have been left


def _broken(app: Any) -> Any:
    """The newest request that failed."""
    columns = "'at', at, 'method', method, 'route', route, 'status', status, 'why', exception"
    rows = app.make("db").table("console_requests").where("status", ">=", 500)
    return rows.select(raw(f"json_object({columns})")).order_by_desc("id").limit(1)


def _failure(app: Any) -> Any:
    """The newest failed job."""
    rows = app.make("queue").source.connection().table("failed_jobs")
    newest = rows.new_query().from_("failed_jobs").select(raw("max(id)"))
    found = rows.where("id", newest)
    return found.select(raw("json_object('at', failed_at, 'job', job)"))


def _begun(app: Any) -> Any:
    """When something of the schedule was begun, the last time."""
    rows = app.make("queue").source.connection().table("queue_schedule_runs")
    return rows.where_in("task", list(tasks(app))).select(raw("max(run_at)"))


def _endless(app: Any) -> Any:
    now = int(app.clock.time())
    rows = own_rows(app, "cache_locks").where("expiration", ">", now + ENDLESS)
    # A token is the microsecond in which the lock was taken.
    return rows.where("token", ">", 0).where("token", "<=", int((now - LEFT_SECONDS) * 1_000_000))


def _left(app: Any) -> Any:
    """The lock without an end that has been held the longest."""
    columns = "'name', hex(`key`), 'owner', owner, 'token', token"
    return _endless(app).select(raw(f"json_object({columns})")).order_by("token").limit(1)


def _noted(event: str) -> Callable[[Any], Any]:
    """The newest entry that a verification of the trail with this outcome left."""

    def newest(app: Any) -> Any:
        rows = app.make("activity").db.connection().table("activity_log").select("id")
        rows = rows.where("log_name", "audit").where("event", event)
        return rows.order_by_desc("id").limit(1)

    return newest


def _refused(app: Any) -> Any:
    """The first entry that may not be sealed."""
    rows = app.make("activity").db.connection().table("activity_log")
    return rows.where("seal_no", 0).order_by("id").limit(1).select("id")


def _newest_minute(app: Any) -> Any:
    """The figures that a worker wrote last."""
    rows = app.make("db").table("console_history").where("minute", ">", app.clock.time() // 60 - 5)
    return rows.order_by_desc("minute").limit(1).select("figures")


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "broken": _broken, "failure": _failure, "begun": _begun, "left": _left,
    "locks": lambda app: _endless(app).select(raw("count(*)")),
    "verified": _noted("verified"), "tampered": _noted("tampered"), "refused": _refused,
    "minute": _newest_minute,
}  # fmt: skip


class Glance:
    """The answers by name, as of the first time that one is asked for."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._answers: dict[str, Any] | None = None

    def answer(self, name: str) -> Any:
        """The value of the one row; None if there is none. Raises what asking alone raises."""
        if self._answers is None:
            self._answers = self._together()
        if name not in self._answers:
            query = QUESTIONS[name](self._app)
            self._answers[name] = _values(query.runner, [query])[0]
        return self._answers[name]

    def row(self, name: str) -> dict[str, Any] | None:
        """The columns that the question asks for as one JSON object."""
        text = self.answer(name)
        found: dict[str, Any] | None = None if text is None else json.loads(text)
        return found

    def _together(self) -> dict[str, Any]:
        queries: dict[Any, dict[str, Any]] = defaultdict(dict)
        for name, question in QUESTIONS.items():
            with suppress(SixOrbitError, OSError):
                query = question(self._app)
                queries[query.runner][name] = query
        found: dict[str, Any] = {}
        for connection, asked in queries.items():
            with suppress(SixOrbitError, OSError):
                values = _values(connection, list(asked.values()))
                found.update(zip(asked, values, strict=True))
        return found


def _values(connection: Any, queries: Sequence[Any]) -> Sequence[Any]:
    sql = ", ".join(f"({query.to_sql()})" for query in queries)
    bindings = [value for query in queries for value in query.get_bindings()]
    found: Sequence[Any] = connection.select_tuples(f"select {sql}", bindings)[0]
    return found
