"""Row and Collection, without a database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from so.db.rows import Collection, Row

PEOPLE = [
    {"id": 1, "name": "Ada", "age": 36, "team": {"name": "blue"}},
    {"id": 2, "name": "Ben", "age": None, "team": {"name": "red"}},
    {"id": 3, "name": "Cyd", "age": 41, "team": {"name": "blue"}},
]


@pytest.fixture
def people() -> Collection[Row]:
    return Collection(Row(person) for person in PEOPLE)


def test_a_row_is_a_dict_with_attributes():
    row = Row(zip(("id", "name"), (1, "Ada"), strict=True))

    assert row == {"id": 1, "name": "Ada"}
    assert row.name == row["name"] == "Ada"
    assert list(row) == ["id", "name"]
    assert row.to_dict() == {"id": 1, "name": "Ada"}
    assert type(row.to_dict()) is dict


def test_of_two_columns_with_one_name_the_last_wins():
    assert Row(zip(("id", "id"), (1, 2), strict=True)) == {"id": 2}


def test_a_missing_column_says_which_there_are():
    with pytest.raises(AttributeError, match="no column 'nmae' in this row; it has: id, name"):
        _ = Row(id=1, name="Ada").nmae


def test_setting_an_attribute_sets_the_column():
    row = Row(id=1)

    row.name = "Ada"

    assert row == {"id": 1, "name": "Ada"}


def test_choosing(people):
    assert people.first().name == "Ada"
    assert people.last().name == "Cyd"
    assert people.first(lambda p: p.id > 1).name == "Ben"
    assert people.last(lambda p: p.id < 3).name == "Ben"
    assert people.first(lambda p: p.id > 9, default="nobody") == "nobody"
    assert people.filter(lambda p: p.age).pluck("id") == [1, 3]
    assert Collection([0, 1, None, 2]).filter() == [1, 2]
    assert people.reject(lambda p: p.age).pluck("id") == [2]
    assert people.take(2).pluck("id") == [1, 2]
    assert people.take(-1).pluck("id") == [3]
    assert people.skip(1).pluck("id") == [2, 3]
    assert people.where_in("id", [1, 3]).pluck("id") == [1, 3]
    assert people.where_not_in("id", [1, 3]).pluck("id") == [2]


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("name", "Ben"), [2]),
        (("name", "=", "Ben"), [2]),
        (("age", "!=", 36), [2, 3]),
        (("age", ">", 36), [3]),
        (("age", "<=", 36), [1]),
        (("age", "<", 40), [1]),
        (("age", ">=", 36), [1, 3]),
        (("age",), [1, 3]),
        (("team.name", "blue"), [1, 3]),
    ],
)
def test_where(people, arguments, ids):
    assert people.where(*arguments).pluck("id") == ids


def test_an_unknown_operator_is_an_error(people):
    with pytest.raises(ValueError, match="unknown operator '~'"):
        people.where("age", "~", 1)


def test_contains_and_first_where(people):
    assert people.contains("name", "Ada")
    assert people.contains("age", ">", 40)
    assert not people.contains(lambda p: p.age == 99)
    assert Collection([1, 2]).contains(2)
    assert people.first_where("age", ">", 40).id == 3
    assert people.first_where("age", 99) is None


def test_changing_shape(people):
    assert people.map(lambda p: p.id * 2) == [2, 4, 6]
    assert people.pluck("name", "id") == {1: "Ada", 2: "Ben", 3: "Cyd"}
    assert people.pluck("team.name") == ["blue", "red", "blue"]
    assert people.pluck("nothing") == [None, None, None]
    assert people.key_by("name")["Ben"].id == 2
    assert {k: v.pluck("id") for k, v in people.group_by("team.name").items()} == {
        "blue": [1, 3],
        "red": [2],
    }
    assert people.sort_by("age").pluck("id") == [2, 1, 3]
    assert Collection([3, None, 1]).sort_by() == [None, 1, 3]
    assert people.sort_by_desc("age").pluck("id") == [3, 1, 2]
    assert people.unique("team.name").pluck("id") == [1, 2]
    assert Collection([{"a": 1}, {"a": 1}, {"a": 2}]).unique() == [{"a": 1}, {"a": 2}]
    assert [len(part) for part in people.chunk(2)] == [2, 1]
    assert people.chunk(0) == []
    assert people.merge([Row(id=4)]).pluck("id") == [1, 2, 3, 4]
    assert people.implode("name", ", ") == "Ada, Ben, Cyd"
    assert Collection(["a", 1]).implode("-") == "a-1"
    assert people.reduce(lambda total, p: total + p.id, 0) == 6
    assert people == PEOPLE  # untouched by all that


def test_each_stops_at_false(people):
    seen: list[int] = []

    people.each(lambda p: seen.append(p.id) or p.id < 2)

    assert seen == [1, 2]


def test_adding_up(people):
    assert people.sum("age") == 77
    assert people.avg("age") == 38.5
    assert people.min("age") == 36
    assert people.max("age") == 41
    assert Collection([Decimal("0.10")] * 3).sum() == Decimal("0.30")
    assert Collection([Decimal(1), Decimal(2)]).avg() == Decimal("1.5")
    nothing: Collection[int] = Collection()
    assert (nothing.sum(), nothing.avg(), nothing.min(), nothing.max()) == (0, None, None, None)


def test_as_a_whole(people):
    assert people.count() == 3
    assert Collection([1, 1, 2]).count(1) == 2
    assert people.all() == people
    assert type(people.all()) is list
    assert not people.is_empty()
    assert people.is_not_empty()
    assert people.to_dict() == people.to_list() == PEOPLE


def test_json_keeps_unicode_and_writes_times_in_utc():
    rows = Collection([Row(name="Zoë", at=datetime(2026, 1, 1, tzinfo=UTC), price=Decimal("1.10"))])

    assert json.loads(rows.to_json()) == [
        {"name": "Zoë", "at": "2026-01-01T00:00:00.000000Z", "price": "1.10"}
    ]
    assert "Zoë" in rows.to_json()
    assert json.dumps(Collection([Row(a=1)])) == '[{"a": 1}]'


def test_a_path_into_a_list():
    rows = Collection([{"tags": ["a", "b"]}])

    assert rows.pluck("tags.1") == ["b"]
    assert rows.pluck("tags.9") == [None]
