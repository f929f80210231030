"""Jobs that have failed for good: listing, grouping, trying again, forgetting.

Everything goes through the table in bounded pieces, so that a million failures fit into any memory,
and each job moves in one transaction: it is in `failed_jobs` or in `jobs`, never in both or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from so.db.words import marks
from so.support.numbers import row_id
from so.support.progress import steps
from so.systems.queue.payload import with_fields
from so.systems.queue.tables.batches import links_of
from so.systems.queue.tables.bundle import Tables
from so.systems.queue.tables.jobs import NewJob
from so.systems.queue.tables.sql import Retry, read

PAGE = 200
_FEW = 20  # rows at a time where whole payloads are wanted
_LAST_ID = 2**63 - 1
_COLUMNS = (
    "id, uuid, connection, queue, payload, exception, failed_at, job, fingerprint, attempts, "
    "batch_id, lock_key"
)
_GROUPED = "id, fingerprint, failed_at"
_KEPT_FAILURES = 10
_EXCEPTION_LINE = re.compile(r"(?:\w+\.)*(\w*[A-Z]\w*)((?:: .*)?)$")


@dataclass
class FailedJob:
    """One row of failed_jobs."""

    id: int
    uuid: str
    connection: str
    queue: str
    payload: str
    exception: str
    failed_at: datetime
    job: str
    fingerprint: str
    attempts: int
    batch_id: str | None
    lock_key: str | None

    @property
    def reason(self) -> str:
        """The last exception's own line of the traceback, without its module."""
        lines = [line for line in self.exception.strip().splitlines() if line.strip()]
        for line in reversed(lines):
            found = _EXCEPTION_LINE.match(line)
            if found:
                return found[1] + found[2]
        return lines[-1] if lines else ""

    def to_dict(self) -> dict[str, Any]:
        """What a page or `--json` shows of it."""
        return {
            "id": self.id,
            "uuid": self.uuid,
            "connection": self.connection,
            "queue": self.queue,
            "job": self.job,
            "reason": self.reason,
            "fingerprint": self.fingerprint,
            "attempts": self.attempts,
            "failed_at": self.failed_at,
            "payload": self._read_payload(),
            "exception": self.exception,
        }

    def _read_payload(self) -> Any:
        """The payload as the object that it is; as text where it is no JSON."""
        try:
            return json.loads(self.payload)
        except (ValueError, RecursionError):
            return self.payload


@dataclass
class FailureGroup:
    """Failures of one job class, kind and place in the code."""

    fingerprint: str
    job: str
    count: int
    first_at: datetime
    last_at: datetime
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """What a page or `--json` shows of it."""
        return {**vars(self)}


@dataclass
class Retried:
    """What came of trying failed jobs again."""

    count: int = 0
    blocked: int = 0
    """Unique jobs that stay failed because another one of their kind is queued."""


