"""What `unique` and `exists` learn from a database, on both engines."""

from __future__ import annotations

import pytest

from so.db.presence import DatabasePresence
from so.http.validation import PresenceCondition, Rule, Target, Validation


@pytest.fixture
def people(empty_db):
    kind = "integer" if empty_db.connection().dialect.name == "sqlite" else "bigint"
    empty_db.unprepared(
        f"create table people (id {kind} primary key, email varchar(100), number {kind}, "
        f"amount decimal(10,2), gone_at varchar(30))"
    )
    empty_db.table("people").insert(
        [
            {"id": 1, "email": "ann@x.co", "number": 5, "amount": "1.50", "gone_at": None},
            {"id": 2, "email": "Bob@x.co", "number": 0, "amount": "2.00", "gone_at": "2026"},
        ]
    )
    return empty_db


def found(db, values, column="email", **more):
    return DatabasePresence(db).found(Target("people", column, **more), values)


def statements(db, act):
    db.enable_query_log()
    db.flush_query_log()
    act()
    count = len(db.get_query_log())
    db.disable_query_log()
    return count


def test_it_says_which_values_are_there(people):
    assert found(people, ["x", "ann@x.co", "y", "Bob@x.co"]) == ["ann@x.co", "Bob@x.co"]
    assert found(people, []) == []


def test_many_values_are_asked_for_in_few_statements(people):
    values = [f"p{n}@x.co" for n in range(1200)] + ["ann@x.co"]

    assert statements(people, lambda: found(people, values)) == 3
    assert found(people, values) == ["ann@x.co"]


def test_texts_are_equal_where_the_columns_collation_says_so(people):
    is_mysql = people.connection().dialect.name == "mysql"

    assert found(people, ["ann@x.co", "ANN@x.co"]) == (
        ["ann@x.co", "ANN@x.co"] if is_mysql else ["ann@x.co"]
    )
    assert found(people, ["BOB@x.co"]) == (["BOB@x.co"] if is_mysql else [])


def test_letters_that_a_collation_spells_out_are_asked_for_one_by_one(people):
    people.table("people").where("id", 1).update({"email": "œuvre"})
    is_mysql = people.connection().dialect.name == "mysql"

    assert found(people, ["oeuvre", "other"]) == (["oeuvre"] if is_mysql else [])


def test_a_text_is_not_found_in_a_column_of_numbers_by_its_beginning(people):
    assert found(people, ["5abc", "abc", "5", "1.5.0", "--"], "number") == ["5"]


def test_numbers_are_compared_as_numbers(people):
    assert found(people, [5, 6, 0, 2**70], "number") == [5, 0]
    assert found(people, ["1.5", "1.50", "2", "3"], "amount") == ["1.5", "1.50", "2"]


def test_rows_may_be_left_out_and_conditions_added(people):
    values = ["ann@x.co", "Bob@x.co"]

    assert found(people, values, ignored=1) == ["Bob@x.co"]
    assert found(people, values, wheres=(PresenceCondition("gone_at", None),)) == ["ann@x.co"]
    assert found(people, values, wheres=(PresenceCondition("gone_at", None, True),)) == ["Bob@x.co"]
    assert found(people, values, wheres=(PresenceCondition("number", 5),)) == ["ann@x.co"]
    assert found(people, values, wheres=(PresenceCondition("number", 5, True),)) == ["Bob@x.co"]


def test_another_connection_may_be_named(people):
    people.add_connection("crm", ":memory:")
    people.connection("crm").statement("create table people (email text)")

    assert found(people, ["ann@x.co"], connection="crm") == []


def test_validation_asks_once_for_all_items(people):
    validation = Validation(DatabasePresence(people))
    data = {"items": [{"email": f"{n}@x.co"} for n in range(400)] + [{"email": "ann@x.co"}]}
    validator = validation.make(data, {"items.*.email": Rule.unique("people")})

    assert statements(people, validator.passes) == 1
    assert validator.errors() == {
        "items.400.email": ["The items.400.email has already been taken."]
    }


@pytest.mark.parametrize("value", ["5abc", "5_0", "٥", "５", "", "five", "5 0"])
def test_a_text_that_says_no_number_is_in_no_column_of_numbers(people, value):
    assert found(people, [value, "5"], "number") == ["5"]
    assert found(people, ["ann@x.co"], ignored=value.replace("5", "1")) == ["ann@x.co"]
