"""`/favicon.ico`, which every browser asks for: the application's `public/favicon.ico`, else ours.

Middleware, so that no list of routes has it. A route of the application at that path wins.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from so.http.request import Request
from so.http.response import Response
from so.http.router import Router
from so.support.places import shipped

PATH = "/favicon.ico"


class Favicon:
    """Answers for the icon where no route does."""

    def __init__(self, router: Router, own: Path, max_age_seconds: int) -> None:
        """*own* is the application's icon; it need not be there."""
        self._router, self._own, self._max_age_seconds = router, own, max_age_seconds

    def handle(self, request: Request, next: Callable[[Request], Any]) -> Any:
        """The icon, or what *next* answers."""
        if request.decoded_path != PATH.strip("/") or request.real_method not in ("GET", "HEAD"):
            return next(request)
        if self._router.find("GET", PATH) is not None:
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
