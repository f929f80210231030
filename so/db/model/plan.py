"""What the model code has to know of one class, worked out once when the class is made.

Casts, accessors, mutators, scopes and relations by name, so that reading an attribute is a
dictionary look-up and no row pays for what is the same for all rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from so.db.casts import Cast, DatetimeCast, IntCast, StrCast, cast_for
from so.db.relations.definition import relation
from so.support.listed import names

# A client may send any number of names: no more of them are remembered than a table has columns.
_MOST_NAMES = 500


class Plan:
    """The facts of one model class; rebuilt when one of its class attributes is replaced."""

    __slots__ = (
        "casts",
        "_judged",
        "created_at",
        "defaults",
        "deleted_at",
        "fillable",
        "getters",
        "global_scopes",
        "guarded",
        "lock_column",
        "open",
        "readers",
        "relations",
        "reserved",
        "scopes",
        "setters",
        "updated_at",
        "writers",
    )

    def __init__(self, model: Any) -> None:
        _check(model)
        self.created_at: str | None = model.CREATED_AT if model.timestamps else None
        self.updated_at: str | None = model.UPDATED_AT if model.timestamps else None
        self.deleted_at: str | None = model.DELETED_AT if _soft_deletes(model) else None
        self.fillable = frozenset(model.fillable)
        self.guarded = frozenset(name.lower() for name in model.guarded)
        self.open = not self.fillable and "*" not in self.guarded
        self._judged: set[str] = set(self.fillable)
        self.lock_column = _lock_column(model)
        self.getters = dict(_methods(model, "get_", "_attribute"))
        self.setters = dict(_methods(model, "set_", "_attribute"))
        self.scopes = dict(_methods(model, "scope_", ""))
        self.relations = _relations(model)
        self.casts = self._all_casts(model)
        # Names whose stored value is not yet the value to give back.
        self.readers = frozenset(self.casts) | frozenset(self.getters)
        self.writers = frozenset(self.casts) | frozenset(self.setters)
        self.global_scopes: dict[str, Any] = model.global_scopes()
        self.defaults = {
            key: self.casts[key].set(None, key, value, {}) if key in self.casts else value
            for key, value in model.attributes.items()
        }
        # Names of the class: an assignment to one of them is not an assignment to a column.
        self.reserved = frozenset(name for name in dir(model) if not name.startswith("_"))

    def may_fill(self, name: str) -> bool:
        """May mass assignment set this column?"""
        if name in self._judged:
            return True
        # Column names ignore case in SQL and may be written table.column or column->path, so a
        # guard that compared the bare text could be walked around.
        may = self.open and name.isidentifier() and name.lower() not in self.guarded
        if may and len(self._judged) < _MOST_NAMES:
            self._judged.add(name)
        return may

    def _all_casts(self, model: Any) -> dict[str, Cast]:
        casts: dict[str, Cast] = {}
        if model.key_type in (int, str):
            casts[model.primary_key] = IntCast() if model.key_type is int else StrCast()
        for column in (self.created_at, self.updated_at, self.deleted_at):
            if column is not None:
                casts[column] = DatetimeCast(None, model.date_format)
        if self.lock_column is not None:
            casts[self.lock_column] = IntCast()
        for column, spec in model.casts.items():
            casts[column] = cast_for(spec, model.date_format)
        return casts


def _soft_deletes(model: Any) -> bool:
    # By where it stands, not by inheritance: a mixin counts after Model as well as before it.
    return any(vars(base).get("_soft_deletes") for base in model.__mro__)


def _lock_column(model: Any) -> str | None:
    setting = model.lock_version
    if not setting:
        return None
    return setting if isinstance(setting, str) else "lock_version"


def _methods(model: Any, head: str, tail: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """(`name`, function) of each method called head + name + tail."""
    for full_name in dir(model):
        name = full_name[len(head) : len(full_name) - len(tail)]
        if name and full_name.startswith(head) and full_name.endswith(tail):
            found = inspect.getattr_static(model, full_name)
            if inspect.isfunction(found):
                yield name, found


def _relations(model: Any) -> dict[str, relation]:
    found = {}
    for cls in reversed(model.__mro__):
        for name, value in vars(cls).items():
            if isinstance(value, relation):
                found[name] = value
            else:
                found.pop(name, None)
    return found


def _check(model: Any) -> None:
    """Refuse what would be taken apart into letters, or found at the first row only."""
    for name in ("fillable", "guarded", "hidden", "visible", "appends", "eager", "observers"):
        names(getattr(model, name), f"{model.__name__}.{name}")
    for name in ("casts", "attributes"):
        if not isinstance(getattr(model, name), Mapping):
            raise TypeError(f"{model.__name__}.{name} is {getattr(model, name)!r}: write a dict")
