"""Walking through many rows in parts: what is asked, and that every row comes once."""

from __future__ import annotations

import pytest

from tests.db.queries import Recorder, query, sqlite


class Table:
    """Answers `limit n [offset m]` and `id > ?` from a list of ids, as a database would."""

    def __init__(self, count):
        self.ids = list(range(1, count + 1))
        self.statements = []

    def run(self, kind, sql, bindings):
        self.statements.append((sql, list(bindings)))
        ids = list(self.ids)
        if " desc" in sql:
            ids.reverse()
        if '"id" > ?' in sql:
            ids = [one for one in ids if one > bindings[-1]]
        if '"id" < ?' in sql:
            ids = [one for one in ids if one < bindings[-1]]
        words = sql.split()
        start = int(words[words.index("offset") + 1]) if "offset" in words else 0
        size = int(words[words.index("limit") + 1]) if "limit" in words else len(ids)
        return [{"id": one} for one in ids[start : start + size]]


def table(count):
    found = Table(count)
    return query("sqlite", "t", recorder=found), found


def ids(rows):
    return [row["id"] for row in rows]


def test_chunk_reads_by_offset_until_a_part_is_short():
    q, asked = table(5)
    seen = []

    assert q.order_by("id").chunk(2, lambda rows, page: seen.append((page, ids(rows)))) is True

    assert seen == [(1, [1, 2]), (2, [3, 4]), (3, [5])]
    assert asked.statements == [
        ('select * from "t" order by "id" asc limit 2 offset 0', []),
        ('select * from "t" order by "id" asc limit 2 offset 2', []),
        ('select * from "t" order by "id" asc limit 2 offset 4', []),
    ]


def test_chunk_never_shows_an_empty_part():
    q, asked = table(4)
    seen = []
    q.order_by("id").chunk(2, lambda rows: seen.append(ids(rows)))
    assert seen == [[1, 2], [3, 4]]
    assert len(asked.statements) == 3


def test_chunk_stops_on_false_only():
    q, asked = table(6)
    answers = iter([None, 0, False])
    assert q.order_by("id").chunk(2, lambda rows: next(answers)) is False
    assert len(asked.statements) == 3


@pytest.mark.parametrize("count", [0, -1])
def test_chunks_of_nothing_ask_nothing(count):
    q, asked = table(6)
    q.order_by("id")
    assert q.chunk(count, pytest.fail) is True
    assert q.chunk_by_id(count, pytest.fail) is True
    assert asked.statements == []


def test_chunk_keeps_to_the_querys_own_limit_and_offset():
    q, asked = table(10)
    seen = []
    q.order_by("id").offset(1).limit(5).chunk(2, lambda rows: seen.extend(ids(rows)))
    assert seen == [2, 3, 4, 5, 6]
    assert asked.statements[-1][0].endswith("limit 1 offset 5")


def test_walking_by_offset_needs_an_order():
    for walk in (
        lambda q: q.chunk(2, print),
        lambda q: q.each(print),
        lambda q: q.lazy(),
    ):
        with pytest.raises(ValueError, match=r"^You must specify an orderBy clause"):
            walk(sqlite("t"))


def test_chunk_by_id_reads_on_from_the_last_id():
    q, asked = table(5)
    seen = []

    assert q.where("a", 1).chunk_by_id(2, lambda rows: seen.append(ids(rows))) is True

    assert seen == [[1, 2], [3, 4], [5]]
    assert asked.statements == [
        ('select * from "t" where "a" = ? order by "id" asc limit 2', [1]),
        ('select * from "t" where "a" = ? and "id" > ? order by "id" asc limit 2', [1, 2]),
        ('select * from "t" where "a" = ? and "id" > ? order by "id" asc limit 2', [1, 4]),
    ]


def test_chunk_by_id_sees_every_row_once_though_the_rows_change():
    q, found = table(9)
    seen = []

    def remove(rows):
        seen.extend(ids(rows))
        found.ids = [one for one in found.ids if one not in ids(rows)]

    q.chunk_by_id(2, remove)

    assert seen == list(range(1, 10))


