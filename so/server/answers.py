"""What the server says by itself: refusals, and the answer to `OPTIONS *`."""

from __future__ import annotations

import time

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Date:
    """The value of the Date field, worked out once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        """The whole header line."""
        second = int(time.time())
        if second != self._second:
            at = time.gmtime(second)
            self._line = (
                f"Date: {_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year} "
                f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT\r\n"
            )
            self._second = second
        return self._line


date = Date()


def plain_response(
    status: str,
    text: str,
    *,
    headers: list[tuple[str, str]] | None = None,
    closes: bool = True,
    body: bool = True,
) -> bytes:
    """A small response of the server's own, ready to send; *body* False for HEAD."""
    lines = [
        f"HTTP/1.1 {status}\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n",
        f"Content-Length: {len(text.encode())}\r\n",
        date.line(),
        *(f"{name}: {value}\r\n" for name, value in headers or []),
        "Connection: close\r\n" if closes else "",
        "\r\n",
    ]
    return "".join(lines).encode("latin-1") + (text.encode() if body else b"")


def refusal(status: int, text: str, headers: list[tuple[str, str]] | None = None) -> bytes:
    """An error, after which the connection is closed."""
    return plain_response(f"{status} {_PHRASES[status]}", text, headers=headers)


def options(*, closes: bool) -> bytes:
    """The answer to `OPTIONS *`, RFC 9110 section 9.3.7: what the server as a whole can do."""
    return plain_response("200 OK", "", headers=[("Allow", _METHODS)], closes=closes)
