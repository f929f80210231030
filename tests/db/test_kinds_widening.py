"""What the framework adds to a query holds, whatever SQL stands beside it.

Each kind in as many spellings as we know: an `or` in raw text, in an expression, in a scope, in a
relation's definition, in a callback, in the members of a union.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.db.model.mixins import SoftDeletes
from so.db.relations.definition import relation
from so.errors import InvalidArgumentError
from tests.db.model_tables import make_table


class Loose:
    """A global scope that knows no manners."""

    def apply(self, query: Any, model: Any) -> None:
        query.where_raw("state = 'a' or state = 'b' or state = 'c'")


class Note(SoftDeletes, Model):
    timestamps = False

    def scope_loose(self, query: Any) -> Any:
        return query.where_raw("state = 'a' or state = 'b'")

    def scope_loose_too(self, query: Any) -> Any:
        return query.where("state", "a").or_where("state", "b")


class Person(Model):
    timestamps = False

    @relation
    def notes(self) -> Any:
        return self.has_many(Note, "user_id")

    @relation
    def first_notes(self) -> Any:
        return self.has_many(Note, "user_id").where_raw("state = 'a' or state = 'b'")

    @relation
    def early(self) -> Any:
        return self.has_many(Note, "user_id").where("state", "a")


@pytest.fixture
def notes(empty_db: Database) -> Database:
    """Persons 1 and 2, each with notes a, b and c: 1 to 3 and 4 to 6; 6 is trashed."""
    make_table(empty_db, "people")
    make_table(empty_db, "notes", "user_id bigint", "state varchar(9)", "deleted_at datetime(6)")
    for person in (1, 2):
        empty_db.table("people").insert({"id": person})
        for state in "abc":
            empty_db.table("notes").insert({"user_id": person, "state": state})
    empty_db.table("notes").where("id", 6).update({"deleted_at": "2026-01-01 00:00:00"})
    return empty_db


LOOSE: list[tuple[str, Callable[[Any], Any]]] = [
    ("raw", lambda q: q.where_raw("state = 'a' or state = 'b'")),
    ("raw with a comment", lambda q: q.where_raw("state = 'a' or state = 'b' -- either")),
    ("raw twice", lambda q: q.where_raw("state = 'a'").or_where_raw("state = 'b'")),
    ("an expression", lambda q: q.where(q.raw("state = 'a' or state = 'b'"))),
    ("a column", lambda q: q.where(q.raw("state = 'a' or state"), "b")),
    ("a value", lambda q: q.where("state", "=", q.raw("'a' or state = 'b'"))),
    ("a list", lambda q: q.where_in(q.raw("state = 'a' or state"), ["b"])),
    ("nested", lambda q: q.where(lambda n: n.where_raw("state = 'a' or state = 'b'"))),
    ("or_where", lambda q: q.where("state", "a").or_where("state", "b")),
    ("not", lambda q: q.where("state", "a").or_where_not("state", "!=", "b")),
    ("null", lambda q: q.where("state", "a").or_where_raw("state = 'b' and 1 = 1")),
]
loose = pytest.mark.parametrize("either", [fn for _, fn in LOOSE], ids=[name for name, _ in LOOSE])


def first(rows: Any, count: int = 12) -> list[int]:
    """The ids of a walk that may never end."""
    return [row.id for row in itertools.islice(rows, count)]


@loose
def test_a_walk_by_id_ends(notes: Database, either: Any) -> None:
    def query() -> Any:
        return either(notes.table("notes"))

    seen: list[int] = []
    query().chunk_by_id(2, lambda rows: seen.extend(row.id for row in rows[:20]) or len(seen) < 12)

    assert first(query().lazy_by_id(2)) == [1, 2, 4, 5]
    assert first(query().lazy_by_id_desc(2)) == [5, 4, 2, 1]
    assert seen == [1, 2, 4, 5]
    assert [row.id for row in query().for_page_after_id(2, 2).get()] == [4, 5]
    assert [row.id for row in query().for_page_before_id(9, 4).get()] == [2, 1]
    assert query().find(3) is None
    assert query().delete(3) == 0


@loose
def test_a_cursor_goes_on_behind_its_place(notes: Database, either: Any) -> None:
    query = either(notes.table("notes")).order_by("id")
    page = query.cursor_paginate(3)

    assert [row.id for row in page["data"]] == [1, 2, 4]
    page = query.cursor_paginate(3, page["next_cursor"])
    assert ([row.id for row in page["data"]], page["has_more"]) == ([5], False)


@loose
def test_a_relation_keeps_to_its_parent(notes: Database, either: Any) -> None:
    person = Person.find(2)

    assert either(person.related("notes")).order_by("id").pluck("id") == [4, 5]
    assert [n.id for n in Person.with_(notes=either).find(2).notes] == [4, 5]
    assert either(person.related("notes")).count() == 2
    assert first(either(person.related("notes")).lazy_by_id(1)) == [4, 5]
    assert either(person.related("notes")).find(1) is None
    assert either(person.related("notes")).first_where("id", 1) is None
    assert Person.where_has("notes", either).where("id", 2).count() == 1
    assert either(person.related("notes")).update({"state": "z"}) == 2
    assert notes.table("notes").where("state", "z").order_by("id").pluck("id") == [4, 5]


@loose
def test_deleting_through_a_relation_spares_the_others(notes: Database, either: Any) -> None:
    assert either(Person.find(2).related("notes")).limit(1).delete() == 1
    assert either(Person.find(2).related("notes")).delete() == 1
    assert either(Person.find(2).related("notes")).force_delete() == 0

    assert Note.where("user_id", 1).order_by("id").pluck("state") == ["a", "b", "c"]


@loose
def test_trashed_rows_stay_out(notes: Database, either: Any) -> None:
    Note.where("id", 5).delete()

    assert either(Note.query()).order_by("id").pluck("id") == [1, 2, 4]
    assert either(Note.only_trashed()).order_by("id").pluck("id") == [5]
    assert either(Note.query()).without_trashed().order_by("id").pluck("id") == [1, 2, 4]
    assert either(Note.with_trashed()).order_by("id").pluck("id") == [1, 2, 4, 5]
    assert Note.only_trashed().where("id", 5).or_where("id", 1).pluck("id") == [5]
    assert either(Note.only_trashed()).restore() == 1
    assert Note.count() == 5


def test_each_global_scope_holds(notes: Database) -> None:
    class Strict(Note):
        table = "notes"

    Strict.add_global_scope(Loose())
    Strict.add_global_scope("mine", lambda q: q.where("user_id", 1).or_where("user_id", 1))

    assert Strict.where("id", ">", 1).or_where("id", 1).order_by("id").pluck("id") == [1, 2, 3]


@pytest.mark.parametrize("scope", ["loose", "loose_too"])
def test_a_named_scope_stays_together(notes: Database, scope: str) -> None:
    def scoped(query: Any) -> Any:
        return query.scope(scope)

    assert scoped(Note.query()).where("id", ">", 4).pluck("id") == [5]
    assert scoped(Note.where("id", ">", 4)).pluck("id") == [5]
    assert scoped(Person.find(2).related("notes")).order_by("id").pluck("id") == [4, 5]


@pytest.mark.parametrize("name", ["first_notes", "early"])
def test_the_definition_of_a_relation_holds(notes: Database, name: str) -> None:
    person = Person.find(2)
    wanted = person.related(name).order_by("id").pluck("id")

    found = person.related(name).or_where("state", "c").or_where_raw("1 = 1").order_by("id")

    assert found.pluck("id") == wanted
    loaded = Person.with_(**{name: lambda q: q.or_where_raw("1 = 1")}).find(2)[name]
    assert sorted(note.id for note in loaded) == wanted
    assert (
        Person.where_has(name, lambda q: q.where("state", "x").or_where("state", "c")).count() == 0
    )


def test_the_members_of_a_union_keep_the_rules(notes: Database) -> None:
    person = Person.find(2)

    trashed = Note.where("id", 1).union(lambda q: q.where("state", "c"))
    mine = person.related("notes").where("state", "a").union(lambda q: q.where("state", "b"))

    assert sorted(n.id for n in trashed.get()) == [1, 3]
    assert sorted(n.id for n in mine.get()) == [4, 5]
    assert first(mine.lazy_by_id(1)) == [4, 5]


@pytest.mark.parametrize(
    ("shape", "column", "wanted"),
    [
        (lambda t: t().where("id", "<", 3).union(t().where("id", ">", 4)), "id", [1, 2, 5, 6]),
        (
            lambda t: t().where_raw("id = 1 or id = 2").union_all(t().where("id", 6)),
            "id",
            [1, 2, 6],
        ),
        (lambda t: t().select("user_id").group_by("user_id"), "user_id", [1, 2]),
        (
            lambda t: t().select_raw("max(id) as id, state").group_by("state").having("id", ">", 4),
            "id",
            [5, 6],
        ),
        (lambda t: t().select("user_id").distinct(), "user_id", [1, 2]),
        (lambda t: t().select("id as key").where("id", ">", 4), "key", [5, 6]),
        (lambda t: t().select("id as nr", "user_id as id").where_in("id", [3, 4]), "id", [1, 2]),
        (lambda t: t().order_by_desc("id").limit(3), "id", [1, 2, 3]),
    ],
)
def test_a_query_of_any_shape_is_walked_to_its_end(
    notes: Database, shape: Any, column: str, wanted: list[int]
) -> None:
    rows = itertools.islice(shape(lambda: notes.table("notes")).lazy_by_id(1, column), 12)

    assert [row[column] for row in rows] == wanted


def test_a_walk_by_what_does_not_grow_is_refused(notes: Database) -> None:
    with pytest.raises(ValueError, match="unique"):
        first(notes.table("notes").select_raw("1 as id, state").lazy_by_id(2, "notes.id", "id"))


@pytest.mark.parametrize(
    "text", ["1 = 1) or (1 = 1", "state = 'a", "(state = 'a'", "state = 'a' /* or", "1)) or ((1"]
)
def test_text_that_would_break_out_is_refused(notes: Database, text: str) -> None:
    person = Person.find(2)
    for query in (person.related("notes"), Note.query(), person.related("first_notes")):
        with pytest.raises(InvalidArgumentError, match="complete in itself"):
            query.where_raw(text).get()
    with pytest.raises(InvalidArgumentError, match="complete in itself"):
        first(notes.table("notes").where_raw(text).lazy_by_id(2))


def test_parentheses_in_strings_and_names_are_none(notes: Database) -> None:
    query = Note.where_raw("state <> ')' and state <> '--' /* ( */ and (state <> '/*')")

    assert query.count() == 5
