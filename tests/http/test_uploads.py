"""Uploaded files: told by their content, named safely, stored nowhere but where they should."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so.errors import UploadError
from so.http.request import Request
from so.http.settings import HttpSettings
from so.http.sniffing import dimensions, sniff
from so.http.uploads import MISSING, PARTIAL, Spool, UploadedFile, safe_name


def png(width: int = 3, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\x00" + b"\x00\x00\x00" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(width: int = 3, height: int = 2) -> bytes:
    app0 = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\x00" + b"\x00" * 9
    comment = b"\xff\xff\xfe" + struct.pack(">H", 4) + b"ab"
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + app0 + comment + frame + b"\xff\xd9"


def gif(width: int = 3, height: int = 2) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x00\x00\x00;"


def bmp(width: int = 3, height: int = 2) -> bytes:
    return b"BM" + struct.pack("<IHHIIii", 58, 0, 0, 54, 40, width, -height) + b"\x00" * 28


def webp(form: bytes, data: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 100) + b"WEBP" + form + struct.pack("<I", 90) + data


def zipped(*names: str) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return memory.getvalue()


WEBP_LOSSY = webp(b"VP8 ", b"\x00" * 6 + struct.pack("<HH", 3, 2) + b"\x00" * 10)
WEBP_LOSSLESS = webp(b"VP8L", b"\x2f" + struct.pack("<I", 2 | 1 << 14) + b"\x00" * 10)
WEBP_EXTENDED = webp(b"VP8X", b"\x00" * 4 + b"\x02\x00\x00" + b"\x01\x00\x00" + b"\x00" * 10)

OFFICE = "application/vnd.openxmlformats-officedocument."

CONTENTS: list[tuple[bytes, str, str]] = [
    (png(), "image/png", "png"),
    (jpeg(), "image/jpeg", "jpg"),
    (gif(), "image/gif", "gif"),
    (bmp(), "image/bmp", "bmp"),
    (WEBP_LOSSY, "image/webp", "webp"),
    (b"%PDF-1.7\n", "application/pdf", "pdf"),
    (zipped("a.txt"), "application/zip", "zip"),
    (zipped(), "application/zip", "zip"),
    (zipped("[Content_Types].xml", "xl/workbook.xml"), OFFICE + "spreadsheetml.sheet", "xlsx"),
    (
        zipped("[Content_Types].xml", "word/document.xml"),
        OFFICE + "wordprocessingml.document",
        "docx",
    ),
    (zipped("[Content_Types].xml", "other"), "application/zip", "zip"),
    (
        b"PK\x03\x04" + b"\x00" * 26 + b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.spreadsheet",
        "ods",
    ),
    (b"\x1f\x8b\x08", "application/gzip", "gz"),
    (b"MZ\x90\x00", "application/x-dosexec", "exe"),
    (b"\x7fELF\x02", "application/x-executable", "elf"),
    (b"hello\nworld\n", "text/plain", "txt"),
    ("größe".encode(), "text/plain", "txt"),
    ("größe".encode("cp1252"), "text/plain", "txt"),
    ("größe".encode("utf-16"), "text/plain", "txt"),
    (b"BM is how this text begins, and a long one at that", "text/plain", "txt"),
    (b"a,b\n1,2\n", "text/csv", "csv"),
    (b"a;b;c\r\n1;2;3\r\n", "text/csv", "csv"),
    (b'a\tb\n"x\ty"\tz\n', "text/csv", "csv"),
    (b'{"a": 1}', "application/json", "json"),
    (b"[1, 2]", "application/json", "json"),
    (b"[not json]", "text/plain", "txt"),
    (b"[" * 3000, "text/plain", "txt"),
    (b"<!DOCTYPE html><p>", "text/html", "html"),
    (b"  <script>alert(1)</script>", "text/html", "html"),
    (b"<?xml version='1.0'?><a/>", "text/xml", "xml"),
    (b"<svg xmlns='x'><script/></svg>", "image/svg+xml", "svg"),
    (b"<?xml version='1.0'?><svg/>", "image/svg+xml", "svg"),
    (b"#!/bin/sh\n", "text/x-shellscript", "sh"),
    (b"\x00\x01\x02\x03", "application/octet-stream", "bin"),
    (b"\xff\xfe\xfd\xff\xf8" * 10, "text/plain", "txt"),
    (bytes(range(128, 256)), "application/octet-stream", "bin"),
    (b"", "application/x-empty", ""),
]


@pytest.mark.parametrize(("content", "mime", "extension"), CONTENTS)
def test_a_file_is_told_by_its_content(content: bytes, mime: str, extension: str) -> None:
    file = UploadedFile.fake("holiday.png", content, "image/png")

    assert (file.mime_type, file.extension) == (mime, extension)
    assert (file.client_extension, file.client_mime_type) == ("png", "image/png")


def test_long_texts_are_told_by_their_beginning() -> None:
    assert sniff((b'{"key": [' + b"1, " * 2000)[:4096]).extension == "json"
    assert sniff((b"a,b\n" * 2000)[:4096]).extension == "csv"
    assert sniff(("x" * 4095 + "é").encode()[:4096]).extension == "txt"
    assert sniff((b"[" + b"x" * 5000)[:4096]).extension == "txt"


@pytest.mark.parametrize(
    "content", [png(), jpeg(), gif(), bmp(), WEBP_LOSSY, WEBP_LOSSLESS, WEBP_EXTENDED]
)
def test_a_picture_has_its_dimensions(content: bytes) -> None:
    file = UploadedFile.fake("x", content)

    assert file.is_image()
    assert file.dimensions() == (3, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        png()[:20],
        png().replace(b"IHDR", b"XXXX"),
        jpeg()[:25],
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00\x00" * 10,
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 500,
        gif()[:8],
        bmp()[:20],
        webp(b"NONE", b"\x00" * 20),
        WEBP_LOSSY[:20],
    ],
)
def test_a_broken_picture_has_none(content: bytes) -> None:
    assert UploadedFile.fake("x", content).dimensions() is None


@given(st.binary(max_size=200))
def test_no_content_brings_the_sniffer_down(content: bytes) -> None:
    for head in (
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"BM",
        b"PK\x03\x04",
        b"RIFF....WEBP",
    ):
        assert sniff(head + content).mime_type.count("/") == 1
        measured = dimensions(io.BytesIO(head + content))
        assert measured is None or len(measured) == 2


def test_a_bitmap_of_the_first_kind_is_measured() -> None:
    old = b"BM" + struct.pack("<IHHIIHH", 30, 0, 0, 26, 12, 3, 2) + b"\x00" * 10

    assert UploadedFile.fake("x", old).dimensions() == (3, 2)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/passwd", "passwd"),
        ("C:\\x\\y.txt", "y.txt"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("...", "file"),
        (".htaccess", "htaccess"),
        ("a\x00b.txt", "a_b.txt"),
        ("a\r\nb.txt", "a_b.txt".replace("_", "__")),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("console.txt", "console.txt"),
        ("trailing. . ", "trailing"),
        ("a:b*c?.txt", "a_b_c_.txt"),
        ("größe.txt", "größe.txt"),
        ("gro\u0308ße.txt", "größe.txt"),
        ("dir/", "file"),
        ("\udcff.txt", "?.txt".replace("?", "_")),
        ("x" * 500 + ".txt", "x" * 196 + ".txt"),
        ("é" * 500, "é" * 100),
        ("a." + "b" * 500, "a." + "b" * 39),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(max_size=300))
def test_every_name_becomes_a_plain_one(name: str) -> None:
    safe = safe_name(name)

    assert safe
    assert safe not in (".", "..")
    assert not set(safe) & set("/\\\x00\r\n")
    assert not safe.startswith(".")
    assert len(safe.encode()) <= 200


def test_a_random_name_has_the_extension_of_the_content() -> None:
    file = UploadedFile.fake("evil.php", png())

    assert file.hash_name().endswith(".png")
    assert file.hash_name() != file.hash_name()
    assert "." not in UploadedFile.fake("x", b"").hash_name()


# --- storing --------------------------------------------------------------------------------------


@pytest.fixture(params=[10**6, 0], ids=["in memory", "on disk"])
def upload(request: pytest.FixtureRequest, tmp_path: Path) -> UploadedFile:
    waiting = tmp_path / "waiting"
    waiting.mkdir()
    found = HttpSettings(
        spool_bytes=request.param,
        upload_dir=str(waiting),
        disks={"local": tmp_path / "disk", "public": tmp_path / "public"},
    )
    return UploadedFile.fake("a.txt", b"content", settings=found)


def test_a_file_is_moved_under_its_own_name_or_another(
    upload: UploadedFile, tmp_path: Path
) -> None:
    target = upload.move(tmp_path / "new" / "folder")

    assert target == tmp_path / "new" / "folder" / "a.txt"
    assert target.read_bytes() == b"content"
    assert upload.path == target
    assert upload.read() == b"content"
    assert not upload.is_valid()
    assert list((tmp_path / "waiting").iterdir()) == []
    assert os.stat(target).st_mode & 0o077 == os.stat(_plain(tmp_path)).st_mode & 0o077
    with pytest.raises(UploadError, match="moved to .* already"):
        upload.move(tmp_path)


def _plain(folder: Path) -> Path:
    path = folder / "plain"
    path.write_bytes(b"")
    return path


def test_a_name_cannot_lead_out_of_the_folder(upload: UploadedFile, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")

    target = upload.move(tmp_path / "in", "../outside.txt")

    assert target == tmp_path / "in" / "outside.txt"
    assert outside.read_text() == "mine"


def test_a_symbolic_link_is_replaced_not_followed(upload: UploadedFile, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").symlink_to(outside)

    target = upload.move(folder)

    assert outside.read_text() == "mine"
    assert not target.is_symlink()
    assert target.read_bytes() == b"content"
    assert [p.name for p in folder.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_written_is_an_upload_error(
    upload: UploadedFile, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    blocked = tmp_path / "blocked"
    (blocked / "a.txt").mkdir(parents=True)

    for folder in (tmp_path / "file", blocked):
        with pytest.raises(UploadError, match="cannot write the upload"):
            upload.move(folder)
    assert [p.name for p in blocked.iterdir()] == ["a.txt"]
    assert upload.is_valid()


def test_a_file_is_stored_on_a_disk_by_its_path_within(
    upload: UploadedFile, tmp_path: Path
) -> None:
    stored = upload.store("avatars")

    assert stored.startswith("avatars/")
    assert (tmp_path / "disk" / stored).read_bytes() == b"content"


def test_a_file_is_stored_under_a_given_name(upload: UploadedFile, tmp_path: Path) -> None:
    assert upload.store_as("2026/01", "../x.txt", "public") == "2026/01/x.txt"
    assert (tmp_path / "public" / "2026/01/x.txt").exists()


@pytest.mark.parametrize("folder", ["..", "../x", "a/../../b", "a\\..\\..\\b"])
def test_a_folder_outside_the_disk_is_refused(upload: UploadedFile, folder: str) -> None:
    with pytest.raises(UploadError, match="leads out of the disk"):
        upload.store(folder)


def test_an_unknown_disk_is_named(upload: UploadedFile) -> None:
    with pytest.raises(UploadError, match="no disk 's3'.*local, public"):
        upload.store("x", "s3")


@pytest.mark.parametrize(("error", "words"), [(PARTIAL, "in part"), (MISSING, "no file"), (9, "9")])
def test_a_file_that_did_not_arrive_cannot_be_moved(error: int, words: str, tmp_path: Path) -> None:
    file = UploadedFile(Spool(10), "a", error=error)

    assert not file.is_valid()
    with pytest.raises(UploadError, match=words):
        file.move(tmp_path)


def test_a_file_is_read_in_pieces_and_again(upload: UploadedFile, tmp_path: Path) -> None:
    assert (upload.read(3), upload.read(), upload.read()) == (b"con", b"tent", b"")
    upload.stream().seek(0)
    assert upload.stream().read() == b"content"
    assert upload.path.read_bytes() == b"content"
    assert (upload.size, repr(upload)) == (7, "<UploadedFile 'a.txt' 7 bytes>")
    assert upload.to_dict() == {"name": "a.txt", "mime_type": "text/plain", "size": 7}
    upload.move(tmp_path / "m")


def test_a_temporary_file_goes_with_the_upload(tmp_path: Path) -> None:
    found = HttpSettings(spool_bytes=3, upload_dir=str(tmp_path))
    file: Any = UploadedFile.fake("a", b"12345", settings=found)

    assert len(list(tmp_path.iterdir())) == 1
    assert file.path.parent == tmp_path
    del file
    assert list(tmp_path.iterdir()) == []


# --- through a request ----------------------------------------------------------------------------


def test_files_of_a_request_are_found_under_their_names(tmp_path: Path) -> None:
    on_disk = tmp_path / "d.txt"
    on_disk.write_text("d")
    request = Request.create(
        "/",
        "POST",
        data={"title": "x", "docs": {"note": "n"}},
        files={
            "photo": ("p.png", png(), "image/png"),
            "list": [b"1", ("two", "2")],
            "docs[a]": ("a.txt", io.BytesIO(b"a")),
            "disk": on_disk,
            "again": UploadedFile.fake("u.txt", "u", "text/plain"),
        },
    )

    photo = request.file("photo")
    assert (photo.client_name, photo.client_mime_type, photo.is_image()) == (
        "p.png",
        "image/png",
        True,
    )
    assert [f.read() for f in request.file("list")] == [b"1", b"2"]
    assert request.file("docs.a").read() == b"a"
    assert request.file("disk").client_name == "d.txt"
    assert request.file("again").read() == b"u"
    assert (request.file("none"), request.file("none", 1)) == (None, 1)
    assert request.has_file("photo")
    assert request.has_file("list")
    assert not request.has_file("title")
    assert request.has("photo", "title")
    assert request.all()["docs"]["note"] == "n"
    assert request.all()["docs"]["a"].read() == b""
    assert set(request.files()) == {"photo", "list", "docs", "disk", "again"}


@pytest.mark.parametrize(
    ("claimed", "name"),
    [
        ("a.txt", "a.txt"),
        (" Grüße 1.txt ", " Grüße 1.txt "),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a/b\\c/d.txt", "d.txt"),
        ("\\\\host\\share\\f.doc", "f.doc"),
        ("C:\\Users\\ann\\b.txt", "b.txt"),
        ("C:b.txt", "b.txt"),
        ("c:", "file"),
        ("a\x00.php\x00.jpg", "a.php.jpg"),
        ("..\x00/..\x1f\\e.txt", "e.txt"),
        ("C\x00:b.txt", "b.txt"),
        ("a\r\nb\x7f\x85.txt", "ab.txt"),
        ("docs/", "docs"),
        ("docs/..", "file"),
        ("..", "file"),
        (".\x00.", "file"),
        ("/", "file"),
        ("", "file"),
        (" \t ", "file"),
        (".hidden", ".hidden"),
        ("ab:c.txt", "ab:c.txt"),
    ],
)
def test_a_claimed_name_is_its_last_part(claimed: str, name: str) -> None:
    assert UploadedFile.fake(claimed).client_name == name
    assert UploadedFile.fake(claimed).to_dict()["name"] == name


@pytest.mark.parametrize("head", ['filename="{}"', "filename*=UTF-8''{}"])
@pytest.mark.parametrize("claimed", ["..%2F..%2Fx.txt", "..\\..\\x.txt", "../../x.txt", "x.txt"])
def test_no_form_of_a_name_brings_a_folder_along(head: str, claimed: str) -> None:
    disposition = f"Content-Disposition: form-data; name=f; {head.format(claimed)}"
    body = f"--b\r\n{disposition}\r\n\r\nx\r\n--b--\r\n".encode()
    kind = {"CONTENT_TYPE": "multipart/form-data; boundary=b"}
    environ = {**kind, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}

    name = Request.create("/", "POST", environ=environ).file("f").client_name

    assert name in ("x.txt", "..%2F..%2Fx.txt")
