"""Files as responses: types, downloads, ranges, conditions."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from so.http.files import FileResponse, content_type, disposition
from so.http.request import Request
from so.http.response import Response
from so.http.router import Router
from tests.http.wsgi import Answer, Client

TEXT = b"0123456789" * 10


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "report.txt"
    path.write_bytes(TEXT)
    os.utime(path, (1768478400, 1768478400))
    return path


def fetch(path: Path, method: str = "GET", **headers: str) -> Answer:
    router = Router()
    router.get("/", lambda: Response.file(path))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(router).request(method, "/", headers=named)


def test_a_file_is_sent_whole_with_all_that_caches_need(file: Path) -> None:
    answer = fetch(file)

    assert (answer.status, answer.body) == (200, TEXT)
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"
    assert answer.header("Content-Length") == "100"
    assert answer.header("Accept-Ranges") == "bytes"
    assert answer.header("Last-Modified") == "Thu, 15 Jan 2026 12:00:00 GMT"
    assert (answer.header("ETag") or "").startswith('"')


def test_a_large_file_is_sent_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(300_000))

    assert fetch(path).body == path.read_bytes()


def test_head_of_a_file_tells_its_length(file: Path) -> None:
    answer = fetch(file, "HEAD", Range="bytes=0-1")

    assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"", "100")


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=90-", 90, 99),
        ("bytes=-10", 90, 99),
        ("bytes=-1000", 0, 99),
        ("bytes=50-1000", 50, 99),
        ("bytes=99-99", 99, 99),
        ("bytes= 5-6", 5, 6),
        ("BYTES=5-6", 5, 6),
        ("bytes=5-6,", 5, 6),
        ("bytes=, ,5-6 ,\t", 5, 6),
        ("bytes=5-" + "9" * 5000, 5, 99),
        ("bytes=-" + "9" * 5000, 0, 99),
        ("bytes=" + "0" * 5000 + "5-6", 5, 6),
        ("bytes=0-3,2-9", 0, 9),
        ("bytes=7-9,0-3,4-6", 0, 9),
        ("bytes=0-9,200-300", 0, 9),
        ("bytes=98-,-1", 98, 99),
    ],
)
def test_a_range_is_sent_alone(file: Path, wanted: str, first: int, last: int) -> None:
    answer = fetch(file, Range=wanted)

    assert answer.status == 206
    assert answer.body == TEXT[first : last + 1]
    assert answer.header("Content-Range") == f"bytes {first}-{last}/100"
    assert answer.header("Content-Length") == str(last - first + 1)


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=100-",
        "bytes=500-600",
        "bytes=-0",
        "bytes=9-1",
        "bytes=" + "9" * 5000 + "-",
        "bytes=100-,200-300,-0",
    ],
)
def test_a_range_outside_the_file_cannot_be_satisfied(file: Path, wanted: str) -> None:
    answer = fetch(file, Range=wanted)

    assert (answer.status, answer.body) == (416, b"")
    assert answer.header("Content-Range") == "bytes */100"


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=-",
        "bytes=a-b",
        "lines=1-2",
        "bytes=0-1,5-6",
        "",
        "bytes=1-2-3",
        "bytes=٣-",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=0 - 1",
        "bytes=+0-1",
        "bytes=0-1;",
        "bytes =0-1",
        "bytes=0-1,lines=1",
        "bytes=0x0-1",
        "seconds=0-1",
        "bytes=" + "0-0," * 99 + "5-5",
        "bytes=0-1, a",
    ],
)
def test_a_range_that_is_malformed_or_manifold_is_left_unheeded(file: Path, wanted: str) -> None:
    assert fetch(file, Range=wanted).status == 200


def test_an_empty_file_has_no_range(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")

    assert fetch(empty).body == b""
    assert fetch(empty, Range="bytes=0-").status == 416
    assert fetch(empty, Range="bytes=-0").status == 416
    # RFC 9110: the last five bytes of nothing are all of it, for which 206 has no words.
    answer = fetch(empty, Range="bytes=-5")
    assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"", "0")


def test_if_range_sends_a_part_of_that_version_only(file: Path) -> None:
    etag = fetch(file).header("ETag") or ""
    when = "Thu, 15 Jan 2026 12:00:00 GMT"

    for same in (etag, when):
        assert fetch(file, Range="bytes=0-1", If_Range=same).status == 206
    for other in ('"other"', f"W/{etag}", "Thu, 15 Jan 2026 11:00:00 GMT", "rubbish"):
        answer = fetch(file, Range="bytes=0-1", If_Range=other)
        assert (answer.status, answer.body) == (200, TEXT)


def test_a_file_the_client_has_is_not_sent_again(file: Path) -> None:
    first = fetch(file)

    by_tag = fetch(file, If_None_Match=first.header("ETag") or "")
    by_date = fetch(file, If_Modified_Since=first.header("Last-Modified") or "")
    assert (by_tag.status, by_tag.body) == (by_date.status, by_date.body) == (304, b"")
    assert fetch(file, If_None_Match=first.header("ETag") or "", Range="bytes=0-1").status == 304
    os.utime(file, (1768478500, 1768478500))
    assert fetch(file, If_None_Match=first.header("ETag") or "").status == 200


def test_a_part_of_another_version_than_the_client_has_is_refused(file: Path) -> None:
    etag = fetch(file).header("ETag") or ""
    when, before = "Thu, 15 Jan 2026 12:00:00 GMT", "Thu, 15 Jan 2026 11:00:00 GMT"

    for tags in (etag, f'"a", {etag}', "*"):
        answer = fetch(file, Range="bytes=0-1", If_Match=tags, If_Unmodified_Since=before)
        assert (answer.status, answer.body) == (206, TEXT[:2])
    assert fetch(file, Range="bytes=0-1", If_Unmodified_Since=when).status == 206
    assert fetch(file, If_Unmodified_Since="rubbish").status == 200
    for headers in (
        {"If_Match": '"a"'},
        {"If_Match": f"W/{etag}"},
        {"If_Unmodified_Since": before},
    ):
        answer = fetch(file, Range="bytes=0-1", **headers)
        assert (answer.status, answer.body) == (412, b"")


def test_a_download_has_a_name(file: Path) -> None:
    response = Response.download(file, "Grüße.txt")

    assert response.headers["Content-Disposition"] == (
        "attachment; filename=\"Gr__e.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt"
    )
    assert "report.txt" in Response.download(file).headers["Content-Disposition"]
    response.close()


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.txt", 'attachment; filename="a.txt"'),
        ('a"b.txt', "attachment; filename=\"a'b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("a\r\nb/c\\d", "attachment; filename=\"a__b_c_d\"; filename*=UTF-8''a__b_c%5Cd"),
    ],
)
def test_the_name_of_a_download_cannot_break_out(name: str, header: str) -> None:
    assert disposition("attachment", name) == header


@pytest.mark.parametrize(
    "name",
    [
        "plain.txt", 'a"b.txt', "a\\b.txt", '";x=\\".txt', "50%20off.pdf", "100%.txt", "a;b=c.txt",
        "a'b''c.txt", "Größe €.txt", "请求.pdf", "🧾 May.pdf", " a .txt", "a,b.txt", "=?u?q?a?=",
        "~!#$&+^`|{}[]().txt", "a?b*c<d>.txt", "UTF-8''x.txt", ".hidden", "...", "é" * 120,
    ],
)  # fmt: skip
def test_a_reader_of_the_header_gets_the_name_of_a_download(name: str) -> None:
    header = disposition("attachment", name)

    assert name_read(header) == name
    assert header.isascii()
    assert header.isprintable()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a\x00b\r\n\x7f\x85.txt", "a_b____.txt"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("x" * 10_000 + ".tar", "x" * 251 + ".tar"),
        ("\udcff.txt", "_.txt"),
    ],
)
def test_what_no_file_can_be_called_is_left_out_of_the_name(name: str, kept: str) -> None:
    assert name_read(disposition("attachment", name)) == kept


def test_a_long_name_keeps_its_extension_and_whole_characters() -> None:
    found = name_read(disposition("attachment", "🧾" * 500 + ".pdf"))

    assert found == "🧾" * 62 + ".pdf"
    assert disposition("attachment", "") == "attachment"


def name_read(header: str) -> str:
    """The name that a client reads in *header* by RFC 6266: `filename*` before `filename`."""
    kind, *texts = re.findall(r'(?:[^;"]|"(?:\\\\.|[^"\\\\])*")+', header)
    params = dict(text.strip().split("=", 1) for text in texts)
    assert (kind, set(params) <= {"filename", "filename*"}) == ("attachment", True)
    plain = params["filename"]
    assert re.fullmatch(r'"[^"%\\\\\x00-\x1f\x7f]*"', plain)  # read alike by all clients
    if "filename*" not in params:
        return plain[1:-1]
    charset, _, value = params["filename*"].split("'")
    assert re.fullmatch(r"(?:%[0-9A-F]{2}|[A-Za-z0-9!#$&+.^_`|~-])+", value)
    return unquote(value, charset, "strict")


def test_a_comma_within_a_tag_parts_nothing() -> None:
    router = Router()
    router.get("/", lambda request: _tagged(request))
    client = Client(router)

    assert client.get("/", headers={"If-None-Match": '"x", W/"a,b"'}).status == 304
    assert client.get("/", headers={"If-None-Match": '"a", "b"'}).status == 200
    assert client.get("/", headers={"If-None-Match": " * "}).status == 304


def _tagged(request: Request) -> Response:
    response = Response("x").etag("a,b")
    response.not_modified(request)
    return response


def test_types_follow_the_name() -> None:
    assert content_type("a.html") == "text/html; charset=utf-8"
    assert content_type("a.png") == "image/png"
    assert content_type("a.svg") == "image/svg+xml; charset=utf-8"
    assert content_type("a.unknown-thing") == "application/octet-stream"
    assert content_type("a.tar.gz") == "application/octet-stream"


def test_headers_may_be_given(file: Path) -> None:
    response = FileResponse(file, headers={"content-type": "x/y", "ETag": '"mine"'})

    assert (response.headers["Content-Type"], response.headers["ETag"]) == ("x/y", '"mine"')
    response.close()


@pytest.mark.parametrize("name", ["none.txt", "."])
def test_what_is_no_file_cannot_be_sent(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError):  # FileNotFoundError or IsADirectoryError
        FileResponse(tmp_path / name)


def test_a_file_under_another_status_is_sent_as_it_is(file: Path) -> None:
    router = Router()
    router.get("/", lambda: FileResponse(file, 404))

    answer = Client(router).get("/", headers={"Range": "bytes=0-1"})

    assert (answer.status, answer.body) == (404, TEXT)


def test_a_file_cut_short_while_it_is_sent_is_no_whole_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from so.http.kernel import Kernel

    path = tmp_path / "shrinking"
    path.write_bytes(b"x" * 200_000)
    router = Router()
    router.get("/", lambda: Response.file(path))
    cut: list[Any] = []
    environ = Request.create("/").environ | {"so.abort": lambda: cut.append(1)}

    chunks = iter(Kernel(router)(environ, lambda status, headers: None))
    next(chunks)
    os.truncate(path, 70_000)
    rest = b"".join(chunks)

    assert len(rest) < 200_000
    assert cut == [1]
    assert "became shorter" in caplog.text


def test_a_long_file_is_left_to_a_server_that_sends_files(tmp_path: Path) -> None:
    from so.http.kernel import Kernel
    from so.support.scope import current_scope

    path = tmp_path / "long"
    path.write_bytes(TEXT * 2000)
    ended: list[Any] = []

    def action() -> Response:
        scope = current_scope()
        assert scope is not None
        scope.on_exit(lambda: ended.append(1))
        return Response.file(path)

    router = Router()
    router.get("/", action)
    handed: list[Any] = []

    def wrapper(file: Any, size: int) -> Any:
        handed.append((file.fileno() > 0, file.tell(), list(ended)))
        return file

    headers = {"Range": "bytes=5-150004"}
    environ = Request.create("/", headers=headers).environ | {"wsgi.file_wrapper": wrapper}
    body: Any = Kernel(router)(environ, lambda status, headers: None)

    assert handed == [(True, 5, [1])]  # and nothing of the application waits for the last byte
    assert body.read() == (TEXT * 2000)[5:150005]
    body.close()


def test_a_short_file_is_read_at_once(file: Path) -> None:
    from so.http.kernel import Kernel

    router = Router()
    router.get("/", lambda: Response.file(file))
    environ = Request.create("/").environ | {"wsgi.file_wrapper": None}

    assert b"".join(Kernel(router)(environ, lambda status, headers: None)) == TEXT
