"""What the server says by itself: refusals, and the answer to `OPTIONS *`."""

from __future__ import annotations

import time

from so.errors import WireError
from so.server.wire import RequestHead
from so.support.httpwords import http_date, status_line

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


class Date:
    """The value of the Date field, worked out once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        """The whole header line."""
        second = int(time.time())
        if second != self._second:
            self._line = f"Date: {http_date(second)}\r\n"
            self._second = second
        return self._line


date = Date()


def plain_response(
    status: str,
    text: str,
    *,
    kind: str = "text/plain; charset=utf-8",
    headers: list[tuple[str, str]] | None = None,
    connection: str = "close",
    body: bool = True,
) -> bytes:
    """A small response of the server's own, ready to send; *body* False for HEAD.

    *kind* is its content type; *connection* is the value of that field, "" to leave it out.
    """
    fields = [
        ("Content-Type", kind),
        ("Content-Length", str(len(text.encode()))),
        *(headers or []),
    ]
    return _joined(status, fields, connection, text if body else "")


def _joined(status: str, fields: list[tuple[str, str]], connection: str, text: str) -> bytes:
    if connection:
        fields = [*fields, ("Connection", connection)]
    lines = [f"{name}: {value}\r\n" for name, value in fields]
    head = f"HTTP/1.1 {status}\r\n{date.line()}{''.join(lines)}\r\n"
    return head.encode("latin-1") + text.encode()


def refusal(
    status: int, text: str, headers: list[tuple[str, str]] | None = None, *, to_head: bool = False
) -> bytes:
    """An error, after which the connection is closed.

    *to_head* leaves out the content and its length, RFC 9110 section 9.3.2: who sent a request
    that is none may not know either that this is the answer to a HEAD.
    """
    line = status_line(status)
    if to_head:
        return _joined(line, headers or [], "close", "")
    return plain_response(line, text, headers=headers)


def no_request(fault: WireError, *, to_head: bool = False) -> bytes:
    """The refusal of what is no request, or too large for one: what it is and why, in a line."""
    text = f"{status_line(fault.status)}: {fault.reason}.\n"
    return refusal(fault.status, text, to_head=to_head)


def own_answer(head: RequestHead, *, closes: bool) -> bytes:
    """The answer to CONNECT, or to `OPTIONS *`: what the server as a whole can do (RFC 9110)."""
    if head.path != "*":
        return refusal(501, "This is no proxy.\n")
    manner = connection_field(head, closes=closes)
    return plain_response("200 OK", "", headers=[("Allow", _METHODS)], connection=manner)


def connection_field(head: RequestHead, *, closes: bool) -> str:
    """What the Connection field of an answer to *head* says; "" when it says nothing."""
    if closes:
        return "close"
    return "keep-alive" if head.minor == 0 else ""
