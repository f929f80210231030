"""What every test of the queue needs: a queue on each engine, and a worker in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from so.support.clock import Clock
from so.support.current import replaced
from so.systems.queue import Queue
from so.systems.worker import Worker, WorkerOptions
from tests.systems.queue.jobs import DIARY


@pytest.fixture
def queue(db: Any, clock: Clock) -> Iterator[Queue]:
    """A queue over `db`; `Job.dispatch()` uses it, too."""
    DIARY.clear()
    found = Queue(db, clock=clock)
    with replaced("queue", found):
        yield found


@pytest.fixture
def worker(queue: Queue) -> Iterator[Worker]:
    """A worker of the default queue in this process."""
    found = Worker(queue, WorkerOptions())
    yield found
    found.leave()
    if not found.is_alone:
        found.conn.close()


def beat(queue: Queue, clock: Clock, **more: Any) -> None:
    """A worker of a crew was here a moment ago."""
    row = {
        "id": "w1",
        "host": "erp1",
        "pid": 7,
        "queues": ["default", "low"],
        "processes": 2,
        "state": "running",
        "generation": 0,
        "done": 0,
        "failed": 0,
        "started_at": int(clock.time()),
        "current": [],
    }
    queue.control.beat(queue.source.connection(), {**row, **more})
