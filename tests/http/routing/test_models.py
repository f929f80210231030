"""Routes bound to real models, and models, rows and pages as results, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.http.request import Request
from so.http.response import JsonResponse
from so.support.current import provide
from tests.http.wsgi import Client


class RoutedOrder(Model):
    table = "routed_orders"
    timestamps = False
    guarded: list[str] = []


@pytest.fixture
def orders(empty_db: Database) -> Iterator[Database]:
    connection = empty_db.connection()
    key = (
        "integer primary key"
        if connection.dialect.name == "sqlite"
        else "bigint primary key auto_increment"
    )
    connection.statement(f"create table routed_orders (id {key}, code varchar(20))")
    connection.insert("insert into routed_orders (id, code) values (?, ?)", (1, "A-1"))
    provide("db", lambda: empty_db)
    yield empty_db
    connection.statement("drop table routed_orders")


@pytest.fixture
def client(orders: Database) -> Client:
    made = Client()

    def show(order: RoutedOrder) -> RoutedOrder:
        return order

    def store(request: Request) -> Any:
        return RoutedOrder.create(code=request.string("code"))

    made.router.get("/orders/{order}", show).name("orders.show")
    made.router.get("/codes/{order:code}", show).name("codes.show")
    made.router.post("/orders", store)
    made.router.get("/orders", lambda: RoutedOrder.all())
    made.router.get("/rows", lambda: orders.table("routed_orders").get())
    made.router.get("/row", lambda: orders.table("routed_orders").first())
    made.router.get("/page", lambda: orders.table("routed_orders").paginate(10, 1))
    return made


def test_a_model_is_found_by_key_and_by_column(client: Client) -> None:
    assert client.get("/orders/1").json() == {"id": 1, "code": "A-1"}
    assert client.get("/codes/A-1").json() == {"id": 1, "code": "A-1"}
    assert client.get("/orders/2").status == 404
    assert client.get("/codes/B").status == 404


@pytest.mark.parametrize("key", ["1abc", "1.0", "+1", "9" * 20, "9" * 30, "%D9%A1", "-1%20"])
def test_a_key_that_is_none_is_404_without_a_query(
    client: Client, orders: Database, key: str
) -> None:
    orders.connection().enable_query_log()

    assert client.get(f"/orders/{key}").status == 404
    assert orders.connection().get_query_log() == []


def test_results_of_the_database_are_json(client: Client) -> None:
    created = client.post("/orders", data={"code": "B-2"})

    assert (created.status, created.json()["code"]) == (201, "B-2")
    assert [row["code"] for row in client.get("/orders").json()] == ["A-1", "B-2"]
    assert client.get("/rows").json() == client.get("/orders").json()
    assert client.get("/row").json() == {"id": 1, "code": "A-1"}
    page = client.get("/page").json()
    assert (page["total"], page["current_page"], len(page["data"])) == (2, 1, 2)


def test_urls_and_responses_take_models(client: Client) -> None:
    order = RoutedOrder.find(1)

    assert client.router.route("orders.show", order, absolute=False) == "/orders/1"
    assert client.router.route("codes.show", order, absolute=False) == "/codes/A-1"
    assert JsonResponse.success(order).body.endswith(b'"data":{"id":1,"code":"A-1"}}')
