"""Tables for the tests of this folder, written once for both engines."""

from __future__ import annotations

from so.db.connection import Connection

_TYPES = {
    "sqlite": {
        "id": "integer primary key autoincrement",
        "money": "text",
        "text": "text",
        "blob": "blob",
        "time": "datetime",
        "bool": "boolean",
        "big": "integer",
        "end": "",
    },
    "mysql": {
        "id": "bigint auto_increment primary key",
        "money": "decimal(20,4)",
        "text": "longtext",
        "blob": "longblob",
        "time": "datetime(6)",
        "bool": "tinyint(1)",
        "big": "bigint",
        "end": " engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci",
    },
}


def create(connection: Connection, name: str, body: str) -> None:
    """Create table *name*; `{id}`, `{text}`, `{money}`, … in *body* are the engine's types."""
    types = _TYPES[connection.dialect.name]
    connection.statement(f"drop table if exists {name}")
    connection.statement(f"create table {name} ({body.format(**types)}){types['end']}")


def counter(connection: Connection) -> None:
    """A table `counters` with one row of 0."""
    create(connection, "counters", "id integer primary key, n integer not null")
    connection.insert("insert into counters values (1, 0)")
