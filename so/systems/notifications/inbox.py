"""The inbox: rows of `notifications` as a model, and the mixin that gives a model one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from so.db.model import HasUuids, Model, relation
from so.db.relations.has import MorphMany
from so.errors import NotificationError
from so.support.current import current
from so.support.naming import ClassNames, of_one_table
from so.support.signatures import arity

_recipients = ClassNames(
    NotificationError, "among the classes with an inbox, and would read each other's", of_one_table
)
PAGE = 50  # notifications that a list holds unless asked for more


class DatabaseNotification(HasUuids, Model):
    """One notification of one recipient; `data` is what `to_database` gave."""

    table = "notifications"
    guarded: list[str] = []
    casts = {"data": "json", "read_at": "datetime"}

    def mark_as_read(self) -> None:
        """Mark as read now; an earlier time is kept, also one that another page has set."""
        mine = type(self).on(self._connection()).where("id", self.get_key())
        at: Any = self.fresh_timestamp()
        if not mine.clone().where_null("read_at").update({"read_at": at}):
            at = mine.value("read_at")
        self.force_fill({"read_at": at}).sync_original()

    def mark_as_unread(self) -> None:
        """Mark as not read, whatever this object has heard of it."""
        mine = type(self).on(self._connection()).where("id", self.get_key())
        mine.where_not_null("read_at").update({"read_at": None})
        self.force_fill({"read_at": None}).sync_original()

    def read(self) -> bool:
        """True if it was read."""
        return self["read_at"] is not None

    def unread(self) -> bool:
        """True if it was not read."""
        return self["read_at"] is None


class Inbox(MorphMany):
    """Somebody's notifications, newest first. As a list it is one page; as a query, all of them."""

    def results(self) -> Any:
        """The first page."""
        if self.tree.limit is None:
            self.limit(PAGE)
        return super().results()

    def load_into(self, models: Sequence[Any], constrain: Any, nested: Any) -> None:
        """The first page of each."""
        self.limit(PAGE)
        super().load_into(models, constrain, nested)


class Notifiable:
    """For a model that is told things: `class User(Notifiable, Model)`."""

    @classmethod
    def _defined(cls) -> None:
        _recipients.know(getattr(cls, "type_alias", cls.__name__), cls)

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
        columns = ("notifiable_type", "notifiable_id")
        inbox = Inbox(DatabaseNotification, model, *columns, model.primary_key)
        return inbox.order_by_desc("created_at").order_by_desc("id")

    def unread_count(self) -> int:
        """How many were not read."""
        return int(self._owned().where_null("read_at").count())

    def mark_all_as_read(self) -> int:
        """Mark all of them as read, those read before left as they are; how many."""
        now = DatabaseNotification().fresh_timestamp()
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

    def route_notification_for(self, channel: str, notification: Any = None) -> Any:
        """Where *channel* reaches this one: what `route_notification_for_<channel>()` says, which
        may take the notification; without it the column `email` for mail, `webhook_url` for that.
        """
        own = _own_route(self, channel)
        if own is not None:
            return own(notification) if arity(own) else own()
        name = {"mail": "email", "webhook": "webhook_url"}.get(channel, channel)
        return getattr(self, name, None)


def _own_route(notifiable: Any, channel: str) -> Any:
    """The method `route_notification_for_<channel>` of its class; no column of that name."""
    name = f"route_notification_for_{channel.replace('-', '_')}"
    return getattr(notifiable, name) if callable(getattr(type(notifiable), name, None)) else None


def address_of(notifiable: Any, channel: str, notification: Any) -> Any:
    """Where *channel* reaches *notifiable*, whether it is a model, an address, or neither."""
    general = getattr(notifiable, "route_notification_for", None)
    if general is None:
        own = _own_route(notifiable, channel)
        return None if own is None else own(notification) if arity(own) else own()
    return general(channel, notification) if arity(general) > 1 else general(channel)


def owner_columns(notifiable: Any) -> dict[str, str]:
    """The columns that name a recipient; raises NotificationError for one that has no key yet."""
    if not hasattr(notifiable, "get_key") or isinstance(notifiable, type):
        raise NotificationError(f"{notifiable!r} is no model: it has no inbox and no preferences")
    key = notifiable.get_key()
    if key is None:
        raise NotificationError(
            f"this {type(notifiable).__name__} was never saved: save it before it is notified"
        )
    alias = getattr(notifiable, "type_alias", None) or type(notifiable).__name__
    return {"notifiable_type": str(alias), "notifiable_id": str(key)}


def each(notifiables: Any) -> Iterable[Any]:
    """One recipient, or each of many."""
    one = not isinstance(notifiables, Iterable) or isinstance(notifiables, (Notifiable, str))
    return [notifiables] if one else list(notifiables)


def name_of(notifiable: Any) -> str:
    """Who *notifiable* is, in a line of the log or an error."""
    if hasattr(notifiable, "get_key"):
        return f"{type(notifiable).__name__} {notifiable.get_key()}"
    return str(notifiable)
