"""`ClassNames`: which class a stored name means, where rows and jobs hold names and no classes.

Two living classes of one name would answer for each other: the second is refused where it is
defined. A class that is defined anew, as when its module is loaded again, takes the place of the
first; so does one that is made from the other. A class that nobody holds any more is forgotten.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

from so.errors import SixOrbitError


class ClassNames:
    """Classes of one sort by their name."""

    def __init__(
        self,
        error: type[SixOrbitError],
        consequence: str,
        is_same: Callable[[Any, Any], bool] = lambda cls, other: False,
    ) -> None:
        """*error* and *consequence* say what is wrong with two of one name.

        *is_same* tells of two classes that they mean the same things, so that they may share it.
        """
        self._error = error
        self._consequence = consequence
        self._is_same = is_same
        self._classes: dict[str, list[weakref.ref[Any]]] = {}

    def know(self, name: str, cls: Any) -> None:
        """Let *name* mean *cls* from now on; raises the error, naming both, for a rival."""
        if self._rivals(name, cls):
            gc.collect()  # a class is in a cycle with itself: it outlives the last who held it
        for other in self._rivals(name, cls):
            raise self._error(
                f"{_full(cls)} and {_full(other)} are both called {name!r} {self._consequence}: "
                "set type_alias on one of them"
            )
        living = [weakref.ref(other) for other in self._living(name)]
        self._classes[name] = [*living, weakref.ref(cls)]

    def knows(self, name: str, cls: Any) -> bool:
        """Does *name* mean *cls*, at least among others?"""
        return any(ref() is cls for ref in self._classes.get(name, ()))

    def find(self, name: str) -> Any:
        """The class of that name, of several the one defined last; None if there is none."""
        living = self._living(name)
        return living[-1] if living else None

    def _living(self, name: str) -> list[Any]:
        return [found for ref in self._classes.get(name, ()) if (found := ref()) is not None]

    def _rivals(self, name: str, cls: Any) -> list[Any]:
        return [
            other
            for other in self._living(name)
            if (other.__module__, other.__name__) != (cls.__module__, cls.__name__)
            and not (issubclass(cls, other) or issubclass(other, cls))
            and not self._is_same(cls, other)
        ]


def of_one_table(cls: Any, other: Any) -> bool:
    """Do two models share their rows? Then they may share a name."""
    return bool((cls.table, cls.connection) == (other.table, other.connection))


def _full(cls: Any) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
