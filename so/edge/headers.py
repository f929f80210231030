"""The middleware `headers`: what a browser should refuse to do with our pages.

No other site may show a page in a frame and let somebody click what they do not see, no file is
taken for another type than it says, and other sites learn no address of ours. What an action set
itself stays. A stricter Content-Security-Policy is for the application: it knows its scripts.
"""

from __future__ import annotations

from collections.abc import Callable

from so.http.request import Request
from so.http.response import Response

DEFAULTS = {
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'; base-uri 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: redirect().back() needs it within the site.
    "Referrer-Policy": "same-origin",
}


class SafeHeaders:
    """Adds the headers that a response lacks."""

    def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
        """Run the rest, complete its response."""
        response = next(request)
        for name, value in DEFAULTS.items():
            response.headers.setdefault(name, value)
        return response
