"""Cookies: written as browsers keep them, read as browsers send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so.http.cookies import cookie_header, parse_cookies
from so.http.request import Request
from so.http.response import Response
from so.http.router import Router
from tests.http.wsgi import Client


def test_a_cookie_is_for_this_site_and_no_script_until_the_browser_ends() -> None:
    response = Response().cookie("a", "b c")

    assert response.headers.get_all("Set-Cookie") == ["a=b%20c; Path=/; HttpOnly; SameSite=Lax"]


def test_cookies_add_up() -> None:
    response = Response().cookie("a", "1").cookie("b", "2")

    assert len(response.headers.get_all("set-cookie")) == 2


def test_everything_about_a_cookie_can_be_said() -> None:
    header = cookie_header("a", "", 60, "/x", "example.com", True, False, "Strict")

    assert header.startswith("a=; Expires=")
    assert header.endswith("; Max-Age=3600; Path=/x; Domain=example.com; Secure; SameSite=Strict")
    assert cookie_header("a", "1", path=None, httponly=False, samesite=None) == "a=1"
    assert "Max-Age=90" in cookie_header("a", "1", 1.5)
    assert "Max-Age=34560000" in cookie_header("a", "1", 10**9)


def test_a_cookie_is_forgotten_by_one_in_the_past() -> None:
    response = Response().without_cookie("a", "/x", "example.com").without_cookie("__Host-b")

    assert response.headers.get_all("Set-Cookie") == [
        "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/x; Domain=example.com; "
        "HttpOnly; SameSite=Lax",
        "__Host-b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure; HttpOnly; "
        "SameSite=Lax",
    ]


def test_a_cookie_is_secure_as_the_request_is_unless_told() -> None:
    router = Router()
    router.get("/", lambda: Response().cookie("a", "1"))
    router.get("/no", lambda: Response().cookie("a", "1", secure=False))
    client = Client(router)

    assert "Secure" not in (client.get("http://x/").header("Set-Cookie") or "")
    assert "; Secure" in (client.get("https://x/").header("Set-Cookie") or "")
    assert "Secure" not in (client.get("https://x/no").header("Set-Cookie") or "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "cookie name"),
        ({"name": "a b"}, "cookie name"),
        ({"name": "a=b"}, "cookie name"),
        ({"name": "a;b"}, "cookie name"),
        ({"name": "a\r\n"}, "cookie name"),
        ({"name": "é"}, "cookie name"),
        ({"path": "/;x"}, "Path"),
        ({"path": "/\r\n"}, "Path"),
        ({"domain": "a;b"}, "Domain"),
        ({"domain": "é"}, "Domain"),
        ({"samesite": "maybe"}, "samesite is 'maybe'"),
        ({"samesite": "none"}, "secure=True"),
        ({"name": "__Host-a"}, "needs secure=True, path='/' and no domain"),
        ({"name": "__Host-a", "secure": True, "path": "/x"}, "path='/'"),
        ({"name": "__Host-a", "secure": True, "domain": "x"}, "no domain"),
        ({"name": "__Secure-a"}, "needs secure=True"),
    ],
)
def test_what_a_browser_would_refuse_is_refused_here(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        cookie_header(**{"name": "a", "value": "1", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2;", {"a": "1", "b": "2"}),
        ("a=1; a=2", {"a": "1"}),
        (' a = "x y" ', {"a": "x y"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=; b", {"a": ""}),
        ("=x; ; ;;", {}),
        ("a=%C3%A9%20%zz", {"a": "é %zz"}),
        ("a=%ff", {"a": "\ufffd"}),
        ("a=\xc3\xa9; b=\xff", {"a": "é", "b": "\xff"}),
        ("$Version=1; a[b]=1", {"$Version": "1", "a[b]": "1"}),
        ('a="', {"a": '"'}),
        ("", {}),
    ],
)
def test_cookies_are_read_whatever_they_look_like(header: str, cookies: dict[str, str]) -> None:
    assert parse_cookies(header) == cookies


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b=1", "a\n", "\r", "a\0b"])
def test_a_value_with_a_line_break_or_nul_is_refused_with_its_name(value: str) -> None:
    with pytest.raises(ValueError, match="the cookie theme cannot hold"):
        Response().cookie("theme", value)


@given(st.text(st.characters(exclude_characters="\r\n\0"), max_size=40))
def test_a_value_comes_back_as_it_was_set(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    header = cookie_header("a", value)

    pair = header.partition(";")[0]
    assert parse_cookies(pair) == {"a": value}
    assert Request.create("/", environ={"HTTP_COOKIE": pair}).cookie("a") == value
