"""The state of every queue in a few statements, however many queues and jobs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

CAP = 2_000  # jobs that are counted of a queue, where there are few; beyond it stands a plus
FEW = 6  # queues of which so many are counted; of more queues a tenth
# The names alone: either engine steps from one to the next through the index.
_NAMES = {
    "sqlite": (
        "select name, '', 0 from (with recursive q (name) as (select min(queue) from jobs"
        " union all select (select min(queue) from jobs where queue > q.name) from q"
        " where q.name is not null) select name from q where name is not null) as names"
    ),
    "mysql": "select queue, '', 0 from (select queue from jobs group by queue) as names",
}
_SOME = "(select count(*) from (select 1 as one from jobs where queue = ? and available_at {} ?"
_COUNTS = (
    f"{_SOME.format('<=')} limit ?) as a), {_SOME.format('>')} limit ?) as b), "  # noqa: S608 - fixed words
    "(select min(available_at) from jobs where queue = ? and available_at <= ?)"
)


def states(app: Any, workers: Sequence[Any]) -> list[dict[str, Any]]:
    """A dict for each queue: name, pending, delayed, reserved, waits, rates, paused, capped."""
    queue, now = app.make("queue"), int(app.clock.time())
    conn = queue.source.connection()
    counted, resting, names = _hour(conn, now)
    if app.make("maintenance").is_down():
        resting.add("*")
    names.add(queue.default_queue)
    cap = CAP if len(names) <= FEW else CAP // 10
    counts = _counts(conn, sorted(names), now, cap)
    running = Counter(
        str(job.get("queue")) for worker in workers if worker.alive for job in worker.current
    )
    return [
        {
            "name": name,
            "pending": pending,
            "delayed": max(0, later - running[name]),
            "reserved": running[name],
            "oldest_seconds": 0 if oldest is None else max(0, now - int(oldest)),
            "done_last_hour": counted.get((name, "done"), 0),
            "failed_last_hour": counted.get((name, "failed"), 0),
            "paused": bool(resting & {name, "*"}),
            "capped": cap in (pending, later),
        }
        for name, (pending, later, oldest) in counts.items()
    ]


def _hour(conn: Any, now: int) -> tuple[dict[tuple[str, str], int], set[str], set[str]]:
    """What was counted in the last hour, which queues rest, and all names, in one statement."""
    rows = conn.select_tuples(
        "select queue, name, sum(amount) from queue_metrics where minute > ? group by 1, 2"  # noqa: S608 - fixed words
        " union all select '', name, amount from queue_control where name like 'pause:%'"
        f" union all {_NAMES[conn.dialect.name]}",
        [now // 60 - 60],
    )
    counted, resting = {}, set()
    for queue, name, amount in rows:
        if queue and name:
            counted[(str(queue), str(name))] = int(amount)
        elif name and (not int(amount) or int(amount) > now):
            resting.add(str(name).removeprefix("pause:"))
    return counted, resting, {str(queue) for queue, _, _ in rows if queue}


def _counts(
    conn: Any, names: list[str], now: int, cap: int
) -> dict[str, tuple[int, int, int | None]]:
    values = [value for name in names for value in (name, now, cap, name, now, cap, name, now)]
    (row,) = conn.select_tuples("select " + ", ".join([_COUNTS] * len(names)), values)
    return {name: (row[3 * i], row[3 * i + 1], row[3 * i + 2]) for i, name in enumerate(names)}
