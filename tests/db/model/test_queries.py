"""The class side: finding, making, scopes, values, pages."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model, Models, SoftDeletes
from so.db.rows import Collection
from so.errors import (
    InvalidArgumentError,
    ModelNotFoundError,
    MultipleRecordsFoundError,
    RecordNotFoundError,
    UniqueConstraintError,
)
from tests.db.model_tables import STAMPS, count_of, make_table, statements


class User(Model):
    casts = {"age": int, "balance": "decimal:2", "data": "json"}
    per_page = 2

    def scope_adult(self, query: Any) -> None:
        query.where("age", ">=", 18)

    def scope_named(self, query: Any, *names: str) -> Any:
        return query.where_in("name", names)

    def scope_odd_or_old(self, query: Any) -> None:
        query.where("age", 13).or_where("age", ">", 60)

    def scope_or_called(self, query: Any, name: str) -> None:
        query.or_where("name", name)

    def get_name_attribute(self, value: Any) -> Any:
        return value and value.title()


class Item(Model):
    primary_key = "code"
    key_type = str
    incrementing = False
    timestamps = False


class Trashed(SoftDeletes, Model):
    timestamps = False
    table = "trashed"


@pytest.fixture
def users(db: Database) -> Database:
    make_table(
        db, "users", "name varchar(50)", "email varchar(50) null unique", "age int",
        "balance decimal(12,2)", "data text", *STAMPS,
    )  # fmt: skip
    for name, age in (("ada", 36), ("bob", 13), ("cyd", 70), ("dan", 20)):
        User.create(name=name, email=f"{name}@x", age=age, balance=f"{age}.10", data={"n": age})
    return db


def names(found: Any) -> list[str]:
    return sorted(user["name"] for user in found)


# --- finding


def test_find_by_key(users: Database) -> None:
    assert User.find(1).name == "Ada"
    assert User.find("2").name == "Bob"
    assert User.find(99) is None
    assert names(User.find([1, 3, 99])) == ["Ada", "Cyd"]
    assert names(User.find_many(["1", 2])) == ["Ada", "Bob"]
    assert User.find([]) == []
    assert names(User.find([1, {"a": 1}, [2], "x"])) == ["Ada"]
    assert set(User.find(1, ["id", "age"]).get_attributes()) == {"id", "age"}


@pytest.mark.parametrize("key", ["1abc", "", None, "1.5", 2**64, "99999999999999999999", True, {}])
def test_a_key_that_cannot_be_one_asks_the_database_nothing(users: Database, key: Any) -> None:
    assert statements(users, lambda: User.find(key)) == []
    assert User.find(key) is None
    assert User.query().where_key(key).count() == 0


def test_keys_that_are_text(db: Database) -> None:
    make_table(db, "items", "name varchar(9)", key="code varchar(20) primary key")
    Item.force_create(code="A-1", name="a")

    assert Item.find("A-1").name == "a"
    assert Item.find(5) is None
    assert Item.find({"a": 1}) is None
    assert Item.find("A-1").update(name="b")


def test_where_key_takes_one_or_many(users: Database) -> None:
    assert names(User.query().where_key(1).get()) == ["Ada"]
    assert names(User.query().where_key([1, "2", "x"]).get()) == ["Ada", "Bob"]
    assert names(User.query().where_key_not([1, 2]).get()) == ["Cyd", "Dan"]
    assert names(User.query().where_key_not(1).get()) == ["Bob", "Cyd", "Dan"]


def test_or_fail_says_what_was_looked_for(users: Database) -> None:
    with pytest.raises(ModelNotFoundError, match=r"^No query results for model \[User\] 5$") as e:
        User.find_or_fail(5)
    assert (e.value.model, e.value.ids, e.value.status) == (User, [5], 404)
    with pytest.raises(ModelNotFoundError, match=r"\[User\] 8, 9$"):
        User.find_or_fail([1, 8, 9])
    with pytest.raises(RecordNotFoundError, match=r"^No query results for model \[User\]$"):
        User.where("age", 0).first_or_fail()
    assert User.find_or_fail(1).name == "Ada"
    assert names(User.find_or_fail(["1", 2])) == ["Ada", "Bob"]
    assert names(User.all(["id", "name"])) == ["Ada", "Bob", "Cyd", "Dan"]


def test_first_and_sole(users: Database) -> None:
    assert User.first().id == 1
    assert User.where("age", 0).first() is None
    assert User.first_where("age", ">", 60).name == "Cyd"
    assert User.first_where(age=20).name == "Dan"
    assert User.where("age", 13).sole().name == "Bob"
    with pytest.raises(ModelNotFoundError):
        User.where("age", 0).sole()
    with pytest.raises(MultipleRecordsFoundError):
        User.query().sole()
    assert User.query().find_or_new(77).persisted is False
    assert User.query().find_or_new(1).persisted is True


def test_all_and_get_give_collections_of_models(users: Database) -> None:
    found = User.all()

    assert isinstance(found, Models)
    assert isinstance(found, Collection)
    assert all(isinstance(user, User) for user in found)
    assert found.model_keys() == [1, 2, 3, 4]
    assert found.find(2).name == "Bob"
    assert names(found.find([1, 2])) == ["Ada", "Bob"]
    assert found.find(9) is None
    assert names(User.order_by_desc("age").limit(2).all()) == ["Ada", "Cyd"]


def test_aggregates_and_existence(users: Database) -> None:
    assert User.count() == 4
    assert (User.min("age"), User.max("age"), User.sum("age")) == (13, 70, 139)
    assert User.where("name", "ada").exists()
    assert User.where("name", "eve").doesnt_exist()
    assert User.avg("age") == Decimal("34.75")


def test_money_is_exact(users: Database) -> None:
    for _ in range(10):
        User.create(balance="0.10", name="x")

    total = User.where("name", "x").sum("balance")

    assert total == Decimal("1.00")
    assert isinstance(total, Decimal)
    assert User.max("balance") == Decimal("70.10")
    assert isinstance(User.min("balance"), Decimal)
    assert User.where("name", "nobody").sum("balance") == 0
    assert User.where("name", "nobody").max("balance") is None


def test_single_values_are_cast_as_the_model_casts_them(users: Database) -> None:
    assert User.where("id", 1).value("balance") == Decimal("36.10")
    assert User.where("id", 1).value("data") == {"n": 36}
    assert User.where("id", 1).value("name") == "Ada"
    assert User.where("id", 1).sole_value("created_at") == datetime(2026, 1, 15, 12, tzinfo=UTC)
    assert User.order_by("id").pluck("balance")[0] == Decimal("36.10")
    assert User.order_by("id").pluck("users.name") == ["Ada", "Bob", "Cyd", "Dan"]
    assert User.pluck("data", "id")[2] == {"n": 13}
    assert User.pluck("age", "email")["bob@x"] == 13
    assert User.where("id", 0).value("balance") is None


# --- scopes


def test_a_scope_is_a_method_of_class_and_query(users: Database) -> None:
    assert names(User.adult().get()) == ["Ada", "Cyd", "Dan"]
    assert names(User.where("id", ">", 1).adult().named("cyd", "bob").get()) == ["Cyd"]
    assert names(User.scope("adult").scope("named", "dan").get()) == ["Dan"]
    with pytest.raises(AttributeError, match="no scope 'young'; it has"):
        User.scope("young")
    with pytest.raises(AttributeError, match="no method or scope 'young'"):
        User.query().young()


@pytest.mark.parametrize("name", ["where_raw", "where", "on", "saving"])
def test_a_scope_behind_a_method_of_queries_is_refused(name: str) -> None:
    def scope(self: Any, query: Any) -> Any:
        return query

    with pytest.raises(InvalidArgumentError, match=rf"Hidden.scope_{name} would never be reached"):
        type(Model)("Hidden", (Model,), {f"scope_{name}": scope})
    with pytest.raises(InvalidArgumentError, match="give the scope another name"):
        setattr(type(Model)("Later", (Model,), {}), f"scope_{name}", scope)


def test_the_conditions_of_a_scope_stay_together(users: Database) -> None:
    sql = User.where("name", "ada").odd_or_old().to_sql().replace("`", '"')

    assert sql == ('select * from "users" where "name" = ? and ("age" = ? or "age" > ?)')
    assert names(User.where("name", "ada").odd_or_old().get()) == []
    assert names(User.where("name", "ada").or_where("name", "bob").odd_or_old().get()) == ["Bob"]
    assert names(User.where("name", "ada").or_called("bob").get()) == ["Ada", "Bob"]
    assert names(User.where(lambda q: q.adult().or_where("age", 13)).get())[:2] == ["Ada", "Bob"]


class OfAge:
    """A global scope."""

    def apply(self, query: Any, model: Any) -> None:
        query.where(query.qualify("age"), ">=", 18)


def test_a_global_scope_holds_for_every_query(users: Database) -> None:
    class Adult(User):
        table = "users"

    Adult.add_global_scope(OfAge)
    Adult.add_global_scope("named", lambda query: query.where("name", "!=", "cyd"))

    assert names(Adult.all()) == ["Ada", "Dan"]
    assert Adult.count() == 2
    assert Adult.find(2) is None
    assert names(Adult.where("id", 1).or_where("id", 2).get()) == ["Ada"]
    assert Adult.query().update({"age": 50}) == 2
    assert names(Adult.without_global_scope("named").get()) == ["Ada", "Cyd", "Dan"]
    assert names(Adult.without_global_scope(OfAge).get()) == ["Ada", "Bob", "Dan"]
    assert names(Adult.without_global_scopes([OfAge(), "named"]).get())[1] == "Bob"
    assert Adult.without_global_scopes().count() == 4
    assert User.count() == 4
    assert Adult.query().delete() == 2
    assert User.count() == 2


def test_a_scope_with_or_is_kept_in_parentheses(users: Database) -> None:
    class Odd(User):
        table = "users"

    Odd.add_global_scope("odd", lambda query: query.where("age", 13).or_where("age", 70))

    assert names(Odd.where("name", "ada").or_where("name", "bob").get()) == ["Bob"]


def test_a_query_is_as_it_was_after_it_was_run(users: Database) -> None:
    query = User.where("age", ">", 0)
    before = query.to_sql()

    query.count()
    query.first()
    query.exists()
    query.paginate(1, 1)

    assert query.to_sql() == before
    assert len(query.get()) == 4


# --- making


def test_first_or_new_saves_nothing(users: Database) -> None:
    assert User.first_or_new({"email": "ada@x"}).id == 1
    fresh = User.first_or_new({"email": "eve@x"}, {"age": 1})
    assert (fresh.persisted, fresh.email, fresh.age) == (False, "eve@x", 1)


def test_first_or_create(users: Database) -> None:
    assert User.first_or_create({"email": "ada@x"}, {"age": 1}).age == 36
    made = User.first_or_create({"email": "eve@x"}, lambda: {"age": 1})
    assert (made.was_recently_created, made.fresh().age) == (True, 1)


def test_first_or_create_looks_for_values_as_they_are_stored(users: Database) -> None:
    assert User.first_or_create({"data": {"n": 13}}).name == "Bob"
    assert User.first_or_create({"balance": "20.1"}).name == "Dan"
    assert User.count() == 4


def test_create_or_first(users: Database) -> None:
    assert User.create_or_first({"email": "ada@x"}, {"age": 1}).id == 1
    assert User.create_or_first({"email": "eve@x"}, {"age": 1}).was_recently_created
    with users.transaction():
        assert User.create_or_first({"email": "ada@x"}, {"age": 1}).id == 1
        assert User.create_or_first({"email": "fay@x"}).was_recently_created
    assert User.count() == 6


def test_a_unique_key_that_was_not_asked_for_is_still_an_error(users: Database) -> None:
    with pytest.raises(UniqueConstraintError):
        User.create_or_first({"name": "new"}, {"email": "ada@x"})


def test_update_or_create(users: Database) -> None:
    assert User.update_or_create({"email": "ada@x"}, {"age": 40}).id == 1
    assert User.find(1).age == 40
    assert User.update_or_create({"email": "eve@x"}, lambda: {"age": 5}).was_recently_created
    assert User.count() == 5


def test_create_many(users: Database) -> None:
    made = User.query().create_many([{"name": "x"}, {"name": "y"}])

    assert [user.name for user in made] == ["X", "Y"]
    assert User.count() == 6


# --- many rows at once


def test_bulk_update_casts_and_stamps(users: Database, clock: Any) -> None:
    clock.travel(60)

    assert User.where("age", ">", 30).update({"data": {"x": 1}, "balance": 5}) == 2
    assert User.where("id", 2).update(name="bobby") == 1

    user = User.find(1)
    assert (user.data, user.balance, user.updated_at) == ({"x": 1}, Decimal("5.00"), clock.now())
    assert User.find(2).updated_at == clock.now()
    assert User.find(4).updated_at != clock.now()
    assert User.where("id", 1).update({}) == 0
    assert User.where("id", 1).update({"updated_at": None}) == 1
    assert User.find(1).updated_at is None


def test_bulk_update_takes_json_paths_and_expressions(users: Database) -> None:
    User.where("id", 1).update({"data->n": 7})
    User.where("id", 1).update({"age": users.raw("age + 1"), "balance": users.raw("balance * 2")})

    user = User.find(1)
    assert (user.data["n"], user.age, user.balance) == (7, 37, Decimal("72.20"))


def test_the_newest_first_is_by_the_models_own_column(users: Database) -> None:
    class Old(User):
        table = "users"
        CREATED_AT = "age"

    assert Old.latest().first().id == 3
    assert Old.oldest().first().id == 2
    assert User.latest("id").first().id == 4


def test_bulk_counters(users: Database, clock: Any) -> None:
    clock.travel(60)

    assert User.where("age", "<", 30).increment("age", 5, {"name": "young"}) == 2
    assert User.where("id", 2).decrement("age", 8) == 1

    user = User.find(2)
    assert (user.age, user.name, user.updated_at) == (10, "Young", clock.now())
    assert User.query().touch() == 4


def test_insert_takes_rows_as_they_are(users: Database) -> None:
    assert User.insert([{"name": "x", "age": 1}, {"age": 2, "name": "y"}]) is True
    assert User.query().insert_get_id({"name": "z"}) == 7
    assert User.query().insert_or_ignore([{"email": "ada@x"}, {"email": "new@x"}]) == 1
    assert User.find(5).created_at is None
    assert User.query().insert_using(["name"], User.select("name").where("id", 1)) == 1
    assert User.count() == 9


def test_a_long_list_goes_in_whole_or_not_at_all(users: Database) -> None:
    rows = [{"name": "n", "email": f"{n}@y", "age": n} for n in range(3000)]

    assert User.insert(rows) is True
    assert User.count() == 3004
    again = [{**row, "email": f"new {row['email']}"} for row in rows]
    again[-1]["email"] = "ada@x"
    with pytest.raises(UniqueConstraintError):
        User.insert(again)
    assert User.count() == 3004
    assert User.query().insert_or_ignore(again) == 2999


def test_upsert_keeps_timestamps(users: Database, clock: Any) -> None:
    clock.travel(60)

    User.upsert([{"email": "ada@x", "age": 1}, {"email": "eve@x", "age": 2}], "email", ["age"])

    ada, eve = User.find(1), User.first_where("email", "eve@x")
    assert (ada.age, ada.name, ada.updated_at) == (1, "Ada", clock.now())
    assert ada.created_at != clock.now()
    assert (eve.age, eve.created_at) == (2, clock.now())
    User.upsert({"email": "ada@x", "age": 9}, ["email"])
    assert (User.find(1).age, User.find(1).created_at) == (9, ada.created_at)
    User.upsert({"email": "ada@x", "age": 9}, ["email"], {"age": 11})
    assert User.find(1).age == 11
    User.upsert({"email": "fay@x", "age": 3}, ["email"], [])
    assert User.first_where("email", "fay@x").age == 3


def test_truncate_and_delete(users: Database) -> None:
    assert User.query().delete(1) == 1
    assert User.where("age", ">", 30).delete() == 1
    assert User.count() == 2
    User.query().truncate()
    assert User.create(name="a").id == 1


# --- pages and streams


def test_pages_hold_models(users: Database) -> None:
    page = User.order_by("id").paginate(page=2)

    assert (page["total"], page["per_page"], page["last_page"]) == (4, 2, 2)
    assert names(page["data"]) == ["Cyd", "Dan"]
    assert names(User.order_by("id").simple_paginate(3)["data"]) == ["Ada", "Bob", "Cyd"]
    assert len(User.paginate(3, 1)["data"]) == 3
    empty = User.where("id", 0).paginate()
    assert (list(empty["data"]), empty["from"]) == ([], None)


def test_pages_by_cursor_hold_models(users: Database) -> None:
    page = User.order_by("created_at").order_by("id").cursor_paginate(3)
    following = User.order_by("created_at").order_by("id").cursor_paginate(3, page["next_cursor"])

    assert names(page["data"]) == ["Ada", "Bob", "Cyd"]
    assert names(following["data"]) == ["Dan"]


def test_walking_through_models(users: Database) -> None:
    seen: list[Any] = []

    assert User.chunk(3, lambda models: seen.append(names(models)))
    assert User.query().chunk_by_id(3, lambda models: seen.append(names(models)))
    assert seen == [["Ada", "Bob", "Cyd"], ["Dan"]] * 2
    assert names(User.query().lazy(3)) == names(User.query().lazy_by_id(2)) == names(User.all())
    assert names(User.query().cursor()) == names(User.all())
    assert names(User.where("age", ">", 60).cursor()) == ["Cyd"]


def test_walking_by_key_visits_every_row_though_the_condition_changes(users: Database) -> None:
    seen: list[int] = []

    def grow_up(models: Any) -> None:
        for user in models:
            seen.append(user.id)
            user.update(age=0)

    User.where("age", ">", 0).chunk_by_id(1, grow_up)
    assert seen == [1, 2, 3, 4]
    User.where("age", 0).each_by_id(lambda user: user.delete(), 2)
    assert User.count() == 0


def test_walking_by_a_key_of_another_name(db: Database) -> None:
    make_table(db, "items", "name varchar(9)", key="code varchar(20) primary key")
    Item.insert([{"code": c, "name": c} for c in "abcde"])

    assert [item.code for item in Item.query().lazy_by_id(2)] == list("abcde")


# --- routes


def test_a_route_finds_a_model_by_its_key(users: Database) -> None:
    assert User.resolve_route_binding("1").name == "Ada"
    assert User.resolve_route_binding("1", "id").name == "Ada"
    assert User.resolve_route_binding("ada@x", "email").id == 1
    assert User.resolve_route_binding("nobody", "email") is None
    assert User.find(1).get_route_key() == 1


@pytest.mark.parametrize("value", ["12abc", "99999999999999999999", "01", "+1", " 1", "1.0", "-1"])
def test_a_route_value_that_cannot_be_a_key_asks_nothing(users: Database, value: str) -> None:
    assert statements(users, lambda: User.resolve_route_binding(value)) == []
    assert User.resolve_route_binding(value) is None


def test_a_route_does_not_find_what_is_deleted(db: Database) -> None:
    make_table(db, "trashed", "name varchar(9)", "deleted_at datetime(6) null")
    Trashed.create(name="a").delete()

    assert Trashed.resolve_route_binding("1") is None


# --- as sub-queries and joins


def test_models_of_a_join_are_of_their_class(users: Database) -> None:
    make_table(users, "logins", "user_id bigint")
    users.table("logins").insert([{"user_id": 1}, {"user_id": 3}])

    found = User.join("logins", "logins.user_id", "=", "users.id").select("users.*").get()
    asked = User.where_in("id", users.table("logins").select("user_id")).get()

    assert names(found) == names(asked) == ["Ada", "Cyd"]
    assert names(User.where_in("id", User.adult().select("id")).get()) == ["Ada", "Cyd", "Dan"]
    closure = User.where_in("id", lambda q: q.from_("logins").select("user_id").where("user_id", 3))
    assert names(closure.get()) == ["Cyd"]
    assert User.from_sub(User.adult(), "grown").adult().where_key(1).count() == 1


def test_a_soft_deleting_sub_query_keeps_its_scope(db: Database) -> None:
    make_table(db, "trashed", "name varchar(9)", "deleted_at datetime(6) null")
    Trashed.create(name="a").delete()
    Trashed.create(name="b")

    assert Trashed.with_trashed().where_in("id", Trashed.select("id")).pluck("name") == ["b"]


def test_find_is_one_statement(users: Database) -> None:
    assert count_of(users, lambda: User.find(1)) == 1
