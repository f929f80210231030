"""What a request does to its session in plain SQL is gone for the next one; transactions likewise.

A scope is what a request, a job or a command runs in; each test is two of them on one thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from so.db.connection import Connection
from so.db.dialects.mysql import HAVE_C_EXTENSION
from so.db.manager import Database
from so.errors import (
    ImplicitCommitError,
    LostConnectionError,
    QueryError,
    TransactionError,
    UniqueConstraintError,
)
from so.support.scope import Scope, entered
from tests.db.tables import create


@pytest.fixture
def items(empty_db: Database) -> Database:
    create(empty_db.connection(), "items", "id integer primary key, n int")
    return empty_db


def in_scope(kind: str = "request"):
    return entered(Scope(kind))


def ids(db: Database) -> list[int]:
    """What another connection sees."""
    with Connection(db.connection().config) as other:
        return [row[0] for row in other.select_tuples("select id from items order by id")]


BEGINNINGS = {
    "sqlite": [
        *("begin", "BEGIN IMMEDIATE", "/* why */ begin", "-- why\nbegin;", "savepoint mine"),
        *("\ufeffbegin", ";begin"),
    ],
    "mysql": [
        "xa start 'x'",  # which `rollback` does not end
        *("begin", "START TRANSACTION", "/* why */ begin", "-- why\nbegin", "# why\nbegin"),
        *("set autocommit = 0", "/*!40000 begin */"),
    ],
}
WAYS = ("statement", "unprepared", "update", "select", "run", "insert", "cursor")


def on_each(texts):
    """Pairs of an engine and one of its texts; those under "both" are everybody's."""
    return [
        pytest.param(engine, text, id=f"{engine}-{text}")
        for engine in ("sqlite", "mysql")
        for text in [*texts.get("both", ()), *texts[engine]]
    ]


@pytest.mark.parametrize(("engine", "begin"), on_each(BEGINNINGS))
@pytest.mark.parametrize("kind", ["request", "job", "command"])
def test_a_transaction_left_open_in_plain_sql_ends_with_its_scope(items, engine, begin, kind):
    with in_scope(kind):
        items.statement(begin)
        items.insert("insert into items values (1, 1)")

    for id in (2, 3):
        with in_scope(kind):
            items.insert("insert into items values (?, 1)", [id])

    assert ids(items) == [2, 3]


@pytest.mark.parametrize("way", WAYS)
def test_whatever_method_began_it(items, way):
    items.scalar("select count(*) from items")  # the session is open before the scope
    with in_scope():
        result = getattr(items, way)("begin")
        if way == "cursor":
            list(result)
        items.insert("insert into items values (1, 1)")

    with in_scope():
        items.insert("insert into items values (2, 1)")

    assert ids(items) == ([1, 2] if way == "cursor" else [2])  # a cursor has a session of its own


def test_a_session_that_was_changed_outside_of_scopes_is_watched_as_well(items, engine):
    items.statement("pragma cache_size = 100" if engine == "sqlite" else "set @x = 1")
    with in_scope():
        items.statement("begin")
        items.insert("insert into items values (1, 1)")

    with in_scope():
        items.insert("insert into items values (2, 1)")

    assert ids(items) == [2]


def test_a_plain_transaction_that_was_committed_stays(items):
    with in_scope():
        items.statement("begin")
        items.insert("insert into items values (1, 1)")
        items.statement("commit")

    assert ids(items) == [1]


def test_an_inner_scope_leaves_the_outer_ones_transaction_alone(items):
    with in_scope():
        items.statement("begin")
        items.insert("insert into items values (1, 1)")
        with in_scope("job"):
            items.scalar("select count(*) from items")
        items.statement("commit")

    assert ids(items) == [1]


def test_a_thread_without_a_scope_takes_its_open_transaction_along(items):
    def work() -> None:
        items.statement("begin")
        items.insert("insert into items values (1, 1)")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    items.insert("insert into items values (2, 1)")
    assert ids(items) == [2]


