"""Dangerous pages ask for the password once more; every check of a password is counted."""

from __future__ import annotations

from typing import Any

import pytest

from so import Router, auth, request, validate
from so.errors import RouteDefinitionError, ValidationException
from tests.systems.auth.accounts.conftest import JSON, PASSWORD, browser, log_in


@pytest.fixture
def client(erp: Any, ada: Any) -> Any:
    made = browser(erp)
    log_in(made, remember=1)
    return made


def confirm(client: Any, password: str = PASSWORD) -> bool:
    return bool(client.post("/confirm", {"password": password}).json()["ok"])


def test_a_dangerous_page_asks_for_the_password_and_opens_for_a_quarter_of_an_hour(erp, client):
    assert client.get("/danger", headers=JSON).status == 423
    client.get("/danger").assert_redirect("/confirm-password")

    assert confirm(client, "wrong") is False
    assert client.get("/danger", headers=JSON).status == 423
    assert confirm(client) is True
    assert client.get("/danger").text == "done"

    erp.clock.travel(15 * 60)
    assert client.get("/danger", headers=JSON).status == 423


def test_a_route_may_say_how_many_minutes(erp, client):
    with Router.group(middleware="web"):
        Router.get("/short", lambda: "done").middleware("auth", "confirm:5")
    confirm(client)

    erp.clock.travel(4 * 60)
    assert client.get("/short").text == "done"
    erp.clock.travel(60)
    assert client.get("/short", headers=JSON).status == 423
    with pytest.raises(RouteDefinitionError):
        Router.get("/x", lambda: "x").middleware("confirm:-1")


def test_a_remembered_login_never_counts_as_confirmed(erp, client):
    confirm(client)
    remembered = {"so_remember": client.cookies["so_remember"]}
    other = browser(erp)

    assert other.get("/me", cookies=remembered).status == 200
    assert other.get("/danger", headers=JSON).status == 423


def test_a_new_login_has_to_be_confirmed_anew(erp, client):
    confirm(client)
    client.post("/logout")
    log_in(client)

    assert client.get("/danger", headers=JSON).status == 423


def test_the_session_has_another_id_afterwards(erp, client):
    before = client.cookies["so_session"]
    confirm(client)

    assert client.cookies["so_session"] != before
    assert browser(erp).get("/me", cookies={"so_session": before}, headers=JSON).status == 401


def test_guests_are_sent_to_log_in_and_back(erp, ada):
    client = browser(erp)

    assert client.get("/danger", headers=JSON).status == 401
    assert client.post("/confirm", {"password": PASSWORD}, headers=JSON).status == 401


CHECKS = {
    "confirm": lambda: auth().confirm(request().input("password")),
    "others": lambda: auth().logout_other_devices(request().input("password")),
    "rule": lambda: validate(request().all(), {"password": "current_password"}),
    "validate": lambda: auth().validate(
        {"email": "ada@x.y", "password": request().input("password")}
    ),
    "once": lambda: auth().once({"email": "ada@x.y", "password": request().input("password")}),
}


@pytest.mark.parametrize("name", CHECKS)
def test_whoever_holds_a_session_guesses_the_password_five_times_a_minute(erp, client, name: str):
    with Router.group(middleware="web"):
        Router.post("/check", lambda: {"ok": bool(CHECKS[name]())})

    statuses = [
        client.post("/check", {"password": f"guess {n}"}, headers=JSON).status for n in range(12)
    ]

    assert statuses[:5].count(429) == 0
    assert statuses[5:] == [429] * 7
    assert client.post("/check", {"password": PASSWORD}, headers=JSON).status == 429


def test_the_rule_current_password(erp, client):
    said: list[Any] = []

    def check() -> Any:
        for password in (PASSWORD, "wrong", 5):
            try:
                validate({"old": password}, {"old": "required|current_password"})
                said.append("right")
            except ValidationException as error:
                said.append(error.first_error())
        return {"ok": True}

    with Router.group(middleware="web"):
        Router.post("/rule", check)
    client.post("/rule")
    browser(erp).post("/rule")

    assert said == ["right", *["The password is incorrect."] * 5]
