"""Keys that the framework keeps are told apart to the last character, on MySQL as on SQLite."""

from __future__ import annotations

from typing import Any

import pytest

from so.db import schema
from so.db.connection import Connection
from so.db.manager import Database

EXACT = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin")
ALIKE = ("Key", "key", "kéy", "key ", "key  ", "KEY", "kêy", "ｋey", "key\t")


def key_columns(connection: Connection) -> list[tuple[str, str, str]]:
    """Table, column and collation of every text column that is part of a key."""
    return connection.select_tuples(
        "select distinct s.table_name, s.column_name, c.collation_name"
        " from information_schema.statistics s join information_schema.columns c"
        " on c.table_schema = s.table_schema and c.table_name = s.table_name"
        " and c.column_name = s.column_name"
        " where s.table_schema = database() and c.collation_name is not null"
        " order by 1, 2"
    )


@pytest.mark.parametrize("engine", ["mysql"])
def test_every_text_in_a_key_of_every_table_is_exact_and_pads_nothing(db: Database):
    found = key_columns(db.connection())

    assert len({table for table, _, _ in found}) > 12
    assert [row for row in found if row[2] not in EXACT] == []


NAMED = [
    ("jobs", "queue"), ("jobs", "uuid"), ("jobs", "worker_id"), ("jobs", "lock_key"),
    ("jobs", "batch_id"), ("queue_locks", "name"), ("queue_locks", "owner"),
    ("queue_control", "name"), ("queue_schedule_runs", "task"), ("job_batches", "id"),
    ("failed_jobs", "queue"), ("cache_locks", "owner"), ("sessions", "user_id"),
    ("sessions", "id"), ("sessions", "remember_series"), ("remember_tokens", "series"),
    ("remember_tokens", "user_id"), ("personal_access_tokens", "tokenable_type"),
    ("personal_access_tokens", "tokenable_id"), ("personal_access_tokens", "token"),
    ("notifications", "notifiable_type"), ("notifications", "notifiable_id"),
    ("notifications", "dedupe_key"), ("notification_mutes", "category"),
    ("activity_log", "log_name"), ("activity_log", "subject_type"),
    ("activity_log", "subject_id"), ("activity_log", "causer_id"),
    ("activity_log", "batch_uuid"), ("migrations", "migration"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column"), NAMED)
def test_what_names_an_owner_or_a_thing_is_exact(db: Database, engine, table, column):
    connection = db.connection()
    name = f"`{column}`" if engine == "mysql" else column
    connection.statement(f"create table probe as select {name} as k from {table} where 1 = 0")
    for value in ALIKE:
        connection.insert("insert into probe values (?)", [value])

    for value in ALIKE:
        assert connection.table("probe").where("k", value).pluck("k") == [value]
    assert len(connection.table("probe").distinct().pluck("k")) == len(ALIKE)


@pytest.mark.parametrize("table", ["cache", "cache_locks", "rate_limits"])
def test_keys_of_the_cache_are_exact(db: Database, table):
    more: dict[str, Any] = {
        "cache": {"value": "1"}, "cache_locks": {"owner": "x"}, "rate_limits": {}
    }[table]  # fmt: skip
    for value in ALIKE:
        db.table(table).insert({"key": value, "expiration": 1, **more})

    for value in ALIKE:
        assert db.table(table).where("key", value).count() == 1


@pytest.mark.parametrize("engine", ["mysql"])
def test_tables_of_an_older_version_are_named_and_mended_in_one_go(empty_db: Database):
    connection = empty_db.connection()
    schema.install(connection)
    for table, column in NAMED:
        definition = schema.framework_tables("mysql")[table].columns[column]
        kind, _, rest = definition.partition(" ")
        connection.unprepared(
            f"alter table {table} modify `{column}` {kind} character set utf8mb4"
            f" collate utf8mb4_unicode_ci {rest}"
        )
    connection.unprepared("alter table sessions default collate utf8mb4_unicode_ci")
    connection.unprepared("alter table sessions drop column remember_series")

    named = {(fault.table, fault.name) for fault in schema.check(connection)}
    done = schema.install(connection)

    assert named >= set(NAMED)
    assert "collation notifications.dedupe_key" in done
    assert "column sessions.remember_series" in done
    assert schema.check(connection) == []
    assert [row for row in key_columns(connection) if row[2] not in EXACT] == []
