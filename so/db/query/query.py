"""The query builder, complete: the table of its contents.

Each part knows the core alone: the clauses gathered so far, the connection and the dialect. What
one part needs of another it asks of the whole query.
"""

from __future__ import annotations

from typing import Any, Self

from so.db.expressions import Expression
from so.db.query.core import MISSING
from so.db.query.joins import Joins
from so.db.query.reading import Reading
from so.db.query.shape import Shape
from so.db.query.twins import twin
from so.db.query.vectors import Vectors
from so.db.query.walking import Walking
from so.db.query.where import Where
from so.db.query.where_dates import WhereDates
from so.db.query.where_json import WhereJson
from so.db.query.where_text import WhereText
from so.db.query.writing import Writing


class Query(
    Where,  # columns, lists, ranges, sub-queries, raw SQL
    WhereDates,  # parts of dates, now and today
    WhereText,  # patterns, bytes, full-text search
    WhereJson,  # contains, overlaps, has a key
    Joins,  # tables and sub-queries beside this one
    Shape,  # columns, groups, order, limits, unions, locks
    Vectors,  # distances (MariaDB)
    Reading,  # rows, single values, aggregates
    Walking,  # parts and pages
    Writing,  # insert, upsert, update, delete
):
    """A query on one table: gather clauses, then read or write.

    `db.table("users").where("active", True).order_by("name").get()`
    """

    def _join_clause(self, kind: str, table: Any) -> JoinClause:
        return JoinClause(self, kind, table)


class JoinClause(Joins, Where, WhereDates, WhereText, WhereJson):
    """What a join's callback gets: `on`, `or_on`, every where method, and joins of its own."""

    def __init__(self, parent: Any, kind: str, table: Any) -> None:
        super().__init__(parent.runner, parent.grammar, table)
        self.parent = parent
        self.kind = kind

    def on(
        self, first: Any, operator: Any = MISSING, second: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """Compare two columns; a callable gives conditions in parentheses."""
        if callable(first) and not isinstance(first, Expression):
            return self.where_nested(first, boolean)
        return self.where_column(first, operator, second, boolean)

    or_on = twin(on, boolean="or")

    def _new_query(self) -> Self:
        return type(self)(self.parent, self.kind, self.tree.table)

    def new_query(self) -> Self:
        """An empty join clause like this one."""
        return self._new_query()

    def for_sub_query(self) -> Any:
        """A query, not a join clause, to fill as a sub-query."""
        return self.parent.for_sub_query()

    def _join_clause(self, kind: str, table: Any) -> JoinClause:
        return JoinClause(self, kind, table)


__all__ = ["JoinClause", "Query"]
