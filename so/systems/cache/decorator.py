"""`@cached`: a function whose results are kept."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from so.systems.cache.cache import Cache, Ttl

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

LONGEST_ARGUMENTS = 1000  # characters of a call that stand in its key


class Cached(Protocol[P, R]):
    """A function whose results are kept, as type checkers see it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What it gave for these arguments before, or gives now."""

    def __get__(self, instance: Any, owner: Any = None) -> Callable[..., R]:
        """A method of *instance*."""

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove what is kept for these arguments; False if there was nothing."""


def cached(
    ttl: Ttl, key: str | None = None, *, cache: Callable[[], Cache]
) -> Callable[[Callable[P, R]], Cached[P, R]]:
    """Decorator: keep a function's results for *ttl*, one entry for each set of arguments.

    *key* names the function (its module and name without). The decorated function has
    `forget(*args)`, which removes one result.
    """

    def decorate(fn: Callable[..., Any]) -> Any:
        base = key or f"{fn.__module__}.{fn.__qualname__}"
        signature = inspect.signature(fn)

        def name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
            # However an argument is given, it is the same call.
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = [list(bound.args), dict(sorted(bound.kwargs.items()))]
            text = cache().codec.encode(given)
            if len(text) > LONGEST_ARGUMENTS:
                text = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            return f"{base}:{text}"

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            return cache().remember(name(args, kwargs), ttl, lambda: fn(*args, **kwargs))

        def forget(*args: Any, **kwargs: Any) -> bool:
            return cache().forget(name(args, kwargs))

        call.forget = forget  # type: ignore[attr-defined]
        return call

    return decorate
