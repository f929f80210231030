"""Requests: the last that were slow or failed."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.settings.console import ConsoleSettings
from so.support.markup import Markup, h
from so.web.console.parts import (
    light,
    moment,
    number,
    section,
    table,
)
from so.web.console.reading import people
from so.web.console.watch import TABLE

TITLE = "Requests"


def data(app: Any, request: Request) -> dict[str, Any]:
    """The ring, newest first."""
    settings = app.settings(ConsoleSettings)
    rows = app.make("db").table(TABLE).order_by_desc("id").limit(settings.keep_requests).get()
    names = people(app, [row["user_id"] for row in rows])
    return {
        "on": settings.requests,
        "slow_ms": settings.slow_ms,
        "requests": [{**row, "user": names.get(row["user_id"])} for row in rows],
    }


def draw(data: dict[str, Any], view: Any) -> Markup:
    """A line each."""
    about = (
        f"Kept are requests that failed or took {data['slow_ms']} ms or more."
        if data["on"]
        else "Nothing is kept: console.requests is off."
    )
    rows = table(
        "Requests",
        [
            ("When", lambda r: moment(r["at"])),
            ("Route", lambda r: f"{r['method']} {r['route'] or '(no route)'}"),
            ("Status", lambda r: light("bad" if r["status"] >= 500 else "ok", str(r["status"]))),
            ("Took", lambda r: f"{number(r['ms'])} ms"),
            ("Statements", "statements"),
            ("User", lambda r: r["user"] or r["user_id"]),
            ("Id", "request_id"),
            ("Exception", "exception"),
        ],
        data["requests"],
    )
    return section("Slow and failing requests", h("p", about, class_="soft"), rows, id="requests")
