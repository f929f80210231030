"""`Entries`: the rows of the trail about models of one class that had the same done to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from so.db.expressions import Expression
from so.support.masking import Masker
from so.systems.activity.rows import first_label
from so.systems.activity.tracking import tracking

if TYPE_CHECKING:
    from so.systems.activity.trail import Trail


class Entries:
    """Makes rows, and keeps them in `made` until they are written.

    What is the same in all of them (who, when, where) is worked out once.
    """

    def __init__(self, cls: Any, log: Trail, event: str) -> None:
        self.made: list[dict[str, Any]] = []
        self._cls = cls
        self._log = log
        self._event = event
        self._tracked = tracking(cls, log.mask)
        self._common = log.common(cls.log_name, event, log.causer())

    def add(self, model: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """A row about *model*, whose stored values changed so; none if nothing tracked did."""
        changes = self._tracked.changes(model, self._event, before, after)
        if changes is not None:
            self.note(model, changes, before)

    def note(
        self, model: Any, properties: Mapping[str, Any], before: Mapping[str, Any] | None = None
    ) -> None:
        """A row about *model* with these properties, in which nothing is to be masked any more."""
        held, description, tracked = model._attributes, self._event, self._tracked
        key = held.get(model.primary_key)
        name = first_label(held, tracked.labels)
        if tracked.is_told:
            secrets = self._secrets(held, model._original, before or {})
            description = secrets.text(str(model.get_description_for_event(self._event)))
            name = None if name is None else secrets.text(name)
            more = model.get_additional_log_properties(self._event)
            properties = {**properties, **_as_dict(secrets.mask(more))} if more else properties
        subject = (tracked.alias, None if key is None else str(key), name)
        self.made.append(self._log.entry_of(self._common, description, subject, properties))

    @property
    def mask(self) -> Masker:
        """What keeps the secrets of the class out."""
        return self._tracked.mask

    def _secrets(self, *sources: Mapping[str, Any]) -> Masker:
        return learned(self._tracked.mask, *sources)


def learned(mask: Masker, *sources: Any) -> Masker:
    """A masker that also knows what stands under the secret names of *sources*."""
    found = mask.beside()
    for source in sources:
        found.learn_from(_texts(source))
    return found


def _texts(value: Any) -> Any:
    """*value* with its numbers as text: a PIN in a sentence is one, too."""
    if isinstance(value, Mapping):
        return {name: _texts(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_texts(item) for item in value]
    return value if value is None or isinstance(value, bool) else str(value)


def _as_dict(value: Any) -> dict[str, Any]:
    return dict(value)


def as_stored(
    model: Any, event: str, before: Mapping[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    """What the database made of the values: all of a new row, and what it may have converted."""
    names: list[str] = []
    if event != "created":
        casts = model._plan.casts
        names = [
            name
            for name, value in after.items()
            if isinstance(value, Expression)
            or not (value is None or name in casts or type(value) is type(before.get(name)))
        ]
        if not names:
            return after
    key = model._attributes.get(model.primary_key)
    query = model._connection().table(model.table).where(model.primary_key, key).use_write()
    row = query.first(names or None)
    return after if row is None else {**after, **filled(after, row)}


def filled(given: Iterable[str], row: Mapping[str, Any]) -> dict[str, Any]:
    """*row* without the columns that nobody gave and the database left empty."""
    names = frozenset(given)
    return {name: value for name, value in row.items() if value is not None or name in names}
