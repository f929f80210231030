"""The queue part: an application in the given folder, used as docs/queue-system.md says."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "config/app.py": 'config = {"env": "production", "key": "Zk3vQp9mXr7sLd2wTg5h",'
    ' "name": "bench"}\n',
    "config/database.py": """config = {"default": "sqlite", "connections": {
    "sqlite": {"driver": "sqlite", "database": "queue.sqlite"}}}
""",
    "config/queue.py": 'config = {"wake_path": "wake"}\n',
    "app/__init__.py": "",
    "app/jobs.py": """from queue_jobs import stamp
from so import Job


class Stamp(Job):
    def __init__(self, sent: float) -> None:
        self.sent = sent

    def handle(self) -> None:
        stamp(self.sent)
""",
}


def _application(folder: Path) -> Any:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    sys.path.insert(0, str(ROOT))
    from so.application import Application
    from so.console.kernel import Kernel

    app = Application(folder)
    app.__enter__()
    Kernel(app).call("db:install")
    return app


def queue(folder: str) -> dict[str, Any]:
    """The calls the queue part measures."""
    app = _application(Path(folder))
    (jobs,) = app.discover("jobs")
    stamp, queue = jobs.Stamp, app.make("queue")
    from so.systems.worker import Worker

    worker = Worker(queue)

    def enqueue(count: int) -> None:
        for _ in range(count):
            queue.push(stamp(time.monotonic()))

    def bulk(count: int) -> None:
        queue.bulk(stamp(time.monotonic()) for _ in range(count))

    def claim(count: int) -> None:
        for _ in range(count):
            worker.take()

    def workers(count: int) -> dict[str, Any]:
        start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from so.console.main import main; "
        start += f"sys.exit(main(base_path={folder!r}))"
        argv = [sys.executable, "-c", start, "queue:work", f"--workers={count}", "--quiet"]
        bench = next((p for p in sys.path if (Path(p) / "queue_jobs.py").is_file()), "")
        return {"argv": argv, "cwd": folder, "env": {"PYTHONPATH": bench}}

    return {
        "enqueue": enqueue,
        "bulk": bulk,
        "fill": bulk,
        "claim": claim,
        "clear": queue.clear,
        "workers": workers,
        "stop": lambda: app.__exit__(None, None, None),
    }
