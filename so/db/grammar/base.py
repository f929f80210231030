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
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.grammar.conditions import Conditions
from so.db.grammar.names import AS, Bindings, unsupported
from so.db.values import KEPT, bindable
from so.errors import InvalidArgumentError

_INDEX_NAME = re.compile(r"[\w$]+(?:\s*,\s*[\w$]+)*")

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


class Grammar(Conditions):
    """The generic dialect, and what all dialects share."""

    name: ClassVar[str] = "base"
    # How many placeholders one statement may have; longer inserts are sent in parts.
    max_placeholders: ClassVar[int] = 30_000
    operators: ClassVar[frozenset[str]] = frozenset()

    @property
    def ignores_too_much(self) -> bool:
        """Does an insert that ignores rows also let in what a plain one refuses?"""
        return False

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

    def aggregate_of(self, function: str, column: str) -> str:
        """An aggregate among the columns of a select: one value, by which rows can be ordered."""
        return f"{function}({column})"

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
        raise unsupported("straight joins")

    def join_lateral(self, kind: str, table: str) -> str:
        """A join with a sub-query that sees the tables before it."""
        raise unsupported("lateral joins")

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
        for rank, value in enumerate(order.values, 1):
            sql += f" when {column} = {self.value(value, bindings)} then {rank}"
        return f"{sql} else {len(order.values) + 1} end"

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
        if KEPT.issuperset(map(type, values)):
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
        raise unsupported("inserting while ignoring errors")

    def compile_insert_or_ignore_returning(
        self, table: Any, rows: list[Row], unique_by: list[str], returning: list[Any]
    ) -> tuple[str, Bindings]:
        """An insert that skips the rows a key forbids and gives those that went in."""
        raise unsupported("insert or ignore with returning")

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
        raise unsupported("upserts")

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
        keys = "".join(values)
        if "." in keys or "->" in keys or not KEPT.issuperset(map(type, values.values())):
            return self.odd_assignments(values, bindings)
        names = self._names
        bindings += values.values()
        return ", ".join([f"{names.get(name) or self.wrap(name)} = ?" for name in values])

    def odd_assignments(self, values: Row, bindings: Bindings) -> str:
        """The same where a name has dots or arrows in it, or a value is to be converted."""
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
        raise unsupported("the update_from method")

    def compile_delete(self, tree: c.Select) -> tuple[str, Bindings]:
        """delete from … where …"""
        bindings: Bindings = []
        table = self.table(tree.table, bindings)
        if tree.joins:
            alias = AS.split(table, maxsplit=1)[-1]
            sql = f"delete {alias} from {table}{self.joins(tree.joins, bindings)}"
            if tree.conditions:
                sql += " where " + self.conditions(tree.conditions, bindings)
            return sql, bindings
        return f"delete from {table}" + self.update_tail(tree, bindings), bindings

    def compile_truncate(self, table: Any) -> list[tuple[str, Bindings]]:
        """The statements that empty a table and start its numbers anew."""
        return [(f"truncate table {self.table(table, [])}", [])]

    def is_numbering_nothing(self, error: Exception) -> bool:
        """True if a `truncate` met no numbers to start anew, which is no error."""
        return False

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
