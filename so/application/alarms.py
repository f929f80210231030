"""What the application mails by itself: a trail that somebody changed, and its anchors."""

from __future__ import annotations

from so.systems.notifications import MailMessage, Notification


class TrailTampered(Notification):
    """`activity:verify` found something."""

    def __init__(self, summary: str) -> None:
        self.summary = summary

    def via(self, notifiable: object = None) -> list[str]:
        """By mail, now."""
        return ["mail"]

    def to_mail(self, notifiable: object) -> MailMessage:
        """What was found, and what to do."""
        return (
            MailMessage("The activity log was tampered with")
            .line(f"activity:verify found: {self.summary}.")
            .line("Keep the database as it is, and run `activity:verify --full` for the details.")
        )


class TrailAnchored(Notification):
    """The newest seal, sent to where this database cannot reach."""

    def __init__(self, line: str) -> None:
        self.line = line

    def via(self, notifiable: object = None) -> list[str]:
        """By mail, now."""
        return ["mail"]

    def to_mail(self, notifiable: object) -> MailMessage:
        """The line to keep."""
        return (
            MailMessage("Anchor of the activity log")
            .line(self.line)
            .line("Keep this mail: `activity:verify --head=HASH` proves the trail against it.")
        )
