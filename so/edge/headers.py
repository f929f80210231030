"""The middleware `headers`: what a browser should refuse to do with our pages.

No other site may show a page in a frame and let somebody click what they do not see, no file is
taken for another type than it says, and other sites learn no address of ours. Over HTTPS a browser
stays with HTTPS. What was answered to somebody who says who he is is kept in no cache. What an
action set itself stays. A stricter Content-Security-Policy is for the application: it knows its
scripts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from so.http.request import Request
from so.http.response import Response
from so.settings.http import HttpLimits

DEFAULTS = {
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'; base-uri 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: redirect().back() needs it within the site.
    "Referrer-Policy": "same-origin",
}
_FIELDS = {name.lower(): (name, value) for name, value in DEFAULTS.items()}


@dataclass(frozen=True, slots=True)
class HeaderSettings:
    """*hsts_seconds*: how long a browser that came by HTTPS comes by nothing else; 0: not told."""

    hsts_seconds: int = HttpLimits.hsts_seconds


class SafeHeaders:
    """Adds the headers that a response lacks."""

    def __init__(self, settings: HeaderSettings) -> None:
        self._hsts_seconds = settings.hsts_seconds

    def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
        """Run the rest, complete its response."""
        response = next(request)
        response.headers.complete_with(_FIELDS)
        if self._hsts_seconds and request.is_secure():
            keep = f"max-age={self._hsts_seconds}"
            response.headers.setdefault("Strict-Transport-Security", keep)
        if request.header("Authorization"):
            response.headers.setdefault("Cache-Control", "no-store, private")
        return response
