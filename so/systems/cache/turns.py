"""One thread of this process after the other, for each key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto


class Turn(Enum):
    """How a turn was come by."""

    AT_ONCE = auto()
    AWAITED = auto()
    IN_VAIN = auto()  # not at all


class Turns:
    """Locks by key that exist only while somebody holds or awaits one."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[threading.Lock, list[int]]] = {}
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._locks)

    @contextmanager
    def taken(self, key: str, wait_seconds: float) -> Iterator[Turn]:
        """Hold *key* for the block, if it is free within *wait_seconds*; says whether it was."""
        with self._guard:
            lock, users = self._locks.setdefault(key, (threading.Lock(), [0]))
            users[0] += 1
        turn = Turn.AT_ONCE if lock.acquire(blocking=False) else Turn.IN_VAIN
        if turn is Turn.IN_VAIN and lock.acquire(
            timeout=min(max(0.0, wait_seconds), threading.TIMEOUT_MAX)
        ):
            turn = Turn.AWAITED
        try:
            yield turn
        finally:
            if turn is not Turn.IN_VAIN:
                lock.release()
            with self._guard:
                users[0] -= 1
                if not users[0]:
                    del self._locks[key]
