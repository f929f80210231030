"""Queues: sizes, waits and rates; the jobs of one, by state, class and text."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, join
from so.web.console import queues
from so.web.console.parts import (
    filters,
    light,
    link,
    moment,
    number,
    older,
    row,
    seconds,
    section,
    table,
    tag,
)
from so.web.console.reading import NEWEST, Row, SortOrder, as_json, job_row, job_state, needle, page

TITLE = "Queue"
STATES = ("waiting", "delayed", "running")
BY_TIME = SortOrder(("available_at", "id"))


def data(app: Any, request: Request) -> dict[str, Any]:
    """Every queue, and a page of jobs of the one that was asked for."""
    name = request.route("queue") or request.query("queue")
    workers = app.make("queue").control.workers()
    wanted = {key: request.query(key) for key in ("state", "job", "q")}
    jobs, next_ = _jobs(app, request, str(name or ""), wanted, workers)
    states = queues.states(app, workers)
    return {"queue": name, "queues": states, "filter": wanted, "jobs": jobs, "next": next_}


def _jobs(
    app: Any, request: Request, name: str, wanted: dict[str, Any], workers: list[Any]
) -> tuple[list[dict[str, Any]], str | None]:
    """Jobs by number; those of one queue by the time they are due, as its index has them."""
    queue, now = app.make("queue"), int(app.clock.time())
    rows, state = queue.source.connection().table("jobs"), wanted["state"]
    if name:
        rows = rows.where("queue", name)
    if state == "running":
        rows = rows.where_in("id", [job["id"] for one in workers for job in one.current])
        name = ""  # few enough to be sorted
    elif state in STATES and name:
        rows = rows.where("available_at", "<=" if state == "waiting" else ">", now)
    kind, text = str(wanted["job"] or "").lower(), str(wanted["q"] or "").lower()
    raw_kind, raw_text = needle(kind), needle(text)

    def may_fit(row: Row) -> bool:
        payload = str(row["payload"]).lower()
        is_it = state not in STATES or job_state(row, now) == state
        return is_it and raw_kind in payload and raw_text in payload

    def fits(job: Row) -> bool:
        in_text = text in as_json(job["payload"]).lower() or text in job["tags"]
        return kind in job["job"].lower() and (not text or in_text)

    is_search = bool(state or kind or text)
    return page(
        rows,
        request,
        lambda row: job_row(row, now),
        order=BY_TIME if name else NEWEST,
        may_fit=may_fit if is_search else None,
        fits=fits if kind or text else None,
    )


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
    is_search = any(data["filter"].values())
    more = older(url, data["next"], view.query, is_search=is_search)
    return join([overview, section(title, search, jobs, more)])


def _queues(data: dict[str, Any], view: Any) -> Markup:
    def pause(row: Any) -> Markup:
        action = "resume" if row["paused"] else "pause"
        return view.button(action.capitalize(), action, queue=row["name"])  # type: ignore[no-any-return]

    return table(
        "Queues",
        [
            ("Queue", lambda r: link(r["name"], view.url(f"/queue/{r['name']}"))),
            ("Waiting", lambda r: f"{number(r['pending'])}{'+' if r['capped'] else ''}"),
            ("Delayed", lambda r: f"{number(r['delayed'])}{'+' if r['capped'] else ''}"),
            ("Running", "reserved"),
            ("Oldest waits", lambda r: seconds(r["oldest_seconds"])),
            ("Done in the last hour", "done_last_hour"),
            (
                "Failed in the last hour",
                lambda r: link(f"{number(r['failed_last_hour'])}", view.url("/failed")),
            ),
            ("State", lambda r: light("warn", "Rests") if r["paused"] else light("ok", "Works")),
            ("Actions", pause),
        ],
        data["queues"],
    )


def _all(view: Any) -> Markup:
    return row(
        view.button("Pause all", "pause"),
        view.button("Resume all", "resume"),
        view.button("Restart workers", "restart"),
    )
