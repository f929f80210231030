"""What requests wait for while a million expired rows of sessions and of the cache are cleaned.

python bench/while_cleaning.py [sqlite|mariadb …]     # ROWS=1000000 WINDOWS=6 SECONDS=8

A server of the project's own answers requests that read and write a session and the cache, at a
steady pace. In turns it has the machine to itself, or `session:cleanup` and `cache:gc` run beside
it in a process of their own, niced as their timers have them; what the machine does otherwise
falls on both alike. Printed are the milliseconds of the median and of the slowest hundredth.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROWS = int(os.environ.get("ROWS", "1000000"))
WINDOWS = int(os.environ.get("WINDOWS", "6"))
SECONDS = float(os.environ.get("SECONDS", "8"))
CLIENTS, PAUSE = 4, 0.04
LONG_AGO = 1_000_000


def application(config: dict[str, Any]) -> Any:
    """As it ships, with one page; everything in the one database of *config*."""
    from so import Router, cache, session
    from so.application import Application

    def page() -> dict[str, Any]:
        cache().put(f"key{session().increment('count') % 100}", {"a": 1}, 600)
        return {"count": session("count"), "hits": cache().get("key1")}

    folder = Path(tempfile.mkdtemp(prefix="so_bench_"))
    (folder / "config").symlink_to(ROOT / "config")
    app = Application(
        folder,
        {
            "app": {"env": "production", "key": "bench" * 8, "providers": [], "routes": []},
            "database": {"default": "main", "connections": {"main": config}},
            "cache": {"connection": "main"},
            "session": {"connection": "main"},
        },
    )
    with app, Router.group(middleware="web"):
        Router.get("/", page)
    return app


def seed(app: Any) -> None:
    """As many expired rows as asked for, a tenth as many live ones among them."""
    connection, now = app.make("db").connection("main"), int(time.time())
    key = "`key`" if connection.dialect.name == "mysql" else '"key"'
    tables = (
        (f"cache ({key}, value, expiration)", lambda n, end: (f"so_cache:{n * 7919}", "1", end)),
        ("sessions (id, payload, last_activity)", lambda n, end: (f"{n * 7919:064x}", "{}", end)),
    )
    for into, row in tables:
        for start in range(0, ROWS, 1000):
            rows = [
                row(n, now + 9999 if n % 11 == 0 else LONG_AGO + n // 100)
                for n in range(start, min(start + 1000, ROWS))
            ]
            marks = ", ".join(["(?, ?, ?)"] * len(rows))
            connection.statement(f"insert into {into} values {marks}", [v for r in rows for v in r])


def clean(app: Any) -> None:
    """What the two commands do."""
    os.nice(10)
    with app:
        app.make("sessions").cleanup()
        app.make("cache").gc()


class Client(threading.Thread):
    """One browser with a session, which notes how long each answer took."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.took, self.failed, self.is_over = port, [], 0, False

    def run(self) -> None:
        """Ask until told to stop."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        cookie = ""
        while not self.is_over:
            begun = time.perf_counter()
            line.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
            answer = line.getresponse()
            answer.read()
            self.took.append(time.perf_counter() - begun)
            self.failed += answer.status != 200
            sent = answer.headers.get_all("Set-Cookie") or []
            cookie = next((c.split(";")[0] for c in sent if "session" in c), cookie)
            time.sleep(PAUSE)


def measured(config: dict[str, Any]) -> str:
    """A server, windows without and with the cleaner in turns, and what came of it."""
    environ = {**os.environ, "BENCH_CONFIG": json.dumps(config)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started: list[subprocess.Popen[str]] = []

    def start(*what: str) -> subprocess.Popen[str]:
        started.append(subprocess.Popen([sys.executable, "-P", __file__, *what], env=environ))
        return started[-1]

    assert start("seed").wait() == 0
    start("serve", str(port))
    clients = [Client(port) for _ in range(CLIENTS)]
    try:
        wait_for(port)
        for client in clients:
            client.start()
        time.sleep(2)
        found = windows(clients, lambda: start("clean"))
    finally:
        for client in clients:
            client.is_over = True
        for process in started:
            process.terminate()
            process.wait(20)
    failed = sum(client.failed for client in clients)
    text = "; ".join(f"{name}: {figures(took)}" for name, took in found.items())
    return f"{text}; {failed} failed; {left(config)} of {2 * ROWS} rows left"


def windows(clients: list[Client], start: Any) -> dict[str, list[float]]:
    """What the *clients* waited in windows of both kinds."""
    found: dict[str, list[float]] = {"alone": [], "beside the cleaner": []}
    for number in range(2 * WINDOWS):
        cleaner = start() if number % 2 else None
        if cleaner:
            time.sleep(1)  # its own start is not what is measured
        for client in clients:
            client.took.clear()
        time.sleep(SECONDS)
        took = [one for client in clients for one in list(client.took)]
        if cleaner:
            if cleaner.poll() is not None:
                break  # all is clean
            cleaner.send_signal(signal.SIGTERM)
            cleaner.wait(20)
        found["beside the cleaner" if cleaner else "alone"] += took
    return found


def figures(took: list[float]) -> str:
    """Median and slowest hundredth in milliseconds."""
    cuts = statistics.quantiles(took, n=100)
    return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms of {len(took)}"


def left(config: dict[str, Any]) -> int:
    from so.db.connection import Connection

    with Connection(config) as connection:
        tables = ("cache", "sessions")
        return sum(int(connection.scalar(f"select count(*) from {name}")) for name in tables)


def wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)


def worker(what: str, *rest: str) -> None:
    """What the processes beside this one do."""
    from so.server import serve

    app = application(json.loads(os.environ["BENCH_CONFIG"]))
    if what == "seed":
        app.install_tables()
        seed(app)
    elif what == "clean":
        clean(app)
    else:
        sys.exit(serve(app, port=int(rest[0]), workers=1, threads=4))


def main(engines: list[str]) -> None:
    """Both engines, or those that are named."""
    if "sqlite" in engines:
        path = f"{tempfile.mkdtemp(prefix='so_bench_')}/db.sqlite"
        print("sqlite:", measured({"driver": "sqlite", "database": path}), flush=True)
    if "mariadb" in engines:
        from so.db.connection import Connection
        from tests.support.mariadb import find_or_start

        server = find_or_start()
        try:
            with Connection(server.config()) as connection:
                connection.statement("create database bench_cleaning collate utf8mb4_unicode_ci")
            print("mariadb:", measured(server.config("bench_cleaning")), flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] and sys.argv[1] in ("seed", "clean", "serve"):
        worker(*sys.argv[1:])
    else:
        main(sys.argv[1:] or ["sqlite", "mariadb"])
