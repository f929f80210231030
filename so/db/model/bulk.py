"""Many rows at once through a model: update, delete, insert, upsert, counters.

No model is made and no listener hears, but timestamps, soft deletes and lock versions are kept,
and every write passes through `Model._bulk`, where the activity log stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.model.scoped import ScopedQuery
from so.db.model.switches import is_timeless
from so.db.query import Query
from so.db.query.given import column_names
from so.db.values import in_parts

Row = Mapping[str, Any]


class BulkQuery(ScopedQuery):
    """The writing half of the builder, as a model does it."""

    _hook_was_asked = False
    placeholders_in_a_part = 3_500
    unique_by: Sequence[str] = ()
    """What an upsert takes for the columns of a unique key."""
    must_tell_keys = False
    """Whether the rows given back tell their key, asked for or not."""

    def _through(self, kind: str, values: Any, perform: Callable[[Any], Any]) -> Any:
        if self._hook_was_asked:
            return perform(self)
        return self.model._bulk(self, kind, values, lambda query=None: perform(query or self))

    # --- insert

    def insert(self, values: Any) -> bool:
        """Insert rows as they are: no casts, no timestamps, no defaults of the model."""
        add = super(BulkQuery, type(self)).insert
        return bool(self._add_rows("insert", values, add))

    def _together(self, rows: Any, perform: Callable[[], Any]) -> Any:
        """Run *perform*, in a transaction if *rows* will go in several statements."""
        if isinstance(rows, Mapping) or not self._go_in_several(list(rows)):
            return perform()
        with self.runner.transaction():
            return perform()

    def _go_in_several(self, rows: list[Row]) -> bool:
        most = getattr(self.runner, "max_statement_bytes", None)
        parts = in_parts(rows, self._rows_in_a_part(rows[:1]), most, lambda row: row.values())
        return len(next(parts, rows)) < len(rows)

    def _batches(self, values: Any) -> list[list[Row]]:
        # Statements of some hundred rows, all of one text: prepared once, the parts go in twice
        # as fast as in statements as long as the engine allows.
        rows = super()._batches(values)
        return [
            batch[at : at + size]
            for batch in rows
            for size in (self._rows_in_a_part(batch),)
            for at in range(0, len(batch), size)
        ]

    def _rows_in_a_part(self, rows: list[Row]) -> int:
        return max(1, self.placeholders_in_a_part // max(1, len(rows[0]))) if rows else 1

    insert_batch = insert

    def insert_get_id(self, values: Row | None = None, sequence: str | None = None) -> Any:
        """Insert one row as it is; its new id."""
        row = self._with_guaranteed(values or {})
        return self._through("insert", row, lambda query: super().insert_get_id(row, sequence))

    def insert_or_ignore(self, values: Any) -> int:
        """Insert the rows that no key forbids; how many went in."""
        add = super(BulkQuery, type(self)).insert_or_ignore
        return int(self._add_rows("insert_or_ignore", values, add))

    def insert_or_ignore_returning(
        self, values: Any, returning: Any = ("*",), unique_by: Any = None
    ) -> Any:
        """Insert the rows that no key forbids; the models of those that went in."""
        add = super(BulkQuery, type(self)).insert_or_ignore_returning
        return self._add_rows(
            "insert_or_ignore_returning",
            values,
            lambda query, rows: add(query, rows, query._told(returning), unique_by),
        )

    def _told(self, returning: Any) -> list[Any]:
        names = column_names(returning) or ["*"]
        if not self.must_tell_keys or {"*", self.model.primary_key} & set(map(str, names)):
            return names
        return [*names, self.model.primary_key]

    def _add_rows(self, kind: str, values: Any, add: Callable[[Any, Any], Any]) -> Any:
        rows = values if isinstance(values, Mapping) else list(values or ())
        if rows and self._guaranteed():
            several = [rows] if isinstance(rows, Mapping) else rows
            rows = [self._with_guaranteed(r) if isinstance(r, Mapping) else r for r in several]
        return self._through(
            kind, rows, lambda query: query._together(rows, lambda: add(query, rows))
        )

    def insert_using(self, columns: Iterable[str], query: Any) -> int:
        """Insert what a sub-query gives; how many rows went in."""
        return self._add_found(columns, query, ignore=False)

    def insert_or_ignore_using(self, columns: Iterable[str], query: Any) -> int:
        """Insert what a sub-query gives and no key forbids; how many rows went in."""
        return self._add_found(columns, query, ignore=True)

    def _add_found(self, columns: Iterable[str], found: Any, *, ignore: bool) -> int:
        names = list(columns)
        if guaranteed := self._guaranteed():
            found = self._with_fixed(names, found, guaranteed)
            names = [*(n for n in names if not self._is_own(n)), *guaranteed]
        count: int = self._through(
            "insert_using",
            names,
            lambda query: query._insert_using(names, found, ignore=ignore),
        )
        return count

    def _with_fixed(self, names: list[str], found: Any, fixed: Row) -> Query:
        """The rows of a sub-query for columns *names*, with *fixed* values for some of them."""
        # No row, for its names: those of the sub-query are the caller's.
        named = Query(self.runner, self.grammar).select_raw(
            ", ".join(f"null as {self.grammar.wrap(f'so_{at}')}" for at in range(len(names)))
        )
        nothing = Query(self.runner, self.grammar).select_raw("1 as so_one")
        named.from_sub(nothing, "so_nothing").where_raw("1 = 0")
        named.union_all(Query(self.runner, self.grammar).from_sub(found, "so_found"))
        rows = Query(self.runner, self.grammar).from_sub(named, "so_rows")
        rows.select(*(f"so_{at}" for at, name in enumerate(names) if not self._is_own(name)))
        for value in fixed.values():
            rows.select_raw("?", [value])
        return rows

    def upsert(self, values: Any, unique_by: Any, update: Any = None) -> int:
        """Insert rows or update those that are there, with the model's timestamps."""
        given = [values] if isinstance(values, Mapping) else values or []
        rows = [self._with_guaranteed(row) for row in given]
        plan = self.model._plan
        if is_timeless() or (plan.created_at is None and plan.updated_at is None):
            changes = update
        else:
            changes = self._stamped(rows, update)
        keys = [unique_by] if isinstance(unique_by, str) else list(unique_by or ())
        upsert = super(BulkQuery, type(self)).upsert
        self.unique_by = keys
        return int(
            self._add_rows("upsert", rows, lambda query, all_: upsert(query, all_, keys, changes))
        )

    def _stamped(self, rows: list[dict[str, Any]], update: Any) -> Any:
        """Add the timestamps to *rows*; what to update, the time of change included."""
        plan, now = self.model._plan, self._now()
        given = list(rows[0]) if rows else []
        for row in rows:
            for column in (plan.created_at, plan.updated_at):
                if column is not None:
                    row.setdefault(column, now)
        if update is None:
            update = [name for name in given if name != plan.created_at]
        if not update or plan.updated_at is None or plan.updated_at in update:
            return update
        if isinstance(update, Mapping):
            return {**update, plan.updated_at: now}
        return [*([update] if isinstance(update, str) else update), plan.updated_at]

    # --- update and delete

    def update(self, values: Row | None = None, /, **columns: Any) -> int:
        """Change columns of all matching rows, and their time of change; how many matched."""
        given = {**(values or {}), **columns}
        if not given:
            return 0
        count: int = self._through("update", given, lambda query: query._update_rows(given))
        return count

    def _update_rows(self, values: Row) -> int:
        if self._loses_limits():
            return int(self._by_keys()._update_rows(values))
        return super().update(self._with_bookkeeping(self._storable(values)))

    def _loses_limits(self) -> bool:
        """Would the engine leave out the query's limit or offset?"""
        tree = self.tree
        if self.grammar.name == "sqlite":
            return False
        return bool(tree.offset or (tree.joins and tree.limit is not None))

    def _by_keys(self) -> Any:
        """The same rows by their keys, which a table of its own gives."""
        key = self.model.primary_key
        tree = self._finished().copy()
        tree.columns = [f"{self.qualify(key)} as so_key"]
        chosen = Query(self.runner, self.grammar, c.Aliased(c.Sub(tree), "chosen"))
        query = self.model.on(self.runner).without_global_scopes()
        query._hook_was_asked = True
        return query.where_in(key, chosen.select("so_key"))

    def _storable(self, values: Row) -> dict[str, Any]:
        """The values as the model's casts store them; expressions and JSON paths as they are."""
        casts = self.model._plan.casts
        probe = self.model()
        return {
            name: probe._stored(name, casts[name], value)
            if name in casts and _is_value(value)
            else value
            for name, value in values.items()
        }

    def _with_bookkeeping(self, values: Row) -> dict[str, Any]:
        plan = self.model._plan
        changes = dict(values)
        is_stamped = plan.updated_at is not None and not is_timeless()
        if is_stamped and not {plan.updated_at, self._own(plan.updated_at)} & set(changes):
            changes[self._own(plan.updated_at)] = self._now()
        if plan.lock_column is not None and plan.lock_column not in changes:
            column = self._own(plan.lock_column)
            changes[column] = Expression(f"{self.grammar.wrap(column)} + 1")
        return changes

    def _own(self, column: str) -> str:
        """The column, qualified where another table could have one of that name."""
        return self.qualify(column) if self.tree.joins else column

    def increment_each(self, columns: Mapping[str, Any], extra: Row | None = None) -> int:
        """Add an amount to each of several columns."""
        count: int = self._through(
            "increment", columns, lambda query: query._step(columns, "+", extra)
        )
        return count

    def decrement_each(self, columns: Mapping[str, Any], extra: Row | None = None) -> int:
        """Take an amount from each of several columns."""
        count: int = self._through(
            "decrement", columns, lambda query: query._step(columns, "-", extra)
        )
        return count

    def _step(self, columns: Mapping[str, Any], sign: str, extra: Row | None) -> int:
        # Called by a model for its own row as well, which tells `_written` of it instead.
        query = self.clone()
        query._hook_was_asked = True  # the builder ends in update(), which would ask once more
        return super(BulkQuery, query)._step(columns, sign, extra)

    def touch(self, column: str | None = None) -> int:
        """Set the time of change (or *column*) of all matching rows to now."""
        name = column or self.model._plan.updated_at
        return self.update({name: self._now()}) if name is not None else 0

    def delete(self, id: Any = None) -> int:
        """Delete all matching rows (or mark them, with SoftDeletes), or the one with this key."""
        query = self if id is None else self._kept().where_key(id)
        deleted_at = self.model._plan.deleted_at
        if deleted_at is None:
            return query.force_delete()
        values = {deleted_at: self._now()}
        count: int = query._through("delete", values, lambda found: found._update_rows(values))
        return count

    def force_delete(self) -> int:
        """Delete all matching rows, soft deletes or not."""
        kind = "delete" if self.model._plan.deleted_at is None else "force_delete"
        count: int = self._through(kind, None, lambda query: query._delete_rows())
        return count

    def _delete_rows(self) -> int:
        if self._loses_limits():
            return int(self._by_keys()._delete_rows())
        return super().delete()

    def truncate(self) -> None:
        """Empty the table and start its numbers anew. On MySQL this commits."""
        self._through("truncate", None, lambda query: super().truncate())

    def _now(self) -> Any:
        stamp = self.runner.clock.now()
        date_format = self.model.date_format
        return stamp.strftime(date_format) if date_format else stamp


def _is_value(value: Any) -> bool:
    return not (isinstance(value, Expression) or hasattr(value, "tree") or callable(value))
