"""What callers give to a query, checked and made uniform: lists, bounds, numbers, names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from so.db.expressions import Expression
from so.db.query.core import MISSING
from so.db.values import bindable
from so.errors import InvalidArgumentError, InvalidNumberError
from so.support import numbers

_DIGITS = re.compile(r"[ \t\r\n]*([+-]?[0-9]{1,400})")
_LARGEST = 2**63 - 1


def listed(values: Any) -> list[Any]:
    """*values* as a list; text is not a list of letters."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidArgumentError(f"a list is needed, not {values!r:.60}")
    return list(values.values()) if isinstance(values, Mapping) else list(values)


def bound_list(bindings: Any) -> list[Any]:
    """The values for a raw piece of SQL; a single one need not be in a list."""
    if isinstance(bindings, Mapping):
        bindings = list(bindings.values())
    if not isinstance(bindings, (list, tuple)):
        bindings = [bindings]
    return [bindable(one) for one in bindings]


def whole_number(value: Any) -> int:
    """*value* as an int, as PHP reads one: the digits at its start."""
    value = bindable(value)
    if isinstance(value, str):
        found = _DIGITS.match(value)
        return int(found[1]) if found else 0
    return numbers.whole(value) or 0


def two_of(low: Any, high: Any) -> tuple[Any, Any]:
    """The two bounds of a range, given as `[a, b]` or as a, b."""
    values = [low, high] if high is not MISSING else flattened(listed(low))
    if len(values) < 2:
        raise InvalidArgumentError(f"two bounds are needed, not {low!r:.60}")
    return values[0], values[1]


def flattened(values: Iterable[Any]) -> list[Any]:
    """The items of lists in lists."""
    flat: list[Any] = []
    for one in values:
        flat.extend(flattened(one) if isinstance(one, (list, tuple)) else [one])
    return flat


def only(value: Any) -> Any:
    """The one item of a nested list, as `pluck` of records gives them."""
    if not isinstance(value, (list, tuple, Mapping)):
        return value
    if len(value) != 1:
        raise InvalidArgumentError("Nested arrays may not be passed to whereIn method.")
    return listed(value)[0]


def first_of(value: Any) -> Any:
    """A list compared with a column counts as its first item, as in Laravel."""
    if not isinstance(value, (list, tuple)):
        return value
    flat = flattened(value)
    if not flat:
        raise InvalidArgumentError("an empty list cannot be compared: use where_in()")
    return flat[0]


def whole(value: Any, what: str) -> int:
    """*value* as an int; text that is none is the client's fault."""
    number = numbers.whole(value)
    if number is None:
        raise InvalidNumberError(f"{what} must be a whole number, not {value!r:.60}")
    return number


def row_count(value: Any, what: str) -> int:
    """A limit or the like as an int of 64 bits; text never reaches the statement."""
    if type(value) is int and 0 <= value <= _LARGEST:
        return value
    number = whole(value, what)
    return number if -_LARGEST <= number <= _LARGEST else (_LARGEST if number > 0 else -_LARGEST)


def column_names(columns: Any) -> list[Any]:
    """What a reading method was given as columns, as a list: a name, several, or none."""
    if columns is None:
        return []
    if isinstance(columns, (str, Expression)):
        return [columns]
    return listed(columns)


def name_of(column: Any) -> str:
    """The text of a column, nothing for a sub-query."""
    return str(column) if isinstance(column, (str, Expression)) else ""
