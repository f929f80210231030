"""The builder on real databases: what it says is what both engines do."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from textwrap import dedent
from uuid import UUID

import pytest

from so.db.schema import server_of
from so.errors import QueryError, RecordNotFoundError, StatementTimeoutError, UniqueConstraintError
from tests.db.queries import raw

TABLES = {
    "sqlite": (
        "create table items (id integer primary key autoincrement, name text, grp int,"
        " price decimal(12,2), weight double, options text, at text, data blob, big bigint)",
        "create table parts (id integer primary key autoincrement, item_id int, label text)",
        "create table codes (code text primary key, n int)",
    ),
    "mysql": (
        "create table items (id int primary key auto_increment, name varchar(200), grp int,"
        " price decimal(12,2), weight double, options json, at datetime(6), data longblob,"
        " big bigint)",
        "create table parts (id int primary key auto_increment, item_id int, label varchar(200))",
        "create table codes (code varchar(50) primary key, n int)",
    ),
}


@pytest.fixture
def items(empty_db, engine):
    for sql in TABLES[engine]:
        empty_db.connection().statement(sql)
    return lambda: empty_db.table("items")


@pytest.fixture
def filled(items):
    items().insert(
        [
            {"name": "ant", "grp": 1, "price": Decimal("1.25"), "weight": 0.1},
            {"name": "Bee", "grp": 1, "price": Decimal("2.50"), "weight": 0.2},
            {"name": "cat", "grp": 2, "price": Decimal("0.10"), "weight": 0.3},
            {"name": "dog_", "grp": 2, "price": None, "weight": None},
            {"name": "e%l", "grp": None, "price": Decimal("0.20"), "weight": 4.0},
        ]
    )
    return items


def names(query):
    return list(query.order_by("id").pluck("name"))


# --- values -------------------------------------------------------------------------------------


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    "name",
    ["", " ", "Grüße 🐘", 'it\'s "quoted" `here` \\ and %s ? :x', "a\tb\nc", "x" * 5000],
)
def test_text_comes_back_as_it_went(items, name):
    name = name[:200]
    key = items().insert_get_id({"name": name})

    assert items().where("name", name).value("id") == key
    assert items().find(key).name == name


def test_every_kind_of_value_comes_back(items):
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2)))
    items().insert(
        {
            "name": Colour.RED,
            "grp": True,
            "price": Decimal("9999999.99"),
            "options": {"a": [1, None, "é"]},
            "at": at,
            "data": bytes(range(256)),
            "big": 2**63 - 1,
        }
    )
    items().insert({"name": UUID(int=5), "price": None, "big": -(2**63)})

    row = items().first()
    assert row.name == "red"
    assert row.grp == 1
    assert Decimal(str(row.price)) == Decimal("9999999.99")
    assert row.options.replace(" ", "") == '{"a":[1,null,"é"]}'  # MySQL writes JSON its own way
    assert str(row["at"]).replace("T", " ").startswith("2026-01-02 01:04:05.678901")
    assert bytes(row.data) == bytes(range(256))
    assert row.big == 2**63 - 1
    assert items().where("big", "<", 0).value("name") == str(UUID(int=5))
    assert items().where("at", at).count() == 1
    assert items().where("at", ">", at).count() == 0


def test_names_with_quotes_in_them_are_names(empty_db, engine):
    table, column = 'we"ird`t', 'c"o`l; drop'
    quote = "`" if engine == "mysql" else '"'
    quoted = [quote + one.replace(quote, quote * 2) + quote for one in (table, column)]
    empty_db.connection().statement(f"create table {quoted[0]} ({quoted[1]} int)")

    empty_db.table(table).insert([{column: 1}, {column: 2}])

    assert empty_db.table(table).where(column, ">", 1).update({column: 5}) == 1
    assert empty_db.table(table).order_by(column).pluck(column) == [1, 5]


@pytest.mark.parametrize(
    "use",
    [
        lambda q: q.where("naem", "x").get(),
        lambda q: q.where("naem", "naem").get(),
        lambda q: q.order_by("naem").get(),
        lambda q: q.select("naem").get(),
        lambda q: q.sum("naem"),
        lambda q: q.update({"naem": 1}),
        lambda q: q.insert({"naem": 1}),
    ],
)
def test_a_misspelt_column_is_an_error_on_both_engines(filled, use):
    with pytest.raises(QueryError, match="naem"):
        use(filled())


# --- aggregates ---------------------------------------------------------------------------------


def test_sums_and_averages_are_exact(filled):
    assert filled().sum("price") == Decimal("4.05")
    assert isinstance(filled().sum("price"), Decimal)
    assert filled().avg("price") == Decimal("1.012500")
    assert filled().where("id", "<", 4).avg("price") == Decimal("1.283333")
    total = filled().sum("grp")
    assert (total, type(total)) == (6, int)
    assert filled().avg("grp") == Decimal("1.5")
    assert isinstance(filled().sum("weight"), float)
    assert filled().sum("weight") == pytest.approx(4.6)
    assert filled().avg("weight") == pytest.approx(1.15)
    assert filled().where("id", 0).sum("price") == 0
    assert filled().where("id", 0).avg("price") is None
    assert filled().distinct().count("grp") == 2
    assert filled().min("price") == filled().where("name", "cat").value("price")
    assert filled().max("name") == "e%l"


def test_a_thousand_dimes_are_a_hundred(items):
    items().insert([{"price": Decimal("0.10")}] * 1000)
    assert items().sum("price") == Decimal("100.00")
    assert items().avg("price") == Decimal("0.1")
    assert str(items().sum("price")) == "100.00"


def test_steps_in_decimals_are_exact(items):
    items().insert({"price": Decimal("0.20"), "grp": 1})
    items().increment("price", Decimal("0.10"))
    items().increment("price", "0.30")
    items().decrement("price", Decimal("0.05"))
    items().decrement("price", Decimal("-0.05"))
    items().increment("grp", Decimal("2"))

    assert items().where("price", Decimal("0.60")).count() == 1
    assert str(items().sum("price")) == "0.60"
    assert items().sum("grp") == 3


def test_aggregates_of_groups_joins_unions_and_expressions(filled, empty_db):
    groups = filled().select("grp").group_by("grp").having_raw("count(*) > ?", [1])
    assert groups.get_count_for_pagination() == 2
    assert groups.paginate(1).total == 2
    assert filled().from_("items as i").sum("i.price") == Decimal("4.05")
    assert filled().sum(raw("grp * 2")) == 12
    empty_db.table("parts").insert([{"item_id": 1, "label": "x"}, {"item_id": 1, "label": "y"}])
    joined = filled().join("parts", "parts.item_id", "items.id")
    assert joined.sum("items.price") == Decimal("2.50")
    assert joined.count() == 2
    both = filled().select("grp").union_all(filled().select("grp").where("grp", 1))
    assert both.count() == 7
    assert both.sum("grp") == 8


# --- reading ------------------------------------------------------------------------------------


def test_rows_come_by_every_way_of_asking(filled):
    assert filled().first().name == "ant"
    assert filled().find(3).name == "cat"
    assert filled().find(99) is None
    assert filled().order_by_desc("id").value("name") == "e%l"
    assert filled().where("id", 2).sole().name == "Bee"
    assert filled().where("id", "<", 3).pluck("name", "id") == {1: "ant", 2: "Bee"}
    assert filled().exists() is True
    assert filled().where("id", 0).exists() is False
    assert filled().order_by("id").offset(3).pluck("name") == ["dog_", "e%l"]
    assert filled().order_by("id").limit(1).offset(1).pluck("name") == ["Bee"]
    assert filled().where("id", 1).raw_value("upper(name)") == "ANT"
    assert filled().in_random_order().count() == 5
    assert filled().in_order_of("name", ["cat", "ant"]).order_by("id").pluck("id")[:3] == [3, 1, 2]


def test_columns_of_two_tables_with_one_name_are_plucked_each(filled, empty_db):
    empty_db.table("parts").insert({"id": 70, "item_id": 2, "label": "x"})
    joined = filled().join("parts", "parts.item_id", "items.id")
    assert joined.pluck("parts.id", "items.id") == {2: 70}


def test_conditions_find_the_same_rows(filled):
    assert names(filled().where_null("grp")) == ["e%l"]
    assert names(filled().where_in("name", ["ant", "cat", "?"])) == ["ant", "cat"]
    assert names(filled().where_not_in("id", [1, 2, 3])) == ["dog_", "e%l"]
    assert names(filled().where_integer_in_raw("id", [1, "2"])) == ["ant", "Bee"]
    assert names(filled().where_between("price", [Decimal("0.15"), Decimal("1.25")])) == [
        "ant",
        "e%l",
    ]
    assert names(filled().where_row_values(["grp", "id"], "=", [2, 3])) == ["cat"]
    assert names(filled().where_null_safe_equals("grp", None)) == ["e%l"]
    assert names(filled().where("grp", "<=>", 1)) == ["ant", "Bee"]
    assert names(filled().where_any(["name", "grp"], "=", "2")) == ["cat", "dog_"]
    assert names(filled().where_none(["id", "grp"], "=", 2)) == ["ant"]
    assert names(filled().where_not(lambda q: q.where("id", "<", 4))) == ["dog_", "e%l"]
    assert names(filled().where_column("id", ">", "grp").where("id", "<", 4)) == ["Bee", "cat"]
    assert names(filled().where_value_between(2, ["grp", "id"]).where("id", "<", 3)) == ["Bee"]
    assert names(filled().where("id", "=", filled().select_raw("max(id)"))) == ["e%l"]
    assert names(filled().where_exists(filled().from_("parts"))) == []


def test_patterns_mind_the_case_only_when_asked(filled):
    assert names(filled().where_like("name", "B%")) == ["Bee"]
    assert names(filled().where_like("name", "b%")) == ["Bee"]
    assert names(filled().where_like("name", "b%", True)) == []
    assert names(filled().where_like("name", "B_e", True)) == ["Bee"]
    assert names(filled().where_not_like("name", "%e%", True)) == ["ant", "cat", "dog_"]
    assert names(filled().where_like("name", "%_", escape=True)) == ["dog_"]
    assert names(filled().where_like("name", "%%l", escape=True)) == ["e%l"]


def test_dates_are_compared_by_their_parts(items):
    items().insert(
        [
            {"name": "a", "at": datetime(2024, 2, 3, 23, 59, 59, tzinfo=UTC)},
            {"name": "b", "at": datetime(2025, 12, 31, 4, 5, 6, tzinfo=UTC)},
            {"name": "c", "at": None},
        ]
    )
    assert names(items().where_date("at", date(2024, 2, 3))) == ["a"]
    assert names(items().where_date("at", ">", "2024-02-03")) == ["b"]
    assert names(items().where_day("at", 3)) == ["a"]
    assert names(items().where_month("at", 12)) == ["b"]
    assert names(items().where_year("at", ">=", 2025)) == ["b"]
    assert names(items().where_time("at", "04:05:06")) == ["b"]
    assert names(items().where_past("at")) == ["a", "b"]
    assert names(items().where_future("at")) == []


def test_json_is_asked_and_changed_by_path(items):
    items().insert(
        [
            {"name": "a", "options": {"on": True, "n": 5, "tags": ["x", "y"], "deep": {"k": "v"}}},
            {"name": "b", "options": {"on": False, "tags": [], "nil": None}},
            {"name": "c", "options": None},
        ]
    )
    assert names(items().where("options->on", True)) == ["a"]
    assert names(items().where("options->on", False)) == ["b"]
    assert names(items().where("options->n", 5)) == ["a"]
    assert names(items().where("options->deep->k", "v")) == ["a"]
    assert names(items().where("options->tags[1]", "y")) == ["a"]
    assert names(items().where_null("options->nil")) == ["a", "b", "c"]
    assert names(items().where_json_contains("options->tags", "x")) == ["a"]
    assert names(items().where_json_contains("options->tags", ["y", "x"])) == ["a"]
    assert names(items().where_json_contains("options->tags", ["y", "z"])) == []
    server = items().runner.server
    if server.product != "mariadb" or server.version >= (10, 9):
        assert names(items().where_json_overlaps("options->tags", ["y", "z"])) == ["a"]
    assert names(items().where_json_contains_key("options->nil")) == ["b"]
    assert names(items().where_json_length("options->tags", 0)) == ["b"]
    assert names(items().where_json_length("options->tags", ">", 1)) == ["a"]
    assert items().where("name", "a").value("options->deep->k") == "v"
    assert items().order_by("id").pluck("options->deep->k") == ["v", None, None]

    changes = {"options->n": 6, "options->deep->new": [1, {"z": "é"}], "options->on": False}
    assert items().where("name", "a").update(changes) == 1

    assert names(items().where("options->n", 6).where("options->on", False)) == ["a"]
    assert names(items().where("options->deep->new[1]->z", "é")) == ["a"]
    assert names(items().where("options->deep->k", "v")) == ["a"]


def test_unions_are_ordered_and_limited_as_a_whole(filled):
    q = filled().select("name").where("id", 1).union(filled().select("name").where("id", ">", 3))
    assert q.order_by_desc("name").limit(2).pluck("name") == ["e%l", "dog_"]
    assert q.get_count_for_pagination() == 3


def test_so_many_rows_of_each_group(filled):
    q = filled().where_not_null("grp").order_by_desc("id").group_limit(1, "grp")
    assert sorted(row.name for row in q.get()) == ["Bee", "dog_"]
    assert "laravel_row" not in q.get()[0]


def test_pages_and_cursors_go_through_all_rows(filled):
    page = filled().order_by("id").paginate(2, 3)
    assert (page.total, page.last_page, page.from_, page.to) == (5, 3, 5, 5)
    seen, cursor = [], None
    while True:
        page = filled().order_by("grp").order_by_desc("id").where_not_null("grp")
        page = page.cursor_paginate(1, cursor)
        seen += [row.id for row in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [2, 1, 4, 3]


def test_explain_shows_a_plan(filled):
    assert len(filled().where("id", 1).explain()) >= 1


def test_locks_are_taken_in_a_transaction(filled, empty_db):
    def work():
        locked = filled().where("id", 1).lock_for_update().first()
        filled().where("id", 2).shared_lock().get()
        return locked.name

    assert empty_db.transaction(work) == "ant"


def test_a_statement_takes_a_time_limit(filled):
    assert filled().timeout(30).count() == 5
    assert filled().timeout(30).exists() is True
    assert len(filled().union(filled()).timeout(30).get()) == 5


@pytest.mark.parametrize("engine", ["mysql"], indirect=False)
def test_the_server_stops_what_takes_longer(filled):
    with pytest.raises(StatementTimeoutError):
        filled().select_raw("sleep(20)").timeout(1).get()


# --- writing ------------------------------------------------------------------------------------


def test_updates_count_the_rows_that_matched(filled):
    assert filled().where("grp", 1).update({"grp": 1}) == 2
    assert filled().where("id", 0).update({"grp": 1}) == 0
    assert filled().order_by_desc("id").limit(2).update({"name": "last"}) == 2
    assert names(filled()) == ["ant", "Bee", "cat", "last", "last"]
    assert filled().increment("grp", 5, {"name": "up"}) == 5
    assert filled().where("id", 1).decrement("grp") == 1
    assert filled().order_by("id").pluck("grp") == [5, 6, 7, 7, None]
    assert filled().where("id", 1).increment_each({"grp": 1, "weight": 0.5}) == 1
    assert (
        filled().where("id", 1).update({"grp": filled().from_("parts").select_raw("count(*)")}) == 1
    )
    assert filled().find(1).grp == 0


def test_updates_and_deletes_reach_through_joins(filled, empty_db):
    empty_db.table("parts").insert([{"item_id": n, "label": "x"} for n in (1, 2, 2)])
    joined = filled().join("parts", "parts.item_id", "=", "items.id").where("parts.label", "x")

    assert joined.clone().where("items.id", 2).update({"name": "joined"}) == 1
    assert filled().find(2).name == "joined"
    assert joined.clone().where("items.id", 2).delete() == 1
    assert [row.id for row in filled().order_by("id").get()] == [1, 3, 4, 5]
    assert filled().order_by("id").limit(2).delete() == 2
    assert filled().delete(4) == 1
    assert filled().delete() == 1


def test_upserts_insert_or_change(empty_db, items, engine):
    codes = lambda: empty_db.table("codes")  # noqa: E731
    codes().upsert([{"code": "a", "n": 1}, {"code": "b", "n": 2}], "code")
    codes().upsert([{"code": "b", "n": 3}, {"code": "c", "n": 4}], "code", ["n"])
    codes().upsert({"code": "c", "n": 9}, ["code"], {"n": raw("n + 10")})
    assert codes().order_by("code").pluck("n", "code") == {"a": 1, "b": 3, "c": 14}
    assert codes().insert_or_ignore([{"code": "a", "n": 0}, {"code": "d", "n": 5}]) == 1
    assert (
        codes().insert_using(
            ["code", "n"], lambda q: q.from_("codes").select_raw("'z', 7").limit(1)
        )
        == 1
    )
    assert codes().update_or_insert({"code": "q"}, {"n": 1}) is True
    assert codes().update_or_insert({"code": "q"}, {"n": 2}) is True
    assert codes().where("code", "q").value("n") == 2
    with pytest.raises(UniqueConstraintError):
        codes().insert({"code": "a", "n": 1})


def test_long_inserts_and_lists_fit(items):
    rows = [{"name": str(n), "grp": n} for n in range(40_000)]
    assert items().insert(rows) is True
    assert items().count() == 40_000
    assert items().where_in("grp", list(range(0, 30_000))).count() == 30_000
    assert items().where_integer_in_raw("grp", range(40_000)).count() == 40_000


def test_truncate_starts_the_numbers_anew(filled):
    filled().truncate()
    assert filled().count() == 0
    assert filled().insert_get_id({"name": "first"}) == 1


# --- much of it ---------------------------------------------------------------------------------


def test_rows_deleted_or_changed_on_the_way_are_each_seen_once(items):
    items().insert([{"name": "n", "grp": 0} for _ in range(50)])
    seen = []

    def settle(rows):
        seen.extend(row.id for row in rows)
        items().where_in("id", [row.id for row in rows]).update({"grp": 1})

    items().where("grp", 0).chunk_by_id(7, settle)
    assert seen == list(range(1, 51))
    deleted = [items().delete(row.id) for row in items().lazy_by_id(7)]
    assert deleted == [1] * 50


def test_other_queries_run_while_a_cursor_is_open(filled):
    seen = []
    for row in filled().order_by("id").cursor():
        seen.append((row.id, filled().where("id", row.id).value("name")))
        assert filled().first().id == 1
    assert seen == [(1, "ant"), (2, "Bee"), (3, "cat"), (4, "dog_"), (5, "e%l")]


MANY = 100_000  # of which a list is 20 MB at least, of models 34


def test_many_rows_are_walked_in_little_memory(empty_db, empty_db_config, engine):
    connection = empty_db.connection()
    connection.statement("create table many (id integer primary key, label varchar(60))")
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)"
    if engine == "mysql":
        has_its_own = server_of(connection) == "mysql"
        most = "cte_max_recursion_depth" if has_its_own else "max_recursive_iterations"
        connection.statement(f"set session {most} = 1000000")
        connection.statement(
            f"insert into many {numbers} select i, concat('label ', i, repeat('x', 40)) from n",
            [MANY],
        )
    else:
        connection.statement(
            f"insert into many {numbers} select i, 'label ' || i || '{'x' * 40}' from n", [MANY]
        )
    program = dedent(
        f"""
        import resource
        from so.db.manager import Database
        db = Database({{"default": {empty_db_config!r}}})
        db.table("many").order_by("id").limit(2000).get()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        walks = [
            db.table("many").cursor(),
            db.table("many").lazy_by_id(1000),
        ]
        for rows in walks:
            count = total = 0
            for row in rows:
                count, total = count + 1, total + row.id
            assert (count, total) == ({MANY}, {MANY * (MANY + 1) // 2}), (count, total)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 15


def test_a_union_of_whole_rows_is_plucked_by_name(filled):
    both = filled().where("id", "<", 3).union(filled().where("id", ">", 4))

    assert both.order_by("id").pluck("id")[:3] == [1, 2, 5]
    assert len(both.pluck("name")) == both.count()
    assert both.value("name") == both.first()["name"]


def test_a_value_or_an_error(filled):
    assert filled().where("id", 1).value_or_fail("name") == filled().where("id", 1).value("name")
    with pytest.raises(RecordNotFoundError):
        filled().where("id", 0).value_or_fail("name")


def test_a_database_without_numbers_of_its_own_is_truncated(empty_db):
    connection = empty_db.connection()
    connection.unprepared("create table plain (id integer primary key)")
    connection.table("plain").insert([{"id": 1}, {"id": 2}])

    connection.table("plain").truncate()

    assert connection.table("plain").count() == 0
