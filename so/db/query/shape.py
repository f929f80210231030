"""What a query selects, from where, and in which shape: columns, groups, order, limits, unions."""

from __future__ import annotations

from typing import Any, Self

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.query.core import (
    MISSING,
    QueryCore,
    as_query,
    checked_boolean,
    drop_bindings,
    is_queryable,
)
from so.db.query.given import bound_list, listed, row_count, two_of
from so.db.query.twins import twin
from so.errors import InvalidArgumentError

_DIRECTIONS = frozenset({"asc", "desc"})
_TEXT = frozenset({str})


class Shape(QueryCore):
    """Select, from, group by, having, order by, limit, union, lock."""

    # --- columns --------------------------------------------------------------------------------

    @property
    def columns(self) -> list[c.Column] | None:
        """The columns asked for, None for all."""
        return self.tree.columns

    @columns.setter
    def columns(self, columns: list[c.Column] | None) -> None:
        self.tree.columns = columns

    def get_columns(self) -> list[str]:
        """The columns asked for as they are written; [] for all."""
        plain = (str, Expression)
        return [
            str(one) if isinstance(one, plain) else self.grammar.column(one, [])
            for one in self.tree.columns or []
        ]

    def select(self, *columns: Any) -> Self:
        """Select these columns: names, a list of them, or {name: sub-query}."""
        if self.tree.added or self.tree.replaced:
            drop_bindings(self.tree, "select")
        if columns and _TEXT.issuperset(map(type, columns)):
            self.tree.columns = list(columns)
            return self
        self.tree.columns = []
        return self._select_all(columns or ("*",))

    def add_select(self, *columns: Any) -> Self:
        """Select these columns too; one that is there already is not repeated."""
        return self._select_all(columns)

    def select_raw(self, sql: Any, bindings: Any = ()) -> Self:
        """Select SQL, with values for its placeholders."""
        self._select_list().append(c.RawSql(str(sql), bound_list(bindings)))
        return self

    def select_expression(self, expression: Any, as_: str) -> Self:
        """Select (expression) under the name *as_*."""
        self._select_list().append(c.Aliased(c.Sub(str(expression)), as_))
        return self

    def distinct(self, *columns: Any) -> Self:
        """Select each different row once."""
        if not columns:
            self.tree.distinct = True
        elif isinstance(columns[0], bool):
            self.tree.distinct = columns[0]
        else:
            names = columns[0] if isinstance(columns[0], (list, tuple)) else columns
            self.tree.distinct = [self._column(name) for name in names]
        return self

    # --- from -----------------------------------------------------------------------------------

    def from_(self, table: Any, as_: str | None = None) -> Self:
        """Set the table; a query or a callable becomes a sub-query named *as_*."""
        if is_queryable(table):
            return self.from_sub(table, as_ or "")
        if isinstance(table, str) and as_:
            table = f"{table} as {as_}"
        self.tree.table = self._table(table)
        return self

    table = twin(from_)

    def from_sub(self, query: Any, as_: str) -> Self:
        """Select from a sub-query named *as_*."""
        self.tree.table = c.Aliased(self._sub(query), as_)
        return self

    def from_raw(self, sql: Any, bindings: Any = ()) -> Self:
        """Select from SQL, with values for its placeholders."""
        self.tree.table = c.RawSql(str(sql), bound_list(bindings))
        return self

    def use_index(self, index: str) -> Self:
        """Suggest an index (MySQL)."""
        self.tree.index_hint = c.IndexHint("use", index)
        return self

    def force_index(self, index: str) -> Self:
        """Insist on an index."""
        self.tree.index_hint = c.IndexHint("force", index)
        return self

    def ignore_index(self, index: str) -> Self:
        """Forbid an index (MySQL)."""
        self.tree.index_hint = c.IndexHint("ignore", index)
        return self

    # --- group by and having --------------------------------------------------------------------

    @property
    def groups(self) -> list[c.Column] | None:
        """What the rows are grouped by, None if they are not."""
        return self.tree.groups

    @property
    def havings(self) -> list[c.Node] | None:
        """The conditions on groups, None if there are none."""
        return self.tree.havings

    def group_by(self, *columns: Any) -> Self:
        """Group by these columns, or lists of them."""
        groups = self.tree.groups = self.tree.groups or []
        for column in columns:
            for one in column if isinstance(column, (list, tuple)) else [column]:
                groups.append(self._column(one))
        return self

    def group_by_raw(self, sql: Any, bindings: Any = ()) -> Self:
        """Group by SQL, with values for its placeholders."""
        self.tree.groups = [*(self.tree.groups or []), c.RawSql(str(sql), bound_list(bindings))]
        return self

    def having(
        self,
        column: Any,
        operator: Any = MISSING,
        value: Any = MISSING,
        boolean: str = "and",
    ) -> Self:
        """Add a condition on the groups; takes what `where` takes."""
        probe = self.for_nested_where()
        if operator is MISSING and callable(column) and as_query(column) is None:
            return self.having_nested(column, boolean)
        probe.where(column, operator, value, boolean)
        return self._having(probe.tree.conditions)

    or_having = twin(having, boolean="or")

    def _having(self, nodes: list[c.Node]) -> Self:
        self.tree.havings = [*(self.tree.havings or []), *nodes]
        return self

    def having_nested(self, fn: Any, boolean: str = "and") -> Self:
        """Put the havings that fn(query) adds to its query in parentheses."""
        query = self.for_nested_where()
        fn(query)
        return self.add_nested_having_query(query, boolean)

    def add_nested_having_query(self, query: Any, boolean: str = "and") -> Self:
        """Add another query's havings in parentheses; none, if it has none."""
        havings = query.tree.havings
        return self._having([c.Nested(checked_boolean(boolean), havings)]) if havings else self

    def having_null(self, columns: Any, boolean: str = "and", not_: bool = False) -> Self:
        """The column of the group, or each column of a list, is null."""
        probe = self.for_nested_where()
        probe.where_null(columns, boolean, not_)
        return self._having(probe.tree.conditions)

    or_having_null = twin(having_null, boolean="or")
    having_not_null = twin(having_null, not_=True)
    or_having_not_null = twin(having_null, boolean="or", not_=True)

    def having_between(
        self,
        column: Any,
        low: Any,
        high: Any = MISSING,
        boolean: str = "and",
        not_: bool = False,
    ) -> Self:
        """The column of the group lies between two values: `(c, [a, b])` or `(c, a, b)`."""
        probe = self.for_nested_where()
        probe.where_between(column, two_of(low, high), MISSING, boolean, not_)
        return self._having(probe.tree.conditions)

    or_having_between = twin(having_between, boolean="or")
    having_not_between = twin(having_between, not_=True)
    or_having_not_between = twin(having_between, boolean="or", not_=True)

    def having_raw(self, sql: Any, bindings: Any = (), boolean: str = "and") -> Self:
        """A condition on the groups as SQL, with values for its placeholders."""
        node = c.RawCondition(checked_boolean(boolean), str(sql), bound_list(bindings))
        return self._having([node])

    or_having_raw = twin(having_raw, boolean="or")

    # --- order ----------------------------------------------------------------------------------

    @property
    def orders(self) -> list[Any] | None:
        """The order so far, None if there is none."""
        return self.tree.orders

    @orders.setter
    def orders(self, orders: list[Any] | None) -> None:
        self.tree.orders = orders

    def order_by(self, column: Any, direction: str = "asc") -> Self:
        """Order by a column, an Expression or a sub-query; the direction in any case.

        Raises ValueError for any other direction, so that a client's choice never becomes SQL.
        """
        direction = direction.lower() if isinstance(direction, str) else ""
        if direction not in _DIRECTIONS:
            raise InvalidArgumentError('Order direction must be "asc" or "desc".')
        name = column if type(column) is str else self._column(column)
        return self._order(c.Order(name, direction))

    def order_by_desc(self, column: Any) -> Self:
        """Order by a column, the greatest first."""
        return self.order_by(column, "desc")

    def latest(self, column: Any = "created_at") -> Self:
        """The newest first."""
        return self.order_by(column, "desc")

    def oldest(self, column: Any = "created_at") -> Self:
        """The oldest first."""
        return self.order_by(column, "asc")

    def order_by_raw(self, sql: Any, bindings: Any = ()) -> Self:
        """Order by SQL, with values for its placeholders."""
        return self._order(c.RawSql(str(sql), bound_list(bindings)))

    def in_random_order(self, seed: int | str | None = None) -> Self:
        """In any order; with a seed, the same each time (MySQL)."""
        number = None if seed is None or seed == "" else row_count(seed, "a seed")
        return self._order(c.RandomOrder(number))

    def in_order_of(self, column: Any, values: Any) -> Self:
        """The given values of a column first, in that order; the others after them."""
        found = [self._bound(value) for value in listed(values)]
        return self._order(c.OrderByList(self._column(column), found)) if found else self

    def reorder(self, column: Any = None, direction: str = "asc") -> Self:
        """Forget the order, and order by *column* if one is given."""
        self.tree.orders = self.tree.union_orders = None
        drop_bindings(self.tree, "order", "union_order")
        return self if column is None else self.order_by(column, direction)

    def reorder_desc(self, column: Any) -> Self:
        """Forget the order, and order by *column*, the greatest first."""
        return self.reorder(column, "desc")

    # --- limits ---------------------------------------------------------------------------------

    def limit(self, value: int | None) -> Self:
        """At most *value* rows; None for all. A negative limit is ignored."""
        count = None if value is None else row_count(value, "limit")
        if count is None or count >= 0:
            if self.tree.unions:
                self.tree.union_limit = count
            else:
                self.tree.limit = count
        return self

    take = twin(limit)

    def offset(self, value: int | None) -> Self:
        """Leave out the first *value* rows; less than 0 counts as 0."""
        count = max(0, row_count(value or 0, "offset"))
        if self.tree.unions:
            self.tree.union_offset = count
        else:
            self.tree.offset = count
        return self

    skip = twin(offset)

    def for_page(self, page: int, per_page: int = 15) -> Self:
        """The rows of one page, the first being 1."""
        number, size = row_count(page, "page"), row_count(per_page, "per_page")
        return self.offset((number - 1) * size).limit(size)

    def group_limit(self, value: int, column: Any) -> Self:
        """At most *value* rows for each value of *column*."""
        count = row_count(value, "limit")
        if count >= 0:
            self.tree.group_limit = (count, self._column(column))
        return self

    # --- unions ---------------------------------------------------------------------------------

    @property
    def unions(self) -> list[c.Union] | None:
        """The selects joined to this one by union, None if there are none."""
        return self.tree.unions

    def union(self, query: Any, all: bool = False) -> Self:
        """Add the rows of another query; with *all*, repeated rows too.

        What is ordered, limited or skipped after this is the union.
        """
        node = c.Union(self._sub_tree(query, self._union_member), all)
        self.tree.unions = [*(self.tree.unions or []), node]
        return self

    union_all = twin(union, all=True)

    def _union_member(self) -> Self:
        """An empty query for a callback to fill as a member of this union."""
        return self.new_query()

    # --- locks and limits of execution ----------------------------------------------------------

    def lock(self, value: bool | str | None = True) -> Self:
        """Lock the rows: True for update, False shared, or the engine's own words."""
        self.tree.lock = value
        if value is not None:
            self._use_write = True
        return self

    def lock_for_update(self, skip_locked: bool = False, nowait: bool = False) -> Self:
        """Lock the rows until the transaction ends; leave out or refuse rows already locked."""
        if skip_locked or nowait:
            return self.lock("for update skip locked" if skip_locked else "for update nowait")
        return self.lock(True)

    def shared_lock(self) -> Self:
        """Let others read the rows but not change them until the transaction ends."""
        return self.lock(False)

    def timeout(self, seconds: int | None) -> Self:
        """Let the server stop the select after so many seconds (MySQL, MariaDB)."""
        if seconds is not None and row_count(seconds, "timeout") <= 0:
            raise InvalidArgumentError("Timeout must be greater than zero.")
        self.tree.timeout = seconds
        return self

    def use_write(self) -> Self:
        """Read from the connection that writes, not from a replica."""
        self._use_write = True
        return self

    use_write_pdo = twin(use_write)
