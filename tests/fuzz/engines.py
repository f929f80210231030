"""One chain on two engines: what each gives, made comparable."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from so.db.connection import Connection
from tests.fuzz.chains import Chain, Maker, apply, build

TABLES = {
    "sqlite": (
        "create table items (id integer primary key autoincrement, a int, b int, s varchar(50),"
        " d decimal(12,2), at text, j text)",
        "create table parts (id integer primary key autoincrement, item_id int, n int,"
        " s varchar(50))",
        "create table codes (code varchar(20) not null primary key, n int not null)",
    ),
    "mysql": (
        "create table items (id int primary key auto_increment, a int, b int, s varchar(50),"
        " d decimal(12,2), at datetime(6), j json)",
        "create table parts (id int primary key auto_increment, item_id int, n int, s varchar(50))",
        "create table codes (code varchar(20) not null primary key, n int not null)",
    ),
}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00)?")
_LACKING = "needs MariaDB"  # as where_json_overlaps() says on 10.6


@dataclass
class Outcome:
    """What a chain gave: a value, or the class of its error; and what the tables held after."""

    value: Any
    error: str | None
    tables: Any
    detail: str = ""

    def same(self, other: Outcome) -> bool:
        """Are the two alike, but for the wording of errors, and what an older server lacks?"""
        if any(_LACKING in one.detail for one in (self, other)):
            return True
        return (self.value, self.error, self.tables) == (other.value, other.error, other.tables)

    def told(self, other: Outcome) -> str:
        """What was found, and the rows that *other* does not have."""
        lines = [f"error {self.error}: {self.detail}" if self.error else f"value {self.value!r}"]
        for mine, its in zip(self.tables or (), other.tables or (), strict=False):
            lines += [f"only here: {row}" for row in mine if row not in its]
        return "\n    ".join(lines)


class Difference(AssertionError):
    """The engines disagree on a chain."""


def prepare(connection: Connection) -> None:
    """Make the tables."""
    for sql in TABLES[connection.dialect.name]:
        connection.statement(sql)


def fill(connections: list[Connection], seed: int) -> None:
    """Put the same random rows into every database."""
    maker = Maker(seed)
    items, parts = maker.items(12), maker.parts(15)
    codes = [{"code": code, "n": at} for at, code in enumerate("abc")]
    for connection in connections:
        for table, rows in (("items", items), ("parts", parts), ("codes", codes)):
            connection.table(table).delete()
            connection.table(table).insert(rows)


def check(connections: list[Connection], chain: Chain) -> None:
    """Run *chain* on every connection; Difference with the shortest chain that still differs."""
    if _agree(connections, chain):
        return
    shrunk = _shrunk(connections, chain)
    found = [outcome(connection, shrunk) for connection in connections]
    told = [
        f"{one.dialect.name}: {mine.told(found[at - 1])}"
        for at, (one, mine) in enumerate(zip(connections, found, strict=True))
    ]
    said = [f"{one.dialect.name}: {_sql(one, shrunk)}" for one in connections]
    raise Difference("\n  ".join([f"the engines disagree on\n  {shrunk}", *told, *said]))


def _agree(connections: list[Connection], chain: Chain) -> bool:
    first, *others = (outcome(connection, chain) for connection in connections)
    return all(first.same(other) for other in others)


def _shrunk(connections: list[Connection], chain: Chain) -> Chain:
    for shorter in chain.shorter():
        if not _agree(connections, shorter):
            return _shrunk(connections, shorter)
    return chain


def _sql(connection: Connection, chain: Chain) -> str:
    try:
        return str(build(connection, chain.query).to_raw_sql())
    except Exception as error:
        return repr(error)


def outcome(connection: Connection, chain: Chain) -> Outcome:
    """What *chain* gives on *connection*; what it wrote is rolled back."""
    if not chain.writes:
        return _outcome(connection, chain)
    connection.begin_transaction()
    try:
        return _outcome(connection, chain)
    finally:
        connection.roll_back()


def _outcome(connection: Connection, chain: Chain) -> Outcome:
    try:
        value = _plain(_run(connection, chain))
        if not chain.ordered and isinstance(value, list):
            value.sort(key=repr)
        tables = _tables(connection) if chain.writes else None
        return Outcome(value, None, tables)
    except Exception as error:
        return Outcome(None, type(error).__name__, None, str(error))


def _run(connection: Connection, chain: Chain) -> Any:
    query = build(connection, chain.query)
    special = _SPECIAL.get(chain.end.method)
    if special is not None:
        return special(connection, query, *chain.end.args)
    result = apply(connection, query, (chain.end,))
    return None if chain.end.method == "upsert" else result


def _all_by_id(connection: Connection, query: Any, size: int) -> Any:
    rows: list[Any] = []
    query.chunk_by_id(size, rows.extend)
    return rows


def _all_by_chunk(connection: Connection, query: Any, size: int) -> Any:
    rows: list[Any] = []
    query.chunk(size, rows.extend)
    return rows


def _all_by_cursor(connection: Connection, query: Any, size: int) -> Any:
    rows: list[Any] = []
    page = query.cursor_paginate(size)
    while True:
        rows += page.data
        if page.next_cursor is None:
            break
        page = query.cursor_paginate(size, page.next_cursor)
    while page.prev_cursor is not None:
        page = query.cursor_paginate(size, page.prev_cursor)
    return [rows, page.data]


def _all_streamed(connection: Connection, query: Any) -> Any:
    return list(query.cursor())


def _update_with(connection: Connection, query: Any, column: str, sub: Any) -> Any:
    return query.update({column: build(connection, sub)})


_SPECIAL: dict[str, Callable[..., Any]] = {
    "all_by_id": _all_by_id,
    "all_by_chunk": _all_by_chunk,
    "all_by_cursor": _all_by_cursor,
    "all_streamed": _all_streamed,
    "update_with": _update_with,
}


def _tables(connection: Connection) -> Any:
    return [
        _plain(connection.table("items").order_by("id").get()),
        # Without ids: MySQL gives no number twice, not even one that was rolled back.
        sorted(_plain(connection.table("parts").get(["item_id", "n", "s"])), key=repr),
        _plain(connection.table("codes").order_by("code").get()),
    ]


def _plain(value: Any) -> Any:
    """*value* in a form in which equal values are equal, whichever engine gave them."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float, Decimal)):
        return Decimal(repr(value) if isinstance(value, float) else value).normalize()
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.replace(tzinfo=None).isoformat(" ", "microseconds")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return _plain_text(str(value))


def _plain_text(text: str) -> Any:
    if _MOMENT.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=None).isoformat(" ", "microseconds")
    if text[:1] in "{[":
        try:
            return {"json": json.loads(text)}
        except ValueError:
            return text
    return text
