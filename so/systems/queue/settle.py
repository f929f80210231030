"""Writes an outcome down: a job ends, its counters, locks and successors change, all or nothing.

Each ending is one transaction that begins with the conditional statement on the job's own row;
when that finds the claim gone, nothing else happens and the outcome here does not count.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Iterable
from math import ceil
from typing import TYPE_CHECKING, Any

from so.errors import InvalidPayloadError
from so.systems.queue.payload import Payload, member, plain
from so.systems.queue.running import LeaseLost, Outcome
from so.systems.queue.sqltools import Retry, read
from so.systems.queue.store import Reserved, Stored

if TYPE_CHECKING:
    from so.systems.queue.queue import Queue

_FAILED_COLUMNS = (
    "uuid, connection, queue, payload, exception, failed_at, job, fingerprint, attempts, "
    "batch_id, lock_key"
)
LONGEST_TRACE = 60_000


class Settler:
    """Ends reservations, for one queue."""

    def __init__(self, queue: Queue) -> None:
        """For *queue*, whose tables, locks and batches it changes together."""
        self.queue = queue

    def settle(self, conn: Any, row: Reserved, outcome: Outcome, retry: Retry) -> bool:
        """Write *outcome* down; False when the claim was lost and nothing was written."""
        if outcome.settled:
            return True
        if outcome.kind == "lost":
            return False
        if outcome.kind in ("released", "retry"):
            return self.release(conn, row, outcome, retry)
        if outcome.kind == "failed":
            return self.fail(conn, row, outcome.payload, outcome.exception, retry)
        return self.done(conn, row, outcome, retry)

    # --- it is done with ---

    def is_plain(self, row: Reserved, outcome: Outcome) -> bool:
        """Whether the end of the job is the end of its row and nothing else."""
        return (
            outcome.kind in ("done", "deleted", "skipped")
            and row.lock_key is None
            and row.batch_id is None
            and (outcome.run is None or outcome.run.told is False)
            and not (outcome.payload is not None and outcome.payload.fields.get("chained"))
        )

    def done(self, conn: Any, row: Reserved, outcome: Outcome, retry: Retry) -> bool:
        """Remove a job that has run, was skipped or cancelled."""
        if self.is_plain(row, outcome):
            return self._once(conn, row, retry, lambda: self.queue.store.delete(conn, row))

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
            return work() or (retry.lost and not self.queue.store.exists(conn, row.id))

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

        *told* says whether it has written progress, None that nobody knows.
        """
        if not self.queue.store.delete(conn, row):
            raise LeaseLost(f"job {row.id} was taken over by another worker")
        now = self.queue.clock.time()
        if row.lock_key:
            self.queue.locks.drop_unique(conn, row.lock_key, row.uuid or "")
        uuid = _uuid(row, payload)
        state = "cancelled" if kind == "cancelled" else "done"
        self.queue.progress_table.finish(conn, uuid, state, now, told)
        if row.batch_id:
            due = self.queue.batches.succeeded(conn, row.batch_id, uuid, now)
            self._insert_callbacks(conn, due, row, row.batch_id)
        if payload is not None and kind == "done":
            self._next_link(conn, payload, row)

    def _next_link(self, conn: Any, payload: Payload, row: Reserved) -> None:
        chained = payload.fields.get("chained")
        if not chained:
            return
        first, *rest = chained
        inherited = {"chained": rest, "context": payload.context}
        if payload.fields.get("chainCatch"):
            inherited["chainCatch"] = payload.fields["chainCatch"]
        self._insert_member(conn, first, row, **inherited)

    def _insert_member(self, conn: Any, fields: dict[str, Any], row: Reserved, **more: Any) -> None:
        """Insert a job that waited inside a payload."""
        now = self.queue.clock.time()
        batch_id = fields.get("batchId")
        self.queue.store.insert(
            conn,
            Stored(
                queue=str(fields.get("onQueue") or row.queue),
                payload=member(fields, **more),
                available_at=ceil(now + fields["delay"]) if fields.get("delay") else int(now),
                created_at=int(now),
                uuid=str(fields["uuid"]),
                batch_id=str(batch_id) if batch_id else None,
            ),
        )
        conn.after_commit(self.queue.wake)

    def _insert_callbacks(
        self, conn: Any, payloads: Iterable[str], row: Reserved, batch_id: str
    ) -> None:
        for text in payloads:
            self._insert_member(conn, plain(text), row, ofBatch=batch_id)

    def unlock(self, conn: Any, row: Reserved) -> None:
        """Give up the unique lock of a job that keeps it only until it starts."""

        def work() -> None:
            with conn.transaction():
                self.queue.locks.drop_unique(conn, row.lock_key or "", row.uuid or "")
                self.queue.store.forget_lock(conn, row)

        Retry()(conn, work)
        row.lock_key = None

    # --- it goes back ---

    def release(self, conn: Any, row: Reserved, outcome: Outcome, retry: Retry) -> bool:
        """Put it back, later and at its cost."""
        now = self.queue.clock.time()
        # A wait for a lock is rounded down, a pause that was asked for is not cut short.
        moment = now + outcome.delay
        available = int(moment) if outcome.cost == "nothing" else ceil(moment)
        if outcome.delay <= 0:
            available = int(now)
        store = self.queue.store
        return self._still(
            conn, row, retry, lambda: store.release(conn, row, available, cost=outcome.cost)
        )

    def give_back(self, conn: Any, rows: Iterable[Reserved], retry: Retry) -> int:
        """Put back what was never started, or must be left; it costs them nothing."""
        outcome = Outcome("released", cost="nothing")
        return sum(self.release(conn, row, outcome, retry) for row in rows)

    def _still(self, conn: Any, row: Reserved, retry: Retry, work: Callable[[], bool]) -> bool:
        def tried() -> bool:
            if work():
                return True
            return retry.lost and self.queue.store.exists(conn, row.id)

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
        """Move it to failed_jobs, with all that follows from it, in one transaction."""

        def work() -> bool:
            with conn.transaction():
                if not self.queue.store.delete(conn, row):
                    return False
                self._record_failure(conn, row, payload, exception)
            return True

        return self._once(conn, row, retry, work)

    def _record_failure(
        self,
        conn: Any,
        row: Reserved,
        payload: Payload | None,
        exception: BaseException | None,
    ) -> None:
        now = self.queue.clock.time()
        uuid = _uuid(row, payload)
        self._insert_failed(conn, row, payload, exception, uuid)
        if row.lock_key:
            self.queue.locks.drop_unique(conn, row.lock_key, row.uuid or "")
        self.queue.progress_table.finish(conn, uuid, "failed", now)
        reason = _one_line(exception)
        chained = list((payload.fields.get("chained") or []) if payload else [])
        if row.batch_id:
            lost = sum(1 for link in chained if link.get("batchId") == row.batch_id)
            due = self.queue.batches.failed(conn, row.batch_id, uuid, now, reason, lost)
            self._insert_callbacks(conn, due, row, row.batch_id)
        catch = payload.fields.get("chainCatch") if payload else None
        for fields in catch or ():
            self._insert_member(conn, _with_reason(fields, reason), row)

    def _insert_failed(
        self,
        conn: Any,
        row: Reserved,
        payload: Payload | None,
        exception: BaseException | None,
        uuid: str,
    ) -> None:
        values = (
            uuid,
            self.queue.connection_name,
            row.queue,
            row.payload,
            trace_of(exception),
            self.queue.clock.now(),
            (payload.name if payload else "(unreadable)")[:255],
            fingerprint(payload, exception),
            row.attempts,
            row.batch_id,
            row.lock_key,
        )
        # An upsert: the same job may fail again after it was retried by hand-written SQL.
        taken = read(conn, "select id from failed_jobs where uuid = ?", (uuid,))
        if taken:
            conn.run("delete from failed_jobs where id = ?", (taken[0][0],))
        conn.run(
            f"insert into failed_jobs ({_FAILED_COLUMNS}) "  # noqa: S608 - fixed words
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )


