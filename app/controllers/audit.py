"""The audit trail, an entry for each thing that happened."""

from __future__ import annotations

from typing import Any

from app.models import User
from app.pages import card, pager
from app.pages.layout import page
from app.pages.trail import KINDS, trail
from so import DB, Activity, Request, Response, h, local
from so.web.forms import form

PER_PAGE = 25
WHAT = {
    "": "Everything", "placed": "Orders placed", "shipped": "Orders shipped",
    "submitted": "Invoices submitted", "approved": "Invoices approved",
    "rejected": "Invoices rejected", "created": "Added", "updated": "Changed",
    "deleted": "Deleted",
}  # fmt: skip


def index(request: Request) -> Response:
    found = _heads(request).paginate(PER_PAGE)
    batches = [row.batch_uuid for row in found["data"] if row.batch_uuid]
    # Of a batch all rows, also those that a filter would leave out: it is one entry.
    rows = list(Activity.where_in("batch_uuid", batches).get()) if batches else []
    rows += [row for row in found["data"] if not row.batch_uuid]
    listing = trail(sorted(rows, key=lambda row: row.id, reverse=True))
    return page("Audit trail", card(_fields(), listing, pager(found)))


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


def _heads(request: Request) -> Any:
    """A row for each entry that fits what is asked for, the latest first."""
    query = Activity.order_by_desc("id")
    for column in ("subject_type", "event", "log_name"):
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
    return _first_of_each_batch(_between(query, request))


def _between(query: Any, request: Request) -> Any:
    """From the beginning of one day to the end of another, on the reader's clock."""
    zone = local()
    for name, sign, days in (("from", ">=", 0), ("to", "<", 1)):
        moment = zone.midnight(request.string(name), days)
        if moment is not None:
            query = query.where("created_at", sign, moment)
    return query


def _first_of_each_batch(query: Any) -> Any:
    latest = query.clone().reorder().where_not_null("batch_uuid").group_by("batch_uuid")
    latest = latest.select(DB.raw("max(id)"))
    return query.where(lambda q: q.where_null("batch_uuid").or_where_in("id", latest))
