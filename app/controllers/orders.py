"""Orders: taking, showing, shipping, billing."""

from __future__ import annotations

from typing import Any

from app.catalogue import catalogue
from app.invoices import invoice_for
from app.models import Customer, Order
from app.orders import place_order
from app.orders import ship as ship_order
from app.pages import button, card, facts, link, money, page, pager, table, tag
from so import Gate, Request, Response, auth, h, redirect, validate
from so.web.forms import form

LINES = 5  # lines of the form
RULES = {
    "customer_id": "required|integer|exists:customers,id",
    "items": "required|array|max:100",
    "items.*.product_id": "required|integer",
    "items.*.quantity": "required|integer|min:1|max:1000000",
}

MESSAGES = {"items.required": "Fill at least one line."}
NAMES = {"customer_id": "customer", "items.*.product_id": "product", "items.*.quantity": "quantity"}


def index(request: Request) -> Response:
    query = Order.with_("customer").order_by_desc("id")
    status = request.string("status")
    if status:
        query = query.where("status", status)
    found = query.paginate(25)
    rows = [
        (link(o.number, f"/orders/{o.id}"), o.ordered_on, o.customer.name, tag(o.status),
         money(o.total))
        for o in found["data"]
    ]  # fmt: skip
    new = link("New order", "/orders/create") if Gate.allows("take-orders") else None
    listing = table(["Order", "Date", "Customer", "Status", "Total"], rows, numbers=(4,))
    return page("Orders", card(new) if new else None, card(listing, pager(found)))


def show(order: Order) -> Response:
    order.load("customer", "lines.product", "invoice")
    known = {
        "Customer": link(order.customer.name, f"/customers/{order.customer_id}"),
        "Date": order.ordered_on, "Status": tag(order.status), "Total": money(order.total),
    }  # fmt: skip
    rows = [
        (line.line_no, line.product.name, line.quantity, money(line.unit_price),
         money(line.line_total))
        for line in order.lines
    ]  # fmt: skip
    steps = []
    if order.status == "open" and Gate.allows("ship-orders"):
        steps.append(button("Ship", f"/orders/{order.id}/ship"))
    if order.invoice is not None:
        steps.append(link(f"Invoice {order.invoice.number}", f"/invoices/{order.invoice.id}"))
    elif Gate.allows("submit-invoices"):
        steps.append(button("Make the invoice", f"/orders/{order.id}/invoice"))
    lines = table(["", "Product", "Quantity", "Price", "Sum"], rows, numbers=(2, 3, 4))
    return page(
        f"Order {order.number}", card(facts(known)), card(lines), h("div", steps, class_="row")
    )


def create() -> Response:
    customers = Customer.order_by("name").limit(500).get()
    products = [("", "–"), *((p["id"], f"{p['name']} ({p['stock']})") for p in catalogue())]
    choices = [(c.id, f"{c.name} ({c.number})") for c in customers]
    f = form("/orders", rules=RULES)
    lines = f.rows(
        "items",
        lambda row: [
            row.select("product_id", "Product", products),
            row.number("quantity", "Quantity"),
        ],
        count=LINES,
    )
    customer = f.select("customer_id", "Customer", choices)
    return page("New order", card(f(customer, lines, send="Place order")))


def store(request: Request) -> Response:
    items = _filled_lines(request.input("items"))
    given = validate({**request.all(), "items": items}, RULES, MESSAGES, NAMES)
    customer = Customer.find_or_fail(given["customer_id"])
    order = place_order(customer, given["items"], auth().user())
    return redirect(f"/orders/{order.id}").with_("note", "The order was placed.")


def _filled_lines(rows: Any) -> Any:
    """The lines in which somebody wrote something, under their keys in the form, which has more
    than most orders; what is no list is for the rules to refuse.
    """
    if not isinstance(rows, (dict, list)):
        return rows
    pairs = rows.items() if isinstance(rows, dict) else enumerate(rows)
    return {str(key): row for key, row in pairs if isinstance(row, dict) and any(row.values())}


def ship(order: Order) -> Response:
    ship_order(order, auth().user())
    return redirect(f"/orders/{order.id}").with_("note", "The order was shipped.")


def invoice(order: Order) -> Response:
    made = invoice_for(order, auth().user())
    return redirect(f"/invoices/{made.id}")
