"""Batches: many jobs with one name, exact counters, and jobs that follow when they are through.

A member's end and the counters change in one transaction, and the callbacks are jobs inserted in
the transaction that reaches zero: a crash can neither lose them nor send them twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from so.errors import QueueError
from so.support.ids import uuid as new_uuid
from so.systems.queue.job import CallbackJob, Job, as_job, checked
from so.systems.queue.payload import member
from so.systems.queue.pending import PendingChain
from so.systems.queue.tables.sql import read

if TYPE_CHECKING:
    from so.systems.queue.queue import Queue

Work = Job | Callable[..., Any]
_COLUMNS = (
    "id, name, total_jobs, pending_jobs, failed_jobs, options, cancelled_at, created_at, "
    "finished_at"
)


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@dataclass
class Batch:
    """A batch as it was when it was read; `fresh()` reads it again."""

    queue: Queue = field(repr=False)
    id: str
    name: str
    total_jobs: int
    pending_jobs: int
    """Members that have not succeeded: those that failed are still among them."""
    failed_jobs: int
    options: dict[str, Any]
    cancelled_at: datetime | None
    created_at: datetime | None
    finished_at: datetime | None

    @property
    def remaining_jobs(self) -> int:
        """Members that have not ended, well or badly; those behind a failed link have."""
        held_up = int(self.options.get("heldUp", 0))
        return max(0, self.pending_jobs - self.failed_jobs - held_up)

    @property
    def processed_jobs(self) -> int:
        """Members that have succeeded, or were taken back (see `dropped_jobs`)."""
        return self.total_jobs - self.pending_jobs

    @property
    def dropped_jobs(self) -> int:
        """Members that never ran because they, the queue or the batch were cancelled."""
        return int(self.options.get("dropped", 0))

    @property
    def progress(self) -> int:
        """How much of it has ended, 0 to 100; a failed member has ended too."""
        if not self.total_jobs:
            return 100
        return (self.total_jobs - self.remaining_jobs) * 100 // self.total_jobs

    @property
    def finished(self) -> bool:
        """Whether every member has ended."""
        return self.finished_at is not None

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, by hand or by its first failure."""
        return self.cancelled_at is not None

    @property
    def has_failures(self) -> bool:
        """Whether a member has failed."""
        return self.failed_jobs > 0

    @property
    def allows_failures(self) -> bool:
        """Whether the others go on after a failure."""
        return bool(self.options.get("allowFailures"))

    @property
    def failed_job_ids(self) -> list[str]:
        """The uuids of the members that failed, as they stand in failed_jobs."""
        return self.queue.batches.failed_ids(self.queue.source.connection(), self.id)

    def fresh(self) -> Batch | None:
        """The batch as it is now."""
        return self.queue.find_batch(self.id)

    def cancel(self) -> None:
        """Let no further member start; those that run go on unless they ask."""
        self.queue.batches.cancel(self.queue.source.connection(), self.id, self.queue.clock.time())
        self.cancelled_at = self.cancelled_at or self.queue.clock.now()

    def add(self, jobs: Iterable[Any]) -> Batch:
        """Add *jobs* from within a member; the batch as it then is.

        Raises QueueError when the batch has ended: what follows it would not wait for them.
        """
        self.queue.add_to_batch(self.id, list(jobs))
        return self.fresh() or self

    def delete(self) -> None:
        """Forget the batch; its jobs stay."""
        self.queue.batches.delete(self.queue.source.connection(), [self.id])

    def to_dict(self) -> dict[str, Any]:
        """What a page shows of it."""
        return {
            "id": self.id,
            "name": self.name,
            "total_jobs": self.total_jobs,
            "pending_jobs": self.pending_jobs,
            "remaining_jobs": self.remaining_jobs,
            "processed_jobs": self.processed_jobs,
            "failed_jobs": self.failed_jobs,
            "dropped_jobs": self.dropped_jobs,
            "progress": self.progress,
            "created_at": self.created_at,
            "cancelled_at": self.cancelled_at,
            "finished_at": self.finished_at,
        }


Member = Job | PendingChain


def members_of(queue: Queue, jobs: Iterable[Any]) -> list[Member]:
    """*jobs* as a batch has them, lists as chains; QueueError for what is none."""
    members: list[Member] = []
    for work in jobs:
        if isinstance(work, (list, tuple)):
            members += [PendingChain(queue, work)] if work else []
        else:
            members.append(work if isinstance(work, PendingChain) else checked(work, "batch"))
    return members


