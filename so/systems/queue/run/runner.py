"""Runs one job in this process: scope, middleware, handler, and the verdict on what came of it.

The verdict is an `Outcome`; writing it down is `ending.py`. Claiming, leases and killing what
hangs are the worker's.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from so.errors import (
    CodecError,
    ConcurrencyError,
    DatabaseError,
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
from so.settings.queue import QueueSettings
from so.support.scope import Scope, entered
from so.systems.queue.job import Job, blueprint_of
from so.systems.queue.payload import Payload, backoff_seconds, seconds_of
from so.systems.queue.tables.jobs import Reserved
from so.systems.queue.tables.sql import Retry, read

if TYPE_CHECKING:
    from so.systems.queue.batches import Batch
    from so.systems.queue.queue import Queue

T = TypeVar("T")
log = logging.getLogger("so.queue")
THROTTLE_SECONDS = 0.5
TRANSACTION_ATTEMPTS = 3
FAILED_SECONDS = 60.0
"""What `failed()` may take where neither its job nor the worker has a limit."""
HOPELESS = (CodecError, InvalidPayloadError, UnknownJobError, RecordNotFoundError)
_NEVER_RAN = (CoroutineType, GeneratorType, AsyncGeneratorType)


class TimeUp(BaseException):
    """Raised inside a job by the worker's alarm; no `except Exception` of the job swallows it."""


class Interrupted(BaseException):
    """Raised inside a job when its worker must go at once; the job is given back."""


class LeaseLost(QueueError):
    """Somebody else has the job by now: its outcome here must not count."""


class _Undone(Exception):
    """Rolls back the transaction of a job that has released or failed itself."""


@dataclass(slots=True)
class Outcome:
    """What became of a run: done, released, retry, failed, deleted, cancelled, skipped or lost."""

    kind: str
    delay: float = 0.0
    exception: BaseException | None = None
    cost: str = "attempts"
    reason: str = ""
    settled: bool = False
    torn: bool = False
    """Whether an alarm has ended it in the middle of something."""
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
        seconds = max(0.0, seconds_of(delay, self.queue.clock.time()))
        self._end(Outcome("released", seconds, exception, cost=cost, reason=reason))

    def fail(self, exception: BaseException | str | None = None) -> None:
        """Let it fail for good at its end."""
        if not isinstance(exception, BaseException):
            exception = QueueError(str(exception or "the job failed itself"))
        self._end(Outcome("failed", exception=exception))

    def delete(self, kind: str = "deleted", reason: str = "") -> None:
        """Be done with it at its end."""
        self._end(Outcome(kind, reason=reason))

    def _end(self, ending: Outcome) -> None:
        """A release may be thought better of; who has failed or deleted itself stays so."""
        if self.ending is None or self.ending.kind == "released":
            self.ending = ending

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

    tries: int = QueueSettings.tries
    timeout: float | None = QueueSettings.timeout
    backoff: Any = QueueSettings.backoff
    max_crashes: int = QueueSettings.max_crashes


def scope_of(row: Reserved | None, payload: Payload | None) -> Scope:
    """What a job runs in, and what is told about it: under its dispatcher's request id."""
    uuid = (row.uuid if row is not None else None) or (payload.uuid if payload else "")
    asked = payload.context.get("request_id") if payload else None
    scope = Scope("job", request_id=str(asked or uuid or (row.id if row is not None else "")))
    scope.data["log"] = {"job_id": row.id, "uuid": uuid} if row is not None else {"uuid": uuid}
    return scope


