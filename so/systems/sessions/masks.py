"""CSRF tokens as pages show them: behind fresh random bytes each time.

A page that is compressed tells by its size whether a guess stands in it; a token that never
looks the same twice cannot be found out that way (BREACH).
"""

from __future__ import annotations

import base64
import hmac
import secrets

LONGEST_TEXT = 200


def mask(token: str) -> str:
    """*token* so that no two pages carry the same text."""
    raw = token.encode()
    pad = secrets.token_bytes(len(raw))
    return base64.urlsafe_b64encode(pad + _xor(pad, raw)).decode().rstrip("=")


def unmask(text: str) -> str:
    """The token in *text*; '' if there is none."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return ""
    half = len(raw) // 2
    return _xor(raw[:half], raw[half:]).decode("latin-1") if len(raw) == 2 * half else ""


def fits(given: object, token: str) -> bool:
    """True if *given* is *token*, masked or plain; in constant time."""
    if not isinstance(given, str) or len(given) > LONGEST_TEXT:
        return False
    own = token.encode()
    plain = hmac.compare_digest(given.encode("utf-8", "replace"), own)
    return hmac.compare_digest(unmask(given).encode(), own) or plain


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
