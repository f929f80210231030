"""Taking orders: checks the stock, takes it, and writes order and lines in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from app.models import LARGEST_AMOUNT, ZERO, Customer, Order, OrderLine, Product, User
from app.notifications import OrderShipped, StockIsLow
from so import (
    DB,
    HttpException,
    ValidationException,
    activity,
    activity_batch,
    app,
    notify,
)
from so.support import ids

Items = Iterable[Mapping[str, Any]] | Mapping[Any, Mapping[str, Any]]


@dataclass
class Wanted:
    """How many of a product, and by which items."""

    quantity: int = 0
    items: list[Any] = field(default_factory=list)


def place_order(customer: Customer, items: Items, user: User | None = None) -> Order:
    """A new order of *items*, each `{"product_id": …, "quantity": …}`, at today's prices.

    Raises ValidationException, and changes nothing, if an item does not exist or is out of stock;
    it names the item by its key in *items*, which may be a dict.
    """
    lines = _lines(items)
    with activity_batch():  # one thing happened, whatever it changed
        return DB.transaction(lambda: _place(customer, lines, user), attempts=3)


def _place(customer: Customer, lines: Mapping[int, Wanted], user: User | None) -> Order:
    products = _locked(lines)
    wanted = {key: line.quantity for key, line in lines.items()}
    if sum(products[key].price * quantity for key, quantity in wanted.items()) > LARGEST_AMOUNT:
        raise ValidationException({"items": "The order is too large."})
    order = Order.create(
        number=ids.uuid(), customer_id=customer.id, user_id=user.id if user else None,
        ordered_on=_today(), status="open",
    )  # fmt: skip
    total = ZERO
    for line_no, (product_id, quantity) in enumerate(wanted.items(), 1):
        product = products[product_id]
        line_total = product.price * quantity
        OrderLine.create(
            order_id=order.id, line_no=line_no, product_id=product_id, quantity=quantity,
            unit_price=product.price, line_total=line_total,
        )  # fmt: skip
        product.update(stock=product.stock - quantity)
        total += line_total
    # The key is known only now, and it makes the number unique without a counter to wait for.
    order.update(number=f"O-{order.ordered_on.year}-{order.id:06d}", total=total)
    activity().performed_on(order).event("placed").log(f"Order placed for {customer.name}")
    _warn_about_low_stock(products.values())
    return order


def ship(order: Order, user: User) -> None:
    """Send an open order out; whoever took it is told."""
    with activity_batch(), DB.transaction():
        fresh = Order.lock_for_update().find_or_fail(order.id)
        if fresh.status != "open":
            raise HttpException(f"This order is {fresh.status}, not open.", 409)
        fresh.update(status="shipped")
        activity().performed_on(fresh).caused_by(user).event("shipped").log("Order shipped")
        if fresh.user_id is not None:
            User.find(fresh.user_id).notify(OrderShipped(fresh))
    order.refresh()


def _lines(items: Items) -> dict[int, Wanted]:
    """What is wanted of each product, and the keys of the items that say so."""
    found: dict[int, Wanted] = {}
    for key, item in items.items() if isinstance(items, Mapping) else enumerate(items):
        line = found.setdefault(int(item["product_id"]), Wanted())
        line.quantity += int(item["quantity"])
        line.items.append(key)
    return found


def _locked(lines: Mapping[int, Wanted]) -> dict[int, Product]:
    """The products, locked in the order of their keys so that two orders never wait in a circle."""
    rows = Product.where_in("id", sorted(lines)).order_by("id").lock_for_update().get()
    products = {product.id: product for product in rows}
    errors = {}
    for key, line in lines.items():
        product = products.get(key)
        for item in line.items:
            if product is None or not product.is_active:
                errors[f"items.{item}.product_id"] = "This product is not for sale."
            elif product.stock < line.quantity:
                told = f"Only {product.stock} of {product.name} are left."
                errors[f"items.{item}.quantity"] = told
    if errors:
        raise ValidationException(errors)
    return products


def _today() -> date:
    return app("clock").now().date()


def _warn_about_low_stock(products: Iterable[Product]) -> None:
    low = [product for product in products if product.stock <= product.reorder_level]
    if low:
        keepers = User.where("role", "warehouse").get()
        for product in low:
            notify(keepers, StockIsLow(product))
