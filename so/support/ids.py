"""Identifiers and secrets, all from the operating system's random source.

Not through the module `secrets`: it loads the cipher library, 3.5 MB that most processes never use.
"""

from __future__ import annotations

import base64
import os

from so.support.processes import after_fork


def uuid() -> str:
    """A random UUID (version 4, RFC 9562) in its 36-character form."""
    return uuid_of(_uuids.take())


def uuid_of(digits: str) -> str:
    """The UUID of version 4 with these 32 random hex digits; version and variant are put in."""
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def token(size: int = 32) -> str:
    """A URL-safe secret of *size* random bytes (32 bytes are 256 bits, 43 characters)."""
    return base64.urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode()


def short_id() -> str:
    """A short random id (12 hex characters) for log lines and file names, not for secrets."""
    return _short_ids.take()


class _Stock:
    """Random hex digits: the system takes as long for one as for many. A child makes its own."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ready: list[str] = []
        after_fork(self._ready.clear)

    def take(self) -> str:
        """So many digits that nobody had before."""
        try:
            return self._ready.pop()
        except IndexError:
            digits, size = os.urandom(_AT_ONCE * self._size // 2).hex(), self._size
            self._ready.extend(digits[at : at + size] for at in range(size, len(digits), size))
            return digits[:size]


_AT_ONCE = 64
_short_ids = _Stock(12)  # each request has one
_uuids = _Stock(32)
