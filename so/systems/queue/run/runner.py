"""Runs one job in this process: scope, middleware, handler, and the verdict on what came of it.

The verdict is an `JobOutcome`; writing it down is `ending.py`. Claiming, leases and killing what
hangs are the worker's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, NoReturn

from so.errors import (
    DatabaseError,
    JobCancelled,
    LostConnectionError,
    MaxAttemptsExceeded,
    QueueError,
    RecordNotFoundError,
    TimeoutExceeded,
    WorkerLost,
)
from so.settings.queue import QueueSettings
from so.support.scope import Scope, entered
from so.systems.queue.delays import backoff_seconds
from so.systems.queue.job import Job, blueprint_of
from so.systems.queue.payload import Payload
from so.systems.queue.run.run import Interrupted, JobOutcome, LeaseLost, Run, TimeUp
from so.systems.queue.run.workshop import HOPELESS, Workshop
from so.systems.queue.tables.jobs import Reserved
from so.systems.queue.tables.sql import Retry

log = logging.getLogger("so.queue")
TRANSACTION_ATTEMPTS = 3
FAILED_SECONDS = 60.0
"""What `failed()` may take where neither its job nor the worker has a limit."""
_NEVER_RAN = (CoroutineType, GeneratorType, AsyncGeneratorType)


class _Undone(Exception):
    """Rolls back the transaction of a job that has released or failed itself."""


@dataclass(slots=True)
class JobLimits:
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
    if payload is not None:
        scope.data["job"] = payload.name
    return scope


class JobRunner:
    """Runs claimed jobs, one at a time."""

    def __init__(
        self, workshop: Workshop, conn: Any, limits: JobLimits, retry: Retry | None = None
    ) -> None:
        """*conn* is the worker's own connection, *limits* hold where a job says nothing."""
        self.workshop = workshop
        self.tables = workshop.place.tables
        self.retry = retry or Retry()
        self.conn = conn
        self.limits = limits
        self.inside = False
        self.on_start: Callable[[Reserved, Payload, float | None], None] | None = None

    def execute(self, row: Reserved) -> JobOutcome:
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
            outcome = JobOutcome("failed", exception=error)
        outcome.payload = payload
        return outcome

    def call_failed(self, row: Reserved, outcome: JobOutcome) -> None:
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
                self.workshop.restore_context(scope, payload.context)
                self.inside = True
                self.workshop.call_failed(payload, exception, job)
        except BaseException as error:
            log.error("queue: failed() of %s did not come to its end", payload.name, exc_info=error)
            return isinstance(error, TimeUp)
        finally:
            self.inside = False
        return False

    # --- before it starts ---

    def _refusal(self, row: Reserved, payload: Payload) -> JobOutcome | None:
        if row.cancelled_at is not None:
            return JobOutcome("cancelled")
        if row.crashes:
            lost = self._too_many_crashes(row, payload)
            if lost is not None:
                return JobOutcome("failed", exception=lost)
        tries, until = self.max_tries(payload), payload.fields.get("retryUntil")
        name = payload.name
        if until is not None and self.tables.clock.time() >= until:
            moment = datetime.fromtimestamp(until, UTC)
            reason = (
                f"{name} was to be tried until {moment:%Y-%m-%d %H:%M:%S} UTC, which has passed"
            )
            return JobOutcome("failed", exception=MaxAttemptsExceeded(reason))
        if tries > 0 and row.runs > tries:
            reason = f"{name} has been attempted too many times"
            return JobOutcome("failed", exception=MaxAttemptsExceeded(reason))
        if row.batch_id and self._is_cancelled(row.batch_id):
            return JobOutcome("cancelled", reason="its batch was cancelled")
        return None

    def _is_cancelled(self, batch_id: str) -> bool:
        return self.retry(self.conn, lambda: self.tables.batches.is_cancelled(self.conn, batch_id))

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

    def _attempt(self, row: Reserved, payload: Payload, scope: Scope) -> JobOutcome:
        run = Run(self.workshop.place, payload, row, self.conn)
        job: Job | None = None
        try:
            # First, so that a process that dies from here on dies of this job.
            if self.on_start is not None:
                self.on_start(row, payload, self.timeout(payload))
            self.workshop.restore_context(scope, payload.context)
            job = self.workshop.make(payload)
            job._run = run
            if row.lock_key and job.unique_until_start:
                self.workshop.settler.unlock(self.conn, row, self.retry)
            self.workshop.hooks.emit("before", payload, row, job)
            if run.ending is None:  # else a hook has deleted, released or failed it
                self._guarded(job, run)
            outcome = self._after_return(row, payload, run)
        except Interrupted:
            outcome = JobOutcome("released", cost="nothing", reason="interrupted")
        except BaseException as error:
            outcome = self._after_error(row, payload, run, error)
        outcome.job, outcome.run = job, run
        return outcome

    def _guarded(self, job: Job, run: Run) -> None:
        conn = self.tables.source.connection()
        level = conn.transaction_level()
        self.inside = True
        try:
            perform(self.workshop, job, run)
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

    def _after_return(self, row: Reserved, payload: Payload, run: Run) -> JobOutcome:
        ending = run.ending
        if run.completed:
            kind = "done" if ending is None or ending.kind == "released" else ending.kind
            return JobOutcome(kind, reason=ending.reason if ending else "", settled=True)
        if ending is None:
            return JobOutcome("done")
        error = ending.exception
        if ending.kind == "released" and error is not None and self._is_last(row, payload, error):
            return JobOutcome("failed", exception=error)
        return ending

    def _after_error(
        self, row: Reserved, payload: Payload, run: Run, error: BaseException
    ) -> JobOutcome:
        if run.completed:
            return JobOutcome("done", settled=True)
        if isinstance(error, LeaseLost):
            return JobOutcome("lost", exception=error)
        if isinstance(error, JobCancelled):
            return JobOutcome("cancelled")
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

    def _without_arguments(self, payload: Payload, error: BaseException) -> JobOutcome:
        cls = self.workshop.registry.get(payload.fields["job"])
        missing = isinstance(error, RecordNotFoundError)
        if missing and cls is not None and cls.delete_when_missing_models:
            return JobOutcome("deleted", reason="one of its models is gone")
        return JobOutcome("failed", exception=error)

    def verdict(
        self, row: Reserved, payload: Payload, error: BaseException, pause: float | None = None
    ) -> JobOutcome:
        """Another attempt (after *pause*, or the backoff), or the end: what *error* means."""
        if self._is_last(row, payload, error):
            return JobOutcome("failed", exception=error)
        if pause is None:
            own = payload.fields.get("backoff")
            pause = backoff_seconds(self.limits.backoff if own is None else own, row.runs)
        return JobOutcome("retry", pause, error, cost="exceptions")

    def _is_last(self, row: Reserved, payload: Payload, error: BaseException) -> bool:
        fields = payload.fields
        if isinstance(error, TimeoutExceeded) and fields.get("failOnTimeout"):
            return True
        tries, until = self.max_tries(payload), fields.get("retryUntil")
        if until is not None and self.tables.clock.time() >= until:
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


