"""`notification:*`: clean up the inboxes, and tell what came of a notification."""

from __future__ import annotations

from so.console.command import Command
from so.console.commands.activity import whole_days


class NotificationCleanup(Command):
    """Run by a timer every night."""

    signature = (
        "notification:cleanup"
        " {--days=@notifications.prune_days : Read ones older than this many days}"
        " {--unread-days= : And unread ones older than this} {--dry-run : Count, delete nothing}"
        " {--type= : Only of this class, as the column has it} {--category= : Only of this one}"
    )

    def handle(self) -> int:
        """Delete in batches and print the count."""
        days = whole_days(self.option("days"), "days")
        unread = self.option("unread-days")
        unread_days = None if unread is None else whole_days(unread, "unread-days")
        dry = bool(self.option("dry-run"))
        only = {name: self.option(name) for name in ("type", "category")}
        with self.hearing():
            count = self.app.make("notifications").cleanup(days, unread_days, dry_run=dry, **only)
        verb = "would be deleted" if dry else "deleted"
        self.report_done({"count": count, "dry_run": dry}, f"{count} notifications {verb}.")
        return 0


class NotificationDue(Command):
    """Run by a timer every few minutes."""

    signature = "notification:due"

    def handle(self) -> int:
        """Send what is due and print the count."""
        with self.hearing():
            count = self.app.make("notifications").send_due()
        self.report_done({"sent": count}, f"{count} notifications sent.")
        return 0


class NotificationWhy(Command):
    """Answers "why did I not get that?"."""

    signature = "notification:why {id : Of the notification}"

    def handle(self) -> int:
        """A line for each channel; 1 if nothing is known of it."""
        id = self.argument("id")
        found = self.app.make("notifications").why(id)
        if self.wants_json:
            self.json(found)
            return 0 if found else 1
        if not found:
            self.error(
                f"Nothing is known of a notification {id}: the id is another one, or the clean-up "
                "has forgotten it."
            )
            return 1
        for row in found:
            to = f"{row['notifiable_type']}:{row['notifiable_id']}"
            who = "an address" if row["notifiable_type"] is None else to
            why = f": {row['reason']}" if row["reason"] else ""
            at = str(row["sent_at"])[:19]
            self.line(f"{row['type']} to {who} by {row['channel']}: {row['status']}, {at}{why}")
        return 0
