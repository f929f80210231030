"""Us and our peers in one run, and the table of it: `make bench` writes docs/benchmarks.md.

    python bench/side_by_side.py [router orm …] [--rounds=5] [--write=docs/benchmarks.md]

Each part runs in a process of its own; those compared in it take turns, round by round, so that
what a neighbour does to the machine hits all of them. A rate is the best round's, in CPU time;
answers are checked before anything is measured. A peer that is not installed is named, not hidden.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import bench_adapter  # noqa: E402  # found by the line above
from peers import PEERS  # noqa: E402


def _script(name: str) -> Any:
    """The benchmark of our own half called *name*: an adapter bears the same name."""
    spec = importlib.util.spec_from_file_location(f"our_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path  # theirs has the adapters, and one of those is called queue
    return module


graph, http_app, tables, shapes = map(_script, ("container", "http_app", "orm", "router"))

OURS = "sixorbit"
PACKAGES = {"werkzeug": "Werkzeug", "flask": "Flask"}  # where the name of the package differs
ROUNDS = 5
Work = tuple[Callable[[], Any], int]  # what to run, and how many operations that is
Measures = dict[str, Callable[[], Work]]  # name of a measure -> the next round's work


# --- what each part measures, of whoever it is given ----------------------------------------------


def of_router(make: Callable[..., Any], folder: Path) -> Measures:
    routes = [(verb, path, f"r{n}") for n, (verb, path) in enumerate(shapes.table(50))]
    asked, match = shapes.requests(routes_of(routes)), make(routes)
    name, given = match("GET", "/api/v1/resource-7/42/lines/3")
    assert name == "r79", name
    assert {str(value) for value in given.values()} == {"42", "3"}
    assert match("GET", "/nowhere/7") is None

    def work() -> None:
        for verb, path in asked:
            match(verb, path)

    return {"look-ups among 500 routes": lambda: (work, len(asked))}


def routes_of(routes: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    return [(verb, path) for verb, path, _ in routes]


CLASSES = (
    graph.Settings, graph.Clock, graph.Connection, graph.Mailer, graph.OrderRepository,
    graph.ItemRepository, graph.Pricing, graph.Orders, graph.Controller,
)  # fmt: skip


def of_container(make: Callable[..., Any], folder: Path) -> Measures:
    found: Measures = {}
    for text, shared in (
        ("graphs of 17 new objects", ()),
        ("graphs with a shared connection", (graph.Connection,)),
    ):
        resolve = make(CLASSES, shared)
        first, second = resolve(graph.Controller), resolve(graph.Controller)
        assert first is not second
        same = first.orders.orders.connection is second.orders.orders.connection
        assert same is bool(shared)
        found[text] = lambda resolve=resolve: (times(100, lambda: resolve(graph.Controller)), 100)
    return found


def of_builder(make: Callable[..., Any], folder: Path) -> Measures:
    calls = make()
    row = {name: 1 for name in ("number", "total", "status", "branch_id", "customer_id", "note")}
    change = {"status": "done", "total": 1.5, "note": "y"}
    works = {
        "select with join and five conditions": lambda: calls["select6"]("open", 5.0, [1, 2, 3]),
        "find by key": lambda: calls["find"](7),
        "insert of six columns": lambda: calls["insert6"](row),
        "update of three columns": lambda: calls["update3"](7, change),
    }
    for name, work in works.items():
        sql, bindings = work()
        assert sql.count("?") == len(list(bindings)), (name, sql, bindings)
    return {name: lambda work=work: (times(200, work), 200) for name, work in works.items()}


def of_orm(make: Callable[..., Any], folder: Path) -> Measures:
    file = folder / "orders.sqlite"
    with sqlite3.connect(file) as database:
        database.executescript(tables.TABLE)
        names = list(tables.rows(1)[0])
        marks = ", ".join("?" * len(names))
        database.executemany(
            f"insert into orders ({', '.join(names)}) values ({marks})",
            [tuple(row.values()) for row in tables.rows(2000)],
        )
    database.close()
    calls = make(str(file))
    assert len(calls["hydrate"]()) == 2000
    assert calls["find"](7).number == "SO-000006"
    objects, ticks = calls["load"](200), itertools.count(1)
    calls["find"](9)
    calls["update"](objects, 7)
    with sqlite3.connect(file) as database:
        (found,) = database.execute("select count(*) from orders where quantity = 1007").fetchone()
    database.close()
    assert found == 200, found
    new = tables.rows(100)
    return {
        "objects read": lambda: (calls["hydrate"], 2000),
        "found by key": lambda: (lambda: [calls["find"](n) for n in range(1, 101)], 100),
        "saved one by one": lambda: (lambda: calls["update"](objects, next(ticks)), 200),
        "inserted one by one": lambda: (lambda: calls["insert_tx"](new), 100),
    }


def of_http_app(make: Callable[..., Any], folder: Path) -> Measures:
    app, base = make(), http_app.environ()
    http_app.check(app)

    def work() -> None:
        for _ in range(500):
            b"".join(app(dict(base), lambda status, headers, info=None: None))

    return {"JSON answers through router and two middleware": lambda: (work, 500)}


def of_cache(make: Callable[..., Any], folder: Path) -> Measures:
    calls = make(str(folder))
    keys, value = [f"key:{n}" for n in range(200)], {"id": 7, "names": ["a", "b"], "price": "1.50"}
    number = itertools.count()  # a row that stays as it is would not be written
    calls["set"]("key:0", value, 60)
    assert calls["get"]("key:0") == value
    assert calls["get"]("missing") is None
    calls["set"]("count", 1, 600)
    return {
        "values stored": lambda: (
            lambda: [calls["set"](key, value | {"id": next(number)}, 600) for key in keys],
            200,
        ),
        "values read": lambda: (lambda: [calls["get"](key) for key in keys], 200),
        "counted": lambda: (lambda: [calls["incr"]("count") for _ in range(100)], 100),
    }


def times(count: int, work: Callable[[], Any]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(count):
            work()

    return repeated


PARTS: dict[str, Callable[[Callable[..., Any], Path], Measures]] = {
    "router": of_router,
    "container": of_container,
    "builder": of_builder,
    "orm": of_orm,
    "http_app": of_http_app,
    "cache": of_cache,
}


def competitors(part: str) -> dict[str, Callable[..., Any]]:
    """Ours first."""
    if part == "http_app":
        peers = {make.__name__: make for make in (http_app.falcon, http_app.bottle, http_app.flask)}
        return {OURS: http_app.sixorbit, **peers}
    ours = getattr(bench_adapter, part)
    if part == "container":
        return {OURS: lambda classes, shared: ours(classes, shared), **PEERS[part]}
    return {OURS: ours, **PEERS[part]}


# --- one part -------------------------------------------------------------------------------------


def measured(part: str, rounds: int) -> dict[str, Any]:
    """{"rates": {measure: {name: a second}}, "versions": {…}, "missing": […]} of one part."""
    works: dict[str, Measures] = {}
    missing = []
    with tempfile.TemporaryDirectory() as place:
        for name, make in competitors(part).items():
            folder = Path(place, name)
            folder.mkdir()
            try:
                works[name] = PARTS[part](make, folder)
            except ImportError:
                missing.append(name)
        rates = {measure: dict.fromkeys(works, 0.0) for measure in works[OURS]}
        for measure, best in rates.items():
            for name in turns(list(works), rounds):
                best[name] = max(best[name], rate(*works[name][measure]()))
    return {"rates": rates, "versions": dict(map(version, works)), "missing": missing}


def turns(names: list[str], rounds: int) -> Iterator[str]:
    """Everybody once a round, in an order of its own; the first round warms up."""
    shuffle = random.Random(7).sample
    for _ in range(rounds):
        yield from shuffle(names, len(names))


def rate(work: Callable[[], Any], operations: int) -> float:
    """Operations a second of CPU time, over a tenth of a second at least."""
    gc.collect()
    done, start = 0, time.process_time()
    while (took := time.process_time() - start) < 0.1:
        work()
        done += operations
    return done / took


def version(name: str) -> tuple[str, str]:
    if name == OURS:
        import so

        return name, so.__version__
    return name, importlib.metadata.version(PACKAGES.get(name, name))


# --- the table ------------------------------------------------------------------------------------


def page(found: dict[str, dict[str, Any]], rounds: int) -> str:
    """docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        f"One run of `make bench` on {datetime.now(UTC):%Y-%m-%d}: {_machine()}. Rates are "
        f"operations a second of CPU time, the best of {rounds} rounds in which all took turns; a "
        "ratio above 1 means that we do more in the same time. Compare ratios, not rates: the same "
        "machine is twice as slow in another minute.",
        "",
        "How each is used stands in `bench/adapters/` and `bench/peers.py`; what is measured, in "
        "`bench/side_by_side.py`. Peers come with `pip install -r bench/requirements.txt`, in an "
        "environment of their own: `make bench BENCH_PYTHON=VENV/bin/python`.",
        "",
    ]
    for part, one in found.items():
        lines += [f"## {part.replace('_', ' ').capitalize()}", ""]
        for measure, rates in one["rates"].items():
            lines += [*_table(measure, rates, one["versions"]), ""]
        if one["missing"]:
            lines += [f"Not installed, so not measured: {', '.join(one['missing'])}.", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _machine() -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version}, {platform.system()} on {platform.machine()}, {os.cpu_count()} "
        "processors"
    )


def _table(measure: str, rates: dict[str, float], versions: dict[str, str]) -> list[str]:
    ours = rates[OURS]
    rows = [
        f"| {'**' + name + '**' if name == OURS else name} | {versions[name]} | {found:,.0f} "
        f"| {ours / found:.2f} |"
        for name, found in sorted(rates.items(), key=lambda pair: -pair[1])
    ]
    return [f"| {measure} | version | a second | ours ÷ theirs |", "|---|---|---:|---:|", *rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all of them")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", type=Path, help="a Markdown file for the table")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one, given.rounds)))
        return 0
    found = {}
    for part in given.parts or PARTS:
        print(f"{part} …", file=sys.stderr, flush=True)
        words = [sys.executable, __file__, "--one", part, "--rounds", str(given.rounds)]
        found[part] = json.loads(subprocess.run(words, check=True, stdout=-1, text=True).stdout)
    text = page(found, given.rounds)
    if given.write:
        given.write.write_text(text, "utf-8")
        print(f"wrote {given.write}", file=sys.stderr)
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
