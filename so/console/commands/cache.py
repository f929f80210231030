"""`cache:*`: clear, sweep, forget and look at the cache."""

from __future__ import annotations

from so.console.command import Command
from so.errors import UsageError
from so.shortcuts import cache
from so.systems.cache import Cache


class _CacheCommand(Command):
    def store(self) -> Cache:
        """The store that `--store` names, or the default one."""
        found: Cache = cache(self.option("store"))
        return found


class CacheClear(_CacheCommand):
    """Values only, unless asked: locks and limits guard things that go on."""

    signature = (
        "cache:clear {--store= : Another store than the default one} "
        "{--tags= : Only entries of these tags, separated by commas} "
        "{--locks : Free every lock and limit as well}"
    )

    def handle(self) -> int:
        """Clear and say what."""
        store = self.store()
        given = self.option("tags")
        tags = [tag.strip() for tag in (given or "").split(",") if tag.strip()]
        if given is not None and not tags:
            raise UsageError(f"--tags={given} names no tag: without it everything is cleared")
        (store.tags(*tags) if tags else store).flush()
        done = f"Cache entries tagged {', '.join(tags)} cleared." if tags else "Cache cleared."
        locks = bool(self.option("locks"))
        if locks:
            store.locks.flush(store.prefix)
            self.app.make("limiter").flush()
            done += "\nLocks and rate limits cleared."
        self.report_done({"cleared": True, "tags": tags, "locks": locks}, done)
        return 0


class CacheGc(_CacheCommand):
    """Run by a timer every hour."""

    signature = "cache:gc {--store= : Another store than the default one}"

    def handle(self) -> int:
        """Sweep and print the count."""
        with self.hearing():
            count = self.store().gc() + int(self.app.make("limiter").gc())
        self.report_done({"removed": count}, f"{count} expired cache entries removed.")
        return 0


class CacheForget(_CacheCommand):
    """One key."""

    signature = "cache:forget {key : The key, without prefix} {--store= : Another store}"

    def handle(self) -> int:
        """Remove it; exit 1 if there was none."""
        key = str(self.argument("key"))
        removed = self.store().forget(key)
        if removed or self.wants_json:
            self.report_done({"removed": removed}, f"{key} removed.")
        else:
            self.warn(f"There is no cache entry {key}.")
        return 0 if removed else 1


class CacheStats(_CacheCommand):
    """Entries and bytes of the store; hits and misses of all processes since it was cleared."""

    signature = "cache:stats {--store= : Another store than the default one}"

    def handle(self) -> int:
        """Print the figures."""
        stats = self.store().stats()
        if self.wants_json:
            self.json(stats)
        else:
            self.table(["figure", "value"], list(stats.items()))
        return 0
