"""One delivery: what is told to whom through which channel, and what came of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from so.db.connection import Connection
from so.errors import ConcurrencyError, LostConnectionError, NotificationFailed
from so.support.ids import uuid
from so.systems.notifications.inbox import owner_columns
from so.systems.notifications.message import Notification

WANTED, SENT, MUTED, REFUSED, FAILED = "wanted", "sent", "muted", "refused", "failed"
HELD = "held"  # until its time has come
SETTLED = (SENT, MUTED, REFUSED, HELD)  # a job does nothing more about it


@dataclass(frozen=True)
class Delivery:
    """One notification for one recipient through one channel, as a job carries it.

    *channels* are all those by which this recipient is told: what is wanted of them is decided
    together, before the first of them is used.
    """

    id: str
    notifiable: Any
    notification: Notification
    channel: str
    channels: tuple[str, ...] = ()

    def siblings(self) -> list[Delivery]:
        """This one and those of the other channels."""
        return [replace(self, channel=channel) for channel in self.channels or (self.channel,)]

    @property
    def is_told_once(self) -> bool:
        """Is there a key by which a repetition is known?"""
        return self.notification.dedupe_key is not None


class Outcome(NamedTuple):
    """A status of a delivery and why it has it."""

    status: str
    reason: str | None = None
    due_at: datetime | None = None  # of what is held


class Trouble:
    """The errors of one sending, told when everything was tried.

    What makes the outermost transaction run again goes through it at once and untouched.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.errors: list[BaseException] = []

    def add(self, error: BaseException) -> None:
        """Note *error*; raises it where a transaction is to be repeated."""
        if may_be_repeated(error) and self._connection.transaction_level() > 0:
            raise error
        self.errors.append(error)

    def tell(self) -> None:
        """Raise what was noted."""
        for error in self.errors:
            if may_be_repeated(error):
                raise error
        if self.errors:
            raise NotificationFailed(self.errors)


def may_be_repeated(error: BaseException) -> bool:
    """True if whoever holds the transaction is to decide, and no channel."""
    return isinstance(error, (ConcurrencyError, LostConnectionError))


def category_of(notification: Notification) -> str | None:
    """What people mute to hear no more of such: text, as the columns have it."""
    return None if notification.category is None else str(notification.category)


def id_for(notifiable: Any, notification: Notification) -> str:
    """One a recipient, shared by the channels; the same again for the class and dedupe key.

    So a repetition meets the row and the deliveries of the first, whichever channel it is.
    """
    if notification.dedupe_key is None:
        return uuid()
    is_model = hasattr(notifiable, "get_key")
    who = list(owner_columns(notifiable).values()) if is_model else ["", str(notifiable)]
    text = "\0".join([*who, notification.alias(), str(notification.dedupe_key)])
    return str(UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4))
