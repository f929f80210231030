"""`/healthz`, `/readyz` and `/metrics`: the server's own pages, for monitors and load balancers.

By default only a client on this machine that talks to the server itself sees them; for all others,
and for what a proxy passes on, these paths belong to the application like any other.
"""

from __future__ import annotations

from so.server.answers import connection_field, plain_response
from so.server.connection import Connection
from so.server.metrics import BUCKETS, Board
from so.server.wire import Head

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
AUDIENCES = ("loopback", "everyone", "off")

_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP")


class Pages:
    """Answers for the three paths."""

    def __init__(self, audience: str, board: Board) -> None:
        """*audience*: one of AUDIENCES."""
        self._audience = audience
        self._board = board

    def answer(self, connection: Connection, head: Head, *, draining: bool) -> bytes | None:
        """The response to *head*, or None when it is the application's."""
        if head.method not in ("GET", "HEAD") or not self._is_for(connection, head):
            return None
        status, text = "200 OK", "ok\n"
        if head.path == "/readyz" and draining:
            status, text = "503 Service Unavailable", "stopping\n"
        elif head.path == "/metrics":
            text = metrics_text(self._board.read())
        closes = draining or not head.keep_alive
        connection.closes = closes
        return plain_response(
            status,
            text,
            headers=[("Cache-Control", "no-store")],
            connection=connection_field(head, closes=closes),
            body=head.method == "GET",
        )

    def _is_for(self, connection: Connection, head: Head) -> bool:
        if self._audience == "everyone":
            return True
        if self._audience == "off" or any(name in head.fields for name in _FORWARDED):
            return False
        address = str(connection.base.get("REMOTE_ADDR", ""))
        return address.startswith("127.") or address == "::1"


_HELP = {
    "refused_requests": ("counter", "Requests that were no valid HTTP."),
    "overload_answers": ("counter", "Requests answered 503 because the queue was full."),
    "timeouts": ("counter", "Connections and requests that took too long."),
    "connections_accepted": ("counter", "Connections accepted."),
    "bytes_sent": ("counter", "Bytes of response bodies."),
    "connections": ("gauge", "Open connections."),
    "busy_threads": ("gauge", "Threads running the application."),
    "waiting_requests": ("gauge", "Complete requests waiting for a thread."),
    "workers": ("gauge", "Worker processes alive."),
    "worker_exits": ("counter", "Worker processes that ended."),
    "worker_hangs": ("counter", "Worker processes killed because they gave no sign."),
    "reloads": ("counter", "Reloads asked for."),
}


def metrics_text(values: dict[str, float]) -> str:
    """*values* of the board in the text format of Prometheus."""
    lines = [
        "# HELP sixorbit_requests_total Requests answered, by class of status.",
        "# TYPE sixorbit_requests_total counter",
    ]
    for kind in ("2xx", "3xx", "4xx", "5xx"):
        lines.append(
            f'sixorbit_requests_total{{status="{kind}"}} {_number(values["requests_" + kind])}'
        )
    lines += _histogram(values)
    for name, (kind, meaning) in _HELP.items():
        full = f"sixorbit_{name}{'_total' if kind == 'counter' else ''}"
        lines.append(f"# HELP {full} {meaning}")
        lines.append(f"# TYPE {full} {kind}")
        lines.append(f"{full} {_number(values[name])}")
    lines.append("# HELP process_start_time_seconds When the server was started.")
    lines.append("# TYPE process_start_time_seconds gauge")
    lines.append(f"process_start_time_seconds {_number(values['started_at'])}")
    return "\n".join(lines) + "\n"


def _histogram(values: dict[str, float]) -> list[str]:
    name = "sixorbit_request_duration_seconds"
    lines = [
        f"# HELP {name} Time from the complete request to the end of its response.",
        f"# TYPE {name} histogram",
    ]
    total = sum(values["requests_" + kind] for kind in ("2xx", "3xx", "4xx", "5xx"))
    below = 0.0
    for bound in BUCKETS:
        below += values[f"le_{bound}"]
        lines.append(f'{name}_bucket{{le="{bound}"}} {_number(below)}')
    lines.append(f'{name}_bucket{{le="+Inf"}} {_number(total)}')
    lines.append(f"{name}_sum {values['request_seconds']:.6f}")
    lines.append(f"{name}_count {_number(total)}")
    return lines


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
