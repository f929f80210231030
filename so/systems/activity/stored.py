"""The four tables of the trail as they lie in the database, and whether a row is what was written.

Read past the models and past every cast: what is checked is the stored text. What no application
wrote (bytes where text belongs, text that is no UTF-8) is read without an error, to be reported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from so.db.connection import Connection
from so.db.words import marks
from so.errors import ConcurrencyError, LostConnectionError, QueryError
from so.support.listed import parts
from so.systems.activity import framing
from so.systems.activity.keys import ERASURE, ROW, KeyRing

EDITED = "edited"
DELETED = "deleted"
INSERTED = "inserted"
REORDERED = "reordered"
TRUNCATED = "truncated"
PRUNED = "pruned without certificate"
ERASED = "erased without certificate"
RESTORED = "erased values put back"
KEY_UNKNOWN = "key unknown"
OTHER_KEY = "signed with a key that was not in force"
ROWS_AT_ONCE = 1000
_NO_TEXT = 0.5  # stands for what is neither text, whole number nor NULL


class Stored(NamedTuple):
    """One row: its place, its proof, and the two groups of values that are signed."""

    id: int
    seal_no: Any
    row_mac: str | None
    salt: str | None
    framed: tuple[Any, ...]
    content: tuple[Any, ...]

    @classmethod
    def of(cls, row: Sequence[Any]) -> Stored:
        """From the columns COLUMNS."""
        end = _END_OF_FRAMED
        return cls(row[0], row[1], row[2], row[3], tuple(row[4:end]), tuple(row[end:]))

    @property
    def key_id(self) -> Any:
        """Which key it was signed with."""
        return self.framed[0]

    @property
    def uid(self) -> Any:
        """What the application calls it."""
        return self.framed[1]

    def value(self, name: str) -> Any:
        """The value of a signed column."""
        if name in framing.CONTENT:
            return self.content[framing.CONTENT.index(name)]
        return self.framed[framing.FRAMED.index(name)]


class Seal(NamedTuple):
    """A row of activity_seals: the columns framing.SEAL, and those that are not in its hash."""

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

    @property
    def hashed(self) -> tuple[Any, ...]:
        """What its hash is made over."""
        return self[: len(framing.SEAL)]

    @property
    def next_key(self) -> str:
        """The key in force after it."""
        return framing.heir(self.sealed_by) or self.key_id

    def malformed(self) -> str | None:
        """The column whose value is of a type that no seal was made with; None if there is none."""
        for name, value in zip(self._fields, self, strict=True):
            wanted = (int,) if name in _NUMBERS else (str,)
            if type(value) not in wanted and not (value is None and name in _OPTIONAL):
                return name
        return None


_NUMBERS = ("seal_no", "first_id", "last_id", "row_count")
_OPTIONAL = ("first_id", "last_id", "pruned_at", "prune_uid", "prune_mac")


class Tombstone(NamedTuple):
    """What stands in a seal for a row that was pruned."""

    id: int
    seal_no: int
    leaf_hash: str
    cert_uid: str
    mac: str

    @property
    def message(self) -> bytes:
        """What its MAC is made over."""
        return framing.tombstone_message(self.id, self.seal_no, self.leaf_hash, self.cert_uid)


class Erasure(NamedTuple):
    """Why a row's content is not what was written: it was erased, with a certificate."""

    content_hash: str
    cert_uid: str
    mac: str


# --- reading

COLUMNS = ("id", "seal_no", "row_mac", "salt", *framing.FRAMED, *framing.CONTENT)
_END_OF_FRAMED = 4 + len(framing.FRAMED)
_KEY = COLUMNS.index("key_id")


def tuples(
    connection: Connection, where: str, bindings: Sequence[Any], tail: str = "order by id"
) -> Sequence[tuple[Any, ...]]:
    """The columns COLUMNS of the rows that match *where*; times come as the text that is stored."""
    return _read(connection, "activity_log", COLUMNS, f"{where} {tail}", bindings)


def rows(
    connection: Connection, where: str, bindings: Sequence[Any], tail: str = "order by id"
) -> list[Stored]:
    """The rows that match *where*."""
    return [Stored.of(row) for row in tuples(connection, where, bindings, tail)]


def walk(
    connection: Connection, where: str, bindings: Sequence[Any] = (), size: int = ROWS_AT_ONCE
) -> Iterator[list[Stored]]:
    """The rows that match *where*, *size* at a time by id; those of a part may be changed."""
    after, last = "", list[Any]()
    while found := rows(
        connection, f"({where}){after}", [*bindings, *last], f"order by id limit {size}"
    ):
        yield found
        if len(found) < size:
            return
        after, last = " and id > ?", [found[-1].id]


def seals(connection: Connection, tail: str, bindings: Sequence[Any] = ()) -> list[Seal]:
    """The seals that *tail*, what comes after `where`, asks for."""
    return [Seal(*row) for row in _read(connection, "activity_seals", Seal._fields, tail, bindings)]


def head(connection: Connection) -> Seal | None:
    """The newest seal, as it is stored."""
    found = seals(connection, "seal_no > 0 order by seal_no desc limit 1")
    return found[0] if found else None


def tombstones(connection: Connection, numbers: Sequence[Any]) -> list[Tombstone]:
    """The tombstones in the seals with these numbers."""
    columns = ("activity_id", "seal_no", "leaf_hash", "cert_uid", "mac")
    return [
        Tombstone(*row)
        for part in parts(numbers)
        for row in _read(
            connection, "activity_tombstones", columns, f"seal_no in ({marks(part)})", part
        )
    ]


