"""`redirect()`: the ways to say where to.

A target that came from a user must stay on this site: `redirect(url)` and `.to(url)` refuse any
other, `.away(url)` is for those the programmer chose.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from so.errors import OffsiteRedirectError
from so.http.response import RedirectResponse
from so.support.scope import current_scope

INTENDED = "url.intended"


class Redirector:
    """`redirect()` without a URL: the ways to say where to."""

    def __init__(self, status: int = 302) -> None:
        self._status = status

    def to(self, url: str, status: int | None = None) -> RedirectResponse:
        """To a page of this site; OffsiteRedirectError (400) for any other."""
        return RedirectResponse(_onsite(url), status or self._status)

    def away(self, url: str, status: int | None = None) -> RedirectResponse:
        """To any URL: yours, never one that a user typed."""
        return RedirectResponse(url, status or self._status)

    def back(self, fallback: str = "/", status: int | None = None) -> RedirectResponse:
        """To the page the user came from, if it is one of ours."""
        request = _request()
        url = fallback if request is None else request.previous_url(fallback)
        return RedirectResponse(url, status or self._status)

    def route(
        self, name: str, params: Any = None, status: int | None = None, **kw: Any
    ) -> RedirectResponse:
        """To a named route."""
        request = _request()
        if request is None or request.settings.router is None:
            raise RuntimeError("redirect().route() works inside a request only: use away(url)")
        url = request.settings.router.route(name, params, **kw)
        return RedirectResponse(url, status or self._status)

    def intended(self, default: str = "/", status: int | None = None) -> RedirectResponse:
        """To the page that the login interrupted, else *default*."""
        scope = current_scope()
        session = None if scope is None else scope.session
        url = session.pull(INTENDED, None) if session is not None else None
        try:
            return self.to(str(url or default), status)
        except OffsiteRedirectError:
            return self.to(default, status)

    def refresh(self, status: int | None = None) -> RedirectResponse:
        """To this same page."""
        request = _request()
        return RedirectResponse("/" if request is None else request.full_url(), status or 302)


def redirect(url: str | None = None, status: int = 302) -> Any:
    """A redirect to *url* on this site; without one, a Redirector to say where to."""
    redirector = Redirector(status)
    return redirector if url is None else redirector.to(url)


def _request() -> Any:
    scope = current_scope()
    return None if scope is None else scope.request


def _onsite(url: str) -> str:
    """*url* if it stays on this site: a path, or a URL with the host of the request."""
    request = _request()
    if any(ord(character) < 32 for character in url):
        raise OffsiteRedirectError(f"{url!r} has a control character in it and is no URL")
    given = url.strip()
    folded = given.replace("\\", "/")  # browsers read them alike, so that `/\evil` leaves
    try:
        parts = urlsplit(folded)
    except ValueError:
        raise OffsiteRedirectError(f"{url!r} is no URL to redirect to") from None
    if not parts.scheme and not folded.startswith("//"):
        base = "" if request is None else str(request.script_name())
        return given if given.startswith(("/", "#", "?")) and not base else _rooted(base, given)
    own = None if request is None else request.own_hosts()
    if parts.scheme in ("http", "https") and (own is None or parts.netloc.lower() in own):
        return given
    raise OffsiteRedirectError(
        f"the redirect to {url!r} leads off this site: use redirect().away(url) if that is meant"
    )


def _rooted(base: str, path: str) -> str:
    if path.startswith(("#", "?")) or path == base or path.startswith(f"{base}/") and base:
        return path
    return f"{base}/{path.lstrip('/')}"
