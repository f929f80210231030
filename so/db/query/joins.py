"""Joins: with tables, with sub-queries, on columns or on what a callback says."""

from __future__ import annotations

from typing import Any, Self

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.query.core import QueryCore
from so.db.query.twins import twin
from so.errors import InvalidArgumentError

_KINDS = frozenset({"inner", "left", "right", "cross", "straight_join", "full", "left outer"})


class Joins(QueryCore):
    """The join methods."""

    @property
    def joins(self) -> list[c.Join] | None:
        """The joins so far, None if there are none."""
        return self.tree.joins

    @joins.setter
    def joins(self, joins: list[c.Join] | None) -> None:
        self.tree.joins = joins

    def join(
        self,
        table: Any,
        first: Any,
        operator: Any = None,
        second: Any = None,
        type: str = "inner",
        where: bool = False,
    ) -> Self:
        """Join *table* where two columns agree, or on what first(join) says.

        `join("b", "a.id", "=", "b.a_id")`, `join("b", "a.id", "b.a_id")`, `join("b", fn)`. With
        *where* the second is a value, not a column.
        """
        name = table if isinstance(table, str) else self._table(table)
        kind = _checked_kind(type)
        if callable(first) and not isinstance(first, Expression):
            clause = self._join_clause(kind, name)
            first(clause)
            node = c.Join(kind, name, clause.tree.conditions, clause.tree.joins)
        else:
            node = c.Join(kind, name, self._on(first, operator, second, where))
        return self._add_join(node)

    def _on(self, first: Any, operator: Any, second: Any, where: bool) -> list[c.Node]:
        if where:
            return self._new_query().where(first, operator, second).tree.conditions
        if second is None:
            operator, second = "=", operator
        if operator == "=" and type(first) is type(second) is str:
            return [c.CompareColumns("and", first, "=", second)]
        if second is None:
            raise InvalidArgumentError(f"join on {first!r:.60} needs a second column")
        left, right = self._column(first), self._column(second)
        return [c.CompareColumns("and", left, self._operator(operator), right)]

    def _add_join(self, node: c.Join) -> Self:
        if self.tree.joins is None:
            self.tree.joins = []
        self.tree.joins.append(node)
        return self

    left_join = twin(join, type="left")
    right_join = twin(join, type="right")
    straight_join = twin(join, type="straight_join")

    def join_where(
        self,
        table: Any,
        first: Any,
        operator: Any,
        second: Any,
        type: str = "inner",
    ) -> Self:
        """Join *table* where a column compares with a value."""
        return self.join(table, first, operator, second, type, True)

    left_join_where = twin(join_where, type="left")
    right_join_where = twin(join_where, type="right")
    straight_join_where = twin(join_where, type="straight_join")

    def cross_join(
        self, table: Any, first: Any = None, operator: Any = None, second: Any = None
    ) -> Self:
        """Join every row with every row."""
        if first is not None:
            return self.join(table, first, operator, second, "cross")
        return self._add_join(c.Join("cross", self._table(table), []))

    # --- with sub-queries -----------------------------------------------------------------------

    def join_sub(
        self,
        query: Any,
        as_: str,
        first: Any,
        operator: Any = None,
        second: Any = None,
        type: str = "inner",
        where: bool = False,
    ) -> Self:
        """Join a sub-query under the name *as_*."""
        table = c.Aliased(self._sub(query), as_)
        return self.join(table, first, operator, second, type, where)

    left_join_sub = twin(join_sub, type="left")
    right_join_sub = twin(join_sub, type="right")
    straight_join_sub = twin(join_sub, type="straight_join")

    def cross_join_sub(self, query: Any, as_: str) -> Self:
        """Join every row with every row of a sub-query."""
        return self._add_join(c.Join("cross", c.Aliased(self._sub(query), as_), []))

    def join_lateral(self, query: Any, as_: str, type: str = "inner") -> Self:
        """Join a sub-query that may use the columns of the tables before it (MySQL)."""
        table = c.Aliased(self._sub(query), as_)
        return self._add_join(c.Join(_checked_kind(type), table, [], lateral=True))

    left_join_lateral = twin(join_lateral, type="left")


def _checked_kind(kind: str) -> str:
    if kind in _KINDS:
        return kind
    word = kind.lower() if isinstance(kind, str) else ""
    if word not in _KINDS:
        raise InvalidArgumentError(f"unknown kind of join {kind!r}: inner, left, right or cross")
    return word
