"""The global middleware that gives each request its id: in every log line and in the answer.

An id that comes along is kept where the application trusts its proxy to set it; otherwise each
request gets its own, so that nobody writes another's id into our log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from so.http.request import Request
from so.http.response import Response
from so.support.scope import current_scope

HEADER = "X-Request-Id"
_FORM = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """*trust_request_id*: a proxy of ours sets X-Request-Id."""

    trust_request_id: bool = False


class RequestContext:
    """Sets `scope.request_id` and X-Request-Id."""

    def __init__(self, settings: ContextSettings) -> None:
        self._settings = settings

    def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
        """Name the request, run it, name the response."""
        scope = current_scope()
        given = request.header(HEADER) if self._settings.trust_request_id else None
        if scope is not None and given is not None and _FORM.fullmatch(str(given)):
            scope.request_id = str(given)
        response = next(request)
        if scope is not None:
            response.headers.setdefault(HEADER, scope.request_id)
        return response
