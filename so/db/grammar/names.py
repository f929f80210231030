"""Names, values and JSON paths as SQL: everything that is quoted is quoted here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from so.db import clauses as c
from so.db.expressions import Expression
from so.errors import InvalidArgumentError, UnsupportedError

AS = re.compile(r"\s+as\s+", re.IGNORECASE)
_JSON_INDEX = re.compile(r"\[[^\]]+\]")
_JSON_INDEXES = re.compile(r"(?:\[[^\]]+\])+$")
_QUOTE_IN_PATH = re.compile(r"\\*'")
_CACHED_NAMES = 2000

Bindings = list[Any]


class Names:
    """How one dialect writes a column, a table, a value, a path into JSON."""

    quote: ClassVar[str] = '"'

    def __init__(
        self, prefix: str = "", *, literal: bool = False, bare: frozenset[str] = frozenset()
    ) -> None:
        self.prefix = prefix
        self.bare = bare
        self.literal = literal
        self._names: dict[Any, str] = {}
        self._tables: dict[Any, str] = {}

    def wrap(self, name: str | Expression) -> str:
        """A column as SQL: quoted part by part, with its alias, or a JSON path taken apart."""
        if isinstance(name, Expression):
            return name.value
        found = self._names.get(name) if isinstance(name, str) else None
        if found is None:
            check_name(name)
            found = self._wrap(name)
            if len(self._names) >= _CACHED_NAMES:
                self._names.clear()
            self._names[name] = found
        return found

    def _wrap(self, name: str) -> str:
        pieces = AS.split(name, maxsplit=1)
        if len(pieces) == 2:
            return f"{self._wrap(pieces[0])} as {self.wrap_value(pieces[1])}"
        if "->" in name:
            return self.json_selector(name)
        parts = name.split(".")
        if len(parts) == 1:
            return self.wrap_value(name)
        return ".".join([self.wrap_table(parts[0]), *map(self.wrap_value, parts[1:])])

    def wrap_value(self, part: str) -> str:
        """One part of a name, quoted; `*` stays as it is."""
        if part == "*":
            return part
        return self.quote + part.replace(self.quote, self.quote * 2) + self.quote

    def wrap_table(self, name: str | Expression) -> str:
        """A table as SQL: prefixed and quoted, with its alias."""
        if isinstance(name, Expression):
            return name.value
        found = self._tables.get(name) if isinstance(name, str) else None
        if found is None:
            check_name(name)
            found = self._wrap_table(name)
            if len(self._tables) >= _CACHED_NAMES:
                self._tables.clear()
            self._tables[name] = found
        return found

    def _wrap_table(self, name: str) -> str:
        pieces = AS.split(name, maxsplit=1)
        if len(pieces) == 2:
            alias = self.wrap_value(self.prefixed(pieces[1]))
            return f"{self._wrap_table(pieces[0])} as {alias}"
        *schema, table = name.split(".")
        return ".".join(map(self.wrap_value, [*schema, self.prefixed(table)]))

    def prefixed(self, table: str) -> str:
        """*table*, or an alias, by its whole name."""
        return table if table in self.bare else self.prefix + table

    def alias_of(self, table: str | Expression) -> str:
        """The name by which columns of *table* are qualified."""
        if isinstance(table, Expression):
            return table.value
        return AS.split(table, maxsplit=1)[-1]

    def column(self, column: c.Column, bindings: Bindings) -> str:
        """Anything that may stand where a column stands: a name, raw SQL, a sub-query."""
        if isinstance(column, (str, Expression)):
            return self.wrap(column)
        if isinstance(column, c.RawSql):
            bindings.extend(column.bindings)
            return column.sql
        if isinstance(column, c.Aliased):
            return f"({self.sub(column.query, bindings)}) as {self.wrap(column.alias)}"
        if isinstance(column, c.Sub):
            return f"({self.sub(column, bindings)})"
        raise InvalidArgumentError(
            f"a column must be a name or an Expression, not {type(column).__name__}"
        )

    def columns(self, columns: Iterable[c.Column], bindings: Bindings) -> str:
        """Several columns, with commas."""
        names = self._names
        return ", ".join([names.get(one) or self.column(one, bindings) for one in columns])

    def table(self, table: Any, bindings: Bindings) -> str:
        """Anything that may stand where a table stands."""
        if isinstance(table, (str, Expression)):
            return self.wrap_table(table)
        if isinstance(table, c.RawSql):
            bindings.extend(table.bindings)
            return table.sql
        if isinstance(table, c.Aliased):
            return f"({self.sub(table.query, bindings)}) as {self.wrap_table(table.alias)}"
        if isinstance(table, c.Counted):
            return f"({self.sub(table.query, bindings)}) as {self.wrap_value('aggregate_table')}"
        raise InvalidArgumentError(
            f"a table must be a name or an Expression, not {type(table).__name__}"
        )

    def sub(self, query: c.Sub, bindings: Bindings) -> str:
        """The text of a sub-query, without parentheses."""
        if isinstance(query.select, str):
            return query.select
        return self.select(query.select, bindings)

    def value(self, value: Any, bindings: Bindings) -> str:
        """A placeholder for *value*, or the SQL of an Expression or a sub-query."""
        if isinstance(value, Expression):
            return value.value
        if isinstance(value, c.Sub):
            return f"({self.sub(value, bindings)})"
        bindings.append(value)
        return "?"

    def values(self, values: Iterable[Any], bindings: Bindings) -> str:
        """Several values, with commas."""
        return ", ".join([self.value(one, bindings) for one in values])

    def select(self, tree: c.Select, bindings: Bindings) -> str:
        """A select, here or inside another statement."""
        raise NotImplementedError

    # --- JSON paths -----------------------------------------------------------------------------

    def json_selector(self, name: str) -> str:
        """`column->path` as a value."""
        raise unsupported("JSON operations")

    def json_parts(self, name: str | Expression) -> tuple[str, str]:
        """`column->a->b` as the quoted column and `, '$."a"."b"'` (or nothing)."""
        field, arrow, path = str(name).partition("->")
        if not arrow and isinstance(name, Expression):
            return name.value, ""
        return self.wrap(field), f", {self.json_path(path)}" if arrow else ""

    def json_path(self, path: str) -> str:
        """`a->b[0]` as the literal '$."a"."b"[0]'."""
        return f"'${''.join(self.json_steps(path))}'"

    def json_steps(self, path: str) -> list[str]:
        """`a->b[0]` step by step: `."a"`, `."b"`, `[0]`; quotes doubled for the literal."""
        if self.literal:
            path = _QUOTE_IN_PATH.sub("''", path)
            return [_step(key, is_key, key) for key, is_key in json_keys(path)]
        return [
            _step(key, is_key, self.within_text(key.replace("\\", "\\\\").replace('"', '\\"')))
            for key, is_key in json_keys(path)
        ]

    def within_text(self, text: str) -> str:
        """*text* as it stands between the quotes of a string literal."""
        return text.replace("'", "''")


def json_keys(path: str) -> list[tuple[str, bool]]:
    """`a->b[0]` as `("a", True), ("b", True), ("[0]", False)`: is it a key or an index?"""
    check_name(path)
    found: list[tuple[str, bool]] = []
    for segment in path.split("->"):
        indexes = _JSON_INDEXES.search(segment)
        key = segment[: indexes.start()] if indexes else segment
        if key or not indexes:
            found.append((key, True))
        if indexes:
            found.extend((index, False) for index in _JSON_INDEX.findall(indexes.group()))
    return found


def _step(step: str, is_key: bool, escaped: str) -> str:
    return f'."{escaped}"' if is_key else step


def unsupported(what: str) -> UnsupportedError:
    """The error for what a dialect lacks."""
    return UnsupportedError(f"This database engine does not support {what}.")


def check_name(name: Any) -> None:
    """Refuse what is no name: other types, the empty text, a NUL in it."""
    if not isinstance(name, str):
        raise InvalidArgumentError(
            f"a name must be text or an Expression, not {type(name).__name__}"
        )
    if not name or "\0" in name:
        raise InvalidArgumentError(f"{name!r} is not a name")
