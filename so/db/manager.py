"""All databases of one application: `Database` hands each thread its connections by name.

`DB` in applications is this object. What it does not do itself it passes to the default connection
of the calling thread.
"""

from __future__ import annotations

import functools
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar, overload

from so.db.connection import Connection, Watchable, make_dialect
from so.db.dialects import Dialect, Executed, Tuples
from so.db.execution import refresh_all
from so.db.options import check_zone, options
from so.db.pool import Pool
from so.db.rows import Collection, Row
from so.db.watching import Hooks
from so.errors import InvalidArgumentError
from so.settings.database import driver_of
from so.support.clock import Clock
from so.support.current import current
from so.support.near import nearest
from so.support.plain import plain
from so.support.processes import after_fork

if TYPE_CHECKING:
    from so.db.expressions import Expression
    from so.db.query import Query

P = ParamSpec("P")
R = TypeVar("R")
Factory = Callable[[Mapping[str, Any], str], Connection]


class ConnectionSource(Protocol):
    """What gives a connection for the calling thread: a Database, or a Connection itself."""

    def connection(self) -> Connection:
        """The connection to use now; ask again for each operation."""


_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _free_locks() -> None:
    """In a forked child: another thread of the parent may have held them, and is not here."""
    for database in list(_databases):
        database._lock = threading.RLock()


after_fork(_free_locks)


_NAME = re.compile(r'^\s*["`]?(\w+)')
_FIRST_TABLE = re.compile(
    r"\b(?:from|into|update|truncate(?:\s+table)?)\s+[\"`]?(\w+)", re.IGNORECASE
)


