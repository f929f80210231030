"""Shared by the builder's tests: builders without a database, and a recorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from so.db import builder
from so.db.expressions import Expression
from so.db.query import Query

raw = Expression
Build = Callable[[Any], Any]
Case = tuple[str, str, Build, str, list[Any]]


class Recorder:
    """Keeps every statement and answers from a list, else with *answer*."""

    def __init__(self, *answers: Any, answer: Any = None) -> None:
        self.answers = list(answers)
        self.answer = answer
        self.statements: list[tuple[str, str, list[Any]]] = []

    def run(self, kind: str, sql: str, bindings: Sequence[Any]) -> Any:
        self.statements.append((kind, sql, list(bindings)))
        return self.answers.pop(0) if self.answers else self.answer

    @property
    def last(self) -> tuple[str, str, list[Any]]:
        return self.statements[-1]


def query(dialect: str = "base", table: Any = None, **options: Any) -> Query:
    return builder(dialect, table, **options)


def base(table: Any = None) -> Query:
    return builder("base", table)


def mysql(table: Any = None) -> Query:
    return builder("mysql", table)


def sqlite(table: Any = None) -> Query:
    return builder("sqlite", table)


def cases(*found: tuple[str, Query, str, list[Any] | None]) -> Any:
    """Parametrise over (name, query, SQL, bindings or None for "whatever they are")."""
    return pytest.mark.parametrize(
        ("q", "sql", "bindings"), [pytest.param(*rest, id=name) for name, *rest in found]
    )


def check(q: Query, sql: str, bindings: list[Any] | None) -> None:
    assert q.to_sql() == sql
    if bindings is not None:
        assert q.get_bindings() == bindings
    assert q.to_sql() == sql, "compiling twice must give the same text"
