"""What recurs: `schedule().job(Report("…")).daily_at("02:00")`.

Any number of servers may look at the same schedule: a due time is a row with a unique key, inserted
in the transaction that stores the job, so it runs once. There is no leader to fail. Commands and
functions run in the process that won the row, at most once.
"""

from __future__ import annotations

import logging
import shlex
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from so.errors import QueueError
from so.systems.queue.cron import Cron
from so.systems.queue.job import Job
from so.systems.queue.sqltools import Retry, read

if TYPE_CHECKING:
    from so.systems.queue.queue import Queue

log = logging.getLogger("so.queue")
LATE = ("skip", "once", "all")
KEEP_DAYS = 30
_DAY_NAMES = "sunday monday tuesday wednesday thursday friday saturday".split()


class Task:
    """One thing that recurs; say when, and how late it may be."""

    def __init__(self, schedule: Schedule, kind: str, label: str, work: Any) -> None:
        """*kind* is job, command or call."""
        self.kind = kind
        self.label = label
        self.key = label
        self.work = work
        self.cron_ = Cron.parse("* * * * *")
        self.zone = schedule.zone
        self.late_policy = "once"
        self.late_seconds = 3600.0
        self.queue_name: str | None = None
        self._conditions: list[Callable[[], Any]] = []
        self._weekdays: str | None = None

    # --- when ---

    def cron(self, expression: str) -> Self:
        """At the minutes that *expression* matches: `*/5 8-18 * * mon-fri`."""
        self.cron_ = Cron.parse(expression)
        return self

    def every_minute(self) -> Self:
        """Each minute."""
        return self.cron("* * * * *")

    def every_minutes(self, count: int) -> Self:
        """Each *count* minutes from the full hour on."""
        return self.cron(f"*/{count} * * * *")

    def hourly(self) -> Self:
        """At each full hour."""
        return self.hourly_at(0)

    def hourly_at(self, minute: int) -> Self:
        """Each hour at *minute*."""
        return self.cron(f"{minute} * * * *")

    def daily(self) -> Self:
        """At midnight."""
        return self.daily_at("0:00")

    def daily_at(self, time: str) -> Self:
        """Each day at *time*: "02:00"."""
        return self._at(time, "* *", "*")

    def weekly(self) -> Self:
        """At midnight before Sunday."""
        return self.weekly_on(0)

    def weekly_on(self, day: int | str, time: str = "0:00") -> Self:
        """On *day* of each week: 0 or "sunday" to 6 or "saturday"."""
        return self._at(time, "* *", str(day)[:3].lower() if isinstance(day, str) else str(day))

    def monthly(self) -> Self:
        """At midnight before the first."""
        return self.monthly_on(1)

    def monthly_on(self, day: int, time: str = "0:00") -> Self:
        """On *day* of each month."""
        return self._at(time, f"{day} *", "*")

    def weekdays(self) -> Self:
        """Only from Monday to Friday."""
        return self._on("1-5")

    def weekends(self) -> Self:
        """Only on Saturday and Sunday."""
        return self._on("0,6")

    def _on(self, days: str) -> Self:
        fields = self.cron_.text.split()
        return self.cron(" ".join([*fields[:4], days]))

    def _at(self, time: str, day_and_month: str, weekday: str) -> Self:
        hour, _, minute = time.partition(":")
        return self.cron(f"{int(minute or 0)} {int(hour)} {day_and_month} {weekday}")

    # --- how ---

    def name(self, key: str) -> Self:
        """Its key in the table of runs; needed when two tasks would have the same."""
        self.key = key
        return self

    def timezone(self, name: str) -> Self:
        """Read its times in this zone: "Europe/Berlin"."""
        self.zone = zone_of(name)
        return self

    def on_queue(self, name: str) -> Self:
        """Let its job wait in the queue *name*."""
        self.queue_name = name
        return self

    def late(self, policy: str, seconds: float = 3600) -> Self:
        """What to do about missed times not older than *seconds*.

        "skip" none of them, "once" one run for all of them, "all" a run for each.
        """
        if policy not in LATE:
            raise QueueError(f"unknown late policy {policy!r}: use one of {', '.join(LATE)}")
        self.late_policy = policy
        self.late_seconds = seconds
        return self

    def when(self, condition: Callable[[], Any]) -> Self:
        """Only if *condition()* is true at that time."""
        self._conditions.append(condition)
        return self

    def skip(self, condition: Callable[[], Any]) -> Self:
        """Not if *condition()* is true at that time."""
        self._conditions.append(lambda: not condition())
        return self

    def is_wanted(self) -> bool:
        """Whether its conditions hold."""
        return all(condition() for condition in self._conditions)

    def due(self, last: datetime | None, now: datetime) -> list[datetime]:
        """The times at which it should have run since *last*, as far as its policy wants them."""
        window = 90.0 if self.late_policy == "skip" else max(90.0, self.late_seconds)
        oldest = now - timedelta(seconds=window)
        # A task that has never run owes nothing but the present minute.
        after = now - timedelta(seconds=60) if last is None else max(last, oldest)
        times = self.cron_.between(after, now, self.zone)
        return times if self.late_policy == "all" else times[-1:]

    def next_run(self, now: datetime) -> datetime | None:
        """When it runs next, in UTC."""
        return self.cron_.next_after(now, self.zone)