def test_a_memory_database_survives_the_end_of_what_plain_sql_left():
    with Connection(":memory:") as conn:
        conn.statement("create table items (id integer primary key)")
        with in_scope():
            conn.statement("pragma foreign_keys = off")
            conn.statement("begin")
            conn.insert("insert into items values (1)")
        with in_scope():
            assert conn.scalar("pragma foreign_keys") == 1
            assert conn.scalar("select count(*) from items") == 0


def test_a_memory_database_survives_a_commit_that_fails():
    with Connection(":memory:") as conn:
        conn.statement("create table p (id integer primary key)")
        conn.statement("create table c (p_id int references p (id) deferrable initially deferred)")

        with pytest.raises(QueryError), conn.transaction():
            conn.insert("insert into c values (9)")

        assert conn.scalar("select count(*) from c") == 0


# --- inside DB.transaction

ENDING = {
    "both": [
        "begin",
        "Commit",
        "rollback",
        "/* x */ COMMIT",
        "-- x\nrollback",
        "  (begin",
        ";commit",
    ],
    "sqlite": ["begin immediate", "end", "end transaction", "commit transaction", "\ufeffcommit"],
    "mysql": [
        *("start transaction", "begin work", "commit and chain", "rollback work", "# x\ncommit"),
        *("xa start 'x'", "xa end 'x'", "set autocommit = 1", "SET @@session.autocommit=0"),
        *("/*!50000 commit */", "/*M! commit */", "set sql_mode = '', autocommit = 1"),
        *("start slave", "unlock tables", "lock tables items write"),
    ],
}


@pytest.mark.parametrize("way", ["statement", "unprepared", "update", "select", "run"])
@pytest.mark.parametrize(("engine", "text"), on_each(ENDING))
def test_what_begins_or_ends_a_transaction_is_refused_within_one(items, engine, text, way):
    with suppress(ZeroDivisionError), items.transaction():
        items.insert("insert into items values (1, 1)")
        with pytest.raises(ImplicitCommitError, match="nest"):
            getattr(items, way)(text)
        raise ZeroDivisionError

    assert ids(items) == []
    assert items.transaction_level() == 0


@pytest.mark.parametrize("engine", ["mysql"])
@pytest.mark.parametrize(
    ("prepared", "text"),
    [
        ("prepare ends from 'commit'", "execute ends"),
        ("create procedure ends() commit", "call ends"),
    ],
)
def test_what_ends_a_transaction_from_within_is_told_and_nothing_follows_it(
    items, engine, prepared, text
):
    items.unprepared("drop procedure if exists ends")
    with in_scope():
        items.unprepared(prepared)
        items.begin_transaction()
        items.insert("insert into items values (1, 1)")
        with pytest.raises(ImplicitCommitError, match="ended the running transaction"):
            items.unprepared(text)
        with pytest.raises(LostConnectionError, match="over"):
            items.insert("insert into items values (2, 1)")
        items.roll_back()
        items.insert("insert into items values (3, 1)")

    items.unprepared("drop procedure if exists ends")
    assert ids(items) == [1, 3]


@pytest.mark.parametrize("engine", ["mysql"])
@pytest.mark.parametrize("text", ["prepare p from 'commit'", "set password = 'x'", "check table a"])
def test_what_a_text_carries_within_is_refused_before_it_ends_a_transaction(items, text):
    items.begin_transaction()
    items.insert("insert into items values (1, 1)")
    with pytest.raises(ImplicitCommitError, match="nest"):
        items.unprepared(text)
    items.roll_back()

    assert ids(items) == []


@pytest.mark.parametrize("engine", ["mysql"])
def test_what_reads_and_writes_rows_alone_leaves_its_session_in_the_pool(items):
    with in_scope():
        mine = items.scalar("select connection_id()")
        with items.transaction():
            items.insert("insert into items values (1, 1)")
            with items.transaction():
                items.update("update items set n = 2")
        items.select("select * from items for update")
        items.select("show columns from items")
        with pytest.raises(UniqueConstraintError):
            items.insert("insert into items values (2, 1), (2, 1)")
        items.statement("truncate table items")
    with in_scope():
        assert items.scalar("select connection_id()") == mine


