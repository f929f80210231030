"""Mixins of models: `HasUuids`, whose keys are random UUIDs, and `SoftDeletes`.

With that a deleted row stays, marked with the time it was deleted, and is not found.

Every query of such a model leaves marked rows out; `with_trashed()` and `only_trashed()` say
otherwise. `restore()` takes the mark away, `force_delete()` takes the row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from so.db.events import muted
from so.db.model.attributes import _put
from so.db.model.persistence import Persistence
from so.support.ids import uuid


class SoftDeletingScope:
    """Leaves out rows that are marked as deleted."""

    def apply(self, query: Any, model: Any) -> None:
        """Add the condition."""
        query.where_null(query.qualify(model.DELETED_AT))


class OnlyTrashedScope:
    """Leaves out rows that are not marked as deleted."""

    def apply(self, query: Any, model: Any) -> None:
        """Add the condition."""
        query.where_not_null(query.qualify(model.DELETED_AT))


_SCOPE = SoftDeletingScope.__name__


class SoftDeletes(Persistence):
    """A mixin for models: `class Invoice(SoftDeletes, Model)`; needs a column `deleted_at`."""

    _soft_deletes = True
    _scopes: ClassVar[dict[str, Any]] = {_SCOPE: SoftDeletingScope()}

    def trashed(self) -> bool:
        """Is this model marked as deleted?"""
        return self._attributes.get(self._mark()) is not None

    def _mark(self) -> str:
        return self._plan.deleted_at or "deleted_at"

    def _remove(self) -> bool:
        now = self.fresh_timestamp()
        changes = {self._mark(): self._stored_moment(self._mark(), now)}
        changed_at = self._plan.updated_at
        if changed_at is not None and self.timestamps:
            changes[changed_at] = self._stored_moment(changed_at, now)
        if not self._update_row(changes, "deleted"):
            return False
        unsaved = self.get_dirty()
        _put(self, "_original", {**self._original, **changes})
        _put(self, "_attributes", {**self._original, **unsaved, **changes})
        return True

    def _stored_moment(self, column: str, moment: datetime) -> Any:
        return self._stored(column, self._plan.casts[column], moment)

    def force_delete(self) -> bool:
        """Delete the row itself; False if there was none, or a listener cancelled it."""
        if not self._persisted or not self._fire("force_deleting") or not self._fire("deleting"):
            return False
        if not self._atomically(lambda: self._delete_row("force_deleted")):
            return False
        self._fire("deleted")
        self._fire("force_deleted")
        if self.touches:
            self.touch_owners()
        return True

    def restore(self) -> bool:
        """Take the mark away and save; False if a listener cancelled it or the row is gone."""
        if not self.trashed():
            return True
        if not self._fire("restoring"):
            return False
        self.set_attribute(self._mark(), None)
        if not self._save("restored"):
            return False
        self._fire("restored")
        return True

    def restore_quietly(self) -> bool:
        """As `restore()`, with no listener hearing of it."""
        with muted():
            return self.restore()

    def scope_with_trashed(self, query: Any) -> Any:
        """Deleted rows too."""
        return query.with_scope(_SCOPE, None)

    def scope_only_trashed(self, query: Any) -> Any:
        """Deleted rows alone."""
        return query.with_scope(_SCOPE, OnlyTrashedScope())

    def scope_without_trashed(self, query: Any) -> Any:
        """No deleted rows, as if nothing had been said."""
        return query.with_scope(_SCOPE, SoftDeletingScope())

    def scope_restore(self, query: Any) -> int:
        """Take the mark from all matching rows; how many matched."""
        if _SCOPE not in query._added:
            query.with_scope(_SCOPE, None)
        values = {self._mark(): None}
        count: int = query._through("restore", values, lambda found: found._update_rows(values))
        return count


class HasUuids(Persistence):
    """A mixin for models: `class Document(HasUuids, Model)`; the key is a char(36) column."""

    key_type: type = str
    incrementing = False

    def new_unique_id(self) -> str:
        """The key of a new row."""
        return uuid()

    def _before_insert(self) -> None:
        super()._before_insert()
        if self.get_key() is None:
            self.set_attribute(self.primary_key, self.new_unique_id())
