"""Where each system keeps its tables, and what an older installation has left elsewhere.

Cache, locks, limits, sessions and remembered logins are written outside the application's
transactions, so they have a connection of their own; on SQLite a file of its own, as two writers
of one file wait for each other.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from so.errors import ConfigError
from so.settings.cache import CacheSettings
from so.settings.queue import QueueSettings
from so.settings.session import SessionSettings

if TYPE_CHECKING:
    from so.db.connection import Connection

App = Any
CACHE = ("cache", "cache_locks", "rate_limits")
SESSIONS = ("sessions", "session_moves", "remember_tokens", "last_logins")
VALUES_AT_ONCE = 900  # of rows that are brought along by one statement


def cache_home(app: App) -> str | None:
    """The name of the connection of cache, locks and limits; None for the default one."""
    return _known(app, app.settings(CacheSettings).connection)


def session_home(app: App) -> str | None:
    """The name of the connection of sessions; where none is set, that of the cache."""
    own = app.settings(SessionSettings).connection
    return cache_home(app) if own is None else _known(app, own)


def queue_home(app: App) -> str | None:
    """The name of the connection of the queue; None for the default one."""
    return _known(app, app.settings(QueueSettings).connection)


def homes(app: App) -> dict[str, str]:
    """Table → connection, of the tables that do not live on the default one."""
    found = dict.fromkeys(CACHE, cache_home(app)) | dict.fromkeys(SESSIONS, session_home(app))
    return {table: name for table, name in found.items() if name is not None}


def _known(app: App, name: str | None) -> str | None:
    known = app.config.get("database.connections")
    if name is None or name in known:
        return name
    if name != CacheSettings.connection:
        raise ConfigError(
            f"the connection {name!r} of cache, session or queue is not configured: use one of "
            f"{', '.join(sorted(known))}, see config/database.py"
        )
    return None  # an application that names its connections need not have one for the cache


def connections(app: App) -> list[Connection]:
    """Every connection on which a system keeps tables, each database once, the default first."""
    names = dict.fromkeys([None, cache_home(app), session_home(app), queue_home(app)])
    places: dict[Any, Connection] = {}
    for name in names:
        connection = app.make("db").connection(name)
        places.setdefault(_place(connection), connection)
    return list(places.values())


def _place(connection: Connection) -> Any:
    config = connection.config
    if config["database"] == ":memory:":
        return id(connection)
    names = ("driver", "host", "port", "unix_socket", "url", "database")
    return tuple(str(config.get(name)) for name in names)


def install(app: App, name: str | None = None) -> dict[str, list[str]]:
    """Create what is missing of the framework's tables; what was done, by connection.

    Sessions that an older installation kept on the default connection are brought along.
    """
    from so.db import schema

    db = app.make("db")
    there = [db.connection(name)] if name else connections(app)
    done = {connection.name: schema.install(connection) for connection in there}
    if not name:
        for text, connection in _brought_along(app):
            done[connection].append(text)
    return done


def _brought_along(app: App) -> list[tuple[str, str]]:
    """Move rows of sessions out of the default SQLite file; what was moved, and where to."""
    db = app.make("db")
    old, new = db.connection(), db.connection(session_home(app))
    if old.dialect.name != "sqlite" or new.dialect.name != "sqlite" or _place(old) == _place(new):
        return []
    moved = [(_moved(old, new, table), table) for table in SESSIONS]
    return [
        (f"{count} rows of {table} from {old.name}", new.name) for count, table in moved if count
    ]


def _moved(old: Connection, new: Connection, table: str) -> int:
    """Move *table* piece by piece: into the new place first, so that a crash loses no row."""
    from so.db.schema import framework_tables
    from so.db.words import marks

    columns = [name for name in framework_tables("sqlite")[table].columns if name != "id"]
    columns = ["id", *columns] if table == "sessions" else columns
    names, key = ", ".join(columns), columns[0]
    rows = iter(old.select_tuples(f"select {names} from {table}"))  # noqa: S608  # our own names
    row, count = f"({', '.join('?' * len(columns))})", 0
    while part := list(islice(rows, VALUES_AT_ONCE // len(columns))):
        values = [value for one in part for value in one]
        new.affecting_statement(
            f"insert or ignore into {table} ({names}) values {', '.join([row] * len(part))}",  # noqa: S608
            values,
        )
        old.affecting_statement(
            f"delete from {table} where {key} in ({marks(part)})",  # noqa: S608  # our own names
            [one[0] for one in part],
        )
        count += len(part)
    return count
