"""Nothing a client sends becomes SQL: names stay names, values stay values."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest

from so.errors import QueryError
from tests.db.queries import query

HOSTILE = [
    "id; drop table users",
    "id desc; --",
    'id" desc, (select password from users) --',
    "id` desc, (select password from users) -- ",
    "1 = 1 or id",
    "id /* comment",
    "id' or '1'='1",
    "id\\",
    "id\\' or 1=1 -- ",
    "(select 1)",
    "id)",
    "?",
    ":name",
    "%s",
    "id as x; drop",
    "a.b.c.d",
    "a->b') or 1 = 1 -- ",
    "a->b\\') or 1 = 1 -- ",
    "a->b\"') or sleep(9) -- ",
    "a->[0') or 1]",
    "a->b[\\]",
    "a->b\\",
    "\u2019; drop",
    "*, password",
]
PLACES = [
    lambda q, name: q.select(name),
    lambda q, name: q.where(name, 1),
    lambda q, name: q.where_null(name),
    lambda q, name: q.where_column("id", name),
    lambda q, name: q.where_in(name, [1]),
    lambda q, name: q.where_between(name, 1, 2),
    lambda q, name: q.where_date(name, "2020-01-01"),
    lambda q, name: q.where_json_contains(name, 1),
    lambda q, name: q.where_json_length(name, 1),
    lambda q, name: q.group_by(name),
    lambda q, name: q.having(name, 1),
    lambda q, name: q.order_by(name),
    lambda q, name: q.in_order_of(name, [1]),
    lambda q, name: q.join(name, "a", "=", "b"),
    lambda q, name: q.join("b", name, "=", "c"),
    lambda q, name: q.from_(name),
    lambda q, name: q.from_sub(query(q.grammar.name, "t"), name),
    lambda q, name: q.select_sub(query(q.grammar.name, "t"), name),
]
QUOTED = {
    "sqlite": re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\''),
    # MySQL reads a backslash in a literal, too.
    "mysql": re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'", re.DOTALL),
}


def skeleton(dialect, sql):
    """The statement with every quoted name and literal taken out."""
    bare = QUOTED[dialect].sub("x", sql)
    bare = re.sub(r"x(?:\.x)+", "x", bare)
    return re.sub(r"x as x", "x", bare)


@pytest.mark.parametrize("dialect", ["sqlite", "mysql"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_from_outside_stays_a_name(dialect, name):
    like = "a->b" if "->" in name else "a"
    for place in PLACES:
        try:
            sql = place(query(dialect, "users"), name).to_sql()
        except ValueError:
            continue
        harmless = place(query(dialect, "users"), like).to_sql()
        assert skeleton(dialect, sql) == skeleton(dialect, harmless)


@pytest.mark.parametrize("value", [*HOSTILE, "\0", "", None, 1, b"x", True])
def test_a_value_from_outside_is_bound(value):
    q = query("mysql", "users").where_in("a", [value]).where_raw("b = ?", [value])
    assert q.to_sql() == "select * from `users` where `a` in (?) and b = ?"
    assert q.get_bindings() == [value, value]


@pytest.mark.parametrize("word", [*HOSTILE, "descending;", "asc, (id)", "ASC;"])
def test_a_direction_an_operator_and_a_joiner_are_checked(word):
    q = query("mysql", "users")
    with pytest.raises(ValueError):
        q.order_by("id", word)
    with pytest.raises(ValueError):
        q.where("id", word, 1)
    with pytest.raises(ValueError):
        q.where("id", "=", 1, word)
    with pytest.raises(ValueError):
        q.limit(word)
    with pytest.raises(ValueError):
        q.in_random_order(word)
    with pytest.raises(ValueError):
        q.join("b", "a", "=", "c", word)
    with pytest.raises(ValueError):
        q.use_index(word).to_sql()
    with pytest.raises((ValueError, TypeError)):
        q.increment("n", word)


def test_json_from_a_client_is_no_column():
    body = json.loads('{"sort": ["id", "desc"], "filter": {"id": 1}, "by": [{"id": 1}]}')
    q = query("sqlite", "users")
    for use in (q.order_by, q.latest, q.where_null, q.group_by, q.pluck, q.sum, q.max):
        with pytest.raises(ValueError):
            use(body["filter"])
    with pytest.raises(ValueError):
        q.order_by(body["sort"])
    with pytest.raises(ValueError):
        q.where(body["by"])


def test_a_hostile_sort_harms_nothing_on_real_engines(empty_db):
    empty_db.connection().statement("create table users (id int, options text)")
    empty_db.table("users").insert([{"id": 1, "options": '{"a":1}'}, {"id": 2, "options": None}])
    users = lambda: empty_db.table("users")  # noqa: E731

    second = users().where("id", 2)
    for name in HOSTILE:
        for ask in (
            users().order_by(name),
            users().where(name, 1),
            second.clone().where("options->" + name, 1),
            second.clone().where("options->" + name, "like", "%"),
        ):
            with suppress(QueryError, ValueError):
                rows = ask.get()
                assert rows == [] or ask.orders, f"{name!r} found rows it names no column of"

    assert users().count() == 2
