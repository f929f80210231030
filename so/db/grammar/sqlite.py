# ruff: noqa: S608 - writing SQL is the work of this module; names enter it quoted only.
"""SQLite's way of saying things: rowid sub-queries, strftime, json_each, glob."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, ClassVar

from so.db import clauses as c
from so.db.expressions import Expression
from so.db.grammar.base import Row
from so.db.grammar.money import MoneyGrammar
from so.db.grammar.names import AS, Bindings, json_keys, unsupported
from so.db.values import bindable, json_scalar, json_text

_PARTS = {
    "date": "%Y-%m-%d",
    "time": "%H:%M:%S",
    "day": "%d",
    "month": "%m",
    "year": "%Y",
}
_SCALE = re.compile(r"(?:decimal|numeric)\s*\(\s*\d+\s*,\s*(\d+)\s*\)")
_OPEN_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
_WIDE = Context(prec=100, rounding=ROUND_HALF_UP)
_GLOB = {"*": "[*]", "?": "[?]", "[": "[[]", "%": "*", "_": "?"}
_PATTERN = re.compile(r"\\(.)|(.)", re.DOTALL)
_ODD_KEY = re.compile(r"[\"\\]")


class SQLiteGrammar(MoneyGrammar):
    """SQLite 3.35 and later."""

    name: ClassVar[str] = "sqlite"
    max_placeholders: ClassVar[int] = 30_000

    def no_limit(self) -> str:
        """SQLite wants a limit before an offset; -1 is none."""
        return " limit -1"

    def lock(self, lock: bool | str) -> str:
        """Nothing: a transaction that writes holds the whole file."""
        return ""

    def index_hint(self, hint: c.IndexHint) -> str:
        """indexed by, which SQLite has for a forced index only."""
        return f" indexed by {self.index_name(hint)}" if hint.kind == "force" else ""

    def aggregate(self, tree: c.Select, aggregate: c.Aggregate, bindings: Bindings) -> str:
        """sum and avg by our own exact sum, with what is needed to give it its right type.

        SQLite's own would add decimals as binary floats.
        """
        if self.literal or aggregate.function not in ("sum", "avg"):
            return super().aggregate(tree, aggregate, bindings)
        columns = self.aggregated(tree, aggregate, bindings)
        # Written twice: a placeholder in it needs its value twice.
        again = self.aggregated(tree, aggregate, bindings)
        return (
            f'decimal_sum({columns}) as "aggregate", count({again}) as "summed", '
            f'{self._declared_type(tree, aggregate.columns)} as "declared"'
        )

    def _declared_type(self, tree: c.Select, columns: list[c.Column]) -> str:
        """The type that the table's definition gives the column; null where that can't be said."""
        table, column = tree.table, columns[0]
        if not isinstance(table, str) or not isinstance(column, str) or tree.joins or tree.unions:
            return "null"
        name = self.prefixed(AS.split(table, maxsplit=1)[0])
        return (
            f"(select type from pragma_table_info({_text(name)}) "
            f"where lower(name) = {_text(column.rpartition('.')[2].lower())})"
        )

    def aggregate_of(self, function: str, column: str) -> str:
        """Sums without binary noise, as numbers: exact to the 15 digits that SQLite keeps."""
        if self.literal or function not in ("sum", "avg"):
            return super().aggregate_of(function, column)
        if function == "sum":
            return f"cast(decimal_sum({column}) as numeric)"
        return f"cast(decimal_sum({column}) as real) / count({column})"

    def aggregate_result(self, function: str, row: Row) -> Any:
        """The exact sum or average: int, Decimal as declared, or float for a REAL column."""
        total = row["aggregate"]
        if total is None or "summed" not in row:
            return total
        number, declared = Decimal(total), str(row["declared"] or "").lower()
        if any(word in declared for word in ("real", "floa", "doub")):
            return float(number if function == "sum" else number / row["summed"])
        scale = _SCALE.search(declared)
        places = int(scale.group(1)) if scale else max(0, -int(number.as_tuple().exponent))
        if function == "avg":
            # As MySQL has it: four places more than the column's own.
            return _rounded(_WIDE.divide(number, Decimal(row["summed"])), places + 4)
        return _rounded(number, places) if places else int(number)

    def union_member(self, sql: str) -> str:
        """SQLite has no parentheses around the selects of a union."""
        return f"select * from ({sql})"

    def date_part(self, node: c.DatePart, bindings: Bindings) -> str:
        """strftime('%d', column) = cast(? as text)"""
        column = self.column(node.column, bindings)
        value = self.value(self.part_value(node), bindings)
        return f"strftime('{_PARTS[node.part]}', {column}) {node.operator} cast({value} as text)"

    def like(self, node: c.Like, bindings: Bindings) -> str:
        """like ignores the case of ASCII letters; glob minds all case."""
        if not node.case_sensitive:
            sql = super().like(node, bindings)
            if self.literal:
                return sql
            if isinstance(node.value, str) and _OPEN_ESCAPE.search(node.value):
                bindings[-1] += "\\"  # it escapes nothing: MySQL takes it for itself
            return sql + r" escape '\'"
        word = "not glob" if node.negated else "glob"
        pattern = node.value
        if isinstance(pattern, str):
            pattern = _glob(pattern)
        return f"{self.column(node.column, bindings)} {word} {self.value(pattern, bindings)}"

    # --- JSON -----------------------------------------------------------------------------------

    def binary(self, node: c.Binary, bindings: Bindings) -> str:
        """column = ? collate binary"""
        word = "!=" if node.negated else "="
        column, value = self.column(node.column, bindings), self.value(node.value, bindings)
        if isinstance(node.value, bytes):
            return f"cast({column} as blob) {word} {value}"
        return f"{column} {word} {value} collate binary"

    def json_selector(self, name: str) -> str:
        """json_extract(column, path)"""
        place = self._place(name)
        return (
            f"json_extract({place}, '$')"
            if place.startswith("json_part(")
            else (f"json_extract({place})")
        )

    def _place(self, name: str | Expression) -> str:
        """`column->path` as arguments; a key that SQLite's paths cannot write is looked up."""
        field, path = self.json_parts(name)
        way = str(name).partition("->")[2]
        if self.literal or not path or not _ODD_KEY.search(way):
            return field + path
        return f"json_part({field}, {self._steps(way)})"

    def _steps(self, way: str) -> str:
        """`a->b[0]` as the literal '["a", "b", 0]'."""
        keys = [key if is_key else _index(key) for key, is_key in json_keys(way)] if way else []
        return _text(json_text(keys))

    def json_word(self, name: str) -> str:
        """json_type(column, path)"""
        return f"json_type({self._place(name)})"

    def json_boolean(self, node: c.JsonBoolean, bindings: Bindings) -> str:
        """A JSON true or false, compared."""
        return super().json_boolean(node, bindings).replace(" <=> ", " is ")

    def json_contains(self, node: c.JsonTest, bindings: Bindings) -> str:
        """Some element is the value; of a list, each of its elements is there."""
        if not self.literal:
            return self._json_asked("json_holds", node, bindings)
        field, path = self.json_parts(node.column)
        wanted = node.value if isinstance(node.value, (list, tuple)) else [node.value]
        each = [
            f'exists (select 1 from json_each({field}{path}) where "json_each"."value" is '
            f"{self.value(_element(one), bindings)})"
            for one in wanted
        ]
        if not each:
            return f"(json_type({field}{path}) is not null)"
        return each[0] if len(each) == 1 else f"({' and '.join(each)})"

    def _json_asked(self, function: str, node: c.JsonTest, bindings: Bindings) -> str:
        """Asked of our own function, which decides as MariaDB and MySQL do."""
        field, _, way = str(node.column).partition("->")
        value = node.value if isinstance(node.value, Expression) else json_text(node.value)
        steps = self._steps(way)
        return f"{function}({self.wrap(field)}, {steps}, {self.value(value, bindings)})"

    def json_overlaps(self, node: c.JsonTest, bindings: Bindings) -> str:
        """Some element is one of the values."""
        if not self.literal:
            return self._json_asked("json_meets", node, bindings)
        field, path = self.json_parts(node.column)
        wanted = node.value if isinstance(node.value, (list, tuple)) else [node.value]
        some = self.values([_element(one) for one in wanted], bindings)
        return (
            f'exists (select 1 from json_each({field}{path}) where "json_each"."value" in ({some}))'
        )

    def json_contains_key(self, node: c.JsonTest, bindings: Bindings) -> str:
        """json_type(column, path) is not null"""
        return f"json_type({self._place(node.column)}) is not null"

    def json_length(self, node: c.JsonLength, bindings: Bindings) -> str:
        """json_array_length(column, path) = ?; of an object the number of its keys."""
        place = self._place(node.column)
        length = f"json_array_length({place})"
        if not self.literal:
            count = f"(select count(*) from json_each({place}))"
            length = f"iif(json_type({place}) is null, null, {count})"
        return f"{length} {node.operator} {self.value(node.value, bindings)}"

    # --- writing --------------------------------------------------------------------------------

    def ignoring(self, sql: str) -> str:
        """insert or ignore"""
        return sql.replace("insert", "insert or ignore", 1)

    def compile_insert_or_ignore_returning(
        self, table: Any, rows: list[Row], unique_by: list[str], returning: list[Any]
    ) -> tuple[str, Bindings]:
        """insert … on conflict do nothing returning …"""
        sql, bindings = self.compile_insert(table, rows)
        keys = f" ({self.columns(unique_by, bindings)})" if unique_by else ""
        columns = self.columns(returning, bindings)
        return f"{sql} on conflict{keys} do nothing returning {columns}", bindings

    def compile_upsert(
        self, table: Any, rows: list[Row], unique_by: list[str], update: Mapping[str, Any]
    ) -> tuple[str, Bindings]:
        """insert … on conflict (…) do update set …"""
        sql, bindings = self.compile_insert(table, rows)
        changes = ", ".join(
            [self._conflict_assignment(key, value, bindings) for key, value in update.items()]
        )
        keys = self.columns(unique_by, bindings)
        return f"{sql} on conflict ({keys}) do update set {changes}", bindings

    def _conflict_assignment(self, column: str, value: Any, bindings: Bindings) -> str:
        name = self.wrap(column)
        if isinstance(value, c.Inserted):
            return f"{name} = {self.wrap_value('excluded')}.{name}"
        return f"{name} = {self.stored(value, bindings)}"

    def compile_update(self, tree: c.Select, values: Row) -> tuple[str, Bindings]:
        """An update; with joins or a limit, of the rows whose rowid a sub-query gives."""
        bindings: Bindings = []
        if tree.joins and not self.literal:
            self._refuse_others(tree.table, values)
        table = self._tables.get(tree.table) or self.table(tree.table, bindings)
        head = f"update {table} set {self.assignments(values, bindings)}"
        return head + self.update_tail(tree, bindings), bindings

    def _refuse_others(self, table: Any, values: Row) -> None:
        """MySQL changes columns of joined tables, too; here they would be those of *table*."""
        own = table.alias if isinstance(table, c.Aliased) else self.alias_of(table)
        for name in values:
            other = name.partition("->")[0].rpartition(".")[0].rpartition(".")[2]
            if other and other.lower() != own.lower():
                raise unsupported(f"changing a column of a joined table ({name})")

    def compile_delete(self, tree: c.Select) -> tuple[str, Bindings]:
        """A delete; with joins or a limit, of the rows whose rowid a sub-query gives."""
        bindings: Bindings = []
        head = f"delete from {self.table(tree.table, bindings)}"
        return head + self.update_tail(tree, bindings), bindings

    def update_tail(self, tree: c.Select, bindings: Bindings) -> str:
        """The conditions, or the sub-query that finds the rows."""
        if not tree.joins and tree.limit is None and not tree.offset:
            return super().update_tail(tree, bindings)
        rows = tree.copy()
        key = tree.row_key or ["rowid"]
        rows.columns = [f"{self.alias_of(tree.table)}.{name}" for name in key]
        rows.distinct = False
        names = ", ".join(map(self.wrap_value, key))
        names = f"({names})" if len(key) > 1 else names
        return f" where {names} in ({self.select(rows, bindings)})"

    def odd_assignments(self, values: Row, bindings: Bindings) -> str:
        """a = ?, b = ?; the JSON paths of one column become one patch of it, at the end."""
        plain: dict[str, Any] = {}
        documents: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            column, arrow, path = key.partition("->")
            column = column.rpartition(".")[2]
            if arrow:
                documents.setdefault(column, {})[path] = value
            else:
                plain[column] = value
        write = self._patch if self.literal else self._json_set
        parts = [super().odd_assignments(plain, bindings)] if plain else []
        parts += [write(column, changes, bindings) for column, changes in documents.items()]
        return ", ".join(parts)

    def _patch(self, column: str, changes: dict[str, Any], bindings: Bindings) -> str:
        """Laravel's text: one patch for all paths. It can reach no array, nor store a null."""
        name = self.wrap(column)
        patch: dict[str, Any] = {}
        for path, value in changes.items():
            _put(patch, path.split("->"), value)
        bindings.append(json_text(patch))
        return f"{name} = json_patch(ifnull({name}, json('{{}}')), json(?))"

    def _json_set(self, column: str, changes: dict[str, Any], bindings: Bindings) -> str:
        """Each path set to its value, as MySQL does it."""
        name = self.wrap(column)
        sql = f"ifnull({name}, '{{}}')"
        pairs = [
            f", {self.json_path(path)}, {self._json_value(value, bindings)}"
            for path, value in changes.items()
            if not _ODD_KEY.search(path)
        ]
        if pairs:
            sql = f"json_set({sql}{''.join(pairs)})"
        for path, value in changes.items():
            if _ODD_KEY.search(path):
                bindings.append(json_text(value))
                sql = f"json_put({sql}, {self._steps(path)}, ?)"
        return f"{name} = {sql}"

    def _json_value(self, value: Any, bindings: Bindings) -> str:
        if isinstance(value, bool):
            return f"json('{'true' if value else 'false'}')"
        if isinstance(value, (dict, list, tuple)):
            bindings.append(json_text(value))
            return "json(?)"
        if isinstance(value, (Expression, c.Sub)):
            return self.value(value, bindings)
        bindings.append(json_scalar(value))
        return "?"

    def stepped(self, column: str, sign: str, amount: Any) -> Expression:
        """column + amount; a decimal is added by our own exact function."""
        plain = super().stepped(column, sign, amount)
        if self.literal or isinstance(amount, (int, float)):
            return plain
        text = plain.value.rpartition(" ")[2]
        number = text if sign == "+" else text[1:] if text.startswith("-") else f"-{text}"
        return Expression(f"decimal_add({self.wrap(column)}, '{number}')")

    def compile_truncate(self, table: Any) -> list[tuple[str, Bindings]]:
        """Empty the table and forget its last number."""
        *schema, name = str(table).split(".")
        sequence = ".".join([*map(self.wrap_value, schema), "sqlite_sequence"])
        return [
            (f"delete from {sequence} where name = ?", [self.prefixed(name)]),
            (f"delete from {self.table(table, [])}", []),
        ]

    def is_numbering_nothing(self, error: Exception) -> bool:
        """A database without any `autoincrement` has no table of last numbers."""
        return re.search(r"no such table: (\w+\.)?sqlite_sequence", str(error)) is not None

    def explain(self, sql: str) -> str:
        """explain query plan"""
        return "explain query plan " + sql


def _text(value: str) -> str:
    """*value* as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def _rounded(number: Decimal, places: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-places), context=_WIDE)


def _element(value: Any) -> Any:
    """A value as json_each shows it."""
    return value if isinstance(value, Expression) else bindable(value)


def _index(step: str) -> Any:
    """`[2]` as a number; `[last]` and the like stay text, which no array has as a key."""
    digits = step[1:-1]
    return int(digits) if digits.isascii() and digits.isdigit() else step


def _glob(pattern: str) -> str:
    """A pattern of like as one of glob; a backslash makes the next character literal."""
    return _PATTERN.sub(_globbed, pattern)


def _globbed(found: re.Match[str]) -> str:
    escaped, char = found.groups()
    if escaped is None:
        return _GLOB.get(char, char)
    return f"[{escaped}]" if escaped in "*?[" else escaped


def _put(target: dict[str, Any], path: list[str], value: Any) -> None:
    """Set *value* at *path*, making the objects on the way."""
    *way, last = path
    for key in way:
        inner = target.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = target[key] = {}
        target = inner
    target[last] = value
