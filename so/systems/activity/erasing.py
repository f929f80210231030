"""`erase`: takes a person's values out of the trail, and leaves a trail that verifies.

A row's MAC is made over a salted digest of its content. Erasing overwrites the content, forgets
the salt (so that nobody can guess a short value back from the digest), and keeps the digest with
a signed reference to the certificate. That something happened, when, to which record and which
columns changed stays; what the values were does not.

Rows about the person lose every value. Rows about others are evidence about others: there only a
whole value goes that says who the person is, and only from under a name that speaks of a person
beside the record (`contact_name` of an order, not the order's own `name`). Words inside texts are
looked for on request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from so.db.connection import Connection
from so.errors import ActivityError, IntegrityError
from so.settings.activity import ActivitySettings
from so.support.masking import MASK, Masker
from so.support.progress import steps
from so.systems.activity import framing, holding, stored
from so.systems.activity.keys import ERASURE, KeyRing
from so.systems.activity.rows import ERASED
from so.systems.activity.stored import Erasure, Stored, judge

if TYPE_CHECKING:
    from so.systems.activity.trail import Trail

ORIGIN = ("ip", "user_agent", "url")  # of the context: where the person sat
SHORTEST = 3  # characters of a name that is looked for inside texts
_SECTIONS = ("attributes", "old")


class Mention(NamedTuple):
    """One value that erasing takes out: of which row, where in it, and what it says."""

    row: int
    place: str
    text: str


def erase(
    log: Trail,
    kind: str,
    id: str,
    personal: Iterable[str] = ActivitySettings.personal,
    *,
    free_text: bool = False,
    basis: str | None = None,
) -> int:
    """Erase the values of the person *kind*:*id* from the trail; how many rows changed.

    *personal*: words in the names of columns whose values say who somebody is. With *free_text*
    such values are also taken out of longer texts, where they stand as whole words. *basis*, the
    legal one, and the count go into the certificate. Running it again erases what came since.
    Raises IntegrityError at a row that is not what was written.
    """
    return _Run(log, kind, id, personal, free_text).erase(basis)


def mentions(
    log: Trail,
    kind: str,
    id: str,
    personal: Iterable[str] = ActivitySettings.personal,
    *,
    free_text: bool = False,
) -> Iterator[Mention]:
    """What `erase` would take out of rows about others, and nothing is done."""
    return _Run(log, kind, id, personal, free_text).mentions()


class _Run:
    def __init__(
        self, log: Trail, kind: str, id: str, personal: Iterable[str], free_text: bool
    ) -> None:
        self._log = log
        self._who = (kind, id)
        self._personal = tuple(word.lower() for word in personal)
        self._names = Masker(self._personal)
        self._free_text = free_text
        self._connection = log.db.connection()
        self._ring = log.integrity.ring if log.integrity else None
        self._known: set[str] = set()
        self._words: re.Pattern[str] | None = None

    # --- doing it

    def erase(self, basis: str | None) -> int:
        """Erase the person's values and certify it with its legal *basis*; how many rows changed.

        Raises ActivityError while the person is on hold.
        """
        reason = holding.held(self._log).get(self._who)
        if reason is not None:
            raise ActivityError(
                f"{':'.join(self._who)} is on hold ({reason}): nothing was erased; end it with "
                "activity:hold --release first"
            )
        self._prepare()
        count = sum(len(changed) for changed in self._changes())
        if not count:
            return 0
        person = ":".join(self._who)
        what = {"person": person, "rows": count, "basis": basis, "free_text": self._free_text}
        text = f"Erased the personal values of {person} from {count} rows"
        certificate = self._log.certify("erased", text, what)
        done, step = 0, steps(lambda: count)
        for changed in self._changes():
            with self._connection.transaction():
                erased = stored.erasures(self._connection, [row for row, _ in changed])
                for row, content in changed:
                    self._write(row, content, erased, certificate)
            done += len(changed)
            step(len(changed))
        self._settle()
        return done

    def mentions(self) -> Iterator[Mention]:
        """What would change in rows about others, and is to be looked at first."""
        self._learn()
        for changed in self._changes():
            for row, content in changed:
                if not self._is(row, "subject"):
                    yield from _differences(row, content)

    def _prepare(self) -> None:
        if self._log.sealer is not None and not self._connection.in_transaction:
            self._log.sealer.seal()  # a new key takes over before it certifies anything
        if self._connection.dialect.name == "sqlite":
            self._connection.select_tuples("pragma secure_delete = on")
        self._learn()

    def _settle(self) -> None:
        """Take the old pages out of SQLite's log as well; others may still read them."""
        if self._connection.dialect.name == "sqlite" and not self._connection.in_transaction:
            self._connection.select_tuples("pragma wal_checkpoint(truncate)")

    def _changes(self) -> Iterator[list[tuple[Stored, tuple[Any, ...]]]]:
        """Rows with the content they are to have; those about the person last.

        They come last because the values to look for elsewhere are known from them, also to a run
        that goes on where another was cut off.
        """
        for where in ("causer_type = ? and causer_id = ?", "subject_type = ? and subject_id = ?"):
            for found in stored.walk(self._connection, where, self._who):
                changed = [
                    (row, new) for row in found if (new := self._without(row)) != row.content
                ]
                if changed:
                    yield changed

    def _write(
        self,
        row: Stored,
        content: tuple[Any, ...],
        erased: Mapping[int, Erasure],
        certificate: str,
    ) -> None:
        columns = ", ".join(f"{name} = ?" for name in framing.CONTENT)
        self._connection.update(
            f"update activity_log set {columns}, salt = null where id = ?",  # noqa: S608  # constants
            [*content, row.id],
        )
        if row.row_mac is None:
            return
        if self._ring is None:
            raise IntegrityError(
                f"row {row.id} is signed, and without AUDIT_KEY it cannot be erased with a "
                "certificate: set the key"
            )
        _keep(self._connection, self._ring, row, content, erased, certificate)

    # --- what to erase

    def _learn(self) -> None:
        """The values that say who the person is, from the rows about them."""
        where = "((subject_type = ? and subject_id = ?) or (causer_type = ? and causer_id = ?))"
        for found in stored.walk(self._connection, where, [*self._who, *self._who]):
            for row in found:
                self._known |= self._texts_of(row)
        self._known -= {ERASED, MASK, ""}
        words = sorted((t for t in self._known if len(t) >= SHORTEST), key=len, reverse=True)
        if words:
            pattern = "|".join(map(re.escape, words))
            self._words = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")

    def _texts_of(self, row: Stored) -> set[str]:
        found = {
            row.value(f"{role}_label") for role in ("subject", "causer") if self._is(row, role)
        }
        if self._is(row, "subject"):
            properties = _decoded(row.value("properties"))
            for section in _SECTIONS:
                values = properties.get(section)
                for name, value in values.items() if isinstance(values, Mapping) else ():
                    if isinstance(value, str) and self._names.is_secret(name):
                        found.add(value)
        return {text for text in found if isinstance(text, str)}

    def _is(self, row: Stored, role: str) -> bool:
        return (row.value(f"{role}_type"), row.value(f"{role}_id")) == self._who

    def _without(self, row: Stored) -> tuple[Any, ...]:
        """The content of *row* without what is personal."""
        description, properties, subject_label, causer_label, context = row.content
        about, by = self._is(row, "subject"), self._is(row, "causer")
        if not about:
            description = self._text(description)
        elif description != row.value("event"):
            description = ERASED
        nobody = row.value("causer_type") is None
        hidden = ORIGIN if by or (about and nobody) else ()
        return (
            description,
            _rewritten(properties, _wiped if about else self._of_others),
            None if about else self._text(subject_label),
            None if by else self._text(causer_label),
            _rewritten(context, lambda found: {k: v for k, v in found.items() if k not in hidden}),
        )

    def _of_others(self, properties: Any) -> Any:
        """The properties of a row about somebody or something else."""
        if not isinstance(properties, Mapping):
            return properties
        return {
            name: {key: self._value(key, item, is_own=True) for key, item in value.items()}
            if name in _SECTIONS and isinstance(value, Mapping)
            else self._value(name, value)
            for name, value in properties.items()
        }

    def _value(self, name: str, value: Any, *, is_own: bool = False) -> Any:
        """*value* without the person, at any depth; *is_own*: *name* is the record's own column."""
        if isinstance(value, Mapping):
            return {key: self._value(str(key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(name, item, is_own=is_own) for item in value]
        if not isinstance(value, str):
            return value
        speaks = self._names.is_secret(name) and not (is_own and name.lower() in self._personal)
        return ERASED if speaks and value in self._known else self._text(value)

    def _text(self, text: Any) -> Any:
        if not self._free_text or self._words is None or not isinstance(text, str):
            return text
        return self._words.sub(ERASED, text)


def _differences(row: Stored, content: tuple[Any, ...]) -> Iterator[Mention]:
    for name, old, new in zip(framing.CONTENT, row.content, content, strict=True):
        if old != new and name == "properties" and _decoded(old):
            yield from _inside(row.id, name, json.loads(old), json.loads(new))
        elif old != new:
            yield Mention(row.id, name, str(old))


def _inside(row: int, place: str, old: Any, new: Any) -> Iterator[Mention]:
    if isinstance(old, Mapping):
        for key, value in old.items():
            yield from _inside(row, f"{place}.{key}", value, new[key])
    elif isinstance(old, list):
        for at, value in enumerate(old):
            yield from _inside(row, f"{place}.{at}", value, new[at])
    elif old != new:
        yield Mention(row, place, str(old))


def _keep(
    connection: Connection,
    ring: KeyRing,
    row: Stored,
    content: Sequence[Any],
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
    mac = ring.mac(framing.erasure_message(row.uid, digest, certificate, content), ERASURE)
    connection.insert(
        "insert into activity_erasures (activity_id, content_hash, cert_uid, mac) "
        "values (?, ?, ?, ?)",
        [row.id, digest, certificate, mac],
    )


def _decoded(json_text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(json_text or "{}")
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _rewritten(json_text: str | None, change: Callable[[Any], Any]) -> str | None:
    """The JSON after *change*; to the letter what it was, if that changes nothing."""
    if json_text is None:
        return None
    try:
        value = json.loads(json_text)
    except (TypeError, ValueError):
        return _text({"invalid": ERASED})
    if not isinstance(value, Mapping):
        return _text({"invalid": ERASED})
    changed = change(value)
    return json_text if changed == value else _text(changed)


def _wiped(value: Any) -> Any:
    """*value* with its keys, and none of its values."""
    if isinstance(value, Mapping):
        return {key: _wiped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_wiped(item) for item in value]
    return value if value is None or value == MASK else ERASED


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
