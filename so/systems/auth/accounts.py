"""Accounts: forgotten passwords, confirmed addresses, new passwords, locks.

    accounts().send_reset("ada@example.com")       # the same for everybody, known or not
    user = accounts().reset(token, "a new password")

Every secret in a link is random and stored as its SHA-256 only, or signed; each counts once. How
people are told is handed in by the application: without mail, `bin/sixorbit user:reset-link` prints
what a mail would hold.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from so.errors import (
    AuthError,
    AuthorizationException,
    BadSignature,
    UniqueConstraintError,
    ValidationException,
)
from so.settings.auth import AuthSettings, PasswordSettings
from so.support.current import current
from so.support.ids import token as new_secret
from so.support.scope import current_request
from so.systems.auth.authentication import Authentication
from so.systems.auth.events import AuthEvents
from so.systems.auth.security import SecurityRows, end_of
from so.systems.auth.throttle import LoginThrottle, account_of
from so.systems.auth.users import checked_address, type_of

if TYPE_CHECKING:
    from so.db.manager import ConnectionSource
    from so.support.signing import Signer

VERIFY = "verify-email"  # what these signatures are for
SAME_SECONDS = 0.2  # how long asking for a link takes, whoever is asked about

logger = logging.getLogger("so.auth")


class Post(Protocol):
    """How people are told."""

    def reset(self, user: Any, token: str) -> None:
        """The link by which *user* sets a new password."""
        ...

    def verify(self, user: Any, address: str, token: str) -> None:
        """To *address*: the link that confirms it."""
        ...

    def changed(self, user: Any, old: str, new: str) -> None:
        """To the address *old*: that it is no longer that of *user*."""
        ...


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """*email* is the column with the address. Times are minutes; *history* earlier passwords are
    kept for `not_used()`."""

    email: str = AuthSettings.email
    reset_minutes: float = AuthSettings.reset_minutes
    verify_minutes: float = AuthSettings.verify_minutes
    history: int = PasswordSettings.history


class Accounts:
    """What can be done to an account, for its user and for an administrator."""

    def __init__(
        self,
        db: ConnectionSource,
        authentication: Authentication,
        security: SecurityRows,
        *,
        signer: Signer,
        post: Post,
        throttle: LoginThrottle,
        end_sessions: Callable[[Any], int],
        end_others: Callable[[Any], int],
        rule: Callable[[], Any],
        terms: AccountTerms | None = None,
    ) -> None:
        """*end_sessions(user)* logs out everywhere, *end_others(user)* everywhere but here;
        *rule()* is what a new password must be.
        """
        self._db, self._auth, self._security = db, authentication, security
        self._signer, self._post, self._throttle = signer, post, throttle
        self._end_sessions, self._end_others, self._rule = end_sessions, end_others, rule
        self.terms = terms or AccountTerms()

    @property
    def events(self) -> AuthEvents:
        """Who wants to hear of what happens to accounts."""
        return self._auth.events

    def find(self, email: object) -> Any:
        """The user with that address, or None."""
        return self._auth.users.by_credentials({self.terms.email: email})

    # --- forgotten passwords ---

    def send_reset(self, email: object) -> None:
        """Send the link to whoever has the address *email*, if somebody has.

        Answer and time are the same in any case. Raises LockoutException (429) where an account
        or an address asks too often.
        """
        begun = time.monotonic()
        user = self.find(email)
        self._asked("reset", {"email": email} if user is None else self._name(user))
        try:
            if user is not None and self._auth.is_admitted(user):
                self._post.reset(user, self.reset_token(user))
        except Exception:
            # What went wrong for a known address must not show: it is in the log.
            logger.exception("a link for a new password could not be sent")
        time.sleep(max(0.0, SAME_SECONDS - (time.monotonic() - begun)))

    def _asked(self, what: str, name: Mapping[str, object]) -> None:
        request = current_request()
        self._throttle.asked(what, account_of(name), None if request is None else request.ip())

    def _name(self, user: Any) -> dict[str, str]:
        return {"user": self._auth.key_of(user)}

    def reset_token(self, user: Any) -> str:
        """The secret by which *user* may set a new password once; any earlier one is worthless."""
        key, secret = self._auth.key_of(user), new_secret()
        expires_at = int(self._auth.clock.time() + self.terms.reset_minutes * 60)
        self._forget_resets(key)
        self._db.connection().insert(
            "insert into password_resets (token, user_id, password_mark, expires_at) "
            "values (?, ?, ?, ?)",
            (_hash(secret), key, self._auth.password_mark(user), expires_at),
        )
        return secret

    def can_reset(self, token: object) -> bool:
        """True if *token* is still good for a new password; uses nothing up."""
        return self._user_of_reset(token) is not None

    def reset(self, token: str, password: str) -> Any:
        """Set a new *password* by the *token* of a link → the user.

        Ends all sessions, remembered devices and access tokens. ValidationException for a token
        that is used, too old or none at all, and for a password that will not do.
        """
        user = self._user_of_reset(token)
        if user is None:
            raise _bad_token()
        self.check_password(user, password)
        hashed = self._auth.hasher.make(password)
        # One statement decides: of two requests with the same link one is too late.
        sql = "delete from password_resets where token = ?"
        if self._db.connection().delete(sql, (_hash(token),)) != 1:
            raise _bad_token()
        if not self._replace(user, hashed):
            raise _bad_token()
        self._end_everything(user)
        self.events.fire("password_reset", user)
        return user

    def _user_of_reset(self, token: object) -> Any:
        if not isinstance(token, str) or not token:
            return None
        rows = self._db.connection().select_tuples(
            "select user_id, password_mark, expires_at from password_resets where token = ?",
            (_hash(token),),
            use_read=False,
        )
        if not rows or int(rows[0][2]) <= self._auth.clock.time():
            return None
        user = self._auth.with_key(_text(rows[0][0]))
        if user is None or not self._auth.is_admitted(user):
            return None
        return user if self._auth.mark_fits(user, rows[0][1]) else None

    def _forget_resets(self, key: str) -> None:
        self._db.connection().delete("delete from password_resets where user_id = ?", (key,))

    def prune(self) -> int:
        """Remove the links whose time is over → how many."""
        now = int(self._auth.clock.time())
        sql = "delete from password_resets where expires_at <= ?"
        return self._db.connection().delete(sql, (now,))

    # --- passwords ---

    def check_password(self, user: Any, password: object) -> None:
        """Raise ValidationException unless *password* will do for *user*."""
        faults = self._rule().for_user(user).faults(password)
        if faults:
            texts = [fault.replace(":attribute", "password") for fault in faults]
            raise ValidationException({"password": texts})

    def change_password(self, user: Any, password: str) -> None:
        """Set a new *password* for *user*, by himself or by an administrator.

        Ends every other session, remembered device and access token of the user; of a request
        of his own the session goes on. ValidationException for one that will not do.
        """
        self.check_password(user, password)
        if not self._replace(user, self._auth.hasher.make(password)):
            raise AuthError("the password was changed by somebody else just now: try again")
        self._end_others(user)
        self.events.fire("password_changed", user)

    def _replace(self, user: Any, hashed: str) -> bool:
        users, key = self._auth.users_of(user), self._auth.key_of(user)
        old = users.password_of(user)
        if not users.replace_password(user, old, hashed):
            return False
        self.remember_password(user, old)
        self._security.write(key, password_changed_at=self._auth.clock.now())
        self._forget_resets(key)
        return True

    def _end_everything(self, user: Any) -> None:
        auth, key = self._auth, self._auth.key_of(user)
        self._end_sessions(user)
        if auth.remember is not None:
            auth.remember.forget_user(key)
        if auth.tokens is not None and not auth.terms.keep_tokens:
            auth.tokens.revoke_all(type_of(user), auth.users_of(user).key_of(user))

    def remember_password(self, user: Any, hashed: str | None) -> None:
        """Note an earlier hash of *user*, so that `not_used()` knows it."""
        keep, key = self.terms.history, self._auth.key_of(user)
        if not hashed or not keep or not self._auth.hasher.is_hash(hashed):
            return
        connection = self._db.connection()
        connection.insert(
            "insert into password_history (user_id, password, created_at) values (?, ?, ?)",
            (key, hashed, self._auth.clock.now()),
        )
        too_old = connection.select_tuples(
            "select id from password_history where user_id = ? order by id desc limit 100 offset ?",
            (key, keep),
            use_read=False,
        )
        for (id,) in too_old:
            connection.delete("delete from password_history where id = ?", (id,))

    def has_used(self, user: Any, password: str, count: int) -> bool:
        """True if *password* is one of the last *count* of *user*, the present one included."""
        rows = self._db.connection().select_tuples(
            "select password from password_history where user_id = ? order by id desc limit ?",
            (self._auth.key_of(user), max(0, count - 1)),
            use_read=False,
        )
        hashes = [self._auth.users_of(user).password_of(user), *(row[0] for row in rows)]
        return any(self._auth.hasher.check(password, hashed) for hashed in hashes)

    # --- addresses ---

    def has_verified(self, user: Any) -> bool:
        """True if the address that *user* has now was confirmed."""
        address = self._address(user)
        row = self._auth.security_of(user)
        return bool(address) and row.verified_email == address

    def send_verification(self, user: Any) -> None:
        """Send the link that confirms the address of *user*.

        Raises LockoutException (429) where it is asked for too often.
        """
        address = self._address(user)
        if address and not self.has_verified(user):
            self._asked("verify", self._name(user))
            self._post.verify(user, address, self.verify_token(user))

    def change_email(self, user: Any, address: str) -> None:
        """Let *address* be that of *user* once it is confirmed; until then nothing changes.

        ValidationException for what is no address, LockoutException (429) where it is asked for
        too often.
        """
        address = checked_address(address)
        self._asked("verify", self._name(user))
        if self._is_taken(address, user):
            # Whose it is already is told to nobody; the link would not work.
            logger.info("user %s asked for an address that is taken", self._auth.key_of(user))
            return
        self._post.verify(user, address, self.verify_token(user, address))

    def verify_token(self, user: Any, address: str | None = None) -> str:
        """The signed text of a link that confirms *address* (the present one) for *user*."""
        present = self._address(user)
        content = {
            "user": self._auth.key_of(user),
            "from": present,
            "to": address or present,
            # Whoever takes his account back by a new password ends what a thief has asked for.
            "mark": self._auth.password_mark(user) if address else None,
            "until": int(self._auth.clock.time() + self.terms.verify_minutes * 60),
        }
        return self._signer.sign(_packed(content), VERIFY)

    def verify(self, token: str, user: Any = None) -> Any:
        """Confirm the address of a link → the user, whose address it is from now on.

        ValidationException for a link that is altered, too old, used, or of an address that was
        replaced; AuthorizationException (403) for a link of another than *user*.
        """
        content = self._opened(token)
        owner = self._auth.with_key(content["user"])
        if owner is None or not self._auth.is_admitted(owner):
            raise _bad_link()
        if user is not None and self._auth.key_of(user) != content["user"]:
            raise AuthorizationException("This link belongs to another account.")
        if self._address(owner) != content["from"]:
            raise _bad_link()
        if content["to"] != content["from"]:
            if not self._auth.mark_fits(owner, content.get("mark")):
                raise _bad_link()
            self._move(owner, content["from"], content["to"])
        self._mark_verified(owner, content["to"])
        return owner

    def mark_verified(self, user: Any) -> None:
        """Take the address of *user* as confirmed."""
        self._mark_verified(user, self._address(user))

    def _mark_verified(self, user: Any, address: str) -> None:
        now = self._auth.clock.now()
        self._security.write(self._auth.key_of(user), verified_email=address, verified_at=now)
        self.events.fire("verified", user)

    def _move(self, user: Any, old: str, new: str) -> None:
        if self._is_taken(new, user):
            raise _bad_link()
        try:
            user.force_fill({self.terms.email: new}).save()
        except UniqueConstraintError:  # taken just now
            raise _bad_link() from None
        self._forget_resets(self._auth.key_of(user))
        if old:
            self._post.changed(user, old, new)

    def _opened(self, token: object) -> Mapping[str, Any]:
        try:
            content = _unpacked(self._signer.unsign(str(token), VERIFY))
        except (BadSignature, ValueError):
            raise _bad_link() from None
        if content["until"] <= self._auth.clock.time():
            raise _bad_link()
        return content

    def _address(self, user: Any) -> str:
        value = getattr(user, self.terms.email, None)
        return value if isinstance(value, str) else ""

    # --- locks ---

    def lock(
        self, user: Any, reason: str | None = None, until: datetime | timedelta | None = None
    ) -> None:
        """Keep *user* out, at once and everywhere, until that moment or until `unlock()`.

        AuthError for a moment that is over, TypeError for what is none.
        """
        now = self._auth.clock.now()
        ends = end_of(now, until, "the end of a lock")
        if ends is not None and ends <= now:
            raise AuthError(f"a lock cannot end at {ends}, which is over")
        self._security.write(
            self._auth.key_of(user), locked_at=now, locked_until=ends, lock_reason=reason
        )
        self._end_sessions(user)
        if self._auth.remember is not None:
            self._auth.remember.forget_user(self._auth.key_of(user))
        self._forget_resets(self._auth.key_of(user))
        self.events.fire("locked", user, reason=reason, until=ends)

    def unlock(self, user: Any) -> bool:
        """Let *user* in again; False if nothing kept him out."""
        was_locked = self.is_locked(user)
        self._security.write(
            self._auth.key_of(user), locked_at=None, locked_until=None, lock_reason=None
        )
        if was_locked:
            self.events.fire("unlocked", user)
        return was_locked

    def is_locked(self, user: Any) -> bool:
        """True while a lock of an administrator holds."""
        return self._auth.security_of(user).is_locked(self._auth.clock.now())

    # --- new accounts ---

    def register(self, values: Mapping[str, Any], password: str | None = None) -> Any:
        """A new user with *values* and *password* → the user; without one he can ask for a link.

        Of *values* only what may be mass-assigned is taken, so a form may be handed on; a password
        among them counts where none is given beside them.
        ValidationException for a password that will not do, and for an address that is none or is
        taken.
        """
        users = self._auth.users
        email = checked_address(values.get(self.terms.email))
        rest = {
            key: one for key, one in values.items() if key not in (self.terms.email, users.column)
        }
        user = users.made(rest).force_fill({self.terms.email: email})
        if self._is_taken(email):
            raise self._taken()
        if password is None and users.column in values:
            password = str(values[users.column] or "")
        if password is not None:
            self.check_password(user, password)
        hashed = "" if password is None else self._auth.hasher.make(password)
        try:
            user.force_fill({users.column: hashed}).save()
        except UniqueConstraintError:
            if not self._is_taken(email):
                raise
            raise self._taken() from None  # by another request, just now
        self.events.fire("registered", user)
        return user

    def _is_taken(self, address: str, by_other_than: Any = None) -> bool:
        """True if somebody else has *address*, in whatever capitals a mailbox may be written."""
        alike = getattr(self._auth.users, "alike", lambda by: ())
        found = [self.find(address), *alike({self.terms.email: address})]
        own = None if by_other_than is None else self._auth.key_of(by_other_than)
        return any(one is not None and self._auth.key_of(one) != own for one in found)

    def _taken(self) -> ValidationException:
        return ValidationException({self.terms.email: "This address is taken already."})


class MustVerifyEmail:
    """For a user model: `class User(MustVerifyEmail, Model)`; its users confirm their address."""

    def has_verified_email(self) -> bool:
        """True if the address this user has now was confirmed."""
        return bool(_accounts().has_verified(self))

    def mark_email_as_verified(self) -> None:
        """Take the address as confirmed."""
        _accounts().mark_verified(self)

    def send_email_verification(self) -> None:
        """Send the link that confirms the address."""
        _accounts().send_verification(self)


def _accounts() -> Accounts:
    found: Accounts = current("accounts")
    return found


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, (bytes, bytearray)) else str(value)


def _packed(content: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _unpacked(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def _bad_token() -> ValidationException:
    return ValidationException(
        {"token": "This link was used already, or its time is over. Please ask for a new one."}
    )


def _bad_link() -> ValidationException:
    return ValidationException(
        {"email": "This link was used already, or its time is over. Please ask for a new one."}
    )
