"""One connection to one database, for one thread of one process: what everybody calls.

Statements come in with `?` or `:name` placeholders. The layers below, each a class of its own:
which session (sessions.py), one statement and its errors (execution.py), transactions
(transactions.py); the engines are in dialects/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, cast

from so.db.dialects import Dialect, Executed, Server, Tuples
from so.db.errortext import bound
from so.db.execution import Call, refresh_all
from so.db.options import options, zone_of
from so.db.pool import Pool
from so.db.rows import Collection, Row
from so.db.sqltext import is_read
from so.db.transactions import Transactions, takes_connection
from so.db.watching import Hooks, QueryExecuted, SlowLimit
from so.errors import InvalidArgumentError, MultipleColumnsSelectedError, QueryError
from so.support.clock import Clock
from so.support.plain import plain

if TYPE_CHECKING:
    from so.db.grammar import Grammar
    from so.db.query import Query

Fetched = tuple[tuple[str, ...], Tuples]

_NOTHING: tuple[Any, ...] = ()


class Watchable:
    """What takes listeners: a Database, and each of its connections for all of them."""

    _hooks: Hooks

    def listen(self, fn: Callable[[QueryExecuted], object]) -> None:
        """Call *fn* after every statement, on every connection and thread."""
        self._hooks.listeners.append(plain(fn, "the listener"))
        refresh_all(self._hooks)

    def before_executing(self, fn: Callable[[str, Any, Connection], object]) -> None:
        """Call `fn(sql, bindings, connection)` before every statement."""
        self._hooks.before.append(plain(fn, "the listener"))
        refresh_all(self._hooks)

    def when_querying_for_longer_than(
        self, ms: float, fn: Callable[[Connection, QueryExecuted], object]
    ) -> None:
        """Call `fn(connection, event)` once a scope when its statements took more than *ms*."""
        self._hooks.slow.append(SlowLimit(ms, plain(fn, "the listener")))
        refresh_all(self._hooks)


class Connection(Watchable, Transactions):
    """Statements, transactions and hooks of one database.

    *config* is a mapping (see config/database.py), a URL, or the path of an SQLite file;
    `Connection(":memory:")` is a database of its own. Nothing is opened before the first statement.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | str,
        name: str = "default",
        clock: Clock | None = None,
        *,
        dialect: Dialect | None = None,
        hooks: Hooks | None = None,
        pool: Pool | None = None,
    ) -> None:
        """*dialect*, *hooks* and *pool* are shared by the connections of a Database."""
        super().__init__(
            dialect or make_dialect(config, name),
            name,
            pool if pool is not None else Pool(),
            hooks if hooks is not None else Hooks(),
        )
        self.clock = clock or Clock()
        self.prefix: str = self._dialect.config["prefix"]
        self.zone = zone_of(str(self._dialect.config["timezone"]))
        self.max_statement_bytes: int | None = self._dialect.config.get("max_statement_bytes")
        self._grammar: Grammar | None = None

    # --- reading

    def select(self, sql: str, bindings: Any = _NOTHING, use_read: bool = True) -> Collection[Row]:
        """The rows of a query."""
        names, rows = self.fetch(sql, bindings, use_read)
        return Collection([Row(zip(names, row, strict=False)) for row in rows])

    def select_one(self, sql: str, bindings: Any = _NOTHING, use_read: bool = True) -> Row | None:
        """The first row of a query, or None."""
        names, rows = self.fetch(sql, bindings, use_read)
        return Row(zip(names, rows[0], strict=True)) if rows else None

    def scalar(self, sql: str, bindings: Any = _NOTHING, use_read: bool = True) -> Any:
        """The one column of the first row, or None without rows.

        Raises MultipleColumnsSelectedError for a query of several columns.
        """
        names, rows = self.fetch(sql, bindings, use_read)
        if len(names) > 1:
            raise MultipleColumnsSelectedError(
                f"scalar() needs a query of one column, this one has {', '.join(names)}: {sql}"
            )
        return rows[0][0] if rows else None

    def select_tuples(self, sql: str, bindings: Any = _NOTHING, use_read: bool = True) -> Tuples:
        """The rows of a query as plain tuples: the fastest way to read."""
        # Here and below: while nothing else is to be considered, the session is asked directly.
        direct = self._direct
        if direct is None:
            return cast(Tuples, self._perform("rows", sql, bindings, use_read, is_read(sql)))
        try:
            return direct.rows(sql, bindings)
        except self._errors as error:
            call = Call("rows", sql, bindings, use_read, is_read(sql))
            return cast(Tuples, self._failed(call, direct, error))

    def fetch(self, sql: str, bindings: Any = _NOTHING, use_read: bool = True) -> Fetched:
        """Column names and rows of a query: what hydrating models needs."""
        direct = self._direct
        if direct is None:
            repeatable = is_read(sql)  # an insert with `returning` is not
            return cast(Fetched, self._perform("fetch", sql, bindings, use_read, repeatable))
        try:
            return direct.fetch(sql, bindings)
        except self._errors as error:
            call = Call("fetch", sql, bindings, use_read, is_read(sql))
            return cast(Fetched, self._failed(call, direct, error))

    def cursor(self, sql: str, bindings: Any = _NOTHING, use_read: bool = True) -> Iterator[Row]:
        """The rows of a query one by one, in bounded memory; see `stream()`."""
        names, rows = self.stream(sql, bindings, use_read)
        for row in rows:
            yield Row(zip(names, row, strict=True))

    def stream(
        self, sql: str, bindings: Any = _NOTHING, use_read: bool = True, size: int = 500
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Column names, and an iterator of tuples that fetches *size* rows at a time.

        Outside a transaction the rows come over a session of their own, so that this connection
        may be used in the loop; it is closed at the end of the iterator. Inside a transaction they
        come over the transaction's session, all at once: the protocol of MySQL cannot do two
        things at a time, and SQLite would show the loop what its own body inserts. There they are
        kept in a temporary file.
        """
        if self._level > 0 or self._pretended is not None:
            names, rows = self._perform("fetch_or_stream", sql, bindings, use_read, is_read(sql))
            return names, iter(rows)
        return self._open_stream(Call("stream", sql, bindings, use_read, is_read(sql)), size)

    # --- writing

    def insert(self, sql: str, bindings: Any = _NOTHING) -> bool:
        """Run an insert; True."""
        self.affecting_statement(sql, bindings)
        return True

    def insert_get_id(self, sql: str, bindings: Any = _NOTHING) -> int:
        """Run an insert and give the id that the database assigned."""
        direct = self._direct
        if direct is None:
            return cast(int, self._perform("insert_id", sql, bindings, False, False))
        try:
            return direct.insert_id(sql, bindings)
        except self._errors as error:
            call = Call("insert_id", sql, bindings, False, False)
            return cast(int, self._failed(call, direct, error))

    def affecting_statement(self, sql: str, bindings: Any = _NOTHING) -> int:
        """Run a statement and give the number of rows it matched, changed or not."""
        direct = self._direct
        if direct is None:
            return cast(int, self._perform("affect", sql, bindings, False, False))
        try:
            return direct.affect(sql, bindings)
        except self._errors as error:
            call = Call("affect", sql, bindings, False, False)
            return cast(int, self._failed(call, direct, error))

    update = affecting_statement
    delete = affecting_statement

    def statement(self, sql: str, bindings: Any = _NOTHING) -> bool:
        """Run any statement; True."""
        self._perform("affect", sql, bindings, False, is_read(sql))
        return True

    def unprepared(self, sql: str) -> bool:
        """Run *sql* to the letter: no placeholder is looked for, nothing is bound; True."""
        return cast(bool, self._perform("unprepared", sql, _NOTHING, False, is_read(sql)))

    def run(self, sql: str, bindings: Any = _NOTHING) -> Executed:
        """Run one statement and give all it has to say: (rowcount, last_id, rows, columns)."""
        direct = self._direct
        if direct is None:
            return cast(Executed, self._perform("run", sql, bindings, False, is_read(sql)))
        try:
            return direct.run(sql, bindings)
        except self._errors as error:
            call = Call("run", sql, bindings, False, is_read(sql))
            return cast(Executed, self._failed(call, direct, error))

    # --- building

    @property
    def dialect(self) -> Dialect:
        """The engine; `.dialect.name` is 'sqlite' or 'mysql'."""
        return self._dialect

    @property
    def server(self) -> Server:
        """The product and the version that answer here; opens a session if there was none yet."""
        if self._dialect.server is None:
            self._writer()
        return self._dialect.server or Server(self._dialect.name, ())

    @property
    def config(self) -> Mapping[str, Any]:
        """The complete settings, passwords included: not for display."""
        return self._dialect.config

    @property
    def grammar(self) -> Grammar:
        """What turns a query of this connection into SQL."""
        if self._grammar is None:
            from so.db.framework import framework_names
            from so.db.grammar import grammar_for

            bare = framework_names() if self.prefix else frozenset()
            self._grammar = grammar_for(self._dialect.name, self.prefix, bare=bare)
        return self._grammar

    def query(self) -> Query:
        """A new query without a table."""
        from so.db.query import Query

        return Query(self, self.grammar)

    def table(self, name: Any, as_: str | None = None) -> Query:
        """A new query on *name*."""
        return self.query().from_(name, as_)

    def connection(self, name: str | None = None) -> Self:
        """This connection: a Connection serves wherever a source of connections is asked for."""
        return self

    def separate(self, **changes: Any) -> Connection:
        """A new connection to the same database, for work outside this one's transaction.

        The caller closes it. *changes* are settings that it has otherwise, such as
        `read_timeout=3600`. On SQLite it waits for this connection's own write transaction like
        any stranger would.
        """
        if changes:
            return Connection({**self.config, **changes}, self.name, self.clock, hooks=self._hooks)
        return Connection(
            {}, self.name, self.clock, dialect=self._dialect, hooks=self._hooks, pool=self._pool
        )

    def database_time(self) -> float:
        """Seconds since the epoch by the database's clock; by ours where it is frozen or SQLite."""
        if self._dialect.name == "sqlite" or self.clock.is_frozen:
            return self.clock.time()
        return float(self.scalar("select unix_timestamp(now(6))", use_read=False))

    def ping(self) -> bool:
        """True if the database answers; opens a session when there is none."""
        try:
            return self._writer().is_alive()
        except QueryError:
            return False

    # --- watching

    def enable_query_log(self) -> None:
        """Keep every statement of this connection from now on."""
        self._log = self._log if self._log is not None else []
        self._refresh()

    def disable_query_log(self) -> None:
        """Stop keeping statements, and forget those kept."""
        self._log = None
        self._refresh()

    def flush_query_log(self) -> None:
        """Forget the statements kept so far."""
        if self._log is not None:
            self._log = []

    def get_query_log(self) -> list[Row]:
        """The statements kept: `{"query", "bindings", "time"}` each, secrets masked."""
        return [entry.to_row() for entry in self._log or ()]

    def get_raw_query_log(self) -> list[Row]:
        """The statements kept, with their values written in: `{"raw_query", "time"}` each."""
        return [Row(raw_query=bound(e.sql, e.bindings), time=e.time_ms) for e in self._log or ()]

    def without_query_log(self, fn: Callable[..., Any] | None = None) -> Any:
        """Keep nothing while *fn* runs, and give its result; without *fn* for a `with` block."""
        if fn is None:
            return self._unlogged()
        with self._unlogged():
            return fn(self) if takes_connection(fn) else fn()

    @contextmanager
    def _unlogged(self) -> Iterator[Self]:
        kept, self._log = self._log, None
        self._refresh()
        try:
            yield self
        finally:
            self._log = kept
            self._refresh()

    def pretend(self, fn: Callable[..., object]) -> list[Row]:
        """What *fn* would run, as in `get_query_log()`. Nothing is executed, reads are empty."""
        outer, self._pretended = self._pretended, []
        self._refresh()
        try:
            fn(self) if takes_connection(fn) else fn()
            return [entry.to_row() for entry in self._pretended]
        finally:
            self._pretended = outer
            self._refresh()

    # --- opening and closing

    def close(self) -> None:
        """Roll back what is open and close the sessions; the next statement opens new ones."""
        self._unwind(0)
        self._discard()
        self._dialect.closed()

    disconnect = close

    def reconnect(self) -> Self:
        """Close, and open a new session at once."""
        self.close()
        self._writer()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Connection {self.name!r} to {self._dialect.name}>"


def make_dialect(config: Mapping[str, Any] | str, name: str) -> Dialect:
    """The dialect that *config* asks for; raises ConfigError for what it cannot be."""
    checked = options(config, name)
    if checked["driver"] == "sqlite":
        from so.db.dialects.sqlite import SQLiteDialect

        return SQLiteDialect(checked)
    try:
        from so.db.dialects.mysql import MySQLDialect
    except ImportError as error:
        raise InvalidArgumentError(
            f"connection {name!r} needs the package mysql-connector-python: install it, "
            "or use the driver sqlite"
        ) from error
    return MySQLDialect(checked)
