"""`proof`: what somebody without this framework, and without a key, needs to check one row.

The row's values, the path of hashes from its leaf to the root of its seal, and the seals from
there to the one whose hash was noted elsewhere. The guide has the checker, in plain Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from so.db.connection import Connection
from so.errors import ActivityError
from so.systems.activity import framing, stored
from so.systems.activity.stored import Seal, judge

if TYPE_CHECKING:
    from so.systems.activity.keys import KeyRing

_VERIFY = "run activity:verify"


def proof(
    connection: Connection, ring: KeyRing, id: int, until: int | None = None
) -> dict[str, Any]:
    """The proof that row *id* is in the trail whose seal *until* (the newest) has its hash.

    ActivityError for a row that is not there, not sealed, or not what was written.
    """
    found = stored.rows(connection, "id = ?", [id]) if stored.is_id(id) else []
    if not found or not found[0].seal_no:
        raise ActivityError(f"row {id} is not there, or not sealed yet: run activity:seal")
    row = found[0]
    fault, _ = judge(row, ring, stored.erasures(connection, found))
    if fault is not None:
        raise ActivityError(f"row {id} is not what was written ({fault}): there is no proof of it")
    seals = stored.seals(connection, "seal_no = ?", [row.seal_no])
    if not seals:
        raise ActivityError(f"row {id} is in seal {row.seal_no}, which is not there: {_VERIFY}")
    seal = seals[0]
    leaves = _leaves(connection, ring, seal)
    if framing.merkle_root(list(leaves.values())) != seal.merkle_root:
        raise ActivityError(f"seal {seal.seal_no} does not hold: {_VERIFY}")
    erasure = stored.erasures(connection, found).get(row.id)
    return {
        "id": row.id,
        "framed": dict(zip(framing.FRAMED, row.framed, strict=True)),
        "content": dict(zip(framing.CONTENT, row.content, strict=True)),
        "salt": row.salt,
        "content_hash": erasure.content_hash
        if erasure is not None
        else framing.content_hash(row.salt, row.content),
        "row_mac": row.row_mac,
        "path": framing.inclusion(list(leaves.values()), list(leaves).index(row.id)),
        "seals": [_told(each) for each in _chain(connection, seal.seal_no, until)],
    }


def _leaves(connection: Connection, ring: KeyRing, seal: Seal) -> dict[int, bytes]:
    """The leaves of a seal by the ids of its rows, those of pruned ones included."""
    rows = stored.rows(connection, "seal_no = ?", [seal.seal_no])
    erased = stored.erasures(connection, rows)
    leaves = {
        row.id: framing.leaf_hash(row.id, judge(row, ring, erased)[1], row.row_mac) for row in rows
    }
    for grave in stored.tombstones(connection, [seal.seal_no]):
        leaves[grave.id] = bytes.fromhex(grave.leaf_hash)
    return dict(sorted(leaves.items()))


def _chain(connection: Connection, first: int, until: int | None) -> list[Seal]:
    if until is not None and until < first:
        raise ActivityError(f"the row is in seal {first}, which is after seal {until}")
    newest = stored.head(connection)
    if until is not None and newest is not None and until > newest.seal_no:
        raise ActivityError(f"there is no seal {until} yet: the newest is {newest.seal_no}")
    bound = "" if until is None else f" and seal_no <= {int(until)}"
    return stored.seals(connection, f"seal_no >= ?{bound} order by seal_no", [first])


def _told(seal: Seal) -> dict[str, Any]:
    return {name: getattr(seal, name) for name in (*framing.SEAL, "seal_hash")}
