"""Input: query, form, JSON under dotted and bracketed names, typed, merged, limited."""

from __future__ import annotations

import enum
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so.errors import BadRequestException, HttpException, PayloadTooLargeException
from so.http.body import nests_deeper
from so.http.request import Request
from so.http.settings import HttpSettings


def query(text: str) -> Request:
    return Request.create(f"/?{text}")


def form(**data: Any) -> Request:
    return Request.create("/", "POST", data=data)


def sent(value: Any, uri: str = "/") -> Request:
    return Request.create(uri, "POST", json=value)


def raw(body: bytes, kind: str = "application/json", **environ: Any) -> Request:
    return Request.create("/", "POST", data=body, headers={"Content-Type": kind}, environ=environ)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "2"}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[b]=1&a[c]=2", {"a": {"b": "1", "c": "2"}}),
        ("a[b][]=1", {"a": {"b": ["1"]}}),
        ("a[][b]=1&a[][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}),
        ("a[0][b]=1&a[0][c]=2&a[1][b]=3", {"a": [{"b": "1", "c": "2"}, {"b": "3"}]}),
        ("a[0]=x&a[1]=y", {"a": ["x", "y"]}),
        ("a[1]=x&a[0]=y", {"a": {"1": "x", "0": "y"}}),
        ("a[5]=x&a[]=y", {"a": {"5": "x", "6": "y"}}),
        ("a[]=1&a[x]=2", {"a": {"0": "1", "x": "2"}}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("a[b]=1&a=2", {"a": "2"}),
        ("a[b=1", {"a[b": "1"}),
        ("a]=1", {"a]": "1"}),
        ("[a]=1", {"[a]": "1"}),
        ("a[b]c=1", {"a[b]c": "1"}),
        ("a[[b]]=1", {"a[[b]]": "1"}),
        ("a.b=1", {"a.b": "1"}),
        ("a", {"a": ""}),
        ("=1", {"": "1"}),
        ("a+b=%2B+%26", {"a b": "+ &"}),
        ("a=%E2%82%AC&b=%ff", {"a": "€", "b": "\ufffd"}),
        ("", {}),
    ],
)
def test_names_in_brackets_nest_as_in_php(text: str, data: dict[str, Any]) -> None:
    assert query(text).query() == data
    assert raw(text.encode(), "application/x-www-form-urlencoded").post() == data


def test_dots_and_stars_reach_into_nested_input() -> None:
    request = sent({"order": {"lines": [{"sku": "A", "tags": [1, 2]}, {"sku": "B"}]}, "a.b": 5})

    assert request.input("order.lines.0.sku") == "A"
    assert request.input("order.lines.*.sku") == ["A", "B"]
    assert request.input("order.lines.*.tags.*") == [1, 2, None]
    assert request.input("order.*.0.sku") == ["A"]
    assert request.input("order.lines.9.sku", "none") == "none"
    assert request.input("order.lines.x") is None
    assert request.input("a.b") == 5
    assert request.input("a.c", lambda: "called") == "called"
    assert request.input("order.lines.0.sku.deeper") is None
    assert request.input("a.b.*", "none") == "none"


def test_the_body_counts_over_the_query() -> None:
    request = Request.create("/?a=query&b=query", "POST", data={"a": "body"})

    assert request.input() == {"a": "body", "b": "query"}
    assert (request.query("a"), request.post("a"), request.post("b")) == ("query", "body", None)
    assert request.post("x", 1) == 1


def test_every_value_of_a_repeated_name_can_be_had() -> None:
    assert query("tag=a&tag=b&x=1").input_list("tag") == ["a", "b"]
    assert query("tag[]=a&tag[]=b").input_list("tag") == ["a", "b"]
    assert query("x=1").input_list("tag") == []
    assert sent({"tag": ["a"], "one": 1}).input_list("tag") == ["a"]
    assert sent({"one": 1}).input_list("one") == [1]


# --- asking ---------------------------------------------------------------------------------------


def test_what_was_sent_and_what_is_filled() -> None:
    request = sent({"a": "", "b": None, "c": " ", "d": 0, "e": {"f": False}, "g": []})

    assert request.has("a", "b", "e.f")
    assert not request.has("a", "x")
    assert request.has_any("x", "b")
    assert not request.has_any("x", "y")
    assert request.missing("x")
    assert request.missing("a", "x")
    assert request.filled("d", "e.f", "g")
    assert not request.filled("a")
    assert not request.filled("b")
    assert not request.filled("c")
    assert request.is_not_filled("a", "b", "c", "x")
    assert not request.is_not_filled("a", "d")
    assert request.any_filled("a", "d")
    assert request.has(["a", "b"])  # type: ignore[arg-type]  # a list works too
    assert request.keys() == ["a", "b", "c", "d", "e", "g"]


