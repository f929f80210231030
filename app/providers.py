"""What the ERP allows to whom, and what happens when a product changes."""

from __future__ import annotations

from app.catalogue import forget_catalogue
from app.models import Product, User
from so import DB, ServiceProvider

ABILITIES = {
    "manage-products": ("admin", "manager", "warehouse"),
    "take-orders": ("admin", "manager", "clerk"),
    "ship-orders": ("admin", "manager", "warehouse"),
    "submit-invoices": ("admin", "manager", "clerk"),
    "decide-invoices": ("admin", "manager"),
    "import-orders": ("admin", "manager", "clerk"),
    "make-reports": ("admin", "manager"),
    "see-audit": ("admin", "manager"),
    "console.view": ("admin", "manager"),
    "console.operate": ("admin",),
}


class AppProvider(ServiceProvider):
    """Abilities by role, and the catalogue's invalidation."""

    def boot(self) -> None:
        gate = self.app.make("gate")
        for ability, roles in ABILITIES.items():
            gate.define(ability, _one_of(roles))
        for event in (Product.saved, Product.deleted):
            event(_forget_after_commit)


def _one_of(roles: tuple[str, ...]):
    def check(user: User) -> bool:
        return user.role in roles

    return check


def _forget_after_commit(product: Product) -> None:
    """Not before: a reader in between would cache what is about to be rolled back or replaced."""
    DB.after_commit(forget_catalogue)
