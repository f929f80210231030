"""What a model holds: stored values by column, read through casts and accessors, and what changed.

A model read from the database keeps one dict for "now" and "as loaded"; the first assignment
copies it. Values are kept as the database stores them and cast when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from so.db.casts import Cast
from so.db.model.switches import is_unguarded
from so.errors import CastError, MassAssignmentError, MissingAttributeError
from so.support.listed import flat

if TYPE_CHECKING:
    from so.db.model.plan import Plan

_put = object.__setattr__
_ABSENT: Any = object()
_SPELLED: frozenset[type] = frozenset((int, Decimal))
# A cast's value of one of these types cannot be changed in place, so nobody has to look again.
_UNCHANGING = (str, bytes, int, float, Decimal, date, timedelta, Enum, type(None))


# The settings of a class that make sense for a single object as well.
_SETTINGS = frozenset(("timestamps", "table", "connection", "incrementing"))
# And those that are lists of names: anything else is meant for a column of that name.
_NAMES = frozenset(("hidden", "visible", "appends", "touches"))


class Attributes:
    """The columns of one model: access, mass assignment and dirty tracking."""

    if TYPE_CHECKING:
        _plan: ClassVar[Plan]
        _prevents_missing: ClassVar[bool]
        _prevents_discarding: ClassVar[bool]
        fillable: list[str]
        guarded: list[str]

    # Defaults of what most models never set; hydration sets the first two alone.
    _attributes: dict[str, Any]
    _original: dict[str, Any]
    _persisted: bool = True
    _recent: bool = False
    _in_row: Mapping[str, Any] | None = None  # what was written since `_original`, for listeners
    # What the last save wrote over, and what it wrote.
    _changes: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    _held: dict[str, Any] | None = None
    _loaded: dict[str, Any] | None = None

    def __init__(self, attributes: Mapping[str, Any] | None = None, /, **columns: Any) -> None:
        """A new model, not saved, with its default attributes and then those given (`fill`)."""
        _put(self, "_attributes", self._plan.defaults.copy())
        _put(self, "_original", {})
        _put(self, "_persisted", False)
        if attributes or columns:
            self.fill(attributes, **columns)

    # --- access

    def __getattr__(self, name: str) -> Any:
        # Python comes here when the class and the instance have no such name, or when a property
        # of the class raised AttributeError; that error is the one to show.
        if name in self._plan.reserved:
            return object.__getattribute__(self, name)
        if name[:1] == "_":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return self.get_attribute(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._plan.reserved or name[0] == "_":
            self._set_reserved(name, value)
        else:
            self.set_attribute(name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            object.__delattr__(self, name)
        else:
            del self[name]

    def __getitem__(self, name: str) -> Any:
        if name in self._plan.relations and name not in self._attributes:
            return getattr(self, name)
        return self.get_attribute(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.set_attribute(name, value)

    def __delitem__(self, name: str) -> None:
        self._own_attributes().pop(name, None)
        self._release(name)

    def __contains__(self, name: object) -> bool:
        return name in self._attributes or name in (self._loaded or ())

    # Without this, `for x in model` would ask for model[0].
    __iter__: Any = None

    def get_attribute(self, name: str) -> Any:
        """The value of a column through its cast and accessor.

        None for one that a new model has not been given; AttributeError on a saved model.
        """
        if name in self._plan.readers:
            return self._read(name)
        try:
            return self._attributes[name]
        except KeyError:
            return self._missing(name)

    def set_attribute(self, name: str, value: Any) -> None:
        """Set a column, through its mutator or its cast; CastError if the value does not fit."""
        plan = self._plan
        if name in plan.setters:
            value = plan.setters[name](self, value)
        elif name in plan.casts:
            value = self._stored(name, plan.casts[name], value)
        self._store(name, value)

    def get_attributes(self) -> dict[str, Any]:
        """The stored values by column, as a dict of their own."""
        self._write_back()
        return self._attributes.copy()

    def set_raw_attributes(self, attributes: Mapping[str, Any], sync: bool = False) -> Self:
        """Take *attributes* as the stored values; with *sync*, as those of the database too."""
        _put(self, "_attributes", dict(attributes))
        _put(self, "_held", None)
        return self.sync_original() if sync else self

    def _read(self, name: str) -> Any:
        plan = self._plan
        accessor = plan.getters.get(name)
        value = self._attributes.get(name, _ABSENT)
        if value is _ABSENT:
            if accessor is None:
                return self._missing(name)
            value = None
        elif name in plan.casts:
            value = self._cast(name, plan.casts[name], value)
        return value if accessor is None else accessor(self, value)

    def _cast(self, name: str, cast: Cast, stored: Any) -> Any:
        if self._held is not None and name in self._held:
            return self._held[name]
        try:
            value = cast.get(self, name, stored, self._attributes)
        except CastError as error:
            raise CastError(f"{type(self).__name__}.{name}: {error}") from error
        if cast.mutable and not isinstance(value, _UNCHANGING):
            # Handed out once and kept: `order.options["gift"] = True` must reach the next save.
            if self._held is None:
                _put(self, "_held", {})
            self._held[name] = value  # type: ignore[index]
        return value

    def _stored(self, name: str, cast: Cast, value: Any) -> Any:
        try:
            return cast.set(self, name, value, self._attributes)
        except CastError as error:
            raise CastError(f"{type(self).__name__}.{name}: {error}") from error

    def _store(self, name: str, value: Any) -> None:
        own = self._own_attributes()
        if type(value) is dict and name in self._plan.casts:
            own.update(value)  # an application's cast may fill several columns
        else:
            own[name] = value
        self._release(name)

    def _own_attributes(self) -> dict[str, Any]:
        """The current values, no longer shared with the original ones."""
        if self._attributes is self._original:
            _put(self, "_attributes", self._original.copy())
        return self._attributes

    def _release(self, name: str) -> None:
        if self._held is not None:
            self._held.pop(name, None)

    def _write_back(self) -> None:
        """Store again what was handed out and may have been changed in place."""
        if not self._held:
            return
        for name, value in list(self._held.items()):
            cast = self._plan.casts[name]
            stored = self._stored(name, cast, value)
            fresh = stored if type(stored) is dict else {name: stored}
            for column, new in fresh.items():
                if not cast.same(self._attributes.get(column), new):
                    self._own_attributes()[column] = new

    def _missing(self, name: str) -> Any:
        if self._loaded is not None and name in self._loaded:
            return self._loaded[name]  # set by hand, such as `pivot`: no method describes it
        if not self._persisted:
            return None
        kind = MissingAttributeError if self._prevents_missing else AttributeError
        raise kind(
            f"{type(self).__name__} has no attribute {name!r}: it was not among the columns read "
            "or saved; select it, or call refresh()",
            name=name,
            obj=self,  # Python suggests the nearest of dir(self) in a traceback
        ) from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._attributes})

    def _set_reserved(self, name: str, value: Any) -> None:
        if name[0] == "_":
            _put(self, name, value)
            return
        owner = next(cls for cls in type(self).__mro__ if name in vars(cls))
        found = vars(owner)[name]
        if name in _NAMES:
            may = isinstance(value, list)
        else:
            may = hasattr(found, "__set__") or name in _SETTINGS or not _is_ours(owner, found)
        if may:
            _put(self, name, value)
            return
        raise AttributeError(
            f"{name!r} is a {'method' if callable(found) else 'setting'} of "
            f"{type(self).__name__}; if there is a column of that name, it is set by "
            f"model[{name!r}] = …"
        )

    # --- mass assignment

    def fill(self, attributes: Mapping[str, Any] | None = None, /, **columns: Any) -> Self:
        """Set the columns that may be mass-assigned (`fillable`, `guarded`), leave the others out.

        MassAssignmentError if nothing at all is fillable.
        """
        given = {**(attributes or {}), **columns}
        if not is_unguarded():
            may_fill = self._plan.may_fill
            refused = [name for name in given if not may_fill(name)]
            if refused:
                self._refuse(refused)
                given = {name: value for name, value in given.items() if name not in refused}
        return self._set_all(given)

    def force_fill(self, attributes: Mapping[str, Any] | None = None, /, **columns: Any) -> Self:
        """Set all the columns given, whatever `fillable` and `guarded` say."""
        return self._set_all({**(attributes or {}), **columns})

    def _set_all(self, values: Mapping[str, Any]) -> Self:
        writers = self._plan.writers
        for name, value in values.items():
            if name in writers:
                self.set_attribute(name, value)
            else:
                self._own_attributes()[name] = value
        return self

    def is_fillable(self, name: str) -> bool:
        """May `fill()` set this column?"""
        return is_unguarded() or self._plan.may_fill(name)

    def _refuse(self, names: Sequence[str]) -> None:
        model = type(self).__name__
        if not self.fillable and "*" in self.guarded:
            raise MassAssignmentError(
                f"Add [{names[0]}] to fillable property to allow mass assignment on [{model}]."
            )
        if self._prevents_discarding:
            raise MassAssignmentError(
                f"{', '.join(names)} of {model} may not be mass-assigned: name them in fillable"
            )

    # --- what changed

    @property
    def persisted(self) -> bool:
        """Is there a row for this model, as far as it knows?"""
        return self._persisted

    @property
    def was_recently_created(self) -> bool:
        """Did this very object insert its row?"""
        return self._recent

    def get_dirty(self) -> dict[str, Any]:
        """The stored values that differ from those of the database, by column.

        Values that mean the same by their cast (`'1'` and 1, reordered JSON) do not differ.
        """
        self._write_back()
        now, before = self._attributes, self._original
        if now is before:
            return {}
        casts = self._plan.casts
        return {
            name: value
            for name, value in now.items()
            if name not in before
            or (value is not before[name] and not _same(casts.get(name), before[name], value))
        }

    def is_dirty(self, *names: Any) -> bool:
        """Has any column (of *names*) changed since the model was read or saved?"""
        return _touches(self.get_dirty(), names)

    def is_clean(self, *names: Any) -> bool:
        """Has no column (of *names*) changed since the model was read or saved?"""
        return not self.is_dirty(*names)

    def was_changed(self, *names: Any) -> bool:
        """Did the last save change any column (of *names*)?"""
        return _touches(self._changes[1], names)

    def get_changes(self) -> dict[str, Any]:
        """The stored values that the last save wrote over others, by column."""
        return dict(self._changes[1])

    def get_previous(self) -> dict[str, Any]:
        """The stored values that the last save wrote over, by column."""
        return dict(self._changes[0])

    def get_original(self, name: str | None = None, default: Any = None) -> Any:
        """A column's value (or all, as a dict) as it was read or last saved, through its cast."""
        if name is None:
            return {key: self._cast_original(key) for key in self._original}
        return self._cast_original(name) if name in self._original else default

    def get_raw_original(self, name: str | None = None, default: Any = None) -> Any:
        """A column's stored value (or all, as a dict) as it was read or last saved."""
        return dict(self._original) if name is None else self._original.get(name, default)

    def sync_original(self) -> Self:
        """Take the present values for those of the database."""
        self._write_back()
        _put(self, "_original", self._attributes)
        if self._in_row is not None:
            _put(self, "_in_row", None)
        return self

    def discard_changes(self) -> Self:
        """Go back to the values that were read or last saved."""
        _put(self, "_attributes", self._original)
        _put(self, "_held", None)
        return self

    def _cast_original(self, name: str) -> Any:
        value = self._original[name]
        cast = self._plan.casts.get(name)
        return value if cast is None else cast.get(self, name, value, self._original)

    def only(self, *names: Any) -> dict[str, Any]:
        """These attributes as a dict."""
        return {name: self[name] for name in flat(names)}

    def except_(self, *names: Any) -> dict[str, Any]:
        """All attributes but these as a dict."""
        unwanted = set(flat(names))
        return {name: self[name] for name in self._attributes if name not in unwanted}


def _is_ours(owner: type, found: Any) -> bool:
    """Is this a method, or something that Model itself defines?"""
    return callable(found) or owner.__module__.startswith("so.db.")


def _touches(changed: Mapping[str, Any], names: tuple[Any, ...]) -> bool:
    return any(name in changed for name in flat(names)) if names else bool(changed)


def _same(cast: Cast | None, before: Any, now: Any) -> bool:
    return _means_the_same(before, now) if cast is None else cast.same(before, now)


def _means_the_same(before: Any, now: Any) -> bool:
    """Without a cast: equal, or a number and the text that spells it exactly."""
    if type(before) is type(now):
        return bool(before == now)
    if before is None or now is None:
        return False
    if isinstance(now, str) and type(before) in _SPELLED:
        return str(before) == now
    if isinstance(before, str) and type(now) in _SPELLED:
        return str(now) == before
    return bool(before == now)
