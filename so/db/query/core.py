"""The heart of a query: its clause tree, its runner and grammar, and how sub-queries come in.

What a query can say is in the modules beside this one, each adding to the one before:
conditions (where), clauses (select, join, group, order, …), reading and writing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.grammar.base import SECTIONS, Grammar
from so.db.grammar.names import AS
from so.db.keys import column_types, key_of
from so.db.rows import Collection, Row
from so.db.values import KEPT, bindable
from so.errors import InvalidArgumentError
from so.support import numbers
from so.support.listed import listed
from so.support.signatures import call_with

Callback = Callable[..., Any]
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
OPERATORS: frozenset[str] = frozenset(
    "= < > <= >= <> != <=> & | ^ << >> &~ ~ ~* !~ !~* ~~* !~~* ilike rlike regexp like is".split()
) | {
    "like binary",
    "not like",
    "is not",
    "not rlike",
    "not regexp",
    "similar to",
    "not similar to",
    "not ilike",
}
EQUAL = frozenset({"=", "<=>", "is"})
UNEQUAL = frozenset({"!=", "<>", "is not"})
_BOOLEANS = frozenset({"and", "or", "and not", "or not"})
_SECTION_NAMES = {name: name for name in SECTIONS} | {
    "groupBy": "group_by",
    "unionOrder": "union_order",
}


class Runner(Protocol):
    """What a query needs of a connection."""

    def select(self, sql: str, bindings: Sequence[Any] = ..., use_read: bool = ...) -> Any: ...
    def insert(self, sql: str, bindings: Sequence[Any] = ...) -> bool: ...
    def insert_get_id(self, sql: str, bindings: Sequence[Any] = ...) -> int: ...
    def update(self, sql: str, bindings: Sequence[Any] = ...) -> int: ...
    def delete(self, sql: str, bindings: Sequence[Any] = ...) -> int: ...
    def statement(self, sql: str, bindings: Sequence[Any] = ...) -> bool: ...
    def affecting_statement(self, sql: str, bindings: Sequence[Any] = ...) -> int: ...


class QueryCore:
    """Clause tree, runner and grammar, and what all parts of the builder share."""

    _before: list[Callback] | None = None
    _after: list[Callback] | None = None
    _use_write = False

    def __init__(self, runner: Any, grammar: Grammar, table: Any = None) -> None:
        self.runner = runner
        self.grammar = grammar
        self.tree = c.Select(table)

    # --- new queries ----------------------------------------------------------------------------

    def _new_query(self) -> Self:
        """An empty query of this kind, for closures and sub-queries."""
        return type(self)(self.runner, self.grammar)

    def new_query(self) -> Self:
        """An empty query on the same connection."""
        return self._new_query()

    def clone(self) -> Self:
        """A copy: what is added to it does not touch this query."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.tree = self.tree.copy()
        if self._before:
            twin._before = list(self._before)
        if self._after:
            twin._after = list(self._after)
        return twin

    __copy__ = clone

    def clone_without(self, parts: Iterable[str]) -> Self:
        """A copy without the named parts: `columns`, `wheres`, `joins`, `groups`, `orders`, …"""
        twin = self.clone()
        for part in parts:
            name = _PARTS.get(part)
            if name is None:
                raise InvalidArgumentError(
                    f"unknown part {part!r}: use one of {', '.join(sorted(_PARTS))}"
                )
            if name == "conditions":
                twin.tree.conditions = []
            else:
                twin.tree.__dict__.pop(name, None)
        return twin

    def clone_without_bindings(self, sections: Iterable[str]) -> Self:
        """A copy without the bindings that were added to *sections* by hand.

        The bindings of clauses live and go with their clauses.
        """
        twin = self.clone()
        for section in sections:
            name = _section(section)
            for store in (twin.tree.added, twin.tree.replaced):
                if store:
                    store.pop(name, None)
        return twin

    # --- SQL and bindings -----------------------------------------------------------------------

    def _finished(self) -> c.Select:
        """The tree to compile, after the `before_query` callbacks."""
        if self._before:
            self.apply_before_query_callbacks()
        return self.tree

    def to_sql(self) -> str:
        """The select statement, with `?` for each value."""
        return self.grammar.compile_select(self._finished())[0]

    def get_bindings(self) -> list[Any]:
        """The values for the placeholders of `to_sql()`, in that order."""
        return self.grammar.compile_select(self._finished())[1]

    def get_raw_bindings(self) -> dict[str, list[Any]]:
        """The values by the part of the query they belong to: select, from, join, where, …"""
        return self.grammar.raw_bindings(self._finished())

    def to_raw_sql(self) -> str:
        """The statement with its values written in: to read, never to run."""
        return substitute(*self.grammar.compile_select(self._finished()))

    def add_binding(self, value: Any, section: str = "where") -> Self:
        """Add a value, or a list of them, to a part of the query that was written by hand."""
        values = [bindable(one) for one in listed(value)]
        if self.tree.added is None:
            self.tree.added = {}
        self.tree.added.setdefault(_section(section), []).extend(values)
        return self

    def set_bindings(self, bindings: Iterable[Any], section: str = "where") -> Self:
        """Put *bindings* in place of a part's values."""
        name = _section(section)
        if self.tree.replaced is None:
            self.tree.replaced = {}
        self.tree.replaced[name] = [bindable(one) for one in bindings]
        if self.tree.added:
            self.tree.added.pop(name, None)
        return self

    def merge_bindings(self, query: QueryCore) -> Self:
        """Add all of another query's values, part by part."""
        for section, values in query.get_raw_bindings().items():
            if values:
                self.add_binding(values, section)
        return self

    def clean_bindings(self, bindings: Iterable[Any]) -> list[Any]:
        """*bindings* without the Expressions, which are text and not bound."""
        return [bindable(one) for one in bindings if not isinstance(one, Expression)]

    def raw(self, value: Any) -> Expression:
        """*value* as SQL; never a client's input."""
        return Expression(value)

    def get_grammar(self) -> Grammar:
        """The dialect this query is written in."""
        return self.grammar

    def get_connection(self) -> Any:
        """The connection this query runs on."""
        return self.runner

    # --- hooks ----------------------------------------------------------------------------------

    def before_query(self, fn: Callback) -> Self:
        """Call fn(query) right before the query is compiled; once."""
        self._before = [*(self._before or []), fn]
        return self

    def apply_before_query_callbacks(self) -> None:
        """Run and forget the `before_query` callbacks."""
        callbacks, self._before = self._before, None
        for fn in callbacks or ():
            fn(self)

    def after_query(self, fn: Callback) -> Self:
        """Call fn(result) with what a read gave; what it returns replaces the result."""
        self._after = [*(self._after or []), fn]
        return self

    def apply_after_query_callbacks(self, result: Any) -> Any:
        """*result* as the `after_query` callbacks leave it."""
        for fn in self._after or ():
            changed = fn(result)
            result = result if changed is None else changed
        return result

    def when(
        self, condition: Any, fn: Callback | None = None, default: Callback | None = None
    ) -> Any:
        """fn(query, condition) if *condition* holds, else default(query, condition).

        *condition* may be a callable of the query. What the callback returns replaces the query.
        """
        value = _settled(condition, self)
        return self._branch(fn if value else default, value)

    def unless(
        self, condition: Any, fn: Callback | None = None, default: Callback | None = None
    ) -> Any:
        """fn(query, condition) unless *condition* holds, else default(query, condition)."""
        value = _settled(condition, self)
        return self._branch(default if value else fn, value)

    def _branch(self, fn: Callback | None, value: Any) -> Any:
        result = None if fn is None else call_with(fn, self, value)
        return self if result is None else result

    def tap(self, fn: Callback) -> Self:
        """fn(query), whatever it returns; gives the query."""
        fn(self)
        return self

    def pipe(self, fn: Callback) -> Any:
        """fn(query): what it returns, or the query for None."""
        result = fn(self)
        return self if result is None else result

    # --- the words in which the parts of a query speak to each other --------------------------

    if TYPE_CHECKING:

        def where(self, *args: Any, **kwargs: Any) -> Self: ...
        def where_column(self, *args: Any, **kwargs: Any) -> Self: ...
        def where_nested(self, *args: Any, **kwargs: Any) -> Self: ...
        def where_null(self, *args: Any, **kwargs: Any) -> Self: ...
        def where_between(self, *args: Any, **kwargs: Any) -> Self: ...
        def where_not_null(self, *args: Any, **kwargs: Any) -> Self: ...
        def select(self, *args: Any, **kwargs: Any) -> Self: ...
        def select_raw(self, *args: Any, **kwargs: Any) -> Self: ...
        def order_by(self, *args: Any, **kwargs: Any) -> Self: ...
        def reorder(self, *args: Any, **kwargs: Any) -> Self: ...
        def limit(self, *args: Any, **kwargs: Any) -> Self: ...
        def offset(self, *args: Any, **kwargs: Any) -> Self: ...
        def _join_clause(self, kind: str, table: Any) -> Any: ...
        def _with_columns(self, columns: Any) -> Self: ...
        def get(self, *args: Any, **kwargs: Any) -> Any: ...
        def get_count_for_pagination(self, columns: Any = ...) -> int: ...
        def exists(self) -> bool: ...
        def insert(self, values: Any) -> bool: ...

    # --- adding clauses -------------------------------------------------------------------------

    def _add(self, node: c.Node) -> Self:
        self.tree.conditions.append(node)
        return self

    def _operator(self, operator: Any) -> str:
        """*operator* as the caller wrote it, if it is one."""
        if isinstance(operator, str):
            word = operator.lower()
            if word in OPERATORS or word in self.grammar.operators:
                return operator
        raise InvalidArgumentError(
            f"unknown operator {operator!r}: use =, !=, <, <=, >, >=, like, not like, …"
        )

    def keep_together(self) -> Self:
        """Put the conditions so far in parentheses, if what is added could change their meaning."""
        tree = self.tree
        if tree.conditions:
            tree.conditions = c.sealed(tree.conditions)
        return self

    def _kept(self) -> Self:
        """A copy for conditions of our own: none that is there already can widen them."""
        return self.clone().keep_together()

    def _where_id(self, column: str, id: Any) -> Self:
        """The row with this id: a text that is no number is none of a column of numbers."""
        self.where(column, "=", id)
        return self._where_text(column) if self._is_odd(id) else self

    def _is_odd(self, id: Any) -> bool:
        """Is *id* a text whose first digits MySQL would take for a number: `'5abc'`, `'2_0'`?"""
        if not isinstance(id, str) or self.grammar.name != "mysql" or self.grammar.literal:
            return False
        return numbers.decimal(id) is None

    def _where_text(self, column: str) -> Self:
        text = Expression(f"cast({self.grammar.wrap(column)} as char)")
        return self.where(text, "not regexp", "^-?[0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?$")

    def for_nested_where(self) -> Self:
        """An empty query on the same table, for conditions in parentheses."""
        query = self._new_query()
        query.tree.table = self.tree.table
        return query

    def _compare_null(self, column: c.Column, operator: str, boolean: str) -> Self:
        word = operator.lower()
        if word not in EQUAL and word not in UNEQUAL:
            raise InvalidArgumentError("Illegal operator and value combination.")
        return self._add(c.IsNull(boolean, column, word in UNEQUAL))

    def _select_all(self, columns: tuple[Any, ...]) -> Self:
        for column in columns:
            if type(column) is str:
                self._select_name(column)
            elif isinstance(column, Mapping):
                for name, some in column.items():
                    self._select_as(name, some)
            elif isinstance(column, (list, tuple)):
                self._select_all(tuple(column))
            else:
                self._select_list().append(self._column(column))
        return self

    def _select_list(self) -> list[c.Column]:
        if self.tree.columns is None:
            self.tree.columns = []
        return self.tree.columns

    def _select_name(self, column: str) -> None:
        columns = self._select_list()
        if column not in columns:
            columns.append(column)

    def _select_as(self, name: str, column: Any) -> None:
        if not is_queryable(column):
            self._select_all((column,))
            return
        if self.tree.columns is None and isinstance(self.tree.table, str):
            self.tree.columns = [self.grammar.alias_of(self.tree.table) + ".*"]
        self.select_sub(column, name)

    def select_sub(self, query: Any, as_: str) -> Self:
        """Select what a sub-query gives, under the name *as_*."""
        self._select_list().append(c.Aliased(self._sub(query), as_))
        return self

    def _order(self, order: Any) -> Self:
        tree = self.tree
        if tree.unions:
            tree.union_orders = [*(tree.union_orders or []), order]
        elif tree.orders is None:
            tree.orders = [order]
        else:
            tree.orders.append(order)
        return self

    def get_limit(self) -> int | None:
        """The limit, of the union if this is one."""
        return self.tree.union_limit if self.tree.unions else self.tree.limit

    def get_offset(self) -> int | None:
        """The offset, of the union if this is one."""
        return self.tree.union_offset if self.tree.unions else self.tree.offset

    def _table(self, table: Any) -> Any:
        if isinstance(table, (str, Expression, c.Aliased, c.RawSql)):
            return table
        raise InvalidArgumentError(
            f"a table must be a name or an Expression, not {type(table).__name__}"
        )

    def _rows(self) -> Any:
        """Run the select: what the connection gives."""
        sql, bindings = self.grammar.compile_select(self._finished())
        return self.runner.select(sql, bindings, not self._use_write)

    def _hydrate(self, rows: Any) -> Any:
        """What callers get for the rows a select gave; a model's query makes models of them."""
        return rows if isinstance(rows, Collection) else collected(rows)

    def _plain(self) -> Any:
        """The query to use where rows are wanted as rows, whatever `_hydrate` makes of them."""
        return self

    def _all_columns(self) -> list[c.Column]:
        """What is selected where no column was named."""
        return ["*"]

    def _key_of(self, table: str) -> list[str]:
        """The columns that tell the rows of *table* apart; none where nobody knows."""
        return list(self._asked(key_of, table))

    def _columns_of(self, table: str) -> list[str]:
        """All columns of *table*; none where nobody knows."""
        return list(self._types_of(table))

    def _types_of(self, table: Any) -> dict[str, str]:
        """All columns of *table* and their types; none where nobody knows."""
        return dict(self._asked(column_types, table))

    def _asked(self, ask: Callable[[Any, str], Any], table: Any) -> Any:
        connection: Any = self.runner
        if not isinstance(table, str):
            return ()
        name = AS.split(table, maxsplit=1)[0]
        return ask(connection, name) if hasattr(connection, "quietly") else ()

    # --- sub-queries ----------------------------------------------------------------------------

    def for_sub_query(self) -> Self:
        """An empty query to fill as a sub-query of this one."""
        return self._new_query()

    def _sub(self, query: Any) -> c.Sub:
        """A query, a callable that fills one, or the text of one, as a sub-query."""
        if isinstance(query, str):
            return c.Sub(query)
        if isinstance(query, Expression):
            return c.Sub(query.value)
        return c.Sub(self._sub_tree(query))

    def _sub_tree(self, query: Any, fresh: Callable[[], QueryCore] | None = None) -> c.Select:
        found = as_query(query)
        if found is not None:
            return found.clone()._finished()
        if not callable(query):
            raise InvalidArgumentError(
                "A subquery must be a query, a callable that fills one, or SQL text; "
                f"got {type(query).__name__}"
            )
        target = (fresh or self.for_sub_query)()
        # A callback may start over and return another query; normally it returns this one.
        result = as_query(query(target))
        return (result or target)._finished()

    def _column(self, column: Any) -> c.Column:
        """A column given by the caller: a name, an Expression, or a sub-query."""
        if isinstance(column, (str, Expression)):
            return column
        if is_queryable(column):
            return self._sub(column)
        raise InvalidArgumentError(
            f"a column must be a name or an Expression, not {type(column).__name__} "
            f"({column!r:.60})"
        )

    def _bound(self, value: Any) -> Any:
        """A value given by the caller: converted, or an Expression as it is."""
        return value if isinstance(value, Expression) else finite(bindable(value))


