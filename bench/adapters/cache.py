"""The cache's half: the database store in an SQLite file of its own, as an application has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from so.config import Config
from so.db import schema
from so.db.manager import Database
from so.systems.cache import Cache, DatabaseStore

ROOT = Path(__file__).resolve().parents[2]


def cache(folder: str) -> dict[str, Callable[..., Any]]:
    """get, set, add, incr, get_many and stop as bench/adapter_contract.md describes them."""
    as_shipped = Config(ROOT / "config").get("database.connections.cache")
    db = Database({"default": {**as_shipped, "database": str(Path(folder) / "cache.sqlite")}})
    schema.install(db.connection())
    store = Cache(DatabaseStore(db))
    return {
        "get": store.get,
        "set": store.put,
        "add": store.add,
        "incr": store.increment,
        "get_many": store.many,
        "stop": db.close,
    }
