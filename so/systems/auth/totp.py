"""One-time codes: HOTP (RFC 4226) and TOTP (RFC 6238), SHA-1, six digits, 30 seconds a step."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20  # as long as the hash, as RFC 4226 recommends


def new_secret() -> str:
    """160 random bits as base32, as authenticator apps take it."""
    return base64.b32encode(os.urandom(SECRET_BYTES)).decode()


def hotp(secret: bytes, counter: int, digits: int = DIGITS) -> str:
    """The code of *counter*."""
    mac = hmac.digest(secret, counter.to_bytes(8, "big"), hashlib.sha1)
    at = mac[-1] & 15
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def step_of(seconds: float) -> int:
    """The number of the step in which the moment *seconds* since the epoch lies."""
    return int(seconds // STEP_SECONDS)


def totp(secret: str, seconds: float, digits: int = DIGITS) -> str:
    """The code of base32 *secret* at the moment *seconds* since the epoch."""
    return hotp(decoded(secret), step_of(seconds), digits)


def fitting_step(secret: str, code: str, seconds: float, steps: int = 1) -> int | None:
    """The step that *code* belongs to, at most *steps* from now; None for a wrong code.

    All steps are compared, so that time does not tell which one it was.
    """
    key, now, given = decoded(secret), step_of(seconds), code.encode("utf-8", "replace")
    found = None
    for step in range(now - steps, now + steps + 1):
        if hmac.compare_digest(hotp(key, step).encode(), given):
            found = step
    return found


def decoded(secret: str) -> bytes:
    """The bytes of a base32 text; ValueError for anything else."""
    text = secret.replace(" ", "").upper()
    try:
        return base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise ValueError("a secret of one-time codes is base32 text") from error


def url(secret: str, account: str, issuer: str) -> str:
    """The `otpauth` URL that an app reads from a QR code."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='@')}"
    query = urlencode({"secret": secret, "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{label}?{query}"
