"""Takes jobs back before they have run: one by one, or a whole queue."""

from __future__ import annotations

from typing import Any

from so.db.words import for_update, marks
from so.support.numbers import row_id
from so.support.progress import steps
from so.systems.queue.run.ending import Settler
from so.systems.queue.tables.batches import links_of
from so.systems.queue.tables.bundle import Tables
from so.systems.queue.tables.sql import Retry, read

CLEAR_CHUNK = 500


class Removal:
    """Cancelling and clearing, for one queue."""

    def __init__(self, tables: Tables, settler: Settler) -> None:
        """Locks and batches in *tables* are put right as well."""
        self._tables = tables
        self._settler = settler

    def cancel(self, job_id: int | str) -> str | None:
        """Cancel a job: "removed" if it had not started, "asked" if it runs, None if it is gone."""
        id = row_id(job_id)
        return None if id is None else self._cancel(id)

    def _cancel(self, job_id: int) -> str | None:
        conn = self._tables.source.connection()

        def work() -> str | None:
            with conn.transaction():
                if self._remove(conn, "id = ?", (job_id,), 1):
                    return "removed"
                asked = conn.affecting_statement(
                    "update jobs set cancelled_at = ? where id = ?",
                    (int(self._tables.clock.time()), job_id),
                )
                return "asked" if asked else None

        return Retry()(conn, work)

    def clear(self, queue: str) -> int:
        """Delete every job of *queue* that is not running, and cancel their batches; how many."""
        conn, total = self._tables.source.connection(), 0
        newest = read(conn, "select max(id) from jobs where queue = ?", (queue,))[0][0] or 0
        waiting = "select count(*) from jobs where queue = ? and id <= ?"
        step = steps(lambda: int(read(conn, waiting, (queue, newest))[0][0]))
        # Until there is nothing: a chunk falls short where workers took some of it meanwhile.
        while removed := Retry()(conn, lambda: self._clear_some(conn, queue, newest)):
            total += removed
            step(removed)
        return total

    def _clear_some(self, conn: Any, queue: str, newest: int) -> int:
        with conn.transaction():
            rows = self._remove(conn, "queue = ? and id <= ?", (queue, newest), CLEAR_CHUNK)
            now = self._tables.clock.time()
            for batch_id in {row[4] for row in rows if row[4]}:
                self._tables.batches.cancel(conn, batch_id, now)
            return len(rows)

    def _remove(
        self, conn: Any, where: str, values: tuple[Any, ...], limit: int
    ) -> list[tuple[Any, ...]]:
        """Delete jobs that do not run, with their locks; their batches count them as dropped."""
        now = int(self._tables.clock.time())
        idle = "(reserved_at is null or available_at <= ?)"
        found = read(
            conn,
            f"select id from jobs where {where} and {idle} order by id limit {int(limit)}",  # noqa: S608 - fixed words
            (*values, now),
        )
        ids = [row[0] for row in found]
        if not ids:
            return []
        # Asked again under a lock, by key so that it locks nothing else: what a worker has taken
        # meanwhile is the worker's to end, and must not be counted twice.
        lock = for_update(self._tables.jobs.dialect)
        rows = read(
            conn,
            "select id, uuid, queue, lock_key, batch_id, "  # noqa: S608 - question marks only
            "case when batch_id is null then null else payload end "
            f"from jobs where id in ({marks(ids)}) and {idle}{lock}",
            (*ids, now),
        )
        if rows:
            ids = [row[0] for row in rows]
            conn.run(f"delete from jobs where id in ({marks(ids)})", ids)  # noqa: S608 - question marks only
        self._tell_locks_and_batches(conn, rows, now)
        return rows

    def _tell_locks_and_batches(self, conn: Any, rows: list[tuple[Any, ...]], now: int) -> None:
        dropped: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for _, uuid, queue, lock_key, batch_id, payload in rows:
            if lock_key:
                self._tables.locks.drop_unique(conn, lock_key, uuid or "")
            if batch_id:
                members = dropped.setdefault((batch_id, queue), [])
                members.append((uuid or "", links_of(payload, batch_id)))
        for (batch_id, queue), members in dropped.items():
            due = self._tables.batches.dropped(conn, batch_id, members, now)
            self._settler.insert_callbacks(conn, due, batch_id, queue)
