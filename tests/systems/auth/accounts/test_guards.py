"""Several ways in, each with its users; what routes name is checked where it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from so import Router, auth, request, sessions
from so.application import Application
from so.errors import AuthError, ConfigError, RouteDefinitionError
from so.testing import Client
from tests.systems.auth.accounts.conftest import (
    CHEAP,
    JSON,
    PASSWORD,
    Client_,
    browser,
    log_in,
    worker,
)

GUARDS: dict[str, Any] = {
    "staff": {"driver": "session"},
    "portal": {"model": Client_, "driver": "session"},
    "api": {"driver": "token"},
    "machines": {"driver": "token", "model": Client_},
    "sso": {"driver": "header", "header": "X-Remote-User", "column": "email"},
    "kerberos": {"driver": "header"},
}


@pytest.fixture
def house(make_app: Callable[..., Application]) -> Application:
    erp = make_app(guards=GUARDS, more={"trustedproxy": {"proxies": ["10.9.9.9"]}})
    with Router.group(middleware="web"):
        Router.post("/portal/login", portal_login)
        for name in ("staff", "portal", "sso", "kerberos"):
            Router.get(f"/{name}", who).middleware(f"auth:{name}")
    for name in ("api", "machines"):
        Router.get(f"/{name}", who).middleware(f"auth:{name}")
    Router.get("/orders", who).middleware("auth:api,orders.read")
    return erp


def portal_login() -> Any:
    return {"ok": auth("portal").attempt(request().only("email", "password"))}


def who() -> Any:
    return {"type": type(auth().user()).__name__, "id": auth().id()}


def portal_client(email: str = "bob@x.y") -> Any:
    return Client_.create(name="Bob", email=email, password=CHEAP.make(PASSWORD))


@pytest.mark.parametrize(
    ("middleware", "said"),
    [
        ("auth:admin", "there is no guard 'admin'"),
        ("auth:tokn,orders.read", "did you mean 'token'"),
        ("auth:Token", "did you mean 'token'"),
        ("auth:session,orders.read", "abilities are for guards of tokens"),
        ("auth:portal,staff", "abilities are for guards of tokens"),
        ("auth:token,", "empty"),
        ("guest:x", "does not take"),
        ("csrf:x", "does not take"),
        ("verified:x", "does not take"),
        ("can", "ability"),
        ("confirm:soon", "minutes"),
        ("confirm:0", "minutes"),
        ("confirm:5,6", "does not take"),
        ("throttle:5,0", "minutes"),
    ],
)
def test_what_a_middleware_cannot_mean_is_an_error_at_registration(
    house: Application, middleware: str, said: str
):
    for register in (
        lambda: Router.get("/x", who).middleware(middleware),
        lambda: Router.group({"middleware": [middleware]}, lambda: Router.get("/y", who)),
    ):
        with pytest.raises(RouteDefinitionError, match=said):
            register()


def test_a_route_whose_middleware_was_refused_is_not_there(house: Application):
    with pytest.raises(RouteDefinitionError):
        Router.get("/x", who).middleware("auth:admin")

    assert Client(house).get("/x").status == 404


def test_each_guard_lets_in_its_own_users_alone(house: Application):
    worker("ada@x.y")
    portal_client()
    staff, portal = browser(house), browser(house)
    log_in(staff)
    assert portal.post("/portal/login", {"email": "bob@x.y", "password": PASSWORD}).json()["ok"]

    assert staff.get("/staff", headers=JSON).json() == {"type": "Worker", "id": 1}
    assert staff.get("/portal", headers=JSON).status == 401
    assert portal.get("/portal", headers=JSON).json() == {"type": "Client_", "id": 1}
    assert portal.get("/staff", headers=JSON).status == 401
    assert portal.get("/me", headers=JSON).status == 401
    assert log_in(portal, "bob@x.y") is False


def test_users_of_one_key_and_two_kinds_share_no_sessions(house: Application):
    ada, bob = worker("ada@x.y"), portal_client()
    staff, portal = browser(house), browser(house)
    log_in(staff)
    portal.post("/portal/login", {"email": "bob@x.y", "password": PASSWORD})
    assert ada.id == bob.id == 1

    assert sessions().for_user(ada).count() == sessions().for_user(bob).count() == 1
    assert sessions().logout_everywhere(bob) == 1

    assert staff.get("/staff", headers=JSON).status == 200
    assert portal.get("/portal", headers=JSON).status == 401


def test_tokens_come_in_by_guards_of_tokens(house: Application):
    ada, bob = worker("ada@x.y"), portal_client()
    staff = Client(house, headers=JSON).with_token(ada.create_token("a", ["orders.*"]).plain_text)
    portal = Client(house, headers=JSON).with_token(bob.create_token("b", ["x"]).plain_text)

    assert staff.get("/api").json() == {"type": "Worker", "id": 1}
    assert staff.get("/orders").status == 200
    assert portal.get("/api").status == 200
    assert portal.get("/orders").status == 403
    assert portal.get("/machines").status == 200
    assert staff.get("/machines").status == 401


def test_a_name_in_a_header_counts_from_a_trusted_proxy_alone(house: Application):
    worker("ada@x.y")
    client = Client(house, headers={**JSON, "X-Remote-User": "ada@x.y"})

    proxied = client.get("/sso", environ={"REMOTE_ADDR": "10.9.9.9"})
    spoofed = client.get("/sso", environ={"REMOTE_ADDR": "203.0.113.5"})

    assert proxied.json() == {"type": "Worker", "id": 1}
    assert spoofed.status == 401


def test_remote_user_is_a_variable_of_the_server_and_no_header(house: Application):
    worker("ada@x.y")
    client, trusted = Client(house, headers=JSON), {"REMOTE_ADDR": "10.9.9.9"}
    named = {"REMOTE_USER": "ada@x.y"}

    assert client.get("/kerberos", environ={**trusted, **named}).status == 200
    assert client.get("/kerberos", environ=named).status == 401
    assert (
        client.get("/kerberos", environ=trusted, headers={"Remote-User": "ada@x.y"}).status == 401
    )


@pytest.mark.parametrize("name", ["", "nobody@x.y", "ada@x.y,ada@x.y", "*", "ada@x.y\u200b"])
def test_a_header_that_names_nobody_lets_nobody_in(house: Application, name: str):
    worker("ada@x.y")
    environ = {"REMOTE_ADDR": "10.9.9.9", "HTTP_X_REMOTE_USER": name}

    assert Client(house, headers=JSON).get("/sso", environ=environ).status == 401


def test_an_unknown_guard_is_an_error_with_the_near_name(house: Application):
    with pytest.raises(AuthError, match="did you mean 'staff'"):
        auth("staf")


@pytest.mark.parametrize(
    ("guard", "said"),
    [({"driver": "sesion"}, "did you mean 'session'"), ({"modell": "x"}, "did you mean 'model'")],
)
def test_a_guard_that_is_misspelt_in_the_settings_is_refused(make_app, guard, said):
    with pytest.raises(ConfigError, match=said):
        make_app(guards={"staff": guard}).make("guards")


# --- users that live elsewhere ---


class Directory:
    """What an LDAP server would say."""

    passwords = {"ada@x.y": "of the directory"}
    seen: list[str] = []

    def find(self, credentials: Any) -> Any:
        from tests.systems.auth.accounts.conftest import Worker

        return Worker.first_where({"email": credentials["email"]})

    def check(self, user: Any, password: str) -> bool:
        return self.passwords.get(user.email) == password

    def after_login(self, user: Any) -> None:
        self.seen.append(user.email)


def test_a_directory_finds_and_checks_users(make_app):
    Directory.seen.clear()
    erp = make_app(users=Directory)
    worker("ada@x.y")
    client = browser(erp)

    assert log_in(client, password=PASSWORD) is False
    assert log_in(client, password="") is False
    assert log_in(client, password="of the directory") is True
    assert client.get("/me").json()["email"] == "ada@x.y"
    assert Directory.seen == ["ada@x.y"]


def test_a_directory_is_asked_for_names_that_are_texts_only(make_app):
    erp = make_app(users=Directory)
    worker("ada@x.y")
    client = Client(erp, headers=JSON)

    for name in (0, False, None, ["ada@x.y"]):
        answer = client.post("/login", json={"email": name, "password": "of the directory"})
        assert answer.json() == {"ok": False}


def test_users_of_one_key_and_two_kinds_share_no_limit(house: Application):
    worker("ada@x.y")
    portal_client()
    with Router.group(middleware="web"):
        Router.get("/rare/staff", who).middleware("auth:staff", "throttle:1,1")
        Router.get("/rare/portal", who).middleware("auth:portal", "throttle:1,1")
    staff, portal = browser(house), browser(house)
    log_in(staff)
    portal.post("/portal/login", {"email": "bob@x.y", "password": PASSWORD})

    assert staff.get("/rare/staff", headers=JSON).status == 200
    assert portal.get("/rare/portal", headers=JSON).status == 200
    assert staff.get("/rare/staff", headers=JSON).status == 429
