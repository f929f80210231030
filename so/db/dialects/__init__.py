"""The engines. A `Dialect` knows how to open one and what its errors mean.

A `DriverSession` is one open handle of its driver. Connections, transactions and retries are
so/db/connection.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from so.errors import QueryError

Tuples = list[tuple[Any, ...]]


class Executed(NamedTuple):
    """What one statement did: rows matched, the last inserted id, rows returned and their names."""

    rowcount: int
    last_id: int
    rows: Tuples
    columns: tuple[str, ...] = ()


class Server(NamedTuple):
    """Which database answers: 'sqlite', 'mariadb' or 'mysql', and its version as numbers."""

    product: str
    version: tuple[int, ...]

    @property
    def returns_rows(self) -> bool:
        """Whether an insert or a delete gives its rows with `returning`; MySQL's never do."""
        return self.product != "mysql"


class DriverSession(Protocol):
    """One open driver handle. Every method may raise the dialect's `driver_errors`."""

    opened_at: float
    """`time.monotonic()` of its opening."""
    used_at: float
    """`time.monotonic()` of its last use, as far as the dialect keeps it."""
    host: str
    """Which server it is connected to; a path for SQLite."""

    in_statement: bool
    """True from sending a statement until its answer was read."""
    tainted: bool
    """True once a statement changed what the next user of this session would find."""
    interleaves: bool
    """Whether other statements may run while a stream is read."""
    holds_database: bool
    """Whether the database is gone with its last session: one in memory."""
    watcher: Callable[[], Callable[[str], object] | None] | None
    """A weak reference to what has to hear of each text that is not `is_ordinary` before it runs,
    where statements come to this session directly."""

    def rows(self, sql: str, bindings: Any) -> Tuples:
        """The rows of a query."""

    def fetch(self, sql: str, bindings: Any) -> tuple[tuple[str, ...], Tuples]:
        """Column names and rows of a query."""

    def affect(self, sql: str, bindings: Any) -> int:
        """How many rows a statement matched."""

    def insert_id(self, sql: str, bindings: Any) -> int:
        """The id that an insert was given by the engine."""

    def run(self, sql: str, bindings: Any) -> Executed:
        """Everything about one statement."""

    def unprepared(self, sql: str, bindings: Any) -> bool:
        """Run *sql* to the letter: nothing bound, no placeholder looked for."""

    def command(self, sql: str) -> None:
        """Run a fixed text without bindings or rows (begin, commit, savepoint, …)."""

    def stream(
        self, sql: str, bindings: Any, size: int
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Column names, and rows as they arrive; nothing else may run before the last one."""

    def is_alive(self) -> bool:
        """Ask the server."""

    def transaction_is_open(self) -> bool:
        """Whether the engine still has the transaction that was begun here."""

    def is_in_transaction(self) -> bool:
        """Whether a transaction was open after the last statement, whoever began it."""

    def close(self) -> None:
        """Close the handle; never raises."""

    def abandon(self) -> None:
        """Forget the handle in a forked child, without a word to the server."""


class Dialect(Protocol):
    """One engine as configured for one connection."""

    name: str
    """'sqlite' or 'mysql'."""
    server: Server | None
    """What answers, once a session was opened."""
    driver_errors: tuple[type[BaseException], ...]
    config: Mapping[str, Any]
    splits: bool
    """Whether reads may go to servers of their own."""
    keeps_session: bool
    """Whether a thread keeps its session from scope to scope (SQLite) or gives it back (MySQL)."""
    releases_savepoints: bool
    lock_wait_seconds: float
    """How long this room itself goes on trying when the whole database is locked."""

    def hosts(self, role: str) -> list[str]:
        """Where sessions for *role* ('read' or 'write') may be opened, best first."""

    def open(self, role: str, host: str) -> DriverSession:
        """A new session on *host*."""

    def shun(self, host: str) -> None:
        """Try other hosts before *host* for a while: it just failed."""

    def translate(
        self, error: BaseException, sql: str, bindings: Any, connection: str
    ) -> QueryError:
        """The driver's *error* as one of ours."""

    def add_details(self, problem: QueryError, session: DriverSession) -> None:
        """Complete *problem* with what only the database can tell."""

    def is_busy(self, error: BaseException) -> bool:
        """Whether *error* says that another holds the whole database, and waiting may help."""

    def explain(self, error: BaseException) -> str:
        """The text of *error*, and what helps where that is known."""

    def never_ran(self, error: BaseException | None) -> bool:
        """Whether the server told that it did not begin the statement that failed with *error*."""

    def ended_session(self, error: BaseException | None) -> bool:
        """Whether the server closed the connection over *error*, although it is about one statement
        alone."""

    def closed(self) -> None:
        """Hear that a connection was closed on purpose."""

    def begin_statements(self, mode: str | None, isolation: str | None) -> Sequence[str]:
        """What starts an outermost transaction."""

    def forbids_in_transaction(self, sql: str) -> bool:
        """Whether *sql* would begin, commit or roll back behind our back."""


_kept: list[Any] = []


def keep_for_ever(handle: Any) -> None:
    """Make sure that *handle*, inherited through fork, is never finalised in this process.

    A list would be cleared when the interpreter ends, and the handle closed with it.
    """
    _kept.append(handle)
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))
