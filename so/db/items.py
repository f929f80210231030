"""One item of a collection: its value at a key, whether it passes a test, whether it was known.

Keys may be column names, dotted paths, or functions of the item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from so.support.paths import MISSING, step


def value_of(item: Any, key: Any, default: Any = None) -> Any:
    """The value at *key* of a row, mapping or object; dots go deeper; a callable is called.

    Without a key it is *item* itself.
    """
    if key is None:
        return item
    if callable(key):
        return key(item)
    if isinstance(item, Mapping) and key in item:
        return item[key]
    for part in str(key).split("."):
        inside = isinstance(item, (Mapping, list, tuple))
        item = step(item, part) if inside else getattr(item, part, MISSING)
        if item is MISSING:
            return default
    return item


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": _equal,
    "==": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "<>": lambda a, b: not _equal(a, b),
    "<": lambda a, b: a is not None and b is not None and a < b,
    "<=": lambda a, b: a is not None and b is not None and a <= b,
    ">": lambda a, b: a is not None and b is not None and a > b,
    ">=": lambda a, b: a is not None and b is not None and a >= b,
}


def test_of(key: Any, operator: Any, value: Any) -> Callable[[Any], bool]:
    """The predicate behind where(), contains() and their kin: also a function of the item."""
    if callable(key) and operator is MISSING:
        return lambda item: bool(key(item))
    if operator is MISSING:
        return lambda item: bool(value_of(item, key))
    if value is MISSING:
        operator, value = "=", operator
    compare = _COMPARISONS.get(operator)
    if compare is None:
        known = ", ".join(_COMPARISONS)
        raise ValueError(f"unknown operator {operator!r} for a collection: use one of {known}")
    return lambda item: compare(value_of(item, key), value)


class Known:
    """Values seen so far: hashed where that can be, compared one by one where not."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._hashed: set[Any] = set()
        self._listed: list[Any] = []
        for value in values:
            self.add(value)

    def add(self, value: Any) -> None:
        """Take *value* for seen."""
        try:
            self._hashed.add(value)
        except TypeError:
            self._listed.append(value)

    def __contains__(self, value: object) -> bool:
        try:
            return value in self._hashed
        except TypeError:
            return value in self._listed
