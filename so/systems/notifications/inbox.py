"""The inbox: rows of `notifications` as a model, and the mixin that gives a model one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from so.db.model import HasUuids, Model, relation
from so.support.current import current

PAGE = 50  # notifications that a list holds unless asked for more


class DatabaseNotification(HasUuids, Model):
    """One notification of one recipient; `data` is what `to_database` gave."""

    table = "notifications"
    guarded: list[str] = []
    casts = {"data": "json", "read_at": "datetime"}

    def mark_as_read(self) -> None:
        """Mark as read now; an earlier time is kept."""
        if self["read_at"] is None:
            now = self.fresh_timestamp()
            query = type(self).where("id", self.get_key()).where_null("read_at")
            query.update({"read_at": now})
            self.force_fill({"read_at": now}).sync_original()

    def mark_as_unread(self) -> None:
        """Mark as not read."""
        if self["read_at"] is not None:
            self.force_fill({"read_at": None}).save()

    def read(self) -> bool:
        """True if it was read."""
        return self["read_at"] is not None

    def unread(self) -> bool:
        """True if it was not read."""
        return self["read_at"] is None


class Notifiable:
    """For a model that is told things: `class User(Notifiable, Model)`."""

    @relation
    def notifications(self) -> Any:
        """All of them, newest first; `user.related('notifications')` queries further."""
        return self._inbox()

    @relation
    def unread_notifications(self) -> Any:
        """Those not read yet, newest first."""
        return self._inbox().where_null("read_at")

    @relation
    def read_notifications(self) -> Any:
        """Those that were read, newest first."""
        return self._inbox().where_not_null("read_at")

    def _inbox(self) -> Any:
        model: Any = self
        inbox = model.morph_many(DatabaseNotification, "notifiable")
        return inbox.order_by_desc("created_at").order_by_desc("id").limit(PAGE)

    def unread_count(self) -> int:
        """How many were not read."""
        return int(self._owned().where_null("read_at").count())

    def mark_all_as_read(self) -> int:
        """Mark all of them as read, those read before left as they are; how many."""
        now = current("notifications").clock.now()
        return int(self._owned().where_null("read_at").update({"read_at": now}))

    def _owned(self) -> Any:
        return DatabaseNotification.where(owner_columns(self))

    def notify(self, notification: Any) -> None:
        """Tell this one."""
        current("notifications").send(self, notification)

    def notify_now(self, notification: Any) -> None:
        """Tell this one without a job, whatever the settings say."""
        current("notifications").send_now(self, notification)

    def mute(self, category: str, channel: str | None = None) -> None:
        """Hear no more of *category* (through *channel*)."""
        current("notifications").mute(self, category, channel)

    def unmute(self, category: str, channel: str | None = None) -> None:
        """Hear of *category* again."""
        current("notifications").unmute(self, category, channel)

    def route_notification_for(self, channel: str) -> Any:
        """Where *channel* reaches this one: the column `email` for mail, `webhook_url` for that."""
        name = {"mail": "email", "webhook": "webhook_url"}.get(channel, channel)
        return getattr(self, name, None)


def owner_columns(notifiable: Any) -> dict[str, str]:
    """The columns that name a recipient."""
    alias = getattr(notifiable, "type_alias", None) or type(notifiable).__name__
    return {"notifiable_type": str(alias), "notifiable_id": str(notifiable.get_key())}


def each(notifiables: Any) -> Iterable[Any]:
    """One recipient, or each of many."""
    many = isinstance(notifiables, Iterable) and not isinstance(notifiables, Notifiable)
    return list(notifiables) if many else [notifiables]
