"""How far a long work is, told to whoever asked: a command draws it, everybody else hears nothing.

Whoever does the work says how much is done; it is counted beforehand only if somebody listens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], object]
"""Is told how far a work is: done, of how many."""

_listening: ContextVar[Listener | None] = ContextVar("progress", default=None)


@contextmanager
def heard(by: Listener | None) -> Iterator[None]:
    """Tell *by* of the work that is done in this block; None: nobody, of what is a part of more."""
    token = _listening.set(by)
    try:
        yield
    finally:
        _listening.reset(token)


def steps(total: Callable[[], int]) -> Callable[[int], None]:
    """A function to be told how many more are done; *total* says of how many, if anybody asks."""
    listener = _listening.get()
    if listener is None:
        return lambda count: None
    done, most = 0, total()
    if most:
        listener(0, most)

    def step(count: int) -> None:
        nonlocal done
        done += count
        listener(done, max(done, most))  # more may have come meanwhile

    return step
