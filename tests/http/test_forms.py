"""The multipart parser: whole, in drops, at every edge, and in bounded memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so.errors import BadRequestException, PayloadTooLargeException
from so.http.forms import MultipartParser, boundary_of, parse_header
from so.http.settings import HttpSettings

BOUNDARY = b"edge"


def part(name: str, content: bytes, filename: str | None = None, kind: str | None = None) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        head += f'; filename="{filename}"'
    if kind is not None:
        head += f"\r\nContent-Type: {kind}"
    return b"--edge\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--edge--\r\n"


def dripping(data: bytes, size: int) -> Any:
    """A reader that gives at most *size* bytes at a time."""
    stream = io.BytesIO(data)
    return lambda wanted: stream.read(min(wanted, size))


def parse(data: bytes, size: int = 1 << 20, **limits: Any) -> tuple[list[Any], list[Any]]:
    return MultipartParser(dripping(data, size), BOUNDARY, HttpSettings(**limits)).parse()


def contents(files: list[Any]) -> list[tuple[str, str, bytes]]:
    return [(name, file.client_name, file.read()) for name, file in files]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1 << 20])
def test_fields_and_files_come_in_order_however_the_bytes_arrive(size: int) -> None:
    data = body(
        part("a", b"1"),
        part("f", b"\r\n--edg\r\n--ed\x00\xff\r\n", "x.bin", "application/x-thing"),
        part("a", "é\r\n".encode()),
        part("empty", b""),
        part("g", b"-" * 100, "y.txt"),
    )

    fields, files = parse(data, size)

    assert fields == [("a", "1"), ("a", "é\r\n"), ("empty", "")]
    assert contents(files) == [
        ("f", "x.bin", b"\r\n--edg\r\n--ed\x00\xff\r\n"),
        ("g", "y.txt", b"-" * 100),
    ]
    assert files[0][1].client_mime_type == "application/x-thing"


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(
        st.lists(st.sampled_from([b"\r\n", b"--", b"edge", b"\r", b"\n", b"-", b"x", b"\x00"]))
        .map(b"".join)
        .filter(lambda v: b"--edge" not in b"\r\n" + v),
        max_size=5,
    ),
    size=st.integers(1, 40),
)
def test_any_content_without_the_boundary_comes_back_byte_for_byte(
    values: list[bytes], size: int
) -> None:
    data = body(*(part("f", value, "f") for value in values))

    _, files = parse(data, size)

    assert [file.read() for _, file in files] == values


def test_an_empty_file_input_is_left_out_and_an_empty_file_is_not() -> None:
    fields, files = parse(
        body(part("f", b"", ""), part("g", b"", "empty.txt"), part("h", b"x", ""))
    )

    assert fields == []
    assert contents(files) == [("g", "empty.txt", b""), ("h", "file", b"x")]


def test_a_web_archive_that_is_multipart_itself_is_stored_byte_exact() -> None:
    inner = b"--inner\r\nContent-Type: text/html\r\n\r\n<p>\r\n--inner--\r\n"

    _, files = parse(body(part("f", inner, "page.mht", "multipart/related; boundary=inner")))

    assert contents(files) == [("f", "page.mht", inner)]


@pytest.mark.parametrize(
    ("given_", "name"),
    [
        ("plain.txt", "plain.txt"),
        ("C:\\\\temp\\\\a.txt", "a.txt"),
        ('quo\\"ted.txt', 'quo"ted.txt'),
        ("quo%22ted.txt", "quo%22ted.txt"),
        ("naïve.txt", "naïve.txt"),
        ("semi;colon=1.txt", "semi;colon=1.txt"),
    ],
)
def test_file_names_come_as_browsers_write_them(given_: str, name: str) -> None:
    _, files = parse(body(part("f", b"x", given_)))

    assert files[0][1].client_name == name


def test_a_name_in_the_extended_form_is_understood() -> None:
    head = b"Content-Disposition: form-data; name=f; filename*=UTF-8''na%C3%AFve+x.txt"

    _, files = parse(b"--edge\r\n" + head + b"\r\n\r\nx\r\n--edge--")

    assert files[0][1].client_name == "naïve+x.txt"


def test_names_of_fields_may_hold_quotes_and_words_beyond_ascii() -> None:
    fields, _ = parse(body(part("a%22b", b"1"), part("größe", b"2")))

    assert fields == [('a"b', "1"), ("größe", "2")]


def test_a_field_in_another_charset_is_decoded_by_it() -> None:
    fields, _ = parse(body(part("a", b"\xe9", kind="text/plain; charset=iso-8859-1")))

    assert fields == [("a", "é")]


def test_a_preamble_and_an_epilogue_mean_nothing() -> None:
    fields, _ = parse(b"preamble\r\n" + body(part("a", b"1")) + b"epilogue --edge")

    assert fields == [("a", "1")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "before its closing boundary"),
        (b"nothing", "before its closing boundary"),
        (b"--edge", "after a boundary"),
        (b"--edgex\r\n", "not followed by a line end"),
        (b"--edge\r\n", "inside the head|no Content-Disposition"),
        (b"--edge\r\n\r\nx", "no Content-Disposition"),
        (b"--edge\r\nX: y\r\n\r\nx\r\n--edge--", "no Content-Disposition"),
        (b"--edge\r\nno colon\r\n\r\nx", "no colon"),
        (b"--edge\r\nContent-Disp", "inside the head"),
        (part("a", b"x"), "before its closing boundary"),
        (b"--edge\r\nContent-Disposition: form-data; filename=x\r\n\r\n", "with a name"),
    ],
)
def test_a_broken_form_is_a_bad_request_that_says_what_is_wrong(data: bytes, words: str) -> None:
    for size in (1, 1 << 20):
        with pytest.raises(BadRequestException, match=words):
            parse(data, size)


def test_two_hundred_parts_within_the_total_pass_and_one_byte_over_does_not() -> None:
    part_bytes = 60 * 1024
    data = body(*(part(f"p{n}", b"x" * part_bytes) for n in range(200)))
    total = 200 * part_bytes

    fields, _ = parse(data, max_parts=200, max_form_bytes=total)

    assert len(fields) == 200
    with pytest.raises(PayloadTooLargeException, match="max_form_bytes"):
        parse(data, max_parts=200, max_form_bytes=total - 1)
    with pytest.raises(BadRequestException, match="more than 199 parts"):
        parse(data, max_parts=199, max_form_bytes=total)


def test_a_file_one_byte_over_its_limit_is_refused_and_leaves_nothing_behind(
    tmp_path: Any,
) -> None:
    limits = {"max_part_bytes": 1000, "spool_bytes": 10, "upload_dir": str(tmp_path)}

    _, files = parse(body(part("f", b"x" * 1000, "f")), **limits)
    assert files[0][1].size == 1000
    with pytest.raises(PayloadTooLargeException, match="max_part_bytes"):
        parse(body(part("f", b"x" * 1001, "f")), **limits)

    assert len(os.listdir(tmp_path)) == 1
    del files
    assert os.listdir(tmp_path) == []


def test_many_small_files_together_do_not_stay_in_memory_either(tmp_path: Any) -> None:
    data = body(*(part(f"f{n}", b"x" * 100, "f") for n in range(10)))

    _, files = parse(data, spool_bytes=250, upload_dir=str(tmp_path))

    assert len(os.listdir(tmp_path)) == 8
    assert all(file.read() == b"x" * 100 for _, file in files)


def test_an_upload_far_larger_than_memory_allows_costs_little_of_it() -> None:
    # A process of its own, so that nothing else moves the mark of its highest memory.
    script = textwrap.dedent("""
        import resource
        from so.http.forms import MultipartParser
        from so.http.settings import HttpSettings

        size = 120 * 1024 * 1024
        head = b'--edge\\r\\nContent-Disposition: form-data; name="f"; filename="f"\\r\\n\\r\\n'
        left = [size]
        pieces = iter([head])
        end = [b"\\r\\n--edge--\\r\\n"]
        block = b"x" * 65536

        def read(wanted):
            for piece in pieces:
                return piece
            if left[0]:
                left[0] -= len(block)
                return block
            return end.pop() if end else b""

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        before = peak()
        _, files = MultipartParser(read, b"edge", HttpSettings()).parse()
        assert files[0][1].size == size, files
        print(peak() - before)
    """)

    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )

    assert float(found.stdout) < 20


def test_headers_with_parameters_are_read() -> None:
    assert parse_header('Form-Data; Name="a;b"; x=y ; Name=z') == (
        "form-data",
        {"name": "a;b", "x": "y"},
    )
    assert parse_header("text/plain") == ("text/plain", {})
    assert parse_header("") == ("", {})
    assert parse_header("a; b; c=") == ("a", {"c": ""})


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "x; boundary=", 'x; boundary="é"', "x; boundary=" + "a" * 71]
)
def test_a_boundary_must_be_one(kind: str) -> None:
    with pytest.raises(BadRequestException, match="no valid boundary"):
        boundary_of(kind)


def test_a_boundary_may_be_quoted() -> None:
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"
