"""What a job takes over from its dispatcher, and how its scope gets it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from so.support.scope import UNSET, Scope, batch_said, causer_said, current_scope


def captured(user: Callable[[], Any] | None = None) -> Mapping[str, Any]:
    """Request id, activity batch and causer of the code that dispatches.

    *user* finds who is logged in where nobody said who acts; without it, whom the scope knows.
    """
    scope, batch, causer = current_scope(), batch_said(), causer_said()
    found: dict[str, Any] = {} if scope is None else {"request_id": scope.request_id}
    if batch is not None:
        found["batch"] = batch
    if causer is not UNSET:
        found["causer"] = causer
    else:
        who = user() if user is not None else scope and scope.user
        if who is not None:
            found["causer"] = who
    return found


def restored(scope: Scope, context: Mapping[str, Any]) -> None:
    """Give a job's scope the activity batch and the causer of its dispatcher."""
    scope.batch = context.get("batch")
    if "causer" in context:
        scope.causer = context["causer"]
