"""Deletes many rows of a table that others work with: a few at a time, so that they have a turn."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from so.db.words import marks
from so.support.listed import parts
from so.support.progress import steps

if TYPE_CHECKING:
    from so.db.connection import Connection

T = TypeVar("T")
AT_ONCE = 100  # rows to a statement: others wait for no more than that
RESTS = 4  # times what a statement took
LONGEST_REST_SECONDS = 0.25


def swept(
    connection: Connection,
    table: str,
    key: str,
    ended: str,
    values: Sequence[Any],
    batch: int = 500,
    *,
    by: str = "",
) -> int:
    """Delete the rows of *table* for which *ended* holds, *batch* listed at a time; how many.

    *ended* is a condition of ours, *values* are for its marks; *by* are the columns of the index
    that leads to many rows, the moment they ended last, or *key* where no index does. By the
    primary *key* and in its order: two cleanups, and requests, then lock rows the same way round.
    Conditional again: a row that was renewed since it was listed stays.
    """
    total = f"select count(*) from {table} where {ended}"  # noqa: S608  # our own words
    step = steps(lambda: int(connection.scalar(total, values, use_read=False)))
    gone = 0
    for keys in _listed(connection, table, key, ended, values, batch, by):
        for part in _paced(parts(keys, AT_ONCE)):
            gone += connection.affecting_statement(
                # As the truth of it: as it is SQLite would go by the index of what has ended, and
                # look at every row there for each hundred that go.
                f"delete from {table} where {key} in ({marks(part)}) and ({ended}) is true",  # noqa: S608  # our own words
                (*part, *values),
            )
            step(len(part))
    return gone


def _listed(
    connection: Connection,
    table: str,
    key: str,
    ended: str,
    values: Sequence[Any],
    batch: int,
    by: str,
) -> Iterator[list[Any]]:
    """The keys of the rows, each *batch* of them sorted.

    On InnoDB each goes on behind the last one: until no transaction can see them any more, deleted
    rows have their entries in the index, and who begins anew reads all of them again. Without an
    index they are the rows that stay.
    """
    goes_on = bool(by) and (by == key or connection.dialect.name == "mysql")
    moment = by.rpartition(", ")[2] if goes_on else key
    listed = f"select {key}, {moment} from {table} where {ended}"  # noqa: S608  # our own words
    behind = f" and (({moment} = ? and {key} > ?) or {moment} > ?)"
    order = f" order by {by}, {key}" if goes_on else ""
    if by == key:
        behind, order = f" and {key} > ?", f" order by {key}"
    place: tuple[Any, ...] = ()
    while True:
        sql = f"{listed}{behind if place else ''}{order} limit ?"
        rows = connection.select_tuples(sql, (*values, *place, batch), use_read=False)
        if not rows:
            return
        yield sorted(row[0] for row in rows)
        last, at = rows[-1]
        place = ((last,) if by == key else (at, last, at)) if goes_on else ()


def _paced(items: Iterable[T]) -> Iterator[T]:
    """*items* one by one, with a rest after each for several times as long as it took.

    So whoever waits for the same database, which has one writer at a time on SQLite, gets most of
    the time. In real time on purpose: others work in real time as well.
    """
    for item in items:
        begun = time.monotonic()
        yield item
        time.sleep(min(RESTS * (time.monotonic() - begun), LONGEST_REST_SECONDS))
