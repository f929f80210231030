"""Inserted rows read back by a key, where the server gives none: MySQL has no `returning`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from so.db.expressions import Expression
from so.errors import UnsupportedError

Row = Mapping[str, Any]


class Keys(NamedTuple):
    """What tells a table's rows apart: the column that numbers itself, and the unique keys."""

    numbered: str | None
    unique: list[list[str]]

    def numbers(self, row: Row) -> bool:
        """Will the engine number *row* by itself?"""
        return self.numbered is not None and not row.get(self.numbered)

    def of(self, row: Row) -> list[str] | None:
        """The columns of the first key whose values *row* tells."""
        for columns in self.unique:
            values = [row.get(name) for name in columns]
            if not any(value is None or isinstance(value, Expression) for value in values):
                return columns
        return None


def inserted(query: Any, rows: Sequence[Row], unique_by: list[str], columns: list[str]) -> Any:
    """Insert *rows*, and give *columns* of them as they stand then: both in one transaction.

    Raises UnsupportedError, with nothing written, where no key tells a row from others.
    """
    if query.runner.is_pretending:
        query.runner.insert(*query.grammar.compile_insert(query._target(), list(rows)))
        return []
    keys = _keys(query, unique_by)
    for row in rows:
        if not keys.numbers(row) and keys.of(row) is None:
            raise UnsupportedError(
                "MySQL gives no inserted rows back, and these tell no unique key by which to read "
                f"them: put the columns of one into each row, not {', '.join(row) or 'none'}"
            )
    same = len({keys.numbers(row) for row in rows}) == 1
    parts = [rows] if same else [[row] for row in rows]  # else the numbers have gaps
    return query.runner.transaction(
        lambda: [found for part in parts for found in _insert(query, keys, part, columns)]
    )


def _insert(query: Any, keys: Keys, rows: Sequence[Row], columns: list[str]) -> list[Any]:
    sql, bindings = query.grammar.compile_insert(query._target(), list(rows))
    first = query.runner.insert_get_id(sql, bindings)
    if keys.numbers(rows[0]):
        step = query.runner.scalar("select @@auto_increment_increment", (), False)
        numbers = range(first, first + len(rows) * step, step)
        found = _plain(query, columns).where_in(keys.numbered, list(numbers))
        given = list(found.order_by(keys.numbered).get())
    else:
        given = [one for row in rows for one in _found(query, keys, row, columns)]
    if len(given) != len(rows):
        raise UnsupportedError(
            "MySQL gives no inserted rows back, and they are not found by their unique key as it "
            f"was written (the column stores it otherwise): write {', '.join(rows[0])} as stored"
        )
    return given


def _found(query: Any, keys: Keys, row: Row, columns: list[str]) -> Any:
    return _plain(query, columns).where({name: row[name] for name in keys.of(row) or ()}).get()


def _plain(query: Any, columns: list[str]) -> Any:
    return query.for_sub_query().from_(query._target()).select(*columns).use_write()


def _keys(query: Any, unique_by: list[str]) -> Keys:
    """Ask the server; the primary key comes first, then the one that the caller named."""
    table = query.grammar.table(query._target(), [])
    found = unique_keys(query.runner, table)
    primary, unique = found.get("PRIMARY"), list(found.values())
    unique.sort(key=lambda names: (names is not primary, set(names) != set(unique_by)))
    numbered = f"show columns from {table} where extra like '%auto_increment%'"
    names = [row["Field"] for row in query.runner.select(numbered, (), False)]
    return Keys(names[0] if names else None, unique)


def unique_keys(runner: Any, table: str) -> dict[str, list[str]]:
    """The columns of each unique key of a *table* of MySQL, which is named as in SQL."""
    found: dict[str, list[str]] = {}
    for key in runner.select(f"show keys from {table} where non_unique = 0", (), False):
        found.setdefault(key["Key_name"], []).append(key["Column_name"])
    return {key: names for key, names in found.items() if None not in names}  # of an expression
