"""Applying, undoing and listing the files of database/migrations, on both engines."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.migrations import Migrator
from so.errors import MigrationError, QueryError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "migrations"
    found.mkdir()
    return found


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def make(folder: Path, number: int, text: str | None = None) -> str:
    name = f"2026_01_0{number}_000000_make_t{number}"
    write(
        folder,
        f"{name}.sql",
        text or f"create table t{number} (a int);\n\n-- rollback\ndrop table t{number};\n",
    )
    return name


def tables(db: Database) -> set[str]:
    sql = {
        "sqlite": "select name from sqlite_master where type = 'table'",
        "mysql": "select table_name from information_schema.tables where table_schema = database()",
    }[db.connection().dialect.name]
    return {str(name) for (name,) in db.select_tuples(sql)}


def test_pending_files_are_applied_in_order_and_once(empty_db, folder):
    names = [make(folder, n) for n in (2, 1)]
    migrator = Migrator(empty_db.connection(), folder)

    done = migrator.run()

    assert done == sorted(names)
    assert {"t1", "t2", "migrations"} <= tables(empty_db)
    assert migrator.run() == []
    assert migrator.applied() == dict.fromkeys(sorted(names), 1)


def test_the_time_of_application_is_kept(empty_db, folder, clock):
    make(folder, 1)

    Migrator(empty_db.connection(), folder).run()

    at = empty_db.scalar("select applied_at from migrations")
    assert str(at).startswith("2026-01-15 12:00:00")


def test_the_last_batch_is_undone_newest_first(empty_db, folder):
    migrator = Migrator(empty_db.connection(), folder)
    first = make(folder, 1)
    migrator.run()
    later = [make(folder, n) for n in (2, 3)]
    migrator.run()

    assert migrator.roll_back() == list(reversed(later))
    assert migrator.roll_back() == [first]
    assert migrator.roll_back() == []
    assert not {"t1", "t2", "t3"} & tables(empty_db)


def test_steps_limit_what_is_applied_and_give_each_file_a_batch(empty_db, folder):
    names = [make(folder, n) for n in (1, 2, 3)]
    migrator = Migrator(empty_db.connection(), folder)

    assert migrator.run(2) == names[:2]
    assert migrator.applied() == {names[0]: 1, names[1]: 2}
    assert migrator.roll_back(steps=1) == [names[1]]
    assert migrator.run() == names[1:]
    assert migrator.roll_back(everything=True) == list(reversed(names))


def test_status_lists_applied_pending_and_lost_files(empty_db, folder):
    names = [make(folder, n) for n in (1, 2, 3)]
    migrator = Migrator(empty_db.connection(), folder)
    migrator.run(2)
    (folder / f"{names[0]}.sql").unlink()

    lines = {line.name: (line.batch, line.file_is_missing) for line in migrator.status()}

    assert lines == {names[0]: (1, True), names[1]: (2, False), names[2]: (None, False)}


def test_status_needs_no_table(empty_db, folder):
    name = make(folder, 1)

    (line,) = Migrator(empty_db.connection(), folder).status()

    assert (line.name, line.batch) == (name, None)
    assert Migrator(empty_db.connection(), folder).roll_back() == []


def test_a_pair_of_files_serves_each_engine_its_own(empty_db, folder):
    write(folder, "2026_01_01_000000_pair.sqlite.sql", "create table for_sqlite (a int)")
    write(folder, "2026_01_01_000000_pair.mysql.sql", "create table for_mysql (a int)")

    assert Migrator(empty_db.connection(), folder).run() == ["2026_01_01_000000_pair"]

    assert f"for_{empty_db.connection().dialect.name}" in tables(empty_db)


def test_a_file_for_the_other_engine_alone_is_an_error(empty_db, folder):
    other = {"sqlite": "mysql", "mysql": "sqlite"}[empty_db.connection().dialect.name]
    write(folder, f"2026_01_01_000000_half.{other}.sql", "create table half (a int)")

    with pytest.raises(MigrationError, match="has nothing for"):
        Migrator(empty_db.connection(), folder).run()


def test_python_files_have_up_and_down(empty_db, folder):
    write(
        folder,
        "2026_01_01_000000_code.py",
        "def up(db):\n"
        "    db.statement('create table coded (a int)')\n"
        "    db.insert('insert into coded values (?)', [7])\n"
        "def down(db):\n"
        "    db.statement('drop table coded')\n",
    )
    migrator = Migrator(empty_db.connection(), folder)

    migrator.run()

    assert empty_db.scalar("select a from coded") == 7
    migrator.roll_back()
    assert "coded" not in tables(empty_db)


def test_a_python_file_without_up_is_an_error(empty_db, folder):
    write(folder, "2026_01_01_000000_code.py", "x = 1\n")

    with pytest.raises(MigrationError, match=r"no function up\(db\)"):
        Migrator(empty_db.connection(), folder).run()


def test_a_failure_names_file_and_statement_and_leaves_later_files_alone(empty_db, folder):
    first = make(folder, 1)
    broken = make(folder, 2, "create table t2 (a int);\ncreate tabel oops (a int);")
    make(folder, 3)
    migrator = Migrator(empty_db.connection(), folder)

    with pytest.raises(MigrationError) as caught:
        migrator.run()

    text = str(caught.value)
    assert f"{broken}.sql: statement 2 of 2 failed" in text
    assert "create tabel oops" in text
    assert list(migrator.applied()) == [first]
    assert "t3" not in tables(empty_db)
    if empty_db.connection().dialect.name == "sqlite":
        assert "t2" not in tables(empty_db)
        assert "nothing of this file was kept" in text
    else:
        assert "the 1 before it stay" in text


def test_a_failed_rollback_leaves_the_migration_applied(empty_db, folder):
    name = make(folder, 1, "create table t1 (a int);\n-- rollback\ndrop table nosuch;")
    migrator = Migrator(empty_db.connection(), folder)
    migrator.run()

    with pytest.raises(MigrationError, match="statement 1 of 1"):
        migrator.roll_back()

    assert list(migrator.applied()) == [name]


def test_undoing_without_a_rollback_half_is_an_error(empty_db, folder):
    make(folder, 1, "create table t1 (a int);")
    migrator = Migrator(empty_db.connection(), folder)
    migrator.run()

    with pytest.raises(MigrationError, match="no `-- rollback` half"):
        migrator.roll_back()


def test_undoing_a_lost_file_is_an_error_with_the_nearest_name(empty_db, folder):
    name = make(folder, 1)
    migrator = Migrator(empty_db.connection(), folder)
    migrator.run()
    (folder / f"{name}.sql").rename(folder / "2026_01_01_000000_make_tx1.sql")

    with pytest.raises(MigrationError, match=r"renamed to 2026_01_01_000000_make_tx1\?"):
        migrator.roll_back()


def test_a_badly_named_file_is_an_error(empty_db, folder):
    write(folder, "create_users.sql", "create table users (a int)")

    with pytest.raises(MigrationError, match="YYYY_MM_DD_HHMMSS_name"):
        Migrator(empty_db.connection(), folder).run()


def test_other_files_in_the_folder_are_left_alone(empty_db, folder):
    write(folder, "README.md", "hello")
    write(folder, "__init__.py", "")

    assert Migrator(empty_db.connection(), folder).run() == []


def test_a_missing_folder_has_nothing_to_migrate(empty_db, tmp_path):
    assert Migrator(empty_db.connection(), tmp_path / "nowhere").run() == []


def test_pretend_shows_the_statements_and_runs_none(empty_db, folder):
    sql = make(folder, 1, "create table t1 (a int); insert into t1 values (1);\n-- rollback\nx")
    write(
        folder,
        "2026_01_02_000000_code.py",
        "def up(db):\n    db.statement('create table coded (a int)')\n",
    )

    found = Migrator(empty_db.connection(), folder).pretend()

    assert found == {
        sql: ["create table t1 (a int)", "insert into t1 values (1)"],
        "2026_01_02_000000_code": ["create table coded (a int)"],
    }
    assert tables(empty_db) == set()


def test_strings_with_semicolons_marks_and_triggers_stay_whole(empty_db, folder):
    sqlite = empty_db.connection().dialect.name == "sqlite"
    trigger = (
        "create trigger tr after insert on t1 begin update t1 set b = 'x;y' where a = new.a; end;"
        if sqlite
        else "delimiter //\ncreate trigger tr before insert on t1 for each row begin"
        " set new.b = 'x;y'; end//\ndelimiter ;"
    )
    make(
        folder,
        1,
        "-- what? a :comment; with 'everything\n"
        f"create table t1 (a int, b varchar(20));\n{trigger}\n"
        "insert into t1 values (1, 'a;?:name');",
    )

    Migrator(empty_db.connection(), folder).run()

    assert empty_db.select_tuples("select a, b from t1") == [(1, "x;y")]


def test_a_misspelt_column_in_a_migration_is_an_error(empty_db, folder):
    quote = "`" if empty_db.connection().dialect.name == "mysql" else '"'
    make(folder, 1, f"create table t1 (a int); update t1 set a = 1 where {quote}aa{quote} = 1;")

    with pytest.raises(MigrationError, match="statement 2 of 2"):
        Migrator(empty_db.connection(), folder).run()


def test_two_servers_apply_each_file_once(empty_db_config, folder):
    for n in range(1, 6):
        make(folder, n)
    failures: list[BaseException] = []
    applied: list[str] = []

    def work() -> None:
        try:
            with Connection(empty_db_config) as connection:
                applied.extend(Migrator(connection, folder).run())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(applied) == len(set(applied)) == 5


def test_a_report_hears_of_each_file(empty_db, folder):
    name = make(folder, 1)
    heard: list[str] = []
    migrator = Migrator(empty_db.connection(), folder)

    migrator.run(report=lambda name, ms: heard.append(name))
    migrator.roll_back(report=lambda name, ms: heard.append(f"-{name}"))

    assert heard == [name, f"-{name}"]


class TestForeignKeysOnSQLite:
    """SQLite can rebuild a table only with foreign keys off; the file asks for that."""

    BOTH = (
        "create table parents (id integer primary key);"
        "create table children (id integer primary key, parent_id int references parents (id));"
        "insert into parents values (1); insert into children values (1, 1);"
    )

    def test_a_rebuild_with_foreign_keys_off_keeps_the_children(self, tmp_path, folder):
        with Connection(str(tmp_path / "a.db")) as connection:
            make(folder, 1, self.BOTH)
            make(
                folder,
                2,
                "-- foreign keys off\n"
                "create table new_parents (id integer primary key, name text);"
                "insert into new_parents (id) select id from parents; drop table parents;"
                "alter table new_parents rename to parents;",
            )

            Migrator(connection, folder).run()

            assert connection.scalar("select count(*) from children") == 1
            assert connection.scalar("pragma foreign_keys") == 1

    def test_a_child_left_without_its_parent_is_an_error(self, tmp_path, folder):
        with Connection(str(tmp_path / "a.db")) as connection:
            make(folder, 1, self.BOTH)
            make(folder, 2, "-- foreign keys: off\ndelete from parents;")

            with pytest.raises(MigrationError, match="leaves 1 rows without the row they point to"):
                Migrator(connection, folder).run()

            assert connection.scalar("select count(*) from parents") == 1
            with pytest.raises(QueryError):
                connection.statement("delete from parents")
