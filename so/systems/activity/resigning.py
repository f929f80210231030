"""The end of a key's reign: two seals, and everything beside the seals signed anew.

Tombstones, erasures and prunings are no part of the chain. Signed with the old key for ever, they
could be added by whoever got hold of it; so what verifies is signed with the new key when it takes
over, and from then on the old key makes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from so.db.connection import Connection
from so.systems.activity import framing, stored
from so.systems.activity.keys import ERASURE, PRUNING, TOMBSTONE, KeyRing

if TYPE_CHECKING:
    from so.systems.activity.sealing import Sealer

ROWS_AT_ONCE = 500


def hand_over(sealer: Sealer, connection: Connection, before: str) -> None:
    """Let the newest key be in force after *before*; all of it or nothing."""
    from so.systems.activity.sealing import Head, insert

    root = framing.merkle_root([])
    with connection.transaction():
        head = sealer.head(connection)
        last = sealer.make(head, [], root, before, framing.handing_over(sealer.ring.key_id))
        insert(connection, last)
        after = Head(last["seal_no"], last["seal_hash"], last["sealed_at"])
        insert(connection, sealer.make(after, [], root))
        _erasures(connection, sealer.ring, before)
        _tombstones(connection, sealer.ring, before)
        _prunings(connection, sealer.ring, before)


def _erasures(connection: Connection, ring: KeyRing, before: str) -> None:
    table = stored.table(connection, "activity_erasures")
    for found in stored.walk(
        connection,
        f"salt is null and exists (select 1 from {table} e where e.activity_id = id)",  # noqa: S608
        size=ROWS_AT_ONCE,
    ):
        erased = stored.erasures(connection, found)
        for row in found:
            kept, certificate, mac = erased[row.id]
            message = framing.erasure_message(row.uid, kept, certificate, row.content)
            if ring.check(message, mac, ERASURE, before):
                sql = f"update {table} set mac = ? where activity_id = ?"  # noqa: S608  # a name
                connection.update(sql, [ring.mac(message, ERASURE), row.id])


def _tombstones(connection: Connection, ring: KeyRing, before: str) -> None:
    table = stored.table(connection, "activity_tombstones")
    numbers = [
        no
        for (no,) in connection.select_tuples(f"select distinct seal_no from {table}")  # noqa: S608
    ]
    for tombstone in stored.tombstones(connection, numbers):
        if ring.check(tombstone.message, tombstone.mac, TOMBSTONE, before):
            sql = f"update {table} set mac = ? where activity_id = ?"  # noqa: S608  # a name
            connection.update(sql, [ring.mac(tombstone.message, TOMBSTONE), tombstone.id])


def _prunings(connection: Connection, ring: KeyRing, before: str) -> None:
    table = stored.table(connection, "activity_seals")
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
                sql = f"update {table} set prune_mac = ? where seal_no = ?"  # noqa: S608  # a name
                connection.update(sql, [ring.mac(message, PRUNING), last])
