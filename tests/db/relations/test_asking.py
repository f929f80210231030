"""Models asked for, counted and added up by what is related to them, as Laravel's users expect it.

One database a module and engine: the tests read, or put back what they change.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from so.db.expressions import Expression
from so.db.manager import Database
from so.db.model import Model
from so.db.relations.definition import relation
from so.errors import InvalidArgumentError, ModelNotFoundError, RelationError
from tests.conftest import ENGINES
from tests.db.model_tables import count_of, make_table, module_database


class Person(Model):
    table = "askers"
    type_alias = "asker"
    timestamps = False
    casts = {"wage": "decimal:2"}

    @relation
    def articles(self) -> Any:
        return self.has_many(Article)

    @relation
    def groups(self) -> Any:
        return self.belongs_to_many(Group)

    @relation
    def staff(self) -> Any:
        return self.has_many(Person, "boss_id")

    @relation
    def boss(self) -> Any:
        return self.belongs_to(Person)


class Article(Model):
    timestamps = False
    casts = {"price": "decimal:2"}

    @relation
    def person(self) -> Any:
        return self.belongs_to(Person)


class Group(Model):
    timestamps = False


class Remark(Model):
    timestamps = False

    @relation
    def about(self) -> Any:
        return self.morph_to()


@pytest.fixture(scope="module", params=ENGINES)
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Ada leads Bob and Cyd; Ada wrote two articles, Bob one."""
    with module_database(request, tmp_path_factory) as database:
        make_table(database, "askers", "name varchar(9)", "boss_id bigint", "wage decimal(12,2)")
        make_table(
            database, "articles", "person_id bigint", "title varchar(9)", "votes int",
            "price decimal(12,2)",
        )  # fmt: skip
        make_table(database, "groups", "name varchar(9)", "level int")
        make_table(database, "group_person", "group_id bigint", "person_id bigint", key="")
        make_table(
            database, "remarks", "about_type varchar(9)", "about_id varchar(36)", "body text"
        )
        _fill()
        yield database


def _fill() -> None:
    Person.insert(
        [
            {"name": "ada", "boss_id": None, "wage": Decimal("1.10")},
            {"name": "bob", "boss_id": 1, "wage": Decimal("2.20")},
            {"name": "cyd", "boss_id": 1, "wage": Decimal("0.05")},
        ]
    )
    Article.insert(
        [
            {"person_id": 1, "title": "x", "votes": 3, "price": Decimal("9.90")},
            {"person_id": 1, "title": "y", "votes": 10, "price": Decimal("0.10")},
            {"person_id": 2, "title": "z", "votes": 1, "price": Decimal("5")},
        ]
    )
    Group.insert([{"name": "admin", "level": 9}, {"name": "dev", "level": 2}])
    Person.find(1).groups().attach([1, 2])
    Person.find(2).groups().attach(2)
    Remark.insert(
        [
            {"about_type": "asker", "about_id": "1", "body": "hi"},
            {"about_type": "Article", "about_id": "1", "body": "ho"},
        ]
    )


def names(query: Any) -> list[str]:
    return list(query.order_by("askers.id").pluck("name"))


# --- added up -----------------------------------------------------------------------------------


def test_a_sum_of_what_is_related_is_an_attribute(asked):
    people = Person.with_sum("articles", "votes").order_by("id").get()

    assert people.pluck("articles_sum_votes") == [13, 1, None]
    assert type(people[0].articles_sum_votes) is int


def test_sums_of_money_are_exact_and_order_as_numbers(asked):
    people = Person.with_sum("articles", "price").order_by_desc("articles_sum_price").get()

    assert [str(one.articles_sum_price) for one in people] == ["10.00", "5.00", "None"]


def test_every_aggregate_has_its_name_or_the_one_that_is_given(asked):
    ada = (
        Person.with_avg("articles", "votes")
        .with_max("articles as best", "votes")
        .with_min({"articles": lambda query: query.where("votes", ">", 3)}, "votes")
        .with_exists("articles", "groups")
        .with_sum("articles as twice", Expression("votes * 2"))
        .find(1)
    )

    assert (ada.articles_avg_votes, ada.best, ada.articles_min_votes, ada.twice) == (
        6.5,
        10,
        10,
        26,
    )
    assert (ada.articles_exists, ada.groups_exists) == (True, True)
    assert Person.with_exists("articles").find(3).articles_exists is False


