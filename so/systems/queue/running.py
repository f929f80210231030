"""Runs one job in this process: scope, middleware, handler, and the verdict on what came of it.

The verdict is an `Outcome`; writing it down is `settle.py`. Claiming, leases and killing what
hangs are the worker's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from so.errors import (
    CodecError,
    ConcurrencyError,
    InvalidPayloadError,
    JobCancelled,
    LostConnectionError,
    MaxAttemptsExceeded,
    QueueError,
    RecordNotFoundError,
    TimeoutExceeded,
    UnknownJobError,
    WorkerLost,
)
from so.support.scope import Scope, entered
from so.systems.queue.job import Job, blueprint_of
from so.systems.queue.payload import Payload, backoff_seconds, seconds_of
from so.systems.queue.sqltools import read
from so.systems.queue.store import Reserved

if TYPE_CHECKING:
    from so.systems.queue.batches import Batch
    from so.systems.queue.queue import Queue

T = TypeVar("T")
THROTTLE_SECONDS = 0.5
TRANSACTION_ATTEMPTS = 3
HOPELESS = (CodecError, InvalidPayloadError, UnknownJobError, RecordNotFoundError)


class TimeUp(BaseException):
    """Raised inside a job by the worker's alarm; no `except Exception` of the job swallows it."""


class Interrupted(BaseException):
    """Raised inside a job when its worker must go at once; the job is given back."""


class LeaseLost(QueueError):
    """Somebody else has the job by now: its outcome here must not count."""


@dataclass(slots=True)
class Outcome:
    """What became of a run: done, released, retry, failed, deleted, cancelled, skipped or lost."""

    kind: str
    delay: float = 0.0
    exception: BaseException | None = None
    cost: str = "attempts"
    reason: str = ""
    settled: bool = False
    job: Job | None = None
    payload: Payload | None = None
    run: Run | None = None


class Run:
    """One run of a job: what its methods (`release`, `progress`, …) are answered by."""

    def __init__(self, queue: Queue, payload: Payload, row: Reserved | None, conn: Any) -> None:
        """*row* and *conn*, the worker's connection, are None when the job runs at once."""
        self.queue = queue
        self.payload = payload
        self.row = row
        self.conn = conn
        self.ending: Outcome | None = None
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

    def release(self, delay: Any = 0, cost: str = "attempts", reason: str = "released") -> None:
        """Put the job back at its end; *cost* is "attempts" or "nothing"."""
        seconds = seconds_of(delay, self.queue.clock.time())
        self.ending = Outcome("released", max(0.0, seconds), cost=cost, reason=reason)

    def fail(self, exception: BaseException | str | None = None) -> None:
        """Let it fail for good at its end."""
        if not isinstance(exception, BaseException):
            exception = QueueError(str(exception or "the job failed itself"))
        self.ending = Outcome("failed", exception=exception)

    def delete(self, kind: str = "deleted", reason: str = "") -> None:
        """Be done with it at its end."""
        self.ending = Outcome(kind, reason=reason)

    def batch(self) -> Batch | None:
        """The batch it belongs to, or whose callback it is."""
        batch_id = self.payload.fields.get("batchId") or self.payload.fields.get("ofBatch")
        return self.queue.find_batch(str(batch_id)) if batch_id else None

    def still_mine(self) -> bool:
        """Whether this claim still stands."""
        if self.row is None:
            return True
        return self.queue.store.is_held(self._own_connection(), self.row)

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
        self.queue.progress_table.write(
            self._own_connection(), self._identity(), self.queue.clock.time(), done, total, message
        )
        self._stop_if_cancelled()

    def resume(self, iterable: Iterable[T], every: int, transaction: bool) -> Iterator[T]:
        """The items that are still to do, in groups of *every*."""
        if self.row is None:
            yield from iterable
            return
        done = self.queue.progress_table.position(self._own_connection(), self.uuid)
        rest = iter(iterable)
        for _ in islice(rest, done):
            pass
        while group := list(islice(rest, max(1, every))):
            if transaction:
                # An exception in the loop's body closes this generator, which rolls the group
                # back together with its place.
                with self.queue.source.connection().transaction() as conn:
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
        self.queue.settler.complete_within(connection, self.row, self.payload, told=self.told)
        connection.after_commit(self._mark_completed)

    def _mark_completed(self) -> None:
        self.completed = True

    def _keep_place(self, conn: Any, done: int) -> None:
        assert self.row is not None
        self.told = True
        now = self.queue.clock.time()
        held = self.queue.progress_table.set_position(
            conn, self._identity(), self.row.worker, done, now
        )
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
        if self.queue.store.dialect == "sqlite" or self.conn is None:
            theirs = self.queue.source.connection()
            if theirs.in_transaction or self.conn is None:
                return theirs
        return self.conn


