"""By which columns the rows of a table are told apart: asked of the database, quietly."""

from __future__ import annotations

import re
from typing import Any

_LONG = re.compile(r"(tiny|medium|long)text|blob|json|geometry|point|vector", re.IGNORECASE)
_WITHOUT_ROWID = (
    "select 1 from sqlite_master where type = 'table' and name = ? collate nocase"
    " and sql like '%without%rowid%'"
)
_IS_TABLE = "select 1 from sqlite_master where type = 'table' and name = ? collate nocase"


def key_of(connection: Any, table: str) -> list[str]:
    """The columns of the primary key of *table*; of one without, such as a view, all short ones.

    Nobody who watches the connection hears of it. Nothing for a table that is not there.
    """
    if connection.dialect.name == "mysql":
        name = connection.grammar.wrap_table(table)
        found = connection.quietly(f"show keys from {name} where key_name = 'PRIMARY'")
        return [str(row[4]) for row in found] or _short(column_types(connection, table))
    name = connection.grammar.prefixed(table).rpartition(".")[2]
    found = connection.quietly(
        "select name from pragma_table_info(?) where pk order by pk", (name,)
    )
    if found:
        return [str(column) for (column,) in found]
    columns = column_types(connection, table)
    has_rowid = "rowid" not in columns and connection.quietly(_IS_TABLE, (name,))
    return ["rowid"] if has_rowid else _short(columns)


def column_types(connection: Any, table: str) -> dict[str, str]:
    """The columns of *table*, or of a view, and their types; asked as quietly as `key_of`."""
    if connection.dialect.name == "mysql":
        found = connection.quietly(f"show columns from {connection.grammar.wrap_table(table)}")
    else:
        name = connection.grammar.prefixed(table).rpartition(".")[2]
        found = connection.quietly("select name, type from pragma_table_info(?)", (name,))
    return {str(row[0]): str(row[1]) for row in found}


def _short(columns: dict[str, str]) -> list[str]:
    return [name for name, kind in columns.items() if not _LONG.search(kind)]


def key_without_rowid(connection: Any, table: str) -> list[str]:
    """The primary key of a table of SQLite whose rows have no rowid; nothing of any other table."""
    if connection.dialect.name == "mysql":
        return []
    name = connection.grammar.prefixed(table).rpartition(".")[2]
    return key_of(connection, table) if connection.quietly(_WITHOUT_ROWID, (name,)) else []
