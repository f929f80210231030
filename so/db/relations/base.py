"""What all relations share: a relation is a query for related models that knows what it is tied to.

Tied to one parent (`user.related("posts")`), to many at once (eager loading), or to the rows of
an outer query (`where_has`). The tie is joined in when the statement is compiled, beside whatever
was asked for in parentheses, so that an `or_where` cannot reach another parent's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from so.db import clauses as c
from so.db.model import eager
from so.db.model.collection import Models, Related
from so.db.model.query import ModelQuery
from so.db.query import Query
from so.db.values import bindable, in_parts
from so.errors import RelationError
from so.support.signatures import call_with

_put = object.__setattr__
_TIE = "so_tie"
_VALUE = "so_value"


class Relation(ModelQuery):
    """A query for the models related to `parent`."""

    kind: ClassVar[str] = "relation"
    is_relation: ClassVar[bool] = True
    many: ClassVar[bool] = True
    name: str = ""
    _tied_to: list[c.Node] | None = None
    _defined: Sequence[c.Node] = ()
    _is_correlated = False
    _default: Any = None

    def __init__(self, related: Any, parent: Any) -> None:
        super().__init__(related, _source_for(related, parent))
        self.parent = parent

    # --- what each kind says

    def _own_tie(self) -> list[c.Node]:
        """The conditions that tie the rows to the one parent."""
        raise NotImplementedError

    def _tie_to(self, keys: list[Any]) -> list[c.Node]:
        """The conditions that tie the rows to many parents, by their keys."""
        raise NotImplementedError

    def _tie_to_outer(self, outer: str) -> list[c.Node]:
        """The conditions that tie the rows to those of the outer query's table."""
        raise NotImplementedError

    def _parent_column(self) -> str:
        """The parent's column whose value the related rows answer to."""
        raise NotImplementedError

    def _answer_column(self) -> str:
        """The related model's attribute that holds the parent's value."""
        raise NotImplementedError

    def _group_column(self) -> str:
        """The column that tells which parent a row belongs to."""
        return self.qualify(self._answer_column())

    # --- tied to one parent

    def _define(self) -> None:
        """Take the conditions so far for the relation's own: no `or` of a caller undoes them."""
        self._defined, self.tree.conditions = c.sealed(self.tree.conditions), []

    def _ties(self) -> list[c.Node]:
        ties = self._own_tie() if self._tied_to is None else self._tied_to
        return [*ties, *self._defined]

    def _become_table(self) -> Self:
        super()._become_table()
        self._tied_to, self._defined = [], ()
        return self

    def _union_member(self) -> Self:
        """What the parent has of these, for a callback to narrow down."""
        member = self.clone()
        tree = member.tree = c.Select(self.tree.table)
        tree.joins = self.tree.joins
        return member

    def _all_columns(self) -> list[c.Column]:
        return [f"{self.table_name}.*"]

    def _parent_key(self) -> Any:
        return self.parent._attributes.get(self._parent_column())

    def _bound_key(self, key: Any) -> Any:
        """A parent's key as it is bound for a comparison with the related rows' column."""
        return bindable(key)

    def _equal_to_parent(self, column: str) -> c.Node:
        """column = the parent's key; nothing at all for a parent that has none yet."""
        key = self._parent_key()
        if key is None:
            return c.In("and", column, [], False)
        return c.Compare("and", column, "=", self._bound_key(key))

    def results(self) -> Any:
        """What is related: a collection, or for a to-one relation a model or None."""
        if self._parent_key() is None:
            return self._none()
        if self.many:
            return self._as_loaded(self.get())
        found = self.first()
        return self._none() if found is None else found

    def _none(self) -> Any:
        if self.many:
            return Related((), self.parent, self.name)
        return None if self._default is None else self._stand_in(self.parent)

    def with_default(self, default: Any = True, /, **columns: Any) -> Self:
        """Where nothing is related, a new model that is not saved, instead of None.

        With these attributes, or as fn(model, parent) fills it or makes it. For to-one relations.
        """
        if self.many:
            raise RelationError(f"with_default() is for one related model, not for {self.kind}")
        self._default = {**(default if isinstance(default, Mapping) else {}), **columns}
        if callable(default):
            self._default = default
        return self

    def _stand_in(self, parent: Any) -> Any:
        model = self.model()
        if self._source is not None:
            _put(model, "_source", self._source)
        self._tie_new(model, parent)
        if not callable(self._default):
            return model.force_fill(self._default)
        made = call_with(self._default, model, parent)
        if isinstance(made, Mapping):
            return model.force_fill(made)
        return model if made is None else made

    def _tie_new(self, model: Any, parent: Any) -> None:
        """Let a new related *model* hold what it holds of its parent."""

    def _as_loaded(self, models: Iterable[Any]) -> Related[Any]:
        return Related(models, self.parent, self.name)

    def to_query(self) -> Self:
        """The relation as the query it is."""
        return self

    # --- tied to many: eager loading

    def load_into(
        self, models: Sequence[Any], constrain: eager.Constraint, nested: eager.Wanted
    ) -> None:
        """Load what is related to all of *models* by one query (more only for very many keys)."""
        self._tied_to = []
        if constrain is not None:
            constrain(self)
        column = self._parent_column()
        found_keys = dict.fromkeys(model._attributes.get(column) for model in models)
        keys = [self._bound_key(key) for key in found_keys if key is not None]
        found = self._related_to(keys)
        eager.load(found, {**self._eager, **nested})
        self._match(models, found)

    def _related_to(self, keys: list[Any]) -> Models[Any]:
        found: Models[Any] = Models()
        marks = self.grammar.max_placeholders - len(self.get_bindings())
        size = max(1, marks // self._times_bound())
        most = getattr(self.runner, "max_statement_bytes", None)
        for some in in_parts(keys, size, most, lambda key: (key,)):
            part = self.clone()
            part._tied_to = self._tie_to(some)
            if part.tree.limit is not None or part.tree.offset is not None:
                _limit_each(part)
            found.extend(part._models())
        return found if self._after is None else self.apply_after_query_callbacks(found)

    def _times_bound(self) -> int:
        """How often a parent's key stands in the statement that loads what is related."""
        return 1

    def _match(self, models: Sequence[Any], found: Sequence[Any]) -> None:
        groups: dict[Any, list[Any]] = {}
        answer = self._answer_column()
        for model in found:
            groups.setdefault(same_key(self._answer(model, answer)), []).append(model)
        column = self._parent_column()
        for model in models:
            key = model._attributes.get(column)
            mine = groups.get(same_key(key), ()) if key is not None else ()
            model._keep_relation(self.name, self._among(mine, model))

    def _among(self, mine: Sequence[Any], parent: Any) -> Any:
        """What *parent* has loaded, of the models found for it."""
        if self.many:
            return Related(mine, parent, self.name)
        if mine:
            return mine[0]
        return None if self._default is None else self._stand_in(parent)

    def _answer(self, model: Any, column: str) -> Any:
        try:
            return model._attributes[column]
        except KeyError:
            raise RelationError(
                f"cannot tell whose {self.model.__name__} these are: the query for relation "
                f"{self.name!r} selects no {column!r}; select it as well"
            ) from None

    # --- tied to an outer query

    def correlated(
        self, outer: Any, fn: Callable[[Any], Any] | None = None, column: c.Column | None = None
    ) -> Query:
        """What fn(query) leaves of this relation, tied to the rows of *outer*, for a sub-query.

        With *column* it gives that one, or `so_value` for it where the rows are asked from outside.
        """
        apart = self._is_apart(outer)
        self._is_correlated = True
        self._tied_to = self._tie_apart() if apart else self._tie_to_outer(outer.table_name)
        if fn is not None:
            fn(self)
        return self._tied_from_outside(outer, column) if apart else self

    def aggregated(
        self, outer: Any, fn: Callable[[Any], Any] | None, column: Any
    ) -> tuple[Query, Any]:
        """`correlated()` to be added up, in no order, and the name of *column* in it."""
        own = self.qualify(column) if isinstance(column, str) and column != "*" else column
        if self._is_apart(outer):
            asked = None if column == "*" else own
            return self.correlated(outer, fn, asked), own if asked is None else _VALUE
        query = self.correlated(outer, fn).reorder()
        query.tree.columns = None
        return query, own

    def _is_apart(self, outer: Any) -> bool:
        """Does the outer query's table stand in this one, too?"""
        return outer.table_name in self._table_names()

    def _table_names(self) -> set[str]:
        """The names that stand for a table within this query."""
        joined = [join.table for join in self.tree.joins or () if isinstance(join.table, str)]
        return {self.table_name, *map(self.grammar.alias_of, joined)}

    def _tie_apart(self) -> list[c.Node]:
        """What holds of the related rows of any parent."""
        return []

    def _tied_from_outside(self, outer: Any, value: c.Column | None = None) -> Query:
        """This query as a table of its own, whose rows are tied to those of *outer*.

        For a relation to the very table it starts from: every name written in it, in its
        definition or by a callback, then means the related row, and none the outer one.
        """
        inner = self._finished().copy()
        column = self._group_column()
        chosen = (inner.columns or []) if value is None else [self._as_value(value)]
        inner.columns = [*chosen, f"{column} as {_TIE}"]
        if inner.havings and not inner.groups:
            inner.groups = [column]  # the groups are then each parent's rows, as they were meant
        alias = f"{self.name}_of_{outer.table_name}"
        query = Query(self.runner, self.grammar, c.Aliased(c.Sub(inner), alias))
        return query.where_column(
            f"{alias}.{_TIE}", "=", f"{outer.table_name}.{self._parent_column()}"
        )

    def _as_value(self, column: c.Column) -> c.Column:
        bindings: list[Any] = []
        return c.RawSql(f"{self.grammar.column(column, bindings)} as {_VALUE}", bindings)

    # --- writing: what the parent has loaded of this relation is out of date then

    def save(self, model: Any) -> Any:
        """Tie *model* to the parent and save it; the model, or False if it was not saved."""
        self._adopt(model)
        self.parent.unset_relation(self.name)
        return model if model.save() else False

    def new_model(self, attributes: Any = None, /, **columns: Any) -> Any:
        """A new model tied to the parent, filled and not saved."""
        self.parent.unset_relation(self.name)
        return super().new_model(attributes, **columns)

    make = new_model

    def _through(self, kind: str, values: Any, perform: Callable[[Any], Any]) -> Any:
        self.parent.unset_relation(self.name)
        return super()._through(kind, values, perform)

    def save_quietly(self, model: Any) -> Any:
        """As `save()`, with no listener hearing of it."""
        return self.model.without_events(lambda: self.save(model))

    def save_many(self, models: Iterable[Any]) -> list[Any]:
        """Tie each of *models* to the parent and save it."""
        return [self.save(model) for model in models]

    def _need_parent_key(self, doing: str) -> Any:
        key = self._parent_key()
        if key is None:
            raise RelationError(
                f"cannot {doing} {self.name or self.model.__name__!r} of a "
                f"{type(self.parent).__name__} that has no {self._parent_column()!r}: save it first"
            )
        return key


def _source_for(related: Any, parent: Any) -> Any:
    """Where to look: the related class's own connection, else where the parent came from."""
    return None if related.connection is not None else parent._home()


def same_key(value: Any) -> Any:
    """A key as a dictionary key: 5 and '5' are one, for columns that keep numbers as text."""
    return value if type(value) is str else str(value)


def _limit_each(part: Relation) -> None:
    """A limit inside an eager load means so many for each parent."""
    tree = part.tree
    if tree.limit is not None:
        tree.group_limit = (tree.limit, part._group_column())
        tree.limit = None
