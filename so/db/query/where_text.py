"""Where, of texts: patterns, bytes and full-text search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from so.db import clauses as c
from so.db.query.core import QueryCore, checked_boolean
from so.db.query.twins import twin


class WhereText(QueryCore):
    """The where methods for texts."""

    def where_like(
        self,
        column: Any,
        value: Any,
        case_sensitive: bool = False,
        boolean: str = "and",
        not_: bool = False,
        escape: bool = False,
    ) -> Self:
        """The column matches a pattern in which % is any text and _ any character.

        A backslash before one of them, or before itself, makes it an ordinary character.
        With *escape* only a % at its start or end is a wildcard: for what a user typed.
        """
        pattern = self._bound(value)
        if escape and isinstance(pattern, str):
            pattern = escaped_pattern(pattern)
        node = c.Like(
            checked_boolean(boolean), self._column(column), pattern, case_sensitive, not_, escape
        )
        return self._add(node)

    or_where_like = twin(where_like, boolean="or")
    where_not_like = twin(where_like, not_=True)
    or_where_not_like = twin(where_like, boolean="or", not_=True)

    def where_binary(
        self, column: Any, value: Any, boolean: str = "and", not_: bool = False
    ) -> Self:
        """The column equals *value* byte by byte, whatever its collation takes for equal."""
        boolean, column = checked_boolean(boolean), self._column(column)
        if value is None:
            return self._add(c.IsNull(boolean, column, not_))
        return self._add(c.Binary(boolean, column, self._bound(value), not_))

    or_where_binary = twin(where_binary, boolean="or")
    where_not_binary = twin(where_binary, not_=True)
    or_where_not_binary = twin(where_binary, boolean="or", not_=True)

    def where_full_text(
        self,
        columns: Any,
        value: Any,
        options: Mapping[str, Any] | None = None,
        boolean: str = "and",
    ) -> Self:
        """A full-text search (MySQL); options: `mode` "natural" or "boolean", `expanded`."""
        options = options or {}
        names = columns if isinstance(columns, (list, tuple)) else [columns]
        node = c.FullText(
            checked_boolean(boolean),
            [self._column(name) for name in names],
            self._bound(value),
            str(options.get("mode", "natural")),
            bool(options.get("expanded")),
        )
        return self._add(node)

    or_where_full_text = twin(where_full_text, boolean="or")


def escaped_pattern(text: str) -> str:
    """*text* as a pattern in which only a % at its start or end is a wildcard."""
    start = "%" if text.startswith("%") else ""
    rest = text[len(start) :]
    end = "%" if rest.endswith("%") else ""
    middle = rest[: len(rest) - len(end)]
    for special in ("\\", "%", "_"):
        middle = middle.replace(special, "\\" + special)
    return start + middle + end
