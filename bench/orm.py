"""Our half of the model benchmark, without the peers: `python bench/orm.py`.

The five measures of the side-by-side run (see bench/adapters/orm.py) on a scratch SQLite file in
WAL mode, in operations a second of CPU time: the best and the median of so many rounds.
"""

from __future__ import annotations

import gc
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench" / "adapters")]

import orm as adapter  # noqa: E402  found by the line above

ROWS, SINGLY, UPDATED, FOUND, ROUNDS = 10_000, 1_000, 500, 2_000, 9
TABLE = """
pragma journal_mode = wal;
create table orders (id integer primary key autoincrement, number text not null,
    customer_id integer not null, quantity integer not null, total real not null,
    status text not null, note text, created_at text not null);
"""


def rows(count: int) -> list[dict[str, Any]]:
    """So many orders as dicts."""
    return [
        {
            "number": f"SO-{n:06}",
            "customer_id": n % 97,
            "quantity": n % 13,
            "total": n * 1.25,
            "status": "open" if n % 3 else "done",
            "note": None if n % 5 else "call first",
            "created_at": f"2026-03-{n % 28 + 1:02} 10:00:00",
        }
        for n in range(count)
    ]


def rates(work: Callable[[], object], count: int, before: Callable[[], object]) -> list[float]:
    """Operations a second of CPU time, round by round."""
    found = []
    for _ in range(ROUNDS):
        before()
        gc.collect()
        started = time.process_time()
        work()
        found.append(count / (time.process_time() - started))
    return found


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "orm.sqlite")
        raw = sqlite3.connect(path, isolation_level=None)
        raw.executescript(TABLE)
        calls = adapter.orm(path)
        state: dict[str, Any] = {"tick": 0}

        def empty() -> None:
            raw.execute("delete from orders")

        def full() -> None:
            if raw.execute("select count(*) from orders").fetchone()[0] != ROWS:
                empty()
                raw.execute("delete from sqlite_sequence")
                calls["bulk"](rows(ROWS))

        def loaded() -> None:
            full()
            state["orders"] = calls["load"](UPDATED)
            state["tick"] += 1

        def find() -> None:
            for key in range(1, FOUND + 1):
                calls["find"](key)

        singly, many = rows(SINGLY), rows(ROWS)
        for name, work, count, before in (
            ("hydrate", calls["hydrate"], ROWS, full),
            ("find", find, FOUND, full),
            (
                "update_one",
                lambda: calls["update"](state["orders"], state["tick"]),
                UPDATED,
                loaded,
            ),
            ("insert_tx", lambda: calls["insert_tx"](singly), SINGLY, empty),
            ("bulk", lambda: calls["bulk"](many), ROWS, empty),
        ):
            found = rates(work, count, before)
            print(f"{name:12}{max(found):12,.0f}/s best{statistics.median(found):12,.0f}/s median")
        calls["stop"]()
        raw.close()


if __name__ == "__main__":
    main()
