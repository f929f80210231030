"""The parser by itself: events, limits, and that cutting the bytes changes nothing."""

import pytest

from so.errors import WireError
from so.server.fields import known_names
from so.server.limits import CheckedLimits
from so.server.wire import Data, RequestHead, RequestParser, known_hosts
from tests.fuzz import wire as fuzz
from tests.server.conformance.cases import CASES, HOST, chunked, get, post


def parse(raw: bytes, **limits) -> list[RequestHead | Data]:
    parser = RequestParser(CheckedLimits.of(**limits))
    parser.feed(raw)
    found = []
    while (event := parser.next_event()) is not None:
        found.append(event)
    return found


def exhaust(parser: RequestParser) -> None:
    while parser.next_event() is not None:
        pass


def test_a_request_without_a_body_is_one_event():
    (head,) = parse(get(b"/a%20b?c=%20", b"Accept: text/html", b"Content-Type: text/plain"))

    assert (head.method, head.target, head.path, head.query) == (
        "GET",
        "/a%20b?c=%20",
        "/a b",
        "c=%20",
    )
    assert head.fields == {
        "HTTP_HOST": "example.com",
        "HTTP_ACCEPT": "text/html",
        "CONTENT_TYPE": "text/plain",
    }
    assert head.keep_alive
    assert not head.has_body
    assert head.length == 0


def test_repeated_fields_are_joined_as_lists_and_cookies_as_cookies():
    (head,) = parse(get(b"/", b"A: b", b"A: c", b"Cookie: d=e", b"Cookie: f=g"))

    assert head.fields["HTTP_A"] == "b, c"
    assert head.fields["HTTP_COOKIE"] == "d=e; f=g"


def test_a_body_follows_its_head_in_pieces_as_they_come():
    parser = RequestParser(CheckedLimits())
    parser.feed(post(b"ab", b"Content-Length: 4"))

    assert parser.next_event().length == 4
    assert parser.in_body
    assert parser.next_event() == Data(b"ab", last=False)
    assert parser.next_event() is None

    parser.feed(b"cdGET")
    assert parser.next_event() == Data(b"cd", last=True)
    assert not parser.in_body
    assert parser.next_event() is None
    assert not parser.is_idle


