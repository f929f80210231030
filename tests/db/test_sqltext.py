"""Reading SQL text: verbs, placeholders, quoted names, scripts."""

from __future__ import annotations

import pytest

from so.db import sqltext
from so.db.sqltext import MYSQL_TOKEN, SQLITE_TOKEN, backtick_names, cut


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        ("select 1", "select"),
        ("  (SELECT 1) union (select 2)", "select"),
        ("-- a comment\n/* another */ Update t set a = 1", "update"),
        ("# mysql\ninsert into t values (1)", "insert"),
        ("", ""),
        ("/* only */", ""),
    ],
)
def test_verb(sql, verb):
    assert sqltext.verb(sql) == verb


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("select 1", True),
        ("show tables", True),
        ("explain delete from t", True),
        ("with x as (delete_me) select * from x", True),
        ("with x as (select 'delete') select * from x", True),
        ("with x as (select 1) delete from t", False),
        ("with x as (select 1) insert into t select * from x", False),
        ("with nothing", False),
        ("pragma table_info(t)", True),
        ("pragma foreign_keys = 1", False),
        ("insert into t values (1)", False),
        ("call p()", False),
    ],
)
def test_is_read(sql, reads):
    assert sqltext.is_read(sql) is reads


def test_is_locking():
    assert sqltext.is_locking("select * from t for update skip locked")
    assert sqltext.is_locking("select * from t lock in share mode")
    assert sqltext.is_locking("select * from t FOR SHARE")
    assert not sqltext.is_locking("select * from t")


@pytest.mark.parametrize(
    ("sql", "commits"),
    [
        ("create table t (a int)", True),
        ("alter table t add b int", True),
        ("truncate table t", True),
        ("drop table t", True),
        ("create temporary table t (a int)", False),
        ("create or replace temporary table t (a int)", False),
        ("drop temporary table t", False),
        ("update t set a = 'drop table'", False),
        ("create temporary sequence s", True),
        ("check table t", True),
        ("load index into cache t", True),
        ("load data infile 'x' into table t", False),
        ("set password = 'x'", True),
        ("set default role none to a", True),
        ("set @password = 'x'", False),
        ("select 1", False),
    ],
)
def test_commits_implicitly(sql, commits):
    assert sqltext.commits_implicitly(sql) is commits


@pytest.mark.parametrize(
    ("sql", "ends"),
    [
        ("execute immediate 'commit'", True),
        ("EXECUTE /* now */ IMMEDIATE 'com' \"mit\"", True),
        ("execute immediate 'execute immediate ''rollback''' ", True),
        ("prepare p from 'start transaction'", True),
        ("execute immediate 'update t set a = ''commit'''", False),
        ("if 1 then insert into t values (1); commit; end if", True),
        ("if 1 then drop table t; end if", True),
        ("x: loop begin not atomic rollback; end; end loop", True),
        ("if 1 then begin not atomic select 'x; commit'; end; end if", False),
        ("call p('commit')", False),
        ("insert into t values ('; commit')", False),
    ],
)
def test_a_text_tells_what_it_carries_within(sql, ends):
    within = sqltext.carried(sql)

    told = [sqltext.ends_transaction(one) or sqltext.commits_implicitly(one) for one in within]
    assert any(told) is ends


@pytest.mark.parametrize(
    ("sql", "pieces"),
    [
        ("a = ? and b = ?", ["a = ", " and b = ", ""]),
        ("a = '?' and b = ?", ["a = '?' and b = ", ""]),
        ("a = 'it''s ?' and b = ?", ["a = 'it''s ?' and b = ", ""]),
        ('"what?" = ?', ['"what?" = ', ""]),
        ("`what?` = ?", ["`what?` = ", ""]),
        ("1 -- ?\n = ?", ["1 -- ?\n = ", ""]),
        ("1 /* ? */ = ?", ["1 /* ? */ = ", ""]),
    ],
)
def test_placeholders_are_cut_outside_of_literals(sql, pieces):
    for token in (SQLITE_TOKEN, MYSQL_TOKEN):
        assert cut(sql, named=False, token=token)[0] == pieces


def test_mysql_knows_backslashes_and_hashes():
    assert cut(r"a = 'it\'s ?' and b = ?", named=False, token=MYSQL_TOKEN)[0] == [
        r"a = 'it\'s ?' and b = ",
        "",
    ]
    assert cut("1 # ?\n = ?", named=False, token=MYSQL_TOKEN)[0] == ["1 # ?\n = ", ""]
    assert cut("1--? ", named=False, token=MYSQL_TOKEN)[0] == ["1--", " "]


def test_named_placeholders():
    pieces, names = cut(
        "a = :a and b = ':b' and c = x::y and d = @v:=1 and e = :e_1", named=True, token=MYSQL_TOKEN
    )

    assert names == ["a", "e_1"]
    assert pieces[1] == " and b = ':b' and c = x::y and d = @v:=1 and e = "


@pytest.mark.parametrize(
    ("sql", "rewritten"),
    [
        ('select "a" from "t"', "select `a` from `t`"),
        ("select 'say \"hi\"'", "select 'say \"hi\"'"),
        ('select "a""b", "c`d"', 'select `a"b`, `c``d`'),
        ("select a", "select a"),
        ('select 1 -- "x"', 'select 1 -- "x"'),
    ],
)
def test_double_quoted_names_become_back_ticks(sql, rewritten):
    assert backtick_names(sql) == rewritten


def test_a_long_literal_is_no_trouble():
    text = "x''" * 200_000

    assert cut(f"select '{text}', ?", named=False, token=MYSQL_TOKEN)[0][1] == ""


def test_statements_of_sqlite_keep_triggers_whole():
    script = """
        -- first
        create table t (a text default ';');
        create trigger tr after insert on t begin update t set a = ';'; select 1; end;
        insert into t values ('x'); -- last
        ;
    """

    found = sqltext.statements(script, "sqlite")

    assert [sqltext.verb(text) for text in found] == ["create", "create", "insert"]
    assert found[1].endswith("end")


def test_statements_of_mysql_know_delimiters():
    script = """
        create table t (a text);
        DELIMITER $$
        create trigger tr before insert on t for each row begin set new.a = ';'; end$$
        delimiter ;
        insert into t values ('a;b')
    """

    found = sqltext.statements(script, "mysql")

    assert [sqltext.verb(text) for text in found] == ["create", "create", "insert"]
    assert found[1].endswith("end")