def test_chunk_by_id_puts_an_or_in_parentheses():
    q, asked = table(3)
    q.where("a", 1).or_where("b", 2).chunk_by_id(2, lambda rows: None)
    assert asked.statements[1] == (
        'select * from "t" where ("a" = ? or "b" = ?) and "id" > ? order by "id" asc limit 2',
        [1, 2, 2],
    )


def test_chunk_by_id_downwards_and_under_an_alias():
    q, asked = table(3)
    seen = []
    q.chunk_by_id_desc(2, lambda rows: seen.extend(ids(rows)))
    assert seen == [3, 2, 1]
    assert asked.statements[1] == (
        'select * from "t" where "id" < ? order by "id" desc limit 2',
        [2],
    )

    recorder = Recorder([{"t_id": 1}], [])
    query("sqlite", "t", recorder=recorder).chunk_by_id(1, lambda rows: None, "t.id", "t_id")
    assert recorder.statements[1][1] == (
        'select * from "t" where "t"."id" > ? order by "t"."id" asc limit 1'
    )


def test_chunk_by_id_forgets_another_order_and_heeds_a_limit():
    q, asked = table(9)
    seen = []
    q.order_by("name").offset(1).limit(5).chunk_by_id(2, lambda rows: seen.extend(ids(rows)))
    assert seen == [2, 3, 4, 5, 6]
    assert asked.statements[0][0] == 'select * from "t" order by "id" asc limit 2 offset 1'
    assert "offset" not in asked.statements[1][0]


def test_chunk_by_id_says_that_the_id_is_not_there():
    q = query("sqlite", "t", recorder=Recorder(answer=[{"name": "Ada"}]))
    with pytest.raises(ValueError, match=r"aborted because the \[id\] column is not present"):
        q.chunk_by_id(1, lambda rows: None)


def test_each_calls_back_for_every_row():
    q, _ = table(5)
    seen = []
    assert q.order_by("id").each(lambda row: seen.append(row.id), 2) is True
    assert q.each(lambda row, number: number < 2) is False
    assert q.each_by_id(lambda row, number: seen.append((number, row.id)), 2) is True
    assert seen == [1, 2, 3, 4, 5, (0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


def test_a_default_argument_of_the_callback_is_its_own():
    q, _ = table(3)
    seen = []
    q.order_by("id").chunk(2, lambda rows, out=seen: out.extend(ids(rows)))
    assert seen == [1, 2, 3]


def test_a_builtin_may_be_the_callback():
    q, _ = table(3)
    seen = []
    q.order_by("id").chunk(2, seen.extend)
    assert ids(seen) == [1, 2, 3]


def test_lazy_reads_ahead_no_further_than_a_part():
    q, asked = table(100)
    rows = q.order_by("id").lazy(10)
    assert asked.statements == []
    assert ids(next(rows) for _ in range(15)) == list(range(1, 16))
    assert len(asked.statements) == 2


def test_lazy_by_id_in_both_directions():
    q, asked = table(5)
    assert ids(q.lazy_by_id(2)) == [1, 2, 3, 4, 5]
    assert ids(q.lazy_by_id_desc(2)) == [5, 4, 3, 2, 1]
    assert q.order_by("id").chunk_map(lambda row: row.id * 2, 2) == [2, 4, 6, 8, 10]
    assert all("offset" not in sql for sql, _ in asked.statements[:6])
    for walk in (q.lazy, q.lazy_by_id, q.lazy_by_id_desc):
        with pytest.raises(ValueError, match="chunk size"):
            walk(0)


def test_cursor_asks_once():
    q, asked = table(5)
    assert [row.id for row in q.where("a", ">", 0).cursor()] == [1, 2, 3, 4, 5]
    assert asked.statements == [('select * from "t" where "a" > ?', [0])]
