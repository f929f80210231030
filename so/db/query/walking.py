"""Walking through many rows in little memory, and pages of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Self

from so.db import clauses as c
from so.db import pagination
from so.db.grammar.base import Grammar
from so.db.pagination import Cursor, CursorPaginator, Paginator, SimplePaginator
from so.db.query.core import MISSING, Callback, QueryCore
from so.db.query.given import row_count
from so.db.query.telling import (
    HIDDEN,
    hidden,
    is_at_hand,
    is_one_column,
    last_direction,
    name_given,
    orders_of,
    original_column,
    tie_breakers,
    without_alias,
    without_hidden,
)
from so.db.rows import Collection, value_of
from so.errors import InvalidArgumentError, QueryUseError
from so.support.signatures import demanded

_ALL = 2**63 - 1
_NUMBER = re.compile(r"\w*int|decimal|numeric|float|double|real|bit|bool|number", re.IGNORECASE)
_NAMED_ONLY = (
    "cursor_paginate() needs order_by() on named columns only: select the expression under a name "
    "and order by that"
)


class Walking(QueryCore):
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
        count = row_count(count, "the chunk size")
        skipped, left = self.get_offset() or 0, self.get_limit()
        query = self._in_one_order()
        while count > 0 and (left is None or left > 0):
            size = count if left is None else min(count, left)
            rows = query.clone().offset(skipped).limit(size).get()
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
        count = row_count(count, "the chunk size")
        name = alias or column.rpartition(".")[2]
        base, left, column = self._by_id(column, name)
        base._order(c.Order(column, direction))
        base._tell_apart()
        last: Any = None
        while count > 0 and (left is None or left > 0):
            size = count if left is None else min(count, left)
            rows = base._part_by_id(size, last).get()
            if rows:
                found = _id_of(rows[-1], name), *_told_by(rows[-1], base.tree)
                last = _further(last, found, name, len(rows) == size)
                yield without_hidden(rows)
            if len(rows) < size:
                return
            left = None if left is None else left - size

    def _by_id(self, column: str, name: str) -> tuple[Self, int | None, str]:
        """A copy to walk through, how many of its rows there may be, and the column to go by.

        A column of the rows' own that is called *name* is another one than the table's.
        """
        original = original_column(self.tree, name)
        if isinstance(original, str) and not _is_shaped(self.tree):
            return (
                self._kept().reorder(),
                self.get_limit(),
                column if original == name else original,
            )
        query = self.clone()
        for group in () if query.grammar.literal else query.tree.groups or ():
            if is_one_column(group):
                query._select_hidden(group)
        return query._become_table(), None, name

    def _become_table(self) -> Self:
        """Go on with the rows this query gives, as a table of their own.

        A condition on a union, on groups or behind a limit has to look at those rows.
        """
        self._need_whole_groups()
        table = self.tree.table
        name = self.grammar.alias_of(table) if isinstance(table, str) else "rows_given"
        self.tree = c.Select(c.Aliased(c.Sub(self.clone()._whole_tree()), name))
        self._before = None
        return self

    def _whole_tree(self) -> c.Select:
        """The finished tree, with every column that a row has."""
        return self._finished()

    def _part_by_id(self, size: int, last: tuple[Any, ...] | None) -> Self:
        """The first rows, within the query's own offset, or those after *last*."""
        part = self.clone().limit(size)
        if last is not None:
            part.tree.offset = None
            after = _after(part.tree, orders_of(part.tree), last, part.grammar)
            part._add(after[0] if len(after) == 1 else c.Nested("and", after))
        return part

    def for_page_after_id(self, per_page: int = 15, last_id: Any = 0, column: str = "id") -> Self:
        """The next rows after *last_id* in the order of *column*."""
        return self._for_page_by_id(per_page, last_id, column, ">", "asc")

    def for_page_before_id(self, per_page: int = 15, last_id: Any = 0, column: str = "id") -> Self:
        """The next rows before *last_id* in the falling order of *column*."""
        return self._for_page_by_id(per_page, last_id, column, "<", "desc")

    def _for_page_by_id(
        self, per_page: int, last_id: Any, column: str, operator: str, direction: str
    ) -> Self:
        if _is_shaped(self.tree):
            self._become_table()
        self.keep_together()
        self.tree.orders = [
            one for one in self.tree.orders or [] if getattr(one, "column", None) != column
        ]
        if last_id is None:
            self.where_not_null(column)
        else:
            self.where(column, operator, last_id)
        return self.order_by(column, direction).limit(per_page)

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
        total = self._total() if total is None else row_count(total, "a total")
        size = pagination.rows_per_page(per_page(total) if callable(per_page) else per_page)
        rows: Any = self._hydrate([])
        if (number - 1) * size < total:
            rows = self._rows_from((number - 1) * size, size, columns)
        return Paginator(rows, total, size, number, page_name)

    def _total(self) -> int:
        """How many rows the query gives, its own offset and limit included."""
        count = max(0, self.get_count_for_pagination() - (self.get_offset() or 0))
        limit = self.get_limit()
        return count if limit is None else min(count, limit)

    def _need_whole_groups(self) -> None:
        if self.tree.group_limit is not None:
            raise QueryUseError("a query with group_limit() has no pages or parts: use get()")

    def _rows_from(self, start: int, count: int, columns: Any) -> Any:
        """*count* rows of those the query gives, within its own offset and limit."""
        self._need_whole_groups()
        limit = self.get_limit()
        count = count if limit is None else min(count, limit - start)
        if count <= 0:
            return self._hydrate([])
        query = self._in_one_order()
        return query.offset((self.get_offset() or 0) + start).limit(count).get(columns)

    def _in_one_order(self) -> Self:
        """A copy whose rows come in the same order each time, if they are ordered at all."""
        query = self.clone()
        for column in tie_breakers(query):
            is_named = is_one_column(column)
            query._order(c.Order(column, last_direction(query.tree)) if is_named else column)
        return query

    def simple_paginate(
        self, per_page: int = 15, page: Any = None, columns: Any = None, page_name: str = "page"
    ) -> SimplePaginator:
        """One page and whether there is another, without counting all rows."""
        number = pagination.page_number(page, page_name)
        size = pagination.rows_per_page(per_page)
        rows = self._rows_from((number - 1) * size, size + 1, columns)
        more = len(rows) > size
        return SimplePaginator(_shortened(rows, size), size, number, more, page_name)

    def cursor_paginate(
        self,
        per_page: int = 15,
        cursor: Any = None,
        columns: Any = None,
        cursor_name: str = "cursor",
    ) -> CursorPaginator:
        """One page found by the row before it: as fast on the last page as on the first.

        Needs `order_by`; rows that it does not tell apart follow each other by their key. *cursor*
        is the text that a page gave as `next_cursor` or `prev_cursor`; junk means the first page.
        """
        size = pagination.rows_per_page(per_page)
        place = Cursor.decode(pagination.requested(cursor_name) if cursor is None else cursor)
        query = self._with_columns(columns)._kept()
        _cursor_orders(query.tree)
        query._tell_apart()
        orders = _cursor_orders(query.tree)
        is_mixed = query._mixes_kinds(orders)
        if is_mixed:  # with a limit, as MariaDB would put the condition into each of them itself
            query.tree.union_limit = query.tree.union_limit or _ALL
        if is_mixed or _limits_before(query.tree):
            orders = [c.Order(_order_name(o).rpartition(".")[2], o.direction) for o in orders]
            query._become_table().tree.orders = list(orders)
        if place is not None and not _is_place(place, orders):
            place = None
        if place is not None:
            query._continue_from(place, orders)
        rows = query.limit(size + 1).get(columns)
        return self._cursor_page(rows, size, place, orders, cursor_name)

    def _mixes_kinds(self, orders: list[c.Order]) -> bool:
        """Is a column of the order a number in one table of a union, and a text in another?

        There `n > 'text'` is asked of numbers, and the same rows come again and again on MySQL.
        """
        trees = [self.tree, *(one.select for one in self.tree.unions or ())]
        names = [_order_name(one).rpartition(".")[2] for one in orders]
        if len(trees) == 1 or not any(_may_differ(trees, name) for name in names):
            return False
        types = [self._types_within(tree) for tree in trees]
        kinds = [set(_kinds(trees, types, name)) for name in names]
        return any(len(one) > 1 or None in one for one in kinds)

    def _types_within(self, tree: c.Select) -> dict[str, str]:
        """The types of the columns of all tables of *tree*, by `table.name` and by name alone."""
        found: dict[str, str] = {}
        for table in reversed([tree.table, *(join.table for join in tree.joins or ())]):
            for name, kind in self._types_of(table).items():
                found[name] = found[f"{self.grammar.alias_of(table)}.{name}"] = kind
        return found

    def _tell_apart(self) -> None:
        """Order by what tells alike rows apart as well; select what of the order is not at hand."""
        tree, further = self.tree, filter(is_one_column, tie_breakers(self))
        if tree.joins and not (tree.groups or tree.unions or tree.distinct or self.grammar.literal):
            tree.orders = [self._readable(one) for one in tree.orders or []]
        for column in further:
            self._order(self._readable(c.Order(column, last_direction(tree))))

    def _readable(self, order: Any) -> Any:
        """*order* by a column that the rows will have, under a name of ours if need be."""
        if not isinstance(order, c.Order) or is_at_hand(self.tree, order.column):
            return order
        return c.Order(self._select_hidden(order.column), order.direction)

    def _select_hidden(self, column: c.Column) -> str:
        tree = self.tree
        selected = tree.columns if tree.columns is not None else self._all_columns()
        # SQLite would give columns that are not grouped by from the row with the least.
        least = bool(tree.groups) and self.grammar.name == "mysql"
        tree.columns = [*selected, hidden(column, len(selected), least=least)]
        return f"{HIDDEN}{len(selected)}"

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
            tree.conditions = c.sealed(tree.conditions)
            values = [place.parameters[_order_name(one)] for one in orders]
            tree.conditions.append(c.Nested("and", _after(tree, orders, values, self.grammar)))

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
        following = _cursor_at(rows[-1], orders, True) if has_next else None
        previous = _cursor_at(rows[0], orders, False) if has_previous else None
        return CursorPaginator(without_hidden(rows), size, following, previous, name)


