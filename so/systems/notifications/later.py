"""When people are told: not in their quiet hours, and in one digest where that was asked for.

What is held back stands in `notification_deliveries` until its time has come; the service sends it
then (`send_due`). The inbox is never held back, and nothing that is critical.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple

from so.errors import NotificationError, SixOrbitError
from so.settings.notifications import NotificationSettings
from so.systems.notifications.delivery import Delivery
from so.systems.notifications.message import MailMessage, Notification

SILENT = ("database", "log", "webhook")  # channels that wake nobody
DIGESTED = "mail"  # the channel that digests go by
_HOURS = re.compile(r"([^-–]+)[-–]([^-–]+)")
_TIME = re.compile(r"\s*([0-9]{1,2}):([0-9]{2})\s*")


class HeldUntil(NamedTuple):
    """Until when a delivery is held back, and why."""

    until: datetime
    why: str


class QuietHours(NamedTuple):
    """From when to when, on the clock of whoever is told; over midnight, too."""

    begin: time
    end: time

    @classmethod
    def read(cls, text: str) -> QuietHours | None:
        """Those of *text*, as `22:00-07:00`; None for "". NotificationError for what is none."""
        if not text.strip():
            return None
        found = _HOURS.fullmatch(text)
        if found is None:
            raise NotificationError(f"{text!r} are no quiet hours: write them as 22:00-07:00")
        return cls(_time(found[1]), _time(found[2]))

    def end_after(self, local: datetime) -> datetime | None:
        """When they end that *local* is in; None outside of them."""
        now = local.time()
        if self.begin <= self.end:
            is_in = self.begin <= now < self.end
        else:
            is_in = now >= self.begin or now < self.end
        return next_time(local, self.end) if is_in else None


def next_time(local: datetime, at: time) -> datetime:
    """When the clock next shows *at*, after *local* and in its zone.

    Where an hour comes twice, in the second one if *local* is in that.
    """
    found = local.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    if found <= local:
        found = found.replace(fold=0) + timedelta(days=1)
    return found.astimezone(UTC).astimezone(local.tzinfo)  # what the clock leaps over is later


class Times:
    """The quiet hours and the time of digests, of those who say nothing and of those who do."""

    def __init__(
        self,
        quiet: str | None = NotificationSettings.quiet_hours,
        digest_at: str = NotificationSettings.digest_at,
        zone_of: Callable[[Any], tzinfo] = lambda notifiable: UTC,
    ) -> None:
        """*quiet* as `22:00-07:00`, *digest_at* as `08:00`, both on the clock that *zone_of* gives.

        NotificationError for what is none.
        """
        self._quiet = QuietHours.read(quiet or "")
        self._digest_at = _time(digest_at)
        self._zone_of = zone_of

    def held(self, delivery: Delivery, now: datetime) -> HeldUntil | None:
        """Until when *delivery* is to be held back; None if it may go at once."""
        what, who = delivery.notification, delivery.notifiable
        if what.critical or delivery.channel in SILENT:
            return None
        local, why = now.astimezone(self._zone_of(who)), ""
        digest = what.digest
        if digest and delivery.channel == DIGESTED and hasattr(who, "get_key"):
            local, why = self._digest_time(digest, local), f"{digest} digest"
        quiet = self._quiet_hours(who)
        end = None if quiet is None else quiet.end_after(local)
        if end is not None:
            local, why = end, why or "quiet hours"
        if not why:
            return None
        return HeldUntil(local.astimezone(UTC), f"{why} until {local:%Y-%m-%d %H:%M %Z}")

    def _digest_time(self, every: str, local: datetime) -> datetime:
        if every == "hourly":
            past = timedelta(0, local.second, local.microsecond, minutes=local.minute)
            return (local.astimezone(UTC) + timedelta(hours=1) - past).astimezone(local.tzinfo)
        at = next_time(local, self._digest_at)
        if every == "weekly":
            at += timedelta(days=-at.weekday() % 7)  # Monday's
        return at

    def _quiet_hours(self, notifiable: Any) -> QuietHours | None:
        """What the recipient's `preferred_quiet_hours` says, attribute or method; "" for none."""
        try:
            said = getattr(notifiable, "preferred_quiet_hours", None)
        except SixOrbitError:  # a model that allows no missing columns
            return self._quiet
        said = said() if callable(said) else said
        if not isinstance(said, str):
            return self._quiet
        try:
            return QuietHours.read(said)
        except NotificationError:
            return self._quiet  # typed long ago: it counts as nothing


def _time(text: str) -> time:
    found = _TIME.fullmatch(text)
    try:
        if found is not None:
            return time(int(found[1]), int(found[2]))
    except ValueError:
        pass
    raise NotificationError(f"{text!r} is no time of a day: write it as 08:00")


class Digest(Notification):
    """Several notifications of one recipient in one mail; one alone is told as it is."""

    type_alias = "so.digest"
    critical = True

    def __init__(self, mails: list[MailMessage]) -> None:
        self.mails = mails

    def to_mail(self, notifiable: Any) -> MailMessage:
        """The mails of all, one below the other."""
        if len(self.mails) == 1:
            return self.mails[0]
        mail = MailMessage(f"{len(self.mails)} notifications")
        for each in self.mails:
            mail.parts += [("heading", each.subject, ""), *(each.parts or _plain(each))]
            mail.attachments += each.attachments
        return mail


def _plain(mail: MailMessage) -> list[tuple[str, str, str]]:
    """The text of a mail that was written whole."""
    return [("line", part, "") for part in (mail.body or "").split("\n\n") if part.strip()]
