"""`Notifications`: sends each notification to each recipient through each channel, on its own.

One channel that fails stops no other. What leaves the house waits for the outermost commit; what
was delivered is noted, so that a repeated job never delivers it twice. An inbox row is its own
note, and rows of many recipients are written together.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

from so.db.manager import ConnectionSource
from so.errors import DatabaseError, NotificationError, RecordNotFoundError
from so.settings.notifications import NotificationSettings
from so.support.clock import Clock
from so.support.codec import Codec
from so.support.current import current
from so.support.ids import uuid
from so.support.plain import plain
from so.support.signatures import arity
from so.systems.notifications.channels import Channel, DatabaseChannel, LogChannel
from so.systems.notifications.cleaning import Cleaning
from so.systems.notifications.delivery import (
    FAILED,
    HELD,
    MUTED,
    REFUSED,
    SENT,
    SETTLED,
    WANTED,
    Delivery,
    Outcome,
    Trouble,
    id_for,
    may_be_repeated,
)
from so.systems.notifications.due import HeldBack
from so.systems.notifications.inbox import DatabaseNotification, each, owner_columns
from so.systems.notifications.later import Times
from so.systems.notifications.ledger import Ledger
from so.systems.notifications.message import Notification
from so.systems.notifications.preferences import Muted, Preferences

_log = logging.getLogger("so.notifications")
TOGETHER = 500  # recipients whose rows are written, and whose wishes are read, at once


class OnDemand:
    """An address to notify that belongs to no model: `route("mail", "a@b.c").notify(n)`."""

    def __init__(self, service: Any, addresses: Mapping[str, Any]) -> None:
        self._service = service
        self.addresses = dict(addresses)

    def route(self, channel: str, address: Any) -> OnDemand:
        """The same with one more address."""
        _refuse_inbox(channel)
        return OnDemand(self._service, {**self.addresses, channel: address})

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
        codec: Codec | None = None,
        times: Times | None = None,
    ) -> None:
        """*channels*: name → how it is made; the inbox and the log without.

        *defer* dispatches a job for each delivery and gives the errors that stopped some. *codec*
        writes what failed, for `resend`, and what is held back because of *times*: without it
        nothing is.
        """
        self.clock = clock or Clock()
        self._db = db
        self._makers: dict[str, Callable[[], Channel]] = dict(
            channels
            or {
                "database": lambda: DatabaseChannel(db, self.clock),
                "mail": _mail,
                "webhook": _webhook,
                "log": LogChannel,
            }
        )
        self._made: dict[str, Channel] = {}
        self._default = default or ["database"]
        self._queue_all = queue_all
        self._defer = defer
        self._ledger = Ledger(db, self.clock, codec)
        self._preferences = Preferences(db)
        self._times = times or Times()
        self._hooks: dict[str, list[Callable[..., Any]]] = {"sending": [], "sent": [], "failed": []}

    # --- set-up ---

    def extend(self, name: str, make: Callable[[], Channel]) -> None:
        """Add the channel *name*, or replace one; *make* gives an object with `send`."""
        if not callable(make):
            raise NotificationError(f"extend({name!r}, {make!r}): give a class, or what makes one")
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
        self._hooks["sending"].append(plain(fn, "the listener of 'sending'"))

    def sent(self, fn: Callable[[Any, Notification, str], object]) -> None:
        """Call *fn* after each delivery."""
        self._hooks["sent"].append(plain(fn, "the listener of 'sent'"))

    def failed(self, fn: Callable[[Any, Notification, str, BaseException], object]) -> None:
        """Call *fn* once for each delivery that failed, with the error."""
        self._hooks["failed"].append(plain(fn, "the listener of 'failed'"))

    # --- sending ---

    def send(self, notifiables: Any, notification: Notification) -> None:
        """Tell one or many; by jobs if the notification or the settings say so.

        Raises NotificationFailed after everything was tried.
        """
        checked(notification)
        later = notification.queued or self._queue_all or notification.delay is not None
        put_off = self._put_off if later and self._defer is not None else self._dispatch
        self._send(notifiables, notification, put_off)

    def send_now(self, notifiables: Any, notification: Notification) -> None:
        """Tell one or many without a job."""
        self._send(notifiables, checked(notification), self._dispatch)

    def _send(
        self,
        notifiables: Any,
        notification: Notification,
        deliver: Callable[[list[Delivery], Trouble], None],
    ) -> None:
        trouble = Trouble(self._db.connection())
        rest = iter(each(notifiables))
        while some := list(islice(rest, TOGETHER)):
            deliver(list(self._deliveries(some, notification, trouble)), trouble)
        trouble.tell()

    def _deliveries(
        self, notifiables: list[Any], notification: Notification, trouble: Trouble
    ) -> Iterator[Delivery]:
        """One for each recipient and each channel that there is."""
        for notifiable in notifiables:
            try:
                id = id_for(notifiable, notification)
                channels = tuple(notification.channels_for(notifiable, self._default))
            except Exception as error:
                trouble.add(error)
                continue
            for channel in channels:
                delivery = Delivery(id, notifiable, notification, channel, channels)
                try:
                    self.channel(channel)  # a misspelt one is an error here, not in a job
                except Exception as error:
                    self._failed(delivery, error, trouble)
                else:
                    yield delivery

    def _put_off(self, deliveries: list[Delivery], trouble: Trouble) -> None:
        assert self._defer is not None
        try:
            self._ledger.begin_anew([it.id for it in deliveries if it.is_told_once])
            for error in self._defer(deliveries) or ():
                trouble.add(error)
        except Exception as error:
            trouble.add(error)

    def _dispatch(self, deliveries: list[Delivery], trouble: Trouble) -> None:
        """Deliver now; what leaves the house, after the outermost commit."""
        # All are asked before the first is delivered: a notification that says "not if one is
        # there already" must not be stopped by its own row.
        wanted = self._wanted(deliveries, trouble)
        self._write_rows([it for it in wanted if it.channel == "database"], trouble)
        connection = self._db.connection()
        for delivery in wanted:
            if delivery.channel == "database":
                continue
            if connection.transaction_level() > 0:
                connection.after_commit(functools.partial(self._attempt_after_commit, delivery))
            else:
                self._safely(self._attempt_here, delivery, trouble)

    def _wanted(self, deliveries: list[Delivery], trouble: Trouble) -> list[Delivery]:
        """Those that nothing speaks against; what does is noted of the others."""
        decided = self.decide(deliveries, lambda it, error: self._failed(it, error, trouble))
        others = [(it, outcome) for it, outcome in decided if outcome.status != WANTED]
        self._ledger.begin_anew([it.id for it, _ in others if it.is_told_once])
        self._ledger.decide(others)
        return [it for it, outcome in decided if outcome.status == WANTED]

    def _write_rows(self, deliveries: list[Delivery], trouble: Trouble) -> None:
        """Write inbox rows, many at once where the channel can."""
        channel: Any = self.channel("database") if deliveries else None
        if not hasattr(channel, "send_many"):
            for delivery in deliveries:
                self._safely(self.attempt, delivery, trouble)
            return
        going = [it for it in deliveries if self._safely(self._is_let_through, it, trouble)]
        results = channel.send_many([(it.notifiable, it.notification, it.id) for it in going])
        for delivery, error in zip(going, results, strict=True):
            if error is None:
                self._tell("sent", delivery)
            else:
                self._failed(delivery, error, trouble)

    def _safely(
        self, act: Callable[[Delivery], bool], delivery: Delivery, trouble: Trouble
    ) -> bool:
        """What *act* says of *delivery*; an error is noted, and the others have their turn."""
        try:
            return act(delivery)
        except Exception as error:
            self._failed(delivery, error, trouble)
            return False

    def _attempt_here(self, delivery: Delivery) -> bool:
        """As `attempt`, where no job is there to be repeated: `send_due` is, if this ends."""
        holder = f"process {os.getpid()}, {uuid()}"
        return self._is_ours(delivery, holder, keep=True) and self.attempt(delivery)

    def _is_ours(self, delivery: Delivery, holder: str, *, keep: bool = False) -> bool:
        """Of two at once that have a key in common, one makes the delivery."""
        return not delivery.is_told_once or self._ledger.claim(delivery, holder, keep=keep)

    def _attempt_after_commit(self, delivery: Delivery) -> None:
        try:
            self._attempt_here(delivery)
        except Exception as error:
            # The transaction is committed: nobody above can do anything about it any more.
            _log.exception("a notification could not be delivered after the commit")
            self.announce_failure(delivery, error)

    # --- deciding and delivering ---

    def decide(
        self, deliveries: list[Delivery], wrong: Callable[[Delivery, Exception], object]
    ) -> list[tuple[Delivery, Outcome]]:
        """What is to become of each, before one of them is made; *wrong* hears of an error.

        Asks what its recipient has muted, then the notification's `should_send`, and then whether
        it has to wait.
        """
        muted = self._preferences.of(deliveries)
        found = []
        for delivery in deliveries:
            try:
                found.append((delivery, self._decided(delivery, muted)))
            except Exception as error:
                wrong(delivery, error)
        return found

    def _decided(self, delivery: Delivery, muted: Muted) -> Outcome:
        reason = muted.why(delivery)
        if reason is not None:
            return Outcome(MUTED, reason)
        if not delivery.notification.should_send(delivery.notifiable, delivery.channel):
            return Outcome(REFUSED, "should_send said no")
        held = self._times.held(delivery, self.clock.now())
        if held is not None and self._ledger.can_keep(delivery):
            return Outcome(HELD, held.why, held.until)
        return Outcome(WANTED)

    def attempt(self, delivery: Delivery) -> bool:
        """Make a delivery that was decided on; False if it was made before or is cancelled now.

        Raises what its channel raises.
        """
        is_repetition = delivery.is_told_once and self._ledger.status(delivery) == SENT
        if is_repetition or not self._is_let_through(delivery):
            return False
        channel = self.channel(delivery.channel)
        channel.send(delivery.notifiable, delivery.notification, delivery.id)
        self._note_sent(delivery)
        return True

    def attempt_together(
        self, deliveries: Sequence[Delivery], digest: Callable[[list[Delivery]], Notification]
    ) -> int:
        """Make deliveries to one recipient by one channel as the one that *digest* makes of them;
        how many were in it. Raises what the channel raises.
        """
        wanted = [delivery for delivery in deliveries if self._is_let_through(delivery)]
        if wanted:
            first = wanted[0]
            self.channel(first.channel).send(first.notifiable, digest(wanted), first.id)
        for delivery in wanted:
            self._note_sent(delivery, f"in a digest of {len(wanted)}")
        return len(wanted)

    def _note_sent(self, delivery: Delivery, how: str | None = None) -> None:
        self._ledger.note(delivery, Outcome(SENT, how))
        self._tell("sent", delivery)

    def send_due(self) -> int:
        """Send what was held back in quiet hours and for digests, and is due; how many.

        Also what has a `dedupe_key` and was begun by a process that ended in the middle of it; what
        of that is not kept counts as failed.
        """
        if lost := self._ledger.give_up_lost():
            _log.error("%s notifications were lost with the process that sent them", lost)
        return HeldBack(self, self._ledger, self._preferences, self.clock).send()

    def overdue(self, hours: int = 1) -> tuple[int, str]:
        """How many of those held back should have gone out *hours* ago, and when the first of them
        should have: more than none if nobody calls `send_due`.
        """
        return self._ledger.overdue(self.clock.now() - timedelta(hours=hours))

    def _is_let_through(self, delivery: Delivery) -> bool:
        who, what, channel = delivery.notifiable, delivery.notification, delivery.channel
        for fn in self._hooks["sending"]:
            if fn(who, what, channel) is False:
                name = getattr(fn, "__qualname__", type(fn).__name__)
                reason = f"cancelled by {name}, which listens for 'sending'"
                self._ledger.note(delivery, Outcome(REFUSED, reason))
                return False
        return True

    def deliver(self, delivery: Delivery, holder: str | None = None) -> bool:
        """Deliver what a job carried; False if it is not wanted or had been delivered before, or
        another job is about to deliver it: see `is_taken`.

        What is wanted was decided once, when the first job of this recipient ran. *holder* is who
        may go on with what he had begun before he was killed. A failure is announced by the job,
        when it has failed for good: see `announce_failure`.
        """
        status = self._ledger.status(delivery)
        if status is None:
            self._decide_all(delivery)
            status = self._ledger.status(delivery)
        holder = holder or uuid()
        if status in SETTLED or not self._is_ours(delivery, holder):
            return False
        try:
            return self.attempt(delivery)
        except BaseException:
            with contextlib.suppress(DatabaseError):  # then it is free when its lease is over
                self._ledger.give_back(delivery, holder)
            raise

    def is_taken(self, delivery: Delivery) -> bool:
        """Is another job about to make *delivery*, so that it should be looked at again?"""
        return delivery.is_told_once and self._ledger.is_taken(delivery)

    def _decide_all(self, delivery: Delivery) -> None:
        """Decide on every channel of this recipient, before one of them is used."""

        def wrong(sibling: Delivery, error: Exception) -> None:
            if sibling.channel == delivery.channel:
                raise error
            # Its own job asks again, and tells what goes wrong.

        self._ledger.decide(self.decide(delivery.siblings(), wrong))

    def _failed(self, delivery: Delivery, error: BaseException, trouble: Trouble) -> None:
        trouble.add(error)
        self.announce_failure(delivery, error)

    def announce_failure(self, delivery: Delivery, error: BaseException) -> None:
        """Note that *delivery* has failed, and tell those who asked for `failed`."""
        try:
            reason = f"{type(error).__name__}: {error}"
            self._ledger.note(delivery, Outcome(FAILED, reason))
        except Exception as trouble:
            if may_be_repeated(trouble) and self._db.connection().transaction_level() > 0:
                raise
            _log.exception("a failed notification could not be noted")
        self._tell("failed", delivery, error)

    def _tell(self, event: str, delivery: Delivery, *more: Any) -> None:
        what = (delivery.notifiable, delivery.notification, delivery.channel, *more)
        for fn in self._hooks[event]:
            try:
                fn(*what[: arity(fn)])
            except Exception as error:
                if may_be_repeated(error) and self._db.connection().transaction_level() > 0:
                    raise
                # What has happened has happened: a listener's own error changes nothing of it.
                _log.exception("a listener for %r notifications failed", event)

    def why(self, id: str) -> list[dict[str, Any]]:
        """What came of the notification *id*, a dict for each channel: `status` (wanted, sent,
        muted, refused, failed), `reason`, `channel`, `type`, recipient and `sent_at`.

        Empty if nothing is known of it, or not any more.
        """
        found = self._ledger.of(id)
        row = self._db.connection().table("notifications").where("id", str(id)).first()
        if row is not None and all(each["channel"] != "database" for each in found):
            columns = ("type", "notifiable_type", "notifiable_id")
            inbox = {"channel": "database", "status": SENT, "reason": None}
            found.insert(
                0, {**inbox, "sent_at": row["created_at"], **{name: row[name] for name in columns}}
            )
        return found

    def resend(self, id: str, channel: str | None = None) -> int:
        """Try again what failed of the notification *id* (by *channel*); how many were sent.

        Raises NotificationError where nothing is kept to be sent, NotificationFailed where it
        fails again.
        """
        taken = self._ledger.take_failed(id, channel)
        if not taken:
            raise NotificationError(
                f"nothing of the notification {id} has failed and is kept: only what failed can "
                "be sent again, and not what holds a secret (resendable = False)"
            )
        trouble, count = Trouble(self._db.connection()), 0
        for kept in taken:
            try:
                who, addresses, what = self._ledger.revived(kept)
            except Exception as error:
                self._ledger.settle(kept, Outcome(FAILED, f"cannot be read: {error}"))
                trouble.add(error)
                continue
            to = who if addresses is None else self.to(addresses)
            delivery = Delivery(id, to, what, kept.channel)
            try:
                count += self.attempt(delivery)
            except Exception as error:
                self._failed(delivery, error, trouble)
        trouble.tell()
        return count

    def to(self, addresses: Mapping[str, Any]) -> OnDemand:
        """Whoever reads at *addresses*, channel → address."""
        return OnDemand(self, addresses)

    def route(self, channel: str, address: Any) -> OnDemand:
        """An address that belongs to no model; the channel 'database' is refused."""
        _refuse_inbox(channel)
        return OnDemand(self, {channel: address})

    # --- preferences ---

    def mute(self, notifiable: Any, category: str, channel: str | None = None) -> None:
        """Let *notifiable* hear no more of *category*, through *channel* or at all."""
        self._preferences.mute(notifiable, category, channel, self._makers)

    def unmute(self, notifiable: Any, category: str, channel: str | None = None) -> None:
        """Let *notifiable* hear of *category* again."""
        self._preferences.unmute(notifiable, category, channel)

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
        if not hasattr(owner, "get_key"):
            raise RecordNotFoundError(f"{owner!r} has no inbox")
        found = DatabaseNotification.where({"id": str(id), **owner_columns(owner)}).first()
        if found is None:
            raise RecordNotFoundError(f"there is no notification {id} of yours")
        return found

    def mark_about_as_read(self, subject: Any, owner: Any = None) -> int:
        """Mark as read what is about the model *subject*, of *owner* or of everybody; how many."""
        about = owner_columns(subject)
        query = DatabaseNotification.where(
            {"subject_type": about["notifiable_type"], "subject_id": about["notifiable_id"]}
        )
        if owner is not None:
            query = query.where(owner_columns(owner))
        return int(query.where_null("read_at").update({"read_at": self.clock.now()}))

    def cleanup(
        self,
        days: int = NotificationSettings.prune_days,
        unread_days: int | None = None,
        *,
        type: str | None = None,
        category: str | None = None,
        dry_run: bool = False,
        batch: int = 500,
    ) -> int:
        """Delete what was read more than *days* ago, and unread ones of *unread_days*; how many.

        *type* (as the column has it) and *category* leave all others alone, and the ledger too.
        """
        only = {k: v for k, v in {"type": type, "category": category}.items() if v is not None}
        cleaning = Cleaning(self._db, batch)

        def sweep(column: str, until: Any) -> int:
            def old(query: Any) -> Any:
                query = query.where(column, "<=", until).where(only)
                return query.where_null("read_at") if column == "created_at" else query

            if dry_run:
                return int(old(self._db.connection().table("notifications")).count())
            return cleaning.inbox(old, column)

        count = sweep("read_at", self._ago(days))
        if unread_days is not None:
            count += sweep("created_at", self._ago(unread_days))
        if not dry_run and not only:
            cleaning.ledger(self._ago(days))
        return count

    def _ago(self, days: int) -> Any:
        if isinstance(days, bool) or not isinstance(days, int) or days < 1:
            raise NotificationError(f"days must be a whole number from 1, not {days!r}")
        try:
            return self.clock.now() - timedelta(days=days)
        except OverflowError as error:
            raise NotificationError(f"days must be less than that: {days} are too many") from error


def checked(notification: Any) -> Notification:
    """*notification* if it is one; NotificationError for a class, a text, or None."""
    if isinstance(notification, Notification):
        return notification
    raise NotificationError(
        f"{notification!r:.80} is no notification: give an object of a subclass of Notification"
    )


def _refuse_inbox(channel: Any) -> None:
    if channel == "database":
        raise NotificationError("an address has no inbox: notify a model instead")
    if not isinstance(channel, str) or not channel:
        raise NotificationError(f"an address is for a channel, such as 'mail', not {channel!r}")


def route(channel: str, address: Any) -> OnDemand:
    """An address to tell that belongs to no model: `route("mail", "a@b.c").notify(…)`."""
    found: OnDemand = current("notifications").route(channel, address)
    return found


def _mail() -> Channel:
    from so.systems.notifications.mail import LogTransport, MailChannel

    return MailChannel(LogTransport(), "erp@localhost")


def _webhook() -> Channel:
    from so.systems.notifications.webhook import WebhookChannel

    return WebhookChannel()
