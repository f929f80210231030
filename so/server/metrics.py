"""Counters of the server: kept by each worker, summed by the master, read by every worker.

A worker counts in a plain list and sends it with its heartbeat. The master adds up the living and
the dead, and writes the sums into memory it shares with all workers, so that any of them can answer
for the whole server, some second late. Text for Prometheus is made in so/server/pages.py.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterable

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# Sums over all workers and their predecessors.
COUNTERS = (
    "requests_2xx",
    "requests_3xx",
    "requests_4xx",
    "requests_5xx",
    "refused_requests",
    "overload_answers",
    "timeouts",
    "connections_accepted",
    "bytes_sent",
    "request_seconds",
    *(f"le_{bound}" for bound in BUCKETS),
)
# As they are now; a dead worker leaves nothing.
GAUGES = ("connections", "busy_threads", "waiting_requests")
# The master's own.
MASTER = ("workers", "worker_exits", "worker_hangs", "reloads", "started_at")

INDEX = {name: place for place, name in enumerate(COUNTERS)}
REFUSED, OVERLOAD = INDEX["refused_requests"], INDEX["overload_answers"]
TIMEOUTS, ACCEPTED = INDEX["timeouts"], INDEX["connections_accepted"]
BYTES, SECONDS, FIRST_BUCKET = INDEX["bytes_sent"], INDEX["request_seconds"], INDEX["le_0.005"]

_NAMES = (*COUNTERS, *GAUGES, *MASTER)
_CELL_BYTES = 8


class Board:
    """The shared memory: written by the master alone, read by all."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, len(_NAMES) * _CELL_BYTES)
        self._cells = memoryview(self._memory).cast("d")

    def write(self, values: Iterable[float]) -> None:
        """Publish *values*, in the order of the names."""
        for place, value in enumerate(values):
            self._cells[place] = value

    def read(self) -> dict[str, float]:
        """All values by name."""
        return dict(zip(_NAMES, self._cells, strict=True))


class Tally:
    """The master's sums."""

    def __init__(self, board: Board) -> None:
        """Publishes on *board*."""
        self._board = board
        self._past = [0.0] * len(COUNTERS)
        self._now: dict[int, list[float]] = {}
        self.reloads = self._exits = self._hangs = 0
        self._started_at = time.time()

    def heard(self, pid: int, values: list[float]) -> None:
        """A worker sent its counters and gauges."""
        self._now[pid] = values

    def exited(self, pid: int, *, hung: bool) -> None:
        """A worker is gone; what it counted stays."""
        self._exits += 1
        self._hangs += hung
        for place, value in enumerate(self._now.pop(pid, [])[: len(COUNTERS)]):
            self._past[place] += value

    def reloaded(self) -> None:
        """A reload was asked for."""
        self.reloads += 1

    def publish(self, workers: int) -> None:
        """Write the sums to the board."""
        columns = list(zip(*self._now.values(), strict=True)) or [()] * (
            len(COUNTERS) + len(GAUGES)
        )
        sums = [sum(column) for column in columns]
        for place, value in enumerate(self._past):
            sums[place] += value
        own = [workers, self._exits, self._hangs, self.reloads, self._started_at]
        self._board.write([*sums, *own])


def note(counts: list[float], code: int, sent: int, seconds: float) -> None:
    """Add one answered request to *counts* of a worker."""
    counts[code // 100 - 2] += 1
    counts[BYTES] += sent
    counts[SECONDS] += seconds
    # The narrowest bucket; what is slower than all is in the total only.
    for place, bound in enumerate(BUCKETS, FIRST_BUCKET):
        if seconds <= bound:
            counts[place] += 1
            return
