"""A writer or a sealer of the trail as a process: `python -m tests.crash.audit_process '{…}'`."""

from __future__ import annotations

import json
import random
import sys
import time

from so.db.manager import Database
from so.systems.activity import ActivityLog

KEY = "audit-" + "k" * 32


class Undone(Exception):
    """Rolls a transaction back."""


def make(config):
    database = Database({"default": config})
    return ActivityLog(database, keys=[KEY], seal_delay_seconds=None, rows_per_seal=20)


def write(log, name, count):
    """One entry a transaction; every fifth is rolled back. Prints how many were committed."""
    chance = random.Random(name)
    committed = 0
    for n in range(count):
        try:
            with log.db.transaction():
                log.entry("work").by(f"system:{name}").log(f"{name} {n}")
                if chance.random() < 0.3:
                    time.sleep(0.01)  # so that ids are committed out of order
                if n % 5 == 4:
                    raise Undone
            committed += 1
        except Undone:
            pass
    print(committed, flush=True)


def seal(log):
    """Until killed."""
    while True:
        log.sealer.seal()
        print("sealed", flush=True)


def main() -> None:
    order = json.loads(sys.argv[1])
    log = make(order["database"])
    if order["role"] == "seal":
        seal(log)
    else:
        write(log, order["role"], order["count"])


if __name__ == "__main__":
    main()
