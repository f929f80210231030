"""Application migrations: files of SQL (or Python) in one folder, applied once each, in order.

`YYYY_MM_DD_HHMMSS_name.sql` runs on both engines; `.sqlite.sql` and `.mysql.sql` beside each other
are for one each; `.py` has `up(db)` and `down(db)`. Below a line `-- rollback` stands how to undo.
On SQLite each file is one transaction. MySQL commits DDL at once: there a failure names the file
and the statement, and leaves what follows alone.
"""

from __future__ import annotations

import codecs
import importlib.util
import inspect
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.db.schema import framework_statements, only_one
from so.db.sqltext import INVISIBLE, statements, verb
from so.errors import DatabaseError, ImplicitCommitError, MigrationError, SchemaError
from so.support import progress
from so.support.near import nearest

if TYPE_CHECKING:
    from so.db.connection import Connection

_NAME = re.compile(r"(\d{4}_\d{2}_\d{2}_\d{6}_\w+?)((?:\.(?:sqlite|mysql))?\.sql|\.py)")
_BLANK = rf"[ \t{INVISIBLE}]*"
_ROLLBACK = re.compile(
    rf"^{_BLANK}--{_BLANK}rollback{_BLANK}[:;]?{_BLANK}$", re.IGNORECASE | re.MULTILINE
)
# The pragma itself does nothing within a transaction, so it is taken for the same wish.
_NO_FOREIGN_KEYS = re.compile(
    rf"^{_BLANK}--{_BLANK}foreign[ _]keys{_BLANK}[:=]?{_BLANK}off{_BLANK}$"
    rf"|^[\s{INVISIBLE}]*pragma\s+(?:main\s*\.\s*)?foreign_keys\s*[=(]\s*['\"]?(?:off|0|false|no)\b",
    re.I | re.M,
)
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Report = Callable[[str, float], object]
"""Called with a file's name and the milliseconds it took."""


@dataclass(frozen=True)
class Migration:
    """One migration with its files by kind: 'sql', 'sqlite', 'mysql' or 'py'."""

    name: str
    paths: dict[str, Path] = field(default_factory=dict)

    def path_for(self, dialect: str) -> Path:
        """The file that runs on *dialect*; raises MigrationError when there is none."""
        for kind in (dialect, "sql", "py"):
            if kind in self.paths:
                return self.paths[kind]
        here = ", ".join(path.name for path in self.paths.values())
        raise MigrationError(
            f"migration {self.name} has nothing for {dialect} ({here}): add "
            f"{self.name}.{dialect}.sql, or rename it to {self.name}.sql if it is the same SQL"
        )


@dataclass(frozen=True)
class Status:
    """One line of `migrate:status`."""

    name: str
    batch: int | None
    """None: pending."""
    file_is_missing: bool = False


