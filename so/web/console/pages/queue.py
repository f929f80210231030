"""Queues: sizes, waits and rates; the jobs of one, by state, class and text."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, h, join
from so.web.console import queues
from so.web.console.parts import filters, light, link, moment, older, seconds, section, table, tag
from so.web.console.reading import before, job_row, keyset

TITLE = "Queue"
STATES = ("waiting", "delayed", "running")


def data(app: Any, request: Request) -> dict[str, Any]:
    """Every queue, and a page of jobs of the one that was asked for."""
    name = request.route("queue") or request.query("queue")
    states = queues.states(app, app.make("queue").control.workers())
    wanted = {key: request.query(key) for key in ("state", "job", "q")}
    found: dict[str, Any] = {"queue": name, "queues": states, "filter": wanted}
    jobs, next_ = _jobs(app, name, wanted, before(request))
    return {**found, "jobs": jobs, "next": next_}


def _jobs(
    app: Any, name: str | None, wanted: dict[str, Any], start: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    queue, now = app.make("queue"), int(app.clock.time())
    rows = queue.source.connection().table("jobs")
    if name:
        rows = rows.where("queue", name)
    state = wanted["state"]
    if state in ("waiting", "delayed", "running"):
        rows = rows.where("available_at", "<=" if state == "waiting" else ">", now)
        if state != "waiting":
            rows = rows.where_null("reserved_at", not_=state == "running")

    def fits(job: dict[str, Any]) -> bool:
        kind, text = str(wanted["job"] or ""), str(wanted["q"] or "").lower()
        in_text = not text or text in str(job["payload"]).lower() or text in job["tags"]
        return in_text and (not kind or kind.lower() in job["job"].lower())

    return keyset(rows, start, lambda row: job_row(row, now), fits)


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Queues, then jobs."""
    overview = section("Queues", _queues(data, view), _all(view), id="queues")
    name = data["queue"]
    url = view.url(f"/queue/{name}" if name else "/queue")
    search = filters(
        url,
        [("state", "State", STATES), ("job", "Class", None), ("q", "Text or tag", None)],
        data["filter"],
    )
    jobs = table(
        "Jobs",
        [
            ("Id", lambda r: link(r["id"], view.url(f"/jobs/{r['id']}"))),
            ("Class", "job"),
            ("Queue", lambda r: link(r["queue"], view.url(f"/queue/{r['queue']}"))),
            ("State", lambda r: tag(r["state"])),
            ("Attempts", "attempts"),
            ("Due", lambda r: moment(r["available_at"])),
            ("Actions", lambda r: view.button("Cancel", "cancel-job", id=r["id"])),
        ],
        data["jobs"],
    )
    title = f"Jobs of {name}" if name else "Jobs"
    return join([overview, section(title, search, jobs, older(url, data["next"], view.query))])


def _queues(data: dict[str, Any], view: Any) -> Markup:
    def pause(row: Any) -> Markup:
        action = "resume" if row["paused"] else "pause"
        return view.button(action.capitalize(), action, queue=row["name"])  # type: ignore[no-any-return]

    return table(
        "Queues",
        [
            ("Queue", lambda r: link(r["name"], view.url(f"/queue/{r['name']}"))),
            ("Waiting", lambda r: f"{r['pending']:,}{'+' if r['capped'] else ''}"),
            ("Delayed", "delayed"),
            ("Running", "reserved"),
            ("Oldest waits", lambda r: seconds(r["oldest_seconds"])),
            ("Done in the last hour", "done_last_hour"),
            ("Failed", lambda r: link(f"{r['failed_last_hour']:,}", view.url("/failed"))),
            ("State", lambda r: light("warn", "Rests") if r["paused"] else light("ok", "Works")),
            ("Actions", pause),
        ],
        data["queues"],
    )


def _all(view: Any) -> Markup:
    buttons = [
        view.button("Pause all", "pause"),
        view.button("Resume all", "resume"),
        view.button("Restart workers", "restart"),
    ]
    return h("div", buttons, class_="row")
