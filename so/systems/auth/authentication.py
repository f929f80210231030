"""Logging in as a whole: made once by the application, it opens an `Auth` for each request."""

from __future__ import annotations

from collections.abc import Callable

from so.systems.auth.guard import Auth
from so.systems.auth.logins import Logins
from so.systems.auth.visit import LoginSession, Visit


class Authentication(Logins):
    """Everything about logging in that is the same for all requests, and the door of each."""

    def open(
        self,
        session: LoginSession | None = None,
        *,
        remember_cookie: str | None = None,
        device_cookie: str | None = None,
        address: str | None = None,
        agent: str | None = None,
        bearer: str | None = None,
        remote_user: Callable[[str], str | None] | None = None,
        remembered: Callable[[str], str | None] | None = None,
    ) -> Auth:
        """The `Auth` of one request; without a session nothing outlasts the request.

        *bearer* is the access token that came along; *remote_user(header)* gives the user whom a
        trusted proxy names in that header; *remembered(kind)* the remember-me cookie of another
        kind of users than the application's own.
        """
        visit = Visit(
            session, remember_cookie, device_cookie, address, agent, bearer, remote_user, remembered
        )
        return Auth(self, visit, self.guards.default)