def erasures(connection: Connection, among: Iterable[Stored]) -> dict[int, Erasure]:
    """The erasures of those rows whose salt is gone, by id."""
    columns = ("activity_id", "content_hash", "cert_uid", "mac")
    return {
        row[0]: Erasure(*row[1:])
        for part in parts([row.id for row in among if row.salt is None])
        for row in _read(
            connection, "activity_erasures", columns, f"activity_id in ({marks(part)})", part
        )
    }


def copies(connection: Connection, among: Collection[Stored]) -> set[Any]:
    """Those uids of *among* that stand in more than one row: MACs do not cover the id."""
    found: set[Any] = set()
    for part in parts([*{row.uid: 1 for row in among if isinstance(row.uid, str)}]):
        those = f"from activity_log where uid in ({marks(part)})"
        # First only counted, in the index alone: hardly ever is there a copy to look for.
        sql = f"select count(*) {those}"
        if connection.scalar(sql, part, use_read=False) == len(part):
            continue
        sql = f"select uid {those} group by uid having count(*) > 1"
        found.update(uid for (uid,) in connection.select_tuples(sql, part, use_read=False))
    return found


def first_signed_with(connection: Connection, key_id: str) -> int | None:
    """The first row that says it was signed with that key; reads the whole table."""
    sql = "select min(id) from activity_log where key_id = ?"  # a name
    found: int | None = connection.scalar(sql, [key_id], use_read=False)
    return found


def _read(
    connection: Connection, name: str, columns: Sequence[str], tail: str, bindings: Sequence[Any]
) -> Sequence[tuple[Any, ...]]:
    is_mysql = connection.dialect.name == "mysql"
    # Every engine and driver has its own idea of a datetime; all agree on its text.
    chosen = [
        f"cast({column} as char)" if is_mysql and column in ("created_at", "updated_at") else column
        for column in columns
    ]
    rest = f"from {name} where {tail}"
    sql = f"select {', '.join(chosen)} {rest}"  # constants and marks
    try:
        return connection.select_tuples(sql, bindings, use_read=False)
    except (ConcurrencyError, LostConnectionError):
        raise
    except QueryError as error:
        if not is_undecodable(connection, error):
            raise
    raw = ", ".join(f"typeof({c}), case typeof({c}) when 'text' then cast({c} as blob) else {c} end"
                    for c in columns)  # fmt: skip
    found = connection.select_tuples(f"select {raw} {rest}", bindings, use_read=False)
    return [tuple(map(_decoded, row[::2], row[1::2])) for row in found]


def is_undecodable(connection: Connection, error: QueryError) -> bool:
    """Was there a text that is no UTF-8? SQLite keeps any; a server none."""
    text = str(error.__cause__ or error)
    return connection.dialect.name == "sqlite" and "decode" in text


def _decoded(kind: str, value: Any) -> Any:
    if kind != "text":
        return _NO_TEXT if kind == "blob" else value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _NO_TEXT


# --- judging


def judge(
    row: Stored,
    ring: KeyRing,
    erased: Mapping[int, Erasure],
    *,
    key: str | None = None,
    in_force: str | None = None,
) -> tuple[str | None, bytes]:
    """What is wrong with *row* (None: nothing), and the bytes that its leaf is made of.

    *key*: the one it must have been signed with; *in_force*: the one that an erasure of it must
    be signed with. Without them any key of the ring is as good.
    """
    id, _, mac, salt, framed, values = row
    fault = None
    if salt is not None:
        message = framing.signed((salt, *framed, *values))
    else:
        content, fault = _erased(row, ring, erased.get(id), in_force)
        message = framing.row_frame(framed, content)
    signer = framed[0]
    if mac is None:
        fault = INSERTED
    elif fault is not None:
        pass
    elif not is_text((*framed, *values)):
        fault = EDITED
    elif key is not None and signer != key:
        fault = OTHER_KEY
    elif not ring.check(message, mac, ROW, signer):
        fault = EDITED if ring.knows(signer) else KEY_UNKNOWN
    return fault, message


def _erased(
    row: Stored, ring: KeyRing, erasure: Erasure | None, in_force: str | None
) -> tuple[str, str | None]:
    """The digest of what *row* was written with, and what is wrong with its being erased."""
    if erasure is None:
        return "", ERASED
    kept, certificate, mac = erasure
    message = framing.erasure_message(row.uid, kept, certificate, row.content)
    return kept, None if ring.check(message, mac, ERASURE, in_force) else ERASED


def leaves(found: Sequence[tuple[Any, ...]], key: str) -> list[bytes] | None:
    """The leaves of rows as `tuples` gives them; None if one of them is not what is sealed.

    That is: all of it text, in a seal with a number, nothing erased, signed with *key*. Whether it
    is what was written, the root over the leaves says.
    """
    if {row[_KEY] for row in found} - {key} or {type(row[1]) for row in found} - {int}:
        return None
    try:
        return list(map(framing.whole_leaf, found))
    except framing.UNUSUAL:
        return None


_TEXT = frozenset((str, type(None)))


def is_id(value: Any) -> bool:
    """May a row have this id? No database has numbers of more than 64 bits."""
    return type(value) is int and 0 < value < 1 << 63


def is_text(values: tuple[Any, ...]) -> bool:
    """All of them are text or NULL: with that it was signed, and nothing else looks the same."""
    return _TEXT.issuperset(map(type, values))