# --- helpers ------------------------------------------------------------------------------------


def _each_chunk(chunks: Iterator[Any], fn: Callback) -> bool:
    numbered = demanded(fn) > 1
    for page, rows in enumerate(chunks, 1):
        if (fn(rows, page) if numbered else fn(rows)) is False:
            return False
    return True


def _each_row(chunks: Iterator[Any], fn: Callback) -> bool:
    numbered = demanded(fn) > 1
    for number, row in enumerate(_rows_of(chunks)):
        if (fn(row, number) if numbered else fn(row)) is False:
            return False
    return True


def _rows_of(chunks: Iterator[Any]) -> Iterator[Any]:
    for rows in chunks:
        yield from rows


def _chunk_size(size: int) -> int:
    size = row_count(size, "the chunk size")
    if size < 1:
        raise InvalidArgumentError("The chunk size should be at least 1")
    return size


def _id_of(row: Any, name: str) -> Any:
    value = value_of(row, name, MISSING)
    if value is MISSING:
        raise QueryUseError(
            f"The chunkById operation was aborted because the [{name}] column is not present "
            "in the query result."
        )
    return value


def _shortened(rows: Any, size: int) -> Any:
    del rows[size:]
    return rows


def _further(last: Any, found: Any, name: str, is_full: bool) -> Any:
    if is_full and last is not None and found == last:
        raise QueryUseError(
            f"cannot go on by {name!r}: {found!r} ends this part and the one before it; walk by a "
            "column that is unique in the result"
        )
    return found


