"""`Sealer`: folds committed rows into chained, signed Merkle checkpoints.

It runs after the business transactions, never inside one. Which rows are sealed is what `seal_no`
says: a row whose transaction was open for long is committed after rows with greater ids, so
"everything after the last id" would lose it; here it lands in a later seal.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.db.values import datetime_text
from so.errors import ConcurrencyError, IntegrityError, UniqueConstraintError
from so.settings.activity import ActivitySettings
from so.support.clock import Clock
from so.systems.activity import framing
from so.systems.activity.keys import SEAL, KeyRing
from so.systems.activity.stored import Stored, copies, erasures, judge, marks, rows

REFUSED = 0  # seal_no of a row that may not be sealed
_IDS_AT_ONCE = 500


@dataclass
class Sealed:
    """What one run did."""

    seals: int = 0
    rows: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Head:
    """The newest seal."""

    seal_no: int
    seal_hash: str
    sealed_at: str | None


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
    ) -> Sealed:
        """Seal every committed row; with *recheck* look at refused ones again, too.

        With *heartbeat_seconds*, an empty seal is written when the newest is older than that.
        Does nothing while another process is sealing. A row that does not verify is never sealed:
        it is refused, and `activity:verify` reports it. Raises IntegrityError if the newest seal
        was altered: nothing may be built on it.
        """
        connection = connection or self._db.connection()
        if connection.in_transaction:
            raise IntegrityError("rows are sealed outside transactions: call seal() after commit")
        done = Sealed()
        try:
            with _lock(connection) as is_ours:
                if is_ours:
                    self._all(connection, done, recheck)
                    if heartbeat_seconds is not None:
                        self._heartbeat(connection, done, heartbeat_seconds)
        except (UniqueConstraintError, ConcurrencyError):
            pass  # another sealer was faster, lock or no lock: the rows are safe with it
        return done

    def head(self, connection: Connection) -> Head:
        """The newest seal, checked by itself; a head with number 0 before the first."""
        names = ", ".join((*framing.SEAL, "seal_hash", "seal_mac"))
        found = connection.select_tuples(
            f"select {names} from activity_seals order by seal_no desc limit 1",  # noqa: S608
            use_read=False,
        )
        if not found:
            return Head(0, framing.NO_SEAL, None)
        *values, seal_hash, mac = found[0]
        seal = dict(zip(framing.SEAL, values, strict=True))
        if not self._ring.knows(seal["key_id"]):
            raise IntegrityError(
                f"seal {seal['seal_no']} was made with a key that is not here: add the old "
                "AUDIT_KEY to AUDIT_PREVIOUS_KEYS"
            )
        if framing.seal_hash(values) != seal_hash or not self._ring.check(
            seal_hash.encode(), mac, SEAL, seal["key_id"]
        ):
            raise IntegrityError(
                f"seal {seal['seal_no']} was altered: nothing is sealed on top of it; run "
                "activity:verify --full"
            )
        return Head(seal["seal_no"], seal_hash, seal["sealed_at"])

    # --- steps

    def _all(self, connection: Connection, done: Sealed, recheck: bool) -> None:
        open_rows = f"(seal_no is null or seal_no = {REFUSED})" if recheck else "seal_no is null"
        self.head(connection)  # with a wrong key every row would look forged
        last = 0
        while True:
            tail = f"order by id limit {self._most}"
            found = rows(connection, f"{open_rows} and id > ?", [last], tail)
            if not found:
                return
            last = found[-1].id
            leaves, refused = self._checked(connection, found)
            self._refuse(connection, refused, done)
            if leaves and not self._write(connection, leaves):
                return  # a row changed under our hands: the next run sees what became of it
            done.seals += bool(leaves)
            done.rows += len(leaves)

    def _checked(
        self, connection: Connection, found: Sequence[Stored]
    ) -> tuple[dict[int, bytes], list[int]]:
        """The leaves of the good rows by id, and the ids of those that are not good."""
        erased = erasures(connection, found)
        copied = copies(connection, found)
        leaves: dict[int, bytes] = {}
        refused: list[int] = []
        for row in found:
            fault, message = judge(row, self._ring, erased)
            if fault is None and row.uid not in copied:
                leaves[row.id] = framing.leaf_hash(row.id, message, row.row_mac)
            else:
                refused.append(row.id)
        return leaves, refused

    def _refuse(self, connection: Connection, ids: Sequence[int], done: Sealed) -> None:
        done.refused += len(ids)
        for part in _parts(ids):
            connection.update(
                f"update activity_log set seal_no = {REFUSED} "  # noqa: S608  # marks only
                f"where id in ({marks(part)}) and seal_no is null",
                part,
            )

    def _write(self, connection: Connection, leaves: dict[int, bytes]) -> bool:
        head = self.head(connection)
        ids = list(leaves)
        root = framing.merkle_root(list(leaves.values()))
        seal = self._seal(head, ids, root)
        isolation = "read committed" if connection.dialect.name == "mysql" else None
        connection.begin_transaction(isolation=isolation)
        try:
            _insert(connection, seal)
            changed = sum(
                connection.update(
                    f"update activity_log set seal_no = ? where id in ({marks(part)}) "  # noqa: S608
                    f"and (seal_no is null or seal_no = {REFUSED})",
                    [seal["seal_no"], *part],
                )
                for part in _parts(ids)
            )
        except BaseException:
            connection.roll_back()
            raise
        if changed != len(ids):
            connection.roll_back()
            return False
        connection.commit()
        return True

    def _seal(self, head: Head, ids: Sequence[int], root: str) -> dict[str, Any]:
        seal: dict[str, Any] = {
            "seal_no": head.seal_no + 1,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
            "row_count": len(ids),
            "merkle_root": root,
            "prev_hash": head.seal_hash,
            "key_id": self._ring.key_id,
            "sealed_at": datetime_text(self._clock.now()),
            "sealed_by": f"{socket.gethostname()[:50]}:{os.getpid()}",
        }
        seal["seal_hash"] = framing.seal_hash(seal[name] for name in framing.SEAL)
        seal["seal_mac"] = self._ring.mac(seal["seal_hash"].encode(), SEAL)
        return seal

    def _heartbeat(self, connection: Connection, done: Sealed, seconds: float) -> None:
        head = self.head(connection)
        limit = datetime_text(_ago(self._clock, seconds))
        if head.sealed_at is None or head.sealed_at < limit:
            with connection.transaction():
                _insert(connection, self._seal(head, [], framing.merkle_root([])))
            done.seals += 1


def _ago(clock: Clock, seconds: float) -> Any:
    from datetime import timedelta

    return clock.now() - timedelta(seconds=seconds)


def _insert(connection: Connection, seal: dict[str, Any]) -> None:
    connection.insert(
        f"insert into activity_seals ({', '.join(seal)}) "  # noqa: S608  # constants
        f"values ({marks(list(seal))})",
        list(seal.values()),
    )


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[at : at + _IDS_AT_ONCE]


@contextmanager
def _lock(connection: Connection) -> Iterator[bool]:
    """Yield False, at once, while another process seals this database.

    Only to spare work: what makes two sealers safe is the primary key of activity_seals.
    """
    if connection.dialect.name != "mysql":
        yield True  # there, the one write transaction is the lock
        return
    database = str(connection.config["database"])
    name = f"so-seal-{hashlib.sha256(database.encode()).hexdigest()[:40]}"
    is_ours = connection.scalar("select get_lock(?, 0)", [name], use_read=False) == 1
    try:
        yield is_ours
    finally:
        if is_ours:
            connection.scalar("select release_lock(?)", [name], use_read=False)
