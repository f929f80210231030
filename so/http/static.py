"""Files of one folder, served as they are: styles, pictures, downloads.

Middleware that answers GET and HEAD below its prefix when the file is there, and lets every other
request pass. A path is taken segment by segment after decoding; nothing in it can lead out of the
folder, not even a symbolic link. Ranges, ETag and 304 are those of `Response.file`.
`/favicon.ico`, which every browser asks for, is the application's own or ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from so.http.request import Request
from so.http.response import Response
from so.http.router import Router
from so.settings.static import StaticSettings
from so.support.places import shipped

FINGERPRINTED = re.compile(r"[.-][0-9a-f]{8,64}\.[^/]+\Z")
"""A name that holds the hash of its content (`app.3f9ac1d2.css`) never changes its content."""

ONE_YEAR = 31_536_000

_FORBIDDEN = frozenset("/\\\0:")
"""Characters no honest segment holds: separators of some system, NUL, drives and streams."""


class StaticFiles:
    """Serves the files of a folder below a prefix."""

    def __init__(
        self,
        root: str | Path,
        prefix: str = StaticSettings.prefix,
        *,
        max_age_seconds: int = StaticSettings.max_age,
        index: str | None = None,
    ) -> None:
        """Serve *root*; browsers may keep a file for *max_age_seconds* before they ask again.

        *index* is the file that stands for a folder, if any does. Hidden files (`.env`) and what
        lies in hidden folders is never served.
        """
        self.root = Path(root).resolve()
        self.prefix = [part for part in prefix.split("/") if part]
        self.max_age_seconds = max_age_seconds
        self.index = index

    def handle(self, request: Request, next: Callable[[Request], Any]) -> Any:
        """The file the path names, else what *next* answers."""
        response = self.response(request)
        return next(request) if response is None else response

    def response(self, request: Request) -> Response | None:
        """The file the path names; None if it names none, or the method is none for files."""
        if request.real_method not in ("GET", "HEAD"):
            return None
        segments = request.path_segments()[1:]
        if segments[: len(self.prefix)] != self.prefix:
            return None
        path = self.find(segments[len(self.prefix) :])
        return None if path is None else self._answer(path)

    def find(self, segments: Sequence[str]) -> Path | None:
        """The file at *segments* below the root; None if it is not there, or not to be served."""
        if segments and segments[-1] == "":
            segments = [*segments[:-1], self.index or ""]
        if not segments or not all(_is_plain(segment) for segment in segments):
            return None
        try:
            found = self.root.joinpath(*segments).resolve(strict=True)
            is_inside = found.is_relative_to(self.root)
            return found if is_inside and found.is_file() else None
        except (OSError, ValueError, RuntimeError):
            # Too long a name, a folder that may not be read, a circle of links: not there.
            return None

    def _answer(self, path: Path) -> Response | None:
        try:
            response: Response = Response.file(path)
        except OSError:
            return None
        if FINGERPRINTED.search(path.name):
            keep = f"public, max-age={ONE_YEAR}, immutable"
        else:
            keep = f"public, max-age={self.max_age_seconds}"
        response.header("Cache-Control", keep).header("X-Content-Type-Options", "nosniff")
        return response


def _is_plain(segment: str) -> bool:
    return bool(segment) and segment[0] != "." and not _FORBIDDEN & set(segment)


ICON = "/favicon.ico"


class Favicon:
    """Answers for the icon where no route does, so that no list of routes has it."""

    def __init__(self, router: Router, own: Path, max_age_seconds: int) -> None:
        """*own* is the application's icon; it need not be there."""
        self._router, self._own, self._max_age_seconds = router, own, max_age_seconds

    def handle(self, request: Request, next: Callable[[Request], Any]) -> Any:
        """The icon, or what *next* answers."""
        if request.decoded_path != ICON.strip("/") or request.real_method not in ("GET", "HEAD"):
            return next(request)
        if self._router.find("GET", ICON) is not None:
            return next(request)
        return self._icon()

    def _icon(self) -> Response:
        response: Response
        if self._own.is_file():
            response = Response.file(self._own)
        else:
            response = Response(shipped("http/favicon.ico"))
        response.header("Content-Type", "image/x-icon")
        return response.header("Cache-Control", f"public, max-age={self._max_age_seconds}")
