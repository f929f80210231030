"""belongs_to_many: a table between two others (the pivot) holds pairs of their keys.

`row.pivot` is the pair, with the pivot's further columns. Attaching, detaching and syncing write
the pivot table; a synchronisation is one transaction. `_pivot_changed` tells the parent of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Self

from so.db import clauses as c
from so.db.casts import DatetimeCast
from so.db.model.collection import Models
from so.db.model.scoped import key_of
from so.db.query import Query
from so.db.relations.base import Relation, _put
from so.db.rows import Row
from so.db.values import bindable, plain
from so.errors import RelationError, UniqueConstraintError

_PREFIX = "pivot_"
_UNPAIRED = ("insert", "insert_or_ignore", "insert_or_ignore_returning", "insert_using", "upsert")
Extra = dict[str, Any]


class Pivot(Row):
    """The row of the table between: `user.roles[0].pivot.granted_at`."""

    __slots__ = ()


class BelongsToMany(Relation):
    """Users have roles, and roles have users."""

    kind: ClassVar[str] = "belongs_to_many"

    def __init__(
        self,
        related: Any,
        parent: Any,
        pivot: str,
        pivot_keys: tuple[str, str],
        keys: tuple[str, str],
    ) -> None:
        """*pivot_keys*: the pivot's columns for the parent's and the related key; *keys*: those."""
        super().__init__(related, parent)
        self.pivot = pivot
        self.foreign_key, self.related_pivot_key = pivot_keys
        self.parent_key, self.related_key = keys
        self._pivot_columns: tuple[str, ...] = ()
        self._pivot_stamps: tuple[str, str] | None = None
        self._pivot_conditions: list[tuple[str, tuple[Any, ...]]] = []
        self._pivot_class: Any = Pivot
        self._accessor = "pivot"
        own = self.qualify(self.related_key)
        self.join(self.pivot, own, "=", self._of_pivot(self.related_pivot_key))

    def _of_pivot(self, column: str) -> str:
        return column if "." in column else f"{self.pivot}.{column}"

    # --- what the pivot has

    def with_pivot(self, *columns: Any) -> Self:
        """Read these columns of the pivot along, into `row.pivot`."""
        names = [n for some in columns for n in ([some] if isinstance(some, str) else some)]
        self._pivot_columns = (*self._pivot_columns, *names)
        return self

    def with_timestamps(
        self, created_at: str = "created_at", updated_at: str = "updated_at"
    ) -> Self:
        """The pivot has these two columns: set them when attaching, read them along."""
        self._pivot_stamps = (created_at, updated_at)
        return self.with_pivot(created_at, updated_at)

    def with_pivot_value(self, column: str, value: Any) -> Self:
        """Only pairs with this value in a pivot column; what is attached gets it."""
        return self.where_pivot(column, value).with_pivot(column)

    def as_(self, accessor: str) -> Self:
        """Call the pair `row.<accessor>` instead of `row.pivot`."""
        self._accessor = accessor
        return self

    def using(self, pivot_class: Any) -> Self:
        """Make the pairs objects of *pivot_class*: a Model of the pivot table, or a kind of Pivot.

        A Model's casts hold for what is read and attached. No listener of it hears of the pairs.
        """
        self._pivot_class = pivot_class
        return self

    def where_pivot(self, column: str, *condition: Any) -> Self:
        """Only pairs whose pivot column is so; holds for attached() and detach() as well."""
        return self._pivot_where("where", column, condition)

    def or_where_pivot(self, column: str, *condition: Any) -> Self:
        """`or`, and otherwise as `where_pivot`: among the parent's pairs."""
        return self._pivot_where("or_where", column, condition)

    def where_pivot_in(self, column: str, values: Iterable[Any]) -> Self:
        """Only pairs whose pivot column is one of *values*."""
        return self._pivot_where("where_in", column, (list(values),))

    def or_where_pivot_in(self, column: str, values: Iterable[Any]) -> Self:
        """`or`, and otherwise as `where_pivot_in`."""
        return self._pivot_where("or_where_in", column, (list(values),))

    def where_pivot_not_in(self, column: str, values: Iterable[Any]) -> Self:
        """Only pairs whose pivot column is none of *values*."""
        return self._pivot_where("where_not_in", column, (list(values),))

    def or_where_pivot_not_in(self, column: str, values: Iterable[Any]) -> Self:
        """`or`, and otherwise as `where_pivot_not_in`."""
        return self._pivot_where("or_where_not_in", column, (list(values),))

    def where_pivot_between(self, column: str, *bounds: Any) -> Self:
        """Only pairs whose pivot column lies between two values."""
        return self._pivot_where("where_between", column, bounds)

    def or_where_pivot_between(self, column: str, *bounds: Any) -> Self:
        """`or`, and otherwise as `where_pivot_between`."""
        return self._pivot_where("or_where_between", column, bounds)

    def where_pivot_not_between(self, column: str, *bounds: Any) -> Self:
        """Only pairs whose pivot column does not lie between two values."""
        return self._pivot_where("where_not_between", column, bounds)

    def or_where_pivot_not_between(self, column: str, *bounds: Any) -> Self:
        """`or`, and otherwise as `where_pivot_not_between`."""
        return self._pivot_where("or_where_not_between", column, bounds)

    def where_pivot_null(self, column: str) -> Self:
        """Only pairs whose pivot column is null."""
        return self._pivot_where("where_null", column, ())

    def or_where_pivot_null(self, column: str) -> Self:
        """`or`, and otherwise as `where_pivot_null`."""
        return self._pivot_where("or_where_null", column, ())

    def where_pivot_not_null(self, column: str) -> Self:
        """Only pairs whose pivot column is not null."""
        return self._pivot_where("where_not_null", column, ())

    def or_where_pivot_not_null(self, column: str) -> Self:
        """`or`, and otherwise as `where_pivot_not_null`."""
        return self._pivot_where("or_where_not_null", column, ())

    def _pivot_where(self, method: str, column: str, condition: tuple[Any, ...]) -> Self:
        self._pivot_conditions = [*self._pivot_conditions, (method, (column, *condition))]
        getattr(self, method)(self._of_pivot(column), *condition)
        return self

    def order_by_pivot(self, column: str, direction: str = "asc") -> Self:
        """Order by a column of the pivot."""
        return self.order_by(self._of_pivot(column), direction)

    def order_by_pivot_desc(self, column: str) -> Self:
        """Order by a column of the pivot, the greatest first."""
        return self.order_by_pivot(column, "desc")

    # --- ties

    def _parent_column(self) -> str:
        return self.parent_key

    def _answer_column(self) -> str:
        return self.foreign_key

    def _group_column(self) -> str:
        return self._of_pivot(self.foreign_key)

    def _own_tie(self) -> list[c.Node]:
        return [self._equal_to_parent(self._of_pivot(self.foreign_key))]

    def _tie_to(self, keys: list[Any]) -> list[c.Node]:
        return [c.In("and", self._of_pivot(self.foreign_key), keys, False)]

    def _tie_to_outer(self, outer: str) -> list[c.Node]:
        mine = self._of_pivot(self.foreign_key)
        return [c.CompareColumns("and", f"{outer}.{self.parent_key}", "=", mine)]

    # --- reading

    def _whole_tree(self) -> c.Select:
        tree = self._finished().copy()
        columns = tree.columns if tree.columns is not None else self._all_columns()
        wanted = dict.fromkeys([self.foreign_key, self.related_pivot_key, *self._pivot_columns])
        pivot = [f"{self._of_pivot(name)} as {_PREFIX}{name}" for name in wanted]
        tree.columns = [*columns, *pivot]
        return tree

    def _settled(self, models: Models[Any]) -> Models[Any]:
        for model in models:
            values = model._attributes
            names = [name for name in values if name.startswith(_PREFIX)]
            pair = {name.removeprefix(_PREFIX): values.pop(name) for name in names}
            model._keep_relation(self._accessor, self._pair_object(pair))
        return super()._settled(models)

    def _pair_object(self, pair: dict[str, Any]) -> Any:
        if hasattr(self._pivot_class, "_plan"):
            made = self._pivot_class().set_raw_attributes(pair, sync=True)
            _put(made, "_persisted", True)
            return made
        pivot = self._pivot_class(pair)
        for name in self._pivot_stamps or ():
            pivot[name] = DatetimeCast().get(None, name, pivot.get(name), pivot)
        return pivot

    def _answer(self, model: Any, column: str) -> Any:
        return model._loaded[self._accessor][column]

    # --- writing pairs

    def attach(self, ids: Any, attributes: Mapping[str, Any] | None = None) -> None:
        """Add pairs: a key or model, several, or `{key: {pivot column: value}}`."""
        pairs = {key: {**(attributes or {}), **extra} for key, extra in self._pairs(ids).items()}
        self._changing(lambda before: self._attach(pairs))

    def detach(self, ids: Any = None) -> int:
        """Remove pairs, all of them without *ids*; how many went."""
        keys = None if ids is None else list(self._pairs(ids))
        changed = self._changing(lambda before: self._detach(keys, before))
        return len(changed["detached"])

    def sync(self, ids: Any, detaching: bool = True) -> dict[str, list[Any]]:
        """Make the pairs exactly these; `{"attached": […], "detached": […], "updated": […]}`."""
        wanted = self._pairs(ids)
        return self._changing(lambda before: self._sync(wanted, detaching, before))

    def sync_with_pivot_values(
        self, ids: Any, values: Mapping[str, Any], detaching: bool = True
    ) -> dict[str, list[Any]]:
        """`sync()`, with the same further columns for every pair."""
        return self.sync(
            {key: {**values, **own} for key, own in self._pairs(ids).items()}, detaching
        )

    def sync_without_detaching(self, ids: Any) -> dict[str, list[Any]]:
        """Add the pairs that are missing, change those given with values, and remove none."""
        return self.sync(ids, detaching=False)

    def toggle(self, ids: Any) -> dict[str, list[Any]]:
        """Add the pairs that are missing, remove those that are there: attached, detached."""
        wanted = self._pairs(ids)
        changed = self._changing(lambda before: self._toggle(wanted, before))
        return {kind: keys for kind, keys in changed.items() if kind != "updated"}

    def update_existing_pivot(self, id: Any, attributes: Mapping[str, Any]) -> int:
        """Change the pivot columns of one pair; how many rows matched."""
        (key,) = self._pairs([id])
        changed = self._changing(lambda before: self._update_pair(key, dict(attributes), before))
        return len(changed["updated"])

    def save(self, model: Any, pivot: Mapping[str, Any] | None = None) -> Any:
        """Save *model* and attach it."""
        self._need_parent_key("attach to")
        if not model.save():
            return False
        self.attach(model, pivot)
        return model

    def create(
        self,
        attributes: Mapping[str, Any] | None = None,
        /,
        pivot: Mapping[str, Any] | None = None,
        **columns: Any,
    ) -> Any:
        """A new related model, saved and attached, with *pivot* as further columns of the pair."""
        return self._saved(self.new_model(attributes, **columns), pivot)

    def _saved(self, model: Any, pivot: Mapping[str, Any] | None = None) -> Any:
        self._need_parent_key("attach to")
        if model.save():
            self.attach(model, pivot)
        return model

    # --- the one that may be there already: related to others, or to none, it is attached

    def first_or_new(
        self, attributes: Mapping[str, Any], values: Mapping[str, Any] | None = None
    ) -> Any:
        """The first related model with *attributes*, else any such model, else a new one."""
        found = self._first_with(attributes)
        if found is None:
            found = self._everyones()._first_with(attributes)
        return self.new_model({**attributes, **(values or {})}) if found is None else found

    def first_or_create(
        self,
        attributes: Mapping[str, Any],
        values: Any = None,
        pivot: Mapping[str, Any] | None = None,
    ) -> Any:
        """The first related model with *attributes*; else any such model, or a new one, attached.

        *pivot*: further columns of a pair that is made.
        """
        found = self._first_with(attributes)
        if found is not None:
            return found
        found = self._everyones()._first_with(attributes)
        if found is not None:
            return self._paired(found, pivot)
        return self.create_or_first(attributes, values, pivot)

    def create_or_first(
        self,
        attributes: Mapping[str, Any],
        values: Any = None,
        pivot: Mapping[str, Any] | None = None,
    ) -> Any:
        """A new model with *attributes* and *values*, or the one with its unique key; attached."""
        extra = (values() if callable(values) else values) or {}
        try:
            with self.runner.transaction():
                return self.create({**attributes, **extra}, pivot=pivot)
        except UniqueConstraintError:
            found = self._everyones()._first_now(attributes)
            if found is None:
                raise
            return self._paired(found, pivot)

    def _everyones(self) -> Any:
        """A query for models of the related class, whoever they are related to."""
        return self.model.query() if self._source is None else self.model.on(self._source)

    def _paired(self, model: Any, pivot: Mapping[str, Any] | None) -> Any:
        """*model*, attached unless it is already."""
        try:
            key = bindable(self._key(model))
            if not self.pivot_query().where(self.related_pivot_key, "=", key).exists():
                self.attach(model, pivot)
        except UniqueConstraintError:
            self.parent.unset_relation(self.name)  # somebody else has attached it meanwhile
        return model

    def update(self, values: Mapping[str, Any] | None = None, /, **columns: Any) -> int:
        """Change columns of the related rows; RelationError for those of the pairs."""
        given = {**(values or {}), **columns}
        for name in given:
            if name.partition(".")[0].lower() == self.pivot.lower() and "." in name:
                raise RelationError(
                    f"{name!r} is a column of the pairs of {self.name!r}: change it with "
                    "update_existing_pivot()"
                )
        return super().update(given)

    def _through(self, kind: str, values: Any, perform: Any) -> Any:
        if kind in _UNPAIRED:
            raise RelationError(
                f"{kind}() through {self.name!r} would leave the rows unpaired: use create() or "
                f"save() here, or {kind}() on {self.model.__name__} itself and attach()"
            )
        return super()._through(kind, values, perform)

    def all_related_ids(self) -> list[Any]:
        """The related keys of all pairs."""
        return [self._key(key) for key in self.pivot_query().pluck(self.related_pivot_key)]

    def pivot_query(self) -> Query:
        """A query on the pivot's rows of this parent, `where_pivot` included."""
        key = self._bound_key(self._need_parent_key("change"))
        query = Query(self.runner, self.grammar, self.pivot).where(self.foreign_key, "=", key)
        return query.where(self._as_defined) if self._pivot_conditions else query

    def _as_defined(self, query: Query) -> None:
        for method, arguments in self._pivot_conditions:
            getattr(query, method)(*arguments)

    def _changing(self, work: Callable[[dict[Any, Row]], Any]) -> dict[str, list[Any]]:
        """Run *work* in a transaction and tell the parent what it attached, detached, updated.

        *work* is given a dict for the pairs as they were, those that it changes or removes.
        """
        with self.runner.transaction():
            before: dict[Any, Row] = {}
            changed: dict[str, list[Any]] = {"attached": [], "detached": [], "updated": []}
            changed.update(work(before))
            self.parent.unset_relation(self.name)
            if any(changed.values()):
                kinds = (changed["attached"], changed["detached"], changed["updated"])
                self.parent._pivot_changed(self.name, *kinds, before)
        return changed

    def _attach(self, pairs: Mapping[Any, Extra]) -> dict[str, list[Any]]:
        parent = self._bound_key(self._need_parent_key("attach to"))
        rows = [
            {
                self.foreign_key: parent,
                self.related_pivot_key: bindable(key),
                **self._extra(extra),
                **self._stamps(extra, True),
                **self._equal_conditions(),
            }
            for key, extra in pairs.items()
        ]
        for some in _alike(rows):
            Query(self.runner, self.grammar, self.pivot).insert(some)
        return {"attached": list(pairs)}

    def _detach(self, keys: list[Any] | None, before: dict[Any, Row]) -> dict[str, list[Any]]:
        query = self.pivot_query()
        if keys is not None:
            query.where_in(self.related_pivot_key, keys)
        rows = query.get()
        gone = [self._key(row[self.related_pivot_key]) for row in rows]
        before.update(zip(gone, rows, strict=True))
        if gone:
            query.delete()
        return {"detached": gone}

    def _sync(
        self, wanted: Mapping[Any, Extra], detaching: bool, before: dict[Any, Row]
    ) -> dict[str, list[Any]]:
        present = self._present()
        before.update(present)
        gone = [key for key in present if key not in wanted] if detaching else []
        if gone:
            self._detach(gone, before)
        changed = [
            key
            for key, extra in wanted.items()
            if key in present and _differs(present[key], extra) and self._write_pair(key, extra)
        ]
        new = {key: extra for key, extra in wanted.items() if key not in present}
        if new:
            self._attach(new)
        return {"attached": list(new), "detached": gone, "updated": changed}

    def _toggle(self, wanted: Mapping[Any, Extra], before: dict[Any, Row]) -> dict[str, list[Any]]:
        present = self._present()
        gone = [key for key in wanted if key in present]
        if gone:
            self._detach(gone, before)
        new = {key: extra for key, extra in wanted.items() if key not in present}
        if new:
            self._attach(new)
        return {"attached": list(new), "detached": gone}

    def _present(self) -> dict[Any, Row]:
        return {self._key(row[self.related_pivot_key]): row for row in self.pivot_query().get()}

    def _update_pair(self, key: Any, extra: Extra, before: dict[Any, Row]) -> dict[str, list[Any]]:
        if self.parent._pairs_are_told:
            pairs = self.pivot_query().where(self.related_pivot_key, "=", bindable(key))
            before.update((key, row) for row in pairs.lock_for_update().get())
        return {"updated": [key] if self._write_pair(key, extra) else []}

    def _write_pair(self, key: Any, extra: Extra) -> int:
        query = self.pivot_query().where(self.related_pivot_key, "=", bindable(key))
        changes = {**self._extra(extra), **self._stamps(extra, False)}
        return query.update(changes) if changes else 0

    def _extra(self, extra: Extra) -> Extra:
        """The pivot's further columns: never its two keys, whose values the relation knows."""
        keys = {name.lower() for name in self._pair_columns()}
        own = {n: v for n, v in extra.items() if n.rpartition(".")[2].lower() not in keys}
        return own if not hasattr(self._pivot_class, "_plan") else self._cast(own)

    def _cast(self, extra: Extra) -> Extra:
        """The values as the pivot's Model stores them."""
        probe = self._pivot_class().force_fill(extra)
        return {name: probe._attributes.get(name) for name in extra}

    def _pair_columns(self) -> tuple[str, ...]:
        """The pivot's columns that say what is paired."""
        return (self.foreign_key, self.related_pivot_key)

    def _equal_conditions(self) -> Extra:
        """`where_pivot("role", "owner")` also says what to write when attaching."""
        return {
            arguments[0]: arguments[1]
            for method, arguments in self._pivot_conditions
            if method == "where" and len(arguments) == 2
        }

    def _stamps(self, extra: Mapping[str, Any], new: bool) -> Extra:
        if self._pivot_stamps is None:
            return {}
        names = self._pivot_stamps if new else self._pivot_stamps[1:]
        return {name: self.runner.clock.now() for name in names if name not in extra}

    def _pairs(self, ids: Any) -> dict[Any, Extra]:
        """*ids* in any of the forms allowed, as `{key: further columns}`."""
        if isinstance(ids, Mapping):
            return {self._key(key): dict(extra or {}) for key, extra in ids.items()}
        several = isinstance(ids, Iterable) and not isinstance(ids, (str, bytes))
        return {self._key(one): {} for one in (ids if several else [ids])}

    def _key(self, one: Any) -> Any:
        if hasattr(one, "_attributes"):
            one = one._attributes.get(self.related_key)
        if self.related_key != self.model.primary_key:
            return one
        key = key_of(self.model, one)
        if key is None:
            raise ValueError(f"{one!r} is not a key of {self.model.__name__}")
        return key


