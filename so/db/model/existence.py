"""Asking for models by what is related to them: has, where_has, where_relation, doesnt_have.

Each becomes a sub-query that is tied to the outer row; related models on another connection
cannot be asked in one statement, which is an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from so.db.model.scoped import ScopedQuery
from so.db.query.core import MISSING
from so.db.query.twins import twin
from so.errors import RelationError

Fill = Callable[[Any], Any] | None


class Existence(ScopedQuery):
    """has, where_has, where_relation, doesnt_have and their twins."""

    def has(
        self,
        relation: str,
        operator: str = ">=",
        count: int = 1,
        boolean: str = "and",
        fn: Fill = None,
    ) -> Self:
        """The models with at least one (or so many) related: `has("posts", ">=", 3)`.

        `has("posts.comments")` asks for a related model that has the next relation.
        """
        first, _, rest = relation.partition(".")
        if rest:
            return self._has_nested(first, rest, (operator, count), boolean, fn)
        return self._how_many(self._related_query(first, fn), operator, count, boolean)

    def _how_many(self, query: Any, operator: str, count: int, boolean: str = "and") -> Self:
        """That a sub-query finds so many rows; "at least one" and "none" need no counting."""
        if (operator, count) in (("<", 1), ("=", 0)):
            return self.where_not_exists(query, boolean)
        if (operator, count) in ((">=", 1), (">", 0)):
            return self.where_exists(query, boolean)
        query.select_raw("count(*)")
        return self.where(query, operator, count, boolean)

    def _has_nested(
        self, first: str, rest: str, wanted: tuple[str, int], boolean: str, fn: Fill
    ) -> Self:
        operator, count = wanted
        if (operator, count) in (("<", 1), ("=", 0)):
            # No related model that has one; not: a related model that has none.
            return self.has(first, "<", 1, boolean, lambda q: q.has(rest, ">=", 1, "and", fn))
        return self.has(first, ">=", 1, boolean, lambda q: q.has(rest, operator, count, "and", fn))

    def or_has(self, relation: str, operator: str = ">=", count: int = 1) -> Self:
        """`or`, and otherwise as `has`."""
        return self.has(relation, operator, count, "or")

    def doesnt_have(self, relation: str, boolean: str = "and", fn: Fill = None) -> Self:
        """The models with none related."""
        return self.has(relation, "<", 1, boolean, fn)

    def or_doesnt_have(self, relation: str) -> Self:
        """`or`, and otherwise as `doesnt_have`."""
        return self.doesnt_have(relation, "or")

    def where_has(
        self, relation: str, fn: Fill = None, operator: str = ">=", count: int = 1
    ) -> Self:
        """The models with one (or so many) related that fn(query) describes."""
        return self.has(relation, operator, count, "and", fn)

    def or_where_has(
        self, relation: str, fn: Fill = None, operator: str = ">=", count: int = 1
    ) -> Self:
        """`or`, and otherwise as `where_has`."""
        return self.has(relation, operator, count, "or", fn)

    def where_doesnt_have(self, relation: str, fn: Fill = None) -> Self:
        """The models with none related that fn(query) describes."""
        return self.doesnt_have(relation, "and", fn)

    def or_where_doesnt_have(self, relation: str, fn: Fill = None) -> Self:
        """`or`, and otherwise as `where_doesnt_have`."""
        return self.doesnt_have(relation, "or", fn)

    def with_where_has(
        self, relation: str, fn: Fill = None, operator: str = ">=", count: int = 1
    ) -> Self:
        """`where_has`, and these very related models loaded along: `"posts:id,title"` as well."""
        name = relation.partition(":")[0]
        return self.where_has(name, fn, operator, count).with_(
            {relation: fn} if fn is not None else relation
        )

    def where_relation(
        self,
        relation: str,
        column: Any = MISSING,
        operator: Any = MISSING,
        value: Any = MISSING,
        boolean: str = "and",
        **equals: Any,
    ) -> Self:
        """The models with one related for which `where(…)` holds: `("posts", "votes", ">", 5)`."""
        fill = _where(column, operator, value, equals)
        return self.has(relation, ">=", 1, boolean, fill)

    or_where_relation = twin(where_relation, boolean="or")

    def with_where_relation(self, relation: str, *condition: Any, **equals: Any) -> Self:
        """`where_relation`, and these very related models loaded along."""
        return self.with_where_has(relation, lambda query: query.where(*condition, **equals))

    def where_doesnt_have_relation(
        self,
        relation: str,
        column: Any = MISSING,
        operator: Any = MISSING,
        value: Any = MISSING,
        boolean: str = "and",
        **equals: Any,
    ) -> Self:
        """The models with none related for which `where(…)` holds."""
        return self.doesnt_have(relation, boolean, _where(column, operator, value, equals))

    or_where_doesnt_have_relation = twin(where_doesnt_have_relation, boolean="or")

    def _related_query(self, name: str, fn: Fill) -> Any:
        """The related models of each row of this query, as a query to be made a sub-query.

        In no order: it is counted or asked whether it is there, and a server refuses to sort that.
        """
        return self._relation_here(name).correlated(self, fn).reorder()

    def _relation_here(self, name: str) -> Any:
        """A relation of these models in general, which one statement can ask along with them."""
        relation = self._template()._relation_template(name)
        if relation.runner is not self.runner:
            raise RelationError(
                f"{self.model.__name__}.{name} lives on connection {relation.runner.name!r}, not "
                f"on {self.runner.name!r}: ask for the keys first and use where_in()"
            )
        return relation

    def _template(self) -> Any:
        model = self.model()
        if self._source is not None:
            object.__setattr__(model, "_source", self._source)
        return model


def _where(column: Any, operator: Any, value: Any, equals: dict[str, Any]) -> Callable[[Any], Any]:
    """`where(…)` of these, for a query to come."""
    return lambda query: query.where(column, operator, value, **equals)
