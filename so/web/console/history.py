"""The figures of the last day: one row a minute, written by whichever worker is first in it.

A row holds counters as they stood, not what happened since: a minute in which no worker ran leaves
a gap and no mistake. What happened between two rows is their difference.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from so.db.replicas import replicas
from so.db.tables import sizes
from so.errors import DatabaseError, IntegrityError
from so.settings.console import ConsoleSettings
from so.support.scope import Scope, entered

log = logging.getLogger("so")

TABLE, SIZES = "console_history", "console_sizes"
KEEP_DAYS = 31  # of sizes
SEALS = 100  # that a worker looks through in a minute
DAY = 24 * 60  # minutes
MINUTE = "minute"  # beside the figures of a row: the ten minutes under way are fewer
STEP = 10  # minutes in a point of a chart
LOOK_SECONDS = 15.0  # between two looks at the clock, in each worker
# Upper edges of the queue's histograms in seconds, as so/systems/queue counts them.
EDGES = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 600.0)


class History:
    """Writes and reads the rows of one application."""

    def __init__(self, app: Any, settings: ConsoleSettings) -> None:
        self._app = app
        self._keep = settings.keep_minutes
        self._looked_at = 0.0

    # --- writing, in a worker ---

    def note(self) -> None:
        """Write this minute's row if nobody has; asked by a worker each time it looks for jobs."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            with entered(Scope("command")) as scope:
                scope.sticky.update(self._app.make("db").configured())  # a replica may be behind
                self.write()
        except DatabaseError as error:
            log.warning("console: this minute is not noted: %s", error)

    def write(self) -> bool:
        """Write this minute's row; False if it was there."""
        minute = int(self._app.clock.time()) // 60
        rows = self._app.make("db").table(TABLE)
        if rows.clone().where("minute", minute).exists():
            return False
        if not rows.insert_or_ignore({"minute": minute, "figures": json.dumps(self.figures())}):
            return False
        rows.new_query().from_(TABLE).where("minute", "<", minute - self._keep).delete()
        self._note_sizes(minute // DAY)
        self._look_through(minute)
        return True

    def _look_through(self, minute: int) -> None:
        """Verify some seals of the trail, others each minute; what is wrong is noted in it."""
        last = int(self._app.make("db").table("activity_seals").max("seal_no") or 0)
        if last:
            first = (minute * SEALS) % last + 1
            with suppress(IntegrityError):  # without its key nobody can tell
                span = (first, min(last, first + SEALS - 1))
                self._app.make("activity").verify(between=span)

    def _note_sizes(self, day: int) -> None:
        """How large the tables are, once a day."""
        db = self._app.make("db").connection()
        rows = db.table(SIZES)
        if rows.clone().where("day", day).exists():
            return
        told = {one.name: [one.rows, one.bytes] for one in sizes(db)}
        if rows.clone().insert_or_ignore({"day": day, "sizes": json.dumps(told)}):
            rows.clone().where("day", "<", day - KEEP_DAYS).delete()

    def figures(self) -> dict[str, float]:
        """The counters as they stand, those of all processes."""
        found: dict[str, float] = {}
        for counts in self._app.make("queue").metrics.totals().values():
            for name, amount in counts.items():
                found[name] = found.get(name, 0) + amount
        found["sessions"] = active_sessions(self._app)
        stats = self._app.make("cache").stats()
        found |= {"cache_hits": stats["hits"], "cache_misses": stats["misses"]}
        found |= _replicated(self._app)
        counters = self._app.make("db").table("console_counters").pluck("amount", "name")
        return found | {str(name): int(amount) for name, amount in counters.items()}

    # --- reading ---

    def day(self) -> Day:
        """The last 24 hours."""
        now = int(self._app.clock.time()) // 60
        rows = self._app.make("db").table(TABLE).where("minute", ">=", now - DAY).order_by("minute")
        points: list[dict[str, float] | None] = [None] * (DAY // STEP + 1)
        for row in rows.get():
            minute = int(row["minute"])
            points[(minute - (now - DAY)) // STEP] = {MINUTE: minute, **json.loads(row["figures"])}
        return Day(points)


def earlier_sizes(app: Any, day: int) -> tuple[int, dict[str, list[int | None]]] | None:
    """(the newest day of which sizes are known before *day*, rows and bytes by table)."""
    rows = app.make("db").table(SIZES).where("day", "<", day).order_by_desc("day")
    row = rows.first()
    return None if row is None else (int(row["day"]), json.loads(row["sizes"]))


class Day:
    """One point for every ten minutes, as charts want them; None where nothing is known."""

    def __init__(self, points: Sequence[Mapping[str, float] | None]) -> None:
        self._points = points

    def level(self, name: str) -> list[float | None]:
        """A figure as it stood."""
        return [None if point is None else point.get(name, 0) for point in self._points]

    def rate(self, *names: str) -> list[float | None]:
        """What the counters *names* grew by in a minute; a counter that began anew gives 0."""
        return [
            None
            if gain is None
            else max(sum(gain.get(n, 0) for n in names), 0) / (gain.get(MINUTE) or STEP)
            for gain in self._gains()
        ]

    def share(self, part: str, rest: str) -> list[float | None]:
        """*part* in per cent of *part* and *rest* together."""
        found: list[float | None] = []
        for gain in self._gains():
            whole = 0 if gain is None else gain.get(part, 0) + gain.get(rest, 0)
            found.append(100 * (gain or {}).get(part, 0) / whole if whole > 0 else None)
        return found

    def quantile(self, name: str, share: float) -> list[float | None]:
        """Seconds below which *share* of the histogram *name* lay, at most one bucket too high."""
        return [None if gain is None else _quantile(gain, name, share) for gain in self._gains()]

    def _gains(self) -> list[dict[str, float] | None]:
        found: list[dict[str, float] | None] = []
        before: Mapping[str, float] | None = None
        for point in self._points:
            if point is None or before is None:
                found.append(None)
            else:
                found.append({name: amount - before.get(name, 0) for name, amount in point.items()})
            before = point if point is not None else before
        return found


def _quantile(gain: Mapping[str, float], name: str, share: float) -> float | None:
    counts = [max(gain.get(f"{name}_{number}", 0), 0) for number in range(len(EDGES))]
    wanted = share * sum(counts)
    if not wanted:
        return None
    reached = 0.0
    for edge, count in zip(EDGES, counts, strict=True):
        reached += count
        if reached >= wanted:
            return edge
    return EDGES[-1]


def _replicated(app: Any) -> dict[str, float]:
    """Of the replicas that reads go to: how many do not follow, and the seconds of the slowest."""
    found = replicas(app.make("db").connection())
    if not found:
        return {}
    behind = max((one.behind_seconds or 0 for one in found), default=0)
    return {"replicas_down": sum(not one.is_up for one in found), "replicas_behind": behind}


def active_sessions(app: Any, minutes: int = 15) -> int:
    """Sessions used within the last *minutes*."""
    return int(app.make("sessions").active(minutes).count())
