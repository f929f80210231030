"""Where a request goes, where it comes from, what it wants back, and what belongs to it."""

from __future__ import annotations

from typing import Any

import pytest

from so.errors import BadRequestException, ConfigError
from so.http.request import Request
from so.http.router import Router
from so.http.settings import HttpSettings
from so.support.scope import Scope, entered
from tests.http.wsgi import Client


def made(uri: str = "/", method: str = "GET", **options: Any) -> Request:
    return Request.create(uri, method, **options)


def forwarded(
    proxies: tuple[str, ...] = ("10.0.0.0/8",), peer: str = "10.0.0.1", **headers: str
) -> Request:
    request = Request.create("http://inside:8000/a", environ={"REMOTE_ADDR": peer})
    for name, value in headers.items():
        request.environ[f"HTTP_X_FORWARDED_{name.upper()}"] = value
    request.settings = HttpSettings(trusted_proxies=proxies)
    return request


# --- addresses ------------------------------------------------------------------------------------


def test_the_parts_of_a_url() -> None:
    request = made("https://shop.example:8443/a%20b/caf%C3%A9/?q=1&r=x y")

    assert request.path() == "a%20b/caf%C3%A9"
    assert request.decoded_path == "a b/café"
    assert request.decoded_path() == "a b/café"
    assert request.uri() == "/a%20b/caf%C3%A9"
    assert request.segments() == ["a b", "café"]
    assert (request.segment(1), request.segment(3), request.segment(3, "x")) == ("a b", None, "x")
    assert request.url() == "https://shop.example:8443/a%20b/caf%C3%A9"
    assert request.full_url() == "https://shop.example:8443/a%20b/caf%C3%A9?q=1&r=x%20y"
    assert request.root() == "https://shop.example:8443"
    assert (request.scheme, request.host, request.port) == ("https", "shop.example", 8443)
    assert (request.scheme(), request.host(), request.port()) == ("https", "shop.example", 8443)
    assert request.http_host == "shop.example:8443"
    assert request.is_secure()


def test_the_root_of_a_site() -> None:
    request = made("/")

    assert (request.path(), request.uri(), request.segments()) == ("/", "/", [])
    assert (request.url(), request.full_url()) == ("http://localhost", "http://localhost")
    assert made("/?a=1").full_url() == "http://localhost/?a=1"
    assert not request.is_secure()
    assert repr(request) == "<Request GET />"


def test_a_query_is_added_to_and_taken_from_the_url() -> None:
    request = made("/a?page=1&sort=name&x[]=1")

    assert request.full_url_with_query({"page": 2}) == (
        "http://localhost/a?page=2&sort=name&x%5B0%5D=1"
    )
    assert request.full_url_with_query({"page": None, "x": None, "sort": None}) == (
        "http://localhost/a"
    )


def test_the_path_is_asked_by_pattern() -> None:
    request = made("/admin/caf%C3%A9/5")

    assert request.is_("admin/*")
    assert request.is_("/admin/café/5")
    assert request.is_("users/*", "*/5")
    assert not request.is_("admin")
    assert made("/").is_("/")


def test_a_mounted_application_knows_its_root() -> None:
    request = made("/a", environ={"SCRIPT_NAME": "/erp"})

    assert (request.root(), request.url(), request.script_name()) == (
        "http://localhost/erp",
        "http://localhost/erp/a",
        "/erp",
    )


@pytest.mark.parametrize("host", ["a b", "<x>", "a/b", "a@b", "", "a:b", "[::1"])
def test_a_host_that_is_none_is_replaced_by_the_servers_name(host: str) -> None:
    request = made("/", environ={"HTTP_HOST": host, "SERVER_NAME": "server", "SERVER_PORT": "81"})

    assert request.root() == "http://server:81"


@pytest.mark.parametrize("raw", ["/erp/a/b%2Fc", "/a/b%2Fc", "HTTP://shop.example/erp/a/b%2Fc"])
def test_an_encoded_slash_stays_in_its_segment_below_a_prefix_too(raw: str) -> None:
    """The server may see the prefix, or a proxy may have cut it off."""
    mounted = {"SCRIPT_NAME": "/erp", "PATH_INFO": "/a/b/c", "REQUEST_URI": raw}

    assert made("/", environ=mounted).segments() == ["a", "b/c"]


def test_a_host_may_end_in_a_colon_without_a_port() -> None:
    """RFC 3986, 3.2.3; the web server lets it in as well."""
    assert made("/", headers={"Host": "shop.example:"}).url() == "http://shop.example"


def test_an_ipv6_host_keeps_its_brackets() -> None:
    request = made("/", environ={"HTTP_HOST": "[::1]:8000"})

    assert (request.host, request.port, request.root()) == ("[::1]", 8000, "http://[::1]:8000")


