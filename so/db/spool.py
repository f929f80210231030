"""Rows kept aside until they are asked for, so that nothing done meanwhile changes them.

SQLite steps through a query while a loop's body runs, and shows it rows that the body inserts: a
loop over a table that inserts into it would never end. The first rows are kept in memory, the
others in a temporary file of SQLite's own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final

IN_MEMORY: Final = 2_000
"""Rows kept in memory."""

Rows = Iterator[tuple[Any, ...]]


def spooled(rows: Rows) -> Rows:
    """All of *rows*, which are read to their end now, in bounded memory."""
    first = list(islice(rows, IN_MEMORY))
    if len(first) < IN_MEMORY:
        return iter(first)
    file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    try:
        columns = [f"c{at}" for at in range(len(first[0]))]
        file.execute(f"create table kept ({', '.join(columns)})")
        file.execute("begin")
        file.executemany(f"insert into kept values ({', '.join('?' * len(columns))})", rows)  # noqa: S608  only marks
    except BaseException:
        file.close()
        raise
    return chain(first, _read(file))


def _read(file: sqlite3.Connection) -> Rows:
    try:
        yield from file.execute("select * from kept order by rowid")
    finally:
        file.close()
