"""Where: what rows must satisfy. Each method adds one condition and gives the query back.

Most have an `or_` twin and a `not` form; those stand after the method they belong to.
Dates and times, patterns and JSON have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.query.core import (
    EQUAL,
    MISSING,
    OPERATORS,
    UNEQUAL,
    QueryCore,
    as_query,
    checked_boolean,
    is_queryable,
)
from so.db.query.given import (
    bound_list,
    first_of,
    listed,
    name_of,
    only,
    two_of,
    whole_number,
)
from so.db.query.twins import twin
from so.db.values import KEPT, SIMPLE
from so.errors import InvalidArgumentError

_COLUMNS_HOLD = range(-(2**63), 2**64)
# The operators of a comparison that needs no second look.
_DIRECT = OPERATORS - {"<=>"}
_FINITE = KEPT - {float}


class Where(QueryCore):
    """The where methods for columns, lists, sub-queries and raw SQL."""

    @property
    def wheres(self) -> list[c.Node]:
        """The conditions so far."""
        return self.tree.conditions

    @wheres.setter
    def wheres(self, nodes: list[c.Node]) -> None:
        self.tree.conditions = nodes

    def where(
        self,
        column: Any = MISSING,
        operator: Any = MISSING,
        value: Any = MISSING,
        boolean: str = "and",
        **equals: Any,
    ) -> Self:
        """Add a condition.

        `where("a", 1)`, `where("a", ">", 1)`, `where({"a": 1})`, `where(a=1)`,
        `where([("a", 1), ("b", ">", 2)])`; `where(fn)` puts in parentheses what fn adds to its
        query; `where("a", "=", query)` compares with a sub-query. None means `is null`.
        """
        if value is MISSING:
            operator, value = "=", operator
        if (
            type(value) in SIMPLE
            and type(column) is type(operator) is str
            and operator in _DIRECT
            and boolean == "and"
            and not equals
            and (type(value) is not float or value - value == 0)
        ):
            return self._add(c.Compare(boolean, column, operator, value))
        return self._where(column, operator, value, checked_boolean(boolean), equals)

    or_where = twin(where, boolean="or")

    def _where(
        self, column: Any, operator: Any, value: Any, boolean: str, equals: dict[str, Any]
    ) -> Self:
        if equals:
            if column is not MISSING:
                self._where(column, operator, value, boolean, {})
            return self._where_equals(equals, boolean)
        if isinstance(column, (Mapping, list, tuple)) and value is MISSING:
            return self.where_nested(_adding(column, "where", boolean), boolean)
        if value is MISSING:
            return self._where_alone(column, boolean)
        return self._compare(self._column(column), self._operator(operator), value, boolean)

    def _where_equals(self, equals: dict[str, Any], boolean: str) -> Self:
        if len(equals) > 1:
            return self.where_nested(_adding(equals, "where", boolean), boolean)
        for column, value in equals.items():
            self._where(column, "=", value, boolean, {})
        return self

    def _where_alone(self, condition: Any, boolean: str) -> Self:
        """A condition that is complete in itself: raw SQL, or a callable in parentheses."""
        if isinstance(condition, Expression):
            return self._add(c.RawCondition(boolean, condition.value, []))
        if callable(condition) and as_query(condition) is None:
            return self.where_nested(condition, boolean)
        if condition is MISSING:
            raise InvalidArgumentError("where() needs a column and a value")
        raise InvalidArgumentError(f"where({condition!r:.60}) has no value to compare with")

    def _compare(self, column: c.Column, operator: str, value: Any, boolean: str) -> Self:
        if value is None:
            return self._compare_null(column, operator, boolean)
        if isinstance(value, bool) and "->" in name_of(column):
            return self._compare_json_boolean(column, operator, value, boolean)
        if operator == "<=>" and not is_queryable(value):
            return self._add(c.NullSafe(boolean, column, self._bound(value)))
        return self._add(self._comparison(column, operator, value, boolean))

    def _comparison(self, column: c.Column, operator: str, value: Any, boolean: str) -> c.Node:
        if isinstance(value, Expression):
            return c.CompareColumns(boolean, column, operator, value)
        if is_queryable(value):
            return c.CompareColumns(boolean, column, operator, self._sub(value))
        found = self._bound(first_of(value))
        if found is None:  # not a number: nothing is equal to it, nor more or less
            return c.In(boolean, column, [], False)
        return c.Compare(boolean, column, operator, found)

    def _compare_json_boolean(
        self, column: c.Column, operator: str, value: bool, boolean: str
    ) -> Self:
        if isinstance(column, str):
            return self._add(c.JsonBoolean(boolean, column, operator, value))
        word = Expression("true" if value else "false")
        return self._add(c.CompareColumns(boolean, column, operator, word))

    def prepare_value_and_operator(
        self, value: Any, operator: Any, use_default: bool = False
    ) -> tuple[Any, Any]:
        """(value, operator); with *use_default* the operator was left out and is the value."""
        if use_default:
            return operator, "="
        word = str(operator).lower()
        if value is None and word in OPERATORS and word not in EQUAL | UNEQUAL:
            raise InvalidArgumentError("Illegal operator and value combination.")
        return value, operator

    # --- not, nested, raw -----------------------------------------------------------------------

    def where_not(
        self, column: Any, operator: Any = MISSING, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """Add a condition that must not hold; takes what `where` takes."""
        boolean = checked_boolean(boolean)
        if isinstance(column, (Mapping, list, tuple)):

            def inner(query: Any) -> None:
                query.where(column, boolean=boolean)

            return self.where_nested(inner, boolean + " not")
        return self.where(column, operator, value, boolean + " not")

    or_where_not = twin(where_not, boolean="or")

    def where_nested(self, fn: Callable[[Any], Any], boolean: str = "and") -> Self:
        """Put what fn(query) adds to its query in parentheses."""
        query = self.for_nested_where()
        result = as_query(fn(query))
        return self.add_nested_where_query(result or query, boolean)

    or_where_nested = twin(where_nested, boolean="or")

    def add_nested_where_query(self, query: Any, boolean: str = "and") -> Self:
        """Add another query's conditions in parentheses; none, if it has none."""
        found = as_query(query)
        if found is None:
            raise InvalidArgumentError(f"not a query: {query!r:.60}")
        if found.tree.conditions:
            self._add(c.Nested(checked_boolean(boolean), list(found.tree.conditions)))
        return self

    def where_raw(self, sql: Any, bindings: Any = (), boolean: str = "and") -> Self:
        """A condition as SQL, with values for its placeholders."""
        return self._add(c.RawCondition(checked_boolean(boolean), str(sql), bound_list(bindings)))

    or_where_raw = twin(where_raw, boolean="or")

    def merge_wheres(self, wheres: Iterable[Any], bindings: Any = ()) -> Self:
        """Add conditions taken from another query's `wheres`.

        They carry their own values; *bindings* are for text among them.
        """
        carried = False
        for one in wheres:
            carried = carried or isinstance(one, c.Node)
            self._add(one if isinstance(one, c.Node) else c.RawCondition("and", str(one), []))
        if not carried:
            values = bindings.values() if isinstance(bindings, Mapping) else bindings
            self.add_binding(list(values), "where")
        return self

    # --- columns --------------------------------------------------------------------------------

    def where_column(
        self, first: Any, operator: Any = MISSING, second: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """Compare two columns: `where_column("a", "b")`, `("a", ">", "b")`, or several at once."""
        boolean = checked_boolean(boolean)
        if isinstance(first, (Mapping, list, tuple)):
            return self.where_nested(_adding(first, "where_column", boolean), boolean)
        if second is MISSING:
            operator, second = "=", operator
        if second is MISSING:
            raise InvalidArgumentError(f"where_column({first!r:.60}) needs a second column")
        left, right = self._column(first), self._column(second)
        return self._add(c.CompareColumns(boolean, left, self._operator(operator), right))

    or_where_column = twin(where_column, boolean="or")

    def where_null(self, columns: Any, boolean: str = "and", not_: bool = False) -> Self:
        """The column, or each column of a list, is null."""
        boolean = checked_boolean(boolean)
        if type(columns) is str:
            return self._add(c.IsNull(boolean, columns, not_))
        for column in columns if isinstance(columns, (list, tuple)) else [columns]:
            self._add(c.IsNull(boolean, self._column(column), not_))
        return self

    or_where_null = twin(where_null, boolean="or")
    where_not_null = twin(where_null, not_=True)
    or_where_not_null = twin(where_null, boolean="or", not_=True)

    def where_null_safe_equals(self, column: Any, value: Any, boolean: str = "and") -> Self:
        """The column equals *value*, where None equals NULL."""
        if isinstance(value, bool) and "->" in name_of(column):
            return self.where(column, "<=>", value, boolean)
        node = c.NullSafe(checked_boolean(boolean), self._column(column), self._bound(value))
        return self._add(node)

    or_where_null_safe_equals = twin(where_null_safe_equals, boolean="or")

    def where_if_not_null(self, column: Any, value: Any, boolean: str = "and") -> Self:
        """`where(column, value)` unless *value* is None: for optional filters."""
        return self if value is None else self.where(column, "=", value, boolean)

    or_where_if_not_null = twin(where_if_not_null, boolean="or")

    # --- lists and ranges -----------------------------------------------------------------------

    def where_in(self, column: Any, values: Any, boolean: str = "and", not_: bool = False) -> Self:
        """The column is one of *values*: a list, a query, or a callable that fills one."""
        boolean = checked_boolean(boolean)
        if type(values) is list and type(column) is str and "->" not in column:
            kinds = set(map(type, values))
            if _FINITE.issuperset(kinds):
                return self._add(c.In(boolean, column, list(values), not_, plain=kinds))
        column = self._column(column)
        if "->" in name_of(column) and not is_queryable(values):
            values = [only(one) for one in listed(values)]
            if any(isinstance(one, bool) for one in values):
                return self._in_json(column, values, boolean + " not" * not_)
        if is_queryable(values):
            return self._add(c.InQuery(boolean, column, self._sub(values), not_))
        found = [self._bound(only(one)) for one in listed(values)]
        return self._add(c.In(boolean, column, found, not_))

    def _in_json(self, column: c.Column, values: list[Any], boolean: str) -> Self:
        """A list with truth values in it, which no list of the engine can hold."""

        def inner(query: Any) -> None:
            for value in values:
                query.where(column, "=", value, "or")

        return self.where_nested(inner, boolean)

    or_where_in = twin(where_in, boolean="or")
    where_not_in = twin(where_in, not_=True)
    or_where_not_in = twin(where_in, boolean="or", not_=True)
    where_in_sub = twin(where_in)
    or_where_in_sub = twin(where_in, boolean="or")
    where_not_in_sub = twin(where_in, not_=True)
    or_where_not_in_sub = twin(where_in, boolean="or", not_=True)

    def where_integer_in_raw(
        self, column: Any, values: Any, boolean: str = "and", not_: bool = False
    ) -> Self:
        """The column is one of many whole numbers, written into the text instead of bound."""
        given = [whole_number(only(one)) for one in listed(values)]
        # One that no column holds equals none; written out, SQLite would take it for a float.
        held = [one for one in given if one in _COLUMNS_HOLD]
        node = c.In(checked_boolean(boolean), self._column(column), held, not_, inline=True)
        return self._add(node)

    or_where_integer_in_raw = twin(where_integer_in_raw, boolean="or")
    where_integer_not_in_raw = twin(where_integer_in_raw, not_=True)
    or_where_integer_not_in_raw = twin(where_integer_in_raw, boolean="or", not_=True)

    def where_between(
        self,
        column: Any,
        low: Any,
        high: Any = MISSING,
        boolean: str = "and",
        not_: bool = False,
    ) -> Self:
        """The column lies between two values, both included: `(c, [a, b])` or `(c, a, b)`."""
        first, last = two_of(low, high)
        bounds = (self._bound(first), self._bound(last))
        return self._add(c.Between(checked_boolean(boolean), self._column(column), bounds, not_))

    or_where_between = twin(where_between, boolean="or")
    where_not_between = twin(where_between, not_=True)
    or_where_not_between = twin(where_between, boolean="or", not_=True)

    def where_between_columns(
        self,
        column: Any,
        low: Any,
        high: Any = MISSING,
        boolean: str = "and",
        not_: bool = False,
    ) -> Self:
        """The column lies between two other columns."""
        first, last = two_of(low, high)
        node = c.Between(
            checked_boolean(boolean),
            self._column(column),
            (self._column(first), self._column(last)),
            not_,
            bounds_are_columns=True,
        )
        return self._add(node)

    or_where_between_columns = twin(where_between_columns, boolean="or")
    where_not_between_columns = twin(where_between_columns, not_=True)
    or_where_not_between_columns = twin(where_between_columns, boolean="or", not_=True)

    def where_value_between(
        self,
        value: Any,
        low: Any,
        high: Any = MISSING,
        boolean: str = "and",
        not_: bool = False,
    ) -> Self:
        """A value lies between two columns."""
        first, last = two_of(low, high)
        node = c.Between(
            checked_boolean(boolean),
            self._bound(value),
            (self._column(first), self._column(last)),
            not_,
            subject_is_column=False,
            bounds_are_columns=True,
        )
        return self._add(node)

    or_where_value_between = twin(where_value_between, boolean="or")
    where_value_not_between = twin(where_value_between, not_=True)
    or_where_value_not_between = twin(where_value_between, boolean="or", not_=True)

    def where_row_values(
        self, columns: Any, operator: str, values: Any, boolean: str = "and"
    ) -> Self:
        """(a, b) compared with (1, 2), column by column."""
        names, found = listed(columns), listed(values)
        if len(names) != len(found):
            raise InvalidArgumentError("The number of columns must match the number of values")
        node = c.RowValues(
            checked_boolean(boolean),
            [self._column(name) for name in names],
            self._operator(operator),
            [self._bound(value) for value in found],
        )
        return self._add(node)

    or_where_row_values = twin(where_row_values, boolean="or")

    # --- sub-queries ----------------------------------------------------------------------------

    def where_sub(self, column: Any, operator: str, query: Any, boolean: str = "and") -> Self:
        """Compare the column with what a sub-query gives."""
        left, right = self._column(column), self._sub(query)
        node = c.CompareColumns(checked_boolean(boolean), left, self._operator(operator), right)
        return self._add(node)

    or_where_sub = twin(where_sub, boolean="or")

    def where_exists(self, query: Any, boolean: str = "and", not_: bool = False) -> Self:
        """The sub-query finds a row."""
        return self._add(c.Exists(checked_boolean(boolean), self._sub(query), not_))

    or_where_exists = twin(where_exists, boolean="or")
    where_not_exists = twin(where_exists, not_=True)
    or_where_not_exists = twin(where_exists, boolean="or", not_=True)
    add_where_exists_query = twin(where_exists)

    # --- several columns ------------------------------------------------------------------------

    def where_all(
        self, columns: Any, operator: Any = MISSING, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """Every one of the columns satisfies the comparison."""
        return self._where_each(columns, operator, value, "and", checked_boolean(boolean))

    or_where_all = twin(where_all, boolean="or")

    def where_any(
        self, columns: Any, operator: Any = MISSING, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """At least one of the columns satisfies the comparison."""
        return self._where_each(columns, operator, value, "or", checked_boolean(boolean))

    or_where_any = twin(where_any, boolean="or")

    def where_none(
        self, columns: Any, operator: Any = MISSING, value: Any = MISSING, boolean: str = "and"
    ) -> Self:
        """None of the columns satisfies the comparison."""
        return self._where_each(columns, operator, value, "or", checked_boolean(boolean) + " not")

    or_where_none = twin(where_none, boolean="or")

    def _where_each(
        self, columns: Any, operator: Any, value: Any, joined: str, boolean: str
    ) -> Self:
        def inner(query: Any) -> None:
            for column in listed(columns):
                query.where(column, operator, value, joined)

        return self.where_nested(inner, boolean)


def _adding(conditions: Any, method: str, boolean: str) -> Callable[[Any], None]:
    """A callback that adds {column: value, …} or [(column, value), (column, op, value), …]."""
    joined = boolean.removesuffix(" not")

    def add(query: Any) -> None:
        call = getattr(query, method)
        pairs = conditions.items() if isinstance(conditions, Mapping) else conditions
        for one in pairs:
            if callable(one):
                query.where(one, boolean=joined)
            elif isinstance(one, (list, tuple)) and len(one) in (2, 3):
                call(*one, boolean=joined)
            else:
                raise InvalidArgumentError(
                    f"a condition is (column, value) or (column, operator, value), not {one!r:.60}"
                )

    return add
