"""Batches: many jobs with one name, exact counters, and jobs that follow when they are through.

A member's end and the counters change in one transaction, and the callbacks are jobs inserted in
the transaction that reaches zero: a crash can neither lose them nor send them twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from so.systems.queue.job import Job, as_job, checked
from so.systems.queue.pending import PendingChain

if TYPE_CHECKING:
    from so.systems.queue.queue import Queue

Work = Job | Callable[..., Any]


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@dataclass
class Batch:
    """A batch as it was when it was read; `fresh()` reads it again."""

    queue: Queue = field(repr=False)
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
        return self.queue.batches.failed_ids(self.queue.source.connection(), self.id)

    def fresh(self) -> Batch | None:
        """The batch as it is now."""
        return self.queue.find_batch(self.id)

    def cancel(self) -> None:
        """Let no further member start; those that run go on unless they ask."""
        self.queue.batches.cancel(self.queue.source.connection(), self.id, self.queue.clock.time())
        self.cancelled_at = self.cancelled_at or self.queue.clock.now()

    def add(self, jobs: Iterable[Any]) -> Batch:
        """Add *jobs* from within a member; the batch as it then is.

        Raises QueueError when the batch has ended: what follows it would not wait for them.
        """
        self.queue.add_to_batch(self.id, list(jobs))
        return self.fresh() or self

    def delete(self) -> None:
        """Forget the batch; its jobs stay."""
        self.queue.batches.delete(self.queue.source.connection(), [self.id])

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


Member = Job | PendingChain


def members_of(queue: Queue, jobs: Iterable[Any]) -> list[Member]:
    """*jobs* as a batch has them, lists as chains; QueueError for what is none."""
    members: list[Member] = []
    for work in jobs:
        if isinstance(work, (list, tuple)):
            members += [PendingChain(queue, work)] if work else []
        else:
            members.append(work if isinstance(work, PendingChain) else checked(work, "batch"))
    return members


def jobs_of(members: Iterable[Member]) -> list[Job]:
    """The jobs of *members*, with those inside chains."""
    return [
        job
        for member in members
        for job in (member.all_jobs() if isinstance(member, PendingChain) else [member])
    ]


class PendingBatch:
    """A batch in the making: `batch([…]).name("Import").then(Done()).dispatch()`."""

    def __init__(self, queue: Queue, jobs: Iterable[Any]) -> None:
        """*jobs* are jobs, and chains or lists of jobs that run one after the other.

        Raises QueueError for anything else.
        """
        self.jobs = members_of(queue, jobs)
        self.callbacks: dict[str, list[Job]] = {}
        self.options: dict[str, Any] = {}
        self.label = ""
        self.queue_name: str | None = None
        self.connection_name: str | None = None
        self._queue = queue

    def name(self, name: str) -> Self:
        """Give it a name for people."""
        self.label = name
        return self

    def then(self, work: Work) -> Self:
        """Queue *work* when every member has succeeded."""
        return self._after("then", work)

    def catch(self, work: Work) -> Self:
        """Queue *work* at the first failure."""
        return self._after("catch", work)

    def finally_(self, work: Work) -> Self:
        """Queue *work* when every member has ended, well or badly."""
        return self._after("finally", work)

    def progress(self, work: Work) -> Self:
        """Queue *work* each time a member has succeeded."""
        return self._after("progress", work)

    def allow_failures(self, allowed: bool = True) -> Self:
        """Let the others go on after a failure."""
        self.options["allowFailures"] = allowed
        return self

    def on_queue(self, name: str) -> Self:
        """Let the members (and callbacks) wait in the queue *name*."""
        self._queue.check_queue(name)
        self.queue_name = name
        return self

    def on_connection(self, name: str) -> Self:
        """Send them to the queue connection *name*."""
        self._queue.check_connection(name)
        self.connection_name = name
        return self

    def all_jobs(self) -> list[Job]:
        """Every job of it: members, their links, callbacks."""
        return [*jobs_of(self.jobs), *chain.from_iterable(self.callbacks.values())]

    def dispatch(self) -> Batch:
        """Store the batch and its members in one transaction."""
        return self._queue.start_batch(self)

    def _after(self, event: str, work: Work) -> Self:
        self.callbacks.setdefault(event, []).append(as_job(work))
        return self


def find(queue: Queue, batch_id: str) -> Batch | None:
    """The batch *batch_id* of *queue*."""
    row = queue.batches.row(queue.source.connection(), batch_id)
    if row is None:
        return None
    return Batch(
        queue,
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
