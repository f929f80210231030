"""Middleware: what runs around an action, by what names it is known, and in which order.

A middleware is a class with `handle(self, request, next, *params)`, an object of one, or a
function `(request, next, *params)`. It is registered as such, by an alias (`'throttle:5,1'`
gives the parameters), by the name of a group, or by its import path. The kernel asks for layers
and folds them around the action.

What stands behind the colon is checked where it is written down: how many parameters there are
by the signature of `handle`, and what they say by a `check(make, *params)` of the class, which
raises RouteDefinitionError; `check_at_boot` likewise, for what is known only then.

A class whose constructor asks for something is made anew for each request, so that what it is
given may belong to the request; any other class is made once and shared by all threads.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from so.errors import RouteDefinitionError
from so.http.request import Request
from so.http.response import Response
from so.http.results import to_response
from so.support.near import nearest

Stage = Callable[[Request], Response]
Make = Callable[[Any], Any]
Fail = Callable[[Request, Exception], Response]


class Layer(NamedTuple):
    """One middleware with its parameters."""

    target: Any
    params: tuple[str, ...]
    name: str


class MiddlewareRegistry:
    """Aliases, groups, the global list and the priority."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """*changed* is called after every change."""
        self.aliases: dict[str, Any] = {}
        self.groups: dict[str, list[Any]] = {}
        self.globals: list[Any] = []
        self.priority: list[Any] = []
        self._tell = changed
        self._known: dict[str, Any] = {}  # names → what they stand for
        self._fitting: set[Any] = set()  # layers whose parameters their `handle` takes
        self.make: Make = lambda abstract: abstract()  # the container's, where there is one

    def _changed(self) -> None:
        self._known.clear()
        self._tell()

    def alias(self, name: str | Mapping[str, Any], middleware: Any = None) -> None:
        """Know *middleware* as *name*; a dict gives several."""
        self.aliases.update(name if isinstance(name, Mapping) else {name: middleware})
        self._changed()

    def group(self, name: str, middleware: Iterable[Any]) -> None:
        """Let *name* stand for all of *middleware*."""
        self.groups[name] = list(middleware)
        self._changed()

    def push_to_group(self, name: str, *middleware: Any) -> None:
        """Add to the end of the group, if not in it."""
        members = self.groups.setdefault(name, [])
        members += [m for m in middleware if m not in members]
        self._changed()

    def prepend_to_group(self, name: str, *middleware: Any) -> None:
        """Add to the front of the group, if not in it."""
        members = self.groups.setdefault(name, [])
        members[:0] = [m for m in middleware if m not in members]
        self._changed()

    def remove_from_group(self, name: str, *middleware: Any) -> None:
        """Take out of the group."""
        self.groups[name] = [m for m in self.groups.get(name, []) if m not in middleware]
        self._changed()

    def set_globals(self, middleware: Iterable[Any]) -> None:
        """Run *middleware* around every request, also where no route matches."""
        self.globals = list(middleware)
        self._changed()

    def set_priority(self, middleware: Iterable[Any]) -> None:
        """Keep *middleware* in this order among each other, however routes list them."""
        self.priority = list(middleware)
        self._changed()

    def layers(self, middleware: Iterable[Any], excluded: Iterable[Any] = ()) -> list[Layer]:
        """*middleware* with names and groups resolved: without *excluded*, once each, in order.

        Raises RouteDefinitionError for an unknown name, RecursionError for a group in itself.
        """
        left_out = {_identity(layer) for layer in self._resolved(excluded)}
        found: dict[Any, Layer] = {}
        for layer in self._resolved(middleware):
            if _identity(layer) not in left_out and (layer.target, None) not in left_out:
                found.setdefault(_identity(layer), layer)
        for layer in found.values():
            self._check(layer, "check")
        return self._sorted(list(found.values()))

    def _resolved(self, middleware: Iterable[Any], inside: tuple[str, ...] = ()) -> list[Layer]:
        found: list[Layer] = []
        for one in middleware:
            if isinstance(one, str) and one in self.groups:
                if one in inside:
                    chain = " -> ".join([*inside, one])
                    raise RecursionError(f"the middleware group {one!r} contains itself: {chain}")
                found += self._resolved(self.groups[one], (*inside, one))
            elif isinstance(one, (list, tuple)):
                found += self._resolved(one, inside)
            else:
                found.append(self._layer(one))
        return found

    def _layer(self, one: Any) -> Layer:
        if not isinstance(one, str):
            return Layer(_usable(one), (), _label(one))
        name, _, params = one.partition(":")
        return Layer(self._target(name), tuple(params.split(",")) if params else (), one)

    def check_written(self, middleware: Iterable[Any]) -> None:
        """Raise RouteDefinitionError for parameters that make no sense.

        What is not known yet by its name is left for later.
        """
        for one in middleware:
            if isinstance(one, str) and one.partition(":")[0] in self.aliases:
                self._check(self._layer(one), "check")

    def check_at_boot(self, layers: Iterable[Layer]) -> None:
        """Raise RouteDefinitionError for names that must be known once all providers ran."""
        for layer in layers:
            self._check(layer, "check_at_boot")

    def _check(self, layer: Layer, name: str) -> None:
        if _identity(layer) not in self._fitting:
            _check_parameters(layer)
            self._fitting.add(_identity(layer))
        check = getattr(layer.target, name, None)
        if isinstance(layer.target, type) and callable(check):
            check(self.make, *layer.params)

    def _target(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._found(name)
        return self._known[name]

    def _found(self, name: str) -> Any:
        target: Any = name
        for _ in range(len(self.aliases) + 1):  # an alias may stand for another one
            if not (isinstance(target, str) and target in self.aliases):
                break
            target = self.aliases[target]
        if not isinstance(target, str):
            return _usable(target)
        found = _imported(target)
        if found is None:
            known = [*self.aliases, *self.groups]
            close = nearest(name, known)
            hint = f"did you mean {close!r}?" if close else f"known: {', '.join(known) or 'none'}"
            raise RouteDefinitionError(f"unknown middleware {name!r}; {hint}")
        return _usable(found)

    def _sorted(self, layers: list[Layer]) -> list[Layer]:
        """Those named in the priority take each other's places in its order; the others stay."""
        if len(layers) < 2:
            return layers  # and nothing that is merely named is imported
        rank: dict[Any, int] = {}
        for at, one in enumerate(self.priority):
            rank.setdefault(self._layer(one).target if isinstance(one, str) else one, at)
        places = [at for at, layer in enumerate(layers) if _rank(layer, rank) is not None]
        ranked = sorted((layers[at] for at in places), key=lambda layer: _rank(layer, rank) or 0)
        for at, layer in zip(places, ranked, strict=True):
            layers[at] = layer
        return layers


