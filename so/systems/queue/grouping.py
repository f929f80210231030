"""Stores chains and batches: jobs that wait inside others, and jobs that are counted together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from so.errors import QueueError
from so.systems.queue.batches import Batch, Member, PendingBatch, jobs_of, members_of
from so.systems.queue.job import Job
from so.systems.queue.payload import due_at, plain
from so.systems.queue.pending import PendingChain
from so.systems.queue.tables.jobs import Stored
from so.systems.queue.tables.sql import read

if TYPE_CHECKING:
    from so.systems.queue.queue import Queue

SYNC = "sync"


class Grouping:
    """Chains and batches of one queue."""

    def __init__(self, queue: Queue) -> None:
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
            return self._queue.others[connection].parts.grouping._stored_batch(pending, connection)
        found = self._stored_batch(pending, connection)
        if connection == SYNC:
            self._drain_batch(found.id)
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
            batch_id = self._queue.batches.create(conn, pending.label, options, now)
            if not self._add_members(conn, batch_id, pending.jobs, pending.queue_name):
                due = self._queue.batches.without_members(conn, batch_id, now)
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
        stored: list[Stored] = []
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
            self._queue.batches.grow(conn, batch_id, total)
            self._queue.store.insert_many(conn, stored)
        return total

    def _drain_batch(self, batch_id: str) -> None:
        """Run the members at once, for the connection "sync"; their failures only count."""
        from so.systems.queue.inline import drain

        drain(self._queue, batch_id)
