"""Which session a connection uses: the writer or a replica, its own, from the pool, or a new one.

The lowest layer of a Connection. It knows whose thread this is, what a fork means, and when a
scope ends; it runs no statement.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from so.db.dialects import Dialect, DriverSession
from so.db.pool import Pool, forget_inherited
from so.db.sqltext import is_locking
from so.errors import ConnectionOwnerError, LostConnectionError
from so.support.processes import after_fork
from so.support.scope import Scope, current_scope


class DriverSessions:
    """The sessions of one connection, for one thread of one process."""

    _level = 0
    """Open transactions: 0 outside, 1 in one, more within savepoints."""

    def __init__(self, dialect: Dialect, name: str, pool: Pool) -> None:
        self._dialect = dialect
        self.name = name
        self._pool = pool
        self._errors: tuple[type[BaseException], ...] = dialect.driver_errors
        self._thread = threading.get_ident()
        self._session: DriverSession | None = None  # the writer
        self._reader: DriverSession | None = None
        self._direct: DriverSession | None = (
            None  # the writer, while nothing else is to be considered
        )
        self._attended: Scope | None = None
        self._tainting: Scope | None = None  # in which plain SQL first changed a session
        self._wrote = False
        _remember(self)

    # --- choosing

    def _role(self, sql: str, use_read: bool) -> str:
        if not (self._dialect.splits and use_read) or self._level > 0 or is_locking(sql):
            return "write"
        return "write" if self._is_sticky() else "read"

    def _is_sticky(self) -> bool:
        scope = current_scope()
        return self._wrote if scope is None else self.name in scope.sticky

    def _stick(self) -> None:
        """From this write on, reads of the same scope go to the writer."""
        if not self._dialect.config.get("sticky"):
            return
        scope = current_scope()
        if scope is None:
            self._wrote = True
        else:
            scope.sticky.add(self.name)

    def forget_writes(self) -> None:
        """Let reads go to the replicas again, as at the start of a scope."""
        self._wrote = False
        scope = current_scope()
        if scope is not None:
            scope.sticky.discard(self.name)

    def _writer(self) -> DriverSession:
        if self._session is None:
            self._use(self._acquire("write"))
            self._attend()
        assert self._session is not None
        return self._session

    def _use(self, session: DriverSession) -> None:
        """Make *session* the writer."""
        session.watcher = weakref.WeakMethod(self._announced)
        self._session = session
        self._refresh()

    def _replica(self) -> DriverSession:
        """A replica's session, or the writer's when no replica can be reached."""
        if self._reader is None:
            try:
                self._reader = self._acquire("read")
            except LostConnectionError:
                return self._writer()
            self._attend()
        return self._reader

    def _refresh(self) -> None:
        """Decide anew whether statements may go to the session directly."""

    def _announced(self, sql: str) -> None:
        """Hear of an unusual statement that came to the session directly, before it runs."""

    def _note_traces(self, session: DriverSession) -> None:
        """See to it that what plain SQL changes in *session* ends with the current scope."""
        session.tainted = True
        if self._tainting is None:  # else it ends with the scope that was the first
            self._tainting = self._attend()

    # --- opening and closing

    def _acquire(self, role: str) -> DriverSession:
        """One that waits in the pool, or a new one on the first host that takes us."""
        self._check_owner()
        hosts = self._dialect.hosts(role)
        failure: BaseException | None = None
        for host in hosts:
            session = self._pool.take(self.name, role, host, self._dialect.config["max_age"])
            if session is not None:
                return session
            try:
                return self._dialect.open(role, host)
            except self._errors as error:
                failure = self._host_failed(host, error)
        assert failure is not None
        told = self._dialect.explain(failure)
        raise LostConnectionError(
            cause=failure,
            connection=self.name,
            message=f"cannot connect {self.name!r} to {', '.join(hosts)}: {told}",
        ) from failure

    def _host_failed(self, host: str, error: BaseException) -> BaseException:
        """Give *error* back if the next host may do better, else raise it."""
        problem = self._dialect.translate(error, "", (), self.name)
        if isinstance(problem, LostConnectionError) or self._dialect.never_ran(error):
            self._dialect.shun(host)
            return error
        message = f"cannot connect {self.name!r} to {host}: {self._dialect.explain(error)}"
        raise type(problem)("", (), self.name, error, message) from error

    def _give_back(self, role: str, session: DriverSession) -> None:
        if self._dialect.keeps_session or session.tainted or session.is_in_transaction():
            session.close()
        else:
            self._pool.give(self.name, role, session)

    def _discard(self) -> None:
        """Close both sessions."""
        for session in self._held():
            session.close()
        self._session = self._reader = self._direct = None

    def _renew(self) -> None:
        """Close both sessions for the next statement to open new ones; lose no memory database."""
        old = self._session
        if old is None or not old.holds_database:
            self._discard()
            return
        with suppress(*self._errors):
            if old.is_in_transaction():
                old.command("rollback")
            self._use(self._dialect.open("write", old.host))
            old.close()

    def _drop(self, broken: DriverSession) -> None:
        """Close the session that broke."""
        broken.close()
        if broken is self._reader:
            self._reader = None
        if broken is self._session:
            self._session = self._direct = None

    def _release(self) -> None:
        """Give the sessions back for others to use."""
        if self._session is not None:
            self._give_back("write", self._session)
        if self._reader is not None:
            self._give_back("read", self._reader)
        self._session = self._reader = self._direct = None

    def _held(self) -> Iterator[DriverSession]:
        # getattr: __del__ may run for an object whose __init__ raised.
        for session in (getattr(self, "_session", None), getattr(self, "_reader", None)):
            if session is not None:
                yield session

    def __del__(self) -> None:
        for session in self._held():
            session.close()

    # --- scopes, threads, processes

    def _attend(self) -> Scope | None:
        """See to it that the current scope, when it ends, ends what it began here."""
        scope = current_scope()
        if scope is not None and scope is not self._attended:
            self._attended = scope
            scope.on_exit(lambda: self._leave(scope))
        return scope

    def _leave(self, scope: Scope) -> None:
        if threading.get_ident() != self._thread:
            return  # a helper thread of that scope made this connection, and may still be using it
        self._attended = None
        self._end_of_scope(scope)
        if self._level == 0 and self._tainting is None and not self._dialect.keeps_session:
            self._release()

    def _end_of_scope(self, scope: Scope) -> None:
        """What the layers above have to end with *scope*."""

    def _check_owner(self) -> None:
        if threading.get_ident() != self._thread:
            raise ConnectionOwnerError(
                f"connection {self.name!r} belongs to the thread that made it: ask the Database "
                "for a connection in each thread, or make one there"
            )

    def _after_fork(self) -> None:
        """In a forked child: forget the parent's sessions, without a word to the server."""
        for session in self._held():
            session.abandon()
        self._session = self._reader = self._direct = None
        self._attended = None


_alive: weakref.WeakSet[DriverSessions] = weakref.WeakSet()
_alive_lock = threading.Lock()
_forks_are_watched = False


def _remember(sessions: DriverSessions) -> None:
    global _forks_are_watched
    with _alive_lock:
        _alive.add(sessions)
        if not _forks_are_watched:
            _forks_are_watched = True
            after_fork(_drop_inherited)


def all_alive() -> list[Any]:
    """Every connection of this process."""
    with _alive_lock:
        return list(_alive)


def _drop_inherited() -> None:
    global _alive_lock
    _alive_lock = threading.Lock()  # the parent may have held it just then
    forget_inherited()
    for sessions in all_alive():
        sessions._after_fork()