@pytest.fixture(params=["C driver", "pure driver"])
def session(items: Database, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection by each form of the driver: some interpreters have no build in C."""
    config = items.connection().config
    with Connection({**config, "use_pure": request.param == "pure driver" or None}) as opened:
        yield opened


def is_pure(session: Connection) -> bool:
    return bool(session.config["use_pure"]) or not HAVE_C_EXTENSION


@pytest.mark.parametrize("engine", ["mysql"])
@pytest.mark.parametrize(
    ("made", "text"),
    [
        ("function marks() returns int no sql begin set @x = 5; return 1; end", "select marks()"),
        ("trigger marks before insert on items for each row set @x = 5",
         "insert into items values (1, 1)"),
    ],
)  # fmt: skip
def test_what_a_function_or_a_trigger_sets_does_not_reach_the_next_scope(
    session, engine, made, text
):
    session.unprepared(f"create {made}")
    session.disconnect()
    with in_scope():
        session.unprepared(text)
        assert session.scalar("select @x") == 5
    with in_scope():
        if session.server.product == "mysql" and is_pure(session):
            pytest.skip("MySQL tells the driver's half in Python nothing of it")
        assert session.scalar("select @x") is None

    session.unprepared(f"drop {made.split()[0]} marks")


@pytest.mark.parametrize("engine", ["mysql"])
@pytest.mark.parametrize("body", ["select 1 as a", "begin select 1 as a; select 2 as b; end"])
def test_a_procedure_that_gives_rows_leaves_its_session_usable(session, engine, body):
    session.unprepared("drop procedure if exists gives")
    session.unprepared(f"create procedure gives() {body}")
    with session.transaction():
        assert session.select("call gives()") == [{"a": 1}]
        assert session.scalar("select 5") == 5
        assert list(session.cursor("call gives()")) == [{"a": 1}]
        assert session.scalar("select 6") == 6

    session.unprepared("drop procedure gives")


@pytest.mark.parametrize("engine", ["mysql"])
@pytest.mark.parametrize("way", ["select", "cursor"])
def test_what_a_procedure_does_behind_its_rows_is_told(session, engine, way):
    for name, rest in (("fails", "signal sqlstate '45000'"), ("ends", "commit")):
        session.unprepared(f"drop procedure if exists {name}")
        session.unprepared(f"create procedure {name}() begin select 1; {rest}; end")
    ask = getattr(session, way)
    with pytest.raises(QueryError):
        list(ask("call fails()"))
    with pytest.raises(ImplicitCommitError), session.transaction():
        list(ask("call ends()"))

    assert session.scalar("select 5") == 5
    for name in ("fails", "ends"):
        session.unprepared(f"drop procedure {name}")


def test_savepoints_in_plain_sql_are_the_callers_own(items):
    with items.transaction():
        items.statement("savepoint mine")
        items.insert("insert into items values (1, 1)")
        items.statement("rollback to savepoint mine")
        items.statement("release savepoint mine")

    assert ids(items) == []


def test_a_transaction_within_one_of_plain_sql_is_refused_and_commits_nothing(items):
    with in_scope():
        items.statement("begin")
        items.insert("insert into items values (1, 1)")
        with pytest.raises(TransactionError, match="begun in plain SQL"), items.transaction():
            pass
        items.statement("rollback")
        with items.transaction():
            items.insert("insert into items values (2, 1)")

    assert ids(items) == [2]


# --- what else a session remembers

MYSQL_TRACES = [
    ("/* tag */ set session sql_mode = ''", "select @@sql_mode"),
    ("-- why\nset sql_mode = ''", "select @@sql_mode"),
    ("/*!40101 set sql_mode = '' */", "select @@sql_mode"),
    ("set names latin1", "select @@character_set_client"),
    ("set time_zone = '+05:00'", "select @@time_zone"),
    ("set autocommit = 0", "select @@autocommit"),
    ("set foreign_key_checks = 0", "select @@foreign_key_checks"),
    ("set @x = 5", "select @x"),
    ("select @x := 5", "select @x"),
    ("select 5 into @x", "select @x"),
    ("select n into @x from items limit 1", "select @x"),
    ("update items set n = (@x := 6)", "select @x"),
    ("select last_insert_id(77)", "select last_insert_id() = 77"),
    ("select /*! @x := 5, */ 1", "select @x"),
    # Whether this session holds it: the server frees it a moment after the session was ended.
    ("select get_lock('mine', 0)", "select is_used_lock('mine') <=> connection_id()"),
    ("use information_schema", "select database()"),
    ("set role none", "select current_role()"),
    ("set unique_checks = 0", "select @@unique_checks"),
]


@pytest.mark.parametrize("engine", ["mysql"])
@pytest.mark.parametrize(("does", "asks"), MYSQL_TRACES)
@pytest.mark.parametrize("way", ["statement", "unprepared", "select"])
def test_nothing_done_to_a_mysql_session_reaches_the_next_request(items, engine, does, asks, way):
    items.insert("insert into items values (1, 1)")
    with in_scope():
        before = items.scalar(asks)
    with in_scope():
        getattr(items, way)(does)

    for _ in range(2):
        with in_scope():
            assert items.scalar(asks) == before


@pytest.mark.parametrize("engine", ["mysql"])
@pytest.mark.parametrize(
    ("does", "then"),
    [
        ("create temporary table secret (a int)", "select * from secret"),
        ("/* x */ create temporary table secret (a int)", "select * from secret"),
        ("prepare p from 'select 1'", "execute p"),
    ],
)
def test_tables_and_statements_of_a_mysql_session_are_gone(items, engine, does, then):
    with in_scope():
        items.unprepared(does)

    with in_scope(), pytest.raises(QueryError):
        items.unprepared(then)


@pytest.mark.parametrize("engine", ["mysql"])
def test_locked_tables_are_free_for_others(items, engine):
    with in_scope():
        items.unprepared("/* x */ lock tables items write")

    with Connection({**items.connection().config, "read_timeout": 3}) as other:
        assert other.affecting_statement("insert into items values (7, 7)") == 1


TEMPORARY = "select count(*) from sqlite_temp_master"
SQLITE_TRACES = [
    ("pragma foreign_keys = off", "pragma foreign_keys"),
    ("/* why */ PRAGMA foreign_keys(0)", "pragma foreign_keys"),
    ("pragma query_only = on", "pragma query_only"),
    ("pragma case_sensitive_like = on", "select 'A' like 'a'"),
    ("pragma ignore_check_constraints = 1", "pragma ignore_check_constraints"),
    ("pragma recursive_triggers = 1", "pragma recursive_triggers"),
    ("pragma synchronous = off", "pragma synchronous"),
    ("pragma cache_size = 7", "pragma cache_size"),
    ("attach ':memory:' as other", "select count(*) from pragma_database_list"),
    ("create temp table secret (a int)", TEMPORARY),
    ("create table temp.secret (a int)", TEMPORARY),
    ('create table if not exists "temp".secret (a int)', TEMPORARY),
    ("create temporary view v as select 1", TEMPORARY),
    ("create/* why */temp table secret (a int)", TEMPORARY),
    ("create table 'temp'.secret (a int)", TEMPORARY),
    ("create virtual table temp.secret using fts5(a)", TEMPORARY),
    ("explain pragma foreign_keys = off", "pragma foreign_keys"),
    ("\ufeffpragma foreign_keys = off", "pragma foreign_keys"),
]


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(("does", "asks"), SQLITE_TRACES)
@pytest.mark.parametrize("way", ["statement", "unprepared", "select", "update"])
def test_nothing_done_to_a_sqlite_handle_reaches_the_next_request(items, engine, does, asks, way):
    before = items.scalar(asks)
    for _ in range(2):
        with in_scope():
            getattr(items, way)(does)

        with in_scope():
            assert items.scalar(asks) == before


@pytest.mark.parametrize("engine", ["sqlite"])
def test_asking_costs_no_session(items, engine):
    with in_scope():
        items.select("pragma table_info(items)")
        items.select("pragma foreign_keys")
        session = items.connection()._session

    assert items.connection()._session is session
