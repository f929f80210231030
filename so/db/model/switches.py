"""Switches of a context: what is turned on for a block of code, or while a function runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

_unguarded: ContextVar[bool] = ContextVar("so_model_unguarded", default=False)
_timeless: ContextVar[bool] = ContextVar("so_model_timeless", default=False)


def is_unguarded() -> bool:
    """Is mass assignment open to every column in this context?"""
    return _unguarded.get()


def is_timeless() -> bool:
    """Are timestamps left alone in this context?"""
    return _timeless.get()


@contextmanager
def timeless() -> Iterator[None]:
    """Leave `created_at` and `updated_at` alone for a block."""
    token = _timeless.set(True)
    try:
        yield
    finally:
        _timeless.reset(token)


@contextmanager
def unguarded() -> Iterator[None]:
    """Open mass assignment to every column for a block."""
    token = _unguarded.set(True)
    try:
        yield
    finally:
        _unguarded.reset(token)


def within(block: AbstractContextManager[None], fn: Callable[[], Any] | None) -> Any:
    """What fn() gives within *block*; without *fn* the block itself, for a `with`."""
    if fn is None:
        return block
    with block:
        return fn()
