"""The traffic lights: what is in order, what is not, and what to do about it.

Each light asks its own question and survives the others' failure: with the database away that is
what the page says. What costs more than a few rows is asked again after a while only.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from so.application.vitals import last_backup
from so.errors import DatabaseError, IntegrityError, SixOrbitError
from so.web.console import queues
from so.web.console.glance import Glance
from so.web.console.history import active_sessions
from so.web.console.jobs import tasks
from so.web.console.pages.cache import held_seconds
from so.web.console.parts import seconds, size

ORDER = ("ok", "warn", "bad")
STUCK_SECONDS = 300  # a job that waits longer waits for somebody
ALONE_SECONDS = 15  # likewise where no worker takes jobs of its queue
TIGHT, FULL = 0.10, 0.03  # of the disk that is free
NEWEST = 1000  # entries of the trail that are verified, every so often
_WHY = "it was changed, copied or written past the log"
VERIFY_SECONDS = 20.0
BEHIND_SECONDS = 60  # from which on a replica is late


class Facts(Glance):
    """What several lights ask for, read once for a page."""

    @cached_property
    def workers(self) -> list[Any]:
        """Every worker as it last described itself."""
        found: list[Any] = self._app.make("queue").control.workers()
        return found

    @cached_property
    def states(self) -> list[dict[str, Any]]:
        """Every queue."""
        return queues.states(self._app, self.workers)

    @cached_property
    def sessions(self) -> int:
        """Those used in the last quarter of an hour."""
        return active_sessions(self._app)


@dataclass(frozen=True)
class Light:
    """One state: where to look, how bad it is, and what to do."""

    name: str
    path: str
    state: str
    text: str


Check = Callable[[Any, Facts], Light]
_verified: WeakKeyDictionary[Any, tuple[float, Light]] = WeakKeyDictionary()


def lights(app: Any, facts: Facts) -> list[Light]:
    """All of them."""
    checks: tuple[tuple[str, str, Check], ...] = (
        ("Web", "/requests", _web),
        ("Queue", "/queue", _queue),
        ("Workers", "/workers", _workers),
        ("Failed jobs", "/failed", _failed),
        ("Schedule", "/schedule", _schedule),
        ("Cache", "/cache", _cache),
        ("Sessions", "/sessions", _sessions),
        ("Audit", "/audit", _audit),
        ("Database", "/database", _database),
        ("Disk", "/database", _disk),
    )
    return [_asked(app, facts, name, path, check) for name, path, check in checks]


def _asked(app: Any, facts: Facts, name: str, path: str, check: Check) -> Light:
    try:
        return check(app, facts)
    except (SixOrbitError, OSError) as error:
        return Light(name, path, "bad", f"cannot be asked: {error}")


def forget(app: Any) -> None:
    """Let the next page ask again what is asked once in a while only."""
    _verified.pop(app, None)


def worst(found: Iterable[Light]) -> str:
    """The worst state among *found*."""
    return max((light.state for light in found), key=ORDER.index, default="ok")


def figures(facts: Facts) -> dict[str, tuple[Any, str]]:
    """The numbers of the moment, and the list behind each."""
    try:
        states = facts.states
        return {
            "Jobs waiting": (sum(state["pending"] for state in states), "/queue"),
            "Done in the last hour": (sum(state["done_last_hour"] for state in states), "/queue"),
            "Failed in the last hour": (sum(s["failed_last_hour"] for s in states), "/failed"),
            "Active sessions": (facts.sessions, "/sessions"),
        }
    except DatabaseError:
        return {}


def is_capped(facts: Facts) -> bool:
    """Whether there are more jobs than are counted."""
    try:
        return any(state["capped"] for state in facts.states)
    except DatabaseError:
        return False


def _web(app: Any, facts: Facts) -> Light:
    now, newest = int(app.clock.time()), facts.row("broken")
    if newest is not None and now - int(newest["at"]) < 900:
        text = f"{newest['method']} {newest['route']} failed {seconds(now - int(newest['at']))} ago"
        return Light("Web", "/requests", "warn", f"{text}: {newest['why'] or newest['status']}")
    return Light("Web", "/requests", "ok", "no request failed in the last 15 minutes")


def _queue(app: Any, facts: Facts) -> Light:
    working = [s for s in facts.states if not s["paused"]]
    served = {name for worker in facts.workers if worker.alive for name in worker.queues}
    alone = [s for s in working if s["name"] not in served and s["oldest_seconds"] > ALONE_SECONDS]
    stuck = [s for s in working if s["oldest_seconds"] > STUCK_SECONDS]
    if alone or stuck:
        found = max(alone or stuck, key=lambda s: int(s["oldest_seconds"]))
        return Light("Queue", f"/queue/{found['name']}", "bad", _waits(found, bool(alone)))
    resting = [state["name"] for state in facts.states if state["paused"]]
    if resting:
        return Light("Queue", "/queue", "warn", f"{', '.join(resting)} rests until it is resumed")
    waiting = sum(state["pending"] for state in facts.states)
    return Light("Queue", "/queue", "ok", f"{waiting:,} waiting, none for long")


def _waits(state: dict[str, Any], is_alone: bool) -> str:
    """What is wrong with a queue whose oldest job waits, and what to do about it."""
    name, waited = state["name"], seconds(state["oldest_seconds"])
    start = f"`bin/sixorbit queue:work --queue={name}`"
    if is_alone:
        return f"no worker takes the jobs of {name}, the oldest waits for {waited}: start {start}"
    return (
        f"queue {name} is stuck: its oldest job has waited {waited}; see what its workers are at, "
        f"or start more of them ({start})"
    )


def _workers(app: Any, facts: Facts) -> Light:
    workers = facts.workers
    silent = [worker for worker in workers if not worker.alive]
    if silent:
        gone = silent[-1]
        ago = seconds(app.clock.time() - gone.beat_at.timestamp())
        return Light(
            "Workers",
            "/workers",
            "bad",
            f"worker {gone.host}:{gone.pid} was killed or hangs, silent for {ago}: see the log of "
            "its service (`journalctl -u 'sixorbit-worker@*'`); its jobs are begun again",
        )
    if not workers:
        waiting = sum(state["pending"] for state in facts.states)
        state = "bad" if waiting else "warn"
        text = f"no worker runs, jobs waiting: {waiting:,}; start `bin/sixorbit queue:work`"
        return Light("Workers", "/workers", state, text)
    count = sum(worker.processes for worker in workers)
    return Light("Workers", "/workers", "ok", f"worker processes running: {count}")


def _failed(app: Any, facts: Facts) -> Light:
    newest = facts.row("failure")
    if newest is None:
        return Light("Failed jobs", "/failed", "ok", "none")
    when = datetime.fromisoformat(newest["at"])
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    ago = app.clock.time() - when.timestamp()
    job = newest["job"] or "a job"
    text = f"{job} failed {seconds(max(ago, 0))} ago: read why, mend it, try it again"
    return Light("Failed jobs", "/failed", "bad" if ago < 3600 else "warn", text)


def _schedule(app: Any, facts: Facts) -> Light:
    found = tasks(app)
    if not found:
        return Light("Schedule", "/schedule", "ok", "nothing recurs")
    newest, now = facts.answer("begun"), app.clock.now()
    due = min(filter(None, (task.next_run(now) for task in found.values())), default=None)
    often = None if due is None else (due - now).total_seconds()
    silent = app.clock.time() - int(newest) if newest else None
    if silent is None or (often is not None and silent > 86_400 + often):
        text = "nothing was begun for a day: start `schedule:work`, its unit or its cron line"
        return Light("Schedule", "/schedule", "warn", text)
    return Light("Schedule", "/schedule", "ok", f"looked after {seconds(max(silent, 0))} ago")


def _cache(app: Any, facts: Facts) -> Light:
    left = facts.row("left")
    if left is not None:
        name = bytes.fromhex(left["name"]).decode("utf-8", "replace").partition(":")[2]
        others = int(facts.answer("locks")) - 1
        more = f" and {others} more" if others else ""
        held = seconds(held_seconds(left, app.clock.time()))
        return Light(
            "Cache",
            "/cache",
            "bad",
            f"lock {name}{more} is held without an end, for {held} by {left['owner']}: if its "
            "holder is gone, release it",
        )
    return Light("Cache", "/cache", "ok", "answers, and no lock was left")


def _sessions(app: Any, facts: Facts) -> Light:
    return Light("Sessions", "/sessions", "ok", f"{facts.sessions:,} in the last 15 minutes")


def _audit(app: Any, facts: Facts) -> Light:
    bad = "the trail was changed by another hand: keep a copy, run `bin/sixorbit activity:verify`"
    verified, tampered, refused = map(facts.answer, ("verified", "tampered", "refused"))
    if tampered is not None and (verified is None or tampered > verified):
        return Light("Audit", "/audit", "bad", f"{bad} (a verification found it)")
    if refused is not None:
        return Light("Audit", "/audit", "bad", f"{bad} (entry {refused} may not be sealed: {_WHY})")
    kept = _verified.get(app)
    now = app.clock.time()
    if kept is None or not 0 <= now - kept[0] < VERIFY_SECONDS:
        kept = _verified[app] = (now, _verified_now(app, bad))
    return kept[1]


def _verified_now(app: Any, bad: str) -> Light:
    """The newest entries; workers look through the others, some each minute (history.py)."""
    try:
        report = app.make("activity").verify(newest=NEWEST)
    except IntegrityError as error:
        return Light("Audit", "/audit", "warn", str(error))
    if report.fault_count:
        return Light("Audit", "/audit", "bad", f"{bad} ({report.summary})")
    if not report.seals:
        return Light("Audit", "/audit", "warn", "the trail is not sealed: set AUDIT_KEY")
    return Light("Audit", "/audit", "ok", f"the newest entries are whole: {report.rows:,}")


def _database(app: Any, facts: Facts) -> Light:
    noted = facts.row("minute") or {}
    if noted.get("replicas_down"):
        text = "a replica does not follow, what is read there is old: open Database to see why"
        return Light("Database", "/database", "bad", text)
    if noted.get("replicas_behind", 0) > BEHIND_SECONDS:
        text = f"a replica is {seconds(noted['replicas_behind'])} behind: what is read there is old"
        return Light("Database", "/database", "warn", text)
    backup = last_backup(app)
    if backup is None:
        return Light(
            "Database",
            "/database",
            "warn",
            "answers; no backup was ever written: `bin/sixorbit backup`",
        )
    age = time.time() - backup
    if age > 2 * 86_400:
        return Light(
            "Database", "/database", "warn", f"answers; the last backup is {seconds(age)} old"
        )
    return Light("Database", "/database", "ok", f"answers; the last backup is {seconds(age)} old")


def _disk(app: Any, facts: Facts) -> Light:
    """The fullest of the places that are written to: our own files, and a database that is one."""
    usages = [(place, shutil.disk_usage(place)) for place in _places(app)]
    place, usage = min(usages, key=lambda one: one[1].free / (one[1].total or 1))
    free = usage.free / usage.total if usage.total else 1.0
    text = f"{size(usage.free)} of {size(usage.total)} are free at {place}"
    if free < FULL:
        return Light("Disk", "/database", "bad", f"{text}: make room, or writing stops")
    return Light("Disk", "/database", "warn" if free < TIGHT else "ok", text)


def _places(app: Any) -> list[Path]:
    config = app.make("db").connection().config
    file = Path(str(config.get("database") or "")).parent
    is_file = config["driver"] == "sqlite" and file.is_absolute()
    wanted = [Path(app.storage_path()), *([file] if is_file else [])]
    # A folder that nothing was written to yet will be made on the disk of the one above it.
    return [next(place for place in (one, *one.parents) if place.exists()) for one in wanted]
