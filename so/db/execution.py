"""Running one statement: what surrounds it, what its error means, and whether it may run again.

* A lost connection: a read outside a transaction runs again on a new session. A write does not,
  because nobody knows whether it happened, unless the server itself said that it did not begin.
* A deadlock outside a transaction: that statement alone was rolled back, so it runs again.
* Anything inside a transaction: the error goes up; only all of the transaction may run again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from so.db import lines
from so.db.dialects import Dialect, DriverSession, Executed
from so.db.errortext import redacted
from so.db.pool import Pool
from so.db.sessions import DriverSessions, all_alive
from so.db.spool import spooled
from so.db.sqltext import is_ordinary
from so.db.watching import Hooks, LoggedQuery, QueryExecuted, SlowLimit
from so.errors import (
    ConcurrencyError,
    DeadlockError,
    ForeignKeyError,
    ImplicitCommitError,
    LostConnectionError,
    NotNullError,
    QueryError,
    UniqueConstraintError,
)
from so.support.scope import Scope

_STATEMENT_ATTEMPTS = 8
"""Of one that gives way to others outside a transaction; nobody above tries it again."""
"""How often a statement outside a transaction is tried while it keeps being a deadlock's victim."""

_READING = ("read", "read only", "deferred")
"""Modes of transactions that take no lock when they begin."""

_OF_ONE_STATEMENT = (UniqueConstraintError, ForeignKeyError, NotNullError)
"""Errors after which InnoDB's transaction goes on: common, and not worth another question."""

_RESTED_SECONDS = 1.0
"""A session that rested for longer is asked whether it lives before a write goes to it."""

_BACK_OFF = (0.005, 0.3)
"""Seconds: the mean of the first pause between attempts, and the longest."""


class Call(NamedTuple):
    """One statement to be run: *op* is the method of Session that runs it."""

    op: str
    sql: str
    bindings: Any
    use_read: bool
    repeatable: bool


