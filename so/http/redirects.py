"""`redirect()`: the ways to say where to.

A target that came from a user must stay on this site: every way but `.away(url)` refuses any other,
and sends the text that was judged (locations.py). Paths go below the prefix of the application.
"""

from __future__ import annotations

from typing import Any

from so.errors import OffsiteRedirectError
from so.http.flash import INTENDED, bring_back
from so.http.locations import onsite
from so.http.response import RedirectResponse
from so.support.current import current
from so.support.scope import current_scope


class Redirector:
    """`redirect()` without a URL: the ways to say where to."""

    def __init__(self, status: int = 302) -> None:
        self._status = status

    def to(self, url: str, status: int | None = None) -> RedirectResponse:
        """To a page of this site; OffsiteRedirectError (400) for any other."""
        return RedirectResponse(onsite(url), status or self._status)

    def away(self, url: str, status: int | None = None) -> RedirectResponse:
        """To any URL: yours, never one that a user typed."""
        return RedirectResponse(url, status or self._status)

    def back(self, fallback: str = "/", status: int | None = None) -> RedirectResponse:
        """To the page the user came from, if it is one of ours."""
        request = _request()
        return self.to(fallback if request is None else request.previous_url(fallback), status)

    def route(
        self, name: str, params: Any = None, status: int | None = None, **kw: Any
    ) -> RedirectResponse:
        """To a named route of the request's router, else of the running application's."""
        request = _request()
        router = None if request is None else request.settings.router
        router = current("router") if router is None else router
        return self.to(router.route(name, params, **kw), status)

    def intended(self, default: str = "/", status: int | None = None) -> RedirectResponse:
        """To the page that the login interrupted, its form as it was sent; else *default*."""
        scope = current_scope()
        session = None if scope is None else scope.session
        url = session.pull(INTENDED, None) if session is not None else None
        if url:
            bring_back(session, str(url))
        try:
            return self.to(str(url or default), status)
        except OffsiteRedirectError:  # its site had another name then
            return self.to(default, status)

    def refresh(self, status: int | None = None) -> RedirectResponse:
        """To this same page."""
        request = _request()
        return self.to("/" if request is None else request.full_url(), status or 302)


def redirect(url: str | None = None, status: int = 302) -> Any:
    """A redirect to *url* on this site; without one, a Redirector to say where to."""
    redirector = Redirector(status)
    return redirector if url is None else redirector.to(url)


def _request() -> Any:
    scope = current_scope()
    return None if scope is None else scope.request
