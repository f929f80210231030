"""A part of a file as the body of a response."""

from __future__ import annotations

import io
from collections.abc import Iterator

CHUNK_BYTES = 64 * 1024


class FileSlice:
    """Some bytes of a file: in chunks, or as a file for a server that sends one by itself.

    It closes the file. Whoever reads, reads no further than it goes; who takes the descriptor
    instead finds it at the right place, and the number of bytes in Content-Length.
    """

    def __init__(self, file: io.FileIO, start: int, length: int) -> None:
        """*length* bytes from *start* on."""
        self.raw = file
        self.narrow(start, length)

    def narrow(self, start: int, length: int) -> None:
        """Send these bytes instead."""
        self.raw.seek(start)
        self._left = length

    @property
    def is_long(self) -> bool:
        """Whether it is more than one chunk: less is read sooner than handed over."""
        return self._left > CHUNK_BYTES

    def fileno(self) -> int:
        """The descriptor of the file."""
        return self.raw.fileno()

    def tell(self) -> int:
        """Where in the file the next byte stands."""
        return self.raw.tell()

    def read(self, size: int = -1) -> bytes:
        """Up to *size* bytes, b"" at the end. OSError for a file that ends before."""
        wanted = self._left if size < 0 else min(size, self._left)
        chunk = self.raw.read(wanted)
        if wanted and not chunk:
            # The length was promised; a file cut short meanwhile must not look whole.
            raise OSError("the file became shorter while it was sent")
        self._left -= len(chunk)
        return chunk

    def __iter__(self) -> Iterator[bytes]:
        try:
            while chunk := self.read(CHUNK_BYTES):
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self.raw.close()

    def __del__(self) -> None:
        self.raw.close()