class Migrator:
    """Applies and undoes the migrations of one folder on one connection."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        """*folder* need not exist: then there is nothing to do."""
        self._connection = connection
        self._dialect = connection.dialect.name
        self._folder = folder

    # --- asking

    def files(self) -> list[Migration]:
        """All migrations of the folder, in order of their names."""
        found: dict[str, Migration] = {}
        for path in sorted(self._folder.glob("*")) if self._folder.is_dir() else ():
            if path.suffix not in (".sql", ".py") or path.name.startswith("_"):
                continue
            name, kind = _name_and_kind(path)
            found.setdefault(name, Migration(name)).paths[kind] = path
        return [found[name] for name in sorted(found)]

    def applied(self) -> dict[str, int]:
        """Names of the applied migrations with their batch, in the order they were applied."""
        if not self._has_table():
            return {}
        rows = self._connection.select_tuples(
            "select migration, batch from migrations order by batch, id", use_read=False
        )
        return dict(rows)

    def pending(self) -> list[Migration]:
        """What `run()` would apply."""
        applied = self.applied()
        return [migration for migration in self.files() if migration.name not in applied]

    def status(self) -> list[Status]:
        """Every migration, applied or not, and those whose file is gone."""
        applied = self.applied()
        files = [migration.name for migration in self.files()]
        lines = [Status(name, applied.get(name)) for name in files]
        gone = [Status(n, batch, True) for n, batch in applied.items() if n not in files]
        return sorted(gone + lines, key=lambda line: line.name)

    # --- doing

    def run(self, limit: int | None = None, report: Report | None = None) -> list[str]:
        """Apply what is pending, at most *limit* files; the names of what was applied.

        With a limit every file gets a batch of its own, so that it can be undone alone.
        """
        self._make_table()
        done: list[str] = []
        with self._alone():
            batch = self._last_batch() + 1
            waiting = self.pending()[:limit]
            step = progress.steps(lambda: len(waiting))
            for migration in waiting:
                path = migration.path_for(self._dialect)
                started = time.perf_counter()
                if not self._apply(migration.name, path, batch):
                    continue  # another server did meanwhile
                done.append(migration.name)
                batch += 0 if limit is None else 1
                _tell(report, migration.name, started)
                step(1)
        return done

    def roll_back(
        self, steps: int | None = None, report: Report | None = None, *, everything: bool = False
    ) -> list[str]:
        """Undo the last batch, the last *steps* migrations, or everything; the names undone."""
        if not self._has_table():
            return []
        files = {migration.name: migration for migration in self.files()}
        done: list[str] = []
        with self._alone():
            undone = self._to_undo(steps, everything)
            step = progress.steps(lambda: len(undone))
            for name in undone:
                if name not in files:
                    raise MigrationError(_file_is_gone(name, files))
                started = time.perf_counter()
                self._undo(name, files[name].path_for(self._dialect))
                done.append(name)
                _tell(report, name, started)
                step(1)
        return done

    def pretend(self, limit: int | None = None) -> dict[str, list[str]]:
        """The statements that `run()` would execute, by migration; nothing is executed."""
        found = {}
        for migration in self.pending()[:limit]:
            path = migration.path_for(self._dialect)
            if path.suffix == ".py":
                log = self._connection.pretend(lambda path=path: self._call(path, "up"))
                found[migration.name] = [entry["query"] for entry in log]
            else:
                found[migration.name] = self._statements(path, 0)
        return found

    # --- one file

    def _apply(self, name: str, path: Path, batch: int) -> bool:
        with self._transaction(path):
            if name in self.applied():
                return False
            self._execute(path, 0, "up")
            self._connection.insert(
                "insert into migrations (migration, batch, applied_at) values (?, ?, ?)",
                [name, batch, self._connection.clock.now()],
            )
        return True

    def _undo(self, name: str, path: Path) -> None:
        with self._transaction(path):
            self._execute(path, 1, "down")
            self._connection.delete("delete from migrations where migration = ?", [name])

    def _execute(self, path: Path, half: int, function: str) -> None:
        if path.suffix == ".py":
            self._call(path, function)
        else:
            self._run_statements(path, self._statements(path, half))
        self._refuse_open_transaction(path)

    def _statements(self, path: Path, half: int) -> list[str]:
        """What one half of a file of SQL says; MigrationError for one that says nothing."""
        halves = _ROLLBACK.split(read_sql(path), maxsplit=1)
        if half >= len(halves):
            raise MigrationError(f"{path.name} has no `-- rollback` half: add one to undo it")
        try:
            found = statements(halves[half], self._dialect)
        except SchemaError as error:
            raise MigrationError(f"{path.name}: {error}; nothing of this file was run") from error
        if not found and not halves[half].strip():
            where = "its `-- rollback` half is empty" if half else "it is empty"
            raise MigrationError(
                f"{path.name} was not run, {where}: write what is to be done, or a comment that "
                "nothing is"
            )
        return found

    def _call(self, path: Path, function: str) -> None:
        """Run `up` or `down` of a file of Python; whatever ends it early is a MigrationError."""
        try:
            result = _python(path, function)(self._connection)
        except MigrationError:
            raise
        except (Exception, SystemExit) as error:
            what = f"sys.exit({error.code!r})" if isinstance(error, SystemExit) else str(error)
            raise MigrationError(
                f"{path.name}: {function}() failed: {type(error).__name__}: {what}"
                + ("" if self._dialect == "sqlite" else "; MySQL keeps the DDL that ran before it")
            ) from error
        if inspect.isawaitable(result) or inspect.isgenerator(result):
            close: Callable[[], object] = getattr(result, "close", lambda: None)
            close()
            raise MigrationError(
                f"{path.name}: {function}() gave a {type(result).__name__}, so nothing of it ran: "
                "write a plain function"
            )

    def _refuse_open_transaction(self, path: Path) -> None:
        """On MySQL: what a file leaves open would take the record of the file with it."""
        if self._dialect == "sqlite":
            return  # a transaction of its own, which notices by itself
        left_open = self._connection.transaction_level() > 0
        self._connection.roll_back(0)
        if self._connection.end_stray_transaction() or left_open:
            raise MigrationError(
                f"{path.name} left a transaction open, which was rolled back: commit it in the file"
            )

    def _run_statements(self, path: Path, found: Sequence[str]) -> None:
        for number, statement in enumerate(found, 1):
            try:
                self._run_statement(statement)
            except ImplicitCommitError as error:
                raise MigrationError(
                    f"{path.name}: statement {number} of {len(found)} begins or ends a transaction "
                    f"({statement:.100}), but each file is one: take it out"
                    + self._what_stays(number - 1)
                ) from error
            except DatabaseError as error:
                raise MigrationError(
                    f"{path.name}: statement {number} of {len(found)} failed: {error}"
                    + self._what_stays(number - 1)
                ) from error

    def _run_statement(self, statement: str) -> None:
        # DDL to the letter, so that SQLite shows it as it was written; all else with the care
        # that makes a misspelt column an error there.
        if self._dialect == "mysql" or verb(statement) in ("create", "alter"):
            self._connection.unprepared(statement)
        else:
            self._connection.statement(statement)

    def _what_stays(self, done: int) -> str:
        if self._dialect == "sqlite" or not done:
            return "; nothing of this file was kept"
        return (
            f"; the {done} before it stay, as MySQL commits DDL at once: undo them by hand or take "
            "them out of the file, then run migrate again"
        )

    @contextmanager
    def _transaction(self, path: Path) -> Iterator[None]:
        """One transaction a file on SQLite, foreign keys off where the file asks for it."""
        if self._dialect != "sqlite":
            yield
            return
        unchecked = path.suffix == ".sql" and _NO_FOREIGN_KEYS.search(read_sql(path))
        if unchecked:
            self._connection.unprepared("pragma foreign_keys = off")
        try:
            with self._connection.transaction():
                yield
                if unchecked:
                    self._check_foreign_keys(path)
        finally:
            if unchecked:
                self._connection.unprepared("pragma foreign_keys = on")

    def _check_foreign_keys(self, path: Path) -> None:
        broken = self._connection.select_tuples("pragma foreign_key_check")
        if broken:
            tables = ", ".join(sorted({str(row[0]) for row in broken}))
            raise MigrationError(
                f"{path.name} leaves {len(broken)} rows without the row they point to, in {tables}"
            )

    # --- the table

    def _alone(self) -> Any:
        """MySQL's advisory lock; on SQLite each file's own write transaction is enough."""
        if self._dialect == "mysql":
            return only_one(self._connection, "migrate")
        return _nothing()

    def _has_table(self) -> bool:
        if self._dialect == "sqlite":
            sql = "select 1 from sqlite_master where type = 'table' and name = 'migrations'"
        else:
            sql = (
                "select 1 from information_schema.tables"
                " where table_schema = database() and table_name = 'migrations'"
            )
        return bool(self._connection.select_tuples(sql, use_read=False))

    def _make_table(self) -> None:
        """Create the table `migrations` as the framework's file has it."""
        if not self._has_table():
            for statement in framework_statements(self._dialect):
                if re.search(r"\bmigrations\s*\(", statement):
                    self._connection.unprepared(statement)

    def _last_batch(self) -> int:
        return max(self.applied().values(), default=0)

    def _to_undo(self, steps: int | None, everything: bool) -> list[str]:
        newest_first = list(reversed(self.applied().items()))
        if everything:
            return [name for name, _ in newest_first]
        if steps is not None:
            return [name for name, _ in newest_first[:steps]]
        last = newest_first[0][1] if newest_first else 0
        return [name for name, batch in newest_first if batch == last]


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _tell(report: Report | None, name: str, started: float) -> None:
    if report is not None:
        report(name, (time.perf_counter() - started) * 1000)


def _name_and_kind(path: Path) -> tuple[str, str]:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise MigrationError(
            f"migration file {path.name!r} is not named YYYY_MM_DD_HHMMSS_name.sql: "
            "rename it, or make one with make:migration"
        )
    return match.group(1), match.group(2).lstrip(".").partition(".")[0]


def read_sql(path: Path) -> str:
    """The text of a file of SQL: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises MigrationError for anything else.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-16" if data.startswith(_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise MigrationError(
            f"{path.name} is not UTF-8 at byte {error.start}: save it as UTF-8"
        ) from error
    if "\0" in text:
        raise MigrationError(f"{path.name} holds NUL characters: save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _python(path: Path, name: str) -> Callable[[Any], object]:
    spec = importlib.util.spec_from_file_location(f"migration_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise MigrationError(f"{path.name} has no function {name}(db): write one")
    found: Callable[[Any], object] = function
    return found


def _file_is_gone(name: str, files: dict[str, Migration]) -> str:
    near = nearest(name, files)
    hint = f" (renamed to {near}?)" if near else ""
    return f"cannot undo {name}: its file is not there{hint}; put it back and try again"
