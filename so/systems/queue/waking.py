"""How an idle worker learns that there is work: a bell on this machine, a glance at the database.

Each worker process binds a datagram socket in one folder and every dispatcher of the machine sends
it a byte, without waiting and without failing if nobody listens. The glance finds what the bell
cannot tell: rows written by hand, from other machines, or due by now.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from so.support.clock import Clock
from so.support.ids import short_id
from so.systems.queue.tables.jobs import JobStore
from so.systems.queue.tables.sql import read

_LONGEST_ADDRESS = 100
_ENDING = ".bell"
# For so long the list of bells counts as complete. A worker that has hung up its own meanwhile
# looks at the table by itself first.
_LOOK_SECONDS = 0.002
BUSY_SECONDS = 10.0
SQLITE_PAUSES = (0.02, 0.05)
RUNG_PAUSES = (0.05, 0.1)
MYSQL_FIRST_PAUSE = 0.05
MYSQL_LONGEST_PAUSE = 1.0


class Bell:
    """Rings every worker that listens in *folder*; does nothing without a folder."""

    def __init__(self, folder: str | None) -> None:
        """The folder need not exist yet: workers make it."""
        self.folder = folder
        self._seen = -1
        self._looked_at = -1.0
        self._peers: list[str] = []
        self._socket: socket.socket | None = None

    def ring(self) -> None:
        """Wake the workers here. Never blocks and never raises."""
        if self.folder is None:
            return
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._look()
        for peer in self._peers:
            self._send(peer)

    def _look(self) -> None:
        assert self.folder is not None
        with contextlib.suppress(OSError):
            changed = os.stat(self.folder).st_mtime_ns
            if changed != self._seen:
                self._peers = [n for n in os.listdir(self.folder) if n.endswith(_ENDING)]
                self._seen = changed

    def _send(self, name: str) -> None:
        assert self.folder is not None
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        try:
            with _address(self.folder, name) as address:
                self._socket.sendto(b"\n", address)
        except ConnectionRefusedError:
            # Its owner was killed: nobody else will tidy up.
            with contextlib.suppress(OSError):
                (Path(self.folder) / name).unlink()
        except OSError:
            pass  # it is being rung by others already, or it has just gone

    def close(self) -> None:
        """Let the sending socket go; the next ring opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    __del__ = close

    def listen(self) -> Ear | None:
        """A place to be rung at; None without a folder, or where it cannot be written to."""
        if self.folder is None:
            return None
        self._looked_at = -1.0
        try:
            return Ear(self.folder)
        except OSError:
            return None


class Ear:
    """One worker process's end of the bell; its forked children share it."""

    def __init__(self, folder: str) -> None:
        """Bind in *folder*, which is made if it is missing."""
        self._owner = os.getpid()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = f"{self._owner}-{short_id()}{_ENDING}"
        self._socket.setblocking(False)
        with _address(folder, self._name) as address:
            self._socket.bind(address)

    def fileno(self) -> int:
        """What to select on."""
        return self._socket.fileno()

    def drain(self) -> None:
        """Take what has rung so far; the look that follows answers all of it."""
        with contextlib.suppress(OSError):
            while self._socket.recv(64):
                pass

    def pass_on(self) -> None:
        """Ring here once more, for a sibling that sleeps on the same socket."""
        with (
            contextlib.suppress(OSError),
            _address(self._folder, self._name) as address,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(b"\n", address)

    def __del__(self) -> None:
        self._socket.close()

    def close(self) -> None:
        """Stop listening; the process that made it removes its name."""
        self._socket.close()
        if os.getpid() == self._owner:
            with contextlib.suppress(OSError):
                (Path(self._folder) / self._name).unlink()


@contextlib.contextmanager
def _address(folder: str, name: str) -> Any:
    """A path for the socket that fits into the 108 bytes an address has."""
    path = f"{folder}/{name}"
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield path
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)


class Watch:
    """The glance: whether a job waits, as cheaply as the engine allows."""

    def __init__(
        self, store: JobStore, conn: Any, clock: Clock, longest: float, *, has_bell: bool = False
    ) -> None:
        """*conn* is used by nobody else; *longest* is the longest pause between two looks.

        With a bell the glance is for what the bell does not tell, and may be less frequent.
        """
        self._pauses = RUNG_PAUSES if has_bell else SQLITE_PAUSES
        self._store = store
        self._conn = conn
        self._clock = clock
        self._longest = longest
        self._is_sqlite = store.dialect == "sqlite"
        self._version: int | None = None
        self._next_due = 0.0
        self._active_at = time.monotonic()
        self._pause = MYSQL_FIRST_PAUSE

    def look(self, queues: Sequence[str]) -> bool:
        """Whether one of *queues* has a job that is due."""
        if not queues or not self._may_have_changed():
            return False
        now = self._clock.time()
        found = any(self._store.is_due(self._conn, queue, int(now)) for queue in queues)
        if found:
            self._version = None  # look again even if nothing else changes: it still waits
            self.note_activity()
        elif self._is_sqlite:
            moments = [self._store.next_due(self._conn, queue, int(now)) for queue in queues]
            self._next_due = min([m for m in moments if m is not None], default=float("inf"))
        return found

    def _may_have_changed(self) -> bool:
        if not self._is_sqlite:
            return True
        version = int(read(self._conn, "pragma data_version")[0][0])
        changed = version != self._version or self._clock.time() >= self._next_due
        self._version = version
        return changed

    def note_activity(self) -> None:
        """There was work just now: look more often for a while."""
        self._active_at = time.monotonic()
        self._pause = MYSQL_FIRST_PAUSE

    def pause(self) -> float:
        """Seconds until the next look."""
        if self._is_sqlite:
            busy = time.monotonic() - self._active_at < BUSY_SECONDS
            return min(self._pauses[0 if busy else 1], self._longest)
        pause = min(self._pause, self._longest)
        self._pause = min(self._pause * 1.5, MYSQL_LONGEST_PAUSE)
        return pause

    def close(self) -> None:
        """Close its connection."""
        self._conn.close()
