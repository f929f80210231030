"""Walking through many rows in little memory, and pages of rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Self

from so.db import clauses as c
from so.db import pagination
from so.db.pagination import Cursor, CursorPaginator, Paginator, SimplePaginator
from so.db.query.core import Callback
from so.db.query.reading import Reading
from so.db.query.shape import column_names
from so.db.rows import Collection, value_of
from so.errors import InvalidArgumentError, QueryUseError


class Walking(Reading):
    """chunk, lazy, cursor, and the three ways to paginate."""

    # --- in parts -------------------------------------------------------------------------------

    def chunk(self, count: int, fn: Callback) -> bool:
        """fn(rows) or fn(rows, page) for *count* rows at a time; False from it stops: → False.

        Needs an order. To change the very rows that are walked, use `chunk_by_id`.
        """
        self._enforce_order()
        return _each_chunk(self._chunks(count), fn)

    def chunk_by_id(
        self, count: int, fn: Callback, column: str = "id", alias: str | None = None
    ) -> bool:
        """Like `chunk`, each part starting after the last row's *column*: safe while rows change.

        *alias* is the column's name in the rows, if it is another.
        """
        return self.ordered_chunk_by_id(count, fn, column, alias)

    def chunk_by_id_desc(
        self, count: int, fn: Callback, column: str = "id", alias: str | None = None
    ) -> bool:
        """`chunk_by_id` from the greatest to the least."""
        return self.ordered_chunk_by_id(count, fn, column, alias, True)

    def ordered_chunk_by_id(
        self,
        count: int,
        fn: Callback,
        column: str = "id",
        alias: str | None = None,
        descending: bool = False,
    ) -> bool:
        """`chunk_by_id` in the direction given."""
        return _each_chunk(
            self._chunks_by_id(count, column, alias, "desc" if descending else "asc"), fn
        )

    def chunk_map(self, fn: Callback, count: int = 1000) -> Collection[Any]:
        """What fn(row) gives for every row, reading *count* rows at a time."""
        return Collection([fn(row) for row in self.lazy(count)])

    def each(self, fn: Callback, count: int = 1000) -> bool:
        """fn(row) or fn(row, number) for every row; False from it stops: → False."""
        self._enforce_order()
        return _each_row(self._chunks(count), fn)

    def each_by_id(
        self, fn: Callback, count: int = 1000, column: str = "id", alias: str | None = None
    ) -> bool:
        """`each`, reading by id."""
        return _each_row(self._chunks_by_id(count, column, alias, "asc"), fn)

    def lazy(self, chunk_size: int = 1000) -> Iterator[Any]:
        """Every row in turn, reading *chunk_size* at a time. Needs an order."""
        self._enforce_order()
        return _rows_of(self._chunks(_chunk_size(chunk_size)))

    def lazy_by_id(
        self, chunk_size: int = 1000, column: str = "id", alias: str | None = None
    ) -> Iterator[Any]:
        """Every row in turn, reading by id: safe while rows change."""
        return _rows_of(self._chunks_by_id(_chunk_size(chunk_size), column, alias, "asc"))

    def lazy_by_id_desc(
        self, chunk_size: int = 1000, column: str = "id", alias: str | None = None
    ) -> Iterator[Any]:
        """`lazy_by_id` from the greatest to the least."""
        return _rows_of(self._chunks_by_id(_chunk_size(chunk_size), column, alias, "desc"))

    def cursor(self) -> Iterator[Any]:
        """Every row in turn from one open statement; other queries may run meanwhile."""
        sql, bindings = self.grammar.compile_select(self._finished())
        for row in self.runner.cursor(sql, bindings, not self._use_write):
            yield self._hydrate([row])[0]

    def _enforce_order(self) -> None:
        if not self.tree.orders and not self.tree.union_orders:
            raise QueryUseError("You must specify an orderBy clause when using this function.")

    def _chunks(self, count: int) -> Iterator[Any]:
        """The query's rows, *count* at a time, by offset; within its own limit and offset."""
        skipped, left = self.get_offset() or 0, self.get_limit()
        while count > 0 and (left is None or left > 0):
            size = count if left is None else min(count, left)
            rows = self.clone().offset(skipped).limit(size).get()
            if rows:
                yield rows
            if len(rows) < size:
                return
            skipped += size
            left = None if left is None else left - size

    def _chunks_by_id(
        self, count: int, column: str, alias: str | None, direction: str
    ) -> Iterator[Any]:
        """The query's rows, *count* at a time, each part after the last row of the one before."""
        base, left = self._grouped().reorder(), self.get_limit()
        last: Any = None
        while count > 0 and (left is None or left > 0):
            size = count if left is None else min(count, left)
            rows = base._part_by_id(size, last, column, direction).get()
            if rows:
                last = _id_of(rows[-1], alias or column.rpartition(".")[2])
                yield rows
            if len(rows) < size:
                return
            left = None if left is None else left - size

    def _part_by_id(self, size: int, last: Any, column: str, direction: str) -> Self:
        """The first rows, within the query's own offset, or those after *last*."""
        part = self.clone()
        if last is None:
            return part.order_by(column, direction).limit(size)
        part.tree.offset = None
        if direction == "asc":
            return part.for_page_after_id(size, last, column)
        return part.for_page_before_id(size, last, column)

    def _grouped(self) -> Self:
        """A copy whose conditions can be added to: an `or` among them is put in parentheses."""
        twin = self.clone()
        if any(node.boolean.startswith("or") for node in twin.tree.conditions[1:]):
            twin.tree.conditions = [c.Nested("and", twin.tree.conditions)]
        return twin

    # --- pages ----------------------------------------------------------------------------------

    def paginate(
        self,
        per_page: Any = 15,
        page: Any = None,
        columns: Any = None,
        page_name: str = "page",
        total: Any = None,
    ) -> Paginator:
        """One page and the total. Without *page* the request says which; junk means the first.

        *per_page* may be a callable of the total, *total* a number or a callable.
        """
        number = pagination.page_number(page, page_name)
        total = total() if callable(total) else total
        total = self.get_count_for_pagination() if total is None else int(total)
        size = pagination.rows_per_page(per_page(total) if callable(per_page) else per_page)
        rows: Any = self._hydrate([])
        if (number - 1) * size < total:
            rows = self.clone().for_page(number, size).get(columns)
        return Paginator(rows, total, size, number, page_name)

    def simple_paginate(
        self, per_page: int = 15, page: Any = None, columns: Any = None, page_name: str = "page"
    ) -> SimplePaginator:
        """One page and whether there is another, without counting all rows."""
        number = pagination.page_number(page, page_name)
        size = pagination.rows_per_page(per_page)
        query = self.clone().offset((number - 1) * size).limit(size + 1)
        rows = query.get(columns)
        more = len(rows) > size
        return SimplePaginator(_shortened(rows, size), size, number, more, page_name)

    def get_count_for_pagination(self, columns: Any = "*") -> int:
        """How many rows the query gives without its limit."""
        query = self.clone_without(["orders", "limit", "offset"])
        tree = query.tree
        if tree.groups or tree.havings:
            return self._count_of_groups(query, columns)
        if tree.unions:
            tree.union_orders = tree.union_limit = tree.union_offset = None
        else:
            tree.columns = None
        query._aggregate_over("count", _without_aliases(columns))
        for row in query._rows() or ():
            return int(row["aggregate"])
        return 0

    def _count_of_groups(self, query: Self, columns: Any) -> int:
        if query.tree.columns is None and query.tree.joins:
            query.select(f"{query.grammar.alias_of(query.tree.table)}.*")
        outer = self.new_query()
        outer.tree = c.Select(c.Counted(c.Sub(query._finished())))
        outer._aggregate_over("count", _without_aliases(columns))
        for row in outer._rows() or ():
            return int(row["aggregate"])
        return 0

    def cursor_paginate(
        self,
        per_page: int = 15,
        cursor: Any = None,
        columns: Any = None,
        cursor_name: str = "cursor",
    ) -> CursorPaginator:
        """One page found by the row before it: as fast on the last page as on the first.

        Needs `order_by` on columns that together are unique and not null. *cursor* is the text
        that a page gave as `next_cursor` or `prev_cursor`; junk means the first page.
        """
        size = pagination.rows_per_page(per_page)
        place = Cursor.decode(pagination.requested(cursor_name) if cursor is None else cursor)
        query = self._grouped()
        orders = _cursor_orders(query.tree)
        if place is not None and set(place.parameters) != {_order_name(one) for one in orders}:
            place = None
        if place is not None:
            query._continue_from(place, orders)
        rows = query.limit(size + 1).get(columns)
        return self._cursor_page(rows, size, place, orders, cursor_name)

    def _continue_from(self, place: Cursor, orders: list[c.Order]) -> None:
        """Add the conditions that leave out everything up to *place*."""
        if not place.forward:
            turned = [_turned(one) for one in orders]
            orders[:] = turned
            if self.tree.unions:
                self.tree.union_orders = list(turned)
            else:
                self.tree.orders = list(turned)
        trees = [self.tree]
        if self.tree.unions:
            copies = [c.Union(one.select.copy(), one.all) for one in self.tree.unions]
            self.tree.unions = copies
            trees += [one.select for one in copies]
        for tree in trees:
            tree.conditions.append(c.Nested("and", _after(tree, orders, place, 0)))

    def _cursor_page(
        self, rows: Any, size: int, place: Cursor | None, orders: list[c.Order], name: str
    ) -> CursorPaginator:
        more = len(rows) > size
        rows = _shortened(rows, size)
        forward = place is None or place.forward
        if not forward:
            rows.reverse()
        has_next = bool(rows) and (more or not forward)
        has_previous = bool(rows) and place is not None and (more or forward)
        return CursorPaginator(
            rows,
            size,
            _cursor_at(rows[-1], orders, True) if has_next else None,
            _cursor_at(rows[0], orders, False) if has_previous else None,
            name,
        )


