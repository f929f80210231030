"""Every limit of the web server, as so/settings/server.py has it.

Sizes are in bytes, times in seconds. What happens at each limit is written where it is checked.
"""

from dataclasses import dataclass, replace
from typing import Any

from so.errors import ServerError
from so.settings.server import ServerLimits

# Some three weeks: the system does not wait for longer at once.
MOST_SECONDS = 2_000_000
LEAST_HEARTBEAT_SECONDS = 2


@dataclass(frozen=True)
class CheckedLimits(ServerLimits):
    """The limits of one server; `CheckedLimits.of(head_seconds=5)` changes some of them."""

    @classmethod
    def of(cls, **changes: Any) -> "CheckedLimits":
        """The defaults with *changes*. ServerError for a name there is not, or an odd value."""
        defaults = {name: cls.default_of(name) for name in cls.told()}
        for name, value in changes.items():
            if name not in defaults:
                raise ServerError(
                    f"unknown server limit {name!r}: use one of {', '.join(sorted(defaults))}"
                )
            if isinstance(defaults[name], float):
                _check_seconds(name, value)
            elif not isinstance(value, int) or value < 0:
                raise ServerError(f"server limit {name} must be a whole number >= 0, not {value!r}")
        if not changes.get("connections", 1):
            raise ServerError("server limit connections must be at least 1")
        limits = replace(cls(), **changes)
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
