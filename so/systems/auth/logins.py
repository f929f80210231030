"""What all logins share: users, passwords, codes, tokens and devices, limits, guards and events.

One login takes it (guard.py), a remembered one does (visit.py), and neither is named here.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from so.errors import AuthError, AuthorizationException, BadSignature, DatabaseError
from so.settings.auth import AuthSettings
from so.settings.session import SessionSettings
from so.support.clock import Clock
from so.support.ids import short_id
from so.support.signing import Signer
from so.systems.auth.events import AuthEvents
from so.systems.auth.guards import Guard, Guards
from so.systems.auth.passwords import PasswordHasher
from so.systems.auth.remember import RememberTokens
from so.systems.auth.security import LastLogins, Security, SecurityRows
from so.systems.auth.throttle import LoginThrottle, account_of
from so.systems.auth.tokens import AccessToken, AccessTokens
from so.systems.auth.two_factor import bare_code, factor_of
from so.systems.auth.users import PASSWORD, Users, type_of

logger = logging.getLogger("so.auth")

MARK, DEVICE = "password-mark", "known-device"  # what these signatures are for
DEVICE_DIGITS = 32
LONGEST_KEY = 64  # characters of the key of a user, as the columns hold them
CODE_SECONDS = 366 * 86_400  # for which a used code is known, whatever was rolled back


def _nobody(impersonator: Any, user: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Terms:
    """What an application has decided about logins.

    *confirm_minutes*: how long a password that was given again counts. *two_factor_minutes*: how
    long the second factor is waited for. *keep_tokens*: access tokens outlast a new password.
    """

    confirm_minutes: float = AuthSettings.confirm_minutes
    two_factor_minutes: float = AuthSettings.two_factor_minutes
    keep_tokens: bool = AuthSettings.keep_tokens
    absolute_lifetime_minutes: float = SessionSettings.absolute_lifetime


class Logins:
    """Everything about logging in that is the same for all requests."""

    def __init__(
        self,
        users: Users,
        *,
        guards: Guards | None = None,
        hasher: PasswordHasher | None = None,
        throttle: LoginThrottle | None = None,
        remember: RememberTokens | None = None,
        tokens: AccessTokens | None = None,
        security: SecurityRows | None = None,
        last_logins: LastLogins | None = None,
        terms: Terms | None = None,
        signer: Signer | None = None,
        legacy_check: Callable[[str, str], bool] | None = None,
        may_impersonate: Callable[[Any, Any], bool] = _nobody,
        clock: Clock | None = None,
    ) -> None:
        """*legacy_check(password, hash)* lets in users of an older system, once each.

        Without *remember* nobody is remembered, without *throttle* nothing is limited, without
        *security* nobody is locked and nobody has a second factor.
        """
        self.users = users
        self.guards = guards or Guards(Guard("session", users=users))
        self.clock = clock or Clock()
        self.hasher = hasher or PasswordHasher()
        self.throttle = throttle or LoginThrottle(None)
        self.remember, self.tokens, self.security = remember, tokens, security
        self.last_logins = last_logins
        self.terms = terms or Terms()
        self.legacy_check = legacy_check
        self.may_impersonate = may_impersonate
        self.events = AuthEvents()
        self._signer = signer

    # --- users, of whichever guard ---

    def users_of(self, user: Any) -> Users:
        """Where *user* comes from."""
        for users in self.guards.users()[1:]:
            if users is not self.users and users.knows(user) and not self.users.knows(user):
                return users
        return self.users

    def knows(self, user: Any) -> bool:
        """True if *user* is a user of one of the guards."""
        return any(users.knows(user) for users in self.guards.users())

    def kind_of(self, user: Any) -> str | None:
        """The name of the kind of *user*; None for the application's own users."""
        return None if self.users_of(user) is self.users else type_of(user)

    def key_of(self, user: Any) -> str:
        """The key under which rows know *user*: of another kind than the usual, `kind:key`."""
        users, kind = self.users_of(user), self.kind_of(user)
        key = users.key_of(user)
        if key is None:
            raise AuthError(f"{user!r} has no key yet: save it first")
        found = str(key) if kind is None else f"{kind}:{key}"
        if len(found) > LONGEST_KEY:
            raise AuthError(f"{found!r} is too long for the key of a user: {LONGEST_KEY} at most")
        return found

    def with_key(self, key: str) -> Any:
        """The user whom `key_of()` calls *key*, or None."""
        for users in self.guards.users()[1:]:
            kind, colon, rest = key.partition(":")
            if colon and users is not self.users and users.kind() == kind:
                return users.by_id(rest)
        return self.users.by_id(key)

    def is_admitted(self, user: Any, security: Security | None = None) -> bool:
        """False for a user who is locked out: by an administrator, or by `can_sign_in()`."""
        if not self.users_of(user).may_sign_in(user):
            return False
        row = security or self.security_of(user)
        return not row.is_locked(self.clock.now())

    def security_of(self, user: Any) -> Security:
        """What is known of the login of *user*."""
        return Security() if self.security is None else self.security.read(self.key_of(user))

    # --- passwords ---

    def find_verified(
        self,
        users: Users,
        credentials: Mapping[str, Any],
        address: str | None,
        device_cookie: str | None = None,
    ) -> Any:
        """The user if *credentials* are right, else None, which is counted.

        Unknown user and wrong password take the same time. Raises LockoutException after too
        many failures.
        """
        user = users.by_credentials(credentials)
        given = credentials.get(PASSWORD) if isinstance(credentials, Mapping) else None
        account = self.account(user, credentials)
        device = self.known_device(account, device_cookie)
        with self._counted(user, account, address, device) as attempt:
            # Asked of an unknown user as well: that must not answer any sooner.
            if self.verify(user, given) and self.is_admitted(user):
                attempt.succeeded()
                return user
        logger.info("failed login for account %s from %s", account[:12], address)
        self.events.fire("failed", user, address=address, account=account[:12])
        return None

    def confirms(self, user: Any, password: object, address: str | None) -> bool:
        """True if *password* is that of *user*, who is logged in; counted like a login."""
        account = self.account(user, {})
        with self._counted(user, account, address, None) as attempt:
            if self.verify(user, password):
                attempt.succeeded()
                return True
        self.events.fire("failed", user, address=address, account=account[:12])
        return False

    def takes_code(self, user: Any, code: object, address: str | None) -> bool:
        """True if *code* is of the second factor of *user*; counted like a login, by itself."""
        account = account_of({"code of": self.key_of(user)})
        with self._counted(user, account, address, None) as attempt:
            factor = factor_of(user)
            if factor is not None and factor.takes(code) and self._is_new(account, code):
                attempt.succeeded()
                return True
        self.events.fire("failed", user, address=address, reason="two_factor")
        return False

    def _is_new(self, account: str, code: object) -> bool:
        """False for a code that was used before, even if that went back with a transaction."""
        return self.throttle.is_first(f"{account}:{bare_code(str(code))}", CODE_SECONDS)

    def account(self, user: Any, credentials: Mapping[str, Any]) -> str:
        """Whom attempts are counted for: the user found, else the name that was given."""
        if user is None:
            return account_of(credentials)
        return account_of({"user": self.key_of(user)})

    def _counted(self, user: Any, account: str, address: str | None, device: str | None) -> Any:
        def locked_out(seconds: int) -> None:
            self.events.fire("lockout", user, address=address, account=account[:12], wait=seconds)

        return self.throttle.attempt(account, address, device, locked_out)

    def verify(self, user: Any, password: object) -> bool:
        """True if *password* is the user's; renews a weak hash that passed. Counts nothing."""
        text = password if isinstance(password, str) else ""
        users = self.users if user is None else self.users_of(user)
        ask = getattr(users, "check", None)
        answer = ask(user, text) if user is not None and callable(ask) else None
        if answer is not None:  # a directory knows the passwords
            return isinstance(password, str) and answer is True
        stored = users.password_of(user) if user is not None else None
        if self._passes(text, stored) and isinstance(password, str):
            if self.hasher.needs_rehash(stored):
                self._renew(user, stored, text)
            return True
        return False

    def _passes(self, password: str, stored: str | None) -> bool:
        if self.hasher.check_level(password, stored):
            return True
        if stored is None or self.legacy_check is None or self.hasher.is_hash(stored):
            return False
        return self.legacy_check(password, stored)

    def _renew(self, user: Any, stored: str | None, password: str) -> None:
        """Hash the same password anew; what is bound to it stays bound."""
        before, hashed = self.password_mark(user), self.hasher.make(password)
        try:
            if not self.users_of(user).replace_password(user, stored, hashed):
                return
        except DatabaseError as error:  # the next login will do it
            logger.warning("the hash of user %s could not be renewed: %s", self.key_of(user), error)
            return
        after = self.password_mark(user)
        if self.remember is not None:
            self.remember.remark(self.key_of(user), before, after)
        if self.tokens is not None:
            self.tokens.remark(type_of(user), self.users_of(user).key_of(user), before, after)

    def password_mark(self, user: Any) -> str:
        """Changes with the user's password, tells nothing about it, and ends sessions by that."""
        stored = self.users_of(user).password_of(user) or ""
        if self._signer is not None:
            return self._signer.mac(stored, MARK)
        return hashlib.sha256(f"{MARK}:{stored}".encode()).hexdigest()

    def mark_fits(self, user: Any, mark: object) -> bool:
        """True if *mark* is of the user's present password, under any key that is accepted."""
        if self._signer is None:
            return mark == self.password_mark(user)
        stored = self.users_of(user).password_of(user) or ""
        return isinstance(mark, str) and self._signer.verify(stored, mark, MARK)

    # --- access tokens ---

    def bearer_of(self, token: AccessToken) -> Any:
        """The user whom *token* lets in; None for one who is gone, locked, or whose password is
        another since (unless tokens are kept)."""
        owner = None if self.tokens is None else self.tokens.owner(token)
        if owner is None or not self.is_admitted(owner):
            return None
        if token.password_mark is not None and not self.terms.keep_tokens:
            return owner if self.mark_fits(owner, token.password_mark) else None
        return owner

    def refuse_upwards(self, impersonator: Any, user: Any) -> None:
        """Raise AuthorizationException unless *impersonator* may act as *user*."""
        if (
            not self.knows(user)
            or not self.is_admitted(user)
            or not (self.may_impersonate(impersonator, user))
        ):
            raise AuthorizationException("You may not act as this user.")

    # --- devices ---

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
