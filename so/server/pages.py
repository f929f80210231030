"""`/healthz`, `/readyz` and `/metrics`: the server's own pages, for monitors and load balancers.

By default only a client on this machine that talks to the server itself sees them; for all others,
and for what a proxy passes on, these paths belong to the application like any other. An application
with `vitals` has a say in the last two: whether it can work, and figures of its own.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from so.server.answers import connection_field, plain_response
from so.server.connection import ClientConnection
from so.server.metrics import BUCKETS, Board
from so.server.wire import RequestHead
from so.support.exposition import CONTENT_TYPE, Family, counter, gauge, prometheus

log = logging.getLogger("so.server")

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
AUDIENCES = ("loopback", "everyone", "off")

_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP")
_PLAIN = "text/plain; charset=utf-8"


class Pages:
    """Answers for the three paths."""

    def __init__(self, audience: str, board: Board, app: Any = None) -> None:
        """*audience*: one of AUDIENCES."""
        self._audience = audience
        self._board = board
        self._app = app

    def is_for(self, connection: ClientConnection, head: RequestHead) -> bool:
        """Whether *head* is to be answered here; otherwise it is the application's."""
        if head.path not in PATHS or head.method not in ("GET", "HEAD"):
            return False
        if self._audience == "everyone":
            return True
        if self._audience == "off" or any(name in head.fields for name in _FORWARDED):
            return False
        address = str(connection.base.get("REMOTE_ADDR", ""))
        return address.startswith("127.") or address == "::1"

    def answer(self, connection: ClientConnection, head: RequestHead, *, draining: bool) -> bytes:
        """The response to *head*."""
        status, text, kind = "200 OK", "ok\n", _PLAIN
        if head.path == "/metrics":
            text, kind = self._metrics(), CONTENT_TYPE
        elif head.path == "/readyz" and (fault := "stopping" if draining else self._fault()):
            status, text = "503 Service Unavailable", f"{fault}\n"
        closes = draining or not head.keep_alive
        connection.closes = closes
        return plain_response(
            status,
            text,
            kind=kind,
            headers=[("Cache-Control", "no-store")],
            connection=connection_field(head, closes=closes),
            body=head.method == "GET",
        )

    def _fault(self) -> str | None:
        vitals = getattr(self._app, "vitals", None)
        if vitals is None:
            return None
        try:
            fault: str | None = vitals.fault()
        except Exception:
            log.exception("the application cannot say whether it is ready")
            return "the application cannot say"
        return fault

    def _metrics(self) -> str:
        families = list(server_families(self._board.read()))
        with contextlib.suppress(AttributeError):
            vitals = self._app.vitals
            try:
                families += vitals.families()
            except Exception:
                log.exception("/metrics lacks what the application has to say")
        return prometheus(families)


class Desk:
    """Where the loop takes these requests: what takes time is answered by a thread of its own."""

    def __init__(
        self, pages: Pages, is_draining: Callable[[], bool], settle: Callable[[Any], None]
    ) -> None:
        """*settle* gives a connection back to the loop, its answer sent or queued."""
        self._pages, self._is_draining, self._settle = pages, is_draining, settle
        self._waiting: SimpleQueue[tuple[ClientConnection, RequestHead]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def answer(self, connection: ClientConnection, head: RequestHead) -> bytes | None:
        """The loop's call: the response, or None when the connection is the desk's for a while."""
        # A worker that ends needs no database to say so; everything else asks the application.
        draining = self._is_draining()
        if head.path == "/healthz" or (head.path == "/readyz" and draining):
            return self._pages.answer(connection, head, draining=draining)
        self._waiting.put((connection, head))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="so-pages", daemon=True)
            self._thread.start()
        return None

    def _work(self) -> None:
        while True:
            connection, head = self._waiting.get()
            with contextlib.suppress(Exception):  # its client may be gone
                draining = self._is_draining()
                connection.push(self._pages.answer(connection, head, draining=draining))
            self._settle(connection)


_HELP = {
    "refused_requests": (counter, "Requests that were no valid HTTP."),
    "overload_answers": (counter, "Requests answered 503 because the queue was full."),
    "timeouts": (counter, "Connections and requests that took too long."),
    "connections_accepted": (counter, "Connections accepted."),
    "bytes_sent": (counter, "Bytes of response bodies."),
    "connections": (gauge, "Open connections."),
    "busy_threads": (gauge, "Threads running the application."),
    "waiting_requests": (gauge, "Complete requests waiting for a thread."),
    "workers": (gauge, "Worker processes alive."),
    "worker_exits": (counter, "Worker processes that ended."),
    "worker_hangs": (counter, "Worker processes killed because they gave no sign."),
    "reloads": (counter, "Reloads asked for."),
}
_STATUSES = ("2xx", "3xx", "4xx", "5xx")


def server_families(values: dict[str, float]) -> Iterator[Family]:
    """What the server counts, from the *values* of the board."""
    requests = counter("sixorbit_requests", "Requests answered, by class of status.")
    for kind in _STATUSES:
        requests.add(values[f"requests_{kind}"], status=kind)
    yield requests
    yield _durations(values)
    for name, (family, meaning) in _HELP.items():
        yield family(f"sixorbit_{name}", meaning, values[name])
    started = values["started_at"]
    yield gauge("process_start_time_seconds", "When the server was started.", started)


def _durations(values: dict[str, float]) -> Family:
    meaning = "Time from the complete request to the end of its response."
    fallen = [values[f"le_{bound}"] for bound in BUCKETS]
    beyond = sum(values[f"requests_{kind}"] for kind in _STATUSES) - sum(fallen)
    seconds = round(values["request_seconds"], 6)
    family = Family("sixorbit_request_duration_seconds", "histogram", meaning)
    return family.add_buckets(BUCKETS, [*fallen, max(0.0, beyond)], seconds)
