"""Invoices and their approval."""

from __future__ import annotations

from app import invoices as rules
from app.models import Customer, Invoice, User
from app.pages import (
    Column,
    Filter,
    Listing,
    card,
    day,
    facts,
    like,
    link,
    moment,
    money,
    of_query,
    page,
    tag,
)
from app.pages.trail import trail
from so import Gate, Markup, Request, Response, auth, h, redirect
from so.web.forms import form

NOTE = {"note": "nullable|string|max:500"}
REASON = {"note": "required|string|max:500"}
WHY = {"note.required": "Say why, so that its owner knows what to mend."}
STATES = ("draft", "submitted", "approved", "rejected")
LIST = Listing(
    "/invoices",
    (
        Column("Invoice", lambda i: link(i.number, f"/invoices/{i.id}"), "id"),
        Column("Customer", lambda i: i.customer.name),
        Column("Due", lambda i: day(i.due_on), "due_on"),
        Column("Status", lambda i: tag(i.status), "status"),
        Column("Amount", lambda i: money(i.amount), "amount", number=True),
    ),
    order="-id",
    search="number or customer",
    filters=(Filter("status", "Status", {"": "All", **{s: s.capitalize() for s in STATES}}),),
)


def index() -> Response:
    return page("Invoices", LIST.draw(of_query(Invoice.with_("customer"), by_number_or_customer)))


def by_number_or_customer(query, text: str):
    """Documents whose number, or whose customer's name or number, has *text* in it."""
    customers = like("name", "number")(Customer.query(), text).select("id")
    return query.where(
        lambda q: q.where_like("number", f"%{text}%", escape=True).or_where_in(
            "customer_id", customers
        )
    )


def show(invoice: Invoice) -> Response:
    invoice.load("order", "customer", "owner")
    decider = User.find(invoice.decided_by) if invoice.decided_by else None
    note = "Reason" if invoice.status == "rejected" else "Note"
    known = {
        "Status": tag(invoice.status),
        "Customer": link(invoice.customer.name, f"/customers/{invoice.customer_id}"),
        "Order": link(invoice.order.number, f"/orders/{invoice.order_id}"),
        "Amount": money(invoice.amount), "Due": day(invoice.due_on), "Owner": invoice.owner.name,
        "Decided by": decider.name if decider else "nobody yet",
        "Decided": moment(invoice.decided_at), note: invoice.note,
    }  # fmt: skip
    rows = invoice.activities().limit(40).get()
    return page(
        f"Invoice {invoice.number}",
        card(facts(known)),
        _steps(invoice),
        card(trail(rows, subject=invoice), title="What happened"),
        within=("Invoices", "/invoices"),
    )


def _steps(invoice: Invoice) -> Markup | None:
    if invoice.status == "draft" and Gate.allows("submit-invoices"):
        return card(form(f"/invoices/{invoice.id}/submit")(send="Submit for approval"))
    if invoice.status != "submitted" or not Gate.allows("decide-invoices"):
        return None
    if invoice.owner_id == auth().id():
        return card(h("p", "It is your own invoice: somebody else has to decide.", class_="soft"))
    return _decision(invoice)


def _decision(invoice: Invoice) -> Markup:
    """Two forms that nobody takes for each other: a note may be given, a reason must."""
    yes = form(f"/invoices/{invoice.id}/approve", rules=NOTE)
    no = form(f"/invoices/{invoice.id}/reject", rules=REASON)
    approve_ = card(
        yes(yes.textarea("note", "Note, if you like", rows=2), send="Approve"),
        title="Approve for payment",
    )
    reject_ = card(
        no(
            no.textarea("note", "Reason", rows=2, hint="The owner reads it in the inbox."),
            send=h("p", h("button", "Reject", class_="danger")),
        ),
        title="Send back to its owner",
    )
    return h("div", approve_, reject_, class_="grid pair")


def submit(invoice: Invoice) -> Response:
    rules.submit(invoice, auth().user())
    return _back(invoice, "The invoice was submitted.")


def approve(request: Request, invoice: Invoice) -> Response:
    rules.approve(invoice, auth().user(), note_of(request))
    return _back(invoice, "The invoice was approved.")


def reject(request: Request, invoice: Invoice) -> Response:
    rules.reject(invoice, auth().user(), reason_of(request))
    return _back(invoice, "The invoice was rejected.")


def note_of(request: Request) -> str | None:
    """What whoever decides has to say about it."""
    return request.validate(NOTE).get("note") or None


def reason_of(request: Request) -> str:
    """Why an invoice is sent back: whoever does it has to say."""
    return request.validate(REASON, WHY)["note"]


def _back(invoice: Invoice, text: str) -> Response:
    return redirect(f"/invoices/{invoice.id}").with_("note", text)
