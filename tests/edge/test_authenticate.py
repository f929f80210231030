"""Who may pass: logins, tokens, guests and abilities, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from so.db.manager import Database
from so.http.helpers import request
from so.support.clock import Clock
from so.testing import Client
from tests.edge.conftest import SAME_ORIGIN, House, Member, auth, log_in, session

JSON = {"Accept": "application/json"}


def test_a_login_form_logs_in_and_the_next_page_knows_who(company: House):
    client = company.client()

    log_in(client)

    assert client.get("/me").json() == {"email": "ada@x.y", "via_remember": False}


def test_a_guest_is_sent_to_the_login_and_back_where_he_wanted(company: House):
    client = company.client()

    client.get("/me").assert_redirect("/login")

    company.page("/intended", lambda: {"url": session().get("url.intended")})
    assert client.get("/intended").json("url") == "http://localhost/me"


def test_a_program_gets_401(company: House):
    result = company.client().get("/me", headers=JSON)

    assert result.status == 401
    assert result.json() == {"message": "Unauthenticated."}


def test_a_login_needs_proof_that_it_comes_from_our_form(company: House):
    fields = {"email": "ada@x.y", "password": "secret"}

    assert company.client().post("/login", fields).status == 419


def test_too_many_failures_are_429_with_retry_after(company: House):
    client = company.client()
    fields = {"email": "ada@x.y", "password": "guess"}
    for _ in range(5):
        assert client.post("/login", fields, headers=SAME_ORIGIN).json("ok") is False

    result = client.post("/login", fields, headers=SAME_ORIGIN)

    assert result.status == 429
    assert result.headers.get("Retry-After") == "60"


def test_an_address_made_up_in_a_header_does_not_help_guessing(company: House):
    client = company.client()
    for number in range(6):
        result = client.post(
            "/login",
            {"email": f"user{number}@x.y", "password": "guess"},
            headers={**SAME_ORIGIN, "X-Forwarded-For": f"10.0.0.{number}"},
        )

    assert result.status == 429


def test_after_logout_the_old_cookie_is_worth_nothing(company: House, members: Database):
    client = company.client()
    log_in(client, remember=True)
    kept = dict(client.cookies)

    client.post("/logout", headers=SAME_ORIGIN)

    replay = company.client()
    for name, value in kept.items():
        replay.set_cookie(name, value)
    assert replay.get("/me").status == 302
    assert "so_session" not in client.cookies
    assert "so_remember" not in client.cookies
    assert members.table("sessions").where("user_id", 1).count() == 0


def test_a_remembered_browser_is_back_after_its_session_has_ended(company: House, clock: Clock):
    client = company.client()
    log_in(client, remember=True)
    first = client.cookies["so_remember"]
    clock.travel(86_400)

    assert client.get("/me").json() == {"email": "ada@x.y", "via_remember": True}
    assert client.cookies["so_remember"] != first


def test_the_remember_cookie_is_flagged_and_lives_a_month(company: House):
    client = company.client()
    fields = {"email": "ada@x.y", "password": "secret", "remember": 1}
    result = client.post("/login", fields, headers=SAME_ORIGIN)

    (written,) = [c for c in result.headers.get_all("Set-Cookie") if c.startswith("so_remember=")]

    assert "Max-Age=2592000" in written
    assert "HttpOnly" in written


def test_deleting_the_users_rows_on_another_server_logs_him_out_here(
    company: House, members: Database
):
    client = company.client()
    log_in(client, remember=True)

    members.table("sessions").where("user_id", 1).delete()

    assert client.get("/me").status == 302
    assert "so_remember" not in client.cookies


def test_a_guest_page_sends_home_who_is_logged_in(company: House):
    company.page("/register", lambda: "form", "web", "guest")
    client = company.client()
    assert client.get("/register").text == "form"

    log_in(client)

    client.get("/register").assert_redirect("/")
    assert client.get("/register", headers=JSON).status == 403


def test_the_request_and_the_scope_know_the_user_without_a_middleware(company: House):
    company.page("/who", lambda: {"email": getattr(request().user(), "email", None)})
    client = company.client()
    assert client.get("/who").json("email") is None

    log_in(client)

    assert client.get("/who").json("email") == "ada@x.y"


def test_parallel_pages_at_login_keep_the_login(company: House):
    """A page of the guest that ends after the login must not push the new cookie out."""
    client = company.client()
    client.get("/form")
    before = client.cookies["so_session"]
    log_in(client)

    late = company.client()
    late.set_cookie("so_session", before)
    result = late.get("/form")

    assert result.cookies == {}
    assert client.get("/me").status == 200


# --- access tokens ---


@pytest.fixture
def api(company: House) -> House:
    def me() -> Any:
        scope_user = request().user()
        return {"email": scope_user.email, "token": auth().token().name}

    company.page("/api/me", me, "api", "auth:token")
    company.page("/api/plain", me, "auth")
    company.page("/api/orders", lambda: {"ok": True}, "api", "auth:token,orders.read,orders.list")
    return company


def bearer(house: House, plain: str | None) -> Client:
    client = house.client(headers=JSON)
    return client if plain is None else client.with_token(plain)


def test_a_token_opens_the_api(api: House):
    token = Member.find(1).create_token("cli").plain_text

    assert bearer(api, token).get("/api/me").json() == {"email": "ada@x.y", "token": "cli"}
    assert bearer(api, token).get("/api/plain").json("token") == "cli"
    assert Member.find(1).tokens()[0].last_used_at is not None


@pytest.mark.parametrize("plain", [None, "", "x", "1|wrong", "|", "1|" + "A" * 43])
def test_anything_else_is_401_and_says_no_more(api: House, plain: str | None):
    Member.find(1).create_token("cli")

    result = bearer(api, plain).get("/api/me")

    assert result.status == 401
    assert result.headers.get("WWW-Authenticate") == "Bearer"
    assert result.json() == {"message": "Unauthenticated."}


def test_a_token_of_nobody_is_401(api: House, members: Database):
    user = Member.create(email="bob@x.y", password="")
    token = user.create_token("cli").plain_text
    assert bearer(api, token).get("/api/me").status == 200

    members.table("members").where("id", user.id).update({"active": 0})
    assert bearer(api, token).get("/api/me").status == 401

    user.delete()
    assert bearer(api, token).get("/api/me").status == 401

    members.table("personal_access_tokens").update({"tokenable_type": "NoSuchModel"})
    assert bearer(api, token).get("/api/me").status == 401


def test_an_ability_that_the_token_lacks_is_403(api: House):
    user = Member.find(1)
    some = user.create_token("some", ["orders.read"]).plain_text
    both = user.create_token("both", ["orders.read", "orders.list"]).plain_text

    assert bearer(api, some).get("/api/orders").status == 403
    assert bearer(api, both).get("/api/orders").status == 200


def test_a_cookie_does_not_open_the_api_and_a_token_opens_no_page(api: House):
    client = api.client(headers=JSON)
    log_in(client)
    assert client.get("/me").status == 200
    assert client.get("/api/me").status == 401

    token = Member.find(1).create_token("cli").plain_text
    assert bearer(api, token).get("/me").status == 401


def test_a_token_cannot_make_a_stronger_one(api: House):
    api.page(
        "/api/tokens",
        lambda: {"made": request().user().create_token("x", ["orders.write"]).plain_text},
        "auth:token",
    )
    weak = Member.find(1).create_token("weak", ["orders.read"]).plain_text
    strong = Member.find(1).create_token("strong").plain_text

    assert bearer(api, weak).get("/api/tokens").status == 403
    assert bearer(api, strong).get("/api/tokens").status == 200


# --- abilities ---


class MemberPolicy:
    def view(self, user: Member, member: Member) -> bool:
        return user.id == member.id

    def create(self, user: Member) -> bool:
        return bool(user.admin)


@pytest.fixture
def gated(company: House) -> House:
    company.gate.policy(Member, MemberPolicy)
    company.gate.define("reports", lambda user: True)
    company.gate.define("archive", lambda user, what: what == "orders")
    ok = {"ok": True}

    def show(member: Member) -> Any:
        return {"email": member.email}

    def bare(member: str) -> Any:
        return {"key": member}

    company.page("/members/{member}", show, "web", "auth", "can:view,member")
    company.page("/bare/{member}", bare, "web", "can:view,member")
    company.page("/create", lambda: ok, "web", "can:create,Member")
    company.page("/reports", lambda: ok, "web", "can:reports")
    company.page("/archive", lambda: ok, "web", "can:archive,orders")
    company.page("/unknown", lambda: ok, "web", "can:fly")
    company.page("/api/reports", lambda: ok, "auth:token", "can:reports")
    Member.create(email="bob@x.y", password="")
    return company


def test_can_asks_the_policy_about_the_routes_model(gated: House):
    client = gated.client(headers=JSON)
    log_in(client)

    assert client.get("/members/1").status == 200
    assert client.get("/members/2").status == 403
    assert client.get("/members/99").status == 404


def test_can_asks_about_the_model_when_the_action_takes_the_bare_key(gated: House):
    client = gated.client(headers=JSON)
    log_in(client)

    assert client.get("/bare/1").json("key") == "1"
    assert client.get("/bare/2").status == 403
    assert client.get("/bare/99").status == 404
    assert gated.client(headers=JSON).get("/bare/99").status == 401


def test_can_asks_about_a_class_and_about_plain_words(gated: House, members: Database):
    client = gated.client(headers=JSON)
    log_in(client)

    assert client.get("/reports").status == 200
    assert client.get("/archive").status == 200
    assert client.get("/unknown").status == 403
    assert client.get("/create").status == 403
    members.table("members").where("id", 1).update({"admin": 1})
    assert client.get("/create").status == 200


def test_a_guest_is_asked_to_log_in_first(gated: House):
    assert gated.client(headers=JSON).get("/reports").status == 401
    gated.client().get("/reports").assert_redirect("/login")


def test_a_token_narrows_what_its_owner_may(gated: House):
    user = Member.find(1)
    narrow = user.create_token("n", ["orders.read"]).plain_text
    fitting = user.create_token("f", ["reports"]).plain_text

    assert bearer(gated, narrow).get("/api/reports").status == 403
    assert bearer(gated, fitting).get("/api/reports").status == 200


def test_nothing_secret_is_written_to_the_log(gated: House, caplog):
    caplog.set_level("DEBUG")
    client = gated.client(headers=JSON)
    log_in(client, remember=True)
    token = Member.find(1).create_token("cli").plain_text
    client.get("/bare/99")
    bearer(gated, token).get("/api/reports")
    secrets = [*client.cookies.values(), token, token.partition("|")[2], "secret"]
    client.post("/login", {"email": "ada@x.y", "password": "hunter2"}, headers=SAME_ORIGIN)

    for one in [*secrets, "hunter2"]:
        assert one not in caplog.text.replace("SECRET", "")
