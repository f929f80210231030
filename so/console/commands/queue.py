"""`queue:*`: running workers, and looking after what waits, runs and has failed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from so.console.command import Command
from so.console.output import NORMAL
from so.errors import CommandError, UsageError
from so.settings.queue import QueueSettings
from so.support import numbers
from so.support.progress import steps

if TYPE_CHECKING:
    from so.systems.queue import Progress, Queue, QueueState, WorkerRow
    from so.systems.worker import WorkerOptions

LONGEST_HOURS = 1_000_000  # a century: nothing is older


class QueueCommand(Command):
    """What the commands about the queue have in common."""

    @property
    def queue(self) -> Queue:
        """The application's queue."""
        return self.app.make("queue")  # type: ignore[no-any-return]

    @property
    def named_queue(self) -> Queue:
        """The queue behind the argument `connection`; UsageError for a name nobody knows."""
        queue, name = self.queue, self.argument("connection")
        known = {queue.connection_name: queue, **queue.others}
        if name is None or name in known:
            return known.get(name, queue)
        hint = "; it runs jobs at once and keeps none" if name == "sync" else ""
        raise UsageError(
            f"there is no queue connection {name!r} to take jobs from{hint}: give "
            f"{' or '.join(known)}, or name queues with --queue={name}"
        )

    def names(self, text: Any) -> list[str]:
        """The queues in *text*, by commas; the default one for None."""
        if text is None:
            return [self.queue.default_queue]
        found = [part.strip() for part in str(text).split(",") if part.strip()]
        if not found:
            raise UsageError(f"{text!r} names no queue: give names, separated by commas")
        return found

    def hours(self, option: str) -> float:
        """The option as hours; given as 0, it leaves out nothing."""
        given = self.option(option)
        value = self.number(option, None, int) if isinstance(given, str) else given
        return min(value or 0, LONGEST_HOURS)

    def load_jobs(self) -> None:
        """Import the modules that define jobs: only classes that are defined are run."""
        import so.application.delivery  # noqa: F401 - the job of queued notifications

        for folder in ("models", "jobs", "notifications"):
            self.app.discover(folder)

    @property
    def settings(self) -> QueueSettings:
        """Those of config/queue.py."""
        return self.app.settings(QueueSettings)

    def number(self, option: str, default: Any = None, kind: Callable[[str], Any] = float) -> Any:
        """The option as a number that is not negative; UsageError for anything else."""
        if (text := self.option(option)) is None:
            return default
        try:
            value = (numbers.count if kind is int else numbers.amount)(str(text))
        except ValueError:
            value = -1
        if not 0 <= value < inf:
            what = "whole number" if kind is int else "number"
            raise UsageError(f"--{option}={text} is no {what}: give one that is 0 or more")
        return value


class QueueWork(QueueCommand):
    """Runs jobs until it is stopped."""

    signature = (
        "queue:work {connection? : Default: that of QUEUE_CONNECTION}"
        " {--queue=@queue.queue : Queues by rank, separated by commas}"
        " {--fair : Take from the queues in turn, not by rank}"
        " {--once : End after one job}"
        " {--stop-when-empty : End when there is nothing to do}"
        " {--workers=1 : Processes; 0 runs jobs in this one}"
        " {--sleep=3 : Longest pause of an idle worker, in seconds}"
        " {--tries=@queue.tries : Attempts for jobs that say nothing}"
        " {--timeout=@queue.timeout : Seconds for jobs that say nothing; 0 is no limit}"
        " {--backoff=@queue.backoff : Seconds between attempts for jobs that say nothing}"
        " {--memory=128 : MB at which a process is replaced; 0 is never}"
        " {--max-jobs=0 : End each process after so many jobs of its own; 0 is never}"
        " {--max-time=0 : End after so many seconds; 0 is never}"
        " {--rest=0 : Seconds of pause after each job}"
        " {--grace=@queue.stop_grace : Seconds a running job has when the worker is stopped}"
    )

    def handle(self) -> int:
        """Work until there is a reason to end."""
        from so.application.trail import note_settings
        from so.systems.worker import work

        queue, options = self.named_queue, self._options()
        for fault in options.faults():
            raise CommandError(fault)
        self.load_jobs()
        note_settings(self.app)
        if self._is_silent_stream():
            return work(queue, options, self._write)
        return work(queue, options)

    def _options(self) -> WorkerOptions:
        from so.systems.queue.run.runner import JobLimits
        from so.systems.worker import WorkerOptions

        settings = self.settings
        return WorkerOptions(
            queues=self.names(self.option("queue")),
            fair=bool(self.option("fair")) or settings.fair,
            processes=self.number("workers", kind=int),
            once=bool(self.option("once")),
            stop_when_empty=bool(self.option("stop-when-empty")),
            sleep_seconds=max(0.01, self.number("sleep")),
            rest_seconds=self.number("rest"),
            max_jobs=self.number("max-jobs", kind=int),
            max_seconds=self.number("max-time"),
            memory_mb=self.number("memory", kind=int),
            limits=JobLimits(
                tries=self.number("tries", kind=int),
                timeout=self.number("timeout") or None,
                backoff=self._backoff(),
                max_crashes=settings.max_crashes,
            ),
            lease_seconds=settings.lease_seconds,
            kill_grace_seconds=settings.kill_grace,
            stop_grace_seconds=self.number("grace"),
            prefetch_seconds=settings.prefetch_seconds,
            prefetch_jobs=settings.prefetch_jobs,
            prune_failed_hours=settings.prune_failed_hours,
            as_json=self.wants_json,
            quiet=self.output.verbosity < NORMAL and not self.wants_json,
        )

    def _backoff(self) -> Any:
        text = self.option("backoff")
        try:
            seconds = [numbers.amount(part) for part in str(text).split(",")]
        except ValueError:
            raise UsageError(f"--backoff={text} is no number: give seconds, or 10,60,300") from None
        return seconds[0] if len(seconds) == 1 else seconds

    def _is_silent_stream(self) -> bool:
        """Whether what is printed goes somewhere else than to the standard output."""
        import sys

        return self.output.stream is not sys.stdout

    def _write(self, text: str) -> None:
        self.output.stream.write(text)


