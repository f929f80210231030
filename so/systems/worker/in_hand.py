"""The jobs that one process has in hand: claimed, running, or ended and not yet removed.

Two threads work on them, under one lock: the worker (loop.py) and that of the leftovers.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any

from so.support.ids import short_id
from so.systems.queue.queue import Queue
from so.systems.queue.tables.jobs import Reserved
from so.systems.worker.lines import JobLines
from so.systems.worker.options import WorkerOptions


def worker_name() -> str:
    """A name for this process that no other has had: host, pid and something random."""
    host = "".join(c for c in socket.gethostname() if c.isascii() and c.isalnum() or c == "-")
    return f"{host[:20]}-{os.getpid()}-{short_id()}"


class InHand:
    """What is claimed under one worker's name, and how far it is."""

    def __init__(
        self, queue: Queue, options: WorkerOptions | None, out: Callable[[str], Any] | None
    ) -> None:
        """*out* gets the lines (None: nothing is printed)."""
        self.queue = queue
        self.options = options or WorkerOptions(queues=[queue.default_queue])
        self.name = worker_name()
        self.store = queue.store
        self.lines = JobLines(queue.clock, as_json=self.options.as_json, out=out)
        self.lock = Lock()
        self.waiting: deque[Reserved] = deque()
        self.finished: list[Reserved] = []
        self.leaving: list[Reserved] = []
        """What the thread of the leftovers is about to write down."""
        self.current: Reserved | None = None
        self.current_since = 0.0
        self.sequence = 0
        self.on_claim: Callable[[int], None] = lambda number: None
