"""Answers for validation: which of these values stand in a column.

The rules `unique` and `exists` hand over a target (table, column, conditions) by its shape, so
that neither room imports the other. All values of a field are asked for at once, in pieces that
fit the engine's limit of placeholders.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol

from so.db.query import Query
from so.support.listed import parts

PIECE: Final = 500
"""Values asked for by one statement."""

_INTEGERS = range(-(2**63), 2**63)
_DIGITS: Final = re.compile(r"-*(?:[0-9]+\.?[0-9]*|\.[0-9]+)")  # of no other script


class Named(Protocol):
    """What gives queries on tables by the name of their connection: a Database."""

    def table(self, name: Any, as_: str | None = None, connection: str | None = None) -> Query:
        """A query on the table *name*."""


class DatabasePresence:
    """Looks values up in the tables of a database."""

    def __init__(self, db: Named) -> None:
        """Look in *db*, by default in its default connection."""
        self._db = db

    def found(self, target: Any, values: Sequence[Any]) -> list[Any]:
        """Those of *values* that a row of *target* holds, as they were given.

        Numbers are compared as numbers and texts as the column's collation compares them; `1abc`
        is never found in a column of numbers, whatever MySQL makes of it.
        """
        texts = [value for value in values if isinstance(value, str)]
        others = [value for value in values if not isinstance(value, str) and _fits(value)]
        found: list[Any] = []
        # Apart, because MySQL compares a text with a list of both kinds as if all were numbers.
        for kind in (texts, others):
            for part in parts(kind, PIECE):
                found += self._among(target, part)
        return found

    def _among(self, target: Any, values: Sequence[Any]) -> list[Any]:
        rows = self._rows(target).where_in(target.column, values)
        stored = list(rows.distinct().pluck(target.column))
        matched, doubtful = _sorted_out(values, stored)
        for value in doubtful:
            if self._rows(target).where(target.column, value).exists():
                matched.add(value)
        return [value for value in values if value in matched]

    def _rows(self, target: Any) -> Query:
        """The rows of *target* that count."""
        query = self._db.table(target.table, connection=target.connection)
        if target.ignored is not None:
            query = query.where_not(lambda row: row._where_id(target.id_column, target.ignored))
        for where in target.wheres:
            query = _narrowed(query, where)
        return query


def _narrowed(query: Query, where: Any) -> Query:
    if where.value is None:
        return (query.where_not_null if where.negated else query.where_null)(where.column)
    return query.where(where.column, "!=" if where.negated else "=", where.value)


def _sorted_out(values: Sequence[Any], stored: list[Any]) -> tuple[set[Any], list[str]]:
    """Which of *values* are surely among the *stored* ones, and which the engine must say.

    A collation may hold `ANN` and `ann` for equal, or `Æ` and `ae`: then the list as a whole was
    found, and it is open by which of its texts.
    """
    exact = {str(item) for item in stored}
    numbers = {_number(item) for item in stored if not isinstance(item, str)} - {None}
    folded = {_folded(item) for item in stored if isinstance(item, str)}
    matched = {v for v in values if str(v) in exact or _number(v) in numbers}
    rest = [v for v in values if isinstance(v, str) and v not in matched]
    if folded - {_folded(str(value)) for value in values}:
        return matched, rest
    return matched, [value for value in rest if _folded(value) in folded]


def _folded(text: str) -> str:
    """*text* without case, accents and trailing blanks, which many collations ignore."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold().rstrip()


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def _fits(value: Any) -> bool:
    """False for an integer that no column can hold and no driver binds."""
    return not isinstance(value, int) or value in _INTEGERS
