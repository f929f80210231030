"""Where, of JSON: what a document contains, overlaps, has as a key, and how long it is."""

from __future__ import annotations

from typing import Any, Self

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.query.core import MISSING, QueryCore, checked_boolean
from so.db.query.given import whole
from so.db.query.twins import twin
from so.errors import InvalidArgumentError, UnsupportedError


class WhereJson(QueryCore):
    """The where methods for JSON."""

    def where_json_contains(
        self, column: str, value: Any, boolean: str = "and", not_: bool = False
    ) -> Self:
        """The JSON array at `column->path` has the value, or all of a list of values."""
        return self._json_test("contains", column, value, boolean, not_)

    or_where_json_contains = twin(where_json_contains, boolean="or")
    where_json_doesnt_contain = twin(where_json_contains, not_=True)
    or_where_json_doesnt_contain = twin(where_json_contains, boolean="or", not_=True)

    def where_json_overlaps(
        self, column: str, value: Any, boolean: str = "and", not_: bool = False
    ) -> Self:
        """The JSON array at `column->path` has at least one of the values.

        UnsupportedError on MariaDB before 10.9, which lacks the function.
        """
        server = getattr(self.runner, "server", None)
        if server is not None and server.product == "mariadb" and server.version < (10, 9):
            raise UnsupportedError(
                "where_json_overlaps() needs MariaDB 10.9 or later: ask for each value with "
                "where_json_contains() and its or_ twin"
            )
        return self._json_test("overlaps", column, value, boolean, not_)

    or_where_json_overlaps = twin(where_json_overlaps, boolean="or")
    where_json_doesnt_overlap = twin(where_json_overlaps, not_=True)
    or_where_json_doesnt_overlap = twin(where_json_overlaps, boolean="or", not_=True)

    def where_json_contains_key(
        self, column: str, boolean: str = "and", not_: bool = False
    ) -> Self:
        """There is something at `column->path`, be it null."""
        return self._json_test("key", column, None, boolean, not_)

    or_where_json_contains_key = twin(where_json_contains_key, boolean="or")
    where_json_doesnt_contain_key = twin(where_json_contains_key, not_=True)
    or_where_json_doesnt_contain_key = twin(where_json_contains_key, boolean="or", not_=True)

    def _json_test(self, kind: str, column: str, value: Any, boolean: str, not_: bool) -> Self:
        return self._add(
            c.JsonTest(checked_boolean(boolean), kind, self._json_column(column), value, not_)
        )

    def where_json_length(
        self, column: str, operator: Any, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """The number of elements of the JSON array at `column->path`."""
        if value is MISSING:
            operator, value = "=", operator
        node = c.JsonLength(
            checked_boolean(boolean),
            self._json_column(column),
            self._operator(operator),
            value if isinstance(value, Expression) else whole(value, "a length"),
        )
        return self._add(node)

    or_where_json_length = twin(where_json_length, boolean="or")

    def _json_column(self, column: Any) -> str:
        if not isinstance(column, (str, Expression)):
            raise InvalidArgumentError(f"a JSON column must be a name, not {column!r:.60}")
        return column if isinstance(column, str) else column.value
