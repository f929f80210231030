"""Where session rows are kept: the table `sessions`.

A store knows rows by the SHA-256 of the cookie's secret and nothing of what is in them. Every
write is one conditional statement: it says what it expects to find, and answers whether it
found it. Deciding what to do when it did not is the session's business.
"""

from __future__ import annotations

import hashlib
import os
import re
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from so.db.sweeping import swept
from so.db.words import for_update, marks

if TYPE_CHECKING:
    from so.db.connection import Connection
    from so.db.manager import ConnectionSource

_OWN_TABLES = re.compile(r"\b(?:exists|on) (?:sessions|session_moves)\b")
MOVE_HOPS = 5
WRITE_ATTEMPTS = 5
NEVER = 1 << 62  # a moment that never comes
LONGEST_OWNER = 64  # characters


@dataclass(slots=True)
class StoredSession:
    """One row of `sessions`; times are whole seconds since the epoch."""

    id: str
    user_id: str | None
    ip_address: str | None
    user_agent: str | None
    payload: str
    last_activity: int
    version: int = 0
    created_at: int = 0
    mac: str | None = None
    remember_series: str | None = None
    remembered_until: int = 0


@dataclass(slots=True)
class Move:
    """Where the session called *old_id* went; readable under the old id for a short time."""

    old_id: str
    new_id: str
    readable_until: int
    created_at: int


_LISTED = (
    "id, user_id, ip_address, user_agent, '', last_activity, version, created_at, mac, "
    "remember_series, remembered_until"
)
_ALL = _LISTED.replace("''", "payload")
_READ = f"select {_ALL} from sessions where id = ?"  # noqa: S608  # constant column names
_INSERT = (
    f"insert into sessions ({_ALL}) "  # noqa: S608  # constant column names
    "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_REPLACE = (
    "update sessions set id = ?, user_id = ?, ip_address = ?, user_agent = ?, payload = ?, "
    "last_activity = ?, version = ?, created_at = ?, mac = ?, remember_series = ?, "
    "remembered_until = ? where id = ? and version = ?"
)
_SAVE = (  # what most changes are: leaving the keys alone, it leaves their indexes alone
    "update sessions set ip_address = ?, user_agent = ?, payload = ?, last_activity = ?, "
    "version = ?, mac = ? where id = ? and version = ?"
)
_TOUCH = "update sessions set last_activity = ?, ip_address = ?, user_agent = ? where id = ?"


