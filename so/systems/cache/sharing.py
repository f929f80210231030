"""What servers need that share one database: their statements again after a conflict, one time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from so.db.manager import ConnectionSource
from so.errors import ConcurrencyError
from so.support.clock import Clock

T = TypeVar("T")
ATTEMPTS = 8  # of one statement that another one got in the way of
COMPARE_SECONDS = 60  # between two looks at the database's clock


def retried(db: ConnectionSource, work: Callable[..., T], *args: object) -> T:
    """`work(connection, *args)`, again after a short random wait when another was in the way.

    Not inside a transaction: a conflict has ended that one, and only its owner can begin again.
    """
    attempt = 1
    while True:
        connection = db.connection()
        try:
            return work(connection, *args)
        except ConcurrencyError:
            if attempt == ATTEMPTS or connection.transaction_level() > 0:
                raise
        # Real time on purpose: the other statement runs in real time as well.
        time.sleep(random.uniform(0.001, 0.005 * attempt))  # noqa: S311  # jitter
        attempt += 1


class DatabaseClock(Clock):
    """The time by the database server, so that a server whose clock is wrong steals no lock.

    How far the clocks are apart is looked up once a minute. A frozen clock stays as it is.
    """

    __slots__ = ("_ahead", "_compared_at", "_db", "_local")

    def __init__(self, db: ConnectionSource, local: Clock) -> None:
        super().__init__()
        self._db = db
        self._local = local
        self._ahead = 0.0
        self._compared_at = -float("inf")

    def time(self) -> float:
        """Seconds since the epoch."""
        now = self._local.time()
        if self._local.is_frozen:
            return now
        if self._local.monotonic() - self._compared_at >= COMPARE_SECONDS:
            self._compare()
        return now + self._ahead

    def _compare(self) -> None:
        before = self._local.time()
        theirs = self._db.connection().database_time()
        took = self._local.time() - before
        ahead = theirs - (before + took / 2)
        # What the way there and back explains is no difference.
        self._ahead = ahead if abs(ahead) > took / 2 + 0.01 else 0.0
        self._compared_at = self._local.monotonic()

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return self._local.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._local.sleep(seconds)

    def freeze(self, at: datetime | float | None = None) -> None:
        """Stand still."""
        self._local.freeze(at)

    def travel(self, by: float | timedelta) -> None:
        """Move and stand still there."""
        self._local.travel(by)

    def unfreeze(self) -> None:
        """Run with real time again."""
        self._local.unfreeze()

    @property
    def is_frozen(self) -> bool:
        """True while it stands still."""
        return self._local.is_frozen


def clock_of(db: ConnectionSource, local: Clock | None) -> Clock:
    """The clock that everybody who uses *db* goes by; on one machine its own."""
    local = local or Clock()
    if isinstance(local, DatabaseClock) or db.connection().dialect.name == "sqlite":
        return local
    return DatabaseClock(db, local)
