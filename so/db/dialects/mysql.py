"""MySQL, MariaDB and what speaks their protocol, through mysql-connector-python.

The only module that imports it. Values are written into the text here, by the rules of one
character set (UTF-8) and one sql_mode, both set at connect: the driver's own `%s` would take a
literal `%s` in a date format for a placeholder. Errors are told apart by number, never by class.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from random import sample
from typing import Any, Final

import mysql.connector
from mysql.connector.constants import ClientFlag

from so.db import errortext
from so.db.dialects import DriverSession, Executed, Server, Tuples, keep_for_ever
from so.db.dialects.server_errors import (
    ENDS_SESSION,
    NEVER_RAN,
    class_of,
    is_read_only,
    key_of,
    text_of,
    unfit,
)
from so.db.options import host_list, zone_of
from so.db.sqltext import MYSQL_TOKEN, carried, commits_implicitly, cut, ends_transaction
from so.db.values import decimal_text, plain
from so.errors import (
    LostConnectionError,
    QueryError,
    UnfitValueError,
    UniqueConstraintError,
)

try:
    from _mysql_connector import MySQLInterfaceError  # type: ignore[import-not-found]
except ImportError:  # a build without the C extension, or one that cannot be loaded here
    MySQLInterfaceError = mysql.connector.Error

HAVE_C_EXTENSION: Final[bool] = bool(getattr(mysql.connector, "HAVE_CEXT", False))

_TIMES: Final = frozenset((7, 12))  # field types TIMESTAMP and DATETIME
_SESSION_CHANGED: Final = 0x4000  # of a statement: it set a variable, made a temporary table, …
_CACHED_TEXTS: Final = 2_000
_LONGEST_CACHED: Final = 20_000
_MOST_DIGITS: Final = 65  # of a DECIMAL; a longer number is sent as text

_WRITTEN_TABLE: Final = re.compile(
    r"\s*(?:insert|replace|update)\s+(?:ignore\s+)?(?:into\s+)?(?:`?\w+`?\.)?`?(\w+)`?", re.I
)
_COLUMNS_OF_KEY: Final = (
    "select column_name from information_schema.statistics where table_schema = database()"
    " and table_name = ? and index_name = ? order by seq_in_index"
)
_SOCKET_TIMEOUTS: Final = tuple(
    getattr(mysql.connector.errors, name)
    for name in ("ConnectionTimeoutError", "ReadTimeoutError", "WriteTimeoutError")
    if hasattr(mysql.connector.errors, name)
)


class MySQLSession:
    """One handle, for one thread at a time."""

    interleaves = False
    holds_database = False
    __slots__ = (
        "_cext",
        "_cnx",
        "_results",
        "_texts",
        "_zone",
        "host",
        "in_statement",
        "opened_at",
        "tainted",
        "used_at",
        "watcher",
    )

    def __init__(self, cnx: Any, host: str, texts: dict[Any, Any], zone: tzinfo) -> None:
        self._cnx = cnx
        self._cext = getattr(cnx, "_cmysql", None)
        self._results: Iterator[Any] = iter(())
        self._texts = texts
        self._zone = zone
        self.host = host
        self.in_statement = False
        self.tainted = False
        self.watcher: Callable[[], Callable[[str], object] | None] | None = None
        self.opened_at = self.used_at = time.monotonic()

    def rows(self, sql: str, bindings: Any) -> Tuples:
        """The rows of a query."""
        return self._rows(self._query(self._bound(sql, bindings)))

    def fetch(self, sql: str, bindings: Any) -> tuple[tuple[str, ...], Tuples]:
        """Column names and rows of a query."""
        result = self._query(self._bound(sql, bindings))
        return _names(result), self._rows(result)

    def affect(self, sql: str, bindings: Any) -> int:
        """How many rows a statement matched."""
        result = self._query(self._bound(sql, bindings))
        return len(self._rows(result)) if "columns" in result else int(result["affected_rows"])

    def insert_id(self, sql: str, bindings: Any) -> int:
        """The auto_increment value that an insert was given."""
        result = self._query(self._bound(sql, bindings))
        rows = self._rows(result)
        return int(rows[0][0]) if rows else int(result.get("insert_id", 0))

    def run(self, sql: str, bindings: Any) -> Executed:
        """Everything about one statement."""
        result = self._query(self._bound(sql, bindings))
        if "columns" not in result:
            return Executed(int(result["affected_rows"]), int(result["insert_id"]), [])
        rows = self._rows(result)
        return Executed(len(rows), 0, rows, _names(result))

    def unprepared(self, sql: str, bindings: Any) -> bool:
        """Run *sql* to the letter."""
        self._rows(self._query(sql.encode()))
        return True

    def command(self, sql: str) -> None:
        """Run a fixed text of ours, without bindings or rows; what it changes is no trace."""
        before = self.tainted
        self._rows(self._query(sql.encode()))
        self.tainted = before

    def stream(
        self, sql: str, bindings: Any, size: int
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Column names, and rows as they arrive; nothing else may run before the last one."""
        result = self._query(self._bound(sql, bindings))
        return _names(result), self._pages(result, size)

    def is_alive(self) -> bool:
        """Ask the server."""
        try:
            self._cnx.ping(reconnect=False)
        except (mysql.connector.Error, MySQLInterfaceError, AttributeError):
            return False
        self.used_at = time.monotonic()
        return True

    def transaction_is_open(self) -> bool:
        """True: the server says by an error when it ended one."""
        return True

    def is_in_transaction(self) -> bool:
        """What the server said with its last answer."""
        return bool(self._cnx.in_transaction)

    def close(self) -> None:
        """Close the handle; never raises."""
        try:
            self._cnx.close()
        except (mysql.connector.Error, MySQLInterfaceError, AttributeError, OSError):
            return

    def abandon(self) -> None:
        """Keep the handle of the parent process untouched and unclosed for ever.

        Closing it here would tell the server to end the parent's session.
        """
        keep_for_ever(self._cnx)

    def _query(self, text: bytes) -> Any:
        self.used_at = time.monotonic()
        self.in_statement = True
        if self._cext is not None:
            result = self._cnx.cmd_query(text)
        else:
            self._results = self._cnx.cmd_query_iter(text)
            result = next(self._results)
        if "columns" not in result:
            self._ended(result)
        return result

    def _rows(self, result: Any) -> Tuples:
        if "columns" not in result:
            return []
        if self._cext is not None:
            rows, end = list(iter(self._cext.fetch_row, None)), None
            self._cnx.free_result()
        else:
            rows, end = self._cnx.get_rows()
        self._read_on(end)
        return self._in_zone(result["columns"], rows)

    def _pages(self, result: Any, size: int) -> Iterator[tuple[Any, ...]]:
        columns = result.get("columns", ())
        end = None if columns else result
        while end is None:
            rows, end = self._cnx.get_rows(count=size, columns=columns)
            yield from self._in_zone(columns, rows)
        self._read_on(end)

    def _read_on(self, end: Any) -> None:
        """Past what else a procedure gives, and until it is known whether it went well."""
        if self._cext is not None:
            while self._cext.more_results():
                self._cext.next_result()
                self._cext.free_result()
        else:
            for result in self._results:
                end = self._cnx.get_rows()[1] if "columns" in result else result
        self._ended(end)

    def _ended(self, end: Any) -> None:
        """Heed what the server says of the statement that is over, in Python's half of the driver
        by its packet *end*: of triggers and functions, whose doings its text does not tell."""
        self.in_statement = False
        said = self._cext.st_server_status() if self._cext is not None else end["status_flag"]
        if said & _SESSION_CHANGED:
            self.tainted = True

    def _in_zone(self, columns: Sequence[Any], rows: Tuples) -> Tuples:
        """*rows* with their datetimes made aware: the driver hands them out without a zone."""
        times = [i for i, column in enumerate(columns) if column[1] in _TIMES]
        if not times:
            return rows
        zone = self._zone
        aware = []
        for row in rows:
            values = list(row)
            for i in times:
                if values[i] is not None:
                    values[i] = values[i].replace(tzinfo=zone)
            aware.append(tuple(values))
        return aware

    def _bound(self, sql: str, bindings: Any) -> bytes:
        named = isinstance(bindings, Mapping)
        pieces, names = self._texts.get((sql, named)) or self._cut(sql, named)
        values = _values_for(names, bindings) if named else bindings
        if len(values) != len(names):
            raise mysql.connector.ProgrammingError(
                f"the statement has {len(names)} placeholders but {len(values)} values were given"
            )
        if not names:
            return pieces[0]
        zone = self._zone
        parts = [pieces[0]]
        for value, piece in zip(values, pieces[1:], strict=True):
            parts.append(literal(value, zone))
            parts.append(piece)
        return b"".join(parts)

    def _cut(self, sql: str, named: bool) -> tuple[list[bytes], list[str]]:
        pieces, names = cut(sql, named=named, token=MYSQL_TOKEN)
        encoded = [piece.encode() for piece in pieces], names
        if len(sql) <= _LONGEST_CACHED:
            if len(self._texts) >= _CACHED_TEXTS:
                self._texts.clear()
            self._texts[sql, named] = encoded
        return encoded


