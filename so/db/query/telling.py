"""What tells apart the rows that an order leaves alike.

Rows of one rank come in any sequence, and InnoDB gives another one for each limit: pages and parts
would show some of them twice and others never. So these go on by a key of the rows as well: that
of each table, the columns of the groups, or all that a union or a distinct select gives. What
nothing tells apart (a table's rows without any key that are alike in every column) stays so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from so.db import clauses as c

_NAME = re.compile(r"[\"`]?(\w+)[\"`]?")
_WITHIN = re.compile(r"'[^']*'|\([^()']*\)")
HIDDEN = "so_key_"
"""Begins the names under which a page reads what tells its rows apart and does not show it."""


def tie_breakers(query: Any) -> list[c.Column]:
    """The columns to order by behind the order of *query*; none where there is no order."""
    orders = orders_of(query.tree)
    if query.grammar.literal or not orders:
        return []
    named = [one.column for one in orders if isinstance(one, c.Order)]
    return [one for one in dict.fromkeys(_telling(query)) if one not in named]


def orders_of(tree: c.Select) -> list[Any]:
    """What *tree* is ordered by, the union if it is one."""
    return (tree.union_orders if tree.unions else tree.orders) or []


def last_direction(tree: c.Select) -> str:
    """In which an index on the last column and the key would be read."""
    return getattr(orders_of(tree)[-1], "direction", "asc")


def _telling(query: Any) -> list[c.Column]:
    tree = query.tree
    if tree.groups:
        return list(tree.groups)
    if tree.unions:
        return list(_given_names(query, tree))
    if tree.distinct:
        return list(_distinct_columns(query, tree))
    return list(_keys(query, tree))


def _given_names(query: Any, tree: c.Select) -> Iterator[str]:
    """The names of the columns that *tree* gives, as far as they can be told."""
    for column in tree.columns or ["*"]:
        name = name_given(column)
        if name is not None:
            yield name
        elif column == "*" and isinstance(tree.table, str) and not tree.joins:
            yield from query._columns_of(tree.table)


def name_given(column: c.Column) -> str | None:
    """The name that *column* has in the rows; None where the text does not tell."""
    if isinstance(column, c.Aliased):
        return column.alias
    text = column if isinstance(column, str) else getattr(column, "sql", None) or str(column)
    at = text.lower().rfind(" as ")
    if at >= 0:
        found = _NAME.fullmatch(text[at + 4 :].strip())
        return found[1] if found else None
    is_name = isinstance(column, str) and "->" not in text and not text.endswith("*")
    return text.rpartition(".")[2] if is_name else None


def original_column(tree: c.Select, name: str) -> c.Column:
    """What *tree* selects under *name*, for a condition, where aliases are not known."""
    for column in tree.columns or ():
        if isinstance(column, c.Aliased) and column.alias == name:
            return column.query
        original = _before_alias(column, name)
        if original is not None:
            return original
    return name


def without_alias(column: c.Column) -> c.Column:
    """*column*, of a select list, without the name it is given there."""
    return _before_alias(column, name_given(column) or "") or column


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


def _distinct_columns(query: Any, tree: c.Select) -> Iterator[str]:
    for column in tree.columns or ["*"]:
        is_text = isinstance(column, str)
        if is_text and column.endswith("*"):
            yield from (
                key for key in _keys(query, tree) if column in ("*", f"{key.rpartition('.')[0]}.*")
            )
            continue
        is_plain = is_text and " as " not in column.lower()
        name = column if is_plain else name_given(column)
        if name is not None:
            yield name


def _keys(query: Any, tree: c.Select) -> Iterator[str]:
    """The keys of the tables of *tree*, each by the name that the table has there."""
    own = _key_of(query, tree.table)
    if tree.joins or not _is_whole(own, orders_of(tree), tree.columns):
        yield from own
    for join in _joins(tree.joins or ()):
        key = _key_of(query, join.table)
        if not _is_fixed(key, join):
            yield from key


def _joins(joins: Iterable[c.Join]) -> Iterator[c.Join]:
    for join in joins:
        yield join
        yield from _joins(join.joins or ())


def _is_whole(key: list[str], orders: list[Any], columns: list[c.Column] | None) -> bool:
    """Does the order hold all of the *key* of the one table?"""
    shown = {name_given(one) for one in columns or () if " as " in str(getattr(one, "sql", one))}
    names = {str(one.column) for one in orders if isinstance(one, c.Order)}
    bare = {one.rpartition(".")[2] for one in key if one.rpartition(".")[2] not in shown}
    return bool(key) and all(one in names or {one.rpartition(".")[2]} & names & bare for one in key)


def _is_fixed(key: list[str], join: c.Join) -> bool:
    """Is at most one row joined, because its whole *key* has to equal something?"""
    equal: set[Any] = set()
    for one in join.conditions:
        if one.boolean != "and":
            return False
        if isinstance(one, c.CompareColumns) and one.operator == "=":
            equal |= {side for side in (one.first, one.second) if isinstance(side, str)}
        elif isinstance(one, c.Compare) and one.operator == "=":
            equal.add(one.column)
    return bool(key) and equal.issuperset(key)


def _key_of(query: Any, table: Any) -> list[str]:
    """The columns by which a row of *table* is told from its others, with the table's name."""
    if isinstance(table, str):
        alias = query.grammar.alias_of(table)
        return [f"{alias}.{name}" for name in query._key_of(table)]
    inner = getattr(getattr(table, "query", None), "select", None)
    if not isinstance(inner, c.Select):
        return []
    return [f"{table.alias}.{name}" for name in _inner_names(query, inner)]


