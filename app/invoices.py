"""The approval of invoices: draft → submitted → approved or rejected.

Whoever decides must not be the owner. Every step is in the audit trail, and the owner is told.
"""

from __future__ import annotations

from datetime import timedelta

from app.models import Invoice, Order, User
from app.notifications import InvoiceDecided, InvoiceSubmitted
from so import DB, HttpException, activity, activity_batch, app, notify

DAYS_TO_PAY = 30


def invoice_for(order: Order, owner: User) -> Invoice:
    """The invoice of *order*, made if there is none yet."""
    with DB.transaction():
        # An import may be adding lines to it.
        fresh = Order.lock_for_update().find_or_fail(order.id)
        return Invoice.first_or_create(
            {"order_id": fresh.id},
            {
                "number": f"I-{fresh.number}",
                "customer_id": fresh.customer_id,
                "owner_id": owner.id,
                "status": "draft",
                "amount": fresh.total,
                "due_on": app("clock").now().date() + timedelta(days=DAYS_TO_PAY),
            },
        )


def submit(invoice: Invoice, user: User) -> None:
    """Ask for approval; the managers are told."""
    with activity_batch(), DB.transaction():
        _move(invoice, "draft", "submitted")
        activity().performed_on(invoice).caused_by(user).event("submitted").log(
            "Invoice :subject.number submitted for approval"
        )
        notify(User.where("role", "manager").get(), InvoiceSubmitted(invoice))


def approve(invoice: Invoice, user: User, note: str | None = None) -> None:
    """Let the invoice be paid."""
    _decide(invoice, user, "approved", "Invoice approved for payment", note)


def reject(invoice: Invoice, user: User, reason: str) -> None:
    """Send the invoice back to its owner, who reads the *reason*."""
    _decide(invoice, user, "rejected", "Invoice rejected", reason)


def _decide(invoice: Invoice, user: User, status: str, text: str, note: str | None) -> None:
    if user.id == invoice.owner_id:
        raise HttpException("Nobody decides on an invoice of their own.", 403)
    with activity_batch(), DB.transaction():
        _move(invoice, "submitted", status, decided_by=user.id, note=note)
        activity().performed_on(invoice).caused_by(user).event(status).with_properties(
            {"amount": invoice.amount, "status": status, "note": note}
        ).log(text)
        invoice.owner.notify(InvoiceDecided(invoice))


def _move(invoice: Invoice, before: str, after: str, **changes: object) -> None:
    """Change the status, but only from *before*: two people may press the button at once."""
    fresh = Invoice.lock_for_update().find(invoice.id)
    if fresh.status != before:
        raise HttpException(f"This invoice is {fresh.status}, not {before}.", 409)
    if "decided_by" in changes:
        changes["decided_at"] = app("clock").now()
    fresh.force_fill({"status": after, **changes}).save()
    invoice.refresh()
