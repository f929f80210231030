"""`prune`: deletes what is old, and leaves certificates where rows were sealed.

A sealed row is replaced by a tombstone that holds its leaf, so that the seal still computes; a
seal of nothing but tombstones is marked as pruned and they go, too. What was deleted, by which
rule and by whom, is an entry of the log `audit`, which is never pruned itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from so.db.connection import Connection
from so.db.values import datetime_text
from so.errors import ActivityError, IntegrityError
from so.systems.activity import framing, stored
from so.systems.activity.framing import pruning_message, tombstone_message
from so.systems.activity.keys import PRUNING, TOMBSTONE, KeyRing
from so.systems.activity.stored import judge, marks

if TYPE_CHECKING:
    from so.systems.activity.log import ActivityLog


def prune(
    log: ActivityLog, days: int, *, name: str | None = None, dry_run: bool = False, batch: int
) -> int:
    """Delete rows older than *days* of all logs or of the log *name*; how many."""
    if isinstance(days, bool) or not isinstance(days, int) or days < 1:
        raise ActivityError(f"days must be a whole number from 1, not {days!r}")
    until = datetime.fromtimestamp(log.clock.now().timestamp() - days * 86_400, UTC)
    run = _Run(log, until, name, batch)
    return run.count() if dry_run else run.delete({"days": days, "log": name})


class _Run:
    def __init__(self, log: ActivityLog, until: datetime, name: str | None, batch: int) -> None:
        self._log = log
        self._until = until
        self._name = name
        self._batch = batch
        self._ring: KeyRing | None = log.integrity.ring if log.integrity else None

    def count(self) -> int:
        return int(self._old(and_unsealed=True).count())

    def delete(self, rule: dict[str, Any]) -> int:
        if self._log.sealer is not None:
            self._log.sealer.seal()
        certificate = ""
        if self._ring is not None and self._old().exists():
            rule |= {"until": datetime_text(self._until)}
            certificate = self._log.certify("pruned", f"Pruned: {rule}", rule)
        count = 0
        while True:
            ids = self._old().order_by("created_at").limit(self._batch).pluck("id")
            if not ids:
                return count
            count += self._delete(sorted(ids), certificate)

    def _old(self, *, and_unsealed: bool = False) -> Any:
        query = self._log.db.connection().table("activity_log")
        query = query.where("created_at", "<", self._until)
        if self._name:
            query = query.where("log_name", self._name)
        if self._ring is not None:  # certificates stay, or the trail would no longer verify
            query = query.where(
                lambda q: q.where_null("log_name").or_where("log_name", "!=", "audit")
            )
        if self._log.sealer is not None:  # what was written a moment ago, or was refused, stays
            query = query.where(
                lambda q: q.where("seal_no", ">", 0).when(
                    and_unsealed, lambda q: q.or_where_null("seal_no")
                )
            )
        return query

    def _delete(self, ids: Sequence[int], certificate: str) -> int:
        connection = self._log.db.connection()
        with connection.transaction():
            sealed = stored.rows(
                connection, f"id in ({marks(ids)}) and seal_no > 0 and row_mac is not null", ids
            )
            if sealed and self._ring is None:
                raise IntegrityError(
                    f"row {sealed[0].id} is sealed, and without AUDIT_KEY no certificate can be "
                    "left in its place: set the key, then prune"
                )
            if self._ring is not None and sealed:
                _bury(connection, self._ring, sealed, certificate)
            count = int(connection.table("activity_log").where_in("id", ids).delete())
            if self._ring is not None and sealed:
                numbers = sorted({row.seal_no for row in sealed if row.seal_no})
                self._collapse(connection, self._ring, numbers, certificate)
        return count

    def _collapse(
        self, connection: Connection, ring: KeyRing, numbers: Sequence[int], certificate: str
    ) -> None:
        """Let the seals go whose last row went just now; each keeps its root and its place."""
        found = connection.select_tuples(
            "select s.seal_no, s.merkle_root from activity_seals s "  # noqa: S608  # marks only
            f"where s.seal_no in ({marks(numbers)}) and s.row_count = "
            "(select count(*) from activity_tombstones t where t.seal_no = s.seal_no)",
            numbers,
            use_read=False,
        )
        now = datetime_text(self._log.clock.now())
        for no, root in found:
            mac = ring.mac(pruning_message(no, root, now, certificate), PRUNING)
            connection.update(
                "update activity_seals set pruned_at = ?, prune_uid = ?, prune_mac = ? "
                "where seal_no = ?",
                [now, certificate, mac, no],
            )
            connection.delete("delete from activity_tombstones where seal_no = ?", [no])


def _bury(
    connection: Connection, ring: KeyRing, found: Sequence[stored.Stored], certificate: str
) -> None:
    erased = stored.erasures(connection, found)
    values: list[Any] = []
    for row in found:
        fault, message = judge(row, ring, erased)
        if fault is not None:
            raise IntegrityError(
                f"row {row.id} is not what was written ({fault}) and is evidence: nothing more is "
                "pruned; run activity:verify"
            )
        leaf = framing.leaf_hash(row.id, message, row.row_mac).hex()
        mac = ring.mac(tombstone_message(row.id, row.seal_no or 0, leaf, certificate), TOMBSTONE)
        values.append([row.id, row.seal_no, leaf, certificate, mac])
    for at in range(0, len(values), 150):
        part = values[at : at + 150]
        lists = ", ".join(["(?, ?, ?, ?, ?)"] * len(part))
        connection.insert(
            "insert into activity_tombstones "  # noqa: S608  # marks only
            f"(activity_id, seal_no, leaf_hash, cert_uid, mac) values {lists}",
            [value for row in part for value in row],
        )
    gone = list(erased)
    for at in range(0, len(gone), 500):
        part_ids = gone[at : at + 500]
        connection.delete(
            f"delete from activity_erasures where activity_id in ({marks(part_ids)})",  # noqa: S608
            part_ids,
        )
