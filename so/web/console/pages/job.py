"""One job: its payload with secrets masked, its attempts, its progress."""

from __future__ import annotations

from typing import Any

from so.errors import NotFoundException
from so.http.request import Request
from so.support.markup import Markup, h, join
from so.web.console.parts import facts, light, moment, progress, seconds, section
from so.web.console.reading import as_json, job_row, masked_payload

TITLE = "Job"


def data(app: Any, request: Request) -> dict[str, Any]:
    """The row, or what is left of it; 404 for an id that nothing is known of."""
    id = str(request.route("id"))
    queue, now = app.make("queue"), int(app.clock.time())
    table = queue.source.connection().table("jobs")
    row = (
        table.where("id", int(id)).first()
        if id.isascii() and id.isdigit() and len(id) < 19
        else None
    )
    where = (
        queue.progress(int(id))
        if row is not None or id.isdigit() and len(id) < 19
        else queue.progress(id)
    )
    failed = queue.failed_jobs.find(id) if row is None and not id.isdigit() else None
    if row is None and where is None and failed is None:
        raise NotFoundException(f"Nothing is known of job {id}: it is done, or never was.")
    found: dict[str, Any] = {"id": id, "progress": None if where is None else where.to_dict()}
    if row is not None:
        return {**found, "job": job_row(row, now)}
    if failed is not None:
        shown = failed.to_dict()
        return {**found, "failed": {**shown, "payload": masked_payload(failed.payload)}}
    return found


def title(data: dict[str, Any]) -> str:
    """Its class and number."""
    known = data.get("job") or data.get("failed") or data["progress"]
    return f"{known['job']} {data['id']}"


def draw(data: dict[str, Any], view: Any) -> Markup:
    """What is known."""
    parts: list[Any] = []
    job, failed, where = data.get("job"), data.get("failed"), data["progress"]
    if job:
        buttons = h("div", view.button("Cancel", "cancel-job", id=job["id"]), class_="row")
        parts.append(
            section(
                "State",
                facts(
                    {
                        "State": job["state"],
                        "Queue": job["queue"],
                        "Attempts": job["attempts"],
                        "Deaths of its worker": job["crashes"],
                        "Exceptions": job["exceptions"],
                        "Made": moment(job["created_at"]),
                        "Due, or end of the lease": moment(job["available_at"]),
                        "Begun": moment(job["reserved_at"]),
                        "Worker": job["worker_id"],
                        "Batch": job["batch_id"],
                        "Tags": job["tags"],
                    }
                ),
                buttons,
                id="state",
            )
        )
    if where:
        parts.append(
            section(
                "Progress",
                facts(
                    {
                        "State": where["state"],
                        "Progress": progress(where["done"], where["total"], "Progress of the job"),
                        "Says": where["message"],
                        "Time left": seconds(where.get("seconds_left")),
                    }
                ),
                id="progress",
            )
        )
    if failed:
        buttons = h(
            "div",
            [
                view.button("Try again", "retry", uuid=failed["uuid"]),
                view.button("Forget", "forget", uuid=failed["uuid"]),
            ],
            class_="row",
        )
        parts.append(
            section(
                "Failure",
                facts(
                    {
                        "State": light("bad", "Failed"),
                        "Failed": moment(failed["failed_at"]),
                        "Queue": failed["queue"],
                        "Attempts": failed["attempts"],
                        "Reason": failed["reason"],
                    }
                ),
                buttons,
                h("pre", failed["exception"], tabindex="0"),
            )
        )
    shown = job or failed
    if shown:
        parts.append(section("Payload", h("pre", as_json(shown["payload"]), tabindex="0")))
    return join(parts)
