"""Short words for controllers: `abort(404)`, `redirect().back()`, `response(…)`, `old("name")`.

Those that speak of the request under way take it from the current scope. A target of a redirect
that came from a user must stay on this site: every way but `.away(url)` refuses any other, and
sends the text that was judged (locations.py). Paths go below the prefix of the application.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, overload

from so.errors import (
    AuthenticationException,
    AuthorizationException,
    BadRequestException,
    HttpException,
    MethodNotAllowedException,
    NotFoundException,
    OffsiteRedirectError,
    PayloadTooLargeException,
    ServiceUnavailableException,
    TokenMismatchException,
    TooManyRequestsException,
)
from so.http.flash import INTENDED, bring_back
from so.http.headers import Items
from so.http.locations import onsite
from so.http.request import Request
from so.http.response import JsonResponse, RedirectResponse, Response
from so.support.current import current
from so.support.httpwords import STATUS_LINES
from so.support.markup import Markup, escape, h
from so.support.scope import current_request, current_scope, current_session


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
        request = current_request()
        return self.to(fallback if request is None else request.previous_url(fallback), status)

    def route(
        self, name: str, params: Any = None, status: int | None = None, **kw: Any
    ) -> RedirectResponse:
        """To a named route of the request's router, else of the running application's."""
        request = current_request()
        router = None if request is None else request.settings.router
        router = current("router") if router is None else router
        return self.to(router.route(name, params, **kw), status)

    def intended(self, default: str = "/", status: int | None = None) -> RedirectResponse:
        """To the page that the login interrupted, its form as it was sent; else *default*."""
        session = current_session()
        url = session.pull(INTENDED, None) if session is not None else None
        if url:
            bring_back(session, str(url))
        try:
            return self.to(str(url or default), status)
        except OffsiteRedirectError:  # its site had another name then
            return self.to(default, status)

    def refresh(self, status: int | None = None) -> RedirectResponse:
        """To this same page."""
        request = current_request()
        return self.to("/" if request is None else request.full_url(), status or 302)


@overload
def redirect(url: None = None, status: int = 302) -> Redirector: ...
@overload
def redirect(url: str, status: int = 302) -> RedirectResponse: ...
@overload
def redirect(url: str | None, status: int = 302) -> Redirector | RedirectResponse: ...
def redirect(url: str | None = None, status: int = 302) -> Redirector | RedirectResponse:
    """A redirect to *url* on this site; without one, a Redirector to say where to."""
    redirector = Redirector(status)
    return redirector if url is None else redirector.to(url)


__all__ = [
    "abort",
    "abort_if",
    "abort_unless",
    "back",
    "csrf_field",
    "csrf_token",
    "e",
    "json",
    "method_field",
    "old",
    "redirect",
    "request",
    "response",
]

_EXCEPTIONS: dict[int, type[HttpException]] = {
    cls.default_status: cls
    for cls in (
        BadRequestException,
        AuthenticationException,
        AuthorizationException,
        NotFoundException,
        MethodNotAllowedException,
        PayloadTooLargeException,
        TokenMismatchException,
        TooManyRequestsException,
        ServiceUnavailableException,
    )
}

_METHODS = ("PUT", "PATCH", "DELETE", "POST", "GET")

e = escape


def abort(code: int, message: str = "", headers: Mapping[str, str] | None = None) -> NoReturn:
    """End the request with status *code*; ValueError for what is no status of HTTP."""
    if not isinstance(code, int) or not 100 <= code <= 599:
        raise ValueError(f"abort({code!r}): give a status of HTTP, such as 404")
    words = message or STATUS_LINES.get(code, " ").partition(" ")[2]
    cls = _EXCEPTIONS.get(code)
    if cls is not None:
        raise cls(message, headers=headers)
    raise HttpException(words, code, headers)


def abort_if(
    condition: object, code: int, message: str = "", headers: Mapping[str, str] | None = None
) -> None:
    """`abort` if *condition* holds."""
    if condition:
        abort(code, message, headers)


def abort_unless(
    condition: object, code: int, message: str = "", headers: Mapping[str, str] | None = None
) -> None:
    """`abort` unless *condition* holds."""
    if not condition:
        abort(code, message, headers)


def response(content: Any = "", status: int = 200, headers: Items | None = None) -> Response:
    """A response: text is a page, a dict or list is JSON, bytes are bytes."""
    if isinstance(content, (dict, list)):
        return JsonResponse(content, status, headers)
    return Response(content, status, headers)


def json(data: Any, status: int = 200, headers: Items | None = None) -> JsonResponse:
    """*data* as JSON."""
    return JsonResponse(data, status, headers)


def back(fallback: str = "/", status: int = 302) -> RedirectResponse:
    """To the page the user came from."""
    return Redirector(status).back(fallback)


def request() -> Request:
    """The request under way; RuntimeError outside one."""
    found = current_request()
    if not isinstance(found, Request):
        raise RuntimeError(
            "there is no request here: call this while one is handled, or pass the request along"
        )
    return found


def old(key: str | None = None, default: Any = None) -> Any:
    """The input of the request before, where it was flashed."""
    scope = current_scope()
    if scope is None or scope.session is None:
        return default
    return scope.session.old(key, default)


def csrf_token() -> str:
    """The token that forms of this session must send; a session may show it masked."""
    session = request().session()
    token: str = getattr(session, "csrf_token", session.token)()
    return token


def csrf_field() -> Markup:
    """The hidden field that carries the CSRF token."""
    return h("input", type="hidden", name="_token", value=csrf_token())


def method_field(method: str) -> Markup:
    """The hidden field by which a form means PUT, PATCH or DELETE.

    ValueError for what is no method of HTTP; of the others only these three are obeyed.
    """
    if method.upper() not in _METHODS:
        raise ValueError(f"method_field({method!r}): a form means one of {', '.join(_METHODS)}")
    return h("input", type="hidden", name="_method", value=method.upper())
