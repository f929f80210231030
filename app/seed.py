"""Believable data for the demo, the same on every machine: `seed()` and `write_orders()`."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TextIO

from app.importing import COLUMNS
from app.models import Customer, Order, OrderLine, Product, User
from so import DB, Hash, app, without_activity
from so.support.progress import heard, steps

DEMO_PASSWORD = "demo-password"  # noqa: S105  # printed by `make run`; the demo's own
USERS = (  # name, address, role, how they read numbers, and by which clock
    ("Ada Moreau", "admin@demo.example", "admin", None, None),
    ("Marta Lindqvist", "manager@demo.example", "manager", "sv-SE", "Europe/Stockholm"),
    ("Ben Okafor", "clerk@demo.example", "clerk", "en-GB", "Europe/London"),
    ("Wen Zhao", "warehouse@demo.example", "warehouse", "de-DE", "Europe/Berlin"),
)
CATEGORIES: dict[str, tuple[str, ...]] = {
    "Fasteners": ("Hex bolt M8×40", "Wood screw 4×50", "Lock nut M8", "Washer 8.4", "Anchor 10×80"),
    "Tools": ("Claw hammer", "Torque wrench", "Spirit level 60 cm", "Bench vice", "Cordless drill"),
    "Electrical": ("Cable NYM 3×1.5", "Junction box", "Circuit breaker B16", "LED panel 40 W"),
    "Plumbing": ("Ball valve ½\"", "Copper pipe 15 mm", "Siphon DN40", "Pipe clamp 15 mm"),
    "Safety": ("Safety glasses", "Work gloves size 9", "Ear defenders", "First-aid kit"),
    "Adhesives": ("Wood glue 1 kg", "Silicone clear", "Mounting adhesive", "Epoxy 2×50 ml"),
}  # fmt: skip
SIZES = ("box of 10", "box of 50", "box of 100", "single")
CITIES = ("Lyon", "Gdańsk", "Porto", "Malmö", "Ghent", "Graz", "Turin", "Leeds", "Nantes", "Brno")
FIRST = (
    "Alder", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Grove", "Harbor", "Iris", "Juniper",
    "Kestrel", "Linden", "Maple", "North", "Oakfield", "Pinewood", "Quarry", "Rowan", "Summit",
    "Tamarack", "Union", "Valley", "Willow", "Yarrow", "Zenith", "Anchor", "Beacon", "Copper",
    "Eastgate", "Granite", "Highland", "Lakeside", "Meridian", "Orchard",
)  # fmt: skip
SECOND = (
    "Building",
    "Works",
    "Supply",
    "Joinery",
    "Electric",
    "Trading",
    "Facilities",
    "Studios",
    "Roofing",
    "Interiors",
    "Plumbing",
    "Carpentry",
    "Hardware",
    "Projects",
    "Gardens",
    "Metals",
)
FIRST_DAY = date(2025, 10, 1)
DAYS = 120


def seed(orders: int = 150, seed: int = 1) -> None:
    """Fill empty tables: users, products, customers and *orders* orders with lines."""
    chance = random.Random(seed)  # noqa: S311  # believable, not secret
    with without_activity(), DB.transaction():
        with heard(None):
            seed_masters(chance)
        products, customers = (list(m.order_by("id").get()) for m in (Product, Customer))
        clerk = User.first_where("role", "clerk")
        step = steps(lambda: orders)
        for number in range(1, orders + 1):
            _order(chance, number, chance.choice(customers), clerk, products)
            step(1)


def seed_masters(chance: random.Random) -> None:
    """Users, the catalogue and the customers, by the factories of database/factories."""
    password = Hash.make(DEMO_PASSWORD)
    for name, email, role, locale, zone in USERS:
        who = {"name": name, "email": email, "role": role, "locale": locale, "timezone": zone}
        User.factory().create(**who, password=password)
    for model, rows in ((Product, list(_products(chance))), (Customer, list(_customers(chance)))):
        model.insert(list(model.factory(len(rows)).sequence(*rows).raw()))


def _products(chance: random.Random) -> Iterator[dict[str, Any]]:
    number = 0
    for category, names in CATEGORIES.items():
        for name in names:
            for size in SIZES:
                number += 1
                yield {
                    "sku": f"SKU-{number:04d}", "name": f"{name}, {size}", "category": category,
                    "price": Decimal(chance.randrange(150, 25_000)) / 100,
                    "stock": chance.randrange(30, 180), **_stamps(),
                }  # fmt: skip


def _customers(chance: random.Random) -> Iterator[dict[str, Any]]:
    for number, (first, second) in enumerate(((f, s) for f in FIRST for s in SECOND), 1):
        yield {
            "number": f"C-{number:05d}", "name": f"{first} {second}",
            "city": chance.choice(CITIES),
            "email": f"office@{first.lower()}-{second.lower()}.example", **_stamps(),
        }  # fmt: skip


def _stamps() -> dict[str, Any]:
    now = app("clock").now()
    return {"created_at": now, "updated_at": now}


def _order(
    chance: random.Random, number: int, customer: Customer, clerk: User, products: list[Product]
) -> None:
    day = FIRST_DAY + timedelta(days=chance.randrange(DAYS))
    order = Order.create(
        number=f"O-{day.year}-S{number:05d}", customer_id=customer.id, user_id=clerk.id,
        ordered_on=day, status=chance.choice(["open", "shipped", "shipped"]),
    )  # fmt: skip
    rows = []
    for line_no, product in enumerate(chance.sample(products, chance.randrange(1, 6)), 1):
        quantity = chance.randrange(1, 20)
        rows.append(
            {
                "order_id": order.id, "line_no": line_no, "product_id": product.id,
                "quantity": quantity, "unit_price": product.price,
                "line_total": product.price * quantity,
            }
        )  # fmt: skip
    OrderLine.insert(rows)
    order.update(total=sum(row["line_total"] for row in rows))


def write_orders(
    file: TextIO, lines: int, seed: int = 1, bad_every: int = 0, since: date = FIRST_DAY
) -> None:
    """A CSV of *lines* order lines for the import; every *bad_every*-th is wrong (0: none).

    The days are those from *since* on.
    """
    chance = random.Random(seed)  # noqa: S311  # believable, not secret
    skus = len(SIZES) * sum(map(len, CATEGORIES.values()))
    customers = [f"{first} {second}" for first in FIRST for second in SECOND]
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    order, left, line_no = 0, 0, 0
    head: list[Any] = []
    for at in range(1, lines + 1):
        if not left:
            order, left, line_no = order + 1, chance.randrange(1, 6), 0
            customer = chance.randrange(len(customers))
            day = since + timedelta(days=chance.randrange(DAYS))
            head = [f"X{seed}-{order:07d}", day, f"C-{customer + 1:05d}", customers[customer]]
        line_no, left = line_no + 1, left - 1
        sku = f"SKU-{chance.randrange(1, skus + 1):04d}"
        quantity = str(chance.randrange(1, 50))
        price = f"{chance.randrange(150, 25_000) / 100:.2f}"
        if bad_every and at % bad_every == 0:
            sku, quantity = chance.choice([("SKU-9999", quantity), (sku, "many")])
        writer.writerow([head[0], line_no, *head[1:], sku, quantity, price])
