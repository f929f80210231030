"""SQLite's files: gone or replaced, growing and shrinking, in a folder that cannot be written."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from so.db import errortext
from so.db.connection import Connection
from so.db.manager import Database
from so.db.options import file_of
from so.errors import ConnectionOwnerError, LostConnectionError, UnavailableError
from so.support.scope import Scope, entered


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.sqlite"


@pytest.fixture
def database(path: Path) -> Any:
    with Database({"default": str(path)}) as found:
        found.statement("create table items (id integer primary key, v text)")
        found.insert("insert into items (id) values (1)")
        yield found


def delete(path: Path) -> None:
    for one in path.parent.glob(path.name + "*"):
        one.unlink()


def replace(path: Path) -> None:
    beside = path.with_name("other.sqlite")
    with Connection(str(beside)) as other:
        other.statement("create table items (id integer primary key, v text)")
        other.statement("pragma wal_checkpoint(truncate)")
    delete(path)
    os.replace(beside, path)


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved.sqlite"))


WRITES: list[Callable[[Database], object]] = [
    lambda db: db.insert("insert into items (id) values (9)"),
    lambda db: db.insert_get_id("insert into items (v) values ('x')"),
    lambda db: db.update("update items set v = 'y'"),
    lambda db: db.statement("delete from items"),
    lambda db: db.unprepared("delete from items"),
    lambda db: db.run("insert into items (id) values (9) returning id"),
    lambda db: db.table("items").insert({"id": 9}),
    lambda db: db.transaction(lambda: db.insert("insert into items (id) values (9)")),
]


@pytest.mark.parametrize("harm", [delete, replace, move_away])
@pytest.mark.parametrize("write", WRITES)
def test_no_write_goes_into_a_file_that_is_gone(database, path, harm, write):
    harm(path)

    for _ in range(2):
        with pytest.raises(LostConnectionError, match="deleted or replaced"):
            write(database)
        with entered(Scope("request")), pytest.raises(LostConnectionError, match="deleted"):
            write(database)
    assert path.exists() is (harm is replace)


@pytest.mark.parametrize("harm", [delete, replace, move_away])
@pytest.mark.parametrize(
    "uri", ["file:{}", "file://{}", "file://localhost{}?mode=rw", "file:{}?cache=private#x"]
)
def test_nor_into_one_that_is_named_by_a_uri(tmp_path, harm, uri):
    path = tmp_path / "named ü.sqlite"
    name = uri.format(quote(str(path)))
    with Connection(str(path)) as conn:
        conn.statement("create table items (id integer primary key)")
    with Database({"default": {"driver": "sqlite", "database": name}}) as database:
        database.insert("insert into items values (1)")
        harm(path)

        for _ in range(2):
            with pytest.raises(LostConnectionError, match="deleted or replaced"):
                database.insert("insert into items values (2)")
    assert path.exists() is (harm is replace)


@pytest.mark.parametrize(
    ("database", "file"),
    [
        ("a.sqlite", "a.sqlite"),
        ("file:a.sqlite", "a.sqlite"),
        ("file:///x/a%20b.sqlite?mode=ro", "/x/a b.sqlite"),
        (":memory:", None),
        ("", None),
        ("file::memory:?cache=shared", None),
        ("file:/so-1?vfs=memdb", None),
        ("file:x?mode=memory&cache=shared", None),
    ],
)
def test_the_file_of_a_database_is_told_by_its_name(database, file):
    assert file_of(database) == file


def test_a_new_file_named_by_a_uri_is_nobody_elses_to_read(tmp_path):
    path = tmp_path / "new.sqlite"
    with Connection(f"file:{path}") as conn:
        conn.statement("create table items (id integer primary key)")
    assert path.stat().st_mode & 0o027 == 0

    with pytest.raises(LostConnectionError), Connection(f"file:{tmp_path}/no.sqlite?mode=ro") as c:
        c.select("select 1")
    assert not (tmp_path / "no.sqlite").exists()


@pytest.mark.parametrize("harm", [delete, replace])
def test_nor_is_it_read_for_long(database, path, harm):
    database.select("select * from items")
    harm(path)
    database.connection()._session._looked_at = 0.0  # a moment later

    with pytest.raises(LostConnectionError, match="deleted or replaced"):
        database.select("select * from items")


@pytest.mark.parametrize("harm", [delete, replace])
def test_a_new_thread_makes_no_new_file_of_it(database, path, harm):
    harm(path)
    said: list[BaseException] = []

    def work() -> None:
        try:
            database.select("select * from items")
        except LostConnectionError as error:
            said.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert "deleted or replaced" in str(said[0])
    assert path.exists() is (harm is replace)


def test_who_closes_the_connection_may_put_another_file_there(database, path):
    database.connection().close()
    replace(path)

    assert database.select("select * from items") == []


def test_a_file_that_is_put_back_serves_on(database, path):
    moved = path.with_name("moved.sqlite")
    path.rename(moved)
    with pytest.raises(LostConnectionError):
        database.insert("insert into items (id) values (2)")
    moved.rename(path)

    database.insert("insert into items (id) values (2)")
    assert database.table("items").count() == 2


def test_a_relative_path_is_that_of_its_opening(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Connection("a.sqlite") as conn:
        conn.statement("create table a (id int)")
        monkeypatch.chdir("/")
        conn.statement("insert into a values (1)")

    with Connection(str(tmp_path / "a.sqlite")) as conn:
        assert conn.scalar("select id from a") == 1


def test_a_wal_shrinks_again_after_a_long_read(database, path):
    wal = path.with_name(path.name + "-wal")
    database.table("items").insert([{"id": 1000 + n} for n in range(1000)])
    rows = database.cursor("select * from items")
    next(rows)
    for number in range(10, 40):
        database.table("items").insert({"id": number, "v": "x" * 500_000})
    grown = wal.stat().st_size
    rows.close()

    for number in range(100, 110):
        database.table("items").insert({"id": number})

    assert grown > 12_000_000
    assert wal.stat().st_size <= 8_388_608


def test_a_commit_into_a_file_that_went_meanwhile_is_refused(database, path):
    def work() -> None:
        database.table("items").insert({"id": 2})
        delete(path)

    with pytest.raises(LostConnectionError, match="deleted or replaced"):
        database.transaction(work)

    assert database.connection().transaction_level() == 0


def test_a_folder_in_place_of_a_file_says_so(tmp_path):
    with pytest.raises(LostConnectionError, match="is a folder, name a file in it"):
        Connection(str(tmp_path)).scalar("select 1")


def test_a_folder_that_cannot_be_written_says_its_mend(database, path):
    database.connection().close()
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
        Path(f"{path}{ending}").mkdir()

    with pytest.raises(LostConnectionError, match="to its folder, or read a copy .*immutable=1"):
        database.select("select * from items")


# --- threads


def test_closing_what_a_running_thread_has_open_leaves_nothing_unclosed(path):
    database = Database({"default": str(path)})
    ready, go = threading.Event(), threading.Event()

    def work() -> None:
        database.scalar("select 1")
        ready.set()
        go.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(10)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        database.close()
        gc.collect()
        go.set()
        thread.join()
        gc.collect()

    assert [str(one.message) for one in seen if one.category is ResourceWarning] == []


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c.select("select 1"),
        lambda c: c.scalar("select 1"),
        lambda c: c.insert_get_id("insert into t values (1)"),
        lambda c: c.update("update t set id = 1"),
        lambda c: c.run("select 1"),
        lambda c: c.statement("select 1"),
        lambda c: c.unprepared("select 1"),
        lambda c: c.begin_transaction(),
        lambda c: list(c.cursor("select 1")),
    ],
)
def test_a_connection_is_still_its_threads_own(path, use):
    said: list[BaseException] = []
    with Connection(str(path)) as conn:
        conn.statement("create table t (id int)")

        def work() -> None:
            try:
                use(conn)
            except ConnectionOwnerError as error:
                said.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert len(said) == 1


# --- listeners


def test_a_text_is_read_once_however_often_listeners_ask(database):
    errortext._secret_marks.cache_clear()
    database.connection().listen(lambda event: None)

    for number in range(20, 40):
        database.insert("insert into items (id, v) values (?, ?)", [number, "x"])

    found = errortext._secret_marks.cache_info()
    assert (found.misses, found.hits) == (1, 19)


def test_a_full_disk_is_no_fault_of_what_was_asked(tmp_path: Path) -> None:
    with Connection(str(tmp_path / "full.sqlite")) as c:
        c.statement("create table t (x)")
        c.statement(f"pragma max_page_count = {c.scalar('pragma page_count')}")

        with pytest.raises(UnavailableError, match="full"):
            c.insert("insert into t values (?)", ["x" * 100_000])
