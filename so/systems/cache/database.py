"""The store in the `cache` table, on SQLite and on MySQL: one statement an operation.

Integers are stored as bare digits, so that the database can add to them. The versions of tags are
looked up by the statement itself; what each engine is told is in statements.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from so.db.dialects import Executed
from so.db.manager import ConnectionSource
from so.db.words import marks
from so.settings.cache import CacheSettings
from so.support.clock import Clock
from so.systems.cache.entry import NEVER, NONE, Entry, Packed, Tags, after
from so.systems.cache.locks import DatabaseLocks
from so.systems.cache.sharing import clock_of, key_of, removed_ended
from so.systems.cache.statements import REFUSED, MysqlStatements, SqliteStatements

CHUNK = 500  # keys to a statement
CHUNK_BYTES = 4_000_000  # of values to a statement; servers limit what they take at once
EVICTED_AT_ONCE = 100  # rows
LONGEST_NUMBER = 20  # bytes of an integer
ROW_OVERHEAD = 64  # bytes of a row beside its value and its key, which three indexes hold
_COLUMNS = "value, expiration, fresh_until, data, tags"


class DatabaseStore:
    """Entries in the table `cache` of *db*, which should be a connection of the cache's own."""

    durable = True
    is_shared = True

    def __init__(
        self,
        db: ConnectionSource,
        clock: Clock | None = None,
        *,
        max_bytes: int = CacheSettings.max_bytes,
    ) -> None:
        """*max_bytes* of rows, the oldest going first; 0 for no limit."""
        self.db = db
        self.clock = clock_of(db, clock)
        self.max_bytes = max_bytes
        connection = db.connection()
        self._is_mysql = connection.dialect.name == "mysql"
        self._sql = MysqlStatements() if self._is_mysql else SqliteStatements()
        self._key = key_of(connection)
        self._one = f"select {_COLUMNS} from cache where {self._key} = ?"  # noqa: S608  # constants
        self._live = f"{self._one} and expiration > ?"
        self._read = self._live.replace(_COLUMNS, self._sql.packed)
        self._written = 0  # bytes since the size was last looked at
        self._over = 0  # bytes that are to go
        # Without tags, as most are.
        self._write, self._put = self._sql.write(), self._sql.put("?")
        self._add = self._sql.add("?")
        self._increment = self._sql.increment("?")

    def own_locks(self) -> DatabaseLocks:
        """Locks in the same database."""
        return DatabaseLocks(self.db, self.clock)

    # --- statements ---

    def _tags(self, tags: Tags) -> tuple[str, tuple[str, ...]]:
        """What gives the versions of *tags* within a statement, and its bindings."""
        if tags.seen is not None:
            return "?", (tags.seen,)
        return self._sql.tags(tags.keys), tuple(sorted(tags.keys))

    # --- reading: from the writer, because a replica may not know yet what was just written ---

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*."""
        bindings = (key, int(self.clock.time()))
        rows = self.db.connection().select_tuples(self._live, bindings, False)
        return Entry._make(rows[0]) if rows else None

    def read(self, key: str) -> Packed | None:
        """What is stored in the live entry under *key*: one column costs less than all."""
        bindings = (key, int(self.clock.time()))
        rows = self.db.connection().select_tuples(self._read, bindings, False)
        return self._sql.taken(rows[0]) if rows else None

    def last(self, key: str) -> Entry | None:
        """The entry under *key*, expired or not."""
        rows = self.db.connection().select_tuples(self._one, (key,), False)
        return Entry._make(rows[0]) if rows else None

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*; one statement for 500 keys."""
        found = self._found(_COLUMNS, keys)
        return {key: Entry._make(row) for key, row in found if row[0] is not None}

    def read_many(self, keys: Iterable[str]) -> dict[str, Packed]:
        """What is stored in the live ones among *keys*."""
        taken = self._sql.taken
        found = self._found(self._sql.packed, keys)
        return {key: taken(row) for key, row in found if row[0] is not None}

    def _found(self, columns: str, keys: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Keys with those *columns*; on SQLite with NULLs for what is not there."""
        connection, now = self.db.connection(), int(self.clock.time())
        for part in _chunks(keys):
            sql = self._sql.found(columns, len(part))
            rows = connection.select_tuples(sql, (*part, now), False)
            if self._is_mysql:  # where a binary key comes back as bytes
                yield from ((bytes(key).decode(), row) for key, *row in rows)
            else:
                yield from zip(part, rows, strict=True)

    # --- writing ---

    def _execute(self, sql: str, bindings: Sequence[Any]) -> int:
        return self.db.connection().affecting_statement(sql, bindings)

    def _run(self, sql: str, bindings: Sequence[Any]) -> Executed:
        return self.db.connection().run(sql, bindings)

    def put(self, entries: Mapping[str, Entry], tags: Tags = NONE, *, pinned: bool = False) -> None:
        """Store all of *entries*; one statement for 500 of them, or 4 MB."""
        versions, seen = self._tags(tags)
        # In the order of the keys, so that two writers never wait for each other in a circle.
        for part, size in _portions(entries):
            bindings: list[Any] = []
            for key in part:
                bindings += self._bound(key, entries[key], seen, pinned)
            is_usual = versions == "?" and len(part) == 1
            self._execute(self._put if is_usual else self._sql.put(versions, len(part)), bindings)
            self._keep_within_bounds(size)

    def write(self, key: str, packed: Packed, expiration: int) -> None:
        """Store *packed* under *key*, replacing what was there."""
        if type(packed) is str and not self.max_bytes:
            bindings = (key, packed, expiration)
            self.db.connection().affecting_statement(self._write, bindings)
        else:
            self.put({key: Entry.of(packed, expiration)})

    def _bound(
        self, key: str, entry: Entry, seen: tuple[str, ...], pinned: bool = False
    ) -> tuple[Any, ...]:
        """The bindings of a row. Only what may go has a time, so that no index holds the rest."""
        if pinned or not self.max_bytes:
            return (key, *entry[:4], *seen, 0, 0)
        return (key, *entry[:4], *seen, int(self.clock.time()), _row_size(key, entry))

    def add(self, key: str, entry: Entry, tags: Tags = NONE) -> bool:
        """Store *entry* unless a live one is there."""
        now = int(self.clock.time())
        versions, seen = self._tags(tags)
        sql = self._add if versions == "?" else self._sql.add(versions)
        bindings = self._bound(key, entry, seen)
        if self._is_mysql:
            stored = self._run(sql, (*bindings, *[now] * 6)).last_id == 1
        else:
            stored = self._execute(sql, (*bindings, now)) == 1
        if stored:
            self._keep_within_bounds(_row_size(key, entry))
        return stored

    def forget(self, keys: Iterable[str], tags: Tags = NONE) -> int:
        """Remove *keys*; how many live ones there were."""
        removed, now = 0, int(self.clock.time())
        for part in _chunks(sorted(set(keys))):
            delete = f"delete from cache where {self._key} in ({marks(part)})"  # noqa: S608  # marks only
            if tags == NONE and self._can_return():
                rows = self._run(f"{delete} returning expiration", part).rows
                removed += sum(row[0] > now for row in rows)
                continue
            more, seen = self._under(tags)  # what has expired is left to `gc()`
            sql = f"{delete} and expiration > ?{more}"
            removed += self._execute(sql, (*part, now, *seen))
        return removed

    def _under(self, tags: Tags) -> tuple[str, tuple[str, ...]]:
        """The condition that the tags are what they were; none without tags."""
        if tags == NONE:
            return "", ()
        sql, seen = self._tags(tags)
        return f" and tags = {sql}", seen

    def pull(self, key: str, tags: Tags = NONE) -> Entry | None:
        """Remove the live entry under *key* and give it; two callers never get the same."""
        more, seen = self._under(tags)
        where = f"{self._key} = ? and expiration > ?{more}"
        bindings = (key, int(self.clock.time()), *seen)
        if self._can_return():
            sql = f"delete from cache where {where} returning {_COLUMNS}"  # noqa: S608
            rows = self._run(sql, bindings).rows
            return Entry._make(rows[0]) if rows else None
        while rows := self.db.connection().select_tuples(
            f"select {_COLUMNS} from cache where {where}",  # noqa: S608
            bindings,
            False,
        ):
            entry = Entry._make(rows[0])
            sql = f"delete from cache where {where} and value = ?"  # noqa: S608
            if self._execute(sql, (*bindings, entry.text)):
                return entry
        return None

    def _can_return(self) -> bool:
        return self.db.connection().server.returns_rows

    def touch(self, key: str, expiration: int, tags: Tags = NONE) -> bool:
        """Let the live entry under *key* end at *expiration*."""
        more, seen = self._under(tags)
        sql = f"update cache set expiration = ? where {self._key} = ? and expiration > ?{more}"  # noqa: S608
        bindings = (expiration, key, int(self.clock.time()), *seen)
        return self._execute(sql, bindings) > 0

    def increment(self, key: str, by: int, tags: Tags = NONE) -> int | None:
        """Add *by* to the integer under *key*; None if it is no integer, or the sum too large."""
        now = int(self.clock.time())
        versions, seen = self._tags(tags)
        row: tuple[Any, ...] = (key, by, NEVER, *seen, 0, 0)
        if self.max_bytes:
            size = ROW_OVERHEAD + 3 * len(key) + LONGEST_NUMBER
            row = (*row[:-2], now, size)
            self._keep_within_bounds(size)  # before it: what is begun here goes last
        sql = self._increment if versions == "?" else self._sql.increment(versions)
        if self._is_mysql:
            number = self._run(sql, (*row, now, by, by, by, now, now, now)).last_id
            return None if number == REFUSED else number - 2 * (number & REFUSED)
        done = self._run(sql, (*row, now))
        if not done.rowcount:
            sql = SqliteStatements().begin_again(versions)
            done = self._run(sql, (*row, now, by, now, now, now, by, by))
        return done.last_id if done.rowcount else None

    # --- housekeeping ---

    def flush(self, prefix: str) -> None:
        """Remove every key that begins with *prefix*: a range of the primary key, never LIKE."""
        sql = f"delete from cache where {self._key} >= ? and {self._key} < ?"  # noqa: S608
        self._execute(sql, (prefix, after(prefix)))

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired entry, *batch* at a time, so that writers get in between."""
        by = "expiration" if self._is_mysql else self._key
        return removed_ended(self.db, "cache", int(self.clock.time()), batch, by=by)

    def size(self, prefix: str) -> tuple[int, int]:
        """(entries, bytes of their values) stored now under keys that begin with *prefix*."""
        sql = (
            f"select count(*), coalesce(sum({self._sql.size}), 0) from cache"  # noqa: S608
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
            sql = f"delete from cache where {self._key} in ({marks(keys)}) and created_at <= ?"  # noqa: S608
            self._execute(sql, (*keys, going[-1][2]))
        return size


def _row_size(key: str, entry: Entry) -> int:
    return ROW_OVERHEAD + 3 * len(key) + entry.size


def _portions(entries: Mapping[str, Entry]) -> Iterator[tuple[list[str], int]]:
    """Keys, sorted, with the bytes of their rows: as many as one statement may carry."""
    part: list[str] = []
    size = 0
    for key in sorted(entries):
        more = _row_size(key, entries[key])
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
