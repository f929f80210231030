"""Methods that differ from another one by a fixed option: `or_where_in` is `where_in` with "or"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def twin(method: Callable[P, R], **fixed: Any) -> Callable[P, R]:
    """*method* with some options fixed, found by name, so that a subclass's own is called."""
    base = method.__name__

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        query, *rest = args
        found: R = getattr(query, base)(*rest, **kwargs, **fixed)
        return found

    options = " and ".join(f"{name.rstrip('_')} {value!r}" for name, value in fixed.items())
    call.__name__ = base
    call.__qualname__ = method.__qualname__
    call.__doc__ = f"`{base}()` with {options}."
    return call
