"""`Activity`: the trail, read as a model."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

from so.db.model import Model
from so.errors import RelationError
from so.systems.activity.naming import audited


class Activity(Model):
    """One row of the trail."""

    table = "activity_log"
    type_alias = "activity"
    guarded: list[str] = []
    casts = {"properties": "json", "context": "json"}

    def get_properties_attribute(self, value: Any) -> dict[str, Any]:
        """Always a dict."""
        return value if isinstance(value, dict) else {}

    get_context_attribute = get_properties_attribute

    @property
    def subject(self) -> Any:
        """What it happened to, as it is now; None if it is gone (`subject_label` stays)."""
        return _model(self["subject_type"], self["subject_id"])

    @property
    def causer(self) -> Any:
        """Who did it: a model, 'system:name', or None for nobody or somebody who is gone."""
        if self["causer_type"] == "system":
            return f"system:{self['causer_id']}"
        return _model(self["causer_type"], self["causer_id"])

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
        return query.where({"subject_type": _alias(model), "subject_id": str(model.get_key())})

    def scope_caused_by(self, query: Any, who: Any) -> Any:
        """Those that *who* (a model or 'system:name') did."""
        if isinstance(who, str):
            kind, _, name = who.partition(":")
            return query.where({"causer_type": kind, "causer_id": name})
        return query.where({"causer_type": _alias(who), "causer_id": str(who.get_key())})

    def scope_for_event(self, query: Any, *events: str) -> Any:
        """Those of the kinds *events*."""
        return query.where_in("event", events)

    def scope_for_batch(self, query: Any, uuid: str) -> Any:
        """Those of the batch *uuid*."""
        return query.where("batch_uuid", uuid)

    def scope_between(self, query: Any, a: datetime, b: datetime) -> Any:
        """Those from *a* to *b*."""
        return query.where("created_at", ">=", a).where("created_at", "<=", b)


def _alias(model: Any) -> str:
    return str(getattr(model, "type_alias", None) or type(model).__name__)


def _model(alias: str | None, key: str | None) -> Any:
    if alias is None or key is None:
        return None
    with contextlib.suppress(RelationError, LookupError, ValueError):
        found = audited(alias) or Model.for_alias(alias)
        # A class of today may not be able to hold a key of yesterday: then the model is gone.
        return found.resolve_route_binding(key)
    return None