def test_several_chunks_make_one_piece():
    head, data = parse(chunked(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n"))

    assert head.length is None
    assert data == Data(b"abcde", last=True)


def test_a_parser_is_idle_between_requests_only():
    parser = RequestParser(CheckedLimits())
    assert parser.is_idle

    parser.feed(b"GET / HT")
    assert parser.next_event() is None
    assert not parser.is_idle

    parser.feed(b"TP/1.1\r\nHost: a\r\n\r\n")
    parser.next_event()
    assert parser.is_idle
    assert not parser.has_input


def test_after_a_fault_nothing_more_is_read():
    parser = RequestParser(CheckedLimits())
    parser.feed(b"G@T / HTTP/1.1\r\n\r\n")
    for _ in range(2):
        with pytest.raises(WireError):
            parser.next_event()

    parser.feed(get())
    with pytest.raises(WireError):
        parser.next_event()


def test_what_came_before_a_fault_in_a_body_is_handed_out_first():
    parser = RequestParser(CheckedLimits())
    parser.feed(chunked(b"3\r\nabc\r\nx"))

    parser.next_event()
    assert parser.next_event() == Data(b"abc", last=False)
    assert parser.next_event() is None
    parser.feed(b"\r\n")
    with pytest.raises(WireError):
        parser.next_event()


def test_a_fault_is_found_as_soon_as_its_line_is_there():
    parser = RequestParser(CheckedLimits())
    parser.feed(b"GET / HTTP/2.0\r\nHo")

    with pytest.raises(WireError) as caught:
        parser.next_event()

    assert caught.value.status == 505


def test_an_empty_host_leaves_the_name_to_the_server():
    (head,) = parse(get(host=b"Host:\r\n"))

    assert "HTTP_HOST" not in head.fields


@pytest.mark.parametrize(
    ("raw", "status", "limits"),
    [
        (get(b"/" + b"a" * 90), 414, {"request_line_bytes": 100}),
        (b"GET /" + b"a" * 200, 414, {"request_line_bytes": 100}),
        (get(b"/", b"A: " + b"b" * 90), 431, {"header_bytes": 100}),
        (get()[:-2] + b"A: " + b"b" * 200, 431, {"header_bytes": 100}),
        (get(b"/", b"A: b", b"C: d"), 431, {"header_count": 2}),
        (post(b"", b"Content-Length: 11"), 413, {"body_bytes": 10}),
        (chunked(b"b\r\n"), 413, {"body_bytes": 10}),
        (chunked(b"6\r\nabcdef\r\n5\r\n"), 413, {"body_bytes": 10}),
        (chunked(b"1;" + b"a" * 30), 400, {"chunk_line_bytes": 20}),
        (chunked(b"0\r\nA: bcdefgh\r\n"), 431, {"trailer_bytes": 10}),
        (chunked(b"0\r\nA: " + b"b" * 50), 431, {"trailer_bytes": 10}),
        (chunked(b"0\r\nA: b\r\nC: d\r\n"), 431, {"trailer_count": 1}),
        (chunked(b"1;%s\r\na\r\n" % (b"x" * 900) * 80), 400, {}),
        (b"\r\n" * 40, 400, {}),
    ],
)  # fmt: skip
def test_every_length_has_a_limit(raw, status, limits):
    parser = RequestParser(CheckedLimits.of(**limits))
    parser.feed(raw)

    with pytest.raises(WireError) as caught:
        exhaust(parser)

    assert caught.value.status == status


@pytest.mark.parametrize(
    ("raw", "limits"),
    [
        (get(b"/" + b"a" * 86), {"request_line_bytes": 100}),
        (get(b"/", b"A: " + b"b" * 74), {"header_bytes": 100}),
        (get(b"/", b"A: b"), {"header_count": 2}),
        (post(b"a" * 10, b"Content-Length: 10"), {"body_bytes": 10}),
        (chunked(b"a\r\n0123456789\r\n0\r\n\r\n"), {"body_bytes": 10}),
    ],
)
def test_what_just_fits_is_taken_however_it_is_cut(raw, limits):
    whole = fuzz.events([raw], CheckedLimits.of(**limits))

    assert not isinstance(whole[-1], str), whole
    for place in range(len(raw)):
        assert fuzz.events([raw[:place], raw[place:]], CheckedLimits.of(**limits)) == whole


SHORT = [case for case in CASES if len(case.raw) < 2000]


@pytest.mark.parametrize(
    "limits", [CheckedLimits(), fuzz.TIGHT], ids=["usual limits", "tight limits"]
)
def test_cut_at_every_byte_each_case_gives_the_same_events(limits):
    for case in SHORT:
        whole = fuzz.events([case.raw], limits)
        bytewise = [case.raw[at : at + 1] for at in range(len(case.raw))]
        assert fuzz.events(bytewise, limits) == whole, case
        for place in range(1, len(case.raw), 1 if len(case.raw) < 80 else 7):
            assert fuzz.events([case.raw[:place], case.raw[place:]], limits) == whole, (case, place)


def test_twenty_thousand_random_and_mutated_inputs_do_no_harm():
    assert fuzz.run(20_000, seed=2026) > 500


def test_names_a_client_makes_up_do_not_fill_the_memory():
    for number in range(3000):
        parse(get(b"/", b"X-%d: a" % number, host=HOST))

    assert len(known_names) <= 600


def test_long_names_and_hosts_are_not_remembered_at_all():
    parse(get(b"/", b"X-%s: a" % (b"a" * 60_000), host=HOST))
    parse(get(host=b"Host: a:" + b"0" * 60_000 + b"80\r\n"))

    assert max(map(len, known_names)) <= 64
    assert max(map(len, known_hosts)) <= 64
