"""Our half of the builder benchmark, without the peers: `python bench/builder.py`.

From chained calls to (SQL, bindings), nothing executed, in statements a second of CPU time: the
best and the median of so many rounds. The chains are those of bench/adapters/builder.py.
"""

from __future__ import annotations

import gc
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CALLS, ROUNDS = 5_000, 9
ROW = {
    "number": "N12",
    "total": 12.5,
    "status": "open",
    "branch_id": 3,
    "customer_id": 1,
    "note": "x",
}
CHANGE = {"status": "done", "total": 13.5, "note": "y"}
IDS = list(range(10))


def chains() -> dict[str, Callable[..., Any]]:
    """The four chains of the adapter, which shares this module's name."""
    path = Path(__file__).parent / "adapters" / "builder.py"
    spec = importlib.util.spec_from_file_location("builder_adapter", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Callable[..., Any]] = module.builder()
    return found


def rate(call: Callable[[], Any]) -> float:
    """Calls a second of CPU time."""
    gc.collect()
    started = time.process_time()
    for _ in range(CALLS):
        call()
    return CALLS / (time.process_time() - started)


def main() -> None:
    """Print one line for each chain."""
    made = chains()
    calls = {
        "select6": lambda: made["select6"]("open", 100, IDS),
        "find": lambda: made["find"](7),
        "insert6": lambda: made["insert6"](dict(ROW)),
        "update3": lambda: made["update3"](12, dict(CHANGE)),
    }
    rounds = {name: [rate(call) for _ in range(ROUNDS)] for name, call in calls.items()}
    for name, rates in rounds.items():
        print(
            f"{name:10} best {max(rates):>10,.0f}/s   median {statistics.median(rates):>10,.0f}/s"
        )


if __name__ == "__main__":
    main()
