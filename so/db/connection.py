"""One connection to one database, for one thread of one process.

Statements come in with `?` or `:name` placeholders and go to the session of the dialect; this
module decides which session (writer or replica, fresh or waiting in the pool), what an error means
for the statement, and whether running it again is safe:

* a lost connection: a read outside a transaction runs again on a new session; a write does not,
  because nobody knows whether it happened;
* a deadlock outside a transaction: the statement alone was rolled back, so it runs again;
* anything inside a transaction: the error goes up; only all of the transaction may run again.

Transactions are so/db/transactions.py, watchers so/db/watching.py, text and values the dialects.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, cast

from so.db.dialects import Dialect, Outcome, Session, Tuples
from so.db.errortext import redacted
from so.db.options import options
from so.db.pool import Pool, forget_inherited
from so.db.rows import Collection, Row
from so.db.sqltext import is_locking, is_read
from so.db.transactions import Transactions
from so.db.watching import Hooks, LoggedQuery, QueryExecuted, SlowLimit
from so.errors import (
    ConnectionOwnerError,
    DeadlockError,
    ImplicitCommitError,
    InvalidArgumentError,
    LockTimeoutError,
    LostConnectionError,
    MultipleColumnsSelectedError,
    QueryError,
)
from so.support.clock import Clock
from so.support.scope import Scope, current_scope

if TYPE_CHECKING:
    from so.db.grammar import Grammar
    from so.db.query import Query

Fetched = tuple[tuple[str, ...], Tuples]

_STATEMENT_ATTEMPTS = 5
"""How often a statement outside a transaction is tried when it keeps being a deadlock's victim."""

_RESTED_SECONDS = 1.0
"""A session that rested for longer is asked whether it lives before a write goes to it."""

_NOTHING: tuple[Any, ...] = ()


