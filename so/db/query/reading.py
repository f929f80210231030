"""Reading: rows, single values, aggregates. A read leaves the query as it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Self

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.grammar.names import AS
from so.db.query.core import QueryCore, collected, drop_bindings
from so.db.query.given import column_names
from so.db.query.twins import twin
from so.db.rows import Collection
from so.errors import InvalidArgumentError, MultipleRecordsFoundError, RecordNotFoundError

_AGGREGATE = re.compile(
    r"\b(?:count|sum|avg|min|max|total|group_concat|string_agg|json_\w*agg|json_group_\w+|std\w*"
    r"|var\w*|bit_(?:and|or|xor)|decimal_sum)\s*\((?!.*\)\s*over\b)",
    re.IGNORECASE | re.DOTALL,
)


class Reading(QueryCore):
    """get, first, find, value, pluck, count, sum, exists, …"""

    # --- running --------------------------------------------------------------------------------

    def _with_columns(self, columns: Any) -> Self:
        """This query, or a copy that selects *columns* if it names none itself.

        Nor does a union of whole rows: to narrow one half of it would be an error.
        """
        names = column_names(columns)
        if not names or self.tree.columns is not None:
            return self
        if any(union.select.columns is None for union in self.tree.unions or ()):
            return self
        twin_ = self.clone()
        twin_._select_all(tuple(names))
        return twin_

    # --- rows -----------------------------------------------------------------------------------

    def get(self, columns: Any = None) -> Any:
        """All rows, as a Collection; *columns* count if the query selects none itself."""
        query = self if columns is None else self._with_columns(columns)
        rows = query._hydrate(query._rows())
        if self.tree.group_limit is not None:
            for row in rows:
                row.pop("laravel_row", None)
        return rows if self._after is None else self.apply_after_query_callbacks(rows)

    def first(self, columns: Any = None) -> Any:
        """The first row, None if there is none."""
        for row in self.clone().limit(1).get(columns):
            return row
        return None

    def first_or_fail(self, columns: Any = None, message: str | None = None) -> Any:
        """The first row; RecordNotFoundError if there is none."""
        row = self.first(columns)
        if row is None:
            raise RecordNotFoundError(message or "No record found for the given query.")
        return row

    def first_or(self, columns: Any = None, fn: Callable[[], Any] | None = None) -> Any:
        """The first row, or fn(): `first_or(fn)` or `first_or(columns, fn)`."""
        if callable(columns):
            columns, fn = None, columns
        row = self.first(columns)
        return _called(fn, "first_or") if row is None else row

    def find(self, id: Any, columns: Any = None) -> Any:
        """The row with this id, None if there is none."""
        return self._kept()._where_id("id", id).first(columns)

    def find_or(
        self,
        id: Any,
        columns: Any = None,
        fn: Callable[[], Any] | None = None,
    ) -> Any:
        """The row with this id, or fn(): `find_or(id, fn)` or `find_or(id, columns, fn)`."""
        if callable(columns):
            columns, fn = None, columns
        row = self.find(id, columns)
        return _called(fn, "find_or") if row is None else row

    def sole(self, columns: Any = None) -> Any:
        """The only row; RecordNotFoundError for none, MultipleRecordsFoundError for more."""
        rows = self.clone().limit(2).get(columns)
        if len(rows) > 1:
            raise MultipleRecordsFoundError(len(rows))
        if not rows:
            raise RecordNotFoundError("No record found for the given query.")
        return rows[0]

    # --- single values --------------------------------------------------------------------------

    def value(self, column: Any) -> Any:
        """The column's value in the first row, None if there is no row."""
        return self._value_in(self._plain().first([column]), column)

    def value_or_fail(self, column: Any) -> Any:
        """The column's value in the first row; RecordNotFoundError if there is no row."""
        return self._value_in(self._plain().first_or_fail([column]), column)

    def _value_in(self, row: Any, column: Any) -> Any:
        """The value of *column* in a row that was asked for it, which may be one of a union."""
        is_whole = row is not None and len(row) > 1 and self.tree.columns is None
        return _named(row, column) if is_whole else _first_value(row)

    def raw_value(self, sql: Any, bindings: Any = ()) -> Any:
        """The value of an SQL expression in the first row."""
        return _first_value(self.clone().select_raw(sql, bindings)._plain().first())

    def sole_value(self, column: Any) -> Any:
        """The column's value in the only row."""
        return self._value_in(self._plain().sole([column]), column)

    def pluck(self, column: Any, key: Any = None) -> Any:
        """A column's values as a list, or as a dict by another column's."""
        wanted = [column] if key is None or key == column else [column, key]
        rows = self._plain()._tuples(wanted)
        if key is None:
            found: Any = Collection([row[0] for row in rows])
        else:
            found = {row[-1]: row[0] for row in rows}
        return found if self._after is None else self.apply_after_query_callbacks(found)

    def _tuples(self, wanted: list[Any]) -> Iterable[Sequence[Any]]:
        """The values of these columns, row by row; of two with one name each is its own."""
        query = self._with_columns(wanted)
        if query is self:
            return [[_named(row, column) for column in wanted] for row in self._rows()]
        sql, bindings = self.grammar.compile_select(query._finished())
        fetch = getattr(self.runner, "select_tuples", None)
        if fetch is not None:
            tuples: Iterable[Sequence[Any]] = fetch(sql, bindings, not self._use_write)
            return tuples
        rows = self.runner.select(sql, bindings, not self._use_write)
        return [[_placed(row, column, at) for at, column in enumerate(wanted)] for row in rows]

    def implode(self, column: Any, glue: str = "") -> str:
        """A column's values as one text, None as nothing."""
        return glue.join(["" if one is None else str(one) for one in self.pluck(column)])

    # --- aggregates -----------------------------------------------------------------------------

    def aggregate(self, function: str, columns: Any = "*") -> Any:
        """What an aggregate function of the engine gives, None over no rows."""
        if not isinstance(function, str) or not function.isidentifier():
            raise InvalidArgumentError(f"{function!r} is not the name of an aggregate function")
        query = self.clone()
        if not query.tree.unions and not query.tree.havings:
            query.tree.columns = None
            drop_bindings(query.tree, "select")
        if not self.grammar.literal and not query.tree.unions:
            query.tree.offset = None  # it would skip the one row of the answer
        query._aggregate_over(function, columns)
        for row in query._rows():
            return self.grammar.aggregate_result(function, row)
        return None

    def _aggregate_over(self, function: str, columns: Any) -> None:
        names = [self._column(name) for name in column_names(columns) or ["*"]]
        self.tree.aggregate = c.Aggregate(function, names)
        if not self.tree.groups:
            self.tree.orders = None

    def count(self, columns: Any = "*") -> int:
        """How many rows there are, or how many have the column not null; of groups, how many."""
        groups = self.tree.groups and not self.grammar.literal
        if columns == "*" and (groups or self._counts_from_outside()):
            return self.get_count_for_pagination()
        return int(self.aggregate("count", columns) or 0)

    def get_count_for_pagination(self, columns: Any = "*") -> int:
        """How many rows the query gives without its limit."""
        query = self.clone_without(["orders", "limit", "offset"])
        tree = query.tree
        if tree.groups or tree.havings or self._counts_from_outside():
            return self._count_from_outside(query, columns)
        if tree.unions:
            tree.union_orders = tree.union_limit = tree.union_offset = None
        else:
            tree.columns = None
        query._aggregate_over("count", _without_aliases(columns))
        for row in query._rows() or ():
            return int(row["aggregate"])
        return 0

    def _counts_from_outside(self) -> bool:
        """Does the query give fewer rows than it finds, so that they are counted as a table?"""
        tree = self.tree
        if self.grammar.literal or tree.unions:
            return False
        return bool(tree.distinct or tree.group_limit or _is_aggregated(tree.columns))

    def _count_from_outside(self, query: Self, columns: Any) -> int:
        if query.tree.distinct and not query.tree.havings:
            _name_apart(query.tree)
        if query.tree.columns is None and query.tree.joins:
            query.select(f"{query.grammar.alias_of(query.tree.table)}.*")
        outer = self.new_query()
        outer.tree = c.Select(c.Counted(c.Sub(query._finished())))
        outer._aggregate_over("count", _without_aliases(columns))
        for row in outer._rows() or ():
            return int(row["aggregate"])
        return 0

    def min(self, column: Any) -> Any:
        """The least value, None over no rows."""
        return self.aggregate("min", column)

    def max(self, column: Any) -> Any:
        """The greatest value, None over no rows."""
        return self.aggregate("max", column)

    def sum(self, column: Any) -> Any:
        """The exact sum, 0 over no rows: int for whole numbers, Decimal for decimals."""
        total = number(self.aggregate("sum", column))
        return 0 if total is None else total

    def avg(self, column: Any) -> Any:
        """The average, None over no rows."""
        return number(self.aggregate("avg", column), whole=False)

    average = twin(avg)

    def numeric_aggregate(self, function: str, columns: Any = "*") -> Any:
        """What an aggregate function gives, as a number; 0 over no rows."""
        return number(self.aggregate(function, columns)) or 0

    def exists(self) -> bool:
        """Is there a row?"""
        sql, bindings = self.grammar.compile_exists(self._finished())
        for row in self.runner.select(sql, bindings, not self._use_write) or ():
            return bool(int(_first_value(row) or 0))
        return False

    def doesnt_exist(self) -> bool:
        """Is there no row?"""
        return not self.exists()

    def exists_or(self, fn: Callable[[], Any]) -> Any:
        """True if there is a row, else fn()."""
        return True if self.exists() else fn()

    def doesnt_exist_or(self, fn: Callable[[], Any]) -> Any:
        """True if there is no row, else fn()."""
        return fn() if self.exists() else True

    # --- looking at it --------------------------------------------------------------------------

    def explain(self) -> Any:
        """How the engine would run the query, as rows."""
        sql, bindings = self.grammar.compile_select(self._finished())
        return collected(self.runner.select(self.grammar.explain(sql), bindings, True))

    def dump(self) -> Self:
        """Print the statement and its bindings."""
        sql, bindings = self.grammar.compile_select(self._finished())
        print(sql, bindings)  # noqa: T201 - printing is what dump is for
        return self

    def dump_raw_sql(self) -> Self:
        """Print the statement with its values written in."""
        print(self.to_raw_sql())  # noqa: T201 - printing is what dump is for
        return self

    def dd_raw_sql(self) -> None:
        """Print the statement with its values written in and end the program."""
        self.dump_raw_sql()
        raise SystemExit(1)

    def dd(self) -> None:
        """Print the statement and end the program."""
        self.dump()
        raise SystemExit(1)


