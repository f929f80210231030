"""What the ERP keeps: users, products, customers, orders with lines, invoices, imports, reports."""

from __future__ import annotations

from decimal import Decimal

from so import (
    HasApiTokens,
    HasRoles,
    LogsActivity,
    Model,
    MustVerifyEmail,
    Notifiable,
    TwoFactor,
    relation,
)

ROLES = ("admin", "manager", "clerk", "warehouse")


class User(HasApiTokens, HasRoles, TwoFactor, MustVerifyEmail, Notifiable, LogsActivity, Model):
    """Somebody who logs in. The role decides what they may do (app/providers.py)."""

    type_alias = "user"
    fillable = ["name", "email", "password", "role", "is_active", "locale", "timezone"]
    attributes = {"locale": None, "timezone": None}
    hidden = ["password"]
    casts = {"is_active": bool}

    def can_sign_in(self) -> bool:
        """Asked at every request: who was deactivated is out at once, sessions and tokens too."""
        return self.is_active

    def set_email_attribute(self, value: str) -> str:
        """Addresses are stored in lower case, so that they are unique on both engines."""
        return value.strip().lower()

    def preferred_locale(self) -> str | None:
        """How this user reads numbers and dates; None as the application does."""
        return self.locale

    def preferred_timezone(self) -> str | None:
        """By which clock; None for the application's."""
        return self.timezone


class Product(LogsActivity, Model):
    """Something that is sold; `stock` pieces of it are there."""

    type_alias = "product"
    lock_version = True
    fillable = ["sku", "name", "category", "price", "stock", "reorder_level", "is_active"]
    casts = {"price": "decimal:2", "stock": int, "reorder_level": int, "is_active": bool}

    def scope_active(self, query):
        return query.where("is_active", True)

    def scope_low(self, query):
        """Those that have to be ordered again."""
        return query.where_column("stock", "<=", "reorder_level")


class Customer(LogsActivity, Model):
    """Somebody who buys."""

    type_alias = "customer"
    fillable = ["number", "name", "email", "city"]

    @relation
    def orders(self):
        return self.has_many(Order)


class Order(LogsActivity, Model):
    """What a customer ordered; `total` is the sum of its lines."""

    type_alias = "order"
    fillable = ["number", "customer_id", "user_id", "status", "ordered_on", "total"]
    casts = {"ordered_on": "date", "total": "decimal:2"}

    @relation
    def customer(self):
        return self.belongs_to(Customer)

    @relation
    def lines(self):
        return self.has_many(OrderLine).order_by("line_no")

    @relation
    def invoice(self):
        return self.has_one(Invoice)


class OrderLine(Model):
    """One product of an order, at the price of its day."""

    timestamps = False
    fillable = ["order_id", "line_no", "product_id", "quantity", "unit_price", "line_total"]
    casts = {"quantity": int, "unit_price": "decimal:2", "line_total": "decimal:2"}

    @relation
    def product(self):
        return self.belongs_to(Product)


class Invoice(LogsActivity, Model):
    """The bill of one order, on its way from draft to approved (app/invoices.py)."""

    type_alias = "invoice"
    lock_version = True
    fillable = ["number", "order_id", "customer_id", "owner_id", "status", "amount", "due_on"]
    attributes = {"status": "draft", "decided_by": None, "decided_at": None, "note": None}
    casts = {"amount": "decimal:2", "due_on": "date", "decided_at": "datetime"}

    @relation
    def order(self):
        return self.belongs_to(Order)

    @relation
    def customer(self):
        return self.belongs_to(Customer)

    @relation
    def owner(self):
        return self.belongs_to(User, "owner_id")


class OrderImport(Model):
    """One run of a CSV file; `done_lines` is how far it got."""

    type_alias = "order_import"
    fillable = ["user_id", "file_name", "path", "status", "total_lines"]
    hidden = ["path"]  # where files lie on the server is nobody's business
    attributes = {
        "status": "waiting", "total_lines": 0, "done_lines": 0, "imported": 0, "repeated": 0,
        "rejected": 0, "problem": None,
    }  # fmt: skip
    casts = {
        "total_lines": int, "done_lines": int, "imported": int, "repeated": int, "rejected": int,
        "finished_at": "datetime",
    }  # fmt: skip

    @relation
    def errors(self):
        return self.has_many(OrderImportError, "import_id").order_by("line_no")

    @property
    def percent(self) -> int:
        """How much of the file is done, 0 to 100."""
        return 100 * self.done_lines // self.total_lines if self.total_lines else 0


class OrderImportError(Model):
    """A line that could not be imported, and why."""

    timestamps = False
    fillable = ["import_id", "line_no", "reason", "content"]


class Report(Model):
    """The figures of one month."""

    type_alias = "report"
    fillable = ["user_id", "month", "status", "orders", "revenue", "path"]
    hidden = ["path"]
    attributes = {"status": "waiting", "orders": 0, "revenue": "0.00", "path": None}
    casts = {"orders": int, "revenue": "decimal:2"}


ZERO = Decimal("0.00")
LARGEST_AMOUNT = Decimal("999999999999.99")  # what the amount columns hold on MySQL
