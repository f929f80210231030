"""`Worker`: claims jobs, runs them one after the other, writes down what came of them.

One process, one job at a time. Short jobs are claimed and removed in groups, so that the database
is asked once for many of them; a job is gone only after its handler has returned. Being many,
surviving crashes and killing what hangs is the crew's business.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from itertools import groupby
from operator import attrgetter
from typing import Any

from so.errors import DatabaseError
from so.support.scope import entered
from so.systems.queue.queue import Queue
from so.systems.queue.run.failure_text import one_line
from so.systems.queue.run.run import JobOutcome
from so.systems.queue.run.runner import JobRunner, scope_of
from so.systems.queue.run.workshop import HOPELESS
from so.systems.queue.tables.jobs import Reserved
from so.systems.queue.tables.sql import PATIENCE, Retry
from so.systems.worker.in_hand import InHand, Leftovers
from so.systems.worker.options import WorkerOptions

log = logging.getLogger("so.queue")
LOOK_SECONDS = 1.0
HOUSEKEEPING_SECONDS = 60.0
SKEW_SECONDS = 1.0
METRICS_SECONDS = 5.0
GIVING_BACK_SECONDS = 0.01
HOLD_BACK_SECONDS = 3.0
"""After an outage as long as a lease: what others could not write down meanwhile comes first."""
_OUTCOMES = {
    "done": ("DONE", "done"),
    "released": ("RELEASED", "released"),
    "retry": ("RETRY", "retried"),
    "failed": ("FAIL", "failed"),
    "deleted": ("DELETED", "done"),
    "cancelled": ("CANCELLED", "cancelled"),
    "skipped": ("SKIPPED", "skipped"),
    "lost": ("LOST", "lease_lost"),
}


class Worker(InHand):
    """Runs the jobs of some queues in this process."""

    def __init__(
        self,
        queue: Queue,
        options: WorkerOptions | None = None,
        *,
        out: Callable[[str], Any] | None = None,
        keeps_leases: bool = True,
    ) -> None:
        """*out* gets the lines (None: nothing is printed); a crew keeps leases by itself."""
        super().__init__(queue, options, out)
        self.conn = queue.worker_connection()
        self.store.look_for_cluster(self.conn)
        # What has ended is known to nobody else: it is written down however long that takes.
        self.retry = Retry(math.inf, self._on_retry, outlasts=True)
        self.runner = JobRunner(queue.workshop, self.conn, self.options.limits, self.retry)
        self.runner.on_start = self._on_start
        self.done = 0
        self.failed = 0
        self.stopping = False
        self.is_paused: Callable[[], bool] = lambda: False
        self.on_job: Callable[[Reserved, Any, float | None], None] | None = None
        self.on_outage: Callable[[], object] = lambda: None
        self.on_return: Callable[[], None] | None = None
        self.after_job: Callable[[JobOutcome], None] | None = None
        self.on_look: Callable[[], None] | None = None
        self.wait: Callable[[], None] = lambda: queue.clock.sleep(self.options.sleep_seconds)
        self._pace = self.options.prefetch_seconds
        self._group = 1
        self._started = time.monotonic()
        self._looked_at = 0.0
        self._rested: dict[str, int] = {}
        self._last = ""
        self._generation: int | None = None
        self._metrics_at = self._kept_at = self._heard_at = self._orphans_at = self._started
        self._held_back_until = 0.0
        self._is_giving_back = False
        # A database in memory has one connection and no second process to wait for.
        self.is_alone = self.conn is queue.source.connection()
        self.leftovers = None if self.is_alone else Leftovers(self, keeps_leases)

    # --- one at a time: tests and scripts ---

    def run_one(self) -> bool:
        """Claim and run the next due job; False when there was none."""
        self.look()
        rows = self._claim(1)
        for row in rows:
            self._process(row)
        self.settle_finished()
        self._tidy(force=True)
        self.lines.flush()
        return bool(rows)

    def run_all(self, limit: int = 10_000) -> int:
        """Run what is due until nothing is; how many jobs that were."""
        count = 0
        while count < limit and self.run_one():
            count += 1
        return count

    def take(self) -> Reserved | None:
        """Reserve the next due job and remove it without running it; None when there was none.

        For moving jobs elsewhere, and for measuring what a claim costs.
        """
        rows = self._claim(1)
        for row in rows:
            self.store.delete(self.conn, row)
        return rows[0] if rows else None

    # --- the loop ---

    def run(self) -> int:
        """Work until there is a reason to end; the exit code."""
        keep_time(self.queue, self.conn)
        try:
            while not self.is_over():
                if not self.waiting and not self._fetch():
                    if not self._ends_when_empty():
                        self._idle()
                    elif not self.store.may_hide_more():
                        break
                    continue
                row = self._next()
                if row is not None:
                    self._process(row)
                    self._rest()
        finally:
            self.leave()
        return 0

    def _ends_when_empty(self) -> bool:
        options = self.options
        if self._holds_back() or self._is_giving_back:
            return False
        return options.once or (options.stop_when_empty and not self.is_paused())

    def stop(self) -> None:
        """End after the job that runs."""
        self.stopping = True
        self.retry.patience = PATIENCE

    def is_over(self) -> bool:
        """Whether it is time to end."""
        options = self.options
        return (
            self.stopping
            or (options.once and self.done + self.failed > 0)
            or (options.max_jobs > 0 and self.done + self.failed >= options.max_jobs)
            or (options.max_seconds > 0 and time.monotonic() - self._started >= options.max_seconds)
        )

    def is_too_big(self) -> bool:
        """Whether this process has outgrown its memory limit."""
        limit = self.options.memory_mb
        return limit > 0 and memory_mb() >= limit

    def leave(self) -> None:
        """Give back what was not started, write down what has ended, print the rest."""
        if self.leftovers is not None:
            self.leftovers.stop()
        with self.lock:
            rows = list(self.waiting)
            self.waiting.clear()
        try:
            self.settle_finished()
            self.queue.settler.give_back(self.conn, rows, self.retry)
            self.queue.metrics.flush(self.conn)
        except DatabaseError as error:
            log.error("queue: could not write everything down before leaving: %s", error)
        self.lines.flush()

    def _fetch(self) -> bool:
        self.look()
        if self.is_paused() or self._holds_back():
            self.settle_finished()
            return False
        self.queue.loop()
        with self.lock:
            # Before the claim, which cannot see it: an empty queue may be about to have it again.
            self._is_giving_back = bool(self.leaving)
        rows = self._claim(self._wanted())
        with self.lock:
            self.waiting.extend(rows)
        if len(rows) > 1 and self.leftovers is not None:
            self.leftovers.watch()
        return bool(rows)

    def _next(self) -> Reserved | None:
        with self.lock:
            if not self.waiting:
                return None  # they were given back while the last job took its time
            row = self.current = self.waiting.popleft()
            self.current_since = time.monotonic()
        if row.lease_until > self.queue.clock.time() or self._is_still_mine(row):
            return row
        self.current = None
        return None

    def _is_still_mine(self, row: Reserved) -> bool:
        """Whether a job that has waited for longer than its lease may be started here."""
        until = int(self.queue.clock.time()) + self.options.lease_seconds

        def work() -> bool:
            self.store.extend(self.conn, [row.id], row.worker, until)
            return self.store.is_held(self.conn, row)

        row.lease_until = until
        return self.retry(self.conn, work)

    def _holds_back(self) -> bool:
        return time.monotonic() < self._held_back_until

    def _wanted(self) -> int:
        options = self.options
        if options.once or self.is_alone or self.leftovers is None:
            return 1
        fitting = int(options.prefetch_seconds / max(self._pace, 1e-6))
        self._group = max(1, min(self._group * 2, fitting, options.prefetch_jobs))
        if options.max_jobs:
            return max(1, min(self._group, options.max_jobs - self.done - self.failed))
        return self._group

    def _idle(self) -> None:
        self.settle_finished()
        self._tidy()
        self.lines.flush()
        if self._is_giving_back:
            time.sleep(GIVING_BACK_SECONDS)
        elif not self.stopping:
            self.wait()

    def _rest(self) -> None:
        if self.options.rest_seconds:
            self.settle_finished()
            self.lines.flush()
            self.queue.clock.sleep(self.options.rest_seconds)

    # --- claiming ---

    def _claim(self, count: int) -> list[Reserved]:
        queues = self.open_queues()
        if self.options.fair and len(queues) > 1:
            # The one after the last that had something comes first; no run of one is long.
            first = (queues.index(self._last) + 1) % len(queues) if self._last in queues else 0
            queues = queues[first:] + queues[:first]
            count = max(1, count // len(queues))
        for queue in queues:
            rows = self._claim_from(queue, count)
            if rows:
                self._last = queue
                return rows
            if self._holds_back():
                break
        return []

    def _claim_from(self, queue: str, count: int) -> list[Reserved]:
        """Remove what has ended and reserve what comes next, in one transaction."""
        self.sequence += 1
        claim = f"{self.name}/{self.sequence}/"
        lease, began = self.options.lease_seconds, time.monotonic()

        def work() -> tuple[list[Reserved], int]:
            now = int(self.queue.clock.time())
            if self.retry.lost:
                # An earlier try may have been committed with only its answer lost.
                kept = self.store.held_by(self.conn, [queue], claim, now, lease)
                if kept:
                    return kept, len(ended)
            if self.retry.tries and self._was_long_silent(began):
                # Everybody's leases have run out: nothing is claimed before their holders, back
                # like this one, have written down what has ended and renewed what has not.
                self._held_back_until = time.monotonic() + HOLD_BACK_SECONDS
                return [], self._delete(ended)
            if self.store.dialect == "sqlite" and not ended:
                return self.store.claim(self.conn, queue, count, claim, now, lease), 0
            with self.conn.transaction():
                gone = self._delete(ended)
                rows = self.store.claim(self.conn, queue, count, claim, now, lease)
            return rows, gone

        self.on_claim(self.sequence)
        ended = self._take_finished()
        try:
            rows, gone = self.retry(self.conn, work, patience=lambda: self._patience(ended))
        except BaseException as error:
            self._keep(ended)
            if ended or not self.stopping or not isinstance(error, DatabaseError):
                raise
            return []  # nothing is lost by leaving without another job
        self._heard_at = time.monotonic()
        self._note_lost(ended, gone)
        if not rows:
            self.on_claim(0)
        return rows

    def _patience(self, ended: list[Reserved]) -> float:
        if ended:
            return math.inf
        return 0.0 if self.stopping else PATIENCE

    def _was_long_silent(self, began: float) -> bool:
        since = self._heard_at if self.retry.away else began
        return time.monotonic() - since >= self.options.lease_seconds / 2

    def open_queues(self) -> list[str]:
        """The queues to take jobs from: those that do not rest."""
        if not self._rested:
            return self.options.queues
        if "*" in self._rested:
            return []
        return [queue for queue in self.options.queues if queue not in self._rested]

    # --- ending jobs ---

    def _take_finished(self) -> list[Reserved]:
        """What has ended, to be written down; whoever fails at that has to `_keep()` it."""
        with self.lock:
            ended, self.finished = self.finished, []
        return ended

    def _keep(self, ended: list[Reserved]) -> None:
        with self.lock:
            self.finished = ended + self.finished

    def _delete(self, ended: list[Reserved]) -> int:
        return sum(
            self.store.delete_many(self.conn, list(rows))
            for _, rows in groupby(ended, key=attrgetter("worker"))
        )

    def settle_finished(self) -> None:
        """Remove the jobs whose handlers have returned."""
        ended = self._take_finished()
        try:
            gone = self.retry(self.conn, lambda: self._delete(ended)) if ended else 0
        except BaseException:
            self._keep(ended)
            raise
        self._note_lost(ended, gone)

    def _note_lost(self, ended: list[Reserved], gone: int) -> None:
        if gone < len(ended) and not self.retry.tries:
            ids = ", ".join(str(row.id) for row in ended)
            log.warning(
                "queue: lease_lost: %s of the jobs %s had been taken over by another worker",
                len(ended) - gone,
                ids,
            )
            self.queue.metrics.count(ended[0].queue, "lease_lost", len(ended) - gone)

    # --- running one ---

    def _on_start(self, row: Reserved, payload: Any, timeout: float | None) -> None:
        self.lines.tell(row, payload.name, "RUNNING")
        if not self.waiting:
            self.lines.flush()  # with nothing behind it, nobody else would if it takes long
        self.queue.metrics.observe(
            row.queue, "wait", max(0.0, self.queue.clock.time() - row.created_at)
        )
        if self.on_job is not None:
            self.on_job(row, payload, timeout)

    def _process(self, row: Reserved) -> None:
        started = time.perf_counter()
        if row.crashes:
            with entered(scope_of(row, None)):
                number = row.crashes
                log.warning("queue: crash: job %s runs again, %s crash(es) so far", row.id, number)
        self.current, self.current_since = row, time.monotonic()
        if self.leftovers is not None:
            self.leftovers.watch()
        outcome = self.runner.execute(row)
        if self.on_return is not None:
            self.on_return()
        took = time.perf_counter() - started
        with self.lock:
            self.current = None
        # A slow job counts at once, quick ones bring the mean down only bit by bit.
        self._pace = max(took, 0.7 * self._pace + 0.3 * took)
        mine = self._settle(row, outcome)
        try:
            self._report(
                row, outcome if mine else JobOutcome("lost", payload=outcome.payload), took
            )
        except Exception:
            log.exception("queue: could not tell what became of job %s", row.id)
        if self.after_job is not None:
            self.after_job(outcome)

    def _settle(self, row: Reserved, outcome: JobOutcome) -> bool:
        plain = outcome.kind == "done" and not outcome.settled
        if plain and self.queue.settler.is_plain(row, outcome):
            with self.lock:
                self.finished.append(row)
            mine = True
        else:
            mine = self.queue.settler.settle(self.conn, row, outcome, self.retry)
        if mine and outcome.kind == "done":
            self.queue.emit("after", outcome.payload, row, outcome.job)
        return mine

    def _report(self, row: Reserved, outcome: JobOutcome, took: float) -> None:
        word, counter = _OUTCOMES[outcome.kind]
        if outcome.kind == "failed":
            self.failed += 1
        else:
            self.done += 1
        metrics = self.queue.metrics
        metrics.count(row.queue, counter)
        metrics.observe(row.queue, "run", took)
        if outcome.torn:
            metrics.count(row.queue, "timeouts")
        name = outcome.payload.name if outcome.payload else "(unreadable)"
        note = outcome.reason
        if outcome.exception is not None:
            note = " ".join(part for part in (note, one_line(outcome.exception, 300)) if part)
        self.lines.tell(row, name, word, took, note)
        if outcome.kind not in ("done", "deleted"):
            with entered(scope_of(row, outcome.payload)):
                self._explain(row, outcome, name, note)

    def _explain(self, row: Reserved, outcome: JobOutcome, name: str, note: str) -> None:
        if outcome.kind == "lost":
            log.warning("queue: lease_lost: job %s (%s) was taken over meanwhile", row.id, name)
            self.queue.emit("lost", outcome.payload, row, outcome.job)
        elif outcome.kind == "failed":
            trace = None if isinstance(outcome.exception, HOPELESS) else outcome.exception
            log.error("queue: job %s (%s) failed: %s", row.id, name, note, exc_info=trace)
            self.queue.emit("failing", outcome.payload, row, outcome.job, outcome.exception)
            self._call_failed(row, outcome)
        elif outcome.kind == "retry":
            log.warning(
                "queue: job %s (%s) will be tried again: %s",
                row.id,
                name,
                note,
                exc_info=outcome.exception,
            )
            self.queue.emit("retrying", outcome.payload, row, outcome.job, outcome.exception)
        else:
            log.info("queue: job %s (%s): %s %s", row.id, name, outcome.kind, note)
            self.queue.emit(outcome.kind, outcome.payload, row, outcome.job, reason=note)

    def _call_failed(self, row: Reserved, outcome: JobOutcome) -> None:
        if outcome.payload is not None:
            if self.on_job is not None:
                # It has a time of its own: nobody may hang in it for ever.
                seconds = self.runner.failed_timeout(outcome.payload)
                self.on_job(row, outcome.payload, seconds)
            self.runner.call_failed(row, outcome)

    # --- looking around ---

    def look(self) -> None:
        """Once a second: pauses, restarts, and jobs that were committed late."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS and not self.queue.clock.is_frozen:
            return
        self._looked_at = now
        self.store.look_from_front()
        try:
            if self.on_look is not None:
                self.on_look()
            self._rested = self.queue.control.paused(self.conn)
            if now - self._orphans_at >= self.options.lease_seconds / 3:
                self._orphans_at = now
                self.give_back_orphans()
        except DatabaseError as error:
            log.warning("queue: cannot look for pauses: %s", error)
        self._tidy()

    def give_back_orphans(self) -> None:
        """Give back rows that bear this worker's name and are none of its jobs.

        They come back where a failover or a restore has lost what was committed.
        """
        with self.lock:
            mine = [*self.waiting, *self.finished, *self.leaving]
            known = {row.id for row in mine}
        now, lease = int(self.queue.clock.time()), self.options.lease_seconds
        held = self.store.held_by(self.conn, self.options.queues, f"{self.name}/", now, lease)
        orphans = [row for row in held if row.id not in known]
        if orphans:
            ids = ", ".join(str(row.id) for row in orphans)
            log.warning("queue: the jobs %s came back after they had ended here: given back", ids)
            self.queue.settler.give_back(self.conn, orphans, self.retry)

    def _tidy(self, force: bool = False) -> None:
        """Now and then: counters into the table, old rows out of others."""
        now = time.monotonic()
        try:
            if force or now - self._metrics_at >= METRICS_SECONDS:
                self._metrics_at = now
                self.queue.metrics.flush(self.conn)
                keep_time(self.queue, self.conn)
            if now - self._kept_at >= HOUSEKEEPING_SECONDS:
                self._kept_at = now
                housekeeping(self.queue, self.conn)
                if self.options.prune_failed_hours:
                    self.queue.failed_jobs.prune(self.options.prune_failed_hours)
        except DatabaseError as error:
            log.warning("queue: housekeeping failed: %s", error)

    def _on_retry(self, why: str) -> None:
        if why != "conflict":
            self.on_outage()
        self.queue.metrics.count(self.options.queues[0], "conflict_retries")


def keep_time(queue: Queue, conn: Any) -> None:
    """Let this process go by the database's clock where the machine's is off.

    Leases are moments: one clock a lease ahead would take what others are running.
    """
    skew = conn.database_time() - queue.clock.time()
    if abs(skew) > SKEW_SECONDS:
        log.warning(
            "queue: this machine's clock is %.1f s off the database's, which counts here", abs(skew)
        )
        queue.clock.adjust(skew)


def housekeeping(queue: Queue, conn: Any) -> None:
    """Sweep what nobody needs any more from the small tables; any worker may do it."""
    now = queue.clock.time()
    queue.locks.sweep(conn, now)
    queue.progress_table.sweep(conn, now)
    queue.metrics.sweep(conn)
    queue.control.forget_dead(conn)


def memory_mb(pid: int | None = None) -> float:
    """What this process, or that of *pid*, keeps in memory now."""
    try:
        import resource
    except ImportError:
        return 0.0  # Windows tells nobody without a package
    try:
        with open(f"/proc/{pid or 'self'}/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() / 1048576
    except OSError:
        # Our own peak, where the system does not tell the present; of another that is gone nothing.
        return 0.0 if pid else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
