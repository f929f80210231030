"""Who is asking: logging in and out, and knowing the user of this request.

`Authentication` is made once by the application and knows users, passwords and limits; it opens
an `Auth` for each request, which joins them to that request's session. Cookies and headers are
read and written by so/edge; what is in a session is known to so/systems/sessions alone, and met
here by what it can do.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from so.errors import AuthenticationException, AuthError, BadSignature
from so.settings.session import SessionSettings
from so.support.clock import Clock
from so.support.ids import short_id
from so.support.scope import current_scope
from so.support.signing import Signer
from so.systems.auth.passwords import PasswordHasher
from so.systems.auth.remember import Presented, RememberTokens, series_of
from so.systems.auth.throttle import LoginThrottle, account_of
from so.systems.auth.users import PASSWORD, Users

logger = logging.getLogger("so.auth")

MARK, DEVICE = "password-mark", "known-device"  # what these signatures are for
DEVICE_DIGITS = 32


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
    def sign_out(self) -> None: ...
    def save(self) -> None: ...
    def has_series(self, user_id: Any, series: str) -> bool: ...
    def join_series(self, user_id: Any, series: str) -> bool: ...
    def end_series(self, user_id: Any, series: str) -> None: ...
    def end_others(self, user_id: Any) -> int: ...


class Authentication:
    """Everything about logging in that is the same for all requests."""

    def __init__(
        self,
        users: Users,
        *,
        hasher: PasswordHasher | None = None,
        throttle: LoginThrottle | None = None,
        remember: RememberTokens | None = None,
        absolute_lifetime_minutes: float = SessionSettings.absolute_lifetime,
        signer: Signer | None = None,
        legacy_check: Callable[[str, str], bool] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """*legacy_check(password, hash)* lets in users of an older system, once each.

        Without *remember* nobody is remembered; without *throttle* this process limits alone.
        """
        self.users = users
        self.clock = clock or Clock()
        self.hasher = hasher or PasswordHasher()
        self.throttle = throttle or LoginThrottle(clock=self.clock)
        self.remember = remember
        self.absolute_seconds = int(absolute_lifetime_minutes * 60)
        self.legacy_check = legacy_check
        self._signer = signer

    def open(
        self,
        session: LoginSession | None = None,
        *,
        remember_cookie: str | None = None,
        device_cookie: str | None = None,
        address: str | None = None,
    ) -> Auth:
        """The `Auth` of one request; without a session nothing outlasts the request."""
        return Auth(self, session, remember_cookie, device_cookie, address)

    def find_verified(
        self, credentials: Mapping[str, Any], address: str | None, device_cookie: str | None = None
    ) -> Any:
        """The user if *credentials* are right, else None; counts the attempt.

        Unknown user and wrong password take the same time. Raises LockoutException after too
        many failures.
        """
        account = account_of(credentials)
        device = self.known_device(account, device_cookie)
        self.throttle.attempting(account, address, device)
        user = self.users.by_credentials(credentials)
        # Asked of an unknown user as well: that must not answer any sooner.
        if self.verify(user, credentials.get(PASSWORD)) and self.users.may_sign_in(user):
            self.throttle.succeeded(account, address, device)
            return user
        logger.info("failed login for account %s from %s", account[:12], address)
        return None

    def verify(self, user: Any, password: object) -> bool:
        """True if *password* is the user's; renews a weak hash that passed."""
        text = password if isinstance(password, str) else ""
        stored = self.users.password_of(user) if user is not None else None
        if self._passes(text, stored) and isinstance(password, str):
            if self.hasher.needs_rehash(stored):
                self.users.replace_password(user, stored, self.hasher.make(text))
            return True
        return False

    def _passes(self, password: str, stored: str | None) -> bool:
        if self.hasher.is_hash(stored):
            return self.hasher.check(password, stored)
        # The same time for users without a password, and for those whose hash is an old one.
        self.hasher.check_nobody(password)
        if stored is None or self.legacy_check is None:
            return False
        return self.legacy_check(password, stored)

    def password_mark(self, user: Any) -> str:
        """Changes with the user's password, tells nothing about it, and ends sessions by that."""
        stored = self.users.password_of(user) or ""
        if self._signer is not None:
            return self._signer.mac(stored, MARK)
        return hashlib.sha256(f"{MARK}:{stored}".encode()).hexdigest()

    def mark_fits(self, user: Any, mark: object) -> bool:
        """True if *mark* is of the user's present password, under any key that is accepted."""
        if self._signer is None:
            return mark == self.password_mark(user)
        stored = self.users.password_of(user) or ""
        return isinstance(mark, str) and self._signer.verify(stored, mark, MARK)

    def known_device(self, account: str, device_cookie: str | None) -> str | None:
        """The name of a device that *account* was logged in from; None for any other cookie."""
        if self._signer is None or not device_cookie:
            return None
        try:
            owner, _, device = self._signer.unsign(device_cookie, DEVICE).partition("-")
        except BadSignature:
            return None
        return device if owner == account[:DEVICE_DIGITS] else None

    def new_device(self, account: str) -> str | None:
        """A cookie by which `known_device()` will know this device of *account*."""
        if self._signer is None:
            return None
        return self._signer.sign(f"{account[:DEVICE_DIGITS]}-{short_id()}", DEVICE)


