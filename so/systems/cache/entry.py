"""What a store keeps, and what every store can do."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from so.errors import CacheError
from so.support.clock import Clock

NEVER = 1 << 62  # an expiration that never comes
LONGEST_KEY = 10_240  # bytes of a key as the caller gives it
LONGEST_PREFIX = 100  # bytes
LONGEST_PLAIN = 180  # bytes of a stored key that is the key itself
LONGEST_STORED = 200  # bytes of any other: its beginning and its digest
TAG = "\x1ftag:"
MISSING: Any = object()  # where None would be a value
LARGEST_NUMBER = (1 << 63) - 1  # what databases can count to


Packed = str | bytes
"""What is stored: typed JSON, or bytes that say by their first what they are."""


class Entry(NamedTuple):
    """What is stored, when it ends and until when it is fresh (seconds since the epoch).

    Either a *text* in typed JSON, or *data*, bytes that say by their first what they are; *tags*
    are the versions of its tags when it was made.
    """

    text: str
    expiration: int
    fresh_until: int | None = None
    data: bytes | None = None
    tags: str = ""

    @classmethod
    def of(cls, packed: Packed, expiration: int) -> Entry:
        """What holds *packed* until *expiration*."""
        if isinstance(packed, str):
            return cls(packed, expiration)
        return cls("", expiration, None, packed)

    @property
    def packed(self) -> Packed:
        """The text, or the data where there is some."""
        return self.text if self.data is None else self.data

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return len(self.text.encode("utf-8", "surrogatepass")) + len(self.data or b"")


class Whole:
    """For stores that have an entry whole or not at all."""

    def read(self: Store, key: str) -> Packed | None:
        """What is stored in the live entry under *key*."""
        entry = self.get(key)
        return None if entry is None else entry.packed

    def read_many(self: Store, keys: Iterable[str]) -> dict[str, Packed]:
        """What is stored in the live ones among *keys*."""
        return {key: entry.packed for key, entry in self.many(keys).items()}

    def write(self: Store, key: str, packed: Packed, expiration: int) -> None:
        """Store *packed* under *key*, replacing what was there."""
        self.put({key: Entry.of(packed, expiration)})


class Tags(NamedTuple):
    """What an operation is under: the keys of its tags, and their versions if they are known.

    An entry is there only while the versions of its tags are what they were when it was made. A
    tag that was never flushed has no version.
    """

    keys: tuple[str, ...] = ()
    seen: str | None = None


NONE = Tags((), "")


def versions(tags: Tags, found: Mapping[str, Entry]) -> str:
    """The versions of *tags*, by the entries *found* under their keys."""
    if tags.seen is not None:
        return tags.seen
    return ",".join(found[key].text for key in sorted(tags.keys) if key in found)


class Locks(Protocol):
    """Where locks are kept."""

    clock: Clock

    def acquire(self, key: str, owner: str, expiration: int) -> int | None:
        """Take *key* for *owner*; the fencing token, or None if another one holds it."""
        ...

    def release(self, key: str, owner: str) -> bool:
        """Give *key* up; False if *owner* does not hold it."""
        ...

    def force_release(self, key: str) -> None:
        """Take *key* from whoever holds it."""
        ...

    def refresh(self, key: str, owner: str, expiration: int) -> bool:
        """Let *key* end at *expiration*; False if *owner* does not hold it."""
        ...

    def owner(self, key: str) -> str | None:
        """Who holds *key*; None if it is free."""
        ...

    def flush(self, prefix: str) -> None:
        """Free every key that begins with *prefix*."""
        ...

    def gc(self, batch: int = 1000) -> int:
        """Remove what has long ended; how many."""
        ...


class Store(Protocol):
    """Keeps entries by key. Expired ones read as missing; every write is atomic.

    What another server or process might change is under *tags* if it is told so.
    """

    @property
    def clock(self) -> Clock:
        """The clock that times are measured by."""
        ...

    @property
    def durable(self) -> bool:
        """Whether what it keeps outlives the process."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether anybody else, a thread at least, may find here what one puts."""
        ...

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*."""
        ...

    def read(self, key: str) -> Packed | None:
        """What is stored in the live entry under *key*: all that a plain read needs."""
        ...

    def read_many(self, keys: Iterable[str]) -> dict[str, Packed]:
        """The same of the live ones among *keys*."""
        ...

    def last(self, key: str) -> Entry | None:
        """The entry under *key*, expired or not, as long as it is there."""
        ...

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*."""
        ...

    def put(self, entries: Mapping[str, Entry], tags: Tags = NONE, *, pinned: bool = False) -> None:
        """Store all of *entries*, replacing what was there; *pinned* ones never make room."""
        ...

    def write(self, key: str, packed: Packed, expiration: int) -> None:
        """Store *packed* under *key*, replacing what was there: all that most writes are."""
        ...

    def add(self, key: str, entry: Entry, tags: Tags = NONE) -> bool:
        """Store *entry* unless a live one is there; whether it was stored."""
        ...

    def forget(self, keys: Iterable[str], tags: Tags = NONE) -> int:
        """Remove *keys*; how many live ones there were."""
        ...

    def pull(self, key: str, tags: Tags = NONE) -> Entry | None:
        """Remove the live entry under *key* and give it."""
        ...

    def touch(self, key: str, expiration: int, tags: Tags = NONE) -> bool:
        """Let the live entry under *key* end at *expiration*; False if there is none."""
        ...

    def increment(self, key: str, by: int, tags: Tags = NONE) -> int | None:
        """Add *by* to the integer under *key* (0 if missing); None if it is no integer.

        None, and nothing changed, as well if the sum has more than 64 bits.
        """
        ...

    def own_locks(self) -> Locks:
        """Locks that reach as far as the entries do."""
        ...

    def flush(self, prefix: str) -> None:
        """Remove every key that begins with *prefix*."""
        ...

    def gc(self, batch: int) -> int:
        """Remove every expired entry, *batch* at a time; how many."""
        ...

    def size(self, prefix: str) -> tuple[int, int]:
        """(entries, bytes) stored now under keys that begin with *prefix*."""
        ...

    def close(self) -> None:
        """Let go of what is held open."""
        ...


