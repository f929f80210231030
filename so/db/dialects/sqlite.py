"""SQLite through the standard library's driver: one file, one handle a thread, WAL.

Statements reach it almost unchanged: `?` and `:name` are its own placeholders. Decimals are bound
as text and summed exactly by `decimal_sum`; names in double quotes are rewritten so that a
misspelt column is an error and not a string.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import tzinfo
from decimal import Decimal
from pathlib import Path
from random import uniform
from threading import get_ident
from typing import Any, Final

from so.db import calculating, errortext
from so.db.dialects import DriverSession, Executed, Server, Tuples, keep_for_ever
from so.db.options import file_of, zone_of
from so.db.sqltext import backtick_names, ends_transaction, is_ordinary
from so.db.values import PLAIN, decimal_text, plain
from so.errors import (
    ConnectionOwnerError,
    DeadlockError,
    ForeignKeyError,
    LockTimeoutError,
    LostConnectionError,
    NotNullError,
    QueryError,
    ReadOnlyError,
    StatementTimeoutError,
    UnavailableError,
    UnfitValueError,
    UniqueConstraintError,
)
from so.support.places import identity_of
from so.support.progress import steps

_CACHED_TEXTS: Final = 2_000
_LONGEST_CACHED: Final = 20_000
_PAGES_AT_ONCE: Final = 1_000  # that a copy takes between two looks at how far it is
_HAS_DQS_SWITCH: Final = hasattr(sqlite3, "SQLITE_DBCONFIG_DQS_DML")
_MODES: Final = {"read": "deferred", "read only": "deferred", "write": "immediate"}
# SQLite's own waiting is off; who asks wants to know how long a statement really waits.
_ASKS_FOR_PATIENCE: Final = re.compile(r"\s*pragma\s+(?:main\.)?busy_timeout\s*;?\s*", re.I)
_KNOWN_MODES: Final = ("deferred", "immediate", "exclusive")
FILE_MODE: Final = 0o640  # of a new file, before the umask


LOOKED_AFTER: Final = 0.05  # seconds between two looks whether the file is still there, for reads


# A URI by which SQLite makes no file.
_KEPT = re.compile(r"^file:.*[?&](?:mode=r[ow](?:&|$)|immutable=[1-9yt])")


class FileGone(sqlite3.OperationalError):
    """The file that a handle has open is not the one at its path any more."""


class FileClosed(sqlite3.OperationalError):
    """A file that cannot be opened; the text says what helps."""


class SQLiteSession:
    """One handle, for the thread that opened it."""

    in_statement = False
    interleaves = True
    __slots__ = (
        "_handle",
        "_identity",
        "_looked_at",
        "_noted",
        "_path",
        "_patience_ms",
        "_streaming",
        "_texts",
        "_thread",
        "_zone",
        "holds_database",
        "host",
        "opened_at",
        "tainted",
        "used_at",
        "watcher",
    )

    def __init__(
        self,
        handle: sqlite3.Connection,
        host: str,
        texts: dict[str, str],
        zone: tzinfo,
        patience_ms: int,
    ) -> None:
        self._handle = handle
        self._thread = get_ident()
        file = file_of(host)
        self._path = os.path.abspath(file or "")  # whatever folder becomes the current one
        self._identity = identity_of(self._path) if file else None
        self._looked_at = 0.0 if self._identity else math.inf
        self._patience_ms = patience_ms
        self._streaming: sqlite3.Cursor | None = None
        self._noted = calculating.noting(handle)
        self._texts = texts
        self._zone = zone
        self.host = host
        self.holds_database = "vfs=memdb" in host or "mode=memory" in host
        self.tainted = False
        self.watcher: Callable[[], Callable[[str], object] | None] | None = None
        self.opened_at = self.used_at = time.monotonic()

    def _look(self) -> None:
        """Raise FileGone when the file was deleted or another one put in its place."""
        try:  # the body of identity_of(): every write comes by here
            found = os.stat(self._path)
            is_same = (found.st_dev, found.st_ino) == self._identity
        except OSError:
            is_same = False
        if not is_same:
            raise FileGone(GONE.format(path=self._path))

    def _look_again(self) -> None:
        self._looked_at = time.monotonic()
        self._look()

    def _write(self, sql: str, bindings: Any) -> sqlite3.Cursor:
        if get_ident() != self._thread:
            raise _owned_by_another(self.host)
        handle = self._handle
        if self._identity and not handle.in_transaction:  # within one the commit looks
            self._look()
        text = self._texts.get(sql) or self._text(sql)
        if type(bindings) is dict or not PLAIN.issuperset(map(type, bindings)):
            bindings = self._bound(bindings)
        return handle.execute(text, bindings)

    def _read(self, sql: str, bindings: Any) -> sqlite3.Cursor:
        if get_ident() != self._thread:
            raise _owned_by_another(self.host)
        if time.monotonic() - self._looked_at > LOOKED_AFTER:
            self._look_again()
        text = self._texts.get(sql) or self._text(sql)
        if type(bindings) is dict or not PLAIN.issuperset(map(type, bindings)):
            bindings = self._bound(bindings)
        return self._handle.execute(text, bindings)

    def rows(self, sql: str, bindings: Any) -> Tuples:
        """The rows of a query."""
        # The body of _read once more: this is the hottest line of the room.
        if get_ident() != self._thread:
            raise _owned_by_another(self.host)
        if time.monotonic() - self._looked_at > LOOKED_AFTER:
            self._look_again()
        text = self._texts.get(sql) or self._text(sql)
        if type(bindings) is dict or not PLAIN.issuperset(map(type, bindings)):
            bindings = self._bound(bindings)
        return self._handle.execute(text, bindings).fetchall()

    def fetch(self, sql: str, bindings: Any) -> tuple[tuple[str, ...], Tuples]:
        """Column names and rows of a query."""
        cursor = self._read(sql, bindings)
        return _names(cursor), _all(cursor)

    def affect(self, sql: str, bindings: Any) -> int:
        """How many rows a statement matched."""
        cursor = self._write(sql, bindings)
        if cursor.description is not None:
            cursor.fetchall()
        count = cursor.rowcount
        return count if count > 0 else 0

    def insert_id(self, sql: str, bindings: Any) -> int:
        """The rowid that an insert was given."""
        cursor = self._write(sql, bindings)
        if cursor.description is not None:
            cursor.fetchall()
        return cursor.lastrowid or 0

    def run(self, sql: str, bindings: Any) -> Executed:
        """Everything about one statement."""
        noted = self._noted
        noted.clear()
        cursor = self._write(sql, bindings)
        if cursor.description is None:
            count, last_id = cursor.rowcount, noted[-1] if noted else cursor.lastrowid
            return Executed(count if count > 0 else 0, last_id or 0, [])
        rows = _all(cursor)
        return Executed(max(cursor.rowcount, 0), cursor.lastrowid or 0, rows, _names(cursor))

    def unprepared(self, sql: str, bindings: Any) -> bool:
        """Run *sql* to the letter."""
        if self._identity and not self._handle.in_transaction:
            self._look()
        self._handle.execute(sql).fetchall()
        return True

    def command(self, sql: str) -> None:
        """Run a fixed text without bindings or rows."""
        if get_ident() != self._thread:
            raise _owned_by_another(self.host)
        if sql == "commit":
            if self._identity:
                self._look()
        elif not self._handle.in_transaction and time.monotonic() - self._looked_at > LOOKED_AFTER:
            self._look_again()  # it begins: nothing is lost before its commit
        self._handle.execute(sql)

    def stream(
        self, sql: str, bindings: Any, size: int
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Column names, and rows as they are stepped through."""
        cursor = self._read(sql, bindings)
        cursor.arraysize = size
        self._streaming = cursor
        return _names(cursor), cursor

    def is_alive(self) -> bool:
        """True: there is no server to lose."""
        return True

    def transaction_is_open(self) -> bool:
        """False when SQLite rolled back by itself (disk full, I/O error, …)."""
        return self._handle.in_transaction

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, whoever began it."""
        return self._handle.in_transaction

    def close(self) -> None:
        """Close the handle; never raises."""
        with suppress(sqlite3.Error):
            if self._streaming is not None:  # it would hold its tables until it is collected
                self._streaming.close()
            self._handle.close()

    def abandon(self) -> None:
        """Keep the handle of the parent process untouched and unclosed for ever.

        Closing it here would run SQLite's clean-up of the WAL under the feet of the parent.
        """
        keep_for_ever(self._handle)

    def backup(self, target: Path) -> None:
        """Copy the database to *target* while others go on reading and writing."""
        copy, handle = sqlite3.connect(target), self._handle
        is_ours = not handle.in_transaction
        if is_ours:
            # What is read now is copied, step by step: without it each write would begin it anew.
            handle.execute("begin")
            handle.execute("select 1 from sqlite_master limit 1").fetchall()
        step, pages = steps(lambda: int(handle.execute("pragma page_count").fetchone()[0])), 0

        def told(_: int, left: int, total: int) -> None:
            nonlocal pages
            step(total - left - pages)
            pages = total - left

        try:
            handle.backup(copy, pages=_PAGES_AT_ONCE, progress=told)
        finally:
            copy.close()
            if is_ours:
                handle.execute("rollback")

    def _text(self, sql: str) -> str:
        if not is_ordinary(sql):
            self._announce(sql)
            return self._rewritten(sql)  # and not kept, so that it is announced each time
        text = self._rewritten(sql)
        if len(sql) <= _LONGEST_CACHED:
            if len(self._texts) >= _CACHED_TEXTS:
                self._texts.clear()
            self._texts[sql] = text
        return text

    def _announce(self, sql: str) -> None:
        """Tell the connection, which may be using this session directly, before *sql* runs."""
        watcher = self.watcher() if self.watcher is not None else None
        if watcher is not None:
            watcher(sql)

    def _rewritten(self, sql: str) -> str:
        if _ASKS_FOR_PATIENCE.fullmatch(sql):
            return f"select {self._patience_ms} as timeout"
        return sql if _HAS_DQS_SWITCH else backtick_names(sql)

    def _bound(self, bindings: Any) -> Any:
        if isinstance(bindings, Mapping):
            return {k: self._value(v) for k, v in bindings.items()}
        return [self._value(v) for v in bindings]

    def _value(self, value: Any) -> Any:
        value = plain(value, self._zone)
        return decimal_text(value) if isinstance(value, Decimal) else value


class SQLiteDialect:
    """SQLite as configured for one connection."""

    name = "sqlite"
    driver_errors: tuple[type[BaseException], ...] = (sqlite3.Error, OverflowError, UnicodeError)
    splits = False
    keeps_session = True
    releases_savepoints = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take a checked configuration (see so/db/options.py); nothing is opened yet."""
        self.config = config
        self.lock_wait_seconds = config["busy_timeout"] / 1000
        self.server: Server | None = Server("sqlite", sqlite3.sqlite_version_info)
        self._zone = zone_of(config["timezone"])
        self._texts: dict[str, str] = {}
        self._identity: tuple[int, int] | None = None
        self._mode = _begin_mode(config["transaction_mode"])
        self._begin = (f"begin {self._mode}",)

    def hosts(self, role: str) -> list[str]:
        """The path."""
        return [str(self.config["database"])]

    def shun(self, host: str) -> None:
        """There is only one."""

    def open(self, role: str, host: str) -> SQLiteSession:
        """A handle with all pragmas set; not on a file that took the place of the one before."""
        known = self._identity  # read once: another thread may be closing its connection
        file = file_of(host)
        if known is not None and identity_of(file) != known:
            raise FileGone(GONE.format(path=file))
        deadline = time.monotonic() + self.lock_wait_seconds
        while True:
            handle = self._connect(host)
            try:
                self._prepare(handle)
                self._identity = identity_of(file)
                return SQLiteSession(
                    handle, host, self._texts, self._zone, self.config["busy_timeout"]
                )
            except BaseException as error:
                handle.close()
                code = getattr(error, "sqlite_errorname", "")
                if code.startswith("SQLITE_CANTOPEN"):
                    raise FileClosed(self.explain(error)) from error
                # Two that switch a new file to WAL at once: SQLite waits for neither.
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
            time.sleep(uniform(0.001, 0.01))  # noqa: S311  (jitter)

    def _connect(self, path: str) -> sqlite3.Connection:
        is_uri, file = path.startswith("file:"), file_of(path)
        if file and not Path(file).parent.is_dir():
            raise FileClosed(f"unable to open database file {file!r}: its folder does not exist")
        if file and not _KEPT.search(path):
            _make_private(file)
        return sqlite3.connect(
            path,
            timeout=0,  # so/db/execution.py does the waiting, and fairer
            isolation_level=None,
            cached_statements=512,
            uri=is_uri,
            # Ours, which `_check` does: a handle whose thread has ended must be closed by another.
            check_same_thread=False,
        )

    def _prepare(self, handle: sqlite3.Connection) -> None:
        for pragma, value in self._pragmas().items():
            handle.execute(f"pragma {pragma} = {value}").fetchall()
        if sys.version_info >= (3, 12):
            handle.setconfig(sqlite3.SQLITE_DBCONFIG_DQS_DML, False)
            handle.setconfig(sqlite3.SQLITE_DBCONFIG_DQS_DDL, False)
        calculating.teach(handle)

    def _pragmas(self) -> dict[str, Any]:
        config = self.config
        pragmas = {
            # Of a new file, and before all others. A write puts whole pages into the WAL: with half
            # the usual size a small one costs a fifth less, and reading costs the same.
            "page_size": 2048,
            "foreign_keys": int(config["foreign_keys"]),
            "journal_mode": config["journal_mode"],
            "synchronous": config["synchronous"],
            # A long read keeps the WAL from being reset; what it grew to is given back afterwards.
            "journal_size_limit": 8_388_608,
        }
        return {**pragmas, **config["pragmas"]}

    def translate(
        self, error: BaseException, sql: str, bindings: Any, connection: str
    ) -> QueryError:
        """The driver's *error* as one of ours."""
        code = getattr(error, "sqlite_errorname", None) or ""
        text = self.explain(error)
        is_lost = isinstance(error, FileGone | FileClosed)
        kind = LostConnectionError if is_lost else _class_of(code)
        if isinstance(error, OverflowError | UnicodeEncodeError):
            kind, text = UnfitValueError, f"{text}: no column holds it; {errortext.LOOK_FIRST}"
        problem = kind(
            sql,
            bindings,
            connection,
            error,
            errortext.describe(text, connection, sql, bindings, self.config["redact"]),
        )
        if isinstance(problem, UniqueConstraintError | NotNullError):
            _name_columns(problem, str(error))
        return problem

    def explain(self, error: BaseException) -> str:
        """The text of *error*, and what helps where a file or its folder is closed to us."""
        code = getattr(error, "sqlite_errorname", None) or ""
        path = file_of(str(self.config["database"])) or ""
        if not path or not code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
            return str(error)
        if os.path.isdir(path):
            return f"{error}: {path!r} is a folder, name a file in it"
        if not os.path.exists(path):
            return f"{error}: let this user write to the folder of {path!r}"
        return (
            f"{error}: SQLite keeps -wal and -shm files beside {path!r}; let this user write to it "
            f"and to its folder, or read a copy that nobody changes as 'file:{path}?immutable=1'"
        )

    def closed(self) -> None:
        """From now on another file at the path is as good."""
        self._identity = None

    def add_details(self, problem: QueryError, session: DriverSession) -> None:
        """Nothing: SQLite's messages say it all."""

    def is_busy(self, error: BaseException) -> bool:
        """True for a lock that will come free; a stale snapshot will not."""
        return _is_busy(error)

    def never_ran(self, error: BaseException | None) -> bool:
        """False: there is no server that could say so."""
        return False

    def ended_session(self, error: BaseException | None) -> bool:
        """False: there is no server that could."""
        return False

    def begin_statements(self, mode: str | None, isolation: str | None) -> Sequence[str]:
        """`begin immediate` unless told otherwise; every isolation level is satisfied."""
        if mode is None:
            return self._begin
        return (f"begin {_begin_mode(mode)}",)

    def forbids_in_transaction(self, sql: str) -> bool:
        """Whether *sql* begins, commits or rolls back; DDL is transactional here."""
        return ends_transaction(sql)


