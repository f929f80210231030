"""`queue:failed` and its like: looking at what has failed, trying it again, forgetting it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from so.console.commands.queue import QueueCommand
from so.errors import UsageError

if TYPE_CHECKING:
    from so.systems.queue import FailedJob, FailedJobs
    from so.systems.queue.care.failed import Retried


class QueueFailed(QueueCommand):
    """Lists what has failed."""

    signature = (
        "queue:failed {--queue= : Only of this queue}"
        " {--limit= : How many (default: 50, all of them with --json)}"
        " {--groups : Count by kind of failure}"
    )

    def handle(self) -> int:
        """Print the list."""
        if self.option("groups"):
            return self._groups()
        jobs, limit = self.queue.failed_jobs, self.number("limit", None, int)
        if self.wants_json:
            self._as_json(jobs.newest_first(limit, self.option("queue")))
            return 0
        rows = [
            [f.uuid, f.queue, f.job, f"{f.failed_at:%Y-%m-%d %H:%M:%S}", f.reason[:80]]
            for f in jobs.newest_first(50 if limit is None else limit, self.option("queue"))
        ]
        if not rows:
            self.info("No failed jobs.")
            return 0
        self.table(["uuid", "queue", "job", "failed at", "reason"], rows)
        ages = ", ".join(f"{name} {count}" for name, count in jobs.ages().items())
        self.line(f"{jobs.count()} in all; by age: {ages}")
        return 0

    def _as_json(self, jobs: Iterable[FailedJob]) -> None:
        """Print them as one array, each as it is read: payloads may be of any size."""
        from so.support.codec import to_jsonable

        text = "["
        for job in jobs:
            self.output.write(f"{text}\n")
            item = json.dumps(to_jsonable(job.to_dict()), ensure_ascii=False, indent=2)
            text = f"{item},"
        self.output.write(f"{text.removesuffix(',')}\n]\n" if text != "[" else "[]\n")

    def _groups(self) -> int:
        groups = self.queue.failed_jobs.groups()
        if self.wants_json:
            self.json([group.to_dict() for group in groups])
            return 0
        self.table(
            ["group", "count", "job", "last at", "reason"],
            [
                [g.fingerprint, g.count, g.job, f"{g.last_at:%Y-%m-%d %H:%M:%S}", g.reason[:80]]
                for g in groups
            ],
        )
        return 0


class QueueRetry(QueueCommand):
    """Puts failed jobs back."""

    signature = (
        "queue:retry {id?* : uuids or ids, or all} {--queue= : All of this queue}"
        " {--range=* : Ids from-to} {--group= : All of this kind, see queue:failed --groups}"
    )

    def handle(self) -> int:
        """Move them, and say how many."""
        jobs = self.queue.failed_jobs
        keys = [str(key) for key in self.argument("id") or []]
        total = blocked = 0
        with self.hearing():
            for result in self._results(jobs, keys):
                total += result.count
                blocked += result.blocked
        self.report_done({"put_back": total}, f"{total} failed job(s) put back.")
        if keys and keys != ["all"] and not total and not blocked:
            self.error(f"No failed job is called {', '.join(keys)}: `queue:failed` lists them.")
        if blocked:
            self.warn(f"{blocked} unique job(s) stay failed: another one of each kind is queued.")
        return 0 if total or not keys or keys == ["all"] else 1

    def _results(self, jobs: FailedJobs, keys: list[str]) -> Iterator[Retried]:
        name, group, ranges = self.option("queue"), self.option("group"), self._ranges()
        narrowed = bool(name or group or ranges)
        if not (keys or narrowed):
            raise UsageError("nothing to retry: name uuids, all, --queue, --group or --range")
        if keys and keys != ["all"]:
            if narrowed or "all" in keys:
                raise UsageError(
                    "queue:retry takes uuids, or all with --queue, --group and --range: not both"
                )
            yield jobs.retry(keys)
            return
        for ids in ranges or [None]:
            yield jobs.retry_all(queue=name, group=group, ids=ids)

    def _ranges(self) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for text in self.option("range") or []:
            first, _, last = str(text).partition("-")
            if not (first + last).isascii() or not (first.isdecimal() and last.isdecimal()):
                raise UsageError(f"--range={text} is no range: give ids as 10-20")
            found.append((int(first), int(last)))
        return found


class QueueRetryBatch(QueueCommand):
    """Puts the failed members of a batch back."""

    signature = "queue:retry-batch {id* : Ids of batches}"

    def handle(self) -> int:
        """Move them, and say how many."""
        done: dict[str, int | None] = {}
        for batch_id in self.argument("id"):
            if self.queue.find_batch(batch_id) is None:
                self.error(f"There is no batch {batch_id}.")
                done[batch_id] = None
                continue
            with self.hearing():
                done[batch_id] = count = self.queue.failed_jobs.retry_all(batch=batch_id).count
            if not self.wants_json:
                self.info(f"{count} failed job(s) of batch {batch_id} put back.")
        if self.wants_json:
            self.json({"put_back": done})
        return int(None in done.values())


class QueueForget(QueueCommand):
    """Deletes failed jobs."""

    signature = "queue:forget {id* : uuids or ids}"

    def handle(self) -> int:
        """Delete them, and say how many."""
        count = self.queue.failed_jobs.forget([str(key) for key in self.argument("id")])
        if not count:
            self.error("No failed job has that id.")
        if count or self.wants_json:
            self.report_done({"deleted": count}, f"{count} failed job(s) deleted.")
        return 0 if count else 1


class QueueFlush(QueueCommand):
    """Deletes all failed jobs."""

    signature = "queue:flush {--hours= : Only those older than so many hours}"

    def handle(self) -> int:
        """Delete them, and say how many."""
        with self.hearing():
            count = self.queue.failed_jobs.prune(self.hours("hours"))
        self.report_done({"deleted": count}, f"{count} failed job(s) deleted.")
        return 0


class QueuePruneFailed(QueueCommand):
    """Deletes old failed jobs."""

    signature = "queue:prune-failed {--hours=@queue.prune_failed_hours : Age in hours}"

    def handle(self) -> int:
        """Delete them, and say how many."""
        hours = self.hours("hours")
        if not hours and not self.is_given("hours"):
            self.report_done({"deleted": 0}, "Failed jobs are kept: queue.prune_failed_hours is 0.")
            return 0
        with self.hearing():
            count = self.queue.failed_jobs.prune(hours)
        self.report_done({"deleted": count}, f"{count} failed job(s) deleted.")
        return 0
