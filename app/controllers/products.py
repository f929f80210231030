"""The catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from app.catalogue import catalogue, not_for_sale
from app.models import Product
from app.pages import (
    Column,
    Filter,
    Listing,
    card,
    facts,
    link,
    money,
    number,
    of_rows,
    page,
    tag,
)
from app.pages.lists import Asked
from app.pages.trail import trail
from so import Gate, Markup, Request, Response, local, redirect, validate
from so.web.forms import form

RULES = {
    "name": "required|string|max:191",
    "category": "required|string|max:191",
    "price": "bail|required|numeric|decimal:0,2|min:0|max:9999999",
    "stock": "required|integer|min:0|max:1000000000",
    "reorder_level": "required|integer|min:0|max:1000000000",
}

NAMES = {"sku": "SKU", "reorder_level": '"order again at"'}
EXAMPLE = Decimal("1234.50")
STOCK = {"": "For sale", "low": "Low in stock", "off": "Not for sale"}
LIST = Listing(
    "/products",
    (
        Column("SKU", lambda p: p["sku"], "sku"),
        Column("Product", lambda p: link(p["name"], f"/products/{p['id']}"), "name"),
        Column("Category", lambda p: p["category"], "category"),
        Column("Price", lambda p: money(p["price"]), "price", number=True),
        Column("Stock", lambda p: number(p["stock"]), "stock", number=True),
    ),
    order="name",
    search="SKU, name or category",
    filters=(Filter("stock", "Show", STOCK),),
    per_page=100,
)
NEW_RULES = {"sku": "required|string|max:64|unique:products,sku", **RULES}


def index() -> Response:
    new = link("New product", "/products/create", "button")
    return page(
        "Products", LIST.draw(_find), actions=[new if Gate.allows("manage-products") else None]
    )


def _find(asked: Asked) -> Mapping[str, Any]:
    """A page of the catalogue, which is in the cache; what is not for sale is not in it."""
    state = asked.chosen.get("stock")
    rows = catalogue() if state != "off" else not_for_sale()
    if state == "low":
        rows = [p for p in rows if p["stock"] <= p["reorder_level"]]
    text = asked.text.lower()
    found = [p for p in rows if text in f"{p['name']} {p['sku']} {p['category']}".lower()]
    return of_rows(found, asked)


def show(product: Product) -> Response:
    state = tag("low" if product.stock <= product.reorder_level else "in stock")
    known = {
        "SKU": product.sku, "Category": product.category, "Price": money(product.price),
        "Stock": [number(product.stock), " ", state],
        "Order again at": number(product.reorder_level),
        "For sale": "yes" if product.is_active else "no",
    }  # fmt: skip
    edit_ = link("Edit", f"/products/{product.id}/edit", "button")
    rows = product.activities().limit(20).get()
    return page(
        product.name,
        card(facts(known)),
        card(trail(rows, subject=product), title="What happened"),
        actions=[edit_ if Gate.allows("manage-products") else None],
        within=("Products", "/products"),
    )


def create() -> Response:
    blank = Product(stock=0, reorder_level=10)
    return page(
        "New product",
        card(_form("/products", blank, "POST", NEW_RULES)),
        within=("Products", "/products"),
    )


def store(request: Request) -> Response:
    given = validate(_typed(request), NEW_RULES, attributes=NAMES)
    product = Product.create(given)
    return redirect(f"/products/{product.id}").with_("note", "The product was created.")


def edit(product: Product) -> Response:
    return page(
        f"Edit {product.name}",
        card(_form(f"/products/{product.id}", product, "PUT", RULES)),
        within=("Products", "/products"),
    )


def update(request: Request, product: Product) -> Response:
    rules = {**RULES, "lock_version": "nullable|integer"}
    given = validate(_typed(request), rules, attributes=NAMES)
    seen = given.pop("lock_version", None)
    if seen is not None and int(seen) != product.lock_version:
        # Their stock would come back with what was typed into the old form.
        text = "Somebody else has changed this product meanwhile. Here is what it is now."
        return redirect(f"/products/{product.id}/edit").with_("problem", text)
    product.update({**given, "is_active": request.boolean("is_active")})
    return redirect(f"/products/{product.id}").with_("note", "The product was saved.")


def _typed(request: Request) -> dict[str, Any]:
    """What was sent, the price as programs write it: 12,50 of a Swede, and 12.50, are 12.50.

    A refused form shows what was typed, so the request itself stays as it is.
    """
    given, price = request.all(), request.input("price")
    return {**given, "price": local().plain(price)} if isinstance(price, str) else given


def _form(url: str, product: Product, method: str, rules: dict[str, str]) -> Markup:
    f = form(url, method, rules, product)
    is_new = method == "POST"
    return f(
        f.text("sku", "SKU") if is_new else None,
        f.text("name", "Name"),
        f.text("category", "Category"),
        f.money("price", "Price", hint=["Such as ", money(EXAMPLE), "."]),
        f.number("stock", "Stock"),
        f.number("reorder_level", "Order again at"),
        None if is_new else f.checkbox("is_active", "For sale"),
        None if is_new else f.hidden("lock_version"),
    )
