"""`Verifier`: is the trail still what was written? Reads one snapshot, while others write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from so.db.connection import Connection
from so.db.values import datetime_text
from so.support.clock import Clock
from so.systems.activity import framing, stored
from so.systems.activity.keys import PRUNING, SEAL, TOMBSTONE, KeyRing
from so.systems.activity.report import Report
from so.systems.activity.stored import Erasure, Stored, judge, marks

SEALS_AT_ONCE = 500
ROWS_AT_ONCE = 5000
CERTIFICATES = ("pruned", "erased")
_SEAL_COLUMNS = ", ".join(
    (*framing.SEAL, "seal_hash", "seal_mac", "pruned_at", "prune_uid", "prune_mac")
)
_BACKLOG = "activity:seal has not run for too long"


class Seal(NamedTuple):
    """A row of activity_seals: the columns SEAL, and those that are not in its hash."""

    seal_no: int
    first_id: int | None
    last_id: int | None
    row_count: int
    merkle_root: str
    prev_hash: str
    key_id: str
    sealed_at: str
    sealed_by: str
    seal_hash: str
    seal_mac: str
    pruned_at: str | None
    prune_uid: str | None
    prune_mac: str | None


class Tombstone(NamedTuple):
    """What stands in a seal for a row that was pruned."""

    id: int
    seal_no: int
    leaf_hash: str
    cert_uid: str
    mac: str


def tombstone_message(id: int, seal_no: int, leaf: str, cert_uid: str) -> bytes:
    """What the MAC of a tombstone is made over."""
    return b"tomb1" + framing.frame((id, seal_no, leaf, cert_uid))


def pruning_message(seal_no: int, root: str, pruned_at: str | None, uid: str | None) -> bytes:
    """What the MAC of a seal without rows is made over."""
    return b"prune1" + framing.frame((seal_no, root, pruned_at, uid))


class Verifier:
    """One run over the trail of one database."""

    def __init__(
        self,
        connection: Connection,
        ring: KeyRing,
        clock: Clock,
        *,
        seals: bool = True,
        backlog_seconds: float = 300,
        heartbeat_seconds: float | None = None,
    ) -> None:
        """*seals*: rows are expected to be sealed within *backlog_seconds*."""
        self._connection = connection
        self._ring = ring
        self._clock = clock
        self._expects_seals = seals
        self._backlog = backlog_seconds
        self._heartbeat = heartbeat_seconds
        self._certificates: dict[str, int | None] = {}  # uid → a seal that needs it
        self.report = Report()

    def run(
        self,
        *,
        since_last: bool = False,
        subject: tuple[str, str] | None = None,
        anchors: Iterable[str] = (),
    ) -> Report:
        """Verify all of it; or what came since the last clean run; or what concerns *subject*."""
        is_mysql = self._connection.dialect.name == "mysql"
        mode, isolation = ("read", "repeatable read") if is_mysql else ("deferred", None)
        with self._connection.transaction(mode=mode, isolation=isolation):
            if subject is not None:
                self._subject(*subject)
            else:
                self._all(self._mark() if since_last else (0, framing.NO_SEAL))
            self._check_certificates()
            self._check_anchors(anchors)
        return self.report

    # --- what to look at

    def _all(self, start: tuple[int, str]) -> None:
        newest = self._chain(*start)
        self._beyond(newest)
        self._loose(newest)

    def _subject(self, kind: str, id: str) -> None:
        """Every row of the subject, and every seal that holds one of them."""
        found = stored.rows(self._connection, "subject_type = ? and subject_id = ?", [kind, id])
        wanted = sorted({row.seal_no for row in found if row.seal_no})
        for at in range(0, len(wanted), SEALS_AT_ONCE):
            part = wanted[at : at + SEALS_AT_ONCE]
            seals = self._read_seals(f"seal_no in ({marks(part)}) order by seal_no", part)
            for no in sorted({*part} - {seal.seal_no for seal in seals}):
                self.report.fault(stored.DELETED, f"seal {no} is missing", seal=no)
            for group in _groups(seals):
                self._group(group)
        self._judge_loose([row for row in found if not row.seal_no])

    def _mark(self) -> tuple[int, str]:
        """Number and hash of the last seal of the newest clean run, as the trail itself says."""
        found = stored.rows(
            self._connection,
            "log_name = 'audit' and event = 'verified'",
            [],
            "order by id desc limit 20",
        )
        erased = stored.erasures(self._connection, found)
        for row in found:
            if judge(row, self._ring, erased)[0] is None:
                properties = json.loads(row.content[framing.CONTENT.index("properties")] or "{}")
                if isinstance(properties.get("seal"), int):
                    return properties["seal"], str(properties.get("hash"))
        return 0, framing.NO_SEAL

    # --- the chain of seals

    def _chain(self, last: int, last_hash: str) -> Seal | None:
        newest = self._continues(last, last_hash)
        previous = (last, last_hash)
        while True:
            found = self._read_seals(
                f"seal_no > ? order by seal_no limit {SEALS_AT_ONCE}", [previous[0]]
            )
            for seal in found:
                self._follows(seal, previous)
                previous = (seal.seal_no, seal.seal_hash)
                newest = seal
            for group in _groups(found):
                self._group(group)
            if len(found) < SEALS_AT_ONCE:
                self.report.last_seal, self.report.last_hash = previous
                return newest

    def _continues(self, last: int, last_hash: str) -> Seal | None:
        """The seal that the last run ended with, which must still be what it was."""
        if last == 0:
            return None
        found = self._read_seals("seal_no = ?", [last])
        if not found:
            text = f"seal {last} was there at the last verification and is missing now"
            self.report.fault(stored.TRUNCATED, text, seal=last)
            return None
        if found[0].seal_hash != last_hash:
            text = f"seal {last} is not the one of the last verification"
            self.report.fault(stored.EDITED, text, seal=last)
        return found[0]

    def _follows(self, seal: Seal, previous: tuple[int, str]) -> None:
        no = seal.seal_no
        if no != previous[0] + 1:
            missing = f"{previous[0] + 1} to {no - 1}" if no > previous[0] + 2 else f"{no - 1}"
            self.report.fault(stored.DELETED, f"seal {missing} is missing", seal=previous[0] + 1)
        elif seal.prev_hash != previous[1]:
            text = f"seal {no} does not continue seal {previous[0]}"
            self.report.fault(stored.REORDERED, text, seal=no)

    def _read_seals(self, tail: str, bindings: Sequence[Any]) -> list[Seal]:
        sql = f"select {_SEAL_COLUMNS} from activity_seals where {tail}"  # noqa: S608  # constants
        return [Seal(*row) for row in self._connection.select_tuples(sql, bindings, use_read=False)]

    # --- the seals of one reading, and their rows

    def _group(self, seals: Sequence[Seal]) -> None:
        members: dict[int, list[Stored | Tombstone]] = {seal.seal_no: [] for seal in seals}
        numbers = list(members)
        found = stored.rows(self._connection, f"seal_no in ({marks(numbers)})", numbers)
        for row in found:
            members[row.seal_no or 0].append(row)
        for tombstone in self._tombstones(numbers):
            members[tombstone.seal_no].append(tombstone)
        erased = stored.erasures(self._connection, found)
        for seal in seals:
            self._seal(seal)
            self._members(seal, sorted(members[seal.seal_no], key=lambda row: row.id), erased)
        for id, erasure in erased.items():
            self._certificates.setdefault(erasure.cert_uid, None)
            self.report.erased += id > 0

    def _tombstones(self, numbers: Sequence[int]) -> list[Tombstone]:
        sql = (
            "select activity_id, seal_no, leaf_hash, cert_uid, mac "  # noqa: S608  # marks only
            "from activity_tombstones "
            f"where seal_no in ({marks(numbers)})"
        )
        found = self._connection.select_tuples(sql, numbers, use_read=False)
        return [Tombstone(*row) for row in found]

    def _seal(self, seal: Seal) -> None:
        """The seal itself: its hash, its MAC."""
        no = seal.seal_no
        self.report.seals += 1
        if framing.seal_hash(seal[: len(framing.SEAL)]) != seal.seal_hash:
            self.report.fault(stored.EDITED, f"seal {no} was changed", seal=no)
        elif not self._ring.knows(seal.key_id):
            self.report.cannot_check.append(f"seal {no} was made with an unknown key {seal.key_id}")
        elif not self._ring.check(seal.seal_hash.encode(), seal.seal_mac, SEAL, seal.key_id):
            text = f"seal {no} was made without the key"
            self.report.fault(stored.EDITED, text, seal=no)

    def _members(
        self, seal: Seal, members: Sequence[Stored | Tombstone], erased: Mapping[int, Erasure]
    ) -> None:
        if any((seal.pruned_at, seal.prune_uid, seal.prune_mac)):
            self._pruned(seal, members)
            return
        before = len(self.report.faults)
        unknown: list[int] = []
        leaves = [self._leaf(row, erased, unknown) for row in members]
        missing = seal.row_count - len(members)
        no = seal.seal_no
        if missing > 0:
            text = f"{missing} of {seal.row_count} rows of seal {no} are missing"
            self.report.fault(stored.DELETED, text, seal=no, row=self._gap(seal, members))
        elif missing < 0:
            text = f"seal {no} has {-missing} rows more than it was made of"
            self.report.fault(stored.INSERTED, text, seal=no)
        elif framing.merkle_root(leaves) != seal.merkle_root:
            if unknown:
                text = f"row {unknown[0]} of seal {no} was changed"
                self.report.fault(stored.EDITED, text, seal=no, row=unknown[0])
            elif len(self.report.faults) == before:
                text = f"rows of seal {no} changed places"
                self.report.fault(stored.REORDERED, text, seal=no)
        elif unknown:
            self.report.cannot_check.append(
                f"{len(unknown)} rows of seal {no} were signed with an unknown key"
            )

    def _leaf(
        self, row: Stored | Tombstone, erased: Mapping[int, Erasure], unknown: list[int]
    ) -> bytes:
        no = row.seal_no
        if isinstance(row, Tombstone):
            message = tombstone_message(row.id, row.seal_no, row.leaf_hash, row.cert_uid)
            if not self._ring.check(message, row.mac, TOMBSTONE):
                text = f"the tombstone of row {row.id} in seal {no} was made without the key"
                self.report.fault(stored.PRUNED, text, seal=no, row=row.id)
            self._certificates.setdefault(row.cert_uid, no)
            self.report.pruned += 1
            return _bytes(row.leaf_hash)
        fault, message = judge(row, self._ring, erased)
        self.report.rows += 1
        if fault == stored.KEY_UNKNOWN:
            unknown.append(row.id)
        elif fault is not None:
            self.report.fault(fault, f"row {row.id} of seal {no}: {fault}", seal=no, row=row.id)
        return framing.leaf_hash(row.id, message, row.row_mac)

    def _pruned(self, seal: Seal, members: Sequence[Stored | Tombstone]) -> None:
        no = seal.seal_no
        message = pruning_message(no, seal.merkle_root, seal.pruned_at, seal.prune_uid)
        if not self._ring.check(message, seal.prune_mac, PRUNING):
            text = f"seal {no} says it was pruned, without a certificate"
            self.report.fault(stored.PRUNED, text, seal=no)
            return
        self._certificates.setdefault(str(seal.prune_uid), no)
        self.report.pruned += seal.row_count
        if members:
            text = f"seal {no} was pruned, and has rows"
            self.report.fault(stored.INSERTED, text, seal=no, row=members[0].id)

    @staticmethod
    def _gap(seal: Seal, members: Sequence[Stored | Tombstone]) -> int | None:
        """The missing row, where the ids tell which one it is."""
        if seal.first_id is None or seal.last_id is None:
            return None
        have = {row.id for row in members}
        if seal.last_id - seal.first_id + 1 > ROWS_AT_ONCE:
            return None
        gaps = [id for id in range(seal.first_id, seal.last_id + 1) if id not in have]
        return gaps[0] if len(gaps) == seal.row_count - len(members) else None

    # --- rows outside the seals

    def _beyond(self, newest: Seal | None) -> None:
        """Rows that belong to a seal after the newest: that seal was taken away."""
        last = newest.seal_no if newest is not None else 0
        found = self._connection.select_tuples(
            "select min(seal_no), min(id), count(*) from activity_log where seal_no > ?",
            [last],
            use_read=False,
        )[0]
        if found[2]:
            text = f"{found[2]} rows belong to seals after the newest one, {last}: it was cut off"
            self.report.fault(stored.TRUNCATED, text, seal=found[0], row=found[1])

    def _loose(self, newest: Seal | None) -> None:
        last, oldest = 0, None
        where = "(seal_no is null or seal_no = 0) and id > ?"
        while True:
            found = stored.rows(
                self._connection, where, [last], f"order by id limit {ROWS_AT_ONCE}"
            )
            self._judge_loose(found)
            times = [str(row.framed[-2]) for row in found if row.framed[-2] is not None]
            oldest = min([*times, oldest] if oldest else times, default=None)
            if len(found) < ROWS_AT_ONCE:
                break
            last = found[-1].id
        if self._expects_seals:
            self._backlog_since(oldest, newest)

    def _judge_loose(self, found: Sequence[Stored]) -> None:
        erased = stored.erasures(self._connection, found)
        copied = stored.copies(self._connection, found)
        self.report.unsealed += len(found)
        self.report.erased += len(erased)
        for erasure in erased.values():
            self._certificates.setdefault(erasure.cert_uid, None)
        for row in found:
            fault, _ = judge(row, self._ring, erased)
            if row.uid in copied:
                fault = stored.INSERTED
            if fault == stored.KEY_UNKNOWN:
                self.report.cannot_check.append(f"row {row.id} was signed with an unknown key")
            elif fault is not None:
                self.report.fault(fault, f"row {row.id}, not yet sealed: {fault}", row=row.id)

    def _backlog_since(self, oldest: str | None, newest: Seal | None) -> None:
        sealed_at = newest.sealed_at if newest is not None else ""
        # An entry may carry an earlier time than it was written at, so both must be old.
        limit = self._ago(self._backlog)
        if oldest is not None and oldest < limit and sealed_at < limit:
            text = f"{self.report.unsealed} rows are not sealed, the oldest from {oldest}: "
            self.report.stale.append(text + _BACKLOG)
        elif self._heartbeat is not None and "" < sealed_at < self._ago(2 * self._heartbeat):
            self.report.stale.append(f"the newest seal is from {sealed_at}: {_BACKLOG}")

    def _ago(self, seconds: float) -> str:
        return datetime_text(self._clock.now() - timedelta(seconds=seconds))

    # --- certificates and anchors

    def _check_certificates(self) -> None:
        uids = list(self._certificates)
        there: set[str] = set()
        for at in range(0, len(uids), SEALS_AT_ONCE):
            part = uids[at : at + SEALS_AT_ONCE]
            sql = (
                f"select uid from activity_log where uid in ({marks(part)}) "  # noqa: S608  # marks
                f"and log_name = 'audit' and event in ({marks(CERTIFICATES)})"
            )
            found = self._connection.select_tuples(sql, [*part, *CERTIFICATES], use_read=False)
            there.update(uid for (uid,) in found)
        for uid in uids:
            if uid not in there:
                text = f"the certificate {uid} of a pruning or erasure is missing"
                self.report.fault(stored.PRUNED, text, seal=self._certificates[uid])

    def _check_anchors(self, lines: Iterable[str]) -> None:
        """Compare the seals with what was written down elsewhere."""
        for line in lines:
            no, seal_hash = _anchor(line)
            if no is None:
                if seal_hash:
                    self.report.cannot_check.append(f"{seal_hash[:80]!r} is no line of an anchor")
                continue
            found = self._connection.select_tuples(
                "select seal_hash from activity_seals where seal_no = ?", [no], use_read=False
            )
            if not found:
                text = f"seal {no} was anchored and is missing: the trail was cut or set back"
                self.report.fault(stored.TRUNCATED, text, seal=no)
            elif found[0][0] != seal_hash:
                text = f"seal {no} is not the one that was anchored"
                self.report.fault(stored.EDITED, text, seal=no)


def _anchor(line: str) -> tuple[int | None, str]:
    words = line.split()
    if len(words) >= 2 and words[0].isascii() and words[0].isdecimal():
        return int(words[0]), words[1]
    return None, line.strip()


def _bytes(leaf: str) -> bytes:
    try:
        return bytes.fromhex(leaf)
    except ValueError:
        return b""


def _groups(seals: Sequence[Seal]) -> Iterable[Sequence[Seal]]:
    """*seals* in parts whose rows are read together; a seal of its own when it is a big one."""
    group: list[Seal] = []
    count = 0
    for seal in seals:
        rows = max(0, min(seal.row_count, ROWS_AT_ONCE))
        if group and count + rows > ROWS_AT_ONCE:
            yield group
            group, count = [], 0
        group.append(seal)
        count += rows
    if group:
        yield group
