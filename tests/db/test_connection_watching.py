"""Listeners, the query log, slow queries, pretending, and what is masked."""

from __future__ import annotations

import pytest

from so.db import errortext
from so.db.connection import Connection
from so.db.manager import Database
from so.errors import QueryError, UniqueConstraintError
from so.support.scope import Scope, entered
from tests.db.tables import create


@pytest.fixture
def conn(db: Database) -> Connection:
    connection = db.connection()
    create(connection, "users", "id {id}, name varchar(50), password varchar(50) unique")
    return connection


def test_a_listener_hears_of_every_statement(db, conn):
    heard = []
    db.listen(heard.append)

    conn.insert("insert into users (name) values (?)", ["Ada"])
    db.select("select * from users")
    list(db.cursor("select id from users"))

    assert [(e.sql, e.bindings) for e in heard] == [
        ("insert into users (name) values (?)", ["Ada"]),
        ("select * from users", ()),
        ("select id from users", ()),
    ]
    assert {(e.connection, e.read_write) for e in heard} == {("default", "write")}
    assert all(e.time_ms >= 0 for e in heard)


def test_transactions_own_statements_are_nobodys_business(db, conn):
    heard = []
    db.listen(heard.append)

    with db.transaction(), db.transaction():
        conn.select("select 1")

    assert len(heard) == 1


def test_a_listener_can_be_taken_back(db, conn):
    heard = []
    db.listen(heard.append)
    db.before_executing(heard.append)
    db.forget_listener(heard.append)

    conn.select("select 1")

    assert heard == []


def test_before_executing_comes_before(db, conn):
    seen = []
    db.before_executing(lambda sql, bindings, c: seen.append((sql, bindings, c.name)))
    conn.before_executing(lambda *_: seen.append("second"))

    with pytest.raises(QueryError):
        conn.select("select nosuch from users where id = ?", [1])

    assert seen == [("select nosuch from users where id = ?", [1], "default"), "second"]


def test_the_query_log(conn):
    conn.select("select 1")
    conn.enable_query_log()
    conn.enable_query_log()
    conn.select("select * from users where id = ? and name = ?", [1, "it's"])
    with conn.without_query_log():
        conn.select("select 2")
    assert conn.without_query_log(lambda: conn.scalar("select 4")) == 4
    assert conn.without_query_log(lambda c: c) is conn

    (entry,) = conn.get_query_log()
    assert entry["query"] == "select * from users where id = ? and name = ?"
    assert entry["bindings"] == [1, "it's"]
    assert entry["time"] >= 0
    (raw,) = conn.get_raw_query_log()
    assert raw["raw_query"] == "select * from users where id = 1 and name = 'it''s'"

    conn.flush_query_log()
    assert conn.get_query_log() == []
    conn.disable_query_log()
    conn.flush_query_log()
    conn.select("select 3")
    assert conn.get_query_log() == []


def test_the_log_of_the_database_is_that_of_the_default_connection(db, conn):
    db.enable_query_log()
    db.select("select 1")
    with db.without_query_log():
        db.select("select 2")

    assert [e["query"] for e in db.get_query_log()] == ["select 1"]
    assert db.get_raw_query_log()[0]["raw_query"] == "select 1"
    db.flush_query_log()
    db.disable_query_log()
    assert db.get_query_log() == []


def test_slow_queries_are_reported_once_a_scope(db, conn):
    calls = []
    db.when_querying_for_longer_than(0, lambda c, event: calls.append((c.name, event.sql)))
    conn.when_querying_for_longer_than(60_000, lambda *_: calls.append("never"))

    for _ in range(2):
        with entered(Scope("job")):
            conn.begin_transaction()
            conn.select("select 1")
            conn.select("select 2")
            conn.commit()

    assert calls == [("default", "select 1")] * 2


