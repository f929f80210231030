"""The database room: connections, transactions, the query builder, models, schema and migrations.

It knows SQL and two engines, SQLite and MySQL/MariaDB, and hears of nothing above it. Importing
this package imports neither engine; the names below load their module when first used.

Read in this order: manager.py (the databases of an application), connection.py with
transactions.py and execution.py (one connection, in layers), dialects/ (the drivers),
query/query.py and clauses.py (a query as data), grammar/base.py (its text), model/base.py
(models), relations/definition.py.
"""

from __future__ import annotations

from typing import Any

_HOMES = {
    "Collection": "so.db.rows",
    "Connection": "so.db.connection",
    "Database": "so.db.manager",
    "Expression": "so.db.expressions",
    "Row": "so.db.rows",
    "builder": "so.db.query",
    "raw": "so.db.expressions",
}

__all__ = ["Collection", "Connection", "Database", "Expression", "Row", "builder", "raw"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