def _identity(layer: Layer) -> tuple[Any, Any]:
    return layer.target, layer.params or None


def _check_parameters(layer: Layer) -> None:
    """Raise RouteDefinitionError where `handle` does not take as many."""
    handle = getattr(layer.target, "handle", layer.target)
    around = ("self",) * isinstance(layer.target, type) + ("request", "next")
    try:
        inspect.signature(handle).bind(*around, *layer.params)
    except TypeError as error:
        raise RouteDefinitionError(
            f"`{layer.name}` has parameters that this middleware does not take: {error}"
        ) from error
    except ValueError:  # written in C: nothing is known of it
        pass


def _rank(layer: Layer, rank: Mapping[Any, int]) -> int | None:
    return rank.get(layer.target)


def _usable(target: Any) -> Any:
    if callable(getattr(target, "handle", None)) or (
        callable(target) and not isinstance(target, type)
    ):
        return target
    raise RouteDefinitionError(
        f"{_label(target)} is not a middleware: give it handle(self, request, next), or pass a "
        "function (request, next)"
    )


def _label(target: Any) -> str:
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}.{named.__qualname__}"


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    if not module:
        return None
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        return None


# --- the pipeline ---------------------------------------------------------------------------------


def pipeline(
    layers: Sequence[Layer], action: Stage, make: Make, fail: Fail
) -> tuple[Stage, list[Any]]:
    """*layers* folded around *action*, and those that want `terminate(request, response)`.

    An exception is turned into a response by *fail* in the layer that raised it, so that the
    layers around it still see a response.
    """
    stage = action
    terminable: list[Any] = []
    for layer in reversed(layers):
        target = layer.target
        if isinstance(target, type) and _asks(target):
            stage = _fresh(target, layer.params, stage, make, fail)
            continue
        if isinstance(target, type):
            target = make(target)
        if callable(getattr(target, "terminate", None)):
            terminable.append(target)
        stage = _around(getattr(target, "handle", target), layer.params, stage, fail)
    return stage, terminable[::-1]


def _asks(cls: type) -> bool:
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        return False
    try:
        return bool(inspect.signature(cls).parameters)
    except (TypeError, ValueError):
        return True


def _around(handle: Callable[..., Any], params: tuple[str, ...], inner: Stage, fail: Fail) -> Stage:
    def stage(request: Request) -> Response:
        try:
            answer = handle(request, inner, *params)
            return answer if isinstance(answer, Response) else to_response(answer, request)
        except Exception as error:
            return fail(request, error)

    return stage


def _fresh(cls: type, params: tuple[str, ...], inner: Stage, make: Make, fail: Fail) -> Stage:
    terminates = callable(getattr(cls, "terminate", None))

    def stage(request: Request) -> Response:
        try:
            middleware = make(cls)
            if terminates:
                request.terminable.append(middleware)
            answer = middleware.handle(request, inner, *params)
            return answer if isinstance(answer, Response) else to_response(answer, request)
        except Exception as error:
            return fail(request, error)

    return stage
