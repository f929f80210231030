"""One document: everything that happened to it and its lines, and what it was on a day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from so.edge.local import local
from so.errors import NotFoundException, SixOrbitError
from so.http.request import Request
from so.support.markup import Markup, h, join
from so.systems.activity.documents import as_of
from so.systems.activity.model import class_of
from so.web.console import trail
from so.web.console.pages.audit import entries
from so.web.console.parts import facts, filters, older, section
from so.web.console.reading import masked, page

TITLE = "Document"
LINES = 200  # entries of the same batches: what was saved together with the document


def data(app: Any, request: Request) -> dict[str, Any]:
    """A page of its entries with those of its lines, and its state on the day `on`."""
    kind, id = str(request.query("type") or ""), str(request.query("id") or "")
    rows = app.make("db").table("activity_log")
    mine = rows.clone().where("subject_type", kind).where("subject_id", id)
    found, next_ = page(mine, request, trail.entry)
    if not kind or not id:
        raise NotFoundException("Say which document: ?type=order&id=7.")
    if not found and not request.query("before"):
        raise NotFoundException(f"The trail holds nothing of {kind}:{id}.")
    lines = _lines(rows, found, kind, id)
    trail.name_keys([*found, *lines])
    on = str(request.query("on") or "")
    return {
        "type": kind,
        "id": id,
        "label": next((e["subject"]["label"] for e in found if e["subject"]["label"]), None),
        "entries": found,
        "lines": lines,
        "next": next_,
        "filter": {"on": on},
        "state": _state(kind, id, on),
    }


def _lines(rows: Any, found: list[dict[str, Any]], kind: str, id: str) -> list[dict[str, Any]]:
    batches = sorted({entry["batch"] for entry in found if entry["batch"]})
    if not batches:
        return []
    together = rows.where_in("batch_uuid", batches).order_by_desc("id").limit(LINES).get()
    return [
        trail.entry(row)
        for row in together
        if row["subject_type"] and (row["subject_type"], row["subject_id"]) != (kind, id)
    ]


def _state(kind: str, id: str, on: str) -> dict[str, Any] | None:
    """What it was at the end of the day; None where no day was asked for."""
    if not on:
        return None
    after = local().midnight(on, 1)
    if after is None:
        return {"told": False, "why": f"{on!r} is no day: write 2026-04-01."}
    moment = after - timedelta(microseconds=1)
    cls = class_of(kind)
    if cls is None:
        return {"told": False, "why": f"No model here is called {kind}."}
    try:
        row = cls.query().without_global_scopes().find(id)
        model = row or cls().set_raw_attributes({cls.primary_key: id})
        then = as_of(model, moment)
    except (SixOrbitError, ValueError) as error:
        return {"told": False, "why": str(error)}
    if then is None:
        return {"told": False, "why": "It was not there on that day."}
    hidden = set(getattr(cls, "hidden", ()))
    fields = {n: v for n, v in then.get_attributes().items() if n not in hidden}
    return {"told": True, "fields": masked(fields)}


def title(data: dict[str, Any]) -> str:
    """What people call it."""
    return f"{data['type']} {data['label'] or data['id']}"


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Its state on a day, its history, its lines."""
    url, key = view.url("/document"), {"type": data["type"], "id": data["id"]}
    ask = filters(url, [("on", "At the end of", "date")], data["filter"], kept=key)
    state = data["state"]
    shown: object = None
    if state is not None:
        shown = h("p", state["why"]) if not state["told"] else _fields(state["fields"])
    more = older(url, data["next"], view.query)
    history = section("History", entries("History", data["entries"], view), more)
    parts = [section("Its state on a day", ask, shown), history]
    if data["lines"]:
        together = entries("Saved together with it", data["lines"], view)
        parts.append(section("Saved together with it, its lines among them", together))
    return join(parts)


def _fields(fields: dict[str, Any]) -> Markup:
    return facts({name: trail.value(value) for name, value in fields.items()})
