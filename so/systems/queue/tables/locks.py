"""Rows of `queue_locks`: unique jobs, jobs that must not overlap, rate limits, circuit breakers.

A table of the queue's own, because a unique lock must be born and die in the transaction that
stores or removes its job, and because the queue does not know the cache. Rows of overlap and
limits are kept and reused: deleting hot rows is what deadlocks on MySQL.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import ceil
from typing import Any

from so.db.words import insert_ignore, marks
from so.systems.queue.tables.sql import read

NAME_LENGTH = 120
_SWEEP_SECONDS = 3600


def lock_name(kind: str, *parts: str) -> str:
    """The name of a lock: readable when short and ASCII, else with a digest in it."""
    text = ":".join((kind, *parts))
    if len(text) <= NAME_LENGTH and text.isascii() and text.isprintable():
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    readable = "".join(c if c.isascii() and c.isprintable() else "_" for c in text)
    return f"{readable[: NAME_LENGTH - 65]}#{digest[:64]}"


@dataclass(frozen=True)
class LimitWindow:
    """How a limit stands: whether this hit was within it, else the seconds until it opens."""

    allowed: bool
    seconds: int = 0


class QueueLocks:
    """The statements on `queue_locks`; each takes the connection it is to happen on."""

    def __init__(self, dialect: str) -> None:
        """*dialect* is "sqlite" or "mysql"."""
        self._insert = (
            f"{insert_ignore(dialect)} into queue_locks (name, kind, owner, amount, expires_at) "
            "values (?, ?, ?, ?, ?)"
        )

    # --- unique jobs ---

    def take_unique(self, conn: Any, name: str, owner: str, now: float, ttl: float | None) -> bool:
        """Take the lock *name* for the job *owner*; False while another job has it."""
        expires = None if ttl is None else ceil(now + ttl)
        if conn.run(self._insert, (name, "unique", owner, 0, expires)).rowcount == 1:
            return True
        taken = conn.run(
            "update queue_locks set owner = ?, expires_at = ? "
            "where name = ? and (owner = ? or expires_at <= ?)",
            (owner, expires, name, owner, int(now)),
        )
        return bool(taken.rowcount)

    def drop_unique(self, conn: Any, name: str, owner: str) -> None:
        """Give the lock back, if *owner* still has it."""
        conn.run("delete from queue_locks where name = ? and owner = ?", (name, owner))

    # --- overlap ---

    def take_overlap(self, conn: Any, name: str, owner: str, now: float, ttl: float | None) -> bool:
        """Take the lock for one run, whose *owner* is `job id:claim`; False while another runs.

        The holder's lease is what counts: when its job row is no longer reserved by that claim,
        its worker died, and the lock is free at once.
        """
        expires = None if ttl is None else ceil(now + ttl)
        values = (name, "overlap", owner, 0, expires)
        if conn.run(self._insert, values).rowcount == 1:
            return True
        rows = read(conn, "select owner, expires_at from queue_locks where name = ?", (name,))
        if not rows:
            return bool(conn.run(self._insert, values).rowcount == 1)
        holder, until = rows[0]
        if not self._is_free(conn, str(holder), until, now):
            return False
        taken = conn.run(
            "update queue_locks set owner = ?, expires_at = ? where name = ? and owner = ?",
            (owner, expires, name, holder),
        )
        return bool(taken.rowcount == 1)

    def drop_overlap(self, conn: Any, name: str, owner: str) -> None:
        """End a run's hold; the row stays for the next one."""
        conn.run(
            "update queue_locks set owner = '', expires_at = 0 where name = ? and owner = ?",
            (name, owner),
        )

    def _is_free(self, conn: Any, holder: str, until: int | None, now: float) -> bool:
        if not holder or (until is not None and until <= now):
            return True
        job_id, _, claim = holder.partition(":")
        if not job_id.isdecimal():
            return False
        rows = read(
            conn,
            "select 1 from jobs where id = ? and worker_id = ? and available_at > ?",
            (int(job_id), claim, int(now)),
        )
        return not rows

    # --- limits ---

    def hit(self, conn: Any, name: str, now: float, limit: int, seconds: float) -> LimitWindow:
        """Count one hit in the window of *seconds* that began with its first; at most *limit*."""
        if limit < 1:
            return LimitWindow(False, max(1, ceil(seconds)))
        for _ in range(3):
            second, end = int(now), ceil(now + seconds)
            if self._count(conn, name, second, limit) or self._renew(conn, name, second, end):
                return LimitWindow(True)
            rows = read(conn, "select expires_at from queue_locks where name = ?", (name,))
            if rows and rows[0][0] > second:
                return LimitWindow(False, max(1, int(rows[0][0]) - second))
            if conn.run(self._insert, (name, "limit", "", 1, end)).rowcount == 1:
                return LimitWindow(True)
        return LimitWindow(False, 1)

    def _count(self, conn: Any, name: str, second: int, limit: int) -> bool:
        return bool(
            conn.run(
                "update queue_locks set amount = amount + 1 "
                "where name = ? and expires_at > ? and amount < ?",
                (name, second, limit),
            ).rowcount
        )

    def _renew(self, conn: Any, name: str, second: int, end: int) -> bool:
        return bool(
            conn.run(
                "update queue_locks set amount = 1, expires_at = ? "
                "where name = ? and expires_at <= ?",
                (end, name, second),
            ).rowcount
        )

    def seconds_closed(self, conn: Any, name: str, now: float, limit: int) -> int:
        """Seconds until the breaker *name* lets jobs through again; 0 while it does."""
        rows = read(
            conn,
            "select expires_at from queue_locks where name = ? and amount >= ? and expires_at > ?",
            (name, limit, int(now)),
        )
        return max(1, int(rows[0][0]) - int(now)) if rows else 0

    def forget(self, conn: Any, name: str) -> None:
        """Set the counter *name* back."""
        conn.run("update queue_locks set amount = 0, expires_at = 0 where name = ?", (name,))

    def sweep(self, conn: Any, now: float, limit: int = 500) -> int:
        """Delete up to *limit* rows that nobody has used for an hour."""
        rows = read(
            conn,
            "select name from queue_locks where expires_at < ? order by name limit ?",
            (int(now) - _SWEEP_SECONDS, limit),
        )
        if not rows:
            return 0
        return int(
            conn.run(
                f"delete from queue_locks where name in ({marks(rows)}) and expires_at < ?",  # noqa: S608 - question marks only
                (*[row[0] for row in rows], int(now) - _SWEEP_SECONDS),
            ).rowcount
        )
