"""The fixed words of HTTP: dates (`Sun, 06 Nov 1994 08:49:37 GMT`) and statuses (`Not Found`)."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TIME = r"(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
_MONTH = r"(?P<month>[A-Z][a-z]{2})"
# Today's form, and two that are read only: of RFC 850, and of C's asctime().
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"[A-Z][a-z]+day, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
# By RFC 9110 and its registry; `http.HTTPStatus` has older words, other ones in each version of
# Python, and the web server starts with as few modules as it can. 419 is Laravel's.
_PHRASES = {
    100: "Continue",
    101: "Switching Protocols",
    102: "Processing",
    103: "Early Hints",
    200: "OK",
    201: "Created",
    202: "Accepted",
    203: "Non-Authoritative Information",
    204: "No Content",
    205: "Reset Content",
    206: "Partial Content",
    207: "Multi-Status",
    208: "Already Reported",
    226: "IM Used",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    305: "Use Proxy",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    418: "I'm a Teapot",
    419: "Page Expired",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    423: "Locked",
    424: "Failed Dependency",
    425: "Too Early",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates",
    507: "Insufficient Storage",
    508: "Loop Detected",
    510: "Not Extended",
    511: "Network Authentication Required",
}
STATUS_LINES = {
    status: f"{status} {phrase}" for status, phrase in _PHRASES.items() if status >= 200
}


def http_date(at: float | datetime) -> str:
    """*at* (epoch seconds or a datetime, naive meaning UTC) as an HTTP date."""
    if isinstance(at, datetime):
        at = (at.replace(tzinfo=UTC) if at.tzinfo is None else at).timestamp()
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(at)
    return (
        f"{_DAYS[weekday]}, {day:02d} {MONTHS[month - 1]} {year:04d} "
        f"{hour:02d}:{minute:02d}:{second:02d} GMT"
    )


def parse_http_date(text: str) -> int | None:
    """Epoch seconds of an HTTP date in any of its three forms (RFC 9110, 5.6.7), else None.

    A year of two digits is one that is at most fifty years ahead.
    """
    match = next((found for form in _FORMS if (found := form.fullmatch(text.strip()))), None)
    if match is None or match["month"] not in MONTHS:
        return None
    hour, minute, second = (int(part) for part in match["time"].split(":"))
    month = MONTHS.index(match["month"]) + 1
    try:
        begun = datetime(_year(match["year"]), month, int(match["day"]), hour, minute, tzinfo=UTC)
    except ValueError:
        return None
    return int(begun.timestamp()) + second if second <= 60 else None


def _year(digits: str) -> int:
    if len(digits) == 4:
        return int(digits)
    latest = time.gmtime().tm_year + 50
    return latest - (latest - int(digits)) % 100


def phrase(status: int) -> str:
    """The words for *status*: `Not Found` for 404, `Error` for a number nobody has named."""
    return _PHRASES.get(status, "Error")


def status_line(status: int) -> str:
    """The status line for *status*, also for a number nobody has named."""
    return STATUS_LINES.get(status, f"{status} Status")
