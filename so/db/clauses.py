"""A query as data: the nodes that the builder gathers and a grammar walks.

Nothing here knows SQL. A node holds names, operators that were checked, and values that were
converted; the grammar turns the tree into text and bindings in one walk, so the two cannot fall
out of step.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from so.db.expressions import Expression

Column = Any  # a name, an Expression, or the Select of a sub-query
Bindings = list[Any]


class Node:
    """Where or having: one condition. `boolean` joins it to the one before ("and", "or not")."""

    __slots__ = ("boolean",)
    boolean: str


class Compare(Node):
    """column operator value"""

    __slots__ = ("column", "operator", "value")

    def __init__(self, boolean: str, column: Column, operator: str, value: Any) -> None:
        self.boolean = boolean
        self.column = column
        self.operator = operator
        self.value = value


class CompareColumns(Node):
    """first operator second, where second is a column, an Expression or a sub-query."""

    __slots__ = ("first", "operator", "second")

    def __init__(self, boolean: str, first: Column, operator: str, second: Column) -> None:
        self.boolean = boolean
        self.first = first
        self.operator = operator
        self.second = second


class NullSafe(Node):
    """column equals value, NULL being equal to NULL."""

    __slots__ = ("column", "value")

    def __init__(self, boolean: str, column: Column, value: Any) -> None:
        self.boolean = boolean
        self.column = column
        self.value = value


class IsNull(Node):
    """column is (not) null."""

    __slots__ = ("column", "negated")

    def __init__(self, boolean: str, column: Column, negated: bool) -> None:
        self.boolean = boolean
        self.column = column
        self.negated = negated


class In(Node):
    """column (not) in a list of values, or of whole numbers written into the text (`inline`).

    `plain` are the types of the values where the column is no path and none is an Expression.
    """

    __slots__ = ("column", "inline", "negated", "plain", "values")

    def __init__(
        self,
        boolean: str,
        column: Column,
        values: list[Any],
        negated: bool,
        *,
        inline: bool = False,
        plain: Collection[type] = (),
    ) -> None:
        self.boolean = boolean
        self.column = column
        self.values = values
        self.negated = negated
        self.inline = inline
        self.plain = plain


class InQuery(Node):
    """column (not) in a sub-query."""

    __slots__ = ("column", "negated", "query")

    def __init__(self, boolean: str, column: Column, query: Sub, negated: bool) -> None:
        self.boolean = boolean
        self.column = column
        self.query = query
        self.negated = negated


class Between(Node):
    """subject (not) between two bounds; each is a value, or a column where the flag says so."""

    __slots__ = ("bounds", "bounds_are_columns", "negated", "subject", "subject_is_column")

    def __init__(
        self,
        boolean: str,
        subject: Any,
        bounds: tuple[Any, Any],
        negated: bool,
        *,
        subject_is_column: bool = True,
        bounds_are_columns: bool = False,
    ) -> None:
        self.boolean = boolean
        self.subject = subject
        self.bounds = bounds
        self.negated = negated
        self.subject_is_column = subject_is_column
        self.bounds_are_columns = bounds_are_columns


class Nested(Node):
    """Conditions in parentheses."""

    __slots__ = ("conditions",)

    def __init__(self, boolean: str, conditions: list[Node]) -> None:
        self.boolean = boolean
        self.conditions = conditions


class SealedNested(Nested):
    """Conditions in parentheses that nothing in them can leave, raw SQL and comments included."""

    __slots__ = ()


class Exists(Node):
    """(not) exists (sub-query)."""

    __slots__ = ("negated", "query")

    def __init__(self, boolean: str, query: Sub, negated: bool) -> None:
        self.boolean = boolean
        self.query = query
        self.negated = negated


class RowValues(Node):
    """(a, b) operator (?, ?)"""

    __slots__ = ("columns", "operator", "values")

    def __init__(self, boolean: str, columns: list[Column], operator: str, values: list[Any]):
        self.boolean = boolean
        self.columns = columns
        self.operator = operator
        self.values = values


class RawCondition(Node):
    """A condition the caller wrote."""

    __slots__ = ("bindings", "sql")

    def __init__(self, boolean: str, sql: str, bindings: Bindings) -> None:
        self.boolean = boolean
        self.sql = sql
        self.bindings = bindings


class DatePart(Node):
    """One part of a point in time; part is date, time, day, month or year."""

    __slots__ = ("column", "operator", "part", "value")

    def __init__(self, boolean: str, part: str, column: Column, operator: str, value: Any) -> None:
        self.boolean = boolean
        self.part = part
        self.column = column
        self.operator = operator
        self.value = value


class Like(Node):
    """column (not) like a pattern; with `escape`, a backslash makes the next character literal."""

    __slots__ = ("case_sensitive", "column", "escape", "negated", "value")

    def __init__(
        self,
        boolean: str,
        column: Column,
        value: Any,
        case_sensitive: bool,
        negated: bool,
        escape: bool,
    ) -> None:
        self.boolean = boolean
        self.column = column
        self.value = value
        self.case_sensitive = case_sensitive
        self.negated = negated
        self.escape = escape


class Binary(Node):
    """column equals (or not) a text, byte by byte."""

    __slots__ = ("column", "negated", "value")

    def __init__(self, boolean: str, column: Column, value: Any, negated: bool) -> None:
        self.boolean = boolean
        self.column = column
        self.value = value
        self.negated = negated


class JsonTest(Node):
    """A JSON column (not) contains or overlaps a value, or has a key; kind says which."""

    __slots__ = ("column", "kind", "negated", "value")

    def __init__(self, boolean: str, kind: str, column: str, value: Any, negated: bool) -> None:
        self.boolean = boolean
        self.kind = kind
        self.column = column
        self.value = value
        self.negated = negated


class JsonLength(Node):
    """The number of elements of a JSON array, compared."""

    __slots__ = ("column", "operator", "value")

    def __init__(self, boolean: str, column: str, operator: str, value: Any) -> None:
        self.boolean = boolean
        self.column = column
        self.operator = operator
        self.value = value


class JsonBoolean(Node):
    """A JSON true or false, compared."""

    __slots__ = ("column", "operator", "value")

    def __init__(self, boolean: str, column: str, operator: str, value: bool) -> None:
        self.boolean = boolean
        self.column = column
        self.operator = operator
        self.value = value


class FullText(Node):
    """A full-text search; mode is "natural" or "boolean"."""

    __slots__ = ("columns", "expanded", "mode", "value")

    def __init__(
        self, boolean: str, columns: list[Column], value: Any, mode: str, expanded: bool
    ) -> None:
        self.boolean = boolean
        self.columns = columns
        self.value = value
        self.mode = mode
        self.expanded = expanded


class RawSql:
    """Text the caller wrote as a column, a table, a group or an order, with its bindings."""

    __slots__ = ("bindings", "sql")

    def __init__(self, sql: str, bindings: Bindings) -> None:
        self.sql = sql
        self.bindings = bindings


class Sub:
    """A sub-query: a Select, or the text of one."""

    __slots__ = ("select",)

    def __init__(self, select: Select | str) -> None:
        self.select = select


class Aliased:
    """A sub-query or raw expression under a name; as a table its name takes the prefix."""

    __slots__ = ("alias", "query")

    def __init__(self, query: Sub, alias: str) -> None:
        self.query = query
        self.alias = alias


class Counted:
    """A sub-query whose rows are counted."""

    __slots__ = ("query",)

    def __init__(self, query: Sub) -> None:
        self.query = query


class Order:
    """order by column direction."""

    __slots__ = ("column", "direction")

    def __init__(self, column: Column, direction: str) -> None:
        self.column = column
        self.direction = direction


class OrderByList:
    """The given values of a column first, in that order."""

    __slots__ = ("column", "values")

    def __init__(self, column: Column, values: list[Any]) -> None:
        self.column = column
        self.values = values


class RandomOrder:
    """Any order; with a seed, the same one each time where the engine can."""

    __slots__ = ("seed",)

    def __init__(self, seed: int | None) -> None:
        self.seed = seed


class Join:
    """kind join table [with joins of its own] on conditions."""

    __slots__ = ("conditions", "joins", "kind", "lateral", "table")

    def __init__(
        self,
        kind: str,
        table: Any,
        conditions: list[Node],
        joins: list[Join] | None = None,
        lateral: bool = False,
    ) -> None:
        self.kind = kind
        self.table = table
        self.conditions = conditions
        self.joins = joins
        self.lateral = lateral


class Union:
    """union [all] select."""

    __slots__ = ("all", "select")

    def __init__(self, select: Select, all_: bool) -> None:
        self.select = select
        self.all = all_


class Inserted:
    """In an upsert's changes: the value that the row to insert has."""

    __slots__ = ()


