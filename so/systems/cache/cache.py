"""`Cache`: typed values over a store, computed once, grouped by tags, guarded by locks."""

from __future__ import annotations

import functools
import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from so.errors import CacheError, CacheTypeError, CodecError
from so.support.clock import Clock
from so.support.codec import Codec, default_codec
from so.support.ids import short_id
from so.support.scope import current_scope
from so.systems.cache.entry import NEVER, Entry, Store, expiration_of, stored_key
from so.systems.cache.locks import Lock, Locks, MemoryLocks, Semaphore

Ttl = float | timedelta | datetime | None
MISSING: Any = object()
_log = logging.getLogger("so.cache")


class Cache:
    """A store as applications use it. None is a value like any other.

    A time to live is seconds, a timedelta or a datetime; None is for ever, and zero or less
    removes. A value that cannot be read back is a miss and a warning in the log.
    """

    def __init__(
        self,
        store: Store,
        prefix: str = "so_cache",
        *,
        locks: Locks | None = None,
        codec: Codec | None = None,
        compute_seconds: float = 60,
    ) -> None:
        """*compute_seconds*: how long `remember` lets one process compute before another may."""
        self.store = store
        self.prefix = f"{prefix}:"
        self.locks = locks or MemoryLocks(store.clock)
        self.hits = 0
        self.misses = 0
        self._codec = codec or default_codec
        self._compute_seconds = compute_seconds
        self._computing: dict[str, threading.Lock] = {}

    @property
    def clock(self) -> Clock:
        """The clock that times are measured by."""
        return self.store.clock

    # --- reading ---

    def get(self, key: str, default: Any = None) -> Any:
        """The value under *key*; *default* (called if callable) if there is none."""
        value = self._value(self.store.get(self._stored(key)))
        if value is MISSING:
            return default() if callable(default) else default
        return value

    def many(self, keys: Iterable[str] | Mapping[str, Any]) -> dict[str, Any]:
        """Several values in one statement; a dict of key → default, or None for what is missing."""
        defaults = keys if isinstance(keys, Mapping) else dict.fromkeys(keys)
        stored = {key: self._stored(key) for key in defaults}
        found = self.store.many(stored.values())
        result = {}
        for key, default in defaults.items():
            value = self._value(found.get(stored[key]))
            if value is MISSING:
                value = default() if callable(default) else default
            result[key] = value
        return result

    def has(self, key: str) -> bool:
        """True if there is a value, even None."""
        return self._value(self.store.get(self._stored(key))) is not MISSING

    def missing(self, key: str) -> bool:
        """True if there is no value."""
        return not self.has(key)

    __contains__ = has

    def ttl(self, key: str) -> int | None:
        """Seconds left; None for a value without end and for no value."""
        entry = self.store.get(self._stored(key))
        if entry is None or entry.expiration >= NEVER:
            return None
        return max(0, int(entry.expiration - self.clock.time()))

    # --- writing ---

    def put(self, key: str, value: Any, ttl: Ttl = None) -> bool:
        """Store *value* under *key*, replacing what was there."""
        return self.put_many({key: value}, ttl)

    set = put

    def put_many(self, values: Mapping[str, Any], ttl: Ttl = None) -> bool:
        """Store all of *values* in one statement."""
        expiration = expiration_of(ttl, self.clock)
        if expiration <= self.clock.time():
            self.forget_many(values)
            return True
        self.store.put(
            {self._stored(k): Entry(self._text(v), expiration) for k, v in values.items()}
        )
        return True

    def forever(self, key: str, value: Any) -> bool:
        """Store *value* without an end."""
        return self.put(key, value)

    def add(self, key: str, value: Any, ttl: Ttl = None) -> bool:
        """Store *value* only if there is none; whether it was stored. Atomic."""
        expiration = expiration_of(ttl, self.clock)
        if expiration <= self.clock.time():
            return False
        return self.store.add(self._stored(key), Entry(self._text(value), expiration))

    def pull(self, key: str, default: Any = None) -> Any:
        """The value under *key*, removed; only one caller gets it."""
        value = self._value(self.store.pull(self._stored(key)))
        if value is MISSING:
            return default() if callable(default) else default
        return value

    def touch(self, key: str, ttl: Ttl = None) -> bool:
        """Give a live value a new time to live; False if there is none."""
        expiration = expiration_of(ttl, self.clock)
        if expiration <= self.clock.time():
            return self.forget(key)
        return self.store.touch(self._stored(key), expiration)

    def forget(self, key: str) -> bool:
        """Remove *key*; whether there was a value."""
        return self.store.forget([self._stored(key)]) > 0

    def forget_many(self, keys: Iterable[str]) -> int:
        """Remove *keys*; how many values there were."""
        return self.store.forget([self._stored(key) for key in keys])

    def flush(self) -> None:
        """Remove everything under this prefix, and nothing else; locks and limits stay."""
        self.store.flush(self.prefix)

    clear = flush

    def increment(self, key: str, by: int = 1) -> int:
        """Add *by* to an integer, 0 if missing; the new value. Atomic; the end stays.

        Raises CacheTypeError if the value is not an integer.
        """
        if isinstance(by, bool) or not isinstance(by, int):
            raise CacheTypeError(f"cannot add {by!r} to {key!r}: give an integer")
        number = self.store.increment(self._stored(key), by)
        if number is None:
            raise CacheTypeError(f"the value under {key!r} is not an integer")
        return number

    def decrement(self, key: str, by: int = 1) -> int:
        """Take *by* from an integer; see `increment`."""
        return self.increment(key, -by)

    # --- computing once ---

    def remember(
        self,
        key: str,
        ttl: Ttl | Callable[[Any], Ttl],
        fn: Callable[[], Any],
        *,
        wait: float = 10.0,
        cache_if: Callable[[Any], bool] | None = None,
        none_ttl: Ttl = MISSING,
    ) -> Any:
        """The value under *key*, computed by *fn* when there is none.

        While one thread of one process computes, the others wait for it, *wait* seconds at most,
        and then compute themselves. *cache_if* says whether a value is stored; None is stored for
        *none_ttl*, if given.
        """
        value = self._value(self.store.get(self._stored(key)))
        if value is not MISSING:
            return value
        return self._computed_once(
            key, lambda: self._compute(key, ttl, fn, cache_if, none_ttl), wait
        )

    def remember_forever(self, key: str, fn: Callable[[], Any], **options: Any) -> Any:
        """`remember` without an end."""
        return self.remember(key, None, fn, **options)

    sear = remember_forever

    def flexible(
        self, key: str, ttl: tuple[float, float], fn: Callable[[], Any], *, wait: float = 10.0
    ) -> Any:
        """A value that is fresh for the first and usable for the second number of seconds.

        In between, it is given as it is while one caller computes the next: after the response
        inside a request, at once elsewhere.
        """
        entry = self.store.get(self._stored(key))
        value = self._value(entry)
        if value is MISSING or entry is None:
            return self._computed_once(key, lambda: self._refresh(key, ttl, fn), wait)
        if entry.fresh_until is not None and entry.fresh_until <= self.clock.time():
            return self._serve_stale(key, ttl, fn, value)
        return value

    def _serve_stale(
        self, key: str, ttl: tuple[float, float], fn: Callable[[], Any], value: Any
    ) -> Any:
        lock = self._compute_lock(key)
        if not lock.acquire():
            return value

        def refresh() -> Any:
            try:
                return self._refresh(key, ttl, fn)
            finally:
                lock.release()

        scope = current_scope()
        if scope is None:
            return refresh()
        scope.on_exit(refresh)
        return value

    def _refresh(self, key: str, ttl: tuple[float, float], fn: Callable[[], Any]) -> Any:
        fresh, usable = ttl
        value = fn()
        fresh_until = expiration_of(fresh, self.clock)
        entry = Entry(self._text(value), expiration_of(usable, self.clock), fresh_until)
        self.store.put({self._stored(key): entry})
        return value

    def _compute(
        self,
        key: str,
        ttl: Any,
        fn: Callable[[], Any],
        cache_if: Callable[[Any], bool] | None,
        none_ttl: Any,
    ) -> Any:
        value = fn()
        if cache_if is not None and not cache_if(value):
            return value
        if value is None and none_ttl is not MISSING:
            ttl = none_ttl
        self.put(key, value, ttl(value) if callable(ttl) else ttl)
        return value

    def _computed_once(self, key: str, compute: Callable[[], Any], wait: float) -> Any:
        """What *compute* gives, here or in whichever process got there first."""
        deadline = self.clock.monotonic() + wait
        inside = self._computing.setdefault(key, threading.Lock())
        free = inside.acquire(timeout=wait)
        try:
            lock = self._compute_lock(key)
            pause = 0.005
            while True:
                value = self._value(self.store.get(self._stored(key)))
                if value is not MISSING:
                    return value
                if lock.acquire():
                    break
                if self.clock.monotonic() >= deadline:
                    return compute()
                self.clock.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
                pause = min(pause * 1.5, 0.1)
            try:
                value = self._value(self.store.get(self._stored(key)))
                return compute() if value is MISSING else value
            finally:
                lock.release()
        finally:
            if free:
                inside.release()
            self._computing.pop(key, None)

    def _compute_lock(self, key: str) -> Lock:
        return self.lock(f"remember:{key}", self._compute_seconds)

    # --- tags ---

    def tags(self, *names: Any) -> TaggedCache:
        """The entries that belong to all of the tags *names*; flushing one tag ends them."""
        flat = [n for name in names for n in (name if isinstance(name, (list, tuple)) else [name])]
        if not flat:
            raise CacheError("tags() needs at least one name")
        return TaggedCache(self, sorted({str(name) for name in flat}))

    # --- locks ---

    def lock(self, name: str, seconds: float = 0, owner: str | None = None) -> Lock:
        """The lock *name*, which ends by itself after *seconds* (0: only by a release)."""
        return Lock(self.locks, self._stored(name), seconds, owner)

    def restore_lock(self, name: str, owner: str) -> Lock:
        """The lock *name* as *owner* holds it, to be released elsewhere."""
        return self.lock(name, 0, owner)

    def semaphore(self, name: str, limit: int, seconds: float) -> Semaphore:
        """At most *limit* holders of *name* at once, each for *seconds* at most."""
        return Semaphore(self.locks, self._stored(name), limit, seconds)

    # --- housekeeping ---

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired row of values and locks, *batch* at a time; how many."""
        return self.store.gc(batch) + self.locks.gc(batch)

    def stats(self) -> dict[str, Any]:
        """Hits and misses of this process, entries and bytes of the store."""
        entries, size = self.store.size()
        return {"hits": self.hits, "misses": self.misses, "entries": entries, "bytes": size}

    def close(self) -> None:
        """Let go of what the store holds open."""
        self.store.close()

    # --- values ---

    def _stored(self, key: str) -> str:
        return stored_key(self.prefix, key)

    def _text(self, value: Any) -> str:
        return self._codec.encode(value)

    def _value(self, entry: Entry | None) -> Any:
        if entry is None:
            self.misses += 1
            return MISSING
        try:
            value = self._codec.decode(entry.text)
        except CodecError as error:
            _log.warning("a cache entry cannot be read and counts as missing: %s", error)
            self.misses += 1
            return MISSING
        self.hits += 1
        return value


class TaggedCache:
    """The part of a cache under some tags.

    Every tag has a version of its own; an entry remembers the versions of its tags and is missing
    as soon as one of them has changed, so a flush costs one write whatever the tag holds. A value
    carries the versions from before it was computed: one that a flush overtook is never fresh.
    """

    def __init__(self, cache: Cache, names: list[str]) -> None:
        self._cache = cache
        self._names = names

    def get(self, key: str, default: Any = None) -> Any:
        """The value under *key* if none of its tags was flushed since."""
        value = self._read(key)[0]
        if value is MISSING:
            return default() if callable(default) else default
        return value

    def has(self, key: str) -> bool:
        """True if there is a value."""
        return self._read(key)[0] is not MISSING

    def put(self, key: str, value: Any, ttl: Ttl = None) -> bool:
        """Store *value* under *key* and these tags."""
        return self._store(key, value, ttl, self._versions())

    def forever(self, key: str, value: Any) -> bool:
        """Store *value* without an end."""
        return self.put(key, value)

    def forget(self, key: str) -> bool:
        """Remove *key*."""
        return self._cache.forget(self._name(key))

    def remember(self, key: str, ttl: Ttl, fn: Callable[[], Any], *, wait: float = 10.0) -> Any:
        """The value under *key*, computed once when there is none."""
        value, versions = self._read(key)
        if value is not MISSING:
            return value

        def compute() -> Any:
            again, before = self._read(key)
            if again is not MISSING:
                return again
            before = before or self._versions()
            made = fn()
            self._store(key, made, ttl, before)
            return made

        if versions is None:
            self._versions()
        return self._locked(key, compute, wait)

    def _locked(self, key: str, compute: Callable[[], Any], wait: float) -> Any:
        lock = self._cache._compute_lock(self._name(key))
        clock = self._cache.clock
        deadline = clock.monotonic() + wait
        while not lock.acquire():
            value = self._read(key)[0]
            if value is not MISSING:
                return value
            if clock.monotonic() >= deadline:
                return compute()
            clock.sleep(random.uniform(0.005, 0.05))  # noqa: S311  # jitter
        try:
            return compute()
        finally:
            lock.release()

    def remember_forever(self, key: str, fn: Callable[[], Any]) -> Any:
        """`remember` without an end."""
        return self.remember(key, None, fn)

    def increment(self, key: str, by: int = 1) -> int:
        """Add *by* to an integer under these tags."""
        return self._cache.increment(f"{self._name(key)}@{'.'.join(self._versions())}", by)

    def decrement(self, key: str, by: int = 1) -> int:
        """Take *by* from an integer under these tags."""
        return self.increment(key, -by)

    def flush(self) -> None:
        """End every entry that has one of these tags."""
        for name in self._names:
            self._cache.forever(_tag_key(name), short_id())

    def _name(self, key: str) -> str:
        return f"tagged:{'|'.join(self._names)}:{key}"

    def _read(self, key: str) -> tuple[Any, list[str] | None]:
        """The value, and the present versions of the tags (None if one has none yet)."""
        name = self._name(key)
        tag_keys = [_tag_key(tag) for tag in self._names]
        found = self._cache.many({**dict.fromkeys([*tag_keys, name], None)})
        versions = [found[tag] for tag in tag_keys]
        if None in versions:
            return MISSING, None
        stored = found[name]
        fits = isinstance(stored, dict) and stored.get("versions") == versions
        return (stored["value"] if fits else MISSING), versions

    def _versions(self) -> list[str]:
        keys = [_tag_key(name) for name in self._names]
        found = self._cache.many(keys)
        for key in [key for key in keys if found[key] is None]:
            self._cache.add(key, short_id())
            found[key] = self._cache.get(key)
        return [str(found[key]) for key in keys]

    def _store(self, key: str, value: Any, ttl: Ttl, versions: list[str]) -> bool:
        return self._cache.put(self._name(key), {"versions": versions, "value": value}, ttl)


def _tag_key(name: str) -> str:
    return f"tag:{name}"


def cached(
    ttl: Ttl, key: str | None = None, *, cache: Callable[[], Cache]
) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: keep a function's results for *ttl*, one entry for each set of arguments.

    *key* names the function (its module and name without). The decorated function has
    `forget(*args)`, which removes one result.
    """

    def decorate(fn: Callable[..., Any]) -> Any:
        base = key or f"{fn.__module__}.{fn.__qualname__}"

        def name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
            return f"{base}:{default_codec.encode([list(args), dict(sorted(kwargs.items()))])}"

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            return cache().remember(name(args, kwargs), ttl, lambda: fn(*args, **kwargs))

        def forget(*args: Any, **kwargs: Any) -> bool:
            return cache().forget(name(args, kwargs))

        call.forget = forget  # type: ignore[attr-defined]
        return call

    return decorate
