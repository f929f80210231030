"""`Notifications`: sends each notification to each recipient through each channel, on its own.

One channel that fails stops no other. What leaves the house waits for the outermost commit; what
was delivered is noted, so that a repeated job never delivers it twice. An inbox row is its own
note, and rows of many recipients are written together.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.errors import NotificationError, NotificationFailed, RecordNotFoundError
from so.support.clock import Clock
from so.support.current import current
from so.support.ids import uuid
from so.support.signatures import arity
from so.systems.notifications.channels import (
    Channel,
    DatabaseChannel,
    LogChannel,
    MailChannel,
    WebhookChannel,
)
from so.systems.notifications.inbox import DatabaseNotification, each, owner_columns
from so.systems.notifications.mail import LogTransport
from so.systems.notifications.message import Notification

_log = logging.getLogger("so.notifications")
TOGETHER = 500  # recipients whose rows are written, and whose wishes are read, at once


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One notification for one recipient through one channel, as a job carries it."""

    id: str
    notifiable: Any
    notification: Notification
    channel: str


class Route:
    """An address to notify that belongs to no model: `route("mail", "a@b.c").notify(n)`."""

    def __init__(self, service: Any, addresses: Mapping[str, Any]) -> None:
        self._service = service
        self.addresses = dict(addresses)

    def route(self, channel: str, address: Any) -> Route:
        """The same with one more address."""
        return Route(self._service, {**self.addresses, channel: address})

    def route_notification_for(self, channel: str) -> Any:
        """The address for *channel*; None if none was given."""
        return self.addresses.get(channel)

    def notify(self, notification: Notification) -> None:
        """Tell whoever reads there."""
        self._service.send(self, notification)

    def notify_now(self, notification: Notification) -> None:
        """Tell them without a job."""
        self._service.send_now(self, notification)

    def __str__(self) -> str:
        return ", ".join(f"{k}:{v}" for k, v in self.addresses.items())


