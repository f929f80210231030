"""Real worker processes around a real database, and ways to wait for what they do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from so.db.manager import Database
from so.systems.queue import Queue

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = float(os.environ.get("SIXORBIT_PATIENCE", "60"))


class World:
    """One database, its queue, and the worker processes a test has started."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.db = Database({"default": config})
        self.queue = Queue(self.db, wake_folder=str(folder / "bells"))
        self.processes: list[subprocess.Popen[bytes]] = []
        self.db.connection().unprepared("drop table if exists effects")
        engine = self.db.connection().dialect.name
        key = "integer primary key" if engine == "sqlite" else "int primary key auto_increment"
        self.db.connection().unprepared(
            f"create table effects (id {key}, mark varchar(200), pid int)"
        )

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        """A worker process, with quick leases and graces."""
        chosen = {"lease_seconds": 3, "kill_grace_seconds": 0.5, "stop_grace_seconds": 10.0}
        order = {
            "database": self.config,
            "wake_folder": str(self.folder / "bells"),
            "options": {**chosen, **options},
        }
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.queue_process", json.dumps(order)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    @property
    def log(self) -> str:
        """Everything the workers have said."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def effects(self, like: str = "%") -> list[str]:
        """The marks that jobs have left, in order."""
        rows = self.db.connection().select_tuples(
            "select mark from effects where mark like ? order by id", (like,)
        )
        return [str(row[0]) for row in rows]

    def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        """Wait for *condition* to hold."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"waited in vain {what}: {self.effects()[-20:]}\n{self.log[-5000:]}")

    def until_empty(self) -> None:
        """Wait until no job is left."""
        self.until(lambda: self.queue.size() == 0, "for an empty queue")

    def stop(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        process.send_signal(number)
        return process.wait(PATIENCE)

    def children(self, process: subprocess.Popen[bytes]) -> list[int]:
        """The processes that a crew has forked."""
        try:
            path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            return [int(pid) for pid in path.read_text().split()]
        except OSError:
            return []

    def close(self) -> None:
        """End what still runs, by the numbers that this test knows."""
        for process in self.processes:
            if process.poll() is None:
                for pid in [*self.children(process), process.pid]:
                    for kind in (signal.SIGCONT, signal.SIGKILL):
                        try:
                            os.kill(pid, kind)
                        except ProcessLookupError:
                            break
                process.wait(PATIENCE)
        self.db.connection().unprepared("drop table if exists effects")
        self.queue.bell.close()
        self.db.close()


def worlds(config: dict[str, Any], folder: Path) -> Iterator[World]:
    """A World for one test."""
    world = World(config, folder)
    try:
        yield world
    finally:
        world.close()
