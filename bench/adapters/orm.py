"""The model room for the side-by-side benchmark: hydrate, find, save, insert."""

from __future__ import annotations

from typing import Any

from so.db.manager import Database
from so.db.model import Model
from so.support.current import provide


class Order(Model):
    """A wide row without timestamps."""

    timestamps = False


def orm(path: str) -> dict[str, Any]:
    """The calls that the benchmark times, on the SQLite file *path*."""
    db = Database({"default": {"driver": "sqlite", "database": path, "synchronous": "normal"}})
    provide("db", lambda: db)

    def insert_tx(rows: list[dict[str, Any]]) -> None:
        with db.transaction():
            for row in rows:
                Order.create(row)

    def bulk(rows: list[dict[str, Any]]) -> None:
        with db.transaction():
            Order.insert(rows)

    def update(objects: list[Order], tick: int) -> None:
        with db.transaction():
            for order in objects:
                order.quantity = 1000 + tick
                order.save()

    return {
        "hydrate": Order.all,
        "find": Order.find,
        "insert_tx": insert_tx,
        "bulk": bulk,
        "load": lambda count: Order.limit(count).get(),
        "update": update,
        "stop": db.close,
    }
