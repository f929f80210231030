"""The statements on `job_batches`: counters that are exact, and the callbacks that are due.

Which jobs follow a batch is kept in its options, as the fields of their payloads: whoever ends a
member stores those that it is given here in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from so.db.words import for_update, insert_ignore, marks
from so.errors import QueueError
from so.support.ids import uuid as new_uuid
from so.systems.queue.tables.sql import read

COLUMNS = (
    "id, name, total_jobs, pending_jobs, failed_jobs, options, cancelled_at, created_at, "
    "finished_at"
)
CALLBACK = "so.callback"
"""The job that calls a function after a batch: it is told the reason of a failure."""
Due = list[dict[str, Any]]


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
        self._lock = for_update(dialect)
        self._fail_once = (
            f"{insert_ignore(dialect)} into job_batch_failures (batch_id, job_uuid) values (?, ?)"
        )

    def create(self, conn: Any, name: str, options: dict[str, Any], now: float) -> str:
        """Store a batch that has no members yet; its id."""
        batch_id = new_uuid()
        conn.run(
            "insert into job_batches (id, name, total_jobs, pending_jobs, failed_jobs, "
            "failed_job_ids, options, created_at) values (?, ?, 0, 0, 0, '[]', ?, ?)",
            (batch_id, name[:255], json.dumps(options), int(now)),
        )
        return batch_id

    def row(self, conn: Any, batch_id: str) -> tuple[Any, ...] | None:
        """The columns of the batch *batch_id*, in the order of COLUMNS."""
        sql = f"select {COLUMNS} from job_batches where id = ?"  # noqa: S608 - fixed words
        rows = read(conn, sql, (batch_id,))
        return rows[0] if rows else None

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

    def without_members(self, conn: Any, batch_id: str, now: float) -> Due:
        """End a batch that was given nothing to do."""
        counters = self._counters(conn, batch_id)
        return _callbacks(counters.options, "then") + self._ended(conn, counters, now)

    def succeeded(self, conn: Any, batch_id: str, uuid: str, links: int, now: float) -> Due:
        """Count a success."""
        counters = self._no_longer_pending(conn, batch_id, [(uuid, links)], 1)
        due = _callbacks(counters.options, "progress")
        if counters.all_succeeded:
            due += _callbacks(counters.options, "then")
        return due + self._ended(conn, counters, now)

    def dropped(
        self, conn: Any, batch_id: str, members: Sequence[tuple[str, int]], now: float
    ) -> Due:
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
    ) -> Due:
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

    def _ended(self, conn: Any, counters: _Counters, now: float) -> Due:
        if counters.remaining != 0:
            return []
        conn.run(
            "update job_batches set finished_at = ? where id = ?", (int(now), counters.batch_id)
        )
        return self._once(conn, counters, "finally")

    def _once(self, conn: Any, counters: _Counters, event: str, reason: str | None = None) -> Due:
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

    def count_old(self, conn: Any, before: float, *, unfinished: bool = False) -> int:
        """How many `prune` would delete."""
        column = "created_at" if unfinished else "finished_at"
        sql = f"select count(*) from job_batches where {column} < ?"  # noqa: S608 - fixed words
        return int(read(conn, sql, (int(before),))[0][0])

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
        conn.run(f"delete from job_batch_failures where batch_id in ({marks(ids)})", ids)  # noqa: S608 - question marks only
        return int(conn.run(f"delete from job_batches where id in ({marks(ids)})", ids).rowcount)  # noqa: S608 - question marks only


def _callbacks(options: dict[str, Any], event: str, reason: str | None = None) -> Due:
    found = []
    for fields in options.get("callbacks", {}).get(event, ()):
        fresh = {**fields, "uuid": new_uuid()}
        if reason is not None and fields.get("job") == CALLBACK:
            fresh["data"] = {**fields["data"], "reason": reason}
        found.append(fresh)
    return found
