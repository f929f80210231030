"""Identifiers and secrets, all from the operating system's random source.

Not through the module `secrets`: it loads the cipher library, 3.5 MB that most processes never use.
"""

from __future__ import annotations

import base64
import os


def uuid() -> str:
    """A random UUID (version 4, RFC 9562) in its 36-character form."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def token(size: int = 32) -> str:
    """A URL-safe secret of *size* random bytes (32 bytes are 256 bits, 43 characters)."""
    return base64.urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode()


def short_id() -> str:
    """A short random id (12 hex characters) for log lines and file names, not for secrets."""
    return os.urandom(6).hex()
