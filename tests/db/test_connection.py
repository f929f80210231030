"""Statements of a Connection, the same on both engines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.schema import server_of
from so.errors import (
    ForeignKeyError,
    MultipleColumnsSelectedError,
    NotNullError,
    QueryError,
    UniqueConstraintError,
)
from so.support.clock import Clock
from tests.db.tables import create


@pytest.fixture
def conn(db: Database) -> Connection:
    connection = db.connection()
    create(connection, "people", "id {id}, name varchar(50) not null, age integer")
    connection.insert("insert into people (name, age) values ('Ada', 36), ('Ben', null)")
    return connection


# --- reading


def test_select_gives_rows_in_a_collection(conn):
    rows = conn.select("select * from people order by id")

    assert rows == [{"id": 1, "name": "Ada", "age": 36}, {"id": 2, "name": "Ben", "age": None}]
    assert list(rows[0]) == ["id", "name", "age"]
    assert rows.pluck("name") == ["Ada", "Ben"]
    assert rows[0].name == "Ada"


def test_select_one_gives_a_row_or_none(conn):
    assert conn.select_one("select name from people order by id").name == "Ada"
    assert conn.select_one("select name from people where id = 99") is None


def test_scalar_gives_one_value_or_none(conn):
    assert conn.scalar("select count(*) from people") == 2
    assert conn.scalar("select age from people where id = 99") is None
    with pytest.raises(MultipleColumnsSelectedError, match="this one has id, name"):
        conn.scalar("select id, name from people")


def test_select_tuples_and_fetch(conn):
    assert conn.select_tuples("select id, name from people order by id") == [(1, "Ada"), (2, "Ben")]
    names, rows = conn.fetch("select id, name from people where id = ?", [2])
    assert (names, rows) == (("id", "name"), [(2, "Ben")])


def test_of_two_columns_with_the_same_name_the_last_wins(conn):
    row = conn.select_one("select p.id, q.id from people p, people q where p.id = 1 and q.id = 2")

    assert row == {"id": 2}


def test_placeholders_by_position_and_by_name(conn):
    assert conn.scalar("select name from people where id = ? and age = ?", [1, 36]) == "Ada"
    assert conn.scalar("select name from people where id = ? and age = ?", (1, 36)) == "Ada"
    named = "select name from people where id = :id and (age = :age or :age = 0)"
    assert conn.scalar(named, {"id": 2, "age": 0}) == "Ben"


def test_a_mark_in_a_string_is_no_placeholder(conn):
    sql = "select '? :name', ?, '' /* ? */" if _is_sqlite(conn) else "select '? :name', ?, '' # ?"

    assert conn.select_tuples(sql, ["x"]) == [("? :name", "x", "")]


def test_percent_signs_reach_the_database_as_they_are(conn):
    conn.insert("insert into people (name) values (?)", ["100%s %% %(x)s"])

    assert conn.scalar("select name from people where name like '100%' ") == "100%s %% %(x)s"
    assert conn.select_tuples("select '%s', '%%', '%(p0)s', ? ", ["%s"]) == [
        ("%s", "%%", "%(p0)s", "%s")
    ]


@pytest.mark.parametrize("bindings", [[], [1, 2], {"b": 1}])
def test_a_wrong_number_of_values_is_a_query_error(conn, bindings):
    sql = "select * from people where id = ?"
    with pytest.raises(QueryError):
        conn.select(sql if isinstance(bindings, list) else sql.replace("?", ":a"), bindings)


# --- writing


def test_writing(conn):
    assert conn.insert("insert into people (name) values (?)", ["Cyd"]) is True
    assert conn.insert_get_id("insert into people (name) values (?)", ["Dan"]) == 4
    assert conn.statement("update people set age = 1") is True
    assert conn.delete("delete from people where id > ?", [2]) == 2
    assert conn.unprepared("delete from people where name = 'Ada?'") is True


def test_an_update_counts_matched_rows_changed_or_not(conn):
    assert conn.update("update people set age = 36 where id = 1") == 1
    assert conn.affecting_statement("update people set age = 36 where id = 99") == 0


def test_run_tells_everything(conn):
    inserted = conn.run("insert into people (name) values (?)", ["Cyd"])
    assert (inserted.rowcount, inserted.last_id, inserted.rows) == (1, 3, [])

    read = conn.run("select id, name from people where id = 1")
    assert (read.rows, read.columns) == ([(1, "Ada")], ("id", "name"))

    assert conn.run("update people set age = 1").rowcount == 3


def test_returning_as_far_as_the_engine_has_it(conn):
    if server_of(conn) == "mysql":
        with pytest.raises(QueryError):
            conn.affecting_statement("delete from people where id = 1 returning id")
        return
    assert conn.insert_get_id("insert into people (name) values ('x') returning id") == 3
    assert conn.affecting_statement("delete from people where id = 1 returning id") == 1
    if _is_sqlite(conn):
        outcome = conn.run("update people set age = 1 where id < ? returning id", [3])
        assert (outcome.rowcount, outcome.rows) == (1, [(2,)])
    assert conn.run("delete from people returning name").rows == [("Ben",), ("x",)]


def test_two_statements_in_one_text_are_refused(conn):
    with pytest.raises(QueryError):
        conn.select("select 1; select 2")

    assert conn.scalar("select count(*) from people") == 2


# --- streaming


def test_a_cursor_streams_and_the_loop_may_use_the_connection(conn):
    conn.insert("insert into people (name) select name from people")
    seen = []

    for row in conn.cursor("select id, name from people order by id"):
        seen.append((row.id, conn.scalar("select count(*) from people where id <= ?", [row.id])))
        conn.update("update people set age = ? where id = ?", [row.id, row.id])

    assert seen == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert conn.scalar("select count(*) from people where age = id") == 4


def test_a_cursor_may_be_left_early(conn):
    for _ in conn.cursor("select * from people"):
        break

    assert conn.scalar("select count(*) from people") == 2


def test_a_cursor_in_a_transaction_sees_its_changes(conn):
    with conn.transaction():
        conn.update("update people set age = 5")
        ages = []
        for row in conn.cursor("select age from people"):
            ages.append(row.age)
            conn.update("update people set age = 5 where id = 1")

    assert ages == [5, 5]


def test_cursors_may_be_nested(conn):
    pairs = [
        (a.id, b.id)
        for a in conn.cursor("select id from people")
        for b in conn.cursor("select id from people where id <> ?", [a.id])
    ]

    assert sorted(pairs) == [(1, 2), (2, 1)]


def test_a_mistake_in_a_cursors_query_is_a_query_error(conn):
    with pytest.raises(QueryError, match="nosuch"):
        list(conn.cursor("select nosuch from people"))


def test_a_stream_hands_over_columns_and_tuples(conn):
    names, rows = conn.stream("select id, name from people order by id", size=1)

    assert (names, list(rows)) == (("id", "name"), [(1, "Ada"), (2, "Ben")])


def test_the_first_of_many_rows_and_then_another_query(conn):
    conn.insert("insert into people (name) values " + ", ".join(["('x')"] * 500))

    for _ in range(3):
        assert conn.select_one("select * from people order by id").id == 1
        for _row in conn.cursor("select * from people"):
            assert conn.select_one("select * from people order by id").id == 1
            break


# --- errors


def test_a_misspelt_column_is_an_error_on_both(conn):
    quote = '"' if _is_sqlite(conn) else "`"
    for sql in ("select {0}emial{0} from people", "select * from people where {0}emial{0} = ?"):
        with pytest.raises(QueryError, match="emial"):
            conn.select(sql.format(quote), ["emial"] if "?" in sql else [])


def test_error_classes_are_the_same_on_both(conn):
    create(conn, "teams", "id integer primary key, code varchar(20) not null unique")
    create(
        conn,
        "members",
        "id integer primary key, team_id integer not null,"
        " foreign key (team_id) references teams (id)",
    )
    conn.insert("insert into teams values (1, 'a')")
    conn.insert("insert into members values (1, 1)")

    for sql, kind in {
        "insert into teams values (1, 'b')": UniqueConstraintError,
        "insert into teams values (2, 'a')": UniqueConstraintError,
        "insert into members values (2, 9)": ForeignKeyError,
        "delete from teams": ForeignKeyError,
        "insert into teams values (2, null)": NotNullError,
        "insert into teams (id) values (2)": NotNullError,
        "update teams set code = null": NotNullError,
        "insert into nosuch values (1)": QueryError,
        "selekt": QueryError,
    }.items():
        with pytest.raises(QueryError) as caught:
            conn.statement(sql)
        assert type(caught.value) is kind, sql
    conn.statement("drop table members")


def test_a_unique_error_names_its_columns_or_index(conn):
    create(conn, "teams", "id integer primary key, org integer, code varchar(20)")
    conn.statement("create unique index teams_org_code on teams (org, code)")
    conn.insert("insert into teams values (1, 1, 'a')")

    with pytest.raises(UniqueConstraintError) as caught:
        conn.insert("insert into teams values (2, 1, 'a')")

    assert caught.value.columns == ["org", "code"]
    if not _is_sqlite(conn):
        assert caught.value.index == "teams_org_code"
    with pytest.raises(UniqueConstraintError) as caught, conn.transaction():
        conn.insert("insert into teams values (1, 2, 'b')")
    assert caught.value.columns == ["id"]


def test_an_error_carries_statement_bindings_connection_and_cause(conn):
    with pytest.raises(QueryError) as caught:
        conn.select("select * from nosuch where a = ? and b = ?", [7, "it's"])

    error = caught.value
    assert error.sql == "select * from nosuch where a = ? and b = ?"
    assert error.bindings == [7, "it's"]
    assert error.connection == "default"
    assert error.cause is error.__cause__ is not None
    assert str(error).endswith(
        "(Connection: default, SQL: select * from nosuch where a = 7 and b = 'it''s')"
    )
    assert "nosuch" in str(error)


def test_a_value_no_column_can_hold_is_refused_before_anything_runs(conn):
    for value in (object(), {1, 2}, lambda: 1):
        with pytest.raises(TypeError, match="cannot bind"):
            conn.insert("insert into people (name) values (?)", [value])
    for value in (float("nan"), float("inf"), Decimal("NaN")):
        with pytest.raises(ValueError, match="finite"):
            conn.insert("insert into people (age, name) values (?, 'x')", [value])

    assert conn.scalar("select count(*) from people") == 2


def test_text_that_is_no_unicode_is_a_query_error(conn):
    with pytest.raises(QueryError):
        conn.insert("insert into people (name) values (?)", ["\ud800"])


# --- the rest


def test_a_connection_is_a_source_of_itself(conn):
    assert conn.connection() is conn


def test_a_separate_connection_sees_committed_data_only(conn):
    other = conn.separate()
    with conn.transaction():
        conn.update("update people set age = 99 where id = 1")
        seen = other.scalar("select age from people where id = 1")
    after = other.scalar("select age from people where id = 1")
    other.close()

    assert (seen, after) == (36, 99)
    assert not other.in_transaction


def test_memory_databases_are_private_but_may_be_shared_by_separate():
    with Connection(":memory:") as one, Connection(":memory:") as two:
        one.statement("create table t (a int)")
        other = one.separate()
        other.insert("insert into t values (1)")
        other.close()

        assert one.scalar("select count(*) from t") == 1
        with pytest.raises(QueryError, match="no such table"):
            two.select("select * from t")


def test_the_time_of_the_database(db, clock):
    connection = db.connection()

    assert connection.database_time() == clock.time()
    clock.unfreeze()
    assert abs(connection.database_time() - Clock().time()) < 60


def test_closing_and_going_on(conn):
    conn.close()

    assert conn.scalar("select count(*) from people") == 2
    conn.reconnect()
    assert conn.ping()
    conn.disconnect()
    assert repr(conn) == f"<Connection 'default' to {conn.dialect.name}>"


def test_closing_rolls_back(conn):
    conn.begin_transaction()
    conn.delete("delete from people")

    conn.close()

    assert conn.transaction_level() == 0
    assert conn.scalar("select count(*) from people") == 2


def test_a_connection_in_a_script_is_two_lines(tmp_path):
    with Connection(str(tmp_path / "a.db")) as connection:
        connection.statement("create table t (a int)")
        connection.insert("insert into t values (?)", [1])
        assert connection.select("select * from t").sum("a") == 1


def test_ping_says_no_when_nobody_answers():
    assert Connection({"driver": "mysql", "host": "127.0.0.1", "port": 1}).ping() is False


def test_a_table_query_is_on_this_connection(conn):
    assert conn.table("people").where("id", 1).value("name") == "Ada"
    assert conn.grammar is conn.grammar
    assert conn.query().from_("people").count() == 2


def test_regexp_is_the_same_on_both(conn):
    assert conn.select_tuples("select name from people where name regexp '^a'") == [("Ada",)]
    assert conn.scalar("select null regexp 'x'") is None


@pytest.fixture
def sqlite(tmp_path) -> Iterator[Connection]:
    with Connection(str(tmp_path / "own.db")) as connection:
        yield connection


def test_pragmas_are_set_on_every_new_handle(tmp_path):
    config = {
        "database": str(tmp_path / "a.db"),
        "busy_timeout": 1234,
        "synchronous": "full",
        "pragmas": {"cache_size": -1000},
    }
    with Connection(config) as connection:
        for _ in range(2):
            found = {
                name: connection.scalar(f"pragma {name}")
                for name in (
                    "journal_mode",
                    "busy_timeout",
                    "synchronous",
                    "foreign_keys",
                    "cache_size",
                )
            }
            assert found == {
                "journal_mode": "wal",
                "busy_timeout": 1234,
                "synchronous": 2,
                "foreign_keys": 1,
                "cache_size": -1000,
            }
            connection.reconnect()


def test_attack_other_users_of_the_machine_cannot_read_a_new_database(tmp_path):
    before = os.umask(0o022)
    try:
        with Connection(str(tmp_path / "x.sqlite")) as connection:
            connection.statement("create table t (id integer)")
            modes = {file.stat().st_mode & 0o007 for file in tmp_path.iterdir()}
    finally:
        os.umask(before)

    assert modes == {0}


def test_decimal_sum_is_exact(sqlite):
    sqlite.statement("create table t (a text)")
    for _ in range(10):
        sqlite.insert("insert into t values (?)", [Decimal("0.10")])
    sqlite.insert("insert into t values (?)", [Decimal("12345678901234567890.01")])
    sqlite.insert("insert into t values (null)")

    assert sqlite.scalar("select decimal_sum(a) from t") == "12345678901234567891.01"
    assert sqlite.scalar("select decimal_sum(a) from t where a is null") is None
    assert sqlite.scalar("select decimal_sum(x) from (select 0.1 as x union all select 2)") == "2.1"
    with pytest.raises(QueryError):
        sqlite.scalar("select decimal_sum('abc')")


def test_many_different_statements_do_not_pile_up(sqlite):
    for n in range(2_500):
        assert sqlite.scalar(f'select "x" from (select {n} as x)') == n
    assert sqlite.scalar("select '" + "x" * 30_000 + "'") == "x" * 30_000


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def test_a_separate_connection_may_have_other_settings(conn):
    key = "busy_timeout" if _is_sqlite(conn) else "read_timeout"

    with conn.separate(**{key: 77}) as other:
        assert other.config[key] == 77
        assert other.scalar("select count(*) from people") == 2
    assert conn.config[key] != 77
