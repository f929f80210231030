"""belongs_to and morph_to: this row holds the other's key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from so.db import clauses as c
from so.db.model import eager
from so.db.model.scoped import key_of
from so.db.relations.base import Relation
from so.errors import RelationError


class BelongsTo(Relation):
    """The child (here the `parent` of the query) holds its owner's key in a column of its own."""

    kind: ClassVar[str] = "belongs_to"
    many = False

    def __init__(self, related: Any, child: Any, foreign_key: str | None, owner_key: str) -> None:
        super().__init__(related, child)
        self._foreign_key = foreign_key
        self.owner_key = owner_key

    @property
    def foreign_key(self) -> str:
        """The child's column; by default the relation's name with the owner's key: `author_id`."""
        return self._foreign_key or f"{self.name}_{self.owner_key}"

    def _parent_column(self) -> str:
        return self.foreign_key

    def _answer_column(self) -> str:
        return self.owner_key

    def _own_tie(self) -> list[c.Node]:
        return [self._equal_to_parent(self.qualify(self.owner_key))]

    def _tie_to(self, keys: list[Any]) -> list[c.Node]:
        return [c.In("and", self.qualify(self.owner_key), keys, False)]

    def _tie_to_outer(self, outer: str) -> list[c.Node]:
        mine = self.qualify(self.owner_key)
        return [c.CompareColumns("and", f"{outer}.{self.foreign_key}", "=", mine)]

    def associate(self, owner: Any) -> Any:
        """Make *owner* (a model, a key, or None) the child's owner; the child, not saved yet."""
        is_model = hasattr(owner, "_attributes")
        key = owner._attributes.get(self.owner_key) if is_model else owner
        if is_model and key is None:
            raise RelationError(
                f"cannot associate a {type(owner).__name__} without {self.owner_key!r}: save it "
                "first"
            )
        self.parent.set_attribute(self.foreign_key, key)
        if is_model:
            self.parent.set_relation(self.name, owner)
        else:
            self.parent.unset_relation(self.name)
        return self.parent

    def dissociate(self) -> Any:
        """Leave the child without an owner; the child, not saved yet."""
        return self.associate(None)


class MorphTo(BelongsTo):
    """The child holds its owner's key and, beside it, the name of the owner's type."""

    kind: ClassVar[str] = "morph_to"
    _is_of_one_type = False

    def __init__(
        self, related: Any, child: Any, type_column: str, id_column: str, owner_key: str | None
    ) -> None:
        """*related* is the class of the child's owner, None as long as the child has none."""
        stand_in = related or type(child)
        super().__init__(stand_in, child, id_column, owner_key or stand_in.primary_key)
        self.type_column = type_column
        self._chosen_key = owner_key
        self._has_type = related is not None

    def results(self) -> Any:
        """The owner, or None."""
        return super().results() if self._has_type else None

    def _bound_key(self, key: Any) -> Any:
        if self.owner_key != self.model.primary_key:
            return super()._bound_key(key)
        return key_of(self.model, key)

    def _own_tie(self) -> list[c.Node]:
        column = self.qualify(self.owner_key)
        key = self._bound_key(self._parent_key()) if self._has_type else None
        if key is None:
            return [c.In("and", column, [], False)]
        return [c.Compare("and", column, "=", key)]

    def _tie_to(self, keys: list[Any]) -> list[c.Node]:
        return super()._tie_to([key for key in keys if key is not None])

    def load_into(
        self, models: Sequence[Any], constrain: eager.Constraint, nested: eager.Wanted
    ) -> None:
        """Load the owners of all of *models*: one query for each type among them."""
        by_type: dict[Any, list[Any]] = {}
        for model in models:
            by_type.setdefault(model._attributes.get(self.type_column), []).append(model)
        for alias, group in by_type.items():
            if alias is None:
                for model in group:
                    model._keep_relation(self.name, None)
                continue
            related = type(self.parent).for_alias(alias, type(self.parent).__module__)
            BelongsTo.load_into(self.of_type(related), group, constrain, nested)

    def correlated(
        self, outer: Any, fn: Callable[[Any], Any] | None = None, column: Any = None
    ) -> Any:
        """Of one type only (`of_type`): the rows of all are in several tables."""
        if self._is_of_one_type:
            return super().correlated(outer, fn, column)
        raise RelationError(
            f"relation {self.name!r} leads to several tables, which one sub-query cannot ask: "
            f"where_has_morph({self.name!r}, [Post, Video], fn) asks the types you mean"
        )

    def of_type(self, related: Any) -> MorphTo:
        """The same relation, to the rows of class *related* alone."""
        one = MorphTo(related, self.parent, self.type_column, self.foreign_key, self._chosen_key)
        one.name, one._is_of_one_type, one._default = self.name, True, self._default
        return one

    def associate(self, owner: Any) -> Any:
        """Make *owner* (a model or None) the child's owner; the child, not saved yet."""
        alias = None if owner is None else type(owner).type_alias
        self.parent.set_attribute(self.type_column, alias)
        if owner is not None:
            self.owner_key = self._chosen_key or owner.primary_key
        return super().associate(owner)