class QueuePruneBatches(QueueCommand):
    """Deletes old batches."""

    signature = (
        "queue:prune-batches {--hours=@queue.prune_batches_hours : Age in hours}"
        " {--unfinished= : Delete unfinished ones older than so many hours as well}"
    )

    def handle(self) -> int:
        """Delete them, and say how many."""
        hours, total = self.hours("hours"), 0
        if hours or self.is_given("hours"):
            total += self._prune(hours, False)
        if self.is_given("unfinished"):
            total += self._prune(self.hours("unfinished"), True)
        self.report_done({"deleted": total}, f"{total} batch(es) deleted.")
        return 0

    def _prune(self, hours: float, unfinished: bool) -> int:
        queue, total = self.queue, 0
        before = int(queue.clock.time()) + 1 - hours * 3600  # this very second included
        conn, batches = queue.source.connection(), queue.batches
        with self.hearing():
            step = steps(lambda: batches.count_old(conn, before, unfinished=unfinished))
        while count := batches.prune(queue.source.connection(), before, unfinished=unfinished):
            total += count
            step(count)
        return total


class QueueClear(QueueCommand):
    """Deletes waiting jobs."""

    signature = (
        "queue:clear {connection? : Default: that of QUEUE_CONNECTION}"
        " {--queue=@queue.queue : Queues, by commas}"
        " {--force : Do not ask, in production either}"
    )
    destructive = True

    def handle(self) -> int:
        """Delete them, and say how many."""
        queue = self.named_queue
        with self.hearing():
            done = {name: queue.clear(name) for name in self.names(self.option("queue"))}
        if self.wants_json:
            self.json({"deleted": done})
            return 0
        for name, count in done.items():
            self.info(f"{count} job(s) of the queue {name!r} deleted.")
        return 0


class QueueMonitor(QueueCommand):
    """Says whether queues have grown too long."""

    signature = (
        "queue:monitor {queues : Queues, separated by commas}"
        " {--max=1000 : So many jobs may wait in each}"
    )

    def handle(self) -> int:
        """Print each queue; 1 if one is too long."""
        most = self.number("max", kind=int)
        sizes = {name: self.queue.size(name) for name in self.names(self.argument("queues"))}
        if self.wants_json:
            self.json([{"queue": n, "size": s, "ok": s <= most} for n, s in sizes.items()])
        else:
            self.table(
                ["queue", "size", "status"],
                [[n, s, "OK" if s <= most else "ALERT"] for n, s in sizes.items()],
            )
        return int(any(size > most for size in sizes.values()))


