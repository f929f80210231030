"""Failed jobs by their kind: one line for each class, exception and place in the code."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup
from so.web.console.parts import (
    link,
    moment,
    number,
    row,
    section,
    table,
)

TITLE = "Failed jobs"
NEWEST = 10_000  # failures that are grouped; older ones wait until those are gone


def data(app: Any, request: Request) -> dict[str, Any]:
    """The groups, the most frequent first."""
    groups = [g.to_dict() for g in app.make("queue").failed_jobs.groups(100, newest=NEWEST)]
    return {"groups": groups, "capped": sum(group["count"] for group in groups) >= NEWEST}


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Groups with what can be done to each."""

    def name(group: Any) -> Markup:
        return link(group["job"] or "?", view.url(f"/failed/{group['fingerprint'] or '-'}"))

    def actions(group: Any) -> Markup:
        kind = group["fingerprint"]
        return row(
            view.button("Try all again", "retry-group", fingerprint=kind),
            view.button("Forget all", "forget-group", fingerprint=kind),
        )

    groups = table(
        "Failed jobs by kind",
        [
            ("Job", name),
            ("How many", "count"),
            ("Reason", "reason"),
            ("First", lambda r: moment(r["first_at"])),
            ("Last", lambda r: moment(r["last_at"])),
            *([("Actions", actions)] if view.may_operate else []),
        ],
        data["groups"],
    )
    everything = row(
        view.button("Try every failed job again", "retry-group"),
        view.button("Forget every failed job", "forget-every"),
    )
    title = f"By kind, of the newest {number(NEWEST)}" if data["capped"] else "By kind"
    return section(title, groups, everything if data["groups"] else None, id="groups")
