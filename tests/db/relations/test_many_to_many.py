from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.model import Model, relation
from so.errors import RelationError
from tests.db.model_tables import count_of, make_table

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


class User(Model):
    timestamps = False

    @relation
    def roles(self) -> Any:
        return self.belongs_to_many(Role).with_pivot("level", "active").with_timestamps()

    @relation
    def active_roles(self) -> Any:
        return self.belongs_to_many(Role).with_pivot("active").where_pivot("active", 1)

    @relation
    def friends(self) -> Any:
        return self.belongs_to_many(User, "friendships", "user_id", "friend_id")


class Role(Model):
    timestamps = False

    @relation
    def users(self) -> Any:
        return self.belongs_to_many(User, "role_user", "role_id", "user_id")


@pytest.fixture
def db(empty_db: Database) -> Database:
    """Without the framework's tables, which have roles of their own."""
    return empty_db


@pytest.fixture
def access(db: Database) -> Database:
    make_table(db, "users", "name varchar(20)")
    make_table(db, "roles", "name varchar(20)", "place int")
    make_table(
        db, "role_user", "user_id bigint", "role_id bigint", "level int null",
        "active tinyint(1) null", "created_at datetime(6) null", "updated_at datetime(6) null",
        key="",
    )  # fmt: skip
    make_table(db, "friendships", "user_id bigint", "friend_id bigint", key="")
    for name in ("ada", "bob"):
        User.create(name=name)
    for place, name in enumerate(("admin", "clerk", "guest", "auditor")):
        Role.create(name=name, place=place)
    return db


def names(models: Any) -> list[str]:
    return sorted(model.name for model in models)


def pairs(db: Database) -> list[tuple[int, int]]:
    rows = db.table("role_user").order_by("user_id").order_by("role_id").get()
    return [(row.user_id, row.role_id) for row in rows]


def test_attach_takes_keys_models_and_further_columns(access: Database) -> None:
    ada = User.find(1)

    ada.roles().attach(1)
    ada.roles().attach([2, "3"], {"level": 5})
    ada.roles().attach({4: {"level": 7}})
    User.find(2).roles().attach(Role.find(1))
    User.find(2).roles().attach([Role.find(2)])
    User.find(2).roles().attach([])

    assert pairs(access) == [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2)]
    assert {role.name: role.pivot.level for role in ada.roles} == {
        "admin": None, "clerk": 5, "guest": 5, "auditor": 7,
    }  # fmt: skip


def test_the_pivot_carries_keys_columns_and_moments(access: Database) -> None:
    ada = User.find(1)
    ada.roles().attach(1, {"level": 3})

    pivot = ada.roles[0].pivot

    assert (pivot.user_id, pivot.role_id, pivot["level"]) == (1, 1, 3)
    assert (pivot.created_at, pivot.updated_at) == (NOON, NOON)
    assert ada.roles[0].to_dict()["pivot"]["level"] == 3
    assert set(ada.roles[0].get_attributes()) == {"id", "name", "place"}


def test_detach_says_how_many_went(access: Database) -> None:
    ada = User.find(1)
    ada.roles().attach([1, 2, 3, 4])
    User.find(2).roles().attach([1])

    assert ada.roles().detach(1) == 1
    assert ada.roles().detach([2, 3, 99]) == 2
    assert ada.roles().detach([]) == 0
    assert ada.roles().detach() == 1
    assert pairs(access) == [(2, 1)]


def test_sync_makes_the_pairs_exactly_these(access: Database) -> None:
    ada = User.find(1)
    ada.roles().attach([1, 2])

    assert ada.roles().sync(["2", 3]) == {"attached": [3], "detached": [1], "updated": []}
    assert ada.roles().sync({2: {"level": 1, "active": True}, 3: {}}) == {
        "attached": [], "detached": [], "updated": [2],
    }  # fmt: skip
    assert ada.roles().sync({2: {"level": 1, "active": True}, 3: {}})["updated"] == []
    assert ada.roles().sync_without_detaching([4]) == {
        "attached": [4], "detached": [], "updated": [],
    }  # fmt: skip
    assert ada.roles().sync([])["detached"] == [2, 3, 4]


