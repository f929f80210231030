"""Files as responses: typed, conditional, in ranges, streamed in bounded memory."""

from __future__ import annotations

import io
import mimetypes
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from so.http.conditions import is_other_version, is_same_version
from so.http.headers import Items
from so.http.response import BYTES, Response
from so.http.slices import FileSlice

if TYPE_CHECKING:
    from so.http.request import Request

_RANGE = re.compile(r"([0-9]*)-([0-9]*)", re.ASCII)
_MOST_RANGES = 64  # in one header; who asks for more means no good
_FAR_DIGITS = 20  # digits of a position beyond the end of any file
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f/\ud800-\udfff]")
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]|[%\\?]")
_LONGEST_NAME_BYTES = 255


class FileResponse(Response):
    """The file at a path, opened when the response is made and closed when it was sent."""

    def __init__(
        self,
        path: str | Path,
        status: int = 200,
        headers: Items | None = None,
        save_as: str | None = None,
    ) -> None:
        """*save_as* offers it for download under that name. OSError if it cannot be read."""
        self.path = Path(path)
        self._file = _opened(self.path)
        found = os.fstat(self._file.fileno())
        self.size = found.st_size
        super().__init__("", status, headers)
        if headers is None or "Content-Type" not in Response("", 200, headers).headers:
            self.headers.set("Content-Type", content_type(self.path.name))
        if save_as is not None:
            self.headers.set("Content-Disposition", disposition("attachment", save_as))
        self.headers.setdefault("ETag", f'"{found.st_mtime_ns:x}-{found.st_size:x}"')
        if "Last-Modified" not in self.headers:
            self.last_modified(found.st_mtime)
        self.headers.setdefault("Accept-Ranges", "bytes")
        self.chunks = FileSlice(self._file, 0, self.size)

    def prepare(self, request: Request) -> None:
        """Become 412, 304, 206 or 416 if the request says so."""
        if self.status != 200:
            return
        version = self.headers.get("ETag"), self.headers.get("Last-Modified")
        if is_other_version(request, *version):
            self.set_content("")
            self.status = 412
            return
        if self.not_modified(request):
            return
        self.headers.set("Content-Length", self.size)
        wanted = request.header("Range")
        if wanted is None or request.real_method != "GET":
            return
        condition = request.header("If-Range")
        if condition is None or is_same_version(condition, *version):
            self._cut(wanted)

    def _cut(self, wanted: str) -> None:
        """Send only the range *wanted*; one that is malformed is left unheeded, and so are several
        that do not join into one.
        """
        ranges = read_ranges(wanted, self.size)
        if ranges is None or len(ranges) > 1 or (ranges and not self.size):
            return
        if not ranges:
            self.set_content("")
            self.status = 416
            self.headers.set("Content-Range", f"bytes */{self.size}")
            self.headers.discard("Content-Length")
            return
        [(start, end)] = ranges
        self.status = 206
        self.headers.set("Content-Range", f"bytes {start}-{end}/{self.size}")
        self.headers.set("Content-Length", end - start + 1)
        if isinstance(self.chunks, FileSlice):
            # Not a new slice: the old one would close the file they share as it goes.
            self.chunks.narrow(start, end - start + 1)


def read_ranges(header: str, size: int) -> list[tuple[int, int]] | None:
    """First and last bytes, over *size* bytes, that a Range header asks for (RFC 9110 section 14).

    In order, those that overlap or touch joined; [] to refuse it (416); None to leave it unheeded:
    no bytes, or not by the letter. The end of an empty file is [(0, -1)]: all of it.
    """
    unit, equals, text = header.partition("=")
    parts = [part.strip(" \t") for part in text.split(",")]
    matches = [_RANGE.fullmatch(part) for part in parts if part]
    if unit.lower() != "bytes" or not equals or not matches or len(parts) > _MOST_RANGES:
        return None
    found: list[tuple[int, int]] = []
    for match in matches:
        if match is None or match[1] == match[2] == "":
            return None
        first, last = _number(match[1]), _number(match[2])
        if first is None:
            if last:
                found.append((max(size - last, 0), size - 1))
        elif last is not None and last < first:
            return []
        elif first < size:
            found.append((first, size - 1 if last is None else min(last, size - 1)))
    return _joined(sorted(found))


def _number(digits: str) -> int | None:
    """*digits* as a number, however many there are; beyond any file they are all alike."""
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) < _FAR_DIGITS else int("9" * _FAR_DIGITS)


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined = ranges[:1]
    for first, last in ranges[1:]:
        before = joined[-1]
        if first <= before[1] + 1:
            joined[-1] = (before[0], max(last, before[1]))
        else:
            joined.append((first, last))
    return joined


def _opened(path: Path) -> io.FileIO:
    # Buffering none of it: chunks are larger than any buffer.
    file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed by its slice, after the last byte
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileNotFoundError(f"{path} is not a file")
    return file


def content_type(name: str) -> str:
    """The media type for a file called *name*, with UTF-8 for texts."""
    kind, coding = mimetypes.guess_type(name)
    if kind is None or coding is not None:
        return BYTES
    textual = kind.startswith("text/") or kind in ("application/javascript", "image/svg+xml")
    return f"{kind}; charset=utf-8" if textual else kind


def disposition(kind: str, name: str) -> str:
    """Content-Disposition for a file called *name*, in a form that old and new clients read.

    Control characters and slashes become `_`: no file of any client may have them. What some
    clients read in their own way (quotes, backslashes, %) stands in `filename*` alone (RFC 6266,
    appendix D). A name longer than any file system takes is cut before its extension.
    """
    base = _fitting(_NOT_IN_NAMES.sub("_", name))
    if not base:
        return kind
    plain = _NOT_PLAIN.sub("_", base.replace('"', "'"))
    header = f'{kind}; filename="{plain}"'
    if plain != base:
        header += f"; filename*=UTF-8''{quote(base, safe='')}"
    return header


def _fitting(name: str) -> str:
    """*name* in at most 255 bytes of UTF-8, its extension kept."""
    encoded = name.encode()
    if len(encoded) <= _LONGEST_NAME_BYTES:
        return name
    ending = os.path.splitext(name)[1].encode()[:40]
    kept = encoded[: _LONGEST_NAME_BYTES - len(ending)] + ending
    return kept.decode("utf-8", "ignore")
