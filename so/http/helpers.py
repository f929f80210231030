"""Short words for controllers: `abort(404)`, `redirect().back()`, `response(…)`, `old("name")`.

Those that speak of the request under way take it from the current scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from so.errors import (
    AuthenticationException,
    AuthorizationException,
    BadRequestException,
    HttpException,
    MethodNotAllowedException,
    NotFoundException,
    PayloadTooLargeException,
    ServiceUnavailableException,
    TokenMismatchException,
    TooManyRequestsException,
)
from so.http.headers import Items
from so.http.redirects import Redirector, redirect
from so.http.request import Request
from so.http.response import JsonResponse, RedirectResponse, Response
from so.support.httpwords import STATUS_LINES
from so.support.markup import Markup, escape, h
from so.support.scope import current_scope

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

e = escape


def abort(code: int, message: str = "", headers: Mapping[str, str] | None = None) -> NoReturn:
    """End the request with status *code*."""
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
    scope = current_scope()
    found = None if scope is None else scope.request
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
    """The hidden field by which a form means PUT, PATCH or DELETE."""
    return h("input", type="hidden", name="_method", value=method.upper())
