"""Keeps locks alive while their holders work, so that slow work is told from a dead process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from so.support.processes import after_fork

IDLE_SECONDS = 5  # without anything to keep, until the thread ends
_log = logging.getLogger("so.cache")


class Heartbeat:
    """One thread a process, only while there is something to keep; it ends with the process."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """As new: in a forked child the parent's thread and what it keeps are not there."""
        self._changed = threading.Condition()
        self._beats: dict[object, tuple[float, float, Callable[[], object]]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeping(self, beat: Callable[[], object], seconds: float) -> Iterator[None]:
        """Call *beat* every *seconds* during the block, from another thread."""
        mine = object()
        with self._changed:
            self._beats[mine] = (time.monotonic() + seconds, seconds, beat)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="so-cache", daemon=True)
                self._thread.start()
            elif len(self._beats) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._beats.pop(mine, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                due = min((at for at, _, _ in self._beats.values()), default=None)
                wait = IDLE_SECONDS if due is None else min(due - time.monotonic(), IDLE_SECONDS)
                woken = wait <= 0 or self._changed.wait(wait)
                if not self._beats and not woken:
                    self._thread = None
                    return
                now = time.monotonic()
                ready = {mine: one for mine, one in self._beats.items() if one[0] <= now}
            for mine, (_, seconds, beat) in ready.items():
                self._beat(beat)
                with self._changed:
                    if mine in self._beats:
                        self._beats[mine] = (time.monotonic() + seconds, seconds, beat)

    @staticmethod
    def _beat(beat: Callable[[], object]) -> None:
        try:
            beat()
        except Exception as error:
            _log.debug("a lock could not be kept: %s", error)


heartbeat = Heartbeat()
after_fork(heartbeat._forget)
