"""The last 24 hours as the console draws them: figures that a day of work leaves behind.

They end with the counters as they stand, so that what workers note from now on continues them.
"""

from __future__ import annotations

import json
import math
import random
from typing import Any

from so import DB, app
from so.settings.console import ConsoleSettings
from so.web.console.history import TABLE, History

DAY, STEP = 24 * 60, 10  # minutes
NOON = 12 * 60 + 30  # minutes into the day, UTC, when most of them work
REQUESTS, JOBS, SESSIONS = 90, 4, 26  # of a busy minute; of the busiest moment
QUICK, SLOW = (0.55, 0.3, 0.1, 0.05), (0.0, 0.2, 0.5, 0.2, 0.08, 0.02)  # shares of each bucket


def a_day(chance: random.Random, now: int) -> None:
    """Write the rows of the day that ends at *now*, in unix seconds."""
    figures = dict(History(app(), app().settings(ConsoleSettings)).figures())
    last, rows, hour = now // 60 - 1, [], []
    for minute in range(last, last - DAY, -STEP):
        busy = _busy(minute % DAY) * chance.uniform(0.75, 1.1)
        figures["sessions"] = round(SESSIONS * busy)
        rows.append({"minute": minute, "figures": json.dumps(figures)})
        gains = _gains(chance, busy)
        hour += [_done(minute, gains["done"])] if minute > last - 60 else []
        figures |= {name: figures.get(name, 0) - gain for name, gain in gains.items()}
    DB.table(TABLE).insert_or_ignore(rows)
    DB.table("queue_metrics").insert_or_ignore(hour)


def _busy(minute: int) -> float:
    """How much is going on at that minute of a day: 1 about noon, next to nothing at night."""
    return 0.03 + 0.97 * math.exp(-(((minute - NOON) / 210) ** 2))


def _gains(chance: random.Random, busy: float) -> dict[str, int]:
    """What was counted in ten minutes that busy."""
    requests, jobs = round(REQUESTS * busy * STEP), max(1, round(JOBS * busy * STEP))
    reads = requests * 3
    hits = round(reads * chance.uniform(0.82, 0.95))
    return {
        "requests": requests, "errors": int(chance.random() < busy / 5),
        "request_ms": round(requests * chance.uniform(9, 16) * (1 + busy)),
        "done": jobs, "failed": int(chance.random() < busy / 8),
        "cache_hits": hits, "cache_misses": reads - hits,
        **_shares("wait", QUICK, jobs, chance), **_shares("run", SLOW, jobs, chance),
    }  # fmt: skip


def _shares(
    name: str, shares: tuple[float, ...], jobs: int, chance: random.Random
) -> dict[str, int]:
    """The buckets of a histogram that *jobs* fell into."""
    fell = chance.choices(range(len(shares)), shares, k=jobs)
    return {f"{name}_{bucket}": fell.count(bucket) for bucket in range(len(shares))}


def _done(minute: int, amount: int) -> dict[str, Any]:
    return {"queue": "default", "minute": minute, "name": "done", "amount": amount}
