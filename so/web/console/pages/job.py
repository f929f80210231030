"""One job: its payload with secrets masked, its attempts, its progress, where it hangs."""

from __future__ import annotations

from typing import Any

from so.errors import NotFoundException
from so.http.request import Request
from so.support.markup import Markup, h, join
from so.support.numbers import row_id
from so.web.console.parts import facts, light, link, moment, progress, row, seconds, section, tag
from so.web.console.reading import as_json, job_row, masked_payload

TITLE = "Job"


def data(app: Any, request: Request) -> dict[str, Any]:
    """The row, or what is left of it; 404 for an id that nothing is known of."""
    id = str(request.route("id"))
    number = row_id(id)
    queue = app.make("queue")
    rows = queue.source.connection().table("jobs")
    job = None if number is None else rows.where("id", number).first()
    where = queue.progress(id if number is None else number)
    failed = queue.failed_jobs.find(id) if number is None else None
    if job is None and where is None and failed is None:
        raise NotFoundException(f"Nothing is known of job {id}: it is done, or never was.")
    found: dict[str, Any] = {"id": id, "progress": None if where is None else where.to_dict()}
    if job is not None:
        found["job"] = job_row(job, int(app.clock.time()))
        found["at_work"] = _at_work(queue, number)
    elif failed is not None:
        found["failed"] = {**failed.to_dict(), "payload": masked_payload(failed.payload)}
    return found


def _at_work(queue: Any, id: int | None) -> dict[str, Any] | None:
    """What its worker said of it last: since when, and its stack where that is long."""
    return next(
        (job for worker in queue.control.workers() for job in worker.current if job["id"] == id),
        None,
    )


def title(data: dict[str, Any]) -> str:
    """Its class and number."""
    known = data.get("job") or data.get("failed") or data["progress"]
    return f"{known['job']} {data['id']}"


def draw(data: dict[str, Any], view: Any) -> Markup:
    """What is known."""
    job, failed, where = data.get("job"), data.get("failed"), data["progress"]
    parts: list[Any] = []
    if job:
        parts.append(_state(job, data["at_work"], view))
    if where:
        parts.append(_progress(where))
    if failed:
        parts.append(_failure(failed, view))
    if payload := (job or failed or {}).get("payload"):
        history = payload.get("failures") if isinstance(payload, dict) else None
        if history:
            parts.append(section("Earlier failures", h("ul", [_earlier(one) for one in history])))
        parts.append(section("Payload", h("pre", as_json(payload), tabindex="0")))
    return join(parts)


def _state(job: dict[str, Any], at_work: dict[str, Any] | None, view: Any) -> Markup:
    running = f"for {seconds(at_work['seconds'])}" if at_work else None
    told = facts(
        {
            "State": [tag(job["state"]), " ", running or ""],
            "Queue": link(job["queue"], view.url(f"/queue/{job['queue']}")),
            "Attempts": job["attempts"],
            "Deaths of its worker": job["crashes"],
            "Exceptions": job["exceptions"],
            "Made": moment(job["created_at"]),
            "Lease ends" if job["state"] == "running" else "Due": moment(job["available_at"]),
            "Begun": moment(job["reserved_at"]),
            "Worker": job["worker_id"],
            "Batch": job["batch_id"],
            "Tags": job["tags"],
        }
    )
    stack = (at_work or {}).get("stack")
    hangs = [h("h3", "Where it is"), h("pre", stack, tabindex="0")] if stack else None
    return section(
        "State", told, hangs, row(view.button("Cancel", "cancel-job", id=job["id"])), id="state"
    )


def _progress(where: dict[str, Any]) -> Markup:
    told = facts(
        {
            "State": where["state"],
            "Progress": progress(where["done"], where["total"], "Progress of the job"),
            "Says": where["message"],
            "Time left": seconds(where.get("seconds_left")),
        }
    )
    return section("Progress", told, id="progress")


def _failure(failed: dict[str, Any], view: Any) -> Markup:
    told = facts(
        {
            "State": light("bad", "Failed"),
            "Failed": moment(failed["failed_at"]),
            "Queue": failed["queue"],
            "Attempts": failed["attempts"],
            "Reason": failed["reason"],
        }
    )
    buttons = row(
        view.button("Try again", "retry", uuid=failed["uuid"]),
        view.button("Forget", "forget", uuid=failed["uuid"]),
    )
    return section("Failure", told, buttons, h("pre", failed["exception"], tabindex="0"))


def _earlier(one: Any) -> Markup:
    told = one if isinstance(one, dict) else {"exception": one}
    return h("li", moment(told.get("at")), " ", str(told.get("exception") or ""))
