"""The first page: what waits, and what happened."""

from __future__ import annotations

from app.models import Invoice, Order, Product
from app.pages import card, link, page, table
from so import Activity, Gate, Response, h


def dashboard() -> Response:
    figures = (
        ("Open orders", Order.where("status", "open").count(), "/orders?status=open"),
        ("Invoices to decide", Invoice.where("status", "submitted").count(), "/invoices"),
        ("Products low in stock", Product.low().count(), "/products"),
    )
    boxes = [
        h("div", h("div", number, class_="figure"), link(text, url), class_="card")
        for text, number, url in figures
    ]
    parts = [h("div", boxes, class_="grid"), h("p")]
    if Gate.allows("see-audit"):
        rows = [
            (row.created_at.strftime("%Y-%m-%d %H:%M"), row.causer_label, row.description,
             row.subject_label)
            for row in Activity.order_by_desc("id").limit(10).get()
        ]  # fmt: skip
        parts.append(card(table(["When (UTC)", "Who", "What", "On"], rows), title="Lately"))
    return page("Overview", *parts)
