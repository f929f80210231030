"""Route parameters as the types that handlers ask for, strictly: `12abc` is no int.

A cast takes the text of a path segment and returns the value or raises ValueError, which the
caller answers by 404.
"""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

Cast = Callable[[str], Any]

_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
# Databases hold 64 bits; a longer number is nobody's key and would fail there instead of here.
_LARGEST = 2**63 - 1


def cast_for(annotation: object) -> Cast | None:
    """The cast for *annotation*; None if it is not one of the types a segment converts to."""
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, enum.Enum):
        return _enum_cast(annotation)
    return _CASTS.get(annotation)


def without_none(annotation: object) -> object:
    """X for `X | None` and `Optional[X]`; *annotation* itself for everything else."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        if len(kinds) == 1:
            return kinds[0]
    return annotation


def to_int(text: str) -> int:
    """A whole number in canonical digits, with a minus sign if negative, within 64 bits."""
    if text.isdigit() and text.isascii() and len(text) < 19:
        return int(text)
    digits = text[1:] if text[:1] == "-" else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 40:
        raise ValueError(text)
    number = int(text)
    if not -_LARGEST - 1 <= number <= _LARGEST:
        raise ValueError(text)
    return number


def _to_float(text: str) -> float:
    return float(_fitting(_NUMBER, text))


def _to_decimal(text: str) -> Decimal:
    return Decimal(_fitting(_NUMBER, text))


def _to_date(text: str) -> date:
    return date.fromisoformat(_fitting(_DATE, text))


def _to_datetime(text: str) -> datetime:
    return datetime.fromisoformat(_fitting(_DATETIME, text))


def _to_uuid(text: str) -> UUID:
    return UUID(_fitting(_UUID, text))


def _fitting(pattern: re.Pattern[str], text: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(text)
    return text


def _enum_cast(cls: type[enum.Enum]) -> Cast:
    by_text = {str(member.value): member for member in cls}

    def cast(text: str) -> enum.Enum:
        member = by_text.get(text)
        if member is None:
            raise ValueError(text)
        return member

    return cast


def _to_bool(text: str) -> bool:
    if text not in ("0", "1", "false", "true"):
        raise ValueError(text)
    return text in ("1", "true")


_CASTS: dict[type, Cast] = {
    int: to_int,
    float: _to_float,
    bool: _to_bool,
    Decimal: _to_decimal,
    date: _to_date,
    datetime: _to_datetime,
    UUID: _to_uuid,
}
