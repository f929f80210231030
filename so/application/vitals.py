"""What monitors ask of an application: whether it can work now, and its figures.

The web server puts both behind `/readyz` and `/metrics`; an application on another server can put
them behind routes of its own. Nobody who asks waits for a database that does not answer: a thread
looks, what it found is kept for a moment, and a look that takes too long is an answer, too.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from so import __version__
from so.application import homes
from so.db.options import file_of
from so.settings.backup import ENDING, BackupSettings
from so.settings.cache import CacheSettings
from so.settings.queue import QueueSettings
from so.settings.server import ServerSettings
from so.settings.session import SessionSettings
from so.support.current import running
from so.support.exposition import Family, counter, gauge
from so.support.scope import Scope, entered

T = TypeVar("T")
IDLE_SECONDS = 60.0  # after which the thread that looks ends
# Reads the file itself, where `select 1` would be answered without it.
_PROBES = {"sqlite": "pragma schema_version", "mysql": "select 1"}
_STATUS = "show global status like 'Threads_connected'"
ACTIVE_MINUTES = 15
COUNTED = 10_000


class Late(Exception):
    """Nothing was found in time; raised and caught by those who ask."""


class KeptAnswer(Generic[T]):
    """What *look* finds, by a thread of its own, kept for some seconds."""

    def __init__(self, look: Callable[[], T], seconds: float, patience: float) -> None:
        """Whoever asks waits *patience* seconds at most."""
        self._look, self._seconds, self._patience = look, seconds, patience
        self._change = threading.Condition()
        self._found: T | None = None
        self._found_at = float("-inf")
        self._looks, self._looks_since = 0, float("inf")
        self._is_wanted = self._has_thread = False

    def get(self) -> T:
        """What was found less than so many seconds ago. Late when nothing was found in time."""
        with self._change:
            if self._is_fresh():
                return self._found  # type: ignore[return-value]
            self._is_wanted = self._looks_since == float("inf")  # a look under way is as good
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._watch, name="so-vitals", daemon=True).start()
            self._change.notify_all()
            # Who comes while a look already takes too long does not wait once more.
            waited = max(0.0, time.monotonic() - self._looks_since)
            before = self._looks
            if not self._change.wait_for(lambda: self._looks > before, self._patience - waited):
                raise Late
            return self._found  # type: ignore[return-value]

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._found_at < self._seconds

    def _watch(self) -> None:
        try:
            while self._is_asked():
                found = self._look()
                with self._change:
                    self._found, self._found_at = found, time.monotonic()
                    self._looks, self._looks_since = self._looks + 1, float("inf")
                    self._change.notify_all()
        except BaseException:
            with self._change:
                self._has_thread, self._looks_since = False, float("inf")
            raise

    def _is_asked(self) -> bool:
        """Wait for somebody to ask; False when nobody does."""
        with self._change:
            asked = self._change.wait_for(lambda: self._is_wanted, IDLE_SECONDS)
            # In one step with the end of waiting: who asks next must find a thread, or none.
            self._has_thread, self._is_wanted = asked, False
            self._looks_since = time.monotonic() if asked else float("inf")
            return asked


class Vitals:
    """Readiness and figures of one application."""

    def __init__(self, app: Any) -> None:
        """Looks at nothing before it is asked."""
        settings = app.settings(ServerSettings)
        self._app = app
        self._most = settings.metrics_series
        self._patience = settings.vitals_wait_seconds
        self._since = app.clock.now()
        self._fault: str | None = None
        self._missing: set[str] = set()
        self._ready = KeptAnswer(self._in_scope(self._look), settings.ready_seconds, self._patience)
        self._figures = KeptAnswer(
            self._in_scope(lambda: list(self._collect())), settings.metrics_seconds, self._patience
        )

    def fault(self) -> str | None:
        """Why the application cannot work now, for monitors; None when it can.

        Every database that a system of the framework uses is asked. The error itself is in the log.
        """
        try:
            return self._ready.get()
        except Late:
            return self._noted(f"a database gives no answer within {self._patience:g} seconds")

    def families(self) -> list[Family]:
        """The figures of queue, schedule, cache, sessions, databases and disk."""
        try:
            return self._figures.get()
        except Late:
            return [_standing([("figures", False, self._patience)])]

    def _in_scope(self, look: Callable[[], T]) -> Callable[[], T]:
        def within() -> T:
            running.set(self._app)
            with entered(Scope("command")):
                return look()

        return within

    # --- readiness ---

    def _look(self) -> str | None:
        faults = {name: error for name, error in self._probed() if error is not None}
        if not faults:
            return self._noted(None)
        one = "the database" if len(faults) == 1 else "the databases"
        fault = f"{one} {', '.join(map(repr, faults))} cannot be reached"
        return self._noted(fault, "; ".join(map(str, faults.values())))

    def _probed(self) -> Iterator[tuple[str, Exception | None]]:
        """(connection, its fault) of every database."""
        for connection in homes.connections(self._app):
            try:
                _probe(connection)
            except Exception as error:
                yield connection.name, error
            else:
                yield connection.name, None

    def _noted(self, fault: str | None, cause: str = "") -> str | None:
        """*fault*; its beginning and its end are told once, its *cause* in the log alone."""
        if fault is not None and self._fault is None:
            self._app.make("logger").error("not ready: %s", cause or fault)
        elif fault is None and self._fault is not None:
            self._app.make("logger").warning("ready again, after: %s", self._fault)
        self._fault = fault
        return fault

    # --- figures ---

    def _collect(self) -> Iterator[Family]:
        """What every part says; one that fails costs its own figures only."""
        yield gauge("so_info", "The framework's version.").add(1, version=__version__)
        told = []
        for name, look in PARTS.items():
            before = time.perf_counter()
            try:
                yield from look(self._app, self)
                self._missing.discard(name)
                told.append((name, True, time.perf_counter() - before))
            except Exception as error:
                self._missed(name, error)
                told.append((name, False, time.perf_counter() - before))
        yield _standing(told)
        yield _durations(told)

    def _missed(self, name: str, error: Exception) -> None:
        if name not in self._missing:
            self._missing.add(name)
            self._app.make("logger").warning("/metrics lacks the part %r: %s", name, error)

    @property
    def most(self) -> int:
        """How many queues and tasks have a series of their own."""
        most: int = self._most
        return most

    @property
    def since(self) -> Any:
        """When this application was made."""
        return self._since


def _probe(connection: Any) -> None:
    """Ask *connection* something small; raises what it raises."""
    connection.select_tuples(_PROBES[connection.dialect.name], (), False)
    name = file_of(str(connection.config["database"]))
    if connection.dialect.name == "sqlite" and name is not None:
        os.stat(name)  # an open file that was deleted still answers


def _standing(told: Iterable[tuple[str, bool, float]]) -> Family:
    family = gauge("so_collector_up", "1 if this part of the figures could be had.")
    for name, is_up, _ in told:
        family.add(int(is_up), part=name)
    return family


def _durations(told: Iterable[tuple[str, bool, float]]) -> Family:
    family = gauge("so_collector_seconds", "How long this part of the figures took.")
    for name, _, seconds in told:
        family.add(round(seconds, 6), part=name)
    return family


def _databases(app: Any, vitals: Vitals) -> list[Family]:
    up = gauge("so_database_up", "1 if the database answers.")
    ping = gauge("so_database_ping_seconds", "How long its answer to a small question took.")
    size = gauge("so_database_bytes", "Size of the file of an SQLite database.")
    wal = gauge("so_database_wal_bytes", "Size of its write-ahead log.")
    used = gauge("so_database_connections", "Connections that the database server has open.")
    limit = gauge("so_database_connections_limit", "Connections that it allows.")
    for connection in homes.connections(app):
        name = connection.name
        before = time.perf_counter()
        try:
            _probe(connection)
        except Exception:
            up.add(0, connection=name)
            continue
        up.add(1, connection=name)
        ping.add(round(time.perf_counter() - before, 6), connection=name)
        if connection.dialect.name == "mysql":
            used.add(int(connection.select_tuples(_STATUS, (), False)[0][1]), connection=name)
            most = connection.scalar("select @@max_connections", (), False)
            limit.add(int(most), connection=name)
        else:
            file = file_of(str(connection.config["database"])) or ""
            size.add(_bytes_of(file), connection=name)
            wal.add(_bytes_of(f"{file}-wal"), connection=name)
    return [up, ping, size, wal, used, limit]


def _bytes_of(name: str) -> int:
    try:
        return Path(name).stat().st_size
    except OSError:
        return 0


def _queue(app: Any, vitals: Vitals) -> list[Family]:
    settings = app.settings(QueueSettings)
    if settings.default == "sync":
        return []
    families: list[Family] = app.make("queue").metrics.families(vitals.most, settings.queue)
    return families


def _schedule(app: Any, vitals: Vitals) -> list[Family]:
    last = gauge("so_schedule_last_run_timestamp_seconds", "The time for which a task last ran.")
    late = gauge("so_schedule_overdue_seconds", "How long a task should have been begun since.")
    schedule = app.make("schedule")
    for standing in schedule.standings(vitals.since, vitals.most):
        late.add(round(standing.overdue_seconds), task=standing.key)
        if standing.last_run is not None:
            last.add(int(standing.last_run.timestamp()), task=standing.key)
    return [gauge("so_schedule_tasks", "Tasks that recur.", len(schedule.tasks)), last, late]


def _cache(app: Any, vitals: Vitals) -> list[Family]:
    hits, misses = app.make("cache").reads()
    meaning = "Reads of the cache"
    families = [
        counter("so_cache_hits", f"{meaning} that found something.", hits),
        counter("so_cache_misses", f"{meaning} that found nothing.", misses),
    ]
    if app.settings(CacheSettings).default in ("database", "tiered"):
        held = _counted(app, homes.cache_home(app), "select 1 from cache")
        families.append(gauge("so_cache_entries", "Entries, counted up to 10,000.", held))
    return families


def _sessions(app: Any, vitals: Vitals) -> list[Family]:
    if app.settings(SessionSettings).driver != "database":
        return []
    moment = int(app.clock.time()) - ACTIVE_MINUTES * 60
    sql = f"select 1 from sessions where last_activity > {moment}"  # noqa: S608  # a number
    active = _counted(app, homes.session_home(app), sql)
    meaning = f"Sessions used in the last {ACTIVE_MINUTES} minutes, counted up to 10,000."
    return [gauge("so_sessions_active", meaning, active)]


def _counted(app: Any, home: str | None, sql: str) -> int:
    """How many rows *sql* gives, up to COUNTED: beyond that, counting would cost too much."""
    connection = app.make("db").connection(home)
    limited = f"select count(*) from ({sql} limit {COUNTED}) as some"  # noqa: S608  # our own words
    return int(connection.scalar(limited, (), False))


def _files(app: Any, vitals: Vitals) -> list[Family]:
    storage = app.storage_path()
    families = []
    if storage.is_dir():
        free = shutil.disk_usage(storage)
        families += [
            gauge("so_disk_free_bytes", "Free on the disk of storage/.", free.free),
            gauge("so_disk_bytes", "Size of the disk of storage/.", free.total),
        ]
    down = int(app.make("maintenance").is_down())
    return [
        *families,
        gauge(
            "so_backup_newest_timestamp_seconds",
            "When the newest backup was written; 0: there is none.",
            round(last_backup(app) or 0),
        ),
        gauge("so_maintenance", "1 while this server is down.", down),
    ]


def last_backup(app: Any) -> float | None:
    """When the newest backup was written, in seconds since the epoch; None without one."""
    folder = app.base_path(app.settings(BackupSettings).path)
    times = [file.stat().st_mtime for file in folder.glob(f"[!.]*{ENDING}")]
    return max(times, default=None)


PARTS: dict[str, Callable[[Any, Vitals], list[Family]]] = {
    "database": _databases,
    "queue": _queue,
    "schedule": _schedule,
    "cache": _cache,
    "sessions": _sessions,
    "files": _files,
}
