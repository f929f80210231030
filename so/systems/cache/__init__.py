"""The cache: values with a time to live, locks, semaphores and rate limits.

`Cache` is what applications use; it stands on a store (database, array, file, null, tiered) that
keeps encoded texts. Every operation on the database is one conditional statement on a connection
of its own, outside the caller's transaction, which repeats it after a conflict.
Which stores there are and how they are called is decided in so/application.

Read in this order: entry.py (what a store keeps and can do), cache.py (what applications use),
database.py (the store on tables), memory.py, files.py, tags.py, locks.py, limits.py.
"""

from so.systems.cache.cache import Cache, TaggedCache
from so.systems.cache.database import DatabaseStore
from so.systems.cache.decorator import cached
from so.systems.cache.files import FileLocks, FileStore
from so.systems.cache.limits import (
    DatabaseCounters,
    Limit,
    MemoryCounters,
    RateLimiter,
    Reservation,
    SteadyCounters,
)
from so.systems.cache.locks import DatabaseLocks, Lock, MemoryLocks, Semaphore
from so.systems.cache.memory import ArrayStore, NullStore, TieredStore
from so.systems.cache.stores import Caches

__all__ = [
    "ArrayStore",
    "Cache",
    "Caches",
    "DatabaseCounters",
    "DatabaseLocks",
    "DatabaseStore",
    "FileLocks",
    "FileStore",
    "Limit",
    "Lock",
    "MemoryCounters",
    "MemoryLocks",
    "NullStore",
    "RateLimiter",
    "Reservation",
    "Semaphore",
    "SteadyCounters",
    "TaggedCache",
    "TieredStore",
    "cached",
]
