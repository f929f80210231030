"""Takes jobs in: writes them down and stores them, on the connection of whoever dispatches.

Every way to dispatch comes down to `Intake.send`: alone, in a chain or batch, by the schedule. So
a job lives and dies with the caller's transaction. For the connection "sync" it runs at once.
"""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Protocol

from so.errors import DatabaseError, QueueError
from so.settings.queue import QueueSettings
from so.support.clock import Clock
from so.support.codec import Codec, default_codec
from so.support.scope import Scope, captured, restored
from so.systems.queue.batches import Batch
from so.systems.queue.delays import due_at, plain_seconds
from so.systems.queue.hooks import JobEvent, JobHooks
from so.systems.queue.job import JOBS, Job, blueprint_of, checked
from so.systems.queue.payload import Payload
from so.systems.queue.pending import SYNC, Written
from so.systems.queue.run.ending import Settler
from so.systems.queue.run.run import Place, Run
from so.systems.queue.run.runner import perform
from so.systems.queue.run.workshop import Workshop
from so.systems.queue.tables.bundle import Tables
from so.systems.queue.tables.jobs import NewJob
from so.systems.queue.tables.locks import lock_name
from so.systems.queue.waking import Bell
from so.systems.queue.writer import Writer, given, uuids

log = logging.getLogger("so.queue")
_PLACING = frozenset(("queue", "delay", "unique_for", "unique_until_start", "unique_id"))
_QUEUE_NAME_LENGTH = 64
_NAMES_KEPT = 256


class NoteTaker(Protocol):
    """What stands in for the queue in a test: see fake.py."""

    def record(self, job: Job, queue: str, delay: Any) -> None: ...

    def record_chain(self, pending: Any) -> None: ...

    def record_batch(self, pending: Any) -> Batch: ...


@dataclass(frozen=True)
class Parts:
    """What a queue consists of, once its engine is known."""

    tables: Tables
    settler: Settler
    workshop: Workshop


