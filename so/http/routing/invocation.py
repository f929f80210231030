"""How to call a route's action: which argument comes from where, worked out once per route.

By name from the route's parameters (converted by annotation), the request by its annotation or
as `request`, models by their key, other classes from the container, what is left of the route's
parameters by position. Models and explicit binders are met by duck typing: anything with
`resolve_route_binding(value, field)`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from so.errors import ContainerError, ModelNotFoundError, NotFoundException, RouteActionError
from so.http.request import Request
from so.http.routing.actions import RouteAction
from so.http.routing.casts import Cast, cast_for, without_none

Make = Callable[[Any], Any]
Fetch = Callable[[Request, dict[str, Any], Make], Any]
Binder = Callable[[str], Any]

_ABSENT: Any = object()
_GATHERING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_BUILTIN = (str, bytes, int, float, bool, dict, list, tuple, set, object)


class BindingNotFound(ModelNotFoundError):
    """The path names a model that is not there (404, or what `Route.missing` says)."""


class Served(NamedTuple):
    """What a plan knows of its route."""

    uri: str
    action: RouteAction
    parameters: tuple[str, ...]
    """In the order of the template."""
    binders: Mapping[str, Binder]
    """What the router said about parameters, by name."""
    field: Callable[[str], str | None]
    """`slug` for `{post:slug}`."""
    bound: Callable[[Request, str], Any]
    """What a parameter of a request is bound to."""
    names: tuple[str, ...]
    """Those of parameters, and of defaults beyond them."""


class ActionPlan:
    """The arguments of one route's action; `call` runs it for a request."""

    __slots__ = ("_fn", "_keywords", "_method", "_owner", "_positional", "binders")

    def __init__(self, route: Served) -> None:
        """Raises RouteActionError for a parameter that nothing could fill."""
        action = route.action
        self._fn = action.fn
        self._owner = action.owner
        self._method = action.method
        self.binders: dict[str, Binder] = dict(route.binders)
        self._positional: list[Fetch] = []
        self._keywords: list[tuple[str | None, Fetch]] = []
        self._read(route, _parameters(action.fn, action.owner is not None))

    def bound(self, make: Make) -> Callable[[Request], Any]:
        """The action as a function of the request, with *make* for what the container gives."""
        if self._keywords or self._owner is not None:
            return lambda request: self.call(request, make)
        fn, fetches = self._fn, self._positional
        if not fetches:
            return lambda request: fn()
        if len(fetches) == 1:
            fetch = fetches[0]
            return lambda request: fn(fetch(request, request.route_parameters, make))

        def call(request: Request) -> Any:
            params = request.route_parameters
            return fn(*[fetch(request, params, make) for fetch in fetches])

        return call

    def call(self, request: Request, make: Make) -> Any:
        """The action's own result."""
        params = request.route_parameters
        fn = self._fn if self._owner is None else getattr(make(self._owner), self._method)
        args = [fetch(request, params, make) for fetch in self._positional]
        named: dict[str, Any] = {}
        for name, fetch in self._keywords:
            value = fetch(request, params, make)
            named.update(value if name is None else {name: value})
        return fn(*args, **named)

    def _read(self, route: Served, parameters: list[_Parameter]) -> None:
        claimed = {p.name for p in parameters if p.kind not in _GATHERING}
        left = [name for name in route.parameters if name not in claimed]
        for parameter in parameters:
            self._place(route, parameter, parameter.name in route.names, left)

    def _place(self, route: Served, parameter: _Parameter, by_name: bool, left: list[str]) -> None:
        kind = parameter.kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            for name in left:
                self._positional.append(_plain(name, None))
            left.clear()
        elif kind is inspect.Parameter.VAR_KEYWORD:
            self._keywords.append((None, _rest(tuple(left))))
            left.clear()
        else:
            fetch = self._source(route, parameter, by_name, left)
            if kind is inspect.Parameter.KEYWORD_ONLY:
                self._keywords.append((parameter.name, fetch))
            else:
                self._positional.append(fetch)

    def _source(
        self, route: Served, parameter: _Parameter, by_name: bool, left: list[str]
    ) -> Fetch:
        wanted = parameter.wanted
        if by_name:
            return self._from_route(route, parameter, parameter.name)
        if _is_request(parameter):
            return _the_request
        if _is_model(wanted):
            return self._from_route(route, parameter, left.pop(0)) if left else _made(parameter)
        if isinstance(wanted, type) and wanted not in _BUILTIN and cast_for(wanted) is None:
            return _made(parameter)
        if left:
            return self._from_route(route, parameter, left.pop(0))
        if parameter.default is not _ABSENT:
            return _constant(parameter.default)
        raise RouteActionError(
            f"the action {route.action.label} of route {route.uri!r} asks for "
            f"{parameter.name!r}, which is neither a parameter of the route nor annotated with a "
            "class: rename it, annotate it or give it a default"
        )

    def _from_route(self, route: Served, parameter: _Parameter, name: str) -> Fetch:
        default = None if parameter.default is _ABSENT else parameter.default
        wanted = parameter.wanted
        if name not in self.binders and _is_model(wanted):
            self.binders[name] = model_binder(wanted, route.field(name))
        if name in self.binders:
            return _bound(route.bound, name, default)
        cast = cast_for(wanted)
        return _plain(name, default) if cast is None else _casted(name, cast, default)


