"""What a group says about the routes in it.

Prefixes join, names concatenate, middleware runs outer first, constraints merge with the inner
one winning. The stack of open groups belongs to the router, one per thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from so.errors import RouteDefinitionError
from so.support.near import nearest

_KEYS = {
    "prefix": "prefix",
    "name": "name",
    "as": "name",
    "as_": "name",
    "middleware": "middleware",
    "without_middleware": "without",
    "where": "where",
    "controller": "controller",
}


@dataclass(frozen=True, slots=True)
class GroupAttributes:
    """Everything the open groups say, merged."""

    prefix: str = ""
    name: str = ""
    middleware: tuple[Any, ...] = ()
    without: tuple[Any, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    controller: Any = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> GroupAttributes:
        """From what a user wrote; RouteDefinitionError names an unknown key and the nearest."""
        values: dict[str, Any] = {}
        for key, value in given.items():
            known = _KEYS.get(key)
            if known is None:
                close = nearest(str(key), _KEYS)
                hint = f"did you mean {close!r}?" if close else f"known: {', '.join(_KEYS)}"
                raise RouteDefinitionError(f"a route group has no attribute {key!r}; {hint}")
            if value is not None:
                values[known] = value
        for key in ("middleware", "without"):
            if key in values:
                values[key] = tuple(flat([values[key]]))
        return cls(**values)

    def within(self, outer: GroupAttributes) -> GroupAttributes:
        """These attributes inside a group that says *outer*."""
        return GroupAttributes(
            prefix="/".join(p for p in (outer.prefix.strip("/"), self.prefix.strip("/")) if p),
            name=outer.name + self.name,
            middleware=outer.middleware + self.middleware,
            without=outer.without + self.without,
            where={**outer.where, **self.where},
            controller=outer.controller if self.controller is None else self.controller,
        )


def flat(items: Iterable[Any]) -> list[Any]:
    """*items* with lists and tuples among them spread out, in order."""
    found: list[Any] = []
    for item in items:
        if isinstance(item, (list, tuple)):
            found += flat(item)
        elif item is not None:
            found.append(item)
    return found