_PARTS = {
    "columns": "columns",
    "distinct": "distinct",
    "aggregate": "aggregate",
    "joins": "joins",
    "wheres": "conditions",
    "groups": "groups",
    "havings": "havings",
    "orders": "orders",
    "limit": "limit",
    "offset": "offset",
    "unions": "unions",
    "lock": "lock",
    "timeout": "timeout",
    "group_limit": "group_limit",
    "index_hint": "index_hint",
    "union_orders": "union_orders",
    "union_limit": "union_limit",
    "union_offset": "union_offset",
    "unionOrders": "union_orders",
    "unionLimit": "union_limit",
    "unionOffset": "union_offset",
}


def as_query(value: Any) -> QueryCore | None:
    """The query behind *value*: itself, or what its `to_query()` gives (relations); else None."""
    if isinstance(value, QueryCore):
        return value
    if type(value) in KEPT or isinstance(value, list):
        return None
    unwrap = getattr(value, "to_query", None)
    if callable(unwrap) and not isinstance(value, type):
        found = unwrap()
        return found if isinstance(found, QueryCore) else None
    return None


def is_queryable(value: Any) -> bool:
    """Can *value* be a sub-query: a query, or a callable that fills one?"""
    if isinstance(value, (str, Expression)):
        return False
    return callable(value) or as_query(value) is not None


