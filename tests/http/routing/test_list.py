"""`route:list` as table and as JSON, over a router alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from so.application import Application
from so.console.kernel import Kernel
from so.http.router import Router


class Orders:
    def index(self) -> str:
        return ""

    def store(self) -> str:
        return ""


def around(request: Any, next: Callable[[Any], Any]) -> Any:
    return next(request)


def run(router: Router, line: str) -> str:
    with TemporaryDirectory() as folder, Application(folder) as app:
        app.instance("router", router)
        kernel = Kernel(app)
        assert kernel.call(f"route:list {line}") == 0, kernel.output()
        return kernel.output()


@pytest.fixture
def router() -> Router:
    router = Router()
    router.middleware_alias("auth", around)
    router.middleware_group("web", ["auth"])
    with router.group(prefix="orders", name="orders.", middleware="web"):
        router.get("/", [Orders, "index"]).name("index")
        router.post("/{id}", [Orders, "store"]).where_number("id")
    router.fallback(Orders.index)
    return router


def test_the_table_shows_each_route_in_order(router: Router) -> None:
    lines = run(router, "").splitlines()

    assert "Method" in lines[1] or "Method" in lines[0]
    shown = [line for line in lines if "Orders@" in line]
    assert "GET|HEAD" in shown[0]
    assert "orders.index" in shown[0]
    assert "auth" in shown[0]
    assert "orders/{id}" in shown[1]
    assert "(fallback)" in shown[2]


def test_json_holds_the_same_for_programs(router: Router) -> None:
    first, second, _ = json.loads(run(router, "--json"))

    assert first == {
        "methods": ["GET", "HEAD"],
        "uri": "orders",
        "name": "orders.index",
        "action": f"{__name__}.Orders@index",
        "middleware": ["auth"],
        "where": {},
    }
    assert (second["name"], second["where"]) == (None, {"id": "[0-9]+"})


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ("--method=post", 2),
        ("--path=/orders/", 2),
        ("--name=orders.*", 1),
        ("--path=orders --method=GET", 1),
    ],
)
def test_the_list_is_narrowed_by_method_path_and_name(
    router: Router, options: str, count: int
) -> None:
    assert len(json.loads(run(router, f"--json {options}"))) == count


def test_an_empty_list_says_so() -> None:
    assert "No route is registered" in run(Router(), "")
