"""The store in the `cache` table, on SQLite and on MySQL.

Integers are stored as bare digits, so that the database can add to them. On MySQL a conditional
upsert answers through LAST_INSERT_ID, because matched rows are counted there and the row count
cannot tell "held" from "taken".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.settings.cache import CacheSettings
from so.support.clock import Clock
from so.systems.cache.entry import LARGEST_NUMBER, NEVER, Entry, after, summed
from so.systems.cache.locks import DatabaseLocks
from so.systems.cache.sharing import clock_of, retried, swept

CHUNK = 500  # keys to a statement
CHUNK_BYTES = 4_000_000  # of values to a statement; servers limit what they take at once
REFUSED = 1 << 63  # what MySQL answers instead of a number; no counter gets there
EVICTED_AT_ONCE = 100  # rows

_SQL: dict[str, dict[str, str]] = {
    "sqlite": {
        "key": '"key"',
        "put": 'insert into cache ("key", value, expiration, fresh_until{more}) values {rows}'
        ' on conflict ("key") do update set value = excluded.value, expiration ='
        " excluded.expiration, fresh_until = excluded.fresh_until{noted}",
        "noted": ", created_at = excluded.created_at, bytes = excluded.bytes",
        "add": "{put} where cache.expiration <= ?",
        # Touches no index, as most counting is of what is there.
        "count": "update cache set value = cast(value as integer) + ?"  # noqa: S608  # constants
        ' where "key" = ? and expiration > ? and cast(cast(value as integer) as text) = value'
        f" and cast(value as integer) + ? between -{LARGEST_NUMBER} and {LARGEST_NUMBER}"
        " and typeof(cast(value as integer) + ?) = 'integer' returning value",
        "begin": 'insert into cache ("key", value, expiration) values (?, ?, ?)'
        ' on conflict ("key") do update set value = excluded.value, expiration ='
        " excluded.expiration, fresh_until = null where cache.expiration <= ? returning value",
        "pull": 'delete from cache where "key" = ? returning value, expiration, fresh_until',
        "size": "length(cast(value as blob))",
    },
    "mysql": {
        "key": "`key`",
        "put": "insert into cache (`key`, value, expiration, fresh_until{more}) values {rows}"
        " on duplicate key update value = values(value), expiration = values(expiration),"
        " fresh_until = values(fresh_until){noted}",
        "noted": ", created_at = values(created_at), bytes = values(bytes)",
        # last_insert_id: 1 stored, 2 held by a live entry
        "add": "insert into cache (`key`, value, expiration, fresh_until, created_at, bytes)"
        " values (?, if(last_insert_id(1), ?, null), ?, ?, ?, ?) on duplicate key update"
        " value = if(expiration <= ?, if(last_insert_id(1), values(value), value),"
        " if(last_insert_id(2), value, value)),"
        " fresh_until = if(expiration <= ?, values(fresh_until), fresh_until),"
        " created_at = if(expiration <= ?, values(created_at), created_at),"
        " bytes = if(expiration <= ?, values(bytes), bytes),"
        " expiration = if(expiration <= ?, values(expiration), expiration)",
        # Both branches of `if` stay unread unless taken, so nothing overflows on the way.
        "increment": "insert into cache (`key`, value, expiration)"  # noqa: S608  # constants
        " values (?, cast(last_insert_id(?) as signed), ?) on duplicate key update"
        " value = if(expiration > ?, if(value regexp '^-?[0-9]{1,19}$' and"
        f" cast(value as decimal(20)) + ? between -{LARGEST_NUMBER} and {LARGEST_NUMBER},"
        " cast(last_insert_id(cast(value as signed) + ?) as signed),"
        f" if(last_insert_id({REFUSED}), value, value)), cast(last_insert_id(?) as signed)),"
        " fresh_until = if(expiration > ?, fresh_until, null),"
        " expiration = if(expiration > ?, expiration, ?)",
        "size": "length(value)",
    },
}  # fmt: skip


class DatabaseStore:
    """Entries in the table `cache` of *db*, which should be a connection of the cache's own."""

    durable = True

    def __init__(
        self,
        db: ConnectionSource,
        clock: Clock | None = None,
        *,
        max_bytes: int = CacheSettings.max_bytes,
    ) -> None:
        """*max_bytes* of stored values, the oldest going first; 0 for no limit."""
        self.db = db
        self.clock = clock_of(db, clock)
        self.max_bytes = max_bytes
        self._dialect = db.connection().dialect.name
        self._sql = sql = _SQL[self._dialect]
        self._key = name = sql["key"]
        more, noted = (", created_at, bytes", sql["noted"]) if max_bytes else ("", "")
        self._row = "(?, ?, ?, ?, ?, ?)" if max_bytes else "(?, ?, ?, ?)"
        self._put = sql["put"].format(more=more, noted=noted, rows="{rows}")
        self._put_one = self._put.format(rows=self._row)
        self._add = sql["add"].format(put=self._put_one)
        self._get = (
            f"select value, expiration, fresh_until from cache where {name} = ? and expiration > ?"  # noqa: S608  # constants
        )
        self._written = 0  # bytes since the size was last looked at
        self._over = 0  # bytes that are to go

    def own_locks(self) -> DatabaseLocks:
        """Locks in the same database."""
        return DatabaseLocks(self.db, self.clock)

    # --- reading: from the writer, because a replica may not know yet what was just written ---

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*."""
        bindings = (key, int(self.clock.time()))
        rows = self.db.connection().select_tuples(self._get, bindings, False)
        return Entry._make(rows[0]) if rows else None

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*; one statement for 500 keys."""
        rows = self._rows("value, expiration, fresh_until", keys)
        return {key: Entry(*columns) for key, *columns in rows}

    def texts(self, keys: Iterable[str]) -> dict[str, str]:
        """Only the texts of the live entries among *keys*."""
        return dict(self._rows("value", keys))

    def _rows(self, columns: str, keys: Iterable[str]) -> list[Any]:
        connection, now = self.db.connection(), int(self.clock.time())
        found: list[Any] = []
        for part in _chunks(keys):
            marks = ", ".join("?" * len(part))
            found += connection.select_tuples(
                f"select {self._key}, {columns} from cache"  # noqa: S608  # marks
                f" where {self._key} in ({marks}) and expiration > ?",
                (*part, now),
                False,
            )
        if self._dialect == "sqlite":
            return found
        # As bytes, so that no collation makes two keys one.
        return [(key.decode(), *columns) for key, *columns in found]

    # --- writing ---

    def put(self, entries: Mapping[str, Entry]) -> None:
        """Store all of *entries*; one statement for 500 of them."""
        if len(entries) == 1 and not self.max_bytes:
            for key, entry in entries.items():
                retried(self.db, _execute, self._put_one, (key, *entry))
            return
        # In the order of the keys, so that two writers never wait for each other in a circle.
        for part, size in _portions(entries):
            bindings: list[Any] = []
            for key in part:
                bindings += (key, *entries[key], *self._noted(entries[key]))
            rows = ", ".join([self._row] * len(part))
            retried(self.db, _execute, self._put.format(rows=rows), bindings)
            self._keep_within_bounds(size)

    def _noted(self, entry: Entry) -> tuple[int, ...]:
        """When it was written and its size, where the oldest are to go first."""
        return (int(self.clock.time()), _size(entry)) if self.max_bytes else ()

    def add(self, key: str, entry: Entry) -> bool:
        """Store *entry* unless a live one is there."""
        now = int(self.clock.time())
        noted = self._noted(entry)
        if self._dialect == "sqlite":
            stored = retried(self.db, _execute, self._add, (key, *entry, *noted, now)) == 1
        else:
            bindings = [key, *entry, *(noted or (0, 0)), *[now] * 5]
            stored = retried(self.db, _last_id, self._add, bindings) == 1
        if stored and self.max_bytes:
            self._keep_within_bounds(_size(entry))
        return stored

    def forget(self, keys: Iterable[str]) -> int:
        """Remove *keys*; how many live ones there were."""
        removed, now = 0, int(self.clock.time())
        for part in _chunks(sorted(set(keys))):
            removed += retried(self.db, self._forget, part, now)
        return removed

    def _forget(self, connection: Connection, keys: list[str], now: int) -> int:
        marks = ", ".join("?" * len(keys))
        where = f"{self._key} in ({marks})"
        live = connection.affecting_statement(
            f"delete from cache where {where} and expiration > ?",  # noqa: S608  # marks only
            (*keys, now),
        )
        if live < len(keys):
            connection.affecting_statement(f"delete from cache where {where}", keys)  # noqa: S608
        return live

    def pull(self, key: str) -> Entry | None:
        """Remove the live entry under *key* and give it; two callers never get the same."""
        if self._dialect == "sqlite":
            rows = retried(self.db, _rows, self._sql["pull"], [key])
            entry = Entry._make(rows[0]) if rows else None
            return entry if entry and entry.expiration > int(self.clock.time()) else None
        while (entry := self.get(key)) is not None:
            sql = "delete from cache where `key` = ? and value = ? and expiration = ?"
            if retried(self.db, _execute, sql, (key, entry.text, entry.expiration)):
                return entry
        return None

    def touch(self, key: str, expiration: int) -> bool:
        """Let the live entry under *key* end at *expiration*."""
        sql = f"update cache set expiration = ? where {self._key} = ? and expiration > ?"  # noqa: S608
        bindings = (expiration, key, int(self.clock.time()))
        return retried(self.db, _execute, sql, bindings) > 0

    def increment(self, key: str, by: int) -> int | None:
        """Add *by* to the integer under *key*; None if it is no integer, or the sum too large."""
        if self._dialect == "mysql":
            now = int(self.clock.time())
            bindings = (key, by, NEVER, now, by, by, by, now, now, NEVER)
            number = int(retried(self.db, _last_id, self._sql["increment"], bindings))
            return None if number == REFUSED else number - 2 * (number & REFUSED)
        while True:
            now = int(self.clock.time())
            rows = retried(self.db, _rows, self._sql["count"], (by, key, now, by, by))
            rows = rows or retried(self.db, _rows, self._sql["begin"], (key, str(by), NEVER, now))
            if rows:
                return int(rows[0][0])
            entry = self.get(key)
            if entry is not None and summed(entry.text, by) is None:
                return None  # else somebody changed it between the statements

    # --- housekeeping ---

    def flush(self, prefix: str) -> None:
        """Remove every key that begins with *prefix*: a range of the primary key, never LIKE."""
        sql = f"delete from cache where {self._key} >= ? and {self._key} < ?"  # noqa: S608
        retried(self.db, _execute, sql, (prefix, after(prefix)))

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired entry, *batch* at a time, so that writers get in between."""
        return swept(self.db, "cache", int(self.clock.time()), batch)

    def size(self, prefix: str) -> tuple[int, int]:
        """(entries, bytes) stored now under keys that begin with *prefix*."""
        sql = (
            f"select count(*), coalesce(sum({self._sql['size']}), 0) from cache"  # noqa: S608
            f" where {self._key} >= ? and {self._key} < ?"
        )
        bindings = (prefix, after(prefix))
        count, size = self.db.connection().select_tuples(sql, bindings, False)[0]
        return int(count), int(size)

    def close(self) -> None:
        """Nothing to let go of: the connection belongs to the database."""

    # --- the oldest go first ---

    def _keep_within_bounds(self, written: int) -> None:
        """Make room for the bytes just *written*: a little work with each write, never much.

        The size is looked up once in a fiftieth of the limit, from an index; what is then too much
        goes in small portions, each at least as large as what was written.
        """
        if not self.max_bytes:
            return
        self._written += written
        if self._over <= 0 and self._written > self.max_bytes // 50:
            self._written = 0
            self._over = self._bytes_noted() - self.max_bytes
        freed = 0
        while self._over > 0 and freed <= written:
            gone = self._evict(self._over)
            freed, self._over = freed + gone, self._over - gone if gone else 0

    def _bytes_noted(self) -> int:
        sql = "select coalesce(sum(bytes), 0) from cache where created_at > 0"
        return int(self.db.connection().select_tuples(sql, (), False)[0][0])

    def _evict(self, wanted: int) -> int:
        """Delete the oldest entries until *wanted* bytes are free; how many bytes that were."""
        rows = self.db.connection().select_tuples(
            f"select {self._key}, bytes, created_at from cache where created_at > 0"  # noqa: S608
            " order by created_at limit ?",
            (EVICTED_AT_ONCE,),
            False,
        )
        size, going = 0, []
        for row in rows:
            going.append(row)
            size += row[1] or 1
            if size >= wanted:
                break
        if going:
            keys = sorted(row[0] for row in going)
            marks = ", ".join("?" * len(keys))
            sql = f"delete from cache where {self._key} in ({marks}) and created_at <= ?"  # noqa: S608
            retried(self.db, _execute, sql, (*keys, going[-1][2]))
        return size


def _execute(connection: Connection, sql: str, bindings: Any) -> int:
    return connection.affecting_statement(sql, bindings)


def _rows(connection: Connection, sql: str, bindings: Any) -> list[tuple[Any, ...]]:
    return connection.run(sql, bindings).rows


def _last_id(connection: Connection, sql: str, bindings: Any) -> int:
    return connection.run(sql, bindings).last_id


def _size(entry: Entry) -> int:
    return len(entry.text.encode())


def _portions(entries: Mapping[str, Entry]) -> Iterator[tuple[list[str], int]]:
    """Keys, sorted, with the bytes of their values: as many as one statement may carry."""
    part: list[str] = []
    size = 0
    for key in sorted(entries):
        more = _size(entries[key])
        if part and (len(part) == CHUNK or size + more > CHUNK_BYTES):
            yield part, size
            part, size = [], 0
        part.append(key)
        size += more
    if part:
        yield part, size


def _chunks(keys: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(keys)
    while part := list(islice(rest, CHUNK)):
        yield part