def _is_shaped(tree: c.Select) -> bool:
    """Would a condition more not just leave out rows of the result?"""
    return bool(tree.unions or tree.groups or tree.havings or tree.group_limit)


def _limits_before(tree: c.Select) -> bool:
    """Would a condition that continues from a cursor come too late, or be misplaced?"""
    if tree.limit is not None or tree.offset or tree.groups or tree.havings or tree.group_limit:
        return True
    if tree.union_limit is not None or tree.union_offset:
        return True
    members = [one.select for one in tree.unions or ()]
    if any(_limits_before(one) or one.unions or _names(one) != _names(tree) for one in members):
        return True
    return any(one.joins for one in [tree, *members]) and bool(members)


def _names(tree: c.Select) -> list[Any]:
    """What the columns of *tree* are called: a condition on another's names would not fit."""
    return [name_given(one) or one for one in tree.columns or ["*"]]


def _may_differ(trees: list[c.Select], name: str) -> bool:
    """Can the column *name* be of another kind in one of *trees* than in the others?"""
    told = {(str(tree.table), _text(one)) for tree, one in _at_one_place(trees, name)}
    return len(told) > 1 or any(tree.joins for tree in trees)


def _kinds(trees: list[c.Select], types: list[dict[str, str]], name: str) -> Iterator[bool | None]:
    """Whether the column *name* is a number, for each select that has it from a table.

    None for an expression, which does not tell.
    """
    for (_, column), of_tables in zip(_at_one_place(trees, name), types, strict=True):
        text = _text(column)
        kind = of_tables.get(text) or of_tables.get(text.rpartition(".")[2])
        if kind is not None:
            yield _NUMBER.match(kind) is not None
        elif not isinstance(column, str):
            yield None


