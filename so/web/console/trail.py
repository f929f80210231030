"""Entries of the activity log as pages show them: changes field by field, keys with their names."""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from so.edge.local import local
from so.errors import SixOrbitError
from so.support.markup import Markup, h
from so.systems.activity.model import class_of
from so.web.console.reading import label

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*Z$")
MODELS = 3  # classes whose names are looked up for a page, a statement each


def entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `activity_log` as a page shows it."""
    properties = decoded(row["properties"])
    old, new = decoded(properties.pop("old", None)), decoded(properties.pop("attributes", None))
    names = dict.fromkeys([*new, *old])
    return {
        "id": row["id"], "at": row["created_at"], "log": row["log_name"], "event": row["event"],
        "description": row["description"],
        "subject": _who(row, "subject"), "causer": _who(row, "causer"),
        "changes": [{"field": n, "old": old.get(n), "new": new.get(n)} for n in names],
        "properties": properties, "context": decoded(row["context"]), "batch": row["batch_uuid"],
        "sealed": bool(row["seal_no"]),
    }  # fmt: skip


def decoded(value: Any) -> dict[str, Any]:
    """JSON of an object, or the object; what is neither as it is, without a name."""
    try:
        found = json.loads(value or "{}") if isinstance(value, str | bytes | None) else value
    except (ValueError, RecursionError):
        return {}
    return dict(found) if isinstance(found, Mapping) else {"": found}


def _who(row: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    if not row[f"{name}_type"]:
        return None
    return {"type": row[f"{name}_type"], "id": row[f"{name}_id"], "label": row[f"{name}_label"]}


# --- names of keys ------------------------------------------------------------------------------


def name_keys(entries: Iterable[dict[str, Any]]) -> None:
    """Put `old_name` and `new_name` beside changed keys of other models: whom they point at."""
    wanted: dict[tuple[Any, str], list[tuple[dict[str, Any], str]]] = defaultdict(list)
    known: dict[tuple[str, str], tuple[Any, str] | None] = {}
    for one in entries:
        kind = one["subject"]["type"] if one["subject"] else ""
        for change in one["changes"] if kind else ():
            place = kind, change["field"]
            if place not in known:
                cls = class_of(kind)
                known[place] = None if cls is None else _target(cls, change["field"])
            if (target := known[place]) is not None:
                wanted[target] += [(change, s) for s in ("old", "new") if change[s] is not None]
    for (model, column), places in list(wanted.items())[:MODELS]:
        names = _names(model, column, {change[side] for change, side in places})
        for change, side in places:
            if (name := names.get(str(change[side]))) is not None:
                change[f"{side}_name"] = name


def _target(cls: Any, field: str) -> tuple[Any, str] | None:
    """The model and column that the key *field* of *cls* points at."""
    if not field.endswith(("_id", "_by")):  # the house's words for keys; a look at each is dear
        return None
    for relation in cls()._plan.relations:
        with contextlib.suppress(SixOrbitError, AttributeError):
            definition = cls().related(relation)
            if definition.foreign_key == field:
                return definition.model, definition.owner_key
    return None


def _names(model: Any, column: str, keys: set[Any]) -> dict[str, str]:
    with contextlib.suppress(SixOrbitError):
        rows = model.where_in(column, sorted(keys, key=str)).limit(200).get()
        return {str(row.get_attribute(column)): label(row) for row in rows}
    return {}


# --- drawing ------------------------------------------------------------------------------------


def name(who: dict[str, Any] | None, view: Any, role: str) -> Any:
    """Who or what an entry is about: a causer leads to what they did, a document to its history."""
    if who is None:
        return "–"
    if who["id"] is None:
        return who["label"] or who["type"]
    key = f"{who['type']}:{who['id']}"
    href = view.url("/audit", **{role: key})
    if role == "subject":
        href = view.url("/document", type=who["type"], id=who["id"])
    return h("a", who["label"] or key, href=href, title=key)


def changes(row: Mapping[str, Any]) -> Any:
    """Each field with its value before and after."""
    return [
        h(
            "p",
            h("b", change["field"]),
            ": ",
            h("del", _text(change, "old"), class_="old"),
            " → ",
            h("ins", _text(change, "new"), class_="new"),
        )
        for change in row["changes"]
        if (change["old"], change["new"]) != (None, None)  # of a new record what it has
    ] or "–"


def _text(change: Mapping[str, Any], side: str) -> str:
    named = change.get(f"{side}_name")
    return value(change[side]) if named is None else f"{named} ({value(change[side])})"


def value(value: Any) -> str:
    """A value of a field as a person reads it, a moment by the reader's clock."""
    if value is None:
        return "–"
    if isinstance(value, str) and _MOMENT.match(value):
        with contextlib.suppress(ValueError):
            return local().moment(datetime.fromisoformat(value), seconds=True)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def what(row: Mapping[str, Any]) -> list[Markup | str]:
    """What happened, with its log and event in small."""
    kind = " · ".join(filter(None, (row["log"], row["event"])))
    return [row["description"], h("small", f" {kind}", class_="soft")]
