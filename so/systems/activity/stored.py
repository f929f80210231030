"""Rows of the trail as they lie in the database, and whether one is still what was written.

Read past the models and past every cast: what is checked is the stored text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from so.db.connection import Connection
from so.systems.activity import framing
from so.systems.activity.keys import ERASURE, ROW, KeyRing

EDITED = "edited"
DELETED = "deleted"
INSERTED = "inserted"
REORDERED = "reordered"
TRUNCATED = "truncated"
PRUNED = "pruned without certificate"
ERASED = "erased without certificate"
KEY_UNKNOWN = "key unknown"
_KEYS_AT_ONCE = 500


class Stored(NamedTuple):
    """One row: its place, its proof, and the two groups of values that are signed."""

    id: int
    seal_no: int | None
    row_mac: str | None
    salt: str | None
    framed: tuple[Any, ...]
    content: tuple[Any, ...]

    @property
    def key_id(self) -> Any:
        """Which key it was signed with."""
        return self.framed[0]

    @property
    def uid(self) -> Any:
        """What the application calls it."""
        return self.framed[1]


class Erasure(NamedTuple):
    """Why a row's content is not what was written: it was erased, with a certificate."""

    content_hash: str
    cert_uid: str
    mac: str


def rows(
    connection: Connection, where: str, bindings: Sequence[Any], tail: str = "order by id"
) -> list[Stored]:
    """The rows that match *where*; times come as the text that is stored."""
    columns = [_column(connection, name) for name in (*framing.FRAMED, *framing.CONTENT)]
    found = connection.select_tuples(
        f"select id, seal_no, row_mac, salt, {', '.join(columns)} "  # noqa: S608  # constants
        f"from activity_log where {where} {tail}",
        bindings,
        use_read=False,
    )
    end = 4 + len(framing.FRAMED)
    return [Stored(row[0], row[1], row[2], row[3], row[4:end], row[end:]) for row in found]


def _column(connection: Connection, name: str) -> str:
    # Every engine and driver has its own idea of a datetime; all agree on its text.
    is_time = name in ("created_at", "updated_at") and connection.dialect.name == "mysql"
    return f"cast({name} as char)" if is_time else name


def erasures(connection: Connection, among: Iterable[Stored]) -> dict[int, Erasure]:
    """The erasures of those rows whose salt is gone, by id."""
    ids = [row.id for row in among if row.salt is None]
    found: dict[int, Erasure] = {}
    for at in range(0, len(ids), _KEYS_AT_ONCE):
        part = ids[at : at + _KEYS_AT_ONCE]
        for id, *rest in connection.select_tuples(
            "select activity_id, content_hash, cert_uid, mac from activity_erasures "  # noqa: S608
            f"where activity_id in ({marks(part)})",
            part,
            use_read=False,
        ):
            found[id] = Erasure(*rest)
    return found


def copies(connection: Connection, among: Collection[Stored]) -> set[Any]:
    """Those uids of *among* that stand in more than one row: MACs do not cover the id."""
    uids = [row.uid for row in among if row.uid is not None]
    found: set[Any] = set()
    for at in range(0, len(uids), _KEYS_AT_ONCE):
        part = uids[at : at + _KEYS_AT_ONCE]
        sql = (
            f"select uid from activity_log where uid in ({marks(part)}) "  # noqa: S608  # marks
            "group by uid having count(*) > 1"
        )
        found.update(uid for (uid,) in connection.select_tuples(sql, part, use_read=False))
    return found


def marks(values: Sequence[Any]) -> str:
    """So many question marks."""
    return ", ".join("?" * len(values))


def erasure_message(uid: Any, content_hash: str, cert_uid: str, content: Iterable[Any]) -> bytes:
    """What the MAC of an erasure is made over: the row, and what it says from now on."""
    now = framing.content_hash("", content)
    return b"erase1" + framing.frame((uid, content_hash, cert_uid, now))


def judge(row: Stored, ring: KeyRing, erased: Mapping[int, Erasure]) -> tuple[str | None, bytes]:
    """What is wrong with *row* (None: nothing), and the bytes that its leaf is made of."""
    fault = None
    if row.salt is not None:
        content = framing.content_hash(row.salt, row.content)
    elif row.id in erased:
        erasure = erased[row.id]
        content = erasure.content_hash
        message = erasure_message(row.uid, content, erasure.cert_uid, row.content)
        fault = None if ring.check(message, erasure.mac, ERASURE) else ERASED
    else:
        content = ""
        fault = ERASED
    message = framing.row_frame(row.framed, content)
    if row.row_mac is None:
        fault = INSERTED
    elif fault is None and not ring.knows(row.key_id):
        fault = KEY_UNKNOWN
    elif fault is None and not ring.check(message, row.row_mac, ROW, row.key_id):
        fault = EDITED
    return fault, message
