"""`LogsActivity`: a model that writes its own trail in the transaction of the change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from so.errors import ActivityError
from so.support.current import current
from so.support.listed import names
from so.systems.activity import documents
from so.systems.activity.bulk import Bulk
from so.systems.activity.context import is_unaudited
from so.systems.activity.entries import Entries, as_stored
from so.systems.activity.model import Activity
from so.systems.activity.pairs import Pairs
from so.systems.activity.rows import audited

if TYPE_CHECKING:
    from so.systems.activity.timeline import Version
    from so.systems.activity.trail import Trail

R = TypeVar("R")
READ = "retrieved"
PAIRS = ("attached", "detached", "synced")
KEPT = frozenset((
    "activity_log", "activity_seals", "activity_tombstones", "activity_erasures", "cache",
    "cache_locks", "console_counters", "console_history", "console_requests", "failed_jobs",
    "job_batch_failures", "job_batches", "job_progress", "jobs", "migrations",
    "notification_deliveries", "notifications", "queue_control", "queue_locks", "queue_metrics",
    "queue_schedule_runs", "queue_workers", "rate_limits", "session_moves", "sessions",
))  # fmt: skip
"""What the framework keeps for itself and changes all the time: it would bury the rest."""
EVENTS = ["created", "updated", "deleted", "restored", "force_deleted"]


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
    log_lines: ClassVar[list[str]] = []
    """Relations whose rows are part of it, as an invoice's positions: history sees both."""
    log_reads: ClassVar[bool] = False
    """Whether who reads a row is logged as well (`retrieved`): for what is sensitive."""

    _writes_in_transaction = True
    _reads_are_told: ClassVar[bool] = False
    _pairs_are_told: ClassVar[bool] = True

    # --- what an application may override ---

    def get_description_for_event(self, event: str) -> str:
        """What the row says."""
        return event

    def get_additional_log_properties(self, event: str) -> Mapping[str, Any]:
        """More properties for the row."""
        return {}

    @classmethod
    def _has_own_words(cls) -> bool:
        """Does the class say more about an event than its name?"""
        return any(
            getattr(cls, name) is not getattr(LogsActivity, name)
            for name in ("get_description_for_event", "get_additional_log_properties")
        )

    # --- the trail of one model ---

    def activities(self) -> Any:
        """The rows about this model, newest first."""
        model: Any = self
        return Activity.on(model._connection()).for_subject(model).order_by_desc("id")

    def history(self) -> Any:
        """The rows about this model and about its lines, gone ones too; newest first."""
        return documents.history(self)

    def versions(self) -> list[Version]:
        """Every state it was in, oldest first."""
        return documents.versions(self)

    def as_of(self, moment: datetime) -> Any:
        """The model as it was at *moment*, unsaved; None before it was made or after its end."""
        return documents.as_of(self, moment)

    def diff(self, a: Any, b: Any) -> dict[str, tuple[Any, Any]]:
        """What differs between two versions (numbers or datetimes): column → (in a, in b)."""
        return documents.diff(self, a, b)

    def revert_to(self, version: Any) -> bool:
        """Save the state of *version* again, which is logged; masked columns are refused."""
        return documents.revert_to(self, version)

    # --- hooks of the model ---

    @classmethod
    def _defined(cls) -> None:
        audited.know(cls.type_alias, cls)  # type: ignore[attr-defined]
        for name in ("attributes", "attributes_except", "events", "mask", "lines"):
            names(getattr(cls, f"log_{name}"), f"{cls.__name__}.log_{name}")
        known = (*EVENTS, *PAIRS, READ)
        unknown = [name for name in cls.log_events if name not in known]
        if unknown:
            raise ActivityError(
                f"{cls.__name__}.log_events names {unknown[0]!r}, which is never logged: use "
                f"{', '.join(known)}"
            )
        if getattr(cls, "table", None) in KEPT:
            cls.log_events = []
        elif cls.log_reads or READ in cls.log_events:
            cls._reads_are_told = True

    @classmethod
    def _were_read(cls, models: Any) -> None:
        log: Trail = current("activity")
        if is_unaudited() or not log.wants():
            return
        try:
            entries = Entries(cls, log, READ)
            for model in models:
                entries.note(model, {})
            log.write_safely(models[0]._connection(), entries.made)
        except Exception as error:
            log.failed(f"reading {cls.__name__}", error)

    def _written(self, event: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        super()._written(event, before, after)  # type: ignore[misc]
        if event not in self.log_events or is_unaudited():
            return
        log: Trail = current("activity")
        if not log.wants():
            return
        model: Any = self
        try:
            rows = Entries(type(self), log, event)
            rows.add(model, before, as_stored(model, event, before, after))
            log.write_safely(model._connection(), rows.made)
        except Exception as error:
            log.failed(f"{event} of {model!r}", error)

    def _pivot_changed(
        self,
        relation: str,
        attached: list[Any],
        detached: list[Any],
        updated: list[Any],
        before: Mapping[Any, Mapping[str, Any]],
    ) -> None:
        super()._pivot_changed(relation, attached, detached, updated, before)  # type: ignore[misc]
        if is_unaudited():
            return
        log: Trail = current("activity")
        model: Any = self
        try:
            change = Pairs(model, relation, attached, detached, updated, before)
            if change.event is None or not {change.event, "updated"} & {*self.log_events}:
                return
            if not log.wants():
                return
            rows = Entries(type(self), log, change.event)
            rows.note(model, change.properties(rows.mask))
            log.write_safely(model._connection(), rows.made)
        except Exception as error:
            log.failed(f"{relation} of {model!r}", error)

    @classmethod
    def _bulk(cls, query: Any, kind: str, values: Any, perform: Callable[..., R]) -> R:
        log: Trail = current("activity")
        if not cls.log_events or is_unaudited() or query.runner.is_pretending or not log.wants():
            return perform()
        if kind == "truncate" and query.runner.dialect.name == "mysql":
            return Bulk(cls, log, query).run(kind, values, perform)  # it commits by itself
        with query.runner.transaction():
            return Bulk(cls, log, query).run(kind, values, perform)