def _at_one_place(trees: list[c.Select], name: str) -> Iterator[tuple[c.Select, c.Column]]:
    """What each select of a union gives for the column that the first one calls *name*."""
    names = [name_given(one) for one in trees[0].columns or ()]
    for tree in trees:
        given = tree.columns or []
        if name in names and None not in names and len(given) == len(names):
            yield tree, without_alias(given[names.index(name)])
        else:
            yield tree, original_column(tree, name)


def _text(column: c.Column) -> str:
    return column if isinstance(column, str) else str(getattr(column, "sql", column))


def _is_place(place: Cursor, orders: list[c.Order]) -> bool:
    """Is *place* one that this query could have given?"""
    values = place.parameters.values()
    return set(place.parameters) == {_order_name(one) for one in orders} and not any(
        isinstance(value, (dict, list, tuple, set)) for value in values
    )


def _cursor_orders(tree: c.Select) -> list[c.Order]:
    orders = orders_of(tree)
    if not orders:
        raise QueryUseError("cursor_paginate() needs order_by() on at least one column")
    for one in orders:
        if not isinstance(one, c.Order):
            raise QueryUseError(_NAMED_ONLY)
    return list(orders)


def _order_name(order: c.Order) -> str:
    if not isinstance(order.column, str):
        raise QueryUseError(_NAMED_ONLY)
    return order.column


def _turned(order: c.Order) -> c.Order:
    return c.Order(order.column, "asc" if order.direction == "desc" else "desc")


def _after(
    tree: c.Select, orders: list[c.Order], values: Sequence[Any], grammar: Grammar
) -> list[c.Node]:
    """`a > ? or (a = ? and (b > ? or …))`, in the columns of *tree*."""
    order, *others = orders
    name = order.column
    column = _of_its_table(tree, original_column(tree, name)) if isinstance(name, str) else name
    further = _beyond(column, values[0], order.direction, grammar)
    if not others:
        return further
    rest = c.Nested("and", _after(tree, others, values[1:], grammar))
    return [*further, c.Nested("or", [_same(column, values[0]), rest])]


def _told_by(row: Any, tree: c.Select) -> Iterator[Any]:
    """The values of *row* in the orders behind the first."""
    for order in orders_of(tree)[1:]:
        yield value_of(row, str(order.column).rpartition(".")[2])


def _beyond(column: c.Column, value: Any, direction: str, grammar: Grammar) -> list[c.Node]:
    """The rows behind *value* in the order of one column; NULL is the least, on both engines."""
    rising = direction == "asc"
    if value is None:
        return [c.IsNull("and", column, True) if rising else c.In("and", column, [], False)]
    further: c.Node = c.Compare("and", column, ">" if rising else "<", value)
    return [further] if rising or grammar.literal else [further, c.IsNull("or", column, False)]


def _same(column: c.Column, value: Any) -> c.Node:
    if value is None:
        return c.IsNull("and", column, False)
    return c.Compare("and", column, "=", value)


def _of_its_table(tree: c.Select, column: c.Column) -> c.Column:
    """*column* of the one table that is selected whole: an order takes it from there, too."""
    given = tree.columns or ()
    whole = [one for one in given if isinstance(one, str) and one.endswith(".*")]
    is_bare = isinstance(column, str) and "." not in column and "->" not in column
    if not (tree.joins and is_bare and len(whole) == 1):
        return column
    return column if any(name_given(one) == column for one in given) else f"{whole[0][:-1]}{column}"


def _cursor_at(row: Any, orders: list[c.Order], forward: bool) -> str:
    names = [_order_name(one) for one in orders]
    values = {name: _value_in(row, name.rpartition(".")[2]) for name in names}
    return Cursor(values, forward).encode()


def _value_in(row: Any, name: str) -> Any:
    value = value_of(row, name, MISSING)
    if value is MISSING:
        raise QueryUseError(
            f"cursor_paginate() orders by {name!r}, which the query does not select"
        )
    return value