class IndexHint:
    """use, force or ignore an index."""

    __slots__ = ("index", "kind")

    def __init__(self, kind: str, index: str) -> None:
        self.kind = kind
        self.index = index


class Aggregate:
    """function(columns) in place of the columns."""

    __slots__ = ("columns", "function")

    def __init__(self, function: str, columns: list[Column]) -> None:
        self.function = function
        self.columns = columns


class Select:
    """The tree of one query. What was not said stays at its default on the class."""

    columns: list[Column] | None = None
    distinct: bool | list[Column] = False
    aggregate: Aggregate | None = None
    index_hint: IndexHint | None = None
    joins: list[Join] | None = None
    groups: list[Column] | None = None
    havings: list[Node] | None = None
    orders: list[Any] | None = None
    limit: int | None = None
    offset: int | None = None
    group_limit: tuple[int, Column] | None = None
    row_key: list[str] | None = None  # of a table of SQLite whose rows have no rowid
    unions: list[Union] | None = None
    union_orders: list[Any] | None = None
    union_limit: int | None = None
    union_offset: int | None = None
    lock: bool | str | None = None
    timeout: int | None = None
    # Bindings added or replaced by section, past the clauses: see Query.add_binding().
    added: dict[str, Bindings] | None = None
    replaced: dict[str, Bindings] | None = None

    def __init__(self, table: Any = None) -> None:
        self.table = table
        self.conditions: list[Node] = []

    def copy(self) -> Select:
        """A tree that can be changed without changing this one; the nodes are shared."""
        twin = Select.__new__(Select)
        state = self.__dict__.copy()
        for name, value in state.items():
            if type(value) is list:
                state[name] = value.copy()
            elif type(value) is dict:
                state[name] = {section: list(some) for section, some in value.items()}
        twin.__dict__ = state
        return twin


def sealed(conditions: list[Node], boolean: str = "and") -> list[Node]:
    """The conditions, to stand beside others of which they must undo none.

    In parentheses if there is an `or` among them, or SQL that somebody wrote, which may hold one.
    """
    for node in conditions:
        if node.boolean[0] == "o" or _is_written(node):
            return [SealedNested(boolean, list(conditions))]
    return conditions


def _is_written(node: Node) -> bool:
    """Is there text in *node* that its author wrote as SQL?"""
    kind = type(node)
    if kind is Compare or kind is IsNull:
        return type(node.column) is not str  # type: ignore[attr-defined]
    if kind is RawCondition:
        return True
    return kind is not SealedNested and any(
        _holds_text(getattr(node, name)) for name in kind.__slots__
    )


def _holds_text(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_is_written(one) if isinstance(one, Node) else _holds_text(one) for one in value)
    if isinstance(value, Sub):
        return isinstance(value.select, str)
    return isinstance(value, (Expression, RawSql))
