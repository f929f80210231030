"""What a worker prints: one line when a job starts and one when it has ended."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from so.support.clock import Clock

log = logging.getLogger("so.queue")
HELD_LINES = 200
HELD_SECONDS = 0.02


def to_stdout(text: str) -> None:
    """Write *text* with one system call, so that lines of several processes do not mix."""
    sys.stdout.flush()
    try:
        number = sys.stdout.fileno()
    except io.UnsupportedOperation:
        sys.stdout.write(text)
    else:
        os.write(number, text.encode("utf-8", "backslashreplace"))


class JobLines:
    """Collects lines for a moment: a write for each would cost more than a short job does.

    Where they cannot be written (a closed pipe, a full disk) they are dropped: work goes on.
    """

    def __init__(
        self, clock: Clock, *, as_json: bool, out: Callable[[str], Any] | None = to_stdout
    ) -> None:
        """*out* gets whole lines; None prints nothing."""
        self._clock = clock
        self._as_json = as_json
        self._out = out
        self._is_broken = False
        self._held: list[str] = []
        self._since = 0.0
        self._second = -1
        self._stamp = ""
        self._lock = threading.Lock()

    def tell(
        self, row: Any, name: str, status: str, seconds: float | None = None, note: str = ""
    ) -> None:
        """One line about the job in *row*."""
        if self._out is None:
            return
        if self._as_json:
            text = self._json(row, name, status, seconds, note)
        else:
            took = "" if seconds is None else f" {seconds * 1000:.2f} ms"
            tail = f" {note}" if note else ""
            text = (
                f"{self._time()} {row.id} {name} {row.queue} attempt {row.runs} "
                f"{status}{took}{tail}\n"
            )
        with self._lock:
            if not self._held:
                self._since = time.monotonic()
            self._held.append(text)
            due = len(self._held) >= HELD_LINES or time.monotonic() - self._since > HELD_SECONDS
        if due:
            self.flush()

    def flush(self) -> None:
        """Print what was held back."""
        with self._lock:
            held, self._held = self._held, []
        if not held or self._out is None:
            return
        try:
            self._out("".join(held))
        except Exception as error:
            if not self._is_broken:
                self._is_broken = True
                log.warning("queue: what the worker prints is lost from now on: %s", error)

    def _time(self) -> str:
        second = int(self._clock.time())
        if second != self._second:
            self._second = second
            self._stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return self._stamp

    def _json(self, row: Any, name: str, status: str, seconds: float | None, note: str) -> str:
        fields = {
            "time": self._clock.now().isoformat(timespec="milliseconds"),
            "id": row.id,
            "uuid": row.uuid,
            "job": name,
            "queue": row.queue,
            "attempt": row.runs,
            "status": status,
        }
        if seconds is not None:
            fields["ms"] = round(seconds * 1000, 2)
        if note:
            fields["note"] = note
        return json.dumps(fields, ensure_ascii=False) + "\n"