@dataclass(frozen=True)
class Started:
    """One run that this process has begun."""

    task: Task
    run_at: datetime
    ok: bool


class Schedule:
    """The tasks of one queue system."""

    def __init__(self, queue: Queue, timezone: str = "UTC") -> None:
        """Times are those of *timezone* unless a task says otherwise."""
        self._queue = queue
        self.zone = zone_of(timezone)
        self.tasks: list[Task] = []
        self.run_command: Callable[[list[str]], int] | None = None
        ignore = "insert ignore"
        if queue.source.connection().dialect.name == "sqlite":
            ignore = "insert or ignore"
        self._insert = (
            f"{ignore} into queue_schedule_runs (task, run_at, host, started_at) "
            "values (?, ?, ?, ?)"
        )

    # --- saying what recurs ---

    def job(self, job: Job | Callable[[], Job]) -> Task:
        """Queue *job* (or what *job* returns) each time."""
        label = job.alias if isinstance(job, Job) else f"{job.__module__}.{job.__qualname__}"
        return self._add("job", label, job)

    def command(self, line: str) -> Task:
        """Run a console command each time: `"activity:prune --days=365"`."""
        return self._add("command", line, shlex.split(line))

    def call(self, fn: Callable[[], Any]) -> Task:
        """Call *fn* each time."""
        return self._add("call", f"{fn.__module__}.{fn.__qualname__}", fn)

    def _add(self, kind: str, label: str, work: Any) -> Task:
        task = Task(self, kind, label[:120], work)
        self.tasks.append(task)
        return task

    def check(self) -> None:
        """Raise QueueError if two tasks have the same key."""
        seen: set[str] = set()
        for task in self.tasks:
            if task.key in seen:
                raise QueueError(
                    f"two scheduled tasks have the key {task.key!r}: give one of them .name(…)"
                )
            seen.add(task.key)

    # --- running ---

    def run_due(self) -> list[Started]:
        """Begin what is due and nobody has begun yet; what this process began."""
        self.check()
        now = self._queue.clock.now()
        started = []
        for task in self.tasks:
            for run_at in task.due(self._last_run(task), now):
                if task.is_wanted() and self._win(task, run_at):
                    started.append(Started(task, run_at, self._start(task)))
        return started

    def _last_run(self, task: Task) -> datetime | None:
        conn = self._queue.source.connection()
        rows = read(conn, "select max(run_at) from queue_schedule_runs where task = ?", (task.key,))
        return None if rows[0][0] is None else datetime.fromtimestamp(rows[0][0], UTC)

    def _win(self, task: Task, run_at: datetime) -> bool:
        conn = self._queue.source.connection()

        def work() -> bool:
            with conn.transaction():
                return self._claim(conn, task, int(run_at.timestamp()))

        return Retry()(conn, work)

    def _claim(self, conn: Any, task: Task, run_at: int) -> bool:
        now = int(self._queue.clock.time())
        mine = conn.affecting_statement(
            self._insert, (task.key, run_at, socket.gethostname()[:255], now)
        )
        if not mine:
            return False
        newest = read(
            conn, "select max(run_at) from queue_schedule_runs where task = ?", (task.key,)
        )
        if task.late_policy != "all" and newest[0][0] > run_at:
            return False  # another server has made up for this one already
        if task.kind == "job":
            job = task.work if isinstance(task.work, Job) else task.work()
            self._queue.push(job, task.queue_name)
        return True

    def _start(self, task: Task) -> bool:
        if task.kind == "job":
            return True
        try:
            if task.kind == "call":
                task.work()
                return True
            if self.run_command is None:
                raise QueueError("commands are run by `schedule:run` and `schedule:work` only")
            return self.run_command(task.work) == 0
        except Exception:
            log.exception("queue: the scheduled %s %r failed", task.kind, task.label)
            return False

    def sweep(self) -> int:
        """Delete runs of a month ago; how many."""
        before = int(self._queue.clock.time()) - KEEP_DAYS * 86_400
        return int(
            self._queue.source.connection().affecting_statement(
                "delete from queue_schedule_runs where run_at < ?", (before,)
            )
        )


def zone_of(name: str) -> ZoneInfo:
    """The time zone *name*; raises QueueError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise QueueError(f"unknown time zone {name!r}: use a name like Europe/Berlin") from error
