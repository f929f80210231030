"""Reading rows, values and aggregates: the statements sent, and what comes of the answers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from so.db.rows import Collection, Row
from so.errors import MultipleRecordsFoundError, RecordNotFoundError
from tests.db.queries import Recorder, query, raw


def asked(*answers, dialect="base", table="users"):
    recorder = Recorder(*answers)
    return query(dialect, table, recorder=recorder), recorder


def selects(recorder):
    assert {kind for kind, _, _ in recorder.statements} <= {"select"}
    return [(sql, bindings) for _, sql, bindings in recorder.statements]


def test_get_gives_a_collection_of_rows():
    q, _ = asked([{"id": 1, "name": "Ada"}])

    rows = q.get()

    assert isinstance(rows, Collection)
    assert isinstance(rows[0], Row)
    assert rows[0].name == "Ada"


def test_nothing_found_is_an_empty_collection():
    q, _ = asked(None)
    assert q.get() == []


def test_first_and_find_ask_for_one_row_and_leave_the_query_alone():
    q, recorder = asked([{"foo": "bar"}], [{"foo": "baz"}], [], [])

    assert q.where("id", 1).first() == {"foo": "bar"}
    assert q.find(7, ["foo"]) == {"foo": "baz"}
    assert q.first() is None
    assert q.find(1) is None

    assert selects(recorder) == [
        ('select * from "users" where "id" = ? limit 1', [1]),
        ('select "foo" from "users" where "id" = ? and "id" = ? limit 1', [1, 7]),
        ('select * from "users" where "id" = ? limit 1', [1]),
        ('select * from "users" where "id" = ? and "id" = ? limit 1', [1, 1]),
    ]
    assert q.to_sql() == 'select * from "users" where "id" = ?'


def test_first_or_fail_says_that_there_is_no_row():
    q, _ = asked([{"id": 1}], [])

    assert q.first_or_fail() == {"id": 1}
    with pytest.raises(RecordNotFoundError, match=r"^No record found for the given query\.$"):
        q.first_or_fail()
    with pytest.raises(RecordNotFoundError, match="no such invoice"):
        q.first_or_fail(message="no such invoice")
    assert RecordNotFoundError.status == 404


def test_the_or_forms_call_back_when_there_is_no_row():
    q, recorder = asked([{"id": 1}], [], [{"id": 2}], [], [])

    assert q.first_or(lambda: "none") == {"id": 1}
    assert q.first_or(["id"], lambda: "none") == "none"
    assert q.find_or(2, ["id"], lambda: "none") == {"id": 2}
    assert q.find_or(3, lambda: "none") == "none"
    with pytest.raises(ValueError, match="callable"):
        q.find_or(3)
    assert selects(recorder)[2] == ('select "id" from "users" where "id" = ? limit 1', [2])


def test_sole_wants_exactly_one_row():
    q, recorder = asked([{"id": 1}], [], [{"id": 1}, {"id": 2}], [{"name": "Ada"}])

    assert q.sole() == {"id": 1}
    with pytest.raises(RecordNotFoundError):
        q.sole()
    with pytest.raises(MultipleRecordsFoundError) as error:
        q.sole()
    assert error.value.count == 2
    assert q.sole_value("name") == "Ada"
    assert selects(recorder)[0] == ('select * from "users" limit 2', [])
    assert selects(recorder)[3] == ('select "name" from "users" limit 2', [])


def test_single_values():
    q, recorder = asked([{"foo": "bar"}], [], [{'UPPER("foo")': "BAR"}], [])
    q.where("id", 1)

    assert q.value("foo") == "bar"
    assert q.value("foo") is None
    assert q.raw_value('UPPER("foo")') == "BAR"
    assert q.raw_value("x + ?", [2]) is None
    assert selects(recorder) == [
        ('select "foo" from "users" where "id" = ? limit 1', [1]),
        ('select "foo" from "users" where "id" = ? limit 1', [1]),
        ('select UPPER("foo") from "users" where "id" = ? limit 1', [1]),
        ('select x + ? from "users" where "id" = ? limit 1', [2, 1]),
    ]


def test_pluck_gives_a_list_or_a_dict():
    two = [{"id": 1, "foo": "bar"}, {"id": 10, "foo": "baz"}]
    q, recorder = asked(two, two, [{"foo": "bar"}], two)

    assert q.pluck("foo") == ["bar", "baz"]
    assert q.pluck("foo", "id") == {1: "bar", 10: "baz"}
    assert q.pluck("foo", "foo") == {"bar": "bar"}
    assert q.select("id", "foo").pluck("foo") == ["bar", "baz"]
    assert [sql for sql, _ in selects(recorder)] == [
        'select "foo" from "users"',
        'select "foo", "id" from "users"',
        'select "foo" from "users"',
        'select "id", "foo" from "users"',
    ]


@pytest.mark.parametrize(
    ("column", "answer"),
    [
        ("users.name", {"name": "Ada"}),
        ("name as n", {"n": "Ada"}),
        ("options->lang", {"json_extract(…)": "Ada"}),
        (raw("upper(name)"), {"upper(name)": "Ada"}),
        (raw("upper(name) as big"), {"big": "Ada"}),
    ],
)
def test_pluck_finds_the_value_under_the_name_the_engine_gave(column, answer):
    q, _ = asked([answer], dialect="sqlite")
    assert q.pluck(column) == ["Ada"]


def test_pluck_of_a_column_that_is_not_selected_is_an_error():
    q, _ = asked([{"id": 1}])
    with pytest.raises(ValueError, match="cannot pluck 'name': the query selects id"):
        q.select("id").pluck("name")


def test_implode_joins_the_values():
    rows = [{"foo": "bar"}, {"foo": None}, {"foo": 3}]
    q, _ = asked(rows, rows)
    assert q.implode("foo") == "bar3"
    assert q.implode("foo", ",") == "bar,,3"


# --- aggregates ---------------------------------------------------------------------------------


def one(value):
    return [{"aggregate": value}]


def test_aggregates_ask_for_one_number():
    q, recorder = asked(one(4), one(1), one(9), one("3.50"), one(2.5), one(2), one(7))

    assert q.count() == 4
    assert q.min("id") == 1
    assert q.max("id") == 9
    assert q.sum("id") == Decimal("3.50")
    assert q.avg("id") == 2.5
    assert q.average("id") == 2
    assert q.numeric_aggregate("max", "id") == 7
    assert [sql for sql, _ in selects(recorder)] == [
        'select count(*) as "aggregate" from "users"',
        'select min("id") as "aggregate" from "users"',
        'select max("id") as "aggregate" from "users"',
        'select sum("id") as "aggregate" from "users"',
        'select avg("id") as "aggregate" from "users"',
        'select avg("id") as "aggregate" from "users"',
        'select max("id") as "aggregate" from "users"',
    ]


def test_over_no_rows_there_is_a_count_and_a_sum_but_no_average():
    q, _ = asked(one(0), one(None), one(None), one(None), [], [])

    assert q.count() == 0
    assert q.sum("id") == 0
    assert q.avg("id") is None
    assert q.max("id") is None
    assert q.min("id") is None
    assert q.count() == 0


def test_aggregates_leave_the_query_reusable():
    q, recorder = asked(one(1), one(2), [{"column1": "foo"}])
    q.select("column1", "column2").order_by("column1")

    assert q.count() == 1
    assert q.sum("id") == 2
    q.get()

    assert [sql for sql, _ in selects(recorder)] == [
        'select count(*) as "aggregate" from "users"',
        'select sum("id") as "aggregate" from "users"',
        'select "column1", "column2" from "users" order by "column1" asc',
    ]


def test_an_aggregate_drops_the_columns_with_their_bindings():
    q, recorder = asked(one(1))
    q.select_sub(lambda s: s.from_("posts").select("foo").where("title", "foo"), "post")

    assert q.count() == 1

    assert selects(recorder) == [('select count(*) as "aggregate" from "users"', [])]
    assert q.get_bindings() == ["foo"]


@pytest.mark.parametrize(
    ("build", "sql"),
    [
        (lambda q: q.count("a"), 'select count("a") as "aggregate" from "users"'),
        (lambda q: q.count(["a", "b"]), 'select count("a", "b") as "aggregate" from "users"'),
        (
            lambda q: q.distinct().count("a"),
            'select count(distinct "a") as "aggregate" from "users"',
        ),
        (lambda q: q.distinct().count(), 'select count(*) as "aggregate" from "users"'),
        (
            lambda q: q.distinct("a", "b").count(),
            'select count(distinct "a", "b") as "aggregate" from "users"',
        ),
        (lambda q: q.sum(raw("a * b")), 'select sum(a * b) as "aggregate" from "users"'),
        (
            lambda q: q.select("a").having("a", ">", raw("1")).count(),
            'select count(*) as "aggregate" from (select "a" from "users" having "a" > 1)'
            ' as "temp_table"',
        ),
        (
            lambda q: q.select("id").union(query("base", "v").select("id")).count(),
            'select count(*) as "aggregate" from ((select "id" from "users") union'
            ' (select "id" from "v")) as "temp_table"',
        ),
    ],
)
def test_what_is_counted(build, sql):
    q, recorder = asked(one(1))
    build(q)
    assert selects(recorder)[0][0] == sql


def test_a_union_is_counted_as_sqlite_writes_it():
    q, recorder = asked(one(1), dialect="sqlite", table="posts")
    q.union(query("sqlite", "videos")).count()
    assert selects(recorder)[0][0] == (
        'select count(*) as "aggregate" from (select * from (select * from "posts")'
        ' union select * from (select * from "videos")) as "temp_table"'
    )


def test_a_having_on_a_sub_query_is_counted_from_outside():
    q, recorder = asked(one(1), dialect="mysql", table="posts")
    q.select_sub(
        lambda q: q.from_("videos").select("count(*)").where_column("posts.id", "videos.post_id"),
        "videos_count",
    ).having("videos_count", ">", 1).count()

    assert selects(recorder) == [
        (
            "select count(*) as `aggregate` from (select (select `count(*)` from `videos`"
            " where `posts`.`id` = `videos`.`post_id`) as `videos_count` from `posts`"
            " having `videos_count` > ?) as `temp_table`",
            [1],
        )
    ]


def test_an_aggregate_function_is_a_name():
    q, _ = asked()
    with pytest.raises(ValueError, match="not the name of an aggregate function"):
        q.aggregate("sum(x); --", "a")


def test_exists_asks_the_engine_for_a_yes_or_no():
    yes, no = [{"exists": 1}], [{"exists": 0}]
    q, recorder = asked(yes, no, yes, no, yes, no, yes, no, [])

    assert q.exists() is True
    assert q.exists() is False
    assert q.doesnt_exist() is False
    assert q.doesnt_exist() is True
    assert q.exists_or(lambda: 123) is True
    assert q.exists_or(lambda: 123) == 123
    assert q.doesnt_exist_or(lambda: 123) == 123
    assert q.doesnt_exist_or(lambda: 123) is True
    assert q.exists() is False
    assert selects(recorder)[0] == ('select exists(select * from "users") as "exists"', [])


def test_exists_in_mysql_with_a_time_limit():
    q, recorder = asked([{"exists": "1"}], dialect="mysql")
    assert q.timeout(2).exists() is True
    assert selects(recorder)[0][0] == (
        "select /*+ MAX_EXECUTION_TIME(2000) */ exists(select * from `users`) as `exists`"
    )


def test_the_row_number_of_a_group_limit_is_not_shown():
    q, _ = asked([{"id": 1, "laravel_row": 1}])
    assert q.group_limit(1, "user_id").get() == [{"id": 1}]


def test_an_aggregate_forgets_bindings_added_to_the_columns():
    q, recorder = asked(one(1))
    q.add_binding(5, "select").where("a", 1).count()
    assert selects(recorder)[0][1] == [1]
    assert q.get_bindings() == [5, 1]


def test_explain_asks_the_engine_how_it_would_run():
    q, recorder = asked([], [], dialect="mysql")
    q.where("a", 1).explain()
    lite, asked_lite = asked([{"detail": "SCAN"}], dialect="sqlite")

    assert lite.explain()[0].detail == "SCAN"
    assert selects(recorder) == [("explain select * from `users` where `a` = ?", [1])]
    assert selects(asked_lite) == [('explain query plan select * from "users"', [])]
