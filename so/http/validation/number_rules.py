"""Rules about numbers, sizes and kinds: integer, decimal, min, between, array, boolean, …

The size of a value is its number where a numeric rule stands beside, and otherwise its items,
its kilobytes or its characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from so.errors import InvalidRuleError
from so.http.validation.fields import At, Params
from so.http.validation.paths import ABSENT
from so.http.validation.registry import rule
from so.http.validation.values import (
    bound,
    has_arrived,
    is_array,
    is_file,
    is_list,
    is_number,
    number,
    size,
    text,
)

CANONICAL_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
LARGEST_INTEGER = 2**63 - 1
SMALLEST_INTEGER = -(2**63)

_DECIMAL = re.compile(r"[+-]?[0-9]*\.?([0-9]*)")
_DIGITS = re.compile(r"[0-9]+")


def _are_numbers(name: str, params: Params) -> None:
    for param in params:
        try:
            bound(param)
        except ValueError:
            raise InvalidRuleError(
                f"validation rule {name} needs a number, not {param!r}"
            ) from None


def _strict_only(name: str, params: Params) -> None:
    if params not in ((), ("strict",)):
        raise InvalidRuleError(f"validation rule {name} knows only the option strict")


# --- kinds ----------------------------------------------------------------------------------------


@rule("integer", check=_strict_only)
def integer(value: Any, params: Params, at: At) -> bool:
    """An int of 64 bits, or the canonical text of one; never a bool, `1.0` or `007`."""
    if type(value) is int:
        return SMALLEST_INTEGER <= value <= LARGEST_INTEGER
    if params or not isinstance(value, str) or CANONICAL_INTEGER.fullmatch(value) is None:
        return False
    return SMALLEST_INTEGER <= int(value) <= LARGEST_INTEGER


@rule("numeric", check=_strict_only)
def numeric(value: Any, params: Params, at: At) -> bool:
    """A number, or the text of one."""
    return is_number(value) and not (params and isinstance(value, str))


@rule("decimal", least=1, check=_are_numbers)
def decimal(value: Any, params: Params, at: At) -> bool:
    """A number with so many decimal places."""
    if not is_number(value):
        return False
    written = format(value, "f") if isinstance(value, Decimal) else text(value)
    found = _DECIMAL.fullmatch(written)
    if found is None:
        return False
    least, most = int(params[0]), int(params[-1])
    return least <= len(found[1]) <= most


@rule("boolean", check=_strict_only)
def boolean(value: Any, params: Params, at: At) -> bool:
    """True, False, 0, 1, `0` or `1`."""
    if isinstance(value, bool):
        return True
    if params:
        return False
    return (type(value) is int and value in (0, 1)) or value in ("0", "1")


@rule("array")
def array(value: Any, params: Params, at: At) -> bool:
    """A list or mapping; a mapping of no other keys than the parameters, if there are any."""
    return is_array(value) and (not params or not _other_keys(value, params))


@rule("array_keys", least=1)
def array_keys(value: Any, params: Params, at: At) -> bool:
    """A mapping of no other keys than the parameters."""
    return is_array(value) and not _other_keys(value, params)


@rule("required_array_keys", least=1)
def required_array_keys(value: Any, params: Params, at: At) -> bool:
    """A mapping that has every one of the keys."""
    return is_array(value) and set(params) <= _keys(value)


def _keys(value: Any) -> set[str]:
    keys = value.keys() if isinstance(value, Mapping) else range(len(value))
    return {str(key) for key in keys}


def _other_keys(value: Any, params: Params) -> set[str]:
    return _keys(value) - {str(param) for param in params}


@rule("in_array_keys", least=1)
def in_array_keys(value: Any, params: Params, at: At) -> bool:
    """A mapping that has at least one of the keys."""
    return is_array(value) and not _keys(value).isdisjoint(map(str, params))


@rule("contains", least=1)
def contains(value: Any, params: Params, at: At) -> bool:
    """A list that holds every one of the parameters."""
    return is_array(value) and set(map(text, params)) <= _items(value)


@rule("doesnt_contain", least=1)
def doesnt_contain(value: Any, params: Params, at: At) -> bool:
    """A list that holds none of the parameters."""
    return is_array(value) and _items(value).isdisjoint(map(text, params))


def _items(value: Any) -> set[str]:
    items = value.values() if isinstance(value, Mapping) else value
    return {text(item) for item in items if not is_array(item)}


@rule("list")
def list_(value: Any, params: Params, at: At) -> bool:
    """A list."""
    return is_list(value)


# --- digits ---------------------------------------------------------------------------------------


def _digits(value: Any) -> int | None:
    """How many digits *value* is; None if it is anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return None
    written = text(value)
    return len(written) if _DIGITS.fullmatch(written) else None


