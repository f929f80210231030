"""`Model`: one class for one table, one object for one row.

The class side (queries, listeners, switches) is in `meta`; attributes, persistence and
serialising in the modules of those names. Here is what a model class may set, and its relations.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from so.db.model.attributes import _put
from so.db.model.collection import Loading, Related
from so.db.model.meta import ModelMeta
from so.db.model.persistence import Persistence
from so.db.model.query import ModelQuery
from so.db.model.serialising import Serialising
from so.db.naming import plural, snake
from so.db.relations.base import Relation
from so.db.relations.belongs_to import BelongsTo, MorphTo
from so.db.relations.has import HasMany, HasOne, MorphMany, MorphOne
from so.db.relations.pivot import BelongsToMany, MorphToMany
from so.db.relations.through import HasManyThrough, HasOneThrough
from so.errors import LazyLoadingViolation, RelationError

if TYPE_CHECKING:
    from so.db.factories import Factory

R = TypeVar("R")


class Model(Serialising, Persistence, Loading, metaclass=ModelMeta):
    """A row as an object: `user = User.find(5); user.name = "Ada"; user.save()`."""

    table: str
    """Default: the class name in snake_case, in the plural."""
    primary_key: str = "id"
    key_type: type = int
    """int, str, or another type whose values are bound as they are."""
    incrementing: bool = True
    """Whether the database gives new rows their key."""
    connection: Any = None
    """A connection's name (None: the default one), a Connection or a Database."""
    fillable: list[str] = []
    guarded: list[str] = ["id"]
    casts: dict[str, Any] = {}
    eager: list[str] = []
    """Relations that every query loads along."""
    per_page: int = 15
    timestamps: bool = True
    CREATED_AT: str | None = "created_at"
    UPDATED_AT: str | None = "updated_at"
    DELETED_AT: str | None = "deleted_at"
    date_format: str | None = None
    """How dates are stored (strftime), where that is not the database's own form."""
    attributes: dict[str, Any] = {}
    """What a new model starts with."""
    touches: list[str] = []
    """Relations to owners whose time of change is set when this model is written."""
    observers: list[Any] = []
    lock_version: bool | str = False
    """True, or a column's name: saving a row that changed meanwhile is a StaleModelError."""
    type_alias: str
    """What polymorphic columns and job payloads call this class; default: its name."""

    _query_class: ClassVar[type[ModelQuery]] = ModelQuery
    _prevents_lazy_loading: ClassVar[bool] = False
    _prevents_missing: ClassVar[bool] = False
    _prevents_discarding: ClassVar[bool] = False

    # --- hooks of other rooms

    _reads_are_told: ClassVar[bool] = False
    _pairs_are_told: ClassVar[bool] = False

    @classmethod
    def _were_read(cls, models: Any) -> None:
        """Called with the models of each query, where `_reads_are_told`."""

    @classmethod
    def _bulk(cls, query: Any, kind: str, values: Any, perform: Callable[..., R]) -> R:
        """Every write through a query of this class passes here; must call *perform*.

        kind: insert, insert_or_ignore, insert_or_ignore_returning, insert_using, upsert, update,
        increment, decrement, delete, force_delete, restore or truncate. *values*: what was given.
        `perform()` writes by *query*, `perform(other)` by another query of this class.
        """
        return perform()

    def _pivot_changed(
        self,
        relation: str,
        attached: list[Any],
        detached: list[Any],
        updated: list[Any],
        before: Mapping[Any, Mapping[str, Any]],
    ) -> None:
        """Called inside the transaction that changed pairs of a belongs_to_many of this model.

        *before*: pairs as they were, by related key; those updated only where `_pairs_are_told`.
        """

    @classmethod
    def resolve_route_binding(cls, value: str, field: str | None = None) -> Self | None:
        """The model a route parameter names, by key or by column *field*; None if there is none.

        A text that cannot be a key ('12abc', a number too large) asks the database nothing.
        """
        if field is not None and field != cls.primary_key:
            found: Self | None = cls.query()._where_id(field, value).first()
            return found
        if cls.key_type is int and not _is_canonical(value):
            return None
        by_key: Self | None = cls.query().find(value)
        return by_key

    def get_route_key(self) -> Any:
        """What stands for this model in a URL: its key."""
        return self.get_key()

    @classmethod
    def factory(cls, count: int | None = None) -> Factory:
        """Records for tests: `User.factory(3).create(role="admin")`; FactoryError without one."""
        from so.db.factories import factory_of

        return factory_of(cls, count)

    # --- what is loaded

    def related(self, name: str) -> Any:
        """A relation as a query: `user.related("posts").where("draft", False).count()`."""
        return self._definition(name).of(self)

    def relation_loaded(self, name: str) -> bool:
        """Is this relation loaded?"""
        return self._loaded is not None and name in self._loaded

    def set_relation(self, name: str, value: Any) -> Self:
        """Take *value*, models or one model or None, for what is related."""
        is_many = isinstance(value, (list, tuple)) and not isinstance(value, Related)
        self._keep_relation(name, Related(value, self, name) if is_many else value)
        return self

    def unset_relation(self, name: str) -> Self:
        """Forget what is loaded of a relation."""
        if self._loaded:
            self._loaded.pop(name, None)
        return self

    def get_relations(self) -> dict[str, Any]:
        """What is loaded, by relation."""
        return dict(self._loaded or {})

    def _models_here(self) -> list[Any]:
        return [self]

    def _keep_computed(self, values: Mapping[str, Any]) -> None:
        """Take computed columns for ones that were read with the others."""
        dirty = self._attributes is not self._original
        _put(self, "_original", {**self._original, **values})
        _put(self, "_attributes", {**self._attributes, **values} if dirty else self._original)

    def _definition(self, name: str) -> Any:
        found = self._plan.relations.get(name)
        if found is None:
            known = ", ".join(self._plan.relations) or "none"
            raise RelationError(
                f"{type(self).__name__} has no relation {name!r}; it has {known} "
                "(methods marked with @relation)"
            )
        return found

    def _relation_template(self, name: str) -> Relation:
        """The relation of no model in particular, for many at once."""
        blank = type(self)()
        _put(blank, "_source", self._source)
        found: Relation = self._definition(name).of(blank)
        return found

    def _load_lazily(self, name: str) -> Any:
        if self._prevents_lazy_loading and self._persisted and not self._recent:
            raise LazyLoadingViolation(
                f"relation {name!r} of {self!r} is not loaded, and loading it model by model is "
                f"switched off: add with_({name!r}) to the query, or call load({name!r})"
            )
        value = self.related(name).results()
        self._keep_relation(name, value)
        return value

    def _keep_relation(self, name: str, value: Any) -> None:
        if self._loaded is None:
            _put(self, "_loaded", {})
        self._loaded[name] = value  # type: ignore[index]

    # --- kinds of relations

    def has_one(
        self, related: type[Model], foreign_key: str | None = None, local_key: str | None = None
    ) -> HasOne:
        """One row of *related* holds this model's key, in `user_id` unless said otherwise."""
        return HasOne(
            related,
            self,
            foreign_key or _foreign_key(self.__class__),
            local_key or self.primary_key,
        )

    def has_many(
        self, related: type[Model], foreign_key: str | None = None, local_key: str | None = None
    ) -> HasMany:
        """Many rows of *related* hold this model's key, in `user_id` unless said otherwise."""
        return HasMany(
            related,
            self,
            foreign_key or _foreign_key(self.__class__),
            local_key or self.primary_key,
        )

    def belongs_to(
        self, related: type[Model], foreign_key: str | None = None, owner_key: str | None = None
    ) -> BelongsTo:
        """This row holds the key of *related*, in `<relation>_id` unless said otherwise."""
        return BelongsTo(related, self, foreign_key, owner_key or related.primary_key)

    def belongs_to_many(
        self,
        related: type[Model],
        pivot: str | None = None,
        foreign_key: str | None = None,
        related_key: str | None = None,
        parent_key: str | None = None,
        owner_key: str | None = None,
    ) -> BelongsToMany:
        """Pairs of keys in the table *pivot*: by default `role_user` with `user_id`, `role_id`."""
        names = sorted([snake(type(self).__name__), snake(related.__name__)])
        return BelongsToMany(
            related,
            self,
            pivot or "_".join(names),
            (foreign_key or _foreign_key(self.__class__), related_key or _foreign_key(related)),
            (parent_key or self.primary_key, owner_key or related.primary_key),
        )

    def has_many_through(
        self,
        related: type[Model],
        through: type[Model],
        first_key: str | None = None,
        second_key: str | None = None,
        local_key: str | None = None,
        second_local_key: str | None = None,
    ) -> HasManyThrough:
        """Rows of *related* that hold keys of *through* rows that hold this model's key."""
        keys = (first_key, second_key, local_key, second_local_key)
        return HasManyThrough(related, self, through, *self._keys_through(through, *keys))

    def has_one_through(
        self,
        related: type[Model],
        through: type[Model],
        first_key: str | None = None,
        second_key: str | None = None,
        local_key: str | None = None,
        second_local_key: str | None = None,
    ) -> HasOneThrough:
        """One row of *related* that holds the key of a *through* row that holds this model's."""
        keys = (first_key, second_key, local_key, second_local_key)
        return HasOneThrough(related, self, through, *self._keys_through(through, *keys))

    def _keys_through(
        self,
        through: type[Model],
        first: str | None,
        second: str | None,
        local: str | None,
        second_local: str | None,
    ) -> tuple[str, str, tuple[str, str]]:
        return (
            first or _foreign_key(self.__class__),
            second or _foreign_key(through),
            (local or self.primary_key, second_local or through.primary_key),
        )

    def morph_to_many(
        self,
        related: type[Model],
        name: str,
        pivot: str | None = None,
        foreign_key: str | None = None,
        related_key: str | None = None,
    ) -> MorphToMany:
        """Pairs with *related*, in `taggables` with `taggable_type`, `taggable_id`, `tag_id`."""
        return MorphToMany(
            related,
            self,
            pivot or plural(name),
            (foreign_key or f"{name}_id", related_key or _foreign_key(related)),
            (self.primary_key, related.primary_key),
            (f"{name}_type", self.type_alias),
        )

    def morphed_by_many(
        self,
        related: type[Model],
        name: str,
        pivot: str | None = None,
        foreign_key: str | None = None,
        related_key: str | None = None,
    ) -> MorphToMany:
        """The other side of `morph_to_many`: a tag's posts."""
        return MorphToMany(
            related,
            self,
            pivot or plural(name),
            (foreign_key or _foreign_key(self.__class__), related_key or f"{name}_id"),
            (self.primary_key, related.primary_key),
            (f"{name}_type", related.type_alias),
        )

    def morph_one(
        self,
        related: type[Model],
        name: str,
        type: str | None = None,
        id: str | None = None,
        local_key: str | None = None,
    ) -> MorphOne:
        """One row of *related* holds this model's type and key in `<name>_type`, `<name>_id`."""
        columns = (type or f"{name}_type", id or f"{name}_id")
        return MorphOne(related, self, *columns, local_key or self.primary_key)

    def morph_many(
        self,
        related: type[Model],
        name: str,
        type: str | None = None,
        id: str | None = None,
        local_key: str | None = None,
    ) -> MorphMany:
        """Many rows of *related* hold this model's type and key in `<name>_type`, `<name>_id`."""
        columns = (type or f"{name}_type", id or f"{name}_id")
        return MorphMany(related, self, *columns, local_key or self.primary_key)

    def morph_to(
        self,
        name: str | None = None,
        type: str | None = None,
        id: str | None = None,
        owner_key: str | None = None,
    ) -> MorphTo:
        """This row holds the type and key of a model of any class.

        Its columns are `{name}_type` and `{name}_id`; *name* is that of the method which calls
        this unless it says otherwise.
        """
        cls = self.__class__
        name = name or sys._getframe(1).f_code.co_name
        type_column = type or f"{name}_type"
        alias = self._attributes.get(type_column)
        related = cls.for_alias(alias, cls.__module__) if alias else None
        return MorphTo(related, self, type_column, id or f"{name}_id", owner_key)

    # --- as an object

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model) or self.get_key() is None:
            return self is other
        return self is other or self.is_(other)

    def __hash__(self) -> int:
        key = self.get_key()
        if key is None:
            raise TypeError(f"unhashable: this {type(self).__name__} has no key yet; save it first")
        return hash((self.table, key))

    def __repr__(self) -> str:
        key = self.get_key()
        named = "new" if key is None else f"{self.primary_key}={key!r}"
        return f"<{type(self).__name__} {named}>"


def _foreign_key(model: type[Model]) -> str:
    """What other tables call this model's key: `order_line_id`."""
    return f"{snake(model.__name__)}_{model.primary_key}"


def _is_canonical(value: Any) -> bool:
    """A whole number in the one way it is written: no blanks, signs, zeros in front."""
    text = str(value)
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
