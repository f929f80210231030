"""What people do not want to hear: the table `notification_mutes`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from so.db.manager import ConnectionSource
from so.errors import NotificationError
from so.systems.notifications.delivery import Delivery, category_of
from so.systems.notifications.inbox import owner_columns

EVERY = "*"  # channel
LONGEST = 64  # characters, as the columns hold


class Preferences:
    """Who has muted which category, through which channel."""

    def __init__(self, db: ConnectionSource) -> None:
        self._db = db

    def mute(
        self, notifiable: Any, category: str, channel: str | None, known: Iterable[str]
    ) -> None:
        """Let *notifiable* hear no more of *category*, through *channel* or at all.

        NotificationError for a channel that is not *known*: nothing would be muted.
        """
        way = EVERY if channel is None else channel
        for name, given in (("category", category), ("channel", way)):
            if not isinstance(given, str) or not 1 <= len(given.strip()) <= len(given) <= LONGEST:
                raise NotificationError(
                    f"the {name} {given!r:.80} cannot be muted: it must be text of 1 to {LONGEST} "
                    "characters"
                )
        if channel is not None and channel not in known:
            channels = ", ".join(sorted(known))
            raise NotificationError(f"{channel!r:.80} cannot be muted: the channels are {channels}")
        row = {**owner_columns(notifiable), "category": category, "channel": way}
        self._rows().insert_or_ignore(row)

    def unmute(self, notifiable: Any, category: str, channel: str | None) -> None:
        """Let *notifiable* hear of *category* again."""
        query = self._rows().where({**owner_columns(notifiable), "category": category})
        (query if channel is None else query.where("channel", channel)).delete()

    def of(self, deliveries: Iterable[Delivery]) -> Muted:
        """What stops any of *deliveries*: one query for each type of recipient and category."""
        keys: dict[tuple[str, str], set[str]] = {}
        for delivery in deliveries:
            owner = _owner(delivery)
            if owner is not None:
                keys.setdefault((owner[0], owner[2]), set()).add(owner[1])
        muted = Muted()
        for (type_, category), ids in keys.items():
            query = self._rows().where({"notifiable_type": type_, "category": category})
            rows = query.where_in("notifiable_id", sorted(ids)).get(["notifiable_id", "channel"])
            muted |= {(type_, row["notifiable_id"], category, row["channel"]) for row in rows}
        return muted

    def _rows(self) -> Any:
        return self._db.connection().table("notification_mutes")


class Muted(set[tuple[str, ...]]):
    """Recipient, category and channel of what is muted."""

    def why(self, delivery: Delivery) -> str | None:
        """Why *delivery* is stopped; None if it is not."""
        owner = _owner(delivery)
        if owner is None:
            return None
        for channel, by in ((EVERY, "every channel"), (delivery.channel, repr(delivery.channel))):
            if (*owner, channel) in self:
                return f"the recipient has muted {owner[2]!r} on {by}"
        return None


def _owner(delivery: Delivery) -> tuple[str, str, str] | None:
    """Recipient and category, where that recipient could have muted it."""
    who, what = delivery.notifiable, delivery.notification
    category = category_of(what)
    if category is None or what.critical or not hasattr(who, "get_key"):
        return None
    if who.get_key() is None:
        return None
    owner = owner_columns(who)
    return owner["notifiable_type"], owner["notifiable_id"], category
