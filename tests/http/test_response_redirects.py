"""Redirects, what they leave in the session, and the short words for controllers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from so.errors import HttpException, OffsiteRedirectError, ValidationException
from so.http import helpers
from so.http.helpers import abort, abort_if, abort_unless, back, redirect, response
from so.http.request import Request
from so.http.response import JsonResponse, RedirectResponse, Response
from so.http.router import Router
from so.http.uploads import UploadedFile
from so.support.scope import Scope, entered
from tests.http.wsgi import Client


class FakeSession(dict[str, Any]):
    def flash(self, key: str, value: Any) -> None:
        self[key] = value

    def pull(self, key: str, default: Any = None) -> Any:
        return self.pop(key, default)

    def old(self, key: str | None = None, default: Any = None) -> Any:
        values = self.get("_old_input", {})
        return values if key is None else values.get(key, default)

    def token(self) -> str:
        return 'tok"en'


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def scope(session: FakeSession) -> Iterator[Scope]:
    made = Scope()
    made.request = Request.create(
        "http://shop.example/form?q=1",
        "POST",
        data={"name": "ann", "password": "x", "lines": [{"sku": "A", "card_number": "1"}]},
        files={"f": b"x"},
        headers={"Referer": "http://shop.example/before"},
    )
    made.session = session
    with entered(made):
        yield made


# --- where to -------------------------------------------------------------------------------------


def test_a_redirect_says_where_to() -> None:
    answer = RedirectResponse("/a?b=c#d", 303)

    assert (answer.status, answer.target, answer.headers["Location"]) == (
        303,
        "/a?b=c#d",
        "/a?b=c#d",
    )
    assert b'href="/a?b=c#d"' in answer.body
    assert RedirectResponse("/é x%20").target == "/%C3%A9%20x%20"
    assert b"&lt;" not in RedirectResponse("/<b>").body
    with pytest.raises(ValueError, match="needs a target"):
        RedirectResponse("")


@pytest.mark.parametrize("target", ["/a\r\nSet-Cookie: x=1", "/a\nb", "/a\x00"])
def test_a_target_cannot_split_the_header(target: str) -> None:
    for make in (RedirectResponse, redirect, redirect().away, redirect().to):
        with pytest.raises(ValueError, match="control character"):
            make(target)


def test_a_fragment_is_added_or_replaced() -> None:
    assert RedirectResponse("/a").with_fragment("b").target == "/a#b"
    assert RedirectResponse("/a").with_fragment("b\r\nc d").target == "/a#b%0D%0Ac%20d"
    assert RedirectResponse("/a#b").with_fragment("#c").headers["Location"] == "/a#c"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/a", "/a"),
        ("/a?next=http://evil.example", "/a?next=http://evil.example"),
        ("dashboard", "/dashboard"),
        ("#top", "#top"),
        ("?page=2", "?page=2"),
        ("http://shop.example/a", "http://shop.example/a"),
        ("https://shop.example/a", "https://shop.example/a"),
    ],
)
def test_a_page_of_this_site_is_a_target(scope: Scope, url: str, target: str) -> None:
    assert redirect(url).target == target
    assert redirect().to(url, 301).status == 301


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/",
        "https://shop.example.evil.example/",
        "http://shop.example@evil.example/",
        "http://shop.example:81/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        " //evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "HTTP://EVIL.EXAMPLE",
        "http://[::1",
    ],
)
def test_another_site_is_reached_by_away_alone(scope: Scope, url: str) -> None:
    with pytest.raises(OffsiteRedirectError):
        redirect(url)
    if not url.startswith((" ", "\\")):
        assert redirect().away(url).status == 302


def test_an_open_redirect_is_the_clients_fault() -> None:
    router = Router()
    router.get("/go", lambda request: redirect(request.input("next")))
    client = Client(router)

    assert client.get("/go?next=/home").header("Location") == "/home"
    assert client.get("/go?next=//evil.example").status == 400
    assert client.get("/go?next=/%09/evil.example").status == 400
    assert client.get("/go?next=/a%0d%0aSet-Cookie:x=1").status == 400


def test_the_configured_site_is_ours_too() -> None:
    router = Router(root="https://erp.example")
    router.get("/go", lambda: redirect("https://erp.example/a"))

    assert Client(router).get("/go").header("Location") == "https://erp.example/a"


@pytest.mark.parametrize(
    "to", ["https:evil.example", "http:/evil.example", "https:///evil.example"]
)
def test_attack_open_redirect_a_site_without_scheme_makes_no_other_ours(to: str) -> None:
    router = Router(root="erp.example")  # a mistake often made in APP_URL
    router.get("/go", lambda: redirect(to))

    assert Client(router).get("/go").status == 400


def test_a_mounted_application_redirects_within_its_mount() -> None:
    router = Router()
    router.get("/go", lambda: redirect("/a"))
    router.get("/stay", lambda: redirect("/erp/b"))
    client = Client(router)

    assert client.get("/go", environ={"SCRIPT_NAME": "/erp"}).header("Location") == "/erp/a"
    assert client.get("/stay", environ={"SCRIPT_NAME": "/erp"}).header("Location") == "/erp/b"


def test_without_a_request_any_url_is_the_programmers() -> None:
    assert redirect("https://other.example/x").target == "https://other.example/x"
    assert back("/home").target == "/home"
    assert redirect().refresh().target == "/"
    assert redirect().intended("/home").target == "/home"
    with pytest.raises(RuntimeError, match="no application is running|router"):
        redirect().route("x")


def test_back_goes_where_the_user_came_from_if_that_is_ours(scope: Scope) -> None:
    assert back().target == redirect().back().target == "http://shop.example/before"
    scope.request.environ["HTTP_REFERER"] = "http://evil.example/"
    assert back("/home").target == "/home"


def test_refresh_comes_back_to_this_page(scope: Scope) -> None:
    assert redirect().refresh().target == "http://shop.example/form?q=1"


def test_a_named_route_is_a_target() -> None:
    router = Router()
    router.get("/users/{id}", lambda: "").name("users.show")
    router.get("/go", lambda: redirect(status=303).route("users.show", 5, tab="x"))

    answer = Client(router).get("/go")

    assert (answer.status, answer.header("Location")) == (303, "http://localhost/users/5?tab=x")


def test_intended_goes_where_the_login_interrupted_once(scope: Scope, session: FakeSession) -> None:
    session["url.intended"] = "http://shop.example/orders"

    assert redirect().intended("/home").target == "http://shop.example/orders"
    assert redirect().intended("/home").target == "/home"
    session["url.intended"] = "http://evil.example/"
    assert redirect().intended("/home").target == "/home"


# --- what is left in the session ------------------------------------------------------------------


def test_values_and_errors_are_flashed(scope: Scope, session: FakeSession) -> None:
    answer = (
        back()
        .with_("status", "saved")
        .with_({"a": 1, "b": 2})
        .with_errors({"name": "bad", "age": ["low", "odd"]})
        .with_errors(["whole form"], "login")
        .with_cookie("seen", "1", 5)
    )

    assert (session["status"], session["a"], session["b"]) == ("saved", 1, 2)
    assert session["errors"] == {
        "default": {"name": ["bad"], "age": ["low", "odd"]},
        "login": {"": ["whole form"]},
    }
    assert "seen=1" in answer.headers["Set-Cookie"]
    back().with_errors(ValidationException({"x": "y"}))
    assert session["errors"]["default"] == {"x": ["y"]}
    back().with_errors("one text")
    assert session["errors"]["default"] == {"": ["one text"]}


def test_input_is_flashed_without_passwords_and_files(scope: Scope, session: FakeSession) -> None:
    back().with_input()

    assert session["_old_input"] == {"q": "1", "name": "ann", "lines": [{"sku": "A"}]}
    assert helpers.old("name") == "ann"
    back().only_input("name", "password", "none")
    assert session["_old_input"] == {"name": "ann"}
    back().except_input("name", "q")
    assert session["_old_input"] == {"lines": [{"sku": "A"}]}
    back().with_input(
        {
            "a": 1,
            "new_password": "x",
            "PASSWORD_confirmation": "y",
            "passwd": "z",
            "client_secret": "s",
            "_token": "t",
            "file": UploadedFile.fake("x"),
            "files": [UploadedFile.fake("x"), 2],
        }
    )
    assert session["_old_input"] == {"a": 1, "files": [2]}


def test_without_a_session_nothing_is_kept_and_nothing_breaks() -> None:
    answer = RedirectResponse("/a").with_("a", 1).with_input().with_errors({"a": "b"})

    assert answer.target == "/a"
    assert helpers.old("a", "d") == "d"


# --- short words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        (404, "NotFoundException", "Not Found"),
        (403, "AuthorizationException", "This action is unauthorized."),
        (401, "AuthenticationException", "Unauthenticated."),
        (400, "BadRequestException", "Bad Request"),
        (419, "TokenMismatchException", "CSRF token mismatch."),
        (429, "TooManyRequestsException", "Too Many Attempts."),
        (503, "ServiceUnavailableException", "Service Unavailable"),
        (418, "HttpException", "I'm a Teapot"),
        (599, "HttpException", ""),
    ],
)
def test_abort_ends_the_request_with_a_status(code: int, name: str, words: str) -> None:
    with pytest.raises(HttpException) as caught:
        abort(code)

    assert (caught.value.status, type(caught.value).__name__) == (code, name)
    assert caught.value.message == words


@pytest.mark.parametrize("code", ["404", 40, 1000, None])
def test_abort_refuses_what_is_no_status(code: Any) -> None:
    with pytest.raises(ValueError, match=r"abort\(.*give a status of HTTP"):
        helpers.abort(code)


def test_a_method_that_no_form_can_mean_is_refused() -> None:
    with pytest.raises(ValueError, match=r"method_field\('ptu'\)"):
        helpers.method_field("ptu")


def test_abort_takes_words_and_headers() -> None:
    with pytest.raises(HttpException) as caught:
        abort(503, "back soon", {"Retry-After": "60"})

    assert (caught.value.message, caught.value.headers) == ("back soon", {"Retry-After": "60"})


def test_abort_if_and_unless_ask_first() -> None:
    abort_if(False, 404)
    abort_unless(True, 404)
    with pytest.raises(HttpException):
        abort_if([1], 404)
    with pytest.raises(HttpException):
        abort_unless(None, 404)


def test_response_makes_what_fits() -> None:
    assert isinstance(response({"a": 1}, 201), JsonResponse)
    assert isinstance(response([1]), JsonResponse)
    assert response("x", 202, {"X-A": "b"}).headers["X-A"] == "b"
    assert isinstance(helpers.json({"a": 1}, 201), JsonResponse)
    assert isinstance(response(), Response)


def test_fields_for_forms_are_markup(scope: Scope) -> None:
    assert helpers.method_field("put") == '<input type="hidden" name="_method" value="PUT">'
    assert helpers.csrf_field() == '<input type="hidden" name="_token" value="tok&quot;en">'
    assert helpers.csrf_token() == 'tok"en'
    assert helpers.e("<b>") == "&lt;b&gt;"


def test_the_request_under_way_is_at_hand(scope: Scope) -> None:
    assert helpers.request() is scope.request


def test_outside_a_request_there_is_none() -> None:
    with pytest.raises(RuntimeError, match="there is no request here"):
        helpers.request()


@pytest.mark.parametrize("status", [200, 204, 300, 304, 305, 404])
def test_a_status_that_sends_nobody_anywhere_is_refused(status) -> None:
    with pytest.raises(ValueError, match="is no redirect"):
        RedirectResponse("/a", status)
