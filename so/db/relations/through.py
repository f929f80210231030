"""has_many_through: the related rows belong to rows that belong to the parent."""

from __future__ import annotations

from typing import Any, Self

from so.db import clauses as c
from so.db.model.collection import Models
from so.db.relations.base import Relation, _put
from so.errors import RelationError

_KEY = "laravel_through_key"


class HasManyThrough(Relation):
    """A country's posts, through its users."""

    def __init__(
        self,
        related: Any,
        parent: Any,
        through: Any,
        first_key: str,
        second_key: str,
        keys: tuple[str, str],
    ) -> None:
        super().__init__(related, parent)
        self.through = through
        self.first_key, self.second_key = first_key, second_key
        self.local_key, self.second_local_key = keys
        self._join_again()

    def _join_again(self) -> None:
        self.tree.joins = None
        middle = f"{self.through.table}.{self.second_local_key}"
        self.join(self.through.table, middle, "=", self.qualify(self.second_key))

    def _middle_is_there(self) -> list[c.Node]:
        deleted_at = self.through._plan.deleted_at
        if deleted_at is None:
            return []
        return [c.IsNull("and", f"{self.through.table}.{deleted_at}", False)]

    def _parent_column(self) -> str:
        return self.local_key

    def _answer_column(self) -> str:
        return _KEY

    def _group_column(self) -> str:
        return self._first()

    def _first(self) -> str:
        return f"{self.through.table}.{self.first_key}"

    def _own_tie(self) -> list[c.Node]:
        return [self._equal_to_parent(self._first()), *self._middle_is_there()]

    def _tie_to(self, keys: list[Any]) -> list[c.Node]:
        return [c.In("and", self._first(), keys, False), *self._middle_is_there()]

    def _tie_to_outer(self, outer: str) -> list[c.Node]:
        tie = c.CompareColumns("and", f"{outer}.{self.local_key}", "=", self._first())
        return [tie, *self._middle_is_there()]

    def correlated(self, outer: Any) -> Self:
        """This relation tied to the rows of the query *outer*, for a sub-query."""
        if self.through.table == outer.tree.table:
            raise RelationError(
                f"relation {self.name!r} goes through the table {self.through.table!r} it starts "
                "from: ask for the keys first and use where_in()"
            )
        return super().correlated(outer)

    def _model_tree(self) -> c.Select:
        tree = self._finished().copy()
        columns = tree.columns if tree.columns is not None else [f"{self.table_name}.*"]
        tree.columns = [*columns, f"{self._first()} as {_KEY}"]
        return tree

    def _settled(self, models: Models[Any]) -> Models[Any]:
        for model in models:
            # Kept beside the columns: it is no attribute of the related model.
            _put(model, "_through_key", model._attributes.pop(_KEY, None))
        return super()._settled(models)

    def _answer(self, model: Any, column: str) -> Any:
        return model._through_key
