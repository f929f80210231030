"""Which class the trail means by a name: two audited models of one name would share one trail."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from so.errors import ActivityError

_audited: dict[str, list[weakref.ref[Any]]] = {}


def know(cls: Any) -> None:
    """Note an audited class by its `type_alias`.

    Raises ActivityError, naming both, if a class of another module has that alias for another
    table. One that nobody holds any more is forgotten.
    """
    if _rivals(cls):
        gc.collect()  # a class is in a cycle with itself: it outlives the last who held it
    for other in _rivals(cls):
        raise ActivityError(
            f"{_full(cls)} and {_full(other)} are both called {cls.type_alias!r} in the trail, and "
            "would share one history: set type_alias on one of them"
        )
    _audited[cls.type_alias] = [*_living(cls.type_alias), weakref.ref(cls)]


def audited(alias: str) -> Any:
    """The audited class of that name defined last; None if there is none."""
    living = _living(alias)
    return living[-1]() if living else None


def _living(alias: str) -> list[weakref.ref[Any]]:
    return [ref for ref in _audited.get(alias, ()) if ref() is not None]


def _rivals(cls: Any) -> list[Any]:
    known = [ref() for ref in _living(cls.type_alias)]
    return [
        other
        for other in known
        if other is not None
        and other.__module__ != cls.__module__
        and (other.table, other.connection) != (cls.table, cls.connection)
        and not (issubclass(cls, other) or issubclass(other, cls))
    ]


def _full(cls: Any) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
