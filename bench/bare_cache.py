"""What a cache in SQLite can do at most, beside what ours does: microseconds of CPU a call.

The bare loops have no codec but pickle, no index for what has expired, no look at whether the file
is still the same, and commit each write to the WAL as ours does. Run it with a Python that has
diskcache to see that one too.
"""

from __future__ import annotations

import itertools
import pickle
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

ROUNDS, CALLS, TTL = 9, 1500, 3600
KEYS = [f"report:{number}" for number in range(2000)]
MANY = KEYS[50:150]

Calls = dict[str, Callable[..., Any]]


def bare(folder: str) -> Calls:
    base = sqlite3.connect(f"{folder}/bare.sqlite", isolation_level=None)
    base.executescript(
        "pragma journal_mode = wal; pragma synchronous = normal; create table cache"
        " (key text primary key, value blob, expires real) without rowid"
    )
    run, now, dumps, loads = base.execute, time.time, pickle.dumps, pickle.loads
    upsert = "insert into cache values (?, ?, ?) on conflict (key) do update set"
    listed = f"select key, value from cache where key in ({', '.join('?' * len(MANY))})"

    def get(key: str) -> Any:
        sql = "select value from cache where key = ? and expires > ?"
        return loads(run(sql, (key, now())).fetchone()[0])

    def put(key: str, value: Any, ttl: float) -> None:
        stored = value if type(value) is int else dumps(value)
        run(
            f"{upsert} value = excluded.value, expires = excluded.expires",
            (key, stored, now() + ttl),
        )

    def count(key: str) -> int:
        sql = "update cache set value = value + 1 where key = ? and expires > ? returning value"
        return int(run(sql, (key, now())).fetchone()[0])

    def many(keys: list[str]) -> Any:
        return {
            key: loads(value) for key, value in run(f"{listed} and expires > ?", (*keys, now()))
        }

    return {"get": get, "set": put, "incr": count, "get_many": many}


def diskcache_s(folder: str) -> Calls:
    import diskcache  # type: ignore[import-not-found]

    cache = diskcache.Cache(folder)
    return {
        "get": cache.get,
        "set": lambda key, value, ttl: cache.set(key, value, expire=ttl),
        "incr": cache.incr,
        "get_many": lambda keys: {key: cache.get(key) for key in keys},
    }


def ours(folder: str) -> Calls:
    from adapters.cache import cache

    return cache(folder)


def measured(calls: Calls) -> dict[str, Callable[[], Any]]:
    tick, value = itertools.count(), {"id": 7, "name": "Report", "tags": ["month"], "total": 1.5}
    for key in KEYS:
        calls["set"](key, value, TTL)
    calls["set"]("counter", 0, TTL)
    return {
        "get": lambda: calls["get"](KEYS[next(tick) % len(KEYS)]),
        "set": lambda: calls["set"](KEYS[next(tick) % len(KEYS)], value, TTL),
        "incr": lambda: calls["incr"]("counter"),
        "get_many": lambda: calls["get_many"](MANY),
    }


def main() -> None:
    peers = {"bare": bare, "ours": ours}
    try:
        import diskcache  # noqa: F401

        peers["diskcache"] = diskcache_s
    except ImportError:
        print("diskcache is not installed here")
    with tempfile.TemporaryDirectory() as folder:
        made = {name: measured(make(tempfile.mkdtemp(dir=folder))) for name, make in peers.items()}
        took: dict[tuple[str, str], list[float]] = {}
        for _, (name, calls) in itertools.product(range(ROUNDS), made.items()):
            for what, call in calls.items():
                count = CALLS // 20 if what == "get_many" else CALLS
                begun = time.process_time()
                for _ in range(count):
                    call()
                each = (time.process_time() - begun) / count * 1e6
                took.setdefault((what, name), []).append(each)
    for what in ("get", "set", "incr", "get_many"):
        figures = (f"{n} {statistics.median(took[what, n]):.1f} µs" for n in peers)
        print(f"{what}: {', '.join(figures)}")


if __name__ == "__main__":
    main()
