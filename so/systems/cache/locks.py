"""Locks that several processes and servers share, with an owner, an end and a fencing token.

A lock is one row of `cache_locks`, taken, refreshed and released by one conditional statement
each. Rows are kept after a release, so that tokens only grow; `gc()` sweeps them later.
"""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from so.db.manager import ConnectionSource
from so.errors import CacheError, LockLost, LockTimeout
from so.support.clock import Clock
from so.support.ids import token as new_token
from so.support.plain import plain
from so.systems.cache.entry import NEVER, Locks, after, seconds_of
from so.systems.cache.sharing import clock_of, key_of, removed_ended, waited

T = TypeVar("T")
_log = logging.getLogger("so.cache")
LONGEST_OWNER = 255  # characters, as the column holds them


class DatabaseLocks:
    """Locks in the table `cache_locks` of *db*, which should be a connection of its own."""

    KEEP_SECONDS = 60  # an ended row is kept this long before gc() takes it: see `acquire`

    def __init__(self, db: ConnectionSource, clock: Clock | None = None) -> None:
        self.db = db
        self.clock = clock_of(db, clock)

    def acquire(self, key: str, owner: str, expiration: int) -> int | None:
        """Take *key* for *owner*.

        Tokens are microseconds at least, so they grow over a gc() as well; rows are kept a while
        in case that two servers differ about the time.
        """
        now, token = int(self.clock.time()), int(self.clock.time() * 1_000_000)
        connection = self.db.connection()
        if connection.dialect.name == "sqlite":
            done = connection.run(
                'insert into cache_locks ("key", owner, expiration, token)'
                ' values (?, ?, ?, noted(?)) on conflict ("key") do update set'
                " owner = excluded.owner, expiration = excluded.expiration,"
                " token = noted(max(token + 1, excluded.token))"
                " where cache_locks.expiration <= ?",
                (key, owner, expiration, token, now),
            )
            return done.last_id if done.rowcount else None
        answer = connection.run(
            "insert into cache_locks (`key`, owner, expiration, token)"
            " values (?, ?, ?, last_insert_id(?)) on duplicate key update"
            " token = if(expiration <= ?, last_insert_id(greatest(token + 1, ?)),"
            " if(last_insert_id(0) = 0, token, token)),"
            " owner = if(expiration <= ?, values(owner), owner),"
            " expiration = if(expiration <= ?, values(expiration), expiration)",
            (key, owner, expiration, token, now, token, now, now),
        )
        return answer.last_id or None

    def release(self, key: str, owner: str) -> bool:
        """Give *key* up; False if *owner* does not hold it (any more)."""
        return self._update("expiration = 0", (), key, owner)

    def force_release(self, key: str) -> None:
        """Take *key* from whoever holds it."""
        connection = self.db.connection()
        sql = f"update cache_locks set expiration = 0 where {key_of(connection)} = ?"  # noqa: S608
        connection.affecting_statement(sql, (key,))

    def refresh(self, key: str, owner: str, expiration: int) -> bool:
        """Let *key* end at *expiration*; False if *owner* does not hold it."""
        return self._update("expiration = ?", (expiration,), key, owner)

    def _update(self, what: str, values: tuple[int, ...], key: str, owner: str) -> bool:
        bindings = (*values, key, owner, int(self.clock.time()))
        connection = self.db.connection()
        sql = (
            f"update cache_locks set {what}"  # noqa: S608  # constants
            f" where {key_of(connection)} = ? and owner = ? and expiration > ?"
        )
        return connection.affecting_statement(sql, bindings) > 0

    def owner(self, key: str) -> str | None:
        """Who holds *key*; None if it is free."""
        connection = self.db.connection()
        sql = f"select owner from cache_locks where {key_of(connection)} = ? and expiration > ?"  # noqa: S608
        rows = connection.select_tuples(sql, (key, int(self.clock.time())), False)
        return str(rows[0][0]) if rows else None

    def flush(self, prefix: str) -> None:
        """Free every key that begins with *prefix*."""
        connection = self.db.connection()
        name = key_of(connection)
        sql = f"update cache_locks set expiration = 0 where {name} >= ? and {name} < ?"  # noqa: S608
        connection.affecting_statement(sql, (prefix, after(prefix)))

    def gc(self, batch: int = 1000) -> int:
        """Remove rows that ended a minute ago, *batch* at a time; how many."""
        return removed_ended(
            self.db, "cache_locks", int(self.clock.time()) - self.KEEP_SECONDS, batch
        )


