"""How far the replicas of a connection are behind: what each of them says of itself.

Asked are the hosts that reads go to; of a connection without such, the server it is connected to,
which may be a replica itself. Nobody waits longer than PATIENCE for one that gives no answer.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from so.errors import QueryError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from so.db.connection import Connection

PATIENCE = 1.0  # seconds, for all of them together
_OLD = "show slave status"  # for MySQL before 8.0.22


@dataclass(frozen=True)
class Replica:
    """What one replica said; `behind_seconds` is None where it cannot tell."""

    host: str
    state: str  # runs, stopped, unreachable, no replica, not told
    behind_seconds: int | None = None
    error: str = ""

    @property
    def is_up(self) -> bool:
        """Whether it takes over what the writer writes, as far as anybody told us."""
        return self.state in ("runs", "not told")

    def __str__(self) -> str:
        if self.state == "runs":
            return f"replica {self.host} is {self.behind_seconds or 0} seconds behind"
        words = {"stopped": "has stopped following", "no replica": "follows no server"}
        said = words.get(self.state, f"is {self.state}")
        return f"replica {self.host} {said}" + (f": {self.error}" if self.error else "")


def replicas(connection: Connection) -> list[Replica]:
    """Those of *connection*, by host; none for SQLite and for a server that follows nobody.

    Raises LostConnectionError where the writer cannot be reached, which is asked if it is alone.
    """
    dialect = connection.dialect
    if dialect.name != "mysql":
        return []
    if not dialect.splits:
        return _itself(connection)
    hosts = sorted(dialect.hosts("read"))
    threads = ThreadPoolExecutor(max_workers=len(hosts))
    asked = [threads.submit(_of, dialect, host) for host in hosts]
    threads.shutdown(wait=False)
    until, found = time.monotonic() + PATIENCE, []
    for host, future in zip(hosts, asked, strict=True):
        try:
            found += future.result(max(0.0, until - time.monotonic()))
        except Late:
            text = f"it gives no answer within {PATIENCE:g} s"
            found.append(Replica(host, "unreachable", error=text))
    return found


def _itself(connection: Connection) -> list[Replica]:
    for question in _questions(connection.dialect):
        try:
            return [_replica("this server", row) for row in connection.select(question)]
        except UnavailableError:
            raise
        except QueryError:  # words it does not know, or a right that this user has not
            continue
    return []


def _of(dialect: Any, host: str) -> list[Replica]:
    """One for each server that *host* follows."""
    try:
        session = dialect.open("read", host)
    except dialect.driver_errors as error:
        return [Replica(host, "unreachable", error=str(error))]
    try:
        names, rows = _status(dialect, session)
    except dialect.driver_errors as error:
        return [Replica(host, "not told", error=str(error))]
    finally:
        session.close()
    told = [_replica(host, dict(zip(names, row, strict=True))) for row in rows]
    return told or [Replica(host, "no replica")]


def _questions(dialect: Any) -> tuple[str, ...]:
    is_mariadb = dialect.server is not None and dialect.server.product == "mariadb"
    return ("show all slaves status",) if is_mariadb else ("show replica status", _OLD)


def _status(dialect: Any, session: Any) -> Any:
    *newer, oldest = _questions(dialect)
    for question in newer:
        with suppress(*dialect.driver_errors):
            return session.fetch(question, ())
    return session.fetch(oldest, ())


def _replica(host: str, row: Mapping[str, Any]) -> Replica:
    def value(name: str) -> Any:
        old = name.replace("Replica", "Slave").replace("Source", "Master")
        return row.get(name, row.get(old))

    runs = value("Replica_IO_Running") == "Yes" and value("Replica_SQL_Running") == "Yes"
    behind = value("Seconds_Behind_Source")
    error = value("Last_SQL_Error") or value("Last_IO_Error") or ""
    return Replica(
        host, "runs" if runs else "stopped", None if behind is None else int(behind), str(error)
    )
