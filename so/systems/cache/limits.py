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
from typing import Any, NamedTuple, Protocol, TypeVar

from so.db.manager import ConnectionSource
from so.errors import CacheError
from so.support.clock import Clock
from so.support.plain import plain
from so.systems.cache.entry import after, checked_prefix, seconds_of, stored_key
from so.systems.cache.sharing import Outage, clock_of, key_of, removed_ended, waited

T = TypeVar("T")
LONGEST_WINDOW = 10 * 366 * 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Limit:
    """How many attempts in how many seconds, counted per `key`."""

    max_attempts: int
    decay_seconds: int = 60
    key: str = ""

    def __post_init__(self) -> None:
        _checked_most(self.max_attempts)
        _whole_seconds(self.decay_seconds)

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

    def reserve(self, key: str, seconds: int, most: int) -> int | None:
        """Take one of *most* places of the window of *key*; its end, or None if there is none."""
        ...

    def settle(self, key: str, end: int, by: int) -> bool:
        """Give a place of the window until *end* back and add *by*; False if that has ended."""
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


_SQL: dict[str, dict[str, str]] = {
    "sqlite": {
        # A running window keeps its end, and with it its place in an index: a third of the cost.
        "go on": 'insert into rate_limits ("key", hits, expiration) values (?, noted(?), ?)'
        ' on conflict ("key") do update set hits = noted(excluded.hits + hits)'
        " where expiration > ?",
        "hit": 'insert into rate_limits ("key", hits, expiration) values (?, noted(?), ?)'
        ' on conflict ("key") do update set'
        " hits = noted(excluded.hits + iif(expiration > ?, hits, 0)),"
        " reserved = iif(expiration > ?, reserved, 0),"
        " expiration = iif(expiration > ?, expiration, excluded.expiration)",
        "reserve": 'insert into rate_limits ("key", hits, reserved, expiration)'
        ' values (?, 0, 1, noted(?)) on conflict ("key") do update set'
        " hits = iif(expiration > ?, hits, 0),"
        " reserved = 1 + iif(expiration > ?, reserved, 0),"
        " expiration = noted(iif(expiration > ?, expiration, excluded.expiration))"
        " where expiration <= ? or hits + reserved < ?",
    },
    # last_insert_id carries the answer; what an earlier column was is read before it is set.
    "mysql": {
        "hit": "insert into rate_limits (`key`, hits, expiration)"
        " values (?, last_insert_id(?), ?) on duplicate key update"
        " hits = last_insert_id(values(hits) + if(expiration > ?, hits, 0)),"
        " reserved = if(expiration > ?, reserved, 0),"
        " expiration = if(expiration > ?, expiration, values(expiration))",
        "reserve": "insert into rate_limits (`key`, hits, reserved, expiration)"
        " values (?, 0, 1, last_insert_id(?)) on duplicate key update"
        " reserved = if(expiration <= ?, if(last_insert_id(values(expiration)), 1, 1),"
        " if(hits + reserved < ?, reserved + if(last_insert_id(expiration), 1, 1),"
        " reserved + if(last_insert_id(0), 0, 0))),"
        " hits = if(expiration > ?, hits, 0),"
        " expiration = if(expiration > ?, expiration, values(expiration))",
    },
}


class DatabaseCounters:
    """Windows in the table `rate_limits` of *db*."""

    def __init__(self, db: ConnectionSource, clock: Clock | None = None) -> None:
        self.db = db
        self.clock = clock_of(db, clock)

    def hit(self, key: str, seconds: int, by: int) -> int:
        """Add *by* to the window of *key*; one statement, and on SQLite two to begin it anew."""
        now = int(self.clock.time())
        bindings = key, by, now + seconds, now, now, now
        is_sqlite = self.db.connection().dialect.name == "sqlite"
        hits = self._answered("go on", bindings[:4]) if is_sqlite else 0
        return hits or self._answered("hit", bindings)

    def reserve(self, key: str, seconds: int, most: int) -> int | None:
        """Take one of *most* places of the window of *key*; one statement."""
        now = int(self.clock.time())
        is_sqlite = self.db.connection().dialect.name == "sqlite"
        rest = (now, now, now, now, most) if is_sqlite else (now, most, now, now)
        return self._answered("reserve", (key, now + seconds, *rest)) or None

    def settle(self, key: str, end: int, by: int) -> bool:
        """Give a place back and add *by*; one statement."""
        if end <= int(self.clock.time()):
            return False
        connection = self.db.connection()
        sql = (
            "update rate_limits set reserved = reserved - 1, hits = hits + ?"  # noqa: S608  # constants
            f" where {key_of(connection)} = ? and expiration = ? and reserved > 0"
        )
        return connection.affecting_statement(sql, (by, key, end)) > 0

    def _answered(self, what: str, bindings: tuple[Any, ...]) -> int:
        """The number that one of the statements above gives; 0 for none."""
        connection = self.db.connection()
        answer = connection.run(_SQL[connection.dialect.name][what], bindings)
        # What a row that was not written would have had is noted on SQLite as well.
        return answer.last_id if answer.rowcount or connection.dialect.name == "mysql" else 0

    def read(self, key: str) -> tuple[int, int]:
        """(hits, end) of the running window."""
        connection = self.db.connection()
        rows = connection.select_tuples(
            f"select hits, expiration from rate_limits where {key_of(connection)} = ?"  # noqa: S608
            " and expiration > ?",
            (key, int(self.clock.time())),
            False,
        )
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def clear(self, key: str) -> None:
        """End the window of *key*."""
        connection = self.db.connection()
        sql = f"delete from rate_limits where {key_of(connection)} = ?"  # noqa: S608  # constant
        connection.affecting_statement(sql, (key,))

    def flush(self, prefix: str = "") -> None:
        """End every window whose key begins with *prefix*."""
        connection = self.db.connection()
        name = key_of(connection)
        sql = f"delete from rate_limits where {name} >= ? and {name} < ?"  # noqa: S608  # constant
        connection.affecting_statement(sql, (prefix, after(prefix)))

    def gc(self, batch: int = 1000) -> int:
        """Remove windows that have ended, *batch* at a time; how many."""
        return removed_ended(self.db, "rate_limits", int(self.clock.time()), batch)