def _all(cursor: sqlite3.Cursor) -> Tuples:
    """Its rows; one that cannot be read (a text that is no UTF-8) leaves no table locked."""
    try:
        return cursor.fetchall()
    except BaseException:
        cursor.close()
        raise


def _names(cursor: sqlite3.Cursor) -> tuple[str, ...]:
    return tuple([column[0] for column in cursor.description or ()])


def _begin_mode(mode: str) -> str:
    wanted = mode.lower()
    wanted = _MODES.get(wanted, wanted)
    if wanted not in _KNOWN_MODES:
        raise ValueError(f"unknown transaction mode {mode!r}: use {', '.join(_KNOWN_MODES)}")
    return wanted


_CLASSES: Final[tuple[tuple[str, type[QueryError]], ...]] = (
    ("SQLITE_CONSTRAINT_UNIQUE", UniqueConstraintError),
    ("SQLITE_CONSTRAINT_PRIMARYKEY", UniqueConstraintError),
    ("SQLITE_CONSTRAINT_ROWID", UniqueConstraintError),
    ("SQLITE_CONSTRAINT_FOREIGNKEY", ForeignKeyError),
    ("SQLITE_CONSTRAINT_NOTNULL", NotNullError),
    # A snapshot that is behind can never be written from: the transaction has to start again.
    ("SQLITE_BUSY_SNAPSHOT", DeadlockError),
    ("SQLITE_BUSY", LockTimeoutError),
    ("SQLITE_LOCKED", LockTimeoutError),
    ("SQLITE_PROTOCOL", LockTimeoutError),  # too many began to read the WAL at once
    ("SQLITE_READONLY", ReadOnlyError),
    ("SQLITE_INTERRUPT", StatementTimeoutError),
    ("SQLITE_CANTOPEN", LostConnectionError),
    ("SQLITE_FULL", UnavailableError),
    ("SQLITE_IOERR", UnavailableError),
    ("SQLITE_NOMEM", UnavailableError),
)