class Execution(DriverSessions):
    """The layer of a Connection that runs one statement."""

    _dead: QueryError | None = None
    """The error that ended the running transaction on the server, until it is rolled back here."""

    def __init__(self, dialect: Dialect, name: str, pool: Pool, hooks: Hooks) -> None:
        super().__init__(dialect, name, pool)
        self._hooks = hooks
        self._log: list[LoggedQuery] | None = None
        self._pretended: list[LoggedQuery] | None = None
        self._total_ms = 0.0
        self.slow_limits_reached: list[SlowLimit] = []

    # --- the way of every statement that cannot go directly

    @property
    def is_pretending(self) -> bool:
        """True inside `pretend()`: statements are noted, not run."""
        return self._pretended is not None

    def _perform(self, op: str, sql: str, bindings: Any, use_read: bool, repeatable: bool) -> Any:
        self._check_owner()
        if self._level > 0:
            self._refuse_in_transaction(sql)
        call = Call(op, sql, bindings, use_read, repeatable)
        return self._watched(call) if self._is_watched() else self._attempt(call)

    def quietly(self, sql: str, bindings: Any = ()) -> Any:
        """The rows of a question of our own about the tables: nobody who watches hears of it.

        Nothing where it cannot be answered.
        """
        if self._pretended is not None or self._dead is not None:
            return []
        self._check_owner()
        with suppress(QueryError):
            return self._attempt(Call("rows", sql, bindings, True, True))
        return []

    def _refuse_in_transaction(self, sql: str) -> None:
        self._refuse_if_dead()
        if self._dialect.forbids_in_transaction(sql):
            raise ImplicitCommitError(
                f"this statement would begin or end the running transaction of connection "
                f"{self.name!r} by itself: nest `with DB.transaction():`, or run it outside the "
                f"transaction: {sql.strip():.200}"
            )

    def _attempt(self, call: Call) -> Any:
        session = self._session_for(call)
        unusual = call.op != "begin" and not is_ordinary(call.sql)
        if unusual:
            self._note_traces(session)
        try:
            result = _run(session, call)
        except self._errors as error:
            return self._failed(call, session, error)
        except BaseException:
            self._mistrust(session)
            raise
        if unusual and self._level > 0 and not session.is_in_transaction():
            self._ended_by(call.sql)
        return result

    def _ended_by(self, sql: str) -> NoReturn:
        """Say that what *sql* called ended the transaction, which its text does not tell."""
        message = (
            f"this statement ended the running transaction of connection {self.name!r}: what it "
            f"calls must neither commit nor change tables: {sql.strip():.200}"
        )
        self._note_death(LostConnectionError(connection=self.name, message=message))
        raise ImplicitCommitError(message)

    def _announced(self, sql: str) -> None:
        """Hear from the session, which is used directly, of an unusual statement before it runs."""
        if self._level > 0:
            self._refuse_in_transaction(sql)
        if self._session is not None:
            self._note_traces(self._session)

    def _session_for(self, call: Call) -> DriverSession:
        if self._dialect.splits:
            if self._role(call.sql, call.use_read and call.repeatable) == "read":
                return self._replica()
            if not call.repeatable:
                self._stick()
        session = self._writer()
        unused = self._level == 0 and not session.tainted
        if not call.repeatable and unused and _has_died(session):
            self._drop(session)
            session = self._writer()
        return session

    # --- errors

    def _failed(self, call: Call, session: DriverSession, error: BaseException) -> Any:
        """Run the statement again where that is safe, else raise the driver's *error* as ours."""
        deadline = time.monotonic() + self._dialect.lock_wait_seconds
        attempt = 0
        while True:
            attempt += 1
            try:
                if self._dialect.is_busy(error) and time.monotonic() < deadline:
                    return self._when_free(call, session)
                problem = self._digest(call, session, error)
                if not self._may_run_again(call, problem, session, attempt):
                    raise problem from error
                session = self._session_for(call)
                return _run(session, call)
            except self._errors as again:
                error = again

    def _when_free(self, call: Call, session: DriverSession) -> Any:
        """Run it as soon as nobody else has all of the database locked; the driver's error when
        that lasts for too long."""
        with lines.turn(session.host, self._dialect.lock_wait_seconds) as deadline:
            attempt = 0
            while True:
                attempt += 1
                try:
                    return _run(session, call)
                except self._errors as error:
                    if not self._waited_for_lock(error, attempt, deadline):
                        raise

    def _waited_for_lock(self, error: BaseException, attempt: int, deadline: float) -> bool:
        """True after a pause if *error* is another's lock on all of the database."""
        if not self._dialect.is_busy(error) or time.monotonic() >= deadline:
            return False
        lines.pause(attempt)
        return True

    def _digest(self, call: Call, session: DriverSession, error: BaseException) -> QueryError:
        """Translate *error*, let go of a session that it broke, note a transaction it ended."""
        problem = self._dialect.translate(error, call.sql, call.bindings, self.name)
        if self._dialect.never_ran(error):
            self._dialect.shun(session.host)
            self._drop(session)
        elif isinstance(problem, LostConnectionError) or self._dialect.ended_session(error):
            self._drop(session)
        else:
            self._dialect.add_details(problem, session)
        self._note_death(problem)
        return problem

    def _may_run_again(
        self, call: Call, problem: QueryError, session: DriverSession, attempt: int
    ) -> bool:
        # A new session would lack what plain SQL left in this one: variables, a transaction, …
        if self._level > 0 or session.tainted or self._took_too_long(session):
            return False
        if self._dialect.never_ran(problem.cause):
            return attempt <= self._number_of_hosts()
        if isinstance(problem, LostConnectionError):
            return call.repeatable and attempt <= self._number_of_hosts()
        if not isinstance(problem, DeadlockError) or attempt >= _STATEMENT_ATTEMPTS:
            return False
        self._pause(attempt)
        return True

    def _took_too_long(self, session: DriverSession) -> bool:
        """True after a read timeout: the next attempt would take just as long."""
        limit: float | None = self._dialect.config.get("read_timeout")
        return limit is not None and 0 < limit <= time.monotonic() - session.used_at

    def _number_of_hosts(self) -> int:
        return max(len(self._dialect.hosts("write")), len(self._dialect.hosts("read")))

    @staticmethod
    def _pause(attempt: int) -> None:
        first, longest = _BACK_OFF
        time.sleep(random.uniform(0, min(first * 2**attempt, longest)))  # noqa: S311  (jitter)

    def _mistrust(self, session: DriverSession) -> None:
        """Close a session that was interrupted in the middle of a statement.

        What the server still has to say would be taken for the answer to the next question.
        """
        if session.in_statement:
            self._drop(session)
            self._note_death(
                LostConnectionError(
                    connection=self.name, message="a statement of this transaction was interrupted"
                )
            )

    def _note_death(self, problem: QueryError) -> None:
        """Remember in a transaction that *problem* ended it on the server."""
        if self._level > 0 and self._dead is None and self._ends_transaction(problem):
            self._dead = problem
            self._refresh()  # from now on every statement has to be refused

    def _ends_transaction(self, problem: QueryError) -> bool:
        if isinstance(problem, LostConnectionError) or self._session is None:
            return True
        if self._dialect.name != "mysql":
            return not self._session.transaction_is_open()
        if isinstance(problem, (DeadlockError, *_OF_ONE_STATEMENT)):
            return isinstance(problem, DeadlockError)
        # By the server's settings (innodb_rollback_on_timeout) a lock wait ends all of it or the
        # statement alone. An error does not tell, the next answer does.
        with suppress(*self._errors):
            self._session.command("do 0")
            return not self._session.is_in_transaction()
        return False

    def _refuse_if_dead(self) -> None:
        if self._dead is None:
            return
        kind = DeadlockError if isinstance(self._dead, ConcurrencyError) else LostConnectionError
        raise kind(
            connection=self.name,
            cause=self._dead,
            message=f"this transaction is over, an earlier statement ended it: {self._dead}; "
            "roll it back and run all of it again",
        ) from self._dead

    # --- a transaction's own statements, which nobody watches

    def _command(self, sql: str) -> None:
        """Run *sql* on the writer's session, in the transaction that is open there."""
        if self._pretended is not None:
            return
        session = self._session
        if session is None:
            raise LostConnectionError(
                connection=self.name, message=f"connection {self.name!r} lost its transaction"
            )
        try:
            session.command(sql)
        except self._errors as error:
            self._command_failed(sql, session, error)
        except BaseException:
            self._mistrust(session)
            raise

    def _command_failed(self, sql: str, session: DriverSession, error: BaseException) -> None:
        """Go on trying while the database is locked, else raise."""
        deadline = time.monotonic() + self._dialect.lock_wait_seconds
        attempt = 1
        while self._waited_for_lock(error, attempt, deadline):
            attempt += 1
            try:
                session.command(sql)
                return
            except self._errors as again:
                error = again
        raise self._digest(Call("command", sql, (), False, False), session, error) from error

    def _begin(self, mode: str | None, isolation: str | None) -> None:
        """Start the outermost transaction; if that fails nothing is lost, so it is tried again."""
        texts = self._dialect.begin_statements(mode, isolation)
        call = Call("begin", texts[-1], texts, False, True)
        session = self._direct
        if session is not None:
            goes_behind = mode not in _READING and lines.is_overdue(session.host)
            try:
                self._when_free(call, session) if goes_behind else _begin(session, call)
            except self._errors as error:
                if goes_behind and self._dialect.is_busy(error):
                    raise self._digest(call, session, error) from error
                self._failed(call, session, error)
        elif self._pretended is None:
            self._check_owner()
            self._attempt(call)

    # --- streams

    def _open_stream(
        self, call: Call, size: int
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Column names and rows of a query over a session that nothing else uses meanwhile."""
        self._check_owner()
        role = self._role(call.sql, call.use_read)
        self._before(call)
        started = time.perf_counter()
        deadline = time.monotonic() + self._dialect.lock_wait_seconds
        attempt = 0
        while True:
            attempt += 1
            session = self._acquire(role)
            session.tainted = session.tainted or not is_ordinary(call.sql)
            try:
                names, rows = session.stream(call.sql, call.bindings, size)
            except self._errors as error:
                session.close()
                if not self._waited_for_lock(error, attempt, deadline):
                    problem = self._digest(call, session, error)
                    if not self._may_run_again(call, problem, session, attempt):
                        raise problem from error
            except BaseException:
                session.close()
                raise
            else:
                self._after(call, started, role)
                return names, self._to_the_end(rows, role, session)

    def _to_the_end(
        self, rows: Iterator[tuple[Any, ...]], role: str, session: DriverSession
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
                session.close()  # it would have to read all the rest first

    # --- watching

    def _is_watched(self) -> bool:
        return self._log is not None or self._pretended is not None or bool(self._hooks)

    def _refresh(self) -> None:
        # MySQL's sessions check their owner nowhere; SQLite's driver does it in every call.
        plain = self._dialect.keeps_session and self._dead is None and not self._is_watched()
        self._direct = self._session if plain else None

    def _watched(self, call: Call) -> Any:
        self._before(call)
        if self._pretended is not None:
            self._pretended.append(LoggedQuery(call.sql, self._shown(call), 0.0))
            return _PRETENDED.get(call.op)
        started = time.perf_counter()
        result = self._attempt(call)
        role = "write" if self._reader is None else self._role(call.sql, call.use_read)
        self._after(call, started, role)
        return result

    def _before(self, call: Call) -> None:
        for fn in self._hooks.before:
            fn(call.sql, call.bindings, self)

    def _after(self, call: Call, started: float, role: str) -> None:
        if not self._is_watched():
            return
        ms = (time.perf_counter() - started) * 1000
        shown = self._shown(call)
        if self._log is not None:
            self._log.append(LoggedQuery(call.sql, shown, ms))
        if self._hooks:
            event = QueryExecuted(call.sql, shown, ms, self.name, role)
            self._total_ms += ms
            self._hooks.tell(self, event, self._total_ms)

    def _shown(self, call: Call) -> Any:
        return redacted(call.sql, call.bindings, self._dialect.config["redact"])

    def _end_of_scope(self, scope: Scope) -> None:
        super()._end_of_scope(scope)
        self._total_ms = 0.0
        self.slow_limits_reached.clear()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._level = 0
        self._dead = None


_PRETENDED: dict[str, Any] = {
    "rows": [],
    "fetch": ((), []),
    "fetch_or_stream": ((), []),
    "affect": 0,
    "insert_id": 0,
    "run": Executed(0, 0, []),
    "unprepared": True,
}


def _begin(session: DriverSession, call: Call) -> None:
    for text in call.bindings:
        session.command(text)


def _fetch_or_stream(session: DriverSession, call: Call) -> Any:
    """Rows that nothing changes which the loop's body does over the same session."""
    if session.interleaves:
        names, rows = session.stream(call.sql, call.bindings, 500)
        try:
            return names, spooled(rows)
        finally:
            close = getattr(rows, "close", None)
            if close is not None:  # a cursor stopped by an error would keep its tables locked
                close()
    return session.fetch(call.sql, call.bindings)


_SPECIAL: dict[str, Callable[[DriverSession, Call], Any]] = {
    "begin": _begin,
    "fetch_or_stream": _fetch_or_stream,
}


def _run(session: DriverSession, call: Call) -> Any:
    special = _SPECIAL.get(call.op)
    if special is not None:
        return special(session, call)
    return getattr(session, call.op)(call.sql, call.bindings)


def _has_died(session: DriverSession) -> bool:
    """True for a session that nobody used for a while and that does not answer any more."""
    return time.monotonic() - session.used_at > _RESTED_SECONDS and not session.is_alive()


def refresh_all(hooks: Hooks) -> None:
    """Make every connection that *hooks* watch look at them again."""
    for connection in all_alive():
        if connection._hooks is hooks:
            connection._refresh()
