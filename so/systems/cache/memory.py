"""Stores without a database: for one request (array), for nobody (null), in front (tiered)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from so.settings.cache import CacheSettings
from so.support.clock import Clock
from so.support.scope import current_scope
from so.systems.cache.entry import NEVER, Entry, Store, summed
from so.systems.cache.locks import Locks, MemoryLocks


class ArrayStore:
    """Entries in a dict that lives as long as the current request or job.

    Outside of one it lives as long as the store. Safe to use from several threads.
    """

    durable = False

    def __init__(self, clock: Clock | None = None, name: str = "array") -> None:
        self.clock = clock or Clock()
        self._slot = f"cache.{name}"
        self._own: dict[str, Entry] = {}
        self._lock = threading.RLock()

    def _entries(self) -> dict[str, Entry]:
        scope = current_scope()
        if scope is None:
            return self._own
        entries: dict[str, Entry] = scope.data.setdefault(self._slot, {})
        return entries

    def _live(self, key: str) -> Entry | None:
        entry = self._entries().get(key)
        return entry if entry is not None and entry.expiration > self.clock.time() else None

    def own_locks(self) -> Locks:
        """Locks of this process."""
        return MemoryLocks(self.clock)

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*."""
        return self._live(key)

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*."""
        return {key: entry for key in keys if (entry := self._live(key)) is not None}

    def texts(self, keys: Iterable[str]) -> dict[str, str]:
        """Only the texts of the live entries among *keys*."""
        return {key: entry.text for key, entry in self.many(keys).items()}

    def put(self, entries: Mapping[str, Entry]) -> None:
        """Store all of *entries*."""
        with self._lock:
            self._entries().update(entries)

    def add(self, key: str, entry: Entry) -> bool:
        """Store *entry* unless a live one is there."""
        with self._lock:
            if self._live(key) is not None:
                return False
            self._entries()[key] = entry
            return True

    def forget(self, keys: Iterable[str]) -> int:
        """Remove *keys*; how many live ones there were."""
        with self._lock:
            return sum(self.pull(key) is not None for key in keys)

    def pull(self, key: str) -> Entry | None:
        """Remove the live entry under *key* and give it."""
        with self._lock:
            entry = self._live(key)
            self._entries().pop(key, None)
            return entry

    def touch(self, key: str, expiration: int) -> bool:
        """Let the live entry under *key* end at *expiration*."""
        with self._lock:
            entry = self._live(key)
            if entry is not None:
                self._entries()[key] = Entry(entry.text, expiration, entry.fresh_until)
            return entry is not None

    def increment(self, key: str, by: int) -> int | None:
        """Add *by* to the integer under *key*; None if it is no integer."""
        with self._lock:
            entry = self._live(key) or Entry("0", NEVER)
            number = summed(entry.text, by)
            if number is not None:
                self._entries()[key] = Entry(str(number), entry.expiration, entry.fresh_until)
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
        sizes = [
            len(entry.text.encode())
            for key, entry in list(self._entries().items())
            if key.startswith(prefix)
        ]
        return len(sizes), sum(sizes)

    def close(self) -> None:
        """Nothing to let go of."""


class NullStore:
    """Keeps nothing: every read is a miss, every write is accepted."""

    durable = False

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()

    def own_locks(self) -> Locks:
        """Locks of this process."""
        return MemoryLocks(self.clock)

    def get(self, key: str) -> Entry | None:
        """None."""
        return None

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Nothing."""
        return {}

    def texts(self, keys: Iterable[str]) -> dict[str, str]:
        """Nothing."""
        return {}

    def put(self, entries: Mapping[str, Entry]) -> None:
        """Nothing."""

    def add(self, key: str, entry: Entry) -> bool:
        """True: nothing was there."""
        return True

    def forget(self, keys: Iterable[str]) -> int:
        """0."""
        return 0

    def pull(self, key: str) -> Entry | None:
        """None."""
        return None

    def touch(self, key: str, expiration: int) -> bool:
        """False."""
        return False

    def increment(self, key: str, by: int) -> int | None:
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


