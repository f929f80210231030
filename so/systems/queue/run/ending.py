"""Writes an outcome down: a job ends, its counters, locks and successors change, all or nothing.

Each ending is one transaction that begins with the conditional statement on the job's own row;
when that finds the claim gone, nothing else happens and the outcome here does not count.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from math import ceil
from typing import Any

from so.errors import InvalidPayloadError, UnavailableError
from so.systems.queue.payload import Payload, is_key, member
from so.systems.queue.run.failure_text import fingerprint, one_line, storable, trace_of
from so.systems.queue.run.run import JobOutcome, LeaseLost
from so.systems.queue.tables.batches import CALLBACK, Due, links_of
from so.systems.queue.tables.bundle import Tables
from so.systems.queue.tables.jobs import NewJob, Reserved
from so.systems.queue.tables.sql import Retry, read

log = logging.getLogger("so.queue")
_FAILED_COLUMNS = (
    "uuid, connection, queue, exception, failed_at, job, fingerprint, attempts, batch_id, "
    "lock_key, payload"
)


class Settler:
    """Ends reservations, for one queue."""

    def __init__(self, tables: Tables, connection: str, wake: Callable[[], None]) -> None:
        """*connection* is the queue's name in failed_jobs; *wake* is called for each new job."""
        self.tables = tables
        self._connection = connection
        self._wake = wake

    def settle(self, conn: Any, row: Reserved, outcome: JobOutcome, retry: Retry) -> bool:
        """Write *outcome* down; False when the claim was lost and nothing was written.

        An ending that cannot be stored, such as a chain whose next link makes no sense, becomes
        a failure: *outcome* says so afterwards. Only what the database itself suffers is raised.
        """
        if outcome.settled:
            return True
        if outcome.kind == "lost":
            return False
        try:
            return self._write(conn, row, outcome, retry)
        except Exception as error:
            if outcome.kind == "failed" or isinstance(error, UnavailableError):
                raise
            outcome.kind, outcome.exception = "failed", error
            return self._write(conn, row, outcome, retry)

    def _write(self, conn: Any, row: Reserved, outcome: JobOutcome, retry: Retry) -> bool:
        if outcome.kind in ("released", "retry"):
            return self.release(conn, row, outcome, retry)
        if outcome.kind == "failed":
            return self.fail(conn, row, outcome.payload, outcome.exception, retry)
        return self.done(conn, row, outcome, retry)

    # --- it is done with ---

    def is_plain(self, row: Reserved, outcome: JobOutcome) -> bool:
        """Whether the end of the job is the end of its row and nothing else."""
        return (
            outcome.kind in ("done", "deleted", "skipped")
            and row.lock_key is None
            and row.batch_id is None
            and (outcome.run is None or outcome.run.told is False)
            and not (outcome.payload is not None and outcome.payload.fields.get("chained"))
        )

    def done(self, conn: Any, row: Reserved, outcome: JobOutcome, retry: Retry) -> bool:
        """Remove a job that has run, was skipped or cancelled."""
        if self.is_plain(row, outcome):
            return self._once(conn, row, retry, lambda: self.tables.jobs.delete(conn, row))

        def work() -> bool:
            try:
                with conn.transaction():
                    told = None if outcome.run is None else outcome.run.told
                    self.complete_within(conn, row, outcome.payload, outcome.kind, told)
            except LeaseLost:
                return False
            return True

        return self._once(conn, row, retry, work)

    def _once(self, conn: Any, row: Reserved, retry: Retry, work: Callable[[], bool]) -> bool:
        """Do *work*; when a broken connection hid its success, find that out by the row."""

        def tried() -> bool:
            return work() or (retry.lost and not self.tables.jobs.exists(conn, row.id))

        return retry(conn, tried)

    def complete_within(
        self,
        conn: Any,
        row: Reserved,
        payload: Payload | None,
        kind: str = "done",
        told: bool | None = None,
    ) -> None:
        """Remove the job inside the caller's transaction; raises LeaseLost if it is not ours.

        *told* says whether it has written progress, None that nobody knows. A chain goes on after
        a link that was skipped or deleted itself; only cancelling and failing end it.
        """
        if not self.tables.jobs.delete(conn, row):
            raise LeaseLost(f"job {row.id} was taken over by another worker")
        now = self.tables.clock.time()
        if row.lock_key:
            self.tables.locks.drop_unique(conn, row.lock_key, row.uuid or "")
        uuid = self.uuid_of(row, payload)
        state = "cancelled" if kind == "cancelled" else "done"
        self.tables.progress.finish(conn, uuid, state, now, told)
        runs_on = kind != "cancelled"
        if row.batch_id:
            links = links_of(payload.fields if payload else row.payload, row.batch_id)
            batches = self.tables.batches
            due = (
                batches.succeeded(conn, row.batch_id, uuid, links, now)
                if runs_on
                else batches.dropped(conn, row.batch_id, [(uuid, links)], now)
            )
            self.insert_callbacks(conn, due, row.batch_id, row.queue)
        if payload is not None and runs_on:
            self._next_link(conn, payload, row)

    def _next_link(self, conn: Any, payload: Payload, row: Reserved) -> None:
        chained = payload.fields.get("chained")
        if not chained:
            return
        first, *rest = chained
        inherited = {"chained": rest, "context": payload.context}
        if payload.fields.get("chainCatch"):
            inherited["chainCatch"] = payload.fields["chainCatch"]
        self._insert_member(conn, first, row.queue, **inherited)

    def _insert_member(self, conn: Any, fields: dict[str, Any], queue: str, **more: Any) -> None:
        """Insert a job that waited inside a payload, into *queue* unless it names its own."""
        now = self.tables.clock.time()
        batch_id = fields.get("batchId")
        self.tables.jobs.insert(
            conn,
            NewJob(
                queue=str(fields.get("onQueue") or queue),
                payload=member(fields, **more),
                available_at=ceil(now + fields["delay"]) if fields.get("delay") else int(now),
                created_at=int(now),
                uuid=str(fields["uuid"]),
                batch_id=str(batch_id) if batch_id else None,
            ),
        )
        conn.after_commit(self._wake)

    def insert_callbacks(self, conn: Any, callbacks: Due, batch_id: str, queue: str) -> None:
        """Insert the callbacks of a batch that are due, in the caller's transaction."""
        for fields in callbacks:
            self._insert_member(conn, fields, queue, ofBatch=batch_id)

    def unlock(self, conn: Any, row: Reserved, retry: Retry) -> None:
        """Give up the unique lock of a job that keeps it only until it starts."""

        def work() -> None:
            with conn.transaction():
                self.tables.locks.drop_unique(conn, row.lock_key or "", row.uuid or "")
                self.tables.jobs.forget_lock(conn, row)

        retry(conn, work)
        row.lock_key = None

    # --- it goes back ---

    def release(self, conn: Any, row: Reserved, outcome: JobOutcome, retry: Retry) -> bool:
        """Put it back, later and at its cost."""
        now = self.tables.clock.time()
        # A wait for a lock is rounded down, a pause that was asked for is not cut short.
        moment = now + outcome.delay
        available = int(moment) if outcome.cost == "nothing" else ceil(moment)
        if outcome.delay <= 0:
            available = int(now)
        store = self.tables.jobs
        return self._still(
            conn, row, retry, lambda: store.release(conn, row, available, cost=outcome.cost)
        )

    def give_back(self, conn: Any, rows: Iterable[Reserved], retry: Retry) -> int:
        """Put back what was never started, or must be left; it costs them nothing."""
        outcome = JobOutcome("released", cost="nothing")
        return sum(self.release(conn, row, outcome, retry) for row in rows)

    def _still(self, conn: Any, row: Reserved, retry: Retry, work: Callable[[], bool]) -> bool:
        def tried() -> bool:
            if work():
                return True
            return retry.lost and self.tables.jobs.exists(conn, row.id)

        return retry(conn, tried)

    # --- it has failed ---

    def fail(
        self,
        conn: Any,
        row: Reserved,
        payload: Payload | None,
        exception: BaseException | None,
        retry: Retry,
    ) -> bool:
        """Move it to failed_jobs, with all that follows from it, in one transaction.

        If jobs that follow cannot be stored, it fails without them: it must not stay for ever.
        """
        work = partial(self._fail, conn, row, payload, exception)
        try:
            return self._once(conn, row, retry, work)
        except Exception as error:
            if isinstance(error, UnavailableError):
                raise
            log.exception("queue: job %s fails without the jobs that are to follow it", row.id)
            return self._once(conn, row, retry, partial(work, alone=True))

    def _fail(
        self,
        conn: Any,
        row: Reserved,
        payload: Payload | None,
        exception: BaseException | None,
        *,
        alone: bool = False,
    ) -> bool:
        try:
            with conn.transaction():
                self._record_failure(conn, row, payload, exception, alone)
        except LeaseLost:
            return False
        return True

    def _record_failure(
        self,
        conn: Any,
        row: Reserved,
        payload: Payload | None,
        exception: BaseException | None,
        alone: bool,
    ) -> None:
        now = self.tables.clock.time()
        uuid = self.uuid_of(row, payload)
        self._move_to_failed(conn, row, payload, exception, uuid)
        if row.lock_key:
            self.tables.locks.drop_unique(conn, row.lock_key, row.uuid or "")
        self.tables.progress.finish(conn, uuid, "failed", now)
        reason = one_line(exception)
        if row.batch_id:
            links = links_of(payload.fields if payload else row.payload, row.batch_id)
            due = self.tables.batches.failed(conn, row.batch_id, uuid, links, now, reason)
            if not alone:
                self.insert_callbacks(conn, due, row.batch_id, row.queue)
        catch = payload.fields.get("chainCatch") if payload and not alone else None
        for fields in catch or ():
            self._insert_member(conn, _with_reason(fields, reason), row.queue)

    def _move_to_failed(
        self,
        conn: Any,
        row: Reserved,
        payload: Payload | None,
        exception: BaseException | None,
        uuid: str,
    ) -> None:
        """Copy the row and delete it; raises LeaseLost if it is not ours."""
        readable = payload is not None and not isinstance(exception, InvalidPayloadError)
        name = payload.name if payload is not None and readable else ""
        values = [
            uuid,
            self._connection,
            row.queue,
            trace_of(exception),
            self.tables.clock.now(),
            (payload.name if payload else "(unreadable)")[:255],
            fingerprint(name, exception),
            row.attempts,
            row.batch_id,
            row.lock_key,
        ]
        # The server copies the payload itself: with the traceback, one that just fitted into a
        # packet would not fit any more. SQLite knows no packets, but bytes that are no text.
        source = "payload"
        if self.tables.jobs.dialect == "sqlite":
            source = "?"
            values.append(storable(row.payload))
        # An upsert: the same job may fail again after it was retried by hand-written SQL.
        taken = read(conn, "select id from failed_jobs where uuid = ?", (uuid,))
        if taken:
            conn.run("delete from failed_jobs where id = ?", (taken[0][0],))
        conn.run(
            f"insert into failed_jobs ({_FAILED_COLUMNS}) "  # noqa: S608 - fixed words
            f"select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {source} from jobs where id = ?",
            (*values, row.id),
        )
        if not self.tables.jobs.delete(conn, row):
            raise LeaseLost(f"job {row.id} was taken over by another worker")

    @staticmethod
    def uuid_of(row: Reserved, payload: Payload | None) -> str:
        """What names the job in failed_jobs: its uuid, or its id where that makes none."""
        uuid = row.uuid or (payload.uuid if payload else "")
        return uuid if uuid and is_key(uuid) else f"job-{row.id}"


def _with_reason(fields: dict[str, Any], reason: str) -> dict[str, Any]:
    data = fields.get("data")
    if fields.get("job") == CALLBACK and isinstance(data, dict):
        return {**fields, "data": {**data, "reason": reason}}
    return fields
