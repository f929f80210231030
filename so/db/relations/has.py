"""has_one, has_many, morph_one, morph_many: the related row holds the parent's key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from so.db import clauses as c
from so.db.query import Query
from so.db.query.read_back import unique_keys
from so.db.relations.base import Relation
from so.db.relations.one import OneOfMany
from so.errors import RelationError, UniqueConstraintError
from so.support.listed import parts
from so.support.signatures import call_with

Row = Mapping[str, Any]


class HasMany(Relation):
    """Many rows of the related table hold the parent's key in a column of theirs."""

    kind: ClassVar[str] = "has_many"

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

    def _tie_new(self, model: Any, parent: Any) -> None:
        model.set_attribute(self.foreign_key, parent._attributes.get(self.local_key))

    # --- writing: what ties a row to the parent is never the caller's to say

    def _guaranteed(self) -> dict[str, Any]:
        return {self.foreign_key: self._need_parent_key("add to")}

    def _guaranteed_names(self) -> tuple[str, ...]:
        return (self.foreign_key,)

    def _without_own(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if not self._is_own(name)}

    def update(self, values: Row | None = None, /, **columns: Any) -> int:
        """Change columns of the parent's rows; RelationError for those that tie them to it."""
        given = {**(values or {}), **columns}
        for name in given:
            if self._is_own(name):
                raise RelationError(
                    f"{name!r} ties the rows of {self.name!r} to their {type(self.parent).__name__}"
                    f" and is not changed through it: to move rows, ask {self.model.__name__} "
                    f"itself, {self.model.__name__}.where({self.foreign_key!r}, …).update(…)"
                )
        return super().update(given)

    def update_or_insert(self, attributes: Row, values: Any = None) -> bool:
        """As everywhere, among the parent's rows; what ties a row to it is left out."""

        def changes(exists: bool) -> dict[str, Any]:
            given = call_with(values, exists) if callable(values) else values
            return self._without_own(given or {})

        return super().update_or_insert(self._without_own(attributes), changes)

    def upsert(self, values: Any, unique_by: Any, update: Any = None) -> int:
        """Insert rows or update the parent's own, in one transaction.

        Raises UniqueConstraintError, with nothing written, if a row's key is that of another's.
        """
        rows = [values] if isinstance(values, Mapping) else list(values or ())
        keys = [unique_by] if isinstance(unique_by, str) else list(unique_by or ())
        if not (rows and keys):
            return super().upsert(rows, keys, update)
        changes = self._own_changes(rows[0], keys, update)

        def write() -> int:
            count = super(HasMany, self).upsert(rows, keys, changes)
            self._refuse_others([self._with_guaranteed(row) for row in rows], keys)
            return count

        return int(self.runner.transaction(write))

    def _own_changes(self, row: Row, keys: list[str], update: Any) -> Any:
        """What the upsert changes: all but what would give another's row to this parent."""
        if isinstance(update, Mapping):
            return self._without_own(update) or keys
        created_at = self.model._plan.created_at
        names = [n for n in row if n != created_at] if update is None else update
        return [
            n for n in ([names] if isinstance(names, str) else names) if not self._is_own(n)
        ] or (keys if names else names)

    def _refuse_others(self, rows: Sequence[Row], unique_by: list[str]) -> None:
        """Raise if the key of one of *rows* is now that of a row which is not the parent's."""
        table = self.model.table
        unique = {tuple(unique_by)}
        if self.grammar.name == "mysql":  # whose upsert looks at all keys
            found = unique_keys(self.runner, self.grammar.table(table, []))
            unique |= {tuple(names) for names in found.values()}
        wanted = [
            {name: row[name] for name in names}
            for row in rows
            for names in unique
            if all(row.get(name) is not None for name in names)
        ]
        for some in parts(wanted, 200):
            query = Query(self.runner, self.grammar, table).lock_for_update().use_write()
            query.where(partial(_any_of, some)).where(self._is_of_another)
            if (other := query.first()) is not None:
                raise self._taken(other, unique_by)

    def _is_of_another(self, query: Query) -> None:
        for name, value in self._guaranteed().items():
            key = self._bound_key(value) if name == self.foreign_key else value
            query.or_where(name, "!=", key).or_where_null(name)

    def _taken(self, other: Row, unique_by: list[str]) -> UniqueConstraintError:
        row = f"{self.model.__name__} {other.get(self.model.primary_key)!r}"
        error = UniqueConstraintError(
            connection=self.runner.name,
            message=f"upsert() through {self.name!r} would change {row}, which is not of this "
            f"{type(self.parent).__name__}: a row given has its {' and '.join(unique_by)} or "
            "another unique key of it",
        )
        error.columns = unique_by
        return error

    def _as_defined_here(self, found: Relation) -> Any:
        """*found* with the conditions of this relation for its own."""
        found.tree = self.tree.copy()
        found.tree.conditions = c.sealed([*self._defined, *self.tree.conditions])
        found._without, found._added = self._without, self._added
        return found

    def one(self) -> HasOne:
        """One of these rows: `return self.related("orders").one().latest_of_many()`."""
        one = HasOne(self.model, self.parent, self.foreign_key, self.local_key)
        found: HasOne = self._as_defined_here(one)
        return found


class HasOne(OneOfMany, HasMany):
    """At most one row of the related table holds the parent's key."""

    kind: ClassVar[str] = "has_one"


class MorphMany(HasMany):
    """Many rows hold the parent's key and, beside it, the name of the parent's type."""

    kind: ClassVar[str] = "morph_many"

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

    def _tie_new(self, model: Any, parent: Any) -> None:
        super()._tie_new(model, parent)
        model.set_attribute(self.type_column, type(parent).type_alias)

    def _guaranteed(self) -> dict[str, Any]:
        return {**super()._guaranteed(), self.type_column: type(self.parent).type_alias}

    def _guaranteed_names(self) -> tuple[str, ...]:
        return (self.foreign_key, self.type_column)

    def one(self) -> MorphOne:  # type: ignore[override]  # of its own kind
        """One of these rows, as for has_many."""
        one = MorphOne(self.model, self.parent, self.type_column, self.foreign_key, self.local_key)
        found: MorphOne = self._as_defined_here(one)
        return found


class MorphOne(OneOfMany, MorphMany):
    """At most one row holds the parent's key and type."""

    kind: ClassVar[str] = "morph_one"


def _any_of(wanted: Sequence[Row], query: Query) -> None:
    for one in wanted:
        query.or_where(one)