def _inner_names(query: Any, inner: c.Select) -> Iterator[str]:
    """The names that *inner* gives, the keys of tables it selects whole among them."""
    shown = inner.columns or ["*"]
    if not (inner.unions or inner.groups or inner.distinct):
        for table in [inner.table, *(join.table for join in _joins(inner.joins or ()))]:
            if isinstance(table, str):
                whole = (f"{query.grammar.alias_of(table)}.*", *(() if inner.joins else ("*",)))
                if any(one in shown for one in whole):
                    yield from query._key_of(table)
        yield from (name for one in shown if (name := name_given(one)) is not None)
    else:
        yield from _given_names(query, inner)


def is_at_hand(tree: c.Select, column: c.Column) -> bool:
    """Do the rows of *tree* have *column*, and no other one, under its own name?"""
    if not isinstance(column, str) or column.rpartition(".")[2] == "rowid":
        return False
    if tree.unions or tree.distinct:
        return True
    table, _, name = column.rpartition(".")
    given = tree.columns or ["*"]
    if tree.groups:
        return any(name_given(one) == name for one in given)
    rivals = [one for one in given if name_given(one) == name and one not in (name, column)]
    if rivals:
        return not table  # a name that stands for what was selected under it
    if tree.joins and table:
        return column in given and not any(str(one).endswith("*") for one in given)
    return any(one in given for one in ("*", f"{table}.*", name, column)) or not table


def is_one_column(column: c.Column) -> bool:
    """Is *column* no list of several, as raw SQL may be?"""
    if isinstance(column, str):
        return True
    text, before = getattr(column, "sql", None) or str(column), ""
    while text != before:
        before, text = text, _WITHIN.sub("", text)
    return "," not in text


def hidden(column: c.Column, number: int, *, least: bool = False) -> c.Column:
    """*column* for a select list, under a name of ours; of an expression the *least* of a group.

    MariaDB takes an expression that it groups by but once in a select list, and then no other one.
    """
    name = f"{HIDDEN}{number}"
    if isinstance(column, str):
        return f"{column} as {name}"
    sql = getattr(column, "sql", None) or str(column)
    sql = f"min({sql})" if least else sql
    return c.RawSql(f"{sql} as {name}", getattr(column, "bindings", []))


def without_hidden(rows: Any) -> Any:
    """*rows*, of a page, without what they were read with to tell them apart."""
    for row in rows:
        for values in (row, getattr(row, "_attributes", None), getattr(row, "_original", None)):
            if isinstance(values, dict):
                for name in [one for one in values if str(one).startswith(HIDDEN)]:
                    del values[name]
    return rows
