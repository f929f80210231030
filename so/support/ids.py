"""Identifiers and secrets, all from the operating system's random source.

Not through the module `secrets`: it loads the cipher library, 3.5 MB that most processes never use.
"""

from __future__ import annotations

import base64
import os

from so.support.processes import after_fork


def uuid() -> str:
    """A random UUID (version 4, RFC 9562) in its 36-character form."""
    return uuid_of(os.urandom(16).hex())


def uuid_of(digits: str) -> str:
    """The UUID of version 4 with these 32 random hex digits; version and variant are put in."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def token(size: int = 32) -> str:
    """A URL-safe secret of *size* random bytes (32 bytes are 256 bits, 43 characters)."""
    return base64.urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode()


def short_id() -> str:
    """A short random id (12 hex characters) for log lines and file names, not for secrets."""
    try:
        return _short_ids.pop()
    except IndexError:
        digits = os.urandom(6 * _SHORT_IDS_AT_ONCE).hex()
        _short_ids.extend(digits[at : at + 12] for at in range(12, len(digits), 12))
        return digits[:12]


# Each request has one, and the system takes as long for one as for many. A child makes its own.
_SHORT_IDS_AT_ONCE = 64
_short_ids: list[str] = []
after_fork(_short_ids.clear)
