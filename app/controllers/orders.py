"""Orders: taking, showing, shipping, billing."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from app.catalogue import catalogue
from app.controllers.invoices import by_number_or_customer
from app.invoices import invoice_for
from app.models import Customer, Order
from app.orders import place_order
from app.orders import ship as ship_order
from app.pages import (
    Column,
    Filter,
    Listing,
    button,
    card,
    day,
    facts,
    like,
    link,
    money,
    number,
    of_query,
    page,
    table,
    tag,
)
from app.pages.trail import trail
from so import (
    Gate,
    Markup,
    Request,
    Response,
    ValidationException,
    auth,
    cache,
    h,
    old,
    redirect,
    validate,
)
from so.support import ids
from so.web.forms import Form, form

LINES = 5  # lines of the form
PLACED = "The order was placed."
KNOWN_SECONDS = 86_400  # for so long a form is known to have been sent
SAME_SECONDS = 600  # within which the same order is asked about
WAIT_SECONDS = 30  # of a form for the same one, sent a moment before
MOST_CHOICES = 2000  # customers in the list to choose from; others are found by searching
STATES = ("open", "shipped", "imported", "cancelled")
LIST = Listing(
    "/orders",
    (
        Column("Order", lambda o: link(o.number, f"/orders/{o.id}"), "id"),
        Column("Date", lambda o: day(o.ordered_on), "ordered_on"),
        Column("Customer", lambda o: o.customer.name),
        Column("Status", lambda o: tag(o.status), "status"),
        Column("Total", lambda o: money(o.total), "total", number=True),
    ),
    order="-ordered_on",
    search="number or customer",
    filters=(Filter("status", "Status", {"": "All", **{s: s.capitalize() for s in STATES}}),),
)
RULES = {
    "customer_id": "required|integer|exists:customers,id",
    "items": "required|array|max:100",
    "items.*.product_id": "required|integer",
    "items.*.quantity": "required|integer|min:1|max:1000000",
}

MESSAGES = {
    "items.required": "Fill at least one line.",
    "customer_id.required": "Say who orders.",
}
NAMES = {"customer_id": "customer", "items.*.product_id": "product", "items.*.quantity": "quantity"}


def index() -> Response:
    new = link("New order", "/orders/create", "button") if Gate.allows("take-orders") else None
    listing = LIST.draw(of_query(Order.with_("customer"), by_number_or_customer))
    return page("Orders", listing, actions=[new])


def show(order: Order) -> Response:
    order.load("customer", "lines.product", "invoice")
    known = {
        "Status": tag(order.status),
        "Customer": link(order.customer.name, f"/customers/{order.customer_id}"),
        "Date": day(order.ordered_on),
    }  # fmt: skip
    if order.invoice is not None:
        known["Invoice"] = link(order.invoice.number, f"/invoices/{order.invoice.id}")
    rows = [
        (line.line_no, link(line.product.name, f"/products/{line.product_id}"),
         number(line.quantity), money(line.unit_price), money(line.line_total))
        for line in order.lines
    ]  # fmt: skip
    lines = table(
        ["Line", "Product", "Quantity", "Price", "Sum"], rows, numbers=(2, 3, 4),
        foot=["", "Total", "", "", money(order.total)],
    )  # fmt: skip
    return page(
        f"Order {order.number}",
        card(facts(known)),
        card(lines),
        card(trail(order.activities().limit(40).get(), subject=order), title="What happened"),
        actions=_steps(order),
        within=("Orders", "/orders"),
    )


def _steps(order: Order) -> list[Markup]:
    steps = []
    if order.status == "open" and Gate.allows("ship-orders"):
        steps.append(button("Ship", f"/orders/{order.id}/ship", tone=""))
    if order.invoice is None and Gate.allows("submit-invoices"):
        steps.append(button("Make the invoice", f"/orders/{order.id}/invoice"))
    return steps


def create(request: Request) -> Response:
    """One form: searching for the customer sends it as it stands, and it comes back as it was."""
    searched = _searched(request)
    found, said = _customers(request, searched)
    customers = [("", "Choose a customer"), *found]  # nobody is chosen by not looking
    products = [("", "–"), *((p["id"], f"{p['name']} ({p['stock']})") for p in catalogue())]
    chosen = {"customer_id": request.string("customer_id"), "customer": searched}
    chosen["sending"] = ids.uuid()
    f = form("/orders", rules=RULES, values=chosen)
    goes_on = bool(searched) and not f.errors  # the keyboard, after a search
    lines = f.rows(
        "items",
        lambda row: [
            row.select("product_id", "Product (pieces in stock)", products),
            row.number("quantity", "Quantity"),
        ],
        count=LINES,
    )
    customer = f.select("customer_id", "Customer", customers, hint=said, autofocus=goes_on)
    again = f.checkbox("again", "Place it once more") if "again" in f.errors else None
    parts = (_by_enter(f, searched), f.hidden("sending"), _finder(f), customer, lines, again)
    return page("New order", card(f(*parts, send="Place order")), within=("Orders", "/orders"))


def _by_enter(f: Form, searched: str) -> list[Markup]:
    """The button that the enter key presses, the first of the form, and for what was searched."""
    button = h(
        "button", "Send", name="by", value="enter", class_="unseen", formnovalidate=True,
        tabindex="-1", aria_hidden="true",
    )  # fmt: skip
    return [button, f.hidden("searched", searched)]


def _finder(f: Form) -> Markup:
    """Narrows the customers to choose from, where the first letters are not enough."""
    search = f.text(
        "customer", "Find a customer by number, name or city", kind="search", maxlength=100
    )
    find = h("button", "Find", name="by", value="find", class_="plain", formnovalidate=True)
    return h(
        "div", h("div", search, class_="wide"), h("div", find), class_="filters", role="search"
    )


def _searched(request: Request) -> str:
    typed = old("customer", request.string("customer"))
    return _name(typed) if isinstance(typed, str) else ""


def _name(typed: str) -> str:
    return typed.strip()[:100]


def _is_search(request: Request) -> bool:
    """True if *Find* was pressed, or enter after another name was typed than the list is of."""
    by = request.string("by")
    is_new = _name(request.string("customer")) != request.string("searched")
    return by == "find" or (by == "enter" and is_new)


def _customers(request: Request, text: str) -> tuple[list[tuple[int, str]], str | None]:
    """Whom to choose from, and what to say of those who are left out: none, unless there are many.

    Whoever was chosen already is always among them.
    """
    query = Customer.order_by("name").order_by("id")
    if text:
        query = like("number", "name", "city")(query, text)
    total, found = query.count(), list(query.limit(MOST_CHOICES).get())
    kept = old("customer_id") or request.string("customer_id")
    if str(kept).isdecimal() and len(str(kept)) < 19:
        here = {customer.id for customer in found}
        found += [one for one in Customer.where("id", int(kept)).get() if one.id not in here]
    said = f"{number(total)} fit “{text}”." if text else None
    if total > MOST_CHOICES:
        said = f"The first {number(MOST_CHOICES)} of {number(total)}: find the others by searching."
    return [(c.id, f"{c.name} ({c.number})") for c in found], said


def store(request: Request) -> Response:
    if _is_search(request):
        return redirect("/orders/create").with_input()
    items = _filled_lines(request.input("items"))
    given = validate({**request.all(), "items": items}, RULES, MESSAGES, NAMES)
    customer = Customer.find_or_fail(given["customer_id"])

    def place() -> Order:
        return place_order(customer, given["items"], auth().user())

    if not request.string("sending"):  # no form of ours
        return _to(place().id, PLACED)
    what = json.dumps([auth().id(), given["customer_id"], list(items.values())], sort_keys=True)
    return _once(request, f"order-same:{sha256(what.encode()).hexdigest()}", place)


def _once(request: Request, same: str, place: Callable[[], Order]) -> Response:
    """To the order that *place* makes, unless it was made already.

    Pressed twice, a form leads to its one order. Sent again after going back it is a new form
    with the *same* words in it: then whoever sends it is asked.
    """
    sent = f"order-sent:{auth().id()}:{request.string('sending')[:36]}"

    def first() -> Response:
        if made := cache().get(sent):
            return _to(made, "This form was sent before; this is its order.")
        if (made := cache().get(same)) and not request.boolean("again"):
            number = Order.find_or_fail(made).number
            raise ValidationException({"again": f"You placed the same order just now: {number}."})
        order = place().id
        cache().put(sent, order, KNOWN_SECONDS)
        cache().put(same, order, SAME_SECONDS)
        return _to(order, PLACED)

    return cache().lock(f"{same}:lock", WAIT_SECONDS).block(WAIT_SECONDS, first)


def _to(order: int, note: str) -> Response:
    return redirect(f"/orders/{order}").with_("note", note)


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
