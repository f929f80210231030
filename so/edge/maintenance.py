"""The global middleware that answers 503 while the application is down for maintenance.

Testers get in: from an allowed address, or with the cookie that a visit to `/<secret>` sets.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from so.errors import HttpException
from so.http.request import Request
from so.http.response import RedirectResponse, Response
from so.support.maintenance import Maintenance, Notice

COOKIE = "so_maintenance"
TICKET_MINUTES = 12 * 60


class _Down(HttpException):
    def report(self) -> None:
        """Somebody meant it: no line and no traceback in the log for each visitor."""


class RefuseWhileDown:
    """Raises 503 with Retry-After, which the error pages and the JSON form show as any other."""

    def __init__(self, state: Maintenance) -> None:
        self._state = state

    def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
        """Let a request through, hand a tester a ticket, or refuse."""
        notice = self._state.notice()
        if notice is None or notice.lets_address_in(request.ip()):
            return next(request)
        if notice.knows(request.cookie(COOKIE)):
            return next(request)
        if notice.secret and _opens(request, notice):
            return RedirectResponse(request.root() + "/").cookie(
                COOKIE, notice.ticket, minutes=TICKET_MINUTES
            )
        retry = {"Retry-After": str(notice.retry_seconds)}
        raise _Down(notice.message, 503, headers=retry)


def _opens(request: Request, notice: Notice) -> bool:
    given = request.decoded_path().strip("/").encode("utf-8", "replace")
    return hmac.compare_digest(given, notice.secret.encode())