class Runner:
    """Runs claimed jobs, one at a time."""

    def __init__(self, queue: Queue, conn: Any, limits: Limits, retry: Retry | None = None) -> None:
        """*conn* is the worker's own connection, *limits* hold where a job says nothing."""
        self.queue = queue
        self.retry = retry or Retry()
        self.conn = conn
        self.limits = limits
        self.inside = False
        self.on_start: Callable[[Reserved, Payload, float | None], None] | None = None

    def execute(self, row: Reserved) -> Outcome:
        """Run the job in *row*; whatever it holds and does, only the queue's database may raise."""
        payload = None
        try:
            payload = Payload.read(row.payload)
            outcome = self._refusal(row, payload)
            if outcome is None:
                with entered(scope_of(row, payload)) as scope:
                    outcome = self._attempt(row, payload, scope)
        except DatabaseError:
            raise
        except Exception as error:
            outcome = Outcome("failed", exception=error)
        outcome.payload = payload
        return outcome

    def call_failed(self, row: Reserved, outcome: Outcome) -> None:
        """Tell the job that it has failed for good."""
        if outcome.payload is not None:
            torn = self.tell_failed(outcome.payload, outcome.exception, outcome.job, row)
            outcome.torn = outcome.torn or torn

    def tell_failed(
        self,
        payload: Payload,
        exception: BaseException | None,
        job: Job | None = None,
        row: Reserved | None = None,
    ) -> bool:
        """Call `failed()` of a job, in a scope of its own; whether an alarm had to end it.

        An exit in it is an error like any other and ends no worker.
        """
        try:
            with entered(scope_of(row, payload)) as scope:
                self.queue.restore_context(scope, payload.context)
                self.inside = True
                self.queue.call_failed(payload, exception, job)
        except BaseException as error:
            log.error("queue: failed() of %s did not come to its end", payload.name, exc_info=error)
            return isinstance(error, TimeUp)
        finally:
            self.inside = False
        return False

    # --- before it starts ---

    def _refusal(self, row: Reserved, payload: Payload) -> Outcome | None:
        if row.cancelled_at is not None:
            return Outcome("cancelled")
        if row.crashes:
            lost = self._too_many_crashes(row, payload)
            if lost is not None:
                return Outcome("failed", exception=lost)
        tries, until = self.max_tries(payload), payload.fields.get("retryUntil")
        name = payload.name
        if until is not None and self.queue.clock.time() >= until:
            moment = datetime.fromtimestamp(until, UTC)
            reason = (
                f"{name} was to be tried until {moment:%Y-%m-%d %H:%M:%S} UTC, which has passed"
            )
            return Outcome("failed", exception=MaxAttemptsExceeded(reason))
        if tries > 0 and row.runs > tries:
            reason = f"{name} has been attempted too many times"
            return Outcome("failed", exception=MaxAttemptsExceeded(reason))
        if row.batch_id and self._is_cancelled(row.batch_id):
            return Outcome("cancelled", reason="its batch was cancelled")
        return None

    def _is_cancelled(self, batch_id: str) -> bool:
        return self.retry(self.conn, lambda: self.queue.batches.is_cancelled(self.conn, batch_id))

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

    def failed_timeout(self, payload: Payload) -> float:
        """Seconds its `failed()` may run."""
        return self.timeout(payload) or self.limits.timeout or FAILED_SECONDS

    # --- the run itself ---

    def _attempt(self, row: Reserved, payload: Payload, scope: Scope) -> Outcome:
        run = Run(self.queue, payload, row, self.conn)
        job: Job | None = None
        try:
            # First, so that a process that dies from here on dies of this job.
            if self.on_start is not None:
                self.on_start(row, payload, self.timeout(payload))
            self.queue.restore_context(scope, payload.context)
            job = payload.make(self.queue.codec, self.queue.registry)
            job._run = run
            if row.lock_key and job.unique_until_start:
                self.queue.settler.unlock(self.conn, row, self.retry)
            self.queue.emit("before", payload, row, job)
            if run.ending is None:  # else a hook has deleted, released or failed it
                self._guarded(job, run)
            outcome = self._after_return(row, payload, run)
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
            conn.end_stray_transaction()
            raise
        self.inside = False
        if conn.transaction_level() > level:
            conn.roll_back(level)
        # Begun behind the connection's back, it would lock the worker out of its own table.
        elif not conn.end_stray_transaction():
            return
        raise QueueError(
            "the job returned with a database transaction still open; it was rolled back: "
            "use `with DB.transaction():`"
        )

    def _after_return(self, row: Reserved, payload: Payload, run: Run) -> Outcome:
        ending = run.ending
        if run.completed:
            kind = "done" if ending is None or ending.kind == "released" else ending.kind
            return Outcome(kind, reason=ending.reason if ending else "", settled=True)
        if ending is None:
            return Outcome("done")
        error = ending.exception
        if ending.kind == "released" and error is not None and self._is_last(row, payload, error):
            return Outcome("failed", exception=error)
        return ending

    def _after_error(
        self, row: Reserved, payload: Payload, run: Run, error: BaseException
    ) -> Outcome:
        if run.completed:
            return Outcome("done", settled=True)
        if isinstance(error, LeaseLost):
            return Outcome("lost", exception=error)
        if isinstance(error, JobCancelled):
            return Outcome("cancelled")
        if isinstance(error, HOPELESS) and not _began(error):
            return self._without_arguments(payload, error)
        torn = isinstance(error, TimeUp)
        if torn:
            seconds = self.timeout(payload)
            late = TimeoutExceeded(f"{payload.name} ran for longer than {seconds:g} seconds")
            error = late.with_traceback(error.__traceback__)
        ending = run.ending
        if ending is None or ending.kind == "released":
            ending = self.verdict(row, payload, error, ending.delay if ending else None)
        ending.torn = torn
        return ending

    def _without_arguments(self, payload: Payload, error: BaseException) -> Outcome:
        cls = self.queue.registry.get(payload.fields["job"])
        missing = isinstance(error, RecordNotFoundError)
        if missing and cls is not None and cls.delete_when_missing_models:
            return Outcome("deleted", reason="one of its models is gone")
        return Outcome("failed", exception=error)

    def verdict(
        self, row: Reserved, payload: Payload, error: BaseException, pause: float | None = None
    ) -> Outcome:
        """Another attempt (after *pause*, or the backoff), or the end: what *error* means."""
        if self._is_last(row, payload, error):
            return Outcome("failed", exception=error)
        if pause is None:
            own = payload.fields.get("backoff")
            pause = backoff_seconds(self.limits.backoff if own is None else own, row.runs)
        return Outcome("retry", pause, error, cost="exceptions")

    def _is_last(self, row: Reserved, payload: Payload, error: BaseException) -> bool:
        fields = payload.fields
        if isinstance(error, TimeoutExceeded) and fields.get("failOnTimeout"):
            return True
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
    if not job.transactional:
        return _call(queue, job, run)
    conn = queue.source.connection()
    try:
        return _in_transaction(queue, conn, job, run)
    except _Undone:
        return None


