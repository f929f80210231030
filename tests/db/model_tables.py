"""Tables for the tests of models, the same on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.support.current import provide

_KEY = {
    "sqlite": "integer primary key autoincrement",
    "mysql": "bigint unsigned not null auto_increment primary key",
}
_END = {
    "sqlite": "",
    "mysql": " engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci",
}
STAMPS = "created_at datetime(6) null", "updated_at datetime(6) null"


def make_table(db: Database, name: str, *columns: str, key: str | None = None) -> None:
    """Create a table; its key is `id`, numbered by the database, unless *key* says otherwise."""
    connection = db.connection()
    engine = connection.dialect.name
    first = [key or f"id {_KEY[engine]}"] if key != "" else []
    quote = "`" if engine == "mysql" else '"'
    connection.statement(
        f"create table {quote}{name}{quote} ({', '.join([*first, *columns])}){_END[engine]}"
    )


def statements(db: Database, fn: Any) -> list[dict[str, Any]]:
    """The statements that run while fn() does."""
    connection = db.connection()
    connection.enable_query_log()
    try:
        fn()
        return connection.get_query_log()
    finally:
        connection.disable_query_log()


def count_of(db: Database, fn: Any) -> int:
    """How many statements run while fn() does."""
    return len(statements(db, fn))


@contextmanager
def module_database(
    request: pytest.FixtureRequest, factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database without tables for a whole module, on the engine that `request.param` names."""
    server = request.getfixturevalue("mariadb") if request.param == "mysql" else None
    name = f"so_module_{uuid4().hex[:8]}"
    path = factory.mktemp("module") / "module.sqlite"
    config = server.config(name) if server else {"driver": "sqlite", "database": str(path)}
    _run(server, f"create database {name} collate utf8mb4_unicode_ci")
    database = Database({"default": config})
    provide("db", lambda: database)
    try:
        yield database
    finally:
        provide("db", None)
        database.close()
        _run(server, f"drop database {name}")


def _run(server: Any, sql: str) -> None:
    if server is not None:
        with Connection(server.config()) as connection:
            connection.statement(sql)
