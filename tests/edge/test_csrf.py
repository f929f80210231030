"""Forms of other sites: refused, whatever they try; forms of ours: never in the way."""

from __future__ import annotations

from typing import Any

import pytest

from so.edge.csrf import CsrfSettings
from so.http.helpers import csrf_field, csrf_token, request
from so.support.clock import Clock
from tests.edge.conftest import House, session

JSON = {"Accept": "application/json"}


@pytest.fixture
def shop(house: House) -> House:
    return with_forms(house)


def with_forms(house: House) -> House:
    house.page("/form", lambda: str(csrf_field()))
    house.page("/token", lambda: csrf_token())
    house.page("/raw", lambda: session().token())
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        house.page("/save", lambda: "saved", method=method)
    house.page("/old", lambda: {"old": request().old()})
    house.page("/webhooks/pay", lambda: "hook", method="POST")
    return house


def token_of(client: Any) -> str:
    return str(client.get("/token").text)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_change_without_a_token_is_419(shop: House, method: str):
    client = shop.client()
    token_of(client)

    result = getattr(client, method)("/save", headers=JSON)

    assert result.status == 419
    assert result.json("message") == "CSRF token mismatch."


def test_reading_needs_no_token(shop: House):
    client = shop.client()

    assert client.get("/form").status == 200
    assert client.head("/form").status == 200
    assert client.options("/form").status == 200


def test_the_forms_own_token_passes(shop: House):
    client = shop.client()
    markup = client.get("/form").text
    token = markup.split('value="')[1].split('"')[0]

    assert client.post("/save", {"_token": token}).text == "saved"
    assert client.post("/save", {"_token": client.get("/raw").text}).text == "saved"
    assert client.post("/save", {"_token": token, "_method": "PUT"}).text == "saved"


@pytest.mark.parametrize("header", ["X-CSRF-TOKEN", "X-XSRF-TOKEN", "x-csrf-token"])
def test_a_token_in_a_header_passes(shop: House, header: str):
    client = shop.client()

    assert client.post("/save", headers={header: token_of(client)}).text == "saved"


def test_scripts_find_the_token_in_a_cookie(shop: House):
    client = shop.client()
    token_of(client)

    cookie = client.cookies["XSRF-TOKEN"]

    assert client.post("/save", headers={"X-XSRF-TOKEN": cookie}).text == "saved"


def test_every_page_shows_another_text_and_all_of_them_pass(shop: House):
    client = shop.client()
    shown = {token_of(client) for _ in range(20)}

    assert len(shown) == 20
    assert {client.post("/save", {"_token": one}).status for one in shown} == {200}


@pytest.mark.parametrize(
    "fields",
    [
        {"_token": ""},
        {"_token": "wrong"},
        {"_token[]": "x"},
        {"_token[a]": "x"},
        {"_token": "\x00"},
        {"_token": "é"},
        {"_token": "A" * 1_000_000},
    ],
)
def test_a_wrong_token_of_any_kind_is_419_and_no_500(shop: House, fields: dict[str, str]):
    client = shop.client()
    token_of(client)

    assert client.post("/save", fields).status == 419


def test_another_persons_token_is_419(shop: House):
    mine, theirs = shop.client(), shop.client()
    token_of(mine)

    assert mine.post("/save", {"_token": token_of(theirs)}).status == 419


def test_a_token_in_the_url_counts_for_nothing(shop: House):
    client = shop.client()

    assert client.post(f"/save?_token={token_of(client)}").status == 419


def test_a_token_without_the_session_is_419(shop: House):
    assert shop.client().post("/save", {"_token": token_of(shop.client())}).status == 419


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "SAME-ORIGIN"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 419),
        ({"Sec-Fetch-Site": "cross-site"}, 419),
        ({"Sec-Fetch-Site": "none"}, 419),
        ({"Sec-Fetch-Site": ""}, 419),
        ({"Origin": "https://erp.example"}, 200),
        ({"Origin": "https://erp.example:443"}, 200),
        ({"Origin": "https://ERP.example"}, 200),
        ({"Origin": "http://erp.example"}, 419),
        ({"Origin": "https://erp.example:8443"}, 419),
        ({"Origin": "https://evil-erp.example"}, 419),
        ({"Origin": "https://erp.example.evil.com"}, 419),
        ({"Origin": "https://erp.example@evil.com"}, 419),
        ({"Origin": "https://erp.example/"}, 419),
        ({"Origin": "null"}, 419),
        ({"Origin": ""}, 419),
        ({"Origin": "https://[::1"}, 419),
    ],
)
def test_without_a_token_only_a_page_of_ours_passes(shop: House, headers: Any, status: int):
    client = shop.client(base_url="https://erp.example")

    assert client.post("/save", headers=headers).status == status


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://erp.example"])
def test_over_https_a_foreign_origin_is_refused_even_with_a_token(shop: House, origin: str):
    client = shop.client(base_url="https://erp.example")
    token = token_of(client)

    assert client.post("/save", {"_token": token}, headers={"Origin": origin}).status == 419
    assert client.post("/save", {"_token": token}).status == 200


def test_over_plain_http_a_token_outweighs_an_origin_that_a_proxy_made_foreign(shop: House):
    client = shop.client()
    headers = {"Origin": "https://erp.example"}

    assert client.post("/save", {"_token": token_of(client)}, headers=headers).status == 200


def test_trusted_origins_and_excepted_paths_are_let_through(clock: Clock):
    settings = CsrfSettings(("webhooks/*",), ("https://shop.example",))
    house = with_forms(House(None, clock, csrf=settings))
    client = house.client(base_url="https://erp.example")

    assert client.post("/webhooks/pay").text == "hook"
    assert client.post("/save", headers={"Origin": "https://shop.example"}).text == "saved"
    assert client.post("/save", headers={"Origin": "https://shop.evil"}).status == 419


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        ('{"a": 1}', {"Content-Type": "text/plain"}),
        ("a=1", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("_method=GET", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("x", {"X-HTTP-Method-Override": "GET"}),
        ("x", {"X-HTTP-Method-Override": "OPTIONS"}),
    ],
)
def test_dressing_a_request_up_does_not_help(shop: House, data: str, headers: Any):
    client = shop.client()
    token_of(client)

    assert client.post("/save", data, headers=headers).status == 419


def test_a_get_cannot_become_a_change(shop: House):
    client = shop.client()

    result = client.get("/save?_method=DELETE", headers={"X-HTTP-Method-Override": "DELETE"})

    assert result.status == 405


def test_what_was_typed_is_kept_for_the_form_but_no_password(shop: House):
    client = shop.client()
    token_of(client)

    client.post("/save", {"name": "Ada", "password": "secret", "_token": "wrong"})

    assert client.get("/old").json("old") == {"name": "Ada"}


def test_a_foreign_page_cannot_begin_a_session_here(shop: House):
    client = shop.client()

    result = client.post("/save", {"name": "x"}, headers={"Sec-Fetch-Site": "cross-site"})

    assert result.status == 419
    assert result.cookies == {}
    assert shop.sessions.active().count() == 0


def test_without_a_session_middleware_only_the_origin_counts(house: House):
    house.page("/save", lambda: "saved", "csrf", method="POST")
    client = house.client()

    assert client.post("/save").status == 419
    assert client.post("/save", headers={"Sec-Fetch-Site": "same-origin"}).status == 200
