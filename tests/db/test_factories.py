"""Factories and seeders, on both engines."""

from __future__ import annotations

import pytest

from so import Factory, Model, Seeder, relation
from so.errors import FactoryError
from so.support.current import replaced
from so.support.progress import heard


class Author(Model):
    table = "authors"
    timestamps = False
    guarded = ["*"]

    @relation
    def books(self):
        return self.has_many(Book)


class Book(Model):
    table = "books"
    timestamps = False


class AuthorFactory(Factory):
    model = Author

    def definition(self) -> dict:
        return {
            "name": f"Author {self.number}",
            "role": "clerk",
            "email": lambda so_far: so_far["name"].replace(" ", ".") + "@x.y",
        }


class BookFactory(Factory):
    model = Book

    def definition(self) -> dict:
        return {"title": f"Book {self.number}", "author_id": Author.factory()}


@pytest.fixture(autouse=True)
def _tables(empty_db):
    db = empty_db.connection()
    auto = (
        "integer primary key autoincrement"
        if db.dialect.name == "sqlite"
        else "int auto_increment primary key"
    )
    db.statement(
        f"create table authors (id {auto}, name varchar(50), role varchar(20), email varchar(90))"
    )
    db.statement(f"create table books (id {auto}, title varchar(50), author_id int)")


def test_one_record_is_a_record_and_several_are_a_collection():
    assert Author.factory().create().role == "clerk"
    assert [author.persisted for author in Author.factory(3).create()] == [True] * 3
    assert Author.count() == 4


def test_what_is_given_wins_over_states_and_states_over_the_definition():
    author = Author.factory().state({"role": "admin", "name": "A"}).create(name="B")

    assert (author.role, author.name) == ("admin", "B")


def test_a_state_may_be_made_of_what_there_is():
    author = Author.factory().state(lambda so_far: {"role": so_far["role"].upper()}).make()

    assert author.role == "CLERK"


def test_a_value_may_be_made_of_the_values_before_it():
    author = Author.factory().make(name="Ada Byron")

    assert author.email == "Ada.Byron@x.y"


def test_made_records_are_not_stored():
    assert not Author.factory().make().persisted
    assert Author.count() == 0


def test_raw_gives_attributes_alone():
    assert set(Author.factory().raw()) == {"name", "role", "email"}
    assert len(Author.factory(2).raw()) == 2


def test_another_factory_stands_for_the_key_of_its_record():
    book = Book.factory().create()

    assert Author.find(book.author_id) is not None


def test_records_go_to_a_parent_or_bring_their_children():
    author = Author.factory().create()
    Book.factory(2).for_(author).create()
    other = Author.factory().has(Book.factory(3).state({"author_id": None}), "books").create()

    assert len(author.books) == 2
    assert len(other.books) == 3


def test_a_sequence_is_gone_through_in_turn():
    roles = Author.factory(3).sequence({"role": "a"}, {"role": "b"}).make().pluck("role")

    assert list(roles) == ["a", "b", "a"]


def test_hooks_are_told_of_each_record():
    seen: list[str] = []
    factory = Author.factory(2).after_making(lambda a: seen.append("made"))

    factory.after_creating(lambda a: seen.append("stored")).create()

    assert seen == ["made", "stored", "made", "stored"]


def test_a_step_leaves_the_factory_before_it_alone():
    plain = Author.factory()
    plain.state({"role": "admin"})

    assert plain.make().role == "clerk"


@pytest.mark.parametrize("count", [-1, "3", 1.5])
def test_a_count_that_means_nothing_is_refused(count):
    with pytest.raises(FactoryError, match="give a number from 0"):
        Author.factory(count)


def test_none_at_all_is_an_empty_collection():
    assert list(Author.factory(0).create()) == []


def test_a_model_without_a_factory_says_how_to_make_one():
    class Lonely(Model):
        table = "authors"

    with (
        replaced("factories", lambda: None),
        pytest.raises(FactoryError, match="make:factory Lonely"),
    ):
        Lonely.factory()


def test_a_seeder_calls_others_in_their_order():
    ran: list[str] = []

    class First(Seeder):
        def run(self) -> None:
            ran.append("first")

    class All(Seeder):
        def run(self) -> None:
            self.call(First, First)
            ran.append("all")

    with replaced("seeding", lambda cls: cls().run()):
        All().run()

    assert ran == ["first", "first", "all"]


def test_how_far_it_is_leaves_out_what_is_made_for_another():
    told: list[tuple[int, int]] = []

    with heard(lambda done, total: told.append((done, total))):
        Book.factory(2).after_creating(lambda book: Author.factory(3).create()).create()

    assert told == [(0, 2), (1, 2), (2, 2)]
