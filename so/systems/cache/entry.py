"""What a store keeps, and what every store can do."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from so.errors import CacheError
from so.support.clock import Clock

NEVER = 1 << 62  # an expiration that never comes
LONGEST_KEY = 10_240  # bytes of a key as the caller gives it
LONGEST_STORED = 200  # bytes of a key as it is stored; longer ones end in their digest


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored text, when it ends and until when it is fresh (seconds since the epoch)."""

    text: str
    expiration: int
    fresh_until: int | None = None


class Store(Protocol):
    """Keeps texts by key. Expired entries read as missing; every write is atomic."""

    clock: Clock

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*."""
        ...

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*."""
        ...

    def put(self, entries: Mapping[str, Entry]) -> None:
        """Store all of *entries*, replacing what was there."""
        ...

    def add(self, key: str, entry: Entry) -> bool:
        """Store *entry* unless a live one is there; whether it was stored."""
        ...

    def forget(self, keys: Iterable[str]) -> int:
        """Remove *keys*; how many live ones there were."""
        ...

    def pull(self, key: str) -> Entry | None:
        """Remove the live entry under *key* and give it."""
        ...

    def touch(self, key: str, expiration: int) -> bool:
        """Let the live entry under *key* end at *expiration*; False if there is none."""
        ...

    def increment(self, key: str, by: int) -> int | None:
        """Add *by* to the integer under *key* (0 if missing); None if it is no integer."""
        ...

    def flush(self, prefix: str) -> None:
        """Remove every key that begins with *prefix*."""
        ...

    def gc(self, batch: int) -> int:
        """Remove every expired entry, *batch* at a time; how many."""
        ...

    def size(self) -> tuple[int, int]:
        """(entries, bytes) stored now."""
        ...

    def close(self) -> None:
        """Let go of what is held open."""
        ...


def stored_key(prefix: str, key: str) -> str:
    """*key* as it is stored: under *prefix*, its end replaced by its digest when it is long.

    Raises CacheError for a key that is no text or longer than 10 kB.
    """
    if not isinstance(key, str):
        raise CacheError(f"a cache key must be a text, {type(key).__name__} given")
    try:
        raw = key.encode()
    except UnicodeEncodeError as error:
        raise CacheError(f"the cache key {key[:40]!r} is not valid Unicode") from error
    if len(raw) > LONGEST_KEY:
        raise CacheError(f"the cache key {key[:40]!r}… has {len(raw)} bytes, {LONGEST_KEY} at most")
    full = prefix + key
    if len(prefix) + len(raw) <= LONGEST_STORED:
        return full
    head = raw[: LONGEST_STORED - 65 - len(prefix)].decode("utf-8", "ignore")
    return f"{prefix}{head}#{hashlib.sha256(raw).hexdigest()}"


def expiration_of(ttl: float | timedelta | datetime | None, clock: Clock) -> int:
    """When something stored now ends; a whole second, rounded up; NEVER for None."""
    if ttl is None:
        return NEVER
    now = clock.time()
    if isinstance(ttl, datetime):
        moment = ttl if ttl.tzinfo is not None else ttl.replace(tzinfo=UTC)
        return math.ceil(moment.timestamp())
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else float(ttl)
    return NEVER if math.isinf(seconds) else math.ceil(now + seconds)
