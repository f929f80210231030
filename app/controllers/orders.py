"""Orders: taking, showing, shipping, billing."""

from __future__ import annotations

from app.catalogue import catalogue
from app.invoices import invoice_for
from app.models import Customer, Order
from app.orders import place_order
from app.orders import ship as ship_order
from app.pages import button, card, facts, field, form, link, money, page, pager, select, table, tag
from so import Gate, Request, Response, auth, h, redirect

LINES = 5  # lines of the form
RULES = {
    "customer_id": "required|integer|exists:customers,id",
    "items": "required|array|max:100",
    "items.*.product_id": "required|integer",
    "items.*.quantity": "required|integer|min:1|max:1000000",
}


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


def create(request: Request) -> Response:
    customers = Customer.order_by("name").limit(500).get()
    products = [("", "–"), *((p["id"], f"{p['name']} ({p['stock']})") for p in catalogue())]
    lines = [
        h(
            "div",
            select(f"items[{at}][product_id]", "Product", products),
            field(f"items[{at}][quantity]", "Quantity", kind="number", min=1),
            class_="row",
        )
        for at in range(LINES)
    ]
    choices = [(c.id, f"{c.name} ({c.number})") for c in customers]
    return page(
        "New order",
        card(
            form("/orders", select("customer_id", "Customer", choices), lines, send="Place order")
        ),
    )


def store(request: Request) -> Response:
    _leave_out_empty_lines(request)
    given = request.validate(RULES)
    customer = Customer.find_or_fail(given["customer_id"])
    order = place_order(customer, given["items"], auth().user())
    return redirect(f"/orders/{order.id}").with_("note", "The order was placed.")


def _leave_out_empty_lines(request: Request) -> None:
    """The form has more lines than most orders; what is no list is for the rules to refuse."""
    rows = request.input("items")
    rows = list(rows.values()) if isinstance(rows, dict) else rows
    if isinstance(rows, list):
        filled = [row for row in rows if isinstance(row, dict) and row.get("product_id")]
        request.merge({"items": filled})


def ship(order: Order) -> Response:
    ship_order(order, auth().user())
    return redirect(f"/orders/{order.id}").with_("note", "The order was shipped.")


def invoice(order: Order) -> Response:
    made = invoice_for(order, auth().user())
    return redirect(f"/invoices/{made.id}")
