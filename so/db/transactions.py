"""Transactions of one connection: levels and savepoints, callbacks, retries, and their ends.

The counter is ours. A driver's own idea of "in a transaction" is wrong after a deadlock and after
DDL, and an abort that a later statement covers up would make commit() report success for writes
that are gone. So an error that ended the transaction on the server marks it dead here, and
everything but rolling back is refused until that was done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self, cast

from so.db.dialects import Dialect
from so.db.execution import Execution
from so.db.pool import Pool
from so.db.watching import Hooks
from so.errors import (
    ConcurrencyError,
    DatabaseError,
    LostConnectionError,
    QueryError,
    TransactionError,
)
from so.support.plain import plain
from so.support.scope import Scope
from so.support.signatures import demanded

MODES = ("read", "read only", "write", "deferred", "immediate", "exclusive")
ISOLATIONS = ("read uncommitted", "read committed", "repeatable read", "serializable")


class Block:
    """`with connection.transaction() as connection:` commits at the end, or rolls back."""

    __slots__ = ("_isolation", "_level", "_mode", "_of")

    def __init__(self, of: Transactions, mode: str | None, isolation: str | None) -> None:
        self._of = of
        self._mode = mode
        self._isolation = isolation
        self._level = 0

    def __enter__(self) -> Transactions:
        self._of.begin_transaction(mode=self._mode, isolation=self._isolation)
        self._level = self._of._level
        return self._of

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._of._finish(self._level)
        else:
            self._of._unwind(self._level - 1)


class Transactions(Execution):
    """The layer of a Connection that begins, commits and rolls back."""

    _scope: Scope | None = None

    def __init__(self, dialect: Dialect, name: str, pool: Pool, hooks: Hooks) -> None:
        super().__init__(dialect, name, pool, hooks)
        self._on_commit: list[tuple[int, Callable[[], object]]] = []
        self._on_roll_back: list[tuple[int, Callable[[], object]]] = []

    # --- asking

    @property
    def in_transaction(self) -> bool:
        """True between begin and the end of the outermost transaction."""
        return self._level > 0

    def transaction_level(self) -> int:
        """0 outside, 1 in a transaction, more within savepoints; 0 once the connection is lost."""
        return 0 if isinstance(self._dead, LostConnectionError) else self._level

    # --- the usual way

    def transaction(
        self,
        fn: Callable[..., Any] | None = None,
        attempts: int = 1,
        *,
        mode: str | None = None,
        isolation: str | None = None,
    ) -> Any:
        """Run `fn()` or `fn(connection)` in a transaction and return its result; or, without *fn*,
        a context manager that gives the connection.

        Any exception rolls back and goes on. With *attempts* the whole function runs again after
        a deadlock or a lock that did not come free, but only at the outermost level.
        """
        if fn is None:
            if attempts > 1:
                raise ValueError(
                    "a with-block cannot be run again: give a function to use attempts"
                )
            return Block(self, mode, isolation)
        return self._attempts(fn, attempts, mode, isolation)

    def _attempts(
        self, fn: Callable[..., Any], attempts: int, mode: str | None, isolation: str | None
    ) -> Any:
        arguments = (self,) if takes_connection(plain(fn, "the transaction's function")) else ()
        outermost = self._level == 0
        for left in range(attempts - 1, -1, -1):
            try:
                result = self._once(fn, arguments, mode, isolation)
            except BaseException as error:
                if not (left and outermost and _is_concurrency(error)):
                    raise
            else:
                self._run_callbacks()
                return result
            self._pause(attempts - left)
        raise ValueError(f"attempts must be at least 1, not {attempts}")

    def _once(
        self,
        fn: Callable[..., Any],
        arguments: tuple[Any, ...],
        mode: str | None,
        isolation: str | None,
    ) -> Any:
        self.begin_transaction(mode=mode, isolation=isolation)
        level = self._level
        try:
            result = fn(*arguments)
        except BaseException:
            self._unwind(level - 1)
            raise
        self._commit_block(level)
        return result

    def _finish(self, level: int) -> None:
        self._commit_block(level)
        self._run_callbacks()

    def _commit_block(self, level: int) -> None:
        self._expect(level)
        try:
            self._commit()
        except BaseException:
            self._unwind(level - 1)  # the block is over either way, for whatever comes next
            raise

    def _expect(self, level: int) -> None:
        """Complain when the block ended its own transaction, or left an inner one open."""
        if self._level == level:
            return
        found = self._level
        self._unwind(level - 1)
        raise TransactionError(
            f"this transaction began at level {level} and ended at level {found}: "
            "every begin_transaction() in it needs its own commit() or roll_back()"
        )

    # --- by hand

    def begin_transaction(self, *, mode: str | None = None, isolation: str | None = None) -> Self:
        """Open a transaction, or within one a savepoint.

        *mode* (read, write, or SQLite's deferred, immediate, exclusive) and *isolation* count for
        the outermost; raises ValueError for others, on every engine.
        """
        _check(mode, MODES, "transaction mode")
        _check(isolation, ISOLATIONS, "isolation level")
        if self._level == 0:
            self._refuse_within_plain_sql()
            self._begin(mode, isolation)
            self._level = 1
            self._scope = self._attend()
        else:
            self._refuse_if_dead()
            self._command(f"savepoint trans{self._level + 1}")
            self._level += 1
        return self

    def _refuse_within_plain_sql(self) -> None:
        """MySQL would commit what a `begin` in plain SQL has opened, SQLite complain obscurely."""
        session = self._session
        if session is not None and session.tainted and session.is_in_transaction():
            raise TransactionError(
                f"connection {self.name!r} is in a transaction that was begun in plain SQL: "
                "end it by commit or rollback, or begin it by `with DB.transaction():`"
            )

    def commit(self) -> None:
        """Commit the outermost transaction and run its callbacks; or end a savepoint."""
        self._commit()
        self._run_callbacks()

    def _commit(self) -> None:
        if self._level == 0:
            raise TransactionError("there is no transaction to commit: begin one first")
        self._refuse_if_dead()
        if self._level == 1:
            self._commit_outermost()
        elif self._dialect.releases_savepoints:
            self._command(f"release savepoint trans{self._level}")
        self._level -= 1
        if self._on_commit or self._on_roll_back:
            self._promote(self._on_commit)
            self._promote(self._on_roll_back)

    def _commit_outermost(self) -> None:
        try:
            self._command("commit")
        except BaseException:
            # Whether it happened or not, this handle is not to be trusted with another statement.
            self._end(rolled_back=True, discard=True)
            raise

    def roll_back(self, to_level: int | None = None) -> None:
        """Undo the innermost transaction, or all above *to_level*; nothing to undo is no error."""
        target = self._level - 1 if to_level is None else to_level
        if 0 <= target < self._level:
            self._unwind(target)

    def _unwind(self, target: int) -> None:
        """Roll back to *target* without ever hiding the exception that brought us here."""
        if target >= self._level:
            return
        try:
            if target == 0:
                self._roll_back_all()
                return
            if self._dead is None:
                self._command(f"rollback to savepoint trans{target + 1}")
                if self._dialect.releases_savepoints:
                    self._command(f"release savepoint trans{target + 1}")
            self._drop_callbacks(target)
        except DatabaseError as error:
            self._dead = self._dead or cast("QueryError", error)
            self._drop_callbacks(target)

    def end_stray_transaction(self) -> bool:
        """Roll back what a `begin` in plain SQL has opened outside our own; whether there was any.

        It would commit nothing of what follows, and on SQLite lock everybody else out.
        """
        session = self._session
        if self._level > 0 or session is None or not session.is_in_transaction():
            return False
        self._command("rollback")
        return True

    def _roll_back_all(self) -> None:
        discard = isinstance(self._dead, LostConnectionError)
        try:
            if not discard and self._session is not None and self._session.transaction_is_open():
                self._command("rollback")
        except Exception:
            discard = True  # it ends with its handle
        except BaseException:
            self._end(rolled_back=True, discard=True)
            raise
        self._end(rolled_back=True, discard=discard)

    def _end(self, *, rolled_back: bool, discard: bool) -> None:
        self._level = 0
        self._dead = None
        self._scope = None
        if discard:
            self._renew()
        self._refresh()
        if rolled_back:
            self._drop_callbacks(0)

    # --- callbacks

    def after_commit(self, fn: Callable[[], object], *, again: bool = True) -> None:
        """Call *fn* after the outermost commit; at once outside a transaction; never if the level
        it was given at is rolled back.

        Not *again*: it need not be called a second time for what was given last.
        """
        plain(fn, "after_commit's function")
        if self._level == 0:
            fn()
        elif again or not self._on_commit or self._on_commit[-1][1] is not fn:
            self._on_commit.append((self._level, fn))

    def after_roll_back(self, fn: Callable[[], object]) -> None:
        """Call *fn* when the transaction, or the savepoint around it, is rolled back."""
        plain(fn, "after_roll_back's function")
        if self._level > 0:
            self._on_roll_back.append((self._level, fn))

    def _promote(self, callbacks: list[tuple[int, Callable[[], object]]]) -> None:
        # Levels never fall within the list. Looking at all of it for each savepoint would make a
        # transaction with a callback in each of many savepoints slow with the square of them.
        for index in range(len(callbacks) - 1, -1, -1):
            level, fn = callbacks[index]
            if level <= self._level:
                return
            callbacks[index] = (self._level, fn)

    def _run_callbacks(self) -> None:
        """After the outermost commit: all of them, in order, then the first error if any."""
        if self._level > 0 or not (self._on_commit or self._on_roll_back):
            return
        self._on_roll_back.clear()
        waiting, self._on_commit = self._on_commit, []
        _run_all([fn for _, fn in waiting])

    def _drop_callbacks(self, target: int) -> None:
        self._level = target
        self._on_commit[:] = [item for item in self._on_commit if item[0] <= target]
        undone = [fn for level, fn in self._on_roll_back if level > target]
        self._on_roll_back[:] = [item for item in self._on_roll_back if item[0] <= target]
        _run_all(undone)

    # --- ends

    def _end_of_scope(self, scope: Scope) -> None:
        """Roll back what *scope* began and left open."""
        super()._end_of_scope(scope)
        if self._level > 0 and self._scope is scope:
            logging.getLogger("so.db").warning(
                "a transaction was left open at the end of a %s and is rolled back", scope.kind
            )
            self._unwind(0)
        if self._tainting is scope:
            self._end_traces(scope)

    def _end_traces(self, scope: Scope) -> None:
        """Close the sessions that plain SQL changed within *scope*: nobody finds them so again."""
        if self._level > 0:
            self._tainting = self._scope  # they end with the transaction that is open around it
            return
        self._tainting = None
        with suppress(DatabaseError):  # an XA transaction knows no rollback: it ends below
            if self.end_stray_transaction():
                logging.getLogger("so.db").warning(
                    "a transaction begun in plain SQL was left open at the end of a %s and is "
                    "rolled back: use `with DB.transaction():`",
                    scope.kind,
                )
        self._renew()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._scope = self._tainting = None
        self._on_commit.clear()
        self._on_roll_back.clear()


def takes_connection(fn: Callable[..., Any]) -> bool:
    """True if *fn* has a positional parameter without a default."""
    code = getattr(fn, "__code__", None)
    if code is not None and not hasattr(fn, "__wrapped__"):
        bound = 1 if getattr(fn, "__self__", None) is not None else 0
        return bool(code.co_argcount - bound - len(getattr(fn, "__defaults__", None) or ()) > 0)
    return demanded(fn) > 0


def _is_concurrency(error: BaseException | None) -> bool:
    """True if *error*, or what caused it, is a conflict with another transaction."""
    while error is not None:
        if isinstance(error, ConcurrencyError):
            return True
        error = error.__cause__
    return False


def _run_all(callbacks: list[Callable[[], object]]) -> None:
    first: BaseException | None = None
    for fn in callbacks:
        try:
            fn()
        except Exception as error:
            if first is not None:
                logging.getLogger("so.db").exception("a transaction callback failed")
            first = first or error
    if first is not None:
        raise first


def _check(value: str | None, known: tuple[str, ...], what: str) -> None:
    if value is not None and value.lower().replace("-", " ") not in known:
        raise ValueError(f"unknown {what} {value!r}: use {', '.join(known)}")
