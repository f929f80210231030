"""The framework's two files of SQL, and what installs, prints, checks and backs up."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from so.db import schema
from so.db.connection import Connection
from so.db.framework import framework_sql
from so.db.manager import Database
from so.errors import SchemaError

ORIGINAL = {
    "activity_log": "id log_name description subject_type subject_id causer_type causer_id"
    " properties event batch_uuid created_at updated_at",
    "jobs": "id queue payload attempts reserved_at available_at created_at",
    "failed_jobs": "id uuid connection queue payload exception failed_at",
    "job_batches": "id name total_jobs pending_jobs failed_jobs failed_job_ids options"
    " cancelled_at created_at finished_at",
    "notifications": "id type notifiable_type notifiable_id data read_at created_at updated_at",
    "cache": "key value expiration",
    "cache_locks": "key owner expiration",
    "sessions": "id user_id ip_address user_agent payload last_activity",
    "personal_access_tokens": "id tokenable_type tokenable_id name token abilities last_used_at"
    " expires_at created_at updated_at",
}


# --- the files


def test_both_files_have_the_same_tables_in_the_same_order():
    assert list(schema.framework_tables("sqlite")) == list(schema.framework_tables("mysql"))


@pytest.mark.parametrize("table", schema.framework_tables("sqlite"))
def test_both_files_have_the_same_columns_and_comments(table):
    sqlite = schema.framework_tables("sqlite")[table]
    mysql = schema.framework_tables("mysql")[table]

    assert list(sqlite.columns) == list(mysql.columns)
    assert sqlite.comments == mysql.comments


@pytest.mark.parametrize("table", schema.framework_tables("sqlite"))
def test_both_files_have_the_same_indexes(table):
    sqlite = schema.framework_tables("sqlite")[table]
    mysql = schema.framework_tables("mysql")[table]

    # An InnoDB index of what ended costs a write of the cache next to nothing.
    assert {*sqlite.indexes, *(["cache_expiration"] if table == "cache" else [])} == {
        *mysql.indexes
    }


@pytest.mark.parametrize(("table", "columns"), ORIGINAL.items())
def test_the_original_columns_come_first(table, columns):
    names = columns.split()

    for dialect in ("sqlite", "mysql"):
        assert list(schema.framework_tables(dialect)[table].columns)[: len(names)] == names


@pytest.mark.parametrize("table", [*ORIGINAL, "migrations"])
def test_added_columns_have_defaults(table):
    known = len(ORIGINAL.get(table, "id migration batch").split())

    for dialect in ("sqlite", "mysql"):
        added = list(schema.framework_tables(dialect)[table].columns.items())[known:]
        for name, definition in added:
            assert " default " in f" {definition} " or "as (" in definition, name


def test_every_text_column_on_mysql_has_a_collation_of_ours():
    for server, exact in (("mariadb", "utf8mb4_nopad_bin"), ("mysql", "utf8mb4_0900_bin")):
        for table in schema.framework_tables("mysql", server).values():
            assert set(table.collations.values()) <= {exact, "utf8mb4_unicode_ci"}, table.name


def test_an_unknown_dialect_is_refused():
    with pytest.raises(SchemaError, match="oracle"):
        framework_sql("oracle")


# --- installing


def test_install_creates_every_table_and_a_second_time_nothing(empty_db: Database):
    connection = empty_db.connection()

    first = schema.install(connection)
    second = schema.install(connection)

    assert {f"table {name}" for name in ORIGINAL} <= set(first)
    assert second == []
    assert schema.check(connection) == []


def test_install_gives_a_table_of_the_original_what_it_lacks(empty_db: Database):
    connection = empty_db.connection()
    expected = schema.framework_tables(connection.dialect.name)["failed_jobs"]
    original = ORIGINAL["failed_jobs"].split()
    body = ", ".join(f"{c} {expected.columns[c]}" for c in original)
    key = ", primary key (id)" if connection.dialect.name == "mysql" else ""
    connection.unprepared(f"create table failed_jobs ({body}{key})")
    connection.insert(
        "insert into failed_jobs (uuid, connection, queue, payload, exception)"
        " values ('u', 'c', 'q', '{}', 'e')"
    )

    schema.install(connection)

    assert schema.check(connection) == []
    assert connection.scalar("select uuid from failed_jobs") == "u"


def test_install_drops_an_index_that_refuses_what_is_right_today(db: Database):
    connection = db.connection()
    connection.unprepared(
        "create unique index notifications_dedupe_unique on notifications"
        " (notifiable_type, notifiable_id, dedupe_key)"
    )
    (fault,) = schema.check(connection)
    assert "older version" in str(fault)

    done = schema.install(connection)

    assert done == ["dropped index notifications.notifications_dedupe_unique"]
    assert schema.check(connection) == []
    assert schema.install(connection) == []


def test_install_drops_the_index_that_made_each_write_of_the_cache_dear():
    connection = Connection(":memory:")
    schema.install(connection)
    connection.unprepared("create index cache_expiration on cache (expiration)")

    assert schema.install(connection) == ["dropped index cache.cache_expiration"]
    assert schema.check(connection) == []


def test_rows_with_only_the_originals_columns_are_valid(db: Database):
    rows = {
        "activity_log": {"description": "d"},
        "jobs": {"queue": "q", "payload": "{}", "attempts": 0, "available_at": 1, "created_at": 1},
        "failed_jobs": {
            "uuid": "u",
            "connection": "c",
            "queue": "q",
            "payload": "{}",
            "exception": "e",
        },
        "job_batches": {
            "id": "b",
            "name": "n",
            "total_jobs": 1,
            "pending_jobs": 1,
            "failed_jobs": 0,
            "failed_job_ids": "[]",
            "created_at": 1,
        },
        "notifications": {
            "id": "0" * 36,
            "type": "t",
            "notifiable_type": "User",
            "notifiable_id": "1",
            "data": "{}",
        },
        "cache": {"key": "k", "value": "1", "expiration": 1},
        "cache_locks": {"key": "k", "owner": "o", "expiration": 1},
        "sessions": {"id": "s", "payload": "p", "last_activity": 1},
        "personal_access_tokens": {
            "tokenable_type": "User",
            "tokenable_id": "1",
            "name": "n",
            "token": "0" * 64,
            "abilities": "[]",
        },
    }
    assert set(rows) == set(ORIGINAL)
    quote = "`"
    for table, row in rows.items():
        names = ", ".join(quote + name + quote for name in row)
        marks = ", ".join("?" for _ in row)

        db.insert(f"insert into {table} ({names}) values ({marks})", list(row.values()))

        assert db.scalar(f"select count(*) from {table}") == 1


def test_two_servers_may_install_at_once(empty_db_config: dict[str, object]):
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Connection(empty_db_config) as connection:
                schema.install(connection)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with Connection(empty_db_config) as connection:
        assert schema.check(connection) == []


def test_the_files_can_be_sourced_by_hand_any_number_of_times(tmp_path: Path):
    path = tmp_path / "by-hand.db"

    for _ in range(2):
        with sqlite3.connect(path) as handle:
            handle.executescript(framework_sql("sqlite"))
        handle.close()

    with Connection(str(path)) as connection:
        assert schema.check(connection) == []


def test_the_mysql_client_can_source_its_file(mariadb, tmp_path: Path):
    with Connection(mariadb.config()) as server:
        server.statement("create database so_by_hand")
    try:
        for _ in range(2):
            done = subprocess.run(
                [
                    "mariadb",
                    "--no-defaults",
                    "-h127.0.0.1",
                    f"-P{mariadb.port}",
                    "-uroot",
                    "so_by_hand",
                ],
                input=framework_sql("mysql").encode(),
                capture_output=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
        with Connection(mariadb.config("so_by_hand")) as connection:
            assert schema.check(connection) == []
    finally:
        with Connection(mariadb.config()) as server:
            server.statement("drop database so_by_hand")


# --- checking


def test_check_names_what_is_missing(empty_db: Database):
    connection = empty_db.connection()
    schema.install(connection)
    connection.unprepared("drop table sessions")
    connection.unprepared("alter table migrations drop column applied_at")
    if connection.dialect.name == "mysql":
        connection.unprepared("drop index failed_jobs_uuid_unique on failed_jobs")
    else:
        connection.unprepared("drop index failed_jobs_uuid_unique")

    texts = [str(fault) for fault in schema.check(connection)]

    assert "table sessions is missing" in texts
    assert "column migrations.applied_at is missing" in texts
    assert "index failed_jobs_uuid_unique on failed_jobs is missing" in texts


EXACT = {"mariadb": "utf8mb4_nopad_bin", "mysql": "utf8mb4_0900_bin"}


def test_check_names_a_wrong_collation(mariadb):
    with Connection(mariadb.config()) as server:
        server.statement("create database so_collation")
    try:
        with Connection(mariadb.config("so_collation")) as connection:
            schema.install(connection)
            connection.unprepared(
                "alter table migrations modify migration varchar(255)"
                " character set utf8mb4 collate utf8mb4_general_ci not null"
            )

            (fault,) = schema.check(connection)

            assert fault.kind == "collation"
            exact = EXACT[schema.server_of(connection)]
            assert f"utf8mb4_general_ci, it needs {exact}" in str(fault)
            assert fault.mend == (
                "alter table migrations modify `migration` varchar(255)"
                f" character set utf8mb4 collate {exact} not null"
            )
            assert schema.install(connection) == ["collation migrations.migration"]
            assert schema.check(connection) == []
    finally:
        with Connection(mariadb.config()) as server:
            server.statement("drop database so_collation")


# --- backing up


def test_a_backup_is_complete_while_a_writer_goes_on(tmp_path: Path):
    path, copy = tmp_path / "live.db", tmp_path / "copies" / "copy.db"
    with Connection(str(path)) as connection:
        connection.statement("create table entries (id integer primary key, a int, b int)")
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "writing\n"

            size = schema.backup(connection, copy)
        finally:
            writer.kill()
            writer.wait()
            writer.stdout.close()

    assert size == copy.stat().st_size > 0
    assert copy.stat().st_mode & 0o777 == 0o600
    with Connection({"database": str(copy), "journal_mode": "delete"}) as restored:
        assert restored.scalar("select count(*) from entries") > 0
        assert restored.scalar("select count(*) from entries where a <> b") == 0


_WRITER = """
import sqlite3, sys
handle = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
n = 0
while True:
    handle.execute("begin immediate")
    for _ in range(20):
        handle.execute("insert into entries (a, b) values (?, ?)", (n, n))
        n += 1
    handle.execute("commit")
    if n == 200:
        print("writing", flush=True)
"""


def test_a_backup_overwrites_nothing(tmp_path: Path):
    target = tmp_path / "there.db"
    target.write_text("precious")

    with (
        Connection(str(tmp_path / "a.db")) as connection,
        pytest.raises(SchemaError, match="exists"),
    ):
        schema.backup(connection, target)

    assert target.read_text() == "precious"


def test_a_backup_of_a_server_names_its_tool(mariadb, tmp_path: Path):
    connection = Connection(mariadb.config("shop"))

    with pytest.raises(SchemaError, match="mariadb-dump --single-transaction"):
        schema.backup(connection, tmp_path / "x.sql")
