"""What takes longer than a page may: done by a worker, with progress on the job's page."""

from __future__ import annotations

from typing import Any

from so.support.current import current, current_application
from so.systems.queue import Job

AT_ONCE = 100


class RetryFailures(Job):
    """Tries failed jobs again: those of one fingerprint, or all."""

    tries = 1
    timeout = 3600

    def __init__(self, fingerprint: str | None = None) -> None:
        self.fingerprint = fingerprint

    def handle(self) -> None:
        """Move them back a hundred at a time, telling how far it is."""
        queue, rows = _failures(self.fingerprint)
        total, done, last = rows.clone().count(), 0, 0
        while ids := rows.clone().where("id", ">", last).limit(AT_ONCE).pluck("id"):
            last = ids[-1]
            queue.failed_jobs.retry_all(group=self.fingerprint, ids=(ids[0], last))
            done += len(ids)
            self.progress(done, max(total, done))


class ForgetFailures(Job):
    """Deletes failed jobs: those of one fingerprint, or all that there are when it begins."""

    tries = 1
    timeout = 3600

    def __init__(self, fingerprint: str | None) -> None:
        self.fingerprint = fingerprint

    def handle(self) -> None:
        """Delete them a hundred at a time, telling how far it is."""
        queue, rows = _failures(self.fingerprint)
        newest, total, done = rows.clone().max("id"), rows.clone().count(), 0
        while uuids := rows.clone().where("id", "<=", newest or 0).limit(AT_ONCE).pluck("uuid"):
            done += queue.failed_jobs.forget(uuids)
            self.progress(done, max(total, done))


def _failures(fingerprint: str | None) -> tuple[Any, Any]:
    """The queue, and a query for its failed jobs, the oldest first."""
    queue = current("queue")
    rows = queue.source.connection().table("failed_jobs").order_by("id")
    return queue, rows.where_if_not_null("fingerprint", fingerprint)


class VerifyTrail(Job):
    """Looks through the whole activity log; fails where somebody changed it."""

    tries = 1
    timeout = 4 * 3600

    def handle(self) -> None:
        """Verify; the error of this job is what the console shows."""
        newest = int(current("db").table("activity_seals").max("seal_no") or 0)

        def come_to(seal: int) -> None:
            self.progress(seal, max(newest, seal), "Looking through the seals")

        report = current("activity").verify(on_seal=come_to)
        if report.fault_count:
            raise RuntimeError(report.summary)


class RunTask(Job):
    """Runs one task of the schedule now, whatever its time."""

    tries = 1
    timeout = 3600

    def __init__(self, key: str) -> None:
        self.key = key

    def handle(self) -> None:
        """Run it; what it said is in the error when it failed."""
        app = current_application()
        schedule = app.make("schedule")
        task = tasks(app).get(self.key)
        if task is None:
            raise RuntimeError(f"there is no scheduled task {self.key!r} any more")
        if task.kind == "command" and schedule.run_command is None:
            commands = app.make("commands")  # whoever runs a worker has them
            schedule.run_command, schedule.said = commands.call, commands.output
        if not schedule.run_now(task):
            result = schedule.results.of([self.key]).get(self.key)
            raise RuntimeError(f"{task.label} failed:\n{result.output if result else ''}")


def tasks(app: Any) -> dict[str, Any]:
    """The tasks of the schedule by their keys, as the application's module defines them."""
    found: dict[str, Any] = app.make("schedule").keyed()
    return found
