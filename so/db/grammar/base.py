# ruff: noqa: S608 - writing SQL is the work of this module; names enter it quoted only.
"""From a tree of clauses to SQL text and its bindings, in one walk.

`Grammar` writes the generic dialect (double quotes, no engine's extras); so/db/grammar/sqlite.py
and mysql.py say what their engines do differently. Every method that can meet a value appends it
to *bindings* at the moment it writes the placeholder: text and bindings cannot disagree.

A `literal` grammar writes the text that Laravel documents, for builders without a database. One
that is not literal also mends what the engine would refuse or misread (an offset without a limit).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from so.db import clauses as c
from so.db.expressions import PLAIN, Expression, bindable
from so.errors import InvalidArgumentError

_AS = re.compile(r"\s+as\s+", re.IGNORECASE)
_INDEX_NAME = re.compile(r"[\w$]+(?:\s*,\s*[\w$]+)*")
_JSON_INDEX = re.compile(r"(?:\[[^\]]+\])+$")
_QUOTE_IN_PATH = re.compile(r"\\*'")
_CACHED_NAMES = 2000

Bindings = list[Any]
Row = Mapping[str, Any]
SECTIONS = (
    "select",
    "from",
    "join",
    "where",
    "group_by",
    "having",
    "order",
    "union",
    "union_order",
)


class Grammar:
    """The generic dialect, and what all dialects share."""

    name: ClassVar[str] = "base"
    quote: ClassVar[str] = '"'
    # How many placeholders one statement may have; longer inserts are sent in parts.
    max_placeholders: ClassVar[int] = 30_000
    operators: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, prefix: str = "", *, literal: bool = False) -> None:
        self.prefix = prefix
        self.literal = literal
        self._names: dict[Any, str] = {}
        self._tables: dict[Any, str] = {}
        self._conditions: dict[type[c.Node], Callable[[Any, Bindings], str]] = {
            c.Compare: self.compare,
            c.CompareColumns: self.compare_columns,
            c.NullSafe: self.null_safe,
            c.IsNull: self.is_null,
            c.In: self.in_list,
            c.InQuery: self.in_query,
            c.Between: self.between,
            c.Nested: self.nested,
            c.Exists: self.exists_condition,
            c.RowValues: self.row_values,
            c.RawCondition: self.raw_condition,
            c.DatePart: self.date_part,
            c.Like: self.like,
            c.JsonTest: self.json_test,
            c.JsonLength: self.json_length,
            c.JsonBoolean: self.json_boolean,
            c.FullText: self.full_text,
        }

    # --- names ----------------------------------------------------------------------------------

    def wrap(self, name: str | Expression) -> str:
        """A column as SQL: quoted part by part, with its alias, or a JSON path taken apart."""
        if isinstance(name, Expression):
            return name.value
        found = self._names.get(name) if isinstance(name, str) else None
        if found is None:
            _check_name(name)
            found = self._wrap(name)
            if len(self._names) >= _CACHED_NAMES:
                self._names.clear()
            self._names[name] = found
        return found

    def _wrap(self, name: str) -> str:
        pieces = _AS.split(name, maxsplit=1)
        if len(pieces) == 2:
            return f"{self._wrap(pieces[0])} as {self.wrap_value(pieces[1])}"
        if "->" in name:
            return self.json_selector(name)
        parts = name.split(".")
        if len(parts) == 1:
            return self.wrap_value(name)
        return ".".join([self.wrap_table(parts[0]), *map(self.wrap_value, parts[1:])])

    def wrap_value(self, part: str) -> str:
        """One part of a name, quoted; `*` stays as it is."""
        if part == "*":
            return part
        return self.quote + part.replace(self.quote, self.quote * 2) + self.quote

    def wrap_table(self, name: str | Expression) -> str:
        """A table as SQL: prefixed and quoted, with its alias."""
        if isinstance(name, Expression):
            return name.value
        found = self._tables.get(name) if isinstance(name, str) else None
        if found is None:
            _check_name(name)
            found = self._wrap_table(name)
            if len(self._tables) >= _CACHED_NAMES:
                self._tables.clear()
            self._tables[name] = found
        return found

    def _wrap_table(self, name: str) -> str:
        pieces = _AS.split(name, maxsplit=1)
        if len(pieces) == 2:
            alias = self.wrap_value(self.prefix + pieces[1])
            return f"{self._wrap_table(pieces[0])} as {alias}"
        *schema, table = name.split(".")
        return ".".join(map(self.wrap_value, [*schema, self.prefix + table]))

    def alias_of(self, table: str | Expression) -> str:
        """The name by which columns of *table* are qualified."""
        if isinstance(table, Expression):
            return table.value
        return _AS.split(table, maxsplit=1)[-1]

    def column(self, column: c.Column, bindings: Bindings) -> str:
        """Anything that may stand where a column stands: a name, raw SQL, a sub-query."""
        if isinstance(column, (str, Expression)):
            return self.wrap(column)
        if isinstance(column, c.RawSql):
            bindings.extend(column.bindings)
            return column.sql
        if isinstance(column, c.Aliased):
            return f"({self.sub(column.query, bindings)}) as {self.wrap(column.alias)}"
        if isinstance(column, c.Sub):
            return f"({self.sub(column, bindings)})"
        raise InvalidArgumentError(
            f"a column must be a name or an Expression, not {type(column).__name__}"
        )

    def columns(self, columns: Iterable[c.Column], bindings: Bindings) -> str:
        """Several columns, with commas."""
        names = self._names
        return ", ".join([names.get(one) or self.column(one, bindings) for one in columns])

    def table(self, table: Any, bindings: Bindings) -> str:
        """Anything that may stand where a table stands."""
        if isinstance(table, (str, Expression)):
            return self.wrap_table(table)
        if isinstance(table, c.RawSql):
            bindings.extend(table.bindings)
            return table.sql
        if isinstance(table, c.Aliased):
            return f"({self.sub(table.query, bindings)}) as {self.wrap_table(table.alias)}"
        if isinstance(table, c.Counted):
            return f"({self.sub(table.query, bindings)}) as {self.wrap_value('aggregate_table')}"
        raise InvalidArgumentError(
            f"a table must be a name or an Expression, not {type(table).__name__}"
        )

    def sub(self, query: c.Sub, bindings: Bindings) -> str:
        """The text of a sub-query, without parentheses."""
        if isinstance(query.select, str):
            return query.select
        return self.select(query.select, bindings)

    def value(self, value: Any, bindings: Bindings) -> str:
        """A placeholder for *value*, or the SQL of an Expression or a sub-query."""
        if isinstance(value, Expression):
            return value.value
        if isinstance(value, c.Sub):
            return f"({self.sub(value, bindings)})"
        bindings.append(value)
        return "?"

    def values(self, values: Iterable[Any], bindings: Bindings) -> str:
        """Several values, with commas."""
        return ", ".join([self.value(one, bindings) for one in values])

    # --- select ---------------------------------------------------------------------------------

    def compile_select(self, tree: c.Select) -> tuple[str, Bindings]:
        """A whole select statement and its bindings."""
        bindings: Bindings = []
        sql = self.select(tree, bindings)
        return (self.with_timeout(sql, tree.timeout) if tree.timeout else sql), bindings

    def compile_exists(self, tree: c.Select) -> tuple[str, Bindings]:
        """select exists(…)."""
        bindings: Bindings = []
        sql = f"select exists({self.select(tree, bindings)}) as {self.wrap_value('exists')}"
        return (self.with_timeout(sql, tree.timeout) if tree.timeout else sql), bindings

    def select(self, tree: c.Select, bindings: Bindings) -> str:
        """A select, here or inside another statement."""
        if tree.added or tree.replaced:
            for some in self.raw_bindings(tree).values():
                bindings.extend(some)
            bindings = []
        if tree.unions is None and tree.aggregate is None and tree.group_limit is None:
            return self._plain_select(tree, bindings)
        if tree.aggregate and (tree.unions or tree.havings):
            return self._aggregate_of_sub(tree, tree.aggregate, bindings)
        if tree.group_limit:
            return self._limited_groups(tree, tree.group_limit, bindings)
        sql = self._plain_select(tree, bindings)
        if tree.unions:
            sql = f"{self.union_member(sql)}{self._unions(tree.unions, bindings)}"
            sql += self._union_tail(tree, bindings)
        return sql

    def _plain_select(self, tree: c.Select, bindings: Bindings) -> str:
        return self._head(tree, bindings) + self._tail(tree, bindings)

    def _head(self, tree: c.Select, bindings: Bindings) -> str:
        """select … from …, with the index hint."""
        if tree.aggregate:
            sql = "select " + self.aggregate(tree, tree.aggregate, bindings)
        elif tree.columns:
            word = "select distinct " if tree.distinct else "select "
            sql = word + self.columns(tree.columns, bindings)
        else:
            sql = "select distinct *" if tree.distinct else "select *"
        table = tree.table
        if table is not None:
            sql += " from " + (self._tables.get(table) or self.table(table, bindings))
        return sql + self.index_hint(tree.index_hint) if tree.index_hint else sql

    def _tail(self, tree: c.Select, bindings: Bindings) -> str:
        """Everything after the table."""
        sql = ""
        if tree.joins:
            sql += self.joins(tree.joins, bindings)
        if tree.conditions:
            sql += " where " + self.conditions(tree.conditions, bindings)
        if tree.groups:
            sql += " group by " + self.columns(tree.groups, bindings)
        if tree.havings:
            sql += " having " + self.conditions(tree.havings, bindings)
        if tree.orders:
            sql += " order by " + self.orders(tree.orders, bindings)
        if tree.limit is not None or tree.offset is not None:
            sql += self.limit(tree.limit, tree.offset)
        return sql + self.lock(tree.lock) if tree.lock is not None else sql

    def aggregate(self, tree: c.Select, aggregate: c.Aggregate, bindings: Bindings) -> str:
        """count(…) as "aggregate" """
        columns = self.aggregated(tree, aggregate, bindings)
        return f"{aggregate.function}({columns}) as {self.wrap_value('aggregate')}"

    def aggregated(self, tree: c.Select, aggregate: c.Aggregate, bindings: Bindings) -> str:
        """What stands in the parentheses of an aggregate function."""
        columns = self.columns(aggregate.columns, bindings)
        if isinstance(tree.distinct, list):
            return "distinct " + self.columns(tree.distinct, bindings)
        return f"distinct {columns}" if tree.distinct and columns != "*" else columns

    def aggregate_result(self, function: str, row: Row) -> Any:
        """The aggregate in the row that came back."""
        return row.get("aggregate")

    def _aggregate_of_sub(self, tree: c.Select, aggregate: c.Aggregate, bindings: Bindings) -> str:
        """An aggregate over a union or over filtered groups: over the whole as a sub-query."""
        inner = tree.copy()
        inner.aggregate = None
        head = self.aggregate(tree, aggregate, bindings)
        return f"select {head} from ({self.select(inner, bindings)}) as {self._temp_table()}"

    def _temp_table(self) -> str:
        return self.wrap_table("temp_table")

    def _limited_groups(
        self, tree: c.Select, group_limit: tuple[int, c.Column], bindings: Bindings
    ) -> str:
        """So many rows of each group, numbered by a window function."""
        limit, column = group_limit
        inner = tree.copy()
        orders, inner.orders, inner.offset = inner.orders, None, None
        inner.columns = inner.columns or ["*"]
        tail: Bindings = []
        number = f"row_number() over (partition by {self.column(column, tail)}"
        number += f" order by {self.orders(orders, tail)})" if orders else ")"
        row = self.wrap_value("laravel_row")
        inner.columns = [*inner.columns, c.RawSql(f"{number} as {row}", tail)]
        inner.group_limit = None
        sql = (
            f"select * from ({self.select(inner, bindings)}) as {self.wrap_value('laravel_table')}"
        )
        sql += f" where {row} <= {limit + (tree.offset or 0)}"
        if tree.offset:
            sql += f" and {row} > {tree.offset}"
        return f"{sql} order by {row}"

    def joins(self, joins: list[c.Join], bindings: Bindings) -> str:
        """All joins, each with a space before it."""
        sql = ""
        for join in joins:
            table = self._tables.get(join.table) or self.table(join.table, bindings)
            if join.joins:
                table = f"({table}{self.joins(join.joins, bindings)})"
            if join.lateral:
                sql += " " + self.join_lateral(join.kind, table)
                continue
            word = self.join_word(join.kind)
            sql += f" {word} {table}"
            if join.conditions:
                sql += " on " + self.conditions(join.conditions, bindings)
        return sql

    def join_word(self, kind: str) -> str:
        """`inner join`, `left join`, …"""
        if kind == "straight_join":
            return self.straight_join()
        return kind + " join"

    def straight_join(self) -> str:
        """MySQL's word for a join whose tables are read in the order written."""
        raise _unsupported("straight joins")

    def join_lateral(self, kind: str, table: str) -> str:
        """A join with a sub-query that sees the tables before it."""
        raise _unsupported("lateral joins")

    def orders(self, orders: list[Any], bindings: Bindings) -> str:
        """The terms after `order by`."""
        return ", ".join([self.order(one, bindings) for one in orders])

    def order(self, order: Any, bindings: Bindings) -> str:
        """One term after `order by`."""
        if type(order) is c.Order:
            column = self._names.get(order.column) or self.column(order.column, bindings)
            return f"{column} {order.direction}"
        if type(order) is c.OrderByList:
            return self._order_by_list(order, bindings)
        if type(order) is c.RandomOrder:
            return self.random(order.seed)
        return self.column(order, bindings)

    def _order_by_list(self, order: c.OrderByList, bindings: Bindings) -> str:
        column = self.column(order.column, [])
        sql = "case"
        for rank, value in enumerate(order.values):
            sql += f" when {column} = {self.value(value, bindings)} then {rank}"
        return f"{sql} else {len(order.values)} end"

    def random(self, seed: int | None) -> str:
        """The expression that puts rows in any order."""
        return "RANDOM()"

    def limit(self, limit: int | None, offset: int | None) -> str:
        """limit … offset …, with a space before."""
        sql = ""
        if limit is not None:
            sql = f" limit {limit}"
        elif not self.literal and offset is not None:
            sql = self.no_limit()
        return f"{sql} offset {offset}" if offset is not None else sql

    def no_limit(self) -> str:
        """What the engine wants before an offset that has no limit."""
        return ""

    def lock(self, lock: bool | str) -> str:
        """The locking clause, with a space before; True is for update, False shared."""
        return f" {lock}" if isinstance(lock, str) else ""

    def index_hint(self, hint: c.IndexHint) -> str:
        """The index hint, with a space before."""
        return ""

    def index_name(self, hint: c.IndexHint) -> str:
        """The name in an index hint, which is written unquoted and must therefore be plain."""
        if not _INDEX_NAME.fullmatch(hint.index):
            raise InvalidArgumentError(
                f"index name {hint.index!r} may have letters, digits, _ and $ only"
            )
        return hint.index

    def with_timeout(self, sql: str, seconds: int) -> str:
        """*sql* with a limit of *seconds*, where the engine can say so in the statement."""
        return sql

    # --- unions ---------------------------------------------------------------------------------

    def union_member(self, sql: str) -> str:
        """One select of a union."""
        return f"({sql})"

    def _unions(self, unions: list[c.Union], bindings: Bindings) -> str:
        sql = ""
        for union in unions:
            word = "union all" if union.all else "union"
            sql += f" {word} {self.union_member(self.select(union.select, bindings))}"
        return sql

    def _union_tail(self, tree: c.Select, bindings: Bindings) -> str:
        sql = ""
        if tree.union_orders:
            sql = " order by " + self.orders(tree.union_orders, bindings)
        if tree.union_limit is not None or tree.union_offset is not None:
            sql += self.limit(tree.union_limit, tree.union_offset)
        return sql

    # --- conditions -----------------------------------------------------------------------------

    def conditions(self, nodes: list[c.Node], bindings: Bindings) -> str:
        """The conditions after `where`, `on` or `having`."""
        write = self._conditions
        sql = ""
        for node in nodes:
            sql += f" {node.boolean} {write[type(node)](node, bindings)}"
        return sql[5:] if sql.startswith(" and ") else sql[4:]

    def compare(self, node: c.Compare, bindings: Bindings) -> str:
        """column operator ?"""
        column = self._names.get(node.column) or self.column(node.column, bindings)
        bindings.append(node.value)
        return f"{column} {node.operator} ?"

    def compare_columns(self, node: c.CompareColumns, bindings: Bindings) -> str:
        """column operator column"""
        first = self._names.get(node.first) or self.column(node.first, bindings)
        second = self._names.get(node.second) or self.column(node.second, bindings)
        return f"{first} {node.operator} {second}"

    def null_safe(self, node: c.NullSafe, bindings: Bindings) -> str:
        """column equals value, NULL too."""
        column = self.column(node.column, bindings)
        return f"{column} is not distinct from {self.value(node.value, bindings)}"

    def is_null(self, node: c.IsNull, bindings: Bindings) -> str:
        """column is (not) null"""
        column = self._names.get(node.column) or self.column(node.column, bindings)
        return f"{column} is not null" if node.negated else f"{column} is null"

    def in_list(self, node: c.In, bindings: Bindings) -> str:
        """column (not) in (?, ?)"""
        if not node.values:
            return "1 = 1" if node.negated else "0 = 1"
        column = self._names.get(node.column) or self.column(node.column, bindings)
        word = "not in" if node.negated else "in"
        if node.inline:
            return f"{column} {word} ({', '.join(map(str, node.values))})"
        if PLAIN.issuperset(map(type, node.values)):
            bindings += node.values
            return f"{column} {word} ({', '.join(['?'] * len(node.values))})"
        return f"{column} {word} ({self.values(node.values, bindings)})"

    def in_query(self, node: c.InQuery, bindings: Bindings) -> str:
        """column (not) in (select …)"""
        column = self.column(node.column, bindings)
        word = "not in" if node.negated else "in"
        return f"{column} {word} ({self.sub(node.query, bindings)})"

    def between(self, node: c.Between, bindings: Bindings) -> str:
        """subject (not) between low and high"""
        subject = self.column if node.subject_is_column else self.value
        bound = self.column if node.bounds_are_columns else self.value
        word = "not between" if node.negated else "between"
        low, high = node.bounds
        return (
            f"{subject(node.subject, bindings)} {word} "
            f"{bound(low, bindings)} and {bound(high, bindings)}"
        )

    def nested(self, node: c.Nested, bindings: Bindings) -> str:
        """(conditions)"""
        return f"({self.conditions(node.conditions, bindings)})"

    def exists_condition(self, node: c.Exists, bindings: Bindings) -> str:
        """(not) exists (select …)"""
        word = "not exists" if node.negated else "exists"
        return f"{word} ({self.sub(node.query, bindings)})"

    def row_values(self, node: c.RowValues, bindings: Bindings) -> str:
        """(a, b) < (?, ?)"""
        columns = self.columns(node.columns, bindings)
        return f"({columns}) {node.operator} ({self.values(node.values, bindings)})"

    def raw_condition(self, node: c.RawCondition, bindings: Bindings) -> str:
        """As the caller wrote it."""
        bindings.extend(node.bindings)
        return node.sql

    def date_part(self, node: c.DatePart, bindings: Bindings) -> str:
        """date(column) = ?"""
        column = self.column(node.column, bindings)
        return f"{node.part}({column}) {node.operator} {self.value(node.value, bindings)}"

    def like(self, node: c.Like, bindings: Bindings) -> str:
        """column (not) like ?"""
        if node.case_sensitive:
            raise _unsupported("case sensitive like operations")
        word = "not like" if node.negated else "like"
        return f"{self.column(node.column, bindings)} {word} {self.value(node.value, bindings)}"

    def full_text(self, node: c.FullText, bindings: Bindings) -> str:
        """A full-text search."""
        raise _unsupported("fulltext search operations")

    # --- JSON -----------------------------------------------------------------------------------

    def json_selector(self, name: str) -> str:
        """`column->path` as a value."""
        raise _unsupported("JSON operations")

    def json_parts(self, name: str | Expression) -> tuple[str, str]:
        """`column->a->b` as the quoted column and `, '$."a"."b"'` (or nothing)."""
        field, arrow, path = str(name).partition("->")
        if not arrow and isinstance(name, Expression):
            return name.value, ""
        return self.wrap(field), f", {self.json_path(path)}" if arrow else ""

    def json_path(self, path: str) -> str:
        """`a->b[0]` as the literal '$."a"."b"[0]'."""
        _check_name(path)
        quoted = _QUOTE_IN_PATH.sub("''", path)
        text = ".".join([_json_segment(one) for one in quoted.split("->")])
        return f"'${text}'" if text.startswith("[") else f"'$.{text}'"

    def json_test(self, node: c.JsonTest, bindings: Bindings) -> str:
        """contains, overlaps or has a key; with `not` before it."""
        write = {
            "contains": self.json_contains,
            "overlaps": self.json_overlaps,
            "key": self.json_contains_key,
        }[node.kind]
        sql = write(node, bindings)
        return f"not {sql}" if node.negated else sql

    def json_contains(self, node: c.JsonTest, bindings: Bindings) -> str:
        """The JSON column holds the value."""
        raise _unsupported("JSON contains operations")

    def json_overlaps(self, node: c.JsonTest, bindings: Bindings) -> str:
        """The JSON column and the value have an element in common."""
        raise _unsupported("JSON overlaps operations")

    def json_contains_key(self, node: c.JsonTest, bindings: Bindings) -> str:
        """The path exists."""
        raise _unsupported("JSON contains key operations")

    def json_length(self, node: c.JsonLength, bindings: Bindings) -> str:
        """The number of elements, compared."""
        raise _unsupported("JSON length operations")

    def json_boolean(self, node: c.JsonBoolean, bindings: Bindings) -> str:
        """A JSON true or false, compared."""
        column = self.json_boolean_selector(node.column)
        return f"{column} {node.operator} {'true' if node.value else 'false'}"

    def json_boolean_selector(self, name: str) -> str:
        """`column->path` as a value to compare with true or false."""
        return self.json_selector(name)

    # --- writing --------------------------------------------------------------------------------

    def compile_insert(self, table: Any, rows: list[Row]) -> tuple[str, Bindings]:
        """insert into … values …; the rows have the same columns in the same order."""
        bindings: Bindings = []
        into = "insert into " + (self._tables.get(table) or self.table(table, bindings))
        first = rows[0] if rows else {}
        if not first:
            return into + self.insert_defaults(), bindings
        names = self._names
        columns = ", ".join([names.get(name) or self.wrap(name) for name in first])
        marks = ", ".join([f"({self._row(row, bindings)})" for row in rows])
        return f"{into} ({columns}) values {marks}", bindings

    def _row(self, row: Row, bindings: Bindings) -> str:
        values = row.values()
        if PLAIN.issuperset(map(type, values)):
            bindings += values
            return ", ".join(["?"] * len(values))
        return ", ".join([self.stored(value, bindings) for value in values])

    def stored(self, value: Any, bindings: Bindings) -> str:
        """A value to be written: converted, or the SQL of an Expression or a sub-query."""
        if isinstance(value, (Expression, c.Sub)):
            return self.value(value, bindings)
        bindings.append(bindable(value))
        return "?"

    def insert_defaults(self) -> str:
        """What follows `insert into t` when there is no column to name."""
        return " default values"

    def compile_insert_or_ignore(self, table: Any, rows: list[Row]) -> tuple[str, Bindings]:
        """An insert that skips the rows a key forbids."""
        sql, bindings = self.compile_insert(table, rows)
        return self.ignoring(sql), bindings

    def ignoring(self, sql: str) -> str:
        """*sql*, an insert, so that it skips the rows a key forbids."""
        raise _unsupported("inserting while ignoring errors")

    def compile_insert_using(
        self, table: Any, columns: list[str], query: c.Sub, *, ignore: bool = False
    ) -> tuple[str, Bindings]:
        """insert into … select …"""
        bindings: Bindings = []
        sql = "insert into " + self.table(table, bindings)
        if columns and columns != ["*"]:
            sql += f" ({self.columns(columns, bindings)})"
        sql += " " + self.sub(query, bindings)
        return (self.ignoring(sql) if ignore else sql), bindings

    def compile_upsert(
        self, table: Any, rows: list[Row], unique_by: list[str], update: Mapping[str, Any]
    ) -> tuple[str, Bindings]:
        """An insert that updates the rows that are there.

        *update* maps columns to values; a column mapped to itself takes the inserted value.
        """
        raise _unsupported("upserts")

    def compile_update(self, tree: c.Select, values: Row) -> tuple[str, Bindings]:
        """update … set … where …"""
        bindings: Bindings = []
        sql = "update " + (self._tables.get(tree.table) or self.table(tree.table, bindings))
        if tree.joins:
            sql += self.joins(tree.joins, bindings)
        sql += f" set {self.assignments(values, bindings)}"
        return sql + self.update_tail(tree, bindings), bindings

    def update_tail(self, tree: c.Select, bindings: Bindings) -> str:
        """What an update or a delete of one table has after its head."""
        if not tree.conditions:
            return ""
        return " where " + self.conditions(tree.conditions, bindings)

    def assignments(self, values: Row, bindings: Bindings) -> str:
        """a = ?, b = ?"""
        if "->" not in "".join(values) and PLAIN.issuperset(map(type, values.values())):
            names = self._names
            bindings += values.values()
            return ", ".join([f"{names.get(name) or self.wrap(name)} = ?" for name in values])
        return ", ".join([self.assignment(key, some, bindings) for key, some in values.items()])

    def assignment(self, column: str, value: Any, bindings: Bindings) -> str:
        """column = ?"""
        return f"{self.wrap(column)} = {self.stored(value, bindings)}"

    def stepped(self, column: str, sign: str, amount: Any) -> Expression:
        """column + amount, the number written out."""
        text = str(amount) if isinstance(amount, int) else format(Decimal(str(amount)), "f")
        return Expression(f"{self.wrap(column)} {sign} {text}")

    def compile_update_from(self, tree: c.Select, values: Row) -> tuple[str, Bindings]:
        """update … from …: PostgreSQL's."""
        raise _unsupported("the update_from method")

    def compile_delete(self, tree: c.Select) -> tuple[str, Bindings]:
        """delete from … where …"""
        bindings: Bindings = []
        table = self.table(tree.table, bindings)
        if tree.joins:
            alias = _AS.split(table, maxsplit=1)[-1]
            sql = f"delete {alias} from {table}{self.joins(tree.joins, bindings)}"
            if tree.conditions:
                sql += " where " + self.conditions(tree.conditions, bindings)
            return sql, bindings
        return f"delete from {table}" + self.update_tail(tree, bindings), bindings

    def compile_truncate(self, table: Any) -> list[tuple[str, Bindings]]:
        """The statements that empty a table and start its numbers anew."""
        return [(f"truncate table {self.table(table, [])}", [])]

    def explain(self, sql: str) -> str:
        """The statement that shows how the engine would run *sql*."""
        return "explain " + sql

    # --- bindings by section --------------------------------------------------------------------

    def raw_bindings(self, tree: c.Select) -> dict[str, Bindings]:
        """The bindings of each part of a query, in SQL order."""
        found: dict[str, Bindings] = {section: [] for section in SECTIONS}
        self.columns(tree.columns or [], found["select"])
        if tree.table is not None:
            self.table(tree.table, found["from"])
        self.joins(tree.joins or [], found["join"])
        self.conditions(tree.conditions, found["where"])
        self.columns(tree.groups or [], found["group_by"])
        self.conditions(tree.havings or [], found["having"])
        self.orders(tree.orders or [], found["order"])
        self._unions(tree.unions or [], found["union"])
        self.orders(tree.union_orders or [], found["union_order"])
        found.update(tree.replaced or {})
        for section, some in (tree.added or {}).items():
            found[section] = found[section] + some
        return found


def _unsupported(what: str) -> RuntimeError:
    return RuntimeError(f"This database engine does not support {what}.")


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise InvalidArgumentError(
            f"a name must be text or an Expression, not {type(name).__name__}"
        )
    if not name or "\0" in name:
        raise InvalidArgumentError(f"{name!r} is not a name")


def _json_segment(segment: str) -> str:
    index = _JSON_INDEX.search(segment)
    if index is None:
        return f'"{segment}"'
    key = segment[: index.start()]
    return f'"{key}"{index.group()}' if key else index.group()
