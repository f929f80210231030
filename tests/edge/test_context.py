"""Each request has an id, in its answer and in the log."""

from __future__ import annotations

import pytest

from so.edge.context import ContextSettings
from so.support.clock import Clock
from so.support.scope import current_scope
from tests.edge.conftest import House


def with_page(house: House) -> House:
    house.page("/id", lambda: {"id": current_scope().request_id}, "context")
    return house


def test_the_answer_carries_the_id_of_the_request(house: House):
    client = with_page(house).client()
    first, second = client.get("/id"), client.get("/id")

    assert first.headers.get("X-Request-Id") == first.json("id")
    assert first.json("id") != second.json("id")


def test_an_id_from_outside_is_not_believed(house: House):
    result = with_page(house).client().get("/id", headers={"X-Request-Id": "somebody-elses"})

    assert result.json("id") != "somebody-elses"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("trace-0123", True), ("short", False), ("bad id!bad", False), ("x" * 65, False)],
)
def test_a_trusted_proxy_may_set_it(clock: Clock, given: str, kept: bool):
    house = with_page(House(None, clock, context=ContextSettings(trust_request_id=True)))

    result = house.client().get("/id", headers={"X-Request-Id": given})

    assert (result.json("id") == given) is kept
