"""Schedule: what recurs, when it ran and when it will."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup
from so.web.console.jobs import tasks
from so.web.console.parts import light, moment, row, section, table

TITLE = "Schedule"


def data(app: Any, request: Request) -> dict[str, Any]:
    """Every task with its last run and its next one."""
    queue, now = app.make("queue"), app.clock.now()
    conn = queue.source.connection()
    resting = queue.control.paused(conn)
    found = tasks(app)
    last = _last_runs(conn, list(found))
    return {
        "tasks": [
            {
                "key": key,
                "task": task.label,
                "kind": task.kind,
                "cron": task.cron_.text,
                "timezone": task.zone.key,
                "last_run": last.get(key),
                "next_run": task.next_run(now),
                "paused": f"schedule:{key}" in resting,
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

    return section(
        "Tasks",
        table(
            "Tasks",
            [
                ("Task", "task"),
                ("Cron", "cron"),
                ("Zone", "timezone"),
                ("Last run", lambda r: moment(r["last_run"])),
                ("Next run", lambda r: moment(r["next_run"])),
                (
                    "State",
                    lambda r: light("warn", "rests") if r["paused"] else light("ok", "active"),
                ),
                ("Actions", actions),
            ],
            data["tasks"],
        ),
        id="tasks",
    )
