"""All that is signed, as bytes: framing, digests, leaves, the Merkle root, certificates.

Nothing here knows a key or a database. Each value is framed with its length, so that moving bytes
over a column's boundary changes the frame, and NULL is not the empty text.

The content of a row (what may hold personal values) enters as a salted digest. So the content and
its salt can be erased later, and the digest, kept elsewhere, still makes the row verify.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
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
_sha256 = hashlib.sha256
_UTF8 = ("utf-8", "surrogatepass")
_SIZED = tuple(f"{size}:" for size in range(256))  # what begins a text of at most a column's size
UNUSUAL = (TypeError, AttributeError, IndexError, UnicodeEncodeError)  # past the quick way
_HANDED_OVER = "next key "


def frame(values: Sequence[Any]) -> bytes:
    """*values* (text, whole numbers, None) as bytes that no other values give."""
    try:  # nearly always: all of it ASCII, so that characters are bytes
        return "".join(["-" if v is None else f"{len(v)}:{v}" for v in values]).encode("ascii")
    except (TypeError, UnicodeEncodeError):
        return _joined(values)


def _joined(values: Sequence[Any]) -> bytes:
    texts = [value if value is None else str(value) for value in values]
    return "".join(
        [
            "-" if v is None else f"{len(v) if v.isascii() else len(v.encode(*_UTF8))}:{v}"
            for v in texts
        ]
    ).encode(*_UTF8)


# --- rows


def content_hash(salt: Any, content: Sequence[Any]) -> str:
    """The digest of a row's content (the columns CONTENT, in that order)."""
    return _sha256(b"content" + frame((salt, *content))).hexdigest()


def row_frame(framed: Sequence[Any], content: str) -> bytes:
    """What row_mac is made over: the columns FRAMED, and the digest of the content."""
    return b"row1" + frame((*framed, content))


def signed(row: Sequence[Any]) -> bytes:
    """`row_frame` of a row whose content is there: its salt, and the columns FRAMED and CONTENT."""
    try:
        return _quickly(row)
    except UNUSUAL:
        end = 1 + len(FRAMED)
        return row_frame(row[1:end], content_hash(row[0], row[end:]))


def leaf_hash(id: int, row: bytes, mac: Any) -> bytes:
    """What stands for one row in its seal: its id and its MAC are in it."""
    return _sha256(b"\0" + frame((str(id), mac)) + row).digest()


def whole_leaf(row: Sequence[Any]) -> bytes:
    """The leaf of a row that is all there: id, seal, MAC, salt, the columns FRAMED and CONTENT.

    One of UNUSUAL for a number, bytes or an absence where text was signed, or too long a text.
    """
    number, mac = str(row[0]), row[2]
    head = f"\0{_SIZED[len(number)]}{number}{_SIZED[len(mac)]}{mac}"
    return _sha256(_quickly(row[3:], head)).digest()


# What `frame` gives, spelled out: made of every row that is written or verified, in half the time.
# What is hardly ever NULL is asked for its length without a question; where that fails, `frame`
# itself does it.


def _quickly(row: Sequence[Any], head: str = "") -> bytes:
    (salt, key, uid, log, subject, about, causer, by, event, batch, created, updated,
     text, properties, label, who, context) = row  # fmt: skip
    content = _content(len, salt, text, properties, label, who, context)
    if not content.isascii():
        content = _content(_size, salt, text, properties, label, who, context)
    digest = _sha256(content.encode()).hexdigest()
    sized = _SIZED
    framed = (
        f"{head}row1{sized[len(key)]}{key}{sized[len(uid)]}{uid}{sized[len(log)]}{log}"
        f"{'-' if subject is None else f'{sized[len(subject)]}{subject}'}"
        f"{'-' if about is None else f'{sized[len(about)]}{about}'}"
        f"{'-' if causer is None else f'{sized[len(causer)]}{causer}'}"
        f"{'-' if by is None else f'{sized[len(by)]}{by}'}"
        f"{'-' if event is None else f'{sized[len(event)]}{event}'}"
        f"{'-' if batch is None else f'{sized[len(batch)]}{batch}'}"
        f"{sized[len(created)]}{created}{sized[len(updated)]}{updated}{sized[len(digest)]}{digest}"
    )
    if framed.isascii():
        return framed.encode()
    return head.encode() + b"row1" + _joined((*row[1 : 1 + len(FRAMED)], digest))


def _content(
    size: Callable[[str], int],
    salt: str,
    text: str,
    properties: str,
    label: str | None,
    who: str | None,
    context: str,
) -> str:
    return (
        f"content{size(salt)}:{salt}{size(text)}:{text}{size(properties)}:{properties}"
        f"{'-' if label is None else f'{size(label)}:{label}'}"
        f"{'-' if who is None else f'{size(who)}:{who}'}{size(context)}:{context}"
    )


def _size(text: str) -> int:
    """Its bytes."""
    return len(text) if text.isascii() else len(text.encode())


# --- seals


def merkle_root(leaves: Sequence[bytes]) -> str:
    """The root over *leaves*; an odd one moves up by itself and is never doubled."""
    if not leaves:
        return _sha256(b"").hexdigest()
    level = list(leaves)
    while len(level) > 1:
        level = _level_above(level)
    return level[0].hex()


def _level_above(level: list[bytes]) -> list[bytes]:
    sha256, pairs = _sha256, zip(level[::2], level[1::2])  # noqa: B905  an odd one is left
    above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return above + level[len(above) * 2 :]


def inclusion(leaves: Sequence[bytes], at: int) -> list[tuple[str, str]]:
    """The path from leaf number *at* to the root: ("left" or "right", hash of the neighbour)."""
    path, level = [], list(leaves)
    while len(level) > 1:
        neighbour = at ^ 1
        if neighbour < len(level):
            path.append(("left" if neighbour < at else "right", level[neighbour].hex()))
        level, at = _level_above(level), at // 2
    return path


def seal_hash(values: Sequence[Any]) -> str:
    """The digest of a seal (the columns SEAL, in that order): no key is needed to check it."""
    return _sha256(b"seal1" + frame(values)).hexdigest()


def handing_over(key_id: str) -> str:
    """What stands in `sealed_by` of the last seal of a key: which key signs from then on."""
    return f"{_HANDED_OVER}{key_id}"


def heir(sealed_by: Any) -> str | None:
    """The key that a seal hands over to; None if it is no such seal."""
    is_last = isinstance(sealed_by, str) and sealed_by.startswith(_HANDED_OVER)
    return sealed_by.removeprefix(_HANDED_OVER) if is_last else None


# --- certificates


def erasure_message(uid: Any, content: str, cert_uid: str, now: Sequence[Any]) -> bytes:
    """What the MAC of an erasure is made over: the row, and what it says from *now* on."""
    return b"erase1" + frame((uid, content, cert_uid, content_hash("", now)))


def tombstone_message(id: int, seal_no: int, leaf: str, cert_uid: str) -> bytes:
    """What the MAC of a tombstone is made over."""
    return b"tomb1" + frame((id, seal_no, leaf, cert_uid))


def pruning_message(seal_no: int, root: str, pruned_at: str | None, uid: str | None) -> bytes:
    """What the MAC of a seal without rows is made over."""
    return b"prune1" + frame((seal_no, root, pruned_at, uid))
