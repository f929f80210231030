"""What a group says about the routes in it, and the fluent way to say it.

Prefixes join, names concatenate, middleware runs outer first, constraints merge with the inner
one winning. The stack of open groups belongs to the router, one per thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.errors import RouteDefinitionError
from so.http.routing.verbs import Verbs
from so.support.near import nearest

if TYPE_CHECKING:
    from so.http.router import Router
    from so.http.routing.route import Route

Callback = Callable[..., Any] | str | Path

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
class Attributes:
    """Everything the open groups say, merged."""

    prefix: str = ""
    name: str = ""
    middleware: tuple[Any, ...] = ()
    without: tuple[Any, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    controller: Any = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Attributes:
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

    def within(self, outer: Attributes) -> Attributes:
        """These attributes inside a group that says *outer*."""
        return Attributes(
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


class Group:
    """An open group as a context manager; left, it restores what was said before."""

    def __init__(self, router: Router, attributes: Attributes) -> None:
        self._router = router
        self._attributes = attributes

    def __enter__(self) -> Router:
        self._router.group_stack.append(self._attributes.within(self._router.group_attributes))
        return self._router

    def __exit__(self, *error: object) -> None:
        self._router.group_stack.pop()


class Registrar(Verbs):
    """Attributes gathered so far: `router.prefix("api").middleware("auth").group(…)`."""

    def __init__(self, router: Router, attributes: Mapping[str, Any] | None = None) -> None:
        self._router = router
        self._given = dict(attributes or {})
        self.controllers = router.controllers

    def prefix(self, prefix: str) -> Registrar:
        """Put *prefix* in front of every URI."""
        return self._with("prefix", prefix)

    def name(self, name: str) -> Registrar:
        """Put *name* in front of every name."""
        return self._with("name", str(self._given.get("name") or "") + name)

    as_ = name

    def middleware(self, *middleware: Any) -> Registrar:
        """Run *middleware* before every action."""
        return self._with("middleware", [*self._given.get("middleware", []), *flat(middleware)])

    def without_middleware(self, *middleware: Any) -> Registrar:
        """Leave *middleware* out."""
        before = self._given.get("without_middleware", [])
        return self._with("without_middleware", [*before, *flat(middleware)])

    without = without_middleware

    def where(self, name: str | Mapping[str, str], pattern: str | None = None) -> Registrar:
        """Constrain parameters by regular expressions."""
        given = {name: pattern} if isinstance(name, str) else dict(name)
        return self._with("where", {**self._given.get("where", {}), **given})

    def controller(self, controller: Any) -> Registrar:
        """Take actions given as text for methods of *controller*."""
        return self._with("controller", controller)

    def group(self, callback: Callback | None = None) -> Any:
        """Register what *callback* (a callable or the path of a routes file) registers, so."""
        return self._router.group(self._given, callback)

    def match(self, methods: str | Iterable[str], uri: str, action: object) -> Route:
        """One route with these attributes."""
        with self._router.group(self._given):
            return self._router.match(methods, uri, action)

    def _with(self, key: str, value: Any) -> Registrar:
        return Registrar(self._router, {**self._given, key: value})
