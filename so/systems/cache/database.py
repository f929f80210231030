"""The store in the `cache` table, on SQLite and on MySQL.

Integers are stored as bare digits, so that the database can add to them. On MySQL a conditional
upsert answers through LAST_INSERT_ID, because matched rows are counted there and the row count
cannot tell "held" from "taken".
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.errors import ConcurrencyError
from so.support.clock import Clock
from so.systems.cache.entry import NEVER, Entry

T = TypeVar("T")
ATTEMPTS = 8  # of one statement that another one got in the way of
CHUNK = 500  # keys to a statement
NOT_AN_INTEGER = (1 << 62) + 20_260_115  # a sentinel; no counter gets there
SIGNED = 1 << 63

_SQL: dict[str, dict[str, str]] = {
    "sqlite": {
        "key": '"key"',
        "get": 'select value, expiration, fresh_until from cache where "key" = ?'
        " and expiration > ?",
        "put": 'insert into cache ("key", value, expiration, fresh_until, created_at) values {rows}'
        ' on conflict ("key") do update set value = excluded.value, expiration ='
        " excluded.expiration, fresh_until = excluded.fresh_until,"
        " created_at = excluded.created_at",
        "add": 'insert into cache ("key", value, expiration, fresh_until, created_at)'
        ' values (?, ?, ?, ?, ?) on conflict ("key") do update set value = excluded.value,'
        " expiration = excluded.expiration, fresh_until = excluded.fresh_until, created_at ="
        " excluded.created_at where cache.expiration <= ? returning 1",
        # "key", by, never, now, then now, by, now, now again
        "increment": 'insert into cache ("key", value, expiration, created_at) values (?, ?, ?, ?)'
        ' on conflict ("key") do update set value = case when cache.expiration > ?'
        " then cast(cast(cache.value as integer) + cast(? as integer) as text)"
        " else excluded.value end, expiration = case when cache.expiration > ?"
        " then cache.expiration else excluded.expiration end where cache.expiration <= ?"
        " or cast(cast(cache.value as integer) as text) = cache.value returning value",
        "pull": 'delete from cache where "key" = ? returning value, expiration, fresh_until',
    },
    "mysql": {
        "key": "`key`",
        "get": "select value, expiration, fresh_until from cache where `key` = ?"
        " and expiration > ?",
        "put": "insert into cache (`key`, value, expiration, fresh_until, created_at) values {rows}"
        " on duplicate key update value = values(value), expiration = values(expiration),"
        " fresh_until = values(fresh_until), created_at = values(created_at)",
        # last_insert_id: 1 stored, 2 held by a live entry
        "add": "insert into cache (`key`, value, expiration, fresh_until, created_at)"
        " values (?, if(last_insert_id(1), ?, null), ?, ?, ?) on duplicate key update"
        " value = if(expiration <= ?, if(last_insert_id(1), values(value), value),"
        " if(last_insert_id(2), value, value)),"
        " fresh_until = if(expiration <= ?, values(fresh_until), fresh_until),"
        " created_at = if(expiration <= ?, values(created_at), created_at),"
        " expiration = if(expiration <= ?, values(expiration), expiration)",
    },
}  # fmt: skip


class DatabaseStore:
    """Entries in the table `cache` of *db*, which should be a connection of the cache's own."""

    def __init__(
        self, db: ConnectionSource, clock: Clock | None = None, *, max_bytes: int = 0
    ) -> None:
        """*max_bytes* of stored values, the oldest going first; 0 for no limit."""
        self.db = db
        self.clock = clock or Clock()
        self.max_bytes = max_bytes
        self._written = 0  # bytes since the size was last looked at

    # --- reading ---

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*."""
        connection = self.db.connection()
        sql = _SQL[connection.dialect.name]["get"]
        rows = connection.select_tuples(sql, (key, int(self.clock.time())))
        return Entry(*rows[0]) if rows else None

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*; one statement for 500 keys."""
        connection = self.db.connection()
        name = _SQL[connection.dialect.name]["key"]
        now, found = int(self.clock.time()), {}
        for part in _chunks(keys):
            marks = ", ".join("?" * len(part))
            rows = connection.select_tuples(
                f"select {name}, value, expiration, fresh_until from cache"  # noqa: S608  # marks
                f" where {name} in ({marks}) and expiration > ?",
                (*part, now),
            )
            found.update({_text(row[0]): Entry(*row[1:]) for row in rows})
        return found

    # --- writing ---

    def put(self, entries: Mapping[str, Entry]) -> None:
        """Store all of *entries*; one statement for 500 of them."""
        now = int(self.clock.time())
        # In the order of the keys, so that two writers never wait for each other in a circle.
        for part in _chunks(sorted(entries)):
            bindings: list[Any] = []
            for key in part:
                entry = entries[key]
                bindings += (key, entry.text, entry.expiration, entry.fresh_until, now)
                self._written += len(entry.text)
            self._run(self._put_rows, bindings, len(part))
        if self.max_bytes and self._written > self.max_bytes // 20:
            self._evict()

    def _put_rows(self, connection: Connection, bindings: list[Any], count: int) -> None:
        rows = ", ".join(["(?, ?, ?, ?, ?)"] * count)
        connection.run(self._sql(connection, "put").format(rows=rows), bindings)

    def add(self, key: str, entry: Entry) -> bool:
        """Store *entry* unless a live one is there."""
        now = int(self.clock.time())
        bindings = [key, entry.text, entry.expiration, entry.fresh_until, now]

        def work(connection: Connection) -> bool:
            if connection.dialect.name == "sqlite":
                return bool(connection.run(self._sql(connection, "add"), [*bindings, now]).rows)
            answer = connection.run(self._sql(connection, "add"), [*bindings, *[now] * 4])
            return answer.last_id == 1

        return self._run(work)

    def forget(self, keys: Iterable[str]) -> int:
        """Remove *keys*; how many live ones there were."""
        removed, now = 0, int(self.clock.time())
        for part in _chunks(sorted(set(keys))):
            removed += self._run(self._forget, part, now)
        return removed

    def _forget(self, connection: Connection, keys: list[str], now: int) -> int:
        name = _SQL[connection.dialect.name]["key"]
        marks = ", ".join("?" * len(keys))
        where = f"{name} in ({marks})"
        live = connection.affecting_statement(
            f"delete from cache where {where} and expiration > ?",  # noqa: S608  # marks only
            (*keys, now),
        )
        if live < len(keys):
            connection.affecting_statement(f"delete from cache where {where}", keys)  # noqa: S608
        return live

    def pull(self, key: str) -> Entry | None:
        """Remove the live entry under *key* and give it; two callers never get the same."""
        now = int(self.clock.time())

        def work(connection: Connection) -> Entry | None:
            if connection.dialect.name == "sqlite":
                rows = connection.run(self._sql(connection, "pull"), [key]).rows
                entry = Entry(*rows[0]) if rows else None
                return entry if entry and entry.expiration > now else None
            entry = self.get(key)
            gone = entry and connection.affecting_statement(
                "delete from cache where `key` = ? and value = ? and expiration = ?",
                (key, entry.text, entry.expiration),
            )
            return entry if gone else None

        return self._run(work)

    def touch(self, key: str, expiration: int) -> bool:
        """Let the live entry under *key* end at *expiration*."""
        bindings = (expiration, key, int(self.clock.time()))

        def work(connection: Connection) -> bool:
            name = self._sql(connection, "key")
            sql = f"update cache set expiration = ? where {name} = ? and expiration > ?"  # noqa: S608
            return connection.affecting_statement(sql, bindings) > 0

        return self._run(work)

    def increment(self, key: str, by: int) -> int | None:
        """Add *by* to the integer under *key*; None if it is no integer."""
        now = int(self.clock.time())

        def work(connection: Connection) -> int | None:
            if connection.dialect.name == "sqlite":
                bindings = [key, str(by), NEVER, now, now, by, now, now]
                rows = connection.run(self._sql(connection, "increment"), bindings).rows
                return int(rows[0][0]) if rows else None
            return self._increment_mysql(connection, key, by, now)

        return self._run(work)

    @staticmethod
    def _increment_mysql(connection: Connection, key: str, by: int, now: int) -> int | None:
        answer = connection.run(
            "insert into cache (`key`, value, expiration, created_at)"
            " values (?, cast(last_insert_id(?) as signed), ?, ?) on duplicate key update"
            " value = if(expiration > ?, if(value regexp '^-?[0-9]+$',"
            " cast(last_insert_id(cast(value as signed) + ?) as signed),"
            " if(last_insert_id(?), value, value)), cast(last_insert_id(?) as signed)),"
            " expiration = if(expiration > ?, expiration, ?)",
            (key, by, NEVER, now, now, by, NOT_AN_INTEGER, by, now, NEVER),
        )
        number = answer.last_id - 2 * SIGNED if answer.last_id >= SIGNED else answer.last_id
        return None if number == NOT_AN_INTEGER else number

    # --- housekeeping ---

    def flush(self, prefix: str) -> None:
        """Remove every key that begins with *prefix*: a range of the primary key, never LIKE."""
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)

        def work(connection: Connection) -> int:
            name = self._sql(connection, "key")
            sql = f"delete from cache where {name} >= ? and {name} < ?"  # noqa: S608  # constant
            return connection.affecting_statement(sql, (prefix, after))

        self._run(work)

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired entry, *batch* at a time, so that writers get in between."""
        return sum(self._swept("expiration", int(self.clock.time()), batch))

    def _swept(self, column: str, until: int, batch: int) -> Iterator[int]:
        """Delete rows whose *column* is at most *until*, by key; the count of each batch."""
        while True:
            connection = self.db.connection()
            name = self._sql(connection, "key")
            keys = [
                row[0]
                for row in connection.select_tuples(
                    f"select {name} from cache where {column} <= ? order by {column} limit ?",  # noqa: S608
                    (until, batch),
                )
            ]
            if not keys:
                return
            yield self._run(self._delete_if, column, until, sorted(keys))

    def _delete_if(self, connection: Connection, column: str, until: int, keys: list[str]) -> int:
        # Conditional again: a row that was refreshed since it was listed stays.
        name = self._sql(connection, "key")
        gone = 0
        for part in _chunks(keys):
            marks = ", ".join("?" * len(part))
            sql = f"delete from cache where {name} in ({marks}) and {column} <= ?"  # noqa: S608
            gone += connection.affecting_statement(sql, (*part, until))
        return gone

    def _evict(self) -> None:
        """Delete the oldest entries until nine tenths of `max_bytes` are left."""
        self._written = 0
        connection = self.db.connection()
        self.gc()
        while self.size()[1] > self.max_bytes * 0.9:
            rows = connection.select_tuples(
                "select created_at from cache order by created_at limit 1 offset 199", ()
            ) or connection.select_tuples("select max(created_at) from cache", ())
            if not rows or rows[0][0] is None:
                return
            if not next(self._swept("created_at", int(rows[0][0]), 200), 0):
                return

    def size(self) -> tuple[int, int]:
        """(entries, bytes) stored now."""
        sql = "select count(*), coalesce(sum(length(value)), 0) from cache"
        count, size = self.db.connection().select_tuples(sql, ())[0]
        return int(count), int(size)

    def close(self) -> None:
        """Nothing to let go of: the connection belongs to the database."""

    def _sql(self, connection: Connection, name: str) -> str:
        return _SQL[connection.dialect.name][name]

    def _run(self, work: Callable[..., T], *args: Any) -> T:
        return retried(self.db, work, *args)


def retried(db: ConnectionSource, work: Callable[..., T], *args: Any) -> T:
    """`work(connection, *args)`, again after a short random wait when another was in the way."""
    for attempt in range(ATTEMPTS):
        try:
            return work(db.connection(), *args)
        except ConcurrencyError:
            if attempt == ATTEMPTS - 1:
                raise
            # Real time on purpose: the other statement runs in real time as well.
            time.sleep(random.uniform(0.001, 0.005 * (attempt + 1)))  # noqa: S311  # jitter
    raise AssertionError("unreachable")


def _text(key: str | bytes) -> str:
    """A key as read: MySQL keeps it as bytes, so that no collation makes two of them one."""
    return key if isinstance(key, str) else key.decode()


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while part := list(islice(rest, CHUNK)):
        yield part
