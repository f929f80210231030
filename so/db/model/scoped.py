"""The builder over one model class: scopes, models out of rows, keys, pages.

It is the query builder, with global scopes joined in when a statement is compiled, rows made
into models, named scopes as methods, and keys cast before they are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Self

from so.db import clauses as c
from so.db.casts import DatetimeCast
from so.db.model import eager
from so.db.model.collection import Models
from so.db.model.persistence import connection_of
from so.db.pagination import CursorPaginator, Paginator, SimplePaginator
from so.db.query import Query
from so.db.rows import Collection, Row
from so.errors import CastError, ModelNotFoundError, MultipleRecordsFoundError

_put = object.__setattr__


class ScopedQuery(Query):
    """The builder over one model class: scopes, hydration and reading."""

    _source: Any = None
    _without: frozenset[str] | None = frozenset()  # names of scopes left out; None: all of them
    _added: Mapping[str, Any] = {}  # scopes of this query alone, in place of those of their names
    _as_rows = False
    _computed: Mapping[str, Callable[[Any], Any]] = {}  # aggregates among the columns, and readers
    _is_whole = False  # the table of this query is another one's rows, with all their columns

    def __init__(self, model: Any, source: Any = None) -> None:
        """For models of class *model*, on its connection or on that of *source*."""
        runner = connection_of(model.connection if source is None else source)
        super().__init__(runner, runner.grammar, model.table)
        self.model = model
        if source is not None:
            self._source = source
        self._eager: eager.Wanted = eager.wanted(model.eager, {}) if model.eager else {}

    def __getattr__(self, name: str) -> Any:
        """A named scope (`scope_active` as `.active()`)."""
        if name[:1] == "_" or name == "model" or hasattr(type(self), name):
            return object.__getattribute__(self, name)  # raises what Python came here for
        if name in self.model._plan.scopes:
            return lambda *args, **kwargs: self.scope(name, *args, **kwargs)
        raise AttributeError(f"a query for {self.model.__name__} has no method or scope {name!r}")

    # --- queries within this one

    def _new_query(self) -> Any:
        """For conditions in parentheses: same model, no scopes of its own."""
        query = self.model.on(self.runner)
        query._without = None
        query._eager = {}
        return query

    def for_sub_query(self) -> Any:
        """An empty query of rows, to fill as a sub-query."""
        return Query(self.runner, self.grammar)

    def _union_member(self) -> Any:
        member = self.model.on(self.runner)
        member._without, member._added = self._without, self._added
        return member

    def _plain(self) -> Self:
        """This query, giving rows as rows."""
        query = self.clone()
        query._as_rows = True
        query._eager = {}
        return query

    def qualify(self, column: str) -> str:
        """`table.column`, unless the column is qualified already."""
        return column if "." in column else f"{self.table_name}.{column}"

    @property
    def table_name(self) -> str:
        """The name that qualifies this query's columns: the table's alias, or the table."""
        table = self.tree.table
        if isinstance(table, c.Aliased):
            return table.alias
        return self.grammar.alias_of(table)

    def _add(self, node: c.Node) -> Self:
        if self.model.date_format is not None:
            self._write_moments(node)
        return super()._add(node)

    def _write_moments(self, node: Any) -> None:
        """Put the moments that a condition compares with in the form in which they are stored."""
        if isinstance(node, (c.Compare, c.NullSafe)):
            node.value = self._as_stored(node.column, node.value)
        elif isinstance(node, c.In):
            node.values = [self._as_stored(node.column, value) for value in node.values]
        elif isinstance(node, c.Between) and not node.bounds_are_columns:
            low, high = node.bounds
            node.bounds = self._as_stored(node.subject, low), self._as_stored(node.subject, high)
        elif isinstance(node, c.RowValues):
            pairs = zip(node.columns, node.values, strict=False)
            node.values = [self._as_stored(column, value) for column, value in pairs]

    def _as_stored(self, column: Any, value: Any) -> Any:
        if not (isinstance(value, date) and isinstance(column, str)):
            return value
        name = _bare(column)
        cast = self.model._plan.casts.get(name)
        return cast.set(None, name, value, {}) if isinstance(cast, DatetimeCast) else value

    # --- scopes

    def _finished(self) -> c.Select:
        """The tree to compile, with what ties it to its parent, and the global scopes, in it."""
        self.apply_before_query_callbacks()
        ties = self._ties()
        scopes = self._scopes_in_force()
        if not ties and not scopes:
            return self.tree
        scoped = self.clone()
        scoped._without, scoped._added = None, {}
        tree = scoped.tree
        tree.conditions = [*ties, *c.sealed(tree.conditions)]
        for scope in scopes:
            before = len(tree.conditions)
            _apply(scope, scoped, self.model)
            tree.conditions[before:] = c.sealed(tree.conditions[before:])
        return tree

    def _ties(self) -> list[c.Node]:
        """What a relation demands of the rows."""
        return []

    def _scopes_in_force(self) -> list[Any]:
        without, added = self._without, list(self._added.values())
        if without is None:
            return added
        scopes = self.model._plan.global_scopes.items()
        return [scope for name, scope in scopes if name not in without] + added

    def with_scope(self, name: str, scope: Any) -> Self:
        """In place of the global scope *name*, apply *scope* (None: nothing) to this query."""
        self._added = {key: one for key, one in self._added.items() if key != name}
        if scope is not None:
            self._added = {**self._added, name: scope}
        return self.without_global_scope(name)

    def scope(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Apply the model's `scope_<name>`; its conditions stay together in parentheses."""
        method = self.model._plan.scopes.get(name)
        if method is None:
            known = ", ".join(self.model._plan.scopes) or "none"
            raise AttributeError(f"{self.model.__name__} has no scope {name!r}; it has {known}")
        before = len(self.keep_together().tree.conditions)
        result = method(self.model(), self, *args, **kwargs)
        added = self.tree.conditions[before:]
        joint = added[0].boolean.removesuffix(" not") if added else "and"
        self.tree.conditions[before:] = c.sealed(added, joint)
        return self if result is None else result

    def without_global_scope(self, scope: Any) -> Self:
        """Leave out one global scope: its class, its object, or its name."""
        return self.without_global_scopes([scope])

    def without_global_scopes(self, scopes: Any = None) -> Self:
        """Leave out these global scopes, or all of them."""
        if scopes is None:
            self._without = None
        elif self._without is not None:
            self._without = self._without | {_scope_name(scope) for scope in scopes}
        return self

    # --- models

    def _models(self, columns: Any = None) -> Models[Any]:
        """The rows as models, without eager loading."""
        query = self if columns is None else self._with_columns(columns)
        tree = query._model_tree()
        sql, bindings = query.grammar.compile_select(tree)
        names, rows = query.runner.fetch(sql, bindings, not query._use_write)
        if tree.group_limit is not None and names[-1] == "laravel_row":
            names = names[:-1]
        return query._made(names, rows)

    def _model_tree(self) -> c.Select:
        """The tree of a select whose rows become models."""
        return self._finished() if self._is_whole else self._whole_tree()

    def _become_table(self) -> Self:
        super()._become_table()
        self._without, self._added, self._is_whole = None, {}, True
        return self

    def _made(self, names: tuple[str, ...], rows: Any) -> Models[Any]:
        cls = self.model
        new, put = cls.__new__, _put
        models: Models[Any] = Models()
        for row in rows:
            model = new(cls)
            # One dict for both until the first assignment: most rows are only read.
            values = dict(zip(names, row))  # noqa: B905  a select gives rows of one length
            put(model, "_attributes", values)
            put(model, "_original", values)
            models.append(model)
        return self._settled(models)

    def _settled(self, models: Models[Any]) -> Models[Any]:
        """Fresh models with their home noted, told to whoever listens for `retrieved`."""
        if self._computed:
            for model in models:
                self._read_computed(model._attributes)
        if self._source is not None:
            for model in models:
                _put(model, "_source", self._source)
        if models and self.model._reads_are_told:
            self.model._were_read(models)
        if self.model._events.wanted("retrieved"):
            for model in models:
                model._fire("retrieved")
        return models

    def _read_computed(self, values: dict[str, Any]) -> None:
        """Make what the engine gave for `with_sum` and the like the same on every engine."""
        for name, read in self._computed.items():
            if values.get(name) is not None:
                values[name] = read(values[name])

    def _computed_rows(self) -> list[dict[str, Any]]:
        """The rows with what was computed in them, read from the writer; no models are made."""
        tree = self.use_write()._finished()
        names, rows = self.runner.fetch(*self.grammar.compile_select(tree), False)
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for row in found:
            self._read_computed(row)
        return found

    def _hydrate(self, rows: Any) -> Any:
        if self._as_rows:
            return super()._hydrate(rows)
        return self._settled(Models(self._from_row(row) for row in rows))

    def _from_row(self, row: Mapping[str, Any]) -> Any:
        model = self.model.__new__(self.model)
        values = dict(row)
        _put(model, "_attributes", values)
        _put(model, "_original", values)
        return model

    def get(self, columns: Any = None) -> Any:
        """The models, with the relations asked for by `with_`."""
        if self._as_rows:
            return super().get(columns)
        models = self._models(columns)
        if self._eager and models:
            eager.load(models, self._eager)
        return models if self._after is None else self.apply_after_query_callbacks(models)

    def cursor(self) -> Iterator[Any]:
        """The models one by one, in bounded memory; relations are not loaded ahead."""
        tree = self._model_tree()
        sql, bindings = self.grammar.compile_select(tree)
        names, rows = self.runner.stream(sql, bindings, not self._use_write)
        return (self._made(names, [row])[0] for row in rows)

    def _raw_row(self, columns: list[str] | None) -> dict[str, Any] | None:
        """The first row's stored values, read from the writer."""
        tree = self.clone().use_write().limit(1)._with_columns(columns)._finished()
        names, rows = self.runner.fetch(*self.grammar.compile_select(tree), False)
        return dict(zip(names, rows[0], strict=True)) if rows else None

    # --- eager loading

    def with_(self, *relations: Any, **constrained: Any) -> Self:
        """Load relations along: `with_("posts", "posts.comments", posts=lambda q: …)`."""
        self._eager = {**self._eager, **eager.wanted(relations, constrained)}
        return self

    def with_only(self, *relations: Any, **constrained: Any) -> Self:
        """Load these relations along and no others, whatever the model's `eager` says."""
        self._eager = eager.wanted(relations, constrained)
        return self

    def to_base(self) -> Query:
        """The same question as a query of rows, scopes and ties included: no models are made.

        Ask everything before: an `or_where` after it would stand beside the scopes.
        """
        query = Query(self.runner, self.grammar)
        query.tree, query._use_write = self.clone()._finished().copy(), self._use_write
        return query

    def without(self, *relations: str) -> Self:
        """Do not load these relations, though the model's `eager` or a `with_` said so."""
        self._eager = {
            name: constrain
            for name, constrain in self._eager.items()
            if not any(name == r or name.startswith(r + ".") for r in relations)
        }
        return self

    # --- one model

    def where_key(self, key: Any) -> Self:
        """The model with this key, or those with these; a key that cannot be one finds nothing."""
        column = self.qualify(self.model.primary_key)
        if isinstance(key, (list, tuple, set, frozenset, Collection)):
            keys = [cast for one in key if (cast := key_of(self.model, one)) is not None]
            return self.where_in(column, keys)
        cast = key_of(self.model, key)
        return self.where_in(column, []) if cast is None else self.where(column, "=", cast)

    def where_key_not(self, key: Any) -> Self:
        """Every model but the one with this key, or those with these."""
        keys = key if isinstance(key, (list, tuple, set, frozenset, Collection)) else [key]
        known = [cast for one in keys if (cast := key_of(self.model, one)) is not None]
        return self.where_not_in(self.qualify(self.model.primary_key), known)

    def find(self, id: Any, columns: Any = None) -> Any:
        """The model with this key, or None; of a list of keys, a Collection.

        A key that the key's type cannot be ('12abc', 2**80) finds nothing, without a query.
        """
        if isinstance(id, (list, tuple, set, frozenset, Collection)):
            return self.find_many(id, columns)
        key = key_of(self.model, id)
        if key is None:
            return None
        query = self._kept().where(self.qualify(self.model.primary_key), "=", key)
        return query.limit(1).get(columns).first()

    def find_many(self, ids: Any, columns: Any = None) -> Any:
        """The models with these keys; missing ones are left out. A text is one key."""
        several = [ids] if isinstance(ids, str) else ids
        keys = {key: None for one in several if (key := key_of(self.model, one)) is not None}
        return self._kept().where_key(list(keys)).get(columns) if keys else Models()

    def find_or_fail(self, id: Any, columns: Any = None) -> Any:
        """As `find`, but ModelNotFoundError if the model, or one of them, is not there."""
        found = self.find(id, columns)
        if isinstance(found, Models):
            missing = [key for key in id if found.find(key_of(self.model, key)) is None]
            if missing:
                raise ModelNotFoundError(self.model, missing)
        elif found is None:
            raise ModelNotFoundError(self.model, [id])
        return found

    def find_or_new(self, id: Any, columns: Any = None) -> Any:
        """The model with this key, or a new one."""
        found = self.find(id, columns)
        return self.new_model() if found is None else found

    def first_or_fail(self, columns: Any = None, message: str | None = None) -> Any:
        """The first model; ModelNotFoundError if there is none."""
        found = self.first(columns)
        if found is None:
            raise ModelNotFoundError(self.model, message=message)
        return found

    def first_where(self, *condition: Any, **equals: Any) -> Any:
        """The first model for which `where(…)` holds, or None."""
        return self._kept().where(*condition, **equals).first()

    def sole(self, columns: Any = None) -> Any:
        """The only model; ModelNotFoundError for none, MultipleRecordsFoundError for more."""
        found = self.clone().limit(2).get(columns)
        if not found:
            raise ModelNotFoundError(self.model)
        if len(found) > 1:
            raise MultipleRecordsFoundError(len(found))
        return found[0]

    def all(self, columns: Any = None) -> Any:
        """Every model the query finds."""
        return self.get(columns)

    # --- values, through casts

    def value(self, column: Any) -> Any:
        """The column's value in the first row, cast as the model casts it."""
        return self._cast_value(column, super().value(column))

    def value_or_fail(self, column: Any) -> Any:
        """As `value`; ModelNotFoundError if there is no row."""
        return self._cast_value(column, super().value_or_fail(column))

    def sole_value(self, column: Any) -> Any:
        """The column's value in the only row, cast as the model casts it."""
        return self._cast_value(column, super().sole_value(column))

    def pluck(self, column: Any, key: Any = None) -> Any:
        """A column's values as a list, or as a dict by another column's, cast as in the model."""
        found = super().pluck(column, key)
        if not self._reads(column) and not (key is not None and self._reads(key)):
            return found
        if key is None:
            return Collection([self._cast_value(column, value) for value in found])
        return {
            self._cast_value(key, name): self._cast_value(column, value)
            for name, value in found.items()
        }

    def _reads(self, column: Any) -> bool:
        return isinstance(column, str) and _bare(column) in self.model._plan.readers

    def _cast_value(self, column: Any, value: Any) -> Any:
        if not self._reads(column):
            return value
        name = _bare(column)
        return self._from_row({name: value}).get_attribute(name)

    def aggregate(self, function: str, columns: Any = "*") -> Any:
        """What an aggregate function gives; of a cast column as that column's values are."""
        found = super().aggregate(function, columns)
        of_values = function in ("min", "max") or (function == "sum" and found is not None)
        return self._cast_value(columns, found) if of_values else found

    def latest(self, column: Any = None) -> Self:
        """The newest first, by the model's time of creation unless a column is named."""
        return super().latest(column or self.model.CREATED_AT or "created_at")

    def oldest(self, column: Any = None) -> Self:
        """The oldest first, by the model's time of creation unless a column is named."""
        return super().oldest(column or self.model.CREATED_AT or "created_at")

    # --- in parts, in the order of the key

    def _enforce_order(self) -> None:
        if not self.tree.orders and not self.tree.union_orders:
            self.order_by(self.qualify(self.model.primary_key))

    def _chunks_by_id(
        self, count: int, column: str, alias: str | None, direction: str
    ) -> Iterator[Any]:
        if column == "id":
            key = self.model.primary_key
            column, alias = self.qualify(key), alias or key
        return super()._chunks_by_id(count, column, alias, direction)

    def paginate(
        self,
        per_page: Any = None,
        page: Any = None,
        columns: Any = None,
        page_name: str = "page",
        total: Any = None,
    ) -> Paginator:
        """One page of models and the total; *per_page* is the model's unless given."""
        size = self.model.per_page if per_page is None else per_page
        return super().paginate(size, page, columns, page_name, total)

    def simple_paginate(
        self, per_page: Any = None, page: Any = None, columns: Any = None, page_name: str = "page"
    ) -> SimplePaginator:
        """One page of models and whether there is another, without counting."""
        size = self.model.per_page if per_page is None else per_page
        return super().simple_paginate(size, page, columns, page_name)

    def cursor_paginate(
        self,
        per_page: Any = None,
        cursor: Any = None,
        columns: Any = None,
        cursor_name: str = "cursor",
    ) -> CursorPaginator:
        """One page of models, found by the model before it."""
        size = self.model.per_page if per_page is None else per_page
        return super().cursor_paginate(size, cursor, columns, cursor_name)

    def _key_of(self, table: str) -> list[str]:
        known, key = super()._key_of(table), self.model.primary_key
        return [key] if table == self.tree.table and key in known else known

    # --- new models

    def new_model(self, attributes: Mapping[str, Any] | None = None, /, **columns: Any) -> Any:
        """A new model, filled and not saved, at home on this query's connection."""
        model = self.model()
        if self._source is not None:
            _put(model, "_source", self._source)
        return self._filled(model, model.fill, attributes, columns)

    make = new_model

    def _filled(self, model: Any, fill: Callable[..., Any], values: Any, columns: Any) -> Any:
        """*model* after fill(values): what a relation guarantees is set before it, and after it.

        Before for mutators that look at it; after because *values* may come from a client.
        """
        self._adopt(model)
        if values or columns:
            fill(values, **columns)
            self._adopt(model)
        return model

    def _adopt(self, model: Any) -> None:
        """What a relation sets on a model that is made or saved through it."""
        for name, value in self._guaranteed().items():
            for other in same_columns(name, model._attributes):
                del model[other]
            model.set_attribute(name, value)

    def _guaranteed(self) -> dict[str, Any]:
        """The columns by which a relation ties a new row to the parent, and their values."""
        return {}

    def _guaranteed_names(self) -> tuple[str, ...]:
        """The columns of `_guaranteed()`."""
        return tuple(self._guaranteed())

    def _is_own(self, column: str) -> bool:
        """Is *column* one of those, however it is spelled?"""
        name = _bare(column.partition("->")[0]).lower()
        return name in {own.lower() for own in self._guaranteed_names()}

    def _with_guaranteed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A row's *values* with what a relation guarantees in place of whatever they say of it."""
        guaranteed = self._guaranteed()
        if not guaranteed:
            return dict(values)
        lowered = {name.lower() for name in guaranteed}
        kept = {n: v for n, v in values.items() if _bare(n).lower() not in lowered}
        return {**kept, **guaranteed}


