"""`prune`: deletes what is old, and leaves certificates where rows were sealed.

A sealed row is replaced by a tombstone that holds its leaf, so that the seal still computes; a
seal of nothing but tombstones is marked as pruned and they go, too. What was deleted, by which
rule and by whom, is an entry of the log `audit`, which is never pruned itself.

One server prunes at a time. It holds the database for some milliseconds, then leaves it alone for
several times as long, so that who writes beside it hardly notices. What is not what was written is
evidence and stays; so does what is on hold.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from so.db.values import datetime_text
from so.db.words import marks
from so.errors import ActivityError, IntegrityError
from so.support.listed import parts
from so.support.progress import steps
from so.systems.activity import framing, holding, stored
from so.systems.activity.keys import PRUNING, TOMBSTONE, KeyRing
from so.systems.activity.rows import AUDIT
from so.systems.activity.sealing import lock
from so.systems.activity.stored import Stored, Tombstone, judge

if TYPE_CHECKING:
    from so.systems.activity.trail import Trail

HELD_SECONDS = 0.005  # how long a batch should hold the database
PAUSE = 30  # times as long it is then left alone: who writes meets a batch one time in thirty
FEWEST = 10  # rows of a batch, however slow the machine
_FIRST_BATCH = 50


@dataclass(frozen=True)
class PruneRule:
    """Rows older than *days*: of all logs, of the log *name*, or of all but *others*."""

    days: int
    name: str | None = None
    others: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.days, bool) or not isinstance(self.days, int) or self.days < 1:
            raise ActivityError(f"days must be a whole number from 1, not {self.days!r}")

    def until(self, now: float) -> datetime:
        """The moment before which rows are old."""
        try:
            return datetime.fromtimestamp(now - self.days * 86_400, UTC)
        except (OverflowError, ValueError, OSError) as error:
            raise ActivityError(
                f"{self.days} days ago there was no calendar: give fewer days"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """For the certificate."""
        found: dict[str, Any] = {"days": self.days, "log": self.name}
        return {**found, "but": list(self.others)} if self.others else found


def rules(retention: Any, rest: int) -> list[PruneRule]:
    """A rule for each log of *retention* (its name → days), and one for all others."""
    return [
        *(PruneRule(days, name) for name, days in retention.items()),
        PruneRule(rest, None, tuple(sorted(retention))),
    ]


def prune(log: Trail, rule: PruneRule, *, dry_run: bool = False, batch: int = 1000) -> int:
    """Delete what *rule* says, at most *batch* rows at a time; how many.

    0 while another server prunes. Raises IntegrityError, after the rest is gone, if rows are not
    what was written.
    """
    run = _Run(log, rule, batch)
    if dry_run:
        return run.count(and_unsealed=True)
    with lock(log.db.connection(), "prune") as is_ours:
        return run.delete() if is_ours else 0


class _Run:
    def __init__(self, log: Trail, rule: PruneRule, batch: int) -> None:
        self._log = log
        self._rule = rule
        self._until = rule.until(log.clock.time())
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise ActivityError(f"batch must be a whole number from 1, not {batch!r}")
        self._most = batch
        self._connection = log.db.connection()
        self._held = holding.held(log)
        self._ring: KeyRing | None = log.integrity.ring if log.integrity else None
        self._kept: list[tuple[int, str]] = []

    def count(self, *, and_unsealed: bool = False) -> int:
        return int(self._old(and_unsealed=and_unsealed).count())

    def delete(self) -> int:
        if self._log.sealer is not None:
            self._log.sealer.seal()
        certificate = self._certify()
        if certificate is None:
            return 0
        count, size, last, step = 0, min(self._most, _FIRST_BATCH), None, steps(self.count)
        while found := self._next(last, size):
            last, asked = found[-1], size
            began = time.monotonic()
            count += self._delete([id for id, _ in found], certificate)
            step(len(found))
            took = max(time.monotonic() - began, 1e-6)
            size = min(self._most, max(FEWEST, int(size * HELD_SECONDS / took), 1))
            if len(found) == asked:
                time.sleep(took * PAUSE)
        self._complain(count)
        return count

    def _certify(self) -> str | None:
        """The certificate's uid, '' where none is needed; None if there is nothing to delete."""
        found = self._old().select_raw(
            "count(*) as n, min(id) as a, max(id) as b, min(seal_no) as c, max(seal_no) as d"
        )
        n, first, last, low, high = found.first().values()
        self._bound = last
        if not n:
            return None
        if self._ring is None:
            return ""
        rule = {**self._rule.to_dict(), "until": datetime_text(self._until)}
        what = {**rule, "rows": n, "ids": [first, last], "seals": [low, high]}
        return self._log.certify("pruned", f"Pruned {n} rows: {rule}", what)

    def _next(self, last: tuple[int, Any] | None, size: int) -> list[tuple[int, Any]]:
        """Id and time of the next rows by time; those that were kept are behind."""
        query = self._old().where("id", "<=", self._bound).order_by("created_at").order_by("id")
        if last is not None:
            id, at = last
            query.where(lambda q: q.where("created_at", ">", at).or_where(
                lambda q: q.where("created_at", at).where("id", ">", id)))  # fmt: skip
        return [
            (row["id"], row["created_at"]) for row in query.limit(size).get(["id", "created_at"])
        ]

    def _old(self, *, and_unsealed: bool = False) -> Any:
        query = self._connection.table("activity_log").where("created_at", "<", self._until)
        if self._rule.name:
            query.where("log_name", self._rule.name)
        spared = [*self._rule.others]
        if self._ring is not None:  # certificates stay, or the trail would no longer verify
            spared.append(AUDIT)
        if spared:
            query.where(lambda q: q.where_null("log_name").or_where_not_in("log_name", spared))
        for kind, id in self._held:
            for role in ("subject", "causer"):
                query.where_raw(
                    f"(coalesce({role}_type, '') <> ? or coalesce({role}_id, '') <> ?)", [kind, id]
                )
        if self._log.sealer is not None:  # what was written a moment ago, or was refused, stays
            query.where(
                lambda q: q.where("seal_no", ">", 0).when(
                    and_unsealed, lambda q: q.or_where_null("seal_no")
                )
            )
        return query

    # --- one batch

    def _delete(self, ids: Sequence[int], certificate: str) -> int:
        sealed = stored.rows(
            self._connection,
            f"id in ({marks(ids)}) and seal_no > 0 and row_mac is not null",
            ids,
        )
        if sealed and self._ring is None:
            raise IntegrityError(
                f"row {sealed[0].id} is sealed, and without AUDIT_KEY no certificate can be left "
                "in its place: set the key, then prune"
            )
        graves: list[Tombstone] = []
        if self._ring is not None:
            graves = self._graves(self._ring, sealed, certificate)
        kept = {id for id, _ in self._kept}
        with self._connection.transaction():
            going = [id for id in ids if id not in kept]
            count = self._connection.table("activity_log").where_in("id", going).delete()
            if count != len(going):
                raise IntegrityError("rows went while they were pruned: run activity:prune again")
            if self._ring is not None and graves:
                self._bury(graves)
                self._collapse(self._ring, sorted({row.seal_no for row in graves}), certificate)
        return int(count)

    def _graves(self, ring: KeyRing, sealed: Sequence[Stored], certificate: str) -> list[Tombstone]:
        """A tombstone for each row that is what was written; the others are kept."""
        erased = stored.erasures(self._connection, sealed)
        found = []
        for row in sealed:
            fault, message = judge(row, ring, erased)
            if fault is not None:
                self._kept.append((row.id, fault))
                continue
            leaf = framing.leaf_hash(row.id, message, row.row_mac).hex()
            grave = Tombstone(row.id, row.seal_no, leaf, certificate, "")
            found.append(grave._replace(mac=ring.mac(grave.message, TOMBSTONE)))
        return found

    def _bury(self, graves: Sequence[Tombstone]) -> None:
        for part in parts(graves, 150):
            lists = ", ".join(["(?, ?, ?, ?, ?)"] * len(part))
            self._connection.insert(
                f"insert into activity_tombstones "  # noqa: S608
                f"(activity_id, seal_no, leaf_hash, cert_uid, mac) values {lists}",
                [value for row in part for value in row],
            )
        for some in parts([row.id for row in graves]):
            self._connection.table("activity_erasures").where_in("activity_id", some).delete()

    def _collapse(self, ring: KeyRing, numbers: Sequence[int], certificate: str) -> None:
        """Let the seals go whose last row went just now; each keeps its root and its place."""
        connection = self._connection
        found = connection.select_tuples(
            "select s.seal_no, s.merkle_root from activity_seals s "  # noqa: S608  # marks
            f"where s.seal_no in ({marks(numbers)}) and s.row_count = "
            "(select count(*) from activity_tombstones t where t.seal_no = s.seal_no)",
            numbers,
            use_read=False,
        )
        now = datetime_text(self._log.clock.now())
        for no, root in found:
            mac = ring.mac(framing.pruning_message(no, root, now, certificate), PRUNING)
            pruned = {"pruned_at": now, "prune_uid": certificate, "prune_mac": mac}
            connection.table("activity_seals").where("seal_no", no).update(pruned)
            connection.table("activity_tombstones").where("seal_no", no).delete()

    def _complain(self, count: int) -> None:
        if self._kept:
            id, fault = self._kept[0]
            raise IntegrityError(
                f"row {id} is not what was written ({fault}) and is evidence: {len(self._kept)} "
                f"such rows were kept, {count} others were pruned; run activity:verify"
            )
