"""The statements of the table `cache`, in the words of each engine.

*tags* is what gives the versions of an entry's tags: `?` where they are known, else `tags()`. On
MySQL a conditional upsert answers through LAST_INSERT_ID, because matched rows are counted there
and the row count cannot tell "held" from "taken".
"""

from __future__ import annotations

import operator
from typing import Any

from so.db.words import marks
from so.systems.cache.entry import LARGEST_NUMBER, Packed

_COUNTABLE = f"between -{LARGEST_NUMBER} and {LARGEST_NUMBER}"
REFUSED = 1 << 63  # what MySQL answers instead of a number; no counter gets there
_COLUMNS = "value, expiration, fresh_until, data, tags, created_at, bytes"


class SqliteStatements:
    """As SQLite says it: what is new is `excluded`."""

    size = "length(cast(value as blob)) + coalesce(length(data), 0)"
    packed = "ifnull(data, value)"
    taken = operator.itemgetter(0)
    _is_live = "(cache.expiration > ? and cache.tags = excluded.tags)"

    def put(self, tags: str, rows: int = 1) -> str:
        """Store *rows*, whatever was there."""
        return (
            f'insert into cache ("key", {_COLUMNS}) values {_rows(tags, rows)}'  # noqa: S608
            ' on conflict ("key") do update set value = excluded.value,'
            " expiration = excluded.expiration, fresh_until = excluded.fresh_until,"
            " data = excluded.data, tags = excluded.tags, created_at = excluded.created_at,"
            " bytes = excluded.bytes"
        )

    def write(self) -> str:
        """Store key, value and expiration, and nothing else of a row: what most writes are.

        Columns that are bound cost a tenth of it.
        """
        return (
            """insert into cache ("key", value, expiration, tags) values (?, ?, ?, '')"""
            ' on conflict ("key") do update set value = excluded.value,'
            " expiration = excluded.expiration, fresh_until = null, data = null, tags = '',"
            " created_at = 0, bytes = 0"
        )

    def found(self, columns: str, count: int) -> str:
        """Those *columns* of *count* keys, a row for each in their order; of NULL for what is not.

        A third cheaper than a list, which is sorted first, and no key has to come back.
        """
        return (
            f"select {columns} from (values {', '.join(['(?)'] * count)})"  # noqa: S608  # marks
            ' left join cache on "key" = column1 and expiration > ?'
        )

    def add(self, tags: str) -> str:
        """Store one unless a live one is there; as many rows as were stored."""
        return f"{self.put(tags)} where cache.expiration <= ? or cache.tags <> excluded.tags"

    def increment(self, tags: str) -> str:
        """Add to a live integer, or begin one; what it is then is noted.

        No row for what is no integer, and none for what ended: to leave the end alone, and with it
        an index, is a third of the cost.
        """
        sum_ = "cast(value as integer) + cast(excluded.value as integer)"
        return (
            'insert into cache ("key", value, expiration, tags, created_at, bytes)'  # noqa: S608
            f" values (?, cast(noted(?) as text), ?, {tags}, ?, ?)"
            f' on conflict ("key") do update set value = cast(noted({sum_}) as text)'
            f" where {self._is_live} and data is null"
            f" and cast(cast(value as integer) as text) = value and value <> '{-REFUSED}'"
            f" and {sum_} {_COUNTABLE}"
            f" and typeof({sum_}) = 'integer'"
        )

    def begin_again(self, tags: str) -> str:
        """The same, over what has ended as well."""
        live, number = self._is_live, "cast(value as integer)"
        return (
            'insert into cache ("key", value, expiration, tags, created_at, bytes)'  # noqa: S608
            f" values (?, cast(noted(?) as text), ?, {tags}, ?, ?)"
            ' on conflict ("key") do update set value ='
            f" iif({live}, cast(noted({number} + ?) as text), excluded.value),"
            f" fresh_until = iif({live}, fresh_until, null), data = null,"
            f" expiration = iif({live}, expiration, excluded.expiration), tags = excluded.tags"
            f" where not {live} or (data is null and cast({number} as text) = value"
            f" and value <> '{-REFUSED}' and {number} + ? {_COUNTABLE}"
            f" and typeof({number} + ?) = 'integer')"
        )

    def tags(self, keys: tuple[str, ...]) -> str:
        """The versions of the tags kept under *keys*."""
        return (
            "coalesce((select group_concat(value, ',') from (select value from cache"  # noqa: S608
            f' where "key" in ({marks(keys)}) order by "key")), \'\')'
        )


