"""`notification:*`: clean up the inboxes."""

from __future__ import annotations

from so.console.command import Command
from so.console.commands.activity import whole_days


class NotificationCleanup(Command):
    """Run by a timer every night."""

    signature = (
        "notification:cleanup"
        " {--days=@notifications.prune_days : Read ones older than this many days}"
        " {--unread-days= : And unread ones older than this} {--dry-run : Count, delete nothing}"
    )
    description = "Delete old notifications that were read"

    def handle(self) -> int:
        """Delete in batches and print the count."""
        days = whole_days(self.option("days"), "days")
        unread = self.option("unread-days")
        unread_days = None if unread is None else whole_days(unread, "unread-days")
        dry = bool(self.option("dry-run"))
        count = self.app.make("notifications").cleanup(days, unread_days, dry_run=dry)
        self.info(f"{count} notifications {'would be deleted' if dry else 'deleted'}.")
        return 0
