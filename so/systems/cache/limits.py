"""Rate limits: so many hits a window, exact under concurrency.

A window begins with its first hit and does not slide; a hit is one conditional upsert in
`rate_limits` that gives the new count.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.support.clock import Clock
from so.systems.cache.entry import after, checked_prefix, stored_key
from so.systems.cache.sharing import clock_of, retried


@dataclass(frozen=True, slots=True)
class Limit:
    """How many attempts in how many seconds, counted per `key`."""

    max_attempts: int
    decay_seconds: int = 60
    key: str = ""

    @classmethod
    def per_second(cls, attempts: int, seconds: int = 1) -> Limit:
        """*attempts* every second."""
        return cls(attempts, seconds)

    @classmethod
    def per_minute(cls, attempts: int, minutes: int = 1) -> Limit:
        """*attempts* every minute."""
        return cls(attempts, 60 * minutes)

    @classmethod
    def per_hour(cls, attempts: int, hours: int = 1) -> Limit:
        """*attempts* every hour."""
        return cls(attempts, 3600 * hours)

    @classmethod
    def per_day(cls, attempts: int, days: int = 1) -> Limit:
        """*attempts* every day."""
        return cls(attempts, 86_400 * days)

    @classmethod
    def none(cls) -> Limit:
        """No limit."""
        return cls(1 << 62)

    def by(self, key: object) -> Limit:
        """The same limit, counted apart for each *key*."""
        return replace(self, key=str(key))


class Counters(Protocol):
    """Where hits are counted."""

    clock: Clock

    def hit(self, key: str, seconds: int, by: int) -> int:
        """Add *by* to the window of *key*, begun now if there is none; the new count."""
        ...

    def read(self, key: str) -> tuple[int, int]:
        """(hits, end) of the running window; (0, 0) without one."""
        ...

    def clear(self, key: str) -> None:
        """End the window of *key*."""
        ...

    def flush(self, prefix: str = "") -> None:
        """End every window whose key begins with *prefix*."""
        ...

    def gc(self, batch: int = 1000) -> int:
        """Remove windows that have ended; how many."""
        ...


class DatabaseCounters:
    """Windows in the table `rate_limits` of *db*."""

    def __init__(self, db: ConnectionSource, clock: Clock | None = None) -> None:
        self.db = db
        self.clock = clock_of(db, clock)

    def hit(self, key: str, seconds: int, by: int) -> int:
        """Add *by* to the window of *key*; one statement."""
        now = int(self.clock.time())
        end = now + seconds

        def work(connection: Connection) -> int:
            if connection.dialect.name == "sqlite":
                rows = connection.run(
                    'insert into rate_limits ("key", hits, expiration) values (?, ?, ?)'
                    ' on conflict ("key") do update set hits ='
                    " case when rate_limits.expiration > ? then rate_limits.hits + ? else ? end,"
                    " expiration = case when rate_limits.expiration > ?"
                    " then rate_limits.expiration else excluded.expiration end returning hits",
                    (key, by, end, now, by, by, now),
                ).rows
                return int(rows[0][0])
            return connection.run(
                "insert into rate_limits (`key`, hits, expiration)"
                " values (?, last_insert_id(?), ?) on duplicate key update"
                " hits = last_insert_id(if(expiration > ?, hits + ?, ?)),"
                " expiration = if(expiration > ?, expiration, values(expiration))",
                (key, by, end, now, by, by, now),
            ).last_id

        return retried(self.db, work)

    def read(self, key: str) -> tuple[int, int]:
        """(hits, end) of the running window."""
        connection = self.db.connection()
        rows = connection.select_tuples(
            f"select hits, expiration from rate_limits where {_key(connection)} = ?"  # noqa: S608
            " and expiration > ?",
            (key, int(self.clock.time())),
            False,
        )
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def clear(self, key: str) -> None:
        """End the window of *key*."""
        retried(
            self.db,
            lambda c: c.affecting_statement(
                f"delete from rate_limits where {_key(c)} = ?",  # noqa: S608  # constant
                (key,),
            ),
        )

    def flush(self, prefix: str = "") -> None:
        """End every window whose key begins with *prefix*."""
        retried(
            self.db,
            lambda c: c.affecting_statement(
                f"delete from rate_limits where {_key(c)} >= ? and {_key(c)} < ?",  # noqa: S608
                (prefix, after(prefix)),
            ),
        )

    def gc(self, batch: int = 1000) -> int:
        """Remove windows that have ended, *batch* at a time; how many."""
        now, gone = int(self.clock.time()), 0
        while True:
            connection = self.db.connection()
            name = _key(connection)
            sql = f"select {name} from rate_limits where expiration <= ? limit ?"  # noqa: S608
            keys = sorted(row[0] for row in connection.select_tuples(sql, (now, batch), False))
            for key in keys:
                gone += retried(self.db, _sweep, key, now)
            if not keys:
                return gone


def _sweep(connection: Connection, key: str, until: int) -> int:
    sql = f"delete from rate_limits where {_key(connection)} = ? and expiration <= ?"  # noqa: S608
    return connection.affecting_statement(sql, (key, until))


def _key(connection: Connection) -> str:
    return "`key`" if connection.dialect.name == "mysql" else '"key"'


class MemoryCounters:
    """Windows of this process only."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._windows: dict[str, tuple[int, int]] = {}
        self._guard = threading.Lock()

    def hit(self, key: str, seconds: int, by: int) -> int:
        """Add *by* to the window of *key*."""
        with self._guard:
            hits, end = self.read(key)
            self._windows[key] = (hits + by, end or int(self.clock.time()) + seconds)
            return hits + by

    def read(self, key: str) -> tuple[int, int]:
        """(hits, end) of the running window."""
        window = self._windows.get(key, (0, 0))
        return window if window[1] > int(self.clock.time()) else (0, 0)

    def clear(self, key: str) -> None:
        """End the window of *key*."""
        self._windows.pop(key, None)

    def flush(self, prefix: str = "") -> None:
        """End every window whose key begins with *prefix*."""
        with self._guard:
            for key in [key for key in self._windows if key.startswith(prefix)]:
                del self._windows[key]

    def gc(self, batch: int = 1000) -> int:
        """Remove windows that have ended; how many."""
        with self._guard:
            gone = [key for key in self._windows if self.read(key) == (0, 0)]
            for key in gone:
                del self._windows[key]
            return len(gone)


