"""What SQLite is taught to calculate: exact sums of decimals, JSON as MySQL has it, `regexp`."""

from __future__ import annotations

import re
import sqlite3
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final

from so.db import jsontext
from so.db.values import decimal_text

EXACT: Final = Context(prec=200, traps=[InvalidOperation, Inexact])


def teach(handle: sqlite3.Connection) -> None:
    """Give *handle* the functions that the grammar counts on."""
    handle.create_aggregate("decimal_sum", 1, DecimalSum)  # type: ignore[arg-type]
    handle.create_function("decimal_add", 2, _decimal_add, deterministic=True)
    handle.create_function("decimal_compare", 2, _decimal_compare, deterministic=True)
    for name, (count, fn) in jsontext.FUNCTIONS.items():
        handle.create_function(name, count, fn, deterministic=True)
    handle.create_function("regexp", 2, _regexp, deterministic=True)


def noting(handle: sqlite3.Connection) -> list[int]:
    """Where `noted(number)` writes down the number that it gives on: `run()` has it as `last_id`.

    What last_insert_id(number) is on MySQL, as `returning` costs a quarter of a small write.
    """
    noted: list[int] = []

    def note(number: int) -> int:
        noted.append(number)
        return number

    handle.create_function("noted", 1, note)
    return noted


class DecimalSum:
    """`decimal_sum(column)`: the exact sum of numbers kept as text, as text; NULL of nothing."""

    def __init__(self) -> None:
        self._whole: int | None = None
        self._total: Decimal | None = None

    def step(self, value: Any) -> None:
        """Add one value; NULL counts as nothing."""
        if type(value) is int:
            self._whole = value if self._whole is None else self._whole + value
        elif value is not None:
            number = Decimal(repr(value) if isinstance(value, float) else value)
            self._total = EXACT.add(self._total or Decimal(), number)

    def finalize(self) -> str | None:
        """The sum."""
        if self._total is None:
            return None if self._whole is None else str(self._whole)
        return decimal_text(EXACT.add(self._total, Decimal(self._whole or 0)))


def _decimal_add(left: Any, right: Any) -> Any:
    """`decimal_add(a, b)`: the exact sum of two numbers, as text unless both are whole."""
    if left is None or right is None:
        return None
    if type(left) is int and type(right) is int:
        return left + right
    numbers = [Decimal(repr(one) if isinstance(one, float) else one) for one in (left, right)]
    return decimal_text(EXACT.add(*numbers))


def _decimal_compare(left: Any, right: Any) -> int | None:
    """`decimal_compare(a, b)`: -1, 0 or 1; exact between texts, else as the number that one is."""
    if left is None or right is None:
        return None
    if isinstance(left, float) or isinstance(right, float):
        one, other = float(left), float(right)
        return (one > other) - (one < other)
    return int(Decimal(left).compare(Decimal(right)))


def _regexp(pattern: str | None, value: Any) -> bool | None:
    """`value regexp pattern`, as MySQL has it: anywhere in the text, ignoring case."""
    if pattern is None or value is None:
        return None
    return re.search(pattern, str(value), re.IGNORECASE) is not None
