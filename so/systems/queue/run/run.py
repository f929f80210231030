"""One run of a job, and the verdict on it: what a job's own methods are answered by.

An `JobOutcome` is written down by ending.py; making and running jobs is runner.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from so.errors import JobCancelled, QueueError
from so.systems.queue.batches import Batch
from so.systems.queue.delays import seconds_of
from so.systems.queue.payload import Payload
from so.systems.queue.tables.bundle import Tables
from so.systems.queue.tables.jobs import Reserved
from so.systems.queue.tables.sql import read

T = TypeVar("T")
THROTTLE_SECONDS = 0.5


class TimeUp(BaseException):
    """Raised inside a job by the worker's alarm; no `except Exception` of the job swallows it."""


class Interrupted(BaseException):
    """Raised inside a job when its worker must go at once; the job is given back."""


class LeaseLost(QueueError):
    """Somebody else has the job by now: its outcome here must not count."""


@dataclass(slots=True)
class JobOutcome:
    """What became of a run: done, released, retry, failed, deleted, cancelled, skipped or lost."""

    kind: str
    delay: float = 0.0
    exception: BaseException | None = None
    cost: str = "attempts"
    reason: str = ""
    settled: bool = False
    torn: bool = False
    """Whether an alarm has ended it in the middle of something."""
    job: Any = None
    """The Job, as far as it could be made. A run knows no class of jobs."""
    payload: Payload | None = None
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where jobs run: their queue's tables, and what a run asks of it."""

    tables: Tables
    complete: Callable[..., None]
    """Removes a job in a transaction that is open: see `Settler.complete_within`."""
    batch: Callable[[str], Batch | None]
    limiter: Callable[[str], Callable[[Any], Any] | None]


class Run:
    """One run of a job: what its methods (`release`, `progress`, …) are answered by."""

    def __init__(self, place: Place, payload: Payload, row: Reserved | None, conn: Any) -> None:
        """*row* and *conn*, the worker's connection, are None when the job runs at once."""
        self.place = place
        self.tables = place.tables
        self.payload = payload
        self.row = row
        self.conn = conn
        self.ending: JobOutcome | None = None
        self.completed = False
        # Whether there is a row of progress: an earlier attempt may have written one.
        self.told: bool | None = None if row is not None and row.attempts > 1 else False
        self._told_at = 0.0
        self._asked_at = 0.0
        self._is_cancelled = False

    @property
    def uuid(self) -> str:
        """The id that stays through retries."""
        return (self.row.uuid if self.row else None) or self.payload.uuid

    @property
    def attempts(self) -> int:
        """The number of this attempt."""
        return self.row.runs if self.row else 1

    def release(
        self,
        delay: Any = 0,
        cost: str = "attempts",
        reason: str = "released",
        exception: BaseException | None = None,
    ) -> None:
        """Put the job back at its end, unless it has failed or deleted itself before.

        *cost* is "attempts", "exceptions" (of which *exception* is one) or "nothing".
        """
        seconds = max(0.0, seconds_of(delay, self.tables.clock.time()))
        self._end(JobOutcome("released", seconds, exception, cost=cost, reason=reason))

    def fail(self, exception: BaseException | str | None = None) -> None:
        """Let it fail for good at its end."""
        if not isinstance(exception, BaseException):
            exception = QueueError(str(exception or "the job failed itself"))
        self._end(JobOutcome("failed", exception=exception))

    def delete(self, kind: str = "deleted", reason: str = "") -> None:
        """Be done with it at its end."""
        self._end(JobOutcome(kind, reason=reason))

    def _end(self, ending: JobOutcome) -> None:
        """A release may be thought better of; who has failed or deleted itself stays so."""
        if self.ending is None or self.ending.kind == "released":
            self.ending = ending

    def batch(self) -> Batch | None:
        """The batch it belongs to, or whose callback it is."""
        batch_id = self.payload.fields.get("batchId") or self.payload.fields.get("ofBatch")
        return self.place.batch(str(batch_id)) if batch_id else None

    def still_mine(self) -> bool:
        """Whether this claim still stands."""
        if self.row is None:
            return True
        return self.tables.jobs.is_held(self._own_connection(), self.row)

    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        now = time.monotonic()
        if self.row is None or self._is_cancelled or now - self._asked_at < THROTTLE_SECONDS:
            return self._is_cancelled
        self._asked_at = now
        rows = read(
            self._own_connection(), "select cancelled_at from jobs where id = ?", (self.row.id,)
        )
        self._is_cancelled = bool(rows and rows[0][0] is not None)
        return self._is_cancelled

    def progress(self, done: int, total: int | None, message: str | None) -> None:
        """Write the progress down, now and then."""
        now = time.monotonic()
        last = total is not None and done >= total
        if self.row is None or (now - self._told_at < THROTTLE_SECONDS and not last):
            return
        self._told_at = now
        self.told = True
        self.tables.progress.write(
            self._own_connection(), self._identity(), self.tables.clock.time(), done, total, message
        )
        self._stop_if_cancelled()

    def resume(self, iterable: Iterable[T], every: int, transaction: bool) -> Iterator[T]:
        """The items that are still to do, in groups of *every*."""
        if self.row is None:
            yield from iterable
            return
        done = self.tables.progress.position(self._own_connection(), self.uuid)
        rest = iter(iterable)
        for _ in islice(rest, done):
            pass
        while group := list(islice(rest, max(1, every))):
            if transaction:
                # An exception in the loop's body closes this generator, which rolls the group
                # back together with its place.
                with self.tables.source.connection().transaction() as conn:
                    yield from group
                    done += len(group)
                    self._keep_place(conn, done)
            else:
                yield from group
                done += len(group)
                self._keep_place(self._own_connection(), done)
            self._stop_if_cancelled()

    def complete_in(self, connection: Any) -> None:
        """Remove the job in the caller's transaction."""
        if self.row is None:
            return
        if not connection.in_transaction:
            raise QueueError(
                "complete_in() needs an open transaction: call it inside `with DB.transaction():`"
            )
        self.place.complete(connection, self.row, self.payload, told=self.told)
        connection.after_commit(self._mark_completed)

    def _mark_completed(self) -> None:
        self.completed = True

    def _keep_place(self, conn: Any, done: int) -> None:
        assert self.row is not None
        self.told = True
        now = self.tables.clock.time()
        held = self.tables.progress.set_position(conn, self._identity(), self.row.worker, done, now)
        if not held:
            raise LeaseLost(f"job {self.row.id} was taken over by another worker")

    def _stop_if_cancelled(self) -> None:
        if self.cancelled():
            raise JobCancelled(f"job {self.row.id if self.row else ''} was cancelled")

    def _identity(self) -> tuple[str, int, str]:
        assert self.row is not None
        return self.uuid, self.row.id, self.payload.name[:255]

    def _own_connection(self) -> Any:
        """The worker's connection; on SQLite the job's own while it has a transaction open,

        because there a second writer would wait for the very job that waits for it.
        """
        if self.tables.jobs.dialect == "sqlite" or self.conn is None:
            theirs = self.tables.source.connection()
            if theirs.in_transaction or self.conn is None:
                return theirs
        return self.conn
