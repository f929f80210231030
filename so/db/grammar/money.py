"""Decimals in the conditions of SQLite, which has no type for them.

A bound Decimal travels as text, so that no digit is lost where it is stored. Compared as it is, it
would be a text beside an expression (`having sum(amount) > '15'`) or a column of text. Written as
`cast(? as numeric)` it makes SQLite compare numbers, whatever stands on the other side, and use
the index of a numeric column all the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.grammar.base import Grammar
from so.db.grammar.conditions import placed
from so.db.grammar.names import Bindings
from so.db.sqltext import cut

_WIDEST: Final = 2**63
_LEAST: Final = -_WIDEST
EXACT_DIGITS: Final = 15
"""Significant digits that a number of SQLite keeps."""


class MoneyGrammar(Grammar):
    """What compares columns with values, minding Decimals."""

    def compare(self, node: c.Compare, bindings: Bindings) -> str:
        """column operator cast(? as numeric)"""
        value = node.value
        kind = type(value)
        if kind is str or (kind is int and _LEAST <= value < _WIDEST):
            # The body of the generic one: this is the hottest line of the grammar.
            column = self._names.get(node.column) or self.column(node.column, bindings)
            bindings.append(value)
            return f"{column} {node.operator} ?"
        if self.literal or not (isinstance(value, Decimal) or kind is int):
            return super().compare(node, bindings)
        column = self.column(node.column, bindings)
        return self._compared(column, node.operator, value, bindings)

    def between(self, node: c.Between, bindings: Bindings) -> str:
        """column between cast(? as numeric) and cast(? as numeric)"""
        if self.literal or not any(
            isinstance(one, Decimal) for one in (*node.bounds, node.subject)
        ):
            return super().between(node, bindings)
        low, high = node.bounds
        if node.subject_is_column and any(map(_is_long, node.bounds)):
            parts = [
                self._compared(self.column(node.subject, bindings), operator, bound, bindings)
                for operator, bound in ((">=", low), ("<=", high))
            ]
            return f"{'not ' if node.negated else ''}({' and '.join(parts)})"
        subject = self.column if node.subject_is_column else self._number
        bound = self.column if node.bounds_are_columns else self._number
        word = "not between" if node.negated else "between"
        return (
            f"{subject(node.subject, bindings)} {word} "
            f"{bound(low, bindings)} and {bound(high, bindings)}"
        )

    def in_list(self, node: c.In, bindings: Bindings) -> str:
        """column in (select cast(…) …): a list would take the type of the column."""
        if self.literal or node.inline:
            return Grammar.in_list(self, node, bindings)  # here and below: half of super()'s cost
        kinds = node.plain
        if kinds and Decimal not in kinds and (int not in kinds or not _has_wide(node.values)):
            return Grammar.in_list(self, node, bindings)
        if _has_wide(node.values):
            values = [_wide_text(one) if _is_wide(one) else one for one in node.values]
            node = c.In(node.boolean, node.column, values, node.negated)
        if not _are_money(node.values):
            return super().in_list(node, bindings)
        column = self.column(node.column, bindings)
        bindings += node.values
        rows = ", ".join(["(?)"] * len(node.values))
        word = "not in" if node.negated else "in"
        listed = f"select cast(column1 as numeric) from (values {rows})"  # noqa: S608  # marks only
        return f"{column} {word} ({listed})"

    def null_safe(self, node: c.NullSafe, bindings: Bindings) -> str:
        """column is cast(? as numeric)"""
        value = placed(node.column, node.value)
        return f"{self.column(node.column, bindings)} is {self._number(value, bindings)}"

    def row_values(self, node: c.RowValues, bindings: Bindings) -> str:
        """(a, b) < (cast(? as numeric), ?)"""
        columns = self.columns(node.columns, bindings)
        values = ", ".join([self._number(value, bindings) for value in node.values])
        return f"({columns}) {node.operator} ({values})"

    def raw_condition(self, node: c.RawCondition, bindings: Bindings) -> str:
        """As the caller wrote it, but `?` as `cast(? as numeric)` where a Decimal is bound."""
        sql = super().raw_condition(node, bindings)
        if self.literal or not any(isinstance(one, Decimal) for one in node.bindings):
            return sql
        pieces, names = cut(sql, named=False, token=self.token)
        if len(names) != len(node.bindings):
            return sql  # SQLite says what is wrong with it
        marks = [
            "cast(? as numeric)" if isinstance(one, Decimal) and not _is_long(one) else "?"
            for one in node.bindings
        ]
        return "".join([text for pair in zip(pieces, [*marks, ""], strict=True) for text in pair])

    def value(self, value: Any, bindings: Bindings) -> str:
        """A placeholder; a whole number past 64 bits travels as text, which compares as one."""
        wide = _is_wide(value) and not self.literal
        return super().value(_wide_text(value) if wide else value, bindings)

    def _number(self, value: Any, bindings: Bindings) -> str:
        """A placeholder for *value*, as a number if it is a Decimal."""
        mark = self.value(value, bindings)
        return (
            f"cast({mark} as numeric)" if isinstance(value, Decimal) and not self.literal else mark
        )

    def _compared(self, column: str, operator: str, value: Any, bindings: Bindings) -> str:
        if _is_long(value) and operator in ("=", "<", ">", "<=", ">=", "<>", "!="):
            return f"decimal_compare({column}, {self.value(value, bindings)}) {operator} 0"
        return f"{column} {operator} {self._number(value, bindings)}"


def _is_wide(value: Any) -> bool:
    """Is *value* a whole number that no column of SQLite holds, and its driver does not bind?"""
    return type(value) is int and not _LEAST <= value < _WIDEST


def _has_wide(values: list[Any]) -> bool:
    try:
        if max(values) < _WIDEST and min(values) >= _LEAST:
            return False
    except (TypeError, ValueError, ArithmeticError):  # not all of them numbers, or none
        pass
    return any(map(_is_wide, values))


def _wide_text(value: int) -> str:
    """*value* as text that SQLite, which reads it as a float, takes for no whole number."""
    return str(value if abs(value) > _WIDEST + 4096 or value > 0 else -_WIDEST - 4096)


def _is_long(value: Any) -> bool:
    """Has *value* more digits than a number of SQLite keeps?"""
    return isinstance(value, Decimal) and len(value.as_tuple().digits) > EXACT_DIGITS


def _are_money(values: list[Any]) -> bool:
    """Are these numbers, some of them Decimals, and none too long to be compared as numbers?"""
    return (
        any(isinstance(value, Decimal) for value in values)
        and all(isinstance(value, (int, float, Decimal)) for value in values)
        and not any(map(_is_long, values))
        and not any(isinstance(value, Expression) for value in values)
    )
