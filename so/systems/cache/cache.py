"""`Cache`: typed values over a store, computed once, grouped by tags, guarded by locks."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from so.errors import CacheError, CacheTypeError, CodecError, DatabaseError, LockTimeout, QueryError
from so.settings.cache import CacheSettings
from so.support.clock import Clock
from so.support.codec import Codec, default_codec
from so.support.scope import current_scope
from so.support.signatures import call_with
from so.systems.cache.entry import (
    LARGEST_NUMBER,
    LONGEST_PLAIN,
    MISSING,
    NEVER,
    Entry,
    Locks,
    Packed,
    Store,
    check_windows,
    checked_prefix,
    expiration_of,
    stored_key,
    summed,
)
from so.systems.cache.heartbeat import heartbeat
from so.systems.cache.locks import Lock, Semaphore
from so.systems.cache.sharing import Outage, waited
from so.systems.cache.tags import TaggedStore, flat, tagged_prefix
from so.systems.cache.turns import Turn, Turns
from so.systems.cache.values import packed, unpacked

Ttl = float | timedelta | datetime | None
NOTED_SECONDS = 10  # between two notes of how many reads were hits, each after a response
LOOKED_EVERY = 64  # reads until the time is looked at for that
T = TypeVar("T")
_log = logging.getLogger("so.cache")


@dataclass
class Reads:
    """How many reads of a cache were hits, in this process, and how many its store knows of."""

    hits: int = 0
    misses: int = 0
    noted: tuple[int, int] = (0, 0)
    note_at: float = 0.0


class Cache:
    """A store as applications use it. None is a value like any other.

    A time to live is seconds, a timedelta or a datetime; None is for ever, and zero or less
    removes. A value that cannot be read back is a miss and a warning in the log.
    """

    def __init__(
        self,
        store: Store,
        prefix: str = CacheSettings.prefix,
        *,
        locks: Locks | None = None,
        codec: Codec | None = None,
        compute_seconds: float = CacheSettings.compute_seconds,
        wait_seconds: float = CacheSettings.wait_seconds,
        compress_bytes: int = CacheSettings.compress_bytes,
    ) -> None:
        """*locks*: those of the store without. *codec*: what values may be.

        *compute_seconds*: after which a process that died while it computed is replaced.
        *wait_seconds*: how long others wait for one that lives. Texts from *compress_bytes* on are
        compressed; 0 for none.
        """
        self.backend = store
        self.prefix = checked_prefix(prefix)
        self.locks = locks or store.own_locks()
        self.compute_seconds, self.wait_seconds = compute_seconds, wait_seconds
        self.compress_bytes = compress_bytes
        self._reads = Reads()
        self.stores: Callable[[str | None], Cache] | None = None  # set by Caches
        self.codec = codec or default_codec
        self._outage = Outage("cache", "reads are misses and nothing is stored")
        self._turns = Turns()
        self._plain = LONGEST_PLAIN - len(self.prefix.encode())

    @property
    def clock(self) -> Clock:
        """The clock that times are measured by."""
        return self.backend.clock

    def store(self, name: str | None = None) -> Cache:
        """Another cache of the same application by name; the default one without."""
        if self.stores is None:
            raise CacheError(f"this cache stands alone: there is no store {name!r} beside it")
        return self.stores(name)

    # --- reading ---

    def get(self, key: str, default: Any = None) -> Any:
        """The value under *key*; *default* (called if callable) if there is none."""
        outage, found = self._outage, None
        if not outage.is_known or not outage.is_on():
            try:  # as `_asked` does it: nothing is called more often
                found = self.backend.read(self.stored(key))
                outage.is_known = False
            except (QueryError, OSError) as error:
                outage.noted(error)
        if found is not None:
            value = self._unpacked(found)
            if value is not MISSING:
                reads = self._reads
                reads.hits = hits = reads.hits + 1
                if not hits % LOOKED_EVERY:
                    self._note_later(reads)
                return value
        self._count(0, 1)
        return _made(default)

    def many(self, keys: Iterable[str] | Mapping[str, Any]) -> dict[str, Any]:
        """Several values in one statement; a dict of key → default, or None for what is missing."""
        defaults = keys if isinstance(keys, Mapping) else dict.fromkeys(_several(keys))
        names = [self.stored(key) for key in defaults]
        found = self._asked({}, self.backend.read_many, names)
        values = {
            key: self._unpacked(found[name]) if name in found else MISSING
            for key, name in zip(defaults, names, strict=True)
        }
        gone = [key for key, value in values.items() if value is MISSING]
        self._count(len(values) - len(gone), len(gone))
        return {**values, **{key: _made(defaults[key]) for key in gone}} if gone else values

    def has(self, key: str) -> bool:
        """True if there is a value, even None."""
        return self.get(key, MISSING) is not MISSING

    def missing(self, key: str) -> bool:
        """True if there is no value."""
        return not self.has(key)

    __contains__ = has

    def ttl(self, key: str) -> int | None:
        """Seconds left; None for a value without end and for no value."""
        entry = self.entry(key)
        if entry is None or entry.expiration >= NEVER:
            return None
        return max(0, int(entry.expiration - self.clock.time()))

    # --- writing ---

    def put(self, key: str, value: Any, ttl: Ttl = None) -> bool:
        """Store *value* under *key*, replacing what was there; False with the database away."""
        expiration = expiration_of(ttl, self.backend.clock)
        if not expiration:
            self.forget(key)
            return True
        stored = packed(self.codec, value, self.compress_bytes)
        return self._asked(False, self.backend.write, self.stored(key), stored, expiration) is None

    def put_many(self, values: Mapping[str, Any], ttl: Ttl = None) -> bool:
        """Store all of *values* in one statement; False with the database away."""
        expiration = expiration_of(ttl, self.clock)
        if not expiration:
            self.forget_many(values)
            return True
        return self._put(
            self.backend, {key: self._entry(value, expiration) for key, value in values.items()}
        )

    def _put(self, store: Store, entries: Mapping[str, Entry]) -> bool:
        named = {self.stored(key): entry for key, entry in entries.items()}
        return self._asked(False, store.put, named) is None

    def forever(self, key: str, value: Any) -> bool:
        """Store *value* without an end."""
        return self.put(key, value)

    def add(self, key: str, value: Any, ttl: Ttl = None) -> bool:
        """Store *value* only if there is none; whether it was stored. Atomic."""
        expiration = expiration_of(ttl, self.clock)
        if not expiration:
            return False
        entry = self._entry(value, expiration)
        return bool(self._asked(False, self.backend.add, self.stored(key), entry))

    def pull(self, key: str, default: Any = None) -> Any:
        """The value under *key*, removed; only one caller gets it."""
        value = self._value(self._asked(None, self.backend.pull, self.stored(key)))
        return value if self._is_hit(value) else _made(default)

    def touch(self, key: str, ttl: Ttl = None) -> bool:
        """Give a live value a new time to live; False if there is none."""
        expiration = expiration_of(ttl, self.clock)
        if not expiration:
            return self.forget(key)
        return bool(self._asked(False, self.backend.touch, self.stored(key), expiration))

    def forget(self, key: str) -> bool:
        """Remove *key*; whether there was a value."""
        return self.forget_many([key]) > 0

    def forget_many(self, keys: Iterable[str]) -> int:
        """Remove *keys*; how many values there were."""
        names = [self.stored(key) for key in _several(keys)]
        return int(self._asked(0, self.backend.forget, names))

    def flush(self) -> bool:
        """Remove everything under this prefix, and nothing else; locks and limits stay.

        What `stats()` counts begins anew. Always True; raises if it cannot be done.
        """
        self.backend.flush(self.prefix)
        self._reads.hits = self._reads.misses = 0
        self._reads.noted = (0, 0)
        return True

    def increment(self, key: str, by: int = 1) -> int:
        """Add *by* to an integer, 0 if missing; the new value. Atomic; the end stays.

        Raises CacheTypeError if the value is not an integer or the sum has more than 64 bits.
        """
        if isinstance(by, bool) or not isinstance(by, int) or abs(by) > LARGEST_NUMBER:
            raise CacheTypeError(f"cannot add {by!r} to {key!r}: give an integer of 64 bits")
        number: int | None = self._asked(by, self.backend.increment, self.stored(key), by)
        if number is None:
            entry = self.entry(key)
            is_number = entry is not None and summed(entry.text, 0) is not None
            problem = f"plus {by} has more than 64 bits" if is_number else "is not an integer"
            raise CacheTypeError(f"the value under {key!r} {problem}; it was left as it is")
        return number

    def decrement(self, key: str, by: int = 1) -> int:
        """Take *by* from an integer; see `increment`."""
        if isinstance(by, bool) or not isinstance(by, int):
            raise CacheTypeError(f"cannot take {by!r} from {key!r}: give an integer")
        return self.increment(key, -by)

    def _asked(self, instead: Any, ask: Callable[..., Any], *args: Any) -> Any:
        """What the store answers, or *instead* while its database is away."""
        outage = self._outage
        if outage.is_known and outage.is_on():
            return instead
        try:
            answer = ask(*args)
        except (QueryError, OSError) as error:
            outage.noted(error)
            return instead
        outage.is_known = False
        return answer

    # --- computing once ---

    def remember(
        self,
        key: str,
        ttl: Ttl | Callable[..., Ttl],
        fn: Callable[[], Any],
        *,
        wait: float | None = None,
        stale: bool = False,
        cache_if: Callable[[Any], bool] | None = None,
        none_ttl: Ttl = MISSING,
    ) -> Any:
        """The value under *key*, computed by *fn* when there is none.

        While one thread of one process computes, the others wait for it as long as it lives, *wait*
        seconds at most (`cache.wait_seconds`): never does a second one compute beside it. Whoever
        waited in vain gets LockTimeout; with *stale*, the value that expired last if it is still
        there. *ttl* may be a function, of the value or of nothing. *cache_if* says whether a value
        is stored; None is stored for *none_ttl*, if given.
        """
        value = self.get(key, MISSING)
        if value is not MISSING:
            return value

        def compute(store: Store) -> Any:
            value = fn()
            if cache_if is not None and not cache_if(value):
                return value
            end = none_ttl if value is None and none_ttl is not MISSING else _ttl_of(ttl, value)
            expiration = expiration_of(end, self.clock)
            if expiration:
                self._put(store, {key: self._entry(value, expiration)})
            return value

        return self._computed_once(key, compute, wait, stale)

    def remember_forever(self, key: str, fn: Callable[[], Any], **options: Any) -> Any:
        """`remember` without an end."""
        return self.remember(key, None, fn, **options)

    sear = remember_forever

    def flexible(
        self,
        key: str,
        ttl: tuple[float, float],
        fn: Callable[[], Any],
        *,
        wait: float | None = None,
        stale: bool = False,
    ) -> Any:
        """A value that is fresh for the first and usable for the second number of seconds.

        In between, it is given as it is while one caller computes the next: after the response
        inside a request, at once elsewhere; if that fails, it stays as it is. Raises CacheError
        for what is no such pair, or where the first is the longer one.
        """
        check_windows(ttl)
        refresh = functools.partial(self._refresh, key, ttl, fn)
        entry = self._asked(None, self.backend.get, self.stored(key))
        value = self._value(entry)
        if not self._is_hit(value) or entry is None:
            return self._computed_once(key, refresh, wait, stale)
        if entry.fresh_until is not None and entry.fresh_until <= self.clock.time():
            return self._served_stale(key, refresh, value)
        return value

    def _served_stale(self, key: str, refresh: Callable[[Store], T], value: T) -> T:
        lock = self._compute_lock(key)
        if not self._asked(False, lock.acquire):
            return value

        def renewed() -> T:
            try:
                return self._computed(lock, refresh, self._looked(key)[1])
            except Exception:
                _log.exception("%r could not be computed anew: its stale value stays", key)
                return value

        scope = current_scope()
        if scope is None:
            return renewed()
        scope.on_exit(renewed)
        return value

    def _refresh(
        self, key: str, ttl: tuple[float, float], fn: Callable[[], Any], store: Store
    ) -> Any:
        fresh, usable = ttl
        value = fn()
        entry = self._entry(value, expiration_of(usable, self.clock))
        if entry.expiration:
            fresh_until = expiration_of(fresh, self.clock)
            self._put(store, {key: entry._replace(fresh_until=fresh_until)})
        return value

    def _computed_once(
        self, key: str, compute: Callable[[Store], Any], wait: float | None, stale: bool
    ) -> Any:
        """What somebody else stores under *key*, or what is computed here when nobody else does."""
        if not self.backend.is_shared:
            return compute(self.backend)
        wait = self.wait_seconds if wait is None else wait
        deadline = self.clock.monotonic() + wait
        lock, value = self._compute_lock(key), MISSING

        def decided() -> bool:
            nonlocal value
            if value is not MISSING or self._asked(True, lock.acquire):
                return True
            value = self._looked(key)[0]
            return value is not MISSING

        with self._turns.taken(self.stored(key), wait) as turn:
            if turn is Turn.AWAITED:
                value = self._looked(key)[0]
            if turn is Turn.IN_VAIN or not waited(
                decided, self.clock, deadline - self.clock.monotonic()
            ):
                return self._in_vain(key, wait, stale)
            if value is not MISSING:
                return value
            value, store = self._looked(key)
            if value is MISSING:
                return self._computed(lock, compute, store)
            self._asked(False, lock.release)
            return value

    def _computed(self, lock: Lock, compute: Callable[[Store], T], store: Store) -> T:
        """Compute under *lock*, which is kept as long as this process lives and does it."""
        try:
            with heartbeat.keeping(lock.refresh, self.compute_seconds / 3):
                return compute(store)
        finally:
            self._asked(False, lock.release)

    def _looked(self, key: str) -> tuple[Any, Store]:
        """The value under *key*, not counted as a read, and the store as it is now."""
        if isinstance(self.backend, TaggedStore):
            nothing = (None, self.backend)
            entry, store = self._asked(nothing, self.backend.looked, self.stored(key))
            return self._value(entry), store
        return self._value(self.entry(key)), self.backend

    def _in_vain(self, key: str, wait: float, stale: bool) -> Any:
        entry = self._asked(None, self.backend.last, self.stored(key)) if stale else None
        value = self._value(entry)
        if value is MISSING:
            raise LockTimeout(
                f"the value under {key!r} is still being computed elsewhere after {wait:g} seconds:"
                " wait for longer, or take a stale value by stale=True or flexible()"
            )
        return value

    def _compute_lock(self, key: str) -> Lock:
        return Lock(self.locks, f"{self.stored(key)}\x1fcompute", self.compute_seconds)

    # --- tags ---

    def tags(self, *names: Any) -> TaggedCache:
        """The entries that belong to all of the tags *names*; flushing one tag ends them."""
        wanted = flat(names)
        if not wanted:
            raise CacheError("tags() needs at least one name")
        return TaggedCache(self, wanted)

    # --- locks ---

    def lock(self, name: str, seconds: float | timedelta = 0, owner: str | None = None) -> Lock:
        """The lock *name*, which ends by itself after *seconds* (0: only by a release)."""
        return Lock(self.locks, self.stored(name), seconds, owner)

    def restore_lock(self, name: str, owner: str) -> Lock:
        """The lock *name* as *owner* holds it, to be released or refreshed elsewhere."""
        return Lock(self.locks, self.stored(name), None, owner)

    def semaphore(self, name: str, limit: int, seconds: float) -> Semaphore:
        """At most *limit* holders of *name* at once, each for *seconds* at most."""
        # Names of places that no lock of the application has.
        return Semaphore(self.locks, f"{self.stored(name)}\x1fplace", limit, seconds)

    # --- housekeeping ---

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired row of values and locks, *batch* at a time; how many."""
        return self.backend.gc(batch) + self.locks.gc(batch)

    def stats(self) -> dict[str, Any]:
        """Hits and misses since the last flush, of every process; entries and bytes."""
        rows = self._counters()
        entries, size = self.backend.size(self.prefix)
        hits, misses = self._counted(rows)
        return {
            "hits": hits,
            "misses": misses,
            "entries": entries - len(rows),
            "bytes": size - sum(row.size for row in rows.values()),
        }

    def reads(self) -> tuple[int, int]:
        """Hits and misses as in `stats()`, without looking at what is stored."""
        return self._counted(self._counters())

    def _counters(self) -> dict[str, Entry]:
        """The rows of hits and misses; of a store that dies with the process, none."""
        if not self.backend.durable:
            return {}
        self._note()
        return dict(self.backend.many([stored_key(self.prefix, name) for name in _COUNTERS]))

    def _counted(self, rows: Mapping[str, Entry]) -> tuple[int, int]:
        if not self.backend.durable:
            return self._reads.hits, self._reads.misses
        hits, misses = (rows.get(stored_key(self.prefix, name)) for name in _COUNTERS)
        return int(hits.text) if hits else 0, int(misses.text) if misses else 0

    def _is_hit(self, value: Any) -> bool:
        """Count a read that found *value*; False for MISSING."""
        is_hit = value is not MISSING
        self._count(is_hit, not is_hit)
        return is_hit

    def _count(self, hits: int, misses: int) -> None:
        """Count reads. The store is told after a response, never within a caller's call."""
        reads = self._reads
        reads.hits += hits
        reads.misses += misses
        if (reads.hits + reads.misses) % LOOKED_EVERY < hits + misses:
            self._note_later(reads)

    def _note_later(self, reads: Reads) -> None:
        scope, now = current_scope(), time.monotonic()
        if scope is not None and now >= reads.note_at:
            reads.note_at = now + NOTED_SECONDS
            scope.on_exit(self._note)

    def _note(self) -> None:
        """Add what this process has counted since to what the store knows."""
        if not self.backend.durable:
            return
        reads = self._reads
        now, before = (reads.hits, reads.misses), reads.noted
        reads.noted = now
        try:
            for name, new, old in zip(_COUNTERS, now, before, strict=True):
                if new > old:
                    stored = stored_key(self.prefix, name)
                    self._asked(None, self.backend.increment, stored, new - old)
        except DatabaseError as error:  # a statistic is not worth anybody's failure
            _log.debug("hits and misses were not noted: %s", error)

    def close(self) -> None:
        """Note what was counted, and let go of what the store holds open."""
        self._note()
        self.backend.close()

    # --- values ---

    def stored(self, key: str) -> str:
        """*key* as the store knows it."""
        if type(key) is str and len(key) <= self._plain and key.isascii():
            return self.prefix + key
        return stored_key(self.prefix, key)

    def entry(self, key: str) -> Entry | None:
        """What the store keeps under *key*, not counted as a read."""
        found: Entry | None = self._asked(None, self.backend.get, self.stored(key))
        return found

    def _entry(self, value: Any, expiration: int) -> Entry:
        return Entry.of(packed(self.codec, value, self.compress_bytes), expiration)

    def _value(self, entry: Entry | None) -> Any:
        return MISSING if entry is None else self._unpacked(entry.packed)

    def _unpacked(self, stored: Packed) -> Any:
        try:
            # Nearly always a text; without another call for it.
            return (
                self.codec.decode(stored) if type(stored) is str else unpacked(self.codec, stored)
            )
        except CodecError as error:
            _log.warning("a cache entry cannot be read and counts as missing: %s", error)
            return MISSING