def collected(rows: Any) -> Collection[Any]:
    """Rows from any runner as a Collection of Row."""
    if not rows:
        return Collection()
    return Collection(
        [Row(row) if isinstance(row, dict) and type(row) is not Row else row for row in rows]
    )


def finite(value: Any) -> Any:
    """A float as a column can hold it: infinity is the greatest number, and NaN is NULL."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else math.copysign(sys.float_info.max, value)


def checked_boolean(boolean: str) -> str:
    """ "and" or "or", with or without " not", in any case."""
    if boolean in _BOOLEANS:
        return boolean
    if isinstance(boolean, str) and boolean.lower() in _BOOLEANS:
        return boolean.lower()
    raise InvalidArgumentError(f'boolean must be "and" or "or", not {boolean!r}')


def drop_bindings(tree: c.Select, *sections: str) -> None:
    """Forget the bindings that were added by hand to these parts."""
    for store in (tree.added, tree.replaced):
        for section in sections:
            if store:
                store.pop(section, None)


def _settled(condition: Any, query: QueryCore) -> Any:
    return condition(query) if callable(condition) else condition


def _section(name: str) -> str:
    found = _SECTION_NAMES.get(name)
    if found is None:
        raise InvalidArgumentError(f"Invalid binding type: {name}.")
    return found


def substitute(sql: str, bindings: Iterable[Any]) -> str:
    """*sql* with each `?` outside quotes replaced by its value as a literal."""
    values = iter(bindings)
    text, quote = [], ""
    for char in sql:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char == "?":
            char = literal(next(values, None))
        text.append(char)
    return "".join(text)


def literal(value: Any) -> str:
    """A value as SQL text, for reading."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "'" + str(value).replace("'", "''") + "'"