class Connection(Transactions):
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
        super().__init__()
        self._dialect: Dialect = dialect or make_dialect(config, name)
        self.name = name
        self.clock = clock or Clock()
        self.prefix: str = self._dialect.config["prefix"]
        self._hooks = hooks if hooks is not None else Hooks()
        self._pool = pool if pool is not None else Pool()
        self._errors: tuple[type[BaseException], ...] = self._dialect.driver_errors
        self._thread = threading.get_ident()
        self._process = os.getpid()
        self._session: Session | None = None  # the writer
        self._reader: Session | None = None
        self._direct: Session | None = None  # the writer, while nothing else is to be considered
        self._log: list[LoggedQuery] | None = None
        self._pretended: list[LoggedQuery] | None = None
        self._slow_total = 0.0
        self.slow_limits_reached: list[SlowLimit] = []
        self._attended: Scope | None = None
        self._wrote = False
        self._grammar: Grammar | None = None
        _remember(self)

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
        if self._direct is not None:
            try:
                return self._direct.rows(sql, bindings)
            except self._errors as error:
                return cast(Tuples, self._failed("rows", sql, bindings, error, use_read, True))
        return cast(Tuples, self._perform("rows", sql, bindings, use_read, True))

    def fetch(
        self, sql: str, bindings: Any = _NOTHING, use_read: bool = True
    ) -> tuple[tuple[str, ...], Tuples]:
        """Column names and rows of a query: what hydrating models needs."""
        if self._direct is not None:
            try:
                return self._direct.fetch(sql, bindings)
            except self._errors as error:
                return cast(Fetched, self._failed("fetch", sql, bindings, error, use_read, True))
        return cast(Fetched, self._perform("fetch", sql, bindings, use_read, True))

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
        come over the transaction's session: as they are stepped through on SQLite, all at once on
        MySQL, whose protocol cannot do two things at a time.
        """
        if self._level > 0 or self._pretended is not None:
            names, rows = self._perform("stream_or_fetch", sql, bindings, use_read, True)
            return names, iter(rows)
        role = self._role(sql, use_read)
        session = self._acquire(role)
        try:
            names, rows = self._watched_stream(session, sql, bindings, size)
        except BaseException:
            self._give_back(role, session)
            raise
        return names, self._to_the_end(rows, role, session)

    # --- writing

    def insert(self, sql: str, bindings: Any = _NOTHING) -> bool:
        """Run an insert; True."""
        self._write("affect", sql, bindings)
        return True

    def insert_get_id(self, sql: str, bindings: Any = _NOTHING) -> int:
        """Run an insert and give the id that the database assigned."""
        return cast(int, self._write("insert_id", sql, bindings))

    def affecting_statement(self, sql: str, bindings: Any = _NOTHING) -> int:
        """Run a statement and give the number of rows it matched, changed or not."""
        if self._direct is not None:
            try:
                return self._direct.affect(sql, bindings)
            except self._errors as error:
                return cast(int, self._failed("affect", sql, bindings, error, False, False))
        return cast(int, self._perform("affect", sql, bindings, False, False))

    update = affecting_statement
    delete = affecting_statement

    def statement(self, sql: str, bindings: Any = _NOTHING) -> bool:
        """Run any statement; True."""
        self._perform("affect", sql, bindings, False, is_read(sql))
        return True

    def unprepared(self, sql: str) -> bool:
        """Run *sql* to the letter: no placeholder is looked for, nothing is bound; True."""
        return cast(bool, self._perform("unprepared", sql, _NOTHING, False, is_read(sql)))

    def run(self, sql: str, bindings: Any = _NOTHING) -> Outcome:
        """Run one statement and give all it has to say: (rowcount, last_id, rows, columns)."""
        return cast(Outcome, self._perform("run", sql, bindings, False, is_read(sql)))

    # --- building

    @property
    def dialect(self) -> Dialect:
        """The engine; `.dialect.name` is 'sqlite' or 'mysql'."""
        return self._dialect

    @property
    def config(self) -> Mapping[str, Any]:
        """The complete settings, passwords included: not for display."""
        return self._dialect.config

    @property
    def grammar(self) -> Grammar:
        """What turns a query of this connection into SQL."""
        if self._grammar is None:
            from so.db.grammar import grammar_for

            self._grammar = grammar_for(self._dialect.name, self.prefix)
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

    def separate(self) -> Connection:
        """A new connection to the same database, for work outside this one's transaction.

        The caller closes it. On SQLite it waits for this connection's own write transaction like
        any stranger would.
        """
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

    def listen(self, fn: Callable[[QueryExecuted], object]) -> None:
        """Call *fn* after every statement, of all connections of this Database."""
        self._hooks.listeners.append(fn)
        refresh_all(self._hooks)

    def before_executing(self, fn: Callable[[str, Any, Connection], object]) -> None:
        """Call `fn(sql, bindings, connection)` before every statement."""
        self._hooks.before.append(fn)
        refresh_all(self._hooks)

    def when_querying_for_longer_than(
        self, ms: float, fn: Callable[[Connection, QueryExecuted], object]
    ) -> None:
        """Call `fn(connection, event)` once a scope when its statements took more than *ms*."""
        self._hooks.slow.append(SlowLimit(ms, fn))
        refresh_all(self._hooks)

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

    def get_query_log(self) -> list[dict[str, Any]]:
        """The statements kept: `{"query", "bindings", "time"}` each, secrets masked."""
        return [entry.to_dict() for entry in self._log or ()]

    def get_raw_query_log(self) -> list[dict[str, Any]]:
        """The statements kept, with their values written in: `{"raw_query", "time"}` each."""
        from so.db.errortext import bound

        return [{"raw_query": bound(e.sql, e.bindings), "time": e.time_ms} for e in self._log or ()]

    @contextmanager
    def without_query_log(self) -> Iterator[Self]:
        """Keep nothing for the block."""
        kept, self._log = self._log, None
        self._refresh()
        try:
            yield self
        finally:
            self._log = kept
            self._refresh()

    def pretend(self, fn: Callable[..., object]) -> list[dict[str, Any]]:
        """What *fn* would run, as in `get_query_log()`. Nothing is executed, reads are empty."""
        from so.db.transactions import _takes_connection

        outer, self._pretended = self._pretended, []
        self._refresh()
        try:
            fn(self) if _takes_connection(fn) else fn()
            return [entry.to_dict() for entry in self._pretended]
        finally:
            self._pretended = outer
            self._refresh()

    # --- opening and closing

    def close(self) -> None:
        """Roll back what is open and close the sessions; the next statement opens new ones."""
        if self._process == os.getpid():
            self._unwind(0)
        self._discard()

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

    def __del__(self) -> None:
        session, reader = getattr(self, "_session", None), getattr(self, "_reader", None)
        for held in (session, reader):
            if held is not None:
                held.close()

    def __repr__(self) -> str:
        return f"<Connection {self.name!r} to {self._dialect.name}>"

    # --- one statement

    def _write(self, op: str, sql: str, bindings: Any) -> Any:
        return self._perform(op, sql, bindings, False, False)

    def _perform(self, op: str, sql: str, bindings: Any, use_read: bool, repeatable: bool) -> Any:
        """Run one statement with everything that may surround it."""
        self._refuse_if_unfit(sql)
        if self._is_watched():
            return self._watched(op, sql, bindings, use_read, repeatable)
        return self._attempt_once(op, sql, bindings, use_read, repeatable)

    def _refuse_if_unfit(self, sql: str) -> None:
        self._check_owner()
        if self._level > 0:
            self._refuse_if_dead()
            if self._dialect.forbids_in_transaction(sql):
                raise ImplicitCommitError(
                    f"this statement would commit the running transaction of connection "
                    f"{self.name!r} by itself: run it outside the transaction: {sql:.200}"
                )

    def _attempt_once(
        self, op: str, sql: str, bindings: Any, use_read: bool, repeatable: bool
    ) -> Any:
        try:
            session = self._session_for(sql, use_read, repeatable)
            return _call(session, op, sql, bindings)
        except self._errors as error:
            return self._failed(op, sql, bindings, error, use_read, repeatable)

    def _failed(
        self,
        op: str,
        sql: str,
        bindings: Any,
        error: BaseException,
        use_read: bool,
        repeatable: bool,
    ) -> Any:
        """Run the statement again where that is safe, else raise the driver's *error* as ours."""
        deadline = time.monotonic() + self._dialect.lock_wait_seconds
        for attempt in range(1, 1_000_000):
            problem = self._digest(error, sql, bindings, use_read)
            if not self._may_run_again(problem, error, attempt, deadline, repeatable):
                raise problem from error
            try:
                session = self._session_for(sql, use_read, repeatable)
                return _call(session, op, sql, bindings)
            except self._errors as again:
                error = again
        raise AssertionError("unreachable")

    def _digest(self, error: BaseException, sql: str, bindings: Any, use_read: bool) -> QueryError:
        """Translate *error* and let go of a session that it broke."""
        problem = self._dialect.translate(error, sql, bindings, self.name)
        self._note_death(problem)
        unusable = isinstance(problem, LostConnectionError) or self._dialect.never_ran(error)
        if unusable:
            self._drop_failed(reader=use_read and self._reader is not None)
        return problem

    def _may_run_again(
        self,
        problem: QueryError,
        error: BaseException,
        attempt: int,
        deadline: float,
        repeatable: bool,
    ) -> bool:
        if self._level > 0:
            return False
        if self._dialect.never_ran(error):
            return attempt <= len(self._dialect.hosts("write"))
        if isinstance(problem, LostConnectionError):
            return repeatable and attempt <= len(self._dialect.hosts("write"))
        if isinstance(problem, DeadlockError):
            self._pause(attempt)
            return attempt < _STATEMENT_ATTEMPTS
        if isinstance(problem, LockTimeoutError) and time.monotonic() < deadline:
            time.sleep(random.uniform(0, 0.01))  # noqa: S311  (jitter)
            return True
        return False

    def _command(self, sql: str, *, dead_or_alive: bool = False) -> None:
        """Run a transaction's own statement on the writer's session."""
        if not dead_or_alive:
            self._refuse_if_dead()
        if self._is_watched():
            self._watched("command", sql, _NOTHING, False, False)
            return
        self._run_command(sql)

    def _run_command(self, sql: str) -> None:
        self._check_owner()
        if self._session is None:
            raise LostConnectionError(
                sql, (), self.name, message=f"connection {self.name!r} lost its transaction"
            )
        try:
            self._session.command(sql)
        except self._errors as error:
            problem = self._dialect.translate(error, sql, (), self.name)
            self._note_death(problem)
            raise problem from error

    def _begin(self, mode: str | None, isolation: str | None) -> None:
        """Start the outermost transaction; nothing is lost by trying that again."""
        self._check_owner()
        texts = self._dialect.begin_statements(mode, isolation)
        if self._is_watched():
            for text in texts:
                self._watched("command", text, _NOTHING, False, True)
            return
        self._begin_now(texts)

    def _begin_now(self, texts: Any) -> None:
        for text in texts:
            try:
                self._writer().command(text)
            except self._errors as error:
                self._failed("command", text, _NOTHING, error, False, True)
        if self._splits_stickily:
            self._stick()

    # --- watching one statement

    def _is_watched(self) -> bool:
        return self._log is not None or self._pretended is not None or bool(self._hooks)

    def _refresh(self) -> None:
        """Decide anew whether statements may go to the session directly."""
        # MySQL checks its owner by itself nowhere; SQLite's driver does so in every call.
        plain = self._dialect.keeps_session and not self._is_watched() and not self._dialect.splits
        self._direct = self._session if plain else None

    def _watched(self, op: str, sql: str, bindings: Any, use_read: bool, repeatable: bool) -> Any:
        for before in self._hooks.before:
            before(sql, bindings, self)
        if self._pretended is not None:
            self._pretended.append(LoggedQuery(sql, bindings, 0.0))
            return _pretended_result(op)
        started = time.perf_counter()
        result: Any = None
        if op == "command":
            self._watched_command(sql, repeatable)
        else:
            result = self._attempt_once(op, sql, bindings, use_read, repeatable)
        self._tell(sql, bindings, started, use_read)
        return result

    def _watched_command(self, sql: str, repeatable: bool) -> None:
        if repeatable:
            self._begin_now((sql,))
        else:
            self._run_command(sql)

    def _watched_stream(self, session: Session, sql: str, bindings: Any, size: int) -> Any:
        self._check_owner()
        for before in self._hooks.before:
            before(sql, bindings, self)
        started = time.perf_counter()
        try:
            found = session.stream(sql, bindings, size)
        except self._errors as error:
            raise self._dialect.translate(error, sql, bindings, self.name) from error
        if self._is_watched():
            self._tell(sql, bindings, started, True)
        return found

    def _tell(self, sql: str, bindings: Any, started: float, use_read: bool) -> None:
        ms = (time.perf_counter() - started) * 1000
        shown = redacted(sql, bindings, self._dialect.config["redact"])
        if self._log is not None:
            self._log.append(LoggedQuery(sql, shown, ms))
        if not self._hooks:
            return
        role = "read" if use_read and self._reader is not None else "write"
        event = QueryExecuted(sql, shown, ms, self.name, role)
        for fn in self._hooks.listeners:
            fn(event)
        self._slow_total += ms
        self._hooks.watch_the_time(self, event, self._slow_total)

    # --- sessions

    def _session_for(self, sql: str, use_read: bool, repeatable: bool) -> Session:
        if self._dialect.splits:
            if use_read and repeatable and self._role(sql, use_read) == "read":
                return self._replica()
            if not repeatable or is_locking(sql):
                self._stick()
        session = self._writer()
        if not repeatable and self._level == 0 and self._has_rested(session):
            self._discard()
            session = self._writer()
        return session

    @staticmethod
    def _has_rested(session: Session) -> bool:
        """True for a session that nobody used for a while and that does not answer any more."""
        return time.monotonic() - session.used_at > _RESTED_SECONDS and not session.is_alive()

    def _role(self, sql: str, use_read: bool) -> str:
        if not (self._dialect.splits and use_read) or self._level > 0 or is_locking(sql):
            return "write"
        return "write" if self._is_sticky() else "read"

    @property
    def _splits_stickily(self) -> bool:
        return self._dialect.splits and bool(self._dialect.config.get("sticky"))

    def _is_sticky(self) -> bool:
        if not self._splits_stickily:
            return False
        scope = current_scope()
        return self._wrote if scope is None else self.name in scope.sticky

    def _stick(self) -> None:
        """From this write on, reads of the same scope go to the writer."""
        scope = current_scope()
        if scope is None:
            self._wrote = True
        else:
            scope.sticky.add(self.name)

    def forget_writes(self) -> None:
        """Let reads go to the replicas again."""
        self._wrote = False
        scope = current_scope()
        if scope is not None:
            scope.sticky.discard(self.name)

    def _writer(self) -> Session:
        if self._session is None:
            self._session = self._acquire("write")
            self._attend()
            self._refresh()
        return self._session

    def _replica(self) -> Session:
        if self._reader is None:
            try:
                self._reader = self._acquire("read")
            except LostConnectionError:
                return self._writer()
            self._attend()
        return self._reader

    def _acquire(self, role: str) -> Session:
        """A session for *role*: one that waits in the pool, or a new one on the first host that
        takes us."""
        self._check_owner()
        failure: BaseException | None = None
        for host in self._dialect.hosts(role):
            session = self._pool.take(self.name, role, host, self._dialect.config["max_age"])
            if session is not None:
                return session
            try:
                return self._dialect.open(role, host)
            except self._errors as error:
                problem = self._dialect.translate(error, "", (), self.name)
                if not isinstance(problem, LostConnectionError) and not self._dialect.never_ran(
                    error
                ):
                    raise _cannot_connect(self, host, problem) from error
                self._dialect.shun(host)
                failure = error
        tried = ", ".join(self._dialect.hosts(role))
        raise LostConnectionError(
            "", (), self.name, failure, f"cannot connect {self.name!r} to {tried}: {failure}"
        ) from failure

    def _give_back(self, role: str, session: Session) -> None:
        if self._dialect.keeps_session:
            session.close()
        else:
            self._pool.give(self.name, role, session)

    def _to_the_end(
        self, rows: Iterator[tuple[Any, ...]], role: str, session: Session
    ) -> Iterator[tuple[Any, ...]]:
        finished = False
        try:
            yield from rows
            finished = True
        except self._errors as error:
            raise self._dialect.translate(error, "", (), self.name) from error
        finally:
            if finished:
                self._give_back(role, session)
            else:
                session.close()  # what it still has to say would answer the next question

    def _discard(self) -> None:
        """Close both sessions."""
        for session in (self._session, self._reader):
            if session is not None:
                session.close()
        self._session = self._reader = self._direct = None

    def _drop_failed(self, *, reader: bool) -> None:
        """Close the session that broke, and try other hosts first for a while."""
        session = self._reader if reader else self._session
        if session is None:
            return
        self._dialect.shun(session.host)
        session.close()
        if reader:
            self._reader = None
        else:
            self._session = self._direct = None

    def _attend(self) -> Scope | None:
        """See to it that the current scope, when it ends, ends what it began here."""
        scope = current_scope()
        if scope is not None and scope is not self._attended:
            self._attended = scope
            scope.on_exit(lambda: self._leave(scope))
        return scope

    def _leave(self, scope: Scope) -> None:
        self._attended = None
        self._slow_total = 0.0
        self.slow_limits_reached.clear()
        self._roll_back_leftover(scope)
        if self._level == 0 and not self._dialect.keeps_session:
            self._release()

    def _release(self) -> None:
        """Give the sessions back for others to use."""
        for role, session in (("write", self._session), ("read", self._reader)):
            if session is not None:
                self._give_back(role, session)
        self._session = self._reader = self._direct = None

    def _check_owner(self) -> None:
        if threading.get_ident() != self._thread:
            raise ConnectionOwnerError(
                f"connection {self.name!r} belongs to the thread that made it: ask the Database "
                "for a connection in each thread, or make one there"
            )

    def _after_fork(self) -> None:
        """In a forked child: forget the parent's sessions and its transaction."""
        for session in (self._session, self._reader):
            if session is not None:
                session.abandon()
        self._session = self._reader = self._direct = None
        self._level = 0
        self._dead = self._scope = self._attended = None
        self._on_commit.clear()
        self._on_roll_back.clear()
        self._process = os.getpid()


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