class Window(NamedTuple):
    """One key's window in memory."""

    end: int = 0
    hits: int = 0
    reserved: int = 0


class MemoryCounters:
    """Windows of this process only, *most* of them; those that end first go when it is full."""

    def __init__(self, clock: Clock | None = None, most: int = 100_000) -> None:
        self.clock = clock or Clock()
        self._most = most
        self._windows: dict[str, Window] = {}
        self._guard = threading.Lock()

    def _window(self, key: str) -> Window:
        window = self._windows.get(key, Window())
        return window if window.end > int(self.clock.time()) else Window()

    def _set(self, key: str, seconds: int, window: Window) -> Window:
        if key not in self._windows and len(self._windows) >= self._most:
            self._make_room()
        end = window.end or int(self.clock.time()) + seconds
        self._windows[key] = window = window._replace(end=end)
        return window

    def _make_room(self) -> None:
        """A tenth goes at a time, so that this is done seldom."""
        for key in sorted(self._windows, key=lambda key: self._windows[key].end)[
            : max(1, self._most // 10)
        ]:
            del self._windows[key]

    def hit(self, key: str, seconds: int, by: int) -> int:
        """Add *by* to the window of *key*."""
        with self._guard:
            window = self._window(key)
            return self._set(key, seconds, window._replace(hits=window.hits + by)).hits

    def reserve(self, key: str, seconds: int, most: int) -> int | None:
        """Take one of *most* places of the window of *key*."""
        with self._guard:
            window = self._window(key)
            if window.hits + window.reserved >= most:
                return None
            return self._set(key, seconds, window._replace(reserved=window.reserved + 1)).end

    def settle(self, key: str, end: int, by: int) -> bool:
        """Give a place back and add *by*."""
        with self._guard:
            window = self._window(key)
            if window.end != end or not window.reserved:
                return False
            self._windows[key] = Window(end, window.hits + by, window.reserved - 1)
            return True

    def read(self, key: str) -> tuple[int, int]:
        """(hits, end) of the running window."""
        window = self._window(key)
        return window.hits, window.end

    def clear(self, key: str) -> None:
        """End the window of *key*."""
        with self._guard:
            self._windows.pop(key, None)

    def flush(self, prefix: str = "") -> None:
        """End every window whose key begins with *prefix*."""
        with self._guard:
            for key in [key for key in self._windows if key.startswith(prefix)]:
                del self._windows[key]

    def gc(self, batch: int = 1000) -> int:
        """Remove windows that have ended; how many."""
        with self._guard:
            gone = [key for key in self._windows if not self._window(key).end]
            for key in gone:
                del self._windows[key]
            return len(gone)


class SteadyCounters:
    """Counters that go on in this process's memory while the *shared* ones cannot be reached.

    So a limit never fails open: with the database away each process counts for itself.
    """

    def __init__(self, shared: Counters, clock: Clock | None = None) -> None:
        """*clock*: this machine's, by which it counts when it is alone."""
        self.clock = shared.clock
        self._shared = shared
        self._local = MemoryCounters(clock)
        self._outage = Outage("limits", "this process counts alone")

    def _ask(self, work: Callable[[Counters], T]) -> T:
        return self._outage.spared(lambda: work(self._shared), lambda: work(self._local))

    def hit(self, key: str, seconds: int, by: int) -> int:
        """Add *by* to the window of *key*."""
        return self._ask(lambda counters: counters.hit(key, seconds, by))

    def reserve(self, key: str, seconds: int, most: int) -> int | None:
        """Take one of *most* places of the window of *key*."""
        return self._ask(lambda counters: counters.reserve(key, seconds, most))

    def settle(self, key: str, end: int, by: int) -> bool:
        """Give a place back and add *by*."""
        return self._ask(lambda counters: counters.settle(key, end, by))

    def read(self, key: str) -> tuple[int, int]:
        """(hits, end) of the running window."""
        return self._ask(lambda counters: counters.read(key))

    def clear(self, key: str) -> None:
        """End the window of *key*, here as well."""
        self._local.clear(key)
        self._ask(lambda counters: counters.clear(key))

    def flush(self, prefix: str = "") -> None:
        """End every window whose key begins with *prefix*; raises if that cannot be done."""
        self._local.flush(prefix)
        self._shared.flush(prefix)

    def gc(self, batch: int = 1000) -> int:
        """Remove windows that have ended; raises if that cannot be done."""
        return self._local.gc(batch) + self._shared.gc(batch)


class Reservation:
    """A place among the attempts of a window, held until it is known whether this one counts.

    Settled once: what comes after the first `count()` or `give_back()` does nothing. One that is
    never settled, as its process died, takes its place until the window ends.
    """

    def __init__(self, counters: Counters, key: str, seconds: int, end: int) -> None:
        self._counters, self._key, self._seconds, self._end = counters, key, seconds, end
        self._is_settled = False

    def count(self) -> None:
        """This attempt counts, in the next window if its own has ended."""
        if not self._settle(1):
            self._counters.hit(self._key, self._seconds, 1)

    def give_back(self) -> None:
        """This attempt does not count."""
        self._settle(0)

    def _settle(self, by: int) -> bool:
        if self._is_settled:
            return True
        self._is_settled = True
        return self._counters.settle(self._key, self._end, by)


class RateLimiter:
    """Counts attempts and says when there were too many."""

    def __init__(self, counters: Counters, prefix: str = "") -> None:
        self._counters = counters
        self._prefix = checked_prefix(prefix)
        self._named: dict[str, Callable[[Any], Any]] = {}

    def limit(self, name: str, fn: Callable[[Any], Any]) -> None:
        """Define the limit *name*: `fn(request)` gives a Limit, several, or None for no limit."""
        self._named[name] = plain(fn, f"the limit {name!r}:")

    def limiter(self, name: str) -> Callable[[Any], Any] | None:
        """The function behind the limit *name*; None if there is none."""
        return self._named.get(name)

    def attempt(
        self, key: str, max: int, fn: Callable[[], Any], decay: float | timedelta = 60
    ) -> Any:
        """What *fn* gives (True for None), or False where *max* attempts have counted already.

        CacheError, and nothing counted, for a *max* that is no whole number.
        """
        most = _checked_most(max)
        plain(fn, "attempt's function")
        if self.hit(key, decay) > most:
            return False
        result = fn()
        return True if result is None else result

    def hit(self, key: str, decay: float | timedelta = 60, by: int = 1) -> int:
        """Count an attempt; how many there were in this window of *decay* seconds.

        Raises CacheError unless *by* is a whole number above 0: what was counted is not taken
        back. Where an attempt may not count, `reserve()` a place.
        """
        if isinstance(by, bool) or not isinstance(by, int) or by < 1:
            raise CacheError(f"cannot count {by!r} attempts: give 1 or more, or reserve() a place")
        return self._counters.hit(self._stored(key), _whole_seconds(decay), by)

    def reserve(
        self, key: str, max_attempts: int, decay: float | timedelta = 60, wait_seconds: float = 10
    ) -> Reservation | None:
        """A place for an attempt that may count or not; None where *max_attempts* have counted.

        While others hold the last places it waits, *wait_seconds* at most, until one of them is
        given back. `count()` or `give_back()` must follow.
        """
        if _checked_most(max_attempts) < 1:
            return None
        stored, seconds = self._stored(key), _whole_seconds(decay)
        end: int | None = None

        def decided() -> bool:
            nonlocal end
            end = self._counters.reserve(stored, seconds, max_attempts)
            return end is not None or self._counters.read(stored)[0] >= max_attempts

        # In real time on purpose: those who hold the places work in real time as well.
        waited(decided, Clock(), wait_seconds)
        return None if end is None else Reservation(self._counters, stored, seconds, end)

    def attempts(self, key: str) -> int:
        """How many attempts there were in the running window."""
        return self._counters.read(self._stored(key))[0]

    def too_many_attempts(self, key: str, max_attempts: int) -> bool:
        """True if the window is used up."""
        return self.attempts(key) >= _checked_most(max_attempts)

    def remaining(self, key: str, max_attempts: int) -> int:
        """How many attempts are left in this window."""
        return max(0, _checked_most(max_attempts) - self.attempts(key))

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


def _checked_most(given: object) -> int:
    """*given* attempts as a limit has them; CacheError for no whole number from 0."""
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise CacheError(f"{given!r} is no limit: give a whole number of attempts")
    return given


def _whole_seconds(decay: float | timedelta) -> int:
    seconds = seconds_of(decay, "window")
    if seconds <= 0:
        raise CacheError(f"a window of {decay} seconds counts nothing: give more than 0")
    return math.ceil(min(seconds, LONGEST_WINDOW))
