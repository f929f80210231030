"""Every limit of the web server by name, with the values it has when nobody says otherwise.

Sizes are in bytes, times in seconds. What happens at each limit is written where it is checked.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

from so.errors import ServerError

# Some three weeks: the system does not wait for longer at once.
MOST_SECONDS = 2_000_000
LEAST_HEARTBEAT_SECONDS = 2


@dataclass(frozen=True)
class Limits:
    """The limits of one server; `Limits.of(head_seconds=5)` changes some of them."""

    # One request.
    request_line_bytes: int = 8192
    header_bytes: int = 65536
    header_count: int = 100
    body_bytes: int = 512 * 1024 * 1024
    chunk_line_bytes: int = 4096
    chunk_extension_bytes: int = 65536
    empty_lines: int = 16
    trailer_bytes: int = 8192
    trailer_count: int = 32
    # What is kept in memory before it goes to a file.
    body_memory_bytes: int = 256 * 1024
    body_memory_total_bytes: int = 64 * 1024 * 1024
    response_memory_bytes: int = 1024 * 1024
    response_memory_total_bytes: int = 64 * 1024 * 1024
    response_file_bytes: int = 1024 * 1024 * 1024
    file_total_bytes: int = 8 * 1024 * 1024 * 1024
    # How long a client may take.
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    write_seconds: float = 30.0
    # A body or response that is slower than this after a minute is given up.
    slowest_bytes_per_second: int = 256
    # How long the application may take before the worker is replaced; 0: for ever.
    request_seconds: float = 300.0
    # How long an orderly stop may take.
    grace_seconds: float = 30.0
    # A worker that gives no sign for this long is killed and replaced; 0: never.
    heartbeat_seconds: float = 30.0
    # A worker leaves after this many requests, up to a tenth more by chance; 0: never.
    max_requests: int = 0
    # Requests that wait for a thread of a worker, and connections it holds.
    queue: int = 512
    connections: int = 4096
    backlog: int = 1024

    @classmethod
    def of(cls, **changes: Any) -> "Limits":
        """The defaults with *changes*. ServerError for a name there is not, or an odd value."""
        defaults = {each.name: each.default for each in fields(cls)}
        for name, value in changes.items():
            if name not in defaults:
                raise ServerError(
                    f"unknown server limit {name!r}: use one of {', '.join(sorted(defaults))}"
                )
            if isinstance(defaults[name], float):
                _check_seconds(name, value)
            elif not isinstance(value, int) or value < 0:
                raise ServerError(f"server limit {name} must be a whole number >= 0, not {value!r}")
        limits = replace(cls(), **changes)
        if limits.connections < 1:
            raise ServerError("server limit connections must be at least 1")
        if 0 < limits.heartbeat_seconds < LEAST_HEARTBEAT_SECONDS:
            raise ServerError(
                f"server limit heartbeat_seconds must be at least {LEAST_HEARTBEAT_SECONDS}, "
                f"or 0 for none, not {limits.heartbeat_seconds}: a worker gives a sign each second"
            )
        return limits


def _check_seconds(name: str, value: Any) -> None:
    if not isinstance(value, int | float) or not 0 <= value <= MOST_SECONDS:
        raise ServerError(
            f"server limit {name} must be a number from 0 to {MOST_SECONDS}, not {value!r}"
        )
