"""Which application runs here, for classes that are written before it does.

A model asks `current("db")`, a job `current("queue")`: what the application's container makes of
that name. Two things are ambient in this framework: this, and the Scope (scope.py), which is who
and what runs now. Several applications may live in one process, each in its own context; the last
one that was entered serves threads that are new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# Nothing here knows the class Application: it has `make(name)` and `dotenv`.
running: ContextVar[Any] = ContextVar("so_application", default=None)
defaults: list[Any] = []  # entered applications; the last one serves new threads
_provided: dict[str, Callable[[], Any]] = {}


def current_application() -> Any:
    """The running application; raises RuntimeError that says how to start one."""
    found = _running()
    if found is None:
        raise RuntimeError(
            "no application is running: use `with Application(path):`, or set_current(app) in tests"
        )
    return found


def set_current(app: Any) -> None:
    """Make *app* the current application here and for new threads; None for none at all."""
    defaults[:] = [] if app is None else [app]
    running.set(app)


def current(name: str) -> Any:
    """What the running application provides under *name*; raises RuntimeError without one."""
    if (find := _provided.get(name)) is not None:
        return find()
    found = _running()
    if found is None:
        raise RuntimeError(
            f"no {name} is running: start an application with `with Application(path):`, "
            f"or provide one with so.support.current.provide({name!r}, …)"
        )
    return found.make(name)


def made(cls: type) -> Any:
    """An object of *cls*, made by the running application's container where one is running."""
    found = _running()
    return cls() if found is None else found.make(cls)


def dotenv() -> Mapping[str, str]:
    """What `.env` of the running application says; nothing without one."""
    found = _running()
    return {} if found is None else found.dotenv


def provide(name: str, find: Callable[[], Any] | None) -> None:
    """Let `current(name)` answer with what *find* gives, in a script; None takes that back."""
    if find is None:
        _provided.pop(name, None)
    else:
        _provided[name] = find


@contextmanager
def replaced(name: str, value: Any) -> Iterator[Any]:
    """Let `current(name)` give *value* for the block: how tests put a fake in the place."""
    before = _provided.get(name)
    provide(name, lambda: value)
    try:
        yield value
    finally:
        provide(name, before)


def _running() -> Any:
    return running.get() or (defaults[-1] if defaults else None)
