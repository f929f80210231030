"""Taking orders: checks the stock, takes it, and writes order and lines in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from app.models import LARGEST_AMOUNT, ZERO, Customer, Order, OrderLine, Product, User
from app.notifications import OrderShipped, StockIsLow
from so import DB, HttpException, ValidationException, app, notify
from so.support import ids


def place_order(
    customer: Customer, items: Iterable[Mapping[str, Any]], user: User | None = None
) -> Order:
    """A new order of *items*, each `{"product_id": …, "quantity": …}`, at today's prices.

    Raises ValidationException, and changes nothing, if an item does not exist or is out of stock.
    """
    wanted = _merged(items)
    return DB.transaction(lambda: _place(customer, wanted, user), attempts=3)


def _place(customer: Customer, wanted: Mapping[int, int], user: User | None) -> Order:
    products = _locked(wanted)
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
    _warn_about_low_stock(products.values())
    return order


def ship(order: Order, user: User) -> None:
    """Send an open order out; whoever took it is told."""
    with DB.transaction():
        fresh = Order.lock_for_update().find_or_fail(order.id)
        if fresh.status != "open":
            raise HttpException(f"This order is {fresh.status}, not open.", 409)
        fresh.update(status="shipped")
        if fresh.user_id is not None:
            User.find(fresh.user_id).notify(OrderShipped(fresh))
    order.refresh()


def _merged(items: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    wanted: dict[int, int] = {}
    for item in items:
        key = int(item["product_id"])
        wanted[key] = wanted.get(key, 0) + int(item["quantity"])
    return wanted


def _locked(wanted: Mapping[int, int]) -> dict[int, Product]:
    """The products, locked in the order of their keys so that two orders never wait in a circle."""
    rows = Product.where_in("id", sorted(wanted)).order_by("id").lock_for_update().get()
    products = {product.id: product for product in rows}
    errors = {}
    for index, (key, quantity) in enumerate(wanted.items()):
        product = products.get(key)
        if product is None or not product.is_active:
            errors[f"items.{index}.product_id"] = "This product is not for sale."
        elif product.stock < quantity:
            errors[f"items.{index}.quantity"] = f"Only {product.stock} of {product.name} are left."
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
