"""Signed texts: tokens that anyone may read and nobody may change.

HMAC-SHA256 with one key per purpose, derived from the application's key, so that a token made
for one purpose is worthless for another. Signing hides nothing: there is no cipher in the
standard library, and a home-made one would be worse than none.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache

from so.errors import BadSignature, ConfigError

MINIMUM_KEY_BYTES = 16
FEWEST_BYTES = 8  # different ones in a key that somebody may have made by chance
# What people write where a key should stand, alone or in a row.
_PLACEHOLDERS = (
    "changeme", "changethis", "somerandomstring", "random", "string", "secret", "password", "your",
    "application", "production", "example", "default", "insecure", "sixorbit", "framework", "token",
    "test", "key", "app", "my", "the", "please", "replace", "dev",
)  # fmt: skip


class Signer:
    """Signs with *key* and accepts what *key* or one of *previous_keys* signed."""

    def __init__(self, key: str | bytes, *previous_keys: str | bytes) -> None:
        """Raises ConfigError for a key shorter than 16 bytes."""
        self._keys = [_key_bytes(k) for k in (key, *previous_keys)]

    def mac(self, message: str | bytes, purpose: str = "") -> str:
        """The hex HMAC-SHA256 of *message* under the newest key for *purpose*."""
        return _mac(self._keys[0], message, purpose).hex()

    def verify(self, message: str | bytes, mac: str, purpose: str = "") -> bool:
        """True if *mac* is what `mac()` gives for *message* under any accepted key."""
        try:
            given = bytes.fromhex(mac)
        except (ValueError, TypeError):
            return False
        return any(hmac.compare_digest(_mac(key, message, purpose), given) for key in self._keys)

    def sign(self, text: str, purpose: str = "") -> str:
        """*text* and its signature as one token: `text.signature`."""
        return f"{text}.{_encode(_mac(self._keys[0], text, purpose))}"

    def unsign(self, token: str, purpose: str = "") -> str:
        """The text inside *token*; raises BadSignature if it was not signed for *purpose*."""
        text, dot, signature = token.rpartition(".")
        if dot:
            given = signature.encode("utf-8", "replace")
            for key in self._keys:
                if hmac.compare_digest(_encode(_mac(key, text, purpose)).encode(), given):
                    return text
        raise BadSignature(
            f"the signature does not fit: the {purpose or 'signed'} token was altered"
        )


def weakness(key: str) -> str | None:
    """Why nobody should sign with *key*, in words that follow its name; None if it will do."""
    try:
        raw = _key_bytes(key)
    except ConfigError as error:
        return f"cannot be used ({error})"
    if len(set(raw)) < FEWEST_BYTES or _repeats(raw):
        return "is uniform, so that it can be guessed"
    if _is_known(key) or _is_known(raw.decode("latin-1")):
        return "is a placeholder that others know"
    steps = sum(after - before in (1, -1) for before, after in zip(raw, raw[1:], strict=False))
    return (
        "is a row of letters or digits, so that it can be guessed" if steps * 2 > len(raw) else None
    )


def _repeats(raw: bytes) -> bool:
    """True if *raw* is one short piece over and over."""
    return any(
        raw == (raw[:size] * (len(raw) // size + 1))[: len(raw)]
        for size in range(1, len(raw) // 2 + 1)
    )


def _is_known(text: str) -> bool:
    """True if *text* is made of what people write for want of a key."""
    left = "".join(c for c in text.lower() if c.isalpha())
    for word in _PLACEHOLDERS:
        left = left.replace(word, "")
    return not left and any(c.isalpha() for c in text)


def _key_bytes(key: str | bytes) -> bytes:
    if isinstance(key, str):
        if key.startswith("base64:"):
            try:
                raw = base64.b64decode(key[7:], validate=True)
            except ValueError as error:
                raise ConfigError(
                    "APP_KEY is not valid base64: run `bin/sixorbit key:generate`"
                ) from error
        else:
            raw = key.encode()
    else:
        raw = key
    if len(raw) < MINIMUM_KEY_BYTES:
        raise ConfigError(
            f"the signing key has {len(raw)} bytes, at least {MINIMUM_KEY_BYTES} are needed: "
            "run `bin/sixorbit key:generate`"
        )
    return raw


def _mac(key: bytes, message: str | bytes, purpose: str) -> bytes:
    raw = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
    return hmac.digest(_derived(key, purpose), raw, hashlib.sha256)


@lru_cache(maxsize=256)
def _derived(key: bytes, purpose: str) -> bytes:
    """The key for one purpose."""
    return hmac.digest(key, b"so:" + purpose.encode(), hashlib.sha256)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
