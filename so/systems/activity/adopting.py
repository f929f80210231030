"""`adopt`: takes rows that were never signed under protection, as they are.

All of them once, before the first seal: what happened to them before, nobody can tell. Afterwards
only rows that are named one by one, because a row without a signature is then one that somebody
put there; that includes rows a retired key signed after its time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from so.db.connection import Connection
from so.db.words import marks
from so.errors import IntegrityError
from so.support.listed import parts
from so.support.progress import steps
from so.systems.activity import framing, stored
from so.systems.activity.keys import ROW, KeyRing
from so.systems.activity.rows import AUDIT
from so.systems.activity.stored import Stored

if TYPE_CHECKING:
    from so.systems.activity.integrity import Integrity
    from so.systems.activity.trail import Trail

TRUSTED = ("verified", "pruned", "erased", "held", "released")
"""Entries of the log `audit` that other commands go by."""
_OPEN = "(seal_no is null or seal_no = 0)"
_MOST_NAMED = 10


def adopt(log: Trail, integrity: Integrity, ids: Iterable[int] | None = None) -> int:
    """Sign every row without a MAC, or those with *ids*; how many. It is an entry of `audit`.

    Raises IntegrityError without *ids* once there is a seal, and for an id that is none of an open
    row: nothing is signed then.
    """
    connection = log.db.connection()
    named = None if ids is None else _numbers(ids)
    with connection.transaction():
        count = (
            _all(connection, integrity.ring)
            if named is None
            else _those(connection, integrity.ring, named)
        )
        if count:
            what = {"rows": count} if named is None else {"rows": count, "ids": named}
            log.certify("adopted", f"Signed {count} rows of before", what)
    return count


def _numbers(ids: Iterable[Any]) -> list[int]:
    found = set(ids)
    wrong = [id for id in found if not stored.is_id(id)]
    if wrong:
        raise IntegrityError(f"{wrong[0]!r} is no id of a row: nothing was adopted")
    return sorted(found)


def _all(connection: Connection, ring: KeyRing) -> int:
    where = f"row_mac is null and {_OPEN}"
    if stored.head(connection) is not None:
        found = stored.rows(connection, where, [], f"order by id limit {_MOST_NAMED}")
        if not found:
            return 0
        ids = ",".join(str(row.id) for row in found)
        raise IntegrityError(
            "rows are adopted all at once only before the first seal: rows without a signature "
            f"that came later were written past the log. Look at them, then name each: --ids={ids}"
        )
    total = f"select count(*) from activity_log where {where}"  # noqa: S608
    count, step = 0, steps(lambda: int(connection.scalar(total, use_read=False)))
    for found in stored.walk(connection, where):
        count += _sign(connection, ring, found)
        step(len(found))
    return count


def _those(connection: Connection, ring: KeyRing, ids: Sequence[int]) -> int:
    found = [
        row
        for part in parts(ids)
        for row in stored.rows(connection, f"id in ({marks(part)}) and {_OPEN}", part)
    ]
    if len(found) != len(ids):
        have = {row.id for row in found}
        missing = ", ".join(str(id) for id in ids if id not in have)
        raise IntegrityError(f"rows {missing} are not there, or are sealed: nothing was adopted")
    for row in found:
        if row.value("log_name") == AUDIT and row.value("event") in TRUSTED:
            raise IntegrityError(
                f"row {row.id} says it is a certificate ({row.value('event')}), which only its own "
                "signature can say: look where it came from, and delete it. Nothing was adopted"
            )
        if row.row_mac is not None and row.key_id not in ring.retired:
            raise IntegrityError(
                f"row {row.id} is signed: it needs no adoption, or it is evidence; run "
                "activity:verify. Nothing was adopted"
            )
    return _sign(connection, ring, found)


def _sign(connection: Connection, ring: KeyRing, found: Sequence[Stored]) -> int:
    for row in found:
        uid = row.uid if row.uid and row.row_mac is None else os.urandom(16).hex()
        salt = os.urandom(16).hex()
        framed = (ring.key_id, uid, *row.framed[2:])
        if not stored.is_text((*framed, *row.content)):
            raise IntegrityError(
                f"row {row.id} holds something else than text or NULL in a column that is signed: "
                "mend it first; nothing was adopted"
            )
        mac = ring.mac(framing.row_frame(framed, framing.content_hash(salt, row.content)), ROW)
        connection.update(
            "update activity_log set uid = ?, salt = ?, key_id = ?, "
            "row_mac = ?, seal_no = null where id = ?",
            [uid, salt, ring.key_id, mac, row.id],
        )
    return len(found)
