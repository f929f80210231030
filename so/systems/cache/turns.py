"""One thread of this process after the other, for each key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Locks by key that exist only while somebody holds or awaits one."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[threading.Lock, list[int]]] = {}
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._locks)

    @contextmanager
    def taken(self, key: str, wait_seconds: float) -> Iterator[bool]:
        """Hold *key* for the block, or go on without after *wait_seconds*; True if it was free."""
        with self._guard:
            lock, users = self._locks.setdefault(key, (threading.Lock(), [0]))
            users[0] += 1
        free = lock.acquire(blocking=False)
        mine = free or lock.acquire(timeout=min(max(0.0, wait_seconds), threading.TIMEOUT_MAX))
        try:
            yield free
        finally:
            if mine:
                lock.release()
            with self._guard:
                users[0] -= 1
                if not users[0]:
                    del self._locks[key]
