"""Rules that hold a value against others: same, in, distinct, enum, …"""

from __future__ import annotations

import json
from decimal import Decimal
from enum import Enum
from typing import Any

from so.errors import InvalidRuleError
from so.http.validation import paths
from so.http.validation.fields import At, Params
from so.http.validation.registry import rule
from so.http.validation.values import is_array, is_number, number, text


def is_same(value: Any, other: Any) -> bool:
    """Equal and of the same kind: 1 is neither True nor `1`."""
    return type(value) is type(other) and bool(value == other)


@rule("same", least=1)
def same(value: Any, params: Params, at: At) -> bool:
    """The same as the other field."""
    return is_same(value, at.other(params[0]))


@rule("different", least=1)
def different(value: Any, params: Params, at: At) -> bool:
    """Not the same as any of the other fields."""
    return not any(is_same(value, at.other(name)) for name in params)


@rule("confirmed")
def confirmed(value: Any, params: Params, at: At) -> bool:
    """The same as the field of this name with `_confirmation` behind it."""
    name = params[0] if params else f"{at.field.name}_confirmation"
    return is_same(value, at.other(name))


@rule("in", least=1)
def in_(value: Any, params: Params, at: At) -> bool:
    """One of the parameters; for an array, each of its items."""
    if is_array(value):
        return "array" in at.field.names and not _texts(value) - set(map(text, params))
    return _is_listed(value, params)


@rule("not_in", least=1)
def not_in(value: Any, params: Params, at: At) -> bool:
    """None of the parameters."""
    if is_array(value):
        return not _texts(value) & set(map(text, params))
    return not _is_listed(value, params)


def _is_listed(value: Any, params: Params) -> bool:
    written = text(value)
    return any(written == text(param) for param in params)


def _texts(value: Any) -> set[str]:
    return {text(item) if not is_array(item) else "\0array" for _, item in paths.children(value)}


@rule("in_array", least=1)
def in_array(value: Any, params: Params, at: At) -> bool:
    """One of the values that the other field's pattern (`tags.*`) stands for."""
    segments = paths.fill(paths.split(params[0]), at.indexes)
    return any(text(item) == text(value) for item in at.run.values_at(segments))


def _distinct_options(name: str, params: Params) -> None:
    for option in params:
        if option not in ("strict", "ignore_case"):
            raise InvalidRuleError(f"unknown option {option!r} of {name}: strict or ignore_case")


@rule("distinct", check=_distinct_options)
def distinct(value: Any, params: Params, at: At) -> bool:
    """Found only once among the items of this field."""
    counts: dict[Any, int] = at.run.shared(("distinct", at.field.name, params), _counts, at, params)
    return counts.get(_key(value, params), 0) < 2


def _counts(at: At, params: Params) -> dict[Any, int]:
    counts: dict[Any, int] = {}
    for value in at.run.values_at(at.field.segments):
        key = _key(value, params)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _key(value: Any, params: Params) -> Any:
    """What makes two values the same: loosely `1`, 1 and `1.0` are, strictly none of them."""
    if is_array(value):
        return json.dumps(value, sort_keys=True, default=str)
    if "strict" in params:
        return type(value), value
    found = number(value) if is_number(value) else None
    if found is not None:
        return Decimal(found).normalize() if found else Decimal(0)
    written = text(value)
    return written.casefold() if "ignore_case" in params else written


def _is_enum(name: str, params: Params) -> None:
    if not (isinstance(params[0], type) and issubclass(params[0], Enum)):
        raise InvalidRuleError(
            f"rule enum needs an Enum class, not {params[0]!r}: write Rule.enum(Status)"
        )


@rule("enum", least=1, check=_is_enum)
def enum(value: Any, params: Params, at: At) -> bool:
    """A value of the enumeration params[0]; what `Rule.enum(Status)` becomes."""
    cls, only, hidden = params[0], params[1], params[2]
    if isinstance(value, cls):
        member = value
    else:
        found = _member(cls, value)
        if found is None:
            return False
        member = found
    return (not only or member in only) and member not in hidden


def _member(cls: type[Enum], value: Any) -> Enum | None:
    """The member whose value is *value*, a text standing for a number where that fits."""
    for member in cls:
        if is_same(member.value, value):
            return member
        if isinstance(value, str) and type(member.value) is int and text(member.value) == value:
            return member
    return None
