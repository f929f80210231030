"""The master process: opens the sockets, forks the workers, and keeps the count of everything.

It never runs the application and never touches a connection. An application made before the fork
shares its memory with all workers. With a factory, or an import name, workers forked after a reload
(SIGHUP) make their own, from the code as it is then.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from signal import SIGUSR1
from typing import Any

from so.errors import ServerError
from so.server.access_log import FORMATS, AccessLog
from so.server.connection import Application
from so.server.limits import CheckedLimits
from so.server.links import tls_context
from so.server.listen import describe, open_listeners
from so.server.loop import Setup
from so.server.metrics import Board, Tally
from so.server.pages import AUDIENCES, Pages
from so.server.shares import Shares
from so.server.worker import ServerWorker
from so.settings.server import ServerSettings
from so.support import systemd
from so.support.supervisor import Child, ChildExit, Lifeline, Supervisor

log = logging.getLogger("so.server")

# The exit code of a worker that could not make its application.
BOOT_FAILED = 3
_WATCH_SECONDS = 0.5
_SPARE_FILES = 256


@dataclass(frozen=True)
class Options:
    """How to serve; see `so.server.serve`."""

    host: str = ServerSettings.host
    port: int = ServerSettings.port
    path: str | None = None
    fd: int | None = None
    workers: int = ServerSettings.workers
    threads: int = ServerSettings.threads
    factory: Callable[[], Any] | None = None
    cert: str | None = None
    key: str | None = None
    access_log: str | None = None
    access_format: str = ServerSettings.access_format
    pages: str = ServerSettings.pages
    reload: tuple[str, ...] = ()
    broken: Callable[[BaseException], Any] | None = None
    on_listening: Callable[[list[str]], None] | None = None
    limits: CheckedLimits = field(default_factory=CheckedLimits)

    def check(self) -> None:
        """ServerError for the first value that can't be."""
        for name in ("workers", "threads"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ServerError(f"{name} must be at least 1, not {value!r}")
        if self.pages not in AUDIENCES:
            raise ServerError(f"pages must be one of {', '.join(AUDIENCES)}, not {self.pages!r}")
        if self.access_format not in FORMATS:
            raise ServerError(
                f"the access log format must be {' or '.join(FORMATS)}, not {self.access_format!r}"
            )
        if self.key and not self.cert:
            raise ServerError("a TLS key without a certificate: give both")
        if self.cert:
            tls_context(self.cert, self.key)
        if self.access_log is not None:
            AccessLog(self.access_log, self.access_format).close()


class Master:
    """See the module."""

    def __init__(self, app: Any, options: Options) -> None:
        """*app* is a WSGI application, "module:name" of one, or None when there is a factory."""
        options.check()
        if threading.current_thread() is not threading.main_thread():
            raise ServerError("serve() hears signals: call it in the main thread")
        self._app = app
        self._options = options
        self._listeners: list[socket.socket] = []
        self._socket_file: str | None = None
        self._board = Board()
        self._tally = Tally(self._board)
        self._shares = Shares(options.workers)
        self._has_served = False
        self._boot_failed = False
        self._watched = _Watch(options.reload) if options.reload else None
        self._boss = Supervisor(
            self._be_worker,
            workers=options.workers,
            name="server",
            grace_seconds=options.limits.grace_seconds,
            heartbeat_timeout=options.limits.heartbeat_seconds or None,
            on_message=self._heard,
            on_exit=self._exited,
            on_tick=self._tick,
            on_reload=self._tally.reloaded,
            on_start=self._start_listening,
            on_stop=self._stop_listening,
            notify=systemd.Notifier(),
            forward_signals=(SIGUSR1,),
            settle_seconds=float("inf"),
        )

    def run(self) -> int:
        """Serve until told to stop; the exit code."""
        try:
            code = self._boss.run()
        finally:
            self._stop_listening()
        return 1 if self._boot_failed else code

    def _start_listening(self) -> None:
        options = self._options
        _raise_file_limit(options.limits.connections + _SPARE_FILES)
        self._listeners, self._socket_file = open_listeners(
            options.host, options.port, options.path, options.fd, options.limits.backlog
        )
        if options.on_listening:
            secure = options.cert is not None
            options.on_listening([describe(each, tls=secure) for each in self._listeners])
        # What exists before the fork stays shared: no collector walks through it again.
        gc.collect()
        gc.freeze()

    def _stop_listening(self) -> None:
        """Close the master's own copies: with the workers' the last ones go."""
        if self._socket_file:
            # While it still listens: afterwards the path may be a successor's.
            with contextlib.suppress(OSError):
                os.unlink(self._socket_file)
            self._socket_file = None
        for listener in self._listeners:
            listener.close()

    # --- in the worker ---------------------------------------------------------------------------

    def _application(self) -> Application:
        factory = self._options.factory
        if factory and (self._app is None or self._tally.reloads):
            return _checked(factory())
        return _checked(_import(self._app) if isinstance(self._app, str) else self._app)

    def _application_or_error(self, slot: int) -> Application:
        """In development, what shows an error in the code until it is mended, not told twice."""
        show = self._options.broken
        if show is None or not self._options.reload:
            return self._application()
        try:
            return self._application()
        except (Exception, SystemExit) as error:
            if slot == 0:
                log.exception("the code is broken; it is tried again when it changes")
            return _checked(show(error))

    def _be_worker(self, lifeline: Lifeline) -> int:
        options = self._options
        try:
            app = self._application_or_error(lifeline.slot)
            setup = Setup(
                app=app,
                listeners=self._listeners,
                limits=options.limits,
                threads=options.threads,
                pages=Pages(options.pages, self._board, app),
                seat=self._shares.seat(lifeline.slot),
                tls=tls_context(options.cert, options.key) if options.cert else None,
                access=_open_log(options),
                max_requests=_with_jitter(options.limits.max_requests),
            )
        except (Exception, SystemExit):
            log.exception("a worker cannot start")
            return BOOT_FAILED
        gc.freeze()
        code = ServerWorker(setup, lifeline).run()
        close = getattr(setup.app, "close", None)
        if callable(close):
            close()
        return code

    # --- in the master ---------------------------------------------------------------------------

    def _heard(self, child: Child, message: Any) -> None:
        if message == "retire":
            self._boss.replace(child)
        else:
            self._has_served = True
            self._tally.heard(child.pid, message)

    def _exited(self, ending: ChildExit) -> None:
        self._tally.exited(ending.child.pid, hung=ending.hung)
        if ending.code == BOOT_FAILED and not self._has_served and not self._options.reload:
            self._boot_failed = True
            self._boss.stop()

    def _tick(self) -> float:
        self._tally.publish(len(self._boss.children))
        if self._watched and self._watched.has_changed():
            log.info("the code has changed: reloading")
            self._tally.reloaded()
            self._boss.rolling_restart()
        return _WATCH_SECONDS if self._watched else 1.0


def _import(name: str) -> Any:
    """The object meant by "module:name"."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in (path or "application").split("."):
        found = getattr(found, part)
    return found


def _checked(app: Any) -> Application:
    if not callable(app):
        raise ServerError(f"{app!r} is no WSGI application: it must be callable")
    application: Application = app
    return application


def _open_log(options: Options) -> AccessLog | None:
    if options.access_log is None:
        return None
    return AccessLog(options.access_log, options.access_format)


def _with_jitter(limit: int) -> int:
    """*limit* and up to a tenth more, so that the workers do not all leave at once."""
    if limit <= 0:
        return 0
    return limit + int.from_bytes(os.urandom(4), "big") % (limit // 10 + 1)


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (best, hard))


class _Watch:
    """Whether a file, or a Python file below a folder, has changed since the last look."""

    def __init__(self, places: Iterable[str]) -> None:
        self._places = list(places)
        self._seen = self._look()

    def has_changed(self) -> bool:
        found = self._look()
        changed, self._seen = found != self._seen, found
        return changed

    def _look(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for path in self._paths():
            with contextlib.suppress(OSError):
                found[path] = os.stat(path).st_mtime_ns
        return found

    def _paths(self) -> Iterator[str]:
        for place in self._places:
            if not os.path.isdir(place):
                yield place
            for at, folders, files in os.walk(place):
                folders[:] = [each for each in folders if not each.startswith((".", "__"))]
                yield from (os.path.join(at, name) for name in files if name.endswith(".py"))
