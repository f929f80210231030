"""Sessions that nobody uses at the moment, kept open for the next request, job or thread.

Only engines whose sessions cost a network handshake are pooled. The last one given back is the
first to be taken, so that a burst's extra sessions grow old and are closed.
"""

from __future__ import annotations

import time
import weakref
from threading import Lock

from so.db.dialects import DriverSession


class Pool:
    """Open sessions by connection name, role and host."""

    def __init__(self, max_idle: int = 64) -> None:
        """Keep at most *max_idle* sessions of one kind; more are closed when given back."""
        self._max_idle = max_idle
        self._idle: dict[tuple[str, str, str], list[DriverSession]] = {}
        self._lock = Lock()
        _pools.add(self)

    def take(self, name: str, role: str, host: str, max_age: float | None) -> DriverSession | None:
        """A waiting session not older than *max_age* seconds, or None."""
        while True:
            with self._lock:
                waiting = self._idle.get((name, role, host))
                if not waiting:
                    return None
                session = waiting.pop()
            if not max_age or time.monotonic() - session.opened_at < max_age:
                return session
            session.close()

    def give(self, name: str, role: str, session: DriverSession) -> None:
        """Keep *session* for the next taker."""
        with self._lock:
            waiting = self._idle.setdefault((name, role, session.host), [])
            if len(waiting) < self._max_idle:
                waiting.append(session)
                return
        session.close()

    def close(self, name: str | None = None) -> None:
        """Close the waiting sessions, of connection *name* only if given."""
        with self._lock:
            keys = [key for key in self._idle if name is None or key[0] == name]
            sessions = [session for key in keys for session in self._idle.pop(key)]
        for session in sessions:
            session.close()

    def _abandon(self) -> None:
        """In a forked child: forget the parent's sessions, and its lock if it was held."""
        self._lock = Lock()
        for waiting in self._idle.values():
            for session in waiting:
                session.abandon()
        self._idle = {}


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def forget_inherited() -> None:
    """In a forked child: abandon what the parent's pools hold."""
    for pool in list(_pools):
        pool._abandon()
