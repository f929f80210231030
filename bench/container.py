"""Resolving a graph of 17 objects, one object, and a singleton: makes a second of CPU time.

python bench/container.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from so.container import Container

ROUNDS, SECONDS = 5, 0.2


class Settings:
    pass


class Clock:
    pass


class Connection:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Mailer:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class OrderRepository:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class ItemRepository:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class Pricing:
    def __init__(self, items: ItemRepository, clock: Clock) -> None:
        self.items, self.clock = items, clock


class Orders:
    def __init__(self, orders: OrderRepository, pricing: Pricing, mailer: Mailer) -> None:
        self.orders, self.pricing, self.mailer = orders, pricing, mailer


class Controller:
    def __init__(self, orders: Orders, pricing: Pricing) -> None:
        self.orders, self.pricing = orders, pricing


def by_hand() -> Controller:
    def pricing() -> Pricing:
        return Pricing(ItemRepository(Connection(Settings())), Clock())

    orders = Orders(OrderRepository(Connection(Settings())), pricing(), Mailer(Settings()))
    return Controller(orders, pricing())


def rate(fn: Callable[[], Any]) -> float:
    """Calls a second of CPU time, the best of some rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        calls, start = 0, time.process_time()
        while time.process_time() - start < SECONDS:
            for _ in range(500):
                fn()
            calls += 500
        best = max(best, calls / (time.process_time() - start))
    return best


def main() -> None:
    transient = Container()
    shared = Container()
    shared.singleton(Connection)
    hand = rate(by_hand)
    print(f"17 objects by hand       {hand:12,.0f}/s")
    for name, fn in (
        ("17 objects", lambda: transient.make(Controller)),
        ("one object", lambda: transient.make(Settings)),
        ("a singleton", lambda: shared.make(Connection)),
    ):
        found = rate(fn)
        share = f"   {found / hand:.2f} of by hand" if name == "17 objects" else ""
        print(f"{name:<24} {found:12,.0f}/s{share}")


if __name__ == "__main__":
    main()
