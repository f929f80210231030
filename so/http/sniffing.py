"""What a file is, told from its content: media type, extension, and the size of a picture.

Names and types that a client claims are never looked at.
"""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

HEAD_BYTES = 4096
_WEBP_LEAST = 30


class Kind(NamedTuple):
    """A media type and the extension that goes with it."""

    mime_type: str
    extension: str


UNKNOWN = Kind("application/octet-stream", "bin")
EMPTY = Kind("application/x-empty", "")
PLAIN = Kind("text/plain", "txt")
IMAGES = frozenset(
    ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff", "image/avif")
)

# (offset, bytes, kind), the first that fits.
_SIGNATURES: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", Kind("image/png", "png")),
    (0, b"\xff\xd8\xff", Kind("image/jpeg", "jpg")),
    (0, b"GIF87a", Kind("image/gif", "gif")),
    (0, b"GIF89a", Kind("image/gif", "gif")),
    (8, b"WEBP", Kind("image/webp", "webp")),
    (8, b"WAVE", Kind("audio/x-wav", "wav")),
    (8, b"AVI ", Kind("video/x-msvideo", "avi")),
    (4, b"ftypavif", Kind("image/avif", "avif")),
    (4, b"ftypheic", Kind("image/heic", "heic")),
    (4, b"ftypqt", Kind("video/quicktime", "mov")),
    (4, b"ftypM4A", Kind("audio/x-m4a", "m4a")),
    (4, b"ftyp", Kind("video/mp4", "mp4")),
    (0, b"BM", Kind("image/bmp", "bmp")),
    (0, b"II*\x00", Kind("image/tiff", "tif")),
    (0, b"MM\x00*", Kind("image/tiff", "tif")),
    (0, b"\x00\x00\x01\x00", Kind("image/x-icon", "ico")),
    (0, b"%PDF-", Kind("application/pdf", "pdf")),
    (0, b"\x1f\x8b", Kind("application/gzip", "gz")),
    (0, b"BZh", Kind("application/x-bzip2", "bz2")),
    (0, b"\xfd7zXZ\x00", Kind("application/x-xz", "xz")),
    (0, b"(\xb5/\xfd", Kind("application/zstd", "zst")),
    (0, b"7z\xbc\xaf'\x1c", Kind("application/x-7z-compressed", "7z")),
    (0, b"Rar!\x1a\x07", Kind("application/x-rar", "rar")),
    (257, b"ustar", Kind("application/x-tar", "tar")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("application/x-ole-storage", "doc")),
    (0, b"SQLite format 3\x00", Kind("application/vnd.sqlite3", "sqlite")),
    (0, b"\x7fELF", Kind("application/x-executable", "elf")),
    (0, b"MZ", Kind("application/x-dosexec", "exe")),
    (0, b"ID3", Kind("audio/mpeg", "mp3")),
    (0, b"\xff\xfb", Kind("audio/mpeg", "mp3")),
    (0, b"OggS", Kind("audio/ogg", "ogg")),
    (0, b"fLaC", Kind("audio/flac", "flac")),
    (0, b"\x1aE\xdf\xa3", Kind("video/webm", "webm")),
    (0, b"{\\rtf", Kind("text/rtf", "rtf")),
    (0, b"wOFF", Kind("font/woff", "woff")),
    (0, b"wOF2", Kind("font/woff2", "woff2")),
)

