"""The class side of a model: `User.where(…)` is a query, while `user.where` is a column.

A metaclass is the one way to have a name on the class and not on its instances, and that is all
this one is for: queries, listeners, switches and the registry of types live here.
"""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from so.db import events
from so.db.model.plan import Plan
from so.db.model.switches import timeless, unguarded, within
from so.db.naming import plural, snake
from so.errors import InvalidArgumentError, RelationError
from so.support.near import nearest

if TYPE_CHECKING:
    from so.db.model.query import ModelQuery

_types: dict[str, list[weakref.ref[ModelMeta]]] = {}


_NONE: Any = object()


class ModelMeta(type):
    """The class of model classes."""

    _plan: Plan
    _query_class: type[ModelQuery]
    _events: events.Events
    _scopes: dict[str, Any]
    table: str
    type_alias: str

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        put = super().__setattr__
        put("_scopes", {})
        parents = [base for base in bases if isinstance(base, ModelMeta)]
        put("_events", events.Events(cls, [parent._events for parent in parents]))
        if "table" not in namespace and not _inherits_table(cls):
            put("table", plural(snake(name)))
            put("_table_is_derived", True)
        elif "table" in namespace:
            put("_table_is_derived", False)
        if "type_alias" not in namespace:
            put("type_alias", name)
        if namespace.get("lock_version") is True:
            put("lock_version", _VersionColumn())
        put("_plan", Plan(cls))
        if parents:
            cls._refuse_hidden_scopes()
            cls._tell_mixins()
            _types.setdefault(cls.type_alias, []).append(weakref.ref(cls))

    def _tell_mixins(cls) -> None:
        """Call `_defined` of each mixin that has one; one that refuses the class raises there."""
        for base in cls.__mro__:
            defined = vars(base).get("_defined")
            if defined is not None:
                defined.__get__(None, cls)()

    def _refuse_hidden_scopes(cls) -> None:
        """InvalidArgumentError for a scope behind a method of queries, which would be called."""
        for name in cls._plan.scopes:
            taken = hasattr(cls._query_class, name) or hasattr(ModelMeta, name)
            if taken or name in events.EVENTS:
                raise InvalidArgumentError(
                    f"{cls.__name__}.scope_{name} would never be reached: {cls.__name__}.{name}() "
                    f"is a method of every model's queries; give the scope another name, such as "
                    f"scope_{name}_{plural(snake(cls.__name__))}"
                )

    def __setattr__(cls, name: str, value: Any) -> None:
        is_version = name == "lock_version" and value is True
        before = vars(cls).get(name, _NONE)
        super().__setattr__(name, _VersionColumn() if is_version else value)
        if not name.startswith("__"):
            try:
                cls._renew()
            except BaseException:  # what is refused leaves the class as it was
                if before is _NONE:
                    super().__delattr__(name)
                else:
                    super().__setattr__(name, before)
                cls._renew()
                raise
        if name.startswith("scope_"):  # a subclass that was refused is nobody's any more
            cls._refuse_hidden_scopes()

    def __delattr__(cls, name: str) -> None:
        super().__delattr__(name)
        cls._renew()

    def _renew(cls) -> None:
        """Work out anew what follows from the class attributes, here and in subclasses."""
        super().__setattr__("_plan", Plan(cls))
        cls._events.forget()
        children: list[Any] = cls.__subclasses__()
        for child in children:
            if "_plan" in vars(child):  # the others were refused when they were made
                child._renew()

    def __getattr__(cls, name: str) -> Any:
        """Query methods and scopes (`User.where`, `User.active`) and events (`User.creating`)."""
        if not name.startswith("_"):
            if name in events.EVENTS:
                return lambda listener: cls._events.listen(name, listener)
            if name in cls._plan.scopes or hasattr(cls._query_class, name):
                return cls._of_query(name)
        raise _UnknownName(cls, name)

    def _of_query(cls, name: str) -> Any:
        try:
            return getattr(cls.query(), name)
        except RuntimeError:
            # No application runs: help(), which only looks, has its answer; who calls, the error.
            known = getattr(cls._query_class, name, None)
            if not callable(known):
                raise
            return functools.wraps(known)(
                lambda *args, **kw: getattr(cls.query(), name)(*args, **kw)
            )

    # --- queries

    def query(cls) -> ModelQuery:
        """A new query for models of this class, on the class's connection."""
        return cls._query_class(cls)

    def on(cls, source: Any) -> ModelQuery:
        """A new query on another connection: its name, a Connection or a Database.

        The models it finds and makes stay with that connection.
        """
        return cls._query_class(cls, source)

    def all(cls, columns: Any = None) -> Any:
        """Every model of this class, as a Collection."""
        return cls.query().get(columns)

    def make(cls, attributes: Mapping[str, Any] | None = None, /, **columns: Any) -> Any:
        """A new model, filled and not saved."""
        return cls(attributes, **columns)

    def create(cls, attributes: Mapping[str, Any] | None = None, /, **columns: Any) -> Any:
        """A new model, filled and saved; not `persisted` if a listener cancelled it."""
        model: Any = cls(attributes, **columns)
        model.save()
        return model

    # --- mass assignment and events

    def unguarded(cls, fn: Callable[[], Any] | None = None) -> Any:
        """Run *fn* with mass assignment open to every column; without it, for a `with` block."""
        return within(unguarded(), fn)

    def without_timestamps(cls, fn: Callable[[], Any] | None = None) -> Any:
        """Run *fn* with timestamps left as they are; without it, for a `with` block."""
        return within(timeless(), fn)

    def without_events(cls, fn: Callable[[], Any] | None = None) -> Any:
        """Run *fn* with no listener hearing of any model; without it, for a `with` block."""
        return within(events.muted(), fn)

    def observe(cls, observers: Any) -> None:
        """Let an observer (object or class), or several, hear of this class's events.

        A class is made by the running application's container, where one is running.
        """
        for observer in observers if isinstance(observers, list | tuple) else [observers]:
            cls._events.observe(observer)

    # --- global scopes

    def add_global_scope(cls, scope: Any, fn: Callable[[ModelQuery], Any] | None = None) -> None:
        """Constrain every query: a class or object with `apply(query, model)`, or a name and fn."""
        if fn is not None:
            cls._scopes[scope] = fn
        else:
            made = scope() if isinstance(scope, type) else scope
            cls._scopes[type(made).__name__] = made
        cls._renew()

    def global_scopes(cls) -> dict[str, Any]:
        """The scopes of this class and its parents by name."""
        found: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            found.update(vars(base).get("_scopes", ()))
        return found

    # --- strict modes

    def prevent_lazy_loading(cls, prevent: bool = True) -> None:
        """Make loading a relation one model at a time an error (LazyLoadingViolation)."""
        cls._prevents_lazy_loading = prevent

    def prevent_accessing_missing_attributes(cls, prevent: bool = True) -> None:
        """Make reading a column that was not selected a MissingAttributeError."""
        cls._prevents_missing = prevent

    def prevent_silently_discarding_attributes(cls, prevent: bool = True) -> None:
        """Make `fill()` with a column that is not fillable a MassAssignmentError."""
        cls._prevents_discarding = prevent

    def should_be_strict(cls, strict: bool = True) -> None:
        """Switch all three strict modes."""
        cls.prevent_lazy_loading(strict)
        cls.prevent_accessing_missing_attributes(strict)
        cls.prevent_silently_discarding_attributes(strict)

    # --- types by name

    def for_alias(cls, alias: str, near: str | None = None) -> type[Any]:
        """The model class whose `type_alias` this is; RelationError if none is known.

        Of several, the one that *near* names (by its module, or all of its name) is taken, else
        the one defined last; RelationError where those are models of different tables.
        """
        known = _known(alias)
        for found in reversed(known):
            if near is not None and near in (found.__module__, place_of(found)):
                return found
        if not known:
            raise RelationError(
                f"unknown model type {alias!r}: no model class of that name (or type_alias) is "
                "imported; import its module, or set type_alias on the class"
            )
        _refuse_rivals(alias, known)
        return known[-1]

    def aliases(cls) -> dict[str, type[Any]]:
        """Every known model class by its type alias, of several the one defined last."""
        return {alias: known[-1] for alias in _types if (known := _known(alias))}


