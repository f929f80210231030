"""So many requests a minute, then 429 with the headers that say when to come back."""

from __future__ import annotations

from typing import Any

import pytest

from so.errors import RouteDefinitionError
from so.support.clock import Clock
from so.systems.cache.limits import Limit
from tests.edge.conftest import House, log_in

JSON = {"Accept": "application/json"}


def ask(house: House, path: str, address: str = "127.0.0.1") -> Any:
    return house.client(headers=JSON).get(path, environ={"REMOTE_ADDR": address})


def test_requests_above_the_limit_are_429_until_the_window_ends(house: House, clock: Clock):
    house.page("/x", lambda: "ok", "throttle:3,1")

    allowed = [ask(house, "/x") for _ in range(3)]
    clock.travel(20)
    refused = ask(house, "/x")

    assert [r.headers.get("X-RateLimit-Remaining") for r in allowed] == ["2", "1", "0"]
    assert allowed[0].headers.get("X-RateLimit-Limit") == "3"
    assert refused.status == 429
    assert refused.json("message") == "Too Many Attempts."
    assert refused.headers.get("Retry-After") == "40"
    assert refused.headers.get("X-RateLimit-Limit") == "3"
    assert refused.headers.get("X-RateLimit-Remaining") == "0"
    assert refused.headers.get("X-RateLimit-Reset") == str(int(clock.time()) + 40)

    clock.travel(40)
    assert ask(house, "/x").status == 200


def test_the_window_does_not_slide(house: House, clock: Clock):
    house.page("/x", lambda: "ok", "throttle:4,2")

    for _ in range(20):
        assert ask(house, "/x").status == 200
        clock.travel(31)


def test_each_address_is_counted_apart(house: House):
    house.page("/x", lambda: "ok", "throttle:1,1")

    assert ask(house, "/x", "10.0.0.1").status == 200
    assert ask(house, "/x", "10.0.0.2").status == 200
    assert ask(house, "/x", "10.0.0.1").status == 429


def test_a_user_is_counted_as_such_wherever_he_is(company: House):
    company.page("/x", lambda: "ok", "web", "throttle:1,1")
    client = company.client(headers=JSON)
    log_in(client)

    assert client.get("/x", environ={"REMOTE_ADDR": "10.0.0.1"}).status == 200
    assert client.get("/x", environ={"REMOTE_ADDR": "10.0.0.2"}).status == 429
    assert ask(company, "/x").status == 200


def test_a_named_limit_may_depend_on_the_request(house: House):
    house.limiter.limit("imports", lambda request: Limit.per_minute(1).by(request.query("team")))
    house.page("/x", lambda: "ok", "throttle:imports")

    assert ask(house, "/x?team=a").status == 200
    assert ask(house, "/x?team=b").status == 200
    assert ask(house, "/x?team=a").status == 429


def test_a_named_limit_may_be_several_or_none(house: House):
    house.limiter.limit("two", lambda _: [Limit.per_minute(9).by("m"), Limit.per_hour(2).by("h")])
    house.limiter.limit("none", lambda _: None)
    house.page("/two", lambda: "ok", "throttle:two")
    house.page("/none", lambda: "ok", "throttle:none")

    assert ask(house, "/two").headers.get("X-RateLimit-Limit") == "2"
    assert ask(house, "/two").headers.get("X-RateLimit-Remaining") == "0"
    assert ask(house, "/two").status == 429
    assert ask(house, "/none").headers.get("X-RateLimit-Limit") is None


def test_a_named_limit_without_a_key_counts_the_client(house: House):
    house.limiter.limit("plain", lambda _: Limit.per_minute(1))
    house.page("/x", lambda: "ok", "throttle:plain")

    assert ask(house, "/x", "10.0.0.1").status == 200
    assert ask(house, "/x", "10.0.0.2").status == 200
    assert ask(house, "/x", "10.0.0.1").status == 429


def test_the_group_api_allows_sixty_a_minute(house: House):
    house.page("/api/x", lambda: "ok", "api")

    statuses = [ask(house, "/api/x").status for _ in range(61)]

    assert statuses == [200] * 60 + [429]


@pytest.mark.parametrize("middleware", ["throttle:5,x", "throttle:5,0", "throttle:5,1,2"])
def test_a_limit_that_makes_no_sense_is_an_error_where_it_is_written(house: House, middleware: str):
    with pytest.raises(RouteDefinitionError, match="throttle"):
        house.page("/x", lambda: "ok", middleware)

    assert ask(house, "/x").status == 404


def test_a_limit_that_nobody_has_defined_is_an_error_when_the_application_boots(house: House):
    house.page("/x", lambda: "ok", "throttle:nobody-defined-this")

    with pytest.raises(RouteDefinitionError, match="nobody-defined-this"):
        house.kernel.boot()
    assert ask(house, "/x").status == 500


def test_two_limits_with_one_key_count_each_for_itself(house: House):
    house.limiter.limit("two", lambda _: [Limit.per_minute(9).by("me"), Limit.per_hour(4).by("me")])
    house.page("/x", lambda: "ok", "throttle:two")

    assert [ask(house, "/x").status for _ in range(5)] == [200] * 4 + [429]


def test_with_the_limiter_down_this_process_counts(house: House, monkeypatch):
    def down(*_: object) -> int:
        raise OSError("no database")

    monkeypatch.setattr(house.counters, "hit", down)
    monkeypatch.setattr(house.counters, "read", down)
    house.page("/x", lambda: "ok", "throttle:2,1")
    client = house.client(headers=JSON)

    # The middleware is made for each request; what it counts with is not.
    statuses = [client.get("/x").status for _ in range(3)]

    assert statuses == [200, 200, 429]


def test_of_two_limits_the_answer_tells_of_the_one_that_ends_first(house: House):
    house.page("/tight", lambda: "in", "throttle:60,1", "throttle:2,1")
    house.page("/wide", lambda: "in", "throttle:3,1", "throttle:60,1")
    client = house.client()

    tight, wide = client.get("/tight"), client.get("/wide")

    assert (tight.headers["X-RateLimit-Limit"], tight.headers["X-RateLimit-Remaining"]) == (
        "2",
        "1",
    )
    assert (wide.headers["X-RateLimit-Limit"], wide.headers["X-RateLimit-Remaining"]) == ("3", "2")
