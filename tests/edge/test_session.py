"""Sessions over HTTP: cookies, their flags, and what caches may keep."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from so.db.manager import Database
from so.edge.cookies import CookieSettings
from so.errors import ConfigError
from so.http.helpers import redirect, request
from so.http.response import Response
from so.support.clock import Clock
from so.support.scope import Scope, entered
from so.systems.sessions import id_of
from tests.edge.conftest import House, auth, log_in, session


def set_cookies(result: Any) -> list[str]:
    return list(result.headers.get_all("Set-Cookie"))


def flags(result: Any, name: str = "so_session") -> set[str]:
    (written,) = [one for one in set_cookies(result) if f"{name}=" in one]
    return {part.strip() for part in written.split(";")[1:]}


def count_page(house: House) -> None:
    house.page("/count", lambda: {"n": session().increment("n")})
    house.page("/read", lambda: {"n": session().get("n", 0)})


def test_a_session_lasts_from_request_to_request(house: House):
    count_page(house)
    client = house.client()

    assert [client.get("/count").json("n") for _ in range(3)] == [1, 2, 3]
    assert client.get("/read").json("n") == 3
    assert house.client().get("/read").json("n") == 0


def test_a_visitor_who_touches_nothing_gets_no_cookie_and_stays_cacheable(house: House):
    count_page(house)

    result = house.client().get("/read")

    assert set_cookies(result) == []
    assert result.headers.get("Cache-Control") is None
    assert result.headers.get("Vary") is None
    assert house.sessions.active().count() == 0


def test_the_cookie_is_set_once_and_not_at_every_request(house: House):
    count_page(house)
    client = house.client()

    assert len(set_cookies(client.get("/count"))) == 2  # the session and XSRF-TOKEN
    assert set_cookies(client.get("/count")) == []


def test_over_plain_http_the_cookie_is_hidden_from_scripts_and_other_sites(house: House):
    count_page(house)

    result = house.client().get("/count")

    assert flags(result) == {"Path=/", "HttpOnly", "SameSite=Lax"}
    assert len(result.cookies["so_session"]) == 43


def test_over_https_it_is_bound_to_this_host_and_to_https(house: House):
    count_page(house)

    result = house.client(base_url="https://erp.example").get("/count")

    assert flags(result, "__Host-so_session") == {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"}


def test_secure_cookies_can_be_demanded_whatever_the_scheme(clock: Clock):
    house = House(None, clock, cookies=CookieSettings(secure=True))
    count_page(house)

    result = house.client().get("/count")

    assert "Secure" in flags(result, "__Host-so_session")


def test_a_domain_or_a_path_excludes_the_prefix(clock: Clock):
    for settings in (CookieSettings(domain="x.example"), CookieSettings(path="/erp")):
        house = House(None, clock, cookies=settings)
        count_page(house)
        result = house.client(base_url="https://erp.example").get("/count")
        assert "so_session" in result.cookies


def test_a_cookie_with_an_end_of_its_own_is_renewed_while_it_is_used(clock: Clock):
    house = House(None, clock, cookies=CookieSettings(minutes=120))
    count_page(house)
    client = house.client()
    assert "Max-Age=7200" in flags(client.get("/count"))

    assert set_cookies(client.get("/read")) == []
    clock.travel(61)
    assert "Max-Age=7200" in flags(client.get("/read"))


def test_same_site_none_without_secure_is_refused_at_the_start():
    with pytest.raises(ConfigError, match="SESSION_SECURE_COOKIE"):
        CookieSettings(same_site="none")


def test_an_unknown_or_broken_cookie_is_taken_back_and_never_adopted(house: House):
    count_page(house)
    for planted in ("A" * 43, "x", "%00", "é"):
        client = house.client()
        client.set_cookie("so_session", planted)

        assert client.get("/read").cookies == {"so_session": ""}

        client.set_cookie("so_session", planted)
        assert client.get("/count").cookies["so_session"] not in ("", planted)


def test_two_cookies_of_one_name_are_both_disbelieved(house: House):
    count_page(house)
    client = house.client()
    client.get("/count")
    own = client.cookies["so_session"]

    planted = {"HTTP_COOKIE": f"so_session={'B' * 43}; so_session={own}"}
    result = house.client().get("/read", environ=planted)

    assert result.json("n") == 0
    twice = {"HTTP_COOKIE": f"so_session={own}; other=1; so_session={own}"}
    assert house.client().get("/read", environ=twice).json("n") == 1


def test_over_https_a_cookie_without_the_prefix_is_not_read(house: House):
    count_page(house)
    plain = house.client()
    plain.get("/count")
    cookie = plain.cookies["so_session"]

    tossed = house.client(base_url="https://erp.example")

    assert tossed.get("/read", cookies={"so_session": cookie}).json("n") == 0


def test_a_forty_kilobyte_cookie_header_does_no_harm(house: House):
    count_page(house)

    result = house.client().get("/read", headers={"Cookie": "so_session=" + "A" * 40_000})

    assert result.status == 200


def test_what_a_session_saw_is_kept_by_no_cache(house: House):
    count_page(house)
    client = house.client()
    client.get("/count")

    result = client.get("/read")

    assert result.headers.get("Cache-Control") == "no-store, private"
    assert result.headers.get("Vary") == "Cookie"


@pytest.mark.parametrize(
    ("vary", "expected"),
    [("Accept", "Accept, Cookie"), ("cookie, Accept", "cookie, Accept"), ("*", "*")],
)
def test_what_the_action_said_about_caching_stays(house: House, vary: str, expected: str):
    headers = {"Cache-Control": "private, max-age=5", "Vary": vary}
    house.page("/own", lambda: session().put("a", 1) or Response("x", 200, headers))

    result = house.client().get("/own")

    assert result.headers.get("Cache-Control") == "private, max-age=5"
    assert result.headers.get("Vary") == expected


def test_flash_and_old_input_reach_the_page_after_the_redirect(house: House):
    house.page("/save", lambda: redirect("/form").with_("status", "Saved").with_input({"a": "1"}))
    house.page("/form", lambda: {"status": session().get("status"), "a": request().old("a")})
    client = house.client(follow_redirects=True)

    assert client.get("/save").json() == {"status": "Saved", "a": "1"}
    assert client.get("/form").json() == {"status": None, "a": None}


def test_the_last_page_is_noted_when_the_session_is_written_anyway(house: House):
    house.page("/page", lambda: session().put("a", 1) or "<p>page</p>")
    house.page("/data", lambda: session().put("b", 1) or {"json": True})
    house.page("/back", lambda: request().previous_url("/fallback"))
    client = house.client()
    client.get("/page")
    client.get("/data")

    assert client.get("/back").text == "http://localhost/page"


def test_what_was_put_before_an_error_is_saved(house: House):
    def fails() -> None:
        session().put("seen", True)
        raise RuntimeError("broken")

    house.page("/fails", fails)
    house.page("/seen", lambda: {"seen": session().get("seen")})
    client = house.client()

    assert client.get("/fails").status == 500
    assert client.get("/seen").json("seen") is True


def test_a_value_that_cannot_be_stored_is_an_error_and_the_session_lives_on(house: House):
    count_page(house)
    house.page("/bad", lambda: session().put("x", object()))
    client = house.client()
    client.get("/count")

    assert client.get("/bad").status == 500
    assert client.get("/count").json("n") == 2


def test_the_middleware_is_harmless_twice_and_outside_of_a_scope(house: House):
    count_page(house)
    house.page("/twice", lambda: {"n": session().increment("n")}, "session", "web")
    assert house.client().get("/twice").json("n") == 1

    from so.edge.session import StartSession, auth_here

    lone = StartSession(house.sessions, house.authentication, CookieSettings())
    assert lone.handle(request_by_hand(), lambda _: Response("x")).body == b"x"
    assert auth_here(house.authentication).guest()
    with entered(Scope("command")):
        assert auth_here(house.authentication) is auth_here(house.authentication)


def request_by_hand() -> Any:
    from so.http.request import Request

    return Request.create("/")


def test_one_thread_serving_two_people_in_turn_mixes_nothing_up(house: House):
    def page() -> Any:
        if request().boolean("fail"):
            raise RuntimeError("broken")
        name = request().input("name")
        known = session().get("name")
        session().put("name", name)
        session().now("only", name)
        return {"known": known, "token": session().token()}

    house.page("/page", page)
    people = {name: house.client() for name in ("ada", "bob")}
    tokens: dict[str, set[str]] = {"ada": set(), "bob": set()}
    for turn in range(50):
        for name, client in people.items():
            if turn % 7 == 3:
                client.get("/page", {"fail": 1, "name": name})
            answer = client.get("/page", {"name": name}).json()
            assert answer["known"] in (None, name)
            tokens[name].add(answer["token"])

    assert len(tokens["ada"]) == len(tokens["bob"]) == 1
    assert tokens["ada"] != tokens["bob"]


# --- in the database ---


def test_26_parallel_requests_over_http_lose_nothing(company: House):
    def put() -> Any:
        together.wait(60)
        session().put(request().input("letter"), 1)
        return {"n": session().increment("n")}

    together = threading.Barrier(26)
    company.page("/put", put)
    company.page("/all", lambda: session().all())
    company.page("/start", lambda: session().put("n", 0) or "ok")
    client = company.client()
    client.get("/start")
    cookies = {"so_session": client.cookies["so_session"]}
    letters = "abcdefghijklm" + "opqrstuvwxyz" + "ä"

    with ThreadPoolExecutor(26) as pool:
        found = list(
            pool.map(
                lambda letter: company.client().get("/put", {"letter": letter}, cookies=cookies),
                letters,
            )
        )

    assert {result.status for result in found} == {200}
    assert client.get("/all").json() == {"n": 26, **dict.fromkeys(letters, 1)}


def test_an_action_in_a_transaction_does_not_wait_for_its_own_session(
    company: House, members: Database
):
    def work() -> Any:
        with members.transaction():
            members.table("members").update({"admin": 1})
            session().increment("n")
        return "done"

    company.page("/work", work)

    assert company.client().get("/work").text == "done"
    assert members.table("sessions").count() == 1


def test_a_session_deleted_while_its_request_runs_is_over(company: House, members: Database):
    def work() -> Any:
        auth().user()
        session().put("x", 1)
        members.table("sessions").where("user_id", 1).delete()
        return "done"

    company.page("/work", work)
    client = company.client()
    log_in(client)

    result = client.get("/work")

    assert result.cookies["so_session"] == ""
    assert members.table("sessions").count() == 0


def test_the_table_knows_who_from_where(company: House, members: Database):
    client = company.client(headers={"User-Agent": "Mozilla/5.0 \xff"})
    log_in(client)

    row = members.table("sessions").first()

    assert row is not None
    assert row["id"] == id_of(client.cookies["so_session"])
    assert str(row["user_id"]) == "1"
    assert row["ip_address"] == "127.0.0.1"
    assert row["user_agent"].startswith("Mozilla/5.0")


def test_behind_a_proxy_the_address_is_the_one_it_saw(members: Database, clock: Clock):
    from tests.edge.conftest import with_pages

    house = with_pages(House(members, clock, proxies=("127.0.0.1",)))
    client = house.client(headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.9"})
    log_in(client)

    assert members.table("sessions").value("ip_address") == "203.0.113.9"
