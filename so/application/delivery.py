"""Joins the notifications to the queue: one job for one recipient and channel.

And says when nobody sends what was held back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from so.support.current import current
from so.support.listed import parts
from so.systems.notifications.delivery import Delivery, may_be_repeated
from so.systems.notifications.service import OnDemand
from so.systems.queue import Job, Queue

LOOK_AGAIN = timedelta(minutes=1)  # at what another job is sending


class DeliverNotification(Job):
    """Delivers one notification through one channel; repeated, it delivers nothing twice.

    A recipient that is deleted before is told nothing, which is no failure.
    """

    alias = "so.edge.delivery.DeliverNotification"  # as jobs of older versions are stored
    delete_when_missing_models = True

    def __init__(
        self,
        id: str,
        notifiable: Any,
        notification: Any,
        channel: str,
        addresses: dict[str, Any] | None = None,
        channels: list[str] | None = None,
    ) -> None:
        """*addresses* instead of *notifiable* for whoever is no model; *channels* has all, in
        which this recipient is told of it.
        """
        self.id, self.notifiable = id, notifiable
        self.notification, self.channel = notification, channel
        self.addresses = addresses
        self.channels = channels

    def _delivery(self) -> Delivery:
        who = self.notifiable
        if self.addresses is not None:
            who = OnDemand(current("notifications"), self.addresses)
        channels = tuple(self.channels or ())
        return Delivery(self.id, who, self.notification, self.channel, channels)

    def handle(self) -> None:
        """Deliver it, unless an earlier attempt has; wait for another job that is about to."""
        notifications, delivery = current("notifications"), self._delivery()
        if not notifications.deliver(delivery, self.job_uuid) and notifications.is_taken(delivery):
            reason = "another job with this dedupe_key is sending it"
            self._running("release").release(LOOK_AGAIN, cost="nothing", reason=reason)

    def failed(self, exception: BaseException) -> None:
        """No attempt is left: tell those who asked."""
        current("notifications").announce_failure(self._delivery(), exception)


def unsent(app: Any) -> Iterator[str]:
    """What was held back for a digest or a morning, and nobody sends."""
    count, since = app.make("notifications").overdue()
    if count:
        text = f"{count} notifications were to be sent since {since[:16]} (UTC)"
        yield f"{text}: run `notification:due` by a timer, every few minutes"


def defer_with(
    queue: Callable[[], Queue], name: str
) -> Callable[[list[Delivery]], list[BaseException]]:
    """A function that dispatches the jobs of deliveries, on the queue *name* unless they say."""

    def defer(deliveries: list[Delivery]) -> list[BaseException]:
        errors: list[BaseException] = []
        for to, some in _by_queue(deliveries, name).items():
            # By the driver that runs jobs at once, one that fails must not stop the others.
            size = 1 if queue().default == "sync" else len(some)
            for part in parts(some, size):
                try:
                    queue().bulk([_job(delivery) for delivery in part], to)
                except Exception as error:
                    if may_be_repeated(error):
                        raise
                    errors.append(error)
        return errors

    return defer


def _by_queue(deliveries: list[Delivery], name: str) -> dict[str, list[Delivery]]:
    """The deliveries by the queue they go to: *name* unless the notification says another."""
    found: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        own = _of_channel(delivery.notification.queue, delivery.channel)
        found.setdefault(own or name, []).append(delivery)
    return found


def _of_channel(given: Any, channel: str) -> Any:
    """What was given for all channels, or for this one."""
    return given.get(channel) if isinstance(given, Mapping) else given


def _job(delivery: Delivery) -> DeliverNotification:
    who = delivery.notifiable
    addresses = who.addresses if isinstance(who, OnDemand) else None
    job = DeliverNotification(
        delivery.id,
        None if addresses is not None else who,
        delivery.notification,
        delivery.channel,
        addresses,
        list(delivery.channels),
    )
    delay = _of_channel(delivery.notification.delay, delivery.channel)
    if delay is not None:
        job.delay = delay
    return job
