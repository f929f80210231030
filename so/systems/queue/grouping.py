"""Stores chains and batches: jobs that wait inside others, and jobs that are counted together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from so.systems.queue.batches import Batch, PendingBatch
from so.systems.queue.job import Job
from so.systems.queue.payload import due_at, plain
from so.systems.queue.pending import PendingChain
from so.systems.queue.sqltools import read
from so.systems.queue.store import Stored

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
        first, *rest = pending.jobs
        if self._queue.fakes:
            self._queue.fakes[-1].record_chain(pending.jobs)
            return None
        if (pending.connection_name or self._queue.default) == SYNC:
            self._chain_now(pending)
            return None
        now, context = self._queue.clock.time(), self._queue.context()
        extra: dict[str, Any] = {
            "chained": [self._inner(job, now, context, pending.queue_name) for job in rest]
        }
        if pending.catches:
            extra["chainCatch"] = [
                self._inner(job, now, context, pending.queue_name) for job in pending.catches
            ]
        return self._queue.send(
            first,
            queue=self._own_queue(first, pending.queue_name),
            delay=pending.delay_of_first if pending.delay_of_first is not None else first.delay,
            connection=pending.connection_name,
            after_commit=first.after_commit,
            extra=extra,
        )

    def _chain_now(self, pending: PendingChain) -> None:
        try:
            for job in pending.jobs:
                self._queue.run_now(job, None)
        except Exception as error:
            for job in pending.catches:
                if hasattr(job, "reason"):
                    job.reason = f"{type(error).__name__}: {error}"
                self._queue.run_now(job, None)
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
        if pending.connection_name in self._queue.others:
            return self._queue.others[str(pending.connection_name)].start_batch(pending)
        now, context = self._queue.clock.time(), self._queue.context()
        callbacks = {
            event: [self._inner(job, now, context, pending.queue_name) for job in jobs]
            for event, jobs in pending.callbacks.items()
        }
        options = {**pending.options, "callbacks": callbacks, "queue": pending.queue_name}
        conn = self._queue.source.connection()
        with conn.transaction():
            batch_id = self._queue.batches.create(conn, pending.label, options, now)
            if not self._add_members(conn, batch_id, pending.jobs, pending.queue_name):
                due = self._queue.batches.without_members(conn, batch_id, now)
                self._queue.settler.insert_callbacks(conn, due, batch_id, self._queue.default_queue)
        self._queue.wake_after(conn)
        found = self._queue.find_batch(batch_id)
        assert found is not None
        if (pending.connection_name or self._queue.default) == SYNC:
            self._drain_batch(batch_id)
            found = found.fresh() or found
        return found

    def add_to_batch(self, batch_id: str, jobs: list[Any]) -> None:
        """Add *jobs* to the batch; raises QueueError if it is gone."""
        conn = self._queue.source.connection()
        rows = read(conn, "select options from job_batches where id = ?", (batch_id,))
        options = plain(rows[0][0]) if rows else {}
        with conn.transaction():
            self._add_members(conn, batch_id, jobs, options.get("queue"))
        self._queue.wake_after(conn)

    def _add_members(self, conn: Any, batch_id: str, jobs: list[Any], queue: str | None) -> int:
        """Store members of a batch; how many, those inside others included."""
        now, context = self._queue.clock.time(), self._queue.context()
        stored: list[Stored] = []
        total = 0
        for member in jobs:
            links = member if isinstance(member, (list, tuple)) else [member]
            if not links:
                continue
            extra: dict[str, Any] = {"batchId": batch_id}
            if len(links) > 1:
                extra["chained"] = [
                    self._inner(job, now, context, queue, batchId=batch_id) for job in links[1:]
                ]
            total += len(links)
            name = self._own_queue(links[0], queue)
            stored.append(self._queue.stored(links[0], name, links[0].delay, now, context, extra))
        if total:
            self._queue.batches.grow(conn, batch_id, total)
            self._queue.store.insert_many(conn, stored)
        return total

    def _drain_batch(self, batch_id: str) -> None:
        """Run the members at once, for the connection "sync"; their failures only count."""
        from so.systems.queue.inline import drain

        drain(self._queue, batch_id)
