"""The end of a key's reign: everything beside the seals is signed anew.

Tombstones, erasures and prunings are no part of the chain. Signed with the old key for ever, they
could be added by whoever got hold of it; so what verifies is signed with the new key when it takes
over, and from then on the old key makes none.
"""

from __future__ import annotations

from so.db.connection import Connection
from so.systems.activity import framing, stored
from so.systems.activity.keys import ERASURE, PRUNING, TOMBSTONE, KeyRing

ROWS_AT_ONCE = 500


def sign_anew(connection: Connection, ring: KeyRing, before: str) -> None:
    """Sign what stands beside the seals with the newest key, if it verifies by *before*."""
    _erasures(connection, ring, before)
    _tombstones(connection, ring, before)
    _prunings(connection, ring, before)


def _erasures(connection: Connection, ring: KeyRing, before: str) -> None:
    for found in stored.walk(
        connection,
        "salt is null and exists (select 1 from activity_erasures e where e.activity_id = id)",
        size=ROWS_AT_ONCE,
    ):
        erased = stored.erasures(connection, found)
        for row in found:
            kept, certificate, mac = erased[row.id]
            message = framing.erasure_message(row.uid, kept, certificate, row.content)
            if ring.check(message, mac, ERASURE, before):
                sql = "update activity_erasures set mac = ? where activity_id = ?"
                connection.update(sql, [ring.mac(message, ERASURE), row.id])


def _tombstones(connection: Connection, ring: KeyRing, before: str) -> None:
    numbers = [
        no for (no,) in connection.select_tuples("select distinct seal_no from activity_tombstones")
    ]
    for tombstone in stored.tombstones(connection, numbers):
        if ring.check(tombstone.message, tombstone.mac, TOMBSTONE, before):
            sql = "update activity_tombstones set mac = ? where activity_id = ?"
            connection.update(sql, [ring.mac(tombstone.message, TOMBSTONE), tombstone.id])


def _prunings(connection: Connection, ring: KeyRing, before: str) -> None:
    last = 0
    while found := stored.seals(
        connection,
        f"prune_mac is not null and seal_no > ? order by seal_no limit {ROWS_AT_ONCE}",
        [last],
    ):
        for seal in found:
            last = seal.seal_no
            pruned = (seal.seal_no, seal.merkle_root, seal.pruned_at, seal.prune_uid)
            message = framing.pruning_message(*pruned)
            if ring.check(message, seal.prune_mac, PRUNING, before):
                sql = "update activity_seals set prune_mac = ? where seal_no = ?"
                connection.update(sql, [ring.mac(message, PRUNING), last])
