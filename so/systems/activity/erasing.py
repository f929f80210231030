"""`erase`: takes a person's values out of the trail, and leaves a trail that verifies.

A row's MAC is made over a salted digest of its content. Erasing overwrites the content, forgets
the salt (so that nobody can guess a short value back from the digest), and keeps the digest with
a signed reference to the certificate. That something happened, when, to which record and which
columns changed stays; what the values were does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from so.db.connection import Connection
from so.errors import IntegrityError
from so.support.masking import Masker
from so.systems.activity import framing, stored
from so.systems.activity.framing import erasure_message
from so.systems.activity.keys import ERASURE, KeyRing
from so.systems.activity.rows import ERASED
from so.systems.activity.stored import Erasure, Stored, judge

if TYPE_CHECKING:
    from so.systems.activity.log import ActivityLog

PERSONAL = (
    "name", "email", "phone", "mobile", "fax", "address", "street", "city", "zip", "postal",
    "birth", "tax_id", "passport", "iban",
)  # fmt: skip
ORIGIN = ("ip", "user_agent", "url")  # of the context: where the person sat
SHORTEST = 3  # characters of a value that is looked for in other texts
ROWS_AT_ONCE = 500
_FRAMED = {name: at for at, name in enumerate(framing.FRAMED)}


def erase(log: ActivityLog, kind: str, id: str, personal: Iterable[str] = PERSONAL) -> int:
    """Erase the values of the person *kind*:*id* from the trail; how many rows changed.

    Rows about the person lose every value; rows the person caused lose label, address, browser
    and URL, and each text that the rows about the person give as a personal value (columns whose
    name contains a word of *personal*). Running it again erases what came since, or what a run
    that was cut off left. Raises IntegrityError at a row that is not what was written.
    """
    run = _Run(log, kind, id, Masker(personal))
    return run.erase()


class _Run:
    def __init__(self, log: ActivityLog, kind: str, id: str, personal: Masker) -> None:
        self._log = log
        self._who = (kind, id)
        self._personal = personal
        self._connection = log.db.connection()
        self._ring = log.integrity.ring if log.integrity else None
        self._known: list[str] = []
        self._certificate = ""

    def erase(self) -> int:
        self._overwrite_what_is_deleted()
        self._known = self._personal_texts()
        # Rows about the person come last: they are where the texts to look for are known from.
        passes = (
            "causer_type = ? and causer_id = ? and id > ?",
            "subject_type = ? and subject_id = ? and id > ?",
        )
        count = sum(self._pass(where) for where in passes)
        self._settle()
        return count

    def _pass(self, where: str) -> int:
        count = last = 0
        tail = f"order by id limit {ROWS_AT_ONCE}"
        while True:
            found = stored.rows(self._connection, where, [*self._who, last], tail)
            if not found:
                return count
            last = found[-1].id
            count += self._rows(found)

    def _rows(self, found: Sequence[Stored]) -> int:
        changed = [(row, new) for row in found if (new := self._without(row)) != row.content]
        if not changed:
            return 0
        if not self._certificate:
            person = ":".join(self._who)
            text = f"Erased the personal values of {person}"
            self._certificate = self._log.certify("erased", text, {"person": person})
        with self._connection.transaction():
            erased = stored.erasures(self._connection, [row for row, _ in changed])
            for row, content in changed:
                self._write(row, content, erased)
        return len(changed)

    def _write(self, row: Stored, content: tuple[Any, ...], erased: Mapping[int, Erasure]) -> None:
        columns = ", ".join(f"{name} = ?" for name in framing.CONTENT)
        self._connection.update(
            f"update activity_log set {columns}, salt = null where id = ?",  # noqa: S608  # constants
            [*content, row.id],
        )
        if self._ring is None:
            if row.row_mac is not None:
                raise IntegrityError(
                    f"row {row.id} is signed, and without AUDIT_KEY it cannot be erased with a "
                    "certificate: set the key"
                )
            return
        if row.row_mac is not None:
            _keep(self._connection, self._ring, row, content, erased, self._certificate)

    # --- what to erase

    def _personal_texts(self) -> list[str]:
        """The person's own texts, longest first: those that other rows may repeat."""
        found: set[str] = set()
        last = 0
        while True:
            rows = stored.rows(
                self._connection,
                "((subject_type = ? and subject_id = ?) or (causer_type = ? and causer_id = ?)) "
                "and id > ?",
                [*self._who, *self._who, last],
                f"order by id limit {ROWS_AT_ONCE}",
            )
            for row in rows:
                found |= self._texts_of(row)
            if len(rows) < ROWS_AT_ONCE:
                return sorted((t for t in found if len(t) >= SHORTEST), key=len, reverse=True)
            last = rows[-1].id

    def _texts_of(self, row: Stored) -> set[str]:
        _, properties, subject_label, causer_label, _ = row.content
        about, by = self._is(row, "subject"), self._is(row, "causer")
        found = {causer_label} if by and causer_label else set()
        if about:
            found |= {subject_label} if subject_label else set()
            for values in _decoded(properties).values():
                if isinstance(values, Mapping):
                    found |= {
                        value
                        for key, value in values.items()
                        if isinstance(value, str) and self._personal.is_secret(str(key))
                    }
        return found - {ERASED, "***"}

    def _is(self, row: Stored, role: str) -> bool:
        kind, id = row.framed[_FRAMED[f"{role}_type"]], row.framed[_FRAMED[f"{role}_id"]]
        return (kind, id) == self._who

    def _without(self, row: Stored) -> tuple[Any, ...]:
        """The content of *row* without what is personal."""
        description, properties, subject_label, causer_label, context = row.content
        about, by = self._is(row, "subject"), self._is(row, "causer")
        nobody = row.framed[_FRAMED["causer_type"]] is None
        if about and description != row.framed[_FRAMED["event"]]:
            description = ERASED
        origin = ORIGIN if by or (about and nobody) else ()
        kept = {k: v for k, v in _decoded(context).items() if k not in origin}
        return (
            self._clean(description),
            _rewritten(properties, _wiped if about else self._clean),
            None if about else self._label(subject_label),
            None if by else self._label(causer_label),
            context if kept == _decoded(context) and not self._known else _text(self._clean(kept)),
        )

    def _label(self, label: str | None) -> str | None:
        return None if label and any(known in label for known in self._known) else label

    def _clean(self, value: Any) -> Any:
        """*value* without the person's known texts, at any depth."""
        if isinstance(value, str):
            for known in self._known:
                value = value.replace(known, ERASED)
            return value
        if isinstance(value, Mapping):
            return {key: self._clean(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._clean(item) for item in value]
        return value

    # --- where deleted bytes stay

    def _overwrite_what_is_deleted(self) -> None:
        if self._connection.dialect.name == "sqlite":
            self._connection.select_tuples("pragma secure_delete = on")

    def _settle(self) -> None:
        """Take the old pages out of SQLite's log as well; others may still read them."""
        if self._connection.dialect.name == "sqlite" and not self._connection.in_transaction:
            self._connection.select_tuples("pragma wal_checkpoint(truncate)")


def _keep(
    connection: Connection,
    ring: KeyRing,
    row: Stored,
    content: tuple[Any, ...],
    erased: Mapping[int, Erasure],
    certificate: str,
) -> None:
    """Keep the digest of what was there, so that MAC and seal go on to verify."""
    fault, _ = judge(row, ring, erased)
    if fault is not None:
        raise IntegrityError(
            f"row {row.id} is not what was written ({fault}) and is evidence: nothing more is "
            "erased; run activity:verify"
        )
    if row.salt is None:
        digest = erased[row.id].content_hash
        connection.delete("delete from activity_erasures where activity_id = ?", [row.id])
    else:
        digest = framing.content_hash(row.salt, row.content)
    mac = ring.mac(erasure_message(row.uid, digest, certificate, content), ERASURE)
    connection.insert(
        "insert into activity_erasures (activity_id, content_hash, cert_uid, mac) "
        "values (?, ?, ?, ?)",
        [row.id, digest, certificate, mac],
    )


def _decoded(json_text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(json_text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _rewritten(json_text: str | None, change: Any) -> str | None:
    if json_text is None:
        return None
    try:
        value = json.loads(json_text)
    except ValueError:
        return _text({"invalid": ERASED})
    changed = change(value)
    return json_text if changed == value else _text(changed)


def _wiped(value: Any) -> Any:
    """*value* with its keys, and none of its values."""
    if isinstance(value, Mapping):
        return {key: _wiped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_wiped(item) for item in value]
    return value if value is None or value == "***" else ERASED


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
