"""Counters, sizes and waiting times of a queue, and their form for Prometheus (OpenMetrics).

Workers count in memory and add to `queue_metrics` now and then. Sizes are counted up to a cap, so
that asking costs the same whether a thousand or a million jobs wait.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from so.support.clock import Clock
from so.systems.queue.tables.sql import read
from so.systems.queue.tables.workers import Control

BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)
COUNTERS = (
    "done",
    "failed",
    "retried",
    "released",
    "skipped",
    "cancelled",
    "timeouts",
    "crashes",
    "lease_lost",
    "conflict_retries",
)
CAP = 10_000
KEEP_MINUTES = 60
PER_MINUTE = ("done", "failed")


@dataclass
class QueueState:
    """One queue at one moment."""

    name: str
    pending: int
    delayed: int
    reserved: int
    oldest_seconds: int
    done_last_hour: int
    failed_last_hour: int
    paused: bool
    capped: bool

    def to_dict(self) -> dict[str, Any]:
        """What a page or `--json` shows of it."""
        return {**vars(self)}


class Metrics:
    """Counts for one queue system, in memory until `flush()`."""

    def __init__(self, source: Any, clock: Clock, workers: Control, dialect: str) -> None:
        """*source* gives the connection to read on; *dialect* is "sqlite" or "mysql"."""
        self._source = source
        self._clock = clock
        self._workers = workers
        self._counts: dict[tuple[str, str], int] = {}
        tail = (
            "on conflict (queue, minute, name) do update set amount = amount + excluded.amount"
            if dialect == "sqlite"
            else "on duplicate key update amount = amount + values(amount)"
        )
        self._add = (
            f"insert into queue_metrics (queue, minute, name, amount) values (?, ?, ?, ?) {tail}"  # noqa: S608 - fixed words
        )

    def count(self, queue: str, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        key = (queue, name)
        self._counts[key] = self._counts.get(key, 0) + amount

    def observe(self, queue: str, name: str, seconds: float) -> None:
        """Add a duration to the histogram *name* ("wait" or "run")."""
        self.count(queue, f"{name}_{bisect_left(BUCKETS, seconds)}")
        self.count(queue, f"{name}_ms", int(seconds * 1000))

    def flush(self, conn: Any) -> None:
        """Write down what was counted since the last time."""
        if not self._counts:
            return
        counts, self._counts = self._counts, {}
        minute = int(self._clock.time()) // 60
        rows = [(q, 0, name, amount) for (q, name), amount in counts.items()]
        rows += [(q, minute, n, amount) for (q, n), amount in counts.items() if n in PER_MINUTE]
        try:
            with conn.transaction():
                # In the order of the key: two workers that add to the same rows must not cross.
                for row in sorted(rows):
                    conn.run(self._add, row)
        except Exception:
            for key, amount in counts.items():
                self._counts[key] = self._counts.get(key, 0) + amount
            raise

    def sweep(self, conn: Any) -> int:
        """Delete what was kept by minute an hour ago."""
        oldest = int(self._clock.time()) // 60 - KEEP_MINUTES
        return int(
            conn.affecting_statement(
                "delete from queue_metrics where minute > 0 and minute < ?", (oldest,)
            )
        )

    # --- reading ---

    def queues(self, conn: Any) -> list[str]:
        """The names of all queues that have jobs or have had some."""
        names: set[str] = set()
        name = ""
        while True:
            # From one name to the next through the index: the rows between are not read.
            rows = read(conn, "select min(queue) from jobs where queue > ?", (name,))
            if not rows or rows[0][0] is None:
                break
            name = str(rows[0][0])
            names.add(name)
        rows = read(conn, "select distinct queue from queue_metrics where minute = 0")
        return sorted(names | {str(row[0]) for row in rows})

    def states(self, queues: Iterable[str] | None = None) -> list[QueueState]:
        """How the given queues (default: all) are."""
        conn = self._source.connection()
        paused = self._workers.paused(conn)
        return [
            self._state(conn, name, bool(paused.keys() & {name, "*"}))
            for name in (self.queues(conn) if queues is None else queues)
        ]

    def _state(self, conn: Any, name: str, paused: bool) -> QueueState:
        now = int(self._clock.time())
        pending = self._capped(conn, "available_at <= ?", name, now)
        later = self._capped(conn, "available_at > ?", name, now)
        reserved = sum(
            1
            for worker in self._workers.workers(conn)
            for job in worker.current
            if worker.alive and job.get("queue") == name
        )
        oldest = read(
            conn,
            "select min(available_at) from jobs where queue = ? and available_at <= ?",
            (name, now),
        )[0][0]
        return QueueState(
            name,
            pending,
            max(0, later - reserved),
            reserved,
            max(0, now - int(oldest)) if oldest is not None else 0,
            self._last_hour(conn, name, "done", now),
            self._last_hour(conn, name, "failed", now),
            paused,
            CAP in (pending, later),
        )

    def _capped(self, conn: Any, where: str, name: str, now: int) -> int:
        rows = read(
            conn,
            "select count(*) from (select 1 from jobs where queue = ? "  # noqa: S608 - fixed words
            f"and {where} limit {CAP}) as some",
            (name, now),
        )
        return int(rows[0][0])

    def _last_hour(self, conn: Any, queue: str, name: str, now: int) -> int:
        rows = read(
            conn,
            "select sum(amount) from queue_metrics where queue = ? and minute > ? and name = ?",
            (queue, now // 60 - 60, name),
        )
        return int(rows[0][0] or 0)

    def totals(self) -> dict[str, dict[str, int]]:
        """Every counter since the beginning, by queue."""
        found: dict[str, dict[str, int]] = {}
        rows = read(
            self._source.connection(),
            "select queue, name, amount from queue_metrics where minute = 0",
        )
        for queue, name, amount in rows:
            found.setdefault(str(queue), {})[str(name)] = int(amount)
        return found

    def open_metrics(self) -> str:
        """Everything as OpenMetrics text."""
        lines: list[str] = []
        states, totals = self.states(), self.totals()
        for kind in ("pending", "delayed", "reserved", "oldest_seconds"):
            lines.append(f"# TYPE so_queue_{kind} gauge")
            lines += [
                f'so_queue_{kind}{{queue="{_label(s.name)}"}} {getattr(s, kind)}' for s in states
            ]
        for name in COUNTERS:
            lines.append(f"# TYPE so_queue_{name} counter")
            lines += [
                f'so_queue_{name}_total{{queue="{_label(queue)}"}} {counts.get(name, 0)}'
                for queue, counts in sorted(totals.items())
            ]
        for name in ("wait", "run"):
            lines.append(f"# TYPE so_queue_{name}_seconds histogram")
            for queue, counts in sorted(totals.items()):
                lines += _histogram(name, queue, counts)
        workers = self._workers.workers()
        lines.append("# TYPE so_queue_workers gauge")
        lines.append(f"so_queue_workers {sum(w.processes for w in workers if w.alive)}")
        return "\n".join([*lines, "# EOF", ""])


def _histogram(name: str, queue: str, counts: dict[str, int]) -> list[str]:
    lines, total = [], 0
    label = _label(queue)
    for index, bound in enumerate((*BUCKETS, None)):
        total += counts.get(f"{name}_{index}", 0)
        edge = "+Inf" if bound is None else f"{bound:g}"
        lines.append(f'so_queue_{name}_seconds_bucket{{queue="{label}",le="{edge}"}} {total}')
    seconds = counts.get(f"{name}_ms", 0) / 1000
    lines.append(f'so_queue_{name}_seconds_sum{{queue="{label}"}} {seconds:g}')
    lines.append(f'so_queue_{name}_seconds_count{{queue="{label}"}} {total}')
    return lines


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
