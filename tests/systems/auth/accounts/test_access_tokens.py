"""Access tokens: abilities by name and wildcard, and what ends them."""

from __future__ import annotations

from typing import Any

import pytest

from so import Router, accounts, auth
from so.testing import Client
from tests.systems.auth.accounts.conftest import JSON, NEW, PASSWORD, browser, log_in, worker


def with_token(erp: Any, plain_text: str) -> Client:
    return Client(erp, headers=JSON).with_token(plain_text)


@pytest.fixture
def erp(make_app: Any) -> Any:
    return with_routes(make_app())


def with_routes(erp: Any) -> Any:
    Router.get("/api/me", lambda: {"id": auth().id()}).middleware("auth:token")
    with Router.group(middleware="web"):
        Router.post("/others", lambda: {"ok": auth().logout_other_devices(PASSWORD)})
    return erp


@pytest.mark.parametrize(
    "abilities",
    [
        "orders.*",
        "*",
        None,
        b"x",
        ("a",),
        {"a"},
        {"a": 1},
        [1],
        [None],
        [["a"]],
        5,
        [""],
        [" "],
        ["a "],
    ],
)
def test_abilities_are_a_list_of_texts_and_nothing_else(ada: Any, abilities: Any):
    with pytest.raises(TypeError, match="abilities must be a list"):
        ada.create_token("scanner", abilities)

    assert ada.tokens() == []


@pytest.mark.parametrize(
    ("held", "asked", "may"),
    [
        (["orders.read"], "orders.read", True),
        (["orders.*"], "orders.read", True),
        (["orders.*"], "orders.lines.read", True),
        (["orders.*"], "orders", False),
        (["orders.*"], "ordersx.read", False),
        (["orders.*"], "invoices.read", False),
        (["*.read"], "orders.read", True),
        (["*.read"], "orders.write", False),
        (["*.read"], "orders.lines.read", False),
        (["*"], "anything.at.all", True),
        (["orders.read"], "orders.*", False),
        ([], "orders.read", False),
        (["order*"], "orders", False),
    ],
)
def test_wildcards_stand_for_parts(ada: Any, held: list[str], asked: str, may: bool):
    assert ada.create_token("x", held).token.can(asked) is may


@pytest.mark.parametrize("way", ["change_password", "update", "reset", "other devices"])
def test_a_new_password_ends_the_tokens(erp: Any, way: str):
    ada = worker("ada@x.y")
    scanner = with_token(erp, ada.create_token("scanner").plain_text)
    assert scanner.get("/api/me").status == 200

    change_password(erp, ada, way)

    assert scanner.get("/api/me").status == 401


@pytest.mark.parametrize("way", ["change_password", "update", "reset", "other devices"])
def test_a_setting_keeps_them(make_app: Any, way: str):
    erp = with_routes(make_app(keep_tokens=True))
    ada = worker("ada@x.y")
    scanner = with_token(erp, ada.create_token("scanner").plain_text)

    change_password(erp, ada, way)

    assert scanner.get("/api/me").status == 200


def change_password(erp: Any, ada: Any, way: str) -> None:
    if way == "change_password":
        accounts().change_password(ada, NEW)
    elif way == "update":
        ada.update({"password": erp.make("hasher").make(NEW)})
    elif way == "reset":
        accounts().reset(accounts().reset_token(ada), NEW)
    else:
        client = browser(erp)
        log_in(client)
        assert client.post("/others").json() == {"ok": True}


def test_the_same_password_hashed_anew_ends_nothing(make_app: Any):
    weak = with_routes(make_app(scrypt={"ln": 3, "r": 1, "p": 1}))
    ada = worker("ada@x.y")
    ada.update({"password": weak.make("hasher").make(PASSWORD)})
    token, device = ada.create_token("scanner").plain_text, browser(weak)
    log_in(device, remember=1)
    remembered = {"so_remember": device.cookies["so_remember"]}

    erp = with_routes(make_app())
    assert log_in(browser(erp)) is True  # and renews the hash

    assert with_token(erp, token).get("/api/me").status == 200
    assert browser(erp).get("/me", cookies=remembered).status == 200


def test_a_locked_users_token_opens_nothing_until_he_is_unlocked(erp: Any):
    ada = worker("ada@x.y")
    scanner = with_token(erp, ada.create_token("scanner").plain_text)
    accounts().lock(ada)

    assert scanner.get("/api/me").status == 401
    accounts().unlock(ada)
    assert scanner.get("/api/me").status == 200


def test_a_prefix_for_scanners_and_a_lifetime_for_all(make_app: Any):
    erp = with_routes(make_app(token_prefix="erp_", token_days=30))
    ada = worker("ada@x.y")
    plain = ada.create_token("scanner").plain_text

    assert plain.startswith("erp_")
    assert with_token(erp, plain).get("/api/me").status == 200
    assert with_token(erp, plain.removeprefix("erp_")).get("/api/me").status == 200
    erp.clock.travel(31 * 86_400)
    assert with_token(erp, plain).get("/api/me").status == 401


def test_all_tokens_can_be_revoked_at_once(erp: Any):
    ada = worker("ada@x.y")
    scanners = [with_token(erp, ada.create_token(str(n)).plain_text) for n in range(3)]

    assert ada.revoke_tokens() == 3
    assert {scanner.get("/api/me").status for scanner in scanners} == {401}
