"""Asking for models by the owners of a morph_to, which stand in several tables.

Each type is asked in a sub-query of its own. `"*"` means every type that the rows name now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Self

from so.db.model.belonging import Belonging
from so.db.query.core import MISSING
from so.db.query.twins import twin
from so.support.signatures import call_with

Fill = Callable[..., Any] | None


class Morphs(Belonging):
    """has_morph, where_has_morph, where_doesnt_have_morph, where_morph_relation."""

    def has_morph(
        self,
        relation: str,
        types: Any = "*",
        operator: str = ">=",
        count: int = 1,
        boolean: str = "and",
        fn: Fill = None,
    ) -> Self:
        """The models whose morph_to *relation* leads to one of *types*: a class, several, or "*".

        fn(query), or fn(query, type_alias), describes the owner.
        """
        tie = self._named_relation(relation, "morph_to")
        aliases = self._aliases(tie, types)

        def one_of(query: Any) -> None:
            for alias in aliases:
                query.where(partial(self._ask, tie, alias, (operator, count), fn), boolean="or")

        if not aliases:
            return self.where_raw("0 = 1", (), boolean)
        return self.where_nested(one_of, boolean)

    def or_has_morph(
        self, relation: str, types: Any = "*", operator: str = ">=", count: int = 1
    ) -> Self:
        """`or`, and otherwise as `has_morph`."""
        return self.has_morph(relation, types, operator, count, "or")

    def doesnt_have_morph(
        self, relation: str, types: Any = "*", boolean: str = "and", fn: Fill = None
    ) -> Self:
        """The models whose owner is of one of *types*, but not there, or not as fn says."""
        return self.has_morph(relation, types, "<", 1, boolean, fn)

    def or_doesnt_have_morph(self, relation: str, types: Any = "*") -> Self:
        """`or`, and otherwise as `doesnt_have_morph`."""
        return self.doesnt_have_morph(relation, types, "or")

    def where_has_morph(
        self,
        relation: str,
        types: Any = "*",
        fn: Fill = None,
        operator: str = ">=",
        count: int = 1,
        boolean: str = "and",
    ) -> Self:
        """The models whose owner is of one of *types* and as fn(query, type_alias) says."""
        return self.has_morph(relation, types, operator, count, boolean, fn)

    or_where_has_morph = twin(where_has_morph, boolean="or")

    def where_doesnt_have_morph(
        self, relation: str, types: Any = "*", fn: Fill = None, boolean: str = "and"
    ) -> Self:
        """The models whose owner is of one of *types*, but not as fn(query, type_alias) says."""
        return self.doesnt_have_morph(relation, types, boolean, fn)

    or_where_doesnt_have_morph = twin(where_doesnt_have_morph, boolean="or")

    def where_morph_relation(
        self,
        relation: str,
        types: Any,
        column: Any,
        operator: Any = MISSING,
        value: Any = MISSING,
        boolean: str = "and",
    ) -> Self:
        """The models whose owner is of one of *types* and satisfies `where(column, …)`."""
        fill = _where(column, operator, value)
        return self.where_has_morph(relation, types, fill, boolean=boolean)

    or_where_morph_relation = twin(where_morph_relation, boolean="or")

    def where_morph_doesnt_have_relation(
        self,
        relation: str,
        types: Any,
        column: Any,
        operator: Any = MISSING,
        value: Any = MISSING,
        boolean: str = "and",
    ) -> Self:
        """The models whose owner is of one of *types*, but does not satisfy `where(column, …)`."""
        fill = _where(column, operator, value)
        return self.where_doesnt_have_morph(relation, types, fill, boolean)

    or_where_morph_doesnt_have_relation = twin(where_morph_doesnt_have_relation, boolean="or")

    def _aliases(self, tie: Any, types: Any) -> list[str]:
        if types == "*":
            query = self.model.on(self.runner).without_global_scopes().distinct()
            found: Iterable[Any] = query.where_not_null(tie.type_column).pluck(tie.type_column)
            return list(found)
        several = types if isinstance(types, (list, tuple, set, frozenset)) else [types]
        return [one if isinstance(one, str) else one.type_alias for one in several]

    def _ask(self, tie: Any, alias: str, wanted: tuple[str, int], fn: Fill, query: Any) -> None:
        """Put into *query* that the owner is of this type, and how many of it there are."""
        query.where(self.qualify(tie.type_column), "=", alias)
        owner = tie.of_type(self.model.for_alias(alias, self.model.__module__))
        fill = None if fn is None else lambda found: call_with(fn, found, alias)
        query._how_many(owner.correlated(self, fill).reorder(), *wanted)


def _where(column: Any, operator: Any, value: Any) -> Fill:
    return lambda query: query.where(column, operator, value)
