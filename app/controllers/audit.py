"""The audit trail, an entry for each thing that happened, page by page from the newest on.

A page goes on by key, and a search looks through so many rows and then offers to go on: what it
costs does not grow with the trail.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.models import User
from app.pages import card, number
from app.pages.layout import page
from app.pages.trail import KINDS, trail
from so import Activity, Markup, Request, Response, h, local
from so.web.forms import form

Place = tuple[datetime, int]  # when a row was written, and its key

PER_PAGE = 25  # entries
LOOKED_THROUGH = 5000  # rows, for one page
AT_ONCE = 200  # rows that are read together
MOST_ROWS = 2000  # of the batches of a page
WHAT = {
    "": "Everything", "placed": "Placed", "shipped": "Shipped", "submitted": "Submitted",
    "approved": "Approved", "rejected": "Rejected", "created": "Added", "updated": "Changed",
    "deleted": "Deleted",
}  # fmt: skip


def index(request: Request) -> Response:
    found, older = _heads(request)
    batches = [row.batch_uuid for row in found if row.batch_uuid]
    # Of a batch all rows, also those that a filter would leave out: it is one entry.
    rows = [row for row in found if not row.batch_uuid]
    if batches:
        rows += Activity.where_in("batch_uuid", batches).limit(MOST_ROWS).get()
    listing = trail(sorted(rows, key=_place, reverse=True))
    return page("Audit trail", card(_fields(), listing, _turns(request, older)))


def _fields() -> Any:
    f = form("/audit", "GET")
    users = User.order_by("name").pluck("name", "id")
    people = {"": "Everybody", **{str(key): name for key, name in users.items()}}
    return f(
        h(
            "div",
            f.text("q", "Search numbers and names", kind="search", maxlength=100),
            class_="wide",
        ),
        h("div", f.select("causer", "Who", people)),
        h("div", f.select("subject_type", "About", {"": "Everything", **KINDS})),
        h("div", f.select("event", "What", WHAT)),
        h("div", f.date("from", "From")),
        h("div", f.date("to", "To")),
        send=h("div", h("button", "Show", class_="plain")),
        class_="filters",
        role="search",
    )


def _turns(request: Request, older: str | None) -> Markup | None:
    """Links to the newest and to older entries, and a word where a search has stopped half-way."""
    links = [(text, place) for text, place, is_there in (
        ("← Newest", None, request.filled("before")), ("Older →", older, older is not None),
    ) if is_there]  # fmt: skip
    if not links:
        return None
    turns = [
        h("li", h("a", text, href=request.full_url_with_query({"before": place})))
        for text, place in links
    ]
    stopped = older is not None and _is_narrowed(request)
    said = f"Searched {number(LOOKED_THROUGH)} rows at most; older ones may fit as well."
    return h(
        "div",
        h("p", said if stopped else "", class_="soft small"),
        h("nav", h("ul", turns), aria_label="Pages"),
        class_="pager",
    )


# --- reading --------------------------------------------------------------------------------------


def _heads(request: Request) -> tuple[list[Activity], str | None]:
    """Of each entry that fits the newest row that does, and where an older page goes on."""
    query, first = _between(request), _start(request)
    end = _end(query, first) if _is_narrowed(request) else None
    query = _narrowed(query if end is None else _down_to(query, end), request)
    heads: dict[Any, Activity] = {}
    last = first
    for _ in range(LOOKED_THROUGH // AT_ONCE):
        rows = list(_after(query.clone(), last).limit(AT_ONCE).get())
        shown = _shown_before(query, rows, first)
        for row in rows:
            key = row.batch_uuid or row.id
            if key not in heads and key not in shown:
                if len(heads) == PER_PAGE:
                    return list(heads.values()), _text(last)
                heads[key] = row
            last = _place(row)
        if len(rows) < AT_ONCE:
            return list(heads.values()), None if end is None else _text(end)
    return list(heads.values()), _text(last)


def _shown_before(query: Any, rows: list[Activity], first: Place | None) -> set[str]:
    """The batches of *rows* that a page before this one, which begins after *first*, has shown."""
    batches = {row.batch_uuid for row in rows if row.batch_uuid}
    if first is None or not batches:
        return set()
    newer = query.clone().where_in("batch_uuid", sorted(batches)).where("id", ">=", first[1])
    return set(newer.distinct().pluck("batch_uuid"))


def _end(query: Any, first: Place | None) -> Place | None:
    """The last row that a search looks at; None if there are not so many."""
    row = _after(query.clone(), first).offset(LOOKED_THROUGH - 1).first()
    return None if row is None else _place(row)


def _place(row: Activity) -> Place:
    return row.created_at, row.id


def _text(place: Place | None) -> str | None:
    return None if place is None else f"{place[0].isoformat()}~{place[1]}"


def _start(request: Request) -> Place | None:
    """The row after which a page begins; None, the newest, for what is no place."""
    at, _, id = request.string("before").partition("~")
    try:
        return datetime.fromisoformat(at).astimezone(UTC), int(id[:18])
    except (ValueError, OverflowError):
        return None


def _after(query: Any, place: Place | None) -> Any:
    """*query* newest first, from behind *place* on; an index gives both columns in that order."""
    if place is not None:
        at, id = place
        # Said as a range of the first column, which the index is entered by.
        query = query.where("created_at", "<=", at).where(
            lambda q: q.where("created_at", "<", at).or_where("id", "<", id)
        )
    return query.order_by_desc("created_at").order_by_desc("id")


def _down_to(query: Any, place: Place) -> Any:
    at, id = place
    return query.where("created_at", ">=", at).where(
        lambda q: q.where("created_at", ">", at).or_where("id", ">=", id)
    )


def _is_narrowed(request: Request) -> bool:
    return any(request.filled(name) for name in ("subject_type", "event", "causer", "q"))


def _narrowed(query: Any, request: Request) -> Any:
    for column in ("subject_type", "event"):
        if request.filled(column):
            query = query.where(column, request.string(column))
    if request.filled("causer"):
        query = query.where("causer_type", "user").where("causer_id", request.string("causer"))
    text = request.string("q").strip()[:100]
    if text:
        query = query.where(
            lambda inner: inner.where_like("subject_label", f"%{text}%", escape=True).where_like(
                "description", f"%{text}%", boolean="or", escape=True
            )
        )
    return query


def _between(request: Request) -> Any:
    """From the beginning of one day to the end of another, on the reader's clock."""
    query, zone = Activity.query(), local()
    for name, sign, days in (("from", ">=", 0), ("to", "<", 1)):
        moment = zone.midnight(request.string(name), days)
        if moment is not None:
            query = query.where("created_at", sign, moment)
    return query
