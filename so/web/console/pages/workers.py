"""Workers: whether they are alive, and what each is at."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, h, join
from so.web.console.parts import (
    light,
    link,
    moment,
    number,
    row,
    seconds,
    section,
    table,
)

TITLE = "Workers"


def data(app: Any, request: Request) -> dict[str, Any]:
    """Each worker with the jobs under way."""
    now = app.clock.time()
    workers = [worker.to_dict() for worker in app.make("queue").control.workers()]
    return {
        "workers": [{**one, "silent_seconds": now - one["beat_at"].timestamp()} for one in workers]
    }


def _where(stack: Any) -> Any:
    """Where a job is that has been under way for long."""
    if not stack:
        return None
    return h("details", h("summary", "Where it is"), h("pre", str(stack), tabindex="0"))


def _job(job: dict[str, Any], view: Any) -> Markup:
    """What a worker is at, and for how long."""
    return h(
        "div",
        link(job.get("job", "?"), view.url(f"/jobs/{job.get('id', '')}")),
        " of ",
        job.get("queue"),
        " ",
        h("span", seconds(job.get("seconds")), class_="soft"),
        _where(job.get("stack")),
    )


def draw(data: dict[str, Any], view: Any) -> Markup:
    """A line each, and what it is doing below."""
    workers = table(
        "Workers",
        [
            ("Worker", lambda r: f"{r['host']}:{r['pid']}"),
            ("State", lambda r: light("ok", r["state"]) if r["alive"] else light("bad", "silent")),
            ("Heartbeat", lambda r: f"{seconds(r['silent_seconds'])} ago"),
            ("Queues", "queues"),
            ("Processes", "processes"),
            ("Memory", lambda r: f"{number(r['memory_mb'])} MB" if r["memory_mb"] else None),
            ("At work", lambda r: [_job(job, view) for job in r["current"]] or "idle"),
            ("Done", "done"),
            ("Failed", "failed"),
            ("Since", lambda r: moment(r["started_at"])),
        ],
        data["workers"],
    )
    return join(
        [
            section("Workers", workers, id="workers"),
            h(
                "p",
                "A job that hangs is stopped at its timeout; its failure shows the stack.",
                class_="soft",
            ),
            row(view.button("Restart workers", "restart")),
        ]
    )