def test_pairs_and_relations_to_the_same_table_are_added_up_alike(asked):
    ada = (
        Person.with_sum("groups", "level")
        .with_sum("staff", "wage")
        .with_max("staff", "name")
        .with_count("staff")
        .with_exists("staff", "boss")
        .find(1)
    )

    assert ada.groups_sum_level == 11
    assert ada.staff_sum_wage == Decimal("2.25")
    assert (ada.staff_max_name, ada.staff_count) == ("cyd", 2)
    assert (ada.staff_exists, ada.boss_exists) == (True, False)


def test_a_part_that_selects_columns_is_counted(asked):
    few = {"articles": lambda query: query.select("id", "title").where("votes", 3)}

    assert Person.with_count(few).find(1).articles_count == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda query: query.get(),
        lambda query: query.cursor(),
        lambda query: query.lazy_by_id(2),
        lambda query: query.paginate(5)["data"],
        lambda query: query.cursor_paginate(5)["data"],
    ],
)
def test_aggregates_are_read_alike_in_every_way_of_walking(asked, read):
    people = list(read(Person.with_exists("articles").with_sum("articles", "price").order_by("id")))

    assert [one.articles_exists for one in people] == [True, True, False]
    assert [str(one.articles_sum_price) for one in people] == ["10.00", "5.00", "None"]


def test_what_was_computed_is_not_saved(asked):
    bob = Person.with_sum("articles", "votes").find(2)
    bob.name = "rob"

    assert bob.save()
    assert set(bob.get_changes()) == {"name"}
    bob.update(name="bob")


def test_aggregates_are_loaded_later_by_one_query(asked):
    people = Person.order_by("id").get()

    assert count_of(asked, lambda: people.load_sum("articles", "votes")) == 1
    people.load_count("groups").load_exists("articles")
    assert people.pluck("articles_sum_votes") == [13, 1, None]
    assert people.pluck("groups_count") == [2, 1, 0]
    assert people.pluck("articles_exists") == [True, True, False]
    ada = Person.find(1).load_max("articles", "votes").load_min("articles", "price")
    assert (ada.articles_max_votes, ada.articles_min_price) == (10, Decimal("0.10"))
    assert Person.find(1).load_avg("articles", "votes").articles_avg_votes == 6.5
    assert ada.is_clean()


def test_an_unknown_aggregate_is_refused(asked):
    with pytest.raises(InvalidArgumentError, match="unknown aggregate 'sum\\(1\\) or'"):
        Person.with_aggregate("articles", "votes", "sum(1) or")


# --- asked for ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "found"),
    [
        (lambda: Person.where_relation("articles", "votes", ">", 5), ["ada"]),
        (lambda: Person.where_relation("articles", "title", "z"), ["bob"]),
        (lambda: Person.where_relation("articles", title="z"), ["bob"]),
        (lambda: Person.where_relation("articles", {"title": "z", "votes": 1}), ["bob"]),
        (lambda: Person.where_relation("articles", lambda q: q.where("title", "z")), ["bob"]),
        (lambda: Person.where_relation("staff.articles", "title", "z"), ["ada"]),
        (lambda: Person.where_relation("groups", "groups.name", "dev"), ["ada", "bob"]),
        (lambda: Person.where("id", 3).or_where_relation("staff", "name", "cyd"), ["ada", "cyd"]),
        (lambda: Person.where_doesnt_have_relation("articles", "title", "x"), ["bob", "cyd"]),
        (
            lambda: Person.where("id", 1).or_where_doesnt_have_relation("articles", "votes", 1),
            ["ada", "cyd"],
        ),
        (lambda: Person.where_belongs_to(Person.find(1), "boss"), ["bob", "cyd"]),
        (lambda: Person.where_attached_to(Group.find(2)), ["ada", "bob"]),
        (lambda: Person.where_attached_to(Group.where("id", 1).get()), ["ada"]),
        (lambda: Person.where("id", 3).or_where_attached_to(Group.find(1)), ["ada", "cyd"]),
    ],
)
def test_models_are_found_by_what_is_related(asked, ask, found):
    assert names(ask()) == found


def test_owners_name_their_relation_by_their_class(asked):
    assert Article.where_belongs_to(Person.find(1)).pluck("title") == ["x", "y"]
    assert Article.where_belongs_to(Person.all()).count() == 3
    assert Article.where("id", 1).or_where_belongs_to(Person.find(2)).count() == 2


