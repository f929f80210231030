"""`Queue`: where jobs are dispatched, counted, cancelled and cleared.

It stores rows on the connection of whoever dispatches, so a job lives and dies with the caller's
transaction. Running them is the worker's; the tables' SQL is in the modules beside this one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from so.db.connection import Connection
from so.errors import CodecError, DatabaseError, QueueError, RecordNotFoundError
from so.settings.queue import QueueSettings
from so.support.clock import Clock
from so.support.codec import Codec, default_codec
from so.support.current import current
from so.support.scope import Scope
from so.systems.queue.batches import Batch, PendingBatch, find
from so.systems.queue.care.failed import FailedJobs
from so.systems.queue.care.removal import Removal
from so.systems.queue.carrying import captured, restored
from so.systems.queue.grouping import Grouping
from so.systems.queue.hooks import Hooks, JobEvent
from so.systems.queue.job import JOBS, Job, blueprint_of, checked
from so.systems.queue.payload import Payload, Writer, _write, due_at, given, plain_seconds, uuids
from so.systems.queue.pending import PendingChain, PendingDispatch, send_held
from so.systems.queue.run.ending import Settler
from so.systems.queue.run.runner import HOPELESS, Run, perform
from so.systems.queue.schedules.schedule import Schedule
from so.systems.queue.tables.batches import Batches
from so.systems.queue.tables.bundle import Tables
from so.systems.queue.tables.jobs import Store, Stored
from so.systems.queue.tables.locks import Locks, lock_name
from so.systems.queue.tables.metrics import Metrics
from so.systems.queue.tables.progress import Progress, ProgressTable
from so.systems.queue.tables.sql import read
from so.systems.queue.tables.workers import Control
from so.systems.queue.waking import Bell

if TYPE_CHECKING:
    from so.systems.queue.care.failed import FailedJob
    from so.systems.queue.fake import QueueFake

log = logging.getLogger("so.queue")
SYNC = "sync"
Written = tuple[str, str, float]  # a job's uuid, its payload, and when that was written
_PLACING = frozenset(("queue", "delay", "unique_for", "unique_until_start", "unique_id"))
_QUEUE_NAME_LENGTH = 64
_NAMES_KEPT = 256


class Queue(Hooks):
    """Jobs in the table `jobs` of one database; works with any source of connections."""

    def __init__(
        self,
        db: Any,
        *,
        clock: Clock | None = None,
        connection_name: str = "database",
        default: str | None = None,
        default_queue: str = QueueSettings.queue,
        others: Mapping[str, Queue] | None = None,
        call: Callable[..., Any] | None = None,
        codec: Codec | None = None,
        registry: Mapping[str, type[Job]] = JOBS,
        capture: Callable[[], Mapping[str, Any]] | None = None,
        restore: Callable[[Scope, Mapping[str, Any]], None] | None = None,
        caller: Any = None,
        limiter: Callable[[str], Callable[[Job], Any] | None] | None = None,
        after_commit: bool = QueueSettings.after_commit,
        wake_folder: str | None = None,
        timezone: str = QueueSettings.timezone,
    ) -> None:
        """*db* gives the connection of the calling thread.

        *default* names the connection that dispatches go to, "sync" to run them at once; *others*
        are further queues by connection name. *call* runs a method with injection. *capture* and
        *restore* carry what a job takes over from its dispatcher. *caller* is given when this
        queue's database is not the application's: it gives the connection of that one, whose
        commit every dispatch then waits for. *wake_folder* is where workers of this machine can
        be rung, *timezone* the schedule's.
        """
        super().__init__()
        self.source = db
        self.caller = caller or db
        self.clock = clock or Clock()
        self.connection_name = connection_name
        self.default = default or connection_name
        self.default_queue = default_queue
        self.others = dict(others or {})
        self.call: Callable[..., Any] = call or (lambda fn: fn())
        self.codec = codec or default_codec
        self.registry = registry
        # A row in another database could not be rolled back with the caller's transaction.
        self._apart = self.caller is not db
        self._waits_for_commit = after_commit or self._apart
        self.bell = Bell(wake_folder)
        self.writer = Writer(self.codec, self.clock)
        self._capture = capture or captured
        self._restore = restore or restored
        self._limiter = limiter
        self._limits: dict[str, Callable[[Job], Any]] = {}
        self.fakes: list[QueueFake] = []
        self._known_names: set[str] = set()
        self._parts: _Parts | None = None
        self._schedule: Schedule | None = None
        self._timezone = timezone

    # --- parts that depend on the engine, made when the first connection is known ---

    @property
    def parts(self) -> _Parts:
        """The statements for this queue's engine."""
        if self._parts is None:
            self._parts = _Parts(self)
        return self._parts

    @property
    def store(self) -> Store:
        """The statements on `jobs`."""
        return self.parts.tables.jobs

    @property
    def locks(self) -> Locks:
        """The statements on `queue_locks`."""
        return self.parts.tables.locks

    @property
    def batches(self) -> Batches:
        """The statements on `job_batches`."""
        return self.parts.tables.batches

    @property
    def progress_table(self) -> ProgressTable:
        """The statements on `job_progress`."""
        return self.parts.tables.progress

    @property
    def settler(self) -> Settler:
        """What writes outcomes down."""
        return self.parts.settler

    @property
    def failed_jobs(self) -> FailedJobs:
        """What has failed, and what may be done about it."""
        return self.parts.failed

    @property
    def control(self) -> Control:
        """Workers, pauses and restarts."""
        return self.parts.tables.workers

    @property
    def metrics(self) -> Metrics:
        """Counters and sizes."""
        return self.parts.tables.metrics

    @property
    def schedule(self) -> Schedule:
        """What recurs."""
        if self._schedule is None:
            self._schedule = Schedule(self, self._timezone)
        return self._schedule

    def worker_connection(self, *, quick: bool = False) -> Any:
        """A connection for a worker's own statements, apart from what jobs do with theirs.

        The caller closes it unless it is the queue's own: a database in memory has no second one,
        and what a test does inside a transaction is seen on its connection only. A *quick* one
        gives up soon where the database does not answer: for who has other things to see to.
        """
        base = self.source.connection()
        if base.in_transaction:
            return base
        if base.dialect.name != "sqlite":
            # Under REPEATABLE READ even an idle poll leaves gap locks that block every insert.
            settings = {**base.config, "isolation": "read committed"}
            if quick:
                settings |= {"connect_timeout": 2, "read_timeout": 5}
            return Connection(settings, base.name, base.clock)
        if str(base.config["database"]) in ("", ":memory:"):
            return base
        if quick:
            return Connection({**base.config, "busy_timeout": 200}, base.name, base.clock)
        return base.separate()

    # --- dispatching ---

    def dispatch(self, job: Job) -> PendingDispatch:
        """Queue *job* as soon as nobody holds the result any more, or at its `send()`.

        Where the connection is "sync" it runs here and now, and what it raises is raised.
        """
        pending = PendingDispatch(self, job)
        if (job.connection or self.default) == SYNC and not self.fakes:
            pending.send()
        return pending

    def push(self, job: Job, queue: str | None = None) -> int | None:
        """Queue *job* now; its id."""
        return self.later(getattr(job, "delay", None), job, queue)

    def send_held(self) -> None:
        """Send what was dispatched and is still held by somebody; for who closes the queue."""
        send_held(self)

    def later(self, delay: Any, job: Job, queue: str | None = None) -> int | None:
        """Queue *job* for *delay* from now: seconds, a timedelta or a datetime; its id."""
        checked(job, "dispatch")
        return self.send(
            job,
            queue=queue,
            delay=delay,
            connection=job.connection,
            after_commit=job.after_commit,
        )

    def dispatch_sync(self, job: Job) -> Any:
        """Run *job* here and now; what it raises is raised."""
        return self.run_now(checked(job, "dispatch"))

    def bulk(self, jobs: Iterable[Job], queue: str | None = None) -> int:
        """Queue many jobs with few statements, all or none; how many.

        Those for another connection are sent there first, one by one.
        """
        by_connection: dict[str, list[Job]] = {}
        for job in jobs:
            name = checked(job, "dispatch").connection or self.default
            by_connection.setdefault(name, []).append(job)
        for name in by_connection:
            self.check_connection(name)
        count = sum(map(len, by_connection.values()))
        mine = [] if self.fakes else by_connection.pop(self.connection_name, [])
        for job in chain.from_iterable(by_connection.values()):
            self.push(job, queue)
        if mine:
            self._store_many(mine, queue)
        return count

    def _store_many(self, jobs: list[Job], queue: str | None) -> None:
        plain_ones, others = self._sorted(jobs, queue)

        def insert() -> None:
            conn = self.source.connection()
            with conn.transaction():
                self.store.insert_bulk(conn, plain_ones, int(now))
                for job, stored in others:
                    self._insert(job, stored, conn)
            self.wake_after(conn)

        now = self.clock.time()
        if self._waits_for_commit or any(job.after_commit for job in jobs):
            self._deferred(insert)
        else:
            insert()

    def _sorted(
        self, jobs: list[Job], queue: str | None
    ) -> tuple[dict[str, list[str]], list[tuple[Job, Stored]]]:
        """Those due at once by queue, as payload and uuid in turn; the others one by one."""
        now = self.clock.time()
        tail = self.writer.tail(now, self.context())
        by_class: dict[type[Job], list[str] | None] = {}
        plain_ones: dict[str, list[str]] = {}
        others: list[tuple[Job, Stored]] = []
        for job, uuid in zip(jobs, uuids(len(jobs)), strict=True):
            cls = type(job)
            if cls not in by_class:
                by_class[cls] = self._pile(job, queue, plain_ones)
            pile = by_class[cls]
            if pile is None or not _PLACING.isdisjoint(vars(job)):
                written = (*self.writer.write(job, tail, None, uuid), now)
                others.append((job, self.stored(job, queue, job.delay, written)))
            else:
                pile += (self.writer.write(job, tail, None, uuid)[1], uuid)
        return plain_ones, others

    def _pile(self, job: Job, queue: str | None, piles: dict[str, list[str]]) -> list[str] | None:
        """Where jobs of this class are collected; None if each has to be looked at by itself."""
        cls = type(job)
        if cls.delay is not None or self._lock_of(job) is not None:
            return None
        asked = queue or (self.default_queue if cls.queue == "default" else cls.queue)
        return piles.setdefault(self.queue_of(job, asked), [])

    def check_connection(self, name: str) -> None:
        """Raise QueueError unless there is a queue connection *name*."""
        known = {self.connection_name, SYNC, *self.others}
        if name not in known:
            raise QueueError(
                f"there is no queue connection {name!r}: use one of {', '.join(sorted(known))}"
            )

    def send(
        self,
        job: Job,
        *,
        queue: str | None = None,
        delay: Any = None,
        connection: str | None = None,
        after_commit: bool | None = None,
        extra: Mapping[str, Any] | None = None,
        written: Written | None = None,
    ) -> int | None:
        """Store *job*, or run it where the connection is "sync"; what dispatching comes down to.

        *written* is what `written(job, extra)` gave, if it was asked before.
        """
        if self.fakes:
            self.fakes[-1].record(job, self.queue_of(job, queue), delay)
            return None
        name = connection or self.default
        if name == self.connection_name:
            stored = self.stored(job, queue, delay, written or self.written(job, extra))
            if after_commit or (self._waits_for_commit and (after_commit is None or self._apart)):
                job_id: int | None = self._deferred(partial(self._store_now, job, stored))
                return job_id
            return self._store_now(job, stored)
        if name == SYNC:
            self._send_sync(job, after_commit, written or self.written(job, extra))
            return None
        self.check_connection(name)
        return self.others[name].send(
            job, queue=queue, delay=delay, after_commit=after_commit, extra=extra
        )

    def _deferred(self, insert: Callable[[], Any]) -> Any:
        """Call *insert* after the commit of the transaction around; its result if that is now."""
        found: list[Any] = []
        self.caller.connection().after_commit(lambda: found.append(insert()))
        return found[0] if found else None

    def _store_now(self, job: Job, stored: Stored) -> int | None:
        conn = self.source.connection()
        job_id = self._insert(job, stored, conn)
        self.wake_after(conn)
        return job_id

    def _insert(self, job: Job, stored: Stored, conn: Any) -> int | None:
        if self._lock_of(job) is None:
            return self.store.insert(conn, stored)
        with conn.transaction():
            return self._insert_unique(conn, job, stored, self.clock.time())

    def _insert_unique(self, conn: Any, job: Job, stored: Stored, now: float) -> int | None:
        name = self._lock_of(job)
        assert name is not None
        seconds = plain_seconds(job.unique_for, "unique_for")
        if not self.locks.take_unique(conn, name, stored.uuid, now, seconds):
            self._skipped(job, stored, "another one is queued already")
            conn.after_commit(lambda: self._flush_metrics(conn))
            return None
        return self.store.insert(conn, stored._replace(lock_key=name))

    def _skipped(self, job: Job, stored: Stored, reason: str) -> None:
        log.info("queue: %s was not queued: %s", type(job).alias, reason)
        self.metrics.count(stored.queue, "skipped")
        self.tell(
            JobEvent(
                "skipped", stored.queue, None, stored.uuid, type(job).alias, job, reason=reason
            )
        )

    def _flush_metrics(self, conn: Any) -> None:
        """Write the counters down now: unlike a worker, a web process has no quiet moment."""
        with contextlib.suppress(DatabaseError):
            self.metrics.flush(conn)

    def _lock_of(self, job: Job) -> str | None:
        if (
            job.unique_for is None
            and not job.unique_until_start
            and not blueprint_of(type(job)).has_unique_id
            and "unique_id" not in job.__dict__
        ):
            return None
        return lock_name("unique", type(job).alias, str(given(job, "unique_id")))

    def written(self, job: Job, extra: Mapping[str, Any] | None = None) -> Written:
        """*job* written down here and now, with what it takes over from its surroundings."""
        now = self.clock.time()
        return *self.writer.write(job, self.writer.tail(now, self.context()), extra), now

    def stored(
        self,
        job: Job,
        queue: str | None,
        delay: Any,
        written: Written,
        batch_id: str | None = None,
    ) -> Stored:
        """The row of *job*, not yet inserted; *delay* counts from when it was written."""
        uuid, payload, now = written
        return Stored(
            self.queue_of(job, queue),
            payload,
            int(now) if delay is None else due_at(delay, now),
            int(now),
            uuid,
            None,
            batch_id,
        )

    def queue_of(self, job: Job, queue: str | None) -> str:
        """The queue that *job* goes to when *queue* is asked for; QueueError for a bad name."""
        name = queue or job.queue
        if queue is None and name == "default":
            name = self.default_queue
        if name not in self._known_names:
            self.check_queue(name)
        return name

    def check_queue(self, name: str) -> None:
        """Raise QueueError unless *name* can be the name of a queue."""
        fits = isinstance(name, str) and name.isascii() and 0 < len(name) <= _QUEUE_NAME_LENGTH
        if not fits:
            raise QueueError(
                f"cannot use {name!r} as the name of a queue: give 1 to 64 ASCII characters"
            )
        if len(self._known_names) < _NAMES_KEPT:
            self._known_names.add(name)

    def wake(self) -> None:
        """Ring the workers of this machine."""
        self.bell.ring()

    def wake_after(self, conn: Any) -> None:
        """Ring the workers, after the transaction that *conn* may be in."""
        if self.bell.folder is None:
            return
        if conn.in_transaction:
            conn.after_commit(self.bell.ring)
        else:
            self.bell.ring()

    # --- running at once ---

    def _send_sync(self, job: Job, after_commit: bool | None, written: Written) -> None:
        conn = self.caller.connection()
        if after_commit and conn.in_transaction:
            conn.after_commit(lambda: self.run_now(job, written))
        else:
            self.run_now(job, written)

    def run_now(self, job: Job, written: Written | None = None) -> Any:
        """Run *job* in this process; what it raises is raised, after its `failed()`."""
        payload = Payload.read((written or self.written(job))[1])
        run = Run(self, payload, None, None)
        job._run = run
        self.emit("before", payload, None, job)
        try:
            result = perform(self, job, run) if run.ending is None else None
            if run.ending is not None and run.ending.kind == "failed":
                assert run.ending.exception is not None
                raise run.ending.exception
        except Exception as error:
            self.emit("failing", payload, None, job, error)
            self.call_failed(payload, error, job)
            raise
        self.emit("after", payload, None, job)
        return result

    def call_failed(
        self, payload: Payload, exception: BaseException | None, job: Job | None = None
    ) -> None:
        """Call the job's own `failed()`; an error in it is logged."""
        try:
            if isinstance(exception, HOPELESS) and job is None:
                return  # it could not be made then and cannot be made now
            if job is None:
                job = payload.make(self.codec, self.registry)
            if blueprint_of(type(job)).has_failed:
                job.failed(exception or QueueError("the job failed"))
        except Exception:
            log.exception("queue: failed() of %s raised an error itself", payload.name)

    # --- chains and batches ---

    def chain(self, jobs: Iterable[Job]) -> PendingChain:
        """Jobs that run one after the other."""
        return PendingChain(self, jobs)

    def batch(self, jobs: Iterable[Any]) -> PendingBatch:
        """Jobs with one name, counters and callbacks."""
        return PendingBatch(self, jobs)

    def find_batch(self, batch_id: str) -> Batch | None:
        """The batch *batch_id* as it is now."""
        return find(self, batch_id)

    def start_chain(self, pending: PendingChain) -> int | None:
        """Store a chain: the first job, with the others inside its payload; its id."""
        return self.parts.grouping.start_chain(pending)

    def start_batch(self, pending: PendingBatch) -> Batch:
        """Store a batch and its members in one transaction."""
        return self.parts.grouping.start_batch(pending)

    def add_to_batch(self, batch_id: str, jobs: list[Any]) -> None:
        """Add *jobs* to the batch; raises QueueError if it is gone."""
        self.parts.grouping.add_to_batch(batch_id, jobs)

    # --- asking ---

    def size(self, queue: str | None = None) -> int:
        """Jobs of *queue*: waiting, delayed and running."""
        return self._count("queue = ?", (self._named(queue),))

    def pending_size(self, queue: str | None = None) -> int:
        """Jobs that could start now."""
        return self._count(
            "queue = ? and available_at <= ?", (self._named(queue), int(self.clock.time()))
        )

    def delayed_size(self, queue: str | None = None) -> int:
        """Jobs whose moment has not come."""
        return self._count(
            "queue = ? and available_at > ? and reserved_at is null",
            (self._named(queue), int(self.clock.time())),
        )

    def reserved_size(self, queue: str | None = None) -> int:
        """Jobs that a worker holds."""
        return self._count(
            "queue = ? and available_at > ? and reserved_at is not null",
            (self._named(queue), int(self.clock.time())),
        )

    def _named(self, queue: str | None) -> str:
        return queue or self.default_queue

    def _count(self, where: str, values: tuple[Any, ...]) -> int:
        conn = self.source.connection()
        return int(read(conn, f"select count(*) from jobs where {where}", values)[0][0])  # noqa: S608 - fixed words

    def progress(self, job: int | str) -> Progress | None:
        """How far the job with this id or uuid is; None if it never said."""
        return self.progress_table.find(self.source.connection(), job)

    def failed(self, limit: int = 100) -> list[FailedJob]:
        """The latest failures."""
        return self.failed_jobs.latest(limit)

    # --- taking back ---

    def cancel(self, job_id: int) -> str | None:
        """Cancel a job: "removed" if it had not started, "asked" if it runs, None if it is gone."""
        return self.parts.removal.cancel(job_id)

    def clear(self, queue: str | None = None) -> int:
        """Delete every job of *queue* that is not running; how many."""
        return self.parts.removal.clear(self._named(queue))

    # --- rate limits ---

    def limit(self, name: str, limiter: Callable[[Job], Any]) -> None:
        """Define a rate limit for `RateLimited(name)`: *limiter* gives (most, seconds[, key])."""
        self._limits[name] = limiter

    def limiter(self, name: str) -> Callable[[Job], Any] | None:
        """The definition of the rate limit *name*."""
        found = self._limits.get(name)
        if found is None and self._limiter is not None:
            found = self._limiter(name)
        return found

    # --- what a job takes over from its dispatcher ---

    def context(self) -> str:
        """What a job dispatched here takes over, as JSON."""
        found = self._capture()
        return self.codec.encode(dict(found)) if found else "{}"

    def restore_context(self, scope: Scope, context: Mapping[str, Any]) -> None:
        """Give a job's scope what its dispatcher passed on; a causer who is gone is none."""
        if not context:
            return
        if any(isinstance(value, dict) for value in context.values()):
            decoded: dict[str, Any] = {}
            for key, value in context.items():
                with contextlib.suppress(RecordNotFoundError, CodecError):
                    decoded[key] = self.codec.decode(_write(value))
            context = decoded
        try:
            self._restore(scope, context)
        except Exception:
            log.exception("queue: what a job takes over from its dispatcher cannot be restored")

    # --- testing ---

    @contextlib.contextmanager
    def fake(self) -> Any:
        """Record what is dispatched in the block instead of queueing it."""
        from so.systems.queue.fake import QueueFake

        double = QueueFake(self)
        send_held(self)
        self.fakes.append(double)
        try:
            yield double
            send_held(self)
        finally:
            self.fakes.remove(double)


class _Parts:
    """What a queue consists of, once its engine is known."""

    def __init__(self, queue: Queue) -> None:
        self.tables = tables = Tables.of(queue.source, queue.clock)
        self.settler = Settler(tables, queue.connection_name, queue.wake)
        self.removal = Removal(tables, self.settler)
        self.failed = FailedJobs(tables, queue.wake)
        self.grouping = Grouping(queue)


# --- the current queue, for Job.dispatch() ---


def current_queue() -> Queue:
    """The Queue of the running application; raises RuntimeError without one.

    A script without one calls `so.support.current.provide("queue", lambda: queue)`.
    """
    found: Queue = current("queue")
    return found
