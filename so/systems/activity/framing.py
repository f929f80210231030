"""How a row of the trail becomes bytes: framing, digests, leaves and the Merkle root.

Nothing here knows a key or a database. Each value is framed with its length, so that moving bytes
over a column's boundary changes the frame, and NULL is not the empty text.

The content of a row (what may hold personal values) enters as a salted digest. So the content and
its salt can be erased later, and the digest, kept elsewhere, still makes the row verify.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

FRAMED = (
    "key_id", "uid", "log_name", "subject_type", "subject_id", "causer_type", "causer_id",
    "event", "batch_uuid", "created_at", "updated_at",
)  # fmt: skip
CONTENT = ("description", "properties", "subject_label", "causer_label", "context")
SEAL = (
    "seal_no", "first_id", "last_id", "row_count", "merkle_root", "prev_hash", "key_id",
    "sealed_at", "sealed_by",
)  # fmt: skip
NO_SEAL = "0" * 64  # prev_hash of the first seal


def frame(values: Iterable[Any]) -> bytes:
    """*values* (text, whole numbers, None) as bytes that no other values give."""
    parts = []
    for value in values:
        if value is None:
            parts.append(b"-")
        else:
            raw = (value if type(value) is str else text(value)).encode("utf-8", "surrogatepass")
            parts.append(b"%d:%b" % (len(raw), raw))
    return b"".join(parts)


def text(value: Any) -> str:
    """A value as it came from the database, as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):  # somebody stored bytes where text belongs
        return value.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()
    return str(value)


def content_hash(salt: Any, content: Iterable[Any]) -> str:
    """The digest of a row's content (the columns CONTENT, in that order)."""
    return hashlib.sha256(b"content" + frame((salt, *content))).hexdigest()


def row_frame(framed: Iterable[Any], content: str) -> bytes:
    """What row_mac is made over: the columns FRAMED, and the digest of the content."""
    return b"row1" + frame((*framed, content))


def leaf_hash(id: int, row: bytes, mac: Any) -> bytes:
    """What stands for one row in its seal: its id and its MAC are in it."""
    return hashlib.sha256(b"\x00" + frame((id, mac)) + row).digest()


def merkle_root(leaves: Sequence[bytes]) -> str:
    """The root over *leaves*; an odd one moves up by itself and is never doubled."""
    if not leaves:
        return hashlib.sha256(b"").hexdigest()
    level = list(leaves)
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level) - 1, 2)
        ]
        level = pairs + level[len(pairs) * 2 :]
    return level[0].hex()


def seal_hash(values: Iterable[Any]) -> str:
    """The digest of a seal (the columns SEAL, in that order): no key is needed to check it."""
    return hashlib.sha256(b"seal1" + frame(values)).hexdigest()
