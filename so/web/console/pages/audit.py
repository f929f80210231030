"""Audit: the trail by log, event, subject, causer, field, text and period; whether it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from so.http.request import Request
from so.settings.activity import ActivitySettings
from so.support.markup import Markup, h, join
from so.web.console.parts import facts, filters, older, section, table
from so.web.console.reading import before, keyset

TITLE = "Audit"
FILTERS = (
    ("log", "Log", None), ("event", "Event", None), ("subject", "Subject, as Order:7", None),
    ("causer", "By, as User:1", None), ("field", "Field", None), ("q", "Text", None),
    ("from", "From", "date"), ("to", "To", "date"),
)  # fmt: skip


def data(app: Any, request: Request) -> dict[str, Any]:
    """A page of entries, newest first, and the state of the seals."""
    wanted = {name: request.query(name) for name, _, _ in FILTERS}
    rows = _narrowed(app.make("db").table("activity_log"), wanted)
    field, text = str(wanted["field"] or ""), str(wanted["q"] or "").lower()

    def fits(entry: dict[str, Any]) -> bool:
        in_field = not field or field in {change["field"] for change in entry["changes"]}
        return in_field and (
            not text or text in json.dumps(entry, default=str, ensure_ascii=False).lower()
        )

    found, next_ = keyset(rows, before(request), _entry, fits)
    return {"filter": wanted, "entries": found, "next": next_, "seals": _seals(app)}


def _narrowed(rows: Any, wanted: dict[str, Any]) -> Any:
    for name, column in (("log", "log_name"), ("event", "event")):
        if wanted[name]:
            rows = rows.where(column, wanted[name])
    for name in ("subject", "causer"):
        kind, _, id = str(wanted[name] or "").partition(":")
        if kind:
            rows = rows.where(f"{name}_type", kind)
        if id:
            rows = rows.where(f"{name}_id", id)
    if wanted["from"]:
        rows = rows.where("created_at", ">=", f"{wanted['from']} 00:00:00")
    if wanted["to"]:
        rows = rows.where("created_at", "<=", f"{wanted['to']} 23:59:59.999999")
    return rows


def _entry(row: Any) -> dict[str, Any]:
    properties = _object(row["properties"])
    old, new = properties.pop("old", None) or {}, properties.pop("attributes", None) or {}
    names = dict.fromkeys([*new, *old])
    return {
        "id": row["id"], "at": row["created_at"], "log": row["log_name"], "event": row["event"],
        "description": row["description"],
        "subject": _who(row, "subject"), "causer": _who(row, "causer"),
        "changes": [{"field": n, "old": old.get(n), "new": new.get(n)} for n in names],
        "properties": properties, "context": _object(row["context"]), "batch": row["batch_uuid"],
        "sealed": bool(row["seal_no"]),
    }  # fmt: skip


def _object(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"": found}


def _who(row: Any, name: str) -> dict[str, Any] | None:
    if not row[f"{name}_type"]:
        return None
    return {"type": row[f"{name}_type"], "id": row[f"{name}_id"], "label": row[f"{name}_label"]}


def _seals(app: Any) -> dict[str, Any]:
    newest = app.make("db").table("activity_seals").order_by_desc("seal_no").first()
    mode = app.settings(ActivitySettings).integrity
    return {
        "mode": mode,
        "newest": None
        if newest is None
        else {
            "seal": newest["seal_no"],
            "at": newest["sealed_at"],
            "hash": newest["seal_hash"],
        },
    }


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Seals above, entries below."""
    newest = data["seals"]["newest"]
    seals = facts(
        {
            "Newest seal": f"{newest['seal']} of {newest['at']} UTC"
            if newest
            else "none: set AUDIT_KEY to seal the trail",
            "Its hash": newest["hash"] if newest else None,
        }
    )
    entries = table(
        "Entries",
        [
            ("When (UTC)", lambda r: str(r["at"])[:19]),
            ("By", lambda r: _name(r["causer"], view, "causer")),
            (
                "What",
                lambda r: [
                    r["description"],
                    h("small", f" {r['log'] or ''} · {r['event'] or ''}", class_="soft"),
                ],
            ),
            ("Subject", lambda r: _name(r["subject"], view, "subject")),
            ("Changes", _changes),
        ],
        data["entries"],
    )
    search = filters(view.url("/audit"), FILTERS, data["filter"])
    page = older(view.url("/audit"), data["next"], view.query)
    verify = h("div", view.button("Verify now", "verify"), class_="row") if newest else None
    return join(
        [section("Seals", seals, verify, id="seals"), section("Entries", search, entries, page)]
    )


def _name(who: dict[str, Any] | None, view: Any, filter_: str) -> Any:
    if who is None:
        return "–"
    if who["id"] is None:
        return who["label"] or who["type"]
    key = f"{who['type']}:{who['id']}"
    label = who["label"] or key
    return h("a", label, href=f"{view.url('/audit')}?{filter_}={key}", title=key)


def _changes(row: Mapping[str, Any]) -> Any:
    return [
        h(
            "p",
            h("b", change["field"]),
            ": ",
            h("del", _text(change["old"]), class_="old"),
            " → ",
            h("ins", _text(change["new"]), class_="new"),
        )
        for change in row["changes"]
    ] or "–"


def _text(value: Any) -> str:
    return (
        "–"
        if value is None
        else value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str)
    )
