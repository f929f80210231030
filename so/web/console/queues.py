"""The state of every queue in a few statements, however many queues and jobs there are."""

from __future__ import annotations

from typing import Any

CAP = 10_000  # jobs that are counted; beyond it stands a plus
_NAMES = (
    "with recursive q (name) as (select min(queue) from jobs union all"
    " select (select min(queue) from jobs where queue > q.name) from q where q.name is not null)"
    " select name from q where name is not null"
)
_SOME = "(select count(*) from (select 1 as one from jobs where queue = ? and available_at {} ?"
_COUNTS = ", ".join(
    (
        _SOME.format("<=") + f" limit {CAP}) as a)",
        _SOME.format(">") + f" limit {CAP}) as b)",
        "(select min(available_at) from jobs where queue = ? and available_at <= ?)",
    )
)


def states(app: Any) -> list[dict[str, Any]]:
    """A dict for each queue: name, pending, delayed, reserved, waits, rates, paused, capped."""
    queue, now = app.make("queue"), int(app.clock.time())
    conn = queue.source.connection()
    counted = {
        (str(r[0]), str(r[1])): int(r[2])
        for r in conn.select_tuples(
            "select queue, name, sum(amount) from queue_metrics where minute > ? group by 1, 2",
            [now // 60 - 60],
        )
    }
    names = {str(row[0]) for row in conn.select_tuples(_NAMES)} | {name for name, _ in counted}
    known = sorted(names | {queue.default_queue})
    counts = _counts(conn, known, now)
    resting = queue.control.paused(conn)
    running: dict[str, int] = {}
    for worker in queue.control.workers(conn):
        for job in worker.current if worker.alive else ():
            running[str(job.get("queue"))] = running.get(str(job.get("queue")), 0) + 1
    return [
        {
            "name": name,
            "pending": pending,
            "delayed": max(0, later - running.get(name, 0)),
            "reserved": running.get(name, 0),
            "oldest_seconds": 0 if oldest is None else max(0, now - int(oldest)),
            "done_last_hour": counted.get((name, "done"), 0),
            "failed_last_hour": counted.get((name, "failed"), 0),
            "paused": bool(resting.keys() & {name, "*"}),
            "capped": CAP in (pending, later),
        }
        for name, (pending, later, oldest) in counts.items()
    ]


def _counts(conn: Any, names: list[str], now: int) -> dict[str, tuple[int, int, int | None]]:
    values = [value for name in names for value in (name, now) * 3]
    (row,) = conn.select_tuples("select " + ", ".join([_COUNTS] * len(names)), values)
    return {name: (row[3 * i], row[3 * i + 1], row[3 * i + 2]) for i, name in enumerate(names)}
