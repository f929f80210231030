"""One line for each request: in the Common Log Format (combined), or as JSON.

Lines are collected and written by the loop, many at a time and whole. Addresses stay numbers:
nothing is looked up. Rotating the file is logrotate's business; a reload opens it anew.
"""

from __future__ import annotations

import json
import os
import re
import select
import stat
import sys
import time

from so.errors import ServerError
from so.server.connection import ClientConnection
from so.server.wire import RequestHead
from so.support.httpwords import MONTHS

FORMATS = ("common", "json")
_UNWRITTEN_BYTES = 1024 * 1024
_UNSAFE = re.compile(r'[\x00-\x1f"\\\x7f-\xff]')


class AccessLog:
    """Writes to a descriptor; several processes may share the file behind it."""

    def __init__(self, target: str, form: str = "common") -> None:
        """*target* is a path, or "-" for standard output; *form* one of FORMATS."""
        if form not in FORMATS:
            raise ServerError(f"unknown access log format {form!r}: use {' or '.join(FORMATS)}")
        self._is_json = form == "json"
        self._form = self._json if self._is_json else self._common
        self._lines: list[str] = []
        self._unwritten = bytearray()
        self._second = 0
        self._stamp = ""
        self._is_file = target != "-"
        if self._is_file:
            # Opening a named pipe would wait for its reader otherwise.
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK
            try:
                self._fd = os.open(target, flags, 0o640)
            except OSError as error:
                raise ServerError(
                    f"cannot write the access log {target}: {error.strerror}"
                ) from error
        elif sys.stdout is None:
            raise ServerError("cannot write the access log: there is no standard output")
        else:
            self._fd = sys.stdout.fileno()
        # Writing to a pipe would wait for a reader that may be stuck.
        self._poller: select.poll | None = None
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._poller = select.poll()
            self._poller.register(self._fd, select.POLLOUT)

    def close(self) -> None:
        """Let go of the file."""
        if self._is_file:
            os.close(self._fd)

    def add(
        self, connection: ClientConnection, head: RequestHead, code: int, sent: int, seconds: float
    ) -> None:
        """Note one answered request; *sent* bytes of content."""
        line = self._form(connection, head, code, sent, seconds)
        # Looked up after the line is made: meanwhile the loop may have taken the list away.
        self._lines.append(line)

    def add_refusal(self, connection: ClientConnection, status: int) -> None:
        """Note that what came was no request."""
        address = connection.base.get("REMOTE_ADDR", "")
        if self._is_json:
            entry = {"time": round(time.time(), 6), "client": address, "status": status}
            self._lines.append(json.dumps(entry, separators=(",", ":")) + "\n")
        else:
            self._lines.append(f'{address or "-"} - - [{self._time()}] "-" {status} 0 "-" "-" 0\n')

    def flush(self, patience_seconds: float = 0.0) -> None:
        """Write what has been collected, as far as it is taken within *patience_seconds*."""
        if self._lines:
            lines, self._lines = self._lines, []
            # Who does not read for so long has to do without.
            if len(self._unwritten) < _UNWRITTEN_BYTES:
                self._unwritten += "".join(lines).encode()
        while self._unwritten and self._is_taken(patience_seconds):
            try:
                written = os.write(self._fd, self._next_piece())
            except BlockingIOError:
                return
            except OSError:
                # A log that can't be written must not stop the server.
                written = len(self._unwritten)
            del self._unwritten[:written]

    def _is_taken(self, seconds: float) -> bool:
        return self._poller is None or bool(self._poller.poll(seconds * 1000))

    def _next_piece(self) -> bytes:
        """All there is for a file; for a pipe whole lines, and no more than it takes at once."""
        if self._poller is None:
            return bytes(self._unwritten)
        end = self._unwritten.rfind(b"\n", 0, select.PIPE_BUF) + 1
        return bytes(self._unwritten[: end or select.PIPE_BUF])

    def _time(self) -> str:
        second = int(time.time())
        if second != self._second:
            at = time.gmtime(second)
            self._stamp = (
                f"{at.tm_mday:02}/{MONTHS[at.tm_mon - 1]}/{at.tm_year}:"
                f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"
            )
            self._second = second
        return self._stamp

    def _common(
        self, connection: ClientConnection, head: RequestHead, code: int, sent: int, seconds: float
    ) -> str:
        fields = head.fields
        address = connection.base.get("REMOTE_ADDR") or "-"
        referer = _safe(fields.get("HTTP_REFERER", "-"))
        agent = _safe(fields.get("HTTP_USER_AGENT", "-"))
        request = f"{head.method} {_safe(head.target)} HTTP/1.{head.minor}"
        return (
            f'{address} - - [{self._time()}] "{request}" '
            f'{code} {sent} "{referer}" "{agent}" {seconds:.6f}\n'
        )

    def _json(
        self, connection: ClientConnection, head: RequestHead, code: int, sent: int, seconds: float
    ) -> str:
        entry = {
            "time": round(time.time(), 6),
            "client": connection.base.get("REMOTE_ADDR", ""),
            "method": head.method,
            "target": head.target,
            "protocol": f"HTTP/1.{head.minor}",
            "host": head.fields.get("HTTP_HOST", ""),
            "status": code,
            "bytes": sent,
            "seconds": round(seconds, 6),
            "referer": head.fields.get("HTTP_REFERER", ""),
            "agent": head.fields.get("HTTP_USER_AGENT", ""),
        }
        return json.dumps(entry, separators=(",", ":")) + "\n"


def _safe(text: str) -> str:
    """*text* without anything that could end the field or the line, or move a terminal."""
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
