"""Invoices and their approval."""

from __future__ import annotations

from app import invoices as rules
from app.models import Invoice, User
from app.pages import card, facts, link, money, page, pager, table, tag
from so import Gate, Request, Response, auth, h, redirect
from so.web.forms import form

NOTE = {"note": "nullable|string|max:500"}


def index(request: Request) -> Response:
    query = Invoice.with_("customer").order_by_desc("id")
    status = request.string("status")
    if status:
        query = query.where("status", status)
    found = query.paginate(25)
    rows = [
        (link(i.number, f"/invoices/{i.id}"), i.customer.name, i.due_on, tag(i.status),
         money(i.amount))
        for i in found["data"]
    ]  # fmt: skip
    listing = table(["Invoice", "Customer", "Due", "Status", "Amount"], rows, numbers=(4,))
    return page("Invoices", card(listing, pager(found)))


def show(invoice: Invoice) -> Response:
    invoice.load("order", "customer", "owner")
    decider = User.find(invoice.decided_by) if invoice.decided_by else None
    known = {
        "Customer": invoice.customer.name,
        "Order": link(invoice.order.number, f"/orders/{invoice.order_id}"),
        "Amount": money(invoice.amount), "Due": invoice.due_on, "Owner": invoice.owner.name,
        "Status": tag(invoice.status), "Decided by": decider.name if decider else "",
        "Note": invoice.note or "",
    }  # fmt: skip
    trail = [
        (row.created_at.strftime("%Y-%m-%d %H:%M"), row.causer_label, row.description)
        for row in invoice.activities().limit(20).get()
    ]
    return page(
        f"Invoice {invoice.number}",
        card(facts(known)),
        _steps(invoice),
        card(table(["When (UTC)", "Who", "What"], trail), title="Trail"),
    )


def _steps(invoice: Invoice):
    here = f"/invoices/{invoice.id}"
    if invoice.status == "draft" and Gate.allows("submit-invoices"):
        return card(form(f"{here}/submit")(send="Submit for approval"))
    mine = invoice.owner_id == auth().id()
    if invoice.status == "submitted" and Gate.allows("decide-invoices") and not mine:
        yes, no = (form(f"{here}/{word}", rules=NOTE) for word in ("approve", "reject"))
        return card(
            h(
                "div",
                yes(yes.text("note", "Note"), send="Approve"),
                no(no.text("note", "Reason"), send="Reject"),
                class_="row",
            )
        )
    return None


def submit(invoice: Invoice) -> Response:
    rules.submit(invoice, auth().user())
    return _back(invoice, "The invoice was submitted.")


def approve(request: Request, invoice: Invoice) -> Response:
    rules.approve(invoice, auth().user(), note_of(request))
    return _back(invoice, "The invoice was approved.")


def reject(request: Request, invoice: Invoice) -> Response:
    rules.reject(invoice, auth().user(), note_of(request))
    return _back(invoice, "The invoice was rejected.")


def note_of(request: Request) -> str | None:
    """What whoever decides has to say about it."""
    return request.validate(NOTE).get("note") or None


def _back(invoice: Invoice, text: str) -> Response:
    return redirect(f"/invoices/{invoice.id}").with_("note", text)
