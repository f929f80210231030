"""What a job takes over from its dispatcher, and how its scope gets it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from so.support.scope import UNSET, Scope, current_scope


def captured() -> Mapping[str, Any]:
    """Request id, activity batch and causer of the scope this code runs in."""
    scope = current_scope()
    if scope is None:
        return {}
    found: dict[str, Any] = {"request_id": scope.request_id}
    if scope.batch is not None:
        found["batch"] = scope.batch
    causer = scope.user if scope.causer is UNSET else scope.causer
    if causer is not None or scope.causer is None:
        found["causer"] = causer
    return found


def restored(scope: Scope, context: Mapping[str, Any]) -> None:
    """Give a job's scope the activity batch and the causer of its dispatcher."""
    scope.batch = context.get("batch")
    if "causer" in context:
        scope.causer = context["causer"]
