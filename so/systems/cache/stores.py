"""The caches of one application by name, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from so.errors import ConfigError
from so.support.near import nearest
from so.systems.cache.cache import Cache


class Caches:
    """`caches.store("array")`; the default one without a name."""

    def __init__(self, makers: Mapping[str, Callable[[], Cache]], default: str) -> None:
        self._makers = dict(makers)
        self._made: dict[str, Cache] = {}
        self.default = default

    def store(self, name: str | None = None) -> Cache:
        """The cache called *name*; raises ConfigError for one that is not configured."""
        name = name or self.default
        if name not in self._made:
            self.check(name)
            made = self._makers[name]()
            made.stores = self.store
            self._made[name] = made
        return self._made[name]

    def check(self, name: str) -> None:
        """Raise ConfigError for a cache that is not configured."""
        if name not in self._makers:
            close = nearest(name, self._makers)
            hint = f"; did you mean {close!r}?" if close else ""
            known = ", ".join(sorted(self._makers))
            raise ConfigError(
                f"unknown cache store {name!r}: set CACHE_DRIVER (config cache.default) to one of "
                f"{known}{hint}"
            )

    def extend(self, name: str, make: Callable[[], Cache]) -> None:
        """Add a store of the application's own, or replace one."""
        self._makers[name] = make
        self._made.pop(name, None)

    def close(self) -> None:
        """Close those that were made."""
        for cache in self._made.values():
            cache.close()
        self._made.clear()
