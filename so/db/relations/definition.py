"""`@relation`: a method that describes related models, read like a column.

`user.posts` is what is related, loaded once and kept; `user.related("posts")` is the query for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from so.errors import RelationError


class relation:
    """Marks a model's method that returns a relation (`return self.has_many(Post)`)."""

    def __init__(self, method: Callable[[Any], Any]) -> None:
        self.method = method
        self.name: str = method.__name__
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, model: Any, owner: Any = None) -> Any:
        if model is None:
            return self
        loaded = model._loaded
        if loaded is not None and self.name in loaded:
            return loaded[self.name]
        return model._load_lazily(self.name)

    def __set__(self, model: Any, value: Any) -> None:
        raise AttributeError(
            f"{self.name!r} is a relation of {type(model).__name__}: keep loaded models with "
            f"set_relation({self.name!r}, …), or change what is related through "
            f"related({self.name!r})"
        )

    def of(self, model: Any) -> Any:
        """The relation of *model*, as a query that knows its name."""
        found = self.method(model)
        if not getattr(found, "is_relation", False):
            raise RelationError(
                f"relation {self.name!r} of {type(model).__name__} returned "
                f"{type(found).__name__}: return self.has_many(…), self.belongs_to(…) or the like"
            )
        found.name = self.name
        found._define()
        return found
