"""Stores without a database: for one request (array), for nobody (null), in front (tiered)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from so.settings.cache import CacheSettings
from so.support.clock import Clock
from so.support.scope import current_scope
from so.systems.cache.entry import (
    NEVER,
    NONE,
    Entry,
    Locks,
    Store,
    Tags,
    Whole,
    is_tag,
    summed,
    versions,
)
from so.systems.cache.locks import MemoryLocks

NEAR_OVERHEAD = 300  # bytes that an entry near takes beside its key and its value


class ArrayStore(Whole):
    """Entries in a dict that lives as long as the current request or job.

    Outside of one it lives as long as the store. At most *max_entries*, those that were written
    longest ago going first. Safe to use from several threads.
    """

    durable = False

    def __init__(
        self,
        clock: Clock | None = None,
        name: str = "array",
        *,
        max_entries: int = CacheSettings.max_entries,
    ) -> None:
        self.clock = clock or Clock()
        self._slot = f"cache.{name}"
        self._max_entries = max_entries
        self._own: dict[str, Entry] = {}
        self._lock = threading.RLock()

    @property
    def is_shared(self) -> bool:
        """A request has its own entries; threads outside of one share theirs."""
        return current_scope() is None

    def _entries(self) -> dict[str, Entry]:
        scope = current_scope()
        if scope is None:
            return self._own
        entries: dict[str, Entry] = scope.data.setdefault(self._slot, {})
        return entries

    def _live(self, key: str, tags: Tags = NONE) -> Entry | None:
        entries = self._entries()
        entry = entries.get(key)
        if entry is None or entry.expiration <= self.clock.time():
            return None
        return entry if tags == NONE or entry.tags == versions(tags, entries) else None

    def _set(self, key: str, entry: Entry) -> None:
        entries = self._entries()
        entries.pop(key, None)
        entries[key] = entry
        while len(entries) > self._max_entries:
            del entries[next(iter(entries))]

    def own_locks(self) -> Locks:
        """Locks of this process."""
        return MemoryLocks(self.clock)

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*."""
        return self._live(key)

    def last(self, key: str) -> Entry | None:
        """The entry under *key*, expired or not."""
        return self._entries().get(key)

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*."""
        return {key: entry for key in keys if (entry := self._live(key)) is not None}

    def put(self, entries: Mapping[str, Entry], tags: Tags = NONE, *, pinned: bool = False) -> None:
        """Store all of *entries*."""
        with self._lock:
            seen = versions(tags, self._entries())
            for key, entry in entries.items():
                self._set(key, entry._replace(tags=seen))

    def add(self, key: str, entry: Entry, tags: Tags = NONE) -> bool:
        """Store *entry* unless a live one is there."""
        with self._lock:
            if self._live(key, tags) is not None:
                return False
            self.put({key: entry}, tags)
            return True

    def forget(self, keys: Iterable[str], tags: Tags = NONE) -> int:
        """Remove *keys*; how many live ones there were."""
        with self._lock:
            return sum(self.pull(key, tags) is not None for key in keys)

    def pull(self, key: str, tags: Tags = NONE) -> Entry | None:
        """Remove the live entry under *key* and give it."""
        with self._lock:
            entry = self._live(key, tags)
            self._entries().pop(key, None)
            return entry

    def touch(self, key: str, expiration: int, tags: Tags = NONE) -> bool:
        """Let the live entry under *key* end at *expiration*."""
        with self._lock:
            entry = self._live(key, tags)
            if entry is not None:
                self._entries()[key] = entry._replace(expiration=expiration)
            return entry is not None

    def increment(self, key: str, by: int, tags: Tags = NONE) -> int | None:
        """Add *by* to the integer under *key*; None if it is no integer."""
        with self._lock:
            entry = self._live(key, tags) or Entry("0", NEVER)
            number = summed(entry.text, by)
            if number is not None:
                self.put({key: entry._replace(text=str(number))}, tags)
            return number

    def flush(self, prefix: str) -> None:
        """Remove every key that begins with *prefix*."""
        with self._lock:
            entries = self._entries()
            for key in [key for key in entries if key.startswith(prefix)]:
                del entries[key]

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired entry; how many."""
        with self._lock:
            entries, now = self._entries(), self.clock.time()
            gone = [key for key, entry in entries.items() if entry.expiration <= now]
            for key in gone:
                del entries[key]
            return len(gone)

    def size(self, prefix: str) -> tuple[int, int]:
        """(entries, bytes) stored now under keys that begin with *prefix*."""
        sizes = [e.size for key, e in list(self._entries().items()) if key.startswith(prefix)]
        return len(sizes), sum(sizes)

    def close(self) -> None:
        """Nothing to let go of."""