class MorphToMany(BelongsToMany):
    """Pairs whose one side is of any class: posts and videos have tags in one table."""

    kind: ClassVar[str] = "morph_to_many"

    def __init__(
        self,
        related: Any,
        parent: Any,
        pivot: str,
        pivot_keys: tuple[str, str],
        keys: tuple[str, str],
        of_type: tuple[str, str],
    ) -> None:
        """*of_type*: the pivot's column for the type, and the type of these pairs."""
        super().__init__(related, parent, pivot, pivot_keys, keys)
        self._type_column = of_type[0]
        self.with_pivot_value(*of_type)

    def _bound_key(self, key: Any) -> Any:
        # As in MorphMany: such columns may be text, and a column of numbers takes text as well.
        return str(key) if isinstance(key, int) else super()._bound_key(key)

    def _pair_columns(self) -> tuple[str, ...]:
        return (*super()._pair_columns(), self._type_column)


def _differs(row: Mapping[str, Any], extra: Mapping[str, Any]) -> bool:
    return any(_comparable(row.get(name)) != _comparable(v) for name, v in extra.items())


def _comparable(value: Any) -> Any:
    """A pivot value as the same thing, whether it was read from either engine or just given."""
    value = plain(value)
    if isinstance(value, bool):
        return Decimal(int(value))
    return Decimal(str(value)) if isinstance(value, (int, float)) else value


def _alike(rows: list[Extra]) -> list[list[Extra]]:
    """The rows in lists with the same columns, as one insert takes them."""
    groups: dict[frozenset[str], list[Extra]] = {}
    for row in rows:
        groups.setdefault(frozenset(row), []).append(row)
    return list(groups.values())
