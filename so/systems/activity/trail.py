"""`Trail`: writes rows of `activity_log`, on the connection of what changed.

What an entry is and how it is signed is decided here; models, entries in the making, and whoever
prunes, erases or holds take this. Asking, caring for and proving the trail is log.py.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.db.values import in_parts
from so.db.words import marks
from so.errors import (
    ActivityError,
    ConcurrencyError,
    ConfigError,
    LostConnectionError,
    QueryError,
    SixOrbitError,
)  # fmt: skip
from so.settings.activity import ActivitySettings
from so.support.clock import Clock
from so.support.masking import SECRET_NAMES, Masker
from so.systems.activity.context import current_batch, current_causer, is_silent, note_silenced
from so.systems.activity.integrity import Integrity, SealSoon, integrity
from so.systems.activity.model import Activity
from so.systems.activity.numbering import is_used_up, numbered, tells_of_it
from so.systems.activity.rows import (
    AUDIT,
    COLUMNS,
    PROOF,
    Reference,
    acting,
    context,
    not_reserved,
    reference,
    settle,
    written,
)  # fmt: skip

if TYPE_CHECKING:
    from so.systems.activity.report import Report
    from so.systems.activity.sealing import Sealer

ROWS_PER_STATEMENT = 1000  # 18 values each: below the placeholders of SQLite since 3.32
FAILURES = ("exception", "log", "silent")


class Trail:
    """The half of an `ActivityLog` that writes; works with any source of connections."""

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
        self.enabled, self.unlogged = enabled, 0  # changes and entries, while it is off everywhere
        self.default_log = not_reserved(default_log)
        self.mask = Masker((*SECRET_NAMES, *mask))
        self.clock = clock or Clock()
        self._causer, self.failure = causer, _failure(failure)
        self.on_tampering: Callable[[Report], object] = _alarm
        self.integrity: Integrity | None = integrity(integrity_mode, keys)
        self._columns = COLUMNS if self.integrity is None else (*COLUMNS, *PROOF)
        self._one_row = _insert_of(self._columns, 1)
        self._has_numbers: dict[str, bool] = {}  # of an SQLite, by the name of its connection
        self.sealer: Sealer | None = None
        self.soon: SealSoon | None = None
        if self.integrity is not None and self.integrity.seals:
            self.sealer = self._sealer(self.integrity, rows_per_seal)
            if seal_delay_seconds is not None:
                self.soon = SealSoon(self.sealer.seal, seal_delay_seconds)

    def _sealer(self, integrity: Integrity, rows_per_seal: int) -> Sealer:
        from so.systems.activity.sealing import Sealer

        return Sealer(self.db, integrity.ring, self.clock, rows_per_seal=rows_per_seal)

    @property
    def is_on(self) -> bool:
        """False when logging is off, everywhere or for this block."""
        return self.enabled and not is_silent()

    def wants(self) -> bool:
        """Is what happens now to be logged? What is not is counted."""
        if not self.enabled:
            self.unlogged += 1
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
            self.soon.after_commit_of(connection)

    def _insert(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        if connection.name not in self._has_numbers and connection.dialect.name == "sqlite":
            self._has_numbers[connection.name] = not is_used_up(connection)
        try:
            if self._has_numbers.get(connection.name, True):
                written = self._inserted(connection, rows, self._columns)
            else:
                written = self._inserted_by_number(connection, rows)
        except QueryError as error:
            self._has_numbers.pop(connection.name, None)  # looked for anew the next time
            if not tells_of_it(connection, error):
                raise
            written = self._inserted_by_number(connection, rows)
        if written != len(rows) and not connection.is_pretending:
            raise ActivityError(
                f"{len(rows) - written} of {len(rows)} rows of the trail were not written: look "
                "for a trigger on activity_log and drop it"
            )

    def _inserted_by_number(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        return self._inserted(connection, numbered(connection, rows), ("id", *self._columns))

    def _inserted(
        self, connection: Connection, rows: Sequence[dict[str, Any]], columns: tuple[str, ...]
    ) -> int:
        """How many *rows* went in."""
        sql = self._one_row if len(rows) == 1 and columns is self._columns else None
        if sql is None:
            sql = _insert_of(columns, len(rows))
        values = [row[column] for row in rows for column in columns]
        return connection.affecting_statement(sql, values)

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
        who = reference(acting(causer), self.mask)
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


def _insert_of(columns: Sequence[str], count: int) -> str:
    one = f"({marks(columns)})"
    return (
        f"insert into activity_log ({', '.join(columns)}) "  # noqa: S608  # names
        f"values {one}{f', {one}' * (count - 1)}"
    )


def _failure(given: str) -> str:
    if given not in FAILURES:
        raise ConfigError(f"unknown activity.failure {given!r}: use one of {', '.join(FAILURES)}")
    return given


def _alarm(report: Report) -> None:
    logging.getLogger("so.activity").critical("the trail was tampered with: %s", report.summary)
