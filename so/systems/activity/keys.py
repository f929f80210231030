"""`KeyRing`: the keys the trail is signed with, kept outside the database."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from so.errors import ConfigError
from so.support.signing import Signer

PURPOSES = ROW, SEAL, TOMBSTONE, PRUNING, ERASURE = (
    "activity-row", "activity-seal", "activity-tombstone", "activity-pruning", "activity-erasure",
)  # fmt: skip
_equal = hmac.compare_digest
_BLOCK = 64  # bytes that SHA-256 takes at a time
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


class _Key:
    """HMAC-SHA256 (RFC 2104) whose two first blocks are hashed once, not with every message."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(padded.translate(_INNER))
        self._outer = hashlib.sha256(padded.translate(_OUTER))

    def mac(self, message: bytes) -> str:
        """The MAC of *message*, in hex."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()


class KeyRing:
    """Signs with the newest key, and checks what older ones signed while they were in force.

    A key's id is derived from the key, so a wrong key is an unknown one, and is reported as such
    instead of making every row look forged.
    """

    def __init__(self, key: str, *previous: str) -> None:
        """Raises ConfigError for a key shorter than 16 bytes."""
        try:
            signers = [Signer(each) for each in (key, *previous)]
        except ConfigError as error:
            raise ConfigError(f"AUDIT_KEY cannot be used: {error}") from error
        self.key_id = _id(signers[0])
        # Derived once here: deriving for every row would cost as much as the MAC itself.
        self._keys = {
            _id(signer): {each: _Key(signer.mac(b"", each).encode()) for each in PURPOSES}
            for signer in signers
        }

    @property
    def retired(self) -> list[str]:
        """The ids of the keys before the newest, the latest first."""
        return [id for id in self._keys if id != self.key_id]

    def knows(self, key_id: Any) -> bool:
        """True if what that key signed can be checked."""
        return isinstance(key_id, str) and key_id in self._keys

    def mac(self, message: bytes, purpose: str, key_id: str | None = None) -> str:
        """The MAC of *message* under the newest key, or under the known one called *key_id*."""
        return self._keys[key_id or self.key_id][purpose].mac(message)

    def signing(self, purpose: str) -> Callable[[bytes], str]:
        """`mac` under the newest key, looked up once."""
        return self._keys[self.key_id][purpose].mac

    def check(self, message: bytes, mac: Any, purpose: str, key_id: Any = None) -> bool:
        """True if *mac* was made over *message* by the key *key_id*, or by any without one."""
        if type(mac) is not str or not mac.isascii():
            return False
        if key_id is not None:
            known = self._keys.get(key_id) if type(key_id) is str else None
            return known is not None and _equal(known[purpose].mac(message), mac)
        return any(_equal(keys[purpose].mac(message), mac) for keys in self._keys.values())


def _id(signer: Signer) -> str:
    return signer.mac(b"", "activity-key-id")[:16]