def _values_for(names: Sequence[str], bindings: Mapping[str, Any]) -> list[Any]:
    try:
        return [bindings[name] for name in names]
    except KeyError as error:
        raise mysql.connector.ProgrammingError(f"no value was given for :{error.args[0]}") from None


def literal(value: Any, zone: tzinfo = UTC) -> bytes:
    """*value* as a literal of MySQL's SQL, in UTF-8.

    A quote is doubled and not escaped, so that no sql_mode can turn it into the end of the text.
    """
    if type(value) is not str:
        value = plain(value, zone)
    if isinstance(value, str):
        return b"'" + value.replace("\\", "\\\\").replace("'", "''").encode() + b"'"
    if value is None:
        return b"NULL"
    if isinstance(value, bytes):
        return b"_binary'" + value.replace(b"\\", b"\\\\").replace(b"'", b"''") + b"'"
    return _number(value).encode()


def _number(value: bool | int | float | Decimal) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, Decimal):
        text = decimal_text(value)
        return text if len(value.as_tuple().digits) <= _MOST_DIGITS else f"'{text}'"
    return repr(value)


class MySQLDialect:
    """MySQL or MariaDB as configured for one connection."""

    name = "mysql"
    driver_errors: tuple[type[BaseException], ...] = (
        mysql.connector.Error,
        MySQLInterfaceError,
        UnicodeError,
        OSError,
    )
    keeps_session = False
    releases_savepoints = False
    lock_wait_seconds = 0.0

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take a checked configuration (see so/db/options.py); nothing is opened yet."""
        self.config = config
        self.splits = bool(config["read"])
        self.server: Server | None = None
        self._zone = zone_of(config["timezone"])
        self._texts: dict[Any, Any] = {}
        self._keys: dict[tuple[str, str], list[str]] = {}
        self._health = _Health(config["retry_host_after"])
        if config["use_pure"] is None and not HAVE_C_EXTENSION:
            logging.getLogger("so.db").info(
                "mysql-connector-python runs without its C extension: reading is 5 times slower"
            )
        self._roles = {role: self._settings_of(role) for role in ("read", "write")}

    def _settings_of(self, role: str) -> dict[str, Any]:
        own = self.config[role] or {}
        if role == "read" and not own:
            own = self.config["write"] or {}
        return {**self.config, **own}

    def hosts(self, role: str) -> list[str]:
        """In the order of the configuration, for reads in random order; the shunned ones last."""
        settings = self._roles[role]
        if settings["unix_socket"]:
            return [str(settings["unix_socket"])]
        found = [f"{h}:{p}" for h, p in host_list(settings["host"], int(settings["port"]))]
        if role == "read":
            found = sample(found, len(found))
        return self._health.order(found)

    def shun(self, host: str) -> None:
        """Try other hosts before *host* for `retry_host_after` seconds."""
        self._health.shun(host)

    def open(self, role: str, host: str) -> MySQLSession:
        """A session on *host*, set up, and found able to do what *role* needs."""
        cnx = mysql.connector.connect(**self._driver_settings(role, host))
        session = MySQLSession(cnx, host, self._texts, self._zone)
        try:
            self._prepare(session, cnx)
            if len(self.hosts(role)) > 1:
                _refuse_unfit(session, role)
        except BaseException:
            session.close()
            raise
        return session

    def _driver_settings(self, role: str, host: str) -> dict[str, Any]:
        settings = self._roles[role]
        found: dict[str, Any] = {
            "user": settings["username"],
            "password": settings["password"] or "",
            "database": settings["database"],
            "charset": settings["charset"],
            "collation": settings["collation"],
            "autocommit": True,
            "consume_results": True,
            "client_flags": [ClientFlag.FOUND_ROWS, -ClientFlag.MULTI_STATEMENTS],
            "connection_timeout": settings["connect_timeout"],
            "read_timeout": settings["read_timeout"],
            "write_timeout": settings["write_timeout"],
            "use_pure": not HAVE_C_EXTENSION
            if settings["use_pure"] is None
            else bool(settings["use_pure"]),
            "allow_local_infile": False,
            "ssl_disabled": settings["ssl_disabled"],
        }
        for key in ("ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity"):
            if settings[key]:
                found[key] = settings[key]
        if settings["unix_socket"]:
            return {**found, "unix_socket": host}
        name, _, port = host.rpartition(":")
        return {**found, "host": name, "port": int(port)}

    def _prepare(self, session: MySQLSession, cnx: Any) -> None:
        config = self.config
        modes = config["modes"]
        self.server = _server(str(cnx.server_info))
        if self.server.product == "mysql" and "TIME_TRUNCATE" not in modes:
            # MariaDB cuts microseconds off for a column without them, MySQL would round.
            modes = ",".join(filter(None, (modes, "TIME_TRUNCATE_FRACTIONAL")))
        more = ", innodb_snapshot_isolation = 0" if _has_strict_snapshots(self.server) else ""
        session.command(
            f"set time_zone = '{_checked_zone(config)}', sql_mode = '{modes}'{more},"
            " session_track_state_change = 1"
        )
        if config["isolation"]:
            session.command(f"set session transaction isolation level {config['isolation']}")

    def translate(
        self, error: BaseException, sql: str, bindings: Any, connection: str
    ) -> QueryError:
        """The driver's *error* as one of ours, by its number."""
        text = text_of(error)
        # A socket's timeout comes with the number of a statement's.
        is_lost = isinstance(error, _SOCKET_TIMEOUTS)
        kind = LostConnectionError if is_lost else class_of(error, text)
        if kind is UnfitValueError:
            kind, text = unfit(text, bindings)
        problem = kind(
            sql,
            bindings,
            connection,
            error,
            errortext.describe(text, connection, sql, bindings, self.config["redact"]),
        )
        if isinstance(problem, UniqueConstraintError):
            problem.index = key_of(text)
        return problem

    def is_busy(self, error: BaseException) -> bool:
        """False: its locks are on rows, and the server does the waiting."""
        return False

    def add_details(self, problem: QueryError, session: DriverSession) -> None:
        """Ask which columns the key has that a UniqueConstraintError names, once a key."""
        if not isinstance(problem, UniqueConstraintError) or problem.index is None:
            return
        table = _WRITTEN_TABLE.match(problem.sql)
        if table is None:
            return
        key = (table.group(1), problem.index)
        if key not in self._keys:
            before = session.tainted
            try:
                rows = session.rows(_COLUMNS_OF_KEY, key)
            except self.driver_errors:
                return
            finally:
                session.tainted = before  # MariaDB answers by a temporary table
            self._keys[key] = [str(name) for (name,) in rows]
        problem.columns = list(self._keys[key])

    def explain(self, error: BaseException) -> str:
        """The text of *error*: the server's own."""
        return str(error)

    def never_ran(self, error: BaseException | None) -> bool:
        """True when the server told that it did not begin the statement that failed."""
        return getattr(error, "errno", None) in NEVER_RAN or is_read_only(error)

    def ended_session(self, error: BaseException | None) -> bool:
        """True when the server closed the connection over an error that is nobody's loss."""
        return getattr(error, "errno", None) in ENDS_SESSION

    def closed(self) -> None:
        """Nothing: the server knows which database is which."""

    def begin_statements(self, mode: str | None, isolation: str | None) -> Sequence[str]:
        """`start transaction`, with its isolation level and `read only` where asked for."""
        begin = "start transaction"
        if mode is not None and mode.lower() in ("read", "read only"):
            begin = "start transaction read only"
        if isolation is None:
            return (begin,)
        level = isolation.lower().replace("-", " ")
        if not re.fullmatch(r"read (un)?committed|repeatable read|serializable", level):
            raise ValueError(f"unknown isolation level {isolation!r}")
        return (f"set transaction isolation level {level}", begin)

    def forbids_in_transaction(self, sql: str) -> bool:
        """Whether *sql* begins, commits or rolls back, in so many words or by itself."""
        return any(ends_transaction(one) or commits_implicitly(one) for one in (sql, *carried(sql)))


