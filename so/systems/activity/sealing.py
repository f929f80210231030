"""`Sealer`: folds committed rows into chained, signed Merkle checkpoints.

It runs after the business transactions, never inside one. Which rows are sealed is what `seal_no`
says: a row whose transaction was open for long is committed after rows with greater ids, so
"everything after the last id" would lose it; here it lands in a later seal.

A key signs while it is in force. When AUDIT_KEY has changed, the sealer folds in what the old key
still signed, closes the old key's reign with a seal that names the new key, and opens the new
one's; a row or a seal that the old key signs afterwards is none of the trail's.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.db.values import datetime_text
from so.db.words import marks
from so.errors import ConcurrencyError, IntegrityError, UniqueConstraintError
from so.settings.activity import ActivitySettings
from so.support.clock import Clock
from so.support.listed import parts
from so.support.progress import steps
from so.systems.activity import framing, resigning, stored
from so.systems.activity.keys import SEAL, KeyRing
from so.systems.activity.stored import Seal, Stored, copies, erasures, judge

REFUSED = 0  # seal_no of a row that may not be sealed


@dataclass
class SealRun:
    """What one run did; not `is_ours` when another process was sealing."""

    seals: int = 0
    rows: int = 0
    refused: int = 0
    rotated: bool = False
    is_ours: bool = True


@dataclass(frozen=True)
class Head:
    """The newest seal, and the key that is in force after it."""

    seal_no: int
    seal_hash: str
    sealed_at: str | None
    key_id: str | None = None


class Sealer:
    """Seals the trail of one application; any number of processes may try at the same time."""

    def __init__(
        self,
        db: ConnectionSource,
        ring: KeyRing,
        clock: Clock,
        *,
        rows_per_seal: int = ActivitySettings.rows_per_seal,
    ) -> None:
        self._db = db
        self._ring = ring
        self._clock = clock
        self._most = rows_per_seal

    def seal(
        self,
        connection: Connection | None = None,
        *,
        recheck: bool = False,
        heartbeat_seconds: float | None = None,
    ) -> SealRun:
        """Seal every committed row; with *recheck* look at refused ones again, too.

        With *heartbeat_seconds*, an empty seal is written when the newest is older than that.
        Does nothing while another process is sealing. A row that does not verify is never sealed:
        it is refused, and `activity:verify` reports it. Raises IntegrityError if the newest seal
        was altered: nothing may be built on it.
        """
        connection = connection or self._db.connection()
        if connection.in_transaction:
            raise IntegrityError("rows are sealed outside transactions: call seal() after commit")
        done = SealRun()
        try:
            with lock(connection, "seal") as done.is_ours:
                if done.is_ours:
                    self._all(connection, done, recheck)
                    if heartbeat_seconds is not None:
                        self._heartbeat(connection, done, heartbeat_seconds)
        except (UniqueConstraintError, ConcurrencyError):
            pass  # another sealer was faster, lock or no lock: the rows are safe with it
        return done

    def head(self, connection: Connection) -> Head:
        """The newest seal, checked by itself; a head with number 0 before the first."""
        seal = stored.head(connection)
        if seal is None:
            return Head(0, framing.NO_SEAL, None)
        for key in (seal.key_id, seal.next_key):
            if not self._ring.knows(key):
                raise IntegrityError(
                    f"seal {seal.seal_no} was made with a key that is not here: add the old "
                    "AUDIT_KEY to AUDIT_PREVIOUS_KEYS"
                )
        if not self._is_genuine(seal):
            raise IntegrityError(
                f"seal {seal.seal_no} was altered: nothing is sealed on top of it; run "
                "activity:verify --full"
            )
        return Head(seal.seal_no, seal.seal_hash, seal.sealed_at, seal.next_key)

    def _is_genuine(self, seal: Seal) -> bool:
        # The last seal of a key is written together with the first of the next: never alone.
        return (
            seal.malformed() is None
            and framing.heir(seal.sealed_by) is None
            and framing.seal_hash(seal.hashed) == seal.seal_hash
            and self._ring.check(seal.seal_hash.encode(), seal.seal_mac, SEAL, seal.key_id)
        )

    # --- steps

    def _all(self, connection: Connection, done: SealRun, recheck: bool) -> None:
        head = self.head(connection)  # with a wrong key every row would look forged
        newest, step = self._ring.key_id, steps(lambda: _count_open(connection))
        before = head.key_id or self._first_key(connection)
        if before != newest:
            first_new = stored.first_signed_with(connection, newest)
            where = f"seal_no is null and key_id = ?{' and id < ?' if first_new else ''}"
            bindings = [before, *filter(None, [first_new])]
            self._fold(connection, done, before, where, bindings, step)
            self._hand_over(connection, before)
            done.rotated = True
        where = f"seal_no is null or seal_no = {REFUSED}" if recheck else "seal_no is null"
        self._fold(connection, done, newest, where, [], step)

    def _hand_over(self, connection: Connection, before: str) -> None:
        """Let the newest key be in force after *before*: two seals; all of it or nothing."""
        root, ring = framing.merkle_root([]), self._ring
        with connection.transaction():
            head = self.head(connection)
            last = self.make(head, [], root, before, framing.handing_over(ring.key_id))
            insert(connection, last)
            after = Head(last["seal_no"], last["seal_hash"], last["sealed_at"])
            insert(connection, self.make(after, [], root))
            resigning.sign_anew(connection, ring, before)

    def _first_key(self, connection: Connection) -> str:
        """The key to begin with: the oldest that signed a row before there was a seal."""
        for key_id in reversed(self._ring.retired):
            if stored.first_signed_with(connection, key_id) is not None:
                return key_id
        return self._ring.key_id

    def _fold(
        self,
        connection: Connection,
        done: SealRun,
        key: str,
        where: str,
        bindings: list[Any],
        step: Callable[[int], None],
    ) -> None:
        """Seal what matches and was signed with *key*; what else is open when it is the newest."""
        for found in stored.walk(connection, where, bindings, self._most):
            leaves, refused = self._checked(connection, found, key)
            if key == self._ring.key_id:
                self._refuse(connection, refused, done)
            if leaves and not self._write(connection, leaves, key):
                return  # a row changed under our hands: the next run sees what became of it
            done.seals += bool(leaves)
            done.rows += len(leaves)
            step(len(leaves))

    def _checked(
        self, connection: Connection, found: Sequence[Stored], key: str
    ) -> tuple[dict[int, bytes], list[int]]:
        """The leaves of the good rows by id, and the ids of those that are not good."""
        erased = erasures(connection, found)
        copied = copies(connection, found)
        leaves: dict[int, bytes] = {}
        refused: list[int] = []
        for row in found:
            fault, message = judge(row, self._ring, erased, key=key)
            if fault is None and row.uid not in copied:
                leaves[row.id] = framing.leaf_hash(row.id, message, row.row_mac)
            else:
                refused.append(row.id)
        return leaves, refused

    def _refuse(self, connection: Connection, ids: Sequence[int], done: SealRun) -> None:
        done.refused += len(ids)
        for part in parts(ids):
            connection.update(
                f"update activity_log set seal_no = {REFUSED} "  # noqa: S608  # marks
                f"where id in ({marks(part)}) and seal_no is null",
                part,
            )

    def _write(self, connection: Connection, leaves: dict[int, bytes], key: str) -> bool:
        head = self.head(connection)
        ids = list(leaves)
        seal = self.make(head, ids, framing.merkle_root(list(leaves.values())), key)
        isolation = "read committed" if connection.dialect.name == "mysql" else None
        connection.begin_transaction(isolation=isolation)
        try:
            insert(connection, seal)
            changed = sum(
                connection.update(
                    f"update activity_log set seal_no = ? "  # noqa: S608  # marks
                    f"where id in ({marks(part)}) and (seal_no is null or seal_no = {REFUSED})",
                    [seal["seal_no"], *part],
                )
                for part in parts(ids)
            )
        except BaseException:
            connection.roll_back()
            raise
        if changed != len(ids):
            connection.roll_back()
            return False
        connection.commit()
        return True

    def make(
        self,
        head: Head,
        ids: Sequence[int],
        root: str,
        key: str | None = None,
        sealed_by: str | None = None,
    ) -> dict[str, Any]:
        """The seal after *head*, over the rows *ids*, under *key* (the newest one without)."""
        seal: dict[str, Any] = {
            "seal_no": head.seal_no + 1,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
            "row_count": len(ids),
            "merkle_root": root,
            "prev_hash": head.seal_hash,
            "key_id": key or self._ring.key_id,
            "sealed_at": datetime_text(self._clock.now()),
            "sealed_by": sealed_by or f"{socket.gethostname()[:50]}:{os.getpid()}",
        }
        seal["seal_hash"] = framing.seal_hash([seal[name] for name in framing.SEAL])
        seal["seal_mac"] = self._ring.mac(seal["seal_hash"].encode(), SEAL, seal["key_id"])
        return seal

    @property
    def ring(self) -> KeyRing:
        """The keys it seals with."""
        return self._ring

    def _heartbeat(self, connection: Connection, done: SealRun, seconds: float) -> None:
        head = self.head(connection)
        limit = datetime_text(self._clock.now() - timedelta(seconds=seconds))
        if head.sealed_at is None or head.sealed_at < limit:
            with connection.transaction():
                insert(connection, self.make(head, [], framing.merkle_root([])))
            done.seals += 1


def _count_open(connection: Connection) -> int:
    sql = "select count(*) from activity_log where seal_no is null"
    return int(connection.scalar(sql, use_read=False))


def insert(connection: Connection, seal: dict[str, Any]) -> None:
    """Write a seal; UniqueConstraintError if another sealer was faster."""
    connection.insert(
        f"insert into activity_seals "  # noqa: S608  # constants
        f"({', '.join(seal)}) values ({marks(list(seal))})",
        list(seal.values()),
    )


@contextmanager
def lock(connection: Connection, what: str) -> Iterator[bool]:
    """Yield False, at once, while another process does *what* with the trail of this database.

    Only to spare work: what makes two sealers safe is the primary key of activity_seals.
    """
    if connection.dialect.name != "mysql":
        yield True  # there, the one write transaction is the lock
        return
    database = str(connection.config["database"])
    name = f"so-{what}-{hashlib.sha256(database.encode()).hexdigest()[:40]}"
    is_ours = connection.scalar("select get_lock(?, 0)", [name], use_read=False) == 1
    try:
        yield is_ours
    finally:
        if is_ours:
            connection.scalar("select release_lock(?)", [name], use_read=False)