class _VersionColumn:
    """`lock_version = True`, which stays so on the class; a model has its number there."""

    def __get__(self, model: Any, owner: Any = None) -> Any:
        return True if model is None else model.get_attribute("lock_version")

    def __set__(self, model: Any, value: Any) -> None:
        model.set_attribute("lock_version", value)


class _UnknownName(AttributeError):
    """Looks for the name that was meant once it is read: `getattr(User, "x", None)` is usual."""

    def __init__(self, cls: ModelMeta, name: str) -> None:
        super().__init__(cls, name, name=name, obj=cls)

    def __str__(self) -> str:
        cls, name = self.args
        return (
            f"model {cls.__name__} has no class attribute, query method or scope {name!r}"
            f"{_nearest(name, cls)}"
        )


def place_of(cls: type[Any]) -> str:
    """All of the name of *cls*: its module and its name there."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _known(alias: str) -> list[ModelMeta]:
    return [found for ref in _types.get(alias, ()) if (found := ref()) is not None]


def _refuse_rivals(alias: str, known: list[ModelMeta]) -> None:
    """RelationError where a row of one of these classes would be taken for a row of another."""
    homes = {(found.table, found.connection) for found in known}
    if len(homes) > 1:
        gc.collect()  # a class is in a cycle with itself: it outlives the last who held it
        homes = {(found.table, found.connection) for found in _known(alias)}
    if len(homes) > 1:
        names = " and ".join(sorted({place_of(found) for found in _known(alias)}))
        raise RelationError(
            f"{names} are both called {alias!r} and have different tables: which one is meant "
            "cannot be told, so set type_alias on one of them"
        )


def _inherits_table(cls: ModelMeta) -> bool:
    return any(
        isinstance(base, ModelMeta) and not getattr(base, "_table_is_derived", True)
        for base in cls.__mro__[1:]
    )


def _nearest(name: str, cls: ModelMeta) -> str:
    names = [*dir(cls._query_class), *cls._plan.scopes, *cls._plan.reserved, *events.EVENTS]
    close = nearest(name, [n for n in names if not n.startswith("_")])
    return f"; did you mean {close!r}?" if close else ""
