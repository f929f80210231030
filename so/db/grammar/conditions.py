"""Conditions as SQL: one method for each kind of node."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time
from typing import Any, ClassVar

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.grammar.names import Bindings, Names, unsupported
from so.db.sqltext import SQLITE_TOKEN, enclosed
from so.db.values import json_scalar

_TIMES = (date, time)  # and datetime, which is a date
_EQUALS = {"=": "=", "!=": "!=", "<>": "!=", "<=>": "<=>", "is": "<=>"}
_WRITTEN = {
    "time": (re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII), "{:02}:{:02}:{:02}"),
    "date": (re.compile(r"(\d{4})-?(\d{1,2})-?(\d{1,2})", re.ASCII), "{:04}-{:02}-{:02}"),
}


class Conditions(Names):
    """What stands after where, on and having, in the generic dialect."""

    token: ClassVar[re.Pattern[str]] = SQLITE_TOKEN

    def __init__(
        self, prefix: str = "", *, literal: bool = False, bare: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(prefix, literal=literal, bare=bare)
        self._conditions: dict[type[c.Node], Callable[[Any, Bindings], str]] = {
            c.Compare: self.compare,
            c.CompareColumns: self.compare_columns,
            c.NullSafe: self.null_safe,
            c.IsNull: self.is_null,
            c.In: self.in_list,
            c.InQuery: self.in_query,
            c.Between: self.between,
            c.Nested: self.nested,
            c.SealedNested: self.sealed,
            c.Exists: self.exists_condition,
            c.RowValues: self.row_values,
            c.RawCondition: self.raw_condition,
            c.DatePart: self.date_part,
            c.Like: self.like,
            c.Binary: self.binary,
            c.JsonTest: self.json_test,
            c.JsonLength: self.json_length,
            c.JsonBoolean: self.json_boolean,
            c.FullText: self.full_text,
        }

    def conditions(self, nodes: list[c.Node], bindings: Bindings) -> str:
        """The conditions after `where`, `on` or `having`."""
        write = self._conditions
        sql = ""
        for node in nodes:
            sql += f" {node.boolean} {write[type(node)](node, bindings)}"
        return sql[5:] if sql.startswith(" and ") else sql[4:]

    def compare(self, node: c.Compare, bindings: Bindings) -> str:
        """column operator ?"""
        column = self._names.get(node.column) or self.column(node.column, bindings)
        bindings.append(placed(node.column, node.value))
        return f"{column} {node.operator} ?"

    def compare_columns(self, node: c.CompareColumns, bindings: Bindings) -> str:
        """column operator column"""
        first = self._names.get(node.first) or self.column(node.first, bindings)
        second = self._names.get(node.second) or self.column(node.second, bindings)
        return f"{first} {node.operator} {second}"

    def null_safe(self, node: c.NullSafe, bindings: Bindings) -> str:
        """column equals value, NULL too."""
        column, value = self.column(node.column, bindings), placed(node.column, node.value)
        return f"{column} is not distinct from {self.value(value, bindings)}"

    def is_null(self, node: c.IsNull, bindings: Bindings) -> str:
        """column is (not) null"""
        column = self._names.get(node.column) or self.column(node.column, bindings)
        return f"{column} is not null" if node.negated else f"{column} is null"

    def in_list(self, node: c.In, bindings: Bindings) -> str:
        """column (not) in (?, ?)"""
        if not node.values:
            return "1 = 1" if node.negated else "0 = 1"
        column = self._names.get(node.column) or self.column(node.column, bindings)
        word = "not in" if node.negated else "in"
        if node.inline:
            return f"{column} {word} ({', '.join(map(str, node.values))})"
        values = node.values
        if node.plain:
            bindings += values
            return f"{column} {word} ({', '.join(['?'] * len(values))})"
        if _is_path(node.column):
            values = [placed(node.column, value) for value in values]
        return f"{column} {word} ({self.values(values, bindings)})"

    def in_query(self, node: c.InQuery, bindings: Bindings) -> str:
        """column (not) in (select …)"""
        column = self.column(node.column, bindings)
        word = "not in" if node.negated else "in"
        return f"{column} {word} ({self.sub(node.query, bindings)})"

    def between(self, node: c.Between, bindings: Bindings) -> str:
        """subject (not) between low and high"""
        subject = self.column if node.subject_is_column else self.value
        bound = self.column if node.bounds_are_columns else self.value
        word = "not between" if node.negated else "between"
        low, high = [placed(node.subject, one) for one in node.bounds]
        return (
            f"{subject(node.subject, bindings)} {word} "
            f"{bound(low, bindings)} and {bound(high, bindings)}"
        )

    def nested(self, node: c.Nested, bindings: Bindings) -> str:
        """(conditions)"""
        return f"({self.conditions(node.conditions, bindings)})"

    def sealed(self, node: c.SealedNested, bindings: Bindings) -> str:
        """(conditions), refused if some text among them would end the parentheses."""
        return enclosed(self.conditions(node.conditions, bindings), self.token)

    def exists_condition(self, node: c.Exists, bindings: Bindings) -> str:
        """(not) exists (select …)"""
        word = "not exists" if node.negated else "exists"
        return f"{word} ({self.sub(node.query, bindings)})"

    def row_values(self, node: c.RowValues, bindings: Bindings) -> str:
        """(a, b) < (?, ?)"""
        columns = self.columns(node.columns, bindings)
        return f"({columns}) {node.operator} ({self.values(node.values, bindings)})"

    def raw_condition(self, node: c.RawCondition, bindings: Bindings) -> str:
        """As the caller wrote it."""
        bindings.extend(node.bindings)
        return node.sql

    def date_part(self, node: c.DatePart, bindings: Bindings) -> str:
        """date(column) = ?"""
        column = self.column(node.column, bindings)
        return (
            f"{node.part}({column}) {node.operator} {self.value(self.part_value(node), bindings)}"
        )

    def part_value(self, node: c.DatePart) -> Any:
        """The value to compare a part of a date with: a day or a time of day as it is written."""
        value = node.value
        if self.literal or node.part not in _WRITTEN or isinstance(value, Expression):
            return value
        pattern, form = _WRITTEN[node.part]
        found = pattern.fullmatch(str(value).strip())
        if found is None:
            return str(value)
        return form.format(*(int(one or 0) for one in found.groups()))

    def like(self, node: c.Like, bindings: Bindings) -> str:
        """column (not) like ?"""
        if node.case_sensitive:
            raise unsupported("case sensitive like operations")
        word = "not like" if node.negated else "like"
        return f"{self.column(node.column, bindings)} {word} {self.value(node.value, bindings)}"

    def binary(self, node: c.Binary, bindings: Bindings) -> str:
        """column = ?, byte by byte."""
        raise unsupported("binary comparisons")

    def vector_distance(self, column: str) -> str:
        """The cosine distance between a column's vector and one given as JSON."""
        raise unsupported("vector distances")

    def full_text(self, node: c.FullText, bindings: Bindings) -> str:
        """A full-text search."""
        raise unsupported("fulltext search operations")

    # --- JSON -----------------------------------------------------------------------------------

    def json_test(self, node: c.JsonTest, bindings: Bindings) -> str:
        """contains, overlaps or has a key; with `not` before it."""
        write = {
            "contains": self.json_contains,
            "overlaps": self.json_overlaps,
            "key": self.json_contains_key,
        }[node.kind]
        sql = write(node, bindings)
        return f"not {sql}" if node.negated else sql

    def json_contains(self, node: c.JsonTest, bindings: Bindings) -> str:
        """The JSON column holds the value."""
        raise unsupported("JSON contains operations")

    def json_overlaps(self, node: c.JsonTest, bindings: Bindings) -> str:
        """The JSON column and the value have an element in common."""
        raise unsupported("JSON overlaps operations")

    def json_contains_key(self, node: c.JsonTest, bindings: Bindings) -> str:
        """The path exists."""
        raise unsupported("JSON contains key operations")

    def json_length(self, node: c.JsonLength, bindings: Bindings) -> str:
        """The number of elements, compared."""
        raise unsupported("JSON length operations")

    def json_boolean(self, node: c.JsonBoolean, bindings: Bindings) -> str:
        """A JSON true or false, compared."""
        column = self.json_boolean_selector(node.column)
        word = "true" if node.value else "false"
        if not self.literal and node.operator in _EQUALS:
            return f"{self.json_word(node.column)} {_EQUALS[node.operator]} '{word}'"
        return f"{column} {node.operator} {word}"

    def json_word(self, name: str) -> str:
        """`column->path` as a text that is 'true' or 'false' for the truth values alone."""
        return self.json_boolean_selector(name)

    def json_boolean_selector(self, name: str) -> str:
        """`column->path` as a value to compare with true or false."""
        return self.json_selector(name)


def placed(column: Any, value: Any) -> Any:
    """*value* as it stands at a path inside JSON, if *column* is one and *value* a time."""
    return json_scalar(value) if isinstance(value, _TIMES) and _is_path(column) else value


def _is_path(column: Any) -> bool:
    return type(column) is str and "->" in column