class Intake(JobHooks, ABC):
    """The half of a `Queue` that jobs go into; what is above takes it for the whole.

    *db* gives the connection of the calling thread. *default* names the connection that dispatches
    go to, "sync" to run them at once; *others* are further queues by connection name. *call* runs a
    method with injection. *capture* and *restore* carry what a job takes over from its dispatcher.
    *caller* is given when this queue's database is not the application's: it gives the connection
    of that one, whose commit every dispatch then waits for. *wake_folder* is where workers of this
    machine can be rung, *timezone* the schedule's.
    """

    _parts: Parts | None = None

    def __init__(
        self,
        db: Any,
        *,
        clock: Clock | None = None,
        connection_name: str = "database",
        default: str | None = None,
        default_queue: str = QueueSettings.queue,
        others: Mapping[str, Intake] | None = None,
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
        super().__init__()
        self.source, self.caller = db, caller or db
        self.clock = clock or Clock()
        self.connection_name = connection_name
        self.default = default or connection_name
        self.default_queue = default_queue
        self.others: Mapping[str, Intake] = dict(others or {})
        self._call: Callable[..., Any] = call or (lambda fn: fn())
        self.codec = codec or default_codec
        self.registry = registry
        # A row in another database could not be rolled back with the caller's transaction.
        self._apart = self.caller is not db
        self._waits_for_commit = after_commit or self._apart
        self.bell = Bell(wake_folder)
        self.writer = Writer(self.codec, self.clock)
        self._capture, self._restore = capture or captured, restore or restored
        self._limiter, self._timezone = limiter, timezone
        self._limits: dict[str, Callable[[Job], Any]] = {}
        self.fakes: list[NoteTaker] = []
        self._known_names: set[str] = set()

    # --- parts that depend on the engine, made when the first connection is known ---

    @property
    def parts(self) -> Parts:
        """The statements for this queue's engine, and what uses them."""
        if self._parts is None:
            self._parts = self._made_parts()
        return self._parts

    def _made_parts(self) -> Parts:
        tables = Tables.of(self.source, self.clock)
        settler = Settler(tables, self.connection_name, self.wake)
        place = Place(tables, settler.complete_within, self.find_batch, self.limiter)
        shop = Workshop(place, settler, self, self.codec, self.registry, self._call, self._restore)
        return Parts(tables, settler, shop)

    @property
    def tables(self) -> Tables:
        """The statements on the queue's tables."""
        return (self._parts or self.parts).tables

    @property
    def settler(self) -> Settler:
        """What writes outcomes down."""
        return self.parts.settler

    @property
    def workshop(self) -> Workshop:
        """What it takes to run a job."""
        return self.parts.workshop

    @abstractmethod
    def find_batch(self, batch_id: str) -> Batch | None:
        """The batch *batch_id* as it is now."""

    # --- dispatching ---

    def push(self, job: Job, queue: str | None = None) -> int | None:
        """Queue *job* now; its id."""
        return self.later(getattr(job, "delay", None), job, queue)

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

    def bulk(self, jobs: Job | Iterable[Job], queue: str | None = None) -> int:
        """Queue many jobs with few statements, all or none; how many.

        Those for another connection are sent there first, one by one.
        """
        by_connection: dict[str, list[Job]] = {}
        for job in [jobs] if isinstance(jobs, Job) else jobs:
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
                self.tables.jobs.insert_bulk(conn, plain_ones, int(now))
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
    ) -> tuple[dict[str, list[str]], list[tuple[Job, NewJob]]]:
        """Those due at once by queue, as payload and uuid in turn; the others one by one."""
        now = self.clock.time()
        tail = self.writer.tail(now, self.context())
        by_class: dict[type[Job], list[str] | None] = {}
        plain_ones: dict[str, list[str]] = {}
        others: list[tuple[Job, NewJob]] = []
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

    def _store_now(self, job: Job, stored: NewJob) -> int | None:
        conn = self.source.connection()
        job_id = self._insert(job, stored, conn)
        self.wake_after(conn)
        return job_id

    def _insert(self, job: Job, stored: NewJob, conn: Any) -> int | None:
        if self._lock_of(job) is None:
            return self.tables.jobs.insert(conn, stored)
        with conn.transaction():
            return self._insert_unique(conn, job, stored, self.clock.time())

    def _insert_unique(self, conn: Any, job: Job, stored: NewJob, now: float) -> int | None:
        name = self._lock_of(job)
        assert name is not None
        seconds = plain_seconds(job.unique_for, "unique_for")
        if not self.tables.locks.take_unique(conn, name, stored.uuid, now, seconds):
            self._skipped(job, stored, "another one is queued already")
            conn.after_commit(lambda: self._flush_metrics(conn))
            return None
        return self.tables.jobs.insert(conn, stored._replace(lock_key=name))

    def _skipped(self, job: Job, stored: NewJob, reason: str) -> None:
        log.info("queue: %s was not queued: %s", type(job).alias, reason)
        self.tables.metrics.count(stored.queue, "skipped")
        self.tell(
            JobEvent(
                "skipped", stored.queue, None, stored.uuid, type(job).alias, job, reason=reason
            )
        )

    def _flush_metrics(self, conn: Any) -> None:
        """Write the counters down now: unlike a worker, a web process has no quiet moment."""
        with contextlib.suppress(DatabaseError):
            self.tables.metrics.flush(conn)

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
    ) -> NewJob:
        """The row of *job*, not yet inserted; *delay* counts from when it was written."""
        uuid, payload, now = written
        return NewJob(
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
        workshop = self.workshop
        run = Run(workshop.place, payload, None, None)
        job._run = run
        self.emit("before", payload, None, job)
        try:
            result = perform(workshop, job, run) if run.ending is None else None
            if run.ending is not None and run.ending.kind == "failed":
                assert run.ending.exception is not None
                raise run.ending.exception
        except Exception as error:
            self.emit("failing", payload, None, job, error)
            workshop.call_failed(payload, error, job)
            raise
        self.emit("after", payload, None, job)
        return result

    def context(self) -> str:
        """What a job dispatched here takes over, as JSON."""
        found = self._capture()
        return self.codec.encode(dict(found)) if found else "{}"

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