class QueueStatus(QueueCommand):
    """Shows how the queues and workers are."""

    signature = "queue:status"

    def handle(self) -> int:
        """Print it."""
        queue = self.queue
        states, workers = queue.metrics.states(), queue.control.workers()
        running = queue.progress_table.running(queue.source.connection())
        failed = queue.failed_jobs.count()
        if self.wants_json:
            self.json(
                {
                    "queues": [state.to_dict() for state in states],
                    "workers": [worker.to_dict() for worker in workers],
                    "progress": [progress.to_dict() for progress in running],
                    "failed": failed,
                }
            )
            return 0
        self._tell_queues(states)
        self._tell_workers(workers)
        for item in running:
            self._tell_progress(item)
        self.line(f"{failed} failed job(s)")
        return 0

    def _tell_queues(self, states: list[QueueState]) -> None:
        if not states:
            self.line("No queue has had a job yet.")
            return
        self.table(
            ["queue", "pending", "delayed", "running", "oldest", "done/h", "failed/h", ""],
            [
                [
                    s.name,
                    f"{s.pending}{'+' if s.capped else ''}",
                    s.delayed,
                    s.reserved,
                    f"{s.oldest_seconds} s",
                    s.done_last_hour,
                    s.failed_last_hour,
                    "paused" if s.paused else "",
                ]
                for s in states
            ],
        )

    def _tell_workers(self, workers: list[WorkerRow]) -> None:
        if not workers:
            self.line("No worker runs.")
            return
        self.table(
            ["worker", "host", "pid", "queues", "processes", "state", "last sign", "doing"],
            [
                [
                    w.id,
                    w.host,
                    w.pid,
                    ",".join(w.queues),
                    w.processes,
                    w.state if w.alive else "DEAD",
                    f"{w.beat_at:%H:%M:%S}",
                    "; ".join(f"{j['job']} {j['seconds']} s" for j in w.current),
                ]
                for w in workers
            ],
        )

    def _tell_progress(self, item: Progress) -> None:
        done = f"{item.percent} %" if item.percent is not None else str(item.done)
        left = f", {item.seconds_left} s left" if item.seconds_left is not None else ""
        self.line(f"job {item.job_id} {item.job}: {done} {item.message or ''}{left}")


class QueueMetrics(QueueCommand):
    """Prints counters for a monitoring system."""

    signature = "queue:metrics"

    def handle(self) -> int:
        """Print it."""
        self.line(self.queue.metrics.open_metrics().rstrip("\n"))
        return 0


class QueueDoctor(QueueCommand):
    """Looks for faults."""

    signature = "queue:doctor"

    def handle(self) -> int:
        """Print each fault; 1 if one of them is serious."""
        from so.application.delivery import unsent
        from so.application.trail import unverified
        from so.systems.queue.care.doctor import Finding

        self.load_jobs()
        found = self.queue.doctor(self.settings).examine()
        found += [Finding("trail", text, is_fatal=False) for text in unverified(self.app)]
        found += [Finding("held", text, is_fatal=False) for text in unsent(self.app)]
        if self.wants_json:
            self.json([finding.to_dict() for finding in found])
        for finding in [] if self.wants_json else found:
            text = f"{finding.name}: {finding.text}"
            self.error(text) if finding.is_fatal else self.warn(text)
        if not found and not self.wants_json:
            self.info("The queue is in good health.")
        return int(any(finding.is_fatal for finding in found))


class QueueRestart(QueueCommand):
    """Asks workers to end."""

    signature = "queue:restart"

    def handle(self) -> int:
        """Ask, and say who is asked."""
        self.queue.control.restart()
        asked = [worker for worker in self.queue.control.workers() if worker.alive]
        if self.wants_json:
            self.json({"asked": [worker.to_dict() for worker in asked]})
            return 0
        self.info("Every worker ends after its job; the service manager starts it anew.")
        for worker in asked:
            self.line(f"  {worker.id} on {worker.host}, {worker.processes} process(es)")
        return 0


class QueuePause(QueueCommand):
    """Lets queues rest."""

    signature = (
        "queue:pause {queue? : Queues, by commas; all of them without a name}"
        " {--for= : Seconds, after which it goes on by itself}"
    )

    def handle(self) -> int:
        """Write the pause down."""
        text, seconds = self.argument("queue"), self.number("for")
        if seconds == 0:
            raise UsageError("--for=0 pauses nothing: give seconds, or leave it out")
        names = None if text is None else self.names(text)
        for name in [None] if names is None else names:
            self.queue.control.pause(name, seconds)
        facts = {"paused": names or ["*"], "seconds": seconds}
        self.report_done(facts, f"Paused: {', '.join(names or ['all queues'])}.")
        return 0


class QueueResume(QueueCommand):
    """Lets queues go on."""

    signature = "queue:resume {queue? : Queues, by commas; all of them without a name}"

    def handle(self) -> int:
        """Take the pause back."""
        text = self.argument("queue")
        known = self.queue.control.paused(self.queue.source.connection())
        names = known if text is None else self.names(text)
        ended = [name for name in sorted(names) if self.queue.control.resume(name)]
        self.queue.wake()
        told = ", ".join(ended).replace("*", "all queues") or "nothing was paused"
        self.report_done({"resumed": ended}, f"Going on: {told}.")
        return 0


class QueueCancel(QueueCommand):
    """Cancels a job."""

    signature = "queue:cancel {id* : Ids of jobs}"

    def handle(self) -> int:
        """Cancel each, and say what came of it."""
        done: dict[str, str | None] = {}
        for key in map(str, self.argument("id")):
            id = numbers.whole(key)
            done[key] = result = None if id is None else self.queue.cancel(id)
            if result is None:
                self.error(f"There is no job {key}.")
            elif not self.wants_json:
                removed, asked = (
                    "was waiting and is removed",
                    "is running and has been asked to stop",
                )
                self.info(f"Job {key} {removed if result == 'removed' else asked}.")
        if self.wants_json:
            self.json({"jobs": done})
        return int(None in done.values())
