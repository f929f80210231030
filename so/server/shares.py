"""Which worker of a server takes a new connection: one that holds no more than the others.

The system wakes whoever waits for the listener, so that a burst of clients may end up with one
worker while the others stand idle. Therefore each worker writes down, in memory that all share, how
many connections it holds; one that holds clearly more than another rings that one's bell and leaves
the newcomers alone for a moment. A worker that does not hear costs a few of them this moment.
"""

from __future__ import annotations

import contextlib
import mmap
import os

# How long a ringing worker leaves the newcomers to the other one. Who has rung so often in vain,
# one newcomer each, expects nothing of that one for so long.
COURTESY_SECONDS = 0.005
VAIN_RINGS = 5
DEAF_SECONDS = 1.0
_CELL_BYTES = 4


class Shares:
    """The counts and the bells of all workers; made by the master, before it forks."""

    def __init__(self, workers: int) -> None:
        """For *workers* places."""
        self.counts = memoryview(mmap.mmap(-1, workers * _CELL_BYTES)).cast("I")
        self.bells = [_pipe() for _ in range(workers)] if workers > 1 else []

    def seat(self, place: int) -> Seat:
        """The view of the worker in *place*."""
        return Seat(self, place)


class Seat:
    """One worker's own count and bell, and its look at the others'."""

    def __init__(self, shares: Shares, place: int) -> None:
        """In the worker's process; a predecessor in the same place may still be leaving."""
        self._counts, self._bells = shares.counts, shares.bells
        self._place = place
        self._others = [other for other in range(len(self._bells)) if other != place]
        self._deaf_until = dict.fromkeys(self._others, 0.0)
        self._vain = dict.fromkeys(self._others, 0)
        # Whom it has rung, with its count at that moment.
        self._rung: tuple[int, int] | None = None
        self._has_left = False
        self.hold(0)

    @property
    def has_bell(self) -> bool:
        """False for a worker without others."""
        return bool(self._bells)

    def fileno(self) -> int:
        """The descriptor of the bell, to watch for input."""
        return self._bells[self._place][0]

    def drain(self) -> None:
        """Take what has rung."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._bells[self._place][0], 4096)

    def hold(self, count: int) -> None:
        """Say that this worker holds *count* connections."""
        if not self._has_left:
            self._counts[self._place] = count

    def leave(self) -> None:
        """Count no more: the place is a successor's."""
        self._has_left = True

    def gives_way(self, now: float) -> bool:
        """Whether another worker should take the next connection; it has been rung then."""
        if self._rung is not None and self._was_in_vain(*self._rung, now):
            return False
        mine = self._counts[self._place]
        if mine < 2:
            return False
        for place in self._others:
            theirs = self._counts[place]
            if mine > theirs + 1 + theirs // 8 and now >= self._deaf_until[place]:
                self._rung = place, theirs
                with contextlib.suppress(BlockingIOError):
                    os.write(self._bells[place][1], b"\0")
                return True
        return False

    def _was_in_vain(self, place: int, before: int, now: float) -> bool:
        self._rung = None
        if self._counts[place] != before:
            self._vain[place] = 0
            return False
        self._vain[place] += 1
        if self._vain[place] >= VAIN_RINGS:
            self._vain[place] = 0
            self._deaf_until[place] = now + DEAF_SECONDS
        return True


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends
