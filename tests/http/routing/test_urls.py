"""URLs to routes, and URLs that cannot be altered."""

from __future__ import annotations

import enum
from datetime import date, timedelta
from typing import Any

import pytest

from so import route, url
from so.errors import RouteNotFoundError, SixOrbitError, UrlGenerationError
from so.http.request import Request
from so.http.router import Router
from so.http.settings import HttpSettings
from so.support.clock import Clock
from so.support.current import replaced
from so.support.signing import Signer
from tests.http.wsgi import Client, send


def action() -> str:
    return ""


@pytest.fixture
def router(clock: Clock) -> Router:
    router = Router(root="https://erp.example/", signer=Signer("k" * 32), clock=clock)
    router.get("/", action).name("home")
    router.get("/users/{id}", action).name("users.show")
    router.get("/files/{name}.{ext}", action).name("files")
    router.get("/cal/{year}/{month?}", action).name("cal")
    router.get("/posts/{post:slug}", action).name("posts.show")
    router.get("/l/{lang}/home", action).name("lang").defaults("lang", "en")
    return router


class Model:
    slug = "first-post"

    def get_route_key(self) -> int:
        return 42


class Color(enum.Enum):
    RED = "red"


def test_a_named_route_is_written_with_its_values(router: Router) -> None:
    assert router.route("home") == "https://erp.example"
    assert router.route("users.show", 5) == "https://erp.example/users/5"
    assert router.route("users.show", [5]) == "https://erp.example/users/5"
    assert router.route("users.show", {"id": 5}) == "https://erp.example/users/5"
    assert router.url("users.show", id=5) == "https://erp.example/users/5"
    assert router.route("users.show", 5, absolute=False) == "/users/5"
    assert router.route("home", absolute=False) == "/"


def test_what_the_template_does_not_hold_becomes_the_query(router: Router) -> None:
    assert (
        router.route("users.show", {"id": 5, "tab": "a b", "none": None, "on": True}, False)
        == "/users/5?tab=a%20b&on=1"
    )
    assert (
        router.route("home", {"f": {"a": [1, 2]}}, False) == "/?f%5Ba%5D%5B0%5D=1&f%5Ba%5D%5B1%5D=2"
    )


def test_values_are_encoded_but_stay_readable(router: Router) -> None:
    written = router.route("users.show", "a/b@c:d é?#%", False)

    assert written == "/users/a/b@c:d%20%C3%A9%3F%23%25"


def test_optional_and_default_parameters_may_be_left_out(router: Router) -> None:
    assert router.route("cal", 2026, False) == "/cal/2026"
    assert router.route("cal", [2026, 7], False) == "/cal/2026/7"
    assert router.route("lang", absolute=False) == "/l/en/home"
    assert router.route("lang", "de", False) == "/l/de/home"
    assert router.route("files", {"name": "a", "ext": "pdf"}, False) == "/files/a.pdf"


def test_models_enums_and_dates_stand_for_themselves(router: Router) -> None:
    assert router.route("users.show", Model(), False) == "/users/42"
    assert router.route("posts.show", Model(), False) == "/posts/first-post"
    assert router.route("posts.show", "plain", False) == "/posts/plain"
    assert router.route("users.show", Color.RED, False) == "/users/red"
    assert router.route("users.show", date(2026, 1, 2), False) == "/users/2026-01-02"


def test_a_missing_parameter_is_named(router: Router) -> None:
    with pytest.raises(UrlGenerationError) as caught:
        router.route("users.show")

    assert str(caught.value) == (
        "Missing required parameter for [Route: users.show] [URI: users/{id}] "
        "[Missing parameter: id]."
    )
    with pytest.raises(UrlGenerationError):
        router.route("users.show", "")
    with pytest.raises(UrlGenerationError, match="takes 1 value"):
        router.route("users.show", [1, 2])


def test_an_unknown_route_is_named(router: Router) -> None:
    with pytest.raises(RouteNotFoundError, match=r"^Route \[nope\] not defined\.$"):
        router.route("nope")


def test_paths_become_urls(router: Router) -> None:
    urls = router.urls

    assert urls.to() == "https://erp.example"
    assert urls.to("/a b") == "https://erp.example/a%20b"
    assert urls.to("users", [1, "x/y"]) == "https://erp.example/users/1/x/y"
    assert urls.to("users", 7) == "https://erp.example/users/7"
    assert urls.to("users?a=1#top", {"b": 2}) == "https://erp.example/users?a=1&b=2#top"
    assert urls.to("https://other.example/x") == "https://other.example/x"
    assert urls.to("mailto:a@b.c") == "mailto:a@b.c"


def test_without_a_root_urls_take_the_address_of_the_request() -> None:
    router = Router()
    router.get("/x", lambda: [route("x"), url("/y"), url("z", [1])]).name("x")

    with replaced("router", router):
        answer = Client(router).get("http://shop.example:8080/x")

    assert answer.json() == [
        "http://shop.example:8080/x",
        "http://shop.example:8080/y",
        "http://shop.example:8080/z/1",
    ]
    assert router.route("x") == "http://localhost/x"


