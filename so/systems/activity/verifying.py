"""`Verifier`: is the trail still what was written? Reads one snapshot, while others write.

The trail is a closed world: every seal follows the one before, every row is in a seal that exists
or is judged by itself, every tombstone, erasure and pruning has a certificate that is a row of the
trail. What is none of that is a finding.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, timedelta, tzinfo
from typing import Any

from so.db.connection import Connection
from so.db.values import datetime_text
from so.db.words import marks
from so.settings.activity import ActivitySettings
from so.support.clock import Clock
from so.support.listed import parts
from so.systems.activity import anchoring, framing, stored
from so.systems.activity.certificates import Certificates
from so.systems.activity.keys import PRUNING, SEAL, TOMBSTONE, KeyRing
from so.systems.activity.report import ALWAYS, WITHOUT_ANCHOR, WITHOUT_SEALS, Report
from so.systems.activity.stored import Erasure, Seal, Stored, Tombstone, judge

SEALS_AT_ONCE = 500
NEWEST_SEALS = 100  # that a look at the newest ones takes in at most
ROWS_AT_ONCE = 2000
_UNASKED = object()
_BACKLOG = "activity:seal has not run for too long"


class Verifier:
    """One run over the trail of one database."""

    def __init__(
        self,
        connection: Connection,
        ring: KeyRing,
        clock: Clock,
        *,
        seals: bool = True,
        backlog_seconds: float = ActivitySettings.backlog_seconds,
        heartbeat_seconds: float | None = None,
        on_seal: Callable[[int], object] = lambda number: None,
    ) -> None:
        """*seals*: rows are expected to be sealed within *backlog_seconds*.

        *on_seal* hears now and then of the number of the seal that it has come to.
        """
        self._connection = connection
        self._ring = ring
        self._clock = clock
        self._expects_seals = seals
        self._backlog = backlog_seconds
        self._heartbeat = heartbeat_seconds
        self._on_seal = on_seal
        self._first: Any = _UNASKED
        self._genuine: set[int] = set()  # numbers of seals that were made with the key
        self._in_force: str | None = None  # the key that the newest seal leaves in force
        self.report = Report()
        self._certificates = Certificates(connection, ring, self.report)

    def run(
        self,
        *,
        since_last: bool = False,
        subject: tuple[str, str] | None = None,
        between: tuple[int, int] | None = None,
        newest: int | None = None,
        anchors: Iterable[str] | None = None,
        head: str | None = None,
    ) -> Report:
        """Verify all of it; or what came since the last clean run; or what concerns *subject*.

        *between* is two numbers of seals; *newest* so many rows, the last ones, in two statements
        where all is well. *anchors* are lines of an anchor file, *head* is the
        hash of a seal that was noted elsewhere.
        """
        is_mysql = self._connection.dialect.name == "mysql"
        mode, isolation = ("read", "repeatable read") if is_mysql else ("deferred", None)
        self._note_limits(anchors is not None or head is not None)
        with self._connection.transaction(mode=mode, isolation=isolation):
            last = self._last(NEWEST_SEALS + 1 if newest is not None else 1)
            if newest is not None:
                self._newest(last, newest)
            elif subject is not None:
                self._subject(*subject)
            elif between is not None:
                self._between(*between)
            else:
                self._all(self._mark() if since_last else (0, framing.NO_SEAL))
            self._certificates.check(self._in_force)
            if anchors is not None:
                anchoring.compare(self._connection, anchors, self.report)
            if head is not None:
                anchoring.find(self._connection, head, self.report)
        return self.report

    def _note_limits(self, is_anchored: bool) -> None:
        self.report.limits += ALWAYS
        if not self._expects_seals:
            self.report.limits.append(WITHOUT_SEALS)
        elif not is_anchored:
            self.report.limits.append(WITHOUT_ANCHOR)

    # --- what to look at

    def _all(self, start: tuple[int, str]) -> None:
        newest = self._chain(self._continues(*start))
        self._key_in_force(newest)
        self._loose(newest)
        number = newest.seal_no if newest is not None else 0
        if self.report.rows + self.report.unsealed != self._count_of_all():
            self._strays("rows", "activity_log", "id", number)
        self._strays("tombstones", "activity_tombstones", "activity_id", number)
        self._seals_below_one()
        self._put_back()

    def _count_of_all(self) -> int:
        sql = "select count(*) from activity_log"
        return int(self._connection.scalar(sql, use_read=False))

    def _between(self, first: int, last: int) -> None:
        """The seals from *first* to *last* and their rows."""
        self.report.limits.append("anything outside the seals that were asked for")
        before = stored.seals(self._connection, "seal_no = ?", [first - 1]) if first > 1 else []
        newest = self._chain(before[0] if before else None, last)
        if self.report.last_seal < last:
            text = f"seal {self.report.last_seal + 1} is missing"
            self.report.fault(stored.DELETED, text, seal=self.report.last_seal + 1)
        self._key_in_force(newest)

    def _last(self, count: int) -> list[Seal]:
        """The newest *count* seals, oldest first; they say which key is in force."""
        tail = f"seal_no > 0 order by seal_no desc limit {int(count)}"
        found = stored.seals(self._connection, tail)[::-1]
        self._in_force = found[-1].next_key if found else None
        return found

    def _newest(self, last: Sequence[Seal], rows: int) -> None:
        """Of the seals *last* the newest that hold *rows* rows together, one at least.

        Tombstones are looked for only where rows are missing: one too many is for another run.
        """
        self.report.limits.append("anything outside the newest seals")
        first, held = len(last), 0
        while first > max(0, len(last) - NEWEST_SEALS):
            held += _int(last[first - 1].row_count)
            if held > rows and first < len(last):
                break
            first -= 1
        self._links(last[first:], last[first - 1] if first else None)
        for group in _groups(last[first:]):
            self._group(group, is_brief=True)
        self._key_in_force(last[-1] if last else None)

    def _subject(self, kind: str, id: str) -> None:
        """Every row of the subject, every seal that holds one, and the counts of all seals.

        A row of the subject that was deleted is nowhere to be found, but its seal misses one.
        """
        self.report.limits.append(
            f"what of {kind}:{id} was deleted shows only as a row that its seal lacks; rows of "
            "others are judged where they share a seal"
        )
        found = stored.rows(self._connection, "subject_type = ? and subject_id = ?", [kind, id])
        if not found:
            text = f"the trail has no row about {kind}:{id}"
            if ":" in id:
                self.report.unknown(f"{text}: write TYPE:ID, such as user:42")
            else:
                self.report.limits.append(f"anything about {kind}:{id}: {text}")
        wanted = list(dict.fromkeys(row.seal_no for row in found if row.seal_no))
        there: set[int] = set()
        for part in parts(wanted):
            seals = stored.seals(
                self._connection, f"seal_no in ({marks(part)}) order by seal_no", part
            )
            there |= {seal.seal_no for seal in seals}
            for group in _groups(seals):
                self._group(group)
        for no in wanted:
            if no not in there:
                self.report.fault(stored.DELETED, f"seal {no} is missing", seal=no)
        self._counts(there)
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
            if judge(row, self._ring, erased, in_force=self._in_force)[0] is None:
                properties = json.loads(row.value("properties") or "{}")
                if isinstance(properties.get("seal"), int):
                    return properties["seal"], str(properties.get("hash"))
        return 0, framing.NO_SEAL

    # --- the chain of seals

    def _chain(self, previous: Seal | None, last: int | None = None) -> Seal | None:
        """Every seal after *previous*, to number *last*; the newest one seen."""
        bound = "" if last is None else f"and seal_no <= {int(last)} "
        while True:
            number = previous.seal_no if previous is not None else 0
            found = stored.seals(
                self._connection,
                f"seal_no > ? {bound}order by seal_no limit {SEALS_AT_ONCE}",
                [number],
            )
            previous = self._links(found, previous)
            for group in _groups(found):
                self._group(group)
            self._genuine.clear()
            if found:
                self._on_seal(found[-1].seal_no)
            if len(found) < SEALS_AT_ONCE:
                return previous

    def _links(self, found: Sequence[Seal], previous: Seal | None) -> Seal | None:
        """The seals *found*, which come after *previous*; the last one that was seen."""
        for seal in found:
            self._follows(seal, previous)
            self._seal(seal, previous)
            previous = seal
        if previous is not None:
            self.report.last_seal = previous.seal_no
            self.report.last_hash = str(previous.seal_hash)
        return previous

    def _continues(self, last: int, last_hash: str) -> Seal | None:
        """The seal that the last run ended with, which must still be what it was."""
        if last == 0:
            return None
        found = stored.seals(self._connection, "seal_no = ?", [last])
        if not found:
            text = f"seal {last} was there at the last verification and is missing now"
            self.report.fault(stored.TRUNCATED, text, seal=last)
            return None
        if found[0].seal_hash != last_hash:
            text = f"seal {last} is not the one of the last verification"
            self.report.fault(stored.EDITED, text, seal=last)
        return found[0]

    def _follows(self, seal: Seal, previous: Seal | None) -> None:
        no = seal.seal_no
        number = previous.seal_no if previous is not None else 0
        hashed = previous.seal_hash if previous is not None else framing.NO_SEAL
        if no != number + 1:
            missing = f"{number + 1} to {no - 1}" if no > number + 2 else f"{no - 1}"
            self.report.fault(stored.DELETED, f"seal {missing} is missing", seal=number + 1)
        elif seal.prev_hash != hashed:
            text = f"seal {no} does not continue seal {number}"
            self.report.fault(stored.REORDERED, text, seal=no)

    def _seal(self, seal: Seal, previous: Seal | None) -> None:
        """The seal itself: its values, its hash, its key, its MAC."""
        no = seal.seal_no
        self.report.seals += 1
        odd = seal.malformed()
        if odd is not None:
            text = f"seal {no} was changed: {odd} is {getattr(seal, odd)!r}"
            self.report.fault(stored.EDITED, text, seal=no)
        elif framing.seal_hash(seal.hashed) != seal.seal_hash:
            self.report.fault(stored.EDITED, f"seal {no} was changed", seal=no)
        elif previous is not None and seal.key_id != previous.next_key:
            text = f"seal {no} was made with the key {seal.key_id}, which was not in force"
            self.report.fault(stored.EDITED, text, seal=no)
        elif not self._ring.knows(seal.key_id):
            self.report.unknown(f"seal {no} was made with an unknown key {seal.key_id}")
        elif not self._ring.check(seal.seal_hash.encode(), seal.seal_mac, SEAL, seal.key_id):
            text = f"seal {no} was made without the key"
            self.report.fault(stored.EDITED, text, seal=no)
        else:
            self._genuine.add(no)

    def _key_in_force(self, newest: Seal | None) -> None:
        """The newest seal must leave the newest key in force: an older one has been retired."""
        if newest is None or self._in_force in (None, self._ring.key_id):
            return
        if self._ring.knows(self._in_force) or self._is_usurped(newest.seal_no):
            text = (
                f"seal {newest.seal_no} was made with a retired key: run activity:seal after a "
                "change of AUDIT_KEY; if that was done, the trail was written anew with the old key"
            )
            self.report.fault(stored.EDITED, text, seal=newest.seal_no)

    def _is_usurped(self, newest: int) -> bool:
        """Did one of our retired keys hand over to a key that we do not know?"""
        sql = "sealed_by = ? and seal_no <= ? order by seal_no desc limit 1"
        wanted = [framing.handing_over(str(self._in_force)), newest]
        return any(
            self._ring.knows(seal.key_id) and seal.key_id != self._ring.key_id
            for seal in stored.seals(self._connection, sql, wanted)
        )

    # --- the rows of the seals of one reading

    def _group(self, seals: Sequence[Seal], *, is_brief: bool = False) -> None:
        numbers = [seal.seal_no for seal in seals]
        members: dict[int, list[tuple[Any, ...]]] = {no: [] for no in numbers}
        graves: dict[int, list[Tombstone]] = {no: [] for no in numbers}
        where = f"seal_no in ({marks(numbers)})"
        found = stored.tuples(self._connection, where, numbers, "order by seal_no, id")
        for row in found:
            members[row[1]].append(row)
        if not (is_brief and len(found) == sum(_int(seal.row_count) for seal in seals)):
            for tombstone in stored.tombstones(self._connection, numbers):
                graves[tombstone.seal_no].append(tombstone)
        for seal in seals:
            no = seal.seal_no
            if graves[no] or not self._is_whole(seal, members[no]):
                self._look_closely(seal, list(map(Stored.of, members[no])), graves[no])

    def _is_whole(self, seal: Seal, rows: Sequence[tuple[Any, ...]]) -> bool:
        """Do the rows give the root of a seal that is genuine?

        Then they are what the sealer found, who checked the MAC of each, and their own MACs are in
        the root as well: to make them anew would only take time.
        """
        if seal.seal_no not in self._genuine or _is_pruned(seal) or len(rows) != seal.row_count:
            return False
        leaves = stored.leaves(rows, seal.key_id)
        if leaves is None or framing.merkle_root(leaves) != seal.merkle_root:
            return False
        self.report.rows += len(rows)
        return True

    def _look_closely(self, seal: Seal, rows: list[Stored], graves: list[Tombstone]) -> None:
        erased = stored.erasures(self._connection, rows)
        self._members(seal, sorted([*rows, *graves], key=lambda row: row.id), erased)
        self._note_erased(erased)

    def _note_erased(self, erased: Mapping[int, Erasure]) -> None:
        for erasure in erased.values():
            self._certificates.need(erasure.cert_uid, "erased")
        self.report.erased += len(erased)

    def _members(
        self, seal: Seal, members: Sequence[Stored | Tombstone], erased: Mapping[int, Erasure]
    ) -> None:
        if _is_pruned(seal):
            self._pruned(seal, members)
            return
        before = self.report.fault_count
        leaves = self._leaves(seal, members, erased)
        no = seal.seal_no
        missing = seal.row_count - len(members) if type(seal.row_count) is int else 0
        if missing > 0:
            text = f"{missing} of {seal.row_count} rows of seal {no} are missing"
            self.report.fault(stored.DELETED, text, seal=no, row=_gap(seal, members))
        elif missing < 0:
            text = f"seal {no} has {-missing} rows more than it was made of"
            self.report.fault(stored.INSERTED, text, seal=no)
        elif self.report.fault_count == before and framing.merkle_root(leaves) != seal.merkle_root:
            self._no_root(seal, members)

    def _no_root(self, seal: Seal, members: Sequence[Stored | Tombstone]) -> None:
        """Each row is as it was signed, as far as can be told, and together they are not."""
        no = seal.seal_no
        if self._ring.knows(seal.key_id):
            text = f"rows of seal {no} changed places"
            self.report.fault(stored.REORDERED, text, seal=no)
        else:
            row = members[0].id if members else None
            text = f"row {row} of seal {no}, or one beside it, was changed"
            self.report.fault(stored.EDITED, text, seal=no, row=row)

    def _grave(self, tombstone: Tombstone) -> bytes:
        no = tombstone.seal_no
        if not self._ring.check(tombstone.message, tombstone.mac, TOMBSTONE, self._in_force):
            text = f"the tombstone of row {tombstone.id} in seal {no} was made without the key"
            self.report.fault(stored.PRUNED, text, seal=no, row=tombstone.id)
        self._certificates.need(tombstone.cert_uid, "pruned", no)
        self.report.pruned += 1
        return _bytes(tombstone.leaf_hash)

    def _leaves(
        self, seal: Seal, members: Sequence[Stored | Tombstone], erased: Mapping[int, Erasure]
    ) -> list[bytes]:
        """The leaf of each member, all of them judged."""
        ring, key, in_force = self._ring, seal.key_id, self._in_force
        leaf_hash, leaves = framing.leaf_hash, []
        for row in members:
            if isinstance(row, Tombstone):
                leaves.append(self._grave(row))
                continue
            fault, message = judge(row, ring, erased, key=key, in_force=in_force)
            if fault is not None or type(row.seal_no) is not int:
                self._row_fault(seal, row, fault)
            leaves.append(leaf_hash(row.id, message, row.row_mac))
        self.report.rows += sum(isinstance(row, Stored) for row in members)
        return leaves

    def _row_fault(self, seal: Seal, row: Stored, fault: str | None) -> None:
        no = seal.seal_no
        if type(row.seal_no) is not int:
            fault = stored.EDITED
        if fault != stored.KEY_UNKNOWN:
            kind = stored.EDITED if fault == stored.OTHER_KEY else str(fault)
            self.report.fault(kind, f"row {row.id} of seal {no}: {fault}", seal=no, row=row.id)

    def _pruned(self, seal: Seal, members: Sequence[Stored | Tombstone]) -> None:
        no = seal.seal_no
        message = framing.pruning_message(no, seal.merkle_root, seal.pruned_at, seal.prune_uid)
        if not self._ring.check(message, seal.prune_mac, PRUNING, self._in_force):
            text = f"seal {no} says it was pruned, without a certificate"
            self.report.fault(stored.PRUNED, text, seal=no)
            return
        self._certificates.need(str(seal.prune_uid), "pruned", no, count=0)
        self.report.pruned += seal.row_count if type(seal.row_count) is int else 0
        if members:
            text = f"seal {no} was pruned, and has rows"
            self.report.fault(stored.INSERTED, text, seal=no, row=members[0].id)

    # --- rows outside the seals

    def _strays(self, what: str, name: str, id: str, newest: int) -> None:
        """Rows or tombstones that say they belong to a seal which there is not."""
        number = "r.seal_no"
        if self._connection.dialect.name == "sqlite":  # a text there may be no UTF-8
            number = (
                "case typeof(r.seal_no) when 'text' then cast(r.seal_no as blob) else r.seal_no end"
            )
        found = self._connection.select_tuples(
            f"select {number}, min(r.{id}), count(*) from {name} r left join activity_seals s "  # noqa: S608  # a name
            "on s.seal_no = r.seal_no and s.seal_no > 0 "
            "where r.seal_no is not null and r.seal_no <> 0 and s.seal_no is null "
            "group by r.seal_no order by r.seal_no",
            use_read=False,
        )
        for no, row, count in found:
            no = no.decode("utf-8", "replace") if isinstance(no, bytes) else no
            self._stray(no, row, f"{count} {what}", newest)

    def _seals_below_one(self) -> None:
        for seal in stored.seals(self._connection, "seal_no <= 0"):
            text = f"seal {seal.seal_no} is none of the trail's: its seals are numbered from 1"
            self.report.fault(stored.INSERTED, text, seal=seal.seal_no)

    def _stray(self, no: Any, row: int, what: str, newest: int) -> None:
        if isinstance(no, int) and no > newest:
            text = f"{what} belong to seal {no}, after the newest one, {newest}: it was cut off"
            self.report.fault(stored.TRUNCATED, text, seal=no, row=row)
        else:
            text = f"{what} say they belong to a seal {no!r}, which there is not"
            kind = stored.DELETED if isinstance(no, int) and no > 0 else stored.INSERTED
            self.report.fault(kind, text, seal=no if _int(no) else str(no), row=row)

    def _loose(self, newest: Seal | None) -> None:
        oldest = None
        for found in stored.walk(self._connection, "seal_no is null or seal_no = 0"):
            self._judge_loose(found)
            times = [str(time) for row in found if (time := row.value("created_at")) is not None]
            oldest = min([*times, oldest] if oldest else times, default=None)
        if self._expects_seals:
            self._backlog_since(oldest, newest)

    def _judge_loose(self, found: Sequence[Stored]) -> None:
        erased = stored.erasures(self._connection, found)
        copied = stored.copies(self._connection, found)
        since = self._since() if found else None
        self.report.unsealed += len(found)
        self._note_erased(erased)
        for row in found:
            is_late = self._in_force == self._ring.key_id or (since is not None and row.id > since)
            key = self._ring.key_id if is_late else None
            fault, _ = judge(row, self._ring, erased, key=key, in_force=self._in_force)
            if row.uid in copied:
                fault = stored.INSERTED
            if fault == stored.KEY_UNKNOWN and self._may_be_lost(row.key_id):
                self.report.unknown(f"row {row.id} was signed with an unknown key")
            elif fault is not None:
                kind = fault if fault in (stored.EDITED, stored.ERASED) else stored.INSERTED
                self.report.fault(kind, f"row {row.id}, not yet sealed: {fault}", row=row.id)

    def _since(self) -> int | None:
        """The first row under the newest key, while no seal says yet that it is in force."""
        if self._first is _UNASKED:
            is_needed = self._ring.retired and self._in_force != self._ring.key_id
            newest = self._ring.key_id
            self._first = stored.first_signed_with(self._connection, newest) if is_needed else None
        found: int | None = self._first
        return found

    def _may_be_lost(self, key_id: Any) -> bool:
        """An unknown key that the newest seal leaves in force, or a trail without any seal."""
        return self._in_force is None or key_id == self._in_force

    def _backlog_since(self, oldest: str | None, newest: Seal | None) -> None:
        sealed_at = str(newest.sealed_at) if newest is not None else ""
        # An entry may carry an earlier time than it was written at, so both must be old.
        limit, here = self._ago(self._backlog), self._ago(self._backlog, self._connection.zone)
        if oldest is not None and oldest < here and sealed_at < limit:
            text = f"{self.report.unsealed} rows are not sealed, the oldest from {oldest}: "
            self.report.stale.append(text + _BACKLOG)
        elif self._heartbeat is not None and "" < sealed_at < self._ago(2 * self._heartbeat):
            self.report.stale.append(f"the newest seal is from {sealed_at}: {_BACKLOG}")

    def _ago(self, seconds: float, zone: tzinfo = UTC) -> str:
        return datetime_text(self._clock.now() - timedelta(seconds=seconds), zone)

    # --- by counting

    def _counts(self, seen: set[int]) -> None:
        """Seals that hold fewer or more rows and tombstones than they were made of."""
        found = self._connection.select_tuples(
            "select s.seal_no, s.row_count, "
            "(select count(*) from activity_log r where r.seal_no = s.seal_no), "
            "(select count(*) from activity_tombstones t where t.seal_no = s.seal_no) "
            "from activity_seals s where s.pruned_at is null",
            use_read=False,
        )
        for no, wanted, rows, buried in found:
            if no not in seen and wanted != rows + buried:
                text = f"seal {no} was made of {wanted} rows and has {rows + buried}"
                kind = stored.DELETED if str(wanted) > "" and rows < _int(wanted) else "inserted"
                self.report.fault(kind, text, seal=no)

    def _put_back(self) -> None:
        """Erased rows whose content is there again, as from a backup; erasures of no row."""
        for sql, kind, words in (
            (
                "select min(r.id), count(*) from activity_erasures e "
                "join activity_log r on r.id = e.activity_id where r.salt is not null",
                stored.RESTORED,
                "erased rows have their values again, the first is row",
            ),
            (
                "select min(e.activity_id), count(*) from activity_erasures e "
                "left join activity_log r on r.id = e.activity_id where r.id is null",
                stored.INSERTED,
                "erasures are of rows which there are not, the first of",
            ),
        ):
            first, count = self._connection.select_tuples(sql, use_read=False)[0]
            if count:
                self.report.fault(kind, f"{count} {words} {first}", row=first)


def _is_pruned(seal: Seal) -> bool:
    return any(value is not None for value in (seal.pruned_at, seal.prune_uid, seal.prune_mac))


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _gap(seal: Seal, members: Sequence[Stored | Tombstone]) -> int | None:
    """The missing row, where the ids tell which one it is."""
    first, last = seal.first_id, seal.last_id
    if type(first) is not int or type(last) is not int or last - first >= ROWS_AT_ONCE:
        return None
    have = {row.id for row in members}
    gaps: list[int] = [id for id in range(first, last + 1) if id not in have]
    return gaps[0] if len(gaps) == seal.row_count - len(members) else None


def _bytes(leaf: Any) -> bytes:
    try:
        return bytes.fromhex(leaf)
    except (TypeError, ValueError):
        return b""


def _groups(seals: Sequence[Seal]) -> Iterable[Sequence[Seal]]:
    """*seals* in parts whose rows are read together; a seal of its own when it is a big one."""
    group: list[Seal] = []
    count = 0
    for seal in seals:
        rows = max(0, min(_int(seal.row_count), ROWS_AT_ONCE))
        if group and (count + rows > ROWS_AT_ONCE):
            yield group
            group, count = [], 0
        group.append(seal)
        count += rows
    if group:
        yield group
