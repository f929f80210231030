"""Bulk writes are cut by bytes as well as by placeholders; what is too big ends its session."""

from __future__ import annotations

from contextlib import suppress

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.model import Model
from so.db.options import options
from so.db.values import in_parts, written_size
from so.errors import ConfigError, QueryError, UniqueConstraintError
from so.support.scope import Scope, entered
from tests.db.tables import create


@pytest.fixture
def texts(empty_db: Database) -> Database:
    create(empty_db.connection(), "texts", "id integer primary key, v longtext, b longblob")
    return empty_db


ROWS = [{"id": n, "v": "x" * 20_000, "b": None} for n in range(200)]


@pytest.mark.parametrize(
    "write",
    [
        lambda t: t.insert(ROWS),
        lambda t: t.insert_or_ignore(ROWS),
        lambda t: t.upsert(ROWS, "id"),
        lambda t: t.upsert(ROWS, "id", {"v": "y"}),
        lambda t: t.upsert(ROWS, "id", []),
    ],
    ids=["insert", "insert_or_ignore", "upsert", "upsert-with-values", "upsert-nothing"],
)
def test_rows_are_split_by_what_one_statement_holds(texts, engine, write):
    texts.enable_query_log()

    write(texts.table("texts"))

    assert texts.table("texts").count() == 200
    writes = [entry for entry in texts.get_query_log() if entry["query"].startswith("insert")]
    longest = max(sum(map(written_size, entry["bindings"])) for entry in writes)
    assert (len(writes), longest <= 1_000_000) == ((5, True) if engine == "mysql" else (1, False))


@pytest.mark.parametrize(
    "value",
    ["x" * 500, "'\\" * 300, "ä€😀'" * 90, b"'\\\x00" * 200, 7, -(10**40), 1.5e300, None, True],
)
def test_no_value_is_taken_for_smaller_than_it_is_written(value):
    from so.db.dialects.mysql import literal

    assert written_size(value) >= len(literal(value))


def test_a_row_larger_than_all_allowed_goes_alone():
    rows = ["a" * 10, "b" * 5_000, "c" * 10, "d" * 10]

    assert list(in_parts(rows, 10, 1_000, lambda row: [row])) == [rows[:1], rows[1:2], rows[2:]]


def test_the_limit_is_a_setting(mysql_config):
    with Connection({**mysql_config, "max_statement_bytes": 500}) as conn:
        create(conn, "texts", "id integer primary key, v text")
        conn.enable_query_log()
        conn.table("texts").insert([{"id": n, "v": "x" * 200} for n in range(6)])

        assert len(conn.get_query_log()) == 3
    for wrong in (0, -1, "x", True):
        with pytest.raises(ConfigError, match="max_statement_bytes"):
            options({**mysql_config, "max_statement_bytes": wrong})


@pytest.mark.parametrize("engine", ["mysql"])
def test_a_packet_too_big_for_the_server_is_the_end_of_its_session_alone(texts, engine):
    size = texts.scalar("select @@max_allowed_packet")
    with entered(Scope("request")), pytest.raises(QueryError):
        texts.table("texts").insert({"id": 1, "v": "x" * (size + 1000)})

    for id in (2, 3):
        with entered(Scope("request")):
            texts.table("texts").insert({"id": id, "v": "small"})
    assert texts.table("texts").pluck("id") == [2, 3]


@pytest.mark.parametrize("engine", ["mysql"])
def test_within_a_transaction_it_is_the_end_of_all_of_it(texts, engine):
    size = texts.scalar("select @@max_allowed_packet")

    def work() -> None:
        texts.table("texts").insert({"id": 1, "v": "kept?"})
        with suppress(QueryError):
            texts.table("texts").insert({"id": 2, "v": "x" * (size + 1000)})

    with pytest.raises(QueryError, match="this transaction is over"):
        texts.transaction(work)

    with texts.transaction():
        texts.table("texts").insert({"id": 3, "v": "small"})
    assert texts.table("texts").pluck("id") == [3]


class Text(Model):
    timestamps = False
    guarded: list[str] = []


def test_models_that_go_in_several_statements_go_in_together(texts):
    rows = [{"id": n, "v": "x" * 9_000} for n in range(120)]
    rows[-1]["id"] = 0  # taken

    with pytest.raises(UniqueConstraintError):
        Text.insert(rows)

    assert Text.count() == 0


@pytest.mark.parametrize("write", ["insert", "upsert"])
def test_rows_that_go_in_several_statements_go_in_together(texts, write):
    rows = [*ROWS, {"id": 200, "v": object(), "b": None}]
    arguments = {"insert": (rows,), "upsert": (rows, "id")}[write]

    with pytest.raises(TypeError):
        getattr(texts.table("texts"), write)(*arguments)

    assert texts.table("texts").count() == 0
    assert texts.connection().transaction_level() == 0