def owner_key(key: object) -> str:
    """The key of a user as the column `user_id` holds it: its digest where it is too long."""
    text = str(key)
    if len(text) <= LONGEST_OWNER:
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class SessionTable:
    """Rows in the tables `sessions` and `session_moves`."""

    def __init__(self, db: ConnectionSource) -> None:
        self._db = db

    def read(self, id: str) -> StoredSession | None:
        """The row called *id*, from the writer: a replica may not have it yet."""
        return self._one(self._db.connection(), _READ, id)

    def _one(self, connection: Connection, sql: str, id: str) -> StoredSession | None:
        rows = connection.select_tuples(sql, (id,), use_read=False)
        return StoredSession(*rows[0]) if rows else None

    def insert(self, row: StoredSession) -> None:
        """Add a row."""
        self._db.connection().insert(_INSERT, _values(row))

    def replace(self, old: StoredSession, new: StoredSession, move: Move | None) -> bool:
        """Put *new* in the place of *old*, if that still has its version, and note *move*."""
        connection = self._db.connection()
        if move is None:
            return self._replaced(old, new)

        def work() -> bool:
            # One transaction: whoever misses the row under its old id must find the move.
            if not self._replaced(old, new):
                return False
            self._note(connection, move)
            return True

        return bool(connection.transaction(work, WRITE_ATTEMPTS, mode="immediate"))

    def _replaced(self, old: StoredSession, new: StoredSession) -> bool:
        if _keys(old) != _keys(new):
            return self._write(_REPLACE, (*_values(new), old.id, old.version)) == 1
        what = new.ip_address, new.user_agent, new.payload, new.last_activity, new.version, new.mac
        return self._write(_SAVE, (*what, old.id, old.version)) == 1

    def _write(self, sql: str, values: Sequence[object]) -> int:
        return self._db.connection().affecting_statement(sql, values)

    def replace_locked(
        self, id: str, make: Callable[[StoredSession], StoredSession], move: Move | None
    ) -> StoredSession | None:
        """Put `make(row)` in the place of row *id* while nobody else may; None without a row."""
        connection = self._db.connection()
        lock = for_update(connection.dialect.name)

        def work() -> StoredSession | None:
            row = self._one(connection, _READ + lock, id)
            if row is None:
                return None
            made = make(row)
            self._replaced(row, made)
            if move is not None:
                self._note(connection, move)
            return made

        done: StoredSession | None = connection.transaction(work, WRITE_ATTEMPTS, mode="immediate")
        return done

    def _note(self, connection: Connection, move: Move) -> None:
        connection.insert(
            "insert into session_moves (old_id, new_id, readable_until, created_at) "
            "values (?, ?, ?, ?)",
            (move.old_id, move.new_id, move.readable_until, move.created_at),
        )

    def touch(self, row: StoredSession) -> bool:
        """Write last_activity, ip_address and user_agent of *row*; False if it is gone."""
        values = (row.last_activity, row.ip_address, row.user_agent, row.id)
        return self._write(_TOUCH, values) == 1

    def delete(self, id: str) -> bool:
        """Remove a row; False if it was not there."""
        return self._write("delete from sessions where id = ?", (id,)) == 1

    def delete_for_user(
        self, user_id: str, *, series: str | None = None, keep: Sequence[str] = ()
    ) -> int:
        """Remove the user's rows, all but *keep*, or only those of a remember-me *series*."""
        sql, values = "delete from sessions where user_id = ?", [owner_key(user_id)]
        if series is not None:
            sql, values = f"{sql} and remember_series = ?", [*values, series]
        if keep:
            sql, values = f"{sql} and id not in ({marks(keep)})", [*values, *keep]
        return self._write(sql, values)

    def delete_oldest(self, user_id: str, own: str, most: int, now: int, idle_since: int) -> int:
        """Remove the user's live rows that were begun first, until *most* are left, *own* among
        them → how many."""
        connection = self._db.connection()
        lock = for_update(connection.dialect.name)

        def work() -> int:
            live = self._list(
                "user_id = ? and (last_activity > ? or remembered_until > ?)"
                f" order by created_at desc, last_activity desc, id{lock}",
                *(owner_key(user_id), idle_since, now),
            )
            others = [row.id for row in live if row.id != own]
            # Of two logins at once that leave room for one, the second does not end the first.
            going = others[most - 1 :] if len(others) < len(live) else []
            sql = f"delete from sessions where id in ({marks(going)})"  # noqa: S608  # marks only
            return connection.affecting_statement(sql, going) if going else 0

        return int(connection.transaction(work, WRITE_ATTEMPTS, mode="immediate"))

    def for_user(self, user_id: str) -> list[StoredSession]:
        """The user's rows, last active first, with empty payloads."""
        return self._list("user_id = ? order by last_activity desc, id", owner_key(user_id))

    def whole_for_user(self, user_id: str) -> list[StoredSession]:
        """The user's rows with their payloads."""
        sql = f"select {_ALL} from sessions where user_id = ?"  # noqa: S608  # constant
        rows = self._db.connection().select_tuples(sql, (owner_key(user_id),), use_read=False)
        return [StoredSession(*row) for row in rows]

    def active_since(self, moment: int, limit: int | None = None) -> list[StoredSession]:
        """Rows active after *moment*, last active first, up to *limit*, with empty payloads."""
        if limit is None:
            return self._list("last_activity > ? order by last_activity desc, id", moment)
        # No second column to sort by: the index gives the first ones without looking at the rest.
        return self._list("last_activity > ? order by last_activity desc limit ?", moment, limit)

    def count_active_since(self, moment: int) -> int:
        """How many rows were active after *moment*."""
        sql = "select count(*) from sessions where last_activity > ?"
        return int(self._db.connection().select_tuples(sql, (moment,), use_read=False)[0][0])

    def with_prefix(self, prefix: str) -> list[StoredSession]:
        """The rows whose ids begin with *prefix* (hex digits), with empty payloads."""
        # `g` comes after every hex digit: a range of the primary key, where LIKE may not use it.
        return self._list("id >= ? and id < ? order by id", prefix, f"{prefix}g")

    def _list(self, condition: str, *values: object) -> list[StoredSession]:
        sql = f"select {_LISTED} from sessions where {condition}"  # noqa: S608  # ours alone
        rows = self._db.connection().select_tuples(sql, values, use_read=False)
        return [StoredSession(*row) for row in rows]

    def moved(self, old_id: str) -> Move | None:
        """Where the session called *old_id* went, following it to its last known place."""
        return _followed(self._move, old_id)

    def _move(self, old_id: str) -> Move | None:
        rows = self._db.connection().select_tuples(
            "select old_id, new_id, readable_until, created_at from session_moves where old_id = ?",
            (old_id,),
            use_read=False,
        )
        return Move(*rows[0]) if rows else None

    def delete_idle(self, until: int, batch: int, *, guests_since: int | None = None) -> int:
        """Remove the rows idle at *until* that no device is remembered by, *batch* at a time.

        With *guests_since*, only those of guests that were active from then on.
        """
        # The second never is: to look for 0 alone MariaDB would not use the rest of the index.
        condition = f"remembered_until in (0, {NEVER}) and last_activity <= ?"
        values, by = [until], "remembered_until, last_activity"
        if guests_since is not None:
            condition += " and last_activity >= ? and user_id is null"
            values.append(guests_since)
        return swept(self._db.connection(), "sessions", "id", condition, values, batch, by=by)

    def delete_forgotten(self, now: int, idle_since: int, batch: int) -> int:
        """Remove the idle rows whose device is remembered no longer, *batch* at a time."""
        condition = "remembered_until > 0 and remembered_until <= ? and last_activity <= ?"
        values = (now, idle_since)
        connection, by = self._db.connection(), "remembered_until"
        return swept(connection, "sessions", "id", condition, values, batch, by=by)

    def forget_moves(self, before: int, batch: int) -> int:
        """Remove the moves noted before that moment, *batch* at a time."""
        ended = "session_moves", "old_id", "created_at < ?"
        return swept(self._db.connection(), *ended, (before,), batch, by="created_at")