def jobs_of(members: Iterable[Member]) -> list[Job]:
    """The jobs of *members*, with those inside chains."""
    return [
        job
        for member in members
        for job in (member.all_jobs() if isinstance(member, PendingChain) else [member])
    ]


class PendingBatch:
    """A batch in the making: `batch([…]).name("Import").then(Done()).dispatch()`."""

    def __init__(self, queue: Queue, jobs: Iterable[Any]) -> None:
        """*jobs* are jobs, and chains or lists of jobs that run one after the other.

        Raises QueueError for anything else.
        """
        self.jobs = members_of(queue, jobs)
        self.callbacks: dict[str, list[Job]] = {}
        self.options: dict[str, Any] = {}
        self.label = ""
        self.queue_name: str | None = None
        self.connection_name: str | None = None
        self._queue = queue

    def name(self, name: str) -> Self:
        """Give it a name for people."""
        self.label = name
        return self

    def then(self, work: Work) -> Self:
        """Queue *work* when every member has succeeded."""
        return self._after("then", work)

    def catch(self, work: Work) -> Self:
        """Queue *work* at the first failure."""
        return self._after("catch", work)

    def finally_(self, work: Work) -> Self:
        """Queue *work* when every member has ended, well or badly."""
        return self._after("finally", work)

    def progress(self, work: Work) -> Self:
        """Queue *work* each time a member has succeeded."""
        return self._after("progress", work)

    def allow_failures(self, allowed: bool = True) -> Self:
        """Let the others go on after a failure."""
        self.options["allowFailures"] = allowed
        return self

    def on_queue(self, name: str) -> Self:
        """Let the members (and callbacks) wait in the queue *name*."""
        self._queue.check_queue(name)
        self.queue_name = name
        return self

    def on_connection(self, name: str) -> Self:
        """Send them to the queue connection *name*."""
        self._queue.check_connection(name)
        self.connection_name = name
        return self

    def all_jobs(self) -> list[Job]:
        """Every job of it: members, their links, callbacks."""
        return [*jobs_of(self.jobs), *chain.from_iterable(self.callbacks.values())]

    def dispatch(self) -> Batch:
        """Store the batch and its members in one transaction."""
        return self._queue.start_batch(self)

    def _after(self, event: str, work: Work) -> Self:
        self.callbacks.setdefault(event, []).append(as_job(work))
        return self


@dataclass(slots=True)
class _Counters:
    """What decides how a batch goes on; pending is -1 when it was deleted."""

    batch_id: str
    pending: int
    failed: int
    cancelled: bool
    options: dict[str, Any]

    @property
    def held_up(self) -> int:
        """Members that wait behind a failed one, as the rest of its chain."""
        return int(self.options.get("heldUp", 0))

    @held_up.setter
    def held_up(self, count: int) -> None:
        self.options["heldUp"] = count

    @property
    def remaining(self) -> int:
        """Members that have yet to end."""
        return self.pending - self.failed - self.held_up

    @property
    def all_succeeded(self) -> bool:
        """Whether nobody failed, was taken back, or is still to come."""
        return self.pending == 0 and not self.cancelled and not self.options.get("dropped")


def links_of(payload: Any, batch_id: str) -> int:
    """How many members of the batch wait inside *payload*, a text or its object."""
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except (ValueError, RecursionError):
            return 0
    chained = payload.get("chained") if isinstance(payload, dict) else None
    links = chained if isinstance(chained, list) else []
    return sum(isinstance(link, dict) and link.get("batchId") == batch_id for link in links)


