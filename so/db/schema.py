"""The framework's tables: install them, print them, compare a live database with them; back up.

The two files of SQL are the only description of the tables. What this module knows of them it
reads off their text; applications' own tables are the business of migrations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from so.db.framework import framework_sql
from so.db.sqltext import MYSQL_TOKEN, statements
from so.db.tables import integrity
from so.errors import SchemaError

if TYPE_CHECKING:
    from so.db.connection import Connection

LOCK_SECONDS = 60
"""How long one server waits for another that is installing or migrating."""

_TABLE = re.compile(
    r"^\s*create\s+table\s+(?:if\s+not\s+exists\s+)?[`\"]?(\w+)[`\"]?\s*\((.*)\)([^)]*)$",
    re.IGNORECASE | re.DOTALL,
)
_INDEX = re.compile(
    r"^\s*create\s+(?:unique\s+)?index\s+(?:if\s+not\s+exists\s+)?[`\"]?(\w+)[`\"]?\s+on\s+"
    r"[`\"]?(\w+)",
    re.IGNORECASE,
)
_DROPPED = re.compile(r"^-- dropped: (\w+) on (\w+)", re.MULTILINE)
_KEY = re.compile(
    r"^(?:unique\s+(?:key|index)|fulltext\s+(?:key|index)|key|index)\s+[`\"]?(\w+)", re.I
)
_NOT_A_COLUMN = re.compile(
    r"^(?:primary|unique|fulltext|key|index|constraint|foreign|check)\b", re.I
)
_COLLATION = re.compile(r"\bcollate[\s=]+(\w+)", re.IGNORECASE)
_FOR_ONE_SERVER = re.compile(r"/\*(M!|!80017)\s*(.*?)\s*\*/", re.DOTALL)
_TYPE = re.compile(r"\w+(?:\s*\([^)]*\))?")
_OWN_COLLATION = re.compile(r"\s+(?:character\s+set|collate)\s+\w+", re.IGNORECASE)
_TEXT_TYPE = re.compile(r"\b(?:char|varchar|text|tinytext|mediumtext|longtext)\b", re.IGNORECASE)


@dataclass
class Table:
    """One table as its SQL describes it."""

    name: str
    columns: dict[str, str] = field(default_factory=dict)
    """Name → definition, in order."""
    comments: dict[str, str] = field(default_factory=dict)
    """Column → what the file says about it behind `--`."""
    indexes: dict[str, str] = field(default_factory=dict)
    """Name → how to create it."""
    collations: dict[str, str] = field(default_factory=dict)
    """Text column → collation; MySQL only."""


@dataclass(frozen=True)
class SchemaFault:
    """One way in which a live database differs from the files."""

    kind: str
    """'table', 'column', 'index', 'dropped index' (one of an older version), 'collation', or
    'money': of an application's own table."""
    table: str
    name: str
    text: str
    mend: str | None
    """The statement that mends it, where one can."""

    def __str__(self) -> str:
        return self.text


@cache
def framework_statements(dialect: str) -> tuple[str, ...]:
    """The statements of that file, in order; read once a process, as it takes 10 ms."""
    return tuple(statements(framework_sql(dialect), dialect))


@cache
def framework_tables(dialect: str, server: str = "mariadb") -> Mapping[str, Table]:
    """The framework's tables by name, in the order of the file; for 'mariadb' or 'mysql'.

    Read once a process, as it takes 20 ms: for reading alone.
    """
    return MappingProxyType(read_tables(framework_sql(dialect), dialect, server))


def read_tables(script: str, dialect: str, server: str = "mariadb") -> dict[str, Table]:
    """The tables that *script* creates, as *server* reads its comments."""
    tables: dict[str, Table] = {}
    for statement in statements(_as_read_by(server, script), dialect):
        bare, comments = _without_comments(statement)
        table = _TABLE.match(bare)
        index = _INDEX.match(bare)
        if table:
            found = _read_table(table.group(1), table.group(2), table.group(3), comments)
            tables[found.name] = found
        elif index:
            tables[index.group(2)].indexes[index.group(1)] = bare.strip()
    return tables