def _call(session: Session, op: str, sql: str, bindings: Any) -> Any:
    if op == "command":
        return session.command(sql)
    if op == "stream_or_fetch":
        # MySQL's protocol does one thing at a time, and the loop's body may use this connection.
        return (
            session.fetch(sql, bindings)
            if _is_mysql(session)
            else session.stream(sql, bindings, 500)
        )
    return getattr(session, op)(sql, bindings)


def _is_mysql(session: Session) -> bool:
    return not hasattr(session, "backup")


def _pretended_result(op: str) -> Any:
    results: dict[str, Any] = {
        "rows": [],
        "fetch": ((), []),
        "stream_or_fetch": ((), []),
        "affect": 0,
        "insert_id": 0,
        "run": Outcome(0, 0, []),
        "unprepared": True,
    }
    return results.get(op)


def _cannot_connect(connection: Connection, host: str, problem: QueryError) -> QueryError:
    return type(problem)(
        "",
        (),
        connection.name,
        problem.cause,
        f"cannot connect {connection.name!r} to {host}: {problem.cause}",
    )


# --- forks ----------------------------------------------------------------------------------------

_alive: weakref.WeakSet[Connection] = weakref.WeakSet()
_alive_lock = threading.Lock()
_forks_are_watched = False


def _remember(connection: Connection) -> None:
    global _forks_are_watched
    with _alive_lock:
        _alive.add(connection)
        if not _forks_are_watched:
            _forks_are_watched = True
            os.register_at_fork(after_in_child=_drop_inherited)


def _all_alive() -> list[Connection]:
    with _alive_lock:
        return list(_alive)


def _drop_inherited() -> None:
    global _alive_lock
    _alive_lock = threading.Lock()  # the parent may have held it just then
    forget_inherited()
    for connection in _all_alive():
        connection._after_fork()


def refresh_all(hooks: Hooks) -> None:
    """Make every connection that *hooks* watch look at them again."""
    for connection in _all_alive():
        if connection._hooks is hooks:
            connection._refresh()
