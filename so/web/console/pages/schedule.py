"""Schedule: what recurs, when it ran, how that ended, and when it will."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, h
from so.systems.queue.tables.workers import rest_name
from so.web.console.jobs import tasks
from so.web.console.parts import (
    light,
    moment,
    number,
    row,
    section,
    table,
)
from so.web.console.reading import masked_text

TITLE = "Schedule"
OUTCOMES = {"done": "ok", "queued": "ok", "running": "warn", "failed": "bad"}


def data(app: Any, request: Request) -> dict[str, Any]:
    """Every task with its last run, how long that took and how it ended, and its next one."""
    queue, now = app.make("queue"), app.clock.now()
    conn = queue.source.connection()
    resting = queue.control.paused(conn)
    found = tasks(app)
    last = _last_runs(conn, list(found))
    results = app.make("schedule").results.of(found)
    told = {key: result.to_dict() for key, result in results.items()}
    return {
        "tasks": [
            {
                "key": key,
                "task": key if task.has_name else task.place,
                "kind": task.kind,
                "cron": task.cron_.text,
                "timezone": str(task.zone),
                # When a task is seen first, that is noted as well: nothing has run yet.
                "last_run": last.get(key) if key in told else None,
                "next_run": task.next_run(now),
                "paused": rest_name(f"schedule:{key}") in resting,
                "outcome": told.get(key, {}).get("outcome"),
                "ms": told.get(key, {}).get("ms"),
                "failed_at": told.get(key, {}).get("failed_at"),
                "output": masked_text(told.get(key, {}).get("output")),
            }
            for key, task in found.items()
        ]
    }


def _last_runs(conn: Any, keys: list[str]) -> dict[str, int]:
    if not keys:
        return {}
    rows = conn.table("queue_schedule_runs").where_in("task", keys).group_by("task")
    return dict(rows.select_raw("task, max(run_at) as last").pluck("last", "task"))


def draw(data: dict[str, Any], view: Any) -> Markup:
    """A line each."""

    def actions(task: Any) -> Markup:
        label, action = ("Resume", "resume-task") if task["paused"] else ("Pause", "pause-task")
        return row(
            view.button("Run now", "run-task", task=task["key"]),
            view.button(label, action, task=task["key"]),
        )

    columns: list[Any] = [
        ("Task", "task"),
        ("When", lambda r: [h("code", r["cron"]), h("small", f" {r['timezone']}", class_="soft")]),
        ("Last run", lambda r: moment(r["last_run"]) if r["last_run"] else "not yet"),
        ("Outcome", _outcome),
        ("Took", lambda r: None if r["ms"] is None else f"{number(r['ms'])} ms"),
        ("Next run", lambda r: moment(r["next_run"])),
        ("State", lambda r: light("warn", "rests") if r["paused"] else light("ok", "active")),
        *([("Actions", actions)] if view.may_operate else []),
    ]
    return section("Tasks", table("Tasks", columns, data["tasks"]), id="tasks")


def _outcome(task: Any) -> Any:
    """How it ended last, and what its last failure said."""
    outcome = task["outcome"]
    parts = [light(OUTCOMES.get(outcome, "warn"), outcome) if outcome else "–"]
    if task["output"]:
        said = h("summary", "Last failure ", moment(task["failed_at"]))
        parts.append(h("details", said, h("pre", task["output"], tabindex="0")))
    return parts