def test_only_and_except_keep_the_nesting() -> None:
    request = sent({"a": 1, "b": {"c": 2, "d": 3}, "e": None, "f.g": 4})

    assert request.only("a", "b.c", "e", "x", "f.g") == {"a": 1, "b": {"c": 2}, "e": None, "f.g": 4}
    assert request.except_("a", "b.c", "f.g", "x.y") == {"b": {"d": 3}, "e": None}
    assert request.all("a", "x") == {"a": 1, "x": None}
    assert request.all() == {"a": 1, "b": {"c": 2, "d": 3}, "e": None, "f.g": 4}


def test_when_has_and_when_filled_call_what_fits() -> None:
    request = sent({"a": "1", "b": ""})

    assert request.when_has("a", lambda value: value + "!") == "1!"
    assert request.when_has("x", lambda value: value, lambda: "none") == "none"
    assert request.when_has("x", lambda value: value) is request
    assert request.when_filled("b", lambda value: value, lambda: "empty") == "empty"
    assert request.when_filled("a", lambda value: None) is request


def test_input_can_be_merged_and_replaced() -> None:
    request = sent({"a": 1})

    request.merge({"b": 2}).merge_if_missing({"a": 9, "c": 3})
    assert request.input() == {"a": 1, "b": 2, "c": 3}
    assert request.replace({"z": 1}).all() == {"z": 1}
    assert request.post() == {"a": 1}


# --- typed ----------------------------------------------------------------------------------------


class Color(enum.Enum):
    RED = "red"
    TWO = 2


def test_typed_getters_convert_or_give_their_default() -> None:
    request = query("n=12&neg=-3&bad=12abc&f=1.5&on=Yes&off=no&s=text&huge=" + "9" * 60 + "&e=")

    assert request.string("s") == "text"
    assert (request.string("x"), request.string("x", "d")) == ("", "d")
    assert (request.integer("n"), request.integer("neg")) == (12, -3)
    assert (request.integer("bad"), request.integer("x", 7)) == (0, 7)
    assert request.integer("huge", 1) == 1
    assert (request.float("f"), request.float("bad", 2.5)) == (1.5, 2.5)
    assert request.decimal("f") == Decimal("1.5")
    assert (request.decimal("bad"), request.decimal("x", Decimal(1))) == (None, Decimal(1))
    assert (request.boolean("on"), request.boolean("off"), request.boolean("x", True)) == (
        True,
        False,
        True,
    )
    assert request.array("s") == ["text"]
    assert request.array("x") == []
    assert query("a[]=1").array("a") == ["1"]
    assert query("a[b]=1").array("a") == {"b": "1"}


@pytest.mark.parametrize("text", ["nan", "inf", "1e999999", "1_000", "0" * 200, "--1", "1,5"])
def test_numbers_that_are_none_or_explode_give_the_default(text: str) -> None:
    request = query(f"a={text}")

    assert request.decimal("a") is None
    assert request.float("a", 0.5) == 0.5


def test_typed_getters_take_json_as_it_is() -> None:
    request = sent({"i": 5, "f": 2.5, "t": True, "l": [1], "n": None, "s": 7, "inf": 1e308})

    assert (request.integer("i"), request.integer("f"), request.integer("l", 3)) == (5, 2, 3)
    assert (request.float("f"), request.decimal("f")) == (2.5, Decimal("2.5"))
    assert request.decimal("t") is None
    assert request.boolean("t")
    assert (request.string("s"), request.string("l", "d")) == ("7", "d")
    assert request.float("inf") == 1e308


