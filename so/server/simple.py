"""`serve --simple`: the server of the standard library, a thread for each connection.

Good for a look at an application and as a proof that it is plain WSGI; the real server is
so/server/worker.py. What wsgiref leaves open is closed here: a body without an end, fields whose
underscores pass for hyphens, a name lookup for each request.
"""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from so.errors import ServerError
from so.settings.server import ServerSettings


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(WSGIRequestHandler):
    def address_string(self) -> str:
        return str(self.client_address[0])

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        for name in [name for name in self.headers if "_" in name]:
            del self.headers[name]
        return True

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        if self.request_version == "HTTP/1.1" and environ.get("HTTP_EXPECT") is not None:
            environ["so.continue"] = self._ask_for_the_body
        return environ

    def _ask_for_the_body(self) -> None:
        """Send 100: not before somebody reads, so that a refusal comes instead of it."""
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class _Quiet(_Handler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def bounded(app: Callable[..., Any]) -> Callable[..., Any]:
    """*app* with a body that ends where its Content-Length says."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        length = environ.get("CONTENT_LENGTH") or "0"
        size = int(length) if length.isascii() and length.isdigit() else 0
        ask = environ.pop("so.continue", _nothing)
        environ["wsgi.input"] = io.BufferedReader(_Part(environ["wsgi.input"], size, ask))
        return app(environ, start_response)

    return application


def _nothing() -> None:
    """What is to be asked of a client that sends its body at once."""


class _Part(io.RawIOBase):
    """The first *size* bytes of a stream; before the first one the client is asked for them."""

    def __init__(self, stream: Any, size: int, ask: Callable[[], object]) -> None:
        self._stream = stream
        self._left = size
        self._ask = ask

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left:
            self._ask()
            self._ask = _nothing
        data: bytes = self._stream.read(min(self._left, len(buffer))) if self._left else b""
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


def serve_simple(
    app: Callable[..., Any],
    host: str = ServerSettings.host,
    port: int = ServerSettings.port,
    *,
    access_log: bool = False,
    on_listening: Callable[[list[str]], None] | None = None,
) -> int:
    """Serve *app* until SIGTERM or SIGINT; 0. Main thread only. ServerError without the port."""
    try:
        server = make_server(host, port, bounded(app), _Server, _Handler if access_log else _Quiet)
    except OSError as error:
        raise ServerError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    except OverflowError as error:
        raise ServerError(f"there is no port {port}: choose one from 1 to 65535") from error
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
