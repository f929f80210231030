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

_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.ASCII)


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
        """Send only the range *wanted*; one that is malformed or manifold is left unheeded."""
        match = _RANGE.fullmatch(wanted)
        if match is None or match.group(1) == match.group(2) == "":
            return
        start, end = _bounds(match.group(1), match.group(2), self.size)
        if start is None:
            self.set_content("")
            self.status = 416
            self.headers.set("Content-Range", f"bytes */{self.size}")
            self.headers.discard("Content-Length")
            return
        self.status = 206
        self.headers.set("Content-Range", f"bytes {start}-{end}/{self.size}")
        self.headers.set("Content-Length", end - start + 1)
        if isinstance(self.chunks, FileSlice):
            # Not a new slice: the old one would close the file they share as it goes.
            self.chunks.narrow(start, end - start + 1)


def _opened(path: Path) -> io.FileIO:
    # Buffering none of it: chunks are larger than any buffer.
    file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed by its slice, after the last byte
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileNotFoundError(f"{path} is not a file")
    return file


def _bounds(first: str, last: str, size: int) -> tuple[int, int] | tuple[None, int]:
    """First and last byte of a range over *size* bytes; None if it lies outside."""
    if first == "":
        length = min(int(last), size)
        return (size - length, size - 1) if length else (None, 0)
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    return (start, end) if start < size and start <= end else (None, 0)


def content_type(name: str) -> str:
    """The media type for a file called *name*, with UTF-8 for texts."""
    kind, coding = mimetypes.guess_type(name)
    if kind is None or coding is not None:
        return BYTES
    textual = kind.startswith("text/") or kind in ("application/javascript", "image/svg+xml")
    return f"{kind}; charset=utf-8" if textual else kind


def disposition(kind: str, name: str) -> str:
    """Content-Disposition for a file called *name*, in a form that old and new clients read."""
    base = re.sub(r"[\x00-\x1f\x7f/\\]", "_", name)
    plain = base.encode("ascii", "replace").decode().replace('"', "'").replace("?", "_")
    header = f'{kind}; filename="{plain}"'
    if plain != base:
        header += f"; filename*=UTF-8''{quote(base, safe='', errors='replace')}"
    return header
