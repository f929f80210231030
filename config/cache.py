"""The cache, its locks and its rate limits."""

from so.config import env

config = {
    "default": env("CACHE_DRIVER", "database"),  # database, array, file, null or tiered
    "prefix": env("CACHE_PREFIX", "so_cache"),  # apart from other applications in one table
    "connection": env("CACHE_CONNECTION", "cache"),  # of config/database.py; not the default one
    "max_bytes": env.int("CACHE_MAX_BYTES", 0),  # bytes of values, the oldest go first; 0: no limit
    "compute_seconds": env.int("CACHE_COMPUTE_SECONDS", 60),  # one process computes, others wait
    "path": env("CACHE_PATH", "storage/cache"),  # folder of the file driver
    "stale_seconds": env.float("CACHE_STALE_SECONDS", 1.0),  # tiered: others' changes seen after
    "max_entries": env.int("CACHE_MAX_ENTRIES", 10_000),  # tiered: entries kept in the process
}
