"""Asking for models by what is related to them: has, where_has, doesnt_have, with_count.

Each becomes a sub-query that is tied to the outer row; related models on another connection
cannot be asked in one statement, which is an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from so.db.model.scoped import ScopedQuery
from so.errors import RelationError

Fill = Callable[[Any], Any] | None


class Existence(ScopedQuery):
    """has, where_has, doesnt_have, with_count and their twins."""

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
        query = self._related_query(first, fn)
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

    def with_count(self, *relations: Any, **constrained: Any) -> Self:
        """Count what is related, as a column: `with_count("posts")` gives `posts_count`.

        `"posts as drafts"` names the column; `posts=lambda q: …` (or a dict) counts a part.
        """
        if self.tree.columns is None:
            self.select(f"{self.table_name}.*")
        for entry, fn in _counted(relations, constrained):
            name, _, alias = entry.partition(" as ")
            query = self._related_query(name.strip(), fn).select_raw("count(*)")
            self.select_sub(query, alias.strip() or f"{name.strip()}_count")
        return self

    def _related_query(self, name: str, fn: Fill) -> Any:
        """The related models of each row of this query, as a query to be made a sub-query.

        In no order: it is counted or asked whether it is there, and a server refuses to sort that.
        """
        template = self._template()
        relation = template._relation_template(name)
        if relation.runner is not self.runner:
            raise RelationError(
                f"{self.model.__name__}.{name} lives on connection {relation.runner.name!r}, not "
                f"on {self.runner.name!r}: ask for the keys first and use where_in()"
            )
        return relation.correlated(self, fn).reorder()

    def _template(self) -> Any:
        model = self.model()
        if self._source is not None:
            object.__setattr__(model, "_source", self._source)
        return model


def _counted(relations: Iterable[Any], constrained: Mapping[str, Any]) -> list[tuple[str, Fill]]:
    found: list[tuple[str, Fill]] = []
    for entry in relations:
        if isinstance(entry, str):
            found.append((entry, None))
        elif isinstance(entry, Mapping):
            found.extend(entry.items())
        else:
            found.extend((name, None) for name in entry)
    return [*found, *constrained.items()]
