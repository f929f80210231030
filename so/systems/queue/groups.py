"""Chains and batches: jobs that wait inside others, and jobs that are counted together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Self

from so.errors import QueueError
from so.support.ids import short_id
from so.systems.queue.batches import Batch
from so.systems.queue.delays import due_at
from so.systems.queue.intake import Intake
from so.systems.queue.job import Job, as_job, checked
from so.systems.queue.payload import plain
from so.systems.queue.pending import SYNC
from so.systems.queue.run.runner import JobLimits, JobRunner
from so.systems.queue.tables.jobs import NewJob
from so.systems.queue.tables.sql import Retry, read

Work = Job | Callable[..., Any]
_LEASE_SECONDS = 3600


class Placed:
    """Where the jobs of a chain or batch go, as long as it has not been dispatched."""

    def __init__(self, queue: Intake) -> None:
        self._queue = queue
        self.queue_name: str | None = None
        self.connection_name: str | None = None

    def on_queue(self, name: str) -> Self:
        """Let those without a queue of their own wait in the queue *name*."""
        self._queue.check_queue(name)
        self.queue_name = name
        return self

    def on_connection(self, name: str) -> Self:
        """Send them to the queue connection *name*."""
        self._queue.check_connection(name)
        self.connection_name = name
        return self


class PendingChain(Placed):
    """Jobs that run one after the other: `chain([A(), B()]).catch(fn).dispatch()`."""

    def __init__(self, queue: Intake, jobs: Iterable[Job]) -> None:
        """Each starts when the one before it has succeeded; QueueError for what is no Job."""
        super().__init__(queue)
        self.jobs = [checked(job, "chain") for job in jobs]
        if not self.jobs:
            raise QueueError("cannot chain nothing: give at least one job")
        self.catches: list[Job] = []
        self.delay_of_first: Any = None

    def catch(self, work: Job | Callable[..., Any]) -> Self:
        """Queue *work* when one of them has failed; the rest is then not run."""
        self.catches.append(as_job(work))
        return self

    def delay(self, delay: Any) -> Self:
        """Start the first one not before *delay*."""
        due_at(delay, self._queue.clock.time())
        self.delay_of_first = delay
        return self

    def all_jobs(self) -> list[Job]:
        """Every job of it: links and callbacks."""
        return [*self.jobs, *self.catches]

    def dispatch(self) -> int | None:
        """Store the first one, the others inside it; its id."""
        return Groups(self._queue).start_chain(self)


Member = Job | PendingChain


def members_of(queue: Intake, jobs: Iterable[Any]) -> list[Member]:
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


class PendingBatch(Placed):
    """A batch in the making: `batch([…]).name("Import").then(Done()).dispatch()`."""

    def __init__(self, queue: Intake, jobs: Iterable[Any]) -> None:
        """*jobs* are jobs, and chains or lists of jobs that run one after the other.

        Raises QueueError for anything else.
        """
        super().__init__(queue)
        self.jobs = members_of(queue, jobs)
        self.callbacks: dict[str, list[Job]] = {}
        self.options: dict[str, Any] = {}
        self.label = ""

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

    def all_jobs(self) -> list[Job]:
        """Every job of it: members, their links, callbacks."""
        return [*jobs_of(self.jobs), *chain.from_iterable(self.callbacks.values())]

    def dispatch(self) -> Batch:
        """Store the batch and its members in one transaction."""
        return Groups(self._queue).start_batch(self)

    def _after(self, event: str, work: Work) -> Self:
        self.callbacks.setdefault(event, []).append(as_job(work))
        return self


class Groups:
    """Chains and batches of one queue."""

    def __init__(self, queue: Intake) -> None:
        """For *queue*, which writes and stores each of the jobs."""
        self._queue = queue

    def start_chain(self, pending: PendingChain) -> int | None:
        """Store a chain: the first job, with the others inside its payload."""
        if self._queue.fakes:
            self._queue.fakes[-1].record_chain(pending)
            return None
        connection = self._connection(pending.connection_name, pending.all_jobs())
        if connection == SYNC:
            self._chain_now(pending)
            return None
        first, now, context = pending.jobs[0], self._queue.clock.time(), self._queue.context()
        return self._queue.send(
            first,
            queue=self._own_queue(first, pending.queue_name),
            delay=pending.delay_of_first if pending.delay_of_first is not None else first.delay,
            connection=connection,
            after_commit=first.after_commit,
            extra=self._behind_first(pending, now, context, pending.queue_name),
        )

    def _connection(self, asked: str | None, jobs: list[Job]) -> str:
        """The connection of all *jobs*: the one *asked* for, or the first one's own."""
        first = jobs[0].connection if jobs else None
        name = asked or first or self._queue.default
        self._queue.check_connection(name)
        for job in jobs:
            self._check_together(job, name)
        return name

    @staticmethod
    def _check_together(job: Job, connection: str) -> None:
        if job.connection not in (None, connection):
            raise QueueError(
                f"{type(job).__name__} is for the connection {job.connection!r}, but its chain or "
                f"batch is on {connection!r}: they are stored together, so dispatch it by itself "
                "or give the whole one connection with on_connection()"
            )

    def _behind_first(
        self, chain: PendingChain, now: float, context: str, queue: str | None, **more: Any
    ) -> dict[str, Any]:
        """The fields that hold what follows the first job of *chain*."""
        fields: dict[str, Any] = {}
        if len(chain.jobs) > 1:
            fields["chained"] = [
                self._inner(job, now, context, queue, **more) for job in chain.jobs[1:]
            ]
        if chain.catches:
            fields["chainCatch"] = [self._inner(job, now, context, queue) for job in chain.catches]
        return fields

    def _chain_now(self, pending: PendingChain) -> None:
        try:
            for job in pending.jobs:
                self._queue.run_now(job)
        except Exception as error:
            for job in pending.catches:
                if hasattr(job, "reason"):
                    job.reason = f"{type(error).__name__}: {error}"
                self._queue.run_now(job)
            raise

    def _own_queue(self, job: Job, fallback: str | None) -> str | None:
        return fallback if job.queue == "default" else None

    def _inner(
        self, job: Job, now: float, context: str, queue: str | None, **more: Any
    ) -> dict[str, Any]:
        """The payload of a job that waits inside another's."""
        name = self._queue.queue_of(job, self._own_queue(job, queue))
        extra = {"onQueue": name, **more}
        if job.delay is not None:
            extra["delay"] = max(0, due_at(job.delay, now) - int(now))
        _, text = self._queue.writer.write(job, self._queue.writer.tail(now, context), extra)
        return plain(text)

    def start_batch(self, pending: PendingBatch) -> Batch:
        """Store a batch and its members in one transaction."""
        if self._queue.fakes:
            return self._queue.fakes[-1].record_batch(pending)
        connection = self._connection(pending.connection_name, pending.all_jobs())
        if connection in self._queue.others:
            return Groups(self._queue.others[connection])._stored_batch(pending, connection)
        found = self._stored_batch(pending, connection)
        if connection == SYNC:
            _drain(self._queue, found.id)
            found = found.fresh() or found
        return found

    def _stored_batch(self, pending: PendingBatch, connection: str) -> Batch:
        now, context = self._queue.clock.time(), self._queue.context()
        callbacks = {
            event: [self._inner(job, now, context, pending.queue_name) for job in jobs]
            for event, jobs in pending.callbacks.items()
        }
        options = {
            **pending.options,
            "callbacks": callbacks,
            "queue": pending.queue_name,
            "connection": connection,
        }
        conn = self._queue.source.connection()
        with conn.transaction():
            batch_id = self._queue.tables.batches.create(conn, pending.label, options, now)
            if not self._add_members(conn, batch_id, pending.jobs, pending.queue_name):
                due = self._queue.tables.batches.without_members(conn, batch_id, now)
                queue = self._queue.default_queue
                self._queue.settler.insert_callbacks(conn, due, batch_id, queue)
        self._queue.wake_after(conn)
        found = self._queue.find_batch(batch_id)
        assert found is not None
        return found

    def add_to_batch(self, batch_id: str, jobs: list[Any]) -> None:
        """Add *jobs* to the batch; raises QueueError if it is gone or has ended."""
        conn = self._queue.source.connection()
        rows = read(conn, "select options from job_batches where id = ?", (batch_id,))
        options = plain(rows[0][0]) if rows else {}
        members = members_of(self._queue, jobs)
        for job in jobs_of(members):
            self._check_together(job, options.get("connection") or self._queue.connection_name)
        with conn.transaction():
            self._add_members(conn, batch_id, members, options.get("queue"))
        self._queue.wake_after(conn)

    def _add_members(
        self, conn: Any, batch_id: str, members: list[Member], queue: str | None
    ) -> int:
        """Store members of a batch; how many, those inside others included."""
        now, context = self._queue.clock.time(), self._queue.context()
        stored: list[NewJob] = []
        total = 0
        for member in members:
            extra: dict[str, Any] = {"batchId": batch_id}
            first, name, delay = member, queue, None
            if isinstance(member, PendingChain):
                first, delay = member.jobs[0], member.delay_of_first
                name = member.queue_name or queue
                extra |= self._behind_first(member, now, context, name, batchId=batch_id)
            assert isinstance(first, Job)
            total += 1 + len(extra.get("chained", ()))
            delay = first.delay if delay is None else delay
            own, written = self._own_queue(first, name), self._queue.written(first, extra)
            stored.append(self._queue.stored(first, own, delay, written, batch_id))
        if total:
            self._queue.tables.batches.grow(conn, batch_id, total)
            self._queue.tables.jobs.insert_many(conn, stored)
        return total


def _drain(queue: Intake, batch_id: str) -> None:
    """Run the batch at once, for the connection "sync": every job and every callback it brings.

    In order and once each; failures only count.
    """
    conn, claim = queue.source.connection(), f"inline-{short_id()}"
    runner, retry = JobRunner(queue.workshop, conn, JobLimits(tries=1)), Retry()
    pattern = f'%"{batch_id}"%'
    while True:
        rows = read(
            conn,
            "select id from jobs where (batch_id = ? or payload like ?) and reserved_at is null "
            "order by id limit 1",
            (batch_id, pattern),
        )
        if not rows:
            return
        now = int(queue.clock.time())
        conn.run(
            "update jobs set reserved_at = ?, available_at = ?, worker_id = ?, "
            "attempts = attempts + 1 where id = ? and reserved_at is null",
            (now, now + _LEASE_SECONDS, claim, rows[0][0]),
        )
        for row in queue.tables.jobs.held(conn, claim, [int(rows[0][0])]):
            outcome = runner.execute(row)
            if outcome.kind in ("retry", "released"):
                outcome.kind = "failed"
            queue.settler.settle(conn, row, outcome, retry)
            if outcome.kind == "failed":
                runner.call_failed(row, outcome)