@dataclass(slots=True)
class Limits:
    """What holds for jobs that say nothing of their own."""

    tries: int = 3
    timeout: float | None = 60
    backoff: Any = 0
    max_crashes: int = 3


class Runner:
    """Runs claimed jobs, one at a time."""

    def __init__(self, queue: Queue, conn: Any, limits: Limits) -> None:
        """*conn* is the worker's own connection, *limits* hold where a job says nothing."""
        self.queue = queue
        self.conn = conn
        self.limits = limits
        self.inside = False
        self.on_start: Callable[[Reserved, Payload, float | None], None] | None = None

    def execute(self, row: Reserved) -> Outcome:
        """Run the job in *row*; never raises for what the job did."""
        try:
            payload = Payload.read(row.payload)
        except InvalidPayloadError as error:
            return Outcome("failed", exception=error)
        outcome = self._refusal(row, payload)
        if outcome is None:
            scope = Scope("job", request_id=self._request_id(payload, row))
            with entered(scope):
                self.queue.restore_context(scope, payload.context)
                outcome = self._attempt(row, payload)
        outcome.payload = payload
        return outcome

    def call_failed(self, row: Reserved, outcome: Outcome) -> None:
        """Tell the job that it has failed for good."""
        payload = outcome.payload
        if payload is None:
            return
        scope = Scope("job", request_id=self._request_id(payload, row))
        with entered(scope):
            self.queue.restore_context(scope, payload.context)
            self.queue.call_failed(payload, outcome.exception, outcome.job)

    def _request_id(self, payload: Payload, row: Reserved) -> str:
        return str(payload.context.get("request_id") or row.uuid or payload.uuid or row.id)

    # --- before it starts ---

    def _refusal(self, row: Reserved, payload: Payload) -> Outcome | None:
        if row.cancelled_at is not None:
            return Outcome("cancelled")
        if row.crashes:
            lost = self._too_many_crashes(row, payload)
            if lost is not None:
                return Outcome("failed", exception=lost)
        tries, until = self.max_tries(payload), payload.fields.get("retryUntil")
        exhausted = tries > 0 and row.runs > tries
        if exhausted or (until is not None and row.runs > 1 and self.queue.clock.time() >= until):
            return Outcome(
                "failed",
                exception=MaxAttemptsExceeded(f"{payload.name} has been attempted too many times"),
            )
        if row.batch_id and self.queue.batches.is_cancelled(self.conn, row.batch_id):
            return Outcome("skipped", reason="its batch was cancelled")
        return None

    def _too_many_crashes(self, row: Reserved, payload: Payload) -> WorkerLost | None:
        limit = self.max_crashes(payload)
        if row.crashes < limit:
            return None
        return WorkerLost(
            f"the process running {payload.name} died {row.crashes} time(s), "
            "the last time without a word (its lease ran out)"
        )

    def max_tries(self, payload: Payload) -> int:
        """Attempts in all; 0 is without end."""
        own = payload.fields.get("maxTries")
        if own is not None:
            return int(own)
        return 0 if payload.fields.get("retryUntil") is not None else self.limits.tries

    def max_crashes(self, payload: Payload) -> int:
        """Deaths of the worker until the job has failed."""
        if payload.fields.get("onCrash") == "fail":
            return 1
        own = payload.fields.get("maxCrashes")
        return self.limits.max_crashes if own is None else int(own)

    def timeout(self, payload: Payload) -> float | None:
        """Seconds it may run."""
        own = payload.fields.get("timeout")
        seconds = self.limits.timeout if own is None else float(own)
        return seconds or None

    # --- the run itself ---

    def _attempt(self, row: Reserved, payload: Payload) -> Outcome:
        run = Run(self.queue, payload, row, self.conn)
        job: Job | None = None
        try:
            job = payload.make(self.queue.codec, self.queue.registry)
            job._run = run
            if self.on_start is not None:
                self.on_start(row, payload, self.timeout(payload))
            if row.lock_key and job.unique_until_start:
                self.queue.settler.unlock(self.conn, row)
            self.queue.emit("before", payload, row, job)
            self._guarded(job, run)
            outcome = run.ending or Outcome("done", settled=run.completed)
        except Interrupted:
            outcome = Outcome("released", cost="nothing", reason="interrupted")
        except BaseException as error:
            outcome = self._after_error(row, payload, run, error)
        outcome.job, outcome.run = job, run
        return outcome

    def _guarded(self, job: Job, run: Run) -> None:
        conn = self.queue.source.connection()
        level = conn.transaction_level()
        self.inside = True
        try:
            perform(self.queue, job, run)
        except BaseException:
            self.inside = False
            # A generator in the traceback, such as `resume`, may still hold one open.
            conn.roll_back(level)
            raise
        self.inside = False
        if conn.transaction_level() > level:
            conn.roll_back(level)
            raise QueueError(
                "the job returned with a database transaction still open; it was rolled back: "
                "use `with DB.transaction():`"
            )

    def _after_error(
        self, row: Reserved, payload: Payload, run: Run, error: BaseException
    ) -> Outcome:
        if run.completed:
            return Outcome("done", settled=True)
        if isinstance(error, LeaseLost):
            return Outcome("lost", exception=error)
        if isinstance(error, JobCancelled):
            return Outcome("cancelled")
        if isinstance(error, HOPELESS) and run.row is not None and not _began(error):
            return self._without_arguments(payload, error)
        if run.ending is not None and run.ending.kind == "failed":
            return run.ending
        if isinstance(error, TimeUp):
            seconds = self.timeout(payload)
            late = TimeoutExceeded(f"{payload.name} ran for longer than {seconds:g} seconds")
            return self.verdict(row, payload, late.with_traceback(error.__traceback__))
        return self.verdict(row, payload, error)

    def _without_arguments(self, payload: Payload, error: BaseException) -> Outcome:
        cls = self.queue.registry.get(payload.fields["job"])
        missing = isinstance(error, RecordNotFoundError)
        if missing and cls is not None and cls.delete_when_missing_models:
            return Outcome("deleted", reason="one of its models is gone")
        return Outcome("failed", exception=error)

    def verdict(self, row: Reserved, payload: Payload, error: BaseException) -> Outcome:
        """Another attempt, or the end: what *error* means for the job in *row*."""
        if self._is_last(row, payload, error):
            return Outcome("failed", exception=error)
        own = payload.fields.get("backoff")
        pause = backoff_seconds(self.limits.backoff if own is None else own, row.runs)
        return Outcome("retry", pause, error, cost="exceptions")

    def _is_last(self, row: Reserved, payload: Payload, error: BaseException) -> bool:
        fields = payload.fields
        if isinstance(error, TimeoutExceeded) and fields.get("failOnTimeout"):
            return True
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            return False
        tries, until = self.max_tries(payload), fields.get("retryUntil")
        if until is not None and self.queue.clock.time() >= until:
            return True
        if tries > 0 and row.runs >= tries:
            return True
        most = fields.get("maxExceptions")
        return most is not None and row.exceptions + 1 >= int(most)


