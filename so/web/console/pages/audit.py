"""Audit: the trail by log, event, subject, causer, field, text and period; whether it is whole."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from so.edge.local import local
from so.http.request import Request
from so.settings.activity import ActivitySettings
from so.support.markup import Markup, h, join
from so.web.console import trail
from so.web.console.parts import facts, filters, moment, older, row, section, table
from so.web.console.reading import NEWEST, Fits, Row, SortOrder, needle, page

TITLE = "Audit"
FILTERS = (
    ("log", "Log", None), ("event", "Event", None), ("subject", "Subject, as Order:7", None),
    ("causer", "By, as User:1", None), ("field", "Field", None), ("q", "Text", None),
    ("from", "From", "date"), ("to", "To", "date"),
)  # fmt: skip
BY_TIME = SortOrder(("created_at", "id"))
_SEARCHED = ("description", "properties", "context", "subject_label", "causer_label")


def data(app: Any, request: Request) -> dict[str, Any]:
    """A page of entries, newest first, and the state of the seals."""
    wanted = {name: str(request.query(name) or "").strip() for name, _, _ in FILTERS}
    rows, order = _entered(app.make("db").table("activity_log"), wanted)
    is_search = any(wanted.values())
    found, next_ = page(
        rows,
        request,
        trail.entry,
        order=order,
        may_fit=_sorting_out(wanted) if is_search else None,
        fits=_having_the_last_word(wanted) if wanted["field"] or wanted["q"] else None,
    )
    trail.name_keys(found)
    return {"filter": wanted, "entries": found, "next": next_, "seals": _seals(app)}


def _entered(rows: Any, wanted: dict[str, str]) -> tuple[Any, SortOrder]:
    """The rows by the one index that leaves the fewest; the rest is sorted out of what it gives.

    With two conditions an engine may choose an index by which it finds nothing for a million rows.
    """
    for role in ("subject", "causer"):
        kind, _, id = wanted[role].partition(":")
        if kind and id:
            return rows.where(f"{role}_type", kind).where(f"{role}_id", id), NEWEST
    since, until = local().midnight(wanted["from"]), local().midnight(wanted["to"], 1)
    if since or until:  # neither for what is no day, or the last one there is
        rows = rows if since is None else rows.where("created_at", ">=", since)
        return rows if until is None else rows.where("created_at", "<", until), BY_TIME
    return (rows.where("log_name", wanted["log"]) if wanted["log"] else rows), NEWEST


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _day_of(value: Any) -> str:
    """The day by the reader's clock on which something was written."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return local().here(at).date().isoformat()


def _sorting_out(wanted: dict[str, str]) -> Fits:
    equal = {"log_name": wanted["log"], "event": wanted["event"]}
    for role in ("subject", "causer"):
        kind, _, id = wanted[role].partition(":")
        equal |= {f"{role}_type": kind, f"{role}_id": id}
    equal = {column: value for column, value in equal.items() if value}
    since, until = _day(wanted["from"]), _day(wanted["to"])
    field, text = needle(wanted["field"]), needle(wanted["q"])

    def may_fit(row: Row) -> bool:
        day = _day_of(row["created_at"]) if since or until else ""
        return (
            all(row[column] == value for column, value in equal.items())
            and (since is None or day >= str(since))
            and (until is None or day <= str(until))
            and field in str(row["properties"]).lower()
            and (not text or any(text in str(row[column]).lower() for column in _SEARCHED))
        )

    return may_fit


def _having_the_last_word(wanted: dict[str, str]) -> Fits:
    field, text = wanted["field"], wanted["q"].lower()

    def fits(entry: Row) -> bool:
        in_field = not field or field in {change["field"] for change in entry["changes"]}
        return in_field and (
            not text or text in json.dumps(entry, default=str, ensure_ascii=False).lower()
        )

    return fits


def _seals(app: Any) -> dict[str, Any]:
    newest = app.make("db").table("activity_seals").order_by_desc("seal_no").first()
    verified, findings = app.make("activity").last_verified()
    told = ("seal_no", "sealed_at", "seal_hash")
    return {
        "mode": app.settings(ActivitySettings).integrity,
        "newest": None
        if newest is None
        else dict(zip(("seal", "at", "hash"), (newest[n] for n in told), strict=True)),
        "verified_at": verified,
        "findings": findings,
    }


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Seals above, entries below."""
    search = filters(view.url("/audit"), FILTERS, data["filter"])
    is_search = any(data["filter"].values())
    more = older(view.url("/audit"), data["next"], view.query, is_search=is_search)
    listing = entries("Entries", data["entries"], view)
    seals = section("Seals", _sealed(data["seals"], view), id="seals")
    return join([seals, section("Entries", search, _export(data, view), listing, more)])


def entries(caption: str, found: list[dict[str, Any]], view: Any) -> Markup:
    """The table of entries."""
    return table(
        caption,
        [
            ("When", lambda r: moment(r["at"])),
            ("By", lambda r: trail.name(r["causer"], view, "causer")),
            ("What", trail.what),
            ("Subject", lambda r: trail.name(r["subject"], view, "subject")),
            ("Changes", trail.changes),
        ],
        found,
    )


def _sealed(seals: dict[str, Any], view: Any) -> list[Any]:
    newest = seals["newest"]
    if newest is None:
        words = "None: set AUDIT_KEY, and the trail is sealed against changes by another hand."
        return [h("p", words, class_="soft")]
    state = "never" if seals["verified_at"] is None else moment(seals["verified_at"])
    told = {
        "Newest seal": [str(newest["seal"]), " of ", moment(newest["at"])],
        "Its hash": newest["hash"],
        "All of it verified": state,
        "Findings since": seals["findings"] or "none",
    }
    return [facts(told), row(view.button("Verify now", "verify"))]


def _export(data: dict[str, Any], view: Any) -> Markup:
    known = ("log", "event", "subject", "causer", "field", "from", "to")
    fields = {name: data["filter"][name] for name in known if data["filter"][name]}
    return row(
        view.button("Export as CSV", "export", format="csv", **fields),
        view.button("Export as JSON lines", "export", format="jsonl", **fields),
    )
