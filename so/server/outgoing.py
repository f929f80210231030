"""What a connection still has to send: bytes in memory, then a file of its own, or somebody's file.

A client that reads slowly, or not at all, costs a bounded amount of memory and no thread: beyond
the limit what it is owed goes to a temporary file. Who may add, and when sending is tried, is
decided by the owner of the connection.
"""

import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import IO

from so.server.limits import CheckedLimits
from so.server.links import Link

_SLICE_BYTES = 256 * 1024
_ROUND_BYTES = 1024 * 1024
_JOIN_BYTES = 16 * 1024


class _Stretch:
    """A part of a file, from an offset on."""

    __slots__ = ("close", "file", "offset", "size")

    def __init__(self, file: IO[bytes], offset: int, size: int, close: Callable[[], object]):
        self.file = file
        self.offset = offset
        self.size = size
        self.close = close

    def send(self, link: Link) -> int:
        count = min(self.size, _SLICE_BYTES)
        if isinstance(link, socket.socket):
            sent = os.sendfile(link.fileno(), self.file.fileno(), self.offset, count)
        else:
            sent = link.send(os.pread(self.file.fileno(), count, self.offset))
        if sent == 0:
            raise OSError("the file is shorter than it was")
        self.offset += sent
        self.size -= sent
        return sent


class Budget:
    """The bytes all connections of a worker may keep together, in memory or in files."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Reserve *count* bytes; False when that is more than there is."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
        return True

    def spend(self, count: int) -> None:
        """Use *count* bytes, whether they are there or not."""
        with self._lock:
            self._left -= count

    @property
    def is_spent(self) -> bool:
        """True when nothing is left."""
        return self._left <= 0

    def give(self, count: int) -> None:
        """Give *count* bytes back."""
        with self._lock:
            self._left += count


class Outgoing:
    """The queue of one connection, sent in order."""

    __slots__ = ("_budget", "_files", "_limits", "_memory", "_overflow", "_parts")

    def __init__(self, limits: CheckedLimits, budget: Budget, files: Budget) -> None:
        """Of *limits*, those of a response count here; *budget* and *files* those of all."""
        self._limits = limits
        self._budget = budget
        self._files = files
        self._parts: deque[memoryview | _Stretch] = deque()
        self._memory = 0
        self._overflow: _Stretch | None = None

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def is_in_file(self) -> bool:
        """True when there was more than memory is meant for."""
        return self._overflow is not None

    @property
    def is_full(self) -> bool:
        """True when memory and file are used up: the producer has to wait."""
        return self._overflow is not None and (
            self._overflow.size >= self._limits.response_file_bytes or self._files.is_spent
        )

    def add(self, data: bytes | memoryview) -> None:
        """Queue *data*, in memory as long as there is room."""
        size = len(data)
        if (
            self._overflow is not None
            or self._memory + size > self._limits.response_memory_bytes
            or not self._budget.take(size)
        ):
            self._add_to_file(data)
        else:
            self._memory += size
            self._add_to_memory(data)

    def _add_to_memory(self, data: bytes | memoryview) -> None:
        last = self._parts[-1] if self._parts else None
        if isinstance(last, memoryview) and len(last) + len(data) <= _JOIN_BYTES:
            # A part costs some 300 bytes of its own, which is much for the pieces of a stream.
            self._parts[-1] = memoryview(b"".join((last, data)))
        else:
            # A copy: a view would keep the whole of the response alive for the sake of its end.
            self._parts.append(memoryview(bytes(data)))

    def add_file(
        self, file: IO[bytes], offset: int, size: int, close: Callable[[], object]
    ) -> None:
        """Queue *size* bytes of *file*; *close* is called when they are sent or given up."""
        self._parts.append(_Stretch(file, offset, size, close))

    def _add_to_file(self, data: bytes | memoryview) -> None:
        if self._overflow is None:
            import tempfile

            file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by the stretch)
            self._overflow = _Stretch(file, 0, 0, file.close)
            self._parts.append(self._overflow)
        stretch = self._overflow
        view = memoryview(data)
        while view:
            written = os.pwrite(stretch.file.fileno(), view, stretch.offset + stretch.size)
            stretch.size += written
            self._files.spend(written)
            view = view[written:]

    def flush(self, link: Link) -> int:
        """Send what *link* takes, up to a mebibyte; the bytes sent. OSError when it is broken."""
        total = 0
        while self._parts and total < _ROUND_BYTES:
            part = self._parts[0]
            try:
                if isinstance(part, _Stretch):
                    total += part.send(link)
                    finished = part.size == 0
                else:
                    sent = link.send(part[:_SLICE_BYTES])
                    self._memory -= sent
                    self._budget.give(sent)
                    total += sent
                    finished = sent == len(part)
                    if not finished:
                        self._parts[0] = part[sent:]
            except BlockingIOError:
                break
            if finished:
                self._retire()
        return total

    def _retire(self) -> None:
        part = self._parts.popleft()
        if isinstance(part, _Stretch):
            if part is self._overflow:
                self._overflow = None
                self._files.give(part.offset + part.size)
            with contextlib.suppress(Exception):
                part.close()

    def clear(self) -> None:
        """Give up on everything that waits."""
        while self._parts:
            self._retire()
        if self._memory:
            self._budget.give(self._memory)
            self._memory = 0
