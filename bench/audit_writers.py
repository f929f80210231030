"""What signing and sealing cost many writers at once: `python bench/audit_writers.py [SECONDS]`.

16 processes on one MariaDB, started for it with 256 MB for its pool and for its log. Each changes
and saves an order of its own and works on something else for 5 ms in each transaction; plain rows,
signed rows, and rows that are sealed soon after, in turns of some seconds in one run. Printed are
the transactions of all of them in a second, the fewest and the most that one writer had, what share
of the throughput of plain rows that is, and the CPU time of a transaction, of the writers and of
the server together: on a machine that others use as well, that is what can be compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from so.db.manager import Database  # noqa: E402  found by the line above
from so.db.model import Model  # noqa: E402
from so.db.sqltext import statements  # noqa: E402
from so.support.current import provide  # noqa: E402
from so.systems.activity import ActivityLog, LogsActivity  # noqa: E402

WRITERS, ROUNDS, SECONDS, OTHER_WORK = 16, 15, 1.0, 0.005
KEYS = ["benchmark-" + "k" * 32]
MODES: dict[str, dict[str, Any]] = {
    "plain": {"integrity_mode": "off"},
    "signed": {"keys": KEYS, "integrity_mode": "mac"},
    "sealed": {"keys": KEYS},
}


class Order(LogsActivity, Model):
    """An order whose changes are logged."""

    table = "audited_orders"
    timestamps = False
    guarded: list[str] = []


def opened(config: dict[str, Any], mode: str) -> tuple[Database, ActivityLog]:
    """The database of *mode*, and its log."""
    db = Database({"default": {**config, "database": f"bench_{mode}"}})
    log = ActivityLog(db, **MODES[mode])
    provide("db", lambda: db)
    provide("activity", lambda: log)
    return db, log


def create(config: dict[str, Any], mode: str) -> None:
    """A database for *mode* with an order for each writer."""
    server = Database({"default": config})
    server.connection().unprepared(f"create database bench_{mode}")
    server.close()
    db, _ = opened(config, mode)
    sql = (ROOT / "so/systems/framework_tables.mysql.sql").read_text()
    for statement in statements(sql, "mysql"):
        db.connection().unprepared(statement)
    db.connection().unprepared(
        "create table audited_orders (id int primary key, quantity int not null, note text)"
    )
    db.connection().table("audited_orders").insert(
        [{"id": n, "quantity": 0, "note": "a note of the clerk"} for n in range(WRITERS)]
    )
    db.close()


def write(config: dict[str, Any], mode: str, number: int) -> None:
    """One writer: works for as many seconds as each line that comes in says, and counts."""
    db, _ = opened(config, mode)
    order, quantity = Order.find(number), 0
    for line in sys.stdin:
        until, count, began = time.monotonic() + float(line), 0, time.process_time()
        while time.monotonic() < until:
            quantity += 1
            with db.transaction():
                order.quantity = quantity
                order.save()
                time.sleep(OTHER_WORK)
            count += 1
        print(count, time.process_time() - began, flush=True)


def main(config: dict[str, Any], seconds: float, server: int) -> None:
    """Let the writers of each mode work in turn; print a table. *server* is a process."""
    crews = {}
    used = dict.fromkeys(MODES, 0.0)
    for mode in MODES:
        create(config, mode)
        crews[mode] = [_started(config, mode, number) for number in range(WRITERS)]
    counts: dict[str, list[list[int]]] = {mode: [] for mode in MODES}
    for mode in MODES:
        _worked(crews[mode], 0.5)
    for turn in range(ROUNDS):
        for mode in sorted(MODES, key=lambda name: (list(MODES).index(name) + turn) % len(MODES)):
            before = _cpu_of(server)
            worked = _worked(crews[mode], seconds)
            counts[mode].append([int(count) for count, _ in worked])
            used[mode] += sum(cpu for _, cpu in worked) + _cpu_of(server) - before
    plain = [sum(each) for each in counts["plain"]]
    for mode, rounds in counts.items():
        shares = sorted(sum(each) / base for each, base in zip(rounds, plain, strict=True))
        alone = [count for each in rounds for count in each]
        cpu = used[mode] / sum(alone) * 1e6
        print(
            f"{mode:8}{sum(map(sum, rounds)) / seconds / ROUNDS:8.0f} a second, of one writer "
            f"{min(alone) / seconds:5.0f} to {max(alone) / seconds:5.0f}, "
            f"{shares[ROUNDS // 2]:6.2f} x plain rows ({shares[0]:.2f} to {shares[-1]:.2f}), "
            f"{cpu:6.0f} us of CPU each"
        )
    for writer in (each for crew in crews.values() for each in crew):
        writer.stdin.close()
        writer.wait()


def _started(config: dict[str, Any], mode: str, number: int) -> Any:
    order = json.dumps([config, mode, number])
    command = [sys.executable, __file__, "--writer", order]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def _cpu_of(process: int) -> float:
    """Seconds it has used so far."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _worked(crew: list[Any], seconds: float) -> list[tuple[float, float]]:
    for writer in crew:
        writer.stdin.write(f"{seconds}\n")
        writer.stdin.flush()
    lines = [writer.stdout.readline().split() for writer in crew]
    return [(float(count), float(cpu)) for count, cpu in lines]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--writer"]:
        write(*json.loads(sys.argv[2]))
    else:
        from tests.support.mariadb import launch

        server = launch("--innodb-log-file-size=256M", "--innodb-buffer-pool-size=256M")
        try:
            main(
                server.config(), float(sys.argv[1]) if sys.argv[1:] else SECONDS, server.process.pid
            )
        finally:
            server.stop()
