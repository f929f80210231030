"""The part of a cache under some tags, which one write ends whatever it holds.

Every tag has a version as soon as it was flushed once; an entry carries the versions of its tags
and is missing as soon as one of them has changed. `TaggedStore` says so to the store below, so the
cache above it is an ordinary one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from so.errors import CacheError, CacheTypeError
from so.support.clock import Clock
from so.support.ids import short_id
from so.systems.cache.entry import (
    NEVER,
    NONE,
    Entry,
    Locks,
    Store,
    Tags,
    Whole,
    stored_key,
    tag_key,
    versions,
)

MOST_TAGS = 64  # of one entry, whose row holds the version of each


class TaggedStore(Whole):
    """The entries of the store *below* that belong to all of *tags*."""

    def __init__(self, below: Store, tags: Tags) -> None:
        self.below, self._tags = below, tags

    @classmethod
    def of(cls, below: Store, prefix: str, names: Iterable[str]) -> TaggedStore:
        """Under the tags called *names* of the cache with that *prefix*."""
        return cls(below, Tags(tuple(sorted(stored_key(prefix, tag_key(name)) for name in names))))

    @property
    def clock(self) -> Clock:
        """That of the store below."""
        return self.below.clock

    @property
    def durable(self) -> bool:
        """As the store below."""
        return self.below.durable

    @property
    def is_shared(self) -> bool:
        """As the store below."""
        return self.below.is_shared

    def looked(self, key: str) -> tuple[Entry | None, Store]:
        """The live entry under *key*, and the store as it is now.

        What is written there counts as written now: a value that a flush overtook while it was
        computed is never fresh.
        """
        found = self.below.many([*self._tags.keys, key])
        seen = versions(self._tags, found)
        entry = found.get(key)
        now = TaggedStore(self.below, Tags(self._tags.keys, seen))
        return (entry if entry is not None and entry.tags == seen else None), now

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*."""
        return self.looked(key)[0]

    def last(self, key: str) -> Entry | None:
        """The entry under *key*, expired or not; None if its tags were flushed since."""
        entry = self.below.last(key)
        seen = versions(self._tags, self.below.many(self._tags.keys))
        return entry if entry is not None and entry.tags == seen else None

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*."""
        names = list(keys)
        found = self.below.many([*self._tags.keys, *names])
        seen = versions(self._tags, found)
        return {key: found[key] for key in names if key in found and found[key].tags == seen}

    def put(self, entries: Mapping[str, Entry], tags: Tags = NONE, *, pinned: bool = False) -> None:
        """Store all of *entries* under the tags."""
        self.below.put(entries, self._tags)

    def add(self, key: str, entry: Entry, tags: Tags = NONE) -> bool:
        """Store *entry* unless a live one is there."""
        return self.below.add(key, entry, self._tags)

    def forget(self, keys: Iterable[str], tags: Tags = NONE) -> int:
        """Remove *keys*; how many live ones there were."""
        return self.below.forget(keys, self._tags)

    def pull(self, key: str, tags: Tags = NONE) -> Entry | None:
        """Remove the live entry under *key* and give it."""
        return self.below.pull(key, self._tags)

    def touch(self, key: str, expiration: int, tags: Tags = NONE) -> bool:
        """Let the live entry under *key* end at *expiration*."""
        return self.below.touch(key, expiration, self._tags)

    def increment(self, key: str, by: int, tags: Tags = NONE) -> int | None:
        """Add *by* to the integer under *key*."""
        return self.below.increment(key, by, self._tags)

    def own_locks(self) -> Locks:
        """Those of the store below."""
        return self.below.own_locks()

    def flush(self, prefix: str) -> None:
        """End every entry that has one of the tags: one write, whatever they hold."""
        self.below.put({key: Entry(short_id(), NEVER) for key in self._tags.keys}, pinned=True)

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired entry below; how many."""
        return self.below.gc(batch)

    def size(self, prefix: str) -> tuple[int, int]:
        """(entries, bytes) below."""
        return self.below.size(prefix)

    def close(self) -> None:
        """The store below is not ours to close."""


def tagged_prefix(names: list[str]) -> str:
    """What comes before the keys of entries under the tags *names*.

    A JSON list ends where it ends, so no name and no key can be taken for another.
    """
    return f"\x1ftagged:{json.dumps(names)}"


def flat(names: Iterable[Any]) -> list[str]:
    """Names of tags, given one by one or in lists, each once; CacheTypeError for no text."""
    found = [n for name in names for n in (name if isinstance(name, (list, tuple)) else [name])]
    for name in found:
        if not isinstance(name, str):
            raise CacheTypeError(f"a tag is a text, not {name!r}")
    if len(set(found)) > MOST_TAGS:
        raise CacheError(f"{len(set(found))} tags at once are too many: {MOST_TAGS} at most")
    return sorted(set(found))
