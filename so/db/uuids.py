"""`HasUuids`: keys that are random UUIDs, known before the row is written."""

from __future__ import annotations

from so.db.model.persistence import Persistence
from so.support.ids import uuid


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
