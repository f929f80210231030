"""The time machine: what a model was, worked out from its trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from so.errors import ActivityError
from so.support.masking import MASK
from so.systems.activity.model import Activity
from so.systems.activity.rows import ERASED

ENDS = ("deleted", "force_deleted")
UNKNOWN = (MASK, ERASED)  # what the trail does not hold


@dataclass(frozen=True)
class Version:
    """One state: its number from 1, when and by whom it came about, and every value then."""

    number: int
    at: datetime
    event: str
    causer: str | None
    attributes: Mapping[str, Any]
    activity_id: int


def versions(model: Any) -> list[Version]:
    """Every state of *model*, oldest first; deleting it is the last state, with its last values."""
    rows = Activity.on(model._connection()).for_subject(model)
    state: dict[str, Any] = {}
    found: list[Version] = []
    for row in rows.order_by("created_at").order_by("id").get():
        properties = row.properties
        if "attributes" not in properties and "old" not in properties:
            continue
        if not found and row.event != "created":
            state.update(properties.get("old") or {})
        state = {**state, **(properties.get("attributes") or {})}
        found.append(
            Version(
                len(found) + 1, row.created_at, row.event or "", row.causer_label, state, row.id
            )
        )
    return found


def as_of(model: Any, moment: datetime) -> Any:
    """*model* as it was at *moment*, unsaved; None before it was made and after its end."""
    known = [version for version in versions(model) if version.at <= moment]
    if not known or known[-1].event in ENDS:
        return None
    return _model(model, known[-1].attributes)


def _model(model: Any, attributes: Mapping[str, Any]) -> Any:
    old = type(model)()
    for name, value in attributes.items():
        if value not in UNKNOWN and "." not in name:
            old.set_attribute(name, value)
    return old


def _find(model: Any, which: Any) -> Version:
    known = versions(model)
    if isinstance(which, Version):
        return which
    if isinstance(which, datetime):
        before = [version for version in known if version.at <= which]
        if before:
            return before[-1]
    elif isinstance(which, int) and not isinstance(which, bool) and 1 <= which <= len(known):
        return known[which - 1]
    raise ActivityError(f"{model!r} has no version {which!r}: it has {len(known)}, from 1")


def diff(model: Any, a: Any, b: Any) -> dict[str, tuple[Any, Any]]:
    """What differs between two versions: column → (in a, in b)."""
    first, second = _find(model, a).attributes, _find(model, b).attributes
    names = dict.fromkeys([*first, *second])
    return {
        name: (first.get(name), second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    }


def revert_to(model: Any, which: Any) -> bool:
    """Save the values of a version again; ActivityError if one of them was masked."""
    version = _find(model, which)
    now = versions(model)[-1].attributes
    changed = {
        name: value
        for name, value in version.attributes.items()
        if "." not in name and name != model.primary_key and now.get(name) != value
    }
    masked = [name for name, value in version.attributes.items() if value in UNKNOWN]
    touched = [name for name in masked if name in changed or _changed_since(model, name, version)]
    if touched:
        raise ActivityError(
            f"cannot revert {', '.join(touched)}: the trail does not hold masked or erased values"
        )
    for name, value in changed.items():
        model.set_attribute(name, value)
    return bool(model.save())


def _changed_since(model: Any, name: str, version: Version) -> bool:
    rows = Activity.on(model._connection()).for_subject(model).where("id", ">", version.activity_id)
    return any(name in (row.properties.get("attributes") or {}) for row in rows.get())
