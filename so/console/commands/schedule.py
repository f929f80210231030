"""`schedule:*`: what recurs, begun at its time once across all servers."""

from __future__ import annotations

import contextlib
import io
import signal
import threading
from datetime import datetime
from typing import Any

from so.console.command import Command
from so.console.output import Output, Tail
from so.errors import CommandError, DatabaseError
from so.systems.queue import Schedule


class ScheduleCommand(Command):
    """What the commands about the schedule have in common."""

    def load(self, aside: bool = False) -> Schedule:
        """The schedule, once the application's module has said what is in it.

        What its commands print goes nowhere if it is set *aside* for a document.
        """
        schedule: Schedule = self.app.make("schedule")
        tail = Tail()
        shown = Output(io.StringIO(), self.output.error_stream) if aside else self.output
        output = shown.heard(tail)

        def run(argv: list[str]) -> int:
            tail.text = ""
            return self.kernel.run(argv, output)

        schedule.run_command, schedule.said = run, lambda: tail.text
        schedule.keyed()
        return schedule

    def run_due(self, schedule: Schedule) -> int:
        """Begin what is due and print it; how many of them failed. Nothing while down."""
        if self.app.make("maintenance").is_down():
            self.comment("This server is down for maintenance: nothing is begun until `up`.")
            return 0
        failed = 0
        for started in schedule.run_due():
            word = {"job": "queued", "command": "ran", "call": "called"}[started.task.kind]
            text = f"{started.run_at:%Y-%m-%d %H:%M} {word} {started.task.place}"
            self.line(text) if started.ok else self.error(f"{text}: FAILED")
            failed += not started.ok
        return failed


class ScheduleRun(ScheduleCommand):
    """Begins what is due now."""

    signature = "schedule:run"

    def handle(self) -> int:
        """Run once."""
        schedule = self.load(self.wants_json)
        schedule.sweep()
        if not self.wants_json:
            return int(self.run_due(schedule) > 0)
        is_down = self.app.make("maintenance").is_down()
        begun = [] if is_down else list(schedule.run_due())
        rows = [
            {"task": one.task.place, "kind": one.task.kind, "run_at": one.run_at, "ok": one.ok}
            for one in begun
        ]
        self.json({"down": is_down, "begun": rows})
        return int(not all(one.ok for one in begun))


class ScheduleWork(ScheduleCommand):
    """Begins what is due, minute by minute."""

    signature = "schedule:work"

    def handle(self) -> int:
        """Run until SIGTERM or SIGINT."""
        schedule, clock = self.load(), self.app.clock
        schedule.sweep()  # without a database or its tables, it fails here and not each minute
        ended = threading.Event()
        before = {
            number: signal.signal(number, lambda *_: ended.set())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            while not ended.is_set():
                self.run_due(schedule)
                ended.wait(60 - clock.time() % 60 + 0.05)
                with contextlib.suppress(DatabaseError):  # which run_due tells, and outlives
                    schedule.sweep()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return 0


class ScheduleList(ScheduleCommand):
    """Shows what recurs."""

    signature = "schedule:list"
    SHOWN = ("cron", "timezone", "kind", "task", "late")

    def handle(self) -> int:
        """Print it."""
        schedule, now = self.load(), self.app.clock.now()
        rows: list[dict[str, Any]] = [
            {
                "cron": task.cron_.text,
                "timezone": str(task.zone),
                "kind": task.kind,
                "task": task.place,
                "key": key,
                "late": task.late_policy,
                "next_run": task.next_run(now),
            }
            for key, task in schedule.keyed().items()
        ]
        if self.wants_json:
            self.json(rows)
        else:
            self.table(
                [*self.SHOWN, "next run (UTC)"],
                [[*(row[name] for name in self.SHOWN), _minute(row["next_run"])] for row in rows],
            )
        return 0


class ScheduleTest(ScheduleCommand):
    """Runs one task now, whatever its time."""

    signature = "schedule:test {name : The task, or a part of its name}"

    def handle(self) -> int:
        """Run it; 1 if it failed."""
        schedule, name = self.load(self.wants_json), str(self.argument("name"))
        tasks = schedule.keyed()
        found = [key for key, task in tasks.items() if name in (key, task.place)]
        found = found or [key for key in tasks if name in key]
        if len(found) != 1:
            known = ", ".join(found or tasks) or "none"
            what = "several tasks fit" if found else "there is no task"
            raise CommandError(f"{what} {name!r}; choose from {known}")
        done = schedule.run_now(tasks[found[0]])
        if not done:
            self.error(f"{found[0]}: FAILED")
        if done or self.wants_json:
            facts = {"key": found[0], "task": tasks[found[0]].place, "ok": done}
            self.report_done(facts, f"{found[0]}: done")
        return 0 if done else 1


def _minute(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
