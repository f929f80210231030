"""MySQL's and MariaDB's way of saying things."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.grammar.base import Grammar, Row
from so.db.grammar.conditions import placed
from so.db.grammar.names import Bindings, unsupported
from so.db.sqltext import MYSQL_TOKEN
from so.db.values import bindable, json_scalar, json_text

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FIRST_SELECT = re.compile(r"^(\(*)select\b")


class MySQLGrammar(Grammar):
    """MySQL 8 and later; what it writes MariaDB 10.6 and later understands too, when executed."""

    name: ClassVar[str] = "mysql"
    quote: ClassVar[str] = "`"
    token: ClassVar[re.Pattern[str]] = MYSQL_TOKEN
    max_placeholders: ClassVar[int] = 60_000
    operators: ClassVar[frozenset[str]] = frozenset({"sounds like"})

    @property
    def ignores_too_much(self) -> bool:
        """`insert ignore` turns the errors of strict mode into warnings."""
        return not self.literal

    def no_limit(self) -> str:
        """MySQL wants a limit before an offset; this is its largest."""
        return " limit 18446744073709551615"

    def lock(self, lock: bool | str) -> str:
        """for update, lock in share mode"""
        if isinstance(lock, str):
            return f" {lock}"
        return " for update" if lock else " lock in share mode"

    def index_hint(self, hint: c.IndexHint) -> str:
        """use, force or ignore index (name)"""
        return f" {hint.kind} index ({self.index_name(hint)})"

    def random(self, seed: int | None) -> str:
        """RAND(seed)"""
        return f"RAND({'' if seed is None else seed})"

    def straight_join(self) -> str:
        """straight_join"""
        return "straight_join"

    def join_lateral(self, kind: str, table: str) -> str:
        """inner join lateral (…) as `x` on true"""
        return f"{kind} join lateral {table} on true"

    def with_timeout(self, sql: str, seconds: int) -> str:
        """An optimizer hint after the first select; MariaDB reads the comment before it."""
        hint = rf"\1select /*+ MAX_EXECUTION_TIME({seconds * 1000}) */"
        hinted = _FIRST_SELECT.sub(hint, sql, count=1)
        if self.literal:
            return hinted
        return f"/*M! SET STATEMENT max_statement_time={seconds} FOR */ {hinted}"

    def null_safe(self, node: c.NullSafe, bindings: Bindings) -> str:
        """column <=> ?"""
        value = placed(node.column, node.value)
        return f"{self.column(node.column, bindings)} <=> {self.value(value, bindings)}"

    def is_null(self, node: c.IsNull, bindings: Bindings) -> str:
        """A JSON path is null when it is missing and when it holds the JSON null."""
        name = node.column
        if not isinstance(name, (str, Expression)) or "->" not in str(name):
            return super().is_null(node, bindings)
        field, path = self.json_parts(name)
        value = f"json_extract({field}{path})"
        if node.negated:
            return f"({value} is not null AND json_type({value}) != 'NULL')"
        return f"({value} is null OR json_type({value}) = 'NULL')"

    def date_part(self, node: c.DatePart, bindings: Bindings) -> str:
        """date(column) = ?; a time of day is compared to the second, as on SQLite.

        What is no day is compared as text, as there: it would be NULL or a guess.
        """
        value = self.part_value(node)
        is_day = not isinstance(value, str) or _DAY.fullmatch(value)
        if self.literal or node.part not in ("date", "time") or (node.part == "date" and is_day):
            return super().date_part(node, bindings)
        column = self.column(node.column, bindings)
        form = "%H:%i:%s" if node.part == "time" else "%Y-%m-%d"
        function = "time_format" if node.part == "time" else "date_format"
        return f"{function}({column}, '{form}') {node.operator} {self.value(value, bindings)}"

    def like(self, node: c.Like, bindings: Bindings) -> str:
        """like, or like binary to mind the case"""
        word = "not like" if node.negated else "like"
        if node.case_sensitive and self.literal:
            word += " binary"
        sql = f"{self.column(node.column, bindings)} {word} {self.value(node.value, bindings)}"
        # Not `binary`, which compares bytes: `_` would be half an é.
        return f"{sql} collate utf8mb4_bin" if node.case_sensitive and not self.literal else sql

    def binary(self, node: c.Binary, bindings: Bindings) -> str:
        """column = binary ?"""
        word = "!= binary" if node.negated else "= binary"
        return f"{self.column(node.column, bindings)} {word} {self.value(node.value, bindings)}"

    def vector_distance(self, column: str) -> str:
        """MariaDB's function, which MySQL lacks."""
        if self.literal:
            raise unsupported("vector distances")
        return f"vec_distance_cosine({column}, vec_fromtext(?))"

    def within_text(self, text: str) -> str:
        """In a literal of MySQL a backslash is written twice."""
        return text.replace("\\", "\\\\").replace("'", "''")

    def json_word(self, name: str) -> str:
        """MariaDB compares a JSON true as the number 1, MySQL does not: both as text."""
        return f"cast({self.json_boolean_selector(name)} as char)"

    def full_text(self, node: c.FullText, bindings: Bindings) -> str:
        """match (…) against (? in … mode)"""
        columns = self.columns(node.columns, bindings)
        mode = " in boolean mode" if node.mode == "boolean" else " in natural language mode"
        if node.expanded and node.mode != "boolean":
            mode += " with query expansion"
        return f"match ({columns}) against ({self.value(node.value, bindings)}{mode})"

    # --- JSON -----------------------------------------------------------------------------------

    def json_selector(self, name: str) -> str:
        """json_unquote(json_extract(column, path))"""
        field, path = self.json_parts(name)
        return f"json_unquote(json_extract({field}{path}))"

    def json_boolean_selector(self, name: str) -> str:
        """json_extract(column, path)"""
        field, path = self.json_parts(name)
        return f"json_extract({field}{path})"

    def json_contains(self, node: c.JsonTest, bindings: Bindings) -> str:
        """json_contains(column, ?, path)"""
        field, path = self.json_parts(node.column)
        value = self._json_value(node.value, bindings)
        if path and not self.literal:
            # Given the path, MariaDB says "no" where nothing is there, MySQL and SQLite NULL.
            return f"json_contains(json_extract({field}{path}), {value})"
        return f"json_contains({field}, {value}{path})"

    def json_overlaps(self, node: c.JsonTest, bindings: Bindings) -> str:
        """json_overlaps(column, ?, path)"""
        field, path = self.json_parts(node.column)
        value = self._json_value(node.value, bindings)
        if path and not self.literal:
            # json_overlaps() takes two documents and no path.
            return f"json_overlaps(json_extract({field}{path}), {value})"
        return f"json_overlaps({field}, {value}{path})"

    def _json_value(self, value: Any, bindings: Bindings) -> str:
        return self.value(value if isinstance(value, Expression) else json_text(value), bindings)

    def json_contains_key(self, node: c.JsonTest, bindings: Bindings) -> str:
        """ifnull(json_contains_path(column, 'one', path), 0)"""
        field, path = self.json_parts(node.column)
        return f"ifnull(json_contains_path({field}, 'one'{path}), 0)"

    def json_length(self, node: c.JsonLength, bindings: Bindings) -> str:
        """json_length(column, path) = ?"""
        field, path = self.json_parts(node.column)
        return f"json_length({field}{path}) {node.operator} {self.value(node.value, bindings)}"

    def json_cast(self) -> str:
        """A placeholder whose text is taken as JSON.

        MariaDB has no JSON type to cast to; json_extract parses on both.
        """
        return "cast(? as json)" if self.literal else "json_extract(?, '$')"

    # --- writing --------------------------------------------------------------------------------

    def insert_defaults(self) -> str:
        """() values ()"""
        return " () values ()"

    def ignoring(self, sql: str) -> str:
        """insert ignore"""
        return sql.replace("insert", "insert ignore", 1)

    def compile_insert_or_ignore_returning(
        self, table: Any, rows: list[Row], unique_by: list[str], returning: list[Any]
    ) -> tuple[str, Bindings]:
        """insert … returning, which MariaDB has; that rows are skipped is the caller's affair."""
        if self.literal:
            return super().compile_insert_or_ignore_returning(table, rows, unique_by, returning)
        sql, bindings = self.compile_insert(table, rows)
        return f"{sql} returning {self.columns(returning, bindings)}", bindings

    def compile_upsert(
        self, table: Any, rows: list[Row], unique_by: list[str], update: Mapping[str, Any]
    ) -> tuple[str, Bindings]:
        """insert … on duplicate key update …; the engine finds the key by itself."""
        sql, bindings = self.compile_insert(table, rows)
        changes = ", ".join(
            [self._duplicate_assignment(key, value, bindings) for key, value in update.items()]
        )
        return f"{sql} on duplicate key update {changes}", bindings

    def _duplicate_assignment(self, column: str, value: Any, bindings: Bindings) -> str:
        name = self.wrap(column)
        if isinstance(value, c.Inserted):
            # `values()` and not MySQL's row alias, which MariaDB refuses (error 1064).
            return f"{name} = values({name})"
        return f"{name} = {self.stored(value, bindings)}"

    def assignment(self, column: str, value: Any, bindings: Bindings) -> str:
        """column = ?, or json_set for a JSON path"""
        if "->" not in column:
            return super().assignment(column, value, bindings)
        field, path = self.json_parts(column)
        document = field if self.literal else self._with_parents(field, column.partition("->")[2])
        return f"{field} = json_set({document}{path}, {self._json_set_value(value, bindings)})"

    def _with_parents(self, field: str, path: str) -> str:
        """The document with what *path* leads through; json_set makes only the last step."""
        sql, way = f"ifnull({field}, '{{}}')", "$"
        steps = self.json_steps(path)
        for step, following in pairwise(steps):
            way += step
            empty = "json_array()" if following.startswith("[") else "json_object()"
            sql = f"json_insert({sql}, '{way}', {empty})"
        return sql

    def _json_set_value(self, value: Any, bindings: Bindings) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (dict, list, tuple)):
            bindings.append(json_text(value))
            return self.json_cast()
        if isinstance(value, (Expression, c.Sub)):
            return self.value(value, bindings)
        bindings.append(bindable(value) if self.literal else json_scalar(value))
        return "?"

    def compile_delete(self, tree: c.Select) -> tuple[str, Bindings]:
        """delete from … where …"""
        self.check_limits(tree)
        return super().compile_delete(tree)

    def check_limits(self, tree: c.Select) -> None:
        """Refuse what MySQL would leave out, changing more rows than were asked for."""
        if self.literal:
            return
        if tree.offset:
            raise unsupported("an offset in an update or a delete: take the keys of the rows first")
        if tree.joins and tree.limit is not None:
            raise unsupported("a limit beside a join: take the keys of the rows first")

    def update_tail(self, tree: c.Select, bindings: Bindings) -> str:
        """The conditions; without joins also order by and limit."""
        sql = super().update_tail(tree, bindings)
        self.check_limits(tree)
        if not tree.joins:
            if tree.orders:
                sql += " order by " + self.orders(tree.orders, bindings)
            if tree.limit is not None:
                sql += self.limit(tree.limit, None)
        return sql


class MariaDBGrammar(MySQLGrammar):
    """MariaDB, where its text differs from MySQL's."""

    name: ClassVar[str] = "mariadb"

    def with_timeout(self, sql: str, seconds: int) -> str:
        """set statement … for"""
        return f"SET STATEMENT max_statement_time={seconds} FOR {sql}"

    def vector_distance(self, column: str) -> str:
        """vec_distance_cosine(column, vec_fromtext(?))"""
        return f"vec_distance_cosine({column}, vec_fromtext(?))"

    def compile_insert_or_ignore_returning(
        self, table: Any, rows: list[Row], unique_by: list[str], returning: list[Any]
    ) -> tuple[str, Bindings]:
        """insert ignore … returning"""
        sql, bindings = self.compile_insert(table, rows)
        return f"{self.ignoring(sql)} returning {self.columns(returning, bindings)}", bindings

    def join_lateral(self, kind: str, table: str) -> str:
        """MariaDB has none."""
        raise unsupported("lateral joins")

    def json_selector(self, name: str) -> str:
        """json_value(column, path)"""
        field, path = self.json_parts(name)
        return f"json_value({field}{path})"
