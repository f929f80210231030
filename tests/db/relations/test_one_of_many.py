"""One row of many, one through another, pairs with any class, stand-ins, owners that are touched.

One database a module and engine; what a test changes belongs to rows of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.db.relations.definition import relation
from so.errors import InvalidArgumentError, RelationError
from tests.conftest import ENGINES
from tests.db.model_tables import STAMPS, count_of, make_table, module_database

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Shop(Model):
    @relation
    def newest(self) -> Any:
        return self.has_one(Sale).latest_of_many()

    @relation
    def oldest(self) -> Any:
        return self.has_one(Sale).oldest_of_many()

    @relation
    def dearest(self) -> Any:
        return self.has_one(Sale).of_many("price", "max")

    @relation
    def cheapest_open(self) -> Any:
        return self.has_one(Sale).of_many(
            {"price": "min", "id": "max"}, fn=lambda q: q.where("state", "open")
        )

    @relation
    def branch(self) -> Any:
        return self.has_one(Shop, "parent_id").latest_of_many()

    @relation
    def picture(self) -> Any:
        return self.morph_one(Picture, "owner").latest_of_many()

    @relation
    def bill(self) -> Any:
        return self.has_one_through(Bill, Sale)

    @relation
    def last_bill(self) -> Any:
        return self.has_one_through(Bill, Sale).latest_of_many()

    @relation
    def profile(self) -> Any:
        return self.has_one(Profile).with_default(motto="none")

    @relation
    def done(self) -> Any:
        return self.has_many(Sale).where("state", "done")

    @relation
    def last_done(self) -> Any:
        return self.related("done").one().latest_of_many()


class Sale(Model):
    timestamps = False
    touches = ["shop"]

    @relation
    def shop(self) -> Any:
        return self.belongs_to(Shop).with_default(lambda shop, sale: {"name": f"of {sale.id}"})


class Bill(Model):
    timestamps = False


class Picture(Model):
    timestamps = False


class Profile(Model):
    timestamps = False


class Tag(Model):
    timestamps = False

    @relation
    def films(self) -> Any:
        return self.morphed_by_many(Film, "taggable")

    @relation
    def books(self) -> Any:
        return self.morphed_by_many(Book, "taggable")


class Film(Model):
    timestamps = False

    @relation
    def tags(self) -> Any:
        return self.morph_to_many(Tag, "taggable").with_pivot("note")


class Book(Model):
    timestamps = False

    @relation
    def tags(self) -> Any:
        return self.morph_to_many(Tag, "taggable")


class Seat(Model):
    table = "hall_member"
    timestamps = False
    casts = {"row": "int", "paid": "bool"}


class Member(Model):
    timestamps = False


class Hall(Model):
    timestamps = False

    @relation
    def members(self) -> Any:
        pairs = self.belongs_to_many(Member).with_pivot("row", "paid")
        return pairs.as_("seat").using(Seat)


@pytest.fixture(scope="module", params=ENGINES)
def shops(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Shop 1 has three sales and two branches, shop 2 two sales, one of them without a price."""
    with module_database(request, tmp_path_factory) as db:
        make_table(db, "shops", "name varchar(9)", "parent_id bigint", *STAMPS)
        make_table(db, "sales", "shop_id bigint", "price int", "state varchar(9)")
        make_table(db, "bills", "sale_id bigint", "number int")
        make_table(db, "pictures", "owner_type varchar(9)", "owner_id bigint", "url varchar(9)")
        make_table(db, "profiles", "shop_id bigint", "motto varchar(9)")
        for name in ("tags", "films", "books", "members", "halls"):
            make_table(db, name, "name varchar(9)")
        make_table(
            db, "taggables", "tag_id bigint", "taggable_type varchar(9)",
            "taggable_id varchar(36)", "note varchar(9)", key="",
        )  # fmt: skip
        make_table(
            db, "hall_member", "hall_id bigint", "member_id bigint", "`row` int", "paid int", key=""
        )
        _fill()
        yield db


