"""`notification_fake()`: collects notifications instead of sending them, and asserts on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from so.support.clock import Clock
from so.support.current import current, replaced
from so.systems.notifications.inbox import each
from so.systems.notifications.message import Notification
from so.systems.notifications.service import OnDemand, checked


class NotificationFake:
    """What was sent to whom, in order. All but sending goes to the *real* service, if given."""

    def __init__(self, real: Any = None) -> None:
        self._real = real
        self.clock: Clock = real.clock if real is not None else Clock()
        self.sent: list[tuple[Any, Notification]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or self._real is None:
            raise AttributeError(f"nothing but the fake of the notifications is here: no {name}")
        return getattr(self._real, name)

    def route(self, channel: str, address: Any) -> OnDemand:
        """An address; what it is told is noted here."""
        return OnDemand(self, {channel: address})

    def send(self, notifiables: Any, notification: Notification) -> None:
        """Note it for each of *notifiables*."""
        checked(notification)
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
    addresses = getattr(one, "addresses", None)
    if addresses is not None:
        return bool(addresses == getattr(other, "addresses", None))
    return one is other


@contextmanager
def notification_fake() -> Iterator[NotificationFake]:
    """Collect every notification of the block."""
    try:
        real = current("notifications")
    except RuntimeError:  # no application is running
        real = None
    with replaced("notifications", NotificationFake(real)) as fake:
        yield fake
