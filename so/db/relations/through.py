"""has_many_through, has_one_through: the related rows belong to rows that belong to the parent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from so.db import clauses as c
from so.db.model.collection import Models
from so.db.query import Query
from so.db.relations.base import Relation, _put
from so.db.relations.one import OneOfMany
from so.errors import RelationError

_KEY = "laravel_through_key"
_FIRST, _LOCAL = "so_through_first", "so_through_local"


class HasManyThrough(Relation):
    """A country's posts, through its users."""

    kind: ClassVar[str] = "has_many_through"

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
        self.local_key, second_local = keys
        self._middle = through.table
        self._is_within = through.table == self.table_name
        if self._is_within:
            self._join_itself(second_local)
        else:
            key = f"{self._middle}.{second_local}"
            self.join(self._middle, key, "=", self.qualify(second_key))

    def _join_itself(self, key: str) -> None:
        """Join the related table itself, by names of our own: all others mean the related row."""
        table, self._middle = self._middle, f"{self._middle}_between"
        between = Query(self.runner, self.grammar, table)
        between.select(f"{key} as {_LOCAL}", f"{self.first_key} as {_FIRST}")
        if (deleted_at := self.through._plan.deleted_at) is not None:
            between.where_null(deleted_at)
        on = f"{self._middle}.{_LOCAL}"
        self.join_sub(between, self._middle, on, "=", self.qualify(self.second_key))

    def _middle_is_there(self) -> list[c.Node]:
        deleted_at = self.through._plan.deleted_at
        if deleted_at is None or self._is_within:
            return []
        return [c.IsNull("and", f"{self._middle}.{deleted_at}", False)]

    def _parent_column(self) -> str:
        return self.local_key

    def _answer_column(self) -> str:
        return _KEY

    def _group_column(self) -> str:
        return self._first()

    def _first(self) -> str:
        return f"{self._middle}.{_FIRST if self._is_within else self.first_key}"

    def _guaranteed(self) -> dict[str, Any]:
        raise RelationError(
            f"a {self.model.__name__} cannot be made through {self.name!r}, which does not say to "
            f"which {self.through.__name__} it belongs: make it through that one's own relation"
        )

    def update(self, values: Mapping[str, Any] | None = None, /, **columns: Any) -> int:
        """Change columns of the related rows; RelationError for those of the rows between."""
        given = {**(values or {}), **columns}
        for name in given:
            if "." in name and name.partition(".")[0].lower() == self._middle.lower():
                raise RelationError(
                    f"{name!r} is a column of the rows between, which {self.name!r} only passes: "
                    f"change it through {self.through.__name__}"
                )
        return super().update(given)

    def _guaranteed_names(self) -> tuple[str, ...]:
        return ()

    def _own_tie(self) -> list[c.Node]:
        return [self._equal_to_parent(self._first()), *self._middle_is_there()]

    def _tie_to(self, keys: list[Any]) -> list[c.Node]:
        return [c.In("and", self._first(), keys, False), *self._middle_is_there()]

    def _tie_to_outer(self, outer: str) -> list[c.Node]:
        tie = c.CompareColumns("and", f"{outer}.{self.local_key}", "=", self._first())
        return [tie, *self._middle_is_there()]

    def _tie_apart(self) -> list[c.Node]:
        return self._middle_is_there()

    def _whole_tree(self) -> c.Select:
        tree = self._finished().copy()
        columns = tree.columns if tree.columns is not None else self._all_columns()
        tree.columns = [*columns, f"{self._first()} as {_KEY}"]
        return tree

    def _settled(self, models: Models[Any]) -> Models[Any]:
        for model in models:
            # Kept beside the columns: it is no attribute of the related model.
            _put(model, "_through_key", model._attributes.pop(_KEY, None))
        return super()._settled(models)

    def _answer(self, model: Any, column: str) -> Any:
        return model._through_key


class HasOneThrough(OneOfMany, HasManyThrough):
    """A mechanic's car's owner."""

    kind: ClassVar[str] = "has_one_through"
