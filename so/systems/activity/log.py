"""`ActivityLog`: writes rows of `activity_log`, on the connection of what changed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from so.db.connection import Connection
from so.db.manager import ConnectionSource
from so.errors import ActivityError
from so.support.clock import Clock
from so.support.codec import to_jsonable
from so.support.ids import uuid
from so.support.scope import current_scope
from so.systems.activity.context import current_batch, current_causer, is_silent
from so.systems.activity.masking import Mask
from so.systems.activity.model import Activity
from so.systems.activity.pending import PendingActivity

COLUMNS = (
    "log_name", "description", "subject_type", "subject_id", "causer_type", "causer_id",
    "properties", "event", "batch_uuid", "created_at", "updated_at", "uid", "subject_label",
    "causer_label", "context",
)  # fmt: skip
_ROW = f"({', '.join('?' * len(COLUMNS))})"
_INSERT = f"insert into activity_log ({', '.join(COLUMNS)}) values "  # noqa: S608  # constants
LONGEST = {"log_name": 255, "event": 255, "subject_id": 64, "causer_id": 64}  # characters
LONGEST_LABEL = 191
ROWS_PER_STATEMENT = 60  # 15 values each: below the placeholders of any SQLite


class ActivityLog:
    """The log of one application; works with any source of connections."""

    def __init__(
        self,
        db: ConnectionSource,
        *,
        enabled: bool = True,
        default_log: str = "default",
        mask: Iterable[str] | None = None,
        causer: Callable[[], Any] = current_causer,
        clock: Clock | None = None,
    ) -> None:
        """*mask*: patterns of names whose values are written as `***`; None for the usual ones."""
        self.db = db
        self.enabled = enabled
        self.default_log = default_log
        self.mask = Mask(mask)
        self.clock = clock or Clock()
        self._causer = causer

    @property
    def is_on(self) -> bool:
        """False when logging is off, everywhere or for this block."""
        return self.enabled and not is_silent()

    def entry(self, log_name: str | None = None) -> PendingActivity:
        """A fresh entry; each of its steps gives a new one, `log()` writes it."""
        return PendingActivity(self, log_name or self.default_log)

    def causer(self) -> Any:
        """Who is acting now."""
        return self._causer()

    def write(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert *rows*, each with what `row()` gave; the id of the last one."""
        id = 0
        for at in range(0, len(rows), ROWS_PER_STATEMENT):
            part = rows[at : at + ROWS_PER_STATEMENT]
            bindings = [row[column] for row in part for column in COLUMNS]
            id = connection.insert_get_id(_INSERT + ", ".join([_ROW] * len(part)), bindings)
        return id

    def row(
        self,
        description: str,
        *,
        log_name: str | None = None,
        event: str | None = None,
        subject: Any = None,
        subject_key: Any = None,
        causer: Any,
        properties: Mapping[str, Any],
        created_at: Any = None,
    ) -> dict[str, Any]:
        """The values of one row; ActivityError for what does not fit its column."""
        subject_type, subject_id, subject_label = reference(subject, subject_key)
        causer_type, causer_id, causer_label = reference(causer)
        now = created_at or self.clock.now()
        row = {
            "log_name": log_name or self.default_log,
            "description": description,
            "subject_type": subject_type,
            "subject_id": subject_id,
            "causer_type": causer_type,
            "causer_id": causer_id,
            "properties": written(properties),
            "event": event,
            "batch_uuid": current_batch(),
            "created_at": now,
            "updated_at": now,
            "uid": uuid().replace("-", ""),
            "subject_label": subject_label,
            "causer_label": causer_label,
            "context": written(_context()),
        }
        for column, most in LONGEST.items():
            value = row[column]
            if isinstance(value, str) and len(value) > most:
                raise ActivityError(f"{column} {value[:40]!r}… is longer than {most} characters")
        return row

    def prune(
        self, days: int, *, log: str | None = None, dry_run: bool = False, batch: int = 1000
    ) -> int:
        """Delete rows older than *days*, *batch* at a time while others write; how many.

        Raises ActivityError, and deletes nothing, unless *days* is a whole number from 1.
        """
        if isinstance(days, bool) or not isinstance(days, int) or days < 1:
            raise ActivityError(f"days must be a whole number from 1, not {days!r}")
        until = self.clock.now().timestamp() - days * 86_400
        query = self._older_than(until, log)
        if dry_run:
            return int(query.count())
        count = 0
        while True:
            ids = self._older_than(until, log).order_by("created_at").limit(batch).pluck("id")
            if not ids:
                return count
            connection = self.db.connection()
            count += connection.table("activity_log").where_in("id", sorted(ids)).delete()

    def _older_than(self, until: float, log: str | None) -> Any:
        from datetime import UTC, datetime

        moment = datetime.fromtimestamp(until, UTC)
        query = self.db.connection().table("activity_log").where("created_at", "<", moment)
        return query.where("log_name", log) if log else query

    def find(self, connection: Connection, id: int) -> Activity:
        """The saved Activity with that id."""
        found: Activity = Activity.on(connection).find(id)
        return found


def reference(who: Any, key: Any = None) -> tuple[str | None, str | None, str | None]:
    """(type, id, label) of a model, of 'system:x', or of nobody."""
    if who is None:
        return None, None, None
    if isinstance(who, str):
        kind, colon, name = who.partition(":")
        if not (colon and kind and name):
            raise ActivityError(f"{who!r} is no causer: give a model, 'system:name' or None")
        return kind, name[: LONGEST["causer_id"]], who[:LONGEST_LABEL]
    alias = getattr(who, "type_alias", None) or (
        who.__name__ if isinstance(who, type) else type(who).__name__
    )
    found = key if key is not None else (None if isinstance(who, type) else who.get_key())
    return str(alias), None if found is None else str(found), _label(who)


def _label(model: Any) -> str | None:
    """What people call the model: kept in the row, so that it outlives the model."""
    if isinstance(model, type):
        return None
    held = model.get_attributes() if hasattr(model, "get_attributes") else {}
    for column in ("number", "name", "title", "sku", "email"):
        if isinstance(held.get(column), str):
            return str(held[column])[:LONGEST_LABEL]
    return None


def _context() -> dict[str, Any]:
    scope = current_scope()
    if scope is None:
        return {}
    context: dict[str, Any] = {"source": scope.kind, "request_id": scope.request_id}
    request = scope.request
    if request is not None:
        agent = request.user_agent()
        context |= {"ip": request.ip(), "url": request.url(), "user_agent": agent and agent[:500]}
    for name in ("job", "command"):
        if name in scope.data:
            context[name] = scope.data[name]
    if scope.kind == "command" and isinstance(scope.causer, str):
        context.setdefault("command", scope.causer.partition(":")[2])
    return {key: value for key, value in context.items() if value is not None}


def written(value: Any) -> str:
    """*value* as JSON text that can always be stored: bytes and bad Unicode do not stop a save."""
    return json.dumps(_storable(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _storable(value: Any) -> Any:
    if value is None or type(value) in (int, bool):
        return value
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "backslashreplace").decode()
        return value
    if isinstance(value, Mapping):
        return {str(key): _storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return {"$b64": base64.b64encode(value).decode()}
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else repr(value)
    return _storable(to_jsonable(value))
