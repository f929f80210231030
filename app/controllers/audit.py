"""The audit trail."""

from __future__ import annotations

from app.pages import card, page, pager, table
from so import Activity, Request, Response, h


def index(request: Request) -> Response:
    query = Activity.order_by_desc("id")
    for column in ("subject_type", "event", "log_name"):
        if request.filled(column):
            query = query.where(column, request.string(column))
    found = query.paginate(50)
    rows = [
        (row.created_at.strftime("%Y-%m-%d %H:%M:%S"), row.causer_label,
         f"{row.subject_type or ''} {row.subject_label or row.subject_id or ''}", row.description,
         _changes(row))
        for row in found["data"]
    ]  # fmt: skip
    listing = table(["When (UTC)", "Who", "On", "What", "Changes"], rows)
    return page("Audit trail", card(listing, pager(found)))


def _changes(row: Activity):
    if row.event == "created":
        return ""
    lines = [f"{name}: {before} → {after}" for name, (before, after) in row.changes().items()]
    return [h("div", line) for line in lines[:8]]
