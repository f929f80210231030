"""Making models through a query, and getting the one that may be there already.

`first_or_create` and its kin survive races: whoever loses finds the winner's row. They need a
unique key on the columns they look for; without one, no library can keep two rows apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from so.db.model.collection import Models
from so.db.model.scoped import ScopedQuery
from so.errors import UniqueConstraintError

Values = Mapping[str, Any]


class MakingQuery(ScopedQuery):
    """create, first_or_create, update_or_create, destroy, …"""

    def create(self, attributes: Values | None = None, /, **columns: Any) -> Any:
        """A new model, filled and saved; not `persisted` if a listener cancelled it."""
        return self._saved(self.new_model(attributes, **columns))

    def create_many(self, rows: Iterable[Values]) -> Models[Any]:
        """A new, saved model for each of *rows*."""
        return Models(self.create(row) for row in rows)

    def create_quietly(self, attributes: Values | None = None, /, **columns: Any) -> Any:
        """As `create()`, with no listener hearing of it."""
        return self.model.without_events(lambda: self.create(attributes, **columns))

    def force_create(self, attributes: Values | None = None, /, **columns: Any) -> Any:
        """As `create()`, with mass assignment open to every column."""
        model = self.new_model()
        self._filled(model, model.force_fill, attributes, columns)
        return self._saved(model)

    def force_create_quietly(self, attributes: Values | None = None, /, **columns: Any) -> Any:
        """As `force_create()`, with no listener hearing of it."""
        return self.model.without_events(lambda: self.force_create(attributes, **columns))

    def create_many_quietly(self, rows: Iterable[Values]) -> Models[Any]:
        """As `create_many()`, with no listener hearing of it."""
        made: Models[Any] = self.model.without_events(lambda: self.create_many(rows))
        return made

    def make_many(self, rows: Iterable[Values]) -> Models[Any]:
        """A new model for each of *rows*, not saved."""
        return Models(self.new_model(row) for row in rows)

    def _saved(self, model: Any) -> Any:
        """*model*, after it was saved."""
        model.save()
        return model

    def first_or_new(self, attributes: Values, values: Values | None = None) -> Any:
        """The first model with *attributes*, or a new one with them and *values*, not saved."""
        found = self._first_with(attributes)
        return self.new_model({**attributes, **(values or {})}) if found is None else found

    def first_or_create(
        self, attributes: Values, values: Values | Callable[[], Values] | None = None
    ) -> Any:
        """The first model with *attributes*, or a saved new one with them and *values*.

        Any number of callers at once get one row, if a unique key covers *attributes*.
        """
        found = self._first_with(attributes)
        return self.create_or_first(attributes, values) if found is None else found

    def create_or_first(
        self, attributes: Values, values: Values | Callable[[], Values] | None = None
    ) -> Any:
        """A saved new model with *attributes* and *values*, or the one that has its unique key."""
        extra = values() if callable(values) else values
        try:
            return self._create_in_savepoint({**attributes, **(extra or {})})
        except UniqueConstraintError:
            found = self._first_now(attributes)
            if found is None:
                raise
            return found

    def update_or_create(
        self, attributes: Values, values: Values | Callable[[], Values] | None = None
    ) -> Any:
        """The first model with *attributes*, changed to *values* and saved; or a new one."""
        model = self.first_or_create(attributes, values)
        if not model.was_recently_created:
            self._filled(model, model.fill, values() if callable(values) else values, {})
            model.save()
        return model

    def increment_or_create(
        self,
        attributes: Values,
        column: str = "count",
        default: Any = 1,
        step: Any = 1,
        extra: Values | None = None,
    ) -> Any:
        """The first model with *attributes*, *column* raised by *step*; or a new one: *default*."""
        model = self.first_or_create(attributes, {column: default})
        if not model.was_recently_created:
            model.increment(column, step, extra)
        return model

    def force_destroy(self, *ids: Any) -> int:
        """As `destroy`, soft deletes or not: the rows go; how many went."""
        query = self if self.model._plan.deleted_at is None else self.scope("with_trashed")
        return sum(bool(model.force_delete()) for model in query.find_many(_keys(ids)))

    def destroy(self, *ids: Any) -> int:
        """Delete the models with these keys, one by one, so that listeners hear; how many went."""
        return sum(bool(model.delete()) for model in self.find_many(_keys(ids)))

    def _first_with(self, attributes: Values) -> Any:
        return self._with_values(attributes).first()

    def _with_values(self, attributes: Values) -> Any:
        """This query where the columns have these values, as the model would store them."""
        asked = {name: value for name, value in attributes.items() if not self._is_own(name)}
        probe = self.model().force_fill(asked)
        query = self._kept()
        for name in asked:
            query.where(self.qualify(name), "=", probe._attributes.get(name))
        return query

    def _create_in_savepoint(self, attributes: Values) -> Any:
        if not self.runner.in_transaction:
            return self.create(attributes)
        # A failed insert must not end the caller's transaction.
        with self.runner.transaction():
            return self.create(attributes)

    def _first_now(self, attributes: Values) -> Any:
        """The row that a unique key told us of: on the writer, past this transaction's snapshot."""
        query = self._with_values(attributes).use_write()
        if self.runner.in_transaction:
            query.shared_lock()
        return query.first()


def _keys(ids: Iterable[Any]) -> list[Any]:
    """The keys that are meant by keys, models and lists of them."""
    several = (list, tuple, set, frozenset)
    keys = [key for one in ids for key in (one if isinstance(one, several) else [one])]
    return [key.get_key() if hasattr(key, "get_key") else key for key in keys]
