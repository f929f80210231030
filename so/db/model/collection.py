"""What a model's query gives: a `Collection` of models that can load what is related to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, TypeVar

from so.db.model import eager
from so.db.rows import Collection

T = TypeVar("T")


class Models(Collection[T]):
    """A collection of models of one class."""

    __slots__ = ()

    def load(self, *relations: Any, **constrained: Any) -> Self:
        """Load relations of all models, one query each; what was loaded is loaded again."""
        eager.load(self, eager.wanted(relations, constrained))
        return self

    def load_missing(self, *relations: Any, **constrained: Any) -> Self:
        """Load the relations that are not loaded yet."""
        eager.load(self, eager.wanted(relations, constrained), only_missing=True)
        return self

    def model_keys(self) -> list[Any]:
        """The primary keys."""
        return [model.get_key() for model in self]  # type: ignore[attr-defined]

    def find(self, key: Any, default: Any = None) -> Any:
        """The model with that key; of a list of keys, a collection."""
        if isinstance(key, (list, tuple, set)):
            return type(self)(m for m in self if m.get_key() in key)  # type: ignore[attr-defined]
        return next((m for m in self if m.get_key() == key), default)  # type: ignore[attr-defined]


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