class Notifications:
    """Sends notifications, keeps preferences, and answers for the inbox."""

    def __init__(
        self,
        db: ConnectionSource,
        channels: Mapping[str, Callable[[], Channel]] | None = None,
        *,
        default: list[str] | None = None,
        queue_all: bool = False,
        defer: Callable[[list[Delivery]], Sequence[BaseException] | None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """*channels*: name → how it is made; the inbox and the log without.

        *defer* dispatches a job for each delivery and gives the errors that stopped some.
        """
        self.clock = clock or Clock()
        self._db = db
        self._makers: dict[str, Callable[[], Channel]] = dict(
            channels
            or {
                "database": lambda: DatabaseChannel(db, self.clock),
                "mail": lambda: MailChannel(LogTransport(), "erp@localhost"),
                "webhook": WebhookChannel,
                "log": LogChannel,
            }
        )
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

    def has_channel(self, name: str) -> bool:
        """True if there is a channel called *name*."""
        return name in self._makers

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
        later = notification.queued or self._queue_all or notification.delay is not None
        put_off = self._put_off if later and self._defer is not None else self._dispatch
        self._send(notifiables, notification, put_off)

    def send_now(self, notifiables: Any, notification: Notification) -> None:
        """Tell one or many without a job."""
        self._send(notifiables, notification, self._dispatch)

    def _send(
        self,
        notifiables: Any,
        notification: Notification,
        deliver: Callable[[list[Delivery], list[BaseException]], None],
    ) -> None:
        errors: list[BaseException] = []
        rest = iter(each(notifiables))
        while some := list(islice(rest, TOGETHER)):
            deliver(list(self._deliveries(some, notification, errors)), errors)
        if errors:
            raise NotificationFailed(errors)

    def _deliveries(
        self, notifiables: list[Any], notification: Notification, errors: list[BaseException]
    ) -> Iterator[Delivery]:
        """One for each recipient and channel that is wanted, known and not muted."""
        all_muted = self._all_muted(notifiables, notification)
        for place, notifiable in enumerate(notifiables):
            try:
                id = _id_for(notifiable, notification)
                channels = notification.channels_for(notifiable, self._default)
            except Exception as error:
                errors.append(error)
                continue
            for channel in channels:
                if not {channel, "*"}.isdisjoint(all_muted.get(place, ())):
                    continue
                try:
                    self.channel(channel)  # a misspelt one is an error here, not in a job
                except Exception as error:
                    errors.append(error)
                else:
                    yield Delivery(id, notifiable, notification, channel)

    def _put_off(self, deliveries: list[Delivery], errors: list[BaseException]) -> None:
        assert self._defer is not None
        try:
            errors.extend(self._defer(deliveries) or ())
        except Exception as error:
            errors.append(error)

    def _dispatch(self, deliveries: list[Delivery], errors: list[BaseException]) -> None:
        """Deliver now; what leaves the house, after the outermost commit."""
        # All are asked before the first is delivered: a notification that says "not if one is
        # there already" must not be stopped by its own row.
        wanted = list(self._wanted(deliveries, errors))
        rows = [delivery for delivery in wanted if delivery.channel == "database"]
        self._deliver_rows(rows, errors)
        connection = self._db.connection()
        for delivery in wanted:
            if delivery.channel == "database":
                continue
            if connection.transaction_level() > 0:
                connection.after_commit(functools.partial(self._deliver_after_commit, delivery))
                continue
            try:
                self._deliver(delivery)
            except Exception as error:
                errors.append(error)

    def _wanted(
        self, deliveries: list[Delivery], errors: list[BaseException]
    ) -> Iterator[Delivery]:
        for delivery in deliveries:
            try:
                if delivery.notification.should_send(delivery.notifiable, delivery.channel):
                    yield delivery
            except Exception as error:
                errors.append(error)

    def _deliver_rows(self, deliveries: list[Delivery], errors: list[BaseException]) -> None:
        """Write inbox rows, many at once where the channel can."""
        going = [it for it in deliveries if self._may_go(it, errors)]
        channel: Any = self.channel("database") if going else None
        if not hasattr(channel, "send_many"):
            results = [self._tried(channel, it) for it in going]
        else:
            results = channel.send_many([(it.notifiable, it.notification, it.id) for it in going])
        for delivery, error in zip(going, results, strict=True):
            if error is None:
                self._tell("sent", delivery)
            else:
                self.announce_failure(delivery, error)
                errors.append(error)

    @staticmethod
    def _tried(channel: Channel, delivery: Delivery) -> BaseException | None:
        try:
            channel.send(delivery.notifiable, delivery.notification, delivery.id)
        except Exception as error:
            return error
        return None

    def _may_go(self, delivery: Delivery, errors: list[BaseException]) -> bool:
        try:
            return self._is_let_through(delivery)
        except Exception as error:
            errors.append(error)
            return False

    def _is_let_through(self, delivery: Delivery) -> bool:
        who, what, channel = delivery.notifiable, delivery.notification, delivery.channel
        return all(fn(who, what, channel) is not False for fn in self._hooks["sending"])

    def _deliver_after_commit(self, delivery: Delivery) -> None:
        try:
            self._deliver(delivery)
        except Exception:
            # The transaction is committed: nobody above can do anything about it any more.
            _log.exception("a notification could not be delivered after the commit")

    def _deliver(self, delivery: Delivery) -> bool:
        """Deliver one that was wanted; False if it was cancelled or was delivered before."""
        is_known = delivery.notification.dedupe_key is not None and self._is_delivered(delivery)
        if is_known or not self._is_let_through(delivery):
            return False
        try:
            self._pass_on(delivery)
        except Exception as error:
            self.announce_failure(delivery, error)
            raise
        return True

    def deliver(self, delivery: Delivery) -> bool:
        """Deliver what a job carried; False if it was cancelled or had been delivered before.

        A failure is announced by the job, when it has failed for good: see `announce_failure`.
        """
        if self._is_delivered(delivery):
            return False
        if not delivery.notification.should_send(delivery.notifiable, delivery.channel):
            return False
        if not self._is_let_through(delivery):
            return False
        self._pass_on(delivery)
        return True

    def _pass_on(self, delivery: Delivery) -> None:
        channel = self.channel(delivery.channel)
        channel.send(delivery.notifiable, delivery.notification, delivery.id)
        self._note(delivery)
        self._tell("sent", delivery)

    def announce_failure(self, delivery: Delivery, error: BaseException) -> None:
        """Tell those who asked for `failed`, once for each delivery."""
        self._tell("failed", delivery, error)

    def _tell(self, event: str, delivery: Delivery, *more: Any) -> None:
        what = (delivery.notifiable, delivery.notification, delivery.channel, *more)
        for fn in self._hooks[event]:
            try:
                fn(*what[: arity(fn)])
            except Exception:
                # What has happened has happened: a listener's own error changes nothing of it.
                _log.exception("a listener for %r notifications failed", event)

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

    def _all_muted(self, notifiables: list[Any], notification: Notification) -> dict[int, set[str]]:
        """By place, the channels that some do not want, `*` for all; one query for each type."""
        category = notification.category
        if category is None or notification.critical:
            return {}
        by_type: dict[str, dict[str, list[int]]] = {}
        for place, notifiable in enumerate(notifiables):
            if hasattr(notifiable, "get_key") and notifiable.get_key() is not None:
                owner = owner_columns(notifiable)
                keys = by_type.setdefault(owner["notifiable_type"], {})
                keys.setdefault(owner["notifiable_id"], []).append(place)
        found: dict[int, set[str]] = {}
        for type_, places in by_type.items():
            query = self._db.connection().table("notification_mutes")
            query = query.where({"notifiable_type": type_, "category": category})
            rows = query.where_in("notifiable_id", list(places)).get(["notifiable_id", "channel"])
            for row in rows:
                for place in places[row["notifiable_id"]]:
                    found.setdefault(place, set()).add(row["channel"])
        return found

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
        if not dry_run:
            self._sweep_ledger(self._ago(days), batch)
        return count

    def _sweep_ledger(self, until: Any, batch: int) -> None:
        """Forget deliveries of that age whose notification is in no inbox (any more)."""
        while True:
            connection = self._db.connection()
            old = connection.select_tuples(
                "select distinct d.notification_id from notification_deliveries d"
                " left join notifications n on n.id = d.notification_id"
                " where d.sent_at <= ? and n.id is null limit ?",
                (until, batch),
            )
            if not old:
                return
            ledger = connection.table("notification_deliveries")
            ledger.where_in("notification_id", sorted(id for (id,) in old)).delete()

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


def route(channel: str, address: Any) -> Route:
    """An address to tell that belongs to no model: `route("mail", "a@b.c").notify(…)`."""
    found: Route = current("notifications").route(channel, address)
    return found


def _id_for(notifiable: Any, notification: Notification) -> str:
    """One a recipient, shared by the channels; the same again for the same dedupe key.

    So a repetition meets the row and the deliveries of the first, whichever channel it is.
    """
    if notification.dedupe_key is None:
        return uuid()
    is_model = hasattr(notifiable, "get_key")
    who = list(owner_columns(notifiable).values()) if is_model else ["", str(notifiable)]
    text = "\0".join([*who, notification.dedupe_key])
    return str(UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4))
