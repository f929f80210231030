"""Responses: headers that cannot be split, bodies, conditions, and their JSON forms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import so.http
from so.http.headers import Headers
from so.http.request import Request
from so.http.response import JsonResponse, Response
from so.support.httpwords import http_date, parse_http_date, status_line
from so.support.markup import h
from tests.http.wsgi import Client

SPLITTERS = ["a\r\nSet-Cookie: x=1", "a\nb", "a\rb", "a\x00b", "a\x0bb", "a\x7fb"]


# --- headers --------------------------------------------------------------------------------------


def test_headers_have_no_case_and_keep_their_order_and_spelling() -> None:
    headers = Headers({"X-One": 1, "Content-Type": "text/plain"})
    headers["x-one"] = "2"
    headers.add("Vary", "Cookie")
    headers.add("vary", "Accept")
    headers.setdefault("VARY", "never")
    headers.setdefault("X-New", "n")

    assert headers["X-ONE"] == headers.get("x-One") == "2"
    assert headers.get_all("vary") == ["Cookie", "Accept"]
    assert headers.get("Vary") == headers["Vary"] == "Accept"
    assert headers.items() == [
        ("x-one", "2"),
        ("Content-Type", "text/plain"),
        ("Vary", "Cookie"),
        ("Vary", "Accept"),
        ("X-New", "n"),
    ]
    assert headers.wsgi() == headers.items()
    assert list(headers) == headers.keys() == ["x-one", "Content-Type", "Vary", "X-New"]
    assert "VARY" in headers
    assert 5 not in headers
    assert len(headers) == 4
    assert "x-one" in repr(headers)
    twin = headers.copy()
    del twin["vary"]
    twin.discard("none")
    assert twin.get_all("Vary") == []
    assert twin.get("vary", "d") == "d"
    assert "vary" in headers
    with pytest.raises(KeyError):
        _ = twin["vary"]


def test_a_list_sets_several_values() -> None:
    headers = Headers({"Link": "old"})

    headers.update([("Link", ["<a>", "<b>"]), ("X", "y")])

    assert headers.get_all("Link") == ["<a>", "<b>"]


@pytest.mark.parametrize("value", SPLITTERS)
def test_a_value_with_a_control_character_is_refused(value: str) -> None:
    for refuse in (
        lambda: Response().header("X", value),
        lambda: Response().header("X", value, replace=False),
        lambda: Response("", 200, {"X": value}),
        lambda: Response().with_headers({"X": value}),
        lambda: JsonResponse({}, 200, {"X": value}),
    ):
        with pytest.raises(ValueError, match="control character"):
            refuse()


@pytest.mark.parametrize("name", [*SPLITTERS, "", "a b", "a:b", "é", "-a", "a-", "1a", "Status"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a header name"):
        Response().header(name, "x")


@pytest.mark.parametrize("name", ["Connection", "transfer-encoding", "Keep-Alive"])
def test_headers_of_the_connection_belong_to_the_server(name: str) -> None:
    with pytest.raises(ValueError, match="belongs to the server"):
        Response().header(name, "x")


def test_text_beyond_ascii_goes_out_as_utf8_and_reads_back() -> None:
    response = Response().header("X-Name", "Zoë 中")

    assert response.headers["X-Name"] == "Zoë 中"
    assert response.headers.items()[-1] == ("X-Name", "Zoë 中")
    assert dict(response.headers.wsgi())["X-Name"].encode("latin-1").decode() == "Zoë 中"
    with pytest.raises(ValueError, match="is no text"):
        Response().header("X", "\udcff")


@given(st.text(max_size=30))
def test_whatever_is_accepted_cannot_split_a_header(value: str) -> None:
    headers = Headers()
    try:
        headers.set("X", value)
    except ValueError:
        return

    wire = headers.wsgi()[0][1]
    wire.encode("latin-1")
    assert not any(ord(c) < 32 for c in wire)


def test_headers_are_chained_and_removed() -> None:
    response = Response("x").header("X-A", "1").header("X-A", "2", replace=False)

    assert response.headers.get_all("X-A") == ["1", "2"]
    assert response.without_header("x-a").headers.get("X-A") is None
    assert response.with_headers([("X-B", "1")]).headers["X-B"] == "1"


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ("é", "é".encode()),
        (b"\x00", b"\x00"),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (None, b""),
        (h("b", "x"), b"<b>x</b>"),
        (5, b"5"),
        ("\ud800", b"?"),
    ],
)
def test_a_body_is_bytes(content: Any, body: bytes) -> None:
    assert Response(content).body == body
    assert Response("old").set_content(content).body == body


def test_an_object_that_is_markup_by_protocol_is_a_body() -> None:
    class Widget:
        def __html__(self) -> str:
            return "<i>w</i>"

    assert Response(Widget()).body == b"<i>w</i>"
    assert Response(Widget()).content == "<i>w</i>"


def test_a_body_that_is_no_text_is_refused_with_the_mend() -> None:
    with pytest.raises(TypeError, match="JsonResponse"):
        Response({"a": 1})


@pytest.mark.parametrize("status", [99, 100, 199, 600, -1])
def test_a_status_that_no_response_can_have_is_refused(status: int) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        Response("", status)
    with pytest.raises(ValueError, match="200 to 599"):
        JsonResponse({}, status)


def test_status_lines_have_words_where_there_are_some() -> None:
    assert status_line(404) == "404 Not Found"
    assert status_line(419) == "419 Page Expired"
    assert status_line(599) == "599 Status"


def test_the_makers_of_responses() -> None:
    assert Response.html(h("p"), 201).status == 201
    assert Response.json({"a": 1}, 202).body == b'{"a":1}'
    assert (Response.no_content().status, Response.no_content().body) == (204, b"")
    stream = Response.stream(lambda: iter(["a"]), 206, {"Content-Type": "text/plain"})
    assert (stream.status, stream.is_streamed, stream.body) == (206, True, b"")
    assert stream.headers["content-type"] == "text/plain"
    assert not stream.set_content("x").is_streamed
    assert repr(Response("x", 404)) == "<Response 404>"
    redirect = Response.redirect("/dashboard")
    assert (redirect.status, redirect.headers["Location"]) == (302, "/dashboard")


# --- JSON -----------------------------------------------------------------------------------------


def test_json_is_compact_utf8_with_slashes_and_letters_as_they_are() -> None:
    response = JsonResponse({"a": "é/中", "b": [1, None, True]}, 201, {"X-A": "1"})

    assert response.body == '{"a":"é/中","b":[1,null,true]}'.encode()
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-A"] == "1"
    assert response.data == {"a": "é/中", "b": [1, None, True]}
    assert (
        JsonResponse({}, 200, {"content-type": "application/problem+json"})
        .headers["Content-Type"]
        .endswith("problem+json")
    )


def test_json_knows_decimals_and_dates() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert JsonResponse({"d": Decimal("1.50"), "t": at}).body == (
        b'{"d":"1.50","t":"2026-01-02T03:04:05.000000Z"}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_numbers_that_json_does_not_have_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        JsonResponse({"a": value})


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="to_dict"):
        JsonResponse({"a": object()})


def test_half_a_surrogate_goes_out_as_its_escape() -> None:
    assert JsonResponse({"a": "\ud800é"}).body == '{"a":"\\ud800é"}'.encode()


def test_the_forms_of_success_and_error() -> None:
    success = JsonResponse.success({"id": 1})
    assert (success.status, success.body) == (
        200,
        b'{"success":true,"message":"Success","data":{"id":1}}',
    )
    assert JsonResponse.success(None, "Done", 202).body == (
        b'{"success":true,"message":"Done","data":null}'
    )
    error = JsonResponse.error()
    assert (error.status, error.body) == (
        400,
        b'{"success":false,"message":"An error occurred.","errors":[]}',
    )
    assert JsonResponse.error("No", 422, {"a": ["b"]}).data == {
        "success": False,
        "message": "No",
        "errors": {"a": ["b"]},
    }
    assert JsonResponse.error(errors={}).data["errors"] == {}
    created = JsonResponse.created({"id": 1})
    assert (created.status, created.data["message"]) == (201, "Created successfully.")
    assert JsonResponse.created(1, "New").data == {"success": True, "message": "New", "data": 1}
    nothing = JsonResponse.no_content()
    assert (nothing.status, nothing.body) == (204, b"")


# --- conditions -----------------------------------------------------------------------------------

LATER = "Thu, 15 Jan 2026 12:00:01 GMT"
WHEN = "Thu, 15 Jan 2026 12:00:00 GMT"
BEFORE = "Thu, 15 Jan 2026 11:59:59 GMT"


def versioned() -> Response:
    return Response("x").etag("v1").last_modified(datetime(2026, 1, 15, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("headers", "is_same"),
    [
        ({}, False),
        ({"If-None-Match": '"v1"'}, True),
        ({"If-None-Match": 'W/"v1"'}, True),
        ({"If-None-Match": '"v0", "v1"'}, True),
        ({"If-None-Match": "*"}, True),
        ({"If-None-Match": '"v0"'}, False),
        ({"If-None-Match": '"v0"', "If-Modified-Since": LATER}, False),
        ({"If-Modified-Since": WHEN}, True),
        ({"If-Modified-Since": LATER}, True),
        ({"If-Modified-Since": BEFORE}, False),
        ({"If-Modified-Since": "yesterday"}, False),
    ],
)
def test_a_version_the_client_has_is_not_sent_again(headers: dict[str, str], is_same: bool) -> None:
    response = versioned()

    assert response.not_modified(Request.create("/", headers=headers)) is is_same
    assert response.status == (304 if is_same else 200)
    assert response.body == (b"" if is_same else b"x")


def test_only_reading_can_be_answered_not_modified() -> None:
    headers = {"If-None-Match": "*"}

    assert not versioned().not_modified(Request.create("/", "POST", headers=headers))
    assert versioned().not_modified(Request.create("/", "HEAD", headers=headers))


def test_without_a_version_nothing_is_known_to_be_unchanged() -> None:
    for headers in ({"If-None-Match": '"a"'}, {"If-Modified-Since": WHEN}):
        assert not Response("x").not_modified(Request.create("/", headers=headers))


def test_etags_are_quoted_and_may_be_weak() -> None:
    assert Response().etag("a").headers["ETag"] == '"a"'
    assert Response().etag('"a"').headers["ETag"] == '"a"'
    assert Response().etag("a", weak=True).headers["ETag"] == 'W/"a"'
    assert Response().etag('W/"a"', weak=True).headers["ETag"] == 'W/"a"'
    with pytest.raises(ValueError, match="control"):
        Response().etag("a\r\nb")


def test_a_304_goes_out_without_body_and_type() -> None:
    from so.http.router import Router

    def action(request: Request) -> Response:
        response = Response("x").etag("v1")
        response.not_modified(request)
        return response

    router = Router()
    router.get("/", action)
    answer = Client(router).get("/", headers={"If-None-Match": '"v1"'})

    assert (answer.status, answer.body, answer.header("Content-Type")) == (304, b"", None)
    assert answer.header("ETag") == '"v1"'


def test_a_header_without_a_value_is_refused_rather_than_named_none() -> None:
    with pytest.raises(ValueError, match="'X-Next' is None"):
        Response("", headers={"X-Next": None})


def test_dates_of_http_are_written_and_read() -> None:
    at = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)

    assert http_date(at) == http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(at.astimezone(timezone(timedelta(hours=5)))) == http_date(at)
    assert http_date(at.replace(tzinfo=None)) == http_date(at)
    assert parse_http_date(" Sun, 06 Nov 1994 08:49:37 GMT ") == 784111777
    assert parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777
    assert parse_http_date("Sun Nov  6 08:49:37 1994") == 784111777
    assert parse_http_date("Tuesday, 06-Nov-29 08:49:37 GMT") == 1888649377  # not 1929
    for wrong in (
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Xxx 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "",
        "x",
    ):
        assert parse_http_date(wrong) is None


def test_the_names_of_the_room_are_imported_when_asked_for() -> None:
    assert so.http.Response is Response
    assert "Kernel" in dir(so.http)
    with pytest.raises(AttributeError, match="Kernal"):
        _ = so.http.Kernal


@pytest.mark.parametrize("chunks", [5, None, lambda: None], ids=["5", "None", "a function of it"])
def test_what_yields_nothing_is_no_stream(chunks: Any) -> None:
    with pytest.raises(TypeError, match="cannot stream"):
        Response.stream(chunks)
