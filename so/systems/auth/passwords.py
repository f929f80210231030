"""Passwords as scrypt hashes of OWASP strength: `$scrypt$ln=15,r=8,p=3$salt$hash`.

A check needs tens of megabytes and a good part of a second on purpose; how many run at once is
bounded, so that a crowd at the login page cannot eat the server. Which user a hash belongs to,
and when it is renewed, is decided in guard.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from so.errors import ConfigError, ServiceUnavailableException
from so.settings.auth import ScryptSettings
from so.support.current import current

MAX_PASSWORD_BYTES = 4096
# What a stored hash may ask for: a planted one must not take the server down.
MAX_MEMORY_BYTES = 256 * 1024 * 1024
MAX_PASSES = 16
SALT_BYTES, KEY_BYTES = 16, 32

_FORM = re.compile(
    r"\$scrypt\$ln=([1-9][0-9]?),r=([1-9][0-9]?),p=([1-9][0-9]?)"
    r"\$([A-Za-z0-9+/]{2,64})\$([A-Za-z0-9+/]{43})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class _Cost:
    ln: int
    r: int
    p: int

    @property
    def memory(self) -> int:
        return int(128 * self.r * (2**self.ln + self.p + 2))

    @property
    def work(self) -> int:
        """What time grows with."""
        return self.r * self.p * (1 << self.ln)

    @property
    def is_bearable(self) -> bool:
        return self.memory <= MAX_MEMORY_BYTES and self.p <= MAX_PASSES


@dataclass(frozen=True, slots=True)
class _Parts:
    cost: _Cost
    salt: bytes
    key: bytes


class PasswordHasher:
    """Makes and checks hashes of one strength, and checks those of any other.

    *ln*, *r* and *p* are scrypt's: memory is 128·r·2^ln bytes, time grows with p as well.
    Accepted as strong by OWASP: (17, 8, 1), (16, 8, 2) and (15, 8, 3), the default.
    """

    def __init__(
        self,
        *,
        ln: int = ScryptSettings.ln,
        r: int = ScryptSettings.r,
        p: int = ScryptSettings.p,
        max_concurrent: int = ScryptSettings.max_concurrent,
        wait_seconds: float = ScryptSettings.wait_seconds,
    ) -> None:
        """At most *max_concurrent* hashes run at once; others wait *wait_seconds* for a turn."""
        self._cost = _Cost(ln, r, p)
        if ln < 1 or r < 1 or p < 1 or not self._cost.is_bearable:
            raise ConfigError(
                f"scrypt with ln={ln}, r={r}, p={p} cannot be used: stay within "
                f"{MAX_MEMORY_BYTES >> 20} MiB (128·r·2^ln bytes) and p of {MAX_PASSES}"
            )
        self._turns = threading.BoundedSemaphore(max_concurrent)
        self._wait_seconds = wait_seconds
        # The dearest hash met so far: what every login that fails is made to cost.
        self._dearest = self._cost

    def make(self, password: str) -> str:
        """The hash of *password*, exactly as it is; ValueError above 4096 bytes."""
        raw = _bytes_of(password)
        if len(raw) > MAX_PASSWORD_BYTES:
            raise ValueError(
                f"a password of {len(raw)} bytes is too long: at most {MAX_PASSWORD_BYTES}"
            )
        salt = os.urandom(SALT_BYTES)
        return _encode(self._cost, salt, self._derive(raw, salt, self._cost))

    def check(self, password: str, hashed: str | None) -> bool:
        """True if *hashed* was made from *password*; False for a hash that is not ours."""
        parts = _parsed(hashed)
        raw = _bytes_of(password)
        if parts is None or len(raw) > MAX_PASSWORD_BYTES:
            return False
        return hmac.compare_digest(self._derive(raw, parts.salt, parts.cost), parts.key)

    def check_level(self, password: str, hashed: str | None) -> bool:
        """`check()` whose no takes equally long for all hashes, old and new, and for none.

        After the strength was changed, old hashes cost more or less than new ones: what a wrong
        password has not cost yet is spent on nothing, so that time tells nobody who exists.
        """
        parts = _parsed(hashed)
        if len(_bytes_of(password)) > MAX_PASSWORD_BYTES:
            return False
        if parts is None:
            self._spend(self._dearest, self._dearest.work)
            return False
        if parts.cost.work > self._dearest.work:
            self._dearest = parts.cost
        if self.check(password, hashed):
            return True
        self._spend(parts.cost, self._dearest.work - parts.cost.work)
        return False

    def _spend(self, like: _Cost, work: int) -> None:
        """Compute for nothing until *work* is done.

        As much as can be in the memory that the dearest hash needs, since less of it is faster;
        the rest as *like* does.
        """
        for cost in (self._dearest, like):
            passes, work = divmod(work, cost.r << cost.ln)
            while passes > 0:
                some = _Cost(cost.ln, cost.r, min(passes, MAX_PASSES))
                self._derive(b"", os.urandom(SALT_BYTES), some)
                passes -= some.p

    def needs_rehash(self, hashed: str | None) -> bool:
        """True if *hashed* is of another strength or kind than `make()` gives now."""
        parts = _parsed(hashed)
        return parts is None or parts.cost != self._cost

    def is_hash(self, text: str | None) -> bool:
        """True if *text* is a hash of this kind, of any strength."""
        return _parsed(text) is not None

    def _derive(self, raw: bytes, salt: bytes, cost: _Cost) -> bytes:
        if raw.endswith(b"\0"):
            # HMAC, which scrypt begins with, takes a key for the same with zeros behind it. No
            # text is written like this.
            raw = b"\xff" + hashlib.sha512(raw).digest()
        with self._turn():
            # Without maxmem OpenSSL refuses what needs more than 32 MiB, this strength included.
            return hashlib.scrypt(
                raw,
                salt=salt,
                n=2**cost.ln,
                r=cost.r,
                p=cost.p,
                maxmem=cost.memory + 1_048_576,
                dklen=KEY_BYTES,
            )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._wait_seconds):
            raise ServiceUnavailableException(
                "Too many logins at once. Please try again.", None, {"Retry-After": "5"}
            )
        try:
            yield
        finally:
            self._turns.release()


def legacy_sha1(salt: str) -> Callable[[str, str], bool]:
    """A check for the original framework's passwords, `sha1(md5(salt) . password)`.

    Only for letting its users in once: a login that passes renews the hash.
    """
    prefix = hashlib.md5(salt.encode(), usedforsecurity=False).hexdigest()

    def check(password: str, hashed: str) -> bool:
        text = (prefix + password).encode("utf-8", "surrogatepass")
        digest = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        return hmac.compare_digest(digest.encode(), hashed.lower().encode("utf-8", "replace"))

    return check


def _bytes_of(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _encode(cost: _Cost, salt: bytes, key: bytes) -> str:
    return f"$scrypt$ln={cost.ln},r={cost.r},p={cost.p}${_b64(salt)}${_b64(key)}"


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def _parsed(hashed: object) -> _Parts | None:
    found = _FORM.fullmatch(hashed) if isinstance(hashed, str) else None
    if found is None:
        return None
    cost = _Cost(int(found[1]), int(found[2]), int(found[3]))
    if not cost.is_bearable:
        return None
    try:
        return _Parts(cost, _unb64(found[4]), _unb64(found[5]))
    except ValueError:
        return None


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


class ApplicationHash:
    """`Hash.make(password)`: the running application's hasher, or one of default strength."""

    def __init__(self) -> None:
        self._default: PasswordHasher | None = None

    def _hasher(self) -> PasswordHasher:
        try:
            found: PasswordHasher = current("hasher")
        except RuntimeError:
            found = self._default = self._default or PasswordHasher()
        return found

    def make(self, password: str) -> str:
        """The hash of *password*, exactly as it is; ValueError above 4096 bytes."""
        return self._hasher().make(password)

    def check(self, password: str, hashed: str | None) -> bool:
        """True if *hashed* was made from *password*."""
        return self._hasher().check(password, hashed)

    def needs_rehash(self, hashed: str | None) -> bool:
        """True if *hashed* is of another strength or kind than `make()` gives now."""
        return self._hasher().needs_rehash(hashed)


Hash = ApplicationHash()
