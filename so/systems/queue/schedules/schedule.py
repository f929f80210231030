"""What recurs: `schedule().job(Report("…")).daily_at("02:00")`.

Any number of servers may look at the same schedule: a due time is a row with a unique key, inserted
in the transaction that stores the job, so it runs once. There is no leader to fail. Commands and
functions run in the process that won the row, at most once.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
import socket
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from time import perf_counter
from typing import Any, Self

from so.db.words import insert_ignore
from so.errors import ConfigError, QueueError
from so.settings.queue import QueueSettings
from so.support.places import place_of
from so.support.plain import plain
from so.support.zones import zone_named
from so.systems.queue.intake import Intake
from so.systems.queue.job import Job
from so.systems.queue.schedules.cron import Cron, hour_and_minute, weekdays_field
from so.systems.queue.schedules.results import Results
from so.systems.queue.tables.sql import Retry, read
from so.systems.queue.tables.workers import rest_name

log = logging.getLogger("so.queue")
LATE = ("skip", "once", "all")
KEEP_DAYS = 30
# The latest run of a task is what its missed times are counted from: kept for a yearly one, too.
KEEP_LATEST_DAYS = 400
_KEY_LENGTH = 120
_MINUTE = timedelta(minutes=1)


class Task:
    """One thing that recurs; say when, and how late it may be. The order of the words is free."""

    def __init__(
        self, schedule: Schedule, kind: str, label: str, work: Any, arguments: str = ""
    ) -> None:
        """*kind* is job, command or call; *arguments* tell a job from others of its class."""
        self.kind = kind
        self.label = label
        self.work = work
        self.zone = schedule.zone
        self.late_policy = "once"
        self.late_seconds = 3600.0
        self.queue_name: str | None = None
        self._arguments = arguments
        self._name: str | None = None
        self._conditions: list[Callable[[], Any]] = []
        self._times = Cron.parse("* * * * *")
        self._weekdays: str | None = None
        self._is_last_of_month = False
        self._window: tuple[str | time, str | time, bool] | None = None

    @property
    def place(self) -> str:
        """What lists call it: its label, or file and line of what has no name of its own."""
        return place_of(self.work) if "<" in self.label and callable(self.work) else self.label

    # --- when ---

    def cron(self, expression: str) -> Self:
        """At the minutes that *expression* matches: `*/5 8-18 * * mon-fri`."""
        self._times = Cron.parse(expression)
        self._is_last_of_month = False
        return self

    def every_minute(self) -> Self:
        """Each minute."""
        return self.cron("* * * * *")

    def every_minutes(self, count: int) -> Self:
        """Each *count* minutes from the full hour on; QueueError unless an hour is so divided."""
        if not 0 < count <= 60 or 60 % count:
            raise QueueError(
                f"every_minutes({count}) does not divide an hour: give 1, 2, 3, 4, 5, 6, 10, 12, "
                "15, 20, 30 or 60, or use every_hours(…) or cron(…)"
            )
        return self.cron(f"*/{count} * * * *")

    def every_hours(self, count: int) -> Self:
        """Each *count* hours from midnight on; QueueError unless a day is so divided."""
        if not 0 < count <= 24 or 24 % count:
            raise QueueError(
                f"every_hours({count}) does not divide a day: give 1, 2, 3, 4, 6, 8, 12 or 24, or "
                "use cron(…)"
            )
        return self.cron(f"0 */{count} * * *")

    def hourly(self) -> Self:
        """At each full hour."""
        return self.hourly_at(0)

    def hourly_at(self, minute: int) -> Self:
        """Each hour at *minute*."""
        return self.cron(f"{minute} * * * *")

    def daily(self) -> Self:
        """At midnight."""
        return self.daily_at("0:00")

    def daily_at(self, at: str | time) -> Self:
        """Each day at the time "02:00"."""
        return self._at(at, "* * *")

    def weekly(self) -> Self:
        """At midnight before Sunday."""
        return self.weekly_on(0)

    def weekly_on(self, days: int | str | Iterable[int | str], at: str | time = "0:00") -> Self:
        """On *days* of each week: 0 or "sunday" to 6 or "saturday", or several of them."""
        return self._at(at, f"* * {weekdays_field(days)}")

    def monthly(self) -> Self:
        """At midnight before the first."""
        return self.monthly_on(1)

    def monthly_on(self, day: int, at: str | time = "0:00") -> Self:
        """On *day* of each month; in months that have no such day, not at all."""
        return self._at(at, f"{day} * *")

    def last_day_of_month(self, at: str | time = "0:00") -> Self:
        """On the last day of each month."""
        self._at(at, "* * *")
        self._is_last_of_month = True
        return self

    def quarterly(self) -> Self:
        """At midnight before the first of January, April, July and October."""
        return self.quarterly_on(1)

    def quarterly_on(self, day: int, at: str | time = "0:00") -> Self:
        """On *day* of January, April, July and October."""
        return self._at(at, f"{day} */3 *")

    def yearly(self) -> Self:
        """At midnight before the first of January."""
        return self.yearly_on(1, 1)

    def yearly_on(self, month: int | str, day: int, at: str | time = "0:00") -> Self:
        """On *day* of *month* (1 or "jan" to 12 or "dec") each year."""
        return self._at(at, f"{day} {month} *")

    def between(self, first: str | time, last: str | time) -> Self:
        """Only from *first* to *last* of each day, both included; ("22:00", "6:00") is by night."""
        return self._within(first, last, True)

    def unless_between(self, first: str | time, last: str | time) -> Self:
        """Not from *first* to *last* of each day, both included."""
        return self._within(first, last, False)

    def _within(self, first: str | time, last: str | time, inside: bool) -> Self:
        if self._window not in (None, (first, last, inside)):
            raise QueueError(
                f"between() and unless_between() of {self.label!r} are said twice: keep one of them"
            )
        Cron.parse("* * * * *").within(first, last)  # raises here and now for what is no time
        self._window = first, last, inside
        return self

    def weekdays(self) -> Self:
        """Only from Monday to Friday."""
        return self._on("1-5")

    def weekends(self) -> Self:
        """Only on Saturday and Sunday."""
        return self._on("0,6")

    def _on(self, days: str) -> Self:
        if self._weekdays not in (None, days):
            raise QueueError(
                f"weekdays() and weekends() of {self.label!r} leave no day: keep one of them"
            )
        self._weekdays = days
        return self

    def _at(self, at: str | time, days: str) -> Self:
        hour, minute = hour_and_minute(at)
        return self.cron(f"{minute} {hour} {days}")

    @property
    def cron_(self) -> Cron:
        """When, all words taken together."""
        found = self._times if self._weekdays is None else self._times.on(self._weekdays)
        if self._is_last_of_month:
            found = found.last_of_month()
        if self._window is not None:
            first, last, inside = self._window
            found = found.within(first, last, inside=inside)
        return found

    # --- how ---

    def name(self, name: str) -> Self:
        """Its name in the table of runs, instead of one made of what it runs and when."""
        self._name = name
        return self

    @property
    def has_name(self) -> bool:
        """Whether `name()` was said."""
        return self._name is not None

    @property
    def identity(self) -> str:
        """Its name, or what it runs and when: the same in every process, after every start."""
        if self._name is not None:
            return self._name
        return f"{self.label}{self._arguments} @ {self.cron_.text} {self.zone}"

    def timezone(self, zone: str | tzinfo) -> Self:
        """Read its times in this zone: "Europe/Berlin"."""
        self.zone = zone_of(zone)
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
        """Only if *condition()* is true when its time has come; asked once for each time."""
        self._conditions.append(condition)
        return self

    def skip(self, condition: Callable[[], Any]) -> Self:
        """Not if *condition()* is true when its time has come; asked once for each time."""
        self._conditions.append(lambda: not condition())
        return self

    def is_wanted(self) -> bool:
        """Whether its conditions hold."""
        return all(condition() for condition in self._conditions)

    def due(self, last: datetime, now: datetime) -> list[datetime]:
        """The times at which it should have run since *last*, as far as its policy wants them."""
        window = 90.0 if self.late_policy == "skip" else max(90.0, self.late_seconds)
        after = max(last, now - timedelta(seconds=window))
        times = self.cron_.between(after, now, self.zone)
        return times if self.late_policy == "all" else times[-1:]

    def next_run(self, now: datetime) -> datetime | None:
        """When it runs next, in UTC."""
        return self.cron_.next_after(now, self.zone)


@dataclass(frozen=True)
class Started:
    """One run that this process has begun; not `ok` if it failed, or could not be begun."""

    task: Task
    run_at: datetime
    ok: bool


@dataclass(frozen=True)
class Standing:
    """How one task stands: when it was last decided on, and how long it should have been since."""

    key: str
    last_run: datetime | None
    overdue_seconds: float


class Schedule:
    """The tasks of one queue system."""

    def __init__(self, queue: Intake, timezone: str = QueueSettings.timezone) -> None:
        """Times are those of *timezone* unless a task says otherwise."""
        self._queue = queue
        self.zone = zone_of(timezone)
        self.tasks: list[Task] = []
        self.is_defined = False
        """Whether the application's module has said what recurs."""
        self.run_command: Callable[[list[str]], int] | None = None
        self.said: Callable[[], str] = lambda: ""
        """What the command that ran last has printed."""
        self.results = Results(queue.source, queue.clock)
        ignore = insert_ignore(queue.source.connection().dialect.name)
        self._insert = (
            f"{ignore} into queue_schedule_runs (task, run_at, host, started_at) "
            "values (?, ?, ?, ?)"
        )

    # --- saying what recurs ---

    def job(self, job: Job | Callable[[], Job]) -> Task:
        """Queue *job* (or what *job* returns) each time."""
        if isinstance(job, Job):
            args, kwargs = job._arguments
            arguments = self._queue.codec.encode([*args, kwargs] if kwargs else list(args))
            return self._add("job", job.alias, job, arguments)
        return self._add("job", _name_of(job), job)

    def command(self, line: str) -> Task:
        """Run a console command each time: `"activity:prune --days=365"`."""
        words = shlex.split(line)
        if not words:
            raise QueueError("cannot schedule a command without a name: see `sixorbit list`")
        return self._add("command", line, words)

    def call(self, fn: Callable[[], Any]) -> Task:
        """Call *fn* each time."""
        return self._add("call", _name_of(fn), plain(fn, "the task"))

    def _add(self, kind: str, label: str, work: Any, arguments: str = "") -> Task:
        task = Task(self, kind, label, work, arguments)
        self.tasks.append(task)
        return task

    def keyed(self) -> dict[str, Task]:
        """The tasks by their keys in the table of runs; QueueError if two have the same.

        Functions may well look the same (`<lambda>`): those are numbered as they come.
        """
        found: dict[str, Task] = {}
        for task in self.tasks:
            key, number = _fitting(task.identity), 1
            while key in found and callable(task.work) and not task.has_name:
                number += 1
                key = _fitting(f"{task.identity} #{number}")
            if key in found:
                raise QueueError(
                    f"two scheduled tasks have the key {key!r}: give one of them .name(…)"
                )
            found[key] = task
        return found

    # --- running ---

    def run_due(self) -> list[Started]:
        """Begin what is due and nobody has begun yet; what this process began, or could not.

        An error in one task is logged and holds up no other. What could not be begun is still
        owed, and tried again for as long as the task may be late.
        """
        now = self._queue.clock.now()
        started: list[Started] = []
        resting = self._queue.tables.workers.paused(self._queue.source.connection())
        for key, task in self.keyed().items():
            if rest_name(f"schedule:{key}") in resting:
                continue
            try:
                for run in self._begin(key, task, now):
                    started.append(run)
            except Exception:
                log.exception("queue: cannot begin the scheduled %s %r", task.kind, task.label)
                started.append(Started(task, now, ok=False))
        return started

    def _begin(self, key: str, task: Task, now: datetime) -> Iterator[Started]:
        for run_at in task.due(self._last_run(key) or self._first_sight(key, now), now):
            is_wanted = task.is_wanted()
            if not self._win(key, task, run_at, is_wanted):
                continue
            if is_wanted:
                yield Started(task, run_at, self._timed(key, task, run_at))
            else:
                log.info(
                    "queue: the scheduled %s %r is not wanted at %s", task.kind, task.label, run_at
                )

    def _last_run(self, key: str) -> datetime | None:
        conn = self._queue.source.connection()
        rows = read(conn, "select max(run_at) from queue_schedule_runs where task = ?", (key,))
        return None if rows[0][0] is None else datetime.fromtimestamp(rows[0][0], UTC)

    def _first_sight(self, key: str, now: datetime) -> datetime:
        """Write down that the task is known from now on: it owes the present minute and all since.

        Without that, a time missed before the first run could not be told from one that had
        passed when the task was written.
        """
        before = now.replace(second=0, microsecond=0) - _MINUTE
        conn = self._queue.source.connection()
        Retry()(conn, lambda: self._note(conn, key, before))
        return before

    def _win(self, key: str, task: Task, run_at: datetime, is_wanted: bool = True) -> bool:
        """Whether this process is the one to decide about *run_at*; stores the job if so."""
        conn = self._queue.source.connection()

        def work() -> bool:
            with conn.transaction():
                return self._claim(conn, key, task, run_at, is_wanted)

        return Retry()(conn, work)

    def _claim(self, conn: Any, key: str, task: Task, run_at: datetime, is_wanted: bool) -> bool:
        if not self._note(conn, key, run_at):
            return False
        newest = self._last_run(key)
        if task.late_policy != "all" and newest is not None and newest > run_at:
            return False  # another server has made up for this one already
        if is_wanted and task.kind == "job":
            job = task.work if isinstance(task.work, Job) else task.work()
            self._queue.push(job, task.queue_name)
        return True

    def _note(self, conn: Any, key: str, run_at: datetime) -> bool:
        """Write the row of a due time; False if it was there."""
        now, host = int(self._queue.clock.time()), socket.gethostname()[:255]
        values = (key, int(run_at.timestamp()), host, now)
        return bool(conn.affecting_statement(self._insert, values))

    def _timed(self, key: str, task: Task, run_at: datetime) -> bool:
        """Run it, and note how long that took and how it ended; False if it failed."""
        self.results.begin(key, int(run_at.timestamp()))
        began = perf_counter()
        failure = self._start(task)
        outcome = "queued" if task.kind == "job" else "done"
        ms = round((perf_counter() - began) * 1000)
        self.results.end(key, ms, outcome if failure is None else "failed", failure)
        return failure is None

    def _start(self, task: Task) -> str | None:
        """None, or what it said when it failed."""
        try:
            if task.kind == "call":
                task.work()
            elif task.kind == "command":
                return self._command(task)
        except Exception:
            log.exception("queue: the scheduled %s %r failed", task.kind, task.label)
            return traceback.format_exc()
        return None

    def _command(self, task: Task) -> str | None:
        if self.run_command is None:
            raise QueueError("commands are run by `schedule:run` and `schedule:work` only")
        code = self.run_command(task.work)
        if not code:
            return None
        log.error("queue: the scheduled command %r ended with %s", task.label, code)
        return f"{self.said()}\nended with {code}".strip()

    def run_now(self, task: Task) -> bool:
        """Begin *task* whatever its time; False if it failed. A job is queued."""
        if task.kind == "job":
            self._queue.push(
                task.work if isinstance(task.work, Job) else task.work(), task.queue_name
            )
        key = next((key for key, one in self.keyed().items() if one is task), task.identity)
        return self._timed(_fitting(key), task, self._queue.clock.now())

    def standings(self, since: datetime, most: int | None = None) -> list[Standing]:
        """How the first *most* tasks stand; one that was never seen is owed from *since* on.

        A task that rests is not overdue.
        """
        now = self._queue.clock.now()
        resting = self._queue.tables.workers.paused(self._queue.source.connection())
        found = []
        for key, task in list(self.keyed().items())[:most]:
            last = self._last_run(key)
            next_run = task.next_run(last or since)
            rests = "*" in resting or rest_name(f"schedule:{key}") in resting
            late = 0.0 if rests or next_run is None else (now - next_run).total_seconds()
            found.append(Standing(key, last, max(0.0, late)))
        return found

    def sweep(self) -> int:
        """Delete runs of a month ago, except the latest of each task; how many."""
        conn, now = self._queue.source.connection(), int(self._queue.clock.time())
        before, ancient = now - KEEP_DAYS * 86_400, now - KEEP_LATEST_DAYS * 86_400
        rows = read(
            conn,
            "select task, max(run_at) from queue_schedule_runs group by task "
            "having min(run_at) < ?",
            (before,),
        )
        total = 0
        for key, latest in rows:
            end = before if latest < ancient else min(before, latest)
            total += conn.affecting_statement(
                "delete from queue_schedule_runs where task = ? and run_at < ?", (key, end)
            )
        return int(total)


def _name_of(fn: Any) -> str:
    if not callable(fn):
        raise QueueError(f"cannot schedule {fn!r}: give a Job, or a function")
    inner = getattr(fn, "func", fn)  # of a functools.partial
    return f"{inner.__module__}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"


def _fitting(text: str) -> str:
    """*text* as the column takes it: ASCII, and of a length that keeps it distinct."""
    if text.isascii() and len(text) <= _KEY_LENGTH:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text.encode('ascii', 'replace').decode()[: _KEY_LENGTH - 17]}~{digest}"


def zone_of(zone: str | tzinfo) -> tzinfo:
    """The time zone of that name; raises QueueError for an unknown one."""
    if isinstance(zone, tzinfo):
        return zone
    try:
        return zone_named(zone)
    except ConfigError as error:
        raise QueueError(f"unknown time zone: {error}") from error