def _uuid(row: Reserved, payload: Payload | None) -> str:
    return row.uuid or (payload.uuid if payload else "") or f"job-{row.id}"


def _with_reason(fields: dict[str, Any], reason: str) -> dict[str, Any]:
    data = fields.get("data")
    if fields.get("job") == "so.callback" and isinstance(data, dict):
        return {**fields, "data": {**data, "reason": reason}}
    return fields


def _one_line(exception: BaseException | None) -> str:
    if exception is None:
        return "failed"
    return f"{type(exception).__name__}: {exception}"[:500]


def trace_of(exception: BaseException | None) -> str:
    """The whole traceback of *exception*, as failed_jobs keeps it."""
    if exception is None:
        return "failed without an exception"
    text = "".join(traceback.format_exception(exception))
    stack = getattr(exception, "stack", "")
    if stack:
        text = f"Stack of the process when it was killed:\n{stack.rstrip()}\n\n{text}"
    # The end tells more than the beginning.
    return text if len(text) <= LONGEST_TRACE else "…" + text[-LONGEST_TRACE:]


def fingerprint(payload: Payload | None, exception: BaseException | None) -> str:
    """16 hex characters, the same for failures of one class, kind and place in the code."""
    place = ""
    if exception is not None and exception.__traceback__ is not None:
        frames = traceback.extract_tb(exception.__traceback__)
        if frames:
            place = f"{frames[-1].filename}:{frames[-1].name}"
    kind = type(exception).__name__ if exception is not None else ""
    name = payload.name if payload and not isinstance(exception, InvalidPayloadError) else ""
    return hashlib.sha256(f"{name}|{kind}|{place}".encode()).hexdigest()[:16]