def _followed(look_up: Callable[[str], Move | None], old_id: str) -> Move | None:
    """The last move of a chain, readable for as long as every step of it is."""
    found = look_up(old_id)
    for _ in range(MOVE_HOPS):
        further = None if found is None else look_up(found.new_id)
        if found is None or further is None:
            break
        found = Move(
            old_id,
            further.new_id,
            min(found.readable_until, further.readable_until),
            max(found.created_at, further.created_at),
        )
    return found


def _keys(row: StoredSession) -> tuple[Any, ...]:
    """What a change of values leaves as it is."""
    return row.id, row.user_id, row.created_at, row.remember_series, row.remembered_until


def _values(row: StoredSession) -> tuple[Any, ...]:
    return (
        row.id,
        row.user_id,
        row.ip_address,
        row.user_agent,
        row.payload,
        row.last_activity,
        row.version,
        row.created_at,
        row.mac,
        row.remember_series,
        row.remembered_until,
    )


def table_of_this_process() -> SessionTable:
    """Rows in an SQLite file that goes with this process."""
    # Of tests alone, so nobody else loads what it takes.
    import shutil
    import tempfile

    from so.db.manager import Database
    from so.db.schema import framework_statements

    folder, pid = tempfile.mkdtemp(prefix="so-sessions-"), os.getpid()
    path = os.path.join(folder, "sessions.sqlite")
    db = Database({"default": {"driver": "sqlite", "database": path, "synchronous": "off"}})
    for statement in framework_statements("sqlite"):
        if _OWN_TABLES.search(statement):
            db.connection().unprepared(statement)

    def remove() -> None:
        if os.getpid() == pid:
            db.close()
            shutil.rmtree(folder, ignore_errors=True)

    store = SessionTable(db)
    weakref.finalize(store, remove)
    return store
