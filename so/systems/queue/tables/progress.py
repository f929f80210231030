"""How far a running job is, for the people who wait for it, and where a resumed loop goes on.

One row in `job_progress` for each job that says something; it outlives the job by a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from so.db.words import insert_ignore
from so.systems.queue.tables.sql import read

_COLUMNS = "uuid, job_id, job, state, done, total, message, started_at, updated_at"
KEEP_SECONDS = 86_400


@dataclass(frozen=True)
class Progress:
    """The progress of one job as it was last written."""

    uuid: str
    job_id: int
    job: str
    state: str
    """running, done, failed or cancelled."""
    done: int
    total: int | None
    message: str | None
    started_at: datetime
    updated_at: datetime

    @property
    def percent(self) -> int | None:
        """0 to 100; None while the total is not known."""
        if self.state == "done":
            return 100
        return min(100, self.done * 100 // self.total) if self.total else None

    @property
    def seconds_left(self) -> int | None:
        """How long it will still take at the pace so far; None while nobody can say."""
        took = (self.updated_at - self.started_at).total_seconds()
        if self.state != "running" or not self.total or not self.done or took <= 0:
            return None
        return max(0, round(took / self.done * (self.total - self.done)))

    def to_dict(self) -> dict[str, Any]:
        """What a page shows of it."""
        return {
            "uuid": self.uuid,
            "job_id": self.job_id,
            "job": self.job,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "percent": self.percent,
            "message": self.message,
            "seconds_left": self.seconds_left,
            "started_at": self.started_at,
            "updated_at": self.updated_at,
        }


class ProgressTable:
    """The statements on `job_progress`; each takes the connection it is to happen on."""

    def __init__(self, dialect: str) -> None:
        """*dialect* is "sqlite" or "mysql"."""
        self._insert = (
            f"{insert_ignore(dialect)} into job_progress "
            "(uuid, job_id, job, state, done, total, message, position, started_at, updated_at) "
            "values (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?)"
        )

    def write(
        self,
        conn: Any,
        job: tuple[str, int, str],
        now: float,
        done: int,
        total: int | None,
        message: str | None,
    ) -> None:
        """Say that *job* (uuid, id, name) has come as far as *done*."""
        second = int(now)
        told = None if message is None else message[:255]
        changed = conn.run(
            "update job_progress set job_id = ?, state = 'running', done = ?, total = ?, "
            "message = ?, updated_at = ? where uuid = ?",
            (job[1], done, total, told, second, job[0]),
        ).rowcount
        if not changed:
            conn.run(self._insert, (*job, done, total, told, 0, second, second))

    def position(self, conn: Any, uuid: str) -> int:
        """How many items a resumable loop has behind it."""
        rows = read(conn, "select position from job_progress where uuid = ?", (uuid,))
        return int(rows[0][0]) if rows else 0

    def set_position(
        self, conn: Any, job: tuple[str, int, str], claim: str, position: int, now: float
    ) -> bool:
        """Store the place of a resumable loop, if *claim* still holds the job."""
        second = int(now)
        changed = conn.run(
            "update job_progress set position = ?, job_id = ?, updated_at = ? where uuid = ? and "
            "exists (select 1 from jobs where id = ? and worker_id = ?)",
            (position, job[1], second, job[0], job[1], claim),
        ).rowcount
        if changed:
            return True
        held = read(conn, "select 1 from jobs where id = ? and worker_id = ?", (job[1], claim))
        if held:
            conn.run(self._insert, (*job, 0, None, None, position, second, second))
        return bool(held)

    def finish(
        self, conn: Any, uuid: str, state: str, now: float, told: bool | None = None
    ) -> None:
        """Say how the job *uuid* has ended, if it was *told* how far it is (None: look)."""
        if told is None:
            told = bool(read(conn, "select 1 from job_progress where uuid = ?", (uuid,)))
        if not told:
            return  # an update that finds nothing would lock a gap under REPEATABLE READ
        conn.run(
            "update job_progress set state = ?, updated_at = ? where uuid = ?",
            (state, int(now), uuid),
        )

    def find(self, conn: Any, job: int | str) -> Progress | None:
        """The progress of the job with this id or uuid."""
        column = "job_id" if isinstance(job, int) else "uuid"
        rows = read(
            conn,
            f"select {_COLUMNS} from job_progress where {column} = ? order by updated_at desc",  # noqa: S608 - fixed words
            (job,),
        )
        return _progress(rows[0]) if rows else None

    def running(self, conn: Any, limit: int = 100) -> list[Progress]:
        """What runs and says so, latest first."""
        rows = read(
            conn,
            f"select {_COLUMNS} from job_progress where state = 'running' "  # noqa: S608 - fixed words
            "order by updated_at desc limit ?",
            (limit,),
        )
        return [_progress(row) for row in rows]

    def sweep(self, conn: Any, now: float, limit: int = 500) -> int:
        """Delete up to *limit* rows of jobs that ended a day ago."""
        rows = read(
            conn,
            "select uuid from job_progress where updated_at < ? and state <> 'running' limit ?",
            (int(now) - KEEP_SECONDS, limit),
        )
        for (uuid,) in rows:
            conn.run("delete from job_progress where uuid = ?", (uuid,))
        return len(rows)


def _progress(row: tuple[Any, ...]) -> Progress:
    return Progress(
        str(row[0]),
        int(row[1]),
        str(row[2]),
        str(row[3]),
        int(row[4]),
        None if row[5] is None else int(row[5]),
        row[6],
        datetime.fromtimestamp(row[7], UTC),
        datetime.fromtimestamp(row[8], UTC),
    )
