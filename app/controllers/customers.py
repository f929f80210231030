"""The customers."""

from __future__ import annotations

from app.models import Customer
from app.pages import (
    Column,
    Listing,
    card,
    day,
    facts,
    like,
    link,
    money,
    of_query,
    page,
    table,
    tag,
)
from so import Gate, Response

LATEST = 25  # orders on the page of a customer; the list of orders has all
LIST = Listing(
    "/customers",
    (
        Column("Number", lambda c: c.number, "number"),
        Column("Customer", lambda c: link(c.name, f"/customers/{c.id}"), "name"),
        Column("City", lambda c: c.city, "city"),
        Column("E-mail", lambda c: c.email),
    ),
    order="name",
    search="number, name, city or e-mail",
)


def index() -> Response:
    return page(
        "Customers", LIST.draw(of_query(Customer.query(), like("number", "name", "city", "email")))
    )


def show(customer: Customer) -> Response:
    known = {"Number": customer.number, "City": customer.city, "E-mail": customer.email}
    orders = customer.related("orders").order_by_desc("ordered_on").order_by_desc("id")
    rows = [
        (link(o.number, f"/orders/{o.id}"), day(o.ordered_on), tag(o.status), money(o.total))
        for o in orders.limit(LATEST).get()
    ]
    listing = table(["Order", "Date", "Status", "Total"], rows, numbers=(3,))
    rest = customer.related("orders").count() - len(rows)
    more = link(f"All {rest + len(rows)} orders", f"/orders?q={customer.number}") if rest else None
    new = link("New order", f"/orders/create?customer_id={customer.id}", "button")
    return page(
        customer.name,
        card(facts(known)),
        card(listing, more, title="Latest orders"),
        actions=[new if Gate.allows("take-orders") else None],
        within=("Customers", "/customers"),
    )
