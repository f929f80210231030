"""The channels that stay in the house: inbox and log. mail.py and webhook.py have the others.

An application adds its own with `extend`. A channel has `send(notifiable, notification, id)` and
raises when it could not deliver.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from so.db.manager import ConnectionSource
from so.errors import DatabaseError, NotificationError, UniqueConstraintError
from so.settings.notifications import NotificationSettings
from so.support.clock import Clock
from so.support.codec import to_jsonable
from so.systems.notifications.delivery import category_of, may_be_repeated
from so.systems.notifications.inbox import name_of, owner_columns
from so.systems.notifications.message import Notification

_log = logging.getLogger("so.notifications")
ROWS = 500  # to a statement
ATTEMPTS = 3  # of a statement that was in another one's way
ROWS_BYTES = 4_000_000  # of data to a statement; servers limit what they take at once
LONGEST = {"type": 255, "category": 64, "dedupe_key": 100}  # characters, as the columns hold


class Channel(Protocol):
    """A way to reach somebody."""

    def send(self, notifiable: Any, notification: Notification, id: str) -> None:
        """Deliver, or raise."""
        ...


class DatabaseChannel:
    """Writes the row; on the caller's connection, so that it joins the caller's transaction."""

    def __init__(
        self,
        db: ConnectionSource,
        clock: Clock | None = None,
        max_bytes: int = NotificationSettings.max_bytes,
    ) -> None:
        self._db = db
        self._clock = clock or Clock()
        self._max_bytes = max_bytes

    def send(self, notifiable: Any, notification: Notification, id: str) -> None:
        """Insert one row; a row of the same id or dedupe key is left as it is."""
        self._insert([self._row(notifiable, notification, id)])

    def send_many(
        self, deliveries: Sequence[tuple[Any, Notification, str]]
    ) -> list[BaseException | None]:
        """Insert a row for each (notifiable, notification, id); the error of each, or None.

        Some hundreds to a statement. Where one of them is refused, they go in one by one, so that
        no recipient suffers from another one's row.
        """
        errors: list[BaseException | None] = [None] * len(deliveries)
        rows: list[tuple[int, dict[str, Any]]] = []
        for place, delivery in enumerate(deliveries):
            try:
                rows.append((place, self._row(*delivery)))
            except Exception as error:
                errors[place] = error
        for part in _portions(rows):
            try:
                self._insert([row for _, row in part], one_by_one=False)
            except DatabaseError as error:
                self._refuse_if_repeated(error)
                for place, row in part:
                    try:
                        self._insert([row])
                    except DatabaseError as error:
                        self._refuse_if_repeated(error)
                        errors[place] = error
        return errors

    def _refuse_if_repeated(self, error: DatabaseError) -> None:
        """Let through what the caller's transaction is to repeat: nothing of it is left."""
        if may_be_repeated(error) and self._db.connection().transaction_level() > 0:
            raise error

    def _insert(self, rows: list[dict[str, Any]], one_by_one: bool = True) -> None:
        connection = self._db.connection()
        try:
            # A savepoint: on a taken key the caller's transaction goes on unharmed. Without one
            # of the caller's, a deadlock is repeated here.
            connection.transaction(
                lambda: connection.table("notifications").insert(rows), attempts=ATTEMPTS
            )
        except UniqueConstraintError:
            if not one_by_one:
                raise
            _log.debug("notification %s was there already", rows[0]["id"])

    def _row(self, notifiable: Any, notification: Notification, id: str) -> dict[str, Any]:
        if not hasattr(notifiable, "get_key"):
            raise NotificationError(
                "an address has no inbox: the channel 'database' needs a model to notify"
            )
        text = _data_of(notification, notifiable)
        if len(text.encode()) > self._max_bytes:
            raise NotificationError(
                f"the data of {type(notification).__name__} is larger than "
                f"notifications.max_bytes ({self._max_bytes}): store a reference instead"
            )
        now, key = self._clock.now(), notification.dedupe_key
        row = {
            "id": id,
            "type": notification.database_type(),
            **owner_columns(notifiable),
            "data": text,
            "created_at": now,
            "updated_at": now,
            "category": category_of(notification),
            "dedupe_key": None if key is None else str(key),
            **_subject_columns(notification.subject),
        }
        for name, longest in LONGEST.items():
            if len(str(row[name] or "")) > longest:
                raise NotificationError(
                    f"the {name} {row[name]!r} of {type(notification).__name__} is too long: "
                    f"{longest} characters at most"
                )
        return row


def _data_of(notification: Notification, notifiable: Any) -> str:
    """What `to_database` gives, as JSON; NotificationError for what is no dict, or has no form."""
    name, given = type(notification).__name__, notification.written_for("database", notifiable)
    try:
        data = to_jsonable(given)
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise NotificationError(f"to_database of {name}: {error}") from error
    if not isinstance(data, dict):
        raise NotificationError(f"to_database of {name} gave {data!r:.80}: give a dict")
    # Half a surrogate pair has no UTF-8; in JSON it has an escape.
    return text.encode("utf-8", "backslashreplace").decode()


def _portions(
    rows: list[tuple[int, dict[str, Any]]],
) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """As many rows as one statement may carry."""
    part: list[tuple[int, dict[str, Any]]] = []
    size = 0
    for place, row in rows:
        more = len(row["data"].encode())
        if part and (len(part) == ROWS or size + more > ROWS_BYTES):
            yield part
            part, size = [], 0
        part.append((place, row))
        size += more
    if part:
        yield part


def _subject_columns(subject: Any) -> dict[str, str | None]:
    if subject is None or not hasattr(subject, "get_key"):
        return {"subject_type": None, "subject_id": None}
    owner = owner_columns(subject)
    return {"subject_type": owner["notifiable_type"], "subject_id": owner["notifiable_id"]}


class LogChannel:
    """Writes a line into the log."""

    def send(self, notifiable: Any, notification: Notification, id: str) -> None:
        """Who, what and the data."""
        data = notification.written_for("log", notifiable)
        _log.info(
            "notification %s to %s: %s", type(notification).__name__, name_of(notifiable), data
        )
