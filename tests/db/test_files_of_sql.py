"""A file of SQL runs whole, or says what it cannot read; what did not run is not recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from so.db.manager import Database
from so.db.migrations import Migrator
from so.db.sqltext import statements
from so.errors import DatabaseError, MigrationError, SchemaError

TABLES = "create table a (id int);\ncreate table b (id int);\n"
NAME = "2026_01_01_000000_shop"


class Folder:
    """A folder of migrations on one database."""

    def __init__(self, db: Database, path: Path) -> None:
        self.connection = db.connection()
        self.path = path

    def write(self, data: str | bytes, name: str = NAME + ".sql") -> None:
        (self.path / name).write_bytes(data.encode() if isinstance(data, str) else data)

    def run(self) -> list[str]:
        return Migrator(self.connection, self.path).run()

    def roll_back(self) -> list[str]:
        return Migrator(self.connection, self.path).roll_back()

    def applied(self) -> list[str]:
        return list(Migrator(self.connection, self.path).applied())

    def has(self, table: str) -> bool:
        try:
            self.connection.select(f"select * from {table}")
        except DatabaseError:
            return False
        return True


@pytest.fixture
def folder(empty_db: Database, tmp_path: Path) -> Folder:
    path = tmp_path / "migrations"
    path.mkdir()
    return Folder(empty_db, path)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TABLES.encode("utf-8-sig"), id="byte order mark"),
        pytest.param(TABLES.encode("utf-16"), id="UTF-16 of Notepad"),
        pytest.param(b"\xfe\xff" + TABLES.encode("utf-16-be"), id="UTF-16 the other way"),
        pytest.param("\u200b" + TABLES, id="space of no width in front"),
        pytest.param(TABLES.replace("create table b", "\ufeffcreate table b"), id="joined files"),
        pytest.param(TABLES.replace(" ", "\u00a0"), id="no-break spaces"),
        pytest.param(TABLES.replace("\n", "\u200b\n\u2060"), id="between statements"),
        pytest.param(TABLES.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(TABLES.replace("\n", "\r"), id="CR"),
        pytest.param(TABLES.rstrip(";\n"), id="no last semicolon"),
        pytest.param("/* a */ -- b\n;;" + TABLES + "/* end */", id="comments and semicolons"),
    ],
)
def test_what_editors_leave_in_a_file_keeps_nothing_from_running(folder, data):
    folder.write(data)

    assert folder.run() == [NAME]
    assert folder.has("a")
    assert folder.has("b")


@pytest.mark.parametrize(
    "text",
    [
        "insert into a values ('x",
        'insert into a values ("x',
        "select `x from a",
        "/* the rest is a comment; create table b (id int);",
        "/*/ create table b (id int);",
        ".read other.sql",
        ".mode csv\ncreate table b (id int);",
        "\\i other.sql",
        "\\connect shop\ncreate table b (id int);",
        "GO\ncreate table b (id int);",
        "} create table b (id int);",
        "@other.sql",
        "<<<<<<< HEAD\ncreate table b (id int);",
        "cre\u200bate table b (id int);",
    ],
)
def test_what_cannot_be_run_is_said_and_the_file_not_recorded(folder, text):
    folder.write("create table a (id int);\n" + text)

    with pytest.raises(MigrationError, match=NAME):
        folder.run()

    assert folder.applied() == []
    assert not folder.has("b")


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("text", ["select [x from a", "delimiter //\ncreate table b (id int)//"])
def test_what_sqlite_alone_cannot_run_is_said(folder, text):
    folder.write(text)

    with pytest.raises(MigrationError, match=NAME):
        folder.run()


@pytest.mark.parametrize("engine", ["mysql"])
@pytest.mark.parametrize("text", ["--create table b (id int)", "create table b (id int); --done"])
def test_a_comment_without_its_blank_is_none_on_mysql(folder, text):
    folder.write(text)

    with pytest.raises(MigrationError, match=NAME):
        folder.run()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_and_one_on_sqlite(folder):
    folder.write("--create table b (id int);\n" + TABLES + "--done")

    assert folder.run() == [NAME]


@pytest.mark.parametrize("data", [b"caf\xe9;", "créate;".encode("latin-1"), b"select 1;\0"])
def test_a_file_in_another_encoding_is_named(folder, data):
    folder.write(data)

    with pytest.raises(MigrationError, match=f"{NAME}.sql .*save it as UTF-8"):
        folder.run()


def test_an_empty_file_is_refused_and_a_comment_will_do(folder):
    folder.write(" \n")
    with pytest.raises(MigrationError, match="empty"):
        folder.run()

    folder.write("-- nothing to do here")
    assert folder.run() == [NAME]


def test_an_empty_rollback_half_undoes_nothing_silently(folder):
    folder.write("create table a (id int);\n-- rollback\n")
    folder.run()

    with pytest.raises(MigrationError, match="`-- rollback` half is empty"):
        folder.roll_back()
    assert folder.applied() == [NAME]


def test_a_rollback_half_is_read_as_carefully(folder):
    folder.write(
        "\ufeffcreate table a (id int);\r\n\u200b--\u00a0rollback\u200b\r\n\u200bdrop table a;\r\n"
    )
    folder.run()
    assert folder.has("a")

    folder.roll_back()
    assert not folder.has("a")


@pytest.mark.parametrize("engine", ["mysql"])
def test_what_dumps_put_into_comments_is_run(folder):
    folder.write(
        "/*!40101 set @old_mode = @@sql_mode */;\n"
        "/*!50001 create table a (id int) */;\n/*M! create table b (id int) */;\n"
    )

    folder.run()
    assert folder.has("a")
    if "MariaDB" in folder.connection.scalar("select version()"):
        assert folder.has("b")


@pytest.mark.parametrize("engine", ["sqlite"])
def test_what_mysql_alone_would_run_is_said_on_sqlite(folder):
    folder.write("/*!50001 create table a (id int) */;\ncreate table b (id int);\n")

    with pytest.raises(MigrationError, match="MySQL alone runs what stands in the comment"):
        folder.run()

    assert not folder.applied()
    folder.write("/*!40101 set names utf8 */;\ncreate table b (id int) /*! engine=InnoDB */;\n")
    assert folder.run()


@pytest.mark.parametrize("engine", ["mysql"])
def test_a_delimiter_counts_outside_of_literals_and_comments_alone(folder):
    folder.write(
        "create table a (id int, url varchar(99));\n"
        "DELIMITER //\n"
        "create trigger t before insert on a for each row begin\n"
        "  -- see https://example.com\n"
        "  set new.url = case when new.id = 1 then 'https://one' else 'delimiter //' end;\n"
        "end//\n"
        "delimiter ;\n"
        "insert into a (id) values (1);\n"
    )

    folder.run()
    assert folder.connection.scalar("select url from a") == "https://one"


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_trigger_with_a_case_is_one_statement(folder):
    folder.write(
        "create table a (id int, v text);\n"
        "create trigger t after insert on a begin\n"
        "  update a set v = case when id = 1 then ';end;' else 'x' end where v is null;\n"
        "  select case id when 1 then 2 end from a;\n"
        "end;\n"
        "insert into a (id) values (1);\n"
    )

    folder.run()
    assert folder.connection.scalar("select v from a") == ";end;"


@pytest.mark.parametrize("begin", ["begin", "create table c (id int);\nbegin"])
def test_a_transaction_left_open_takes_no_record_along(folder, engine, begin):
    folder.write(f"create table a (id int);\n{begin};\ninsert into a values (1);\n")

    with pytest.raises(MigrationError, match=NAME):
        folder.run()
    assert folder.applied() == []


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("off", ["pragma foreign_keys = off;", "PRAGMA foreign_keys=0;"])
def test_the_pragma_for_foreign_keys_is_understood_and_checked(folder, off):
    folder.write(
        "create table p (id integer primary key);\ncreate table c (p_id int references p (id));\n"
    )
    folder.run()
    folder.write(off + "\ninsert into c values (9);\n", "2026_01_02_000000_orphan.sql")

    with pytest.raises(MigrationError, match="rows without the row they point to"):
        folder.run()
    assert folder.applied() == [NAME]
    assert folder.connection.scalar("pragma foreign_keys") == 1


# --- files of Python


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("import sys; sys.exit(0)", "SystemExit"),
        ("raise SystemExit", "SystemExit"),
        ("1 / 0", "ZeroDivisionError"),
        ("db.statement('nonsense')", "syntax"),
        ("yield db", "generator"),
    ],
)
def test_a_file_of_python_that_fails_is_named_and_not_recorded(folder, body, what):
    folder.write(f"def up(db):\n    {body}\n", NAME + ".py")

    with pytest.raises(MigrationError, match=rf"(?s){NAME}\.py.*{what}"):
        folder.run()
    assert folder.applied() == []


@pytest.mark.parametrize(
    "text", ["import sys; sys.exit(0)\ndef up(db): pass", "async def up(db): pass", "def up(:"]
)
def test_whenever_it_ends(folder, text):
    folder.write(text, NAME + ".py")

    with pytest.raises(MigrationError, match=rf"{NAME}\.py"):
        folder.run()
    assert folder.applied() == []


@pytest.mark.parametrize("leave", ["db.begin_transaction()", "db.statement('begin')"])
def test_a_file_of_python_that_leaves_a_transaction_open_is_refused(folder, leave):
    folder.write(f"def up(db):\n    {leave}\n", NAME + ".py")

    with pytest.raises(DatabaseError):
        folder.run()
    assert folder.applied() == []
    assert folder.connection.transaction_level() == 0


# --- the text alone


@pytest.mark.parametrize("dialect", ["sqlite", "mysql"])
def test_what_has_no_end_is_told_by_its_line(dialect: Any) -> None:
    with pytest.raises(SchemaError, match="line 3 has no end"):
        statements("select 1;\n-- it's\nselect 'x;", dialect)


@pytest.mark.parametrize("dialect", ["sqlite", "mysql"])
def test_literals_keep_what_cannot_be_seen(dialect: Any) -> None:
    text = "select '\u00a0\ufeff', `a\u00a0b`"

    assert statements(text, dialect) == [text]