class _Opened(dict[str | None, Connection]):
    """One thread's connections; under None, the default one."""

    __slots__ = ("__weakref__",)

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class Database(Watchable):
    """Connections by name, one of each for each thread that asks."""

    def __init__(
        self,
        connections: Mapping[str, Mapping[str, Any] | str],
        default: str | None = None,
        clock: Clock | None = None,
        *,
        folder: Path | str | None = None,
        redact: Iterable[str] | None = None,
        homes: Mapping[str, str] | None = None,
    ) -> None:
        """*connections* as in config/database.py; nothing is opened before use, and of the
        settings only time zones are checked.

        *folder*: where relative paths of SQLite files start. *redact*: columns whose bindings are
        masked wherever statements are shown; None leaves the list of so/db/options.py. Without
        *default* it is the connection of that name, or the only one there is. *homes*: table →
        connection, for tables that live elsewhere; a query on one goes there by itself.
        """
        self._configs: dict[str, Mapping[str, Any] | str] = dict(connections)
        for name, config in self._configs.items():
            if not isinstance(config, str) and config.get("timezone") is not None:
                check_zone(driver_of(config), config["timezone"], name)
        self._folder = None if folder is None else Path(folder)
        self._redact = None if redact is None else list(redact)
        only = next(iter(connections)) if len(connections) == 1 else "default"
        self._default: str = default or only
        self.clock = clock or Clock()
        self._homes = dict(homes or {})
        self._hooks = Hooks()
        self._pool = Pool()
        self._dialects: dict[str, Dialect] = {}
        self._factories: dict[str, Factory] = {}
        self._lock = threading.RLock()
        self._local = threading.local()
        self._threads: weakref.WeakSet[_Opened] = weakref.WeakSet()
        _databases.add(self)

    # --- connections

    def connection(self, name: str | None = None) -> Connection:
        """The calling thread's connection *name*, or the default one.

        Raises InvalidArgumentError for a name that is not configured.
        """
        try:
            return self._local.opened[name]  # type: ignore[no-any-return]
        except (AttributeError, KeyError):
            return self._open(name)

    def _open(self, name: str | None) -> Connection:
        opened = self._opened()
        actual = self._default if name is None else name
        connection = opened.get(actual)
        if connection is None:
            connection = opened[actual] = self._make(actual)
        opened[name] = connection
        return connection

    def _opened(self) -> _Opened:
        try:
            return self._local.opened  # type: ignore[no-any-return]
        except AttributeError:
            opened = self._local.opened = _Opened()
            with self._lock:
                self._threads.add(opened)
            return opened

    def _make(self, name: str) -> Connection:
        if name not in self._configs:
            close = nearest(name, self._configs)
            hint = f" Did you mean [{close}]?" if close else ""
            raise InvalidArgumentError(f"Database connection [{name}] not configured.{hint}")
        config = self._configs[name]
        driver = None if isinstance(config, str) else config.get("driver")
        if driver in self._factories:
            return self._factories[driver](dict(config), name)  # type: ignore[arg-type]
        return Connection(
            {},
            name,
            self.clock,
            dialect=self._dialect(name),
            hooks=self._hooks,
            pool=self._pool,
        )

    def _dialect(self, name: str) -> Dialect:
        with self._lock:
            dialect = self._dialects.get(name)
            if dialect is None:
                dialect = self._dialects[name] = make_dialect(self._settings(name), name)
            return dialect

    def _settings(self, name: str) -> dict[str, Any]:
        """The complete settings of *name*, with what holds for all connections."""
        config = self._configs[name]
        given = {"url": config} if isinstance(config, str) and "://" in config else config
        settings: dict[str, Any] = {"database": given} if isinstance(given, str) else dict(given)
        if self._redact is not None:
            settings.setdefault("redact", self._redact)
        checked = options(settings, name)
        if checked["driver"] == "sqlite" and self._folder is not None:
            path = str(checked["database"])
            checked["database"] = path if path.startswith("file:") else str(self._folder / path)
        return checked

    def source(self, name: str | None = None) -> ConnectionSource:
        """A source that always gives connection *name*: what a system is handed."""
        return self if name is None else _Named(self, name)

    def home(self, text: str, is_sql: bool = True) -> Connection:
        """The connection on which the table lives that *text*, SQL or a name, is about.

        Plain SQL is about the first table it reads or writes. It is the default connection unless
        the table has a home of its own, and within `using_connection()`.
        """
        here = self.connection()
        if not self._homes or here.name != self._default:
            return here
        found = (_FIRST_TABLE if is_sql else _NAME).search(text)
        elsewhere = self._homes.get(found.group(1)) if found else None
        return here if elsewhere is None else self.connection(elsewhere)

    def add_connection(self, name: str, config: Mapping[str, Any] | str) -> None:
        """Configure one more connection, or another configuration under a known name."""
        self.purge(name)
        with self._lock:
            self._configs[name] = config
            self._dialects.pop(name, None)

    def extend(self, driver: str, factory: Factory) -> None:
        """Make connections of *driver* by `factory(config, name)`."""
        self._factories[driver] = factory

    @property
    def default_connection(self) -> str:
        """The name of the default connection."""
        return self._default

    def set_default_connection(self, name: str) -> None:
        """Make *name* the default in every thread."""
        with self._lock:
            self._default = name
            for opened in list(self._threads):
                opened.pop(None, None)

    @contextmanager
    def _as_default(self, name: str) -> Iterator[Connection]:
        opened = self._opened()
        before = opened.get(None)
        connection = opened[None] = self.connection(name)
        try:
            yield connection
        finally:
            opened.pop(None, None)
            if before is not None:
                opened[None] = before

    def using_connection(self, name: str, fn: Callable[[], R]) -> R:
        """Run *fn* with *name* as this thread's default connection, and give its result."""
        with self._as_default(name):
            return fn()

    def connections(self) -> dict[str, Connection]:
        """The connections this thread has asked for, by name."""
        return {name: c for name, c in self._opened().items() if name is not None}

    def configured(self) -> list[str]:
        """The names of all configured connections."""
        return list(self._configs)

    def disconnect(self, name: str | None = None) -> None:
        """Close this thread's sessions of *name*; the next statement opens new ones."""
        connection = self._opened().get(name or self._default)
        if connection is not None:
            connection.close()

    def reconnect(self, name: str | None = None) -> Connection:
        """Close and open again."""
        return self.connection(name).reconnect()

    def purge(self, name: str | None = None) -> None:
        """Close and forget this thread's connection *name*, and what waits in the pool for it."""
        actual = name or self._default
        opened = self._opened()
        connection = opened.pop(actual, None)
        if connection is not None:
            connection.close()
            if opened.get(None) is connection:
                del opened[None]
        self._pool.close(actual)

    def close(self) -> None:
        """Close everything of this thread, let go of what other threads have, empty the pool."""
        for connection in {id(c): c for c in self._opened().values()}.values():
            connection.close()
        with self._lock:
            for opened in list(self._threads):
                opened.clear()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- querying, on the default connection or where a table lives

    def table(self, name: Any, as_: str | None = None, connection: str | None = None) -> Query:
        """A new query on *name*, on *connection* or where that table lives."""
        if connection is None and isinstance(name, str):
            return self.home(name, is_sql=False).table(name, as_)
        return self.connection(connection).table(name, as_)

    def query(self) -> Query:
        """A new query without a table."""
        return self.connection().query()

    def raw(self, sql: str) -> Expression:
        """*sql* as it stands, for a place where a name or a value is expected. Never user input."""
        from so.db.expressions import raw

        return raw(sql)

    def select(self, sql: str, bindings: Any = (), use_read: bool = True) -> Collection[Row]:
        """See Connection.select()."""
        return self.home(sql).select(sql, bindings, use_read)

    def select_one(self, sql: str, bindings: Any = (), use_read: bool = True) -> Row | None:
        """See Connection.select_one()."""
        return self.home(sql).select_one(sql, bindings, use_read)

    def select_tuples(self, sql: str, bindings: Any = (), use_read: bool = True) -> Tuples:
        """See Connection.select_tuples()."""
        return self.home(sql).select_tuples(sql, bindings, use_read)

    def scalar(self, sql: str, bindings: Any = (), use_read: bool = True) -> Any:
        """See Connection.scalar()."""
        return self.home(sql).scalar(sql, bindings, use_read)

    def cursor(self, sql: str, bindings: Any = (), use_read: bool = True) -> Iterator[Row]:
        """See Connection.cursor()."""
        return self.home(sql).cursor(sql, bindings, use_read)

    def insert(self, sql: str, bindings: Any = ()) -> bool:
        """See Connection.insert()."""
        return self.home(sql).insert(sql, bindings)

    def insert_get_id(self, sql: str, bindings: Any = ()) -> int:
        """See Connection.insert_get_id()."""
        return self.home(sql).insert_get_id(sql, bindings)

    def affecting_statement(self, sql: str, bindings: Any = ()) -> int:
        """See Connection.affecting_statement()."""
        return self.home(sql).affecting_statement(sql, bindings)

    update = affecting_statement
    delete = affecting_statement

    def statement(self, sql: str, bindings: Any = ()) -> bool:
        """See Connection.statement()."""
        return self.home(sql).statement(sql, bindings)

    def unprepared(self, sql: str) -> bool:
        """See Connection.unprepared()."""
        return self.connection().unprepared(sql)

    def run(self, sql: str, bindings: Any = ()) -> Executed:
        """See Connection.run()."""
        return self.home(sql).run(sql, bindings)

    # --- transactions, on the default connection

    def transaction(
        self,
        fn: Callable[..., Any] | None = None,
        attempts: int = 1,
        *,
        mode: str | None = None,
        isolation: str | None = None,
    ) -> Any:
        """See Connection.transaction()."""
        return self.connection().transaction(fn, attempts, mode=mode, isolation=isolation)

    @overload
    def transactional(self, attempts: Callable[P, R]) -> Callable[P, R]: ...
    @overload
    def transactional(
        self, attempts: int = 1, *, connection: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def transactional(self, attempts: Any = 1, *, connection: str | None = None) -> Any:
        """A decorator that runs a function in a transaction: `@DB.transactional(attempts=3)`.

        For one attempt `@DB.transactional` will do.
        """
        if callable(attempts):
            return self.transactional()(attempts)

        def decorate(fn: Callable[P, R]) -> Callable[P, R]:
            plain(fn, "the transaction's function")

            @functools.wraps(fn)
            def run(*args: P.args, **kwargs: P.kwargs) -> R:
                result: R = self.connection(connection).transaction(
                    lambda: fn(*args, **kwargs), attempts
                )
                return result

            return run

        return decorate

    def begin_transaction(self, *, mode: str | None = None, isolation: str | None = None) -> None:
        """See Connection.begin_transaction()."""
        self.connection().begin_transaction(mode=mode, isolation=isolation)

    def commit(self) -> None:
        """See Connection.commit()."""
        self.connection().commit()

    def roll_back(self, to_level: int | None = None) -> None:
        """See Connection.roll_back()."""
        self.connection().roll_back(to_level)

    def transaction_level(self) -> int:
        """See Connection.transaction_level()."""
        return self.connection().transaction_level()

    def after_commit(self, fn: Callable[[], object]) -> None:
        """See Connection.after_commit()."""
        self.connection().after_commit(fn)

    def after_roll_back(self, fn: Callable[[], object]) -> None:
        """See Connection.after_roll_back()."""
        self.connection().after_roll_back(fn)

    # --- watching

    def forget_listener(self, fn: Callable[..., object]) -> None:
        """Take back what `listen()`, `before_executing()` or a slow-query hook was given."""
        hooks = self._hooks
        hooks.listeners[:] = [f for f in hooks.listeners if f != fn]
        hooks.before[:] = [f for f in hooks.before if f != fn]
        hooks.slow[:] = [limit for limit in hooks.slow if limit.fn != fn]
        refresh_all(hooks)

    def enable_query_log(self) -> None:
        """See Connection.enable_query_log()."""
        self.connection().enable_query_log()

    def disable_query_log(self) -> None:
        """See Connection.disable_query_log()."""
        self.connection().disable_query_log()

    def flush_query_log(self) -> None:
        """See Connection.flush_query_log()."""
        self.connection().flush_query_log()

    def get_query_log(self) -> list[Row]:
        """See Connection.get_query_log()."""
        return self.connection().get_query_log()

    def get_raw_query_log(self) -> list[Row]:
        """See Connection.get_raw_query_log()."""
        return self.connection().get_raw_query_log()

    def without_query_log(self, fn: Callable[..., Any] | None = None) -> Any:
        """See Connection.without_query_log()."""
        return self.connection().without_query_log(fn)

    def pretend(self, fn: Callable[..., object]) -> list[Row]:
        """See Connection.pretend()."""
        return self.connection().pretend(fn)


class _Named:
    """One connection of a Database, by name, for whichever thread asks."""

    __slots__ = ("_database", "_name")

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name

    def connection(self) -> Connection:
        """The calling thread's connection of that name."""
        return self._database.connection(self._name)


# --- what models use ----------------------------------------------------------------------------


def current_database() -> Database:
    """The Database that models use; raises RuntimeError without an application.

    A script without one calls `so.support.current.provide("db", lambda: database)`.
    """
    found: Database = current("db")
    return found
