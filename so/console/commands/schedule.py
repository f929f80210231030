"""`schedule:*`: what recurs, begun at its time once across all servers."""

from __future__ import annotations

import signal
import threading
from types import ModuleType
from typing import Any

from so.console.command import Command
from so.systems.queue import Queue, Schedule


class ScheduleCommand(Command):
    """What the commands about the schedule have in common."""

    hidden = True

    def load(self) -> Schedule:
        """The schedule, once the application's module has said what is in it."""
        queue: Queue = self.app.make("queue")
        schedule = queue.schedule
        if not schedule.tasks:
            module = self._module(str(self.app.config.get("queue.schedule") or "app.schedule"))
            define = getattr(module, "define", None)
            if define is not None:
                define(schedule)
        schedule.run_command = lambda argv: self.kernel.run(argv, self.output)
        schedule.check()
        return schedule

    def _module(self, name: str) -> ModuleType | None:
        file = self.app.base_path(name.replace(".", "/") + ".py")
        return self.app.import_module(name) if file.is_file() else None

    def run_due(self, schedule: Schedule) -> int:
        """Begin what is due and print it; how many of them failed."""
        failed = 0
        for started in schedule.run_due():
            word = {"job": "queued", "command": "ran", "call": "called"}[started.task.kind]
            text = f"{started.run_at:%Y-%m-%d %H:%M} {word} {started.task.label}"
            self.line(text) if started.ok else self.error(f"{text}: FAILED")
            failed += not started.ok
        return failed


class ScheduleRun(ScheduleCommand):
    """Begins what is due now."""

    signature = "schedule:run"
    description = "Begin what is due now and end; for a timer that runs it each minute"
    hidden = False

    def handle(self) -> int:
        """Run once."""
        schedule = self.load()
        failed = self.run_due(schedule)
        schedule.sweep()
        return int(failed > 0)


class ScheduleWork(ScheduleCommand):
    """Begins what is due, minute by minute."""

    signature = "schedule:work"
    description = "Begin what is due at each full minute until stopped"
    hidden = False

    def handle(self) -> int:
        """Run until SIGTERM or SIGINT."""
        schedule, clock = self.load(), self.app.clock
        ended = threading.Event()
        before = {
            number: signal.signal(number, lambda *_: ended.set())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            while not ended.is_set():
                self.run_due(schedule)
                schedule.sweep()
                ended.wait(60 - clock.time() % 60 + 0.05)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return 0


class ScheduleList(ScheduleCommand):
    """Shows what recurs."""

    signature = "schedule:list"
    description = "Show what recurs, and when next"
    hidden = False

    def handle(self) -> int:
        """Print it."""
        schedule, now = self.load(), self.app.clock.now()
        rows: list[dict[str, Any]] = [
            {
                "cron": task.cron_.text,
                "timezone": task.zone.key,
                "kind": task.kind,
                "task": task.label,
                "late": task.late_policy,
                "next_run": task.next_run(now),
            }
            for task in schedule.tasks
        ]
        if self.wants_json:
            self.json(rows)
        else:
            self.table(
                ["cron", "timezone", "kind", "task", "late", "next run (UTC)"],
                [[*list(row.values())[:-1], f"{row['next_run']:%Y-%m-%d %H:%M}"] for row in rows],
            )
        return 0
