"""`KeyRing`: the keys the trail is signed with, kept outside the database."""

from __future__ import annotations

import hmac
from typing import Any

from so.errors import ConfigError
from so.support.signing import Signer

PURPOSES = ROW, SEAL, TOMBSTONE, PRUNING, ERASURE = (
    "activity-row", "activity-seal", "activity-tombstone", "activity-pruning", "activity-erasure",
)  # fmt: skip


class KeyRing:
    """Signs with the newest key, and checks with each that is still known.

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
            _id(signer): {purpose: signer.mac(b"", purpose).encode() for purpose in PURPOSES}
            for signer in signers
        }
        self._newest = self._keys[self.key_id]

    def knows(self, key_id: Any) -> bool:
        """True if what that key signed can be checked."""
        return key_id in self._keys

    def mac(self, message: bytes, purpose: str) -> str:
        """The MAC of *message* under the newest key."""
        return hmac.digest(self._newest[purpose], message, "sha256").hex()

    def check(self, message: bytes, mac: Any, purpose: str, key_id: Any = None) -> bool:
        """True if *mac* was made over *message* by the key *key_id*, or by any without one."""
        if not isinstance(mac, str) or not mac.isascii():
            return False
        rings = self._keys.values() if key_id is None else (self._keys.get(key_id, {}),)
        return any(
            hmac.compare_digest(hmac.digest(ring[purpose], message, "sha256").hex(), mac)
            for ring in rings
            if ring
        )


def _id(signer: Signer) -> str:
    return signer.mac(b"", "activity-key-id")[:16]
