"""A builder with no database behind it, for tests and for looking at SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from so.db.grammar import grammar_for
from so.db.query.query import Query


class Recorder(Protocol):
    """Gets every statement; what `run` returns stands for the database's answer."""

    def run(self, kind: str, sql: str, bindings: Sequence[Any]) -> Any: ...


class RecordingRunner:
    """Sends statements to a recorder, in place of a connection."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.recorder = recorder

    def _run(self, kind: str, sql: str, bindings: Sequence[Any]) -> Any:
        if self.recorder is None:
            raise RuntimeError(
                f"this builder has no database to run {kind!r} on: "
                "give so.db.builder() a recorder, or build the query from a connection"
            )
        return self.recorder.run(kind, sql, bindings)

    def select(self, sql: str, bindings: Sequence[Any] = (), use_read: bool = True) -> Any:
        """The recorder's rows; whatever is no list of rows is none."""
        answer = self._run("select", sql, bindings)
        return answer if isinstance(answer, (list, tuple)) else []

    def cursor(
        self, sql: str, bindings: Sequence[Any] = (), use_read: bool = True
    ) -> Iterator[Any]:
        """The recorder's rows, one by one."""
        yield from self.select(sql, bindings)

    def insert(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        """The recorder's answer, True for None."""
        answer = self._run("insert", sql, bindings)
        return True if answer is None else answer

    def insert_get_id(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        """The recorder's id."""
        return self._run("insert_get_id", sql, bindings)

    def update(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        """The recorder's row count."""
        return self._run("update", sql, bindings)

    def delete(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        """The recorder's row count."""
        return self._run("delete", sql, bindings)

    def statement(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        """The recorder's answer."""
        return self._run("statement", sql, bindings)

    def affecting_statement(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        """The recorder's row count: for the inserts that tell how many rows went in."""
        return self._run("insert", sql, bindings)


def builder(
    dialect: str, table: Any = None, prefix: str = "", recorder: Recorder | None = None
) -> Query:
    """A query in the *dialect* "sqlite", "mysql", "mariadb" or "base", with no database.

    `to_sql()` and `get_bindings()` work; statements go to `recorder.run(kind, sql, bindings)`,
    kind being select, insert, insert_get_id, update, delete or statement. Without a recorder
    running one raises RuntimeError.
    """
    return Query(RecordingRunner(recorder), grammar_for(dialect, prefix, literal=True), table)
