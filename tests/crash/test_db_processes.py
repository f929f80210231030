"""Several processes at one row: nothing lost, nothing twice, no error reaches the caller."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from so.db.connection import Connection
from tests.db.tables import counter

PROCESSES = 8
TRANSACTIONS = 500

_WORKER = """
import json, sys
from so.db.manager import Database

config, count = json.loads(sys.argv[1]), int(sys.argv[2])
database = Database({"default": config})
lock = " for update" if config["driver"] == "mysql" else ""

def add(connection):
    n = connection.scalar("select n from counters where id = 1" + lock)
    connection.update("update counters set n = ? where id = 1", [n + 1])

for _ in range(count):
    database.transaction(add, attempts=5)
database.close()
"""


def run_workers(config: dict[str, Any], processes: int, count: int) -> list[str]:
    """What the workers wrote to stderr, by worker."""
    command = [sys.executable, "-c", _WORKER, json.dumps(config), str(count)]
    workers = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    return [worker.communicate(timeout=300)[1] for worker in workers]


@pytest.mark.slow
def test_eight_processes_do_500_read_modify_write_transactions_each(db_config):
    with Connection(db_config) as connection:
        counter(connection)

        said = run_workers(db_config, PROCESSES, TRANSACTIONS)

        assert said == [""] * PROCESSES
        assert connection.scalar("select n from counters") == PROCESSES * TRANSACTIONS
