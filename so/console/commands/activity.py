"""`activity:*`: prune and look at the trail."""

from __future__ import annotations

from so.console.command import Command
from so.errors import UsageError


def whole_days(text: object, option: str) -> int:
    """*text* as a whole number of days from 1; UsageError, before anything is deleted, if not."""
    given = str(text)
    if not (given.isascii() and given.isdecimal() and int(given) >= 1):
        raise UsageError(f"--{option} must be a whole number from 1, not {given!r}")
    return int(given)


class ActivityPrune(Command):
    """Run by a timer every night."""

    signature = (
        "activity:prune {--days= : Keep this many days} {--log= : Only this log}"
        " {--dry-run : Count, delete nothing}"
    )
    description = "Delete activity log rows older than so many days"

    def handle(self) -> int:
        """Delete in batches and print the count."""
        days = whole_days(self.option("days", self.app.config.get("activity.prune_days")), "days")
        dry = bool(self.option("dry-run"))
        count = self.app.make("activity").prune(days, log=self.option("log"), dry_run=dry)
        verb = "would be deleted" if dry else "deleted"
        self.info(f"{count} activity rows older than {days} days {verb}.")
        return 0
