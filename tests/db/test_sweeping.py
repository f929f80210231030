"""Rows whose time is over go in short statements, each listing where the last one ended."""

from __future__ import annotations

from typing import Any

import pytest

from so.db import schema
from so.db.connection import Connection
from so.db.manager import Database
from so.db.sweeping import swept
from so.db.watching import QueryExecuted
from so.support.clock import Clock
from so.systems.cache import DatabaseStore
from so.systems.sessions import Sessions
from tests.support.plans import explained


@pytest.fixture
def key(db: Database) -> str:
    return "`key`" if db.connection().dialect.name == "mysql" else '"key"'


def put(db: Database | Connection, key: str, *rows: tuple[str, int]) -> None:
    for name, moment in rows:
        sql = f"insert into cache ({key}, value, expiration) values (?, '1', ?)"
        db.insert(sql, [name, moment])


def sweep(
    db: Database, key: str, ended: str, values: Any, batch: int, by: str = "expiration"
) -> int:
    return swept(db.connection(), "cache", key, ended, values, batch, by=by)


def left(db: Database, key: str) -> list[str]:
    names = db.connection().select_tuples(f"select {key} from cache order by {key}")
    return [name if isinstance(name, str) else bytes(name).decode() for (name,) in names]


@pytest.mark.parametrize("by", ["expiration", "key"])
@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_all_that_is_over_goes_and_nothing_else(db: Database, key: str, batch: int, by: str):
    put(db, key, *((f"a{n}", 5) for n in range(4)), ("b", 6), ("b2", 8), ("c", 7), ("d", 7))
    put(db, key, ("later", 8), ("over", 1))

    assert sweep(db, key, "expiration <= ?", [7], batch, key if by == "key" else by) == 8

    assert left(db, key) == ["b2", "later"]


def test_without_an_index_no_row_that_stays_is_read_twice():
    seen: list[QueryExecuted] = []
    with Connection(":memory:") as connection:
        schema.install(connection)
        put(connection, '"key"', *((f"k{n:02}", 5 if n % 3 else 9) for n in range(30)))
        connection.listen(seen.append)

        assert DatabaseStore(connection, Clock(7)).gc(batch=5) == 20

    listed = [event.bindings for event in seen if event.sql.startswith("select")]
    assert [bindings[1] for bindings in listed[1:]] == ["k07", "k14", "k22", "k29"]


def test_a_row_that_was_renewed_since_it_was_listed_stays(db: Database, key: str):
    put(db, key, ("a", 5), ("b", 5), ("c", 6))

    @db.connection().before_executing
    def renew(sql: str, bindings: Any, connection: Connection) -> None:
        if sql.startswith("delete"):
            with Connection(connection.config) as other:
                other.update(f"update cache set expiration = 99 where {key} = 'b'")

    assert sweep(db, key, "expiration <= ?", [7], 2) == 2
    assert left(db, key) == ["b"]


def test_where_deleted_entries_linger_none_is_read_twice(mysql_config: dict[str, Any]):
    seen: list[QueryExecuted] = []
    with Database({"default": mysql_config}) as db:
        put(db, "`key`", *((f"k{n}", 5) for n in range(30)))
        for n in range(30):
            db.insert(
                "insert into sessions (id, payload, last_activity) values (?, '', 5)", [f"{n:064}"]
            )
        db.connection().listen(seen.append)
        assert DatabaseStore(db).gc(batch=10) == 30
        assert Sessions(db).cleanup(batch=10) == 30

    behind = [event for event in seen if " or " in event.sql]
    assert len(behind) == 6
    with Connection(mysql_config) as connection:
        # Enough that are behind where it ended, so that no planner would rather read all.
        many = [{"key": f"o{n}", "value": "", "expiration": n % 4} for n in range(400)]
        connection.table("cache").insert(many)
        old = [{"id": f"o{n}", "payload": "", "last_activity": n % 4} for n in range(400)]
        connection.table("sessions").insert(old)
        connection.select("analyze table cache, sessions")
        plans = [explained(connection, e.sql, e.bindings)[0] for e in behind]
    # With the key in the range, not the time alone, the server begins where the last one ended.
    assert {(plan["key"], plan["type"]) for plan in plans} == {
        ("cache_expiration", "range"),
        ("sessions_remembered_until_index", "range"),
    }
    assert all(int(plan["key_len"]) > 64 for plan in plans)


def test_what_was_listed_goes_by_its_primary_key(db: Database):
    connection = db.connection()
    old = [{"id": f"{n:064}", "payload": "", "last_activity": 5} for n in range(400)]
    connection.table("sessions").insert(old)
    seen: list[QueryExecuted] = []
    connection.listen(seen.append)

    assert Sessions(db).cleanup() == 400

    deleted = next(event for event in seen if event.sql.startswith("delete from sessions"))
    connection.table("sessions").insert(old)
    if connection.dialect.name == "sqlite":
        plan = connection.select(f"explain query plan {deleted.sql}", deleted.bindings)
    else:
        plan = explained(connection, deleted.sql, deleted.bindings)
    assert "remembered_until" not in str([dict(row) for row in plan])
