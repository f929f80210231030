"""What of a change is logged: worked out once a class, applied to every row.

A `Tracking` knows for each column whether it is tracked, masked or cast. It is made anew when an
attribute of the class is replaced (the model then has another plan) or the log has another mask.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from so.db.casts import Cast, OwnCast
from so.errors import ActivityError
from so.support.masking import MASK, Masker
from so.systems.activity.rows import ERASED, LABELS, concealed, written

PLAIN = frozenset((int, str, float, bool))
BORN = ("created", "restored")  # back to life: all of it, as when it was made
GONE = ("deleted", "force_deleted")
_SKIPPED, _MASKED, _AS_IT_IS, _CAST = range(4)
_MOST_NAMES = 500


class Tracking:
    """Turns stored values before and after a change of one class into the properties of a row."""

    def __init__(self, cls: Any, mask: Masker) -> None:
        self.plan = cls._plan
        self.made_with = mask
        self.mask = mask.beside(concealed(cls))
        self.alias = str(cls.type_alias)
        self.labels = [name for name in LABELS if not self.mask.is_secret(name)]
        self.is_told = cls._has_own_words()
        self._name = cls.__name__
        self._only_dirty = cls.log_only_dirty
        self._empty = cls.log_empty
        self._except = frozenset(cls.log_attributes_except)
        self._all = "*" in cls.log_attributes
        named = [n for n in cls.log_attributes if n != "*" and n not in self._except]
        self._dotted = [n for n in named if "." in n]
        self._named = named
        self._bookkeeping = {
            self.plan.created_at, self.plan.updated_at, self.plan.lock_column
        }  # fmt: skip
        self._treatments: dict[str, int] = {}

    def changes(
        self, model: Any, event: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """`{"attributes": …, "old": …}`; None when nothing of it is tracked."""
        attributes: dict[str, Any] | None
        old: dict[str, Any] | None
        if event in BORN:
            attributes, old = self._plain(model, {**model._attributes, **after}), None
        elif event in GONE:
            attributes, old = None, self._plain(model, {**model._original, **before})
        else:
            attributes, old = self._plain(model, after), self._plain(model, before)
            if not self._only_dirty:
                attributes = {**self._plain(model, model._attributes), **attributes}
                old = {**attributes, **old}
            else:
                for name in [n for n in attributes if n in old and attributes[n] == old[n]]:
                    if not (is_hidden(old[name]) and self._differs(model, name, before, after)):
                        del attributes[name], old[name]
        if not attributes and not old and not self._empty:
            return None
        found: dict[str, Any] = {}
        if attributes is not None:
            found["attributes"] = attributes
        if old is not None:
            found["old"] = old
        return found

    def told(self, model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
        """The tracked columns among *values*, as the trail would hold them."""
        plain = {n: v for n, v in self._plain(model, values).items() if "." not in n}
        found: dict[str, Any] = json.loads(written(plain))
        return found

    def _plain(self, model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for name in values if self._all else self._named:
            if name in values:
                treatment = self._treatments.get(name)
                if treatment is None:
                    treatment = self._treatment(name)
                if treatment == _SKIPPED:
                    continue
                value = values[name]
                if treatment == _AS_IT_IS and type(value) in PLAIN:
                    plain[name] = value
                else:
                    plain[name] = self._treated(model, name, treatment, values)
            elif not self._all:
                self._add_dotted(plain, model, name, values)
        if self._all:
            for name in self._dotted:
                self._add_dotted(plain, model, name, values)
        return plain

    def _treatment(self, name: str) -> int:
        if name in self._except or (self._all and name in self._bookkeeping):
            found = _SKIPPED
        elif self.mask.is_secret(name):
            found = _MASKED
        else:
            found = _CAST if name in self.plan.casts else _AS_IT_IS
        if len(self._treatments) < _MOST_NAMES:
            self._treatments[name] = found
        return found

    def _treated(self, model: Any, name: str, treatment: int, values: Mapping[str, Any]) -> Any:
        value = values[name]
        if value is None:
            return None
        if treatment == _MASKED:
            return MASK
        if treatment == _CAST:
            try:
                value = read(self.plan.casts[name], model, name, value, values)
            except (TypeError, ValueError, ArithmeticError, LookupError) as error:
                raise ActivityError(
                    f"{self._name}.{name} holds {value!r}, which its cast cannot read: mend the "
                    f"value or the cast, or name it in log_attributes_except ({error})"
                ) from error
        return self.mask.named(value)

    def _differs(
        self, model: Any, name: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> bool:
        """Did a value change of which the trail shows the same `***` before and after?"""
        head, dot, rest = name.partition(".")
        cast = self.plan.casts.get(head)
        if cast is None or not dot:
            return True  # only what changed comes here, a relation by its key
        first, second = (cast.get(model, head, one.get(head), one) for one in (before, after))
        for part in rest.split("."):
            first, second = (
                value.get(part) if isinstance(value, Mapping) else None for value in (first, second)
            )
        return bool(first != second)

    def _add_dotted(
        self, plain: dict[str, Any], model: Any, name: str, values: Mapping[str, Any]
    ) -> None:
        head, dot, rest = name.partition(".")
        if not dot:
            return
        if head in self.plan.relations:
            self._add_related(plain, model, name, values)
        elif head in values:
            value = self._treated(model, head, self._treatment(head), values)
            for part in rest.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            plain[name] = value

    def _add_related(
        self, plain: dict[str, Any], model: Any, name: str, values: Mapping[str, Any]
    ) -> None:
        """A value of what a belongs_to pointed at, then; nothing if the key was not touched."""
        relation, _, path = name.partition(".")
        definition = model.related(relation)
        column = getattr(definition, "foreign_key", None)
        if column is None or column not in values:
            return
        owner = getattr(definition, "owner_key", "id")
        related: Any = definition.model.where(owner, values[column]).first()
        mask = self.mask.beside(concealed(definition.model))
        for part in path.split("."):
            related = None if related is None else getattr(related, part, None)
            if related is not None and mask.is_secret(part):
                related = MASK
                break
        plain[name] = related


def read(cast: Cast, model: Any, name: str, value: Any, values: Mapping[str, Any]) -> Any:
    """The stored *value* as the trail tells it: as the cast gives it, where that comes back.

    Of an application's own cast only what JSON holds, and what `set` makes the same of again.
    """
    found = cast.get(model, name, value, values)
    if not isinstance(cast, OwnCast):
        return found
    try:
        again = cast.set(model, name, json.loads(written(found)), values)
    except Exception:  # whatever the application's class raises
        return value
    return found if cast.same(again, value) else value


def is_read(cast: OwnCast, model: Any, name: str, value: Any) -> bool:
    """Is *value*, out of the trail, what `read` made of a stored one? Else it is the stored one."""
    held = model._attributes
    try:
        found = cast.get(model, name, cast.set(model, name, value, held), held)
        return bool(json.loads(written(found)) == value)
    except Exception:  # whatever the application's class raises
        return False


def is_hidden(value: Any) -> bool:
    """Is *value* out of the trail masked or erased, or something inside it?"""
    if isinstance(value, Mapping):
        return any(map(is_hidden, value.values()))
    return any(map(is_hidden, value)) if isinstance(value, list) else value in (MASK, ERASED)


_known: WeakKeyDictionary[Any, Tracking] = WeakKeyDictionary()


def tracking(cls: Any, mask: Masker) -> Tracking:
    """The Tracking of a model class."""
    found = _known.get(cls)
    if found is None or found.plan is not cls._plan or found.made_with is not mask:
        found = _known[cls] = Tracking(cls, mask)
    return found


def differing(cls: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    """The columns that differ, as their casts compare."""
    casts = cls._plan.casts
    for name in after:
        first, second, cast = before.get(name), after[name], casts.get(name)
        if not (first == second if cast is None else cast.same(first, second)):
            yield name