def test_toggle_turns_pairs_around(access: Database) -> None:
    ada = User.find(1)
    ada.roles().attach([1, 2])

    changed = ada.roles().toggle([2, 3])

    assert (changed["attached"], changed["detached"]) == ([3], [2])
    assert pairs(access) == [(1, 1), (1, 3)]


def test_update_existing_pivot(access: Database, clock: Any) -> None:
    ada = User.find(1)
    ada.roles().attach([1, 2])
    clock.travel(60)

    assert ada.roles().update_existing_pivot(1, {"level": 9}) == 1
    assert ada.roles().update_existing_pivot(99, {"level": 9}) == 0
    by_name = {role.name: role.pivot for role in ada.roles}
    assert (by_name["admin"].level, by_name["clerk"].level) == (9, None)
    assert by_name["admin"].updated_at == clock.now()
    assert by_name["admin"].created_at == NOON


def test_what_where_pivot_demands_is_set_after_whatever_was_sent(access: Database) -> None:
    ada = User.find(1)
    ada.related("active_roles").detach()

    ada.related("active_roles").attach(1, {"active": 0})

    assert [role.pivot.active for role in User.find(1).active_roles] == [1]


def test_where_pivot_chooses_and_is_written_along(access: Database) -> None:
    ada = User.find(1)
    ada.roles().attach({1: {"active": 1}, 2: {"active": 0}, 3: {}})

    assert names(ada.active_roles) == ["admin"]
    ada.active_roles().attach(4)
    assert names(ada.active_roles) == ["admin", "auditor"]
    assert ada.active_roles().detach([1, 2]) == 1
    assert names(ada.roles) == ["auditor", "clerk", "guest"]
    assert names(ada.roles().where_pivot_in("level", [1]).get()) == []
    assert names(ada.roles().where_pivot_null("active").get()) == ["guest"]
    assert names(ada.roles().where_pivot("active", ">=", 0).get()) == ["auditor", "clerk"]


def test_a_role_can_be_made_or_saved_and_attached(access: Database) -> None:
    ada = User.find(1)

    made = ada.roles().create({"name": "made"}, {"level": 2})
    saved = ada.roles().save(Role(name="saved"), {"level": 3})

    assert {r.name: r.pivot.level for r in ada.roles} == {"made": 2, "saved": 3}
    assert (made.persisted, saved.persisted) == (True, True)
    assert ada.roles().all_related_ids() == [made.id, saved.id]
    with pytest.raises(RelationError, match="save it first"):
        User().roles().attach(1)
    with pytest.raises(RelationError):
        User().roles().create(name="x")


def test_a_refused_model_is_not_attached(access: Database) -> None:
    class Refused(Role):
        table = "roles"

    Refused.saving(lambda role: False)

    assert User.find(1).roles().save(Refused(name="n")) is False
    assert pairs(access) == []


def test_first_or_create_through_a_pivot_attaches(access: Database) -> None:
    ada = User.find(1)

    made = ada.roles().first_or_create({"name": "fresh"})
    again = ada.roles().first_or_create({"name": "fresh"})

    assert made.id == again.id
    assert names(ada.roles) == ["fresh"]


def test_the_relation_is_a_query_too(access: Database) -> None:
    ada = User.find(1)
    ada.roles().attach({1: {"level": 2}, 2: {"level": 1}, 3: {"level": 3}})

    assert ada.roles().count() == 3
    assert ada.roles().where("roles.name", "clerk").exists()
    assert [r.name for r in ada.roles().order_by_pivot("level").get()] == [
        "clerk",
        "admin",
        "guest",
    ]
    assert ada.roles().order_by("roles.name").pluck("roles.name") == ["admin", "clerk", "guest"]
    assert ada.roles().find(2).pivot.level == 1
    assert ada.roles().find(4) is None
    page = ada.roles().order_by("roles.id").paginate(2)
    assert (page["total"], [r.pivot.level for r in page["data"]]) == (3, [2, 1])
    assert [r.name for r in ada.roles().lazy_by_id(2)] == ["admin", "clerk", "guest"]
    assert sorted(r.pivot.level for r in ada.roles().cursor()) == [1, 2, 3]
    assert ada.roles().where("roles.name", "guest").update({"place": 77}) == 1
    assert Role.find(3).place == 77
    assert names(ada.roles().select("roles.name").get()) == ["admin", "clerk", "guest"]