def _fill() -> None:
    Shop.insert([{"name": "a", "parent_id": None}, {"name": "b", "parent_id": 1}])
    Shop.insert({"name": "c", "parent_id": 1})
    sales = [(1, 5, "open"), (1, 50, "done"), (1, 7, "open"), (2, 9, "done"), (2, None, "open")]
    Sale.insert([dict(zip(("shop_id", "price", "state"), one, strict=True)) for one in sales])
    Bill.insert([{"sale_id": at, "number": at} for at in (1, 2, 4)])
    Picture.insert([{"owner_type": "Shop", "owner_id": 1, "url": url} for url in ("x", "y")])
    Picture.insert({"owner_type": "Other", "owner_id": 1, "url": "z"})
    Member.insert([{"name": name} for name in "abc"])


KINDS = [
    ("newest", "id", [3, 5, None]),
    ("oldest", "id", [1, 4, None]),
    ("dearest", "id", [2, 4, None]),
    ("cheapest_open", "id", [1, None, None]),
    ("last_done", "id", [2, 4, None]),
    ("branch", "name", ["c", None, None]),
    ("picture", "url", ["y", None, None]),
    ("bill", "number", [1, 4, None]),
    ("last_bill", "number", [2, 4, None]),
]


@pytest.mark.parametrize(("name", "column", "found"), KINDS)
def test_the_one_of_many_is_loaded_lazily_and_eagerly(shops, name, column, found):
    lazily = [getattr(shop, name) for shop in Shop.where("id", "<", 4).order_by("id").get()]
    shops_with = Shop.where("id", "<", 4).order_by("id").with_(name)

    assert [one and one[column] for one in lazily] == found
    assert [one[name] and one[name][column] for one in shops_with.get()] == found
    assert count_of(shops, shops_with.get) == 2


@pytest.mark.parametrize(
    ("name", "condition", "found"),
    [
        ("newest", ("state", "done"), []),
        ("newest", ("state", "open"), [1, 2]),
        ("dearest", ("state", "done"), [1, 2]),
        ("branch", ("name", "b"), []),
        ("branch", ("name", "c"), [1]),
        ("picture", ("url", "x"), []),
        ("picture", ("url", "y"), [1]),
        ("last_bill", ("number", 1), []),
        ("last_bill", ("number", 2), [1]),
    ],
)
def test_the_one_is_chosen_before_it_is_asked_anything(shops, name, condition, found):
    asked = Shop.where("id", "<", 4).where_relation(name, *condition)

    assert asked.order_by("id").pluck("id") == found
    assert Shop.find(1).related(name).where(*condition).exists() is (1 in found)


def test_the_one_of_many_is_counted_and_added_up_alone(shops):
    shop = Shop.with_count("newest").with_sum("dearest", "price").find(1)

    assert (shop.newest_count, shop.dearest_sum_price) == (1, 50)
    assert (shop.related("newest").count(), shop.related("newest").value("price")) == (1, 7)


def test_writing_through_the_one_of_many_leaves_the_others_alone(shops):
    shop = Shop.create(name="own")
    Sale.insert([{"shop_id": shop.id, "price": 1}, {"shop_id": shop.id, "price": 2}])

    assert shop.related("newest").update({"price": 20}) == 1
    assert Sale.where("shop_id", shop.id).order_by("id").pluck("price") == [1, 20]
    assert shop.related("newest").delete() == 1
    assert shop.newest.price == 1


def test_keys_past_the_placeholders_are_loaded_in_parts(shops, monkeypatch):
    monkeypatch.setattr(type(shops.connection().grammar), "max_placeholders", 3)
    many = Shop.where("id", "<", 4).order_by("id").get()

    assert count_of(shops, lambda: many.load("newest")) == 3
    assert [shop.newest and shop.newest.id for shop in many] == [3, 5, None]


def test_of_many_knows_only_the_least_and_the_greatest(shops):
    with pytest.raises(InvalidArgumentError, match='"max" or "min", not'):
        Shop().has_one(Sale).of_many("price", "sum")


# --- stand-ins ----------------------------------------------------------------------------------


def test_a_stand_in_is_tied_to_its_parent_and_not_saved(shops):
    assert Shop.find(2).profile.motto == "none"
    assert (Shop.find(2).profile.shop_id, Shop.find(2).profile.persisted) == (2, False)
    assert Shop.with_("profile").find(3).profile.shop_id == 3
    sale = Sale.create(price=1)
    assert sale.shop.name == Sale.with_("shop").find(sale.id).shop.name == f"of {sale.id}"

    profile = Shop.find(2).profile
    profile.motto = "own"
    profile.save()
    assert Shop.find(2).profile.persisted
    with pytest.raises(RelationError, match="for one related model, not for has_many"):
        Shop().has_many(Sale).with_default()


