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
        0, "CACHE_MAX_BYTES", "bytes of rows or files, the oldest go first; 0: no limit"
    )
    compress_bytes: int = whole(
        2048, "CACHE_COMPRESS_BYTES", "texts from so many bytes on are compressed; 0: none"
    )
    compute_seconds: int = whole(
        10, "CACHE_COMPUTE_SECONDS", "after which one that died computing is replaced", least=1
    )
    wait_seconds: float = number(
        60, "CACHE_WAIT_SECONDS", "others wait for the one that computes, then LockTimeout"
    )
    path: str = text("storage/cache", "CACHE_PATH", "folder of the file driver")
    stale_seconds: float = number(
        1.0, "CACHE_STALE_SECONDS", "tiered: seconds until others' changes are seen"
    )
    max_entries: int = whole(
        10_000, "CACHE_MAX_ENTRIES", "tiered, array: entries kept in the process", least=1
    )
    near_bytes: int = whole(
        64 * 1024 * 1024, "CACHE_NEAR_BYTES", "tiered: bytes kept in the process"
    )
