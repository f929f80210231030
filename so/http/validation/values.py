"""How rules look at values: what counts as blank, as a number, as a file, and how big it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any
from uuid import UUID

NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\s*")
"""What PHP calls numeric; exponents of more than four digits are no honest input."""

LONGEST_NUMBER = 1_000
"""Characters of a text that is still read as a number; more is an attack on the parser."""


def is_blank(value: Any) -> bool:
    """True for None, an empty or all-white text, and an empty list or mapping."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value or value.isspace()
    return isinstance(value, (list, tuple, Mapping)) and not value


def is_number(value: Any) -> bool:
    """True for a finite number (bool is none) and for a text that reads as one."""
    if isinstance(value, str):
        return len(value) <= LONGEST_NUMBER and NUMBER.fullmatch(value) is not None
    if isinstance(value, bool):
        return False
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")
    return isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite())


def number(value: Any) -> int | Decimal | None:
    """The exact number that *value* is or reads as; None when it is none."""
    if type(value) is int:
        return value
    if not is_number(value):
        return None
    return value if isinstance(value, (int, Decimal)) else Decimal(str(value).strip())


@lru_cache(maxsize=1024)
def bound(param: str | int | float | Decimal) -> int | Decimal:
    """The number a rule's parameter stands for."""
    found = number(param)
    if found is None:
        raise ValueError(f"{param!r} is not a number")
    return int(found) if found == int(found) else found


def is_file(value: Any) -> bool:
    """True for an uploaded file, known by its shape."""
    return hasattr(value, "client_name") and hasattr(value, "size")


def has_arrived(value: Any) -> bool:
    """False for an upload that broke off; True for whatever else."""
    check = getattr(value, "is_valid", None)
    return bool(check()) if callable(check) else True


def is_list(value: Any) -> bool:
    """True for a list or tuple."""
    return isinstance(value, (list, tuple))


def is_array(value: Any) -> bool:
    """True for what PHP calls an array: list, tuple or mapping."""
    return isinstance(value, (list, tuple, Mapping))


def size(value: Any, numeric: bool) -> int | Decimal | float:
    """How big *value* is: its number if *numeric*, else items, kilobytes or characters."""
    if numeric:
        found = number(value)
        if found is not None:
            return found
    if isinstance(value, str):
        return len(value)
    if is_array(value):
        return len(value)
    if is_file(value):
        return Decimal(value.size) / 1024
    return len(text(value))


def text(value: Any) -> str:
    """*value* as Laravel compares it with a parameter: true is `1`, false and null are empty."""
    if isinstance(value, str):
        return value
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, Enum):
        return text(value.value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def is_scalar(value: Any) -> bool:
    """True for what one column of a table can be compared with."""
    if isinstance(value, str):
        # A lone surrogate can come out of JSON, but into no database.
        return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
    return isinstance(value, (int, float, Decimal, UUID, date)) and not isinstance(value, bool)
