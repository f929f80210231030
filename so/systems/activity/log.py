"""`ActivityLog`: the trail of one application, and all that can be asked of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so.db.connection import Connection
from so.errors import (
    ActivityError,
    DatabaseError,
    IntegrityError,
)  # fmt: skip
from so.settings.activity import ActivitySettings
from so.systems.activity.integrity import Integrity
from so.systems.activity.model import Activity
from so.systems.activity.pending import PendingActivity
from so.systems.activity.rows import (
    AUDIT,
    not_reserved,
)  # fmt: skip
from so.systems.activity.trail import Trail

if TYPE_CHECKING:
    from so.systems.activity.erasing import Mention
    from so.systems.activity.report import Report
    from so.systems.activity.verifying import Verifier


class ActivityLog(Trail):
    """The log of one application: writing it, asking it, caring for it, proving it."""

    def entry(self, log_name: str | None = None) -> PendingActivity:
        """A fresh entry; each of its steps gives a new one, `log()` writes it.

        Raises ActivityError for the log `audit`, which is the trail's own.
        """
        return PendingActivity(self, not_reserved(log_name or self.default_log))

    # --- care

    def prune(
        self, days: int, *, log: str | None = None, dry_run: bool = False, batch: int = 1000
    ) -> int:
        """Delete rows older than *days*, at most *batch* at a time while others write; how many.

        Raises ActivityError, and deletes nothing, unless *days* is a whole number from 1. Sealed
        rows leave tombstones and a certificate; one that was tampered with stays, and is an
        IntegrityError once the others are gone. Nothing is done while another server prunes.
        """
        from so.systems.activity.pruning import PruneRule, prune

        return prune(self, PruneRule(days, log), dry_run=dry_run, batch=batch)

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
        newest: int | None = None,
        anchors: Iterable[str] | None = None,
        head: str | None = None,
        backlog_seconds: float = ActivitySettings.backlog_seconds,
        heartbeat_seconds: float | None = None,
        on_seal: Callable[[int], object] = lambda number: None,
    ) -> Report:
        """Check the trail; a run is noted in it, a clean one as the start of *since_last*.

        *subject* is TYPE:ID, *between* two numbers of seals, *newest* how many of the last rows,
        *anchors* what an anchor file says, *head* the hash of a seal. *on_seal* hears of the seal
        that it has come to, every few hundred. IntegrityError without a key.
        """
        from so.systems.activity.exporting import reference as parsed

        report = self._verifier(
            backlog_seconds=backlog_seconds, heartbeat_seconds=heartbeat_seconds, on_seal=on_seal
        ).run(
            since_last=since_last,
            subject=parsed(subject) if subject else None,
            between=_seals(between),
            newest=newest,
            anchors=anchors,
            head=head,
        )
        is_whole = not subject and between is None and newest is None
        self._note(report, is_whole=is_whole)
        return report

    def _verifier(self, **options: Any) -> Verifier:
        from so.systems.activity.verifying import Verifier

        integrity, conn = self._integrity(), self.db.connection()
        return Verifier(conn, integrity.ring, self.clock, seals=integrity.seals, **options)

    def _note(self, report: Report, *, is_whole: bool) -> None:
        """Leave an entry of a verification, unless it saw a part of the trail and no fault."""
        if report.is_clean and is_whole:
            mark = {"seal": report.last_seal, "hash": report.last_hash, "rows": report.rows}
            self._leave("verified", "Verified the trail", mark)
        elif report.fault_count:
            found = {"findings": report.fault_count, "kinds": report.kinds}
            self._leave("tampered", f"Verified the trail: {report.summary}", found)
            self.on_tampering(report)

    def _leave(self, event: str, text: str, properties: Mapping[str, Any]) -> None:
        """An entry of a verification, which counts where none can be written as well."""
        try:
            self.certify(event, text, properties)
        except DatabaseError:  # a copy for reading only, or writers that leave no room
            logging.getLogger("so.activity").warning("%s: not noted", text, exc_info=True)

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
        Raises IntegrityError, and writes nothing, if it ends with a seal of another trail;
        ActivityError if it cannot be written.
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


def _seals(between: tuple[int, int] | None) -> tuple[int, int] | None:
    if between is not None and not 1 <= between[0] <= between[1]:
        raise ActivityError(f"{between} are no seals: give two numbers from 1, in order")
    return between
