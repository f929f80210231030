"""What goes out beside a session: caches, HTTPS, cookies that are too long, bodies that stream."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

import pytest

from so.http.response import Response
from so.support.clock import Clock
from so.systems.cache.limits import Limit
from so.testing import Client
from tests.edge.conftest import House, log_in, session

JSON = {"Accept": "application/json"}
HTTPS = {"wsgi.url_scheme": "https"}


def public(response: Any) -> Any:
    return response.header("Cache-Control", "public, max-age=3600")


def begin() -> None:
    session().put("x", session().get("x", 0) + 1)


@pytest.mark.parametrize(
    "said", ["public", "public, max-age=60", "max-age=60", "s-maxage=9, private", "PUBLIC"]
)
@pytest.mark.parametrize("kind", ["action", "file", "stream", "etag", "own cookie"])
def test_a_cookie_never_goes_out_for_shared_caches(
    house: House, tmp_path: Path, kind: str, said: str
):
    (tmp_path / "x.txt").write_text("x")

    def answer() -> Any:
        if kind != "own cookie":
            begin()
        response = {
            "action": lambda: Response("x"),
            "file": lambda: Response.file(tmp_path / "x.txt"),
            "stream": lambda: Response.stream(iter(["a", "b"])),
            "etag": lambda: Response("x").etag("v1"),
            "own cookie": lambda: Response("x").cookie("theme", "dark"),
        }[kind]()
        return response.header("Cache-Control", said)

    house.page("/x", answer)
    got = house.client().get("/x", headers={"If-None-Match": '"v1"'})

    assert "Set-Cookie" in got.headers
    assert got.headers.get("Cache-Control") == "no-store, private"


def test_without_a_cookie_the_action_decides(house: House):
    house.page("/x", lambda: public(Response("x")))

    assert house.client().get("/x").headers.get("Cache-Control") == "public, max-age=3600"


def test_a_private_answer_may_carry_cookies_and_be_kept_by_its_browser(house: House):
    def answer() -> Any:
        begin()
        return Response("x").header("Cache-Control", "private, max-age=60")

    house.page("/x", answer)

    assert house.client().get("/x").headers.get("Cache-Control") == "private, max-age=60"


def test_over_https_browsers_are_told_to_stay_there(house: House):
    house.page("/x", lambda: "x")
    house.page("/api", lambda: {}, "api")
    client = house.client()

    for path in ("/x", "/api"):
        got = client.get(path, environ=HTTPS)
        assert got.headers.get("Strict-Transport-Security") == "max-age=31536000"
        assert "Strict-Transport-Security" not in client.get(path).headers


def test_what_a_program_is_told_is_kept_in_no_cache(house: House):
    house.page("/api", lambda: {"secret": 1}, "api")

    got = house.client().get("/api", headers={"Authorization": "Bearer x"})
    anybody = house.client().get("/api")

    assert got.headers.get("Cache-Control") == "no-store, private"
    assert got.headers.get("X-Content-Type-Options") == "nosniff"
    assert "Cache-Control" not in anybody.headers


def test_a_cookie_that_browsers_would_drop_is_an_error_that_names_it(house: House, caplog):
    house.page("/x", lambda: Response("x").cookie("basket", "y" * 5000))

    with caplog.at_level(logging.ERROR):
        got = house.client().get("/x")

    assert got.status == 500
    assert "basket" in caplog.text
    with pytest.raises(ValueError, match="'basket' has 4097 bytes"):
        Response().cookie("basket", "y" * 4091)
    assert Response().cookie("basket", "y" * 4090)
    with pytest.raises(ValueError, match="as it is sent"):
        Response().cookie("basket", "ä" * 1000)  # %C3%A4 each


# --- streams ---


def streaming(house: House, work: Any, first: Any = None) -> Client:
    def action() -> Any:
        if first is not None:
            first()

        def chunks() -> Any:
            yield "a"
            work()
            yield "b"

        return Response.stream(chunks())

    house.page("/stream", action)
    house.page("/look", lambda: session().all())
    house.page("/begin", lambda: begin() or "ok")
    return house.client()


def test_what_a_streamed_body_puts_into_a_session_is_saved(house: House):
    client = streaming(house, lambda: session().put("from", "the body"))
    client.get("/begin")

    assert client.get("/stream").text == "ab"
    assert client.get("/look").json() == {"x": 1, "from": "the body"}


def test_a_session_that_the_action_began_takes_what_the_body_puts(house: House):
    client = streaming(house, lambda: session().put("more", 2), begin)

    assert client.get("/stream").text == "ab"
    assert client.get("/look").json() == {"x": 1, "more": 2}


@pytest.mark.parametrize("change", ["put", "flash", "regenerate", "invalidate", "token"])
def test_a_streamed_body_that_would_need_a_cookie_is_refused_loudly(
    house: House, caplog, change: str
):
    def work() -> None:
        named = getattr(session(), change)
        named("a", 1) if change in ("put", "flash") else named()

    client = streaming(house, work)

    with caplog.at_level(logging.ERROR), contextlib.suppress(Exception):
        client.get("/stream")

    assert "on its way" in caplog.text


# --- limits ---


def test_two_limits_by_one_key_count_apart(company: House, clock: Clock):
    company.limiter.limit(
        "export", lambda request: [Limit.per_minute(10).by("me"), Limit.per_hour(15).by("me")]
    )
    company.page("/x", lambda: "ok", "throttle:export")
    client = company.client(headers=JSON)

    assert [client.get("/x").status for _ in range(11)] == [200] * 10 + [429]
    clock.travel(60)
    assert [client.get("/x").status for _ in range(6)] == [200] * 5 + [429]


def test_two_logins_at_once_over_http_both_hold(company: House):
    first, second = company.client(), company.client()
    log_in(first)
    log_in(second)

    assert first.get("/me").status == second.get("/me").status == 200
