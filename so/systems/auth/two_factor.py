"""The second factor of a login: codes of an authenticator app, and recovery codes.

    class User(TwoFactor, Model): ...

    made = user.two_factor().start()            # made.secret, made.url, made.qr (an SVG)
    codes = user.two_factor().confirm("123456") # ten recovery codes, shown now and never again

A code counts in its own 30 seconds and in those before and after, and only once. A secret must
be read again to compute codes, so it is encrypted where the application has a cipher; without
one it is only signed, which hides nothing and which `bin/sixorbit check` names.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from so.errors import AuthError, BadSignature
from so.support.current import current
from so.support.markup import Markup
from so.systems.auth import qr, totp

if TYPE_CHECKING:
    from collections.abc import Callable

    from so.db.manager import ConnectionSource
    from so.support.signing import Signer
    from so.systems.auth.events import AuthEvents
    from so.systems.auth.security import SecurityRows

RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 80 bits: no list of hashes gives such a code away
SEALED, SIGNED = "enc:", "sig:"
PURPOSE = "two-factor"


class Enrolment(NamedTuple):
    """What a user needs to set up an app: *secret* to type, *url*, and *qr*, the SVG to scan."""

    secret: str
    url: str
    qr: Markup

    @property
    def otpauth(self) -> str:
        """The URL, by the name of its scheme."""
        return self.url

    @property
    def svg(self) -> Markup:
        """The QR code."""
        return self.qr


@dataclass(frozen=True, slots=True)
class TwoFactors:
    """Second factors of one application.

    *key_of(user)* names users in rows, *name_of(user)* in apps; *issuer* is the application's
    name there. *cipher* has `encrypt(text)` and `decrypt(text)`.
    """

    db: ConnectionSource
    security: SecurityRows
    events: AuthEvents
    key_of: Callable[[Any], str]
    name_of: Callable[[Any], str]
    signer: Signer
    cipher: Any = None
    issuer: str = "SixOrbit"

    def of(self, user: Any) -> UserFactor:
        """That of *user*."""
        return UserFactor(self, user)

    def seal(self, user_id: str, secret: str) -> str:
        """*secret* as it is stored: worth nothing in the row of another user."""
        if self.cipher is not None:
            return SEALED + str(self.cipher.encrypt(f"{user_id}\n{secret}"))
        return SIGNED + self.signer.sign(secret, f"{PURPOSE}:{user_id}")

    def unseal(self, user_id: str, stored: str | None) -> str | None:
        """The secret again; None for what was altered or cannot be read."""
        try:
            if stored and stored.startswith(SIGNED):
                return self.signer.unsign(stored[len(SIGNED) :], f"{PURPOSE}:{user_id}")
            if stored and stored.startswith(SEALED) and self.cipher is not None:
                owner, _, secret = str(self.cipher.decrypt(stored[len(SEALED) :])).partition("\n")
                return secret if owner == user_id else None
        except (BadSignature, ValueError):
            return None
        return None


class UserFactor:
    """The second factor of one user."""

    def __init__(self, all_: TwoFactors, user: Any) -> None:
        self._all, self._user = all_, user
        self._id = all_.key_of(user)

    def is_on(self) -> bool:
        """True if the user's login asks for a code."""
        return self._all.security.read(self._id).two_factor_on_at is not None

    def start(self) -> Enrolment:
        """A new secret, which counts once `confirm()` has seen a code of it.

        AuthError where a second factor is on: take it off first.
        """
        if self.is_on():
            raise AuthError("the second factor is on already: turn it off to set up another one")
        secret = totp.new_secret()
        sealed = self._all.seal(self._id, secret)
        self._all.security.write(self._id, two_factor_secret=sealed, two_factor_step=0)
        return self._enrolment(secret)

    def pending(self) -> Enrolment | None:
        """What `start()` gave, to show it once more; None when nothing is being set up."""
        row = self._all.security.read(self._id)
        secret = self._all.unseal(self._id, row.two_factor_secret)
        return None if secret is None or row.two_factor_on_at else self._enrolment(secret)

    def _enrolment(self, secret: str) -> Enrolment:
        link = totp.url(secret, self._all.name_of(self._user), self._all.issuer)
        return Enrolment(secret, link, qr.svg(link, "QR code for the authenticator app"))

    def confirm(self, code: str) -> list[str]:
        """Turn it on by a code of the app → ten recovery codes; an empty list for a wrong code."""
        row = self._all.security.read(self._id)
        if row.two_factor_on_at is not None or not self._takes_app_code(code):
            return []
        self._all.security.write(self._id, two_factor_on_at=self._all.security.clock.now())
        codes = self.new_recovery_codes()
        self._all.events.fire("two_factor_on", self._user)
        return codes

    def off(self) -> bool:
        """Turn it off; False if it was not on."""
        was_on = self.is_on()
        self._all.security.write(self._id, two_factor_secret=None, two_factor_on_at=None)
        self._forget_codes()
        if was_on:
            self._all.events.fire("two_factor_off", self._user)
        return was_on

    disable = off

    def new_recovery_codes(self) -> list[str]:
        """Ten new codes; the ones before are worth nothing from now on."""
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        with self._all.db.connection().transaction():
            self._forget_codes()
            self._all.db.connection().insert(
                "insert into recovery_codes (user_id, code) values "  # noqa: S608  # marks only
                + ", ".join(["(?, ?)"] * RECOVERY_CODES),
                [value for code in codes for value in (self._id, _hash(code))],
            )
        return codes

    def recovery_codes_left(self) -> int:
        """How many have not been used."""
        sql = "select count(*) from recovery_codes where user_id = ?"
        return int(self._all.db.connection().scalar(sql, (self._id,), use_read=False))

    def takes(self, code: object) -> bool:
        """True, once, if *code* is one of the app or a recovery code. Counts no failures."""
        if not isinstance(code, str) or len(code) > 64 or not self.is_on():
            return False
        return self._takes_app_code(code) or self._takes_recovery_code(code)

    def _takes_app_code(self, code: object) -> bool:
        text = code.replace(" ", "") if isinstance(code, str) else ""
        security, now = self._all.security, self._all.security.clock.time()
        secret = self._all.unseal(self._id, security.read(self._id).two_factor_secret)
        if secret is None or not text.isascii() or len(text) != totp.DIGITS:
            return False
        step = totp.fitting_step(secret, text, now)
        # One statement decides: of two requests with the same code one is too late.
        return step is not None and security.change(
            self._id, "two_factor_step < ?", (step,), two_factor_step=step
        )

    def _takes_recovery_code(self, code: str) -> bool:
        sql = "delete from recovery_codes where user_id = ? and code = ?"
        return self._all.db.connection().delete(sql, (self._id, _hash(code))) == 1

    def _forget_codes(self) -> None:
        sql = "delete from recovery_codes where user_id = ?"
        self._all.db.connection().delete(sql, (self._id,))


class TwoFactor:
    """For a user model: `class User(TwoFactor, Model)`."""

    def two_factor(self) -> UserFactor:
        """The second factor of this user."""
        found: UserFactor = current("two_factors").of(self)
        return found


def factor_of(user: Any) -> UserFactor | None:
    """The second factor of *user*; None if there is none, or it is off."""
    if not isinstance(user, TwoFactor):
        return None
    found = user.two_factor()
    return found if found.is_on() else None


def _recovery_code() -> str:
    text = base64.b32encode(os.urandom(RECOVERY_BYTES)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def bare_code(code: str) -> str:
    """*code* however it was typed: without space, hyphens and capitals."""
    return "".join(code.lower().split()).replace("-", "")


def _hash(code: str) -> str:
    return hashlib.sha256(bare_code(code).encode("utf-8", "replace")).hexdigest()
