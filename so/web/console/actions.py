"""What can be done in the console: each by a POST, each in the activity log.

An action gives the words that say what was done, or raises an error whose words say why not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from so.http.request import Request
from so.http.response import Response
from so.support.numbers import row_id
from so.web.console.jobs import ForgetFailures, RetryFailures, RunTask, VerifyTrail, tasks

EXPORTED = 200_000  # lines of an export at most; `activity:export` has no end
AT_ONCE = 200  # failed jobs that a request itself moves; more are left to a worker


@dataclass(frozen=True)
class Action:
    """One thing that can be done: how its button is called, and what is asked before."""

    label: str
    work: Callable[[Any, Request], str | Response]
    asks: str = ""
    gone: str = ""
    """Where to go on when the page of the one thing it was done to is no more."""


def _field(request: Request, name: str) -> str:
    value = request.post(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"The form lacks {name}: open the page again.")
    return value


def _fields(request: Request, name: str) -> list[str]:
    value = request.post(name)
    found = [str(one) for one in (value if isinstance(value, list) else [value]) if one]
    if not found:
        raise ValueError("Nothing was chosen.")
    return found


# --- queue ----------------------------------------------------------------------------------------


def _pause(app: Any, request: Request) -> str:
    name = str(request.post("queue") or "") or None
    app.make("queue").control.pause(name)
    return f"Queue {name} rests." if name else "All queues rest."


def _resume(app: Any, request: Request) -> str:
    name = str(request.post("queue") or "") or None
    app.make("queue").control.resume(name)
    return f"Queue {name} goes on." if name else "All queues go on."


def _restart(app: Any, request: Request) -> str:
    app.make("queue").control.restart()
    return "Workers end after the job they run; their service starts them again."


def _cancel_job(app: Any, request: Request) -> str:
    text = _field(request, "id")
    id = row_id(text)
    if id is None:
        raise ValueError(f"{text!r} is no number of a job.")
    result = app.make("queue").cancel(id)
    if result is None:
        raise ValueError(f"Job {id} is not there any more.")
    return f"Job {id}: {result}."


def _cancel_batch(app: Any, request: Request) -> str:
    batch = app.make("queue").find_batch(_field(request, "id"))
    if batch is None:
        raise ValueError("That batch is not there any more.")
    batch.cancel()
    return f"Batch {batch.name or batch.id} is cancelled."


# --- failed jobs ----------------------------------------------------------------------------------


def _retry(app: Any, request: Request) -> str:
    result = app.make("queue").failed_jobs.retry(_fields(request, "uuid"))
    return _retried(result)


def _retried(result: Any) -> str:
    blocked = f" {result.blocked} stay: another of their kind is queued." if result.blocked else ""
    return f"Failed jobs queued again: {result.count}.{blocked}"


def _retry_group(app: Any, request: Request) -> str:
    queue, group = app.make("queue"), request.post("fingerprint")  # "" is a kind, too
    rows = queue.source.connection().table("failed_jobs")
    if group is not None:
        rows = rows.where("fingerprint", group)
    if len(rows.limit(AT_ONCE + 1).pluck("id")) <= AT_ONCE:
        return _retried(queue.failed_jobs.retry_all(group=group))
    id = queue.push(RetryFailures(group))
    return f"A worker queues them again: job {id} tells how far it is."


def _forget(app: Any, request: Request) -> str:
    count = app.make("queue").failed_jobs.forget(_fields(request, "uuid"))
    return f"Failed jobs forgotten: {count}."


def _forget_every(app: Any, request: Request) -> str:
    queue = app.make("queue")
    rows = queue.source.connection().table("failed_jobs")
    if len(rows.limit(AT_ONCE + 1).pluck("id")) > AT_ONCE:
        id = queue.push(ForgetFailures(None))
        return f"A worker forgets them: job {id} tells how far it is."
    return f"Failed jobs forgotten: {queue.failed_jobs.prune()}."


def _forget_group(app: Any, request: Request) -> str:
    queue, group = app.make("queue"), str(request.post("fingerprint") or "")
    rows = queue.source.connection().table("failed_jobs").where("fingerprint", group)
    uuids = rows.limit(AT_ONCE + 1).pluck("uuid")
    if len(uuids) > AT_ONCE:
        id = queue.push(ForgetFailures(group))
        return f"A worker forgets them: job {id} tells how far it is."
    return f"Failed jobs forgotten: {queue.failed_jobs.forget(uuids)}."


# --- the rest -------------------------------------------------------------------------------------


def _run_task(app: Any, request: Request) -> str:
    key = _field(request, "task")
    if key not in tasks(app):
        raise ValueError(f"There is no task {key!r} any more.")
    id = app.make("queue").push(RunTask(key))
    return f"A worker runs {key} now: job {id}."


def _pause_task(app: Any, request: Request) -> str:
    key = _field(request, "task")
    app.make("queue").control.pause(f"schedule:{key}")
    return f"{key} is not begun until it is resumed."


def _resume_task(app: Any, request: Request) -> str:
    key = _field(request, "task")
    app.make("queue").control.resume(f"schedule:{key}")
    return f"{key} is begun again when it is due."


def _end_session(app: Any, request: Request) -> str:
    if not app.make("sessions").revoke(_field(request, "handle")):
        raise ValueError("That session is over already.")
    return "The session is ended; its browser is logged out at its next request."


def _end_user(app: Any, request: Request) -> str:
    user = _field(request, "user")
    count = app.make("sessions").logout_everywhere(user)
    return f"Sessions of user {user} that were ended: {count}."


def _forget_key(app: Any, request: Request) -> str:
    key = _field(request, "key")
    if not app.make("cache").forget(key):
        raise ValueError(f"{key!r} is not in the cache.")
    return f"{key!r} is forgotten."


def _release_lock(app: Any, request: Request) -> str:
    name = _field(request, "name")
    app.make("cache").lock(name).force_release()
    return f"Lock {name!r} is free."


def _resend(app: Any, request: Request) -> str:
    id, channel = _field(request, "id"), _field(request, "channel")
    count = app.make("notifications").resend(id, channel)
    return f"Notification {id} was sent again by {channel}." if count else "It was sent before."


def _export(app: Any, request: Request) -> Response:
    """The entries that the filters leave, oldest first, as they are read; so many and no more."""
    format = "jsonl" if request.post("format") == "jsonl" else "csv"
    names = {"since": "from", "until": "to"}
    known = ("since", "until", "log", "subject", "causer", "event", "field")
    wanted: dict[str, str | None] = {}
    for name in known:
        value = request.post(names.get(name, name)) or None
        if not isinstance(value, str | None):
            raise ValueError(f"The form says {name} more than once: open the page again.")
        wanted[name] = value
    if wanted["subject"] and ":" not in wanted["subject"]:
        wanted["type"] = wanted.pop("subject")
    pieces = app.make("activity").report(format, **wanted)
    kind = "text/csv" if format == "csv" else "application/x-ndjson"
    headers = {
        "Content-Type": f"{kind}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="audit.{format}"',
    }
    return Response.stream(islice(pieces, EXPORTED), headers=headers)


def _verify(app: Any, request: Request) -> str:
    id = app.make("queue").push(VerifyTrail())
    return f"A worker verifies the trail: job {id}."


ACTIONS: dict[str, Action] = {
    "pause": Action("Pause", _pause),
    "resume": Action("Resume", _resume),
    "restart": Action("Restart workers", _restart),
    "cancel-job": Action(
        "Cancel", _cancel_job, "The job is removed, or told to stop if it runs.", gone="/queue"
    ),
    "cancel-batch": Action("Cancel", _cancel_batch, "What has not run of the batch never will."),
    "retry": Action("Try again", _retry, gone="/failed"),
    "retry-group": Action("Try all again", _retry_group),
    "forget": Action(
        "Forget", _forget, "The failed jobs and their tracebacks are deleted.", gone="/failed"
    ),
    "forget-group": Action("Forget all", _forget_group, "All failures of this kind are deleted."),
    "forget-every": Action("Forget every one", _forget_every, "All failures are deleted."),
    "run-task": Action("Run now", _run_task),
    "pause-task": Action("Pause", _pause_task),
    "resume-task": Action("Resume", _resume_task),
    "end-session": Action("End", _end_session, "Whoever uses this session is logged out."),
    "end-user": Action("End all", _end_user, "Every device of this user is logged out."),
    "forget-key": Action("Forget", _forget_key, "The value is computed or fetched anew."),
    "release-lock": Action(
        "Release",
        _release_lock,
        "Its holder may still be at work: two may then do what only one should.",
    ),
    "resend": Action("Send again", _resend),
    "verify": Action("Verify now", _verify),
    "export": Action("Export", _export),
}
