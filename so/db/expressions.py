"""Raw SQL: the only way for text to reach a statement as SQL.

Everything else is quoted as a name or bound as a value (values.py).
"""

from __future__ import annotations

from decimal import Decimal


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
