"""The SQL of the queue: storing, claiming, and ending a reservation. Nothing else writes `jobs`.

`available_at` is the one clock of a row: the moment it is due, and while it is reserved the end of
its lease, so that one index serves both and a lost worker's job comes back by itself. A claim is
named in `worker_id`, a name of its own each time, and every later statement is conditional on it.
Methods take the connection they are to work on; they neither open nor retry transactions.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from so.db.words import marks
from so.systems.queue.tables.front import Front
from so.systems.queue.tables.sql import read

CHUNK = 500
_COLUMNS = (
    "id, queue, payload, attempts, crashes, exceptions, uuid, worker_id, lock_key, batch_id, "
    "created_at, cancelled_at, available_at"
)
# As they will be: a row that is reserved already was left by a worker that died.
_COLUMNS_TO_CLAIM = "jobs." + _COLUMNS.replace("crashes", "crashes + (reserved_at is not null)")
# Bytes, because SQLite keeps what is no text in a column of text, and its driver then refuses the
# whole row: nothing behind it would ever be claimed.
_COLUMNS_SQLITE = (
    "id, queue, cast(payload as blob), attempts, crashes, exceptions, cast(uuid as blob), "
    "worker_id, cast(lock_key as blob), cast(batch_id as blob), created_at, cancelled_at, "
    "available_at"
)
_INSERT = (
    "insert into jobs (queue, payload, attempts, available_at, created_at, uuid, lock_key, "
    "batch_id) values "
)
_INSERT_FEW = "insert into jobs (queue, payload, attempts, available_at, created_at, uuid) "
_ROW = "(?, ?, 0, ?, ?, ?, ?, ?)"
_INSERT_ONE = _INSERT + _ROW
_GALERA_WINDOW = 64
# Candidates looked at beyond those wanted, when others are claiming at the same moment.
_SPARE = (8, 256)
CLUSTER_TRIES = 5


@dataclass(slots=True)
class Reserved:
    """A job that this process has claimed; the claim is what `worker` names."""

    id: int
    queue: str
    payload: str
    attempts: int
    crashes: int
    exceptions: int
    uuid: str | None
    worker: str
    lock_key: str | None
    batch_id: str | None
    created_at: int
    cancelled_at: int | None
    lease_until: int

    @property
    def runs(self) -> int:
        """The number of this attempt, deaths of the worker left out."""
        # Never 0: a row inserted by hand may be reserved without ever having been started.
        number = self.attempts - self.crashes
        return number if number > 0 else 1


class NewJob(NamedTuple):
    """A job about to be inserted: the bindings of its row, in their order."""

    queue: str
    payload: str
    available_at: int
    created_at: int
    uuid: str
    lock_key: str | None = None
    batch_id: str | None = None


class JobStore:
    """The statements for one kind of engine."""

    def __init__(self, dialect: str) -> None:
        """*dialect* is "sqlite" or "mysql"."""
        self.dialect = dialect
        self.randomise = False
        """Whether to claim at random among the foremost: on a cluster that is written on
        several nodes, where two claims of the same row end in a certification failure."""
        self._front = Front()
        self._spare = 0
        self._columns = _COLUMNS if dialect == "mysql" else _COLUMNS_SQLITE
        self._reserved = _from_mysql if dialect == "mysql" else _from_sqlite
        self._bulk: dict[int, str] = {1: _INSERT_ONE}
        self._piles: dict[int, str] = {}
        self._sqlite_claims: dict[int, str] = {}

    def look_for_cluster(self, conn: Any) -> None:
        """Claim at random if several nodes of a Galera cluster may be written to."""
        if self.dialect == "mysql":
            rows = read(conn, "show status like 'wsrep_cluster_size'")
            self.randomise = bool(rows) and int(rows[0][1]) > 1

    # --- storing ---

    def insert(self, conn: Any, job: NewJob) -> int:
        """Insert one job; its id."""
        return int(conn.insert_get_id(_INSERT_ONE, job))

    def insert_many(self, conn: Any, jobs: Sequence[NewJob]) -> None:
        """Insert *jobs*, a few hundred with each statement and at most about a megabyte."""
        for part in _parts(jobs):
            sql = self._bulk.get(len(part))
            if sql is None:
                sql = _INSERT + ", ".join([_ROW] * len(part))
                if len(part) == CHUNK:
                    self._bulk[len(part)] = sql
            conn.run(sql, [value for job in part for value in job])

    def insert_bulk(self, conn: Any, piles: Mapping[str, list[str]], now: int) -> None:
        """Insert jobs due at once, in piles by queue: payload and uuid in turn."""
        for queue, pile in piles.items():
            if not pile:
                continue
            # Half of what any server takes in one packet, whatever the longest payload is.
            rows = max(1, min(CHUNK, 1_000_000 // (2 * max(map(len, pile)))))
            for start in range(0, len(pile), 2 * rows):
                self._insert_pile(conn, queue, pile[start : start + 2 * rows], now)

    def _insert_pile(self, conn: Any, queue: str, pile: list[str], now: int) -> None:
        count = len(pile) // 2
        if self.dialect != "sqlite":
            row = "(?, ?, 0, ?, ?, ?)"
            values = [
                value
                for at in range(0, len(pile), 2)
                for value in (queue, pile[at], now, now, pile[at + 1])
            ]
            conn.run(_INSERT_FEW + "values " + ", ".join([row] * count), values)
            return
        sql = self._piles.get(count)
        if sql is None:
            # Bound once instead of once a row: half of what such a statement costs.
            pairs = ", ".join(["(?, ?)"] * count)
            sql = f"{_INSERT_FEW} select ?, column1, 0, ?, ?, column2 from (values {pairs})"  # noqa: S608 - question marks only
            if count == CHUNK:
                self._piles[count] = sql
        conn.run(sql, [queue, now, now, *pile])

    # --- claiming ---

    def claim(
        self, conn: Any, queue: str, count: int, claim: str, now: int, lease: int
    ) -> list[Reserved]:
        """Reserve up to *count* due jobs of *queue* under the name *claim*, for *lease* seconds."""
        if self.dialect == "sqlite":
            return self._claim_sqlite(conn, queue, count, claim, now, lease)
        if self.randomise:
            return self._claim_at_random(conn, queue, count, claim, now, lease)
        rows = self._pick(conn, queue, count, now)
        if rows:
            self._reserve(conn, [row.id for row in rows], claim, now, lease)
        for row in rows:
            row.attempts += 1
            row.worker, row.lease_until = claim, now + lease
        return rows

    def _claim_at_random(
        self, conn: Any, queue: str, count: int, claim: str, now: int, lease: int
    ) -> list[Reserved]:
        for _ in range(CLUSTER_TRIES):
            found = self._front.find(conn, queue, max(count, _GALERA_WINDOW), now)
            ids = sorted(row[0] for row in random.sample(found, min(count, len(found))))
            if not ids:
                return []
            self._reserve(conn, ids, claim, now, lease)
            rows = self.held(conn, claim, ids)
            if rows:
                return rows
        return []

    def _reserve(self, conn: Any, ids: list[int], claim: str, now: int, lease: int) -> None:
        conn.run(
            # crashes first: MySQL assigns from left to right, and reserved_at still tells here
            "update jobs set crashes = crashes + (reserved_at is not null), "  # noqa: S608 - question marks only
            "reserved_at = ?, available_at = ?, worker_id = ?, attempts = attempts + 1 "
            f"where id in ({marks(ids)}) and available_at <= ?",
            (now, now + lease, claim, *ids, now),
        )

    def _claim_sqlite(
        self, conn: Any, queue: str, count: int, claim: str, now: int, lease: int
    ) -> list[Reserved]:
        sql = self._sqlite_claims.get(count)
        if sql is None:
            # The limit is text, so that the planner knows it; there are few different ones.
            sql = self._sqlite_claims[count] = (
                "update jobs set crashes = crashes + (reserved_at is not null), "  # noqa: S608 - an int
                "reserved_at = ?, available_at = ?, worker_id = ?, attempts = attempts + 1 "
                "where id in (select id from jobs indexed by jobs_due_index where queue = ? and "
                f"available_at <= ? order by available_at, id limit {int(count)}) "
                f"returning {self._columns}"
            )
        rows = conn.run(sql, (now, now + lease, claim, queue, now)).rows
        return [self._reserved(row) for row in (rows if len(rows) < 2 else sorted(rows))]

    def _pick(self, conn: Any, queue: str, count: int, now: int) -> list[Reserved]:
        """The foremost jobs that nobody else has, locked.

        Found by a plain read: one that locks would ask for the newest state of each dead entry
        behind the last one due, thousands of pages while a snapshot is open.
        """
        while True:
            window = count + self._spare
            foremost = [row[0] for row in self._front.find(conn, queue, window, now)]
            rows = self._lock(conn, foremost[:count], count, now)
            if len(rows) == min(count, len(foremost)):
                self._spare //= 2
            else:
                self._spare = min(max(_SPARE[0], 2 * self._spare), _SPARE[1])
                rows += self._lock(conn, foremost[count:], count - len(rows), now)
            # Where others hold all of these, there may be more behind them.
            if rows or len(foremost) < window or window >= count + _SPARE[1]:
                return sorted(rows, key=attrgetter("id"))

    def _lock(self, conn: Any, ids: list[int], count: int, now: int) -> list[Reserved]:
        """Up to *count* of *ids* that nobody else has; in the order of ids it locks no more."""
        if not ids:
            return []
        rows = conn.run(
            f"select {_COLUMNS_TO_CLAIM} from jobs force index (primary) "  # noqa: S608 - question marks and an int
            f"where id in ({marks(ids)}) and available_at <= ? "
            f"order by id limit {int(count)} for update skip locked",
            (*ids, now),
        ).rows
        return [self._reserved(row) for row in rows]

    def look_from_front(self) -> None:
        """Expect jobs that were committed late before the foremost one found last time."""
        self._front.forget()

    def may_hide_more(self) -> bool:
        """Whether a queue that seemed empty has to be asked once more, from its front."""
        return self._front.was_left_out()

    def held(self, conn: Any, claim: str, ids: Sequence[int]) -> list[Reserved]:
        """Those of the jobs *ids* that *claim* holds."""
        rows = read(
            conn,
            f"select {self._columns} from jobs where id in ({marks(ids)}) and worker_id = ? "  # noqa: S608 - question marks only
            "order by id",
            (*ids, claim),
        )
        return [self._reserved(row) for row in rows]

    def held_by(
        self, conn: Any, queues: Iterable[str], prefix: str, now: int, lease: int
    ) -> list[Reserved]:
        """What claims beginning with *prefix* hold, found through their leases."""
        found: list[Reserved] = []
        for queue in queues:
            rows = read(
                conn,
                f"select {self._columns} from jobs where queue = ? and available_at >= ? "  # noqa: S608 - fixed words
                "and available_at <= ? and worker_id like ? and reserved_at is not null "
                "order by id",
                (queue, now - lease, now + 2 * lease, prefix + "%"),
            )
            found.extend(self._reserved(row) for row in rows)
        return found

    def is_due(self, conn: Any, queue: str, now: int) -> bool:
        """Whether a job of *queue* waits; locks nothing."""
        if self.dialect == "mysql":
            return bool(self._front.find(conn, queue, 1, now))
        return bool(
            read(
                conn,
                "select 1 from jobs where queue = ? and available_at <= ? limit 1",
                (queue, now),
            )
        )

    def next_due(self, conn: Any, queue: str, now: int) -> int | None:
        """The moment at which the next job of *queue* falls due, or the next lease ends."""
        rows = read(
            conn,
            "select min(available_at) from jobs where queue = ? and available_at > ?",
            (queue, now),
        )
        return int(rows[0][0]) if rows and rows[0][0] is not None else None

    # --- ending a reservation, always conditional on still holding it ---

    def delete(self, conn: Any, row: Reserved) -> bool:
        """Remove a job that is done; False when the claim was lost."""
        done = conn.affecting_statement(
            "delete from jobs where id = ? and worker_id = ? and attempts = ?",
            (row.id, row.worker, row.attempts),
        )
        return bool(done == 1)

    def delete_many(self, conn: Any, rows: Sequence[Reserved]) -> int:
        """Remove several jobs of one claim that are done; how many were still held."""
        ids = sorted(row.id for row in rows)
        sql = f"delete from jobs where id in ({marks(ids)}) and worker_id = ?"  # noqa: S608 - question marks only
        return int(conn.affecting_statement(sql, (*ids, rows[0].worker)))

    def release(
        self, conn: Any, row: Reserved, available_at: int, *, cost: str = "attempts"
    ) -> bool:
        """Put a job back; *cost* is what it costs: attempts, exceptions, crashes or nothing."""
        spent = {
            "attempts": "",
            "exceptions": ", exceptions = exceptions + 1",
            "crashes": ", crashes = crashes + 1",
            "nothing": ", attempts = attempts - 1",
        }[cost]
        done = conn.affecting_statement(
            f"update jobs set reserved_at = null, worker_id = null, available_at = ?{spent} "  # noqa: S608 - from the table above
            "where id = ? and worker_id = ? and attempts = ?",
            (available_at, row.id, row.worker, row.attempts),
        )
        self._front.include(row.queue, available_at, row.id)
        return bool(done == 1)

    def extend(self, conn: Any, ids: Sequence[int], prefix: str, until: int) -> int:
        """Prolong the leases of *ids* as far as claims beginning with *prefix* hold them."""
        return int(
            conn.run(
                f"update jobs set available_at = ? where id in ({marks(ids)}) "  # noqa: S608 - question marks only
                "and worker_id like ? and reserved_at is not null",
                (until, *sorted(ids), prefix + "%"),
            ).rowcount
        )

    def forget_lock(self, conn: Any, row: Reserved) -> None:
        """Note that the job owns no unique lock any more."""
        conn.run(
            "update jobs set lock_key = null where id = ? and worker_id = ?", (row.id, row.worker)
        )

    def is_held(self, conn: Any, row: Reserved) -> bool:
        """Whether the claim still stands."""
        rows = read(
            conn,
            "select 1 from jobs where id = ? and worker_id = ? and attempts = ?",
            (row.id, row.worker, row.attempts),
        )
        return bool(rows)

    def exists(self, conn: Any, job_id: int) -> bool:
        """Whether the job is still in the table, whoever holds it."""
        return bool(read(conn, "select 1 from jobs where id = ?", (job_id,)))


def _from_mysql(row: tuple[Any, ...]) -> Reserved:
    return Reserved(*row)


def _from_sqlite(row: tuple[Any, ...]) -> Reserved:
    job = Reserved(*row)
    # What is no text is written with escapes, which are no JSON and no id.
    job.payload = row[2].decode("utf-8", "backslashreplace")
    if row[6] is not None:
        job.uuid = row[6].decode("utf-8", "backslashreplace")
    if row[8] is not None:
        job.lock_key = row[8].decode("utf-8", "backslashreplace")
    if row[9] is not None:
        job.batch_id = row[9].decode("utf-8", "backslashreplace")
    return job


def _parts(jobs: Sequence[NewJob]) -> Iterable[Sequence[NewJob]]:
    start, size = 0, 0
    for index, job in enumerate(jobs):
        size += len(job.payload) * 2
        if index - start == CHUNK or (size > 1_000_000 and index > start):
            yield jobs[start:index]
            start, size = index, len(job.payload) * 2
    if jobs:
        yield jobs[start:]
