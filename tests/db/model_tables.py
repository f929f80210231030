"""Tables for the tests of models, the same on both engines."""

from __future__ import annotations

from typing import Any

from so.db.manager import Database

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