def _began(error: BaseException) -> bool:
    """Whether *error* comes out of the handler, not out of making the job."""
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code is perform.__code__:
            return True
        frame = frame.tb_next
    return False


def perform(queue: Queue, job: Job, run: Run) -> Any:
    """Run *job* through its middleware; if transactional, in one transaction with its removal."""
    core: Callable[[Job], Any] = lambda job: _handle(queue, job, run)  # noqa: E731
    if not blueprint_of(type(job)).has_middleware:
        return core(job)
    for layer in reversed(list(job.middleware())):
        core = _wrapped(layer, core)
    return core(job)


def _wrapped(layer: Any, inner: Callable[[Job], Any]) -> Callable[[Job], Any]:
    entry = getattr(layer, "handle", layer)
    return lambda job: entry(job, inner)


def _handle(queue: Queue, job: Job, run: Run) -> Any:
    if run.row is not None and job.transactional:
        return _in_transaction(queue, job, run)
    return _call(queue, job)


def _call(queue: Queue, job: Job) -> Any:
    if blueprint_of(type(job)).handle_wants:
        return queue.call(job.handle)
    return job.handle()


def _in_transaction(queue: Queue, job: Job, run: Run) -> Any:
    conn = queue.source.connection()
    for attempt in range(1, TRANSACTION_ATTEMPTS + 1):
        try:
            return _transaction(queue, conn, job, run)
        except LostConnectionError:
            # Perhaps the commit arrived and only its answer was lost: the row tells.
            assert run.row is not None
            if not queue.store.exists(run.conn, run.row.id):
                run.completed = True
                return None
            raise
        except ConcurrencyError:
            if attempt == TRANSACTION_ATTEMPTS:
                raise
            run.ending = None
            job = run.payload.make(queue.codec, queue.registry)
            job._run = run
    return None


def _transaction(queue: Queue, conn: Any, job: Job, run: Run) -> Any:
    assert run.row is not None
    with conn.transaction():
        result = _call(queue, job)
        done = run.ending is None
        if done:
            queue.settler.complete_within(conn, run.row, run.payload, told=run.told)
    run.completed = done
    return result
