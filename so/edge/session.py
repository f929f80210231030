"""The middleware `session`: opens the request's session and login, and saves them behind it.

Before the action nothing is read; after it, what changed is stored in one go, outside of any
transaction of the action. Cookies are set and taken back here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from so.edge.cookies import CookieSettings
from so.http.request import Request
from so.http.response import Response
from so.support.scope import Scope, current_scope
from so.systems.auth import Auth, Authentication
from so.systems.sessions import Session, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICE_MINUTES = 365 * 24 * 60
_PRIVATE = {"cache-control": ("Cache-Control", "no-store, private"), "vary": ("Vary", "Cookie")}
AUTH = "auth"  # under this name the request's Auth is in scope.data


class StartSession:
    """Gives the request `scope.session` and `auth()`."""

    def __init__(
        self, sessions: Sessions, authentication: Authentication, cookies: CookieSettings
    ) -> None:
        self._sessions, self._authentication, self._cookies = sessions, authentication, cookies

    def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
        """Open, run the rest, save, send the cookies."""
        scope = current_scope()
        if scope is None or scope.session is not None:
            return next(request)
        address, known = request.ip(), known_of(request)
        session = self._sessions.open(
            self._cookies.read(self._cookies.name, request),
            ip_address=address,
            user_agent=known["agent"],
        )
        auth = self._authentication.open(
            session,
            remember_cookie=self._cookies.read(self._cookies.remember_name, request),
            device_cookie=self._cookies.read(self._cookies.device_name, request),
            address=address,
            remembered=lambda kind: self._cookies.read(
                self._cookies.remember_name_of(kind), request
            ),
            **known,
        )
        scope.session, scope.data[AUTH] = session, auth
        response = next(request)
        self._finish(request, response, session, auth, scope)
        return response

    def _finish(
        self, request: Request, response: Response, session: Session, auth: Auth, scope: Scope
    ) -> None:
        auth.finish()
        if is_page(request, response):
            session.note_page(request.full_url())
        session.save()
        has_news = self._send_session(request, response, session)
        has_news |= self._send_remember(request, response, auth)
        if has_news or session.is_stored:
            keep_private(response)
        session.sent()
        if response.is_streamed:
            scope.on_exit(session.save)  # what the body has put by then

    def _send_session(self, request: Request, response: Response, session: Session) -> bool:
        cookies = self._cookies
        change = session.cookie_change(refresh=cookies.minutes > 0)
        if change is not None:
            cookies.write(response, request, cookies.name, change, minutes=cookies.minutes)
        self._send_xsrf(request, response, session, is_due=bool(change))
        return change is not None

    def _send_remember(self, request: Request, response: Response, auth: Auth) -> bool:
        cookies, changes, device = self._cookies, auth.cookie_changes(), auth.device_change()
        for kind, change in changes.items():
            name, minutes = cookies.remember_name_of(kind), auth.remember_seconds / 60
            cookies.write(response, request, name, change, minutes=minutes)
        if device is not None:
            cookies.write(response, request, cookies.device_name, device, minutes=DEVICE_MINUTES)
        return bool(changes) or device is not None

    def _send_xsrf(
        self, request: Request, response: Response, session: Session, is_due: bool
    ) -> None:
        """For scripts that read a cookie and send it back as X-XSRF-TOKEN.

        It goes along with the session's cookie, and where the one that came is out of date.
        """
        name = self._cookies.xsrf_name
        if not name or not session.is_stored:
            return
        given = request.cookie(name)
        if is_due or (given is not None and not session.token_matches(given)):
            value, minutes = session.csrf_token(), self._cookies.minutes
            self._cookies.write_plain(response, request, name, value, minutes)


def is_page(request: Request, response: Response) -> bool:
    """True if a person looks at this response and may want to come back to it."""
    return (
        request.method() == "GET"
        and response.status == 200
        and not request.ajax()
        and str(response.headers.get("Content-Type", "")).startswith("text/html")
    )


def keep_private(response: Response) -> None:
    """No cache may keep what one person was shown, nor hand it to another."""
    response.headers.complete_with(_PRIVATE)
    vary = response.headers.get("Vary")
    if "cookie" not in vary.lower() and vary.strip() != "*":
        response.header("Vary", f"{vary}, Cookie")


def auth_here(authentication: Authentication) -> Auth:
    """The `Auth` of this request; where no session was started, one that outlasts nothing."""
    scope = current_scope()
    if scope is None:
        return authentication.open()
    found: Any = scope.data.get(AUTH)
    if found is None:
        request = scope.request
        known = {} if request is None else {"address": request.ip(), **known_of(request)}
        found = scope.data[AUTH] = authentication.open(**known)
    auth: Auth = found
    return auth


def known_of(request: Request) -> dict[str, Any]:
    """What a request says about who is asking, beside its cookies."""
    return {
        "agent": request.user_agent(),
        "bearer": request.bearer_token(),
        "remote_user": lambda header: remote_user(request, header),
    }


def remote_user(request: Request, header: str) -> str | None:
    """Whom the server or proxy that connected names in *header*, if it is a trusted proxy.

    `REMOTE_USER` is the variable that a server sets, never a header; of a header that came twice
    nothing is believed. The proxy must take the header away from what its clients send.
    """
    if not request.settings.trusts(str(request.environ.get("REMOTE_ADDR") or "")):
        return None
    if header.upper() == "REMOTE_USER":
        found = request.environ.get("REMOTE_USER")
    else:
        found = request.environ.get(f"HTTP_{header.upper().replace('-', '_')}")
    text = str(found or "").strip()
    return None if not text or "," in text else text
