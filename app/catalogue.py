"""The catalogue as pages and the API show it: cached, and thrown away when a product changes."""

from __future__ import annotations

from typing import Any

from app.models import Product
from so import cache

KEY, SECONDS = "catalogue", 3600
SHOWN = ("id", "sku", "name", "category", "price", "stock", "reorder_level")


def catalogue() -> list[dict[str, Any]]:
    """All active products, ordered by category and name; computed once an hour at most."""
    return cache().remember(KEY, SECONDS, _read)


def _read() -> list[dict[str, Any]]:
    return _shown(Product.active())


def not_for_sale() -> list[dict[str, Any]]:
    """The others, read anew: few ever ask for them."""
    return _shown(Product.where("is_active", False))


def _shown(query: Any) -> list[dict[str, Any]]:
    products = query.order_by("category").order_by("name").get()
    return [product.only(*SHOWN) for product in products]


def forget_catalogue() -> None:
    """Read the catalogue anew the next time; registered for every change of a product."""
    cache().forget(KEY)