class NullStore(Whole):
    """Keeps nothing: every read is a miss, every write is accepted."""

    durable = False
    is_shared = False

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()

    def own_locks(self) -> Locks:
        """Locks of this process."""
        return MemoryLocks(self.clock)

    def get(self, key: str) -> Entry | None:
        """None."""
        return None

    last = get

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Nothing."""
        return {}

    def put(self, entries: Mapping[str, Entry], tags: Tags = NONE, *, pinned: bool = False) -> None:
        """Nothing."""

    def add(self, key: str, entry: Entry, tags: Tags = NONE) -> bool:
        """True: nothing was there."""
        return True

    def forget(self, keys: Iterable[str], tags: Tags = NONE) -> int:
        """0."""
        return 0

    def pull(self, key: str, tags: Tags = NONE) -> Entry | None:
        """None."""
        return None

    def touch(self, key: str, expiration: int, tags: Tags = NONE) -> bool:
        """False."""
        return False

    def increment(self, key: str, by: int, tags: Tags = NONE) -> int | None:
        """*by*, as if 0 had been there."""
        return by

    def flush(self, prefix: str) -> None:
        """Nothing."""

    def gc(self, batch: int = 1000) -> int:
        """0."""
        return 0

    def size(self, prefix: str) -> tuple[int, int]:
        """Nothing."""
        return 0, 0

    def close(self) -> None:
        """Nothing to let go of."""


class TieredStore(Whole):
    """A bounded layer in this process over another store.

    What another process changes is seen here after *stale_seconds* at the latest; what this
    process changes, at once. At most *max_entries* and *near_bytes* are near, those that were read
    below longest ago going first.
    """

    durable = True
    is_shared = True

    def __init__(
        self,
        below: Store,
        *,
        stale_seconds: float = CacheSettings.stale_seconds,
        max_entries: int = CacheSettings.max_entries,
        near_bytes: int = CacheSettings.near_bytes,
        clock: Clock | None = None,
    ) -> None:
        self.below = below
        self.clock = clock or below.clock
        self._stale_seconds = stale_seconds
        self._max_entries, self._near_bytes = max_entries, near_bytes
        # None is near as well: a tag that was never flushed is asked for with each of its entries.
        self._near: OrderedDict[str, tuple[float, Entry | None]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._changes = 0  # of this process: what was read before the last one is not kept

    def own_locks(self) -> Locks:
        """Those of the store below."""
        return self.below.own_locks()

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*, from this process if it is young enough."""
        now = self.clock.time()
        near = self._near.get(key)
        if near is not None and near[0] > now and near[1] is not None and near[1].expiration > now:
            return near[1]
        changes = self._changes
        entry = self.below.get(key)
        if entry is not None:
            self._keep_read({key: entry}, now, changes)
        return entry

    def last(self, key: str) -> Entry | None:
        """The entry below, expired or not."""
        return self.below.last(key)

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*."""
        now, rest = self.clock.time(), []
        found: dict[str, Entry] = {}
        for key in keys:
            until, entry = self._near.get(key, (0.0, None))
            if until <= now or (entry is not None and entry.expiration <= now):
                rest.append(key)
            elif entry is not None:
                found[key] = entry
        changes = self._changes
        if rest:
            fetched = self.below.many(rest)
            self._keep_read(
                {k: fetched.get(k) for k in rest if k in fetched or is_tag(k)}, now, changes
            )
            found.update(fetched)
        return found

    def _keep_read(self, entries: Mapping[str, Entry | None], read_at: float, changes: int) -> None:
        """Keep what was read, unless this process changed something meanwhile."""
        until = read_at + self._stale_seconds
        with self._lock:
            if changes != self._changes:
                return
            for key, entry in entries.items():
                self._drop(key)
                self._near[key] = (until, entry)
                self._bytes += _near_size(key, entry)
            while len(self._near) > self._max_entries or self._bytes > self._near_bytes:
                self._drop(next(iter(self._near)))

    def _drop(self, key: str) -> None:
        near = self._near.pop(key, None)
        if near is not None:
            self._bytes -= _near_size(key, near[1])

    def _changed(self, keys: Iterable[str]) -> None:
        """Forget what is near of *keys*, which were changed below."""
        with self._lock:
            self._changes += 1
            for key in keys:
                self._drop(key)

    def put(self, entries: Mapping[str, Entry], tags: Tags = NONE, *, pinned: bool = False) -> None:
        """Store all of *entries* below; the next read brings them near."""
        try:
            self.below.put(entries, tags, pinned=pinned)
        finally:
            self._changed(entries)

    def add(self, key: str, entry: Entry, tags: Tags = NONE) -> bool:
        """Store *entry* unless a live one is there; decided below."""
        try:
            return self.below.add(key, entry, tags)
        finally:
            self._changed([key])

    def forget(self, keys: Iterable[str], tags: Tags = NONE) -> int:
        """Remove *keys*, here and below."""
        many = list(keys)
        try:
            return self.below.forget(many, tags)
        finally:
            self._changed(many)

    def pull(self, key: str, tags: Tags = NONE) -> Entry | None:
        """Remove the live entry under *key* and give it."""
        try:
            return self.below.pull(key, tags)
        finally:
            self._changed([key])

    def touch(self, key: str, expiration: int, tags: Tags = NONE) -> bool:
        """Let the live entry under *key* end at *expiration*."""
        try:
            return self.below.touch(key, expiration, tags)
        finally:
            self._changed([key])

    def increment(self, key: str, by: int, tags: Tags = NONE) -> int | None:
        """Add *by* to the integer under *key*, below."""
        try:
            return self.below.increment(key, by, tags)
        finally:
            self._changed([key])

    def flush(self, prefix: str) -> None:
        """Remove every key that begins with *prefix*."""
        try:
            self.below.flush(prefix)
        finally:
            with self._lock:
                self._changes += 1
                self._near.clear()
                self._bytes = 0

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired entry below; how many."""
        return self.below.gc(batch)

    def size(self, prefix: str) -> tuple[int, int]:
        """(entries, bytes) below."""
        return self.below.size(prefix)

    def close(self) -> None:
        """Close the store below."""
        with self._lock:
            self._near.clear()
            self._bytes = 0
        self.below.close()


def _near_size(key: str, entry: Entry | None) -> int:
    return (
        NEAR_OVERHEAD
        + len(key)
        + (0 if entry is None else len(entry.text) + len(entry.data or b""))
    )
