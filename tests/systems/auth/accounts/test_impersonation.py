"""Acting as another user: with an ability, never upwards, and both are named."""

from __future__ import annotations

from typing import Any

import pytest

from so import (
    DB,
    Activity,
    Gate,
    Role,
    Router,
    accounts,
    activity,
    auth,
    request,
    session,
    sessions,
)
from tests.systems.auth.accounts.conftest import JSON, PASSWORD, Worker, browser, log_in, worker


@pytest.fixture
def house(erp: Any, ada: Any) -> Any:
    def act() -> Any:
        auth().impersonate(Worker.find(request().input("id")))
        return {"as": auth().user().email}

    def who() -> Any:
        by = auth().impersonator()
        return {"user": auth().user().email, "by": by and by.email, "draft": session("draft")}

    def stop() -> Any:
        own = auth().stop_impersonating()
        return {"user": own and own.email}

    with Router.group(middleware="web"):
        Router.post("/act", act)
        Router.get("/who", who).middleware("auth")
        Router.post("/stop", stop)
        Router.post("/put", lambda: session().put("draft", "secret of ada") or {})
        Router.post("/do", lambda: activity().log("did something") and {})
    Role.named("support").allow("impersonate", "orders.*")
    ada.assign_role("support")
    return erp


@pytest.fixture
def client(house: Any) -> Any:
    made = browser(house)
    log_in(made)
    return made


@pytest.fixture
def bob(erp: Any) -> Any:
    made = worker("bob@x.y", "Bob")
    Role.named("clerk").allow("orders.read")
    made.assign_role("clerk")
    return made


def act_as(client: Any, user: Any) -> Any:
    return client.post("/act", {"id": user.id}, headers=JSON)


def test_an_allowed_user_acts_as_another_and_comes_back(client, bob):
    assert act_as(client, bob).json() == {"as": "bob@x.y"}
    assert client.get("/who").json() == {"user": "bob@x.y", "by": "ada@x.y", "draft": None}

    assert client.post("/stop").json() == {"user": "ada@x.y"}
    assert client.get("/who").json() == {"user": "ada@x.y", "by": None, "draft": None}
    assert client.post("/stop").json() == {"user": None}


def test_without_the_ability_nobody_acts_as_anybody(house, bob):
    client = browser(house)
    log_in(client, "bob@x.y")

    assert act_as(client, worker("eve@x.y")).status == 403
    assert browser(house).post("/act", {"id": bob.id}, headers=JSON).status == 401


@pytest.mark.parametrize(
    "more", ["a permission", "a wildcard", "an ability of the gate", "himself"]
)
def test_never_upwards(client, ada, bob, more: str):
    if more == "a permission":
        Role.named("clerk").allow("payroll.read")
    elif more == "a wildcard":
        Role.named("clerk").allow("*")
    elif more == "an ability of the gate":
        Gate.define("close-year", lambda user: user.email == "bob@x.y")

    assert act_as(client, ada if more == "himself" else bob).status == 403
    assert client.get("/who").json()["user"] == "ada@x.y"


def test_not_from_within_another_impersonation(client, bob):
    eve = worker("eve@x.y")
    act_as(client, bob)

    assert act_as(client, eve).status == 403
    assert client.get("/who").json()["user"] == "bob@x.y"


def test_neither_finds_what_the_other_had_in_the_session(client, bob):
    client.post("/put")
    act_as(client, bob)
    assert client.get("/who").json()["draft"] is None
    client.post("/put")
    client.post("/stop")
    assert client.get("/who").json()["draft"] is None


def test_the_session_has_another_id_at_each_step(house, client, bob):
    ids = [client.cookies["so_session"]]
    act_as(client, bob)
    ids.append(client.cookies["so_session"])
    client.post("/stop")
    ids.append(client.cookies["so_session"])

    assert len(set(ids)) == 3
    old = browser(house).get("/who", cookies={"so_session": ids[1]}, headers=JSON)
    assert old.status == 401


def test_the_activity_log_names_both(client, ada, bob):
    act_as(client, bob)
    client.post("/do")
    client.post("/stop")
    client.post("/do")

    [during, after] = Activity.in_log("default").order_by("id").get()
    assert during.causer_id == str(bob.id)
    assert during.context["impersonator"] == f"worker:{ada.id}"
    assert after.causer_id == str(ada.id)
    assert "impersonator" not in after.context
    rows = Activity.in_log("auth").for_event("impersonated").order_by("id").get()
    assert [row.causer_id for row in rows] == [str(ada.id)] * 2
    assert [row.subject_id for row in rows] == [str(bob.id)] * 2


def test_it_ends_when_the_one_behind_it_is_locked_out(client, ada, bob):
    act_as(client, bob)
    accounts().lock(ada)

    assert client.get("/who", headers=JSON).status == 401


def test_who_acts_as_another_confirms_no_password(client, bob):
    act_as(client, bob)

    assert client.post("/confirm", {"password": PASSWORD}).json() == {"ok": False}
    assert client.get("/danger", headers=JSON).status == 423


def test_a_locked_user_is_nobody_to_act_as(client, bob):
    accounts().lock(bob)

    assert act_as(client, bob).status == 403


def test_who_acts_as_another_makes_no_tokens(client, bob):
    with Router.group(middleware="web"):
        Router.post("/token", lambda: {"t": auth().user().create_token("mine").plain_text})
    act_as(client, bob)

    assert client.post("/token", headers=JSON).status == 403
    assert bob.tokens() == []
    client.post("/stop")
    assert client.post("/token", headers=JSON).status == 200


@pytest.mark.parametrize("how", ["everywhere", "by SQL", "revoked", "others", "locked"])
def test_a_force_logout_of_the_one_who_acts_ends_it(client, ada, bob, how: str):
    act_as(client, bob)
    (device,) = sessions().for_user(ada)

    if how == "everywhere":
        assert sessions().logout_everywhere(ada) == 1
    elif how == "by SQL":
        assert DB.delete("delete from sessions where user_id = ?", [str(ada.id)]) == 1
    elif how == "revoked":
        assert sessions().revoke(device.handle, ada)
    elif how == "others":
        assert sessions().logout_others(ada) == 1
    else:
        accounts().lock(ada)

    assert client.get("/who", headers=JSON).status == 401
    assert client.post("/stop").json() == {"user": None}
    assert DB.table("sessions").where_not_null("user_id").count() == 0


@pytest.mark.parametrize("end", ["/stop", "/logout"])
def test_when_he_stops_or_leaves_no_second_row_is_left(client, ada, bob, end: str):
    act_as(client, bob)
    assert (sessions().for_user(ada).count(), sessions().for_user(bob).count()) == (1, 1)

    client.post(end)

    left = 1 if end == "/stop" else 0
    assert sessions().for_user(ada).count() == left
    assert DB.table("sessions").where_not_null("user_id").count() == left
