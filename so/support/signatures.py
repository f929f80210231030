"""Reading signatures: what a callable's parameters are and which class each asks for."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Union

Parameters = list[tuple[inspect.Parameter, Any]]
BUILT_IN = frozenset(
    [str, int, float, bool, bytes, list, dict, tuple, set, frozenset, complex, object]
)
_PLAIN = frozenset(
    [list, dict, tuple, set, frozenset, type]
    + [getattr(collections.abc, name) for name in collections.abc.__all__]
)


_MOST = 10_000  # signatures kept; lambdas made over and over must not pile up
_read_before: dict[Any, Parameters] = {}


def parameters(target: Any) -> Parameters:
    """The parameters of a class's constructor or of a callable, each with its annotation."""
    is_class = isinstance(target, type)
    if not is_class and not inspect.isroutine(target):
        return _read(target, drop_self=False)
    key = (getattr(target, "__func__", target), inspect.ismethod(target))
    found = _read_before.get(key)
    if found is None:
        found = _of_constructor(target) if is_class else _read(target, drop_self=False)
        if len(_read_before) > _MOST:
            _read_before.clear()
        _read_before[key] = found
    return found


def _of_constructor(cls: Any) -> Parameters:
    if cls.__init__ is not object.__init__:
        return _read(cls.__init__, drop_self=True)
    return [] if cls.__new__ is object.__new__ else _read(cls.__new__, drop_self=True)


def _read(source: Any, *, drop_self: bool) -> Parameters:
    try:
        found = list(inspect.signature(source).parameters.values())
    except (ValueError, TypeError):
        return []  # built in C without a signature: call it without arguments
    if drop_self:
        found = found[1:]
    source = _written(source)
    hinted = source if inspect.isroutine(source) else getattr(source, "__call__", source)  # noqa: B004
    try:
        hints = typing.get_type_hints(hinted)
    except Exception:
        hints = {p.name: _local_hint(source, p.annotation) for p in found}
    return [(p, hints.get(p.name, p.annotation)) for p in found]


def _written(source: Any) -> Any:
    """The function as it was written, inside any `functools.partial`."""
    while isinstance(source, functools.partial):
        source = source.func
    return source


def _local_hint(source: Any, annotation: Any) -> Any:
    """An annotation one by one, where another of the same signature cannot be evaluated."""
    if not isinstance(annotation, str):
        return annotation
    fn = inspect.unwrap(getattr(source, "__func__", source))
    namespace = {**getattr(fn, "__globals__", {}), **_closure(fn)}
    try:
        return eval(annotation, namespace, _Siblings(fn))  # noqa: S307  # the code's own annotation
    except Exception:
        return annotation


class _Siblings(dict[str, Any]):
    """Classes defined in the same function as *fn*'s class: no module knows them by name."""

    def __init__(self, fn: Any) -> None:
        super().__init__()
        head, local, _ = getattr(fn, "__qualname__", "").rpartition("<locals>.")
        self._place = (getattr(fn, "__module__", None), head + local)

    def __missing__(self, name: str) -> Any:
        module, place = self._place
        for cls in classes_named(name) if place else ():
            if cls.__module__ == module and cls.__qualname__ == place + name:
                return cls
        raise KeyError(name)


def _closure(fn: Any) -> dict[str, Any]:
    cells = getattr(fn, "__closure__", None) or ()
    names = fn.__code__.co_freevars if cells else ()
    return {n: c.cell_contents for n, c in zip(names, cells, strict=True)}


def class_of(hint: Any) -> tuple[Any, bool]:
    """The class or name that *hint* asks for (None if it is no such thing), and if None will do."""
    if hint is inspect.Parameter.empty or hint is Any or hint is None:
        return None, False
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return class_of(typing.get_args(hint)[0])
    if origin in (Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        nullable = len(parts) < len(typing.get_args(hint))
        found = [cls for part in parts if (cls := class_of(part)[0]) is not None]
        return (found[0] if found else None), nullable
    if origin is not None:
        return (origin if isinstance(origin, type) and origin not in _PLAIN else None), False
    if isinstance(hint, type) and hint not in BUILT_IN and hint is not type(None):
        return hint, False
    return (hint, False) if isinstance(hint, str) and hint.isidentifier() else (None, False)


def arity(fn: Callable[..., Any]) -> int:
    """How many positional arguments *fn* takes."""
    count = 0
    for parameter, _ in parameters(fn):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return sys.maxsize
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            count += 1
    return count


def demanded(fn: Callable[..., Any]) -> int:
    """How many positional arguments *fn* demands; one with a default is its author's own."""
    return sum(
        one.default is one.empty
        for one, _ in parameters(fn)
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    )


def call_with(fn: Callable[..., Any], *values: Any) -> Any:
    """fn with as many of *values* as it takes."""
    try:
        inspect.signature(fn).bind(*values)
    except TypeError:
        return call_with(fn, *values[:-1]) if values else fn()
    except ValueError:  # a builtin without a signature
        pass
    return fn(*values)


def class_of_method(fn: types.FunctionType) -> type | None:
    """The class whose body *fn* was defined in; None for a plain function."""
    path = fn.__qualname__.rpartition(".")[0]
    if not path or path.endswith("<locals>"):
        return None
    if "<locals>" not in path:
        found: Any = sys.modules.get(fn.__module__)
        for part in path.split("."):
            found = getattr(found, part, None)
        return found if isinstance(found, type) else None
    name = path.rpartition(".")[2]  # a class inside a function: no module knows it by name
    return next((cls for cls in classes_named(name) if vars(cls).get(fn.__name__) is fn), None)


def classes_named(name: str) -> Iterator[type]:
    """Every class of that name there is, the newest of several first where that can be told."""
    todo: list[type] = [object]
    while todo:
        cls = todo.pop()
        if cls.__name__ == name:
            yield cls
        todo.extend(type.__subclasses__(cls))
