"""Ids for rows of the trail where the table has no next one.

Who writes a row with the highest id there is takes the numbers of the table away: the database
refuses every further row, and with the entry the change. What is left are the numbers below: each
row is given one of those, so that the work goes on until the forged row, which `activity:verify`
names, is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from so.db.connection import Connection
from so.errors import ActivityError, QueryError, UnavailableError

_LAST = (1 << 63) - 1  # of SQLite; a server counts on to twice that
_BOUNDS = (1 << 53, 1 << 62, _LAST)
_USED_UP = 1467  # MySQL's number for a counter without a next value


def is_used_up(connection: Connection) -> bool:
    """Would SQLite refuse the next row? It would roll back all of the transaction with it."""
    sql = (
        "select max(coalesce((select max(id) from activity_log), 0), "
        "coalesce((select max(seq) from sqlite_sequence where name = 'activity_log'), 0))"
    )
    found = connection.scalar(sql, use_read=False)
    return not isinstance(found, int) or found >= _LAST


def tells_of_it(connection: Connection, error: QueryError) -> bool:
    """Was a statement refused for want of a number, and does the transaction go on?

    SQLite has rolled it back and says that the disk is full: there it is an ActivityError.
    """
    if connection.dialect.name == "sqlite" and isinstance(error, UnavailableError):
        with connection.separate() as other:
            if "is full" in str(error.__cause__) and is_used_up(other):
                raise ActivityError(
                    f"somebody wrote a row with the last number there is ({_LAST}) into "
                    "activity_log, so the entry was refused and the transaction rolled back: run "
                    "it again, for entries get lower numbers from now on, and activity:verify, "
                    "which names the row"
                ) from error
    return getattr(error.__cause__, "errno", None) == _USED_UP


def numbered(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """*rows* with ids that are free, above those of most rows that are there."""
    for bound in _BOUNDS:
        sql = "select max(id) from activity_log where id < ?"
        first = int(connection.scalar(sql, [bound], use_read=False) or 0) + 1
        if first + len(rows) <= bound:
            return [{"id": first + n, **row} for n, row in enumerate(rows)]
    raise ActivityError(
        "activity_log has no number left for a row: somebody wrote the highest ones; run "
        "activity:verify, which names those rows, and delete them"
    )
