"""The customers."""

from __future__ import annotations

from app.models import Customer
from app.pages import card, facts, link, money, page, pager, table, tag
from so import Request, Response, h


def index(request: Request) -> Response:
    query = Customer.order_by("name").order_by("id")
    wanted = request.string("q").strip()
    if wanted:
        query = query.where_like("name", f"%{wanted}%", escape=True)
    found = query.paginate(25)
    rows = [(c.number, link(c.name, f"/customers/{c.id}"), c.city, c.email) for c in found["data"]]
    search = h(
        "form",
        h("input", type="search", name="q", value=wanted or None, placeholder="Search"),
        h("button", "Search", class_="plain"),
        class_="row",
    )
    listing = table(["Number", "Customer", "City", "E-mail"], rows)
    return page("Customers", card(search), card(listing, pager(found)))


def show(customer: Customer) -> Response:
    known = {"Number": customer.number, "City": customer.city, "E-mail": customer.email}
    orders = customer.related("orders").order_by_desc("ordered_on").limit(25).get()
    rows = [
        (link(o.number, f"/orders/{o.id}"), o.ordered_on, tag(o.status), money(o.total))
        for o in orders
    ]
    listing = table(["Order", "Date", "Status", "Total"], rows, numbers=(3,))
    return page(customer.name, card(facts(known)), card(listing, title="Latest orders"))