def test_dates_are_parsed_and_what_is_none_is_the_clients_fault() -> None:
    request = query("d=2026-01-15&t=15.01.2026 10:30&z=2026-01-15T10:00:00%2B01:00&bad=soon&e=")

    assert request.date("d") == datetime(2026, 1, 15)  # noqa: DTZ001  # no zone was sent
    assert request.date("t", "%d.%m.%Y %H:%M") == datetime.fromisoformat("2026-01-15T10:30")
    zoned = request.date("d", tz="Europe/Berlin")
    assert zoned is not None
    assert zoned.astimezone(UTC) == datetime(2026, 1, 14, 23, tzinfo=UTC)
    with_zone = request.date("z", tz="UTC")
    assert with_zone is not None
    assert with_zone.astimezone(UTC).hour == 9
    assert request.date("e") is None
    assert request.date("x") is None
    with pytest.raises(BadRequestException, match="bad is not a valid date"):
        request.date("bad")


def test_dates_are_read_by_php_s_letters_too() -> None:
    request = query("d=02/01/2026&z=2026-01-02T10:00:00%2B01:00&bad=2026-01-02")

    assert request.date("d", "d/m/Y") == datetime(2026, 1, 2)  # noqa: DTZ001  # no zone was sent
    zoned = request.date("d", "d/m/Y", "Europe/Berlin")
    assert zoned is not None
    assert zoned.astimezone(UTC) == datetime(2026, 1, 1, 23, tzinfo=UTC)
    assert request.date("z", "c", "Europe/Berlin") == datetime(2026, 1, 2, 9, tzinfo=UTC)
    with pytest.raises(BadRequestException, match="bad is not a valid date"):
        request.date("bad", "d/m/Y")


def test_lists_may_be_named_with_brackets_when_a_request_is_made() -> None:
    plain = Request.create("/", "POST", data={"a[]": ["1", "2"], "b": ["3"]})
    upload = Request.create("/", "POST", {"a[]": ["1", "2"]}, files={"f[]": [b"x", b"y"]})

    assert plain.input() == {"a": ["1", "2"], "b": ["3"]}
    assert upload.input() == {"a": ["1", "2"]}
    assert [file.read() for file in upload.file("f")] == [b"x", b"y"]


def test_enums_are_found_by_value() -> None:
    request = sent({"a": "red", "b": 2, "c": "2", "d": "green"})

    assert request.enum("a", Color) is Color.RED
    assert request.enum("b", Color) is request.enum("c", Color) is Color.TWO
    assert (request.enum("d", Color), request.enum("x", Color, Color.RED)) == (None, Color.RED)


def test_collections_are_what_the_application_makes_of_a_list() -> None:
    request = query("a[]=1&a[]=2")
    request.settings = HttpSettings(make_list=tuple)

    assert request.collect("a") == ("1", "2")
    assert request.collect() == (["1", "2"],)


# --- JSON -----------------------------------------------------------------------------------------


def test_json_is_read_with_its_own_getter() -> None:
    request = sent({"a": {"b": 1}})

    assert request.json() == {"a": {"b": 1}}
    assert (request.json("a.b"), request.json("x", 5)) == (1, 5)
    assert request.is_json()


def test_a_body_that_is_no_object_is_kept_for_json_alone() -> None:
    request = sent([1, 2], "/?a=1")

    assert request.json() == [1, 2]
    assert request.input() == {"a": "1"}
    assert request.json("1") == 2


def test_an_empty_body_is_an_empty_object() -> None:
    assert raw(b"").json() == {}
    assert raw(b" \r\n").input() == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": }', "malformed: Expecting value at line 1, column 7"),
        (b"\xff", "not valid UTF-8"),
        (b'{"a": NaN}', "number that is no JSON"),
        (b'{"a": 1e400}', "number that is no JSON"),
        (b'{"a": %be99}' % (b"9" * 290), "number that is no JSON"),
        (b'{"a": "\\udfff"}', "half a surrogate"),
        (b"[" * 65, "deeper than 64"),
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "deeper than 64"),
    ],
)
def test_malformed_json_is_a_bad_request_when_it_is_read(body: bytes, words: str) -> None:
    request = raw(body)

    assert request.query() == {}
    for _ in range(2):
        with pytest.raises(BadRequestException, match=words):
            request.input("a")


def test_json_within_the_depth_is_read() -> None:
    assert raw(b"[" * 64 + b"]" * 64).json() is not None


@given(
    st.recursive(
        st.text(alphabet='a"\\[]{}', max_size=6) | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=30,
    ),
    st.integers(0, 6),
)
def test_the_depth_is_counted_as_the_value_nests(value: Any, levels: int) -> None:
    import json

    def depth(inner: Any) -> int:
        if isinstance(inner, dict):
            inner = list(inner.values())
        return 1 + max(map(depth, inner), default=0) if isinstance(inner, list) else 0

    assert nests_deeper(json.dumps(value).encode(), levels) is (depth(value) > levels)


