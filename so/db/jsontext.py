"""JSON documents asked and changed in Python, for an engine that has no word for the question.

SQLite calls these: whether a document contains or overlaps another as MariaDB and MySQL decide
it, and places whose name SQLite's paths cannot write (a quote or a backslash in a key). A place
is given as a JSON array of keys and indexes. None stands for NULL and for "not there".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

_ABSENT: Final[Any] = object()
_NEAR: Final = 1e-12


def json_holds(document: Any, steps: str, candidate: Any) -> int | None:
    """1 if what stands at the place contains *candidate*, 0 if not, None if nothing is there."""
    return _compared(document, steps, candidate, _holds)


def json_meets(document: Any, steps: str, candidate: Any) -> int | None:
    """1 if what stands at the place and *candidate* have an element in common."""
    return _compared(document, steps, candidate, _meets)


def json_part(document: Any, steps: str) -> str | None:
    """What stands at the place, as JSON."""
    found = _at(_read(document), _read_known(steps))
    return None if found is _ABSENT else _text(found)


def json_put(document: Any, steps: str, value: Any) -> str | None:
    """The document with *value*, a JSON text, at the place; what leads there is made."""
    whole, wanted = _read(document), _read(value)
    if whole is _ABSENT or wanted is _ABSENT:
        return None
    return _text(_put(whole, _read_known(steps), wanted))


FUNCTIONS: Final[dict[str, tuple[int, Callable[..., Any]]]] = {
    "json_holds": (3, json_holds),
    "json_meets": (3, json_meets),
    "json_part": (2, json_part),
    "json_put": (3, json_put),
}
"""The functions by name, with the number of their arguments."""


def _compared(
    document: Any, steps: str, candidate: Any, test: Callable[[Any, Any], bool]
) -> int | None:
    found = _at(_read(document), _read_known(steps))
    wanted = _read_known(candidate) if isinstance(candidate, str) else _read(candidate)
    if found is _ABSENT or wanted is _ABSENT:
        return None
    return int(test(found, wanted))


def _read(document: Any) -> Any:
    """The document behind what a column holds; a column of numbers may have kept it as one."""
    if document is None:
        return _ABSENT
    try:
        return json.loads(document if isinstance(document, (str, bytes)) else str(document))
    except (ValueError, RecursionError):
        return _ABSENT


@lru_cache(maxsize=256)
def _read_known(text: str) -> Any:
    """As `_read`, for what is the same in every row; not to be changed."""
    return _read(text)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _at(value: Any, steps: list[Any]) -> Any:
    for step in steps:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step, _ABSENT)
        elif isinstance(step, int) and isinstance(value, list) and 0 <= step < len(value):
            value = value[step]
        else:
            return _ABSENT
    return value


def _put(whole: Any, steps: list[Any], value: Any) -> Any:
    if not steps:
        return value
    step, *rest = steps
    if isinstance(step, str) and isinstance(whole, dict):
        return {**whole, step: _put(whole.get(step, {}) if rest else None, rest, value)}
    if isinstance(step, int) and isinstance(whole, list) and step < len(whole):
        return [*whole[:step], _put(whole[step], rest, value), *whole[step + 1 :]]
    return whole


def _holds(target: Any, wanted: Any) -> bool:
    if isinstance(target, dict):
        return isinstance(wanted, dict) and all(
            name in target and _holds(target[name], value) for name, value in wanted.items()
        )
    if isinstance(target, list):
        if isinstance(wanted, list):
            return all(_holds(target, one) for one in wanted)
        return any(_holds(one, wanted) for one in target)
    return _same(target, wanted)


def _meets(target: Any, wanted: Any) -> bool:
    if isinstance(target, dict) and isinstance(wanted, dict):
        return any(name in target and _same(target[name], v) for name, v in wanted.items())
    targets = target if isinstance(target, list) else [target]
    return any(_same(one, other) for one in targets for other in _as_list(wanted))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _same(one: Any, other: Any) -> bool:
    """Are two values equal: numbers by value, lists in order, objects in any order?"""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other or abs(float(one) - float(other)) < _NEAR
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[n], other[n]) for n in one)
    return type(one) is type(other) and one == other