def test_a_server_without_a_sound_name_is_localhost() -> None:
    request = made("/", environ={"HTTP_HOST": "", "SERVER_NAME": "<>", "SERVER_PORT": "x"})

    assert request.root() == "http://localhost"


def test_a_path_that_is_not_utf8_is_a_bad_request_when_it_matters() -> None:
    request = made("/%ff/x")

    with pytest.raises(BadRequestException):
        request.path_segments()
    assert request.segments() == ["\ufffd", "x"]
    assert request.path() == "%EF%BF%BD/x"


# --- proxies --------------------------------------------------------------------------------------


def test_nobody_is_believed_who_is_not_configured() -> None:
    request = forwarded(peer="8.8.8.8", For="1.2.3.4", Host="evil", Proto="https", Port="1")

    assert (request.ip(), request.ips()) == ("8.8.8.8", ["8.8.8.8"])
    assert request.root() == "http://inside:8000"
    assert not request.is_forwarded()
    assert not request.is_secure()
    nobody = forwarded(proxies=(), For="1.2.3.4", Proto="https")
    assert (nobody.ip(), nobody.is_secure()) == ("10.0.0.1", False)


def test_a_trusted_proxy_tells_client_host_scheme_port_and_prefix() -> None:
    request = forwarded(For="1.2.3.4", Host="shop.example", Proto="https", Prefix="/erp")

    assert request.ip() == "1.2.3.4"
    assert request.root() == "https://shop.example/erp"
    assert (request.is_secure(), request.port, request.is_forwarded()) == (True, 443, True)
    assert forwarded(Host="a", Port="8443", Proto="https").root() == "https://a:8443"
    assert forwarded(Host="a:81").root() == "http://a:81"


