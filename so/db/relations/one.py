"""One of many: `has_one(Order).latest_of_many()` is the parent's newest order.

Which row it is, is chosen before anything a caller asks: `user.related("latest_order").where(…)`
finds the newest order if it is so, never an older one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from so.db import clauses as c
from so.db.query import Query
from so.db.relations.base import Relation
from so.errors import InvalidArgumentError

_DIRECTIONS = {"max": "desc", "min": "asc"}
_CHOSEN = "so_chosen"


class OneOfMany(Relation):
    """A relation to at most one row, which may be the greatest or least of several."""

    many: ClassVar[bool] = False
    _chosen_by: Mapping[str, str] | None = None
    _choosing: Callable[[Any], Any] | None = None

    def latest_of_many(self, *columns: str) -> Self:
        """The row with the greatest key, or the greatest of these columns in turn."""
        return self.of_many(dict.fromkeys(columns or (self.model.primary_key,), "max"))

    def oldest_of_many(self, *columns: str) -> Self:
        """The row with the least key, or the least of these columns in turn."""
        return self.of_many(dict.fromkeys(columns or (self.model.primary_key,), "min"))

    def of_many(
        self,
        column: str | Mapping[str, str] = "id",
        aggregate: Any = "max",
        fn: Callable[[Any], Any] | None = None,
    ) -> Self:
        """The row with the "max" or "min" of a column, or of several: `{"at": "max", "id": "max"}`.

        fn(query) says among which rows. Rows without a value in the column are not among them;
        of equal ones the key decides.
        """
        if callable(aggregate):
            aggregate, fn = "max", aggregate
        by = {column: aggregate} if isinstance(column, str) else dict(column)
        for name, kind in by.items():
            if str(kind).lower() not in _DIRECTIONS:
                raise InvalidArgumentError(f'of_many() by {name!r}: "max" or "min", not {kind!r}')
        last = list(by.values())[-1]
        self._chosen_by, self._choosing = {**by, self.model.primary_key: last, **by}, fn
        return self

    def _times_bound(self) -> int:
        return 1 if self._chosen_by is None else 2

    def _ties(self) -> list[c.Node]:
        ties = super()._ties()
        if self._chosen_by is None:
            return ties
        # Within another statement's row the choice is made for all parents at once.
        among = [*self._tie_apart(), *self._defined] if self._is_correlated else ties
        key = self.qualify(self.model.primary_key)
        return [*ties, c.InQuery("and", key, self._chosen(among), False)]

    def _chosen(self, among: list[c.Node]) -> c.Sub:
        """The keys of the rows that stand first, one for each parent."""
        rows = self.model.on(self.runner)
        rows._without, rows._added = self._without, self._added
        rows.tree.joins = self.tree.joins
        rows.tree.conditions = list(among)
        if self._choosing is not None:
            rows.where_nested(self._choosing)
        key = self.model.primary_key
        for name, kind in (self._chosen_by or {}).items():
            if name != key:
                rows.where_not_null(rows.qualify(name))
            rows.order_by(rows.qualify(name), _DIRECTIONS[str(kind).lower()])
        rows.select(rows.qualify(key)).group_limit(1, self._group_column())
        ranked = c.Aliased(c.Sub(rows._finished()), _CHOSEN)
        return c.Sub(Query(self.runner, self.grammar, ranked).select(key).tree)

    def _become_table(self) -> Self:
        super()._become_table()
        self._chosen_by = None
        return self
