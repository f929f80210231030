"""The text of a database error: the cause, the connection, the SQL as it was bound, no secrets.

A binding is secret when the column it belongs to is on the list of `database.redact`, or is the
payload of a session or job; which column that is, is read off the text of the statement.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from so.db.sqltext import SQLITE_TOKEN
from so.support.masking import MASK

# Sessions and jobs as they are stored: form tokens and whatever else people put into them.
ALWAYS: Final = frozenset(("payload",))
LOOK_FIRST: Final = "check what comes from outside before"
LONGEST_VALUE: Final = 200
LONGEST_TEXT: Final = 10_000
LONGEST_KEPT: Final = 20_000

_BEFORE: Final = re.compile(
    r"""[`"\[]?(\w+)[`"\]]?\s*(?:=|<=>|<>|!=|<=?|>=?|\bis(?:\s+not)?|(?:\bnot\s+)?\blike(?:\s+binary)?
    |(?:\bnot\s+)?\bin\s*\((?:[^()]*,)?|(?:\bnot\s+)?\bbetween(?:\s+\?\s+and)?)\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
_INSERT: Final = re.compile(
    r"\b(?:insert|replace)\b.*?\binto\b[^(]*\(([^()]*)\)\s*(?:values)\b",
    re.IGNORECASE | re.DOTALL,
)


def describe(cause: str, connection: str, sql: str, bindings: Any, redact: Collection[str]) -> str:
    """`cause (Connection: name, SQL: … with its values)`, secrets masked in both."""
    secret = secret_positions(sql, bindings, redact)
    for value in secret.values():
        text = str(value)
        if len(text) > 2:
            cause = cause.replace(text, MASK)
    return f"{cause} (Connection: {connection}, SQL: {bound(sql, bindings, secret)})"


def redacted(sql: str, bindings: Any, redact: Collection[str]) -> Any:
    """*bindings* with the secret ones masked, for a log."""
    secret = secret_positions(sql, bindings, redact)
    if not secret:
        return bindings
    if isinstance(bindings, Mapping):
        return {k: MASK if k in secret else v for k, v in bindings.items()}
    return [MASK if i in secret else v for i, v in enumerate(bindings)]


def bound(sql: str, bindings: Any, secret: Mapping[Any, Any] | None = None) -> str:
    """*sql* with its values written in, for people to read; never for execution."""
    secret = secret or {}
    values: Iterable[Any] = iter(()) if isinstance(bindings, Mapping) else iter(bindings)
    numbered = enumerate(values)

    def fill(match: re.Match[str]) -> str:
        mark = match.group()
        if mark == "?":
            position, value = next(numbered, (None, None))
            return mark if position is None else _literal(value, position in secret)
        if mark[0] == ":" and isinstance(bindings, Mapping) and mark[1:] in bindings:
            return _literal(bindings[mark[1:]], mark[1:] in secret)
        return mark

    text = SQLITE_TOKEN.sub(fill, sql)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


def _literal(value: Any, is_secret: bool) -> str:
    if is_secret:
        return f"'{MASK}'"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    text = str(value)
    if len(text) > LONGEST_VALUE:
        text = text[:LONGEST_VALUE] + "…"
    return "'" + text.replace("'", "''") + "'"


def secret_positions(sql: str, bindings: Any, redact: Collection[str]) -> dict[Any, Any]:
    """Which bindings belong to a column of *redact*: position (or name) → value."""
    if not redact or not bindings:
        return {}
    named = isinstance(bindings, Mapping)
    look = _secret_marks if len(sql) <= LONGEST_KEPT else _secret_marks.__wrapped__
    found: dict[Any, Any] = {}
    for position, mark in look(sql, frozenset(redact)):
        key = mark[1:] if named else position
        if key in bindings if named else position < len(bindings):
            found[key] = bindings[key]
    return found


@lru_cache(maxsize=2048)
def _secret_marks(sql: str, redact: frozenset[str]) -> list[tuple[int, str]]:
    """The placeholders of *sql* whose values nobody is to see, with their positions.

    The same text comes again and again, and listeners ask about each statement.
    """
    return [
        (position, mark)
        for position, (mark, column) in enumerate(placeholder_columns(sql))
        if _is_secret(column, redact) or _is_secret(mark[1:], redact)
    ]


def _is_secret(name: str | None, redact: Collection[str]) -> bool:
    return name is not None and (name.lower() in redact or name.lower() in ALWAYS)


def placeholder_columns(sql: str) -> list[tuple[str, str | None]]:
    """Each placeholder of *sql* with the column it is compared with or written to, if seen."""
    inserted = _inserted_columns(sql)
    found: list[tuple[str, str | None]] = []
    values_from = inserted[0] if inserted else len(sql)
    names = inserted[1] if inserted else []
    in_values = 0
    for match in SQLITE_TOKEN.finditer(sql):
        mark = match.group()
        if mark[0] not in "?:":
            continue
        column = _column_before(sql[max(0, match.start() - 200) : match.start()])
        if column is None and names and match.start() >= values_from:
            column = names[in_values % len(names)]
            in_values += 1
        found.append((mark, column))
    return found


def _column_before(text: str) -> str | None:
    match = _BEFORE.search(text)
    return match.group(1) if match else None


def _inserted_columns(sql: str) -> tuple[int, list[str]] | None:
    match = _INSERT.search(sql)
    if match is None:
        return None
    names = [name.strip().strip('`"[]') for name in match.group(1).split(",")]
    return match.end(), names
