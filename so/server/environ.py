"""From a checked head to the environ of a request, as PEP 3333 wants it."""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any

from so.server.wire import RequestHead


def environ_of(base: dict[str, Any], head: RequestHead) -> dict[str, Any]:
    """The environ of a request without a body; *base* is what all on its connection have."""
    environ = base.copy()
    environ.update(head.fields)
    environ["REQUEST_METHOD"] = head.method
    environ["PATH_INFO"] = head.path
    environ["QUERY_STRING"] = head.query
    environ["RAW_URI"] = environ["REQUEST_URI"] = head.target
    environ["SERVER_PROTOCOL"] = "HTTP/1.1" if head.minor else "HTTP/1.0"
    environ["wsgi.input"] = BytesIO()
    return environ


def give_body(environ: dict[str, Any], body: IO[bytes], size: int) -> None:
    """Let *environ* have the whole *body* of *size* bytes, however it came."""
    environ["wsgi.input"] = body
    environ["CONTENT_LENGTH"] = str(size)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
