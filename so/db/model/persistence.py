"""Saving and deleting: one model, one row.

An update writes only what changed, `where` the key as it was read. What follows a statement in
the same transaction (the activity log) hangs on `_written`; listeners hear before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from so.db import clauses, events
from so.db.expressions import Expression
from so.db.manager import current_database
from so.db.model.attributes import Attributes, _put
from so.db.model.switches import is_timeless
from so.db.values import bindable
from so.errors import DatabaseError, ModelNotFoundError, StaleModelError

if TYPE_CHECKING:
    from so.db.connection import Connection

R = TypeVar("R")


def connection_of(source: Any) -> Connection:
    """The connection behind a model's `connection`: None, a name, a Connection or a Database."""
    if source is None:
        return current_database().connection()
    if isinstance(source, str):
        return current_database().connection(source)
    found: Connection = source.connection()
    return found


class Persistence(Attributes):
    """What takes a model to its row and back."""

    if TYPE_CHECKING:
        _events: ClassVar[events.Events]
        table: str
        primary_key: str
        incrementing: bool
        connection: Any
        timestamps: bool
        touches: list[str]

        def related(self, name: str) -> Any: ...

    _source: Any = None
    _writes_in_transaction = False

    # --- where it lives

    def _connection(self) -> Connection:
        return connection_of(self.connection if self._source is None else self._source)

    def _fire(self, event: str) -> bool:
        return type(self)._events.fire(event, self)

    def _written(self, event: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Called right after the statement, within its transaction if there is one.

        event is created, updated, deleted, restored or force_deleted; *before* and *after* hold
        stored values by column: of an update those that changed, else all. Not to be modified.
        """

    def get_key(self) -> Any:
        """The primary key's value; None before the first save."""
        return self._attributes.get(self.primary_key)

    def _key_of_row(self) -> Any:
        """The key the row has in the database, whatever was assigned since."""
        key = self._original.get(self.primary_key, self._attributes.get(self.primary_key))
        if key is None:
            raise DatabaseError(
                f"this {type(self).__name__} has no {self.primary_key!r}: it was read without its "
                "key and cannot be saved or deleted; select the key as well"
            )
        return bindable(key)

    def _row_query(self) -> Any:
        """A query for this model's row alone, past every global scope."""
        model: Any = type(self)
        query = model.on(self._home()).without_global_scopes()
        return query.where(self.primary_key, self._key_of_row())

    def fresh_timestamp(self) -> datetime:
        """Now, by the connection's clock."""
        return self._connection().clock.now()

    # --- save

    def save(self) -> bool:
        """Insert the row, or update the columns that changed.

        True as well when nothing changed, without SQL. False when a listener cancelled it, or
        when the row to update is gone. StaleModelError if somebody else saved it meanwhile and
        the model locks optimistically.
        """
        return self._save("updated")

    def save_or_fail(self) -> bool:
        """As `save()`, with DatabaseError instead of False."""
        if not self.save():
            raise DatabaseError(
                f"{self!r} was not saved: a listener cancelled it, or its row is gone"
            )
        return True

    def save_quietly(self) -> bool:
        """As `save()`, with no listener hearing of it."""
        with events.muted():
            return self.save()

    def update(self, attributes: Mapping[str, Any] | None = None, /, **columns: Any) -> bool:
        """Fill and save; False on a model that is not saved yet."""
        return self._persisted and self.fill(attributes, **columns).save()

    def update_or_fail(
        self, attributes: Mapping[str, Any] | None = None, /, **columns: Any
    ) -> bool:
        """As `update()`, with DatabaseError where a listener cancels it or the row is gone."""
        return self._persisted and self.fill(attributes, **columns).save_or_fail()

    def update_quietly(
        self, attributes: Mapping[str, Any] | None = None, /, **columns: Any
    ) -> bool:
        """As `update()`, with no listener hearing of it."""
        with events.muted():
            return self.update(attributes, **columns)

    def push(self) -> bool:
        """Save the model and all its loaded relations."""
        if not self.save():
            return False
        return all(
            model.push()
            for loaded in (self._loaded or {}).values()
            for model in (loaded if isinstance(loaded, list) else [loaded])
            if isinstance(model, Persistence)
        )

    def push_quietly(self) -> bool:
        """As `push()`, with no listener hearing of it."""
        with events.muted():
            return self.push()

    def touch_owners(self) -> None:
        """Set the time of change of what the relations in `touches` lead to, and of theirs."""
        for name in self.touches:
            self.related(name).touch()
            loaded = (self._loaded or {}).get(name)
            if isinstance(loaded, Persistence) and loaded.touches:
                loaded.touch_owners()

    def touch_quietly(self, column: str | None = None) -> bool:
        """As `touch()`, with no listener hearing of it."""
        with events.muted():
            return self.touch(column)

    def touch(self, column: str | None = None) -> bool:
        """Set the time of the last change (or *column*) to now, and save."""
        name = column or self._plan.updated_at
        if name is None:
            return False
        self.set_attribute(name, self.fresh_timestamp())
        return self.save()

    def _save(self, written: str) -> bool:
        if not self._fire("saving"):
            return False
        is_new = not self._persisted
        if not (self._insert() if is_new else self._update(written)):
            return False
        self._fire("saved")
        if self.touches and (is_new or self._changes[1]):
            self.touch_owners()
        self.sync_original()
        return True

    def _insert(self) -> bool:
        self._before_insert()
        if not self._fire("creating"):
            return False
        self._stamp_birth()
        lock = self._plan.lock_column
        if lock is not None and self._attributes.get(lock) is None:
            self._store(lock, 1)
        self._write_back()
        self._atomically(self._insert_row)
        self._keep_row("created")
        _put(self, "_recent", True)
        if self._changes[1]:
            _put(self, "_changes", ({}, {}))
        self._fire("created")
        return True

    def _before_insert(self) -> None:
        """For mixins that give a new model its key."""

    def _insert_row(self) -> None:
        key = self.primary_key
        connection = self._connection()
        values = self._attributes
        if self.incrementing and values.get(key) is None:
            if key in values:
                values = {name: value for name, value in values.items() if name != key}
            sql, bindings = connection.grammar.compile_insert(self.table, [values])
            _put(self, "_attributes", {**values, key: connection.insert_get_id(sql, bindings)})
        else:
            connection.insert(*connection.grammar.compile_insert(self.table, [values]))
        _put(self, "_persisted", True)
        self._confirm_version()
        self._written("created", {}, self._attributes)

    def _keep_row(self, event: str) -> None:
        """Note what the row holds now for listeners of *event*, who may save once more."""
        heard = type(self)._events.heard()
        if self.touches or event in heard or "saved" in heard:
            _put(self, "_in_row", self._attributes.copy())

    def _update(self, written: str) -> bool:
        if self._changes[1]:
            _put(self, "_changes", ({}, {}))
        dirty = self.get_dirty()
        if dirty and type(self)._events.wanted("updating"):
            if not self._fire("updating"):
                return False
            dirty = self.get_dirty()
        if not dirty:
            return True
        self._stamp_change(dirty)
        before = self._atomically(lambda: self._update_row(dirty, written))
        if before is None:
            return False
        self._keep_row("updated")
        _put(self, "_changes", (before, dirty))
        self._fire("updated")
        return True

    def _update_row(self, dirty: dict[str, Any], written: str) -> dict[str, Any] | None:
        """What the row held in the columns of *dirty* before; None if it is gone."""
        lock = self._plan.lock_column
        if lock is not None:
            dirty[lock] = (self._original.get(lock) or 0) + 1
        # A listener that saves once more must not be told that what it finds was not there.
        held = self._original if self._in_row is None else self._in_row
        before = {name: held.get(name) for name in dirty}
        connection = self._connection()
        tree = self._row_tree()
        if not connection.update(*connection.grammar.compile_update(tree, dirty)):
            self._row_is_gone()
            return None
        if lock is not None:
            _put(self, "_attributes", {**self._attributes, lock: dirty[lock]})
            self._confirm_version()
        self._written(written, before, dirty)
        return before

    def _confirm_version(self) -> None:
        """Take the version just written as the row's, so that a listener may save once more."""
        lock = self._plan.lock_column
        if lock is not None:
            _put(self, "_original", {**self._original, lock: self._attributes[lock]})

    def _row_tree(self) -> clauses.Select:
        """The clauses of a statement on this row: its key and, if it locks, its version."""
        tree = clauses.Select(self.table)
        tree.conditions.append(clauses.Compare("and", self.primary_key, "=", self._key_of_row()))
        lock = self._plan.lock_column
        if lock is not None:
            version = self._original.get(lock)
            tree.conditions.append(
                clauses.IsNull("and", lock, False)
                if version is None
                else clauses.Compare("and", lock, "=", version)
            )
        return tree

    def _row_is_gone(self) -> None:
        if self._plan.lock_column is not None:
            raise StaleModelError(
                f"{self!r} was changed or deleted by somebody else since it was read: read it "
                "again with refresh() and repeat the change"
            )

    def _stamp_birth(self) -> None:
        """Set the timestamps of a new row, but those that were set by hand."""
        stamps = (self._plan.created_at, self._plan.updated_at)
        missing = [s for s in stamps if s is not None and s not in self._attributes]
        if missing and self.timestamps and not is_timeless():
            now = self.fresh_timestamp()
            for column in missing:
                self.set_attribute(column, now)

    def _stamp_change(self, dirty: dict[str, Any]) -> None:
        """Set the time of the last change, unless it is among what was changed by hand."""
        column = self._plan.updated_at
        if column is None or column in dirty or is_timeless():
            return
        if self.timestamps:
            self.set_attribute(column, self.fresh_timestamp())
            dirty[column] = self._attributes[column]

    def _atomically(self, work: Callable[[], R]) -> R:
        """Run *work*; if it fails, the model knows what it knew before."""
        kept = self._attributes, self._original, self._persisted
        try:
            if not self._writes_in_transaction:
                return work()
            with self._connection().transaction():
                return work()
        except BaseException:
            for name, value in zip(("_attributes", "_original", "_persisted"), kept, strict=True):
                _put(self, name, value)
            raise

    # --- delete

    def delete(self) -> bool:
        """Delete the row (or mark it, with SoftDeletes); False if there was none, or cancelled."""
        if not self._persisted or not self._fire("deleting"):
            return False
        if not self._atomically(self._remove):
            return False
        self._fire("deleted")
        if self.touches:
            self.touch_owners()
        return True

    def delete_quietly(self) -> bool:
        """As `delete()`, with no listener hearing of it."""
        with events.muted():
            return self.delete()

    def delete_or_fail(self) -> bool:
        """As `delete()`, with DatabaseError instead of False."""
        if not self.delete():
            raise DatabaseError(
                f"{self!r} was not deleted: a listener cancelled it, or its row is gone"
            )
        return True

    def force_delete_quietly(self) -> bool:
        """As `force_delete()`, with no listener hearing of it."""
        with events.muted():
            return self.force_delete()

    def force_delete(self) -> bool:
        """Delete the row, soft deletes or not."""
        return self.delete()

    def _remove(self) -> bool:
        return self._delete_row("deleted")

    def _delete_row(self, written: str) -> bool:
        connection = self._connection()
        count = connection.delete(*connection.grammar.compile_delete(self._row_tree()))
        if not count:
            self._row_is_gone()
        else:
            self._written(written, dict(self._original), {})
        _put(self, "_persisted", False)
        return bool(count)

    # --- counters

    def increment(
        self, column: str, amount: Any = 1, extra: Mapping[str, Any] | None = None
    ) -> int:
        """Add *amount* in the database, where other increments are not lost; rows changed.

        *extra* columns are set along. The model's value follows; other changes stay unsaved.
        """
        return self._step("+", column, amount, extra or {})

    def decrement(
        self, column: str, amount: Any = 1, extra: Mapping[str, Any] | None = None
    ) -> int:
        """Subtract *amount* in the database; see `increment()`."""
        return self._step("-", column, amount, extra or {})

    def increment_quietly(
        self, column: str, amount: Any = 1, extra: Mapping[str, Any] | None = None
    ) -> int:
        """As `increment()`, with no listener hearing of it."""
        with events.muted():
            return self.increment(column, amount, extra)

    def decrement_quietly(
        self, column: str, amount: Any = 1, extra: Mapping[str, Any] | None = None
    ) -> int:
        """As `decrement()`, with no listener hearing of it."""
        with events.muted():
            return self.decrement(column, amount, extra)

    def _step(self, sign: str, column: str, amount: Any, extra: Mapping[str, Any]) -> int:
        if not self._persisted:
            raise DatabaseError(
                f"cannot increment {column!r} of a {type(self).__name__} that is not saved: "
                "assign to it, or save it first"
            )
        if not self._fire("updating"):
            return 0
        count = self._atomically(lambda: self._step_in_row(sign, column, amount, extra))
        if count:
            self._fire("updated")
        return count

    def _step_in_row(self, sign: str, column: str, amount: Any, extra: Mapping[str, Any]) -> int:
        query = self._row_query()
        count: int = query._step({column: amount}, sign, self._stored_extra(extra))
        if not count:
            return 0
        before = {name: self._original.get(name) for name in (column, *extra)}
        self._read_back([column, *extra, self._plan.updated_at, self._plan.lock_column])
        after = {name: self._original.get(name) for name in before}
        before[column] = _back(after[column], sign, amount)
        _put(self, "_changes", (before, after))
        self._written("updated", before, after)
        return count

    def _stored_extra(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        casts = self._plan.casts
        return {
            name: self._stored(name, casts[name], value)
            if name in casts and not isinstance(value, Expression)
            else value
            for name, value in extra.items()
        }

    def _read_back(self, columns: Iterable[str | None]) -> None:
        """Take the present values of some columns from the database, leaving the others."""
        names = [name for name in columns if name is not None]
        row = self._row_query()._raw_row(names) or {}
        dirty = self.get_dirty()
        _put(self, "_original", {**self._original, **row})
        _put(self, "_attributes", {**self._original, **dirty, **row})
        for name in row:
            self._release(name)

    # --- read again

    def refresh(self) -> Self:
        """Read all columns and the loaded relations again; ModelNotFoundError if the row is gone.

        Changes that were not saved are lost.
        """
        row = self._row_query()._raw_row(None)
        if row is None:
            raise ModelNotFoundError(type(self), [self.get_key()])
        _put(self, "_attributes", row)
        _put(self, "_original", row)
        _put(self, "_held", None)
        _put(self, "_persisted", True)
        names = [name for name in (self._loaded or {}) if name in self._plan.relations]
        _put(self, "_loaded", None)
        return self.load(*names) if names else self

    def fresh(self, *relations: Any) -> Self | None:
        """The same row read anew as another object; None if it is gone."""
        if not self._persisted:
            return None
        found: Self | None = self._row_query().with_(*relations).first()
        return found

    def replicate(self, except_: Iterable[str] = ()) -> Self:
        """A new, unsaved model with the same attributes, without key and timestamps."""
        plan = self._plan
        left_out = {self.primary_key, plan.created_at, plan.updated_at, plan.lock_column, *except_}
        copy = type(self)()
        values = {n: v for n, v in self.get_attributes().items() if n not in left_out}
        copy.set_raw_attributes(values)
        _put(copy, "_source", self._source)
        _put(copy, "_loaded", dict(self._loaded) if self._loaded else None)
        copy._fire("replicating")
        return copy

    def is_(self, other: Any) -> bool:
        """Is *other* a model of the same row: same table, key and connection?"""
        return (
            isinstance(other, Persistence)
            and self.get_key() is not None
            and self.get_key() == other.get_key()
            and self.table == other.table
            and self._lives_with(other)
        )

    def _lives_with(self, other: Persistence) -> bool:
        mine, theirs = self._home(), other._home()
        return mine is theirs or _name_of(mine) == _name_of(theirs)

    def _home(self) -> Any:
        return self.connection if self._source is None else self._source

    def is_not(self, other: Any) -> bool:
        """Is *other* not a model of the same row?"""
        return not self.is_(other)


def _name_of(source: Any) -> str:
    return source if isinstance(source, str) else connection_of(source).name


def _back(value: Any, sign: str, amount: Any) -> Any:
    """What *value* was before the step, without binary noise; None if it is not a number."""
    if not isinstance(value, (int, float, Decimal)):
        return None
    step = Decimal(str(amount))
    before = Decimal(str(value)) - (step if sign == "+" else -step)
    return type(value)(before)
