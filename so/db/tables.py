"""Which tables and views a database has, and how to be rid of all of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