def _as_read_by(server: str, script: str) -> str:
    """*script* with the comments that only MariaDB, or only MySQL, takes for SQL."""
    mark = "M!" if server == "mariadb" else "!80017"
    return _FOR_ONE_SERVER.sub(lambda m: m.group(2) if m.group(1) == mark else "", script)


def server_of(connection: Connection) -> str:
    """'mariadb' or 'mysql', whichever answers; for SQLite, where it is all one, 'mariadb'."""
    return "mysql" if connection.server.product == "mysql" else "mariadb"


def _without_comments(statement: str) -> tuple[str, dict[str, str]]:
    """*statement* without its comments; and the comments by the first word of their line."""
    comments = {}
    for line in statement.splitlines():
        code, mark, text = line.partition("--")
        words = code.split()
        if mark and words:
            comments[words[0].strip('`"')] = text.strip()
    bare = MYSQL_TOKEN.sub(lambda m: "" if m.group()[:2] in ("--", "/*") else m.group(), statement)
    return bare, comments


def _read_table(name: str, body: str, options: str, comments: dict[str, str]) -> Table:
    table = Table(name)
    default = _COLLATION.search(options)
    for item in _items(body):
        key = _KEY.match(item)
        if key:
            table.indexes[key.group(1)] = f"alter table `{name}` add {item}"
        elif not _NOT_A_COLUMN.match(item):
            _read_column(table, item, default.group(1) if default else None)
    table.comments = {c: text for c, text in comments.items() if c in table.columns}
    return table


def _read_column(table: Table, item: str, default: str | None) -> None:
    word, _, definition = item.partition(" ")
    name = word.strip('`"')
    table.columns[name] = definition.strip()
    own = _COLLATION.search(definition)
    if own or (default and _TEXT_TYPE.search(definition)):
        table.collations[name] = own.group(1) if own else str(default)


def _items(body: str) -> Iterator[str]:
    """The parts of a table's body, split at the commas that are in no parenthesis or string."""
    start = depth = 0
    for match in re.finditer(r"'(?:[^']|'')*'|[(),]", body):
        mark = match.group()
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if mark == "," and depth == 0:
            yield " ".join(body[start : match.start()].split())
            start = match.end()
    yield " ".join(body[start:].split())


# --- installing -----------------------------------------------------------------------------------


def install(connection: Connection) -> list[str]:
    """Create what is missing of the framework's tables and say what that was.

    Nothing that exists is changed, except that a table from an older version gets the columns and
    indexes it lacks, and the collations that tell its keys apart, and loses the indexes that are
    in the way today. Two servers may do this at once.
    """
    with only_one(connection, "install"):
        before = {(fault.kind, fault.table, fault.name) for fault in check(connection)}
        if not before:
            return []
        for statement in _to_run(connection):
            connection.unprepared(statement)
        for fault in check(connection):
            if fault.mend and fault.kind in ("column", "index", "dropped index"):
                connection.unprepared(fault.mend)
        _mend_collations(connection)
        after = {(fault.kind, fault.table, fault.name) for fault in check(connection)}
    return [" ".join(_words(done)) for done in sorted(before - after)]


def _mend_collations(connection: Connection) -> None:
    """Rebuild, once each, the tables that have text columns of another collation.

    A key that becomes exact can only tell more values apart, so that no unique key is broken by it,
    and what is without case is in no key.
    """
    changes: dict[str, list[str]] = {}
    for table, _, _, change in _other_collations(connection):
        changes.setdefault(table.name, []).append(change)
    for name, parts in changes.items():
        connection.unprepared(f"alter table {name} {', '.join(parts)}")


def _words(done: tuple[str, str, str]) -> tuple[str, str]:
    kind, table, name = done
    return kind, name if kind == "table" else f"{table}.{name}"


