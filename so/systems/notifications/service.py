"""`Notifications`: sends each notification to each recipient through each channel, on its own.

One channel that fails stops no other. What leaves the house waits for the outermost commit; what
was delivered is noted, so that a repeated job never delivers it twice.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.errors import NotificationError, NotificationFailed, RecordNotFoundError
from so.support.clock import Clock
from so.support.ids import uuid
from so.support.signatures import arity
from so.systems.notifications.channels import Channel
from so.systems.notifications.inbox import DatabaseNotification, each, owner_columns
from so.systems.notifications.message import Notification

_log = logging.getLogger("so.notifications")


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One notification for one recipient through one channel, as a job carries it."""

    id: str
    notifiable: Any
    notification: Notification
    channel: str


class Route:
    """An address to notify that belongs to no model: `route("mail", "a@b.c").notify(n)`."""

    def __init__(self, service: Notifications, addresses: Mapping[str, Any]) -> None:
        self._service = service
        self._addresses = dict(addresses)

    def route(self, channel: str, address: Any) -> Route:
        """The same with one more address."""
        return Route(self._service, {**self._addresses, channel: address})

    def route_notification_for(self, channel: str) -> Any:
        """The address for *channel*; None if none was given."""
        return self._addresses.get(channel)

    def notify(self, notification: Notification) -> None:
        """Tell whoever reads there."""
        self._service.send(self, notification)

    def __str__(self) -> str:
        return ", ".join(f"{k}:{v}" for k, v in self._addresses.items())