# --- bodies ---------------------------------------------------------------------------------------


def test_the_raw_body_is_read_once_and_again() -> None:
    request = raw(b"abc", "text/plain")

    assert request.body() == request.body() == b"abc"
    assert request.input() == {}


def test_a_form_can_still_be_read_after_its_body() -> None:
    request = form(a="1")
    request.body()

    assert request.input("a") == "1"
    upload = Request.create("/", "POST", data={"b": "2"}, files={"f": b"x"})
    assert b"form-data" in upload.body()
    assert upload.input("b") == "2"
    assert upload.file("f").read() == b"x"


def test_a_body_is_streamed_to_its_announced_length() -> None:
    request = raw(b"abcdef", "text/plain", CONTENT_LENGTH="4")
    stream = request.stream()

    assert (stream.read(3), stream.read(3), stream.read(3)) == (b"abc", b"d", b"")
    assert request.stream() is stream


def test_a_body_shorter_than_announced_is_a_bad_request() -> None:
    request = raw(b"abc", "text/plain", CONTENT_LENGTH="5")

    with pytest.raises(BadRequestException, match="2 bytes before its Content-Length"):
        request.body()


def test_a_body_in_chunks_is_read_to_its_end_if_the_server_vouches_for_it() -> None:
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 1, 2))

    request = raw(b"", "text/plain")
    request.environ.update({"wsgi.input": Dripping(b"abcde"), "wsgi.input_terminated": True})
    del request.environ["CONTENT_LENGTH"]
    assert request.body() == b"abcde"

    large = raw(b"", "text/plain")
    large.environ.update({"wsgi.input": Dripping(b"x" * 100), "wsgi.input_terminated": True})
    del large.environ["CONTENT_LENGTH"]
    large.settings = HttpSettings(max_body_bytes=50)
    with pytest.raises(PayloadTooLargeException, match="max_body_bytes"):
        large.body()


def test_a_raw_body_too_large_for_memory_says_so() -> None:
    request = raw(b"x" * 100, "text/plain")
    request.settings = HttpSettings(max_memory_bytes=50)

    with pytest.raises(PayloadTooLargeException, match="max_memory_bytes"):
        request.body()


def test_text_in_another_charset_is_understood() -> None:
    latin = raw(b"a=\xe9%E9", "application/x-www-form-urlencoded; charset=ISO-8859-1")
    unknown = raw(b"a=\xc3\xa9", "application/x-www-form-urlencoded; charset=x-none")
    ascii_ = raw(b"a=\xe9", "application/x-www-form-urlencoded; charset=us-ascii")

    assert latin.input("a") == "éé"
    assert unknown.input("a") == "é"
    assert ascii_.input("a") == "\ufffd"


def test_a_request_made_by_hand_sends_what_a_client_would() -> None:
    nested = form(a=[1, 2], b={"c": [{"d": 1}, {"d": 2}], "e": True, "f": None})

    assert nested.input() == {
        "a": ["1", "2"],
        "b": {"c": [{"d": "1"}, {"d": "2"}], "e": "1", "f": ""},
    }
    assert Request.create("/x?a=1", data={"b": "é"}).query() == {"a": "1", "b": "é"}
    assert Request.create("/", "POST", data="text").body() == b"text"
    pairs = Request.create("/", "POST", data=[("a", "1"), ("a", "2")])
    assert pairs.input_list("a") == ["1", "2"]
    assert Request.create("//x").environ["PATH_INFO"] == "//x"


@pytest.mark.parametrize(
    "kind", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_packed_body_is_refused_with_what_is_taken(kind: str) -> None:
    """RFC 9110, 15.5.16; as a stream it is the action's own."""
    packed = {
        "CONTENT_TYPE": kind,
        "HTTP_CONTENT_ENCODING": "gzip",
        "CONTENT_LENGTH": "3",
        "wsgi.input": io.BytesIO(b"\x1f\x8b\x08"),
    }
    request = Request.create("/", "POST", environ=packed)

    with pytest.raises(HttpException, match=r"is packed \(gzip\)") as refused:
        request.input()
    assert (refused.value.status, refused.value.headers) == (415, {"Accept-Encoding": "identity"})
    assert request.stream().read() == b"\x1f\x8b\x08"
