"""`Cache`: typed values over a store, computed once, grouped by tags, guarded by locks."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from so.errors import CacheError, CacheTypeError, CodecError, DatabaseError
from so.settings.cache import CacheSettings
from so.support.clock import Clock
from so.support.codec import Codec, default_codec
from so.support.scope import current_scope
from so.systems.cache.entry import (
    LARGEST_NUMBER,
    LONGEST_PLAIN,
    MISSING,
    NEVER,
    Entry,
    Store,
    checked_prefix,
    expiration_of,
    stored_key,
    summed,
)
from so.systems.cache.locks import Lock, Locks, Semaphore
from so.systems.cache.sharing import waited
from so.systems.cache.tags import TaggedCache
from so.systems.cache.turns import Turns

Ttl = float | timedelta | datetime | None
NOTED_EVERY = (100, 10_000)  # reads until they are noted with the next write, or by themselves
_log = logging.getLogger("so.cache")


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
    ) -> None:
        """*locks*: those of the store without. *codec*: what values may be.

        *compute_seconds*: how long `remember` lets one process compute before another may.
        """
        self.backend = store
        self.prefix = checked_prefix(prefix)
        self.locks = locks or store.own_locks()
        self.compute_seconds = compute_seconds
        self.hits = 0  # of this process, as are misses
        self.misses = 0
        self.stores: Callable[[str | None], Cache] | None = None  # set by Caches
        self._noted = (0, 0)  # how many of them the store knows of
        self._codec = codec or default_codec
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
        entry = self.backend.get(self.stored(key))
        value = MISSING if entry is None else self._value(entry.text)
        self.count(value is not MISSING)
        if value is MISSING:
            return default() if callable(default) else default
        return value

    def many(self, keys: Iterable[str] | Mapping[str, Any]) -> dict[str, Any]:
        """Several values in one statement; a dict of key → default, or None for what is missing."""
        defaults = keys if isinstance(keys, Mapping) else dict.fromkeys(keys)
        result = self.peek(defaults)
        missed = [key for key, value in result.items() if value is MISSING]
        self.misses += len(missed)
        self.hits += len(result) - len(missed)
        for key in missed:
            default = defaults[key]
            result[key] = default() if callable(default) else default
        return result

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
        """Store *value* under *key*, replacing what was there."""
        expiration = expiration_of(ttl, self.clock)
        if not expiration:
            self.forget(key)
            return True
        self.backend.put({self.stored(key): Entry(self.encode(value), expiration)})
        self._note_now_and_then()
        return True

    set = put

    def put_many(self, values: Mapping[str, Any], ttl: Ttl = None) -> bool:
        """Store all of *values* in one statement."""
        expiration = expiration_of(ttl, self.clock)
        if not expiration:
            self.forget_many(values)
            return True
        self.backend.put(
            {self.stored(k): Entry(self.encode(v), expiration) for k, v in values.items()}
        )
        self._note_now_and_then()
        return True

    def forever(self, key: str, value: Any) -> bool:
        """Store *value* without an end."""
        return self.put(key, value)

    def add(self, key: str, value: Any, ttl: Ttl = None) -> bool:
        """Store *value* only if there is none; whether it was stored. Atomic."""
        expiration = expiration_of(ttl, self.clock)
        if not expiration:
            return False
        return self.backend.add(self.stored(key), Entry(self.encode(value), expiration))

    def pull(self, key: str, default: Any = None) -> Any:
        """The value under *key*, removed; only one caller gets it."""
        entry = self.backend.pull(self.stored(key))
        value = MISSING if entry is None else self._value(entry.text)
        self.count(value is not MISSING)
        if value is MISSING:
            return default() if callable(default) else default
        return value

    def touch(self, key: str, ttl: Ttl = None) -> bool:
        """Give a live value a new time to live; False if there is none."""
        expiration = expiration_of(ttl, self.clock)
        if not expiration:
            return self.forget(key)
        return self.backend.touch(self.stored(key), expiration)

    def forget(self, key: str) -> bool:
        """Remove *key*; whether there was a value."""
        return self.backend.forget([self.stored(key)]) > 0

    def forget_many(self, keys: Iterable[str]) -> int:
        """Remove *keys*; how many values there were."""
        return self.backend.forget([self.stored(key) for key in keys])

    def flush(self) -> None:
        """Remove everything under this prefix, and nothing else; locks and limits stay.

        What `stats()` counts begins anew.
        """
        self.backend.flush(self.prefix)
        self.hits = self.misses = 0
        self._noted = (0, 0)

    clear = flush

    def increment(self, key: str, by: int = 1) -> int:
        """Add *by* to an integer, 0 if missing; the new value. Atomic; the end stays.

        Raises CacheTypeError if the value is not an integer or the sum has more than 64 bits.
        """
        if isinstance(by, bool) or not isinstance(by, int) or abs(by) > LARGEST_NUMBER:
            raise CacheTypeError(f"cannot add {by!r} to {key!r}: give an integer of 64 bits")
        number = self.backend.increment(self.stored(key), by)
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
        value = self.get(key, MISSING)
        if value is not MISSING:
            return value

        def compute() -> Any:
            value = fn()
            end = self.ttl_for(value, ttl, cache_if, none_ttl)
            if end is not MISSING:
                self.put(key, value, end)
            return value

        return self.computed_once(key, lambda: self.peek([key])[key], compute, wait)

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
        entry = self.entry(key)
        value = MISSING if entry is None else self._value(entry.text)
        self.count(value is not MISSING)
        if value is MISSING or entry is None:
            compute = functools.partial(self._refresh, key, ttl, fn)
            return self.computed_once(key, lambda: self.peek([key])[key], compute, wait)
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
        expiration = expiration_of(usable, self.clock)
        entry = Entry(self.encode(value), expiration, expiration_of(fresh, self.clock))
        if expiration:
            self.backend.put({self.stored(key): entry})
        return value

    def ttl_for(
        self,
        value: Any,
        ttl: Ttl | Callable[[Any], Ttl],
        cache_if: Callable[[Any], bool] | None,
        none_ttl: Ttl,
    ) -> Any:
        """How long `remember` keeps *value*; MISSING for not at all."""
        if cache_if is not None and not cache_if(value):
            return MISSING
        if value is None and none_ttl is not MISSING:
            return none_ttl
        return ttl(value) if callable(ttl) else ttl

    def computed_once(
        self, key: str, read: Callable[[], Any], compute: Callable[[], Any], wait: float
    ) -> Any:
        """What *read* gives as soon as it is not MISSING, or *compute*, here or elsewhere."""
        deadline = self.clock.monotonic() + wait
        with self._turns.taken(key, wait) as at_once:
            value = MISSING if at_once else read()
            lock = self._compute_lock(key)

            def decided() -> bool:
                nonlocal value
                if value is not MISSING or lock.acquire():
                    return True
                value = read()
                return value is not MISSING

            in_time = waited(decided, self.clock, deadline - self.clock.monotonic())
            if value is not MISSING or not in_time:
                return compute() if value is MISSING else value
            try:
                value = read()
                return compute() if value is MISSING else value
            finally:
                lock.release()

    def _compute_lock(self, key: str) -> Lock:
        return self.lock(f"\x1fcompute:{key}", self.compute_seconds)

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
        return Lock(self.locks, self.stored(name), seconds, owner)

    def restore_lock(self, name: str, owner: str) -> Lock:
        """The lock *name* as *owner* holds it, to be released or refreshed elsewhere."""
        return Lock(self.locks, self.stored(name), None, owner)

    def semaphore(self, name: str, limit: int, seconds: float) -> Semaphore:
        """At most *limit* holders of *name* at once, each for *seconds* at most."""
        return Semaphore(self.locks, self.stored(name), limit, seconds)

    # --- housekeeping ---

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired row of values and locks, *batch* at a time; how many."""
        return self.backend.gc(batch) + self.locks.gc(batch)

    def stats(self) -> dict[str, Any]:
        """Hits and misses since the last flush, of every process; entries and bytes."""
        if not self.backend.durable:
            entries, size = self.backend.size(self.prefix)
            return {"hits": self.hits, "misses": self.misses, "entries": entries, "bytes": size}
        self._note()
        rows = self.backend.texts([self.stored(name) for name in _COUNTERS])
        counts = [rows.get(self.stored(name), "0") for name in _COUNTERS]
        entries, size = self.backend.size(self.prefix)
        return {
            "hits": int(counts[0]),
            "misses": int(counts[1]),
            "entries": entries - len(rows),
            "bytes": size - sum(map(len, rows.values())),
        }

    def count(self, hit: bool) -> None:
        """Count one read."""
        if hit:
            self.hits += 1
        else:
            self.misses += 1
        if not (self.hits + self.misses) % NOTED_EVERY[1]:
            self._note()

    def _note_now_and_then(self) -> None:
        if self.hits + self.misses - sum(self._noted) >= NOTED_EVERY[0]:
            self._note()

    def _note(self) -> None:
        """Add what this process has counted since to what the store knows."""
        if not self.backend.durable:
            return
        now, before = (self.hits, self.misses), self._noted
        self._noted = now
        try:
            for name, new, old in zip(_COUNTERS, now, before, strict=True):
                if new > old:
                    self.backend.increment(self.stored(name), new - old)
        except (DatabaseError, OSError) as error:
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
        return self.backend.get(self.stored(key))

    def peek(self, keys: Iterable[str]) -> dict[str, Any]:
        """Several values, MISSING for what is missing; not counted as reads."""
        stored = {key: self.stored(key) for key in keys}
        texts = self.backend.texts(stored.values())
        value = self._value
        return {
            key: value(texts[name]) if name in texts else MISSING for key, name in stored.items()
        }

    def encode(self, value: Any) -> str:
        """*value* as it is stored; raises CodecError for what cannot be."""
        return self._codec.encode(value)

    def _value(self, text: str) -> Any:
        try:
            return self._codec.decode(text)
        except CodecError as error:
            _log.warning("a cache entry cannot be read and counts as missing: %s", error)
            return MISSING


_COUNTERS = ("\x1fhits", "\x1fmisses")


def cached(
    ttl: Ttl, key: str | None = None, *, cache: Callable[[], Cache]
) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: keep a function's results for *ttl*, one entry for each set of arguments.

    *key* names the function (its module and name without). The decorated function has
    `forget(*args)`, which removes one result.
    """

    def decorate(fn: Callable[..., Any]) -> Any:
        base = key or f"{fn.__module__}.{fn.__qualname__}"
        signature = inspect.signature(fn)

        def name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
            # However an argument is given, it is the same call.
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return (
                f"{base}:{cache().encode([list(bound.args), dict(sorted(bound.kwargs.items()))])}"
            )

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            return cache().remember(name(args, kwargs), ttl, lambda: fn(*args, **kwargs))

        def forget(*args: Any, **kwargs: Any) -> bool:
            return cache().forget(name(args, kwargs))

        call.forget = forget  # type: ignore[attr-defined]
        return call

    return decorate