@pytest.mark.parametrize(
    ("header", "ips"),
    [
        ("1.1.1.1, 2.2.2.2", ["2.2.2.2", "1.1.1.1"]),
        ("1.1.1.1, 10.0.0.9", ["1.1.1.1"]),
        ("spoofed, 1.1.1.1", ["1.1.1.1"]),
        ("1.1.1.1:8080", ["1.1.1.1"]),
        ('"[2001:db8::1]:80"', ["2001:db8::1"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("10.0.0.7, 10.0.0.8", ["10.0.0.7"]),
        ("unknown", ["10.0.0.1"]),
        # What stands before an entry that is no address may be the client's own invention.
        ("1.1.1.1, unknown, 10.0.0.8", ["10.0.0.8"]),
        ("1.1.1.1, unknown, 2.2.2.2", ["2.2.2.2"]),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy(header: str, ips: list[str]) -> None:
    request = forwarded(For=header)

    assert request.ips() == ips
    assert request.ip() == ips[0]


def test_rubbish_from_a_proxy_is_left_unheeded() -> None:
    request = forwarded(Host="a b", Proto="gopher", Port="x", Prefix="//evil")

    assert request.root() == "http://inside:8000"


def test_only_the_configured_headers_count() -> None:
    request = forwarded(For="1.2.3.4", Proto="https")
    request.settings = HttpSettings(trusted_proxies=("10.0.0.1",), trusted_headers=("proto",))

    assert (request.ip(), request.is_secure()) == ("10.0.0.1", True)


def test_a_star_trusts_whoever_connects_and_unix_a_socket_without_address() -> None:
    assert forwarded(("*",), peer="8.8.8.8", For="1.1.1.1, 2.2.2.2").ip() == "2.2.2.2"
    assert forwarded(("unix",), peer="", For="1.1.1.1").ip() == "1.1.1.1"
    assert forwarded(("10.0.0.1",), peer="nonsense", For="1.1.1.1").ip() == "nonsense"
    assert forwarded(("10.0.0.0/8",), peer="::ffff:10.0.0.1", For="1.1.1.1").ip() == "1.1.1.1"
    assert made("/", environ={"REMOTE_ADDR": ""}).ip() is None


def test_a_proxy_that_is_no_address_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="'proxy.local' is no address"):
        forwarded(("proxy.local",), Host="a").root()


# --- headers --------------------------------------------------------------------------------------


def test_headers_are_found_in_any_spelling() -> None:
    request = made("/", headers={"X-Token": "é", "Content-Type": "text/plain; charset=x"})

    assert request.header("x-token") == request.header("X_TOKEN") == "é"
    assert request.header("Content-Type") == "text/plain; charset=x"
    assert request.content_type() == "text/plain"
    assert (request.header("none"), request.header("none", 5)) == (None, 5)
    assert request.has_header("X-Token")
    assert not request.has_header("Content-Length")
    assert request.headers == {
        "host": "localhost",
        "x-token": "é",
        "content-type": "text/plain; charset=x",
    }
    assert made("/", environ={"HTTP_X": "\xff"}).header("X") == "\xff"
    assert made("/", headers={"User-Agent": "test"}).user_agent() == "test"
    assert made().user_agent() is None
    assert made().server("REMOTE_ADDR") == "127.0.0.1"
    assert made().server("NONE", 1) == 1


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("BEARER abc, Basic x", "abc"),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearerabc", None),
        ("", None),
    ],
)
def test_a_bearer_token_is_told_by_its_scheme(header: str, token: str | None) -> None:
    assert made("/", headers={"Authorization": header}).bearer_token() == token
    assert made().bearer_token() is None


def test_cookies_are_read_once_by_name() -> None:
    request = made("/", cookies={"a": "1 2", "b": "é;"})

    assert request.cookies == {"a": "1 2", "b": "é;"}
    assert request.cookie("a") == "1 2"
    assert (request.cookie("x"), request.cookie("x", "d")) == (None, "d")
    assert request.has_cookie("b")
    assert not request.has_cookie("c")


# --- method ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["PUT", "put", "PATCH", "DELETE"])
def test_a_post_may_mean_another_method(word: str) -> None:
    by_field = made("/", "POST", data={"_method": word})
    by_header = made("/", "POST", headers={"X-HTTP-Method-Override": word})

    assert by_field.method() == by_header.method() == word.upper()
    assert by_field.real_method == by_field.real_method() == "POST"
    assert by_field.is_method("put") is (word.upper() == "PUT")


@pytest.mark.parametrize("word", ["GET", "HEAD", "OPTIONS", "TRACE", "", "PUT\r\n"])
def test_a_post_means_no_other_method_than_those(word: str) -> None:
    assert made("/", "POST", data={"_method": word}).method() == "POST"
    assert made("/", "POST", environ={"HTTP_X_HTTP_METHOD_OVERRIDE": word}).method() == "POST"


def test_only_a_post_may_mean_another_method() -> None:
    assert made("/?_method=DELETE").method() == "GET"
    assert made("/", "GET", headers={"X-HTTP-Method-Override": "PUT"}).method() == "GET"
    assert made("/?_method=PUT", "POST", json={"_method": "PUT"}).method() == "POST"


def test_a_form_that_cannot_be_read_fails_once_and_the_method_stays_known() -> None:
    request = made(
        "/", "POST", data=b"--x", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )

    with pytest.raises(BadRequestException):
        request.method()
    assert request.method() == "POST"
    with pytest.raises(BadRequestException):
        request.input()


# --- what is wanted -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wants", "expects"),
    [
        ({}, False, False),
        ({"headers": {"Accept": "application/json"}}, True, True),
        ({"headers": {"Accept": "application/vnd.api+json, */*"}}, True, True),
        ({"headers": {"Accept": "text/html,application/json;q=0.9"}}, False, False),
        ({"headers": {"Accept": "text/html;q=0.5,application/json"}}, True, True),
        ({"headers": {"Accept": "*/*"}}, False, False),
        ({"headers": {"Content-Type": "application/json"}}, False, True),
        ({"uri": "/api/users"}, False, True),
        ({"uri": "/apiary"}, False, False),
        ({"headers": {"X-Requested-With": "XMLHttpRequest", "Accept": "*/*"}}, False, True),
        ({"headers": {"X-Requested-With": "XMLHttpRequest"}}, False, True),
        ({"headers": {"X-Requested-With": "XMLHttpRequest", "Accept": "text/html"}}, False, False),
        ({"headers": {"X-Requested-With": "XMLHttpRequest", "X-PJAX": "true"}}, False, False),
    ],
)
def test_who_gets_json(options: dict[str, Any], wants: bool, expects: bool) -> None:
    request = made(options.pop("uri", "/"), **options)

    assert (request.wants_json(), request.expects_json()) == (wants, expects)


def test_what_the_client_accepts_and_likes() -> None:
    request = made("/", headers={"Accept": "text/*;q=0.5, application/json, image/png;q=0"})

    assert request.accepted_types() == ["application/json", "text/*"]
    assert request.accepts("json")
    assert request.accepts("text/css", "image/gif")
    assert not request.accepts("image/png")
    assert request.prefers(["html", "json"]) == "json"
    assert request.prefers(["text/plain", "image/png"]) == "text/plain"
    assert request.prefers(["image/gif"]) is None
    assert request.format() == "json"
    assert made().accepts("anything/at-all")
    assert made().prefers(["html", "json"]) == "html"
    assert made().prefers([]) is None
    assert made().format("csv") == "csv"
    assert made("/", headers={"Accept": "text/csv"}).format() == "csv"


@pytest.mark.parametrize(
    ("header", "liked"),
    [
        ("application/json;q=0", None),
        ("application/json;q=0, */*", "text/html"),
        ("*/*, application/json;q=0.5", "text/html"),
        ("text/*;q=0.9, text/html;q=0.1, application/json;q=0.5", "text/csv"),
        ("application/vnd.api+json", "application/json"),
        ("text/html;q=0.5, application/*;q=0.5", "text/html"),
    ],
)
def test_the_range_that_fits_best_says_how_much_a_type_is_liked(header, liked) -> None:
    request = made("/", headers={"Accept": header})

    assert request.prefers(["application/json", "text/html", "text/csv"]) == liked


