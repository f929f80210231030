"""One request as its logins see it, and being logged in again by the cookie that it brought."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from so.systems.auth.remember import Presented, RememberTokens, series_of
from so.systems.auth.users import Users

if TYPE_CHECKING:
    from so.systems.auth.logins import Logins

logger = logging.getLogger("so.auth")


class LoginSession(Protocol):
    """What a login needs of a session."""

    def identity(self) -> dict[str, Any] | None: ...
    def sign_in(
        self,
        identity: Mapping[str, Any],
        *,
        series: str | None = None,
        remembered_until: int = 0,
        since: int | None = None,
    ) -> None: ...
    def update_identity(self, identity: Mapping[str, Any]) -> None: ...
    def begun(self) -> int | None: ...
    def sign_out(self) -> None: ...
    def save(self) -> None: ...
    def regenerate(self) -> None: ...
    def flush(self) -> None: ...
    def has_series(self, user_id: Any, series: str) -> bool: ...
    def join_series(self, user_id: Any, series: str) -> bool: ...
    def end_series(self, user_id: Any, series: str) -> None: ...
    def end_others(self, user_id: Any) -> int: ...
    def beside(self, whose: str) -> LoginSession: ...
    def has_beside(self, whose: str) -> bool: ...


@dataclass(slots=True)
class Visit:
    """One request as its logins see it: what came along, and what is to go back."""

    session: LoginSession | None
    remember_cookie: str | None = None
    device_cookie: str | None = None
    address: str | None = None
    agent: str | None = None
    bearer: str | None = None
    remote_user: Callable[[str], str | None] | None = None
    remembered: Callable[[str], str | None] | None = None
    new_cookies: dict[str | None, str] = field(default_factory=dict)
    new_device: str | None = None
    auths: dict[Any, Any] = field(default_factory=dict)

    def came(self, kind: str | None) -> str | None:
        """The remember-me cookie of that *kind* of users, each of which has one of its own."""
        if kind is None:
            return self.remember_cookie
        return None if self.remembered is None else self.remembered(kind)


class Recall:
    """The remembered device of one request."""

    def __init__(
        self,
        service: Logins,
        visit: Visit,
        session: LoginSession | None,
        users: Users,
        identity: Callable[[Any, str], dict[str, Any]],
    ) -> None:
        """*session* is where *users* are logged in."""
        self._service, self._visit, self._identity = service, visit, identity
        self._session, self._users = session, users
        self._kind = None if users is service.users else users.kind()

    def user(self) -> Any:
        """The user whom the cookie brings back, if he is one of ours."""
        visit, tokens = self._visit, self._service.remember
        if self._session is None or tokens is None or visit.new_cookies.get(self._kind) == "":
            return None
        came = visit.came(self._kind)
        if not came:
            return None
        found = tokens.find(came)
        if found is not None and not self._is_ours(found.row.user_id):
            return None  # the cookie of another guard, under a name that is not its own
        user = None if found is None else self._recalled(found, self._session, tokens)
        if user is None:
            visit.new_cookies[self._kind] = ""
        return user

    def _is_ours(self, user_id: str) -> bool:
        kinds = {
            one.kind() for one in self._service.guards.users() if one is not self._service.users
        }
        head, colon, _ = user_id.partition(":")
        return self._kind == (head if colon and head in kinds else None)

    def _recalled(self, found: Presented, session: LoginSession, tokens: RememberTokens) -> Any:
        row = found.row
        if found.state == "stolen":
            logger.warning(
                "a used remember-me cookie of user %s came from %s: series %s ends",
                row.user_id,
                self._visit.address,
                row.series[:8],
            )
            session.end_series(row.user_id, row.series)
            tokens.forget(row.series)
            return None
        # The rows of a series end with it: deleting a user's sessions forgets his devices.
        if self._is_too_old(row.created_at) or not session.has_series(row.user_id, row.series):
            tokens.forget(row.series)
            return None
        user = self._admitted(row.user_id, row.password_mark)
        if user is None:
            tokens.forget(row.series)
            return None
        cookie = tokens.change(row) if found.state == "current" else None
        if cookie is None:
            # Another request of this browser is just being remembered: its answer has the cookies.
            session.join_series(row.user_id, row.series)
            return user
        identity = {**self._identity(user, "remember"), "series": row.series}
        session.sign_in(
            identity, series=row.series, remembered_until=row.expires_at, since=row.created_at
        )
        session.save()
        self._visit.new_cookies[self._kind] = cookie
        return user

    def _admitted(self, user_id: str, mark: str | None) -> Any:
        service = self._service
        user = service.with_key(user_id)
        if user is None or not service.is_admitted(user) or not service.mark_fits(user, mark):
            return None
        return user

    def _is_too_old(self, created_at: int) -> bool:
        limit = int(self._service.terms.absolute_lifetime_minutes * 60)
        return 0 < limit <= self._service.clock.time() - created_at

    def forget(self, identity: dict[str, Any] | None) -> None:
        """End the series this request came with, and take its cookie back."""
        tokens, visit = self._service.remember, self._visit
        if tokens is None:
            return
        cookie = visit.came(self._kind)
        for series in {(identity or {}).get("series"), series_of(cookie)}:
            if series is not None:
                tokens.forget(series)
        if cookie or visit.new_cookies.get(self._kind):
            visit.new_cookies[self._kind] = ""
