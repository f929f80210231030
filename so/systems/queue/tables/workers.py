"""What workers and people tell each other through the database: who works, who shall stop or wait.

Rows, not cache keys: they reach every machine, and clearing a cache does not restart a worker.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

from so.db.words import given, marks, on_taken
from so.support.clock import Clock
from so.systems.queue.tables.sql import read

ALL = "*"
BEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 3 * BEAT_SECONDS + 1
FORGET_AFTER_SECONDS = 3600
LONGEST_NAME = 96 - len("pause:")


_BUMP = "insert into queue_control (name, amount, updated_at) values ('restart', 1, ?)"


def rest_name(queue: str) -> str:
    """*queue* as the table of pauses has it: cut to its column, and distinct all the same."""
    if len(queue) <= LONGEST_NAME:
        return queue
    return f"{queue[: LONGEST_NAME - 17]}~{hashlib.sha256(queue.encode()).hexdigest()[:16]}"


@dataclass
class WorkerRow:
    """One worker process (with its children) as it last described itself."""

    id: str
    host: str
    pid: int
    queues: list[str]
    processes: int
    state: str
    generation: int
    done: int
    failed: int
    started_at: datetime
    beat_at: datetime
    current: list[dict[str, Any]]
    alive: bool
    memory_mb: int | None = None
    """Of all its processes together; None where it does not say."""

    def to_dict(self) -> dict[str, Any]:
        """What a page shows of it."""
        return {**vars(self)}


class Control:
    """The statements on `queue_control` and `queue_workers`."""

    def __init__(self, source: Any, clock: Clock, dialect: str) -> None:
        """*source* gives the connection of the caller; *dialect* is "sqlite" or "mysql"."""
        self._source = source
        self._clock = clock
        # Set by the application: whether this server is down, so that all its workers rest.
        self.is_down: Callable[[], bool] = lambda: False
        self._upsert = _upsert(dialect, "queue_control", ("name", "amount", "updated_at"), 1)
        self._upsert_worker = _upsert(
            dialect,
            "queue_workers",
            (
                "id",
                "host",
                "pid",
                "queues",
                "processes",
                "state",
                "generation",
                "done",
                "failed",
                "started_at",
                "beat_at",
                "current",
                "memory_mb",
            ),
            1,
        )
        self._bump = (
            f"{_BUMP} {on_taken(dialect, ['name'])} amount = amount + 1, "
            f"updated_at = {given(dialect, 'updated_at')}"
        )

    # --- restart ---

    def restart(self) -> int:
        """Ask every worker to finish what it does and end; the number of the request."""
        conn = self._source.connection()
        conn.run(self._bump, (int(self._clock.time()),))
        return self.generation(conn)

    def generation(self, conn: Any) -> int:
        """The number of the latest request to restart."""
        rows = read(conn, "select amount from queue_control where name = 'restart'")
        return int(rows[0][0]) if rows else 0

    # --- pause ---

    def pause(self, queue: str | None = None, seconds: float | None = None) -> None:
        """Let no worker take jobs of *queue* (None: of any), for *seconds* or until resumed."""
        now = self._clock.time()
        until = 0 if seconds is None else ceil(now + seconds)
        self._source.connection().run(
            self._upsert, (f"pause:{rest_name(queue or ALL)}", until, int(now))
        )

    def resume(self, queue: str | None = None) -> bool:
        """End a pause; False when there was none."""
        return bool(
            self._source.connection().affecting_statement(
                "delete from queue_control where name = ?", (f"pause:{rest_name(queue or ALL)}",)
            )
        )

    def paused(self, conn: Any) -> dict[str, int]:
        """The queues that rest ("*" is all), with the second in which that ends (0: never)."""
        if self.is_down():
            return {"*": 0}
        now = self._clock.time()
        rows = read(conn, "select name, amount from queue_control where name like 'pause:%'")
        return {str(name)[6:]: int(until) for name, until in rows if int(until) == 0 or until > now}

    # --- workers ---

    def beat(self, conn: Any, row: dict[str, Any]) -> None:
        """Write down how a worker is; *row* has the columns of queue_workers."""
        values = {**row, "current": json.dumps(row.get("current") or [])}
        conn.run(
            self._upsert_worker,
            (
                values["id"],
                values["host"],
                values["pid"],
                ",".join(values["queues"])[:255],
                values["processes"],
                values["state"],
                values["generation"],
                values["done"],
                values["failed"],
                values["started_at"],
                int(self._clock.time()),
                values["current"],
                values.get("memory_mb"),
            ),
        )

    def attend(self, conn: Any, worker: str, doing: dict[str, Any]) -> None:
        """Say for a worker within a job that it lives, and what it is at."""
        sql = "update queue_workers set beat_at = ?, current = ? where id = ?"
        conn.run(sql, (int(self._clock.time()), json.dumps([doing]), worker))

    def leave(self, conn: Any, worker: str) -> None:
        """Strike a worker off the list."""
        conn.run("delete from queue_workers where id = ?", (worker,))

    def workers(self, conn: Any = None) -> list[WorkerRow]:
        """All workers that are known, those that have gone silent included."""
        now = self._clock.time()
        rows = read(
            conn or self._source.connection(),
            "select id, host, pid, queues, processes, state, generation, done, failed, "
            "started_at, beat_at, current, memory_mb from queue_workers order by started_at, id",
        )
        return [
            WorkerRow(
                str(row[0]),
                str(row[1]),
                int(row[2]),
                str(row[3]).split(","),
                int(row[4]),
                str(row[5]),
                int(row[6]),
                int(row[7]),
                int(row[8]),
                datetime.fromtimestamp(row[9], UTC),
                datetime.fromtimestamp(row[10], UTC),
                json.loads(row[11] or "[]"),
                now - row[10] <= DEAD_AFTER_SECONDS,
                row[12],
            )
            for row in rows
        ]

    def forget_dead(self, conn: Any) -> int:
        """Delete the rows of workers silent for an hour."""
        return int(
            conn.affecting_statement(
                "delete from queue_workers where beat_at < ?",
                (int(self._clock.time()) - FORGET_AFTER_SECONDS,),
            )
        )


def _upsert(dialect: str, table: str, columns: tuple[str, ...], keys: int) -> str:
    head = f"insert into {table} ({', '.join(columns)}) values ({marks(columns)})"  # noqa: S608 - fixed words
    rest = ", ".join(f"{column} = {given(dialect, column)}" for column in columns[keys:])
    return f"{head} {on_taken(dialect, columns[:keys])} {rest}"