def moment(value: Any) -> datetime:
    """A time from the database as an aware datetime."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    found: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
    return found


class FailedJobs:
    """The statements on `failed_jobs`, for one queue."""

    def __init__(self, tables: Tables, wake: Callable[[], None]) -> None:
        """They go back to the `jobs` of *tables*; *wake* is called when they do."""
        self._tables = tables
        self._wake = wake

    # --- looking ---

    def latest(self, limit: int = 100, queue: str | None = None) -> list[FailedJob]:
        """The latest failures (of *queue*), newest first."""
        return list(self.newest_first(limit, queue))

    def newest_first(
        self, limit: int | None = None, queue: str | None = None
    ) -> Iterator[FailedJob]:
        """Up to *limit* failures (of *queue*), newest first, a few of them read at a time."""
        where, values = ("and queue = ?", (queue,)) if queue else ("", ())
        last, left = _LAST_ID, _LAST_ID if limit is None else limit
        while left > 0:
            rows = read(
                self._conn(),
                f"select {_COLUMNS} from failed_jobs where id < ? {where} "  # noqa: S608 - fixed words
                "order by id desc limit ?",
                (last, *values, min(left, _FEW)),
            )
            yield from map(_failed, rows)
            if len(rows) < _FEW:
                return
            last, left = rows[-1][0], left - len(rows)

    def each(self, queue: str | None = None) -> Iterator[FailedJob]:
        """All failures, oldest first, read page by page."""
        last = 0
        where, values = ("and queue = ?", (queue,)) if queue else ("", ())
        while True:
            rows = read(
                self._conn(),
                f"select {_COLUMNS} from failed_jobs where id > ? {where} "  # noqa: S608 - fixed words
                "order by id limit ?",
                (last, *values, PAGE),
            )
            yield from map(_failed, rows)
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def find(self, key: str) -> FailedJob | None:
        """The failure with this uuid, or this id as text."""
        column, value = _named(key)
        rows = read(
            self._conn(),
            f"select {_COLUMNS} from failed_jobs where {column} = ?",  # noqa: S608 - fixed words
            (value,),
        )
        return _failed(rows[0]) if rows else None

    def count(self) -> int:
        """How many there are."""
        return int(read(self._conn(), "select count(*) from failed_jobs")[0][0])

    def groups(self, limit: int = 100, newest: int | None = None) -> list[FailureGroup]:
        """Failures counted by fingerprint, the most frequent first; two statements.

        Of the *newest* so many, where there may be too many to count them all.
        """
        among = "failed_jobs"
        if newest is not None:
            among = (
                f"(select {_GROUPED} from failed_jobs order by id desc limit {int(newest)}) as f"  # noqa: S608 - a number
            )
        rows = read(
            self._conn(),
            "select fingerprint, count(*), min(failed_at), max(failed_at), max(id) "  # noqa: S608 - fixed words
            f"from {among} group by fingerprint order by count(*) desc limit ?",
            (limit,),
        )
        examples = self._with_ids([row[4] for row in rows])
        return [
            FailureGroup(
                str(fingerprint),
                examples[id].job if id in examples else "",
                int(count),
                moment(first),
                moment(last),
                examples[id].reason if id in examples else "",
            )
            for fingerprint, count, first, last, id in rows
        ]

    def _with_ids(self, ids: list[int]) -> dict[int, FailedJob]:
        if not ids:
            return {}
        sql = f"select {_COLUMNS} from failed_jobs where id in ({marks(len(ids))})"  # noqa: S608 - question marks only
        return {found.id: found for found in map(_failed, read(self._conn(), sql, ids))}

    def ages(self) -> dict[str, int]:
        """How many failures are younger than a day, a week, a month, and older."""
        now = self._tables.clock.now()
        bounds = [("day", 1), ("week", 7), ("month", 30)]
        counts, newer = {}, 0
        for name, days in bounds:
            rows = read(
                self._conn(),
                "select count(*) from failed_jobs where failed_at >= ?",
                (now - timedelta(days=days),),
            )
            counts[name] = int(rows[0][0]) - newer
            newer += counts[name]
        counts["older"] = self.count() - newer
        return counts

    # --- trying again ---

    def retry(self, keys: Iterable[str]) -> Retried:
        """Put the failures with these uuids or ids back into their queues."""
        result = Retried()
        for key in keys:
            column, value = _named(key)
            self._retry_where(f"{column} = ?", (value,), result)
        return result

    def retry_all(
        self,
        *,
        queue: str | None = None,
        group: str | None = None,
        batch: str | None = None,
        ids: tuple[int, int] | None = None,
    ) -> Retried:
        """Put back all failures, or those of a queue, a fingerprint, a batch, a range of ids."""
        parts: list[str] = ["1 = 1"]
        values: list[Any] = []
        for column, value in (("queue", queue), ("fingerprint", group), ("batch_id", batch)):
            if value is not None:
                parts.append(f"{column} = ?")
                values.append(value)
        if ids is not None:
            parts.append("id between ? and ?")
            values.extend(ids)
        result = Retried()
        self._retry_where(" and ".join(parts), tuple(values), result)
        return result

    def _retry_where(self, where: str, values: tuple[Any, ...], result: Retried) -> None:
        newest = read(self._conn(), "select max(id) from failed_jobs")[0][0]
        last, retry = 0, Retry()
        total = f"select count(*) from failed_jobs where ({where})"  # noqa: S608 - fixed words
        step = steps(lambda: int(read(self._conn(), total, values)[0][0]))
        while newest is not None:
            rows = read(
                self._conn(),
                f"select id from failed_jobs where ({where}) and id > ? and id <= ? "  # noqa: S608 - fixed words
                "order by id limit ?",
                (*values, last, newest, PAGE),
            )
            for (failure,) in rows:
                self._count(retry(self._conn(), partial(self._move, failure)), result)
                step(1)
            if len(rows) < PAGE:
                break
            last = rows[-1][0]
        if result.count:
            self._wake()

    @staticmethod
    def _count(moved: bool | None, result: Retried) -> None:
        if moved:
            result.count += 1
        elif moved is None:
            result.blocked += 1

    def _move(self, row_id: int) -> bool | None:
        """One job back to `jobs`: True; False if it is gone already; None if it must not."""
        conn = self._conn()
        with conn.transaction():
            rows = read(conn, f"select {_COLUMNS} from failed_jobs where id = ?", (row_id,))  # noqa: S608 - fixed words
            if not rows or not conn.affecting_statement(
                "delete from failed_jobs where id = ?", (row_id,)
            ):
                return False
            failed = _failed(rows[0])
            if not self._retake_lock(conn, failed):
                conn.roll_back()
                conn.begin_transaction()
                return None
            if failed.batch_id:
                links = links_of(failed.payload, failed.batch_id)
                self._tables.batches.revived(conn, failed.batch_id, failed.uuid, links)
            self._tables.jobs.insert(conn, self._stored(failed))
        return True

    def _retake_lock(self, conn: Any, failed: FailedJob) -> bool:
        if not failed.lock_key:
            return True
        now = self._tables.clock.time()
        return self._tables.locks.take_unique(conn, failed.lock_key, failed.uuid, now, None)

    def _stored(self, failed: FailedJob) -> NewJob:
        now = int(self._tables.clock.time())
        return NewJob(
            failed.queue,
            _with_history(failed),
            now,
            now,
            failed.uuid,
            failed.lock_key,
            failed.batch_id,
        )

    # --- letting go ---

    def forget(self, keys: Iterable[str]) -> int:
        """Delete the failures with these uuids or ids; how many there were."""
        total = 0
        for key in keys:
            column, value = _named(key)
            total += int(
                self._conn().affecting_statement(
                    f"delete from failed_jobs where {column} = ?",  # noqa: S608 - fixed words
                    (value,),
                )
            )
        return total

    def prune(self, hours: float = 0) -> int:
        """Delete failures older than *hours* (0: all), in bounded pieces; how many."""
        before = self._tables.clock.now() - timedelta(hours=hours)
        total, old = 0, "select count(*) from failed_jobs where failed_at <= ?"
        step = steps(lambda: int(read(self._conn(), old, (before,))[0][0]))
        while True:
            rows = read(
                self._conn(),
                "select id from failed_jobs where failed_at <= ? order by id limit ?",
                (before, PAGE),
            )
            if rows:
                ids = [row[0] for row in rows]
                total += int(
                    self._conn().affecting_statement(
                        f"delete from failed_jobs where id in ({marks(ids)})",  # noqa: S608 - question marks only
                        ids,
                    )
                )
                step(len(rows))
            if len(rows) < PAGE:
                return total

    def _conn(self) -> Any:
        return self._tables.source.connection()


def _failed(row: tuple[Any, ...]) -> FailedJob:
    return FailedJob(
        int(row[0]),
        str(row[1]),
        str(row[2]),
        str(row[3]),
        str(row[4]),
        str(row[5]),
        moment(row[6]),
        str(row[7]),
        str(row[8]),
        int(row[9]),
        row[10],
        row[11],
    )


def _with_history(failed: FailedJob) -> str:
    """The payload with a note of this failure; as it was if it cannot be read."""
    note = {"at": failed.failed_at.isoformat(), "exception": failed.reason[:300]}
    try:
        fields = json.loads(failed.payload)
        earlier = [*fields.get("failures", []), note][-_KEPT_FAILURES:]
        return with_fields(failed.payload, failures=earlier)
    except (ValueError, TypeError, AttributeError):
        return failed.payload


def _named(key: str) -> tuple[str, int | str]:
    """The column that *key* stands in, and its value there: an id if it is one, else a uuid."""
    id = row_id(key)
    return ("uuid", key) if id is None else ("id", id)
