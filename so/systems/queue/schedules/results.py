"""How each task of the schedule ended last, and what its last failure said: one row a task."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from so.db.words import insert_ignore, marks
from so.errors import DatabaseError
from so.support.clock import Clock
from so.systems.queue.tables.sql import read

log = logging.getLogger("so.queue")
OUTPUT = 4000  # characters of the last failure that are kept, its end
_COLUMNS = "task, run_at, started_at, outcome, ms, failed_at, output"
_ENDED = "update queue_schedule_results set outcome = ?, ms = ?"


@dataclass(frozen=True)
class TaskResult:
    """The last run of a task; times are unix seconds."""

    task: str
    run_at: int
    started_at: int
    outcome: str
    """running, done, queued (what became of the job is told with the jobs) or failed"""
    ms: int | None
    failed_at: int | None
    """Of the last failure, which may be an earlier run."""
    output: str | None
    """What the last failure said."""

    def to_dict(self) -> dict[str, Any]:
        """What a page or `--json` shows of it."""
        return asdict(self)


class Results:
    """The rows of `queue_schedule_results`; that one is not written holds up no task."""

    def __init__(self, source: Any, clock: Clock) -> None:
        """*source* gives the connection of the caller."""
        self._source, self._clock = source, clock

    def begin(self, task: str, run_at: int) -> None:
        """*task* is begun for its time *run_at*."""
        now = int(self._clock.time())

        def write(conn: Any) -> None:
            told = "set run_at = ?, started_at = ?, outcome = 'running', ms = null"
            sql = f"update queue_schedule_results {told} where task = ?"
            if not conn.affecting_statement(sql, (run_at, now, task)):
                ignore = insert_ignore(conn.dialect.name)
                into = f"{ignore} into queue_schedule_results ({_COLUMNS})"
                values = "values (?, ?, ?, 'running', null, null, null)"
                conn.run(f"{into} {values}", (task, run_at, now))

        self._write(write)

    def end(self, task: str, ms: int, outcome: str, output: str | None = None) -> None:
        """It ended; *output* is what it said where it failed."""
        if output is None:
            values: tuple[Any, ...] = (outcome, ms, task)
            self._write(lambda conn: conn.run(f"{_ENDED} where task = ?", values))
            return
        values = (outcome, ms, int(self._clock.time()), output[-OUTPUT:], task)
        sql = f"{_ENDED}, failed_at = ?, output = ? where task = ?"
        self._write(lambda conn: conn.run(sql, values))

    def _write(self, work: Any) -> None:
        try:
            work(self._source.connection())
        except DatabaseError as error:
            log.warning("queue: how a scheduled task ended is not noted: %s", error)

    def of(self, tasks: Iterable[str]) -> dict[str, TaskResult]:
        """The last runs of *tasks*, by their keys."""
        keys = list(tasks)
        if not keys:
            return {}
        sql = f"select {_COLUMNS} from queue_schedule_results where task in ({marks(len(keys))})"  # noqa: S608 - question marks only
        return {str(row[0]): TaskResult(*row) for row in read(self._source.connection(), sql, keys)}
