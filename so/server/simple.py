"""`serve --simple`: the server of the standard library, a thread for each connection.

Good for a look at an application and as a proof that it is plain WSGI; the real server is
so/server/worker.py. What is a request is told by wire.py here as well: the standard library would
take HTTP/0.9, two Hosts and bodies in chunks for something else. It answers one, and closes.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import IO, Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server
from wsgiref.util import is_hop_by_hop

from so.errors import ServerError, WireError
from so.server.answers import no_request, own_answer
from so.server.environ import environ_of, give_body
from so.server.limits import CheckedLimits
from so.server.wire import Data, RequestHead, RequestParser
from so.settings.server import ServerSettings

_READ_BYTES = 64 * 1024
_LINGER_SECONDS = 2.0
_EMPTY = ("204", "205", "304")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128
    limits = CheckedLimits()


class _Response(ServerHandler):
    """wsgiref's, with the framing of answers that have no content (RFC 9110, section 6.4.1)."""

    environ: Any
    status: Any
    headers: Any
    headers_sent: bool
    request_handler: Any
    os_environ = {}  # a variable HTTP_… of the shell is no field of a request

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Without the fields that are the server's own: wsgiref makes an error of them."""
        own = [pair for pair in headers if not is_hop_by_hop(pair[0])]
        return super().start_response(status, own, exc_info)

    def _has_content(self) -> bool:
        return bool(self.environ["REQUEST_METHOD"] != "HEAD" and self.status[:3] not in _EMPTY)

    def write(self, data: bytes) -> None:
        if self.status and not self._has_content():
            self.finish_content()
        else:
            super().write(data)

    def finish_content(self) -> None:
        if self.headers_sent or self._has_content():
            super().finish_content()
            return
        if self.status[:3] in ("204", "205"):
            del self.headers["Content-Length"]
        if self.status[:3] == "205":
            self.headers["Content-Length"] = "0"
        self.send_headers()

    def set_content_length(self) -> None:
        if self._has_content():
            super().set_content_length()


class _Handler(WSGIRequestHandler):
    server: _Server
    wfile: Any

    def setup(self) -> None:
        self._limits = self.server.limits
        self._head: RequestHead | None = None
        self._parser = RequestParser(self._limits)
        self._head_ends = time.monotonic() + self._limits.head_seconds
        super().setup()

    def address_string(self) -> str:
        return str(self.client_address[0])

    def handle(self) -> None:
        """One request, from its first byte to the last of the answer."""
        try:
            self._serve()
        except WireError as fault:
            self._answer(fault.status, no_request(fault, to_head=self._is_for_head()))
        except ConnectionError:
            pass  # the client is gone

    def _serve(self) -> None:
        event = self._next()
        if event is None:
            return
        assert isinstance(event, RequestHead)
        self._head = head = event
        self.requestline = f"{head.method} {head.target} HTTP/1.{head.minor}"
        if head.path == "*" or head.method == "CONNECT":
            self._answer(200 if head.path == "*" else 501, own_answer(head, closes=True))
            return
        environ = environ_of(self.server.base_environ, head)
        environ["REMOTE_ADDR"] = self.address_string()
        with tempfile.SpooledTemporaryFile(self._limits.body_memory_bytes) as body:
            if head.has_body and not self._is_refused_unread(head, environ):
                give_body(environ, body, self._collect(head, body))
            self._run(environ)

    def _run(self, environ: dict[str, Any]) -> None:
        self.connection.settimeout(self._limits.write_seconds)
        response = _Response(environ["wsgi.input"], self.wfile, self.get_stderr(), environ)
        response.request_handler = self  # for its line in the log
        app: Any = self.server.get_app()
        response.run(app)

    # --- the request -----------------------------------------------------------------------------

    def _next(self) -> RequestHead | Data | None:
        """The next piece of the request; None if the client has nothing to say.

        WireError for what is no request, or comes too slowly.
        """
        while (event := self._parser.next_event()) is None:
            if self._head is None:  # as a whole; a body has as long for each piece
                self.connection.settimeout(max(0.001, self._head_ends - time.monotonic()))
            try:
                data = self.connection.recv(_READ_BYTES)
            except TimeoutError:
                data = b""
                if not self._parser.is_idle:
                    raise WireError(408, "the request took too long") from None
            if not data and self._parser.is_idle:
                return None
            if not data:
                raise WireError(400, "the request ends in the middle")
            self._parser.feed(data)
        return event

    def _is_refused_unread(self, head: RequestHead, environ: dict[str, Any]) -> bool:
        """Whether the client asks first, and is refused whatever its body says."""
        refuses = getattr(self.server.get_app(), "refuses_unread", lambda environ: False)
        return head.expects_continue and bool(refuses(environ))

    def _collect(self, head: RequestHead, body: IO[bytes]) -> int:
        """Put the whole body into *body*, which is at its start then; its size."""
        self.connection.settimeout(self._limits.body_seconds)
        if head.expects_continue and not self._parser.has_input:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        is_last = False
        while not is_last:
            piece = self._next()
            assert isinstance(piece, Data)
            try:
                body.write(piece.data)
            except OSError as error:
                raise WireError(503, "no room for the body") from error
            is_last = piece.last
        size = body.tell()
        body.seek(0)
        return size

    # --- what the server says by itself ----------------------------------------------------------

    def _is_for_head(self) -> bool:
        return self._parser.is_for_head if self._head is None else self._head.method == "HEAD"

    def _answer(self, status: int, answer: bytes) -> None:
        self.requestline = getattr(self, "requestline", "-")
        self.log_request(status)
        with contextlib.suppress(OSError):
            self.wfile.write(answer)

    def finish(self) -> None:
        """Hear the client out: a close beside unread bytes would make it lose the answer."""
        super().finish()
        ends = time.monotonic() + _LINGER_SECONDS
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_SECONDS)
            while self.connection.recv(_READ_BYTES) and time.monotonic() < ends:
                pass


class _Quiet(_Handler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def serve_simple(
    app: Callable[..., Any],
    host: str = ServerSettings.host,
    port: int = ServerSettings.port,
    *,
    access_log: bool = False,
    on_listening: Callable[[list[str]], None] | None = None,
    **limits: Any,
) -> int:
    """Serve *app* until SIGTERM or SIGINT; 0. Main thread only. ServerError without the port.

    Of *limits*, those of so/settings/server.py, the ones that bound a single request count.
    """
    try:
        server = make_server(host, port, app, _Server, _Handler if access_log else _Quiet)
    except OSError as error:
        raise ServerError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    except OverflowError as error:
        raise ServerError(f"there is no port {port}: choose one from 1 to 65535") from error
    server.limits = CheckedLimits.of(**limits)
    before = {
        each: signal.signal(each, lambda *_: threading.Thread(target=server.shutdown).start())
        for each in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        if on_listening:
            on_listening([f"http://{host}:{server.server_port}"])
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()
        for signum, handler in before.items():
            signal.signal(signum, handler)
    return 0
