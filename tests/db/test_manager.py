"""`Database`: connections by name, the default one, and everything it passes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from so import db as room
from so.db.connection import Connection
from so.db.manager import Database, current_database
from so.errors import InvalidArgumentError, LockTimeoutError
from so.support.current import replaced


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    files = {name: str(tmp_path / f"{name}.db") for name in ("one", "two")}
    found = Database(files, default="one")
    for name in files:
        found.connection(name).statement("create table t (name text)")
        found.connection(name).insert("insert into t values (?)", [name])
    yield found
    found.close()


def test_a_name_that_is_not_configured_is_refused(database):
    with pytest.raises(InvalidArgumentError, match=r"Database connection \[x\] not configured\."):
        database.connection("x")


def test_a_single_connection_is_the_default_one():
    with Database({"only": ":memory:"}) as database:
        assert database.connection().name == "only"
    with (
        Database({"only": ":memory:"}, "named") as database,
        pytest.raises(InvalidArgumentError, match=r"\[named\] not configured"),
    ):
        database.connection()


def test_each_thread_has_one_connection_of_each_name(database):
    assert database.connection() is database.connection("one") is database.connection()
    assert database.connection("two") is not database.connection("one")
    others = []
    thread = threading.Thread(target=lambda: others.append(database.connection()))
    thread.start()
    thread.join()
    assert others[0] is not database.connection()
    assert set(database.connections()) == {"one", "two"}
    assert database.configured() == ["one", "two"]


def test_the_default_may_be_changed_for_all_threads(database):
    assert database.scalar("select name from t") == "one"
    asked, changed, results = threading.Event(), threading.Event(), []

    def work() -> None:
        database.connection()
        asked.set()
        changed.wait(60)
        results.append(database.scalar("select name from t"))

    thread = threading.Thread(target=work)
    thread.start()
    asked.wait(60)
    database.set_default_connection("two")
    changed.set()
    thread.join()

    assert results == ["two"]
    assert database.scalar("select name from t") == "two"
    assert database.default_connection == "two"


def test_the_default_may_be_changed_for_one_call(database):
    def name() -> str:
        return database.scalar("select name from t")

    assert database.using_connection("two", name) == "two"
    assert name() == "one"
    with pytest.raises(ZeroDivisionError):
        database.using_connection("two", lambda: 1 / 0)
    assert name() == "one"
    assert database.using_connection("two", lambda: database.using_connection("one", name)) == "one"


def test_a_source_is_a_connection_by_name_for_whoever_asks(database):
    assert database.source() is database
    source = database.source("two")
    assert source.connection() is database.connection("two")


def test_a_connection_may_be_added_and_replaced(database, tmp_path):
    database.add_connection("three", str(tmp_path / "two.db"))
    assert database.connection("three").scalar("select name from t") == "two"

    database.add_connection("three", str(tmp_path / "one.db"))
    assert database.connection("three").scalar("select name from t") == "one"


def test_another_driver_may_be_plugged_in(database):
    made = []

    def factory(config, name):
        made.append((config["driver"], name))
        return Connection(":memory:", name)

    database.extend("odd", factory)
    database.add_connection("strange", {"driver": "odd", "anything": 1})

    assert database.connection("strange").scalar("select 1") == 1
    assert made == [("odd", "strange")]


def test_what_is_passed_on_to_the_default_connection(database):
    assert database.insert("insert into t values (?)", ["x"]) is True
    assert database.insert_get_id("insert into t values (?)", ["y"]) == 3
    assert database.update("update t set name = 'z' where name = ?", ["y"]) == 1
    assert database.affecting_statement("update t set name = 'y' where name = 'z'") == 1
    assert database.delete("delete from t where name = ?", ["y"]) == 1
    assert database.statement("update t set name = name") is True
    assert database.unprepared("update t set name = name") is True
    assert database.run("select count(*) from t").rows == [(2,)]
    assert database.select("select name from t").pluck("name") == ["one", "x"]
    assert database.select_one("select name from t").name == "one"
    assert database.select_tuples("select name from t") == [("one",), ("x",)]
    assert [row.name for row in database.cursor("select name from t")] == ["one", "x"]
    assert database.table("t").where("name", "x").count() == 1
    assert database.table("t", "a", connection="two").value("a.name") == "two"
    assert database.query().from_("t").count() == 2
    assert database.table("t").select(database.raw("upper(name) as n")).pluck("n") == ["ONE", "X"]


def test_before_executing_on_the_database(database):
    seen = []
    database.before_executing(lambda sql, bindings, connection: seen.append(connection.name))

    database.connection("two").select("select 1")

    assert seen == ["two"]


def test_a_database_as_a_context_manager_closes(tmp_path):
    with Database({"default": str(tmp_path / "a.db")}) as database:
        connection = database.connection()
        connection.scalar("select 1")

    assert connection._session is None


def test_a_url_as_a_configuration(tmp_path):
    with Database({"default": f"sqlite://{tmp_path}/a.db"}) as database:
        assert database.scalar("select 1") == 1


def test_models_ask_for_the_current_database(database):
    with pytest.raises(RuntimeError, match="no db is running: start an application"):
        current_database()
    with replaced("db", database):
        assert current_database() is database


def test_the_room_imports_its_names_when_they_are_asked_for():
    assert room.Connection is Connection
    assert room.Database is Database
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = room.Nothing


# --- locks of SQLite that its own waiting does not cover


@pytest.fixture
def old_style(tmp_path: Path) -> dict[str, object]:
    """A rollback journal: a commit has to wait for readers."""
    config = {"database": str(tmp_path / "old.db"), "journal_mode": "delete", "busy_timeout": 5000}
    with Connection(config) as connection:
        connection.statement("create table t (n int)")
    return config


def test_a_commit_waits_for_a_reader(old_style):
    with Connection(old_style) as writer:
        writer.begin_transaction()
        writer.insert("insert into t values (1)")
        reading, finish = threading.Event(), threading.Event()

        def read() -> None:
            with Connection(old_style) as reader, reader.transaction(mode="deferred"):
                reader.scalar("select count(*) from t")
                reading.set()
                finish.wait(60)

        thread = threading.Thread(target=read)
        thread.start()
        reading.wait(60)
        threading.Timer(0.05, finish.set).start()
        writer.commit()
        thread.join()

        assert writer.scalar("select count(*) from t") == 1


def test_a_commit_that_waited_in_vain_is_rolled_back(old_style):
    with Connection({**old_style, "busy_timeout": 50}) as writer, Connection(old_style) as reader:
        reader.begin_transaction(mode="deferred")
        reader.scalar("select count(*) from t")
        writer.begin_transaction()
        writer.insert("insert into t values (1)")

        with pytest.raises(LockTimeoutError):
            writer.commit()

        assert writer.transaction_level() == 0
        reader.roll_back()
        assert writer.scalar("select count(*) from t") == 0


def test_a_stream_that_cannot_start_is_a_lock_timeout(old_style):
    with Connection({**old_style, "busy_timeout": 50}) as reader, Connection(old_style) as writer:
        writer.begin_transaction(mode="exclusive")

        with pytest.raises(LockTimeoutError):
            list(reader.cursor("select * from t"))
        with pytest.raises(LockTimeoutError):
            reader.select("select * from t")
        writer.roll_back()


def test_a_table_with_a_home_of_its_own_is_queried_there(tmp_path):
    database = Database(
        {"main": str(tmp_path / "a.sqlite"), "own": str(tmp_path / "b.sqlite")},
        "main",
        homes={"notes": "own"},
    )
    for name in ("main", "own"):
        database.connection(name).statement("create table notes (id integer, text varchar(9))")
    database.connection("own").table("notes").insert({"id": 1, "text": "there"})

    assert database.table("notes").value("text") == "there"
    assert database.table("notes as n", connection="main").count() == 0
    assert database.select("select text from notes where id = 1")[0].text == "there"
    assert database.affecting_statement("Update notes set text = 'from main'") == 1
    assert database.statement("insert into notes values (2, 'into main')")
    assert database.table("notes").count() == 2
    assert database.using_connection("own", lambda: database.table("notes").count()) == 2
    assert database.connection("main").table("notes").count() == 0
    database.close()
