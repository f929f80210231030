"""The query builder's half of the benchmark: from chained calls to (SQL, bindings)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from so.db import builder as new_query

Statement = tuple[str, Sequence[Any]]


class Keep:
    """A recorder that keeps the last statement."""

    statement: Statement = ("", ())

    def run(self, kind: str, sql: str, bindings: Sequence[Any]) -> None:
        """Keep it."""
        self.statement = (sql, bindings)


def builder() -> dict[str, Callable[..., Statement]]:
    """select6, find, insert6 and update3 as bench/adapter_contract.md describes them."""
    kept = Keep()

    def select6(status: str, total: float, ids: list[int]) -> Statement:
        (
            new_query("sqlite", "orders", recorder=kept)
            .select("orders.id", "orders.number", "orders.total", "customers.name")
            .join("customers", "customers.id", "=", "orders.customer_id")
            .where("orders.status", status)
            .where("orders.total", ">", total)
            .where_in("orders.branch_id", ids)
            .where_null("customers.deleted_at")
            .order_by("orders.created_at", "desc")
            .limit(50)
            .offset(0)
            .get()
        )
        return kept.statement

    def find(key: int) -> Statement:
        new_query("sqlite", "orders", recorder=kept).where("id", key).limit(1).get()
        return kept.statement

    def insert6(row: dict[str, Any]) -> Statement:
        new_query("sqlite", "orders", recorder=kept).insert(row)
        return kept.statement

    def update3(key: int, change: dict[str, Any]) -> Statement:
        new_query("sqlite", "orders", recorder=kept).where("id", key).update(change)
        return kept.statement

    return {"select6": select6, "find": find, "insert6": insert6, "update3": update3}
