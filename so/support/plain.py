"""Functions that have done their work once they return: `async def` and generators have not.

Who keeps such a function for later asks here first. It would be called, only a coroutine or a
generator would come of it, and nobody would hear that nothing was done: a rule that lets everything
pass, a transaction without a statement in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import CodeType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_LAZY = 0x20 | 0x80 | 0x200  # inspect's CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR

MEND = (
    "would only be prepared, never run: make it a plain function, with asyncio.run(…) around what "
    "is to be awaited and a loop for what is yielded"
)


def is_lazy(fn: Any) -> bool:
    """True for a function, method, partial or object whose call does nothing by itself yet."""
    while isinstance(fn, partial):
        fn = fn.func
    code = getattr(fn, "__code__", None)  # a method shows its function's
    if code is None and callable(fn) and not isinstance(fn, type):
        code = getattr(type(fn).__call__, "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & _LAZY)


def plain(fn: F, what: str) -> F:
    """*fn* itself; TypeError where calling *what* (as the error names it) would run nothing."""
    if is_lazy(fn):
        raise TypeError(f"{what} {getattr(fn, '__qualname__', repr(fn))} {MEND}")
    return fn