def perform(workshop: Workshop, job: Job, run: Run) -> Any:
    """Run *job* through its middleware; if transactional, in one transaction with its removal."""
    core: Callable[[Job], Any] = lambda job: _handle(workshop, job, run)  # noqa: E731
    if not blueprint_of(type(job)).has_middleware:
        return core(job)
    for layer in reversed(list(job.middleware())):
        core = _wrapped(layer, core)
    return core(job)


def _wrapped(layer: Any, inner: Callable[[Job], Any]) -> Callable[[Job], Any]:
    entry = getattr(layer, "handle", layer)
    return lambda job: entry(job, inner)


def _handle(workshop: Workshop, job: Job, run: Run) -> Any:
    if not job.transactional:
        return _call(workshop, job, run)
    conn = workshop.place.tables.source.connection()
    try:
        return _in_transaction(workshop, conn, job, run)
    except _Undone:
        return None


def _call(workshop: Workshop, job: Job, run: Run) -> Any:
    process = os.getpid()
    try:
        result = workshop.call(job.handle) if blueprint_of(type(job)).handle_wants else job.handle()
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


def _in_transaction(workshop: Workshop, conn: Any, job: Job, run: Run) -> Any:
    row, fresh = run.row, [job]

    def work() -> Any:
        return _whole(workshop, conn, fresh.pop() if fresh else _made_anew(workshop, run), run)

    try:
        result = conn.transaction(work, TRANSACTION_ATTEMPTS)
    except LostConnectionError:
        # Perhaps the commit arrived and only its answer was lost: the row tells.
        if row is None or _is_there(workshop, run.conn, row):
            raise
        result = None
    run.completed = row is not None
    return result


def _made_anew(workshop: Workshop, run: Run) -> Job:
    """The job once more after a conflict, as if nothing had happened to it."""
    run.ending = None
    job = workshop.make(run.payload)
    job._run = run
    return job


def _is_there(workshop: Workshop, conn: Any, row: Reserved) -> bool:
    return Retry()(conn, lambda: workshop.place.tables.jobs.exists(conn, row.id))


def _whole(workshop: Workshop, conn: Any, job: Job, run: Run) -> Any:
    """The handler and the removal of its job; raises _Undone when the job is to come back."""
    result = _call(workshop, job, run)
    kind = run.ending.kind if run.ending else "done"
    if kind in ("released", "failed"):
        raise _Undone
    if run.row is not None:
        workshop.settler.complete_within(conn, run.row, run.payload, kind, run.told)
    return result
