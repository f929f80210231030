"""What a relation guarantees, whoever fills the rows; relations that lead to their own table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.db.model.mixins import SoftDeletes
from so.db.query import Query
from so.db.relations.definition import relation
from so.errors import RelationError, UniqueConstraintError, UnsupportedError
from tests.db.model_tables import make_table


class Post(Model):
    timestamps = False


class Badge(Model):
    timestamps = False


class Member(Model):
    timestamps = False

    @relation
    def posts(self) -> Any:
        return self.has_many(Post)

    @relation
    def marks(self) -> Any:
        return self.morph_many(Post, "owner")

    @relation
    def mark(self) -> Any:
        return self.morph_one(Post, "owner")

    @relation
    def badges(self) -> Any:
        return self.belongs_to_many(Badge).with_pivot("grade")

    @relation
    def likes(self) -> Any:
        return self.has_many_through(Post, Badge)


@pytest.fixture
def members(empty_db: Database) -> Database:
    make_table(empty_db, "members", "name varchar(9)")
    make_table(
        empty_db, "posts", "member_id bigint", "badge_id bigint", "title varchar(9) unique",
        "owner_type varchar(20)", "owner_id bigint",
    )  # fmt: skip
    make_table(empty_db, "badges", "member_id bigint", "name varchar(9)")
    make_table(
        empty_db, "badge_member", "badge_id bigint", "member_id bigint", "grade varchar(9)", key=""
    )
    for name in ("me", "other"):
        Member.create(name=name)
    return empty_db


WAYS: list[tuple[str, Callable[[Any, dict[str, Any]], Any]]] = [
    ("create", lambda r, sent: r.create({"title": "t", **sent})),
    ("create by name", lambda r, sent: r.create(title="t", **sent)),
    ("create_quietly", lambda r, sent: r.create_quietly({"title": "t", **sent})),
    ("force_create", lambda r, sent: r.force_create({"title": "t", **sent})),
    ("create_many", lambda r, sent: r.create_many([{"title": "t", **sent}])[0]),
    ("make", lambda r, sent: saved(r.make({"title": "t", **sent}))),
    ("new_model", lambda r, sent: saved(r.new_model({"title": "t", **sent}))),
    ("save", lambda r, sent: r.save(Post(title="t", **sent))),
    ("save_many", lambda r, sent: r.save_many([Post(title="t", **sent)])[0]),
    ("first_or_new", lambda r, sent: saved(r.first_or_new({"title": "t"}, sent))),
    ("first_or_new by it", lambda r, sent: saved(r.first_or_new({"title": "t", **sent}))),
    ("first_or_create", lambda r, sent: r.first_or_create({"title": "t"}, sent)),
    ("first_or_create by it", lambda r, sent: r.first_or_create({"title": "t", **sent})),
    ("create_or_first", lambda r, sent: r.create_or_first({"title": "t"}, lambda: sent)),
    ("update_or_create", lambda r, sent: r.update_or_create({"title": "t"}, sent)),
    ("insert", lambda r, sent: r.insert({"title": "t", **sent})),
    ("insert many", lambda r, sent: r.insert([{"title": "t", **sent}])),
    ("insert_get_id", lambda r, sent: r.insert_get_id({"title": "t", **sent})),
    ("insert_or_ignore", lambda r, sent: r.insert_or_ignore([{"title": "t", **sent}])),
    ("upsert", lambda r, sent: r.upsert([{"title": "t", **sent}], ["title"])),
    ("upsert one", lambda r, sent: r.upsert({"title": "t", **sent}, "title", list(sent))),
    ("update_or_insert", lambda r, sent: r.update_or_insert({"title": "t"}, sent)),
    ("update_or_insert by it", lambda r, sent: r.update_or_insert({"title": "t", **sent})),
    (
        "insert_or_ignore_returning",
        lambda r, sent: r.insert_or_ignore_returning({"title": "t", **sent}),
    ),
    ("insert_using", lambda r, sent: r.insert_using(["title", *sent], selected("t", sent))),
    (
        "insert_or_ignore_using",
        lambda r, sent: r.insert_or_ignore_using([*sent, "title"], selected("t", sent, last=True)),
    ),
]
in_every_way = pytest.mark.parametrize(
    "way", [fn for _, fn in WAYS], ids=[name for name, _ in WAYS]
)


def selected(title: str, sent: dict[str, Any], last: bool = False) -> Any:
    """A sub-query that gives one row: *title*, and what was *sent* before or behind it."""
    values = [*sent.values(), title] if last else [title, *sent.values()]
    source = Member.query()
    query = Query(source.runner, source.grammar, "members")
    return query.where("id", 1).select_raw(", ".join("?" * len(values)), values)


def saved(model: Any) -> Any:
    model.save()
    return model


def row(db: Database) -> Any:
    return db.table("posts").sole()


@in_every_way
@pytest.mark.parametrize("spelling", ["member_id", "MEMBER_ID"])
def test_the_parents_key_is_kept(members: Database, way: Any, spelling: str) -> None:
    way(Member.find(1).related("posts"), {spelling: 2})

    assert row(members).member_id == 1


@in_every_way
@pytest.mark.parametrize("name", ["marks", "mark"])
def test_type_and_key_of_a_polymorphic_parent_are_kept(
    members: Database, way: Any, name: str
) -> None:
    way(Member.find(1).related(name), {"owner_type": "Admin", "owner_id": 9})

    assert (row(members).owner_type, int(row(members).owner_id)) == ("Member", 1)


def test_a_model_that_is_found_is_not_given_away(members: Database) -> None:
    mine = Member.find(1).related("posts").create(title="t")

    Member.find(1).related("posts").update_or_create({"title": "t"}, {"member_id": 2})
    again = Member.find(1).related("posts").first_or_create({"title": "t", "member_id": 2})

    assert (row(members).member_id, again.id) == (1, mine.id)


TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("title", {"title": "his", "badge_id": 9}),
    ("id", {"id": 2, "title": "new", "badge_id": 9}),
    ("title", {"id": 2, "title": "new", "badge_id": 9}),
]


@pytest.mark.parametrize(("key", "row"), TAKEN)
@pytest.mark.parametrize("name", ["posts", "mark"])
def test_an_upsert_leaves_the_rows_of_others_alone(
    members: Database, name: str, key: str, row: dict[str, Any]
) -> None:
    Member.find(1).related(name).create(title="mine")
    Member.find(2).related(name).create(title="his")
    before = members.table("posts").order_by("id").get()
    rows = [{**row, "title": "mine"}, row] if "id" not in row else [row]

    for update in (None, ["badge_id"], {"badge_id": 9}, ["member_id", "owner_id"]):
        with members.transaction(), pytest.raises(UniqueConstraintError):
            Member.find(1).related(name).upsert(rows, key, update)

    assert members.table("posts").order_by("id").get() == before


def test_an_upsert_takes_no_row_that_has_no_owner(members: Database) -> None:
    members.table("posts").insert({"title": "free"})

    with pytest.raises(UniqueConstraintError, match="Post 1, which is not of this Member"):
        Member.find(1).related("posts").upsert({"title": "free"}, "title")

    assert row(members).member_id is None


@pytest.mark.parametrize("update", [None, ["badge_id"], "badge_id", {"badge_id": 5}])
def test_an_upsert_changes_the_parents_own_rows(members: Database, update: Any) -> None:
    posts = Member.find(1).related("posts")
    posts.create(title="mine")

    posts.upsert(({"title": title, "badge_id": 5} for title in ("mine", "new")), "title", update)

    found = members.table("posts").order_by("title").get(["title", "badge_id", "member_id"])
    assert [tuple(one.values()) for one in found] == [("mine", 5, 1), ("new", 5, 1)]


@pytest.mark.parametrize(
    "way",
    [
        lambda r: r.update({"member_id": 2}),
        lambda r: r.update({"title": "x", "MEMBER_ID": 2}),
        lambda r: r.update({"posts.member_id": 2}),
        lambda r: r.update(member_id=2),
        lambda r: r.where("title", "t").update_or_fail({"member_id": 2}),
        lambda r: r.increment("member_id"),
        lambda r: r.increment("badge_id", 1, {"member_id": 2}),
        lambda r: r.decrement_each({"member_id": 1}),
    ],
)
def test_what_ties_rows_to_their_parent_is_not_changed_through_it(
    members: Database, way: Callable[[Any], Any]
) -> None:
    posts = Member.find(1).related("posts")
    posts.create(title="t", badge_id=1)

    with pytest.raises(RelationError, match=r"Post\.where"):
        way(posts)

    assert (row(members).member_id, row(members).title, row(members).badge_id) == (1, "t", 1)


def test_pairs_and_rows_between_are_not_changed_through_a_relation(members: Database) -> None:
    me = Member.find(1)
    me.related("badges").create({"name": "b", "member_id": 1})
    Post.create(title="t", badge_id=1)

    for way in (
        lambda: me.related("badges").update({"badge_member.member_id": 2}),
        lambda: me.related("likes").update({"badges.member_id": 2}),
        lambda: me.related("badges").insert({"name": "unpaired"}),
        lambda: me.related("badges").upsert({"id": 1, "name": "unpaired"}, "id"),
    ):
        with pytest.raises(RelationError):
            way()
    assert members.table("badge_member").pluck("member_id") == [1]
    assert members.table("badges").pluck("member_id", "name") == {"b": 1}


def test_columns_of_a_joined_table_are_changed_or_refused(members: Database) -> None:
    members.table("posts").insert({"title": "t", "member_id": 1})
    query = members.table("posts").join("members", "members.id", "posts.member_id")

    if members.connection().dialect.name == "sqlite":
        with pytest.raises(UnsupportedError, match=r"members\.name"):
            query.update({"members.name": "new"})
    else:
        assert query.update({"members.name": "new"}) == 1
    assert members.table("members").where("name", "other").exists()
    assert row(members).title == "t"


def test_a_mutator_sees_the_parents_key(members: Database) -> None:
    class Titled(Post):
        table = "posts"

        def set_title_attribute(self, value: str) -> str:
            return f"{value}{self.member_id}"

    class Author(Member):
        table = "members"

        @relation
        def posts(self) -> Any:
            return self.has_many(Titled, "member_id")

    Author.find(1).related("posts").create({"title": "t", "member_id": 2})

    assert (row(members).title, row(members).member_id) == ("t1", 1)


@pytest.mark.parametrize(
    "way",
    [
        lambda r, sent: r.create({"name": "b"}, pivot=sent),
        lambda r, sent: r.save(Badge(name="b"), sent),
        lambda r, sent: r.attach(Badge.create(name="b").id, sent),
        lambda r, sent: r.attach({Badge.create(name="b").id: sent}),
        lambda r, sent: r.sync({Badge.create(name="b").id: sent}),
        lambda r, sent: r.sync_without_detaching({Badge.create(name="b").id: sent}),
        lambda r, sent: r.toggle({Badge.create(name="b").id: sent}),
        lambda r, sent: (r.attach(Badge.create(name="b").id), r.update_existing_pivot(1, sent)),
        lambda r, sent: (r.attach(Badge.create(name="b").id), r.sync({1: sent})),
    ],
)
def test_a_pair_holds_the_two_that_it_joins(members: Database, way: Any) -> None:
    way(Member.find(1).related("badges"), {"member_id": 2, "BADGE_ID": 7, "grade": "x"})

    assert dict(members.table("badge_member").sole()) == {
        "badge_id": 1, "member_id": 1, "grade": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    "way",
    [
        lambda r: r.create({"name": "b"}),
        lambda r: r.force_create({"name": "b"}),
        lambda r: r.create_quietly({"name": "b"}),
        lambda r: r.create_many([{"name": "b"}]),
        lambda r: r.first_or_create({"name": "b"}),
        lambda r: r.update_or_create({"name": "b"}, {}),
    ],
)
def test_whatever_is_created_through_pairs_is_paired(members: Database, way: Any) -> None:
    way(Member.find(1).related("badges"))

    assert members.table("badge_member").sole().member_id == 1


def test_nothing_is_made_through_a_table_between(members: Database) -> None:
    likes = Member.find(1).related("likes")
    for way in (
        lambda: likes.create(title="t"),
        lambda: likes.make(),
        lambda: likes.save(Post(title="t")),
        lambda: likes.first_or_create({"title": "t"}),
        lambda: likes.insert({"title": "t"}),
    ):
        with pytest.raises(RelationError, match="Badge"):
            way()
    assert members.table("posts").count() == 0


def test_a_limit_holds_for_writes_through_pairs(members: Database) -> None:
    member = Member.find(1)
    for name in ("a", "b", "c"):
        member.related("badges").create({"name": name})
    Badge.create(name="other")

    def badges() -> Any:
        return member.related("badges").order_by("badges.id")

    assert badges().limit(1).update({"name": "z"}) == 1
    assert badges().offset(1).limit(1).update({"name": "y"}) == 1
    assert Badge.order_by("id").pluck("name") == ["z", "y", "c", "other"]
    assert badges().limit(1).delete() == 1
    assert Badge.order_by("id").offset(1).limit(1).delete() == 1
    assert Badge.order_by("id").pluck("name") == ["y", "other"]


def test_rows_of_a_table_are_not_written_past_a_limit(members: Database) -> None:
    def table() -> Any:
        return members.table("members").order_by("id")

    mysql = members.connection().dialect.name == "mysql"
    joined = table().join("members as m", "m.id", "members.id").limit(1)
    for query in (table().offset(1), joined):
        if mysql:
            with pytest.raises(UnsupportedError, match="keys"):
                query.delete()
    if not mysql:
        assert table().offset(1).delete() == 1
        assert members.table("members").pluck("id") == [1]


# --- relations to the table they start from -----------------------------------------------------


class Cat(SoftDeletes, Model):
    timestamps = False

    @relation
    def kittens(self) -> Any:
        return self.has_many(Cat, "parent_id").where("cats.active", 1)

    @relation
    def raw_kittens(self) -> Any:
        return self.has_many(Cat, "parent_id").where_raw("cats.active = 1 or cats.active = 7 -- x")

    @relation
    def tails(self) -> Any:
        return self.morph_many(Cat, "owner").where("cats.active", 1)

    @relation
    def eldest(self) -> Any:
        return self.has_one(Cat, "parent_id").where("cats.active", 1).order_by("cats.id")

    @relation
    def parent(self) -> Any:
        return self.belongs_to(Cat, "parent_id").where("cats.active", 1)

    @relation
    def friends(self) -> Any:
        friends = self.belongs_to_many(Cat, "friends", "a", "b")
        return friends.where("cats.active", 1).where_pivot("ok", 1)

    @relation
    def grandkittens(self) -> Any:
        through = self.has_many_through(Cat, Cat, "parent_id", "parent_id")
        return through.where("cats.active", 1)


@pytest.fixture
def cats(empty_db: Database) -> Database:
    make_table(
        empty_db, "cats", "parent_id bigint", "name varchar(9)", "active int",
        "owner_type varchar(9)", "owner_id varchar(9)", "deleted_at datetime(6)",
    )  # fmt: skip
    make_table(empty_db, "friends", "a bigint", "b bigint", "ok int", key="")
    parents = [(None, 0), (1, 1), (1, 0), (2, 1), (2, 1), (3, 1), (4, 0), (7, 1)]
    for number, (parent, active) in enumerate(parents, 1):
        owner = {"owner_type": "Cat", "owner_id": str(parent)} if parent else {}
        Cat.create(parent_id=parent, name=f"c{number}", active=active, **owner)
    for a, b, ok in [(1, 2, 1), (1, 3, 1), (2, 3, 1), (3, 4, 0), (4, 5, 1)]:
        empty_db.table("friends").insert({"a": a, "b": b, "ok": ok})
    Cat.find(5).delete()
    return empty_db


OWN = ["kittens", "raw_kittens", "tails", "eldest", "parent", "friends", "grandkittens"]


def many(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found] if found else []


@pytest.mark.parametrize("name", OWN)
def test_what_exists_is_what_is_related(cats: Database, name: str) -> None:
    related = {cat.id: [c.id for c in many(cat.related(name).get())] for cat in Cat.all()}
    with_some = [key for key, found in related.items() if found]

    assert with_some
    assert Cat.has(name).order_by("id").pluck("id") == with_some
    assert Cat.where_has(name).order_by("id").pluck("id") == with_some
    with_none = [key for key, found in related.items() if not found]
    assert sorted(Cat.doesnt_have(name).pluck("id")) == with_none
    assert Cat.has(name, ">=", 2).pluck("id") == [k for k, f in related.items() if len(f) > 1]
    counted = {cat.id: cat[f"{name}_count"] for cat in Cat.with_count(name).get()}
    assert counted == {key: len(found) for key, found in related.items()}
    one = Cat.find(1).load_count(name)
    assert one[f"{name}_count"] == len(related[1])
    assert Cat.where("name", "none").or_has(name).order_by("id").pluck("id") == with_some


def test_callbacks_look_at_the_related_row(cats: Database) -> None:
    def named(name: str) -> Callable[[Any], Any]:
        return lambda q: q.where("cats.name", name).or_where(q.qualify("name"), "nobody")

    assert Cat.where_has("kittens", named("c2")).pluck("id") == [1]
    assert Cat.where_has("kittens", lambda q: q.has("kittens")).pluck("id") == [1]
    assert Cat.has("kittens.kittens").pluck("id") == [1]
    assert Cat.where_has("parent", named("c2")).pluck("id") == [4]
    assert Cat.where_has("friends", lambda q: q.where_pivot("ok", 1)).pluck("id") == [1]
    assert Cat.where_has("kittens", lambda q: q.only_trashed()).pluck("id") == [2]
    assert Cat.where_has("kittens", lambda q: q.with_trashed(), ">", 1).pluck("id") == [2]
    assert Cat.where_has("kittens", lambda q: q.having_raw("count(*) > 0")).pluck("id") == [
        1,
        2,
        3,
        7,
    ]
    assert Cat.with_count(kittens=named("c4")).find(2).kittens_count == 1
