"""Whether the application is down for maintenance: a file in its storage, written by `down`.

A file and no row of a table, since the database is what maintenance is often about. Each server has
its own: web server, workers and schedule of this machine look at it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from so.errors import ConfigError

MESSAGE = "We are doing maintenance and will be back soon."


@dataclass(frozen=True)
class Notice:
    """What a visitor is told meanwhile, and who gets in all the same.

    retry_seconds is for Retry-After; whoever knows the secret opens `/<secret>` once and is let
    in; allow lists addresses and networks.
    """

    message: str = MESSAGE
    retry_seconds: int = 60
    secret: str = ""
    allow: tuple[str, ...] = ()
    since: float = field(default_factory=time.time)  # seconds since the epoch

    def __post_init__(self) -> None:
        for address in self.allow:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError as error:
                raise ConfigError(
                    f"{address!r} is no address or network: write 10.0.0.7 or 10.0.0.0/8"
                ) from error
        if self.secret and (len(self.secret) < 8 or "/" in self.secret):
            raise ConfigError("the secret needs 8 characters or more, and no /")
        if self.retry_seconds < 1:
            raise ConfigError(f"retry after {self.retry_seconds} seconds: use 1 or more")

    def lets_address_in(self, address: str | None) -> bool:
        """Whether *address* is one of those that are allowed."""
        try:
            here = ipaddress.ip_address(address or "")
        except ValueError:  # a client on a Unix socket has none
            return False
        return any(here in ipaddress.ip_network(one, strict=False) for one in self.allow)

    @property
    def ticket(self) -> str:
        """What a tester's cookie holds: it proves the secret without telling it."""
        return hashlib.sha256(f"so maintenance {self.secret}".encode()).hexdigest()

    def knows(self, ticket: object) -> bool:
        """Whether a cookie is a tester's."""
        given = ticket.encode("utf-8", "replace") if isinstance(ticket, str) else b""
        return bool(self.secret) and hmac.compare_digest(given, self.ticket.encode())


class Maintenance:
    """The state of one server, in the file *path*; asking costs one look at the file's entry."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[int, Notice] | None = None

    def begin(self, notice: Notice) -> None:
        """Go down; all processes of this machine see it with their next look."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        part.write_text(json.dumps(asdict(notice)), "utf-8")
        part.chmod(0o640)
        part.replace(self.path)

    def end(self) -> bool:
        """Come up again; False where it was not down."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    def is_down(self) -> bool:
        """Whether there is a notice."""
        return self.path.exists()

    def notice(self) -> Notice | None:
        """What to tell visitors, or None. A file that cannot be read still means down."""
        try:
            changed = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if self._read is None or self._read[0] != changed:
            self._read = (changed, self._parsed())
        return self._read[1]

    def _parsed(self) -> Notice:
        try:
            found = json.loads(self.path.read_text("utf-8-sig"))
            return Notice(**{**found, "allow": _texts(found.get("allow", ()))})
        except (OSError, ValueError, TypeError, AttributeError, ConfigError):
            return Notice()


def _texts(given: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(one) for one in given)
