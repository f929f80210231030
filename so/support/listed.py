"""One or many: what may be given one by one, in lists, or both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MANY = (list, tuple, set, frozenset)


def listed(value: Any) -> list[Any]:
    """*value* as a list: many as they are, one by itself. Text is one."""
    return list(value) if isinstance(value, MANY) else [value]


def flat(names: Iterable[Any]) -> list[Any]:
    """`("a", "b")` and `(["a", "b"],)` alike: names one by one, in anything that holds several."""
    return [name for value in names for name in (value if _is_several(value) else [value])]


def _is_several(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str)
