"""Whose turn it is to seal a database on this machine: a lock on a small file.

Sixteen processes that all seal what they commit get into each other's way, and the database does
the same work sixteen times. The one that has the lock seals for all; who finds it taken leaves word
by touching the file, and the one that has it looks before it goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import Any

from so.db.connection import Connection
from so.db.options import file_of

try:
    import fcntl
except ImportError:  # there each process seals for itself
    fcntl = None  # type: ignore[assignment]


class SealTurn:
    """The turn at one database; always ours where no file can be kept."""

    def __init__(self, path: str | None) -> None:
        self._path = path if fcntl is not None else None
        self._file: int | None = None

    def ask(self) -> int:
        """Leave word that there is something to seal; what `asked()` gives now."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                os.close(self._open())
                os.utime(self._path)
        return self.asked()

    def asked(self) -> int:
        """When word was left last, in nanoseconds."""
        try:
            return os.stat(self._path).st_mtime_ns if self._path is not None else 0
        except OSError:
            return 0

    def take(self) -> bool:
        """True if it is our turn now, until `give_up()`."""
        if self._path is None:
            return True
        try:
            self._file = self._open()
            # Not flock: that lock would go with a fork into a child that outlives the sealing.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.give_up()
            return False
        except OSError:  # no place for the file: seal, as the database itself keeps two apart
            self.give_up()
        return True

    def give_up(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def leave(self) -> None:
        """Take the file away, as nothing is left to seal.

        Who has opened it just now may seal beside another, which only costs work.
        """
        if self._path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _open(self) -> int:
        assert self._path is not None
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)


def turn_of(connection: Connection) -> SealTurn:
    """The turn at the database of *connection*."""
    config: Any = connection.config
    places = [str(config.get(name)) for name in ("driver", "host", "port", "unix_socket")]
    database = str(config["database"])
    if connection.dialect.name == "sqlite":
        file = file_of(database)
        if file is None:
            return SealTurn(None)
        database = os.path.realpath(file)
    name = hashlib.sha256("\0".join([*places, database]).encode()).hexdigest()
    user = os.getuid() if hasattr(os, "getuid") else 0
    import tempfile  # with shutil and more: only who seals needs it

    return SealTurn(os.path.join(tempfile.gettempdir(), f"so-seal-{user}-{name[:32]}"))
