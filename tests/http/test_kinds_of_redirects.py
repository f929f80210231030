"""Where a browser ends up: every way to redirect, with targets from users, paths and sessions.

`site_of` reads a Location as the URL parser of browsers does (WHATWG), not as ours does.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from so import Application, Response, back, redirect
from so.errors import AuthenticationException, ValidationException
from so.http.helpers import INTENDED
from so.http.request import Request
from so.http.response import RedirectResponse
from so.http.router import Router
from so.support.scope import current_scope
from so.testing import Client as ApplicationClient
from tests.http.wsgi import Client

OURS = "localhost"

HOSTILE = [
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\/evil.example",
    "\\\\evil.example", "\\evil.example\\..\\x//", " //evil.example", "\t//evil.example",
    "/\t/evil.example", "/\n/evil.example", "\x00//evil.example", "\x1f//evil.example",
    "\x7f//evil.example", "/\r/evil.example", "//evil.example/%2e%2e", "//localhost@evil.example",
    "http://evil.example", "HTTP://EVIL.EXAMPLE", "https:evil.example", "http:/evil.example",
    "http:///evil.example", "http:\\\\evil.example", "http:\\/evil.example", "ht\ttp://evil.example",
    "http://localhost@evil.example", "http://localhost:80@evil.example",
    "http://localhost\\@evil.example", "http://localhost%5C@evil.example",
    "http://localhost%2f@evil.example", "http://localhost%23@evil.example",
    "http://localhost?@evil.example", "http://localhost#@evil.example",
    "http://evil.example\\@localhost", "http://evil.example#@localhost",
    "http://localhost.evil.example", "http://localhost\t.evil.example",
    "http://localhost。evil.example", "http://evil。example", "http://localhost%00.evil.example",
    "http://localhost%E3%80%82evil.example", "http://localhost:pw@evil.example:80",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", " javascript:alert(1)",
    "javascript://localhost/%0aalert(1)", "data:text/html,x", "vbscript:x", "mailto:a@b.example",
    "ftp://localhost/", "ws://localhost/", "file:///etc/passwd", "blob:http://localhost/x",
    "http://[::1", "http://[::1]/", "http://localhost:81/", "https://localhost:80/", "http://",
    "http://%6cocalhost@evil.example", "//%6cocalhost", "http:", "http://:80", "/..//evil.example",
    ".//evil.example", "/.//evil.example", "/%2e//evil.example", "/%5Cevil.example",
    "/%2Fevil.example", "%2F%2Fevil.example", "/%09/evil.example", "\u3000//evil.example",
    "\u2028//evil.example", "\x85//evil.example", "/\ud800/evil", "/" + "a/" * 9000,
]  # fmt: skip

WAYS = ["redirect", "to", "back", "intended", "stored", "response", "referer", "session", "status"]


def site_of(location: str, base_scheme: str = "http") -> str:
    """The scheme and host that a browser on this site goes to: "" for this site, or the scheme."""
    url = re.sub(r"[\t\n\r]", "", location.strip("".join(map(chr, range(33)))))
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    scheme = found[1].lower() if found else base_scheme
    rest = url[found.end() :] if found else url
    if scheme not in ("http", "https"):
        return f"{scheme}:"
    slashes = re.match(r"[/\\]*", rest)
    assert slashes is not None
    if (not found or scheme == base_scheme) and len(slashes[0]) < 2:
        return ""
    authority = re.split(r"[/\\?#]", rest[slashes.end() :])[0]
    host = authority.rpartition("@")[2].lower()
    return "" if host in (OURS, f"{OURS}:80") and scheme == "http" or host == OURS else host


def answer(way: str, target: str) -> Any:
    router = Router()
    session = _Session()

    def go() -> Any:
        ways = {
            "redirect": lambda: redirect(target),
            "to": lambda: redirect().to(target),
            "back": lambda: back(target),
            "intended": lambda: redirect().intended(target),
            "stored": lambda: redirect().intended("/home"),
            "response": lambda: Response.redirect(target),
            "referer": lambda: back(),
            "session": lambda: redirect(status=303).back(),
            "status": lambda: redirect(target, 307),
        }
        scope = current_scope()
        assert scope is not None
        scope.session = session
        session[INTENDED] = target if way == "stored" else None
        session.before = target if way == "session" else None
        return ways[way]()

    router.get("/go", go)
    environ = {"HTTP_REFERER": target.encode("utf-8", "replace").decode("latin-1")}
    return Client(router).get("/go", environ=environ if way == "referer" else {})


class _Session(dict[str, Any]):
    before: str | None = None

    def pull(self, key: str, default: Any = None) -> Any:
        return self.pop(key, default)

    def previous_url(self) -> str | None:
        return self.before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", HOSTILE, ids=lambda target: repr(target)[:40])
def test_no_target_leads_a_browser_off_this_site(way: str, target: str) -> None:
    got = answer(way, target)

    assert got.status == 400 or site_of(got.header("Location")) == "", got.header("Location")
    assert got.status < 500


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/a?b=http://evil.example#c", "/a?b=http://evil.example#c"),
        ("/a b/ü?q=ö", "/a%20b/%C3%BC?q=%C3%B6"),
        ("/find?path=C:\\x\\y", "/find?path=C:%5Cx%5Cy"),
        ("orders", "/orders"),
        ("?page=2", "?page=2"),
        ("#//x", "#//x"),
        ("http://LOCALHOST/a", "http://LOCALHOST/a"),
        ("http://localhost:80/a", "http://localhost:80/a"),
        ("https://localhost:443/a", "https://localhost:443/a"),
        ("http://localhost", "http://localhost"),
        ("/@me", "/@me"),
        ("", "/"),
    ],
)
@pytest.mark.parametrize("way", ["redirect", "to", "back", "intended", "stored", "response"])
def test_a_page_of_this_site_is_reached_by_every_way(way: str, target: str, location: str) -> None:
    if way == "stored" and not target:
        location = "/home"

    assert answer(way, target).header("Location") == location


def test_a_list_from_a_form_is_no_target() -> None:
    router = Router()
    router.get("/go", lambda request: redirect(request.query("next")))

    assert Client(router).get("/go?next[]=/a").status == 400


def test_away_is_the_way_out() -> None:
    assert redirect().away("https://münchen.example:8443/ü").target == (
        "https://xn--mnchen-3ya.example:8443/%C3%BC"
    )
    assert redirect().away("mailto:a@b.example").target == "mailto:a@b.example"


def test_the_configured_site_may_have_a_name_beyond_ascii() -> None:
    router = Router(root="https://münchen.example/erp")
    router.get("/go", lambda request: redirect(request.query("next")))

    for name in ("münchen.example", "xn--mnchen-3ya.example", "MÜNCHEN.example:443"):
        got = Client(router).get(f"/go?next=https://{name}/erp/a")
        assert got.header("Location").endswith("/erp/a")


@pytest.mark.parametrize(
    ("template", "path", "location"),
    [
        ("/{x}", "ok/x", "/ok/x"),
        ("/{x}", "%2Fevil.example", None),
        ("/{x}", "%5C%5Cevil.example", "/%5C%5Cevil.example"),
        ("/{x}", "http:%2F%2Fevil.example", "/http://evil.example"),
        ("{x}", "javascript:alert(1)", None),
        ("{x}", "http:%2F%2Fevil.example", None),
        ("{x}", "ok", "/ok"),
        ("https://new.example/{x}", "a/b", "https://new.example/a/b"),
        ("https://new.example/?q={x}", "a", "https://new.example/?q=a"),
        ("https://new.example{x}", ".evil.example", None),
        ("https://new.example{x}", "@evil.example", None),
        ("https://new.example{x}", ":80@evil.example", None),
        ("https://{x}.example/", "evil", None),
        ("//{x}", "evil.example", None),
        ("//new.example/{x}", "a", "//new.example/a"),
        ("/{x}/{y?}", "a", "/a"),
    ],
)
def test_values_of_the_path_lead_to_no_other_site(
    template: str, path: str, location: str | None
) -> None:
    router = Router()
    router.redirect("/go/{x}", template).where("x", ".*")

    got = Client(router).get(f"/go/{path}")

    assert (got.status, got.header("Location")) == (302 if location else 400, location)


def test_an_absent_value_leaves_no_second_slash() -> None:
    router = Router()
    router.permanent_redirect("/old/{lang?}", "/{lang?}/new")
    router.redirect("/shop/{post:slug}", "/posts/{post:slug}")

    assert Client(router).get("/old").header("Location") == "/new"
    assert Client(router).get("/old/de").header("Location") == "/de/new"
    assert Client(router).get("/shop/x").header("Location") == "/posts/x"


def test_a_value_with_a_slash_in_front_makes_no_host_of_a_link() -> None:
    router = Router()
    router.get("/{path}", lambda: "").where("path", ".*").name("files")

    assert router.route("files", "/evil.example", absolute=False) == "/%2Fevil.example"


# --- below a prefix -------------------------------------------------------------------------------

MOUNTED = {"SCRIPT_NAME": "/erp"}


@pytest.fixture
def mounted() -> Router:
    router = Router()
    router.get("/orders/{id}", lambda: "").name("orders.show")
    router.redirect("/old/{id}", "/orders/{id}")
    router.get("/to", lambda request: redirect(request.query("next")))
    router.get("/route", lambda: redirect().route("orders.show", 5))
    router.get("/relative", lambda: redirect(router.route("orders.show", 5, absolute=False)))
    router.get("/link", lambda: router.urls.to(router.route("orders.show", 5, absolute=False)))
    router.get("/back", lambda: back("/home"))
    router.get("/intended", lambda: redirect().intended("/home"))
    router.get("/refresh", lambda: redirect().refresh())
    router.post("/form", _refuse)
    router.get("/secret", _ask_to_log_in)
    router.get("/elsewhere", _ask_at_another_site)
    return router


def _refuse() -> None:
    raise ValidationException({"a": "bad"})


def _ask_to_log_in() -> None:
    raise AuthenticationException()


def _ask_at_another_site() -> None:
    raise AuthenticationException(redirect_to="https://sso.example/login")


@pytest.fixture
def application(tmp_path: Any, mounted: Router) -> Any:
    with Application(tmp_path, {"app": {"env": "testing", "key": "k" * 32}}) as app:
        app.instance("router", mounted)
        yield app


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/old/7", "/erp/orders/7"),
        ("/to?next=/a", "/erp/a"),
        ("/to?next=a", "/erp/a"),
        ("/to?next=/erp/a", "/erp/a"),
        ("/to?next=/erp", "/erp"),
        ("/to?next=/erpx", "/erp/erpx"),
        ("/to?next=/", "/erp/"),
        ("/to?next=/../admin", "/erp/admin"),
        ("/to?next=/erp/../admin", "/erp/admin"),
        ("/to?next=/erp/%252e%252E/admin", "/erp/admin"),
        ("/to?next=..", "/erp/"),
        ("/to?next=./a/../b/./c", "/erp/b/c"),
        ("/to?next=http://localhost/erp/a", "http://localhost/erp/a"),
        ("/route", "http://localhost/erp/orders/5"),
        ("/relative", "/erp/orders/5"),
        ("/back", "/erp/home"),
        ("/intended", "/erp/home"),
        ("/refresh", "http://localhost/erp/refresh"),
    ],
)
def test_every_redirect_stays_below_the_prefix(mounted: Router, path: str, location: str) -> None:
    assert Client(mounted).get(path, environ=MOUNTED).header("Location") == location


def test_pages_of_a_neighbour_on_the_same_host_are_not_where_one_came_from(mounted: Router) -> None:
    client = Client(mounted)

    def back_from(referer: str) -> str:
        return str(
            client.get("/back", environ={**MOUNTED, "HTTP_REFERER": referer}).header("Location")
        )

    assert back_from("http://localhost/erp/form?a=1") == "http://localhost/erp/form?a=1"
    assert back_from("http://localhost/other") == "/erp/home"
    assert back_from("http://localhost/erp/../other") == "/erp/home"


def test_the_login_and_the_refused_form_are_below_the_prefix(application: Application) -> None:
    client = ApplicationClient(application)

    def location(method: str, path: str) -> str:
        return str(client.request(method, path, environ=MOUNTED).headers.get("Location"))

    assert location("GET", "/secret") == "/erp/login"
    assert location("POST", "/form") == "/erp/"
    assert location("GET", "/elsewhere") == "https://sso.example/login"


def test_links_have_the_prefix_once(mounted: Router) -> None:
    assert Client(mounted).get("/link", environ=MOUNTED).text == "http://localhost/erp/orders/5"
    for root in ("https://erp.example", "https://erp.example/erp", "https://erp.example/erp/"):
        mounted.urls.root = root
        got = Client(mounted).get("/link", environ=MOUNTED)
        assert got.text == "https://erp.example/erp/orders/5"


def test_a_prefix_told_by_proxy_and_server_alike_counts_once() -> None:
    from so.http.settings import HttpSettings

    settings = HttpSettings(trusted_proxies=("127.0.0.1",))
    request = Request.create(
        "/a", headers={"X-Forwarded-Prefix": "/erp"}, environ={"SCRIPT_NAME": "/erp"}
    )
    request.settings = settings

    assert request.script_name() == "/erp"
    request.environ["SCRIPT_NAME"] = "/api"
    assert request.script_name() == "/erp/api"
    request.environ["REMOTE_ADDR"] = "9.9.9.9"
    assert request.script_name() == "/api"


def test_a_page_that_refuses_its_own_query_is_not_sent_back_to_itself(
    application: Application, mounted: Router
) -> None:
    mounted.get("/", _refuse)

    for environ in ({}, MOUNTED):
        got = ApplicationClient(application).get("/", environ=environ)
        assert got.status == 422


def test_a_response_made_by_hand_is_the_programmers() -> None:
    assert RedirectResponse("https://other.example/").target == "https://other.example/"