class TaggedCache(Cache):
    """The entries of *parent* that belong to all of some tags; made by `cache.tags("a", "b")`."""

    def __init__(self, parent: Cache, names: list[str]) -> None:
        self.__dict__.update(parent.__dict__)  # locks, codec, times, turns and outages are shared
        self._parent, self._names = parent, names
        self.backend = TaggedStore.of(parent.backend, parent.prefix, names)
        self._within = tagged_prefix(names)

    def stored(self, key: str) -> str:
        """*key* as the store knows it: these tags and the key."""
        return stored_key(self.prefix, key, self._within)

    def _note(self) -> None:
        self._parent._note()

    def tags(self, *names: Any) -> TaggedCache:
        """The entries under these tags and *names* as well."""
        return self._parent.tags(self._names, *names)

    def flush(self) -> bool:
        """End every entry that has one of these tags: one write, whatever they hold. True."""
        self.backend.flush(self.prefix)
        return True

    def stats(self) -> dict[str, Any]:
        """Those of the whole cache."""
        return self._parent.stats()


def _made(default: Any) -> Any:
    return default() if callable(default) else default


def _several(keys: Iterable[str]) -> Iterable[str]:
    """*keys*, unless it is one of them: its letters would be the keys then."""
    if isinstance(keys, (str, bytes)):
        raise CacheTypeError(
            f"give a list of keys: {keys!r:.60} is one key, or would be its letters"
        )
    return keys


def _ttl_of(ttl: Ttl | Callable[..., Ttl], value: Any) -> Ttl:
    """*ttl*, or what it gives if it is a function: of the value, or of nothing."""
    if not callable(ttl):
        return ttl
    found: Ttl = call_with(ttl, value)
    return found


_COUNTERS = ("\x1fhits", "\x1fmisses")
