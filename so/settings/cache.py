"""The cache, its locks and its rate limits."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, number, text, whole, word

DRIVERS = ("database", "array", "file", "null", "tiered")


@dataclass(frozen=True)
class CacheSettings(Settings, topic="cache"):
    """`config/cache.py`."""

    default: str = word(
        "database",
        "CACHE_DRIVER",
        "database, array, file, null or tiered",
        of=DRIVERS,
        nothing="null",
    )
    prefix: str = text("so_cache", "CACHE_PREFIX", "apart from other applications in one table")
    connection: str | None = text(
        "cache",
        "CACHE_CONNECTION",
        "of config/database.py; empty: the default one",
        nothing=None,
    )
    max_bytes: int = whole(
        0, "CACHE_MAX_BYTES", "bytes of values, the oldest go first; 0: no limit"
    )
    compute_seconds: int = whole(
        60, "CACHE_COMPUTE_SECONDS", "seconds others wait for the one that computes"
    )
    path: str = text("storage/cache", "CACHE_PATH", "folder of the file driver")
    stale_seconds: float = number(
        1.0, "CACHE_STALE_SECONDS", "tiered: seconds until others' changes are seen"
    )
    max_entries: int = whole(10_000, "CACHE_MAX_ENTRIES", "tiered: entries kept in the process")
