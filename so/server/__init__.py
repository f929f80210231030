"""The web server: one function, `serve`. Any WSGI application runs on it.

A master forks workers; each has one loop for its connections and a bounded crew of threads for
the application. The bytes are parsed in wire.py, limits have names in limits.py. It knows nothing
of the framework's application, and any other WSGI server can run that as well.

Read in this order: master.py (the processes), worker.py and loop.py (one of them), connection.py
and wire.py (bytes to a request), threads.py and exchange.py (running it), outgoing.py (bytes
back).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from so.errors import ServerError
from so.settings.server import ServerSettings

__all__ = ["serve"]


def serve(
    app: Any,
    host: str = ServerSettings.host,
    port: int = ServerSettings.port,
    *,
    socket: str | None = None,
    fd: int | None = None,
    workers: int = ServerSettings.workers,
    threads: int = ServerSettings.threads,
    factory: Callable[[], Any] | None = None,
    cert: str | None = None,
    key: str | None = None,
    access_log: str | None = None,
    access_format: str = ServerSettings.access_format,
    pages: str = ServerSettings.pages,
    reload: Iterable[str] = (),
    broken: Callable[[BaseException], Any] | None = None,
    on_listening: Callable[[list[str]], None] | None = None,
    **limits: Any,
) -> int:
    """Serve *app* until SIGTERM or SIGINT; the exit code. Call it in the main thread.

    *app* is a WSGI application, or "module:name" of one, imported in each worker. *factory* makes
    the application of workers forked after a reload (SIGHUP), or of all when *app* is None. It
    listens on *host* and *port*, on the Unix *socket*, on the inherited descriptor *fd*, or on what
    systemd passed. *access_log* is a path or "-"; *pages* says who sees /healthz, /readyz and
    /metrics: loopback, everyone or off. *reload* names what to watch, for development; *broken*
    then makes of an error in the code an application that shows it until it is mended. *limits*
    are those of `so.settings.server.ServerLimits`. ServerError when it cannot start.
    """
    _demand_forks()
    from so.server.limits import CheckedLimits
    from so.server.master import Master, Options

    return Master(app, Options(
        host=host, port=port, path=socket, fd=fd, workers=workers, threads=threads,
        factory=factory, cert=cert, key=key, access_log=access_log, access_format=access_format,
        pages=pages, reload=tuple(reload), broken=broken, on_listening=on_listening,
        limits=CheckedLimits.of(**limits),
    )).run()  # fmt: skip


def _demand_forks() -> None:
    if not hasattr(os, "fork"):
        raise ServerError(
            "this server forks its processes, which this system cannot: use `serve --simple`, or "
            "another WSGI server with so.wsgi:application"
        )
