"""has_one, has_many, morph_one, morph_many: the related row holds the parent's key."""

from __future__ import annotations

from typing import Any

from so.db import clauses as c
from so.db.relations.base import Relation


class HasMany(Relation):
    """Many rows of the related table hold the parent's key in a column of theirs."""

    def __init__(self, related: Any, parent: Any, foreign_key: str, local_key: str) -> None:
        super().__init__(related, parent)
        self.foreign_key = foreign_key
        self.local_key = local_key

    def _parent_column(self) -> str:
        return self.local_key

    def _answer_column(self) -> str:
        return self.foreign_key

    def _own_tie(self) -> list[c.Node]:
        column = self.qualify(self.foreign_key)
        return [self._equal_to_parent(column), c.IsNull("and", column, True)]

    def _tie_to(self, keys: list[Any]) -> list[c.Node]:
        return [c.In("and", self.qualify(self.foreign_key), keys, False)]

    def _tie_to_outer(self, outer: str) -> list[c.Node]:
        mine = self.qualify(self.foreign_key)
        return [c.CompareColumns("and", f"{outer}.{self.local_key}", "=", mine)]

    def _guaranteed(self) -> dict[str, Any]:
        return {self.foreign_key: self._need_parent_key("add to")}


class HasOne(HasMany):
    """At most one row of the related table holds the parent's key."""

    many = False


class MorphMany(HasMany):
    """Many rows hold the parent's key and, beside it, the name of the parent's type."""

    def __init__(
        self, related: Any, parent: Any, type_column: str, id_column: str, local_key: str
    ) -> None:
        super().__init__(related, parent, id_column, local_key)
        self.type_column = type_column

    def _bound_key(self, key: Any) -> Any:
        # Such columns are text, as they hold keys of several tables; compared with a number,
        # MySQL would use no index and find '5abc' for 5. A column of numbers takes text as well.
        return str(key) if isinstance(key, int) else super()._bound_key(key)

    def _of_type(self) -> c.Node:
        alias = type(self.parent).type_alias
        return c.Compare("and", self.qualify(self.type_column), "=", alias)

    def _own_tie(self) -> list[c.Node]:
        return [*super()._own_tie(), self._of_type()]

    def _tie_apart(self) -> list[c.Node]:
        return [self._of_type()]

    def _tie_to(self, keys: list[Any]) -> list[c.Node]:
        return [*super()._tie_to(keys), self._of_type()]

    def _tie_to_outer(self, outer: str) -> list[c.Node]:
        return [*super()._tie_to_outer(outer), self._of_type()]

    def _guaranteed(self) -> dict[str, Any]:
        return {**super()._guaranteed(), self.type_column: type(self.parent).type_alias}


class MorphOne(MorphMany):
    """At most one row holds the parent's key and type."""

    many = False