# --- owners that are touched --------------------------------------------------------------------


def test_writing_a_row_touches_its_owners(shops):
    shop = Shop.create(name="own")

    def was_touched() -> bool:
        found = Shop.find(shop.id).updated_at > LONG_AGO
        Shop.where_key(shop.id).update({"updated_at": LONG_AGO})
        return found

    assert was_touched()
    sale = Sale.create(shop_id=shop.id, price=1)
    assert was_touched()
    sale.save()  # nothing changed
    assert not was_touched()
    sale.update(price=2)
    assert was_touched()
    sale.delete()
    assert was_touched()


def test_timestamps_are_left_alone_where_it_is_asked_for(shops):
    shop = Shop.create(name="own", updated_at=LONG_AGO)

    with Shop.without_timestamps():
        shop.update(name="new")
        Shop.where_key(shop.id).update({"name": "newer"})

    assert Shop.find(shop.id).updated_at == LONG_AGO
    assert Shop.without_timestamps(lambda: Shop.create(name="new")).refresh().created_at is None


# --- pairs --------------------------------------------------------------------------------------


def test_pairs_with_any_class_hold_the_type_whatever_is_sent(shops):
    film, book = Film.create(name="f"), Book.create(name="b")
    old, new = Tag.create(name="old"), Tag.create(name="new")

    book.tags().attach([old.id, new.id])
    film.tags().attach({old.id: {"note": "hey", "taggable_type": "Book"}})

    assert book.tags.model_keys() == [old.id, new.id]
    assert (film.tags[0].pivot.note, film.tags[0].pivot.taggable_type) == ("hey", "Film")
    assert (old.films.pluck("name"), old.books.pluck("name")) == (["f"], ["b"])
    assert Tag.has("films").pluck("name") == ["old"]
    assert Film.where_relation("tags", "name", "new").doesnt_exist()
    assert Tag.with_count("films", "books").find(old.id).films_count == 1
    assert Tag.with_("films").find(new.id).films == []
    assert Film.where_attached_to(old).count() == 1

    assert book.tags().sync([new.id])["detached"] == [old.id]
    assert book.tags().detach() == 1
    assert film.refresh().tags.count() == 1
    new.films().attach(film)
    assert film.refresh().tags.count() == 2
    assert old.films().detach() == 1


def test_pairs_are_objects_of_the_class_and_name_they_are_given(shops):
    hall = Hall.create(name="h")
    hall.members().attach([1, 2], {"row": "5", "paid": True})

    seat = hall.members[0].seat
    assert (type(seat), seat.row, seat.paid) == (Seat, 5, True)
    assert Hall.with_("members").find(hall.id).members[1].seat.paid is True
    assert hall.members[0].to_dict()["seat"]["row"] == 5


def test_conditions_on_pairs_stay_among_the_parents_own(shops):
    hall, other = Hall.create(name="h"), Hall.create(name="o")
    hall.members().attach([1, 2], {"row": 5})
    other.members().attach(3, {"row": 1})

    either = hall.members().where_pivot("row", 9).or_where_pivot("row", 1)
    assert (either.count(), either.detach()) == (0, 0)
    assert other.members().count() == 1
    rows = hall.members()
    assert rows.where_pivot_between("row", 1, 5).where_pivot_not_in("row", [1]).count() == 2
    assert hall.members().where_pivot_not_between("row", [1, 5]).count() == 0
    assert hall.members().where_pivot_not_null("row").count() == 2
    assert hall.members().where_pivot_null("row").or_where_pivot_in("member_id", [2]).count() == 1
    assert hall.members().order_by_pivot_desc("member_id").pluck("members.id") == [2, 1]


def test_pairs_are_synchronised_with_values_and_turned_around(shops):
    hall = Hall.create(name="h")
    hall.members().attach([1, 2], {"row": 5})

    changed = hall.members().sync_with_pivot_values([2, 3], {"row": 8})

    assert changed == {"attached": [3], "detached": [1], "updated": [2]}
    assert hall.members().toggle([1, 2]) == {"attached": [1], "detached": [2]}
    assert hall.members().with_pivot_value("row", 8).pluck("members.id") == [3]
