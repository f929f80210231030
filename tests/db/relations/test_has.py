"""has_one, has_many, belongs_to, and what relations have in common."""

from __future__ import annotations

from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model, Related, SoftDeletes, relation
from so.db.rows import Collection
from so.errors import LazyLoadingViolation, RelationError
from tests.db.model_tables import STAMPS, count_of, make_table, statements


class Author(Model):
    @relation
    def books(self) -> Any:
        return self.has_many(Book)

    @relation
    def good_books(self) -> Any:
        return self.has_many(Book).where("stars", ">", 3).or_where("stars", 0).order_by("title")

    @relation
    def profile(self) -> Any:
        return self.has_one(Profile, "writer_id")

    @relation
    def mentor(self) -> Any:
        return self.belongs_to(Author)

    @relation
    def not_one(self) -> Any:
        return 5


class Book(Model):
    @relation
    def author(self) -> Any:
        return self.belongs_to(Author)

    @relation
    def writer(self) -> Any:
        return self.belongs_to(Author, "author_id")

    @relation
    def namesake(self) -> Any:
        return self.belongs_to(Author, "title", "name")


class Profile(SoftDeletes, Model):
    timestamps = False


@pytest.fixture
def library(db: Database) -> Database:
    make_table(db, "authors", "name varchar(20)", "mentor_id bigint null", *STAMPS)
    make_table(db, "books", "author_id bigint null", "title varchar(20)", "stars int", *STAMPS)
    make_table(db, "profiles", "writer_id bigint", "bio varchar(20)", "deleted_at datetime(6) null")
    for name in ("ada", "bob"):
        Author.create(name=name)
    for author, title, stars in ((1, "x", 5), (1, "y", 1), (2, "z", 4), (2, "w", 0)):
        Book.create(author_id=author, title=title, stars=stars)
    Profile.create(writer_id=1, bio="born")
    return db


def titles(books: Any) -> list[str]:
    return sorted(book.title for book in books)


def test_a_relation_is_read_like_a_column_and_loaded_once(library: Database) -> None:
    author = Author.find(1)

    assert count_of(library, lambda: (author.books, author.books)) == 1
    assert isinstance(author.books, Collection)
    assert titles(author.books) == ["x", "y"]
    assert author.relation_loaded("books")
    assert author["books"] is author.books
    assert Book.first().author.name == "ada"
    assert author.profile.bio == "born"
    assert Author.find(2).profile is None
    assert Book.first().writer == author


def test_a_loaded_relation_is_called_for_its_query(library: Database) -> None:
    author = Author.find(1)

    assert author.books().to_sql() == author.related("books").to_sql()
    assert author.books().where("stars", 5).count() == 1
    assert author.related("books").order_by_desc("title").first().title == "y"
    with pytest.raises(TypeError, match="no query of its own"):
        author.books.filter(lambda book: True)()


def test_an_or_cannot_reach_the_rows_of_another_parent(library: Database) -> None:
    query = Author.find(1).related("books").where("stars", 1).or_where("title", "z")

    assert titles(query.get()) == ["y"]
    assert query.to_sql().replace("`", '"') == (
        'select * from "books" where "books"."author_id" = ? and "books"."author_id" is not null'
        ' and ("stars" = ? or "title" = ?)'
    )
    assert titles(Author.find(2).related("books").or_where("title", "x").get()) == []
    assert Author.find(1).related("books").or_where("stars", 1).update({"stars": 2}) == 1
    assert Author.find(1).related("books").or_where("title", "z").delete() == 0


def test_conditions_of_the_relation_itself_hold_everywhere(library: Database) -> None:
    author = Author.find(2)

    assert titles(author.good_books) == ["w", "z"]
    assert titles(Author.with_("good_books").find(1).good_books) == ["x"]
    assert Author.where_has("good_books", lambda q: q.where("title", "y")).count() == 0


def test_create_and_save_through_a_relation_tie_the_model(library: Database) -> None:
    author = Author.find(2)
    assert len(author.books) == 2

    made = author.books().create(title="new", stars=1)
    saved = author.related("books").save(Book(title="other"))

    assert (made.author_id, saved.author_id) == (2, 2)
    assert titles(author.books) == ["new", "other", "w", "z"]
    assert author.books().make(title="made").author_id == 2
    assert author.books().first_or_create({"title": "z"}).stars == 4
    assert author.books().first_or_create({"title": "f"}, {"stars": 3}).author_id == 2
    assert author.books().first_or_new({"title": "n"}).author_id == 2
    assert author.books().update_or_create({"title": "z"}, {"stars": 1}).stars == 1
    assert author.books().force_create(title="forced").author_id == 2
    assert len(author.books().create_many([{"title": "m1"}, {"title": "m2"}])) == 2
    assert [b.author_id for b in author.books().save_many([Book(title="s")])] == [2]
    assert author.profile is None
    author.related("profile").create(bio="hi")
    assert author.profile.bio == "hi"