def tag_key(name: str) -> str:
    """Under which key the version of the tag *name* is kept, without the prefix."""
    return f"{TAG}{name}"


def is_tag(stored: str) -> bool:
    """True if a version of a tag is kept under this stored key."""
    return TAG in stored


def checked_prefix(prefix: str) -> str:
    """What every key begins with; raises CacheError for one that is too long."""
    if len(prefix.encode()) > LONGEST_PREFIX:
        raise CacheError(f"the cache prefix {prefix!r} is too long: {LONGEST_PREFIX} bytes at most")
    # A colon within would make `a:b` a part of what the prefix `a` begins.
    return f"{prefix.replace(':', chr(0x1E))}:" if prefix else ""


def after(prefix: str) -> str:
    """The first text behind every one that begins with *prefix*."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else chr(0x10FFFF)


def stored_key(prefix: str, key: str, within: str = "") -> str:
    """*key* as it is stored: under *prefix*, its end replaced by its digest when it is long.

    *within* comes before it: what the key is apart from all others by, and no part of its length.
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
    if within:
        key, raw = within + key, within.encode() + raw
    before = len(prefix.encode())
    if before + len(raw) <= LONGEST_PLAIN:
        return prefix + key
    # Always longer than LONGEST_PLAIN, so that no key can be written to look like a digested one.
    head = raw[: LONGEST_STORED - 65 - before].decode("utf-8", "ignore")
    return f"{prefix}{head}#{hashlib.sha256(raw).hexdigest()}"


def expiration_of(ttl: float | timedelta | datetime | None, clock: Clock) -> int:
    """When something stored now ends: a whole second, rounded up; NEVER for None.

    0 if that is now or was before. Raises CacheError for what is no time to live.
    """
    if ttl is None:
        return NEVER
    now = clock.time()
    if type(ttl) is int:
        end: float = now + ttl
    elif isinstance(ttl, datetime):
        moment = ttl if ttl.tzinfo is not None else ttl.replace(tzinfo=UTC)
        end = moment.timestamp()
    else:
        end = now + seconds_of(ttl, "time to live", "seconds, a timedelta, a datetime or None")
    if end <= now:
        return 0
    return NEVER if end >= NEVER else math.ceil(end)


def seconds_of(given: object, what: str, wanted: str = "seconds or a timedelta") -> float:
    """*given*, a number of seconds or a timedelta, as seconds; CacheError that names *what* else.

    A text, a bool and what is no number are mistakes that would last a second, or for ever.
    """
    if isinstance(given, timedelta):
        return given.total_seconds()
    is_number = isinstance(given, (int, float, Decimal)) and not isinstance(given, bool)
    if not is_number or math.isnan(given):  # type: ignore[arg-type]
        raise CacheError(f"{given!r} is no {what}: give {wanted}")
    try:
        return float(given)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf if given > 0 else -math.inf  # type: ignore[operator]


def check_windows(ttl: object) -> None:
    """CacheError unless *ttl* is a pair: how long a value is fresh, and how long usable."""
    if not isinstance(ttl, (tuple, list)) or len(ttl) != 2:
        raise CacheError(f"flexible() takes (fresh, usable), two numbers of seconds, not {ttl!r}")
    fresh, usable = ttl
    if type(fresh) is type(usable) and fresh > usable:
        raise CacheError(
            f"a value cannot be fresh for {fresh!r} and usable for {usable!r}: swap them"
        )


def summed(text: str, by: int) -> int | None:
    """The integer *text* is plus *by*; None if it is none, or if that has more than 64 bits."""
    number = whole(text)
    if number is None or abs(number + by) > LARGEST_NUMBER:
        return None
    return number + by


def whole(text: str) -> int | None:
    """The integer *text* is, in its canonical form and 64 bits at most; None if it is none."""
    if len(text) > 20 or not text.lstrip("-").isdecimal():
        return None
    number = int(text)
    return number if str(number) == text and abs(number) <= LARGEST_NUMBER else None
