"""The queue alone: dispatching, claiming at any backlog, draining, latency, idling, snapshots.

    python3 bench/queue_system.py [sqlite] [mysql://root@127.0.0.1:3306] [--jobs=N] [--backlog=N]

SQLite by default. For a MySQL or MariaDB server a database of its own is made and dropped again.
Beside the peers it is measured by bench/adapters/queue.py.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(ROOT), *[p for p in sys.path if Path(p or ".").resolve() != ROOT / "bench"]]

from so.db.connection import Connection  # noqa: E402
from so.db.manager import Database  # noqa: E402
from so.db.sqltext import statements  # noqa: E402
from so.support.current import provide  # noqa: E402
from so.systems.queue import Job, Queue  # noqa: E402
from so.systems.worker import Worker, WorkerOptions, work  # noqa: E402

STAMPS = os.environ.get("SO_BENCH_STAMPS", "")


class Stamp(Job):
    """Writes down when it was sent and when it started."""

    alias = "bench.Stamp"

    def __init__(self, sent: float) -> None:
        self.sent = sent

    def handle(self) -> None:
        if STAMPS:
            with open(STAMPS, "ab", buffering=0) as file:
                file.write(f"{self.sent} {time.monotonic()}\n".encode())


def install(conn: Connection) -> None:
    text = (ROOT / f"so/systems/framework_tables.{conn.dialect.name}.sql").read_text()
    for statement in statements(text, conn.dialect.name):
        conn.unprepared(statement)


def show(name: str, value: float, unit: str) -> None:
    print(f"  {name:<46} {value:>12,.1f} {unit}", flush=True)


def rate(count: int, fn: Any) -> float:
    begun = time.perf_counter()
    fn()
    return count / (time.perf_counter() - begun)


def dispatching(queue: Queue, jobs: int) -> None:
    few = jobs // 5
    show(
        "dispatch one by one", rate(few, lambda: [queue.push(Stamp(0.0)) for _ in range(few)]), "/s"
    )
    show("dispatch in bulk", rate(jobs, lambda: queue.bulk(Stamp(0.0) for _ in range(jobs))), "/s")
    queue.clear()


def claiming(queue: Queue, backlog: int) -> None:
    """Reserve and remove one job, with 95 % of the backlog delayed and in front by their ids."""
    worker = Worker(queue)
    for size in (1_000, backlog):
        conn = queue.source.connection()
        for start in range(0, int(size * 0.95), 10_000):
            count = min(10_000, int(size * 0.95) - start)
            queue.bulk(Stamp(0.0) for _ in range(count))
            conn.run("update jobs set available_at = available_at + 864000 where available_at < ?",
                     (int(time.time()) + 1,))  # fmt: skip
        queue.bulk(Stamp(0.0) for _ in range(max(400, int(size * 0.05))))
        took = []
        for _ in range(300):
            begun = time.perf_counter()
            worker.take()
            took.append((time.perf_counter() - begun) * 1e6)
        took.sort()
        show(f"claim and remove one of {size:,}, median", statistics.median(took), "us")
        show(f"claim and remove one of {size:,}, p95", took[int(len(took) * 0.95)], "us")
        # Not a delete: its million index entries would be purged under the next measurement.
        conn.unprepared("delete from jobs" if conn.dialect.name == "sqlite" else "truncate jobs")
    worker.leave()


def snapshot(queue: Queue, jobs: int) -> None:
    """Claims while somebody else keeps a snapshot open, as a long report does."""
    queue.bulk(Stamp(0.0) for _ in range(jobs))
    report = queue.source.connection().separate()
    report.begin_transaction(mode="read")
    report.select_tuples("select count(*) from jobs")
    worker = Worker(queue)
    took = []
    for _ in range(jobs):
        begun = time.perf_counter()
        worker.take()
        took.append((time.perf_counter() - begun) * 1e6)
    tenth = max(1, jobs // 10)
    first, last = sorted(took[:tenth]), sorted(took[-tenth:])
    show(f"open snapshot: first tenth of {jobs:,} claims, p95", first[int(tenth * 0.95)], "us")
    show("open snapshot: last tenth, p95", last[int(tenth * 0.95)], "us")
    if report.dialect.name == "mysql":
        reading(queue, report)
    report.roll_back(0)
    report.close()
    worker.leave()


def reading(queue: Queue, report: Connection) -> None:
    """Pages that a poll asks for, of a queue whose jobs are done, and of one that sorts before."""
    neighbour = Worker(queue, WorkerOptions(queues=["alpha"]))
    worker = Worker(queue)
    queue.bulk(Stamp(0.0) for _ in range(50))
    for name, asking, count in (
        ("a full claim", worker, 50),
        ("an empty poll", worker, 20),
        ("a poll of a neighbour", neighbour, 20),
    ):
        before = pages(report)
        for _ in range(count):
            asking.take()
        show(f"open snapshot: {name}", (pages(report) - before) / count, "pages")
    for each in (worker, neighbour):
        each.leave()


def pages(conn: Connection) -> int:
    sql = "show global status like 'Innodb_buffer_pool_read_requests'"
    return int(conn.select_tuples(sql)[0][1])


class Workers:
    """A worker command of our own, and how far it is."""

    def __init__(self, config: dict[str, Any], folder: Path, processes: int) -> None:
        self.stamps = folder / "stamps"
        self.stamps.unlink(missing_ok=True)
        order = json.dumps({"config": config, "folder": str(folder), "processes": processes})
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", order],
            env={**os.environ, "SO_BENCH_STAMPS": str(self.stamps)},
        )

    def read(self) -> list[tuple[float, float]]:
        if not self.stamps.exists():
            return []
        lines = self.stamps.read_text().splitlines()
        return [(float(a), float(b)) for a, _, b in (line.partition(" ") for line in lines)]

    def wait(self, count: int, seconds: float = 60) -> list[tuple[float, float]]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and len(self.read()) < count:
            time.sleep(0.02)
        return self.read()

    def cpu_seconds(self) -> float:
        pids = [self.process.pid]
        children = Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
        fields = [
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            for pid in [*pids, *map(int, children)]
        ]
        return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def draining(queue: Queue, config: dict[str, Any], folder: Path, jobs: int) -> None:
    for processes in (1, 4):
        queue.bulk(Stamp(time.monotonic()) for _ in range(jobs))
        workers = Workers(config, folder, processes)
        starts = sorted(started for _, started in workers.wait(jobs))
        workers.stop()
        show(
            f"drain, {processes} process(es)",
            (len(starts) - 1) / (starts[-1] - starts[0]),
            "jobs/s",
        )


def latency(queue: Queue, config: dict[str, Any], folder: Path) -> None:
    workers = Workers(config, folder, 1)
    queue.push(Stamp(time.monotonic()))
    workers.wait(1)
    for _ in range(200):
        time.sleep(0.03)
        queue.push(Stamp(time.monotonic()))
    late = sorted((started - sent) * 1000 for sent, started in workers.wait(201)[1:])
    show("dispatch to start, median", statistics.median(late), "ms")
    show("dispatch to start, p99", late[int(len(late) * 0.99)], "ms")
    time.sleep(11)
    before, begun = workers.cpu_seconds(), time.monotonic()
    time.sleep(10)
    share = (workers.cpu_seconds() - before) / (time.monotonic() - begun) * 100
    show("idle, all processes", share, "% of a core")
    workers.stop()


def serve(order: dict[str, Any]) -> int:
    queue = Queue(Database({"default": order["config"]}), wake_folder=f"{order['folder']}/bells")
    provide("queue", lambda: queue)
    return work(queue, WorkerOptions(processes=order["processes"], quiet=True))


def measure(config: dict[str, Any], jobs: int, backlog: int) -> None:
    with tempfile.TemporaryDirectory(prefix="so-bench-queue-") as name:
        folder = Path(name)
        if config["driver"] == "sqlite":
            config = {**config, "database": str(folder / "queue.sqlite")}
        with Database({"default": config}) as database:
            install(database.connection())
            queue = Queue(database, wake_folder=str(folder / "bells"))
            print(f"{config['driver']}:")
            dispatching(queue, jobs)
            claiming(queue, backlog)
            snapshot(queue, jobs)
            draining(queue, config, folder, jobs)
            latency(queue, config, folder)


def main(words: list[str]) -> int:
    if words[:1] == ["--serve"]:
        return serve(json.loads(words[1]))
    options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
    jobs, backlog = int(options.get("jobs", 5_000)), int(options.get("backlog", 1_000_000))
    for name in [word for word in words if not word.startswith("--")] or ["sqlite"]:
        if name == "sqlite":
            measure({"driver": "sqlite"}, jobs, backlog)
            continue
        url = urlsplit(name)
        server = {"driver": "mysql", "host": url.hostname, "port": url.port or 3306,
                  "username": url.username, "password": url.password or ""}  # fmt: skip
        database = f"so_bench_{os.getpid()}"
        with Connection(server) as conn:
            conn.statement(f"create database {database} collate utf8mb4_unicode_ci")
        try:
            measure({**server, "database": database}, jobs, backlog)
        finally:
            with Connection(server) as conn:
                conn.statement(f"drop database {database}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
