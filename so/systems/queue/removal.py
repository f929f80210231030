"""Takes jobs back before they have run: one by one, or a whole queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from so.systems.queue.sqltools import Retry, marks, read

if TYPE_CHECKING:
    from so.systems.queue.queue import Queue

CLEAR_CHUNK = 500


class Removal:
    """Cancelling and clearing, for one queue."""

    def __init__(self, queue: Queue) -> None:
        """For *queue*, whose locks and batches are put right as well."""
        self._queue = queue

    def cancel(self, job_id: int) -> str | None:
        """Cancel a job: "removed" if it had not started, "asked" if it runs, None if it is gone."""
        conn = self._queue.source.connection()
        retry = Retry()

        def work() -> str | None:
            now = int(self._queue.clock.time())
            with conn.transaction():
                asked = conn.affecting_statement(
                    "update jobs set cancelled_at = ? where id = ? and reserved_at is not null "
                    "and available_at > ?",
                    (now, job_id, now),
                )
                if asked:
                    return "asked"
                return "removed" if self._remove(conn, "id = ?", (job_id,), 1) else None

        return retry(conn, work)

    def clear(self, queue: str) -> int:
        """Delete every job of *queue* that is not running; how many."""
        conn, total = self._queue.source.connection(), 0
        while True:
            removed = Retry()(conn, lambda: self._clear_some(conn, queue))
            total += removed
            if removed < CLEAR_CHUNK:
                return total

    def _clear_some(self, conn: Any, queue: str) -> int:
        with conn.transaction():
            return self._remove(
                conn,
                "queue = ? and (reserved_at is null or available_at <= ?)",
                (queue, int(self._queue.clock.time())),
                CLEAR_CHUNK,
            )

    def _remove(self, conn: Any, where: str, values: tuple[Any, ...], limit: int) -> int:
        """Delete jobs that will not run, with their locks; their batches count them as ended."""
        rows = read(
            conn,
            f"select id, uuid, lock_key, batch_id from jobs where {where} "  # noqa: S608 - fixed words
            f"order by id limit {int(limit)}",
            values,
        )
        if not rows:
            return 0
        ids = [row[0] for row in rows]
        gone = conn.affecting_statement(f"delete from jobs where id in ({marks(len(ids))})", ids)  # noqa: S608 - question marks only
        now = self._queue.clock.time()
        for _, uuid, lock_key, batch_id in rows:
            if lock_key:
                self._queue.locks.drop_unique(conn, lock_key, uuid or "")
            if batch_id:
                self._queue.batches.cancel(conn, batch_id, now)
                self._queue.batches.succeeded(conn, batch_id, uuid or "", now)
        return int(gone)
