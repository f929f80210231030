"""How fast routes are found, in a table of 500 and of 5,000, and how long it takes to build one.

    python bench/router.py

CPU time, best of several rounds; the two tables are measured in turns, so that what a neighbour
does to the machine hits both. The side-by-side benchmark asks bench/adapters/router.py.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from so.http.router import Router  # after the path is set

SHAPES = [
    ("GET", "/api/v1/{r}"),
    ("POST", "/api/v1/{r}"),
    ("GET", "/api/v1/{r}/export"),
    ("GET", "/api/v1/{r}/{{id}}"),
    ("PUT", "/api/v1/{r}/{{id}}"),
    ("DELETE", "/api/v1/{r}/{{id}}"),
    ("POST", "/api/v1/{r}/{{id}}/approve"),
    ("GET", "/api/v1/{r}/{{id}}/lines"),
    ("POST", "/api/v1/{r}/{{id}}/lines"),
    ("GET", "/api/v1/{r}/{{id}}/lines/{{line}}"),
]
ROUNDS = 15

Request = tuple[str, str]


def action() -> str:
    return ""


def table(resources: int) -> list[Request]:
    return [(m, shape.format(r=f"resource-{n}")) for n in range(resources) for m, shape in SHAPES]


def build(routes: list[Request]) -> Router:
    router = Router()
    for method, uri in routes:
        router.match(method, uri, action)
    router.find("GET", "/")
    return router


def requests(routes: list[Request], count: int = 200) -> list[Request]:
    """As an ERP would see them: every shape and resource, one in twenty a miss."""
    rng = random.Random(7)
    asked = []
    for n in range(count):
        method, uri = rng.choice(routes)
        path = uri.replace("{id}", str(rng.randrange(99999))).replace("{line}", "7")
        asked.append((method, path) if n % 20 != 19 else ("GET", f"/nowhere/{n}"))
    return asked


def seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def looking_up(router: Router, asked: list[Request]) -> Callable[[], None]:
    find = router.find

    def work() -> None:
        for _ in range(20):
            for method, path in asked:
                find(method, path)

    return work


def main() -> None:
    tables = {count: table(count // len(SHAPES)) for count in (500, 5000)}
    works = {count: looking_up(build(routes), requests(routes)) for count, routes in tables.items()}
    best = dict.fromkeys(works, 9.0)
    building = 9.0
    for _ in range(ROUNDS):
        for count, work in works.items():
            best[count] = min(best[count], seconds(work))
        building = min(building, seconds(lambda: build(tables[500])))
    rates = {count: 20 * 200 / took for count, took in best.items()}
    for count, rate in rates.items():
        print(f"blend at {count:5} routes  {rate:12,.0f} lookups/s")
    print(f"5,000 against 500      {rates[500] / rates[5000]:12.2f} times slower")
    print(f"building 500           {building * 1000:12.2f} ms")


if __name__ == "__main__":
    main()
