"""The Python stack of a stuck process, told by a handler in C even while it is in C code."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import tempfile
import time
from typing import BinaryIO

STACK_SIGNAL = signal.SIGUSR1
PATIENCE_SECONDS = 0.25
LONGEST = 4000  # characters of one that is shown while a job is under way


class StackFile:
    """A nameless file that one process writes its stack to when another one asks."""

    def __init__(self) -> None:
        """Made before the fork, so that both have it."""
        self._file: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # lives on

    def register(self) -> None:
        """Let this process answer STACK_SIGNAL from now on."""
        faulthandler.register(STACK_SIGNAL, file=self._file, all_threads=False)

    def unregister(self) -> None:
        """Stop answering."""
        faulthandler.unregister(STACK_SIGNAL)

    def ask(self, pid: int) -> str:
        """The stack of the process *pid* at this moment; empty if it cannot even say that."""
        number = self._file.fileno()
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, STACK_SIGNAL)
        deadline, text = time.monotonic() + PATIENCE_SECONDS, b""
        while time.monotonic() < deadline:
            found = os.pread(number, 100_000, 0)
            if found and found == text:
                break  # it has not grown any more: that is all
            text = found
            time.sleep(0.005)
        return text.decode("utf-8", "replace")

    def close(self) -> None:
        """Let it go."""
        self._file.close()
