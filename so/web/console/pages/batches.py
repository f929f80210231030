"""Batches: how far each is, and an end to those that should not go on."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup
from so.web.console.parts import light, moment, progress, section, table

TITLE = "Batches"
NEWEST = 50


def data(app: Any, request: Request) -> dict[str, Any]:
    """The newest ones."""
    rows = app.make("queue").source.connection().table("job_batches")
    columns = (
        "id",
        "name",
        "total_jobs",
        "pending_jobs",
        "failed_jobs",
        "cancelled_at",
        "created_at",
        "finished_at",
    )
    found = rows.select(*columns).order_by_desc("created_at").limit(NEWEST).get()
    return {"batches": [{**row, "state": _state(row)} for row in found]}


def _state(row: Any) -> str:
    if row["cancelled_at"]:
        return "cancelled"
    if row["finished_at"]:
        return "finished"
    return "with failures" if row["failed_jobs"] else "running"


def draw(data: dict[str, Any], view: Any) -> Markup:
    """A line each."""
    kinds = {"cancelled": "warn", "with failures": "bad"}
    return section(
        "Batches",
        table(
            "Batches",
            [
                ("Batch", lambda r: r["name"] or r["id"]),
                ("State", lambda r: light(kinds.get(r["state"], "ok"), r["state"])),
                (
                    "Progress",
                    lambda r: progress(
                        r["total_jobs"] - r["pending_jobs"],
                        r["total_jobs"],
                        f"Progress of {r['name'] or r['id']}",
                    ),
                ),
                ("Failed", "failed_jobs"),
                ("Made", lambda r: moment(r["created_at"])),
                ("Finished", lambda r: moment(r["finished_at"])),
                (
                    "Actions",
                    lambda r: (
                        ""
                        if r["finished_at"] or r["cancelled_at"]
                        else view.button("Cancel", "cancel-batch", id=r["id"])
                    ),
                ),
            ],
            data["batches"],
        ),
        id="batches",
    )
