"""Counters, sizes and waiting times of a queue, and their form for Prometheus (OpenMetrics).

Workers count in memory and add to `queue_metrics` now and then. Sizes are counted up to a cap, so
that asking costs the same whether a thousand or a million jobs wait.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from so.db.words import given, on_taken
from so.support.clock import Clock
from so.support.exposition import Family, counter, gauge, open_metrics
from so.systems.queue.tables.sql import read
from so.systems.queue.tables.workers import Control, WorkerRow

Totals = dict[str, dict[str, int]]
BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)
COUNTERS = {
    "done": "Jobs done.",
    "failed": "Jobs failed for good.",
    "retried": "Attempts that failed and are tried again.",
    "released": "Jobs put back by themselves or by their middleware.",
    "skipped": "Jobs that were not queued, or dropped by their middleware.",
    "cancelled": "Jobs cancelled.",
    "timeouts": "Jobs killed at their timeout.",
    "crashes": "Jobs whose process died.",
    "lease_lost": "Jobs whose worker had fallen silent for too long.",
    "conflict_retries": "Transactions run again because of a conflict.",
}
_SIZES = {
    "pending": "Jobs due now, counted up to 10,000.",
    "delayed": "Jobs due later, counted up to 10,000.",
    "reserved": "Jobs under way.",
    "oldest_seconds": "How long the oldest waiting job has been due.",
}
_TIMES = {
    "wait": "Seconds from when a job was due to its start.",
    "run": "Seconds that jobs ran.",
}
CAP = 10_000
MOST_QUEUES = 100  # with a series of their own in /metrics
MOST_OTHERS = 100  # of the rest, that are looked at
OTHERS = "(others)"
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
        self._add = (
            "insert into queue_metrics (queue, minute, name, amount) values (?, ?, ?, ?) "  # noqa: S608 - fixed words
            f"{on_taken(dialect, ('queue', 'minute', 'name'))} "
            f"amount = amount + {given(dialect, 'amount')}"
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
        reserved = _reserved(self._workers.workers(conn), name)
        return QueueState(
            name,
            pending,
            max(0, later - reserved),
            reserved,
            self._oldest(conn, name, now),
            self._last_hour(conn, name, "done", now),
            self._last_hour(conn, name, "failed", now),
            paused,
            CAP in (pending, later),
        )

    def _oldest(self, conn: Any, name: str, now: int) -> int:
        """How many seconds the oldest waiting job has been due."""
        sql = "select min(available_at) from jobs where queue = ? and available_at <= ?"
        found = read(conn, sql, (name, now))[0][0]
        return 0 if found is None else max(0, now - int(found))

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

    def totals(self) -> Totals:
        """Every counter since the beginning, by queue."""
        found: Totals = {}
        rows = read(
            self._source.connection(),
            "select queue, name, amount from queue_metrics where minute = 0",
        )
        for queue, name, amount in rows:
            found.setdefault(str(queue), {})[str(name)] = int(amount)
        return found

    def families(self, most: int = MOST_QUEUES, *always: str) -> list[Family]:
        """Everything countable; of more than *most* queues the rest is in one named `(others)`.

        The queues *always* are there before they have had a job.
        """
        workers = [one for one in self._workers.workers(self._source.connection()) if one.alive]
        totals: Totals = {**dict.fromkeys(always, {}), **self.totals()}
        # Dynamic names must not make a series each: those with most work behind them are shown.
        done = {name: counts.get("done", 0) for name, counts in totals.items()}
        known = sorted(done.keys() | set(self.queues(self._source.connection())))
        known.sort(key=lambda name: (name not in always, -done.get(name, 0)))
        rest = known[most:]
        return [
            *self._sizes(known[:most], rest, workers),
            *_counted(_merged(totals, rest)),
            gauge(
                "so_queue_workers",
                "Processes of living workers.",
                sum(w.processes for w in workers),
            ),
            gauge("so_queue_failed_jobs", "Failed jobs kept, up to 10,000.", self._failed()),
        ]

    def _sizes(self, shown: list[str], rest: list[str], workers: list[WorkerRow]) -> list[Family]:
        conn = self._source.connection()
        rows = [(name, self._measured(conn, name, workers)) for name in sorted(shown)]
        if rest:
            found = [self._measured(conn, name, workers) for name in rest[:MOST_OTHERS]]
            pending, delayed, reserved, waits = zip(*found, strict=True)
            rows.append((OTHERS, (sum(pending), sum(delayed), sum(reserved), max(waits))))
        families = [gauge(f"so_queue_{name}", meaning) for name, meaning in _SIZES.items()]
        for name, figures in rows:
            for family, figure in zip(families, figures, strict=True):
                family.add(figure, queue=name)
        return families

    def _measured(
        self, conn: Any, name: str, workers: Iterable[WorkerRow]
    ) -> tuple[int, int, int, int]:
        """Pending, delayed, reserved, and how many seconds the oldest has been due."""
        now = int(self._clock.time())
        reserved = _reserved(workers, name)
        later = self._capped(conn, "available_at > ?", name, now)
        pending = self._capped(conn, "available_at <= ?", name, now)
        return pending, max(0, later - reserved), reserved, self._oldest(conn, name, now)

    def _failed(self) -> int:
        sql = f"select count(*) from (select 1 from failed_jobs limit {CAP}) as some"  # noqa: S608
        return int(read(self._source.connection(), sql)[0][0])

    def open_metrics(self) -> str:
        """Everything as OpenMetrics text."""
        return open_metrics(self.families())


def _merged(totals: Totals, rest: Iterable[str]) -> Totals:
    """*totals* with those of *rest* added up under one name."""
    others: dict[str, int] = {}
    hidden = set(rest)
    for queue in hidden & totals.keys():
        for name, amount in totals[queue].items():
            others[name] = others.get(name, 0) + amount
    shown = {queue: counts for queue, counts in sorted(totals.items()) if queue not in hidden}
    return {**shown, OTHERS: others} if hidden else shown


def _counted(totals: Totals) -> list[Family]:
    families = [counter(f"so_queue_{name}", meaning) for name, meaning in COUNTERS.items()]
    for queue, counts in totals.items():
        for name, family in zip(COUNTERS, families, strict=True):
            family.add(counts.get(name, 0), queue=queue)
    return [*families, *(_histogram(name, meaning, totals) for name, meaning in _TIMES.items())]


def _histogram(name: str, meaning: str, totals: Totals) -> Family:
    family = Family(f"so_queue_{name}_seconds", "histogram", meaning)
    for queue, counts in totals.items():
        fallen = [counts.get(f"{name}_{place}", 0) for place in range(len(BUCKETS) + 1)]
        family.add_buckets(BUCKETS, fallen, counts.get(f"{name}_ms", 0) / 1000, queue=queue)
    return family


def _reserved(workers: Iterable[WorkerRow], queue: str) -> int:
    return sum(
        1
        for worker in workers
        if worker.alive
        for job in worker.current
        if job.get("queue") == queue
    )
