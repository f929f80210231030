"""Pages: what is asked, what is told, and how the request has its say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest

from so.db.pagination import Cursor
from so.http.request import Request
from so.support.scope import Scope, entered
from tests.db.queries import Recorder, query, raw

COUNT = 'select count(*) as "aggregate" from "users"'


def asking(answers):
    """A scope whose request has *answers* in its query."""
    scope = Scope()
    scope.request = SimpleNamespace(query=answers.get)
    return scope


def rows(*ids):
    return [{"id": one} for one in ids]


def total(count):
    return [{"aggregate": count}]


def paging(*answers, table="users"):
    recorder = Recorder(*answers)
    return query("base", table, recorder=recorder), recorder


def texts(recorder):
    return [sql for _, sql, _ in recorder.statements]


# --- with a total -------------------------------------------------------------------------------


def test_a_page_tells_where_it_stands():
    q, recorder = paging(total(32), rows(16, 17))

    page = q.where("a", 1).order_by("id").paginate(15, 2)

    assert dict(page) == {
        "data": rows(16, 17),
        "total": 32,
        "per_page": 15,
        "current_page": 2,
        "last_page": 3,
        "from": 16,
        "to": 17,
        "has_more": True,
    }
    assert texts(recorder) == [
        COUNT + ' where "a" = ?',
        'select * from "users" where "a" = ? order by "id" asc limit 15 offset 15',
    ]
    assert q.to_sql() == 'select * from "users" where "a" = ? order by "id" asc'


def test_a_page_is_json_and_has_its_keys_as_attributes():
    q, _ = paging(total(1), rows(1))
    page = q.paginate()
    assert json.loads(json.dumps(page))["data"] == rows(1)
    assert page.total == page.from_ == page.to == page.last_page == 1
    assert page.is_empty is False
    with pytest.raises(AttributeError, match="a page has no 'colour'"):
        page.colour  # noqa: B018


def test_an_empty_page_asks_for_no_rows():
    q, recorder = paging(total(0))
    page = q.paginate(15, 4)
    assert (page["from"], page["to"], page["last_page"], page["total"]) == (None, None, 1, 0)
    assert page.data == []
    assert page.is_empty is True
    assert texts(recorder) == [COUNT]


def test_a_page_beyond_the_last_is_empty_and_asks_for_no_rows():
    q, recorder = paging(total(3))
    page = q.paginate(2, 3)
    assert (page.data, page.current_page, page.last_page, page.has_more) == ([], 3, 2, False)
    assert len(recorder.statements) == 1


@pytest.mark.parametrize("page", [0, -3, "x", "", "1.5", None, [2], 10**30, "9" * 40])
def test_whatever_is_no_page_is_the_first(page):
    q, _ = paging(total(1), rows(1))
    assert q.paginate(1, page).current_page == 1


def test_the_request_says_which_page_where_the_caller_does_not():
    q, _ = paging(total(3), rows(3), rows(3), rows(3))

    with entered(asking({"page": "2", "p": "2"})):
        assert q.paginate(2).current_page == 2
        assert q.simple_paginate(2, page_name="p").current_page == 2
    assert q.simple_paginate(2, page_name="p").current_page == 1


def test_the_total_can_be_given_and_the_size_depend_on_it():
    q, recorder = paging(rows(1), rows(1))
    assert q.paginate(15, 1, total=99).total == 99
    assert q.paginate(lambda total: total, 1, total=lambda: 50).per_page == 50
    assert texts(recorder) == [
        'select * from "users" limit 15 offset 0',
        'select * from "users" limit 50 offset 0',
    ]


@pytest.mark.parametrize("size", [0, -1, "1_0", "1.0", "x", "", "0", 1.5, None, True])
def test_a_page_has_room_for_a_row(size):
    q, _ = paging(total(1))
    for page in (q.paginate, q.simple_paginate, q.order_by("id").cursor_paginate):
        with pytest.raises(ValueError, match="per_page must be a whole number"):
            page(size)


def test_the_links_of_a_page():
    q, _ = paging(total(40), rows(1))
    page = q.paginate(10, 2, page_name="p")
    assert page.links("/users", {"q": "a b"}) == {
        "first": "/users?q=a%20b&p=1",
        "last": "/users?q=a%20b&p=4",
        "prev": "/users?q=a%20b&p=1",
        "next": "/users?q=a%20b&p=3",
    }
    assert page.links("/users?q=a")["next"] == "/users?q=a&p=3"
    with entered(Scope()) as scope:
        scope.request = Request.create("/", environ={"SCRIPT_NAME": "/erp"})
        assert page.links("/users")["next"] == page.links("/erp/users")["next"] == "/erp/users?p=3"
        assert page.links()["next"] == "?p=3"
    first, _ = paging(total(1), rows(1))
    assert first.paginate().links("/u") == {
        "first": "/u?page=1",
        "last": "/u?page=1",
        "prev": None,
        "next": None,
    }


@pytest.mark.parametrize(
    ("build", "sql"),
    [
        (lambda q: q.select("a").order_by("a").limit(3).offset(2), COUNT),
        (
            lambda q: (
                q.select("id").union(query("base", "v").select("id")).latest().limit(2).offset(1)
            ),
            'select count(*) as "aggregate" from ((select "id" from "users") union'
            ' (select "id" from "v")) as "temp_table"',
        ),
        (
            lambda q: q.group_by("a").order_by("a"),
            'select count(*) as "aggregate" from (select * from "users" group by "a")'
            ' as "aggregate_table"',
        ),
        (
            lambda q: q.join("b", "c", "d").group_by("a").having("n", ">", 1),
            'select count(*) as "aggregate" from (select "users".* from "users"'
            ' inner join "b" on "c" = "d" group by "a" having "n" > ?) as "aggregate_table"',
        ),
    ],
)
def test_the_count_behind_a_page(build, sql):
    q, recorder = paging(total(7))
    assert build(q).get_count_for_pagination() == 7
    assert texts(recorder) == [sql]


def test_counting_given_columns_without_their_aliases():
    q, recorder = paging(total(1), [], [])
    columns = ["body as post_body", "teaser", "posts.created as published"]
    q.from_("posts").select(columns)
    assert q.get_count_for_pagination(columns) == 1
    assert texts(recorder) == [
        'select count("body", "teaser", "posts"."created") as "aggregate" from "posts"'
    ]
    assert q.get_count_for_pagination() == 0
    assert q.group_by("a").get_count_for_pagination() == 0


# --- without a total ----------------------------------------------------------------------------


def test_a_simple_page_counts_nothing():
    q, recorder = paging(rows(1, 2, 3), rows(3))

    page = q.order_by("id").simple_paginate(2)
    last = q.simple_paginate(2, 2)

    assert dict(page) == {
        "data": rows(1, 2),
        "per_page": 2,
        "current_page": 1,
        "has_more": True,
    }
    assert last.has_more is False
    assert page.links("/u") == {"prev": None, "next": "/u?page=2"}
    assert last.links("/u") == {"prev": "/u?page=1", "next": None}
    assert texts(recorder) == [
        'select * from "users" order by "id" asc limit 3 offset 0',
        'select * from "users" order by "id" asc limit 3 offset 2',
    ]


# --- by cursor ----------------------------------------------------------------------------------


def test_cursors_lead_forth_and_back():
    q, recorder = paging(rows(1, 2, 3), rows(3, 4, 5), rows(5), rows(4, 3, 2), rows(2, 1))
    q.where("x", 9).order_by("id")

    one = q.cursor_paginate(2)
    two = q.cursor_paginate(2, one.next_cursor)
    three = q.cursor_paginate(2, two.next_cursor)
    back = q.cursor_paginate(2, three.prev_cursor)
    start = q.cursor_paginate(2, back.prev_cursor)

    assert [page.data for page in (one, two, three, back, start)] == [
        rows(1, 2),
        rows(3, 4),
        rows(5),
        rows(3, 4),
        rows(1, 2),
    ]
    assert (one.prev_cursor, three.next_cursor, start.prev_cursor) == (None, None, None)
    assert [page.has_more for page in (one, two, three, back)] == [True, True, False, True]
    assert [(sql, bindings) for _, sql, bindings in recorder.statements] == [
        ('select * from "users" where "x" = ? order by "id" asc limit 3', [9]),
        ('select * from "users" where "x" = ? and ("id" > ?) order by "id" asc limit 3', [9, 2]),
        ('select * from "users" where "x" = ? and ("id" > ?) order by "id" asc limit 3', [9, 4]),
        ('select * from "users" where "x" = ? and ("id" < ?) order by "id" desc limit 3', [9, 5]),
        ('select * from "users" where "x" = ? and ("id" < ?) order by "id" desc limit 3', [9, 3]),
    ]


def place(**parameters):
    return Cursor(parameters).encode()


def test_several_orders_are_compared_one_after_the_other():
    q, recorder = paging([])
    q.order_by("foo").order_by_desc("bar").order_by("baz")

    q.cursor_paginate(16, place(foo=1, bar=2, baz=3), ["foo", "bar", "baz"])

    assert recorder.last == (
        "select",
        'select "foo", "bar", "baz" from "users" where ("foo" > ? or ("foo" = ? and ("bar" < ?'
        ' or ("bar" = ? and ("baz" > ?))))) order by "foo" asc, "bar" desc, "baz" asc limit 17',
        [1, 1, 2, 2, 3],
    )


@pytest.mark.parametrize(
    ("build", "column"),
    [
        (lambda q: q.select_raw("(a || b) as test"), "(a || b)"),
        (lambda q: q.select_sub("CONCAT(a, b)", "test"), "(CONCAT(a, b))"),
        (lambda q: q.select("users.name as test"), '"users"."name"'),
    ],
)
def test_an_order_by_an_alias_is_continued_by_what_it_stands_for(build, column):
    q, recorder = paging([])
    build(q.select("*")).order_by("test").cursor_paginate(15, place(test="bar"))
    sql, bindings = recorder.last[1:]
    assert f"where ({column} > ?) order by" in sql
    assert bindings == ["bar"]


def test_values_of_a_selected_expression_come_along():
    q, recorder = paging([])
    q.select_raw("a + ? as test", [5]).order_by("test").cursor_paginate(15, place(test="bar"))
    assert recorder.last[2] == [5, 5, "bar"]


def test_unions_are_continued_in_each_of_their_selects():
    q, recorder = paging([], table="videos")
    news = query("base", "news").select("id", "created_at").where("extra", "b")
    q.select("id", "start_time as created_at").where("extra", "a").union(news)
    q.order_by_desc("created_at").order_by("id")

    q.cursor_paginate(16, place(created_at="t", id=1))

    assert recorder.last == (
        "select",
        '(select "id", "start_time" as "created_at" from "videos" where "extra" = ?'
        ' and ("start_time" < ? or ("start_time" = ? and ("id" > ?))))'
        ' union (select "id", "created_at" from "news" where "extra" = ?'
        ' and ("created_at" < ? or ("created_at" = ? and ("id" > ?))))'
        ' order by "created_at" desc, "id" asc limit 17',
        ["a", "t", "t", 1, "b", "t", "t", 1],
    )
    assert 'created_at" < ?' not in q.to_sql()
    q.cursor_paginate(16, Cursor({"created_at": "t", "id": 1}, forward=False))
    assert 'order by "created_at" asc, "id" desc limit 17' in recorder.last[1]


def test_conditions_with_or_keep_together():
    q, recorder = paging([])
    q.where("a", 1).or_where("b", 2).order_by("id").cursor_paginate(1, place(id=5))
    assert 'where ("a" = ? or "b" = ?) and ("id" > ?)' in recorder.last[1]


@pytest.mark.parametrize(
    "junk",
    [
        "",
        "x",
        "%%%",
        "é",
        "bm90IGpzb24",
        place(other=1),
        place(id=1, more=2),
        "W10",
        "W1tdLDFd",
        "WzEsMl0",
        5,
        "A" * 9000,
    ],
)
def test_a_cursor_that_is_none_means_the_first_page(junk):
    q, recorder = paging(rows(1))
    assert q.order_by("id").cursor_paginate(2, junk).prev_cursor is None
    assert recorder.last[1] == 'select * from "users" order by "id" asc limit 3'


def test_a_cursor_is_safe_in_an_address_and_keeps_types():
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    text = place(at=at, price=Decimal("1.10"), name="ä/+ ?")
    assert text.replace("-", "").replace("_", "").isalnum()
    assert Cursor.decode(text).parameters == {"at": at, "price": Decimal("1.10"), "name": "ä/+ ?"}


def test_the_request_says_which_cursor_where_the_caller_does_not():
    q, recorder = paging([], [])
    with entered(asking({"after": place(id=7)})):
        q.order_by("id").cursor_paginate(2, cursor_name="after")
        assert recorder.last[2] == [7]
        q.cursor_paginate(2)
        assert recorder.last[2] == []


def test_the_links_of_a_cursor_page():
    q, _ = paging(rows(1, 2), [])
    page = q.order_by("id").cursor_paginate(1)
    assert page.links("/u", {"a": 1}) == {
        "prev": None,
        "next": f"/u?a=1&cursor={page.next_cursor}",
    }
    assert q.cursor_paginate(1).links("/u") == {"prev": None, "next": None}


def test_cursors_need_an_order_by_named_selected_columns():
    q, _ = paging(rows(1, 2), rows(1, 2))
    with pytest.raises(ValueError, match="needs order_by"):
        q.cursor_paginate()
    with pytest.raises(ValueError, match="needs order_by"):
        q.clone().order_by_raw("id").cursor_paginate()
    with pytest.raises(ValueError, match="named columns only"):
        q.clone().order_by(raw("lower(a)")).cursor_paginate(1, place(a=1))
    with pytest.raises(ValueError, match="'name', which the query does not select"):
        q.clone().order_by("name").cursor_paginate(1)


def test_a_page_answers_as_laravels_do():
    query_, _ = paging(total(5), rows(3, 4))
    page = query_.order_by("id").paginate(2, 2)

    assert (page.has_pages(), page.has_more_pages()) == (True, True)
    assert (page.on_first_page(), page.on_last_page()) == (False, False)
    assert (page.first_item(), page.last_item(), page.count()) == (3, 4, 2)
    assert (page.next_page_url("/x"), page.previous_page_url("/x")) == ("/x?page=3", "/x?page=1")
    assert page.url(9, "/x", {"q": "a"}) == "/x?q=a&page=9"
    assert page.through(lambda row: row["id"] * 10) is page
    assert page["data"] == [30, 40]


@pytest.mark.parametrize("method", ["paginate", "simple_paginate", "cursor_paginate"])
def test_the_only_page_is_the_first_and_the_last(method):
    answers = [total(1), rows(1)] if method == "paginate" else [rows(1)]
    query_, _ = paging(*answers)
    page = getattr(query_.order_by("id"), method)(2)

    assert (page.has_pages(), page.on_first_page(), page.on_last_page()) == (False, True, True)
    assert page.next_page_url() is page.previous_page_url() is None
