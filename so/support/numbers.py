"""Numbers in text, as people and other programs write them.

Python's own `int()` and `float()` also take `2_0`, digits of other scripts, `nan` and `inf`; a
text that comes from a request, a command line or a file means none of these.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

LONGEST: Final = 400
"""Characters of a number: more than any column holds, few enough to be read at once."""

_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_LAST_ID: Final = 2**63 - 1
_DIGITS_OF_THE_LAST: Final = len(str(_LAST_ID))
_BLANKS: Final = " \t\r\n"


def whole(value: Any) -> int | None:
    """*value* as an int: one, a finite float without its fraction, or a text of digits."""
    if isinstance(value, str):
        text = value.strip(_BLANKS)
        return int(text) if len(text) <= LONGEST and _WHOLE.fullmatch(text) else None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def decimal(text: str) -> Decimal | None:
    """The number that *text* says, exactly; None if it says none."""
    text = text.strip(_BLANKS)
    return Decimal(text) if len(text) <= LONGEST and _NUMBER.fullmatch(text) else None


def amount(text: str) -> float:
    """*text* as a finite float, for seconds and the like; ValueError if it is none."""
    found = decimal(text)
    if found is None or abs(found.adjusted()) > 300:
        raise ValueError(text)
    return float(found)


def row_id(value: object) -> int | None:
    """*value* as the number of a row: an int, or a text of plain digits, that 63 bits hold.

    MySQL would take the digits at a text's start for a number, Python those of every script.
    """
    if isinstance(value, str):
        is_plain = value.isascii() and value.isdecimal() and len(value) < _DIGITS_OF_THE_LAST
        return int(value) if is_plain else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LAST_ID else None


def count(text: str) -> int:
    """*text* as an int; ValueError if it is none."""
    found = whole(text)
    if found is None:
        raise ValueError(text)
    return found