class Auth:
    """The login of one request."""

    def __init__(
        self,
        service: Authentication,
        session: LoginSession | None,
        remember_cookie: str | None,
        device_cookie: str | None,
        address: str | None,
    ) -> None:
        self._service, self._session = service, session
        self._cookie, self._device, self._address = remember_cookie, device_cookie, address
        self._user: Any = None
        self._is_known = False
        self._is_recalled = False
        self._is_only_once = False
        self._token: Any = None
        self._new_cookie: str | None = None
        self._new_device: str | None = None

    # --- who ---

    def user(self, guard: str | None = None) -> Any:
        """The user of this request, or None; there is one guard, whatever it is called."""
        if not self._is_known:
            self._is_known = True
            self._become(self._from_session() or self._from_cookie())
        return self._user

    def id(self) -> Any:
        """The user's key, or None."""
        user = self.user()
        return None if user is None else self._service.users.key_of(user)

    def check(self) -> bool:
        """True if somebody is logged in."""
        return self.user() is not None

    def guest(self) -> bool:
        """True if nobody is."""
        return self.user() is None

    def has_user(self) -> bool:
        """True if the user is known already, without looking."""
        return self._user is not None

    def via_remember(self) -> bool:
        """True if the user came back by a remember-me cookie and has given no password since."""
        self.user()
        return self._is_recalled

    def token(self) -> Any:
        """The access token this request came with, or None."""
        return self._token

    # --- logging in ---

    def attempt(self, credentials: Mapping[str, Any], remember: bool = False) -> bool:
        """Log in whoever *credentials* name, if the password in them is right.

        Raises LockoutException (429) after five failures a minute for the account or from the
        address.
        """
        found = self._verified(credentials)
        if found is None:
            return False
        self.login(found, remember)
        account = account_of(credentials)
        if self._service.known_device(account, self._device) is None:
            self._new_device = self._service.new_device(account)
        return True

    def validate(self, credentials: Mapping[str, Any]) -> bool:
        """True if *credentials* are right; counted like a login, logs nobody in."""
        return self._verified(credentials) is not None

    def once(self, credentials: Mapping[str, Any]) -> bool:
        """Log in for this request only."""
        found = self._verified(credentials)
        if found is not None:
            self.use_once(found)
        return found is not None

    def _verified(self, credentials: Mapping[str, Any]) -> Any:
        return self._service.find_verified(credentials, self._address, self._device)

    def use_once(self, user: Any, token: Any = None) -> None:
        """Be *user* for this request, whatever the session says."""
        self._is_known = self._is_only_once = True
        self._token = token
        self._become(user)

    def login(self, user: Any, remember: bool = False) -> None:
        """Log *user* in: a new session id, and with *remember* a cookie for this device."""
        session = self._needed_session()
        self._forget_device()
        identity = self._identity(user, "password")
        tokens = self._service.remember
        if remember and tokens is not None:
            row, self._new_cookie = tokens.begin(identity["id"], identity["mark"])
            identity["series"] = row.series
            session.sign_in(identity, series=row.series, remembered_until=row.expires_at)
        else:
            session.sign_in(identity)
        self._is_known, self._is_recalled, self._is_only_once = True, False, False
        self._become(user)
        logger.info("login of user %s from %s", identity["id"], self._address)

    def login_using_id(self, key: Any, remember: bool = False) -> Any:
        """Log in the user with that key → the user, or None if there is none."""
        user = self._service.users.by_id(key)
        if user is not None:
            self.login(user, remember)
        return user

    def logout(self) -> None:
        """End this session and forget this device; the user's other devices stay."""
        user = self.user()
        if user is not None:
            logger.info("logout of user %s", self._service.users.key_of(user))
        self._forget_device()
        if self._session is not None and not self._is_only_once:
            self._session.sign_out()
        self._is_known, self._is_recalled, self._is_only_once = True, False, False
        self._token = None
        self._become(None)

    def logout_other_devices(self, password: str) -> bool:
        """End all other sessions and remembered devices; False if *password* is wrong.

        The stored hash is made anew, so that nothing bound to the old one is worth anything.
        """
        user, service = self.user(), self._service
        if user is None:
            raise AuthenticationException()
        if not service.verify(user, password):
            return False
        old = service.users.password_of(user)
        service.users.replace_password(user, old, service.hasher.make(password))
        key = service.users.key_of(user)
        identity = self._keep_up()
        if service.remember is not None:
            service.remember.forget_user(key, keep=(identity or {}).get("series"))
        if self._session is not None:
            self._session.end_others(key)
        logger.info("user %s ended all other sessions", key)
        return True

    def finish(self) -> None:
        """At the end of a request: a password its own user has just changed does not end it."""
        if self._user is not None and not self._is_only_once:
            self._keep_up()

    def cookie_change(self) -> str | None:
        """What to do about the remember-me cookie: a text to set, '' to take it back, or None."""
        return self._new_cookie

    def device_change(self) -> str | None:
        """A text to keep in a cookie of this browser for long, or None."""
        return self._new_device

    @property
    def remember_seconds(self) -> int:
        """How long a remember-me cookie is to live."""
        tokens = self._service.remember
        return 0 if tokens is None else tokens.lifetime_seconds

    # --- how ---

    def _become(self, user: Any) -> None:
        self._user = user
        scope = current_scope()
        if scope is not None:
            scope.user = user

    def _needed_session(self) -> LoginSession:
        if self._session is None:
            raise AuthError(
                "nobody can be logged in here: the route has no session. Put it into the "
                "middleware group `web`, or use auth().once()"
            )
        return self._session

    def _identity(self, user: Any, via: str) -> dict[str, Any]:
        return {
            "id": self._service.users.key_of(user),
            "mark": self._service.password_mark(user),
            "via": via,
        }

    def _from_session(self) -> Any:
        identity = self._session.identity() if self._session is not None else None
        if identity is None:
            return None
        user = self._admitted(identity.get("id"), identity.get("mark"))
        if user is None and self._session is not None:
            self._forget_device()
            self._session.sign_out()
        self._is_recalled = user is not None and identity.get("via") == "remember"
        return user

    def _admitted(self, key: Any, mark: object) -> Any:
        """The user with that key, unless locked out or with another password since."""
        service = self._service
        user = service.users.by_id(key)
        if user is None or not service.users.may_sign_in(user):
            return None
        if not service.mark_fits(user, mark):
            logger.info("session of user %s ended: the password was changed", key)
            return None
        return user

    def _from_cookie(self) -> Any:
        tokens = self._service.remember
        if not self._cookie or self._session is None or tokens is None or self._new_cookie == "":
            return None
        found = tokens.find(self._cookie)
        user = None if found is None else self._recalled(found, self._session, tokens)
        if user is None:
            self._new_cookie = ""
        return user

    def _recalled(self, found: Presented, session: LoginSession, tokens: RememberTokens) -> Any:
        row = found.row
        if found.state == "stolen":
            logger.warning(
                "a used remember-me cookie of user %s came from %s: series %s ends",
                row.user_id,
                self._address,
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
        self._is_recalled = True
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
        self._new_cookie = cookie
        return user

    def _is_too_old(self, created_at: int) -> bool:
        limit = self._service.absolute_seconds
        return 0 < limit <= self._service.clock.time() - created_at

    def _forget_device(self) -> None:
        """End the series this request came with, and take its cookie back."""
        tokens = self._service.remember
        if tokens is None:
            return
        identity = self._session.identity() if self._session is not None else None
        series = (identity or {}).get("series") or series_of(self._cookie)
        if series is not None:
            tokens.forget(series)
        if self._cookie or self._new_cookie:
            self._new_cookie = ""

    def _keep_up(self) -> dict[str, Any] | None:
        """Bind this session, and this device, to the password as it is now."""
        identity = self._session.identity() if self._session is not None else None
        if identity is None or self._user is None:
            return identity
        service = self._service
        if not service.mark_fits(self._user, identity.get("mark")) and self._session is not None:
            mark = service.password_mark(self._user)
            identity = {**identity, "mark": mark}
            self._session.update_identity(identity)
            if service.remember is not None and identity.get("series"):
                service.remember.mark(identity["series"], mark)
        return identity
