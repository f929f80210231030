"""Writing: insert, upsert, update, delete. Values are converted before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from so.db import clauses as c
from so.db.keys import key_without_rowid
from so.db.query import read_back
from so.db.query.core import QueryCore, is_queryable
from so.db.query.given import column_names
from so.db.query.twins import twin
from so.db.values import KEPT, in_parts
from so.errors import (
    InvalidArgumentError,
    NotNullError,
    QueryError,
    RecordNotFoundError,
    UniqueConstraintError,
)
from so.support import numbers
from so.support.listed import flat
from so.support.signatures import call_with

Row = Mapping[str, Any]
R = TypeVar("R")
_ATTEMPTS = 3  # of a bulk write in several statements, while others are in the way

_SHOWN = 50
"""Rows inserted with one look at the warnings; servers show no more than 64 of them."""
_DUPLICATE = 1062
_REFUSALS = (UniqueConstraintError, NotNullError)


class _LetIn(Exception):
    """The engine ignored more than a key, so that rows went in that it should have refused."""


class Writing(QueryCore):
    """insert, insert_get_id, upsert, update, increment, delete, truncate."""

    # --- insert ---------------------------------------------------------------------------------

    def insert(self, values: Any) -> bool:
        """Insert one row, or a list of rows with the same columns; True, also for no rows.

        More rows than one statement can take go in several; wrap them in a transaction if they
        must go in together. Raises ValueError if a row lacks a column of the first or has another.
        """
        if type(values) is dict and values:
            sql, bindings = self.grammar.compile_insert(self._target(), [values])
            return bool(self.runner.insert(sql, bindings))
        return all(self._all_or_none(values, self._insert_rows))

    def _insert_rows(self, rows: list[Row]) -> bool:
        return bool(self.runner.insert(*self.grammar.compile_insert(self._target(), rows)))

    def _all_or_none(self, values: Any, write: Callable[[list[Row]], R]) -> list[R]:
        """What *write* gives for each statement's rows; in a transaction, if they are several."""
        batches = list(self._batches(values))
        if len(batches) < 2 or not hasattr(self.runner, "transaction"):
            return [write(rows) for rows in batches]
        found: list[R] = self.runner.transaction(
            lambda: [write(rows) for rows in batches], attempts=_ATTEMPTS
        )
        return found

    insert_batch = twin(insert)

    def insert_get_id(self, values: Row | None = None, sequence: str | None = None) -> Any:
        """Insert one row; its new id."""
        rows = [values] if values else []
        sql, bindings = self.grammar.compile_insert(self._target(), rows)
        return self.runner.insert_get_id(sql, bindings)

    def insert_or_ignore(self, values: Any) -> int:
        """Insert the rows that no key forbids; how many went in."""
        add = self._add_allowed if self.grammar.ignores_too_much else self._add_ignoring
        return sum(self._all_or_none(values, add))

    def _add_ignoring(self, rows: list[Row]) -> int:
        sql, bindings = self.grammar.compile_insert_or_ignore(self._target(), rows)
        return _count(self.runner.affecting_statement(sql, bindings))

    def _add_allowed(self, rows: list[Row]) -> int:
        """MySQL's `ignore` would let in what strict mode forbids: cut texts, 0 for NULL.

        So the rows go in without it, at first. If a key refuses one they go in parts, each of
        them checked by the engine's warnings, and undone if it did more than leave rows out.
        """

        def together() -> int:
            sql, bindings = self.grammar.compile_insert(self._target(), rows)
            return _count(self.runner.affecting_statement(sql, bindings))

        def in_parts() -> int:
            parts = [rows[at : at + _SHOWN] for at in range(0, len(rows), _SHOWN)]
            return sum(self._add_watched(part) for part in parts)

        count: int | None = self._unless_refused(together)
        if count is not None or len(rows) == 1:
            return count or 0
        return int(self.runner.transaction(in_parts))

    def _add_watched(self, rows: list[Row]) -> int:
        def ignoring() -> int:
            count = self._add_ignoring(rows)
            if any(row["Code"] != _DUPLICATE for row in self.runner.select("show warnings", ())):
                raise _LetIn
            return count

        try:
            return int(self.runner.transaction(ignoring))
        except _LetIn:
            return sum(self._add_allowed([row]) for row in rows)

    def _unless_refused(
        self, add: Callable[[], Any], refusals: tuple[type[Exception], ...] = _REFUSALS
    ) -> Any:
        """What *add* gives, or None if a key or a NOT NULL refuses a row."""
        try:
            return add()
        except refusals:
            return None

    def insert_or_ignore_returning(
        self, values: Any, returning: Any = ("*",), unique_by: Any = None
    ) -> Any:
        """Insert the rows that no key forbids; those that went in, as they stand in the table.

        On SQLite *unique_by* names the columns of the one key that may forbid a row. MariaDB
        and MySQL look at all keys; MySQL's are read back by a unique key that the rows tell.
        """
        keys, columns = column_names(unique_by), column_names(returning) or ["*"]
        found: list[Any] = []

        def add(rows: list[Row]) -> Any:
            if not (self.grammar.literal or self.runner.server.returns_rows):
                return read_back.inserted(self, rows, keys, columns)
            sql, bindings = self.grammar.compile_insert_or_ignore_returning(
                self._target(), rows, keys, columns
            )
            return self.runner.select(sql, bindings, False)

        for given in self._all_or_none(values, lambda rows: self._returned(rows, add)):
            found.extend(given)
        return self._hydrate(found)

    def _returned(self, rows: list[Row], add: Callable[[list[Row]], Any]) -> list[Any]:
        refusals = _REFUSALS if self.grammar.ignores_too_much else (NotNullError,)
        added = self._unless_refused(partial(add, rows), refusals)
        if added is not None or len(rows) == 1:
            return list(added or ())

        def one_by_one() -> list[Any]:
            return [given for row in rows for given in self._returned([row], add)]

        found: list[Any] = self.runner.transaction(one_by_one)
        return found

    def insert_using(self, columns: Iterable[str], query: Any) -> int:
        """Insert what a sub-query gives; how many rows went in."""
        return self._insert_using(columns, query, ignore=False)

    def insert_or_ignore_using(self, columns: Iterable[str], query: Any) -> int:
        """Insert what a sub-query gives and no key forbids; how many rows went in."""
        return self._insert_using(columns, query, ignore=True)

    def _insert_using(self, columns: Iterable[str], query: Any, *, ignore: bool) -> int:
        sql, bindings = self.grammar.compile_insert_using(
            self._target(), flat([columns]), self._sub(query), ignore=ignore
        )
        return _count(self.runner.affecting_statement(sql, bindings))

    def upsert(self, values: Any, unique_by: Any, update: Any = None) -> int:
        """Insert rows, or update those whose *unique_by* columns are there already.

        *update* names the columns to change (default all), or maps columns to values. The row
        count is the engine's own: SQLite counts each row once, MySQL an updated row twice.
        """
        keys = [unique_by] if unique_by and isinstance(unique_by, str) else list(unique_by or ())
        if not keys:
            raise InvalidArgumentError("upsert() needs the columns of a unique key in unique_by")
        if update is not None and not update:
            return int(self.insert(values))

        def write(rows: list[Row]) -> int:
            changes = _changes(list(rows[0]) if update is None else update)
            sql, bindings = self.grammar.compile_upsert(self._target(), rows, keys, changes)
            return _count(self.runner.affecting_statement(sql, bindings))

        return sum(self._all_or_none(values, write))

    def update_or_insert(self, attributes: Row, values: Any = None) -> bool:
        """Update the first row that has *attributes*, or insert one with them and *values*.

        *values* may be a callable that is told whether the row exists.
        """
        found = self._kept().where(dict(attributes))
        found._use_write = True
        if not found.exists():
            try:
                return self.insert({**attributes, **_told(values, False)})
            except UniqueConstraintError:  # somebody was faster, or another key forbids it
                found.tree.lock = True  # to see it, whatever snapshot this transaction has
                if not found.exists():
                    raise
                found.tree.lock = None
        changes = _told(values, True)
        return bool(found.limit(1).update(changes)) if changes else True

    def _batches(self, values: Any) -> Iterable[list[Row]]:
        """The rows, checked and aligned, in lists that fit one statement each."""
        rows = [values] if isinstance(values, Mapping) else list(values or ())
        rows = aligned([row for row in rows if row] if len(rows) == 1 else rows)
        size = max(1, self.grammar.max_placeholders // max(1, len(rows[0]))) if rows else 1
        most = getattr(self.runner, "max_statement_bytes", None)
        return in_parts(rows, size, most, lambda row: row.values())

    def _target(self) -> Any:
        """The table to write to, after the `before_query` callbacks."""
        return self._writable().table

    def _writable(self) -> c.Select:
        """The finished tree, if it says where to write."""
        tree = self._finished()
        if tree.table is None:
            raise InvalidArgumentError("no table to write to: name it with from_()")
        if tree.joins or tree.limit is not None or tree.offset:
            tree.row_key = self._asked(key_without_rowid, tree.table)
        return tree

    # --- update ---------------------------------------------------------------------------------

    def update(self, values: Row) -> int:
        """Change columns of the rows that match; how many matched. {} changes nothing."""
        if not values:
            return 0
        changes = values
        if not KEPT.issuperset(map(type, values.values())):
            changes = {
                key: self._sub(value) if is_queryable(value) else value
                for key, value in values.items()
            }
        sql, bindings = self.grammar.compile_update(self._writable(), changes)
        return _count(self.runner.update(sql, bindings))

    def update_from(self, values: Row) -> int:
        """PostgreSQL's update with joins; RuntimeError, as no engine here has it."""
        sql, bindings = self.grammar.compile_update_from(self._writable(), values)
        return _count(self.runner.update(sql, bindings))

    def update_or_fail(self, values: Row) -> int:
        """Change columns of the rows that match; RecordNotFoundError if none does."""
        count = self.update(values)
        if not count:
            raise RecordNotFoundError("No record found for the given query.")
        return count

    def increment(self, column: str, amount: Any = 1, extra: Row | None = None) -> int:
        """Add *amount* to a column, and set those of *extra*; how many rows matched."""
        return self.increment_each({column: amount}, extra)

    def decrement(self, column: str, amount: Any = 1, extra: Row | None = None) -> int:
        """Take *amount* from a column, and set those of *extra*; how many rows matched."""
        return self.decrement_each({column: amount}, extra)

    def increment_each(self, columns: Mapping[str, Any], extra: Row | None = None) -> int:
        """Add an amount to each of several columns."""
        return self._step(columns, "+", extra)

    def decrement_each(self, columns: Mapping[str, Any], extra: Row | None = None) -> int:
        """Take an amount from each of several columns."""
        return self._step(columns, "-", extra)

    def _step(self, columns: Mapping[str, Any], sign: str, extra: Row | None) -> int:
        changes: dict[str, Any] = {}
        for column, amount in columns.items():
            if not isinstance(column, str):
                raise TypeError("Non-associative array passed to incrementEach method.")
            if not is_numeric(amount):
                raise TypeError(
                    f"Non-numeric value passed as increment amount for column: '{column}'."
                )
            changes[column] = self.grammar.stepped(column, sign, amount)
        return self.update({**changes, **(extra or {})})

    # --- delete ---------------------------------------------------------------------------------

    def delete(self, id: Any = None) -> int:
        """Delete the rows that match, or the one with this id; how many went."""
        query = self
        if id is not None:
            table = self._target()
            column = f"{self.grammar.alias_of(table)}.id" if isinstance(table, str) else "id"
            if self._is_odd(id) and not self._has_text_id(column, id):
                return 0
            query = self._kept().where(column, "=", id)
        sql, bindings = self.grammar.compile_delete(query._writable())
        return _count(self.runner.delete(sql, bindings))

    def _has_text_id(self, column: str, id: str) -> bool:
        """Is there a row to delete whose key is this text?

        In a delete strict mode makes an error of a number compared with such a text, and a cast
        would scan the table; a question may compare them.
        """
        query = self._kept()._where_id(column, id)
        query._use_write = True
        return query.exists()

    def truncate(self) -> None:
        """Empty the table and start its numbers anew. On MySQL this commits."""
        for sql, bindings in self.grammar.compile_truncate(self._target()):
            try:
                self.runner.statement(sql, bindings)
            except QueryError as error:
                if not self.grammar.is_numbering_nothing(error):
                    raise


def aligned(rows: list[Row]) -> list[Row]:
    """The rows, each with the columns of the first in its order; ValueError if they differ."""
    if not rows:
        return rows
    names = list(rows[0])
    same: list[Row] = []
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InvalidArgumentError(f"row {number} is not a dict but {type(row).__name__}")
        if list(row) != names:
            row = _reordered(row, names, number)
        same.append(row)
    return same


def _reordered(row: Row, names: list[str], number: int) -> Row:
    missing = [name for name in names if name not in row]
    extra = [name for name in row if name not in names]
    if missing or extra:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has also {', '.join(extra)}"] if extra else []
        raise InvalidArgumentError(
            f"rows to insert must have the same columns: row {number} {' and '.join(parts)}"
        )
    return {name: row[name] for name in names}


def is_numeric(value: Any) -> bool:
    """Is *value* a finite number, or the text of one?"""
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        value = numbers.decimal(value)
    if not isinstance(value, (int, float, Decimal)):
        return False
    return Decimal(value).is_finite()


def _changes(update: Any) -> dict[str, Any]:
    """Which columns an upsert changes, and to what."""
    if isinstance(update, str):
        update = [update]
    if isinstance(update, Mapping):
        return dict(update)
    return {name: c.Inserted() for name in update}


def _count(result: Any) -> int:
    return int(result or 0)


def _told(values: Any, exists: bool) -> Row:
    """What an `update_or_insert` was given, or what it gives when told whether the row *exists*."""
    return (call_with(values, exists) if callable(values) else values) or {}
