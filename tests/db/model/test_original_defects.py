"""One test for each defect of the original framework's models, so that none comes over."""

from __future__ import annotations

from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.model import Model, SoftDeletes
from tests.db.model_tables import STAMPS, make_table, statements


class Product(Model):
    pass


class Retired(SoftDeletes, Model):
    table = "products"


@pytest.fixture
def products(db: Database) -> Database:
    make_table(
        db, "products", "name varchar(50)", "price int default 7", "deleted_at datetime(6) null",
        *STAMPS,
    )  # fmt: skip
    return db


def test_save_does_not_rewrite_every_column(products: Database) -> None:
    mine, theirs = Product.create(name="a", price=1), Product.first()

    theirs.update(price=2)
    mine.update(name="b")

    assert Product.first().only("name", "price") == {"name": "b", "price": 2}


def test_insert_does_not_drop_none(products: Database) -> None:
    assert Product.create(name="a", price=None).fresh().price is None


def test_update_is_true_when_the_row_already_has_the_values(products: Database) -> None:
    product = Product.create(name="a")
    assert Product.where("id", 1).update({"name": "a", "updated_at": product.updated_at}) == 1
    assert product.update(name="a") is True


def test_the_last_insert_id_is_read_from_the_models_own_connection(
    products: Database, tmp_path: Any
) -> None:
    products.add_connection("own", {"driver": "sqlite", "database": str(tmp_path / "own.sqlite")})
    own = products.connection("own")
    own.statement("create table widgets (id integer primary key, name text)")
    own.insert("insert into widgets (id, name) values (41, 'before')")

    class Widget(Model):
        connection = "own"
        timestamps = False

    Product.create(name="on the default connection")

    assert Widget.create(name="x").id == 42


def test_the_connection_of_a_model_is_not_ignored(products: Database, tmp_path: Any) -> None:
    with Connection(str(tmp_path / "else.sqlite"), "else") as elsewhere:
        elsewhere.statement("create table products (id integer primary key, name text)")

        class There(Model):
            table = "products"
            connection = elsewhere
            timestamps = False

        There.create(name="there")
        assert There.count() == 1
    assert Product.count() == 0


def test_an_observer_that_answers_false_cancels(products: Database) -> None:
    class Watched(Product):
        table = "products"

    class No:
        def creating(self, product: Any) -> bool:
            return False

    Watched.observe(No())

    assert Watched(name="a").save() is False
    assert Product.count() == 0


def test_soft_deleting_fires_events_and_gives_models(products: Database) -> None:
    class Heard(Retired):
        table = "products"

    heard: list[str] = []
    Heard.deleted(lambda product: heard.append("deleted"))
    Heard.restored(lambda product: heard.append("restored"))
    product = Heard.create(name="a")
    product.delete()

    assert isinstance(Heard.only_trashed().first(), Heard)
    Heard.only_trashed().first().restore()
    assert heard == ["deleted", "restored"]


def test_scopes_can_be_chained(products: Database) -> None:
    class Scoped(Product):
        table = "products"

        def scope_cheap(self, query: Any) -> None:
            query.where("price", "<", 5)

        def scope_called(self, query: Any, name: str) -> None:
            query.where("name", name)

    Scoped.create(name="a", price=1)
    Scoped.create(name="b", price=1)

    assert [p.name for p in Scoped.cheap().called("b").latest("id").get()] == ["b"]


@pytest.mark.parametrize("value", ["12abc", "1abc", "99999999999999999999", "1 or 1=1"])
def test_a_bound_route_value_is_not_cast_to_a_number_it_is_not(
    products: Database, value: str
) -> None:
    Product.create(name="first")

    assert Product.resolve_route_binding(value) is None
    assert statements(products, lambda: Product.resolve_route_binding(value)) == []


def test_the_guides_names_exist(products: Database) -> None:
    product = Product.create(name="a")

    assert Product.find_or_fail(1).is_clean()
    product.name = "b"
    assert product.is_dirty()
    assert product.save_quietly()
    assert product.was_changed("name")
    assert Product.first_where("name", "b").id == 1
    assert Product.query().where_date("created_at", "2026-01-15").count() == 1
