"""What one engine finds, stores or refuses, the other does as well."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest

from so.db import builder
from so.db.manager import Database
from so.db.model import Model
from so.errors import InvalidArgumentError, QueryError, UnsupportedError
from tests.db.model_tables import make_table
from tests.support.needed import mysql_only

# --- JSON: what contains, overlaps and is true --------------------------------------------------

CONTAINS = [
    (1, [1, "1", [1, 2], [[1]], [[[1]]], [2]], [0, 2, 3, 4]),
    (1.0, [1, 1.5, [1], [1.0]], [0, 2, 3]),
    ("1", ["1", 1, ["1"], [1]], [0, 2]),
    (True, [True, 1, [True], [1], {"a": True}], [0, 2]),
    (None, [None, 0, [None], [], [0]], [0, 2]),
    ("é", ["é", "e", ["é", "x"]], [0, 2]),
    ('q"\\', ['q"\\', ['q"\\'], "q"], [0, 1]),
    ([], [[], [1], {}, 1, [[]], {"a": []}], [0, 1, 4]),
    ({}, [{}, {"a": 1}, [{}], [1], []], [0, 1, 2]),
    ([1], [1, [1], [1, 2], [[1]], [2]], [1, 2, 3]),
    ([1, 2], [[2, 1], [1], [[1], [2]], [1, 2, 3]], [0, 2, 3]),
    (
        {"a": 1},
        [{"a": 1}, {"a": 1, "b": 2}, {"a": 2}, [{"a": 1, "b": 2}], {"a": [1]}],
        [0, 1, 3, 4],
    ),
    ({"a": {"b": 1}}, [{"a": {"b": 1, "c": 2}}, {"a": {}}, {"a": 1}], [0]),
    ([{"a": 1}, {"b": 2}], [[{"a": 1}, {"b": 2}], [{"a": 1, "b": 2}], [{"a": 1}]], [0, 1]),
]
OVERLAPS = [
    ([1, 2], [[2, 3], [3], 1, [1.0], ["1"], [[1]], []], [0, 2, 3]),
    (1, [1, [1], [[1]], True, [True]], [0, 1]),
    (True, [True, 1, [True], [1]], [0, 2]),
    (None, [None, [None], 0, []], [0, 1]),
    ({"a": 1}, [{"a": 1, "b": 3}, {"a": 2}, [{"a": 1}], [{"a": 1, "b": 2}]], [0, 2]),
    ([[1, 2]], [[[1, 2]], [[2, 1]], [1, 2], [[1]]], [0]),
    ([{"a": 1, "b": 2}], [[{"b": 2, "a": 1}], [{"a": 1}], {"b": 2, "a": 1}], [0, 2]),
    ([], [[], [1]], []),
]


@pytest.fixture
def documents(empty_db: Database) -> Database:
    make_table(empty_db, "docs", "j longtext")
    return empty_db


def stored(db: Database, values: list[Any]) -> Any:
    """Fill the table with *values*, as documents and under a key of one; a finder of indexes."""
    db.table("docs").delete()
    for value in values:
        db.table("docs").insert(
            {"j": json.dumps({"in": value, "list": [value]}, ensure_ascii=False)}
        )
    first = db.table("docs").min("id")

    def found(query: Any) -> list[int]:
        return [key - first for key in query.order_by("id").pluck("id")]

    return found


@pytest.mark.parametrize(("wanted", "values", "hits"), CONTAINS)
def test_containment_is_that_of_mysql(
    documents: Database, wanted: Any, values: list[Any], hits: list[int]
) -> None:
    found = stored(documents, values)
    misses = [at for at in range(len(values)) if at not in hits]

    def table() -> Any:
        return documents.table("docs")

    assert found(table().where_json_contains("j->in", wanted)) == hits
    assert found(table().where_json_contains("j->list[0]", wanted)) == hits
    assert found(table().where_json_doesnt_contain("j->in", wanted)) == misses
    assert found(table().where("id", 0).or_where_json_contains("j->in", wanted)) == hits
    assert found(table().where("id", 0).or_where_json_doesnt_contain("j->in", wanted)) == misses
    assert found(table().where_json_contains("j", {"in": wanted})) == hits
    assert found(table().where_json_contains("j->gone", wanted)) == []
    assert found(table().where_json_doesnt_contain("j->gone", wanted)) == []


@pytest.mark.parametrize(("wanted", "values", "hits"), OVERLAPS)
def test_overlap_is_that_of_mysql(
    documents: Database, wanted: Any, values: list[Any], hits: list[int]
) -> None:
    found = stored(documents, values)
    misses = [at for at in range(len(values)) if at not in hits]
    server = documents.connection().server
    if server.product == "mariadb" and server.version < (10, 9):
        with pytest.raises(UnsupportedError, match=r"10\.9"):
            documents.table("docs").where_json_overlaps("j->in", wanted)
        return

    assert found(documents.table("docs").where_json_overlaps("j->in", wanted)) == hits
    assert found(documents.table("docs").where_json_doesnt_overlap("j->in", wanted)) == misses


TRUTHS = [True, 1, "true", False, 0, "false", None, [1], {"a": 1}, 2, [True]]


@pytest.mark.parametrize(
    ("ask", "hits"),
    [
        (lambda q: q.where("j->in", True), [0]),
        (lambda q: q.where("j->in", False), [3]),
        (lambda q: q.where({"j->in": True}), [0]),
        (lambda q: q.where("j->in", "!=", True), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (lambda q: q.where("j->in", "<>", False), [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]),
        (lambda q: q.where_not("j->in", True), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (lambda q: q.where("id", 0).or_where("j->in", True), [0]),
        (lambda q: q.where_in("j->in", [True, False]), [0, 3]),
        (lambda q: q.where_not_in("j->in", [True]), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (lambda q: q.where_null_safe_equals("j->in", True), [0]),
        (lambda q: q.where("j->in", "<=>", False), [3]),
        (lambda q: q.where_any(["j->in", "j->list[0]"], True), [0]),
        (lambda q: q.where("j->gone", True).or_where("j->gone", "!=", True), []),
        (lambda q: q.where("j->in", None), [6]),
        (lambda q: q.where_json_length("j->in", 1), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (lambda q: q.where_json_length("j", 2).where_json_length("j->gone", ">=", 0), []),
        (lambda q: q.where_json_contains_key("j->in->a"), [8]),
    ],
)
def test_truth_values_are_neither_numbers_nor_texts(
    documents: Database, ask: Any, hits: list[int]
) -> None:
    found = stored(documents, TRUTHS)

    assert found(ask(documents.table("docs"))) == hits


@pytest.mark.parametrize(
    "key", ['say"x', "back\\slash", 'both"\\', "it's", "é", "a.b", "a b", "$", '"']
)
def test_every_key_of_a_document_is_reached(documents: Database, key: str) -> None:
    path = f"j->{key}"
    document = {key: {"n": 6, "t": True, "l": [1, "x"]}}
    documents.table("docs").insert({"j": json.dumps(document, ensure_ascii=False)})

    def table() -> Any:
        return documents.table("docs")

    assert table().where(f"{path}->n", 6).count() == 1
    assert table().where(f"{path}->t", True).count() == 1
    assert table().where(f"{path}->gone", None).count() == 1
    assert table().where_json_contains(f"{path}->l", "x").count() == 1
    assert table().where_json_contains_key(f"{path}->l").count() == 1
    assert table().where_json_length(f"{path}->l", 2).count() == 1
    assert table().update({f"{path}->n": 7, f"{path}->new": [True, None, "q"]}) == 1
    assert json.loads(table().value("j")) == {
        key: {"n": 7, "t": True, "l": [1, "x"], "new": [True, None, "q"]}
    }


# --- patterns -----------------------------------------------------------------------------------

WORDS = ["a", "b", "A", "[a]", "[^a]", "a_b", "a%b", "axb", "a\\%b", "a*b", "a?b", "é", "É", "a\\b"]


@pytest.mark.parametrize(
    ("pattern", "options", "hits"),
    [
        ("[a]", {}, ["[a]"]),
        ("[^a]", {}, ["[^a]"]),
        ("a_b", {}, ["a%b", "a*b", "a?b", "a\\b", "a_b", "axb"]),
        ("a_b", {"escape": True}, ["a_b"]),
        ("a\\_b", {}, ["a_b"]),
        ("a\\%b", {}, ["a%b"]),
        ("a\\%b", {"escape": True}, ["a\\%b"]),
        ("a\\\\b", {}, ["a\\b"]),
        ("a\\b", {"escape": True}, ["a\\b"]),
        ("a*b", {}, ["a*b"]),
        ("a?b", {}, ["a?b"]),
        ("%]", {}, ["[^a]", "[a]"]),
        ("[%", {"escape": True}, ["[^a]", "[a]"]),
        ("_", {}, ["A", "a", "b", "É", "é"]),
        ("é", {}, ["é"]),
        ("A", {}, ["A"]),
    ],
)
def test_patterns_that_mind_the_case(
    empty_db: Database, pattern: str, options: dict[str, Any], hits: list[str]
) -> None:
    make_table(empty_db, "words", "w varchar(20)")
    empty_db.table("words").insert([{"w": word} for word in WORDS])

    def asked(method: str) -> list[str]:
        query = getattr(empty_db.table("words"), method)
        return sorted(query("w", pattern, case_sensitive=True, **options).pluck("w"))

    assert asked("where_like") == hits
    assert asked("where_not_like") == sorted(set(WORDS) - set(hits))


@pytest.mark.parametrize(
    ("pattern", "hits"),
    [
        ("a\\%b", ["a%b"]),
        ("a\\_b", ["a_b"]),
        ("a\\\\b", ["a\\b"]),
        ("a\\b", []),
        ("x\\", []),
        ("%\\", ["a\\"]),
    ],
)
def test_a_backslash_in_a_pattern_means_the_same(
    empty_db: Database, pattern: str, hits: list[str]
) -> None:
    make_table(empty_db, "words", "w varchar(20)")
    empty_db.table("words").insert([{"w": word} for word in [*WORDS, "a\\"]])

    assert empty_db.table("words").where_like("w", pattern).pluck("w") == hits


def test_binary_comparison(empty_db: Database) -> None:
    make_table(empty_db, "words", "w varchar(20)")
    empty_db.table("words").insert([{"w": word} for word in ("Ann", "ann", "ann ", "ánn", None)])

    def table() -> Any:
        return empty_db.table("words").order_by("id")

    assert table().where_binary("w", "ann").pluck("id") == [2]
    assert table().where_not_binary("w", "ann").pluck("id") == [1, 3, 4]
    assert table().where("id", 1).or_where_binary("w", "ann").pluck("id") == [1, 2]
    assert table().where("id", 2).or_where_not_binary("w", "ann").pluck("id") == [1, 2, 3, 4]
    assert table().where_binary("w", None).pluck("id") == [5]
    assert table().where_binary("w", b"ann").pluck("id") == [2]


# --- inserting what may be there ----------------------------------------------------------------


@pytest.fixture
def codes(empty_db: Database) -> Database:
    make_table(empty_db, "codes", "code varchar(3) not null unique", "n int not null")
    empty_db.table("codes").insert({"code": "a", "n": 0})
    return empty_db


def test_what_a_key_forbids_is_left_out(codes: Database) -> None:
    rows = [{"code": code, "n": 1} for code in ("a", "b", "b", "c")]

    assert codes.table("codes").insert_or_ignore(rows) == 2
    assert codes.table("codes").insert_or_ignore(rows) == 0
    assert codes.table("codes").insert_or_ignore({"code": "a", "n": 1}) == 0
    assert codes.table("codes").insert_or_ignore({"code": "d", "n": 1}) == 1
    assert codes.table("codes").order_by("code").pluck("n", "code") == {
        "a": 0,
        "b": 1,
        "c": 1,
        "d": 1,
    }


@pytest.mark.parametrize("several", [False, True])
def test_what_the_column_forbids_is_not_stored(codes: Database, several: bool) -> None:
    wrong = {"code": "x", "n": None}
    rows = [{"code": "a", "n": 1}, wrong, {"code": "b", "n": 1}] if several else wrong

    assert codes.table("codes").insert_or_ignore(rows) == (1 if several else 0)
    assert codes.table("codes").where("code", "x").count() == 0


@mysql_only  # SQLite's columns hold what they get
def test_a_text_too_long_is_an_error_where_columns_have_a_length(codes: Database) -> None:
    for rows in (
        {"code": "long", "n": 1},
        [{"code": "b", "n": 1}, {"code": "long", "n": 1}],
        [{"code": "a", "n": 1}, {"code": "long", "n": 1}],
    ):
        with pytest.raises(QueryError, match="too long"):
            codes.table("codes").insert_or_ignore(rows)
    assert codes.table("codes").pluck("code") == ["a"]


def test_many_rows_that_are_mostly_there(codes: Database) -> None:
    rows = [{"code": f"{n:03}", "n": n} for n in range(900)]
    codes.table("codes").insert(rows[::2])

    assert codes.table("codes").insert_or_ignore(rows) == 450
    assert codes.table("codes").count() == 901


def test_what_went_in_is_given_back(codes: Database) -> None:
    def insert(rows: Any, *options: Any) -> list[dict[str, Any]]:
        return [
            dict(row) for row in codes.table("codes").insert_or_ignore_returning(rows, *options)
        ]

    one = insert({"code": "b", "n": 1})
    assert [(row["code"], row["n"]) for row in one] == [("b", 1)]
    assert insert({"code": "b", "n": 2}) == []
    rows = [{"code": code, "n": 3} for code in ("a", "c", "b", "d")]
    assert insert(rows, ["code"], ["code"]) == [{"code": "c"}, {"code": "d"}]
    assert insert(rows, "code", "code") == []
    assert insert([]) == []


def test_a_row_without_what_it_must_have_is_left_out_of_those_given_back(codes: Database) -> None:
    rows = [{"code": "b", "n": 1}, {"code": "x", "n": None}, {"code": "a", "n": 1}]

    found = codes.table("codes").insert_or_ignore_returning(rows, ["code"])

    assert [dict(row) for row in found] == [{"code": "b"}]
    assert codes.table("codes").insert_or_ignore_returning({"code": "x", "n": None}) == []
    assert codes.table("codes").order_by("code").pluck("code") == ["a", "b"]


def test_rows_with_and_without_a_number_of_their_own_are_given_back(codes: Database) -> None:
    rows = [{"id": number, "code": code, "n": 1} for number, code in ((None, "b"), (70, "c"))]
    rows += [{"id": 70, "code": "d", "n": 1}, {"id": None, "code": "e", "n": 1}]

    found = codes.table("codes").insert_or_ignore_returning(rows, ["id", "code"])

    assert [row["code"] for row in found] == ["b", "c", "e"]
    assert found[1]["id"] == 70
    stored = codes.table("codes").pluck("code", "id")
    assert [stored[row["id"]] for row in found] == ["b", "c", "e"]


def test_rows_of_a_key_of_two_columns_are_given_back_as_stored(empty_db: Database) -> None:
    db = empty_db
    db.statement(
        "create table stock (place int not null, item varchar(9) not null, n int default 7,"
        " primary key (place, item))"
    )
    rows = [{"place": 1, "item": item} for item in ("a", "b", "a")]

    with db.transaction():
        found = db.table("stock").insert_or_ignore_returning(rows, unique_by=["place", "item"])

    assert [tuple(row.values()) for row in found] == [(1, "a", 7), (1, "b", 7)]


def test_rows_without_any_key_are_given_back_or_refused_whole(empty_db: Database) -> None:
    empty_db.statement("create table notes (a int)")
    connection = empty_db.connection()
    if connection.server.returns_rows:
        assert len(empty_db.table("notes").insert_or_ignore_returning([{"a": 1}, {"a": 2}])) == 2
        return
    with pytest.raises(UnsupportedError, match="tell no unique key"):
        empty_db.table("notes").insert_or_ignore_returning([{"a": 1}, {"a": 2}])
    assert empty_db.table("notes").count() == 0


def test_an_insert_that_gives_rows_back_is_only_told_when_pretending(codes: Database) -> None:
    told = codes.connection().pretend(
        lambda: codes.table("codes").insert_or_ignore_returning({"code": "b", "n": 1})
    )

    assert [one["query"][:6] for one in told] == ["insert"]
    assert codes.table("codes").count() == 1


def test_models_that_went_in_are_given_back(codes: Database) -> None:
    class Code(Model):
        timestamps = False

    found = Code.query().insert_or_ignore_returning([{"code": "a", "n": 1}, {"code": "b", "n": 1}])

    assert [(type(model), model.code, model.persisted) for model in found] == [(Code, "b", True)]


def test_the_text_of_an_insert_that_gives_rows_back() -> None:
    class Recorder:
        def run(self, kind: str, sql: str, bindings: Any) -> Any:
            seen.append((kind, sql, list(bindings)))

    seen: list[Any] = []
    rows = [{"email": "a"}, {"email": "b"}]
    for dialect in ("sqlite", "mariadb"):
        query = builder(dialect, "users", recorder=Recorder())
        query.insert_or_ignore_returning(rows, ["id", "email"], ["email"])
        query.insert_or_ignore_returning({"email": "a"})
    assert [sql for _, sql, _ in seen] == [
        'insert into "users" ("email") values (?), (?) on conflict ("email") do nothing'
        ' returning "id", "email"',
        'insert into "users" ("email") values (?) on conflict do nothing returning *',
        "insert ignore into `users` (`email`) values (?), (?) returning `id`, `email`",
        "insert ignore into `users` (`email`) values (?) returning *",
    ]
    assert seen[0][2] == ["a", "b"]
    for dialect in ("base", "mysql"):
        with pytest.raises(UnsupportedError, match="returning"):
            builder(dialect, "users", recorder=Recorder()).insert_or_ignore_returning(rows)


# --- writes with a limit ------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", "a, b"])
def test_limited_writes_find_the_rows_of_a_table_without_a_rowid(
    empty_db: Database, engine: str, key: str
) -> None:
    empty_db.statement(
        f"create table codes (a int not null, b int not null, n int, primary key ({key}))"
        + (" without rowid" if engine == "sqlite" else "")
    )
    codes = empty_db.table("codes")
    codes.insert([{"a": n, "b": n, "n": n} for n in range(5)])

    assert codes.clone().order_by("a").limit(2).update({"n": 9}) == 2
    assert codes.clone().order_by_desc("a").limit(1).delete() == 1
    assert codes.update_or_insert({"a": 2, "b": 2}, {"n": 9})
    assert codes.order_by("a").pluck("n") == [9, 9, 9, 3]


# --- vectors ------------------------------------------------------------------------------------


def test_vectors_are_compared_by_mariadb() -> None:
    query = builder("mariadb", "docs")
    query.where("a", 1).select_vector_distance("v", [1, 0.5]).where_vector_similar_to(
        "v", [1, 2], 0.7
    )
    query.or_where_vector_distance_less_than("v", [3], 0.1).select_vector_distance("v", [4], "far")

    assert query.to_sql() == (
        "select vec_distance_cosine(`v`, vec_fromtext(?)) as `v_distance`,"
        " vec_distance_cosine(`v`, vec_fromtext(?)) as `far` from `docs`"
        " where `a` = ? and vec_distance_cosine(`v`, vec_fromtext(?)) <= ?"
        " or vec_distance_cosine(`v`, vec_fromtext(?)) <= ?"
        " order by vec_distance_cosine(`v`, vec_fromtext(?))"
    )
    assert query.get_bindings() == [
        "[1,0.5]", "[4]", 1, "[1,2]", pytest.approx(0.3), "[3]", 0.1, "[1,2]",
    ]  # fmt: skip


@pytest.mark.parametrize("junk", ["x", float("nan"), True, None])
def test_what_is_no_number_is_refused_in_a_vector(junk: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="finite numbers"):
        builder("mariadb", "docs").order_by_vector_distance("v", [1, junk])


@pytest.mark.parametrize("dialect", ["base", "sqlite", "mysql"])
def test_vectors_are_refused_elsewhere(dialect: str) -> None:
    with pytest.raises(UnsupportedError, match="vector"):
        builder(dialect, "docs").order_by_vector_distance("v", [1])


def test_vectors_are_refused_by_a_server_without_them(empty_db: Database) -> None:
    version = (
        ""
        if empty_db.connection().dialect.name == "sqlite"
        else empty_db.scalar("select version()")
    )
    if "MariaDB" in version and tuple(map(int, version.split(".")[:2])) >= (11, 7):
        pytest.skip("this server has vectors")
    with pytest.raises(UnsupportedError, match=r"MariaDB 11\.7"):
        empty_db.table("docs").where_vector_similar_to("v", [1.0])


# --- a loop that writes into what it reads ------------------------------------------------------


@pytest.mark.parametrize("count", [3, 5_000])
@pytest.mark.parametrize("inside", [True, False])
def test_a_loop_over_a_cursor_may_insert_into_its_table(
    empty_db: Database, count: int, inside: bool
) -> None:
    make_table(empty_db, "grows", "v int", "t varchar(9)", "d double", "b blob")
    row = {"v": 1, "t": "5", "d": 0.5, "b": b"\x00x"}
    empty_db.table("grows").insert([row] * count)
    connection = empty_db.connection()
    seen = []

    def loop() -> None:
        for found in islice(connection.table("grows").order_by("id").cursor(), 3 * count):
            seen.append((found.v, found.t, found.d, bytes(found.b)))
            if len(seen) <= 50 or len(seen) > count:
                connection.table("grows").insert(row)

    if inside:
        connection.transaction(loop)
    else:
        loop()

    assert len(seen) == count
    assert set(seen) == {(1, "5", 0.5, b"\x00x")}
    assert connection.table("grows").count() == count + min(50, count)
