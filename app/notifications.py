"""What people are told, and where: all of it in the inbox."""

from __future__ import annotations

from typing import Any

from so import Notification, local


class InvoiceSubmitted(Notification):
    """A manager has something to decide."""

    category = "approvals"

    def __init__(self, invoice: Any) -> None:
        self.invoice = invoice
        self.subject = invoice

    def via(self, notifiable: Any = None) -> list[str]:
        return ["database"]

    def to_database(self, notifiable: Any) -> dict[str, Any]:
        return {
            "title": "Invoice to approve",
            "message": f"{self.invoice.number} over {_amount(self, notifiable)} waits for you",
            "url": f"/invoices/{self.invoice.id}",
        }


class InvoiceDecided(InvoiceSubmitted):
    """The owner learns what became of an invoice."""

    def to_database(self, notifiable: Any) -> dict[str, Any]:
        return {
            "title": f"Invoice {self.invoice.status}",
            "message": (
                f"{self.invoice.number} ({_amount(self, notifiable)}) was {self.invoice.status}"
            ),
            "url": f"/invoices/{self.invoice.id}",
        }


class OrderShipped(Notification):
    """A clerk learns that an order has left the house."""

    type_alias = "erp_order_shipped"
    category = "orders"

    def __init__(self, order: Any) -> None:
        self.order = order
        self.subject = order

    def via(self, notifiable: Any = None) -> list[str]:
        return ["database"]

    def to_database(self, notifiable: Any) -> dict[str, Any]:
        return {
            "title": "Order Shipped",
            "message": f"Your order {self.order.number} has been shipped",
            "url": f"/orders/{self.order.id}",
        }


class StockIsLow(Notification):
    """The warehouse has to order again."""

    category = "stock"

    def __init__(self, product: Any) -> None:
        self.product = product
        self.subject = product

    def via(self, notifiable: Any = None) -> list[str]:
        return ["database"]

    def to_database(self, notifiable: Any) -> dict[str, Any]:
        return {
            "title": "Stock is low",
            "message": f"{self.product.stock} of {self.product.name} are left",
            "url": f"/products/{self.product.id}",
        }


class WorkFinished(Notification):
    """Whoever started an import or a report learns that it is done."""

    category = "jobs"

    def __init__(self, title: str, message: str, url: str) -> None:
        self.title, self.message, self.url = title, message, url

    def via(self, notifiable: Any = None) -> list[str]:
        return ["database"]

    def to_database(self, notifiable: Any) -> dict[str, Any]:
        return {"title": self.title, "message": self.message, "url": self.url}


def _amount(told: InvoiceSubmitted, notifiable: Any) -> str:
    """As whoever is told writes it."""
    return local(notifiable).money(told.invoice.amount)