_OFFICE = "application/vnd.openxmlformats-officedocument."
_ZIPS: tuple[tuple[bytes, Kind], ...] = (
    (b"word/", Kind(_OFFICE + "wordprocessingml.document", "docx")),
    (b"xl/", Kind(_OFFICE + "spreadsheetml.sheet", "xlsx")),
    (b"ppt/", Kind(_OFFICE + "presentationml.presentation", "pptx")),
)
_ODF = {
    b"text": Kind("application/vnd.oasis.opendocument.text", "odt"),
    b"spreadsheet": Kind("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    b"presentation": Kind("application/vnd.oasis.opendocument.presentation", "odp"),
}
_TEXT_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def sniff(head: bytes) -> Kind:
    """The kind of a file that begins with *head* (4 KiB are enough)."""
    if not head:
        return EMPTY
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(head)
    for offset, mark, kind in _SIGNATURES:
        if head.startswith(mark, offset) and not (mark == b"BM" and not _is_bmp(head)):
            return kind
    return _textual(head)


def _is_bmp(head: bytes) -> bool:
    """Two letters are a weak mark: a text may begin with BM too."""
    return len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in (12, 40, 52, 56, 108, 124)


def _zip(head: bytes) -> Kind:
    odf = re.search(rb"mimetypeapplication/vnd\.oasis\.opendocument\.([a-z]+)", head[:200])
    if odf and odf.group(1) in _ODF:
        return _ODF[odf.group(1)]
    if b"[Content_Types].xml" in head or b"_rels/.rels" in head:
        for mark, kind in _ZIPS:
            if mark in head:
                return kind
    return Kind("application/zip", "zip")


def _textual(head: bytes) -> Kind:
    text = _as_text(head)
    if text is None:
        return UNKNOWN
    start = text.lstrip("\ufeff \t\r\n")[:256].lower()
    if start.startswith("<?xml") or start.startswith("<svg"):
        return Kind("image/svg+xml", "svg") if "<svg" in text.lower() else Kind("text/xml", "xml")
    if re.match(r"<!doctype html|<html|<head|<body|<script", start):
        return Kind("text/html", "html")
    if start.startswith("#!"):
        return Kind("text/x-shellscript", "sh")
    if start[:1] in ("{", "[") and _is_json(text, whole=len(head) < HEAD_BYTES):
        return Kind("application/json", "json")
    return Kind("text/csv", "csv") if _is_csv(text) else PLAIN


def _as_text(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "ignore")
    if _TEXT_CONTROL.search(head):
        return None
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character may be cut in two; anything else that is no UTF-8 is an 8-bit text
        # if it is mostly letters, as old spreadsheets export them.
        if error.start >= len(head) - 3:
            return head[: error.start].decode("utf-8")
    high = sum(byte > 127 for byte in head)
    return head.decode("cp1252", "replace") if high * 4 < len(head) else None


def _is_json(text: str, whole: bool) -> bool:
    if not whole:
        return re.match(r'\s*[\[{]\s*(["\[{\]}\-0-9tfn])', text) is not None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_csv(text: str) -> bool:
    """Several lines with one same number of separators."""
    lines = text.splitlines()[:6]
    if len(text) >= HEAD_BYTES:
        lines = lines[:-1] or lines
    if len(lines) < 2:
        return False
    for separator in (";", "\t", ","):
        counts = {re.sub(r'"[^"]*"', "", line).count(separator) for line in lines if line}
        if len(counts) == 1 and counts != {0}:
            return True
    return False


# --- pictures -------------------------------------------------------------------------------------


def dimensions(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height of the picture in *file* (read from its start), None if it is none."""
    head = file.read(_WEBP_LEAST)
    kind = sniff(head).extension
    measure = _MEASURES.get(kind)
    try:
        return None if measure is None else measure(head, file)
    except (struct.error, IndexError):
        return None


def _png(head: bytes, file: BinaryIO) -> tuple[int, int] | None:
    width, height = struct.unpack(">II", head[16:24])
    return (width, height) if head[12:16] == b"IHDR" else None


def _gif(head: bytes, file: BinaryIO) -> tuple[int, int] | None:
    width, height = struct.unpack("<HH", head[6:10])
    return width, height


def _bmp(head: bytes, file: BinaryIO) -> tuple[int, int] | None:
    if struct.unpack_from("<I", head, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", head, 18)
    else:
        width, height = struct.unpack_from("<ii", head, 18)
    return width, abs(height)


def _webp(head: bytes, file: BinaryIO) -> tuple[int, int] | None:
    form = head[12:16]
    if form == b"VP8X":
        return (
            int.from_bytes(head[24:27], "little") + 1,
            int.from_bytes(head[27:30], "little") + 1,
        )
    if form == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if form == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(head: bytes, file: BinaryIO) -> tuple[int, int] | None:
    """Walks the segments to the frame header; gives up after 256 of them."""
    file.seek(2)
    for _ in range(256):
        byte = file.read(1)
        while byte == b"\xff":
            byte = file.read(1)
        if not byte:
            return None
        marker = byte[0]
        length = struct.unpack(">H", file.read(2))[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        if length < 2:
            return None
        file.seek(length - 2, io.SEEK_CUR)
    return None


_MEASURES: dict[str, Callable[[bytes, BinaryIO], tuple[int, int] | None]] = {
    "png": _png,
    "gif": _gif,
    "bmp": _bmp,
    "webp": _webp,
    "jpg": _jpeg,
}