class Notifications:
    """Sends notifications, keeps preferences, and answers for the inbox."""

    def __init__(
        self,
        db: ConnectionSource,
        channels: Mapping[str, Callable[[], Channel]],
        *,
        default: list[str] | None = None,
        queue_all: bool = False,
        defer: Callable[[Delivery], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """*channels*: name → how it is made; *defer*: dispatches the job of one delivery."""
        self.clock = clock or Clock()
        self._db = db
        self._makers = dict(channels)
        self._made: dict[str, Channel] = {}
        self._default = default or ["database"]
        self._queue_all = queue_all
        self._defer = defer
        self._hooks: dict[str, list[Callable[..., Any]]] = {"sending": [], "sent": [], "failed": []}

    # --- set-up ---

    def extend(self, name: str, make: Callable[[], Channel]) -> None:
        """Add the channel *name*, or replace one; *make* gives an object with `send`."""
        self._makers[name] = make
        self._made.pop(name, None)

    def channel(self, name: str) -> Channel:
        """The channel called *name*; NotificationError for one nobody made known."""
        if name not in self._made:
            if name not in self._makers:
                raise NotificationError(
                    f"unknown channel {name!r}: use one of {', '.join(sorted(self._makers))}, "
                    f"or add it with notifications().extend({name!r}, …)"
                )
            self._made[name] = self._makers[name]()
        return self._made[name]

    def sending(self, fn: Callable[[Any, Notification, str], object]) -> None:
        """Call `fn(notifiable, notification, channel)` before each; False cancels it."""
        self._hooks["sending"].append(fn)

    def sent(self, fn: Callable[[Any, Notification, str], object]) -> None:
        """Call *fn* after each delivery."""
        self._hooks["sent"].append(fn)

    def failed(self, fn: Callable[[Any, Notification, str, BaseException], object]) -> None:
        """Call *fn* once for each delivery that failed, with the error."""
        self._hooks["failed"].append(fn)

    # --- sending ---

    def send(self, notifiables: Any, notification: Notification) -> None:
        """Tell one or many; by jobs if the notification or the settings say so.

        Raises NotificationFailed after everything was tried.
        """
        later = (notification.queued or self._queue_all) and self._defer is not None
        self._send(notifiables, notification, self._put_off if later else self._dispatch)

    def send_now(self, notifiables: Any, notification: Notification) -> None:
        """Tell one or many without a job."""
        self._send(notifiables, notification, self._dispatch)

    def _send(
        self, notifiables: Any, notification: Notification, deliver: Callable[[Delivery], None]
    ) -> None:
        errors: list[BaseException] = []
        for delivery in self._deliveries(notifiables, notification, errors):
            try:
                deliver(delivery)
            except Exception as error:
                errors.append(error)
        if errors:
            raise NotificationFailed(errors)

    def _deliveries(
        self, notifiables: Any, notification: Notification, errors: list[BaseException]
    ) -> Iterator[Delivery]:
        for notifiable in each(notifiables):
            id = uuid()  # one a recipient, shared by the channels
            try:
                channels = notification.channels_for(notifiable, self._default)
                muted = self._muted(notifiable, notification)
            except Exception as error:
                errors.append(error)
                continue
            for channel in channels:
                if channel not in muted:
                    yield Delivery(id, notifiable, notification, channel)

    def _put_off(self, delivery: Delivery) -> None:
        self.channel(delivery.channel)  # a misspelt one is an error here, not in a job
        assert self._defer is not None
        self._defer(delivery)

    def _dispatch(self, delivery: Delivery) -> None:
        if delivery.channel == "database":
            self.deliver(delivery)
            return
        self.channel(delivery.channel)
        connection = self._db.connection()
        if connection.transaction_level() == 0:
            self.deliver(delivery)
        else:
            connection.after_commit(lambda: self._deliver_after_commit(delivery))

    def _deliver_after_commit(self, delivery: Delivery) -> None:
        try:
            self.deliver(delivery)
        except Exception:
            # The transaction is committed: nobody above can do anything about it any more.
            _log.exception("a notification could not be delivered after the commit")

    def deliver(self, delivery: Delivery) -> bool:
        """Deliver one; False if it was cancelled or had been delivered before."""
        who, what, channel = delivery.notifiable, delivery.notification, delivery.channel
        if self._is_delivered(delivery) or not what.should_send(who, channel):
            return False
        if any(fn(who, what, channel) is False for fn in self._hooks["sending"]):
            return False
        try:
            self.channel(channel).send(who, what, delivery.id)
        except Exception as error:
            for fn in self._hooks["failed"]:
                fn(*(who, what, channel, error)[: arity(fn)])
            raise
        self._note(delivery)
        for fn in self._hooks["sent"]:
            fn(who, what, channel)
        return True

    def route(self, channel: str, address: Any) -> Route:
        """An address that belongs to no model; the channel 'database' is refused."""
        if channel == "database":
            raise NotificationError("an address has no inbox: notify a model instead")
        return Route(self, {channel: address})

    # --- the ledger ---

    def _is_delivered(self, delivery: Delivery) -> bool:
        sql = "select 1 from notification_deliveries where notification_id = ? and channel = ?"
        key = (delivery.id, delivery.channel)
        return bool(self._db.connection().select_tuples(sql, key))

    def _note(self, delivery: Delivery) -> None:
        self._db.connection().table("notification_deliveries").insert_or_ignore(
            {
                "notification_id": delivery.id,
                "channel": delivery.channel,
                "status": "sent",
                "sent_at": self.clock.now(),
            }
        )

    # --- preferences ---

    def mute(self, notifiable: Any, category: str, channel: str | None = None) -> None:
        """Let *notifiable* hear no more of *category*, through *channel* or at all."""
        row = {**owner_columns(notifiable), "category": category, "channel": channel or "*"}
        self._db.connection().table("notification_mutes").insert_or_ignore(row)

    def unmute(self, notifiable: Any, category: str, channel: str | None = None) -> None:
        """Let *notifiable* hear of *category* again."""
        query = self._db.connection().table("notification_mutes")
        query = query.where({**owner_columns(notifiable), "category": category})
        (query if channel is None else query.where("channel", channel)).delete()

    def _muted(self, notifiable: Any, notification: Notification) -> Muted:
        category = notification.category
        if category is None or notification.critical or not hasattr(notifiable, "get_key"):
            return Muted()
        query = self._db.connection().table("notification_mutes")
        rows = query.where({**owner_columns(notifiable), "category": category}).pluck("channel")
        return Muted(rows)

    # --- the inbox ---

    def mark_as_read(self, id: str, owner: Any) -> DatabaseNotification:
        """Mark *owner*'s notification *id* as read; RecordNotFoundError for anybody else's."""
        found: DatabaseNotification = self._owned(id, owner)
        found.mark_as_read()
        return found

    def delete(self, id: str, owner: Any) -> None:
        """Delete *owner*'s notification *id*; RecordNotFoundError for anybody else's."""
        self._owned(id, owner).delete()

    @staticmethod
    def _owned(id: str, owner: Any) -> Any:
        found = DatabaseNotification.where({"id": str(id), **owner_columns(owner)}).first()
        if found is None:
            raise RecordNotFoundError(f"there is no notification {id} of yours")
        return found

    def cleanup(
        self,
        days: int = 30,
        unread_days: int | None = None,
        *,
        dry_run: bool = False,
        batch: int = 500,
    ) -> int:
        """Delete what was read more than *days* ago, and unread ones of *unread_days*; how many."""
        count = self._sweep("read_at", self._ago(days), dry_run, batch)
        if unread_days is not None:
            count += self._sweep("created_at", self._ago(unread_days), dry_run, batch, unread=True)
        return count

    def _ago(self, days: int) -> Any:
        if isinstance(days, bool) or not isinstance(days, int) or days < 1:
            raise NotificationError(f"days must be a whole number from 1, not {days!r}")
        return self.clock.now() - timedelta(days=days)

    def _sweep(
        self, column: str, until: Any, dry_run: bool, batch: int, *, unread: bool = False
    ) -> int:
        def old(connection: Connection) -> Any:
            query = connection.table("notifications").where(column, "<=", until)
            return query.where_null("read_at") if unread else query

        if dry_run:
            return int(old(self._db.connection()).count())
        total = 0
        while True:
            connection = self._db.connection()
            ids = old(connection).order_by(column).limit(batch).pluck("id")
            if not ids:
                return total
            with connection.transaction():
                total += connection.table("notifications").where_in("id", sorted(ids)).delete()
                ledger = connection.table("notification_deliveries")
                ledger.where_in("notification_id", sorted(ids)).delete()


class Muted:
    """The channels a recipient does not want for a category; `*` is all of them."""

    def __init__(self, channels: Any = ()) -> None:
        self._channels = set(channels)

    def __contains__(self, channel: str) -> bool:
        return channel in self._channels or "*" in self._channels
