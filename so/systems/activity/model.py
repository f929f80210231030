"""`Activity`: the trail, read as a model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from so.db.casts import DatetimeCast, JsonCast
from so.db.model import Model, eager, relation
from so.db.relations.belongs_to import BelongsTo, MorphTo
from so.errors import ActivityError, CastError, RelationError
from so.systems.activity.rows import audited, aware, not_reserved

R = TypeVar("R")


class _Told(JsonCast):
    """What an entry tells; nothing, where somebody wrote what is no object, past the log."""

    def get(self, model: Any, key: str, value: Any, attributes: Any) -> dict[str, Any]:
        """Always a dict, and so are its two sides."""
        try:
            told = super().get(model, key, value, attributes)
        except CastError:
            told = None
        if not isinstance(told, dict):
            return {}
        for side in ("attributes", "old"):
            if side in told and not isinstance(told[side], dict):
                told[side] = {}
        return told


class _When(DatetimeCast):
    """A moment; None, where somebody wrote what is none."""

    def get(self, model: Any, key: str, value: Any, attributes: Any) -> Any:
        """The moment as it is stored."""
        try:
            return super().get(model, key, value, attributes)
        except CastError:
            return None


class Activity(Model):
    """One row of the trail."""

    table = "activity_log"
    type_alias = "activity"
    guarded: list[str] = []
    casts = {"properties": _Told, "context": _Told, "created_at": _When, "updated_at": _When}

    # --- the log `audit` is the trail's own

    def _insert_row(self) -> None:
        not_reserved(self._attributes.get("log_name"))
        super()._insert_row()

    def _update_row(self, dirty: dict[str, Any], written: str) -> dict[str, Any] | None:
        not_reserved(dirty.get("log_name"))
        return super()._update_row(dirty, written)

    @classmethod
    def _bulk(cls, query: Any, kind: str, values: Any, perform: Callable[..., R]) -> R:
        for row in [values] if isinstance(values, Mapping) else values or ():
            if isinstance(row, Mapping):
                not_reserved(row.get("log_name", row.get("activity_log.log_name")))
        return perform()

    # --- what it says

    def get_properties_attribute(self, value: Any) -> dict[str, Any]:
        """Always a dict."""
        return value if isinstance(value, dict) else {}

    get_context_attribute = get_properties_attribute

    @relation
    def subject(self) -> Party:
        """What it happened to, as it is now; None if it is gone (`subject_label` stays)."""
        return Party(self, "subject")

    @relation
    def causer(self) -> Party:
        """Who did it: a model, 'system:name', or None for nobody or somebody who is gone."""
        return Party(self, "causer")

    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Each column that changed, with its value before and after."""
        after = self["properties"].get("attributes") or {}
        before = self["properties"].get("old") or {}
        names = dict.fromkeys([*after, *before])
        return {name: (before.get(name), after.get(name)) for name in names}

    # --- scopes ---

    def scope_in_log(self, query: Any, *names: str) -> Any:
        """Those in the logs called *names*."""
        return query.where_in("log_name", names)

    def scope_for_subject(self, query: Any, model: Any) -> Any:
        """Those that happened to *model*."""
        return query.where({"subject_type": _alias(model), "subject_id": _key(model)})

    def scope_caused_by(self, query: Any, who: Any) -> Any:
        """Those that *who* (a model, 'system:name', or None for nobody) did."""
        if who is None:
            return query.where_null("causer_type")
        if isinstance(who, str):
            kind, _, name = who.partition(":")
            return query.where({"causer_type": kind, "causer_id": name})
        return query.where({"causer_type": _alias(who), "causer_id": _key(who)})

    def scope_for_event(self, query: Any, *events: str) -> Any:
        """Those of the kinds *events*."""
        return query.where_in("event", events)

    def scope_for_batch(self, query: Any, uuid: str) -> Any:
        """Those of the batch *uuid*."""
        return query.where("batch_uuid", uuid)

    def scope_between(self, query: Any, a: datetime, b: datetime) -> Any:
        """Those from *a* to *b*; ActivityError for a datetime that does not say its zone."""
        for moment in (a, b):
            if isinstance(moment, datetime):
                aware(moment)
        return query.where("created_at", ">=", a).where("created_at", "<=", b)


def _key(model: Any) -> str:
    if isinstance(model, type) or not hasattr(model, "get_key"):
        raise ActivityError(f"{model!r} is no model that could have entries: give a saved one")
    return str(model.get_key())


def _alias(model: Any) -> str:
    return str(getattr(model, "type_alias", None) or type(model).__name__)


def class_of(alias: str | None) -> Any:
    """The model class that the trail means by *alias*; None if none is imported."""
    if alias is None:
        return None
    with contextlib.suppress(RelationError):
        return audited.find(alias) or Model.for_alias(alias)
    return None


class Party(MorphTo):
    """The subject or the causer of an entry: of any class, one that is gone or unknown included."""

    def __init__(self, entry: Activity, role: str) -> None:
        self._role = role
        related = class_of(entry._attributes.get(f"{role}_type"))
        super().__init__(related, entry, f"{role}_type", f"{role}_id", None)

    def results(self) -> Any:
        """The model or the name of the system; None if it is gone."""
        held = self.parent._attributes
        if held.get(self.type_column) == "system":
            return f"system:{held[self.foreign_key]}"
        return super().results()

    def load_into(
        self, models: Sequence[Any], constrain: eager.Constraint, nested: eager.Wanted
    ) -> None:
        """Load those of all of *models*: one query for each class among them."""
        groups: dict[Any, list[Any]] = {}
        for model in models:
            groups.setdefault(model._attributes.get(self.type_column), []).append(model)
        for alias, group in groups.items():
            if class_of(alias) is not None:
                one = Party(group[0], self._role)
                one.name = self.name
                BelongsTo.load_into(one, group, constrain, nested)
                continue
            for model in group:
                is_system = alias == "system"
                found = f"system:{model._attributes[self.foreign_key]}" if is_system else None
                model._keep_relation(self.name, found)
