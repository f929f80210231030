"""Who is acting, in which batch, and whether it is logged: for a block, never for the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from so.support.current import current
from so.support.ids import uuid
from so.support.scope import UNSET, current_scope

_causer: ContextVar[Any] = ContextVar("so_activity_causer", default=UNSET)
_batch: ContextVar[str | None] = ContextVar("so_activity_batch", default=None)
_silent: ContextVar[bool] = ContextVar("so_activity_silent", default=False)
_unaudited: ContextVar[bool] = ContextVar("so_activity_unaudited", default=False)


@contextmanager
def causer(who: Any) -> Iterator[Any]:
    """Let *who* (a model, 'system:x' or None for nobody) cause what is logged in the block."""
    token = _causer.set(who)
    scope = current_scope()
    before = scope.causer if scope is not None else UNSET
    if scope is not None:
        scope.causer = who  # jobs dispatched here carry it on
    try:
        yield who
    finally:
        _causer.reset(token)
        if scope is not None:
            scope.causer = before


def current_causer() -> Any:
    """Who is acting: the block's causer, the scope's, the scope's user; None for nobody."""
    who = _causer.get()
    if who is not UNSET:
        return who
    scope = current_scope()
    if scope is None:
        return None
    return scope.user if scope.causer is UNSET else scope.causer


@contextmanager
def activity_batch() -> Iterator[str]:
    """Give the rows written in the block one batch id; inside another batch, the outer one's."""
    found = current_batch()
    if found is not None:
        yield found
        return
    made = uuid()
    token = _batch.set(made)
    scope = current_scope()
    if scope is not None:
        scope.batch = made  # jobs dispatched here belong to it as well
    try:
        yield made
    finally:
        _batch.reset(token)
        if scope is not None:
            scope.batch = None


def current_batch() -> str | None:
    """The batch id rows are written with; None outside a batch."""
    scope = current_scope()
    return _batch.get() or (scope.batch if scope is not None else None)


@contextmanager
def without_activity() -> Iterator[None]:
    """Log nothing in the block."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def unaudited(reason: str) -> Iterator[None]:
    """Write past the log in the block, on purpose; that this was done, and why, is logged."""
    if not reason or not reason.strip():
        raise ValueError("unaudited() needs a reason: it is what the trail will show")
    log = current("activity")
    if log.is_on:
        log.certify("unaudited", f"Unaudited changes: {reason}", {"reason": reason})
    token = _unaudited.set(True)
    try:
        yield
    finally:
        _unaudited.reset(token)


def is_silent() -> bool:
    """True inside `without_activity`."""
    return _silent.get()


def is_unaudited() -> bool:
    """True inside `unaudited` or `without_activity`: models write nothing by themselves."""
    return _unaudited.get() or _silent.get()
