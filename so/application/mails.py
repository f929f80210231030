"""What the application mails by itself: to users about their accounts, and about its trail."""

from __future__ import annotations

from typing import Any

from so.support.agents import device_name
from so.systems.notifications import MailMessage, Notification


class ResetPassword(Notification):
    """The link by which a forgotten password is replaced."""

    category, critical, resendable = "account", True, False

    def __init__(self, url: str, minutes: int = 60) -> None:
        self.url, self.minutes = url, minutes

    def via(self, notifiable: Any = None) -> list[str]:
        """By mail alone: who cannot log in sees no inbox."""
        return ["mail"]

    def to_mail(self, notifiable: Any) -> MailMessage:
        """The mail."""
        return (
            MailMessage("Set a new password")
            .line("Somebody, hopefully you, asked for a new password for your account.")
            .action("Set a new password", self.url)
            .line(f"The link works once, within {self.minutes} minutes.")
            .line("If it was not you, there is nothing to do: your password stays as it is.")
        )


class VerifyEmail(Notification):
    """The link that confirms an address."""

    category, critical, resendable = "account", True, False

    def __init__(self, url: str) -> None:
        self.url = url

    def via(self, notifiable: Any = None) -> list[str]:
        """By mail: it is the address that is to be confirmed."""
        return ["mail"]

    def to_mail(self, notifiable: Any) -> MailMessage:
        """The mail."""
        return (
            MailMessage("Confirm your e-mail address")
            .line("Please confirm that this is your address.")
            .action("Confirm the address", self.url)
            .line("If you have no account with us, there is nothing to do.")
        )


class EmailChanged(Notification):
    """Tells the old address that there is a new one."""

    category, critical = "account", True

    def __init__(self, address: str) -> None:
        self.address = address

    def via(self, notifiable: Any = None) -> list[str]:
        """By mail, to the old address."""
        return ["mail"]

    def to_mail(self, notifiable: Any) -> MailMessage:
        """The mail."""
        return (
            MailMessage("Your e-mail address was changed")
            .line(f"The address of your account is now {self.address}.")
            .line("If it was not you who changed it, tell your administrator at once.")
        )


class NewDevice(Notification):
    """A login from a browser that the account was not used from before."""

    category = "account"

    def __init__(self, address: str, agent: str, at: str) -> None:
        self.address, self.agent, self.at = address, agent, at

    def _lines(self) -> list[str]:
        return [
            f"{self.at}: a login from {self.address or 'an unknown address'}.",
            f"By: {device_name(self.agent)}.",
            "If it was not you, change your password and end all other sessions.",
        ]

    def to_database(self, notifiable: Any) -> dict[str, Any]:
        """The entry in the inbox."""
        return {"title": "Login from a new device", "message": " ".join(self._lines())}

    def to_mail(self, notifiable: Any) -> MailMessage:
        """The mail."""
        message = MailMessage("Login from a new device")
        for line in self._lines():
            message.line(line)
        return message

    def to_dict(self, notifiable: Any) -> dict[str, Any]:
        """For any other channel."""
        return self.to_database(notifiable)


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