def test_with_where_has_loads_the_very_models_it_asked_for(asked):
    (ada,) = Person.with_where_has("articles", lambda q: q.where("votes", ">", 5)).get()
    assert ada.articles.pluck("title") == ["y"]

    (ada,) = Person.with_where_relation("articles", "votes", 10).get()
    assert ada.articles.pluck("title") == ["y"]

    ada, _ = Person.with_where_has("articles:id,person_id").get()
    assert "title" not in ada.articles[0]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: Article.where_belongs_to([]), "needs a model, or a list of some"),
        (lambda: Article.where_belongs_to(5), "needs a model, or a list of some"),
        (lambda: Person.where_belongs_to(Group.find(1), "groups"), "is a belongs_to_many, not a"),
        (lambda: Person.where_attached_to(Article.find(1)), "is a has_many, not a belongs_to_many"),
        (lambda: Article.where_belongs_to(Group.find(1)), "has no relation 'group'"),
        (lambda: Remark.has("about"), "where_has_morph\\('about'"),
    ],
)
def test_a_wrong_question_says_what_is_meant(asked, ask, message):
    with pytest.raises((InvalidArgumentError, RelationError), match=message):
        ask()


# --- owners in several tables -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "found"),
    [
        (lambda: Remark.has_morph("about"), ["hi", "ho"]),
        (lambda: Remark.where_has_morph("about", [Person, Article]), ["hi", "ho"]),
        (lambda: Remark.where_has_morph("about", Person), ["hi"]),
        (lambda: Remark.where_has_morph("about", ["Article"], lambda q: q.where("id", 9)), []),
        (
            lambda: Remark.where_has_morph(
                "about", "*", lambda q, kind: q.where("name" if kind == "asker" else "title", "x")
            ),
            ["ho"],
        ),
        (lambda: Remark.where_doesnt_have_morph("about", Person), []),
        (
            lambda: Remark.where_doesnt_have_morph("about", "*", lambda q: q.where("id", ">", 1)),
            ["hi", "ho"],
        ),
        (lambda: Remark.where("id", 1).or_has_morph("about", Article), ["hi", "ho"]),
        (lambda: Remark.where_morph_relation("about", Article, "title", "x"), ["ho"]),
        (
            lambda: Remark.where("id", 1).or_where_morph_relation("about", Article, "title", "x"),
            ["hi", "ho"],
        ),
        (lambda: Remark.where_morph_doesnt_have_relation("about", Person, "name", "x"), ["hi"]),
        (lambda: Remark.where_morphed_to("about", Person.find(1)), ["hi"]),
        (lambda: Remark.where_morphed_to("about", Article), ["ho"]),
        (lambda: Remark.where_morphed_to("about", [Person.find(1), Article.find(1)]), ["hi", "ho"]),
        (lambda: Remark.where_not_morphed_to("about", Person.find(1)), ["ho"]),
        (lambda: Remark.where_morphed_to("about", None), []),
        (lambda: Remark.where_not_morphed_to("about", None), ["hi", "ho"]),
    ],
)
def test_models_are_found_by_owners_in_several_tables(asked, ask, found):
    assert ask().order_by("remarks.id").pluck("body") == found


# --- collections of models ----------------------------------------------------------------------


def test_a_collection_of_models_knows_them_by_their_keys(asked):
    people = Person.order_by("id").get()
    bob = Person.find(2)

    assert people.find(2) == people.find(bob) == bob
    assert people.find([1, 3]).model_keys() == people.except_(bob).model_keys() == [1, 3]
    assert people.only(1, 3).model_keys() == people.only([1, 3]).model_keys() == [1, 3]
    assert [people.contains(one) for one in (2, bob, 9)] == [True, True, False]
    assert people.contains("name", "bob")
    assert people.take(2).merge([bob, *people.skip(2)]).model_keys() == [1, 2, 3]
    assert people.merge([bob])[1] is bob
    with pytest.raises(ModelNotFoundError, match="99"):
        people.find_or_fail([1, 99])


def test_a_collection_of_models_is_read_anew_and_is_a_query(asked):
    people = Person.order_by("id").get()
    guest = Person.create(name="guest")
    people.append(guest)
    Person.where_key(guest.id).delete()

    assert people.fresh("articles").model_keys() == [1, 2, 3]
    assert people.fresh("articles")[0].relation_loaded("articles")
    assert names(people.take(2).to_query()) == ["ada", "bob"]
    assert people.make_hidden("wage").to_list()[0].keys() == {"id", "name", "boss_id"}
    with pytest.raises(InvalidArgumentError, match="empty collection"):
        people.take(0).to_query()
