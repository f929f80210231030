"""Joins the notifications to the queue: one job for one recipient and channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from so.support.current import current
from so.systems.notifications.service import Delivery
from so.systems.queue import Job, Queue


class DeliverNotification(Job):
    """Delivers one notification through one channel; repeated, it delivers nothing twice."""

    def __init__(self, id: str, notifiable: Any, notification: Any, channel: str) -> None:
        self.id, self.notifiable = id, notifiable
        self.notification, self.channel = notification, channel

    def handle(self) -> None:
        """Deliver it, unless an earlier attempt has."""
        current("notifications").deliver(
            Delivery(self.id, self.notifiable, self.notification, self.channel)
        )


def defer_with(queue: Callable[[], Queue], name: str) -> Callable[[Delivery], object]:
    """A function that dispatches the job of a delivery on the queue called *name*."""

    def defer(delivery: Delivery) -> None:
        job = DeliverNotification(
            delivery.id, delivery.notifiable, delivery.notification, delivery.channel
        )
        pending = queue().dispatch(job).on_queue(delivery.notification.queue or name)
        if delivery.notification.delay is not None:
            pending = pending.delay(delivery.notification.delay)
        pending.send()

    return defer
