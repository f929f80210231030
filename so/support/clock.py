"""One clock for everything that asks for the time, so that tests move it instead of sleeping.

Every system takes a `Clock`; the application makes one and hands the same to all of them.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The time as this application sees it: the real one until `freeze()`."""

    __slots__ = ("_frozen", "_off")

    def __init__(self, at: datetime | float | None = None) -> None:
        """Run with real time, or stand still at *at* (aware datetime or epoch seconds)."""
        self._frozen: float | None = None if at is None else _seconds(at)
        self._off = 0.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._off if self._frozen is None else self._frozen

    def now(self) -> datetime:
        """The time as an aware UTC datetime."""
        return datetime.fromtimestamp(self.time(), UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards, for measuring; frozen like the rest."""
        return time.monotonic() if self._frozen is None else self._frozen

    def sleep(self, seconds: float) -> None:
        """Wait *seconds*; a frozen clock moves on at once instead."""
        if self._frozen is None:
            time.sleep(seconds)
        else:
            self._frozen += seconds

    def adjust(self, by: float) -> None:
        """Run *by* seconds further ahead of the machine's clock (behind it, if negative)."""
        self._off += by

    def freeze(self, at: datetime | float | None = None) -> None:
        """Stand still at *at*, or at this moment."""
        self._frozen = self.time() if at is None else _seconds(at)

    def travel(self, by: float | timedelta) -> None:
        """Move by *by* seconds and stand still there."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        self._frozen = self.time() + seconds

    def unfreeze(self) -> None:
        """Run with real time again."""
        self._frozen = None

    @property
    def is_frozen(self) -> bool:
        """True between `freeze()` or `travel()` and `unfreeze()`."""
        return self._frozen is not None


def _seconds(at: datetime | float) -> float:
    if not isinstance(at, datetime):
        return float(at)
    if at.tzinfo is None:
        raise ValueError(f"cannot set the clock to {at!r}: give a datetime with a time zone")
    return at.timestamp()