class MemoryLocks:
    """Locks of this process only, for the array and null stores and for tests."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._held: dict[str, tuple[str, int]] = {}
        self._guard = threading.Lock()
        self._token = 0

    def acquire(self, key: str, owner: str, expiration: int) -> int | None:
        """Take *key* for *owner*."""
        with self._guard:
            if self.owner(key) is not None:
                return None
            self._held[key] = (owner, expiration)
            self._token += 1
            return self._token

    def release(self, key: str, owner: str) -> bool:
        """Give *key* up; False if *owner* does not hold it."""
        with self._guard:
            return self.owner(key) == owner and self._held.pop(key, None) is not None

    def force_release(self, key: str) -> None:
        """Take *key* from whoever holds it."""
        with self._guard:
            self._held.pop(key, None)

    def refresh(self, key: str, owner: str, expiration: int) -> bool:
        """Let *key* end at *expiration*; False if *owner* does not hold it."""
        with self._guard:
            if self.owner(key) != owner:
                return False
            self._held[key] = (owner, expiration)
            return True

    def owner(self, key: str) -> str | None:
        """Who holds *key*; None if it is free."""
        held = self._held.get(key)
        return held[0] if held and held[1] > int(self.clock.time()) else None

    def flush(self, prefix: str) -> None:
        """Free every key that begins with *prefix*."""
        with self._guard:
            for key in [key for key in self._held if key.startswith(prefix)]:
                del self._held[key]

    def gc(self, batch: int = 1000) -> int:
        """Remove what has ended; how many."""
        with self._guard:
            gone = [key for key in self._held if self.owner(key) is None]
            for key in gone:
                del self._held[key]
            return len(gone)


class Lock:
    """One lock: `if lock.acquire(): … lock.release()`, or `with lock:`.

    It ends by itself *seconds* after it was taken, which is how a crashed holder loses it;
    0 seconds: only a release ends it. `token` grows with every acquisition of the name: hand it
    to whatever the lock guards, so that a holder that slept too long is told from its successor.
    """

    def __init__(
        self,
        locks: Locks,
        key: str,
        seconds: float | timedelta | None = 0,
        owner: str | None = None,
    ) -> None:
        """*seconds* None: not known here, as another process took it; see `restore_lock`."""
        self._locks = locks
        self._key = key
        self.seconds = None if seconds is None else _lasting(seconds)
        self.owner = new_token(16) if owner is None else _checked_owner(owner)
        self.token: int | None = None

    def _expiration(self, seconds: float | timedelta | None = None) -> int:
        lasting = self.seconds if seconds is None else _lasting(seconds)
        if lasting is None:
            raise CacheError("say for how many seconds: this lock was taken elsewhere")
        end = self._locks.clock.time() + lasting
        return NEVER if not lasting or end >= NEVER else math.ceil(end)

    def acquire(self) -> bool:
        """Take the lock if it is free; never waits."""
        token = self._locks.acquire(self._key, self.owner, self._expiration())
        if token is not None:
            self.token = token
        return token is not None

    def block(self, wait_seconds: float, fn: Callable[[], T] | None = None) -> T | bool:
        """Take the lock, waiting up to *wait_seconds*; with *fn*, run it and release.

        Gives True, or what *fn* gave. Raises LockTimeout when the wait was in vain.
        """
        if fn is not None:
            plain(fn, "block's function")
        if not waited(self.acquire, self._locks.clock, seconds_of(wait_seconds, "time to wait")):
            raise LockTimeout(f"the lock {self._key!r} was not free within {wait_seconds} seconds")
        if fn is None:
            return True
        try:
            return fn()
        finally:
            self.release()

    def release(self) -> bool:
        """Give the lock up; False, and nothing changed, if it is not this owner's."""
        return self._locks.release(self._key, self.owner)

    def force_release(self) -> None:
        """Take the lock from whoever holds it."""
        self._locks.force_release(self._key)

    def refresh(self, seconds: float | timedelta | None = None) -> bool:
        """Let it end *seconds* from now (its own time without); False if it was lost."""
        return self._locks.refresh(self._key, self.owner, self._expiration(seconds))

    def is_acquired(self) -> bool:
        """True if somebody holds it."""
        return self._locks.owner(self._key) is not None

    is_locked = is_acquired

    def is_owned_by_current_process(self) -> bool:
        """True if this object's owner holds it."""
        return self._locks.owner(self._key) == self.owner

    def __enter__(self) -> Lock:
        """Take it, waiting as long as it is held at most; without an end, as long as it takes."""
        self.block(self.seconds or math.inf)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Give it up; raises LockLost if it ended before the block did and another has it now."""
        if self.release():
            return
        if error is None and self.is_acquired():
            raise LockLost(
                f"the lock {self._key!r} ended after {self.seconds} seconds, before its block did, "
                "and somebody else took it: lock for longer, or refresh() in between"
            )
        _log.warning("the lock %r ended before its block did", self._key)


def _lasting(seconds: float | timedelta) -> float:
    """How long a lock is held; CacheError for less than nothing."""
    found = seconds_of(seconds, "time to hold a lock")
    if found < 0:
        raise CacheError(f"a lock cannot be held for {seconds} seconds: give 0 or more")
    return found


def _checked_owner(owner: object) -> str:
    """The name of a holder. A number would be compared with texts, each engine in its way."""
    if isinstance(owner, str) and 0 < len(owner) <= LONGEST_OWNER and "\0" not in owner:
        return owner
    raise CacheError(
        f"{owner!r:.60} owns no lock: an owner is a text of 1 to {LONGEST_OWNER} characters, "
        "none of them NUL"
    )


class Semaphore:
    """At most *limit* holders at once: `with semaphore:`, or acquire() and release()."""

    def __init__(self, locks: Locks, key: str, limit: int, seconds: float) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise CacheError(f"a semaphore needs a whole limit of at least 1, {limit!r} given")
        owner = new_token(16)
        self._slots = [Lock(locks, f"{key}#{slot}", seconds, owner) for slot in range(limit)]
        self._locks = locks
        self._seconds = seconds
        self._held: Lock | None = None

    def acquire(self) -> bool:
        """Take one place if there is one, and this object has none; never waits."""
        if self._held is not None and self._held.is_owned_by_current_process():
            return False
        for slot in random.sample(self._slots, len(self._slots)):
            if slot.acquire():
                self._held = slot
                return True
        return False

    def block(self, wait_seconds: float) -> bool:
        """Take one place, waiting up to *wait_seconds*; raises LockTimeout."""
        if not waited(self.acquire, self._locks.clock, seconds_of(wait_seconds, "time to wait")):
            raise LockTimeout(f"no place was free within {wait_seconds} seconds")
        return True

    def release(self) -> bool:
        """Give the place back; False if it was lost or never taken."""
        held, self._held = self._held, None
        return held is not None and held.release()

    def refresh(self, seconds: float | None = None) -> bool:
        """Keep the place longer; False if it was lost."""
        return self._held is not None and self._held.refresh(seconds)

    def __enter__(self) -> Semaphore:
        self.block(self._seconds or math.inf)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
