"""Runs the members of a batch at once, for the connection "sync"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from so.support.ids import short_id
from so.systems.queue.run.runner import Limits, Runner
from so.systems.queue.tables.sql import Retry, read

if TYPE_CHECKING:
    from so.systems.queue.queue import Queue

_LEASE_SECONDS = 3600


def drain(queue: Queue, batch_id: str) -> None:
    """Run every job of the batch and every callback it brings, in order, once each."""
    conn, claim = queue.source.connection(), f"inline-{short_id()}"
    runner, retry = Runner(queue, conn, Limits(tries=1)), Retry()
    pattern = f'%"{batch_id}"%'
    while True:
        rows = read(
            conn,
            "select id from jobs where (batch_id = ? or payload like ?) and reserved_at is null "
            "order by id limit 1",
            (batch_id, pattern),
        )
        if not rows:
            return
        now = int(queue.clock.time())
        conn.run(
            "update jobs set reserved_at = ?, available_at = ?, worker_id = ?, "
            "attempts = attempts + 1 where id = ? and reserved_at is null",
            (now, now + _LEASE_SECONDS, claim, rows[0][0]),
        )
        for row in queue.store.held(conn, claim, [int(rows[0][0])]):
            outcome = runner.execute(row)
            if outcome.kind in ("retry", "released"):
                outcome.kind = "failed"
            queue.settler.settle(conn, row, outcome, retry)
            if outcome.kind == "failed":
                runner.call_failed(row, outcome)
