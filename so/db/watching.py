"""Looking on while statements run: listeners, the query log, slow queries, pretending.

`Hooks` belong to a Database and watch all of its connections; the log belongs to one connection.
As long as nobody looks on, a statement pays for none of this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from so.db.rows import Row


@dataclass(frozen=True, slots=True)
class QueryExecuted:
    """One statement that ran: its text, bindings, duration, and where it went."""

    sql: str
    bindings: Any
    time_ms: float
    connection: str
    read_write: str
    """'read' or 'write': which kind of session ran it."""


@dataclass(slots=True)
class LoggedQuery:
    """An entry of the query log."""

    sql: str
    bindings: Any
    time_ms: float

    def to_row(self) -> Row:
        """As `get_query_log()` lists it, under Laravel's names."""
        return Row(query=self.sql, bindings=self.bindings, time=self.time_ms)


@dataclass(slots=True)
class SlowLimit:
    """`when_querying_for_longer_than(ms, fn)`: once a scope, when its statements sum up to that."""

    ms: float
    fn: Callable[..., object]


class Watched(Protocol):
    """What a connection remembers for those who watch it."""

    @property
    def slow_limits_reached(self) -> list[SlowLimit]: ...


@dataclass(slots=True)
class Hooks:
    """What watches every connection of one Database."""

    listeners: list[Callable[[QueryExecuted], object]] = field(default_factory=list)
    before: list[Callable[[str, Any, Any], object]] = field(default_factory=list)
    """Called with text, bindings and the Connection, before each statement."""
    slow: list[SlowLimit] = field(default_factory=list)

    def tell(self, connection: Watched, event: QueryExecuted, total_ms: float) -> None:
        """Call the listeners, and each slow-query hook that *total_ms* has newly reached."""
        for fn in self.listeners:
            fn(event)
        for limit in self.slow:
            if total_ms > limit.ms and limit not in connection.slow_limits_reached:
                connection.slow_limits_reached.append(limit)
                limit.fn(connection, event)

    def __bool__(self) -> bool:
        return bool(self.listeners or self.before or self.slow)
