"""`queue:doctor`: looks for what makes queues fail, and says how to mend it.

Everything is looked up through indexes or in small tables, so it takes milliseconds whatever the
size of the backlog.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from so.db.options import file_of
from so.db.schema import SchemaFault, check
from so.errors import InvalidPayloadError
from so.settings.queue import QueueSettings
from so.systems.queue.payload import Payload
from so.systems.queue.tables.bundle import Tables
from so.systems.queue.tables.sql import read
from so.systems.queue.tables.workers import WorkerRow

OLDEST_WAIT_SECONDS = 3600
CLOCK_SECONDS = 2.0
WAL_MB = 256
SAMPLE = 200
MANY_FAILURES = 10_000
TABLES = ("jobs", "failed_jobs", "job_", "queue_")
DUE_NAME = "jobs_due_index"
DUE_INDEX = ["queue", "available_at", "id"]


@dataclass(frozen=True)
class Finding:
    """One fault: a short name for programs, and what to do about it for people."""

    name: str
    text: str
    is_fatal: bool = True

    def to_dict(self) -> dict[str, Any]:
        """What `--json` shows of it."""
        return {**vars(self)}


class Doctor:
    """Examines one queue; `Queue.doctor()` makes it."""

    def __init__(
        self,
        tables: Tables,
        settings: QueueSettings,
        *,
        connect: Callable[[], Any],
        jobs: Container[str],
        goes_to: str,
        connections: Sequence[str],
    ) -> None:
        """*settings* are those of config/queue.py as far as they can contradict each other.

        *connect* gives a connection as workers have it, *jobs* are the classes known here. What is
        dispatched goes to the connection *goes_to*, which should be one of *connections*.
        """
        self._tables = tables
        self._settings = settings
        self._connect, self._jobs = connect, jobs
        self._goes_to, self._connections = goes_to, connections

    def examine(self) -> list[Finding]:
        """Every fault there is; an empty list is a clean bill."""
        conn = self._connect()
        try:
            found = [*self._engine(conn), *self._indexes(conn), *self._lease(), *self._clock(conn)]
            found += self._connection()
            faults = [f for f in check(conn) if f.table.startswith(TABLES) and f.name != DUE_NAME]
            found += map(_schema_finding, faults)
            if any(fault.kind in ("table", "column") for fault in faults):
                return found  # nothing further can be asked
            return [*found, *self._workers(), *self._backlog(conn), *self._failures(conn)]
        finally:
            if conn is not self._tables.source.connection():
                conn.close()

    # --- the engine ---

    def _engine(self, conn: Any) -> Iterator[Finding]:
        if conn.dialect.name == "sqlite":
            yield from self._sqlite(conn)
            return
        base = self._tables.source.connection()
        isolation = _isolation(conn)
        if isolation != "READ-COMMITTED":
            yield Finding(
                "isolation",
                f"workers run at {isolation}: idle ones would block every insert; "
                "let them have READ COMMITTED",
            )
        if _isolation(base) == "SERIALIZABLE":
            yield Finding(
                "isolation",
                "the application's connection is SERIALIZABLE: its reads of jobs block workers; "
                "set `isolation` in config/database.py to repeatable read or read committed",
            )
        if not _supports_skip_locked(str(_one(conn, "select version()"))):
            yield Finding(
                "skip_locked",
                "this server knows no SKIP LOCKED: use MySQL 8.0.1, MariaDB 10.6 or newer",
            )
        if "statement" in str(_one(conn, "select @@binlog_format")).lower() and int(
            _one(conn, "select @@log_bin")
        ):
            yield Finding(
                "binlog", "READ COMMITTED needs binlog_format ROW or MIXED: set it on the server"
            )

    def _sqlite(self, conn: Any) -> Iterator[Finding]:
        mode = str(_one(conn, "pragma journal_mode")).lower()
        if mode not in ("wal", "memory"):
            yield Finding(
                "journal_mode",
                f"the database is in {mode} mode: readers block writers; set journal_mode to wal",
            )
        pages, size = _one(conn, "pragma page_count"), _one(conn, "pragma page_size")
        wal = _wal_bytes(file_of(str(conn.config["database"])) or "")
        if wal > WAL_MB * 1_048_576 and wal > pages * size:
            yield Finding(
                "wal_size",
                f"the WAL has grown to {wal >> 20} MB: somebody keeps a read transaction open",
                False,
            )

    def _indexes(self, conn: Any) -> Iterator[Finding]:
        columns = _index_columns(conn, "jobs", DUE_NAME)
        # SQLite ends every index with the rowid, which is the id.
        needed = DUE_INDEX[:2] if conn.dialect.name == "sqlite" else DUE_INDEX
        if columns[: len(needed)] != needed:
            shown = ", ".join(columns) or "missing"
            yield Finding(
                "index",
                f"the index {DUE_NAME} is {shown}: claims would read the whole backlog; "
                f"create it on ({', '.join(needed)})",
            )

    # --- the set-up ---

    def _connection(self) -> Iterator[Finding]:
        if self._goes_to not in self._connections:
            yield Finding(
                "connection",
                f"jobs go to the queue connection {self._goes_to!r}, which is not there: set "
                f"QUEUE_CONNECTION to {' or '.join(self._connections)}",
            )

    def _lease(self) -> Iterator[Finding]:
        lease = self._settings.lease_seconds
        if lease < 3:
            yield Finding(
                "lease",
                f"lease_seconds is {lease}: workers renew every third of it, give at least 3",
            )
        grace, stop = self._settings.kill_grace, self._settings.stop_grace
        timeout = self._settings.timeout
        if timeout and stop < min(timeout, 1):
            yield Finding("stop_grace", f"stop_grace is {stop}: a deploy gives back every job")
        if grace > 60:
            yield Finding("kill_grace", f"kill_grace is {grace}: hung jobs live that much longer")

    def _clock(self, conn: Any) -> Iterator[Finding]:
        skew = abs(conn.database_time() - self._tables.clock.time())
        if skew > CLOCK_SECONDS:
            yield Finding(
                "clock",
                f"this machine's clock is {skew:.1f} s off the database's: delayed jobs and leases "
                "go wrong; run a time service",
            )

    # --- what goes on ---

    def _workers(self) -> Iterator[Finding]:
        workers = self._tables.workers.workers()
        alive = [worker for worker in workers if worker.alive]
        for worker in workers:
            if not worker.alive and worker.state != "stopping":
                heirs = [heir.id for heir in alive if _has_replaced(heir, worker)]
                yield Finding(
                    "dead_worker",
                    f"worker {worker.id} on {worker.host} has been silent since {worker.beat_at}: "
                    + (f"{heirs[0]} has taken its place" if heirs else "start it again"),
                    not heirs,
                )
        wanted = self._tables.workers.generation(self._tables.source.connection())
        for worker in alive:
            if worker.generation < wanted:
                yield Finding(
                    "restart", f"worker {worker.id} has not obeyed the last restart yet", False
                )

    def _backlog(self, conn: Any) -> Iterator[Finding]:
        served = {q for w in self._tables.workers.workers() if w.alive for q in w.queues}
        for state in self._tables.metrics.states():
            if state.oldest_seconds > OLDEST_WAIT_SECONDS:
                yield Finding(
                    "oldest_wait",
                    f"a job of {state.name!r} has been waiting for {state.oldest_seconds} s: "
                    "add workers",
                )
            if state.pending and state.name not in served:
                yield Finding(
                    "unserved", f"no living worker takes jobs of the queue {state.name!r}"
                )
            if state.paused:
                yield Finding("paused", f"the queue {state.name!r} is paused", False)
            yield from self._unknown_classes(conn, state.name)

    def _unknown_classes(self, conn: Any, queue: str) -> Iterator[Finding]:
        # Delayed ones as well: better to hear of them before they are due.
        rows = read(
            conn,
            "select payload from jobs where queue = ? order by available_at, id limit ?",
            (queue, SAMPLE),
        )
        unknown = sorted({name for (text,) in rows if (name := self._unknown(text))})
        if unknown:
            yield Finding(
                "unknown_class",
                f"jobs of {queue!r} are of classes nobody defines here: {', '.join(unknown)}; "
                "import their modules, or clear the queue",
            )

    def _unknown(self, text: str) -> str:
        try:
            name = Payload.read(text).fields["job"]
        except InvalidPayloadError:
            return "(unreadable payload)"
        return "" if name in self._jobs else str(name)

    def _failures(self, conn: Any) -> Iterator[Finding]:
        rows = read(
            conn,
            "select count(*) from (select 1 from failed_jobs limit ?) as some",
            (MANY_FAILURES,),
        )
        if rows[0][0] >= MANY_FAILURES:
            yield Finding(
                "failed_jobs",
                f"failed_jobs holds {MANY_FAILURES} rows or more: see queue:failed --groups, "
                "then retry or prune them",
                False,
            )


def _has_replaced(heir: WorkerRow, worker: WorkerRow) -> bool:
    """Whether *heir* was started since *worker* fell silent, there and for the same queues."""
    is_same = heir.host == worker.host and set(worker.queues) <= set(heir.queues)
    return is_same and heir.started_at >= worker.beat_at


def _schema_finding(fault: SchemaFault) -> Finding:
    return Finding("schema", f"{fault}: run `bin/sixorbit db:install`")


def _one(conn: Any, sql: str) -> Any:
    return read(conn, sql)[0][0]


def _isolation(conn: Any) -> str:
    # MySQL 8 and MariaDB 11 call it transaction_isolation, older ones tx_isolation.
    rows = read(conn, "show variables like 't%_isolation'")
    return str(rows[0][1]).upper() if rows else ""


def _supports_skip_locked(version: str) -> bool:
    numbers = [int(part) for part in version.split("-")[0].split(".")[:2]]
    return numbers >= ([10, 6] if "mariadb" in version.lower() else [8, 0])


def _wal_bytes(path: str) -> int:
    from pathlib import Path

    wal = Path(f"{path}-wal")
    return wal.stat().st_size if wal.exists() else 0


def _index_columns(conn: Any, table: str, index: str) -> list[str]:
    if conn.dialect.name == "sqlite":
        return [str(row[2]) for row in read(conn, f"pragma index_info({index})")]
    rows = read(
        conn,
        "select column_name from information_schema.statistics where table_schema = database() "
        "and table_name = ? and index_name = ? order by seq_in_index",
        (table, index),
    )
    return [str(row[0]) for row in rows]
