"""Asking for models by given ones: where_belongs_to, where_attached_to, where_morphed_to.

The relation is found by the class of what is given (`Post` is `post`, or `posts` of many to many)
unless it is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Self

from so.db.model.aggregates import Aggregates
from so.db.naming import plural, snake
from so.db.query.twins import twin
from so.errors import InvalidArgumentError, RelationError


class Belonging(Aggregates):
    """where_belongs_to, where_attached_to, where_morphed_to and their twins."""

    def where_belongs_to(
        self, owners: Any, relation: str | None = None, boolean: str = "and"
    ) -> Self:
        """The models that belong to this one, or to one of these: `where_belongs_to(user)`."""
        found = _models(owners, "where_belongs_to")
        tie = self._named_relation(relation or snake(type(found[0]).__name__), "belongs_to")
        keys = [model._attributes.get(tie.owner_key) for model in found]
        return self.where_in(self.qualify(tie.foreign_key), keys, boolean)

    or_where_belongs_to = twin(where_belongs_to, boolean="or")

    def where_attached_to(
        self, related: Any, relation: str | None = None, boolean: str = "and"
    ) -> Self:
        """The models that are paired with this one, or with one of these, by belongs_to_many."""
        found = _models(related, "where_attached_to")
        name = relation or plural(snake(type(found[0]).__name__))
        self._named_relation(name, "belongs_to_many", "morph_to_many")
        keys = [model.get_key() for model in found]
        return self.has(name, ">=", 1, boolean, lambda query: query.where_key(keys))

    or_where_attached_to = twin(where_attached_to, boolean="or")

    def where_morphed_to(
        self, relation: str, owner: Any, boolean: str = "and", not_: bool = False
    ) -> Self:
        """The models whose morph_to is this model, or one of these; or any of a class; or None.

        *owner* may be a model, several, a model class or its type alias.
        """
        tie = self._named_relation(relation, "morph_to")
        if owner is None:
            return self.where_null(self.qualify(tie.type_column), boolean, not_)

        def one_of(query: Any) -> None:
            for alias, keys in _by_alias(owner, tie).items():
                query.where(partial(_of_type, tie, alias, keys), boolean="or")

        return self.where_nested(one_of, boolean + " not" * not_)

    or_where_morphed_to = twin(where_morphed_to, boolean="or")
    where_not_morphed_to = twin(where_morphed_to, not_=True)
    or_where_not_morphed_to = twin(where_morphed_to, boolean="or", not_=True)

    def _named_relation(self, name: str, *kinds: str) -> Any:
        """The relation *name* of these models, if it is of one of these kinds."""
        found = self._template()._relation_template(name)
        if found.kind not in kinds:
            raise RelationError(
                f"relation {name!r} of {self.model.__name__} is a {found.kind}, not a {kinds[0]}"
            )
        return found


def _models(given: Any, method: str) -> list[Any]:
    found = list(given) if isinstance(given, (list, tuple, set, frozenset)) else [given]
    if not found or not all(hasattr(one, "_attributes") for one in found):
        raise InvalidArgumentError(
            f"{method}() needs a model, or a list of some: not {given!r:.60}"
        )
    return found


def _by_alias(owner: Any, tie: Any) -> dict[str, list[Any] | None]:
    """The keys that are meant by the type's alias; None for all of a type."""
    if isinstance(owner, str):
        return {owner: None}
    if isinstance(owner, type):
        return {owner.type_alias: None}  # type: ignore[attr-defined]
    found: dict[str, list[Any] | None] = {}
    for model in _models(owner, "where_morphed_to"):
        key = model._attributes.get(tie._chosen_key or model.primary_key)
        keys = found.setdefault(type(model).type_alias, [])
        if keys is not None:
            keys.append(key)
    return found


def _of_type(tie: Any, alias: str, keys: Iterable[Any] | None, query: Any) -> None:
    query.where(query.qualify(tie.type_column), "=", alias)
    if keys is not None:
        # As text, like the column: compared with a number, MySQL would find '5abc' for 5.
        texts = [str(key) if isinstance(key, int) else key for key in keys]
        query.where_in(query.qualify(tie.foreign_key), texts)
