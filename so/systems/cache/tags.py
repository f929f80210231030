"""The part of a cache under some tags, which one write ends whatever it holds.

Every tag has a version; an entry carries the versions of its tags and is missing as soon as one
of them has changed. It carries those from before its value was computed: a value that a flush
overtook is never fresh.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from so.errors import CacheTypeError
from so.support.ids import short_id
from so.systems.cache.entry import MISSING, Entry, expiration_of, summed

if TYPE_CHECKING:
    from so.systems.cache.cache import Cache, Ttl

T = TypeVar("T")
WAIT_SECONDS = 10.0  # for another one who changes the same entry


class TaggedCache:
    """Entries that belong to all of the tags *names*; made by `cache.tags("a", "b")`."""

    def __init__(self, cache: Cache, names: list[str]) -> None:
        self._cache = cache
        self._tags = [f"\x1ftag:{name}" for name in names]
        # A JSON list ends where it ends, so no name and no key can be taken for another.
        self._head = f"\x1ftagged:{json.dumps(names)}"

    # --- reading ---

    def get(self, key: str, default: Any = None) -> Any:
        """The value under *key* if none of its tags was flushed since."""
        return self.many({key: default})[key]

    def many(self, keys: Iterable[str] | Mapping[str, Any]) -> dict[str, Any]:
        """Several values in one statement; a dict of key → default, or None for what is missing."""
        defaults = keys if isinstance(keys, Mapping) else dict.fromkeys(keys)
        found, _ = self._read(defaults)
        for key, default in defaults.items():
            self._cache.count(found[key] is not MISSING)
            if found[key] is MISSING:
                found[key] = default() if callable(default) else default
        return found

    def has(self, key: str) -> bool:
        """True if there is a value."""
        return self.get(key, MISSING) is not MISSING

    def missing(self, key: str) -> bool:
        """True if there is no value."""
        return not self.has(key)

    # --- writing ---

    def put(self, key: str, value: Any, ttl: Ttl = None) -> bool:
        """Store *value* under *key* and these tags."""
        return self.put_many({key: value}, ttl)

    def put_many(self, values: Mapping[str, Any], ttl: Ttl = None) -> bool:
        """Store all of *values* under these tags."""
        return self._store(values, ttl, self._versions())

    def forever(self, key: str, value: Any) -> bool:
        """Store *value* without an end."""
        return self.put(key, value)

    def add(self, key: str, value: Any, ttl: Ttl = None) -> bool:
        """Store *value* only if there is none; whether it was stored. Atomic."""

        def work() -> bool:
            if self._read([key])[0][key] is not MISSING:
                return False
            return self.put(key, value, ttl) and expiration_of(ttl, self._cache.clock) > 0

        return self._alone(key, work)

    def pull(self, key: str, default: Any = None) -> Any:
        """The value under *key*, removed; only one caller gets it."""

        def work() -> Any:
            value = self.get(key, default)
            self.forget(key)
            return value

        return self._alone(key, work)

    def forget(self, key: str) -> bool:
        """Remove *key*; whether there was a value."""
        there = self._read([key])[0][key] is not MISSING
        return self._cache.forget(self._name(key)) and there

    def increment(self, key: str, by: int = 1) -> int:
        """Add *by* to an integer, 0 if missing; the new value. Atomic; the end stays.

        Raises CacheTypeError if the value is not an integer.
        """
        return self._alone(key, lambda: self._increment(key, by))

    def _increment(self, key: str, by: int) -> int:
        found, versions = self._read([key])
        value = 0 if found[key] is MISSING else found[key]
        number = None if isinstance(value, bool) else summed(str(value), by)
        if number is None or not isinstance(value, int):
            raise CacheTypeError(f"the value under {key!r} is not an integer, or gets too large")
        cache, name = self._cache, self._name(key)
        before = cache.entry(name) if found[key] is not MISSING else None
        end = expiration_of(None, cache.clock) if before is None else before.expiration
        held = {"versions": versions or self._versions(), "value": number}
        cache.backend.put({cache.stored(name): Entry(cache.encode(held), end)})
        return number

    def decrement(self, key: str, by: int = 1) -> int:
        """Take *by* from an integer under these tags."""
        return self.increment(key, -by)

    def flush(self) -> None:
        """End every entry that has one of these tags."""
        self._cache.put_many({tag: short_id() for tag in self._tags})

    # --- computing once ---

    def remember(
        self,
        key: str,
        ttl: Ttl | Callable[[Any], Ttl],
        fn: Callable[[], Any],
        *,
        wait: float = WAIT_SECONDS,
        cache_if: Callable[[Any], bool] | None = None,
        none_ttl: Ttl = MISSING,
    ) -> Any:
        """The value under *key*, computed once when there is none; options as without tags."""
        found, _ = self._read([key])
        self._cache.count(found[key] is not MISSING)
        if found[key] is not MISSING:
            return found[key]

        def compute() -> Any:
            versions = self._versions()
            value = fn()
            end = self._cache.ttl_for(value, ttl, cache_if, none_ttl)
            if end is not MISSING:
                self._store({key: value}, end, versions)
            return value

        read = lambda: self._read([key])[0][key]  # noqa: E731
        return self._cache.computed_once(self._name(key), read, compute, wait)

    def remember_forever(self, key: str, fn: Callable[[], Any], **options: Any) -> Any:
        """`remember` without an end."""
        return self.remember(key, None, fn, **options)

    sear = remember_forever

    # --- how it is kept ---

    def _name(self, key: str) -> str:
        return self._head + key

    def _read(self, keys: Iterable[str]) -> tuple[dict[str, Any], list[str] | None]:
        """Values or MISSING, and the present versions of the tags (None if one has none yet)."""
        names = {key: self._name(key) for key in keys}
        found = self._cache.peek([*self._tags, *names.values()])
        versions = [found[tag] for tag in self._tags]
        if MISSING in versions:
            return dict.fromkeys(names, MISSING), None
        values = {}
        for key, name in names.items():
            held = found[name]
            fits = isinstance(held, dict) and held.get("versions") == versions
            values[key] = held.get("value") if fits else MISSING
        return values, versions

    def _versions(self) -> list[str]:
        found = self._cache.peek(self._tags)
        for tag in [tag for tag in self._tags if found[tag] is MISSING]:
            new = short_id()
            if self._cache.add(tag, new):
                found[tag] = new
            else:  # another one was faster
                found.update(self._cache.peek([tag]))
        return [str(found[tag]) for tag in self._tags]

    def _store(self, values: Mapping[str, Any], ttl: Ttl, versions: list[str]) -> bool:
        held = {self._name(k): {"versions": versions, "value": v} for k, v in values.items()}
        return self._cache.put_many(held, ttl)

    def _alone(self, key: str, work: Callable[[], T]) -> T:
        lock = self._cache.lock(self._name(key), self._cache.compute_seconds)
        lock.block(WAIT_SECONDS)
        try:
            return work()
        finally:
            lock.release()