# --- what belongs to it ---------------------------------------------------------------------------


def test_a_name_is_an_attribute_then_input_then_a_parameter_of_the_route() -> None:
    request = made("/?a=input&b=input")
    request.set("a", "attribute")
    request.route_parameters = {"b": "route", "c": "route"}

    assert (request.a, request.b, request.c) == ("attribute", "input", "route")
    assert (request.get("a"), request.get("x"), request.get("x", 1)) == ("attribute", None, 1)
    with pytest.raises(AttributeError, match=r"'nothing'.*input\('nothing'\)"):
        _ = request.nothing
    assert not hasattr(request, "_private")
    request.tenant = "t"
    assert request.tenant == "t"


class FakeSession(dict[str, Any]):
    def flash(self, key: str, value: Any) -> None:
        self[key] = value

    def old(self, key: str | None = None, default: Any = None) -> Any:
        values = self.get("_old_input", {})
        return values if key is None else values.get(key, default)

    def previous_url(self) -> str:
        return str(self.get("previous", ""))


def in_scope(request: Request, session: Any = None) -> Scope:
    scope = Scope()
    scope.request = request
    scope.session = session
    return scope


def test_session_user_and_old_input_are_the_scopes() -> None:
    request = made("/", "POST", data={"name": "ann", "password": "x", "deep": {"secret": "y"}})
    session = FakeSession()

    with pytest.raises(RuntimeError, match="has no session"):
        request.session()
    assert (request.user(), request.old("a", "d")) == (None, "d")
    with entered(in_scope(request, session)) as scope:
        scope.user = "the user"
        assert request.session() is session
        assert request.user() == "the user"
        request.flash()
        assert session["_old_input"] == {"name": "ann", "deep": {}}
        assert request.old("name") == "ann"
        request.flash_only("name", "password")
        assert session["_old_input"] == {"name": "ann"}
        request.flash_except("name")
        assert session["_old_input"] == {"deep": {}}


def test_a_guard_is_asked_where_authentication_is_at_work() -> None:
    class Auth:
        def user(self, guard: str | None = None) -> str:
            return f"user of {guard}"

    request = made()
    with entered(in_scope(request)) as scope:
        scope.data["auth"] = Auth()
        assert request.user() == "user of None"
        assert request.user("api") == "user of api"


def test_the_page_before_counts_only_if_it_is_ours() -> None:
    session = FakeSession(previous="http://localhost/from-session")

    assert (
        made("/", headers={"Referer": "http://localhost/a"}).previous_url() == "http://localhost/a"
    )
    assert made("/", headers={"Referer": "/a"}).previous_url() == "/a"
    for foreign in ("http://evil.example/", "//evil", "/\\evil", "javascript:x", "http://[::1"):
        assert made("/", headers={"Referer": foreign}).previous_url("/home") == "/home"
    request = made()
    with entered(in_scope(request, session)):
        assert request.previous_url() == "http://localhost/from-session"
        session["previous"] = "http://evil.example/"
        assert request.previous_url() == "/"


def test_a_fingerprint_tells_routes_and_clients_apart() -> None:
    router = Router()
    router.get("/a", lambda request: request.fingerprint())
    router.get("/b", lambda request: request.fingerprint())
    client = Client(router)

    first = client.get("/a").text
    assert first == client.get("/a?x=1").text
    assert first != client.get("/b").text
    assert first != client.get("/a", environ={"REMOTE_ADDR": "9.9.9.9"}).text
    with pytest.raises(RuntimeError):
        made().fingerprint()


def test_validation_is_what_the_application_says() -> None:
    def check(data: Any, rules: Any, messages: Any, attributes: Any) -> dict[str, Any]:
        return {"data": data, "rules": rules, "messages": messages, "attributes": attributes}

    request = made("/?a=1")
    request.settings = HttpSettings(validate=check)

    assert request.validate({"a": "required"}, {"m": "n"}) == {
        "data": {"a": "1"},
        "rules": {"a": "required"},
        "messages": {"m": "n"},
        "attributes": None,
    }


def test_a_server_may_tell_that_the_client_is_gone() -> None:
    assert not made().is_disconnected()
    assert made("/", environ={"so.disconnected": lambda: True}).is_disconnected()


def test_outside_a_route_there_is_none() -> None:
    request = made()
    request.route_parameters = {"id": "5"}

    assert request.route() is None
    assert (request.route("id"), request.route("x"), request.route("x", 1)) == ("5", None, 1)
    assert not request.route_is("*")
