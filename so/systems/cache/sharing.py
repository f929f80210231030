"""What servers need that share one database: one time, waiting for each other, doing without it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.db.sweeping import swept
from so.db.words import quoted
from so.errors import (
    QueryError,
    UnavailableError,
)
from so.support.clock import Clock

T = TypeVar("T")
_BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_log = logging.getLogger("so.cache")
COMPARE_SECONDS = 60  # between two looks at the database's clock
MOVED_SECONDS = 1  # by which a clock parts from the steady one when somebody sets it
POLL_SECONDS = (0.005, 0.25)  # the first and the longest wait between two tries
RETRY_SECONDS = 5  # without asking a database that could not be reached
WARN_SECONDS = 60  # between two warnings about it


def waited(attempt: Callable[[], bool], clock: Clock, wait_seconds: float) -> bool:
    """Try until *attempt* gives True, *wait_seconds* at most; whether it did."""
    deadline = clock.monotonic() + wait_seconds
    pause = POLL_SECONDS[0]
    while not attempt():
        left = deadline - clock.monotonic()
        if left <= 0:
            return False
        clock.sleep(min(left, pause * random.uniform(0.5, 1.0)))  # noqa: S311  # jitter
        pause = min(pause * 1.5, POLL_SECONDS[1])
    return True


def key_of(connection: Connection) -> str:
    """The column `key`, quoted: it is a word of SQL."""
    return quoted(connection.dialect.name, "key")


def removed_ended(
    db: ConnectionSource, table: str, until: int, batch: int, *, by: str = "expiration"
) -> int:
    """Delete the rows of *table* that ended by *until*, *batch* at a time; how many."""
    connection = db.connection()
    ended = table, key_of(connection), "expiration <= ?"
    return swept(connection, *ended, (until,), batch, by=by)


def is_away(error: Exception) -> bool:
    """True if *error* says that the database cannot be reached, read or written to.

    Not for a missing table or a value that does not fit: those are for people to mend.
    """
    if isinstance(error, (OSError, UnavailableError)):
        return True
    if isinstance(error, QueryError) and not error.sql:
        return True  # there is no connection
    name = str(getattr(getattr(error, "cause", None), "sqlite_errorname", ""))
    return name.startswith(_BROKEN)


class Outage:
    """Spares callers a database that cannot be reached: not each of them waits to find that out.

    After a failure nobody asks for RETRY_SECONDS; a warning is logged once in WARN_SECONDS.
    """

    def __init__(self, what: str, meanwhile: str) -> None:
        """*what* cannot be reached, and what happens *meanwhile*, for the log."""
        self._what, self._meanwhile = what, meanwhile
        self._until = self._quiet_until = -float("inf")
        self.is_known = False

    def spared(self, work: Callable[[], T], instead: Callable[[], T]) -> T:
        """What *work* gives, or *instead* while the database is away."""
        if self.is_on():
            return instead()
        try:
            result = work()
        except (QueryError, OSError) as error:
            self.noted(error)
            return instead()
        self.is_known = False
        return result

    def is_on(self) -> bool:
        """True while nobody should ask. Once in RETRY_SECONDS one is let through to find out."""
        if not self.is_known:
            return False
        # Real time on purpose: an outage is over when it is over.
        now = time.monotonic()
        if now < self._until:
            return True
        self._until = now + RETRY_SECONDS
        return False

    def noted(self, error: Exception) -> None:
        """Take *error* as the beginning of an outage; raises it again if it tells of none."""
        if not is_away(error):
            raise error
        now = time.monotonic()
        self.is_known = True
        self._until = now + RETRY_SECONDS
        if now >= self._quiet_until:
            self._quiet_until = now + WARN_SECONDS
            _log.warning("the %s cannot be reached, %s: %s", self._what, self._meanwhile, error)


class DatabaseClock(Clock):
    """The time by the database server, so that a server whose clock is wrong steals no lock.

    How far the clocks are apart is looked up once a minute, and at once when this machine's clock
    was moved. A frozen clock stays as it is.
    """

    __slots__ = ("_ahead", "_compared_at", "_db", "_is_here", "_local", "_since")

    def __init__(self, db: ConnectionSource, local: Clock) -> None:
        super().__init__()
        self._db = db
        self._local = local
        self._ahead = 0.0
        self._compared_at = -float("inf")
        self._since = 0.0  # what this machine's clock said when its steady one began
        self._is_here = False  # known once it was compared

    def time(self) -> float:
        """Seconds since the epoch."""
        local = self._local
        if local._frozen is not None:  # not by `is_frozen`: each read and write comes by here
            return local.time()
        if self._is_here:  # SQLite goes by the machine's own clock
            return time.time()
        now = local.time()
        steady = self._local.monotonic()
        was_moved = abs(now - steady - self._since) > MOVED_SECONDS
        if was_moved or steady - self._compared_at >= COMPARE_SECONDS:
            self._compare()
            now = self._local.time()
        return now + self._ahead

    def _compare(self) -> None:
        before = self._local.time()
        connection = self._db.connection()
        self._is_here = connection.dialect.name == "sqlite"
        theirs = time.time() if self._is_here else connection.database_time()
        took = self._local.time() - before
        ahead = theirs - (before + took / 2)
        # What the way there and back explains is no difference.
        self._ahead = ahead if abs(ahead) > took / 2 + 0.01 else 0.0
        self._compared_at = self._local.monotonic()
        self._since = self._local.time() - self._compared_at

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
    """The clock that everybody who uses *db* goes by; on SQLite the machine's."""
    local = local or Clock()
    return local if isinstance(local, DatabaseClock) else DatabaseClock(db, local)