def test_a_trusted_proxy_knows_the_address_better_than_the_configuration() -> None:
    router = Router(root=lambda: "http://inside")
    router.get("/x", lambda: [route("x")]).name("x")
    headers = {"X-Forwarded-Host": "erp.example", "X-Forwarded-Proto": "https"}

    trusting = Client(router, settings=HttpSettings(trusted_proxies=("127.0.0.1",)))
    with replaced("router", router):
        assert trusting.get("/x", headers=headers).json() == ["https://erp.example/x"]
        assert trusting.get("/x").json() == ["http://inside/x"]
        assert Client(router).get("/x", headers=headers).json() == ["http://inside/x"]


# --- signed ---------------------------------------------------------------------------------------


def is_valid(router: Router, target: str) -> bool:
    router.get("/check/{any}", lambda request: [request.has_valid_signature()]).where("any", ".*")
    request = Request.create(target)
    Client(router)
    request.settings = Client(router).kernel.settings
    return request.has_valid_signature()


def test_a_signed_url_is_valid_as_it_is(router: Router) -> None:
    signed = router.signed_route("users.show", {"id": 5, "tab": "a b", "q": "é"})

    assert signed.startswith("https://erp.example/users/5?tab=a%20b&q=%C3%A9&signature=")
    assert is_valid(router, signed)
    assert is_valid(router, router.signed_route("users.show", "é @/x", absolute=False))
    assert is_valid(router, router.signed_route("home"))


def test_the_order_of_the_query_and_the_host_do_not_matter(router: Router) -> None:
    signed = router.signed_route("users.show", {"id": 5, "a": 1, "b": 2}, absolute=False)
    path, _, query = signed.partition("?")
    turned = "&".join(reversed(query.split("&")))

    assert is_valid(router, f"http://10.0.0.7{path}?{turned}")


@pytest.mark.parametrize(
    "alter",
    [
        lambda url: url.replace("/users/5", "/users/6"),
        lambda url: url.replace("a=1", "a=2"),
        lambda url: url + "&b=2",
        lambda url: url.replace("&a=1", "").replace("?a=1&", "?"),
        lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
        lambda url: url.partition("signature=")[0].rstrip("&?"),
        lambda url: url + "&" + url.partition("?")[2].rpartition("&")[2],
        lambda url: url.replace("signature=", "signature=%E9"),
        lambda url: url.replace("/users/5?a=1", "/users/5%3Fa=1?"),
    ],
)
def test_an_altered_url_is_not_valid(router: Router, alter: Any) -> None:
    signed = router.signed_route("users.show", {"id": 5, "a": 1}, absolute=False)
    altered = alter(signed)

    assert altered != signed
    assert not is_valid(router, altered)


@pytest.mark.parametrize("expires", [60, timedelta(minutes=1)])
def test_a_temporary_url_ends(router: Router, clock: Clock, expires: Any) -> None:
    signed = router.temporary_signed_route("users.show", expires, {"id": 5}, absolute=False)
    by_time = router.temporary_signed_route(
        "users.show", clock.now() + timedelta(seconds=60), id=5, absolute=False
    )

    clock.travel(59)
    assert is_valid(router, signed)
    assert is_valid(router, by_time)
    clock.travel(2)
    assert not is_valid(router, signed)
    assert not is_valid(router, by_time)


def test_the_end_of_a_temporary_url_cannot_be_moved(router: Router, clock: Clock) -> None:
    signed = router.temporary_signed_route("users.show", 60, {"id": 5}, absolute=False)
    now = str(int(clock.time()) + 60)
    clock.travel(100)

    assert not is_valid(router, signed.replace(now, str(int(now) + 1000)))
    assert not is_valid(router, signed.replace(f"expires={now}&", ""))


def test_names_of_the_signature_are_reserved(router: Router) -> None:
    with pytest.raises(UrlGenerationError, match="'expires'"):
        router.signed_route("users.show", {"id": 1, "expires": 5})


def test_signing_needs_a_key() -> None:
    router = Router()
    router.get("/", action).name("home")

    with pytest.raises(SixOrbitError, match="APP_KEY"):
        router.signed_route("home")


def test_a_signature_is_checked_through_the_kernel(router: Router) -> None:
    router.get("/secret", lambda request: [request.has_valid_signature()]).name("secret")
    client = Client(router)

    assert client.get(router.signed_route("secret", absolute=False)).json() == [True]
    assert client.get("/secret").json() == [False]
    with pytest.raises(RuntimeError, match="only in an application"):
        Request.create("/secret").has_valid_signature()


def test_the_current_route_is_the_requests_own() -> None:
    router = Router()

    def look(request: Request) -> list[Any]:
        current = router.current()
        assert current is request.route()
        return [current.uri if current else None, router.is_("a.*"), request.route_is("b.*", "a.x")]

    router.get("/a/{id}", look).name("a.x")
    client = Client(router)

    assert router.current() is None
    assert not router.is_("a.*")
    assert client.get("/a/1").json() == ["a/{id}", True, True]
    assert router.current() is None
    assert send(client.kernel, Request.create("/a/1").environ).status == 200
