"""The middleware `csrf`: a form of another site cannot act in a visitor's name.

A request that changes something passes if the browser says that it comes from a page of ours
(Sec-Fetch-Site, else Origin), or if it carries the session's token: the form field `_token`, or
the header X-CSRF-TOKEN or X-XSRF-TOKEN. Over HTTPS an Origin that is not ours is refused whatever
token comes along. A token in the query string counts for nothing: URLs leak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from so.errors import TokenMismatchException
from so.http.request import Request
from so.http.response import Response
from so.support.scope import current_session

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
FIELD = "_token"
HEADERS = ("X-CSRF-TOKEN", "X-XSRF-TOKEN")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class CsrfSettings:
    """*except_paths*: patterns of paths that check their callers themselves (`webhooks/*`).

    *trusted_origins*: other sites of ours, as `https://shop.example.com`.
    """

    except_paths: tuple[str, ...] = ()
    trusted_origins: tuple[str, ...] = ()


class VerifyCsrf:
    """Answers 419 to what may be forged."""

    def __init__(self, settings: CsrfSettings) -> None:
        self._settings = settings

    def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
        """Let through what is safe or proven ours; TokenMismatchException (419) otherwise."""
        if self._is_harmless(request) or self._is_ours(request):
            return next(request)
        self._keep_input(request)
        raise TokenMismatchException()

    def _is_harmless(self, request: Request) -> bool:
        # Both: the method on the wire, and the one that a form field makes of it.
        if request.real_method in SAFE_METHODS and request.method() in SAFE_METHODS:
            return True
        return bool(self._settings.except_paths) and request.is_(*self._settings.except_paths)

    def _is_ours(self, request: Request) -> bool:
        site = str(request.header("Sec-Fetch-Site") or "").lower()
        if site == "same-origin":
            return True
        origin = request.header("Origin")
        if origin is not None:
            if self._is_own_origin(str(origin), request):
                return True
            if request.is_secure():
                return False
        return _carries_token(request)

    def _is_own_origin(self, origin: str, request: Request) -> bool:
        given = _origin(origin)
        if given is None:
            return False
        own = (str(request.scheme), str(request.host).lower(), int(request.port))
        trusted = (_origin(one) for one in self._settings.trusted_origins)
        return given == own or given in trusted

    @staticmethod
    def _keep_input(request: Request) -> None:
        """What was typed is there again when the form is shown anew, passwords excepted.

        Only in a session that exists: a foreign page must not be able to begin one here.
        """
        session = current_session()
        if session is not None and session.is_stored and not request.expects_json():
            request.flash()


def _carries_token(request: Request) -> bool:
    session = current_session()
    if session is None:
        return False
    given = [request.header(name) for name in HEADERS]
    if not any(given):
        given = [request.post(FIELD)]
    return any(session.token_matches(one) for one in given if one is not None)


def _origin(text: str) -> tuple[str, str, int] | None:
    """(scheme, host, port) of an Origin; None for `null` and for what is none."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port