GONE: Final = (
    "the database file {path!r} was deleted or replaced while it was open, so that what is written "
    "would be lost: put it back, or restart what uses it"
)


def _owned_by_another(host: str) -> ConnectionOwnerError:
    return ConnectionOwnerError(
        f"a connection to {host!r} was used from another thread than the one that opened it: ask "
        "the Database for a connection in each thread"
    )


def _make_private(path: str) -> None:
    """A new file is nobody else's to read; SQLite gives -wal and -shm the mode of the file."""
    with suppress(OSError):  # it is there, or cannot be: then SQLite says so
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))


def _is_busy(error: BaseException) -> bool:
    name = str(getattr(error, "sqlite_errorname", ""))
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) and name != "SQLITE_BUSY_SNAPSHOT"


def _class_of(code: str) -> type[QueryError]:
    for prefix, cls in _CLASSES:
        if code.startswith(prefix):
            return cls
    return QueryError


def _name_columns(problem: QueryError, text: str) -> None:
    """Fill `.columns` and `.index` from `UNIQUE constraint failed: users.email, users.org`."""
    _, _, found = text.partition("constraint failed: ")
    if isinstance(problem, UniqueConstraintError):
        index = re.match(r"index '(.*)'", found)
        if index:
            problem.index = index.group(1)
        else:
            problem.columns = [name.strip().rpartition(".")[2] for name in found.split(",")]
