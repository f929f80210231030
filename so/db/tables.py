"""Which tables and views a database has, what they are made of, and how to be rid of all."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from so.support.listed import parts
from so.support.progress import steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from so.db.connection import Connection

_LISTED = {
    "sqlite": (
        "select name, type from sqlite_master where type in ('table', 'view')"
        " and name not like 'sqlite\\_%' escape '\\' order by name"
    ),
    "mysql": (
        "select table_name, if(table_type = 'VIEW', 'view', 'table')"
        " from information_schema.tables where table_schema = database() order by table_name"
    ),
}
_MEASURED = (
    "select table_name, table_rows, data_length + index_length from information_schema.tables"
    " where table_schema = database() and table_type = 'BASE TABLE' order by 3 desc"
)
_COLUMNS = (
    "select column_name as name, column_type as type, is_nullable = 'YES' as nullable,"
    " column_default as `default`, column_key = 'PRI' as `key` from information_schema.columns"
    " where table_schema = database() and table_name = ? order by ordinal_position"
)
_INDEXES = (
    "select index_name as name, non_unique = 0 as `unique`,"
    " group_concat(column_name order by seq_in_index) as columns from information_schema.statistics"
    " where table_schema = database() and table_name = ? group by index_name, non_unique"
    " order by index_name"
)
_FOREIGN_KEYS = (
    "select group_concat(k.column_name order by k.ordinal_position) as columns,"
    " k.referenced_table_name as foreign_table,"
    " group_concat(k.referenced_column_name order by k.ordinal_position) as foreign_columns,"
    " r.delete_rule as on_delete from information_schema.key_column_usage k"
    " join information_schema.referential_constraints r on r.constraint_schema = k.table_schema"
    " and r.constraint_name = k.constraint_name where k.table_schema = database()"
    " and k.table_name = ? and k.referenced_table_name is not null"
    " group by k.constraint_name, k.referenced_table_name, r.delete_rule"
)
_WITHOUT_ROWID = re.compile(r"without\s+rowid", re.IGNORECASE)
_CHECKS = {"sqlite": "pragma foreign_keys = {}", "mysql": "set foreign_key_checks = {}"}
_READ = {"sqlite": "pragma foreign_keys", "mysql": "select @@foreign_key_checks"}


def table_names(connection: Connection) -> list[str]:
    """The names of all tables, those of the framework among them, in order; no views."""
    return [name for name, kind in _listed(connection) if kind == "table"]


def drop_all(connection: Connection) -> list[str]:
    """Drop every view and table, whatever refers to whatever; the names of the tables.

    On a server each drop commits by itself. Triggers and indexes go with their table.
    """
    found = _listed(connection)
    with _unchecked(connection):
        for name, kind in sorted(found, key=lambda one: one[1], reverse=True):  # views first
            connection.statement(f"drop {kind} {connection.grammar.wrap_value(name)}")
    return [name for name, kind in found if kind == "table"]


@dataclass(frozen=True)
class Size:
    """How large a table is: rows as the highest key or the server's estimate says, and bytes.

    What cannot be told without reading the table is None.
    """

    name: str
    rows: int | None
    bytes: int | None


def sizes(connection: Connection) -> list[Size]:
    """The size of every table, without counting a row."""
    if connection.dialect.name == "mysql":
        rows = connection.select_tuples(_MEASURED)
        return [Size(str(name), int(count or 0), int(size or 0)) for name, count, size in rows]
    listed = connection.select_tuples(
        "select name, sql from sqlite_master where type = 'table'"
        " and name not like 'sqlite\\_%' escape '\\' order by name"
    )
    keyed = [str(name) for name, sql in listed if not _WITHOUT_ROWID.search(sql or "")]
    spans = {name: rows for part in parts(keyed) for name, rows in _spans(connection, part)}
    return [Size(str(name), spans.get(str(name)), None) for name, _ in listed]


def integrity(connection: Connection) -> str:
    """ok, or the first thing that is wrong with a database of SQLite; it tells how far it is.

    As `pragma integrity_check`, which says nothing before its end, and so in parts: whether each
    page belongs to one table, then table by table each row and its place in every index.
    """
    found = sizes(connection)
    step = steps(lambda: 2 * sum(one.rows or 1 for one in found))
    verdict = str(connection.scalar("pragma quick_check(1)"))
    step(sum(one.rows or 1 for one in found))
    for one in found:
        if verdict != "ok":
            break
        verdict = str(
            connection.scalar(f"pragma integrity_check({connection.grammar.wrap_value(one.name)})")
        )
        step(one.rows or 1)
    return verdict


def _spans(connection: Connection, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """How far the keys of tables of SQLite reach, in one statement."""
    wrapped = [connection.grammar.wrap_value(name) for name in names]
    # Each end asked for alone: of both at once SQLite walks an index.
    sql = " union all ".join(
        "select coalesce((select max(rowid) from "  # noqa: S608 - quoted
        f"{name}) - (select min(rowid) from {name}) + 1, 0)"
        for name in wrapped
    )
    for name, (rows,) in zip(names, connection.select_tuples(sql), strict=True):
        yield name, int(rows)


def whole_size(connection: Connection) -> int:
    """Bytes of the whole database."""
    if connection.dialect.name == "mysql":
        return sum(size.bytes or 0 for size in sizes(connection))
    pages = "select page_count * page_size from pragma_page_count(), pragma_page_size()"
    return int(connection.scalar(pages))


def columns(connection: Connection, table: str) -> list[dict[str, Any]]:
    """Each column of a table: name, type, nullable, default, key."""
    if connection.dialect.name == "mysql":
        return _dicts(connection, _COLUMNS, table)
    rows = connection.select_tuples("select * from pragma_table_xinfo(?)", [table])
    keys = [(n, kind.lower()) for _, n, kind, *_, key, _ in rows if key]
    # The number of a row, which is never null, though SQLite does not say so.
    number = keys[0][0] if [kind for _, kind in keys] == ["integer"] else None
    return [
        {
            "name": n,
            "type": kind,
            "nullable": not needed and n != number,
            "default": given,
            "key": bool(key),
        }
        for _, n, kind, needed, given, key, *_ in rows
    ]


def indexes(connection: Connection, table: str) -> list[dict[str, Any]]:
    """Each index of a table: name, unique, columns."""
    if connection.dialect.name == "mysql":
        return _dicts(connection, _INDEXES, table)
    return _dicts(
        connection,
        'select l.name, l."unique", group_concat(i.name) as columns from pragma_index_list(?) l'
        " join pragma_index_info(l.name) i group by l.name order by l.name",
        table,
    )


def foreign_keys(connection: Connection, table: str) -> list[dict[str, Any]]:
    """Each foreign key of a table: columns, the table and columns they are of, on delete."""
    if connection.dialect.name == "mysql":
        return _dicts(connection, _FOREIGN_KEYS, table)
    return _dicts(
        connection,
        'select group_concat("from") as columns, "table" as foreign_table,'
        ' group_concat("to") as foreign_columns, on_delete from pragma_foreign_key_list(?)'
        " group by id order by id",
        table,
    )


def _dicts(connection: Connection, sql: str, table: str) -> list[dict[str, Any]]:
    return [{str(k).lower(): v for k, v in row.items()} for row in connection.select(sql, [table])]


def _listed(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.select(_LISTED[connection.dialect.name], use_read=False)
    return [(str(name), str(kind)) for name, kind in (row.values() for row in rows)]


@contextmanager
def _unchecked(connection: Connection) -> Iterator[None]:
    """Foreign keys are not looked at inside the block, as they were before afterwards."""
    name = connection.dialect.name
    before = int(connection.scalar(_READ[name], use_read=False))
    connection.statement(_CHECKS[name].format(0))
    try:
        yield
    finally:
        connection.statement(_CHECKS[name].format(before))