def _to_run(connection: Connection) -> list[str]:
    """The statements of the file; an index on a column that is still missing has to wait."""
    dialect = connection.dialect.name
    live = _live_columns(connection)
    expected = framework_tables(dialect)
    late = {
        name
        for table in expected.values()
        if table.name in live and set(table.columns) - live[table.name]
        for name in table.indexes
    }
    found = framework_statements(dialect)
    return [s for s in found if not ((i := _INDEX.match(_bare(s))) and i.group(1) in late)]


def _bare(statement: str) -> str:
    return _without_comments(statement)[0]


@contextmanager
def only_one(connection: Connection, purpose: str) -> Iterator[None]:
    """Hold the database's advisory lock for *purpose*, or on SQLite its write transaction.

    Raises SchemaError when another server did not finish in LOCK_SECONDS.
    """
    if connection.dialect.name == "sqlite":
        with connection.transaction(mode="immediate"):
            yield
        return
    name = f"so:{purpose}:{connection.config['database']}"[:64]
    if connection.scalar("select get_lock(?, ?)", [name, LOCK_SECONDS], use_read=False) != 1:
        raise SchemaError(
            f"another server has been busy with {purpose} for {LOCK_SECONDS} s: wait for it to end"
        )
    try:
        yield
    finally:
        connection.scalar("select release_lock(?)", [name], use_read=False)


# --- comparing ------------------------------------------------------------------------------------


def check(connection: Connection) -> list[SchemaFault]:
    """Each table, column and index that *connection* lacks, and each wrong collation."""
    live = _live_columns(connection)
    indexes = _live_indexes(connection)
    faults: list[SchemaFault] = []
    for table in framework_tables(connection.dialect.name, server_of(connection)).values():
        if table.name not in live:
            text = f"table {table.name} is missing"
            faults.append(SchemaFault("table", table.name, table.name, text, None))
            continue
        faults.extend(_missing_columns(table, live[table.name]))
        faults.extend(_missing_indexes(table, indexes))
    faults.extend(_old_indexes(connection.dialect.name, indexes))
    return [*faults, *_wrong_collations(connection)]


def _missing_columns(table: Table, live: set[str]) -> Iterator[SchemaFault]:
    quote = f"alter table {table.name} add column "
    for name in table.columns:
        if name not in live:
            mend = f"{quote}{name} {_with_collation(table, name)}"
            yield SchemaFault(
                "column", table.name, name, f"column {table.name}.{name} is missing", mend
            )


def _missing_indexes(table: Table, live: set[tuple[str, str]]) -> Iterator[SchemaFault]:
    for name, mend in table.indexes.items():
        if (table.name, name) not in live:
            text = f"index {name} on {table.name} is missing"
            yield SchemaFault("index", table.name, name, text, mend)


def _old_indexes(dialect: str, live: set[tuple[str, str]]) -> Iterator[SchemaFault]:
    """What the file calls dropped, where an older version has made it."""
    for name, table in _DROPPED.findall(framework_sql(dialect)):
        if (table, name) in live:
            drop = "drop index" if dialect == "sqlite" else f"alter table {table} drop index"
            text = f"index {name} on {table} is of an older version, and in the way"
            yield SchemaFault("dropped index", table, name, text, f"{drop} {name}")


def _wrong_collations(connection: Connection) -> Iterator[SchemaFault]:
    for table, column, actual, change in _other_collations(connection):
        wanted = table.collations[column]
        text = f"column {table.name}.{column} has collation {actual}, it needs {wanted}"
        yield SchemaFault(
            "collation", table.name, column, text, f"alter table {table.name} {change}"
        )


