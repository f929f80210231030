"""Vectors: rows by the distance of a column's vector from another (MariaDB 11.7 and later)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

from so.db import clauses as c
from so.db.query.core import QueryCore, checked_boolean
from so.db.query.twins import twin
from so.db.values import json_text
from so.errors import InvalidArgumentError, UnsupportedError

_NEEDED = (11, 7)


class Vectors(QueryCore):
    """The methods for vectors; UnsupportedError where the engine has none."""

    def where_vector_similar_to(
        self,
        column: Any,
        vector: Iterable[float],
        min_similarity: float = 0.6,
        order: bool = True,
    ) -> Self:
        """The column's vector is at least so similar (1.0: the same); the nearest first."""
        self.where_vector_distance_less_than(column, vector, 1 - min_similarity)
        return self.order_by_vector_distance(column, vector) if order else self

    def where_vector_distance_less_than(
        self, column: Any, vector: Iterable[float], max_distance: float, boolean: str = "and"
    ) -> Self:
        """The cosine distance of the column's vector from *vector* is at most *max_distance*."""
        sql, bindings = self._distance(column, vector)
        node = c.RawCondition(
            checked_boolean(boolean), f"{sql} <= ?", [*bindings, float(max_distance)]
        )
        return self._add(node)

    or_where_vector_distance_less_than = twin(where_vector_distance_less_than, boolean="or")

    def order_by_vector_distance(self, column: Any, vector: Iterable[float]) -> Self:
        """The rows whose vector is nearest to *vector* first."""
        return self._order(c.RawSql(*self._distance(column, vector)))

    def select_vector_distance(
        self, column: Any, vector: Iterable[float], as_: str | None = None
    ) -> Self:
        """Select the cosine distance from *vector*, as `<column>_distance` unless named."""
        sql, bindings = self._distance(column, vector)
        default = f"{column.rpartition('.')[2]}_distance" if isinstance(column, str) else "distance"
        name = self.grammar.wrap(as_ or default)
        self._select_list().append(c.RawSql(f"{sql} as {name}", bindings))
        return self

    def _distance(self, column: Any, vector: Iterable[float]) -> tuple[str, list[Any]]:
        if not self.grammar.literal:
            self._need_vectors()
        sql = self.grammar.vector_distance(self.grammar.wrap(column))
        return sql, [json_text(_checked(vector))]

    def _need_vectors(self) -> None:
        server = self.runner.server
        if server.product != "mariadb" or server.version < _NEEDED:
            raise UnsupportedError(
                "This database engine does not support vector distances: they need MariaDB 11.7 "
                f"or later, and connection {self.runner.name!r} has another one."
            )


def _checked(vector: Iterable[float]) -> list[float]:
    """*vector* as a list; of what is no vector the engine would give no distance, and no error."""
    numbers = list(vector)
    for one in numbers:
        if isinstance(one, bool) or not isinstance(one, int | float) or not math.isfinite(one):
            raise InvalidArgumentError(f"a vector holds finite numbers, not {one!r:.60}")
    return numbers
