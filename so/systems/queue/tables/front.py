"""Where the due jobs of each queue begin, on InnoDB: found in the index, past what is dead.

While any snapshot is open (a report, a dump), InnoDB keeps the index entries of finished jobs, and
whoever starts at the front of a queue walks over all of them: 50,000 take about 50 ms. So a mark
is kept just before the first job found last time. What was committed late, behind the mark, is
found by starting at the front again: as often as somebody asks while that is cheap, and for at most
a fiftieth of the time when it is not. Whoever takes a queue for empty and ends asks
`was_left_out()` first.
"""

from __future__ import annotations

import time
from typing import Any

Row = tuple[int, int]

# The queue by >= and <=: after an = the optimizer at times looks it up by name alone and walks from
# the front all the same (seen on MariaDB 10.11, whenever the statistics had just been renewed).
_FIND = (
    "select id, available_at from jobs force index (jobs_due_index) "
    "where queue >= ? and queue <= ? and available_at <= ? "
)
_AFTER = "and (available_at > ? or (available_at = ? and id > ?)) "
_ORDER = "order by queue, available_at, id limit "
# A look at the front that takes this many seconds is a walk: rest so many times as long after it.
_WALK = 0.002
_REST = 50
# An empty queue may still get jobs that are this many seconds old: they were on their way.
_SLACK = 2


class Front:
    """The marks of one process; see the module."""

    def __init__(self) -> None:
        self._marks: dict[str, Row] = {}
        self._again: dict[str, float] = {}
        self._unseen: set[str] = set()

    def find(self, conn: Any, queue: str, count: int, now: int) -> list[Row]:
        """The first jobs of *queue* due at *now*: up to *count* pairs of id and available_at."""
        limit = str(int(count))
        mark = self._marks.get(queue)
        rows: list[Row] = []
        if mark is not None:
            bindings = (queue, queue, now, mark[0], *mark)
            rows = conn.run(_FIND + _AFTER + _ORDER + limit, bindings).rows
        if not rows:
            if time.monotonic() >= self._again.get(queue, 0.0):
                rows = self._from_front(conn, queue, now, limit)
            else:
                self._unseen.add(queue)
        if rows:
            self._marks[queue] = (rows[0][1], rows[0][0] - 1)
        else:
            self._marks[queue] = max(mark or (0, 0), (now - _SLACK, 0))
        return rows

    def _from_front(self, conn: Any, queue: str, now: int, limit: str) -> list[Row]:
        self._unseen.discard(queue)
        begun = time.monotonic()
        rows: list[Row] = conn.run(_FIND + _ORDER + limit, (queue, queue, now)).rows
        ended = time.monotonic()
        took = ended - begun
        self._again[queue] = ended + (_REST * took if took >= _WALK else 0.0)
        return rows

    def include(self, queue: str, available_at: int, job_id: int) -> None:
        """Note that this job waits (again), be it behind the mark."""
        mark = self._marks.get(queue)
        if mark is not None and (available_at, job_id) <= mark:
            self._marks[queue] = (available_at, job_id - 1)

    def forget(self) -> None:
        """Start at the front again, where that has been found to be cheap enough."""
        now = time.monotonic()
        for queue in list(self._marks):
            if now >= self._again.get(queue, 0.0):
                del self._marks[queue]

    def was_left_out(self) -> bool:
        """Whether a queue was found empty without a look at its front; the next look has one."""
        unseen, self._unseen = self._unseen, set()
        for queue in unseen:
            self._marks.pop(queue, None)
            self._again.pop(queue, None)
        return bool(unseen)
