"""`notification_fake()`: collects notifications instead of sending them, and asserts on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from so.support.clock import Clock
from so.support.current import replaced
from so.systems.notifications.inbox import each
from so.systems.notifications.message import Notification


class NotificationFake:
    """What was sent to whom, in order."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.sent: list[tuple[Any, Notification]] = []

    def send(self, notifiables: Any, notification: Notification) -> None:
        """Note it for each of *notifiables*."""
        self.sent += [(notifiable, notification) for notifiable in each(notifiables)]

    send_now = send

    def sent_to(self, notifiable: Any, cls: type[Notification] = Notification) -> list[Any]:
        """The notifications of *cls* that went to *notifiable*."""
        return [n for who, n in self.sent if _same(who, notifiable) and isinstance(n, cls)]

    def assert_sent_to(
        self, notifiables: Any, cls: type[Notification], fn: Callable[[Any], bool] | None = None
    ) -> None:
        """Fail unless each of *notifiables* got one of *cls* (for which *fn* is true)."""
        for notifiable in each(notifiables):
            found = [n for n in self.sent_to(notifiable, cls) if fn is None or fn(n)]
            if not found:
                raise AssertionError(f"no {cls.__name__} was sent to {notifiable!r}")

    def assert_not_sent_to(self, notifiables: Any, cls: type[Notification]) -> None:
        """Fail if one of *notifiables* got one of *cls*."""
        for notifiable in each(notifiables):
            if self.sent_to(notifiable, cls):
                raise AssertionError(f"a {cls.__name__} was sent to {notifiable!r}")

    def assert_nothing_sent(self) -> None:
        """Fail if anything was sent."""
        if self.sent:
            names = ", ".join(type(n).__name__ for _, n in self.sent)
            raise AssertionError(f"nothing should have been sent, but {names} was")

    def assert_count(self, count: int) -> None:
        """Fail unless exactly *count* were sent."""
        if len(self.sent) != count:
            raise AssertionError(f"{len(self.sent)} notifications were sent, not {count}")


def _same(one: Any, other: Any) -> bool:
    if hasattr(one, "get_key") and hasattr(other, "get_key"):
        return type(one) is type(other) and one.get_key() == other.get_key()
    return one is other


@contextmanager
def notification_fake() -> Iterator[NotificationFake]:
    """Collect every notification of the block."""
    with replaced("notifications", NotificationFake()) as fake:
        yield fake
