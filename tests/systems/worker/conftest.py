"""A worker's tests work a queue of their own: see the fixtures beside those of the queue."""

from __future__ import annotations

from tests.systems.queue.conftest import queue, worker

__all__ = ["queue", "worker"]
