"""How records of the demo are made, for tests and for its seeders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.models import Customer, Product, User
from so import Factory


class UserFactory(Factory):
    """Clerks who cannot log in: give a `password`, hashed, to those who shall."""

    model = User

    def definition(self) -> dict[str, Any]:
        return {
            "name": f"Clerk {self.number}", "email": f"clerk{self.number}@demo.example",
            "password": "", "role": "clerk",
        }  # fmt: skip


class ProductFactory(Factory):
    """Things in stock at a low price."""

    model = Product

    def definition(self) -> dict[str, Any]:
        return {
            "sku": f"F-{self.number:06d}", "name": f"Product {self.number}", "category": "Tools",
            "price": Decimal("9.90"), "stock": 100, "reorder_level": 20, "is_active": True,
        }  # fmt: skip


class CustomerFactory(Factory):
    """Customers with a number and an address."""

    model = Customer

    def definition(self) -> dict[str, Any]:
        return {
            "number": f"F-{self.number:06d}", "name": f"Customer {self.number}", "city": "Lyon",
            "email": f"customer{self.number}@demo.example",
        }  # fmt: skip