def test_eager_loading_and_the_other_direction(access: Database) -> None:
    User.find(1).roles().attach({1: {"level": 1}, 2: {}})
    User.find(2).roles().attach({1: {"level": 2}})

    users = []
    assert (
        count_of(access, lambda: users.extend(User.with_("roles.users").order_by("id").get())) == 3
    )

    assert [names(user.roles) for user in users] == [["admin", "clerk"], ["admin"]]
    assert [role.pivot.level for user in users for role in user.roles] == [1, None, 2]
    assert names(users[1].roles[0].users) == ["ada", "bob"]
    assert User.where_has("roles", lambda q: q.where("roles.name", "clerk")).pluck("name") == [
        "ada"
    ]
    assert User.doesnt_have("roles").count() == 0
    assert [u.roles_count for u in User.with_count("roles").order_by("id").get()] == [2, 1]
    assert User.has("roles", ">=", 2).pluck("name") == ["ada"]


def test_a_class_may_be_related_to_itself(access: Database) -> None:
    ada, bob = User.find(1), User.find(2)
    ada.friends().attach(bob)

    assert names(ada.friends) == ["bob"]
    assert names(User.has("friends").get()) == ["ada"]
    assert User.where_has("friends", lambda q: q.where("name", "bob")).pluck("name") == ["ada"]
    assert [u.friends_count for u in User.with_count("friends").order_by("id").get()] == [1, 0]


def test_a_key_that_cannot_be_one_is_refused(access: Database) -> None:
    with pytest.raises(ValueError, match="'x' is not a key of Role"):
        User.find(1).roles().attach("x")


def test_a_table_prefix_is_put_before_every_table(tmp_path: Any) -> None:
    config = {"driver": "sqlite", "database": str(tmp_path / "p.sqlite"), "prefix": "so_"}
    with Connection(config) as connection:
        for table in ("users", "roles"):
            connection.statement(f"create table so_{table} (id integer primary key, name text)")
        connection.statement("create table so_friendships (user_id int, friend_id int)")
        ada, bob = (User.on(connection).create(name=name) for name in ("ada", "bob"))
        ada.friends().attach(bob)

        assert names(User.on(connection).with_("friends").find(1).friends) == ["bob"]
        assert User.on(connection).has("friends").pluck("name") == ["ada"]
        assert User.on(connection).with_count("friends").find(1).friends_count == 1
        assert ada.update(name="eve")
        assert User.on(connection).where("name", "eve").update({"name": "x"}) == 1
        assert ada.friends().update({"name": "y"}) == 1
        assert ada.delete()


def test_a_model_that_is_there_is_attached_instead_of_made_again(access: Database) -> None:
    ada = User.find(1)
    ada.roles().attach(1)

    assert ada.roles().first_or_new({"name": "clerk"}).persisted
    assert pairs(access) == [(1, 1)]

    clerk = ada.roles().first_or_create({"name": "clerk"}, {"place": 9}, pivot={"level": 5})
    assert (clerk.id, clerk.place, clerk.was_recently_created) == (2, 1, False)
    assert ada.roles().update_or_create({"name": "guest"}, {"place": 7}).place == 7
    assert ada.roles().first_or_create({"name": "new"}, {"place": 8}).was_recently_created
    assert ada.roles().first_or_create({"name": "admin"}).id == 1

    assert pairs(access) == [(1, 1), (1, 2), (1, 3), (1, 5)]
    assert {role.name: role.pivot.level for role in ada.roles}["clerk"] == 5
    assert Role.count() == 5


def test_a_unique_key_leads_to_the_model_that_has_it(access: Database) -> None:
    access.connection().statement("create unique index one_name on roles (name)")
    ada = User.find(1)

    clerk = ada.roles().create_or_first({"name": "clerk"}, {"place": 9}, pivot={"level": 5})

    assert (clerk.id, clerk.place) == (2, 1)
    assert ada.roles().create_or_first({"name": "clerk"}).id == 2
    assert ada.roles().create_or_first({"name": "new"}).was_recently_created
    assert names(ada.roles) == ["clerk", "new"]