@rule("digits", least=1, check=_are_numbers)
def digits(value: Any, params: Params, at: At) -> bool:
    """Exactly so many digits, leading zeros included."""
    return _digits(value) == bound(params[0])


@rule("digits_between", least=2, check=_are_numbers)
def digits_between(value: Any, params: Params, at: At) -> bool:
    """Between so many digits and so many."""
    found = _digits(value)
    return found is not None and bound(params[0]) <= found <= bound(params[1])


@rule("min_digits", least=1, check=_are_numbers)
def min_digits(value: Any, params: Params, at: At) -> bool:
    """At least so many digits and nothing else."""
    count = _digits(value)
    return count is not None and count >= bound(params[0])


@rule("max_digits", least=1, check=_are_numbers)
def max_digits(value: Any, params: Params, at: At) -> bool:
    """At most so many digits and nothing else."""
    count = _digits(value)
    return count is not None and count <= bound(params[0])


@rule("multiple_of", least=1, check=_are_numbers)
def multiple_of(value: Any, params: Params, at: At) -> bool:
    """A multiple of the parameter, in exact arithmetic."""
    found, divisor = number(value), Decimal(bound(params[0]))
    if found is None or (found == 0 and divisor == 0):
        return False
    try:
        return found == 0 or Decimal(found) % divisor == 0
    except InvalidOperation:
        return False


# --- sizes ----------------------------------------------------------------------------------------


@rule("min", least=1, check=_are_numbers)
def minimum(value: Any, params: Params, at: At) -> bool:
    """At least this size."""
    return size(value, at.field.numeric) >= bound(params[0])


@rule("max", least=1, check=_are_numbers)
def maximum(value: Any, params: Params, at: At) -> bool:
    """At most this size."""
    if is_file(value) and not has_arrived(value):
        return False
    return size(value, at.field.numeric) <= bound(params[0])


@rule("size", least=1, check=_are_numbers)
def exact_size(value: Any, params: Params, at: At) -> bool:
    """Exactly this size."""
    return size(value, at.field.numeric) == bound(params[0])


@rule("between", least=2, check=_are_numbers)
def between(value: Any, params: Params, at: At) -> bool:
    """Between the two sizes, both included."""
    return bound(params[0]) <= size(value, at.field.numeric) <= bound(params[1])


@rule("gt", least=1)
def gt(value: Any, params: Params, at: At) -> bool:
    """Bigger than the other field, or than the number."""
    compared = _both_sizes(value, params[0], at)
    return compared is not None and compared[0] > compared[1]


@rule("gte", least=1)
def gte(value: Any, params: Params, at: At) -> bool:
    """At least as big as the other field, or as the number."""
    compared = _both_sizes(value, params[0], at)
    return compared is not None and compared[0] >= compared[1]


@rule("lt", least=1)
def lt(value: Any, params: Params, at: At) -> bool:
    """Smaller than the other field, or than the number."""
    compared = _both_sizes(value, params[0], at)
    return compared is not None and compared[0] < compared[1]


@rule("lte", least=1)
def lte(value: Any, params: Params, at: At) -> bool:
    """At most as big as the other field, or as the number."""
    compared = _both_sizes(value, params[0], at)
    return compared is not None and compared[0] <= compared[1]


def _both_sizes(value: Any, param: Any, at: At) -> tuple[Any, Any] | None:
    """The sizes to compare; None where the two are of different kinds."""
    other = at.other(str(param))
    if other is ABSENT or other is None:
        if not is_number(param):
            return None
        return size(value, at.field.numeric or is_number(value)), bound(param)
    if is_number(value) and is_number(other):
        return number(value), number(other)
    if _kind(value) != _kind(other):
        return None
    return size(value, False), size(other, False)


def _kind(value: Any) -> str:
    if is_array(value):
        return "array"
    return "file" if is_file(value) else type(value).__name__
