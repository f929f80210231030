"""Polymorphic relations and relations through a table between."""

from __future__ import annotations

from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import HasUuids, Model, SoftDeletes, relation
from so.errors import RelationError
from tests.db.model_tables import count_of, make_table, statements


class Photo(Model):
    timestamps = False

    @relation
    def remarks(self) -> Any:
        return self.morph_many(Remark, "subject")

    @relation
    def stamp(self) -> Any:
        return self.morph_one(Stamp, "owner", type="kind", id="owner_key")


class Film(HasUuids, Model):
    timestamps = False
    type_alias = "film"

    @relation
    def remarks(self) -> Any:
        return self.morph_many(Remark, "subject")


class Remark(Model):
    timestamps = False

    @relation
    def subject(self) -> Any:
        return self.morph_to()

    @relation
    def replies(self) -> Any:
        return self.morph_many(Remark, "subject")


class Stamp(Model):
    timestamps = False

    @relation
    def owner(self) -> Any:
        return self.morph_to("owner", "kind", "owner_key")


@pytest.fixture
def media(db: Database) -> Database:
    make_table(db, "photos", "name varchar(20)")
    make_table(db, "films", "name varchar(20)", key="id char(36) primary key")
    make_table(
        db, "remarks", "subject_type varchar(50) null", "subject_id varchar(64) null",
        "text varchar(20)",
    )  # fmt: skip
    make_table(db, "stamps", "kind varchar(50)", "owner_key bigint", "text varchar(20)")
    for n in (1, 2):
        Photo.create(name=f"photo{n}")
    film = Film.create(name="film")
    for owner, text in ((Photo.find(1), "a"), (Photo.find(1), "b"), (Photo.find(2), "c"),
                        (film, "d")):  # fmt: skip
        owner.related("remarks").create(text=text)
    return db


def texts(remarks: Any) -> list[str]:
    return sorted(remark.text for remark in remarks)


def test_rows_hold_the_type_and_the_key_of_their_owner(media: Database) -> None:
    rows = media.table("remarks").order_by("id").get()

    assert [row.subject_type for row in rows] == ["Photo", "Photo", "Photo", "film"]
    assert texts(Photo.find(1).remarks) == ["a", "b"]
    assert texts(Film.first().remarks) == ["d"]
    assert Photo.find(1).related("remarks").where("text", "a").count() == 1
    assert Photo.find(1).related("remarks").save(Remark(text="n")).subject_type == "Photo"


def test_the_owner_is_of_any_class(media: Database) -> None:
    remarks = Remark.order_by("id").get()

    assert remarks[0].subject == Photo.find(1)
    assert remarks[3].subject == Film.first()
    assert Remark().subject is None
    assert Remark.create(text="alone").fresh().subject is None
    assert Remark(subject_type="Photo", subject_id="99").subject is None


def test_owners_are_loaded_by_one_query_for_each_class(media: Database) -> None:
    Remark.create(text="alone")
    remarks: list[Any] = []

    assert (
        count_of(media, lambda: remarks.extend(Remark.with_("subject").order_by("id").get())) == 3
    )
    assert count_of(media, lambda: [r.subject for r in remarks]) == 0
    assert [r.subject and r.subject.name for r in remarks] == [
        "photo1", "photo1", "photo2", "film", None,
    ]  # fmt: skip
    deep = Remark.with_("subject.remarks").order_by("id").get()
    assert texts(deep[0].subject.remarks) == ["a", "b"]
    assert texts(deep[3].subject.remarks) == ["d"]


def test_many_owners_load_what_hangs_on_them(media: Database) -> None:
    photos = Photo.with_("remarks").order_by("id").get()

    assert [texts(p.remarks) for p in photos] == [["a", "b"], ["c"]]
    assert [p.remarks_count for p in Photo.with_count("remarks").order_by("id").get()] == [2, 1]
    assert Photo.where_has("remarks", lambda q: q.where("text", "c")).pluck("name") == ["photo2"]
    assert Photo.doesnt_have("remarks").count() == 0


def test_a_text_key_column_is_compared_with_text(media: Database) -> None:
    (entry,) = statements(media, lambda: Photo.find(1).remarks)[1:]

    assert entry["bindings"] == ["1", "Photo"]


def test_one_owner_has_one(media: Database) -> None:
    photo = Photo.find(2)
    photo.related("stamp").create(text="s")

    assert photo.stamp.text == "s"
    assert Stamp.first().owner == photo
    assert [p.stamp and p.stamp.text for p in Photo.with_("stamp").order_by("id").get()] == [
        None, "s",
    ]  # fmt: skip
    assert Stamp.with_("owner").first().owner == photo


def test_an_owner_may_be_of_the_rows_own_class(media: Database) -> None:
    first = Remark.find(1)
    reply = first.related("replies").create(text="r")

    assert reply.fresh().subject == first
    assert texts(Remark.find(1).replies) == ["r"]
    assert [r.replies_count for r in Remark.with_count("replies").where("id", 1).get()] == [1]