# --- helpers ------------------------------------------------------------------------------------


def _each_chunk(chunks: Iterator[Any], fn: Callback) -> bool:
    numbered = _wants_two(fn)
    for page, rows in enumerate(chunks, 1):
        if (fn(rows, page) if numbered else fn(rows)) is False:
            return False
    return True


def _each_row(chunks: Iterator[Any], fn: Callback) -> bool:
    numbered = _wants_two(fn)
    for number, row in enumerate(_rows_of(chunks)):
        if (fn(row, number) if numbered else fn(row)) is False:
            return False
    return True


def _rows_of(chunks: Iterator[Any]) -> Iterator[Any]:
    for rows in chunks:
        yield from rows


def _wants_two(fn: Callable[..., Any]) -> bool:
    """Does *fn* demand two arguments? One with a default is the caller's own."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [
        one
        for one in parameters
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
    ]
    return len(needed) > 1


def _chunk_size(size: int) -> int:
    if size < 1:
        raise InvalidArgumentError("The chunk size should be at least 1")
    return size


def _id_of(row: Any, name: str) -> Any:
    value = value_of(row, name)
    if value is None:
        raise QueryUseError(
            f"The chunkById operation was aborted because the [{name}] column is not present "
            "in the query result."
        )
    return value


def _shortened(rows: Any, size: int) -> Any:
    del rows[size:]
    return rows


def _without_aliases(columns: Any) -> list[Any]:
    """The columns without ` as name`, which count() does not take."""
    found = []
    for column in column_names(columns):
        at = column.lower().find(" as ") if isinstance(column, str) else -1
        found.append(column if at < 0 else column[:at])
    return found


def _cursor_orders(tree: c.Select) -> list[c.Order]:
    orders = tree.union_orders if tree.unions else tree.orders
    found = [one for one in orders or [] if isinstance(one, c.Order)]
    if not found:
        raise QueryUseError("cursor_paginate() needs order_by() on at least one column")
    return found


def _order_name(order: c.Order) -> str:
    if not isinstance(order.column, str):
        raise QueryUseError(
            "cursor_paginate() can continue from named columns only: select the expression "
            "under a name and order by that"
        )
    return order.column


def _turned(order: c.Order) -> c.Order:
    return c.Order(order.column, "asc" if order.direction == "desc" else "desc")


def _after(tree: c.Select, orders: list[c.Order], place: Cursor, at: int) -> list[c.Node]:
    """`a > ? or (a = ? and (b > ? or …))`, in the columns of *tree*."""
    order = orders[at]
    column = _original_column(tree, _order_name(order))
    value = place.parameters[_order_name(order)]
    further = c.Compare("and", column, ">" if order.direction == "asc" else "<", value)
    if at == len(orders) - 1:
        return [further]
    rest = c.Nested("and", _after(tree, orders, place, at + 1))
    return [further, c.Nested("or", [c.Compare("and", column, "=", value), rest])]


def _original_column(tree: c.Select, name: str) -> c.Column:
    """What *tree* selects under *name*, for a condition, where aliases are not known."""
    for column in tree.columns or ():
        if isinstance(column, c.Aliased) and column.alias == name:
            return column.query
        original = _before_alias(column, name)
        if original is not None:
            return original
    return name


def _before_alias(column: c.Column, name: str) -> c.Column | None:
    """The text before ` as name`, as a column; None if *column* has another name."""
    text = column if isinstance(column, str) else getattr(column, "sql", None)
    if not isinstance(text, str):
        return None
    at = text.lower().rfind(" as ")
    if at < 0 or text[at + 4 :].strip().strip('"`') != name:
        return None
    original = text[:at].strip()
    return original if isinstance(column, str) else c.RawSql(original, column.bindings)


def _cursor_at(row: Any, orders: list[c.Order], forward: bool) -> str:
    names = [_order_name(one) for one in orders]
    values = {name: _value_in(row, name.rpartition(".")[2]) for name in names}
    return Cursor(values, forward).encode()


def _value_in(row: Any, name: str) -> Any:
    missing = object()
    value = value_of(row, name, missing)
    if value is missing:
        raise QueryUseError(
            f"cursor_paginate() orders by {name!r}, which the query does not select"
        )
    return value