def test_a_cancelled_save_through_a_relation_is_false(library: Database) -> None:
    class Refused(Book):
        table = "books"

    Refused.saving(lambda book: False)

    assert Author.find(1).related("books").save(Refused(title="n")) is False


def test_relations_of_an_unsaved_model_are_empty(library: Database) -> None:
    author = Author(name="new")

    assert count_of(library, lambda: (author.books, author.profile, author.mentor)) == 0
    assert author.books == []
    assert author.profile is None
    assert Author().related("books").count() == 0
    assert Author().related("mentor").first() is None
    with pytest.raises(RelationError, match="save it first"):
        author.related("books").create(title="x")


def test_associate_and_dissociate(library: Database) -> None:
    book, bob = Book.first(), Author.find(2)

    assert book.related("author").associate(bob) is book
    assert book.author is bob
    assert book.is_dirty("author_id")
    book.save()
    assert Book.first().author.name == "bob"
    book.related("author").dissociate().save()
    assert Book.find(book.id).author is None
    assert book.author is None
    book.related("author").associate(1)
    assert book.author.name == "ada"
    with pytest.raises(RelationError, match="save it first"):
        book.related("author").associate(Author())


def test_belongs_to_by_another_column(library: Database) -> None:
    Book.create(title="ada")

    assert Book.first_where("title", "ada").namesake.id == 1
    assert [b.namesake.id for b in Book.with_("namesake").where("title", "ada").get()] == [1]
    assert titles(Book.has("namesake").get()) == ["ada"]


def test_a_model_may_be_related_to_its_own_kind(library: Database) -> None:
    Author.find(2).update(mentor_id=1)

    assert Author.find(2).mentor.name == "ada"
    assert Author.has("mentor").pluck("name") == ["bob"]
    assert Author.with_count("mentor").find(2).mentor_count == 1
    assert Author.where_has("mentor", lambda q: q.where("name", "ada")).count() == 1
    assert Author.where_has("mentor", lambda q: q.where("name", "bob")).count() == 0


def test_a_relation_is_a_query_for_a_sub_query(library: Database) -> None:
    bob = Author.find(2)

    assert titles(Book.where_in("id", bob.related("books").select("id")).get()) == ["w", "z"]
    assert Book.where("title", "!=", "w").where_in("id", bob.books().select("id")).count() == 1


def test_soft_deleted_related_models_are_left_out(library: Database) -> None:
    Author.find(1).profile.delete()

    assert Author.find(1).profile is None
    assert Author.has("profile").count() == 0
    assert Author.find(1).related("profile").with_trashed().first().bio == "born"


def test_setting_and_forgetting_what_is_loaded(library: Database) -> None:
    author = Author.find(1)
    author.set_relation("books", [Book(title="kept")])

    assert isinstance(author.books, Related)
    assert titles(author.books) == ["kept"]
    assert author.books().count() == 2
    assert titles(author.unset_relation("books").books) == ["x", "y"]
    with pytest.raises(AttributeError, match="set_relation"):
        author.books = []


def test_mistakes_in_relations_are_explained(library: Database) -> None:
    author = Author.find(1)

    with pytest.raises(RelationError, match="returned int"):
        _ = author.not_one
    with pytest.raises(RelationError, match="no relation 'boks'; it has books"):
        author.related("boks")
    with pytest.raises(RelationError, match="no relation 'boks'"):
        Author.with_("boks").get()
    with pytest.raises(RelationError, match="no relation 'boks'"):
        Author.has("boks").get()
    assert Author.books is Author.__dict__["books"]


# --- strict mode


def test_lazy_loading_can_be_forbidden(library: Database) -> None:
    class Strict(Author):
        table = "authors"

    Strict.prevent_lazy_loading()
    author = Strict.first()

    with pytest.raises(LazyLoadingViolation, match=r"with_\('profile'\)"):
        _ = author.profile
    assert author.load("profile").profile.bio == "born"
    assert Strict.with_("profile").first().profile.bio == "born"
    assert author.related("profile").first().bio == "born"
    assert Strict.create(name="new").profile is None
    Strict.prevent_lazy_loading(False)
    assert Strict.first().profile.bio == "born"


def test_the_switch_on_model_is_for_all_models(library: Database) -> None:
    Model.prevent_lazy_loading()
    try:
        with pytest.raises(LazyLoadingViolation):
            _ = Book.first().author
    finally:
        Model.prevent_lazy_loading(False)
    assert Book.first().author.id == 1


def test_the_tie_is_one_comparison_by_key(library: Database) -> None:
    (entry,) = statements(library, lambda: Author.find(1).related("books").get())[1:]

    assert entry["bindings"] == [1]