def key_of(model: Any, value: Any) -> Any:
    """*value* as a key of *model*, or None if it cannot be one: `'12abc'`, `2**64`, True."""
    if model.key_type is not int:
        return _other_key(model, value)
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = model._plan.casts[model.primary_key].set(None, "", value, {})
    except (CastError, TypeError):
        return None
    return number if -(2**63) <= number < 2**63 else None


def _other_key(model: Any, value: Any) -> Any:
    if isinstance(value, (dict, list, set)) or value is None:
        return None
    return str(value) if model.key_type is str else value


def same_columns(name: str, names: Iterable[str]) -> list[str]:
    """Those of *names* that the database takes for *name*, which knows no case, but are not it."""
    lowered = name.lower()
    return [other for other in names if other != name and other.lower() == lowered]


def _bare(column: str) -> str:
    return column.rpartition(".")[2]


def _scope_name(scope: Any) -> str:
    if isinstance(scope, str):
        return scope
    return scope.__name__ if isinstance(scope, type) else type(scope).__name__


def _apply(scope: Any, query: Any, model: Any) -> None:
    apply: Callable[..., Any] | None = getattr(scope, "apply", None)
    if apply is not None:
        apply(query, model)
    else:
        scope(query)


__all__ = ["Row", "ScopedQuery", "key_of", "same_columns"]
