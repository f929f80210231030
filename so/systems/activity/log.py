"""`ActivityLog`: writes rows of `activity_log`, on the connection of what changed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.db.values import in_parts
from so.errors import (
    ActivityError,
    ConcurrencyError,
    ConfigError,
    IntegrityError,
    LostConnectionError,
    SixOrbitError,
)  # fmt: skip
from so.settings.activity import ActivitySettings
from so.support.clock import Clock
from so.support.masking import SECRET_NAMES, Masker
from so.systems.activity.context import current_batch, current_causer, is_silent, note_silenced
from so.systems.activity.integrity import Integrity, SealSoon, integrity
from so.systems.activity.model import Activity
from so.systems.activity.pending import PendingActivity
from so.systems.activity.rows import (
    AUDIT,
    COLUMNS,
    PROOF,
    Reference,
    context,
    not_reserved,
    reference,
    settle,
    written,
)  # fmt: skip
from so.systems.activity.stored import log_table

if TYPE_CHECKING:
    from so.systems.activity.erasing import Mention
    from so.systems.activity.report import Report
    from so.systems.activity.sealing import Sealer

ROWS_PER_STATEMENT = 1000  # 18 values each: below the placeholders of SQLite since 3.32
FAILURES = ("exception", "log", "silent")


class ActivityLog:
    """The log of one application; works with any source of connections."""

    def __init__(
        self,
        db: ConnectionSource,
        *,
        enabled: bool = ActivitySettings.enabled,
        default_log: str = ActivitySettings.default_log,
        mask: Iterable[str] = ActivitySettings.mask,
        causer: Callable[[], Any] = current_causer,
        clock: Clock | None = None,
        integrity_mode: str | None = None,
        keys: Sequence[str | None] = (),
        seal_delay_seconds: float | None = ActivitySettings.seal_delay_seconds,
        rows_per_seal: int = ActivitySettings.rows_per_seal,
        failure: str = ActivitySettings.failure,
    ) -> None:
        """*mask*: what besides the usual ones makes a name's value be written as `***`.

        *failure*: what happens when an entry cannot be made: `exception` stops the change, `log`
        and `silent` let it pass without one. *integrity_mode* is off, mac or seal; None for seal
        if there are *keys* (the newest first, older ones check what they signed), else off.
        Sealing starts *seal_delay_seconds* after a commit; None leaves it to `seal()`. Raises
        ConfigError for a mode without its key.
        """
        self.db = db
        self.enabled = enabled
        self.default_log = not_reserved(default_log)
        self.mask = Masker((*SECRET_NAMES, *mask))
        self.clock = clock or Clock()
        self._causer = causer
        self.failure = _failure(failure)
        self.on_tampering: Callable[[Report], object] = _alarm
        self.integrity: Integrity | None = integrity(integrity_mode, keys)
        self.sealer: Sealer | None = None
        self.soon: SealSoon | None = None
        columns = COLUMNS if self.integrity is None else (*COLUMNS, *PROOF)
        self._columns = columns
        self._statements: dict[tuple[str, int], str] = {}
        if self.integrity is not None and self.integrity.seals:
            from so.systems.activity.sealing import Sealer

            self.sealer = Sealer(db, self.integrity.ring, self.clock, rows_per_seal=rows_per_seal)
            if seal_delay_seconds is not None:
                self.soon = SealSoon(self.sealer.seal, seal_delay_seconds)

    @property
    def is_on(self) -> bool:
        """False when logging is off, everywhere or for this block."""
        return self.enabled and not is_silent()

    def wants(self) -> bool:
        """Is what happens now to be logged? What a silent block keeps out is counted."""
        if not self.enabled:
            return False
        if is_silent():
            note_silenced()
            return False
        return True

    def note_silence(self, count: int) -> None:
        """Leave the entry of a block in which *count* changes or entries were not logged."""
        if self.enabled:
            text = f"{count} changes or entries were not logged: without_activity()"
            self.certify("silenced", text, {"count": count})

    def entry(self, log_name: str | None = None) -> PendingActivity:
        """A fresh entry; each of its steps gives a new one, `log()` writes it.

        Raises ActivityError for the log `audit`, which is the trail's own.
        """
        return PendingActivity(self, not_reserved(log_name or self.default_log))

    def causer(self) -> Any:
        """Who is acting now."""
        return self._causer()

    # --- writing

    def write(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Insert *rows*, each with what `row()` or `entry_of()` gave.

        Raises ActivityError, so that the change is rolled back with them, if one was not written.
        """
        for row in rows:
            not_reserved(row["log_name"])
        self._write(connection, rows)

    def _write(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        zone = connection.config["timezone"]
        sign = self.integrity.sign if self.integrity is not None else None
        for row in rows:
            settle(row, zone)
            if sign is not None:
                sign(row)
        if len(rows) == 1:
            self._insert(connection, rows)
        elif rows:
            most = connection.max_statement_bytes
            for part in in_parts(list(rows), ROWS_PER_STATEMENT, most, lambda row: row.values()):
                self._insert(connection, part)
        if self.soon is not None:
            soon = self.soon
            connection.after_commit(lambda: soon.wake(connection))

    def _insert(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        columns, count = self._columns, len(rows)
        sql = self._statements.get((connection.prefix, count))
        if sql is None:
            one = f"({', '.join('?' * len(columns))})"
            sql = (
                f"insert into {log_table(connection)} ({', '.join(columns)}) "  # noqa: S608  # names
                f"values {one}{f', {one}' * (count - 1)}"
            )
            if count == 1:
                self._statements[(connection.prefix, count)] = sql
        values = [row[column] for row in rows for column in columns]
        written = connection.affecting_statement(sql, values)
        if written != count and not connection.is_pretending:
            raise ActivityError(
                f"{count - written} of {count} rows of the trail were not written: look for a "
                f"trigger on {log_table(connection)} and drop it"
            )

    def row(
        self,
        description: str,
        *,
        log_name: str | None = None,
        event: str | None = None,
        subject: Reference,
        causer: Any,
        properties: Mapping[str, Any],
        created_at: Any = None,
    ) -> dict[str, Any]:
        """The values of one row; *subject* is what `reference()` gives."""
        common = self.common(log_name, event, causer, created_at)
        return self.entry_of(common, description, subject, properties)

    def common(
        self, log_name: str | None, event: str | None, causer: Any, created_at: Any = None
    ) -> dict[str, Any]:
        """What is the same in all rows of one event: log, who, when and where."""
        who = reference(causer, self.mask)
        now = created_at or self.clock.now()
        return {
            "log_name": log_name or self.default_log,
            "causer_type": who[0],
            "causer_id": who[1],
            "causer_label": who[2],
            "event": event,
            "batch_uuid": current_batch(),
            "created_at": now,
            "updated_at": now,
            "context": context(self.mask),
        }

    def entry_of(
        self,
        common: Mapping[str, Any],
        description: str,
        subject: Reference,
        properties: Mapping[str, Any],
    ) -> dict[str, Any]:
        """One row, with what `common()` gave and what is its own."""
        random = os.urandom(26).hex()  # one call for both: it is a system call
        return {
            **common,
            "description": description,
            "subject_type": subject[0],
            "subject_id": subject[1],
            "subject_label": subject[2],
            "properties": written(properties),
            # The time comes first, so that each new uid lands at the end of its index.
            "uid": f"{int(self.clock.time() * 1000):012x}{random[32:]}",
            "salt": random[:32],
        }

    def failed(self, what: str, error: Exception) -> None:
        """Deal with an entry that could not be made, as `failure` says.

        What another transaction, a lost connection or the database itself refuses is raised as it
        is under `exception`; the first two always are, so that the transaction can be run again.
        """
        if isinstance(error, (ConcurrencyError, LostConnectionError)):
            raise error
        if self.failure == "exception":
            if isinstance(error, SixOrbitError):
                raise error
            raise ActivityError(
                f"{what} could not be logged, so it was not done: {type(error).__name__}: {error}; "
                "mend it, or set activity.failure to log"
            ) from error
        if self.failure == "log":
            logging.getLogger("so.activity").error("%s was not logged", what, exc_info=error)

    def write_safely(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """As `write()`; where a failure does not stop the change, it undoes nothing but rows."""
        if self.failure == "exception" or not rows:
            self.write(connection, rows)
        else:
            with connection.transaction():
                self.write(connection, rows)

    def certify(self, event: str, description: str, properties: Mapping[str, Any]) -> str:
        """Write an entry of the log `audit`, whether or not logging is on; its uid."""
        row = self.row(
            description,
            log_name=AUDIT,
            event=event,
            subject=(None, None, None),
            causer=self.causer(),
            properties=properties,
        )
        self._write(self.db.connection(), [row])
        return str(row["uid"])

    def find(self, connection: Connection, uid: str) -> Activity:
        """The saved Activity with that uid."""
        found: Activity = Activity.on(connection).where("uid", uid).use_write().first()
        return found

    # --- care

    def prune(
        self, days: int, *, log: str | None = None, dry_run: bool = False, batch: int = 1000
    ) -> int:
        """Delete rows older than *days*, at most *batch* at a time while others write; how many.

        Raises ActivityError, and deletes nothing, unless *days* is a whole number from 1. Sealed
        rows leave tombstones and a certificate; one that was tampered with stays, and is an
        IntegrityError once the others are gone. Nothing is done while another server prunes.
        """
        from so.systems.activity.pruning import Rule, prune

        return prune(self, Rule(days, log), dry_run=dry_run, batch=batch)

    def prune_by_rules(
        self, retention: Mapping[str, int], rest: int, *, dry_run: bool = False
    ) -> dict[str, int]:
        """As `prune()`, each log by its own days and all others by *rest*; how many of each log.

        The others stand under `*`.
        """
        from so.systems.activity.pruning import prune, rules

        return {
            rule.name or "*": prune(self, rule, dry_run=dry_run) for rule in rules(retention, rest)
        }

    def hold(self, kind: str, id: str, reason: str) -> None:
        """Keep every row about or by *kind*:*id* from being pruned or erased."""
        from so.systems.activity import holding

        holding.hold(self, kind, id, reason)

    def release(self, kind: str, id: str, reason: str) -> None:
        """End the hold of *kind*:*id*."""
        from so.systems.activity import holding

        holding.release(self, kind, id, reason)

    def held(self) -> dict[tuple[str, str], str]:
        """What is on hold, by type and id, and why."""
        from so.systems.activity import holding

        return holding.held(self)

    def erase(
        self,
        kind: str,
        id: str,
        personal: Iterable[str] | None = None,
        *,
        free_text: bool = False,
        basis: str | None = None,
    ) -> int:
        """Take the values of the person *kind*:*id* out of the trail; how many rows changed.

        Rows about others lose whole values under names that contain a word of *personal*; with
        *free_text* also words in longer texts: look at `mentions()` first. *basis* is the legal
        one, for the certificate.
        """
        from so.systems.activity import erasing

        words = ActivitySettings.personal if personal is None else personal
        return erasing.erase(self, kind, id, words, free_text=free_text, basis=basis)

    def mentions(
        self, kind: str, id: str, personal: Iterable[str] | None = None, *, free_text: bool = False
    ) -> Iterator[Mention]:
        """What `erase()` would take out of rows about others, row by row; nothing is changed."""
        from so.systems.activity import erasing

        words = ActivitySettings.personal if personal is None else personal
        return erasing.mentions(self, kind, id, words, free_text=free_text)

    def export(
        self,
        format: str = "csv",
        *,
        separator: str = ",",
        bom: bool = False,
        **selection: str | None,
    ) -> Iterator[str]:
        """The trail as text, piece by piece; that it was exported is logged.

        *format* is csv, json or jsonl; *separator*, of CSV, is `,`, `;` or `tab`; *bom* is for
        spreadsheets that take UTF-8 for something else without. *selection* is what
        `exporting.Selection` has: since, until, log, subject, causer, person, type, event, field.
        """
        from so.systems.activity import exporting

        chosen = exporting.Selection(**selection)
        connection = self.db.connection()
        pieces = exporting.rows(connection, chosen, format, separator=separator, bom=bom)
        self._note_reading("exported", "Exported the trail", {"format": format, **chosen.told()})
        return pieces

    def report(
        self,
        format: str = "csv",
        *,
        separator: str = ",",
        bom: bool = False,
        **selection: str | None,
    ) -> Iterator[str]:
        """As `export()`, a line for each field that changed: who, when, of what, old and new.

        With *person* all that the trail holds about or by somebody: what they may ask to see.
        """
        from so.systems.activity import exporting

        chosen = exporting.Selection(**selection)
        connection = self.db.connection()
        pieces = exporting.changes(connection, chosen, format, separator=separator, bom=bom)
        self._note_reading("reported", "Reported the trail", {"format": format, **chosen.told()})
        return pieces

    def _note_reading(self, event: str, text: str, what: Mapping[str, Any]) -> None:
        if self.is_on:
            self.certify(event, text, what)

    def stats(self) -> dict[str, Any]:
        """Rows and bytes by log, event and subject; what is sealed."""
        from so.systems.activity import exporting

        return exporting.stats(self.db.connection())

    # --- proof

    def adopt(self, ids: Iterable[int] | None = None) -> int:
        """Sign the rows that were written before there was a key, as they are now; how many.

        Once, before the first seal: what happened to them before, nobody can tell. Later only
        those with *ids*, which the entry in the log `audit` names; IntegrityError without.
        """
        from so.systems.activity import adopting

        return adopting.adopt(self, self._integrity(), ids)

    def verify(
        self,
        *,
        since_last: bool = False,
        subject: str | None = None,
        between: tuple[int, int] | None = None,
        anchors: Iterable[str] | None = None,
        head: str | None = None,
        backlog_seconds: float = ActivitySettings.backlog_seconds,
        heartbeat_seconds: float | None = None,
    ) -> Report:
        """Check the trail; a run is noted in it, a clean one as the start of *since_last*.

        *subject* is TYPE:ID, *between* two numbers of seals, *anchors* what an anchor file says,
        *head* the hash of a seal. IntegrityError without a key.
        """
        from so.systems.activity.exporting import reference as parsed
        from so.systems.activity.verifying import Verifier

        integrity = self._integrity()
        verifier = Verifier(
            self.db.connection(),
            integrity.ring,
            self.clock,
            seals=integrity.seals,
            backlog_seconds=backlog_seconds,
            heartbeat_seconds=heartbeat_seconds,
        )
        report = verifier.run(
            since_last=since_last,
            subject=parsed(subject) if subject else None,
            between=between,
            anchors=anchors,
            head=head,
        )
        self._note(report, is_whole=not subject and between is None)
        return report

    def _note(self, report: Report, *, is_whole: bool) -> None:
        """Leave an entry of a verification, unless it saw a part of the trail and no fault."""
        if report.is_clean and is_whole:
            mark = {"seal": report.last_seal, "hash": report.last_hash, "rows": report.rows}
            self.certify("verified", "Verified the trail", mark)
        elif report.fault_count:
            found = {"findings": report.fault_count, "kinds": report.kinds}
            self.certify("tampered", f"Verified the trail: {report.summary}", found)
            self.on_tampering(report)

    def last_verified(self) -> tuple[datetime | None, int]:
        """When the last clean verification was (None: never), and the findings of one since."""
        rows = Activity.on(self.db.connection()).where("log_name", AUDIT).order_by_desc("id")
        clean = rows.clone().where("event", "verified").first()
        found = rows.clone().where("event", "tampered").first()
        is_newer = found is not None and (clean is None or found.id > clean.id)
        since = int(found.properties.get("findings") or 1) if is_newer else 0
        return (clean.created_at if clean is not None else None), since

    def proof(self, id: int, until: int | None = None) -> dict[str, Any]:
        """What an outsider needs to check row *id* against the hash of seal *until*."""
        from so.systems.activity.proving import proof

        return proof(self.db.connection(), self._integrity().ring, id, until)

    def anchor(self, file: str | Path) -> str | None:
        """Append number, hash and time of the newest seal to *file*; None if there is none.

        The file belongs on another machine: what it says cannot be unsaid in this database.
        Raises IntegrityError, and writes nothing, if it ends with a seal of another trail.
        """
        from so.systems.activity import anchoring

        line = self.head_line()
        anchoring.append(self.db.connection(), Path(file), line)
        return line

    def anchor_in(self, second: Connection) -> str | None:
        """As `anchor()`, in the table `activity_anchors` of another database."""
        from so.systems.activity import anchoring

        line = self.head_line()
        if line is not None:
            anchoring.keep(self.db.connection(), second, line)
        return line

    def head_line(self) -> str | None:
        """Number, hash and time of the newest seal; None if there is none."""
        if self.sealer is None:
            raise IntegrityError("there is nothing to anchor: set activity.integrity to seal")
        head = self.sealer.head(self.db.connection())
        return f"{head.seal_no} {head.seal_hash} {head.sealed_at}" if head.seal_no else None

    def _integrity(self) -> Integrity:
        if self.integrity is None:
            raise IntegrityError(
                "the trail is not signed: set AUDIT_KEY, and activity.integrity to mac or seal"
            )
        return self.integrity


def _failure(given: str) -> str:
    if given not in FAILURES:
        raise ConfigError(f"unknown activity.failure {given!r}: use one of {', '.join(FAILURES)}")
    return given


def _alarm(report: Report) -> None:
    logging.getLogger("so.activity").critical("the trail was tampered with: %s", report.summary)
