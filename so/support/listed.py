"""One or many: what may be given one by one, in lists, or both; and many in parts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
MANY = (list, tuple, set, frozenset)
IN_A_STATEMENT = 500
"""Values named in one statement: below the placeholders of any SQLite, with room for others."""


def listed(value: Any) -> list[Any]:
    """*value* as a list: many as they are, one by itself. Text is one."""
    return list(value) if isinstance(value, MANY) else [value]


def flat(names: Iterable[Any]) -> list[Any]:
    """`("a", "b")` and `(["a", "b"],)` alike: names one by one, in anything that holds several."""
    return [name for value in names for name in (value if _is_several(value) else [value])]


def _is_several(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str)


def parts(items: Sequence[T], size: int = IN_A_STATEMENT) -> Iterator[Sequence[T]]:
    """*items* in slices of *size*, the last one shorter; none for no items."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


def names(given: Any, what: str) -> Any:
    """*given* itself; TypeError unless it is a list, a tuple or another collection of names.

    A text is one as well, of its letters: `("role")` for `("role",)` would guard r, o, l and e.
    """
    if isinstance(given, str):
        raise TypeError(f"{what} is the text {given!r}, which means its letters: write [{given!r}]")
    if not isinstance(given, Collection):
        raise TypeError(f"{what} is {given!r}: write a list of names, [] for none")
    return given
