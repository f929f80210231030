"""`adopt`: takes rows that were never signed under protection, as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from so.systems.activity import framing, stored
from so.systems.activity.keys import ROW

if TYPE_CHECKING:
    from so.systems.activity.integrity import Integrity
    from so.systems.activity.log import ActivityLog

ROWS_AT_ONCE = 500


def adopt(log: ActivityLog, integrity: Integrity) -> int:
    """Sign every row without a MAC; how many. That it was done is an entry of the log `audit`."""
    import os

    ring, connection = integrity.ring, log.db.connection()
    count = last = 0
    where = "row_mac is null and (seal_no is null or seal_no = 0) and id > ?"
    while found := stored.rows(connection, where, [last], f"order by id limit {ROWS_AT_ONCE}"):
        last = found[-1].id
        with connection.transaction():
            for row in found:
                uid, salt = row.uid or os.urandom(16).hex(), os.urandom(16).hex()
                framed = (ring.key_id, uid, *row.framed[2:])
                content = framing.content_hash(salt, row.content)
                mac = ring.mac(framing.row_frame(framed, content), ROW)
                connection.update(
                    "update activity_log set uid = ?, salt = ?, key_id = ?, row_mac = ?, "
                    "seal_no = null where id = ? and row_mac is null",
                    [uid, salt, ring.key_id, mac, row.id],
                )
        count += len(found)
    if count:
        log.certify("adopted", f"Signed {count} rows of before", {"rows": count, "to": last})
    return count