def _other_collations(connection: Connection) -> Iterator[tuple[Table, str, str, str]]:
    """Table, column, collation it has, and how to change it; on a server alone."""
    if connection.dialect.name != "mysql":
        return
    rows = connection.select_tuples(
        "select table_name, column_name, collation_name from information_schema.columns"
        " where table_schema = database() and collation_name is not null",
        use_read=False,
    )
    found = {(table, column): collation for table, column, collation in rows}
    for table in framework_tables("mysql", server_of(connection)).values():
        for column, wanted in table.collations.items():
            actual = found.get((table.name, column), wanted)
            if actual != wanted:
                yield table, column, actual, f"modify `{column}` {_with_collation(table, column)}"


def _with_collation(table: Table, column: str) -> str:
    """The definition of *column* for a table whose default collation may be another."""
    definition = table.columns[column]
    wanted = table.collations.get(column)
    kind = _TYPE.match(definition)
    if wanted is None or kind is None:
        return definition
    rest = _OWN_COLLATION.sub("", definition[kind.end() :])
    charset = wanted.partition("_")[0]
    return f"{kind.group()} character set {charset} collate {wanted}{rest}"


def money_in_text(
    connection: Connection, columns: Iterable[tuple[str, str, str]]
) -> Iterator[SchemaFault]:
    """Those of *columns* (table, column, cast) that SQLite has as text and sorts as text."""
    if connection.dialect.name != "sqlite":
        return
    for table, column, cast in sorted(set(columns)):
        declared = connection.scalar(
            "select type from pragma_table_info(?) where name = ?", [table, column]
        )
        if declared is not None and re.search("char|clob|text", declared, re.IGNORECASE):
            text = (
                f"column {table}.{column} is {declared} and cast to {cast}: it sorts, and has its "
                "least and greatest, as text; give it the type decimal(p,s), unless it needs more "
                "than 15 digits"
            )
            yield SchemaFault("money", table, column, text, None)


def _live_columns(connection: Connection) -> dict[str, set[str]]:
    if connection.dialect.name == "sqlite":
        rows = connection.select_tuples(
            "select m.name, c.name from sqlite_master as m, pragma_table_xinfo(m.name) as c"
            " where m.type = 'table'"
        )
    else:
        rows = connection.select_tuples(
            "select table_name, column_name from information_schema.columns"
            " where table_schema = database()",
            use_read=False,
        )
    found: dict[str, set[str]] = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def _live_indexes(connection: Connection) -> set[tuple[str, str]]:
    if connection.dialect.name == "sqlite":
        sql = "select tbl_name, name from sqlite_master where type = 'index'"
    else:
        sql = (
            "select distinct table_name, index_name from information_schema.statistics"
            " where table_schema = database()"
        )
    return {(table, name) for table, name in connection.select_tuples(sql, use_read=False)}


# --- backing up -----------------------------------------------------------------------------------


def backup(connection: Connection, target: Path) -> int:
    """Copy an SQLite database to *target* while others go on writing; the copy's size in bytes.

    The copy is checked before it gets its name; an existing file is not overwritten. For MySQL a
    SchemaError names the tool: a server is backed up by its own.
    """
    if connection.dialect.name != "sqlite":
        raise SchemaError(_how_to_dump(connection.config))
    if target.exists():
        raise SchemaError(f"{target} exists: move it away or choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".part")
    unfinished.unlink(missing_ok=True)
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL, 0o600))
        _copy(connection, unfinished)
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(connection: Connection, path: Path) -> None:
    from so.db.connection import Connection

    source: Any = connection._writer()
    source.backup(path)
    with Connection({"database": str(path), "journal_mode": "delete"}) as copy:
        verdict = integrity(copy)
    if verdict != "ok":
        raise SchemaError(f"the copy is damaged: {verdict}")


def _how_to_dump(config: Any) -> str:
    host = config["host"] if isinstance(config["host"], str) else ",".join(config["host"])
    return (
        f"database {config['database']!r} is on a server: back it up with that server's own tool, "
        f"such as `mariadb-dump --single-transaction --routines --host={host.split(',')[0]} "
        f"--user={config['username']} -p {config['database']}` (mysqldump on MySQL)"
    )