def number(value: Any, whole: bool = True) -> Any:
    """An aggregate as int, float or Decimal; MySQL sums whole numbers as Decimal."""
    if isinstance(value, (str, bytes)):
        value = Decimal(value.decode() if isinstance(value, bytes) else value)
    if whole and isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return int(value)
    return value


def _first_value(row: Any) -> Any:
    if row is None:
        return None
    values = list(row.values() if isinstance(row, dict) else row)
    return values[0] if values else None


def _named(row: Any, column: Any) -> Any:
    """The value of a column that the query selected itself."""
    name = _result_name(column)
    if name not in row:
        raise InvalidArgumentError(
            f"cannot pluck {name!r}: the query selects {', '.join(row) or 'nothing'}"
        )
    return row[name]


def _placed(row: Any, column: Any, at: int) -> Any:
    """The value of a column we chose, under its name or, named otherwise, at its place."""
    name = _result_name(column)
    return row[name] if name in row else list(row.values())[at]


def _result_name(column: Any) -> str:
    """The name under which the engine gives a column back."""
    text = str(column)
    lowered = text.lower()
    if " as " in lowered:
        return text[lowered.rindex(" as ") + 4 :].strip()
    return text if isinstance(column, Expression) else text.rpartition(".")[2]


def _called(fn: Callable[[], Any] | None, method: str) -> Any:
    if fn is None:
        raise InvalidArgumentError(f"{method}() needs a callable for the case of no row")
    return fn()


def _is_aggregated(columns: list[c.Column] | None) -> bool:
    return any(
        isinstance(one, (c.RawSql, Expression))
        and _AGGREGATE.search(one.sql if isinstance(one, c.RawSql) else one.value)
        for one in columns or ()
    )


def _name_apart(tree: c.Select) -> None:
    """Give each column a name of its own: MySQL takes no table with two of one name."""
    names = tree.columns or []
    if all(isinstance(one, str) and not one.endswith("*") for one in names):
        plain = [AS.split(one, maxsplit=1)[0] for one in names]
        tree.columns = [f"{one} as so_{at}" for at, one in enumerate(plain)] or None


def _without_aliases(columns: Any) -> list[Any]:
    """The columns without ` as name`, which count() does not take."""
    found = []
    for column in column_names(columns):
        at = column.lower().find(" as ") if isinstance(column, str) else -1
        found.append(column if at < 0 else column[:at])
    return found
