"""Raw SQL and the values a statement may carry.

`Expression` is the only way for text to reach a statement as SQL; everything else is quoted as a
name or bound as a value. `bindable()` decides what may be bound. How a bound value travels (UTC
text, Decimal as text, …) is the dialect's affair.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from so.db.values import json_text, plain
from so.support.codec import to_jsonable


class Expression:
    """SQL that is used as it stands. Never make one of a client's input."""

    __slots__ = ("value",)

    def __init__(self, value: str | int | float | Decimal | Expression) -> None:
        self.value: str = value.value if isinstance(value, Expression) else str(value)

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"Expression({self.value!r})"


def raw(sql: str | int | float | Decimal) -> Expression:
    """*sql* as an Expression."""
    return Expression(sql)


# Bound as they are; every other type is converted by bindable() or refused.
PLAIN: frozenset[type] = frozenset(
    {int, str, float, bytes, bool, type(None), Decimal, datetime, date, time, timedelta}
)
# What a comparison needs to look at no further: not None (is null) and not bool (JSON booleans).
SIMPLE: frozenset[type] = PLAIN - {bool, type(None)}
# The dialects write these down, each in its own way.
_LATER: tuple[type, ...] = (Decimal, datetime, date, time, timedelta)


def bindable(value: Any) -> Any:
    """*value* as a statement binds it: an Enum's value, a UUID's text, a dict's JSON, …

    As `plain()` has it, but for decimals and times, which stay what they are until the dialect
    is known. Raises TypeError for what no column can hold, before anything is sent.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, Enum):
        return bindable(value.value)
    if isinstance(value, tuple):
        value = list(value)
    return value if isinstance(value, _LATER) else plain(value)


def json_scalar(value: Any) -> Any:
    """A single value as a place inside JSON holds it: Decimal and times as text."""
    return bindable(to_jsonable(value))


__all__ = ["PLAIN", "SIMPLE", "Expression", "bindable", "json_scalar", "json_text", "raw"]