class _Health:
    """Which hosts of this process failed a moment ago."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}

    def shun(self, host: str) -> None:
        self._until[host] = time.monotonic() + self._seconds

    def order(self, hosts: Iterable[str]) -> list[str]:
        now = time.monotonic()
        return sorted(hosts, key=lambda host: self._until.get(host, 0.0) > now)


def _refuse_unfit(session: MySQLSession, role: str) -> None:
    """Raise for a server that answers but cannot serve: a cluster node apart, a replica."""
    asked = "show global variables where variable_name in ('wsrep_on', 'read_only')"
    found = {name: str(value).upper() for name, value in session.rows(asked, ())}
    if found.get("wsrep_on") == "ON":
        ready = session.rows("show status like 'wsrep_ready'", ())
        if ready and str(ready[0][1]).upper() != "ON":
            raise mysql.connector.OperationalError("this cluster node is not ready", errno=1047)
    if role == "write" and found.get("read_only") == "ON":
        raise mysql.connector.OperationalError("this server is read-only", errno=1836)


def _server(info: str) -> Server:
    """What the greeting tells; MariaDB before 11 says `5.5.5-10.6.1-MariaDB`."""
    mariadb = re.search(r"(\d+)\.(\d+)\.(\d+)-MariaDB", info, re.IGNORECASE)
    found = mariadb or re.search(r"(\d+)\.(\d+)\.(\d+)", info)
    product = "mariadb" if "mariadb" in info.lower() else "mysql"
    return Server(product, tuple(map(int, found.groups())) if found else ())


def _has_strict_snapshots(server: Server) -> bool:
    """True for MariaDB from 11.6.2, where a locking read of a row that is newer than the snapshot
    is an error by default. Who lost the race for a unique key could not read the winner's row."""
    return server.product == "mariadb" and server.version >= (11, 6, 2)


def _checked_zone(config: Mapping[str, Any]) -> str:
    """As an offset, which a server without tables of time zones understands, too."""
    offset = zone_of(str(config["timezone"])).utcoffset(datetime.now()) or timedelta(0)  # noqa: DTZ005
    minutes = offset // timedelta(minutes=1)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _names(result: Any) -> tuple[str, ...]:
    return tuple(column[0] for column in result.get("columns", ()))