def test_associate_sets_type_and_key(media: Database) -> None:
    remark = Remark.find(1)

    remark.related("subject").associate(Film.first()).save()
    assert Remark.find(1).subject.name == "film"
    remark.related("subject").dissociate().save()
    assert Remark.find(1).subject is None
    assert Remark.find(1).subject_type is None


def test_an_unknown_owner_type_is_explained(media: Database) -> None:
    Remark.create(text="x", subject_type="Nothing", subject_id="1")

    with pytest.raises(RelationError, match="unknown model type 'Nothing'"):
        _ = Remark.first_where("text", "x").subject
    with pytest.raises(RelationError, match="several tables"):
        Remark.has("subject").get()


# --- through


class Country(Model):
    timestamps = False

    @relation
    def orders(self) -> Any:
        return self.has_many_through(Order, Client)

    @relation
    def own(self) -> Any:
        return self.has_many_through(Order, Country, "id", "client_id")


class Client(SoftDeletes, Model):
    timestamps = False


class Order(Model):
    timestamps = False


@pytest.fixture
def trade(db: Database) -> Database:
    make_table(db, "countries", "name varchar(20)")
    make_table(db, "clients", "country_id bigint", "deleted_at datetime(6) null")
    make_table(db, "orders", "client_id bigint", "number varchar(20)")
    for name in ("de", "fr", "it"):
        Country.create(name=name)
    for country in (1, 1, 2):
        Client.create(country_id=country)
    for client, number in ((1, "a"), (2, "b"), (2, "c"), (3, "d")):
        Order.create(client_id=client, number=number)
    return db


def numbers(orders: Any) -> list[str]:
    return sorted(order.number for order in orders)


def test_through_a_table_between(trade: Database) -> None:
    assert numbers(Country.find(1).orders) == ["a", "b", "c"]
    assert numbers(Country.find(3).orders) == []
    assert Country().orders == []
    assert Country.find(1).orders().where("number", ">", "a").count() == 2
    assert set(Country.find(1).orders[0].get_attributes()) == {"id", "client_id", "number"}


def test_through_is_loaded_and_asked_like_the_others(trade: Database) -> None:
    countries = Country.with_("orders").order_by("id").get()

    assert [numbers(c.orders) for c in countries] == [["a", "b", "c"], ["d"], []]
    assert [c.orders_count for c in Country.with_count("orders").order_by("id").get()] == [3, 1, 0]
    assert Country.where_has("orders", lambda q: q.where("number", "d")).pluck("name") == ["fr"]
    limited = Country.with_(orders=lambda q: q.order_by("orders.id").limit(1)).order_by("id").get()
    assert [numbers(c.orders) for c in limited] == [["a"], ["d"], []]
    assert Country.has("own").order_by("id").pluck("id") == [1, 2, 3]


def test_what_is_deleted_between_leads_nowhere(trade: Database) -> None:
    Client.find(2).delete()

    assert numbers(Country.find(1).orders) == ["a"]
    assert numbers(Country.find(1).orders().or_where("number", "b").get()) == []
    assert [numbers(c.orders) for c in Country.with_("orders").order_by("id").get()][0] == ["a"]
    assert Country.with_count("orders").find(1).orders_count == 1


class Member(SoftDeletes, Model):
    timestamps = False

    @relation
    def chief(self) -> Any:
        return self.belongs_to(Member, "member_id")

    @relation
    def nephews(self) -> Any:
        return self.has_many_through(Member, Member).where("name", "like", "n%")


def test_every_name_in_what_leads_through_its_own_table_means_the_related_row(
    empty_db: Database,
) -> None:
    make_table(empty_db, "members", "name varchar(9)", "member_id bigint", "deleted_at datetime(6)")
    for name, chief in (("top", None), ("mid", 1), ("two", 1), ("n1", 2), ("n2", 3), ("x", 3)):
        Member.create(name=name, member_id=chief)
    top = Member.find(1)

    assert sorted(top.nephews.pluck("name")) == ["n1", "n2"]
    assert top.related("nephews").where("name", "n2").pluck("id") == [5]
    assert [len(one.nephews) for one in Member.with_("nephews").order_by("id").get()][:2] == [2, 0]
    assert Member.with_count("nephews").order_by("id").pluck("nephews_count")[:2] == [2, 0]
    assert Member.where_has("nephews", lambda q: q.where("id", 4)).pluck("name") == ["top"]
    assert top.related("nephews").where("name", "n1").update({"name": "n9"}) == 1

    Member.find(2).delete()
    assert top.related("nephews").pluck("name") == ["n2"]
    assert top.related("nephews").delete() == 1
    assert Member.order_by("id").pluck("id") == [1, 3, 4, 6]