def _call(queue: Queue, job: Job, run: Run) -> Any:
    process = os.getpid()
    try:
        result = queue.call(job.handle) if blueprint_of(type(job)).handle_wants else job.handle()
    finally:
        if run.row is not None and os.getpid() != process:
            _end_stray(job)
    if result is not None and run.row is not None and isinstance(result, _NEVER_RAN):
        if not isinstance(result, AsyncGeneratorType):
            result.close()  # or it complains itself, later and elsewhere
        raise QueueError(
            f"{type(job).__name__}.handle() gave a {type(result).__name__}, which nobody runs: "
            "make it a plain function, with asyncio.run(…) around what is to be awaited"
        )
    return result


def _end_stray(job: Job) -> NoReturn:
    """End a process that the handler forked and that came out of it: else there were two workers.

    At once: whatever it cleaned up on its way would be the real worker's.
    """
    log.error(
        "queue: %s forked a process that came out of its handler, it is ended: leave it by "
        "os._exit(), or use subprocess or multiprocessing",
        type(job).alias,
    )
    os._exit(1)


def _in_transaction(queue: Queue, conn: Any, job: Job, run: Run) -> Any:
    row = run.row
    for attempt in range(1, TRANSACTION_ATTEMPTS + 1):
        try:
            return _transaction(queue, conn, job, run)
        except LostConnectionError:
            # Perhaps the commit arrived and only its answer was lost: the row tells.
            if row is None or _is_there(queue, run.conn, row):
                raise
            run.completed = True
            return None
        except ConcurrencyError:
            if attempt == TRANSACTION_ATTEMPTS or conn.in_transaction:
                raise
            run.ending = None
            job = run.payload.make(queue.codec, queue.registry)
            job._run = run
    return None


def _is_there(queue: Queue, conn: Any, row: Reserved) -> bool:
    return Retry()(conn, lambda: queue.store.exists(conn, row.id))


def _transaction(queue: Queue, conn: Any, job: Job, run: Run) -> Any:
    """The handler and the removal of its job; raises _Undone when the job is to come back."""
    with conn.transaction():
        result = _call(queue, job, run)
        kind = run.ending.kind if run.ending else "done"
        if kind in ("released", "failed"):
            raise _Undone
        if run.row is not None:
            queue.settler.complete_within(conn, run.row, run.payload, kind, run.told)
    run.completed = run.row is not None
    return result