class _Parameter(NamedTuple):
    name: str
    kind: Any
    annotation: Any
    default: Any

    @property
    def wanted(self) -> Any:
        return without_none(self.annotation)


def _parameters(fn: Callable[..., Any], is_method: bool) -> list[_Parameter]:
    try:
        found = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return []  # a built-in without a signature takes nothing we could name
    hints = _hints(fn)
    empty = inspect.Parameter.empty
    return [
        _Parameter(
            p.name,
            p.kind,
            hints.get(p.name, None if p.annotation is empty else p.annotation),
            _ABSENT if p.default is empty else p.default,
        )
        for p in (found[1:] if is_method else found)
    ]


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    inner = getattr(fn, "func", fn)
    target = inner if inspect.isroutine(inner) else type(inner).__call__
    try:
        return typing.get_type_hints(target)
    except Exception:
        # One annotation that cannot be evaluated (a name for type checkers only) must not cost
        # the others their meaning.
        return _hints_one_by_one(target)


def _hints_one_by_one(fn: Any) -> dict[str, Any]:
    names = getattr(inspect.unwrap(fn), "__globals__", {})
    hints = {}
    for name, annotation in getattr(fn, "__annotations__", {}).items():
        try:
            text = isinstance(annotation, str)
            hints[name] = eval(annotation, names) if text else annotation  # noqa: S307  # own code
        except Exception:
            hints[name] = None
    return hints


def _is_request(parameter: _Parameter) -> bool:
    wanted = parameter.wanted
    if isinstance(wanted, type) and issubclass(wanted, Request):
        return True
    return parameter.name == "request" and not isinstance(wanted, type)


def _is_model(wanted: Any) -> bool:
    return isinstance(wanted, type) and callable(getattr(wanted, "resolve_route_binding", None))


def model_binder(cls: Any, field: str | None) -> Binder:
    """Finds the model of class *cls* for a segment; BindingNotFound (404) if there is none."""

    def bind(value: str) -> Any:
        found = cls.resolve_route_binding(value, field)
        if found is None:
            raise BindingNotFound(cls, [value])
        return found

    return bind


# --- where a value comes from ---------------------------------------------------------------------


def _the_request(request: Request, params: dict[str, Any], make: Make) -> Any:
    return request


def _constant(value: Any) -> Fetch:
    return lambda request, params, make: value


def _made(parameter: _Parameter) -> Fetch:
    wanted, default = parameter.wanted, parameter.default
    if default is _ABSENT:
        return lambda request, params, make: make(wanted)

    def fetch(request: Request, params: dict[str, Any], make: Make) -> Any:
        try:
            return make(wanted)
        except ContainerError:
            return default

    return fetch


def _plain(name: str, default: Any) -> Fetch:
    return lambda request, params, make: params.get(name, default)


def _rest(names: tuple[str, ...]) -> Fetch:
    return lambda request, params, make: {n: params[n] for n in names if n in params}


def _casted(name: str, cast: Cast, default: Any) -> Fetch:
    def fetch(request: Request, params: dict[str, Any], make: Make) -> Any:
        value = params.get(name)
        if value is None:
            return default
        try:
            return cast(value) if isinstance(value, str) else value
        except ValueError:
            raise not_found(request) from None

    return fetch


def _bound(bound: Callable[[Request, str], Any], name: str, default: Any) -> Fetch:
    def fetch(request: Request, params: Mapping[str, Any], make: Make) -> Any:
        return bound(request, name) if params.get(name) is not None else default

    return fetch


class NoSuchRoute(NotFoundException):
    """404: no route serves the path."""

    is_technical = True


def not_found(request: Request) -> NotFoundException:
    """The 404 for a path that no route serves."""
    return NoSuchRoute(f"The route {request.path()} could not be found.")
