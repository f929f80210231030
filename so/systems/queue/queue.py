"""`Queue`: where jobs are dispatched, counted, cancelled and cleared.

The door to everything below: taking jobs in is intake.py, running them the worker's, and the
tables' SQL is in tables/. Nothing that stands below this file names it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from so.db.connection import Connection
from so.settings.queue import QueueSettings
from so.support.current import current
from so.systems.queue.batches import Batch, find
from so.systems.queue.care.failed import FailedJob, FailedJobs
from so.systems.queue.care.removal import Removal
from so.systems.queue.fake import QueueFake
from so.systems.queue.groups import Groups, PendingBatch, PendingChain
from so.systems.queue.intake import Intake
from so.systems.queue.job import Job, checked
from so.systems.queue.pending import SYNC, PendingDispatch, send_held
from so.systems.queue.schedules.schedule import Schedule
from so.systems.queue.tables.batches import Batches
from so.systems.queue.tables.jobs import JobStore
from so.systems.queue.tables.locks import QueueLocks
from so.systems.queue.tables.metrics import Metrics
from so.systems.queue.tables.progress import Progress, ProgressTable
from so.systems.queue.tables.sql import read
from so.systems.queue.tables.workers import Control

if TYPE_CHECKING:
    from so.systems.queue.care.doctor import Doctor


class Queue(Intake):
    """Jobs in the table `jobs` of one database; works with any source of connections."""

    others: Mapping[str, Queue]
    _schedule: Schedule | None = None

    # --- dispatching ---

    def dispatch(self, job: Job) -> PendingDispatch:
        """Queue *job* as soon as nobody holds the result any more, or at its `send()`.

        Where the connection is "sync" it runs here and now, and what it raises is raised.
        """
        pending = PendingDispatch(self, job)
        if (job.connection or self.default) == SYNC and not self.fakes:
            pending.send()
        return pending

    def dispatch_sync(self, job: Job) -> Any:
        """Run *job* here and now; what it raises is raised."""
        return self.run_now(checked(job, "dispatch"))

    def send_held(self) -> None:
        """Send what was dispatched and is still held by somebody; for who closes the queue."""
        send_held(self)

    # --- chains and batches ---

    def chain(self, jobs: Job | Iterable[Job]) -> PendingChain:
        """Jobs that run one after the other; one by itself will do."""
        return PendingChain(self, [jobs] if isinstance(jobs, Job) else jobs)

    def batch(self, jobs: Job | Iterable[Any]) -> PendingBatch:
        """Jobs with one name, counters and callbacks; one by itself will do."""
        return PendingBatch(self, [jobs] if isinstance(jobs, Job) else jobs)

    def find_batch(self, batch_id: str) -> Batch | None:
        """The batch *batch_id* as it is now."""
        return find(self.tables, self.add_to_batch, batch_id)

    def add_to_batch(self, batch_id: str, jobs: list[Any]) -> None:
        """Add *jobs* to the batch; raises QueueError if it is gone or has ended."""
        Groups(self).add_to_batch(batch_id, jobs)

    # --- asking ---

    def size(self, queue: str | None = None) -> int:
        """Jobs of *queue*: waiting, delayed and running."""
        return self._count("queue = ?", (self._named(queue),))

    def pending_size(self, queue: str | None = None) -> int:
        """Jobs that could start now."""
        return self._count(
            "queue = ? and available_at <= ?", (self._named(queue), int(self.clock.time()))
        )

    def delayed_size(self, queue: str | None = None) -> int:
        """Jobs whose moment has not come."""
        return self._count(
            "queue = ? and available_at > ? and reserved_at is null",
            (self._named(queue), int(self.clock.time())),
        )

    def reserved_size(self, queue: str | None = None) -> int:
        """Jobs that a worker holds."""
        return self._count(
            "queue = ? and available_at > ? and reserved_at is not null",
            (self._named(queue), int(self.clock.time())),
        )

    def _named(self, queue: str | None) -> str:
        return queue or self.default_queue

    def _count(self, where: str, values: tuple[Any, ...]) -> int:
        conn = self.source.connection()
        return int(read(conn, f"select count(*) from jobs where {where}", values)[0][0])  # noqa: S608 - fixed words

    def progress(self, job: int | str) -> Progress | None:
        """How far the job with this id or uuid is; None if it never said."""
        return self.progress_table.find(self.source.connection(), job)

    def failed(self, limit: int = 100) -> list[FailedJob]:
        """The latest failures."""
        return self.failed_jobs.latest(limit)

    # --- taking back ---

    def cancel(self, job_id: int | str) -> str | None:
        """Cancel a job: "removed" if it had not started, "asked" if it runs, None if it is gone."""
        return Removal(self.tables, self.settler).cancel(job_id)

    def clear(self, queue: str | None = None) -> int:
        """Delete every job of *queue* that is not running; how many."""
        return Removal(self.tables, self.settler).clear(self._named(queue))

    # --- testing ---

    @contextlib.contextmanager
    def fake(self) -> Any:
        """Record what is dispatched in the block instead of queueing it."""
        double = QueueFake(self)
        send_held(self)
        self.fakes.append(double)
        try:
            yield double
            send_held(self)
        finally:
            self.fakes.remove(double)

    # --- its tables, for commands and pages ---

    @property
    def store(self) -> JobStore:
        """The statements on `jobs`."""
        return self.tables.jobs

    @property
    def locks(self) -> QueueLocks:
        """The statements on `queue_locks`."""
        return self.tables.locks

    @property
    def batches(self) -> Batches:
        """The statements on `job_batches`."""
        return self.tables.batches

    @property
    def progress_table(self) -> ProgressTable:
        """The statements on `job_progress`."""
        return self.tables.progress

    @property
    def control(self) -> Control:
        """Workers, pauses and restarts."""
        return self.tables.workers

    @property
    def metrics(self) -> Metrics:
        """Counters and sizes."""
        return self.tables.metrics

    @property
    def failed_jobs(self) -> FailedJobs:
        """What has failed, and what may be done about it."""
        return FailedJobs(self.tables, self.wake)

    @property
    def schedule(self) -> Schedule:
        """What recurs."""
        if self._schedule is None:
            self._schedule = Schedule(self, self._timezone)
        return self._schedule

    def doctor(self, settings: QueueSettings | None = None) -> Doctor:
        """Who says what is wrong with this queue; *settings* are those it runs by."""
        from so.systems.queue.care.doctor import Doctor

        return Doctor(
            self.tables,
            settings or QueueSettings(),
            connect=self.worker_connection,
            jobs=self.registry,
            goes_to=self.default,
            connections=[self.connection_name, SYNC, *self.others],
        )

    def worker_connection(self, *, quick: bool = False) -> Any:
        """A connection for a worker's own statements, apart from what jobs do with theirs.

        The caller closes it unless it is the queue's own: a database in memory has no second one,
        and what a test does inside a transaction is seen on its connection only. A *quick* one
        gives up soon where the database does not answer: for who has other things to see to.
        """
        base = self.source.connection()
        if base.in_transaction:
            return base
        if base.dialect.name != "sqlite":
            # Under REPEATABLE READ even an idle poll leaves gap locks that block every insert.
            settings = {**base.config, "isolation": "read committed"}
            if quick:
                settings |= {"connect_timeout": 2, "read_timeout": 5}
            return Connection(settings, base.name, base.clock)
        if str(base.config["database"]) in ("", ":memory:"):
            return base
        if quick:
            return Connection({**base.config, "busy_timeout": 200}, base.name, base.clock)
        return base.separate()


# --- the current queue, for Job.dispatch() ---


def current_queue() -> Queue:
    """The Queue of the running application; raises RuntimeError without one.

    A script without one calls `so.support.current.provide("queue", lambda: queue)`.
    """
    found: Queue = current("queue")
    return found
