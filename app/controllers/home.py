"""The first page: for guests what there is to try, for users what waits and what happened."""

from __future__ import annotations

from app.models import Invoice, Order, Product, User
from app.pages import card, figure, link, page
from app.pages.trail import latest
from app.seed import DEMO_PASSWORD, USERS
from so import Gate, Response, app, auth, h, redirect
from so.web.forms import form

LATELY = 10  # entries of the trail
TRY = {
    "clerk": (
        "Take an order, and type a quantity that is not there.",
        "Make its invoice and submit it for approval.",
        "Import the example file twice: nothing is doubled.",
    ),
    "manager": (
        "Approve or reject what the clerk submitted.",
        "Read who changed what in the audit trail.",
        "Make the report of a month; a worker writes it.",
    ),
    "warehouse": (
        "Ship what is open; whoever took the order is told.",
        "Fill up what is low in stock.",
        "Edit one product in two windows at once.",
    ),
    "admin": (
        "See queues, failed jobs and sessions in the operations console.",
        "Try a failed job again, and read why it failed.",
        "Look at the last day of the whole system.",
    ),
}  # fmt: skip


def index() -> Response:
    if auth().guest():
        return landing() if app().environment() != "production" else redirect("/login")
    return dashboard()


def landing() -> Response:
    """What each login is good for, and a button to be it."""
    cards = [
        _person(user)
        for user in USERS
        if User.where("email", user[1]).where("is_active", True).exists()
    ]
    lead = (
        "A small ERP on the SixOrbit framework: orders, invoices with approval, imports, reports "
        "and an audit trail. It begins with a year of made-up work behind it."
    )
    note = h(
        "p", "Every login has the password ", h("code", DEMO_PASSWORD), ". How it is all made: ",
        link("the guides", "/docs"), ".", class_="soft",
    )  # fmt: skip
    return page(
        "Try it as one of four people",
        h("p", lead, class_="lead"),
        h("div", cards, class_="grid people"),
        note,
    )


def _person(user: tuple[str, str, str, str | None, str | None]) -> object:
    name, email, role, *_ = user
    f = form("/login")
    first = name.partition(" ")[0]
    enter = f(
        f.hidden("email", email), f.hidden("password", DEMO_PASSWORD), send=f"Log in as {first}"
    )
    tips = h("ul", [h("li", text) for text in TRY[role]])
    return card(h("h2", name), h("p", role, h("br"), email, class_="soft small"), tips, enter)


def dashboard() -> Response:
    """Each figure leads to the list that it counts."""
    figures = [
        figure("Open orders", Order.where("status", "open").count(), "/orders?status=open"),
        figure(
            "Invoices to decide",
            Invoice.where("status", "submitted").count(),
            "/invoices?status=submitted",
        ),
        figure(
            "Invoices to submit", Invoice.where("status", "draft").count(), "/invoices?status=draft"
        ),
        figure("Products low in stock", Product.active().low().count(), "/products?stock=low"),
    ]
    parts = [h("div", figures, class_="grid")]
    if Gate.allows("see-audit"):
        whole = h("p", link("The whole audit trail", "/audit"))
        parts.append(card(latest(LATELY), whole, title="Lately"))
    new = link("New order", "/orders/create", "button") if Gate.allows("take-orders") else None
    return page("Overview", *parts, actions=[new])
