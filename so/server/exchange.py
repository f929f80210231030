"""One request and its response: the WSGI side of the server (PEP 3333).

From a checked head and a complete body to the environ, from the application's answer to bytes.
Who runs it, and what becomes of the connection afterwards, is decided in so/server/loop.py.
"""

from __future__ import annotations

import logging
import os
import re
import select
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from typing import Any, Protocol

from so.errors import ServerError
from so.server.answers import date
from so.server.connection import Application, ClientConnection, ClientGone
from so.server.deadlines import ASK_SECONDS
from so.server.environ import environ_of, give_body
from so.server.held import HeldAnswer
from so.server.limits import CheckedLimits
from so.server.wire import RequestHead

log = logging.getLogger("so.server")

Headers = list[tuple[str, str]]

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_STATUS = re.compile(r"[2-5][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?")
_KEPT = 512
_JOIN_BYTES = 64 * 1024
_SLICE_BYTES = 512 * 1024
# A response of this size is on its way as a whole: TCP sends so much without waiting for an answer.
_FLIGHT_BYTES = 8192
# How fast a response is written to a file at most: the other threads want the interpreter, too.
_SPOOL_BYTES_PER_SECOND = 200 * 1024 * 1024

# Response names seen to be valid -> lower case. Applications choose them, so it stays small.
_names: dict[str, str] = {}
# Status text -> (status line, code, whether a body may follow).
_statuses: dict[str, tuple[str, int, bool]] = {}

_OWN = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class FileWrapper:
    """`wsgi.file_wrapper`: a file the server sends by itself, from its present position on."""

    def __init__(self, file: Any, block_size: int = 65536) -> None:
        """*file* needs `read()`; with `fileno()` it is sent without passing through here."""
        self.file = file
        self.block_size = block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self.file.read(self.block_size):
            yield block


class Service(Protocol):
    """What an exchange needs of its worker."""

    app: Application
    limits: CheckedLimits
    is_draining: bool
    pid: int

    def step_aside(self, number: int) -> bool: ...

    def offer(self) -> HeldAnswer | None: ...