def test_pretending_runs_nothing(db, conn):
    def work(connection: Connection) -> None:
        connection.insert("insert into users (name) values (?)", ["Ada"])
        connection.insert_get_id("insert into users (name) values ('Ben')")
        assert connection.select("select * from users") == []
        assert connection.select_tuples("select * from users") == []
        assert connection.scalar("select count(*) from users") is None
        assert connection.run("delete from users").rowcount == 0
        assert connection.update("update users set name = 'x'") == 0
        assert list(connection.cursor("select * from users")) == []
        with connection.transaction():
            connection.unprepared("delete from users")

    log = db.pretend(work)

    assert [entry["query"] for entry in log][0] == "insert into users (name) values (?)"
    assert len(log) == 9
    assert conn.scalar("select count(*) from users") == 0
    assert db.pretend(lambda: db.select("select 1"))[0]["query"] == "select 1"


# --- masking


def test_secrets_are_masked_in_errors(conn):
    conn.insert("insert into users (name, password) values (?, ?)", ["Ada", "hunter22"])

    with pytest.raises(UniqueConstraintError) as caught:
        conn.insert("insert into users (name, password) values (?, ?)", ["Ben", "hunter22"])

    assert "hunter22" not in str(caught.value)
    assert "'Ben', '***'" in str(caught.value)
    assert caught.value.bindings == ["Ben", "hunter22"]


def test_secrets_are_masked_in_the_log_and_for_listeners(db, conn):
    heard = []
    db.listen(heard.append)
    conn.enable_query_log()

    conn.select("select * from users where name = :name and password = :p", {"name": "A", "p": "s"})

    assert heard[0].bindings == {"name": "A", "p": "***"}
    assert conn.get_query_log()[0]["bindings"] == {"name": "A", "p": "***"}


def test_the_password_of_the_connection_is_never_shown():
    conn = Connection("mysql://ann:hunter22@127.0.0.1:1/shop")

    with pytest.raises(QueryError) as caught:
        conn.select("select 1")

    assert "hunter22" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "bindings", "masked"),
    [
        ("insert into t (a, token) values (?, ?), (?, ?)", [1, 2, 3, 4], {1: 2, 3: 4}),
        ("INSERT OR IGNORE INTO `t` (`token`) VALUES (?)", [1], {0: 1}),
        ("replace into t (a, b) values (?, ?)", [1, 2], {}),
        ("update t set token = ?, a = ? where id = ?", [1, 2, 3], {0: 1}),
        ('select * from t where "t"."token" = ?', [1], {0: 1}),
        ("select * from t where token in (?, ?) and a in (?, ?)", [1, 2, 3, 4], {0: 1, 1: 2}),
        ("select * from t where token like ?", [1], {0: 1}),
        ("select * from t where token is not ?", [1], {0: 1}),
        ("select * from t where token between ? and ?", [1, 2], {0: 1, 1: 2}),
        ("select * from t where tokens = ? and x = 'token = ?'", [1], {}),
        ("select ?", [1], {}),
        ("insert into t (token) select ?", [1], {}),
        ("select * from t where a = :token", {"token": 1}, {"token": 1}),
        (
            "insert into t (a, token) values (?, ?) on duplicate key update token = ?, a = ?",
            [1, 2, 3, 4],
            {1: 2, 2: 3},
        ),
    ],
)
def test_which_bindings_are_secret(sql, bindings, masked):
    assert errortext.secret_positions(sql, bindings, {"token"}) == masked


def test_the_text_of_a_statement_for_people():
    sql = "select ?, ?, ?, ?, ?, ?, '?', ?"
    values = [None, True, 1, 1.5, b"abc", "it's"]

    assert errortext.bound(sql, values) == "select null, 1, 1, 1.5, <3 bytes>, 'it''s', '?', ?"
    assert errortext.bound("a = :a or b = :b", {"a": "x"}) == "a = 'x' or b = :b"
    assert errortext.bound("select ?", ["y" * 500]) == "select '" + "y" * 200 + "…'"
    assert len(errortext.bound("select " + "x" * 20_000, [])) < 10_010