class Batches:
    """The statements on `job_batches`; each takes the connection it is to happen on."""

    def __init__(self, dialect: str) -> None:
        """*dialect* is "sqlite" or "mysql"."""
        ignore = "insert or ignore" if dialect == "sqlite" else "insert ignore"
        self._lock = "" if dialect == "sqlite" else " for update"
        self._fail_once = f"{ignore} into job_batch_failures (batch_id, job_uuid) values (?, ?)"

    def create(self, conn: Any, name: str, options: dict[str, Any], now: float) -> str:
        """Store a batch that has no members yet; its id."""
        batch_id = new_uuid()
        conn.run(
            "insert into job_batches (id, name, total_jobs, pending_jobs, failed_jobs, "
            "failed_job_ids, options, created_at) values (?, ?, 0, 0, 0, '[]', ?, ?)",
            (batch_id, name[:255], json.dumps(options), int(now)),
        )
        return batch_id

    def find(self, conn: Any, queue: Queue, batch_id: str) -> Batch | None:
        """The batch *batch_id*."""
        rows = read(
            conn,
            f"select {_COLUMNS} from job_batches where id = ?",  # noqa: S608 - fixed words
            (batch_id,),
        )
        if not rows:
            return None
        row = rows[0]
        return Batch(
            queue,
            str(row[0]),
            str(row[1]),
            int(row[2]),
            int(row[3]),
            int(row[4]),
            json.loads(row[5] or "{}"),
            _moment(row[6]),
            _moment(row[7]),
            _moment(row[8]),
        )

    def failed_ids(self, conn: Any, batch_id: str) -> list[str]:
        """Uuids of the members that failed."""
        rows = read(
            conn,
            "select job_uuid from job_batch_failures where batch_id = ? order by job_uuid",
            (batch_id,),
        )
        return [str(row[0]) for row in rows]

    def is_cancelled(self, conn: Any, batch_id: str) -> bool:
        """Whether no further member should start."""
        rows = read(conn, "select cancelled_at from job_batches where id = ?", (batch_id,))
        return bool(rows and rows[0][0] is not None)

    def cancel(self, conn: Any, batch_id: str, now: float) -> None:
        """Mark it cancelled, once."""
        conn.run(
            "update job_batches set cancelled_at = ? where id = ? and cancelled_at is null",
            (int(now), batch_id),
        )

    def grow(self, conn: Any, batch_id: str, count: int) -> None:
        """Count *count* new members; raises QueueError if the batch is gone or has ended."""
        done = conn.run(
            "update job_batches set total_jobs = total_jobs + ?, pending_jobs = pending_jobs + ? "
            "where id = ? and finished_at is null",
            (count, count, batch_id),
        )
        if done.rowcount:
            return
        if read(conn, "select 1 from job_batches where id = ?", (batch_id,)):
            raise QueueError(
                f"batch {batch_id!r} has ended, and what follows it was sent: add jobs from a "
                "member that runs, or dispatch a batch of their own"
            )
        raise QueueError(f"there is no batch {batch_id!r} to add jobs to")

    # --- inside the transaction that ends a member; each gives the callbacks that are due ---
    # *links*: how many members wait inside this one, as the rest of its chain (see links_of).

    def without_members(self, conn: Any, batch_id: str, now: float) -> list[str]:
        """End a batch that was given nothing to do."""
        counters = self._counters(conn, batch_id)
        return _callbacks(counters.options, "then") + self._ended(conn, counters, now)

    def succeeded(self, conn: Any, batch_id: str, uuid: str, links: int, now: float) -> list[str]:
        """Count a success."""
        counters = self._no_longer_pending(conn, batch_id, [(uuid, links)], 1)
        due = _callbacks(counters.options, "progress")
        if counters.all_succeeded:
            due += _callbacks(counters.options, "then")
        return due + self._ended(conn, counters, now)

    def dropped(
        self, conn: Any, batch_id: str, members: Sequence[tuple[str, int]], now: float
    ) -> list[str]:
        """Count *members* (uuid and links) that were taken back: neither they nor their links run.

        They no longer are pending, but what waits for every member's success must not follow.
        """
        count = sum(1 + links for _, links in members)
        counters = self._no_longer_pending(conn, batch_id, members, count)
        counters.options["dropped"] = counters.options.get("dropped", 0) + count
        self._keep_options(conn, counters)
        return self._ended(conn, counters, now)

    def failed(
        self, conn: Any, batch_id: str, uuid: str, links: int, now: float, reason: str
    ) -> list[str]:
        """Count a failure; its links cannot run, but stay pending for the case of a retry."""
        first = conn.run(self._fail_once, (batch_id, uuid)).rowcount
        if not first:
            return []
        conn.run("update job_batches set failed_jobs = failed_jobs + 1 where id = ?", (batch_id,))
        counters = self._counters(conn, batch_id)
        if links:
            counters.held_up += links
            self._keep_options(conn, counters)
        due = self._once(conn, counters, "catch", reason) if counters.failed else []
        if counters.failed and not counters.options.get("allowFailures"):
            self.cancel(conn, batch_id, now)
        return due + self._ended(conn, counters, now)

    def revived(self, conn: Any, batch_id: str, uuid: str, links: int) -> bool:
        """Take a failed member back among the pending; False when it was not counted failed."""
        counters = self._counters(conn, batch_id)
        if not (counters.failed and self._forget_failure(conn, counters, uuid, links)):
            return False
        conn.run(
            "update job_batches set finished_at = null, cancelled_at = null where id = ?",
            (batch_id,),
        )
        return True

    def _no_longer_pending(
        self, conn: Any, batch_id: str, members: Sequence[tuple[str, int]], count: int
    ) -> _Counters:
        conn.run(
            "update job_batches set pending_jobs = pending_jobs - ? where id = ?", (count, batch_id)
        )
        counters = self._counters(conn, batch_id)
        for uuid, links in members:
            if not counters.failed:
                # Not without need: a delete that finds nothing locks a gap under REPEATABLE READ.
                break
            self._forget_failure(conn, counters, uuid, links)
        return counters

    def _forget_failure(self, conn: Any, counters: _Counters, uuid: str, links: int) -> bool:
        was = conn.affecting_statement(
            "delete from job_batch_failures where batch_id = ? and job_uuid = ?",
            (counters.batch_id, uuid),
        )
        if not was:
            return False
        conn.run(
            "update job_batches set failed_jobs = failed_jobs - 1 where id = ?",
            (counters.batch_id,),
        )
        counters.failed -= 1
        if links:
            counters.held_up -= links
            self._keep_options(conn, counters)
        return True

    def _counters(self, conn: Any, batch_id: str) -> _Counters:
        """The counters, locked until the commit."""
        rows = read(
            conn,
            "select pending_jobs, failed_jobs, cancelled_at, options from job_batches "  # noqa: S608 - fixed words
            f"where id = ?{self._lock}",
            (batch_id,),
        )
        if not rows:
            return _Counters(batch_id, -1, 0, False, {})
        pending, failed, cancelled_at, options = rows[0]
        return _Counters(
            batch_id,
            int(pending),
            int(failed),
            cancelled_at is not None,
            json.loads(options or "{}"),
        )

    def _ended(self, conn: Any, counters: _Counters, now: float) -> list[str]:
        if counters.remaining != 0:
            return []
        conn.run(
            "update job_batches set finished_at = ? where id = ?", (int(now), counters.batch_id)
        )
        return self._once(conn, counters, "finally")

    def _once(
        self, conn: Any, counters: _Counters, event: str, reason: str | None = None
    ) -> list[str]:
        """The callbacks of *event*, the first time it happens: a batch may end again by a retry."""
        options = counters.options
        sent = options.get("sent", [])
        if event in sent or event not in options.get("callbacks", {}):
            return []
        options["sent"] = [*sent, event]
        self._keep_options(conn, counters)
        return _callbacks(options, event, reason)

    @staticmethod
    def _keep_options(conn: Any, counters: _Counters) -> None:
        conn.run(
            "update job_batches set options = ? where id = ?",
            (json.dumps(counters.options), counters.batch_id),
        )

    # --- housekeeping ---

    def prune(self, conn: Any, before: float, *, unfinished: bool = False, limit: int = 500) -> int:
        """Delete up to *limit* batches that finished (or were made) before *before*."""
        column = "created_at" if unfinished else "finished_at"
        rows = read(
            conn,
            f"select id from job_batches where {column} < ? order by id limit ?",  # noqa: S608 - fixed words
            (int(before), limit),
        )
        return self.delete(conn, [str(row[0]) for row in rows])

    def delete(self, conn: Any, ids: Sequence[str]) -> int:
        """Delete the batches *ids* and what is kept about them."""
        if not ids:
            return 0
        where = ", ".join("?" * len(ids))
        conn.run(f"delete from job_batch_failures where batch_id in ({where})", ids)  # noqa: S608 - question marks only
        return int(conn.run(f"delete from job_batches where id in ({where})", ids).rowcount)  # noqa: S608 - question marks only


def _callbacks(options: dict[str, Any], event: str, reason: str | None = None) -> list[str]:
    found = []
    for fields in options.get("callbacks", {}).get(event, ()):
        fresh = {**fields, "uuid": new_uuid()}
        if reason is not None and fields.get("job") == CallbackJob.alias:
            fresh["data"] = {**fields["data"], "reason": reason}
        found.append(member(fresh))
    return found