class Exchange:
    """See the module. `run()` never raises; the outcome is in the connection and in here."""

    __slots__ = (
        "_claim",
        "_connection",
        "_declared",
        "_handed_over",
        "_head_sent",
        "_headers",
        "_held",
        "_left",
        "_mode",
        "_service",
        "code",
        "head",
        "is_aside",
        "number",
        "overdue",
        "progress",
        "sent",
        "started",
        "status",
    )

    def __init__(
        self, connection: ClientConnection, head: RequestHead, service: Service, now: float
    ) -> None:
        """*now* is when the request was complete."""
        self._connection = connection
        self._service = service
        self.head = head
        self.started = now
        # When its turn came, and then when the application last produced something; for the watch
        # over stuck requests.
        self.progress = now
        self.overdue = False
        # The thread it runs in, and whether another one works in its place.
        self.number = -1
        self.is_aside = False
        self.status = ""
        self.code = 0
        self.sent = 0
        self._headers: Headers = []
        self._head_sent = False
        self._declared: int | None = None
        self._left: int | None = None
        self._mode = ""
        self._handed_over = False
        self._held: HeldAnswer | None = None
        # Whoever takes the only item may begin the response: this exchange, or the watch.
        self._claim = [True]

    # --- the request -----------------------------------------------------------------------------

    def _environ(self) -> dict[str, Any]:
        connection, body = self._connection, self._connection.body
        environ = environ_of(connection.base, self.head)
        if body is not None:
            give_body(environ, body.open(), body.size)
        environ["so.disconnected"] = connection.is_disconnected
        environ["so.abort"] = self.abort
        environ["so.hold"] = self.hold
        return environ

    def run(self) -> None:
        """Run the application and send, or queue, its whole response."""
        if not self._claim:
            # Its client was sent away while it waited for a thread, and may try again.
            return
        result: Any = None
        try:
            result = self._service.app(self._environ(), self.start_response)
            self._respond(result)
        except ClientGone:
            self._connection.broken = True
        except BaseException:
            self._fail()
        finally:
            close = getattr(result, "close", None)
            if close is not None and not self._handed_over:
                self._close(close)
            if self._held is not None and self._connection.held is None:
                self._held.is_open = False  # it answered something else after all

    def _close(self, close: Callable[[], object]) -> None:
        try:
            close()
        except BaseException:
            log.exception("%s %s: closing the response failed", self.head.method, self.head.target)

    def _fail(self) -> None:
        """The application failed: a plain 500, or a cut connection if the response had begun."""
        if os.getpid() != self._service.pid:
            # A process the application has forked: sys.exit() is to end it, not to serve on in it.
            log.exception("a process forked by %s %s ends", self.head.method, self.head.target)
            os._exit(1)
        log.exception("%s %s failed", self.head.method, self.head.target)
        if self._head_sent:
            self.abort()
            return
        try:
            self._connection.closes = True
            self._declared = self._left = None
            self.status, self._headers = (
                "500 Internal Server Error",
                [("Content-Type", "text/plain")],
            )
            self._send_whole(b"Internal Server Error\n")
        except ClientGone:
            self._connection.broken = True

    # --- what the application may call -----------------------------------------------------------

    def start_response(
        self, status: str, headers: Headers, exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's `start_response`."""
        if exc_info is not None:
            try:
                if self._head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status:
            raise ServerError("start_response was called twice: only an error may replace a status")
        if not isinstance(headers, list):
            raise ServerError(
                f"start_response needs a list of headers, not {type(headers).__name__}"
            )
        self.status = status
        self._headers = headers
        return self.write

    def write(self, data: bytes) -> None:
        """Send *data* now; for old applications, new ones return an iterable."""
        if data:
            self._send_piece(data)

    def abort(self) -> None:
        """Cut the connection: the client must not take what it has for the whole response.

        `environ["so.abort"]`, for a source that breaks half way.
        """
        self._connection.cut()

    def hold(self) -> HeldAnswer | None:
        """Keep the response open when its stream has ended; None where that can't be.

        `environ["so.hold"]`, for an application that will have more to say: so/server/held.py.
        """
        if self._held is None and self.head.method != "HEAD":
            self._held = self._service.offer()
        return self._held

    # --- the response ----------------------------------------------------------------------------

    def _respond(self, result: Iterable[bytes]) -> None:
        if type(result) in (list, tuple) and not self._head_sent:
            self._send_whole(b"".join(result))
        elif not (isinstance(result, FileWrapper) and self._send_file(result)):
            for piece in result:
                if piece and not self._send_piece(piece):
                    break
            self._end_pieces()

    def _send_whole(self, body: bytes) -> None:
        head = self._begin(len(body))
        if self._mode == "none":
            self._connection.push(head)
            return
        if self._left is not None and self._left != len(body):
            body = self._fit(body)
        self.sent = len(body)
        if self._left:
            self._left -= len(body)
        if len(body) <= _JOIN_BYTES:
            self._connection.push(head + body)
        else:
            self._connection.push(head)
            view = memoryview(body)
            for at in range(0, len(body), _SLICE_BYTES):
                self._push(view[at : at + _SLICE_BYTES])
        self._check_end()

    def _send_piece(self, data: bytes) -> bool:
        """Send *data*; False when the client gets nothing of what follows."""
        prefix = b""
        if not self._head_sent:
            if not isinstance(data, bytes | bytearray | memoryview):
                raise ServerError(
                    f"the application gave a piece of {type(data).__name__}: it must be bytes"
                )
            prefix = self._begin(None)
        self.progress = time.monotonic()
        if self._mode == "none":
            if prefix:
                self._connection.push(prefix)
            return False
        size = len(data)
        if self._left is not None:
            data = self._fit(data)
            self._left -= len(data)
        is_cut = len(data) < size
        self.sent += len(data)
        if self._mode == "chunked":
            data = b"%s%x\r\n%s\r\n" % (prefix, len(data), data)
        elif prefix:
            data = prefix + data
        self._push(data)
        return not is_cut

    def _push(self, data: bytes | memoryview) -> None:
        outgoing = self._connection.outgoing
        self._connection.push(data)
        if outgoing.is_in_file:
            if not self.is_aside:
                # From here on this thread waits for a disk, or for a client that does not read.
                self.is_aside = self._service.step_aside(self.number)
            time.sleep(len(data) / _SPOOL_BYTES_PER_SECOND)
        if outgoing.is_full:
            self._wait_for_client()

    def _end_pieces(self) -> None:
        if self._connection.broken:
            raise ClientGone("the application has cut the connection")
        if not self._head_sent:
            # Nothing but empty pieces: the length is known after all.
            self._connection.push(self._begin(0))
        elif self._held is not None and self._mode in ("chunked", "close"):
            self._held.is_chunked = self._mode == "chunked"
            self._connection.held = self._held
        elif self._mode == "chunked":
            self._connection.push(b"0\r\n\r\n")
        self._check_end()

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Leave the file to the loop; False when it is none the system can send by itself."""
        try:
            file = wrapper.file
            number = file.fileno()
            found = os.fstat(number)
            offset = file.tell()
        except (AttributeError, OSError, ValueError):
            return False
        # A GzipFile and its like have a descriptor as well: of what they unpack.
        is_plain = isinstance(getattr(file, "raw", file), FileIO)
        if not is_plain or not stat.S_ISREG(found.st_mode) or self._head_sent:
            return False
        size = max(0, found.st_size - offset)
        self._connection.push(self._begin(size))
        if self._mode == "none":
            return True
        count = size if self._left is None else min(size, self._left)
        if self._left is not None:
            self._left -= count
        self.sent = count
        if count:
            self._handed_over = True
            close = getattr(wrapper, "close", lambda: None)
            self._connection.outgoing.add_file(file, offset, count, close)
        self._check_end()
        return True

    def _fit(self, data: bytes) -> bytes:
        """*data*, cut to what the Content-Length of the application leaves room for."""
        if self._left is not None and len(data) > self._left:
            log.error(
                "%s %s: the body is longer than its Content-Length of %s; the rest is dropped",
                self.head.method,
                self.head.target,
                self._declared,
            )
            return data[: self._left]
        return data

    def _check_end(self) -> None:
        if self._mode == "length" and self._left:
            log.error(
                "%s %s: the body is %s bytes shorter than its Content-Length",
                self.head.method,
                self.head.target,
                self._left,
            )
            # The client still waits for them: only the end of the connection tells it.
            self._connection.closes = True

    def _wait_for_client(self) -> None:
        """Hold the application up until the client has read some of what it is owed."""
        connection = self._connection
        poller = select.poll()
        poller.register(connection.fd, select.POLLOUT)
        patience = self._service.limits.write_seconds
        since = time.monotonic()
        while not poller.poll(min(patience, ASK_SECONDS) * 1000):
            if connection.has_read_on():
                since = time.monotonic()
            elif time.monotonic() - since >= patience:
                connection.broken = True
                raise ClientGone("the client does not read its response")
        connection.push(b"")

    # --- the head of the response ----------------------------------------------------------------

    @property
    def ends_plainly(self) -> bool:
        """Whether the client asked for the end, and has a response nothing can take from it."""
        return not self.head.keep_alive and self.sent <= _FLIGHT_BYTES

    @property
    def has_begun(self) -> bool:
        """Whether the application's own response, or a 500 for it, is on its way."""
        return self._head_sent

    def claim(self) -> bool:
        """Take the right to begin the response; True for the first who asks."""
        try:
            self._claim.pop()
        except IndexError:
            return False
        return True

    def _begin(self, known: int | None) -> bytes:
        """The head; *known* is the size of the body, if it is."""
        if not self.status:
            raise ServerError("the application sent a body before calling start_response")
        line, self.code, may_have_body = _statuses.get(self.status) or _learn_status(self.status)
        lines = self._format_headers()
        lines.insert(0, line)
        self._frame(lines, known, may_have_body)
        connection = self._connection
        if not self.head.keep_alive or self._service.is_draining:
            connection.closes = True
        if connection.closes:
            lines.append("Connection: close\r\n")
        elif self.head.minor == 0:
            lines.append("Connection: keep-alive\r\n")
        lines.append("\r\n")
        text = "".join(lines)
        if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
            raise ServerError("a response header holds a line break or NUL")
        head = text.encode("latin-1")
        if not self.claim():
            raise ClientGone("the request took too long and was answered without its application")
        self._head_sent = True
        return head

    def _frame(self, lines: list[str], known: int | None, may_have_body: bool) -> None:
        """How the client finds the end of the body, RFC 9112 section 6."""
        declared = self._declared
        if self.code == 205:
            # RFC 9110 section 15.3.6: no content, and the client must see that there is none.
            self._mode = "none"
            lines.append("Content-Length: 0\r\n")
            return
        if not may_have_body or self.head.method == "HEAD":
            self._mode = "none"
            if may_have_body and declared is None and known:
                declared = known
            if declared is not None and (may_have_body or self.code == 304):
                lines.append(f"Content-Length: {declared}\r\n")
            return
        if declared is None:
            declared = known
        if declared is not None:
            self._mode, self._left = "length", declared
            lines.append(f"Content-Length: {declared}\r\n")
        elif self.head.minor:
            self._mode = "chunked"
            lines.append("Transfer-Encoding: chunked\r\n")
        else:
            self._mode = "close"
            self._connection.closes = True

    def _format_headers(self) -> list[str]:
        """The application's headers as lines, without those that are the server's own."""
        lines = []
        has_date = False
        for name, value in self._headers:
            lower = _names.get(name) or _learn_name(name)
            if lower in _OWN:
                if lower == "content-length":
                    self._declared = _declared_length(value)
                    continue
                if lower != "date":
                    if lower == "connection" and "close" in value.lower():
                        self._connection.closes = True
                    continue
                has_date = True
            # Joined, not formatted: a value that is no text must not pass for one.
            lines.append(": ".join((name, value)) + "\r\n")
        if not has_date:
            lines.append(date.line())
        return lines


def _learn_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ServerError(f"the response header name {name!r} is malformed")
    lower = name.lower()
    if len(_names) < _KEPT:
        _names[name] = lower
    return lower


def _learn_status(status: str) -> tuple[str, int, bool]:
    if not _STATUS.fullmatch(status):
        raise ServerError(f"the response status {status!r} is malformed: write it as '200 OK'")
    code = int(status[:3])
    if len(status) == 3:
        status += " "
    found = (f"HTTP/1.1 {status}\r\n", code, code not in (204, 304))
    if len(_statuses) < _KEPT:
        _statuses[status] = found
    return found


def _declared_length(value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise ServerError(f"the response Content-Length {value!r} is no number")
    return int(value)
