"""How a server of MySQL's family would run a statement: a row for each table, on every one.

MySQL 9 draws a tree unless it is told not to; MariaDB knows no such word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def explained(connection: Any, sql: str, bindings: Sequence[Any] = ()) -> list[Any]:
    """The rows of `explain`: `key`, `type`, `key_len`, `rows`, `Extra` …"""
    form = "format=traditional " if connection.server.product == "mysql" else ""
    rows: list[Any] = connection.select(f"explain {form}{sql}", bindings)
    return rows