class TieredStore:
    """A bounded layer in this process over another store.

    What another process changes is seen here after *stale_seconds* at the latest; what this
    process changes, at once.
    """

    durable = True

    def __init__(
        self,
        below: Store,
        *,
        stale_seconds: float = CacheSettings.stale_seconds,
        max_entries: int = CacheSettings.max_entries,
        clock: Clock | None = None,
    ) -> None:
        self.below = below
        self.clock = clock or below.clock
        self._stale_seconds = stale_seconds
        self._max_entries = max_entries
        self._near: OrderedDict[str, tuple[float, Entry]] = OrderedDict()
        self._lock = threading.Lock()
        self._changes = 0  # of this process: what was read before the last one is not kept

    def own_locks(self) -> Locks:
        """Those of the store below."""
        return self.below.own_locks()

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*, from this process if it is young enough."""
        now = self.clock.time()
        near = self._near.get(key)
        if near is not None and near[0] > now and near[1].expiration > now:
            return near[1]
        changes = self._changes
        entry = self.below.get(key)
        if entry is not None:
            self._keep_read({key: entry}, now, changes)
        return entry

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*."""
        now, found, rest = self.clock.time(), {}, []
        for key in keys:
            near = self._near.get(key)
            if near is not None and near[0] > now and near[1].expiration > now:
                found[key] = near[1]
            else:
                rest.append(key)
        changes = self._changes
        fetched = self.below.many(rest) if rest else {}
        self._keep_read(fetched, now, changes)
        return {**found, **fetched}

    def _keep_read(self, entries: Mapping[str, Entry], read_at: float, changes: int) -> None:
        """Keep what was read, unless this process changed something meanwhile."""
        until = read_at + self._stale_seconds
        with self._lock:
            if changes != self._changes:
                return
            for key, entry in entries.items():
                self._near.pop(key, None)
                self._near[key] = (until, entry)
            while len(self._near) > self._max_entries:
                self._near.popitem(last=False)

    def _changed(self, keys: Iterable[str]) -> None:
        """Forget what is near of *keys*, which were changed below."""
        with self._lock:
            self._changes += 1
            for key in keys:
                self._near.pop(key, None)

    def texts(self, keys: Iterable[str]) -> dict[str, str]:
        """Only the texts of the live entries among *keys*."""
        return {key: entry.text for key, entry in self.many(keys).items()}

    def put(self, entries: Mapping[str, Entry]) -> None:
        """Store all of *entries* below; the next read brings them near."""
        try:
            self.below.put(entries)
        finally:
            self._changed(entries)

    def add(self, key: str, entry: Entry) -> bool:
        """Store *entry* unless a live one is there; decided below."""
        stored = self.below.add(key, entry)
        self._changed([key])
        return stored

    def forget(self, keys: Iterable[str]) -> int:
        """Remove *keys*, here and below."""
        many = list(keys)
        count = self.below.forget(many)
        self._changed(many)
        return count

    def pull(self, key: str) -> Entry | None:
        """Remove the live entry under *key* and give it."""
        entry = self.below.pull(key)
        self._changed([key])
        return entry

    def touch(self, key: str, expiration: int) -> bool:
        """Let the live entry under *key* end at *expiration*."""
        touched = self.below.touch(key, expiration)
        self._changed([key])
        return touched

    def increment(self, key: str, by: int) -> int | None:
        """Add *by* to the integer under *key*, below."""
        number = self.below.increment(key, by)
        self._changed([key])
        return number

    def flush(self, prefix: str) -> None:
        """Remove every key that begins with *prefix*."""
        self.below.flush(prefix)
        with self._lock:
            self._changes += 1
            self._near.clear()

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired entry below; how many."""
        return self.below.gc(batch)

    def size(self, prefix: str) -> tuple[int, int]:
        """(entries, bytes) below."""
        return self.below.size(prefix)

    def close(self) -> None:
        """Close the store below."""
        self._near.clear()
        self.below.close()
