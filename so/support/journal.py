"""A logging handler that writes to the systemd journal in its native protocol, with fields.

`journalctl REQUEST_ID=3f9c…` then finds every line of one request. Documented by systemd as
"Native Journal Protocol": one datagram an entry; one too big for a datagram goes as a sealed
file in memory.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from typing import Final

from so.support.scope import current_scope

JOURNAL_SOCKET: Final = "/run/systemd/journal/socket"

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class JournalHandler(logging.Handler):
    """Sends each record as one journal entry."""

    def __init__(self, ident: str = "so", path: str = JOURNAL_SOCKET) -> None:
        """Connect to the journal at *path*; raises OSError where there is none."""
        super().__init__()
        self.ident = ident
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        """Send *record*."""
        try:
            self._send(b"".join(_field(*pair) for pair in self._fields(record).items()))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        scope = current_scope()
        fields = {
            "MESSAGE": self.format(record),
            "PRIORITY": str(priority(record.levelno)),
            "SYSLOG_IDENTIFIER": self.ident,
            "LOGGER": record.name,
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
        }
        given = getattr(record, "request_id", None) or (scope and scope.request_id)
        return fields | ({"REQUEST_ID": str(given)} if given else {})

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.send(entry)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_as_file(entry)

    def _send_as_file(self, entry: bytes) -> None:
        descriptor = os.memfd_create("so-journal", os.MFD_ALLOW_SEALING)
        try:
            os.write(descriptor, entry)
            import fcntl  # where there is a journal, there it is

            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            socket.send_fds(self._socket, [b""], [descriptor])
        finally:
            os.close(descriptor)


def priority(levelno: int) -> int:
    """The syslog priority (2 critical … 7 debug) of a logging level."""
    return next((number for floor, number in _PRIORITIES if levelno >= floor), 7)


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
