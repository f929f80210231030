"""Batches: many jobs with one name, exact counters, and jobs that follow when they are through.

A member's end and the counters change in one transaction, and the callbacks are jobs inserted in
the transaction that reaches zero: a crash can neither lose them nor send them twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from so.systems.queue.tables.bundle import Tables


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@dataclass
class Batch:
    """A batch as it was when it was read; `fresh()` reads it again."""

    tables: Tables = field(repr=False)
    add_members: Callable[[str, list[Any]], None] = field(repr=False)
    id: str
    name: str
    total_jobs: int
    pending_jobs: int
    """Members that have not succeeded: those that failed are still among them."""
    failed_jobs: int
    options: dict[str, Any]
    cancelled_at: datetime | None
    created_at: datetime | None
    finished_at: datetime | None

    @property
    def remaining_jobs(self) -> int:
        """Members that have not ended, well or badly; those behind a failed link have."""
        held_up = int(self.options.get("heldUp", 0))
        return max(0, self.pending_jobs - self.failed_jobs - held_up)

    @property
    def processed_jobs(self) -> int:
        """Members that have succeeded, or were taken back (see `dropped_jobs`)."""
        return self.total_jobs - self.pending_jobs

    @property
    def dropped_jobs(self) -> int:
        """Members that never ran because they, the queue or the batch were cancelled."""
        return int(self.options.get("dropped", 0))

    @property
    def progress(self) -> int:
        """How much of it has ended, 0 to 100; a failed member has ended too."""
        if not self.total_jobs:
            return 100
        return (self.total_jobs - self.remaining_jobs) * 100 // self.total_jobs

    @property
    def finished(self) -> bool:
        """Whether every member has ended."""
        return self.finished_at is not None

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, by hand or by its first failure."""
        return self.cancelled_at is not None

    @property
    def has_failures(self) -> bool:
        """Whether a member has failed."""
        return self.failed_jobs > 0

    @property
    def allows_failures(self) -> bool:
        """Whether the others go on after a failure."""
        return bool(self.options.get("allowFailures"))

    @property
    def failed_job_ids(self) -> list[str]:
        """The uuids of the members that failed, as they stand in failed_jobs."""
        return self.tables.batches.failed_ids(self.tables.source.connection(), self.id)

    def fresh(self) -> Batch | None:
        """The batch as it is now."""
        return find(self.tables, self.add_members, self.id)

    def cancel(self) -> None:
        """Let no further member start; those that run go on unless they ask."""
        self.tables.batches.cancel(
            self.tables.source.connection(), self.id, self.tables.clock.time()
        )
        self.cancelled_at = self.cancelled_at or self.tables.clock.now()

    def add(self, jobs: Iterable[Any]) -> Batch:
        """Add *jobs* from within a member; the batch as it then is.

        Raises QueueError when the batch has ended: what follows it would not wait for them.
        """
        self.add_members(self.id, list(jobs))
        return self.fresh() or self

    def delete(self) -> None:
        """Forget the batch; its jobs stay."""
        self.tables.batches.delete(self.tables.source.connection(), [self.id])

    def to_dict(self) -> dict[str, Any]:
        """What a page shows of it."""
        return {
            "id": self.id,
            "name": self.name,
            "total_jobs": self.total_jobs,
            "pending_jobs": self.pending_jobs,
            "remaining_jobs": self.remaining_jobs,
            "processed_jobs": self.processed_jobs,
            "failed_jobs": self.failed_jobs,
            "dropped_jobs": self.dropped_jobs,
            "progress": self.progress,
            "created_at": self.created_at,
            "cancelled_at": self.cancelled_at,
            "finished_at": self.finished_at,
        }


def find(
    tables: Tables, add_members: Callable[[str, list[Any]], None], batch_id: str
) -> Batch | None:
    """The batch *batch_id* in *tables*; *add_members* is what its `add` comes down to."""
    row = tables.batches.row(tables.source.connection(), batch_id)
    if row is None:
        return None
    return Batch(
        tables,
        add_members,
        str(row[0]),
        str(row[1]),
        int(row[2]),
        int(row[3]),
        int(row[4]),
        json.loads(row[5] or "{}"),
        _moment(row[6]),
        _moment(row[7]),
        _moment(row[8]),
    )
