"""The catalogue."""

from __future__ import annotations

from app.catalogue import catalogue
from app.models import Product
from app.pages import card, facts, link, money, page, table, tag
from so import Activity, Gate, Markup, Request, Response, h, redirect
from so.web.forms import form

RULES = {
    "name": "required|string|max:191",
    "category": "required|string|max:191",
    "price": "required|decimal:0,2|min:0|max:9999999",
    "stock": "required|integer|min:0|max:1000000000",
    "reorder_level": "required|integer|min:0|max:1000000000",
}

NAMES = {"sku": "SKU", "reorder_level": '"order again at"'}
NEW_RULES = {"sku": "required|string|max:64|unique:products,sku", **RULES}


def index(request: Request) -> Response:
    wanted = request.string("q").strip().lower()
    found = [p for p in catalogue() if wanted in f"{p['name']} {p['sku']} {p['category']}".lower()]
    rows = [
        (p["sku"], link(p["name"], f"/products/{p['id']}"), p["category"], money(p["price"]),
         p["stock"])
        for p in found[:200]
    ]  # fmt: skip
    search = h(
        "form",
        h("input", type="search", name="q", value=wanted or None, placeholder="Search"),
        h("button", "Search", class_="plain"),
        class_="row",
    )
    new = link("New product", "/products/create") if Gate.allows("manage-products") else None
    table_ = table(["SKU", "Product", "Category", "Price", "Stock"], rows, numbers=(3, 4))
    return page("Products", card(search, new), card(table_))


def show(product: Product) -> Response:
    state = tag("low" if product.stock <= product.reorder_level else "in stock")
    known = {
        "SKU": product.sku, "Category": product.category, "Price": money(product.price),
        "Stock": [str(product.stock), " ", state], "Order again at": product.reorder_level,
        "For sale": "yes" if product.is_active else "no",
    }  # fmt: skip
    edit_ = link("Edit", f"/products/{product.id}/edit") if Gate.allows("manage-products") else None
    trail = [
        (
            row.created_at.strftime("%Y-%m-%d %H:%M"),
            row.causer_label,
            row.description,
            _changes(row),
        )
        for row in product.activities().limit(10).get()
    ]
    history = table(["When (UTC)", "Who", "What", "Changes"], trail)
    return page(product.name, card(facts(known), h("p", edit_)), card(history, title="History"))


def _changes(row: Activity) -> str:
    if row.event == "created":
        return ""
    return ", ".join(f"{name}: {old} → {new}" for name, (old, new) in row.changes().items())


def create() -> Response:
    blank = Product(stock=0, reorder_level=10)
    return page("New product", card(_form("/products", blank, "POST", NEW_RULES)))


def store(request: Request) -> Response:
    given = request.validate(NEW_RULES, attributes=NAMES)
    product = Product.create(given)
    return redirect(f"/products/{product.id}").with_("note", "The product was created.")


def edit(product: Product) -> Response:
    return page(
        f"Edit {product.name}", card(_form(f"/products/{product.id}", product, "PUT", RULES))
    )


def update(request: Request, product: Product) -> Response:
    given = request.validate({**RULES, "lock_version": "nullable|integer"}, attributes=NAMES)
    seen = given.pop("lock_version", None)
    if seen is not None and int(seen) != product.lock_version:
        # Their stock would come back with what was typed into the old form.
        text = "Somebody else has changed this product meanwhile. Here is what it is now."
        return redirect(f"/products/{product.id}/edit").with_("problem", text)
    product.update({**given, "is_active": request.boolean("is_active")})
    return redirect(f"/products/{product.id}").with_("note", "The product was saved.")


def _form(url: str, product: Product, method: str, rules: dict[str, str]) -> Markup:
    f = form(url, method, rules, product)
    is_new = method == "POST"
    return f(
        f.text("sku", "SKU") if is_new else None,
        f.text("name", "Name"),
        f.text("category", "Category"),
        f.money("price", "Price"),
        f.number("stock", "Stock"),
        f.number("reorder_level", "Order again at"),
        None if is_new else f.checkbox("is_active", "For sale"),
        None if is_new else f.hidden("lock_version"),
    )
