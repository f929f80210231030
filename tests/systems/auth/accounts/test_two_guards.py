"""Staff and portal logged in within one browser: a login of each kind of users, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from so import DB, Activity, Router, auth, request, session, sessions
from so.application import Application
from so.support.scope import current_scope
from so.testing import Client
from tests.systems.auth.accounts.conftest import (
    CHEAP,
    JSON,
    NEW,
    PASSWORD,
    Client_,
    browser,
    log_in,
    worker,
)

GUARDS = {
    "staff": {"driver": "session"},
    "portal": {"model": Client_, "driver": "session"},
}


@pytest.fixture
def house(make_app: Callable[..., Application]) -> Application:
    return built(make_app())


def built(erp: Application) -> Application:
    with Router.group(middleware="web"):
        Router.post("/portal/login", portal_login)
        Router.post("/portal/logout", lambda: auth("portal").logout() or "bye")
        Router.post("/put", lambda: session().put("draft", request().input("draft")) or "ok")
        Router.get("/draft", lambda: {"draft": session("draft")})
        Router.get("/both", both)
        Router.get("/devices", devices)
        Router.post("/others", lambda: {"n": sessions().logout_others(auth("portal").user())})
        Router.post("/portal/others", lambda: {"ok": others()})
        for name in ("staff", "portal"):
            Router.get(f"/{name}", who).middleware(f"auth:{name}")
    return erp


@pytest.fixture
def make_app(make_app: Callable[..., Application]) -> Callable[..., Application]:
    return lambda **more: make_app(guards=GUARDS, **more)


@pytest.fixture
def people(house: Application) -> tuple[Any, Any]:
    bob = Client_.create(name="Bob", email="bob@x.y", password=CHEAP.make(PASSWORD))
    return worker("ada@x.y"), bob


@pytest.fixture
def client(house: Application, people: Any) -> Client:
    """Ada of the staff, and Bob of the portal."""
    client = browser(house)
    log_in(client)
    portal_in(client)
    return client


def portal_in(client: Client, **more: Any) -> bool:
    fields = {"email": "bob@x.y", "password": PASSWORD, **more}
    return bool(client.post("/portal/login", fields).json()["ok"])


def portal_login() -> Any:
    fields = request().only("email", "password")
    return {"ok": auth("portal").attempt(fields, request().boolean("remember"))}


def others() -> bool:
    return auth("portal").logout_other_devices(PASSWORD)


def who() -> Any:
    scope = current_scope()
    assert scope is not None
    return {"type": type(auth().user()).__name__, "by": type(scope.user).__name__}


def both() -> Any:
    return {"staff": auth("staff").check(), "own": auth().check(), "portal": auth("portal").check()}


def devices() -> Any:
    of = sessions().for_user(auth("portal").user())
    return {"here": [device.current for device in of]}


def seen(client: Client) -> tuple[bool, bool]:
    found = client.get("/both").json()
    assert found["staff"] == found["own"]
    return found["own"], found["portal"]


def test_both_are_logged_in_and_each_guard_gives_its_own(client: Client):
    assert seen(client) == (True, True)
    assert client.get("/staff", headers=JSON).json() == {"type": "Worker", "by": "Worker"}
    assert client.get("/portal", headers=JSON).json() == {"type": "Client_", "by": "Client_"}
    assert client.get("/me").json()["email"] == "ada@x.y"


@pytest.mark.parametrize("first", ["staff", "portal"])
@pytest.mark.parametrize("leaves", ["staff", "portal"])
def test_who_logs_out_leaves_the_other_where_he_is(
    house: Application, people: Any, first: str, leaves: str
):
    client = browser(house)
    for guard in (first, {"staff": "portal", "portal": "staff"}[first]):
        log_in(client) if guard == "staff" else portal_in(client)
    client.post("/put", {"draft": "of both"})

    client.post("/logout" if leaves == "staff" else "/portal/logout")

    assert seen(client) == (leaves != "staff", leaves != "portal")
    assert client.get("/draft").json() == {"draft": "of both"}
    client.post("/portal/logout" if leaves == "staff" else "/logout")
    assert seen(client) == (False, False)
    assert client.get("/draft").json() == {"draft": None}
    assert DB.table("sessions").where_not_null("user_id").count() == 0


def test_who_left_comes_back_beside_the_other(client: Client):
    for _ in range(2):
        client.post("/logout")
        assert seen(client) == (False, True)
        log_in(client)
        assert seen(client) == (True, True)
        client.post("/portal/logout")
        assert seen(client) == (True, False)
        portal_in(client)
        assert seen(client) == (True, True)


def test_each_has_a_row_of_his_own_by_which_he_is_found_and_ended(client: Client, people: Any):
    ada, bob = people
    assert sessions().for_user(ada).count() == sessions().for_user(bob).count() == 1
    assert client.get("/devices").json() == {"here": [True]}

    assert sessions().logout_everywhere(bob) == 1

    assert seen(client) == (True, False)
    assert portal_in(client)
    DB.delete("delete from sessions where user_id = ?", ["client:1"])
    assert seen(client) == (True, False)


def test_the_one_whose_session_it_is_ends_all_of_it(client: Client, people: Any):
    assert sessions().logout_everywhere(people[0]) == 1

    assert seen(client) == (False, False)


def test_no_cookie_leads_to_the_login_beside(client: Client, house: Application):
    rows = DB.table("sessions").get()
    for row in rows:
        for secret in (row["id"], row["id"][:43], row["payload"]):
            stranger = Client(house, headers={**JSON, "Cookie": f"so_session={secret}"})
            assert stranger.get("/portal").status in (400, 401)
    (main,) = [row for row in rows if row["user_id"] == "1"]
    (beside,) = [row for row in rows if row["user_id"] == "client:1"]
    assert beside["id"] in main["payload"]  # the digest of a secret that nobody has


def test_a_login_beside_changes_the_cookie(house: Application, people: Any):
    client = browser(house)
    log_in(client)
    before = client.cookies["so_session"]

    portal_in(client)

    assert client.cookies["so_session"] != before


def test_to_end_other_devices_keeps_this_one(house: Application, client: Client):
    elsewhere = browser(house)
    portal_in(elsewhere)

    assert client.post("/others").json() == {"n": 1}
    assert seen(client) == (True, True)
    assert elsewhere.get("/portal", headers=JSON).status == 401

    portal_in(elsewhere)
    assert client.post("/portal/others").json() == {"ok": True}
    assert seen(client) == (True, True)
    assert elsewhere.get("/portal", headers=JSON).status == 401


def test_a_new_password_ends_the_one_login_and_not_the_other(client: Client, people: Any):
    people[1].update(password=CHEAP.make(NEW))

    assert seen(client) == (True, False)


def test_another_user_of_the_staff_finds_nothing_of_either(client: Client, people: Any):
    worker("eve@x.y")
    client.post("/put", {"draft": "of ada"})

    log_in(client, "eve@x.y")

    assert seen(client) == (True, False)
    assert client.get("/draft").json() == {"draft": None}


def test_another_of_the_portal_finds_nothing_of_the_one_before(client: Client):
    Client_.create(name="Cy", email="cy@x.y", password=CHEAP.make(PASSWORD))
    client.post("/put", {"draft": "of bob"})

    portal_in(client, email="cy@x.y")

    assert seen(client) == (True, True)
    assert client.get("/draft").json() == {"draft": None}


def test_a_guard_that_logs_in_a_user_of_another_leaves_its_own_alone(client: Client):
    with Router.group(middleware="web"):
        Router.post("/cross", lambda: auth().login(Client_.find(1)) or "in")
        Router.post("/cross/out", lambda: (auth().login(Client_.find(1)), auth().logout()) and "x")

    client.post("/cross")
    assert seen(client) == (True, True)
    client.post("/cross/out")
    assert seen(client) == (True, False)


def test_remembered_staff_stay_so_when_the_portal_comes_and_goes(house: Application, people: Any):
    client = browser(house)
    log_in(client, remember="1")
    portal_in(client)
    client.post("/portal/logout")
    DB.table("sessions").update({"last_activity": 1})

    assert seen(client) == (True, False)


def test_both_are_in_the_activity_log(client: Client):
    client.post("/portal/logout")

    rows = Activity.in_log("auth").order_by("id").get()
    assert [(row.event, row.subject_type or row.causer_type) for row in rows] == [
        ("login", "worker"), ("login", "client"), ("logout", "client"),
    ]  # fmt: skip


@pytest.mark.parametrize("first", ["staff", "portal"])
def test_one_browser_remembers_both_and_forgets_only_who_leaves(
    house: Application, people: Any, first: str
):
    client = browser(house)
    for guard in (first, {"staff": "portal", "portal": "staff"}[first]):
        log_in(client, remember="1") if guard == "staff" else portal_in(client, remember="1")
    DB.table("sessions").update({"last_activity": 1})

    assert seen(client) == (True, True)

    client.post("/portal/logout")
    DB.table("sessions").update({"last_activity": 1})
    assert seen(client) == (True, False)
    assert DB.table("remember_tokens").count() == 1
    assert set(client.cookies) >= {"so_remember"}
    assert "so_remember_client" not in client.cookies


def test_the_cookie_of_the_one_brings_nobody_back_as_the_other(house: Application, people: Any):
    client = browser(house)
    portal_in(client, remember="1")
    cookie = client.cookies["so_remember_client"]

    for name, guard in (("so_remember", "staff"), ("so_remember_client", "staff")):
        stranger = Client(house, headers={**JSON, "Cookie": f"{name}={cookie}"})
        assert stranger.get(f"/{guard}").status == 401
    stranger = Client(house, headers={**JSON, "Cookie": f"so_remember={cookie}"})
    assert stranger.get("/portal").status == 401


def test_a_force_logout_of_one_who_is_remembered_leaves_the_other_so(
    house: Application, people: Any
):
    client = browser(house)
    log_in(client, remember="1")
    portal_in(client, remember="1")

    sessions().logout_everywhere(people[1])
    DB.table("sessions").update({"last_activity": 1})
    assert seen(client) == (True, False)

    portal_in(client, remember="1")
    sessions().logout_everywhere(people[0])
    assert seen(client)[0] is False


@pytest.mark.parametrize("how", ["everywhere", "revoked", "others"])
def test_with_the_session_that_held_both_no_row_is_left_that_nobody_comes_back_to(
    client: Client, people: Any, how: str
):
    ada, bob = people
    if how == "everywhere":
        assert sessions().logout_everywhere(ada) == 1
    elif how == "revoked":
        (device,) = sessions().for_user(ada)
        assert sessions().revoke(device.handle, ada)
    else:
        assert sessions().logout_others(ada) == 1

    assert sessions().for_user(bob).count() == 0
    assert seen(client) == (False, False)
    assert portal_in(client)
    assert seen(client) == (False, True)
