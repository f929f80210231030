"""`@rules` validates before the action runs; `@responds` changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from so.errors import RouteActionError
from so.http.errors import ErrorHandler
from so.http.kernel import Kernel
from so.http.request import Request
from so.http.router import Router
from so.http.rules import declared_responses, declared_rules, responds, rules
from so.http.settings import DEFAULTS
from so.http.validation import validate
from so.testing import Client


def client(*routes: tuple[str, object]) -> Client:
    router = Router()
    for uri, action in routes:
        router.post(uri, action)
    settings = replace(DEFAULTS, validate=validate)
    kernel = Kernel(router, ErrorHandler(), settings=settings)
    return Client(kernel, headers={"Accept": "application/json"})


@rules({"name": "required|string", "n": "integer"})
def store(request: Request, data: dict, id: int) -> dict:
    return {"data": data, "id": id, "raw": request.input("extra")}


class Things:
    @rules({"name": "required"})
    def keep(self, id: str, data: dict, *, size: str = "m") -> dict:
        return {"id": id, "data": data, "size": size}

    @rules({"name": "required"}, {"name.required": "Who?"}, {"name": "your name"})
    def check(self) -> str:
        return "checked"


def test_the_validated_data_arrives_as_data():
    answer = client(("/things/{id}", store)).post(
        "/things/7", json={"name": "a", "n": 2, "extra": "x"}
    )

    answer.assert_ok().assert_exact_json({"data": {"name": "a", "n": 2}, "id": 7, "raw": "x"})


def test_what_is_not_valid_never_reaches_the_action():
    answer = client(("/things/{id}", store)).post("/things/7", json={"n": "x"})

    answer.assert_invalid("name", "n")


def test_methods_of_controllers_may_have_rules():
    browser = client(("/things/{id}", [Things, "keep"]), ("/check", Things.check))

    assert browser.post("/things/a", json={"name": "b"}).json() == {
        "id": "a",
        "data": {"name": "b"},
        "size": "m",
    }
    assert browser.post("/check", json={"name": "b"}).text == "checked"
    assert browser.post("/check").json("errors") == {"name": ["Who?"]}


def test_rules_may_depend_on_the_request():
    @rules(lambda request: {"n": f"integer|max:{request.header('X-Max')}"}, into="given")
    def action(given: dict) -> dict:
        return given

    browser = client(("/n", action))

    assert browser.post("/n", json={"n": 5}, headers={"X-Max": "9"}).json() == {"n": 5}
    browser.post("/n", json={"n": 5}, headers={"X-Max": "3"}).assert_invalid("n")


def test_the_rules_can_be_read_from_the_action():
    assert declared_rules(store).rules == {"name": "required|string", "n": "integer"}
    assert declared_rules(test_the_rules_can_be_read_from_the_action) is None


def test_answers_are_declared_without_changing_the_action():
    @responds({409: "Sold out."})
    def action():
        return "x"

    assert action() == "x"
    assert declared_responses(action) == {409: "Sold out."}
    assert declared_responses(store) == {}


def test_outside_a_request_there_is_nothing_to_validate():
    with pytest.raises(RuntimeError, match="call it by its route"):
        Things().check()


def test_the_data_needs_a_parameter_with_a_name():
    with pytest.raises(RouteActionError, match="needs a name"):

        @rules({})
        def action(data, /):
            pass
