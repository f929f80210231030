"""The words in which the engines differ, for statements that are written by hand.

Queries and models need none of these: the grammars know them. What a system writes itself says
`insert_ignore(dialect)` where it means the one or the other engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized


def marks(values: Sized | int) -> str:
    """A question mark for each of *values*: `?, ?, ?`."""
    return ", ".join("?" * (values if isinstance(values, int) else len(values)))


def insert_ignore(dialect: str) -> str:
    """The beginning of an insert that leaves a row alone whose key is taken."""
    return "insert or ignore" if dialect == "sqlite" else "insert ignore"


def on_taken(dialect: str, keys: Iterable[str]) -> str:
    """What follows the values of an insert that changes the row instead whose *keys* are taken."""
    if dialect == "sqlite":
        return f"on conflict ({', '.join(keys)}) do update set"
    return "on duplicate key update"


def given(dialect: str, column: str) -> str:
    """The value that the insert gave for *column*, within `on_taken`."""
    return f"excluded.{column}" if dialect == "sqlite" else f"values({column})"


def for_update(dialect: str) -> str:
    """The end of a select whose rows nobody may change meanwhile; SQLite locks the whole file."""
    return "" if dialect == "sqlite" else " for update"


def quoted(dialect: str, name: str) -> str:
    """*name*, which is a word of SQL as well, as the name of a column."""
    return f'"{name}"' if dialect == "sqlite" else f"`{name}`"
