"""Who is asking: logging in and out, and knowing the user of this request.

Cookies and headers are read and written by so/edge; what is in a session is known to
so/systems/sessions alone, and met here by what it can do. What is the same for all requests is
in authentication.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from so.errors import AuthenticationException, AuthError, AuthorizationException
from so.support.scope import current_scope
from so.systems.auth.guards import HEADER, SESSION, TOKEN, Guard
from so.systems.auth.security import Security
from so.systems.auth.tokens import IMPERSONATOR, SCOPE_KEY
from so.systems.auth.two_factor import factor_of
from so.systems.auth.visit import LoginSession, Recall, Visit

if TYPE_CHECKING:
    from so.systems.auth.logins import Logins

OWN = "users"  # whose login is beside another's, of the application's own users
ACTING = "(acting)"  # whose login is beside that of the user he acts as
NEEDS_CODE = "two_factor"  # what attempt() answers while the second factor is missing

logger = logging.getLogger("so.auth")


class Auth:
    """The login of one request, by one guard."""

    def __init__(self, service: Logins, visit: Visit, guard: Guard) -> None:
        self._service, self._visit, self._guard = service, visit, guard
        self._user: Any = None
        self._row: Security | None = None
        self._is_known = False
        self._is_recalled = False
        self._is_only_once = False
        self._token: Any = None
        visit.auths[_place(guard)] = self

    def guard(self, name: str | None = None) -> Auth:
        """The login by the guard *name*; AuthError for one there is not."""
        guard = self._service.guards.named(name)
        return self._visit.auths.get(_place(guard)) or Auth(self._service, self._visit, guard)

    @property
    def driver(self) -> str:
        """session, token or header."""
        return self._guard.driver

    # --- who ---

    def user(self, guard: str | None = None) -> Any:
        """The user of this request, or None; that of another *guard* if one is named."""
        if guard is not None:
            return self.guard(guard).user()
        if not self._is_known:
            self._is_known = True
            find = {SESSION: self._from_session, TOKEN: self._from_token, HEADER: self._from_header}
            self._become(find[self._guard.driver]())
        return self._user

    def id(self) -> Any:
        """The user's key, or None."""
        user = self.user()
        return None if user is None else self._service.users_of(user).key_of(user)

    def key(self) -> str | None:
        """The user's name in rows and counters, of its own for each kind of users; None if none."""
        user = self.user()
        return None if user is None else self._service.key_of(user)

    def check(self) -> bool:
        """True if somebody is logged in."""
        return self.user() is not None

    def guest(self) -> bool:
        """True if nobody is."""
        return self.user() is None

    def via_remember(self) -> bool:
        """True if the user came back by a remember-me cookie and has given no password since."""
        self.user()
        return self._is_recalled

    def token(self) -> Any:
        """The access token this request came with, or None."""
        return self._token

    def security(self) -> Security:
        """What is known of the user's login: confirmed address, lock, second factor."""
        user = self.user()
        if user is None:
            return Security()
        if self._row is None:
            self._row = self._service.security_of(user)
        return self._row

    # --- events ---

    def on(self, name: str, fn: Callable[[Any], object]) -> Callable[[Any], object]:
        """Call `fn(event)` after each event *name* of any login (see events.py)."""
        return self._service.events.on(name, fn)

    def listen(self, *given: Any) -> Callable[[Any], object]:
        """Call `fn(event)` after every event; with a name before it, as `on()`."""
        return self._service.events.listen(*given)

    def _fire(self, name: str, user: Any, **details: Any) -> None:
        visit = self._visit
        self._service.events.fire(name, user, address=visit.address, agent=visit.agent, **details)

    # --- logging in ---

    def attempt(self, credentials: Mapping[str, Any], remember: bool = False) -> bool | str:
        """Log in whoever *credentials* name, if the password in them is right.

        `"two_factor"` for a user with a second factor: nobody is logged in until `two_factor()`
        has the code. Raises LockoutException (429) after five failures a minute for the account
        or from the address.
        """
        found = self._verified(credentials)
        if found is None:
            return False
        if factor_of(found) is not None:
            self._wait_for_code(found, remember)
            return NEEDS_CODE
        self.login(found, remember)
        return True

    def validate(self, credentials: Mapping[str, Any]) -> bool:
        """True if *credentials* are right; counted like a login, logs nobody in."""
        return self._verified(credentials) is not None

    def once(self, credentials: Mapping[str, Any]) -> bool:
        """Log in for this request only; never a user with a second factor."""
        found = self._verified(credentials)
        if found is None or factor_of(found) is not None:
            return False
        self.use_once(found)
        return True

    def _verified(self, credentials: Mapping[str, Any]) -> Any:
        visit, users = self._visit, self._users()
        return self._service.find_verified(users, credentials, visit.address, visit.device_cookie)

    def _users(self) -> Any:
        return self._guard.users or self._service.users

    def use_once(self, user: Any, token: Any = None) -> None:
        """Be *user* for this request, whatever the session says."""
        self._is_known = self._is_only_once = True
        self._token = token
        self._become(user)

    def login(self, user: Any, remember: bool = False) -> None:
        """Log *user* in: a new session id, and with *remember* a cookie for this device."""
        self._log_in(user, remember)

    def _log_in(self, user: Any, remember: bool, **passed: Any) -> None:
        service = self._service
        if not service.knows(user):
            raise AuthError(f"{user!r:.60} cannot be logged in: it is no user of any guard")
        session = self._needed_session(service.kind_of(user))
        self._recall(session, service.users_of(user)).forget(session.identity())
        identity = {**self._identity(user, "password"), **passed}
        if remember and service.remember is not None:
            row, cookie = service.remember.begin(service.key_of(user), identity["mark"])
            self._visit.new_cookies[service.kind_of(user)] = cookie
            identity["series"] = row.series
            session.sign_in(identity, series=row.series, remembered_until=row.expires_at)
        else:
            session.sign_in(identity)
        self._settle(user)
        logger.info("login of user %s from %s", service.key_of(user), self._visit.address)
        self._fire("login", user, via="password", new_device=self._meet_device(user))
        after = getattr(service.users_of(user), "after_login", None)
        if callable(after):
            after(user)

    def _meet_device(self, user: Any) -> bool:
        """Give the browser a mark to know it by; True if it has none and there were others."""
        service, visit = self._service, self._visit
        account = service.account(user, {})
        is_known = service.known_device(account, visit.device_cookie) is not None
        if not is_known:
            visit.new_device = service.new_device(account)
        if service.last_logins is None:
            return False
        key = service.key_of(user)
        before = service.last_logins.of(key)
        service.last_logins.note(key, service.clock.now())
        return before is not None and not is_known

    def login_using_id(self, key: Any, remember: bool = False) -> Any:
        """Log in the user with that key → the user, or None if there is none."""
        user = self._users().by_id(key)
        if user is not None:
            self.login(user, remember)
        return user

    def logout(self) -> None:
        """End this session and forget this device; the user's other devices stay."""
        user = self.user()
        self._forget_device()
        if not self._is_only_once:
            self._sign_out(user)
        self._settle(None)
        if user is not None:
            logger.info("logout of user %s", self._service.key_of(user))
            self._fire("logout", user)

    def logout_other_devices(self, password: str) -> bool:
        """End all other sessions and remembered devices; False if *password* is wrong.

        The stored hash is made anew, so that nothing bound to the old one is worth anything:
        access tokens end with it, unless they are kept. Counted like a login.
        """
        user, service = self.user(), self._service
        if user is None:
            raise AuthenticationException()
        if not service.confirms(user, password, self._visit.address):
            return False
        users, key = service.users_of(user), service.key_of(user)
        users.replace_password(user, users.password_of(user), service.hasher.make(password))
        identity = self._keep_up()
        if service.remember is not None:
            service.remember.forget_user(key, keep=(identity or {}).get("series"))
        ended = 0 if self._session is None else self._session.end_others(key)
        logger.info("user %s ended all other sessions", key)
        self._fire("ended", user, sessions=ended, reason="other devices")
        return True

    # --- second factor ---

    def _wait_for_code(self, user: Any, remember: bool) -> None:
        session = self._needed_session()
        if self.user() is not None:
            self.logout()
        until = int(self._service.clock.time() + self._service.terms.two_factor_minutes * 60)
        pending = {**self._identity(user, "password"), "remember": remember, "until": until}
        session.regenerate()
        session.update_identity({"pending": pending})

    def awaits_code(self) -> bool:
        """True between a right password and the second factor."""
        return self._pending() is not None

    def _pending(self) -> Any:
        """The user whose code is waited for, and whether to remember him."""
        found = (self._stored() or {}).get("pending")
        if not isinstance(found, dict) or found["until"] <= self._service.clock.time():
            return None
        user = self._admitted(found)
        return None if user is None else (user, bool(found["remember"]))

    def two_factor(self, code: str) -> bool:
        """Complete a login by *code*, of the app or a recovery code; False if it is wrong.

        Of a user who is logged in already it is noted that the second factor was given. Counted
        like a login.
        """
        waiting, user = self._pending(), self.user()
        if waiting is not None:
            user = waiting[0]
        if user is None or not self._service.takes_code(user, code, self._visit.address):
            return False
        if waiting is not None:
            self._log_in(user, waiting[1], factor=True)
        else:
            self._note(factor=True)
        return True

    def passed_two_factor(self) -> bool:
        """True if this login has given its second factor."""
        return self.user() is not None and (self._stored() or {}).get("factor") is True

    # --- confirmation ---

    def confirm(self, password: str) -> bool:
        """Note that the user has given his password again; False if it is wrong.

        Counted like a login. Who acts as another user can confirm nothing.
        """
        user = self.user()
        if user is None:
            raise AuthenticationException()
        if self.impersonator() is not None or self._is_only_once:
            return False
        if not self._service.confirms(user, password, self._visit.address):
            return False
        self._note(confirmed=int(self._service.clock.time()))
        return True

    def confirmed(self, minutes: float | None = None) -> bool:
        """True if the password was given again within so many *minutes*."""
        within = self._service.terms.confirm_minutes if minutes is None else minutes
        at = (self._stored() or {}).get("confirmed") if self.user() is not None else None
        return isinstance(at, int) and self._service.clock.time() - at < within * 60

    def _note(self, **facts: Any) -> None:
        """Add *facts* to this login, which is worth more now: the session gets a new id."""
        session, identity = self._session, self._stored()
        if session is not None and identity is not None:
            session.regenerate()
            session.update_identity({**identity, **facts})

    # --- impersonation ---

    def impersonate(self, user: Any) -> None:
        """Act as *user* until `stop_impersonating()`; the activity log names both.

        AuthorizationException (403) unless the gate allows it, and for a user who may do more.
        """
        own, session = self.user(), self._needed_session()
        if own is None:
            raise AuthenticationException()
        if self.impersonator() is not None or self._is_only_once:
            raise AuthorizationException("Stop acting as this user before you act as another.")
        self._service.refuse_upwards(own, user)
        by = {key: value for key, value in (self._stored() or {}).items() if key != "series"}
        self._forget_device()
        session.flush()
        # By no other password: the absolute lifetime goes on.
        begun = session.begun()
        session.sign_in({**self._identity(user, "impersonation"), "by": by}, since=begun)
        # A row of his own, by which his login is listed and ended wherever he acts as another.
        session.beside(ACTING).sign_in(by, since=begun)
        self._settle(user)
        self._keep_impersonator(own)
        self._fire("impersonated", user, by=own)

    def impersonator(self) -> Any:
        """Who acts as the user of this request; None if nobody does."""
        if self.user() is None or self._is_only_once:
            return None
        by = (self._stored() or {}).get("by")
        return self._admitted(by) if isinstance(by, dict) else None

    def stop_impersonating(self) -> Any:
        """Be oneself again → the user; None if nobody was impersonated."""
        own, user, session = self.impersonator(), self.user(), self._session
        if own is None or session is None:
            return None
        by = (self._stored() or {})["by"]
        session.flush()
        by |= {"mark": self._service.password_mark(own), "confirmed": None}
        session.sign_in(by, since=session.begun())
        self._settle(own)
        self._keep_impersonator(None)
        self._fire("impersonated", user, by=own, ended=True)
        return own

    @staticmethod
    def _keep_impersonator(user: Any) -> None:
        scope = current_scope()
        if scope is not None:
            scope.data[IMPERSONATOR] = user
            scope.data.pop("activity.context", None)

    # --- the end of the request ---

    def finish(self) -> None:
        """At the end of a request: a password its own user has just changed does not end it."""
        for auth in list(self._visit.auths.values()):
            if auth._user is not None and not auth._is_only_once:
                auth._keep_up()

    def cookie_change(self, kind: str | None = None) -> str | None:
        """What to do about the remember-me cookie of that *kind* of users: a text to set, '' to
        take it back, or None."""
        return self._visit.new_cookies.get(kind)

    def cookie_changes(self) -> Mapping[str | None, str]:
        """The same of every kind of which there is something to do."""
        return self._visit.new_cookies

    def device_change(self) -> str | None:
        """A text to keep in a cookie of this browser for long, or None."""
        return self._visit.new_device

    @property
    def remember_seconds(self) -> int:
        """How long a remember-me cookie is to live."""
        tokens = self._service.remember
        return 0 if tokens is None else tokens.lifetime_seconds

    # --- how ---

    def _settle(self, user: Any) -> None:
        """Be *user* from now on, by the session."""
        for auth in self._visit.auths.values():
            auth._is_known = auth is self
            auth._is_recalled = auth._is_only_once = False
            auth._token = auth._row = None
        self._become(user)
        if user is not None:
            self.stand()

    def _become(self, user: Any) -> None:
        """Be *user*, whom the request is by, unless it is by the user of another guard."""
        scope, others = current_scope(), [a for a in self._visit.auths.values() if a is not self]
        if scope is not None and (
            scope.user is None or all(a._user is not scope.user for a in others)
        ):
            scope.user = user if user is not None or scope.user is self._user else scope.user
        self._user = user

    def stand(self) -> None:
        """Let the request be by the user of this guard."""
        if (scope := current_scope()) is not None:
            scope.user = self.user()

    @property
    def _session(self) -> LoginSession | None:
        return self._session_of(None)

    def _needed_session(self, *kind: str | None) -> LoginSession:
        if self._visit.session is None:
            raise AuthError(
                "nobody can be logged in here: the route has no session. Put it into the "
                "middleware group `web`, or use auth().once()"
            )
        return self._place_of(*kind or (self._kind(),))

    def _place_of(self, kind: str | None) -> LoginSession:
        """Where users of that *kind* are logged in: in the session, or beside those of another."""
        session, whose = self._visit.session, kind or OWN
        assert session is not None
        if session.has_beside(whose):
            return session.beside(whose)
        identity = session.identity()
        is_taken = identity is not None and "id" in identity and identity.get("kind") != kind
        return session.beside(whose) if is_taken else session

    def _identity(self, user: Any, via: str) -> dict[str, Any]:
        service = self._service
        kind = service.kind_of(user)
        identity = {
            "id": service.users_of(user).key_of(user) if kind is None else service.key_of(user),
            "mark": service.password_mark(user),
            "via": via,
        }
        return identity if kind is None else {**identity, "kind": kind}

    def _session_of(self, user: Any) -> LoginSession | None:
        """Where *user* is logged in; of nobody, where users of this guard would be."""
        if self._visit.session is None:
            return None
        return self._place_of(self._kind() if user is None else self._service.kind_of(user))

    def _sign_out(self, user: Any) -> None:
        """End this login, and with the last of them the session."""
        session, own = self._visit.session, self._session_of(user)
        if session is None or own is None:
            return
        if "by" in (own.identity() or {}):
            own.beside(ACTING).sign_out()
        own.sign_out()
        if own is not session and session.identity() is None:
            session.sign_out()

    def _stored(self) -> dict[str, Any] | None:
        return None if self._session is None else self._session.identity()

    def _from_session(self) -> Any:
        identity = self._stored()
        if identity is None or "id" not in identity:
            user = self._recall(self._session).user()
            self._is_recalled = user is not None
            return user
        if identity.get("kind") != self._kind():
            return None  # somebody is logged in, by another guard
        user = self._admitted(identity, keep=True)
        by = identity.get("by")
        if user is not None and by is not None:
            own = self._acting(by)
            user = None if own is None else user
            self._keep_impersonator(own)
        if user is None and self._session is not None:
            self._forget_device()
            self._sign_out(None)
        self._is_recalled = user is not None and identity.get("via") == "remember"
        return user

    def _acting(self, by: Mapping[str, Any]) -> Any:
        """Who acts as the user, while his own login goes on."""
        session = self._session
        goes_on = session is not None and session.beside(ACTING).identity() is not None
        return self._admitted(by) if goes_on else None

    def _kind(self) -> str | None:
        users = self._users()
        return None if users is self._service.users else users.kind()

    def _admitted(self, identity: Mapping[str, Any], keep: bool = False) -> Any:
        """The user *identity* means, unless locked out or with another password since."""
        service, key = self._service, identity.get("id")
        users = service.users
        user = service.with_key(str(key)) if identity.get("kind") else users.by_id(key)
        if user is None:
            return None
        row = service.security_of(user)
        if not service.is_admitted(user, row):
            return None
        if not service.mark_fits(user, identity.get("mark")):
            logger.info("session of user %s ended: the password was changed", key)
            return None
        if keep:
            self._row = row
        return user

    def _from_token(self) -> Any:
        service = self._service
        token = None if service.tokens is None else service.tokens.find(self._visit.bearer)
        owner = None if token is None else service.bearer_of(token)
        wanted = self._guard.users
        if token is None or owner is None or (wanted is not None and not wanted.knows(owner)):
            return None
        self._is_only_once, self._token = True, token
        scope = current_scope()
        if scope is not None:
            scope.data[SCOPE_KEY] = token
        if service.tokens is not None:
            service.tokens.used(token)
        return owner

    def _from_header(self) -> Any:
        ask = self._visit.remote_user
        name = None if ask is None else ask(self._guard.header)
        user = self._users().by_credentials({self._guard.column: name}) if name else None
        if user is None or not self._service.is_admitted(user):
            return None
        self._is_only_once = True
        return user

    def _forget_device(self) -> None:
        """End the series this request came with, and take its cookie back."""
        self._recall(self._session).forget(self._stored())

    def _recall(self, session: LoginSession | None, users: Any = None) -> Recall:
        return Recall(self._service, self._visit, session, users or self._users(), self._identity)

    def _keep_up(self) -> dict[str, Any] | None:
        """Bind this session, under a new id, and this device to the password as it is now."""
        session, user = self._session_of(self._user), self._user
        identity = None if session is None else session.identity()
        if session is None or identity is None or user is None or "id" not in identity:
            return identity
        service = self._service
        if not service.mark_fits(user, identity.get("mark")):
            mark = service.password_mark(user)
            identity = {**identity, "mark": mark}
            session.regenerate()
            session.update_identity(identity)
            if service.remember is not None and identity.get("series"):
                service.remember.mark(identity["series"], mark)
        return identity


def _place(guard: Guard) -> Any:
    """Guards of the same driver and users are one login."""
    return guard.driver, id(guard.users), guard.header
