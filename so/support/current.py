"""The system that the running application provides, for classes that are written before it runs.

A model finds its database here, a job its queue, a notifiable its notifications. The application
says how each is found; without one, asking raises an error that tells how to start one. This is
a table of functions, not of objects: several applications may live in one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_providers: dict[str, Callable[[], Any]] = {}


def provide(name: str, find: Callable[[], Any]) -> None:
    """Let `current(name)` answer with what *find* gives; a later call replaces an earlier one."""
    _providers[name] = find


def current(name: str) -> Any:
    """What the running application provides under *name*; raises RuntimeError without one."""
    find = _providers.get(name)
    if find is None:
        raise RuntimeError(
            f"no {name} is running: start an application with `with Application(path):`, "
            f"or provide one with so.support.current.provide({name!r}, …)"
        )
    return find()


@contextmanager
def replaced(name: str, value: Any) -> Iterator[Any]:
    """Let `current(name)` give *value* for the block: how tests put a fake in the place."""
    before = _providers.get(name)
    _providers[name] = lambda: value
    try:
        yield value
    finally:
        if before is None:
            del _providers[name]
        else:
            _providers[name] = before
