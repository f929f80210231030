"""Who is acting, in which batch, and whether it is logged: for a block, never for the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from so.support.current import current
from so.support.ids import uuid
from so.support.scope import (
    UNSET,
    batch_said,
    causer_said,
    current_scope,
    said,
    saying,
)  # fmt: skip


@contextmanager
def causer(who: Any) -> Iterator[Any]:
    """Let *who* (a model, 'system:x' or None for nobody) cause what is logged in the block.

    Jobs dispatched in it carry it on.
    """
    scope = current_scope()
    before = scope.causer if scope is not None else UNSET
    if scope is not None:
        scope.causer = who
    try:
        with saying(causer=(scope, who)):
            yield who
    finally:
        if scope is not None:
            scope.causer = before


def current_causer() -> Any:
    """Who is acting: the block's causer, the scope's, the scope's user; None for nobody."""
    who, scope = causer_said(), current_scope()
    if who is not UNSET:
        return who
    return scope.user if scope is not None else None


@contextmanager
def activity_batch() -> Iterator[str]:
    """Give the rows written in the block one batch id; inside another batch, the outer one's.

    Jobs dispatched in it belong to it as well.
    """
    found = current_batch()
    if found is not None:
        yield found
        return
    made, scope = uuid(), current_scope()
    if scope is not None:
        scope.batch = made
    try:
        with saying(batch=(scope, made)):
            yield made
    finally:
        if scope is not None:
            scope.batch = None


current_batch = batch_said


@contextmanager
def without_activity() -> Iterator[None]:
    """Log nothing in the block; that this was done, and how often, is one entry, if it mattered."""
    if is_silent():
        yield
        return
    count = [0]
    try:
        with saying(silenced=count):
            yield
    finally:
        if count[0]:
            current("activity").note_silence(count[0])


@contextmanager
def unaudited(reason: str) -> Iterator[None]:
    """Write past the log in the block, on purpose; that this was done, and why, is logged."""
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError("unaudited() needs a reason: it is what the trail will show")
    log = current("activity")
    if log.is_on:
        log.certify("unaudited", f"Unaudited changes: {reason}", {"reason": reason})
    with saying(is_unaudited=True):
        yield


def is_silent() -> bool:
    """True inside `without_activity`."""
    return said().silenced is not None


def note_silenced() -> None:
    """Count what is not logged because of `without_activity`."""
    count = said().silenced
    if count is not None:
        count[0] += 1


def is_unaudited() -> bool:
    """True inside `unaudited`: models write nothing by themselves."""
    return said().is_unaudited
