"""What the activity log costs a save, without the peers: `python bench/audit.py`.

300 orders changed and saved one by one in one transaction on a scratch SQLite file (WAL,
synchronous NORMAL), in microseconds of CPU time a save: without the log, with it, with signed
rows, and with sealing. Then the speed of sealing and of verifying, in rows a second.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench" / "adapters")]

import audit as adapter  # noqa: E402  found by the line above

ROUNDS = 15
KEY = "benchmark-" + "k" * 32


def best(work: Callable[[], object], before: Callable[[], object]) -> float:
    """Seconds of CPU time of the best round."""
    found = []
    for _ in range(ROUNDS):
        before()
        gc.collect()
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def saves(calls: dict[str, Any], audited: bool) -> float:
    """Microseconds a save."""
    state: dict[str, Any] = {"tick": 100}

    def load() -> None:
        state["objects"] = calls["load"](audited)
        state["tick"] += 1

    took = best(lambda: calls["save"](state["objects"], state["tick"], audited), load)
    return took / adapter.ROWS * 1e6


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        modes: dict[str, dict[str, Any]] = {
            "plain rows": {"integrity_mode": "off"},
            "signed rows": {"keys": [KEY], "integrity_mode": "mac"},
            "sealed later": {"keys": [KEY], "seal_delay_seconds": None},
        }
        for name, settings in modes.items():
            calls = adapter.audit(str(Path(folder) / f"{name}.sqlite"), **settings)
            off, on = saves(calls, False), saves(calls, True)
            print(f"{name:14}{off:8.1f} us off{on:8.1f} us on{on - off:8.1f} us overhead")
            log = calls["log"]
            if log.sealer is not None:
                started = time.perf_counter()
                count = log.sealer.seal().rows
                print(f"{'seal':14}{count / (time.perf_counter() - started):10,.0f} rows/s")
                started = time.perf_counter()
                report = log.verify()
                rate = report.rows / (time.perf_counter() - started)
                print(f"{'verify':14}{rate:10,.0f} rows/s, exit code {report.exit_code}")
            calls["stop"]()


if __name__ == "__main__":
    main()
