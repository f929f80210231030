"""What a model's query gives: a `Collection` of models that can load what is related to them.

Models are told apart by their table and key, as `==` does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

from so.db.model import eager
from so.db.rows import Collection
from so.errors import InvalidArgumentError, ModelNotFoundError
from so.support.listed import flat, listed, parts
from so.support.paths import MISSING

T = TypeVar("T")


class Loading:
    """What one model, or all of a collection, can load of what is related."""

    __slots__ = ()

    def _models_here(self) -> list[Any]:
        raise NotImplementedError

    def load(self, *relations: Any, **constrained: Any) -> Self:
        """Load relations now, one query each; takes what `with_` takes, loaded ones as well."""
        eager.load(self._models_here(), eager.wanted(relations, constrained))
        return self

    def load_missing(self, *relations: Any, **constrained: Any) -> Self:
        """Load the relations that are not loaded yet."""
        wanted = eager.wanted(relations, constrained)
        eager.load(self._models_here(), wanted, only_missing=True)
        return self

    # --- counted and added up

    def _load_computed(self, ask: Callable[[Any], Any]) -> Self:
        """Set the columns that ask(query) adds to a query for these models."""
        for some in parts(self._models_here()):
            query = _query_for(some)
            key = query.model.primary_key
            ask(query.select(query.qualify(key)))
            found = {row.pop(key): row for row in query._computed_rows()}
            for model in some:
                model._keep_computed(found.get(model.get_key(), {}))
        return self

    def load_count(self, *relations: Any, **constrained: Any) -> Self:
        """Set `<relation>_count`; takes what `with_count` takes."""
        return self._load_computed(lambda query: query.with_count(*relations, **constrained))

    def load_exists(self, *relations: Any, **constrained: Any) -> Self:
        """Set `<relation>_exists`, True or False."""
        return self._load_computed(lambda query: query.with_exists(*relations, **constrained))

    def load_sum(self, relations: Any, column: Any, /, **constrained: Any) -> Self:
        """Set `<relation>_sum_<column>`; takes what `with_sum` takes."""
        return self.load_aggregate(relations, column, "sum", **constrained)

    def load_avg(self, relations: Any, column: Any, /, **constrained: Any) -> Self:
        """Set `<relation>_avg_<column>`."""
        return self.load_aggregate(relations, column, "avg", **constrained)

    def load_min(self, relations: Any, column: Any, /, **constrained: Any) -> Self:
        """Set `<relation>_min_<column>`."""
        return self.load_aggregate(relations, column, "min", **constrained)

    def load_max(self, relations: Any, column: Any, /, **constrained: Any) -> Self:
        """Set `<relation>_max_<column>`."""
        return self.load_aggregate(relations, column, "max", **constrained)

    def load_aggregate(
        self, relations: Any, column: Any, function: str, /, **constrained: Any
    ) -> Self:
        """Set `<relation>_<function>_<column>`; takes what `with_aggregate` takes."""
        return self._load_computed(
            lambda query: query.with_aggregate(relations, column, function, **constrained)
        )


class Models(Loading, Collection[T]):
    """A collection of models of one class."""

    __slots__ = ()

    def _models_here(self) -> list[Any]:
        return self

    # --- read again

    def fresh(self, *relations: Any) -> Self:
        """The same models read anew, without those that are gone; `with_` these relations."""
        found: dict[Any, Any] = {}
        for some in parts(self):
            read = _query_for(some).with_(*relations).get()
            found.update((model.get_key(), model) for model in read)
        keys = [key for key in self.model_keys() if key in found]
        return type(self)(found[key] for key in keys)

    def to_query(self) -> Any:
        """A query for these models: `users.to_query().update({"active": False})`."""
        if not self:
            raise InvalidArgumentError("an empty collection has no query: it has no model's class")
        return _query_for(self)

    # --- keys

    def model_keys(self) -> list[Any]:
        """The primary keys."""
        return [model.get_key() for model in self]  # type: ignore[attr-defined]

    def find(self, key: Any, default: Any = None) -> Any:
        """The model with that key (or that model's); of a list of keys, a collection."""
        if isinstance(key, (list, tuple, set, frozenset)):
            return self.only(key)
        wanted = _key(key)
        return next((m for m in self if m.get_key() == wanted), default)  # type: ignore[attr-defined]

    def find_or_fail(self, key: Any) -> Any:
        """As `find`, but ModelNotFoundError if the model, or one of them, is not here."""
        wanted = [_key(one) for one in listed(key)]
        missing = set(wanted) - set(self.model_keys())
        if missing:
            cls = type(self[0]) if self else "model"
            raise ModelNotFoundError(cls, [one for one in wanted if one in missing])
        return self.find(key)

    def only(self, *keys: Any) -> Self:
        """The models with these keys."""
        wanted = {_key(key) for key in flat(keys)}
        return type(self)(m for m in self if m.get_key() in wanted)  # type: ignore[attr-defined]

    def except_(self, *keys: Any) -> Self:
        """The models with other keys than these."""
        unwanted = {_key(key) for key in flat(keys)}
        return type(self)(m for m in self if m.get_key() not in unwanted)  # type: ignore[attr-defined]

    def contains(self, key: Any, operator: Any = MISSING, value: Any = MISSING) -> bool:
        """As of any collection; a model, or a key, is looked for by its key."""
        if operator is MISSING and not callable(key) and not hasattr(key, "get_key"):
            return key in self.model_keys()
        return super().contains(key, operator, value)

    def merge(self, other: Iterable[T]) -> Self:
        """These models and those of *other*; of two of one row, the other's."""
        merged: dict[Any, T] = {}
        for model in [*self, *other]:
            merged[_identity(model)] = model
        return type(self)(merged.values())

    # --- as a client sees them

    def make_hidden(self, *names: Any) -> Self:
        """Leave these out of `to_dict()` of each model."""
        return self.each(lambda model: model.make_hidden(*names))  # type: ignore[attr-defined]

    def make_visible(self, *names: Any) -> Self:
        """Show these in `to_dict()` of each model."""
        return self.each(lambda model: model.make_visible(*names))  # type: ignore[attr-defined]


class Related(Models[T]):
    """The loaded models of one relation; called, it gives the relation's query."""

    __slots__ = ("_name", "_parent")

    def __init__(self, models: Iterable[T] = (), parent: Any = None, name: str = "") -> None:
        super().__init__(models)
        self._parent, self._name = parent, name

    def __call__(self) -> Any:
        """`user.posts()` is `user.related("posts")`."""
        if self._parent is None:
            raise TypeError(
                "this collection was derived from a relation's and has no query of its own: "
                "use model.related(…)"
            )
        return self._parent.related(self._name)


def _key(one: Any) -> Any:
    """The key of a model, or a key as it is."""
    return one.get_key() if hasattr(one, "get_key") else one


def _identity(model: Any) -> Any:
    """What is equal for two models of one row; a model without a key is like no other."""
    key = model.get_key()
    return id(model) if key is None else (model.table, key)


def _query_for(models: Any) -> Any:
    """A query for the rows of *models*, which are of one class, past every global scope."""
    model: Any = models[0]
    query = type(model).on(model._home()).without_global_scopes()
    return query.where_key([one._key_of_row() for one in models])
