"""What the application tells people of by itself: a trail that somebody changed."""

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