class MysqlStatements:
    """As MySQL and MariaDB say it. What an earlier column was is read before it is set."""

    size = "length(value) + coalesce(length(data), 0)"
    packed = "value, data"  # which in one column would be bytes, whatever they were

    def taken(self, row: tuple[Any, ...]) -> Packed:
        """What was stored in a *row* of `packed`."""
        stored: Packed = row[0] if row[1] is None else bytes(row[1])
        return stored

    _is_live = "expiration > ? and tags = values(tags)"

    def put(self, tags: str, rows: int = 1) -> str:
        """Store *rows*, whatever was there."""
        return (
            f"insert into cache (`key`, {_COLUMNS}) values {_rows(tags, rows)}"  # noqa: S608
            " on duplicate key update value = values(value),"
            " expiration = values(expiration), fresh_until = values(fresh_until),"
            " data = values(data), tags = values(tags), created_at = values(created_at),"
            " bytes = values(bytes)"
        )

    def write(self) -> str:
        """Store key, value and expiration, and nothing else of a row: what most writes are."""
        return (
            "insert into cache (`key`, value, expiration, tags) values (?, ?, ?, '')"
            " on duplicate key update value = values(value), expiration = values(expiration),"
            " fresh_until = null, data = null, tags = '', created_at = 0, bytes = 0"
        )

    def found(self, columns: str, count: int) -> str:
        """The key and those *columns* of each of *count* keys that is there, in any order."""
        return (
            f"select `key`, {columns} from cache"  # noqa: S608  # marks
            f" where `key` in ({', '.join('?' * count)}) and expiration > ?"
        )

    def add(self, tags: str) -> str:
        """Store one unless a live one is there; LAST_INSERT_ID is 1 if stored, 2 if held."""
        live = self._is_live
        kept = ("fresh_until", "data", "created_at", "bytes", "expiration")
        return (
            f"insert into cache (`key`, {_COLUMNS})"  # noqa: S608
            f" values (?, if(last_insert_id(1), ?, null), ?, ?, ?, {tags}, ?, ?)"
            f" on duplicate key update value = if({live}, if(last_insert_id(2), value, value),"
            " if(last_insert_id(1), values(value), value)), "
            # What decides is changed last.
            + ", ".join(f"{name} = if({live}, {name}, values({name}))" for name in kept)
            + ", tags = values(tags)"
        )

    def increment(self, tags: str) -> str:
        """Add to a live integer, or begin one; LAST_INSERT_ID is REFUSED for what is none."""
        live = self._is_live
        # Both branches of `if` stay unread unless taken, so nothing overflows on the way.
        return (
            "insert into cache (`key`, value, expiration, tags, created_at, bytes)"  # noqa: S608
            f" values (?, cast(last_insert_id(?) as signed), ?, {tags}, ?, ?)"
            f" on duplicate key update value = if({live},"
            f" if(value regexp '^-?[0-9]{{1,19}}$' and cast(value as decimal(20)) {_COUNTABLE} and"
            f" cast(value as decimal(20)) + ? {_COUNTABLE},"
            " cast(last_insert_id(cast(value as signed) + ?) as signed),"
            f" if(last_insert_id({REFUSED}), value, value)), cast(last_insert_id(?) as signed)),"
            f" fresh_until = if({live}, fresh_until, null), data = if({live}, data, null),"
            f" expiration = if({live}, expiration, values(expiration)), tags = values(tags)"
        )

    def tags(self, keys: tuple[str, ...]) -> str:
        """The versions of the tags kept under *keys*."""
        return (
            "coalesce((select group_concat(t.value order by t.`key` separator ',')"  # noqa: S608
            f" from (select `key`, value from cache where `key` in ({marks(keys)})) t), '')"
        )


def _rows(tags: str, count: int) -> str:
    return ", ".join([f"(?, ?, ?, ?, ?, {tags}, ?, ?)"] * count)
