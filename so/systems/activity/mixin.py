"""`LogsActivity`: a model that writes its own trail in the transaction of the change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from so.support.current import current
from so.systems.activity import timeline
from so.systems.activity.context import is_unaudited
from so.systems.activity.model import Activity
from so.systems.activity.rows import reference
from so.systems.activity.tracking import differing, tracking

if TYPE_CHECKING:
    from so.systems.activity.log import ActivityLog
    from so.systems.activity.timeline import Version

R = TypeVar("R")
EVENTS = ["created", "updated", "deleted", "restored", "force_deleted"]
BULK_EVENTS = {
    "update": "updated",
    "increment": "updated",
    "decrement": "updated",
    "restore": "restored",
    "delete": "deleted",
    "force_delete": "force_deleted",
}
ROWS_AT_ONCE = 500  # rows of a bulk write that are read and compared together


class LogsActivity:
    """For a model: `class Invoice(LogsActivity, Model)`."""

    log_attributes: ClassVar[list[str]] = ["*"]
    """Columns to log; `relation.column` and `json_column.key` work as well."""
    log_attributes_except: ClassVar[list[str]] = []
    log_only_dirty: ClassVar[bool] = True
    log_name: ClassVar[str] = "default"
    log_empty: ClassVar[bool] = False
    log_events: ClassVar[list[str]] = EVENTS
    log_mask: ClassVar[list[str]] = []

    _writes_in_transaction = True

    # --- what an application may override ---

    def get_description_for_event(self, event: str) -> str:
        """What the row says."""
        return event

    def get_additional_log_properties(self, event: str) -> Mapping[str, Any]:
        """More properties for the row."""
        return {}

    # --- the trail of one model ---

    def activities(self) -> Any:
        """The rows about this model, newest first."""
        model: Any = self
        query = Activity.on(model._connection()).for_subject(model)
        return query.order_by_desc("created_at").order_by_desc("id")

    def versions(self) -> list[Version]:
        """Every state it was in, oldest first."""
        return timeline.versions(self)

    def as_of(self, moment: datetime) -> Any:
        """The model as it was at *moment*, unsaved; None before it was made or after its end."""
        return timeline.as_of(self, moment)

    def diff(self, a: Any, b: Any) -> dict[str, tuple[Any, Any]]:
        """What differs between two versions (numbers or datetimes): column → (in a, in b)."""
        return timeline.diff(self, a, b)

    def revert_to(self, version: Any) -> bool:
        """Save the state of *version* again, which is logged; masked columns are refused."""
        return timeline.revert_to(self, version)

    # --- hooks of the model ---

    def _written(self, event: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        super()._written(event, before, after)  # type: ignore[misc]
        if event not in self.log_events or is_unaudited():
            return
        log: ActivityLog = current("activity")
        if not log.is_on:
            return
        changes = tracking(type(self), log.mask).changes(self, event, before, after)
        if changes is None:
            return
        model: Any = self
        row = _row(model, log, event, changes)
        log.write(model._connection(), [row])

    def _pivot_changed(
        self, relation: str, attached: list[Any], detached: list[Any], updated: list[Any]
    ) -> None:
        super()._pivot_changed(relation, attached, detached, updated)  # type: ignore[misc]
        if is_unaudited():
            return
        log: ActivityLog = current("activity")
        kinds = {"attached": attached, "detached": detached, "updated": updated}
        given = [kind for kind, keys in kinds.items() if keys]
        event = given[0] if len(given) == 1 else "synced"
        if not log.is_on or not {event, "updated"} & {*self.log_events}:
            return
        model: Any = self
        log.write(
            model._connection(),
            [_row(model, log, event, {"relation": relation, **kinds})],
        )

    @classmethod
    def _bulk(cls, query: Any, kind: str, values: Any, perform: Callable[[], R]) -> R:
        log: ActivityLog = current("activity")
        if is_unaudited() or not log.is_on:
            return perform()
        with query.runner.transaction():
            if kind == "insert":
                return _bulk_insert(cls, log, query, values)  # type: ignore[return-value]
            if kind not in BULK_EVENTS:
                result = perform()
                _summarise(cls, log, query, kind, result)
                return result
            return _bulk_change(cls, log, query, kind, perform)


def _row(model: Any, log: ActivityLog, event: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    more = model.get_additional_log_properties(event)
    properties = {**changes, **log.mask.apply(more, model.log_mask)} if more else changes
    return log.row(
        model.get_description_for_event(event),
        log_name=model.log_name,
        event=event,
        subject=reference(model),
        causer=log.causer(),
        properties=properties,
    )


# --- many rows at once ---------------------------------------------------------------------------


def _bulk_change(cls: Any, log: ActivityLog, query: Any, kind: str, perform: Callable[[], R]) -> R:
    """Read the rows, change them, read them again, and log what differs."""
    key = cls.primary_key
    found = query._plain().select(query.qualify("*")).lock_for_update().get()
    before = {row[key]: dict(row) for row in found}
    result = perform()
    event = BULK_EVENTS[kind]
    gone = kind == "force_delete" or (kind == "delete" and cls._plan.deleted_at is None)
    if event not in cls.log_events:
        return result
    rows = []
    keys = list(before)
    for at in range(0, len(keys), ROWS_AT_ONCE):
        part = keys[at : at + ROWS_AT_ONCE]
        after = {} if gone else _present(cls, query, part)
        for each in part:
            rows += _compared(cls, log, event, before[each], after.get(each, {}))
    log.write(query.runner, rows)
    return result


def _compared(
    cls: Any, log: ActivityLog, event: str, before: dict[str, Any], after: dict[str, Any]
) -> list[dict[str, Any]]:
    model = cls().set_raw_attributes({**before, **after}, sync=True)
    tracked = tracking(cls, log.mask)
    if event in ("deleted", "force_deleted"):
        changes = tracked.changes(model, event, before, {})
    else:
        changed = list(differing(cls, before, after))
        changes = tracked.changes(
            model, event, {n: before.get(n) for n in changed}, {n: after[n] for n in changed}
        )
    return [] if changes is None else [_row(model, log, event, changes)]


def _present(cls: Any, query: Any, keys: list[Any]) -> dict[Any, dict[str, Any]]:
    found = query.runner.table(cls.table).where_in(cls.primary_key, keys).get()
    return {row[cls.primary_key]: dict(row) for row in found}


def _bulk_insert(cls: Any, log: ActivityLog, query: Any, values: Any) -> bool:
    """Insert in statements of one each, so that the new keys are known, and log each row."""
    given = [values] if isinstance(values, Mapping) else list(values or [])
    if not given:
        return True
    connection, key, tracked = query.runner, cls.primary_key, tracking(cls, log.mask)
    size = max(1, 900 // max(1, len(given[0])))
    rows = []
    for at in range(0, len(given), size):
        part = given[at : at + size]
        connection.table(cls.table).insert(part)
        for new_key, row in zip(_new_keys(connection, part, key), part, strict=True):
            stored = dict(row) if new_key is None else {**row, key: new_key}
            model = cls().set_raw_attributes(stored, sync=True)
            changes = tracked.changes(model, "created", {}, stored)
            if changes is not None and "created" in cls.log_events:
                rows.append(_row(model, log, "created", changes))
    log.write(connection, rows)
    return True


def _new_keys(connection: Any, rows: list[Any], key: str) -> list[Any]:
    """The keys that one insert statement gave to *rows*, in their order."""
    if key in rows[0]:
        return [row[key] for row in rows]
    if connection.dialect.name == "sqlite":
        last = int(connection.scalar("select last_insert_rowid()", use_read=False))
        return list(range(last - len(rows) + 1, last + 1))
    # MySQL gives one insert of known size a range of its own, in the server's steps.
    sql = "select last_insert_id() as first, @@auto_increment_increment as step"
    found = connection.select(sql, use_read=False)[0]
    return [int(found["first"]) + n * int(found["step"]) for n in range(len(rows))]


def _summarise(cls: Any, log: ActivityLog, query: Any, kind: str, result: Any) -> None:
    """One row for a write whose rows cannot be told one by one."""
    properties = {"kind": kind, "rows": result if isinstance(result, int) else None}
    row = log.row(
        f"{kind} on {cls.table}",
        log_name=cls.log_name,
        event=kind,
        subject=reference(cls),
        causer=log.causer(),
        properties=properties,
    )
    log.write(query.runner, [row])