class RateLimiter:
    """Counts attempts and says when there were too many."""

    def __init__(self, counters: Counters, prefix: str = "") -> None:
        self._counters = counters
        self._prefix = checked_prefix(prefix)
        self._named: dict[str, Callable[[Any], Any]] = {}

    def limit(self, name: str, fn: Callable[[Any], Any]) -> None:
        """Define the limit *name*: `fn(request)` gives a Limit, several, or None for no limit."""
        self._named[name] = fn

    def limiter(self, name: str) -> Callable[[Any], Any] | None:
        """The function behind the limit *name*; None if there is none."""
        return self._named.get(name)

    def attempt(
        self, key: str, max_attempts: int, fn: Callable[[], Any], decay: float | timedelta = 60
    ) -> Any:
        """What *fn* gives (True for None), or False if there were too many attempts already."""
        if self.hit(key, decay) > max_attempts:
            return False
        result = fn()
        return True if result is None else result

    def hit(self, key: str, decay: float | timedelta = 60, by: int = 1) -> int:
        """Count an attempt; how many there were in this window of *decay* seconds."""
        seconds = decay.total_seconds() if isinstance(decay, timedelta) else decay
        return self._counters.hit(self._stored(key), max(1, math.ceil(seconds)), by)

    def attempts(self, key: str) -> int:
        """How many attempts there were in the running window."""
        return self._counters.read(self._stored(key))[0]

    def too_many_attempts(self, key: str, max_attempts: int) -> bool:
        """True if the window is used up."""
        return self.attempts(key) >= max_attempts

    def remaining(self, key: str, max_attempts: int) -> int:
        """How many attempts are left in this window."""
        return max(0, max_attempts - self.attempts(key))

    def available_in(self, key: str) -> int:
        """Seconds until the window ends; 0 without one."""
        end = self._counters.read(self._stored(key))[1]
        return max(0, math.ceil(end - self._counters.clock.time())) if end else 0

    def clear(self, key: str) -> None:
        """Forget all attempts."""
        self._counters.clear(self._stored(key))

    reset_attempts = clear

    def flush(self) -> None:
        """Forget everybody's attempts under this prefix."""
        self._counters.flush(self._prefix)

    def gc(self) -> int:
        """Remove windows that have ended; how many."""
        return self._counters.gc()

    def _stored(self, key: str) -> str:
        return stored_key(self._prefix, str(key))
