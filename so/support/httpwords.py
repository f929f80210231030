"""The fixed words of HTTP: dates (`Sun, 06 Nov 1994 08:49:37 GMT`) and statuses (`Not Found`)."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from http import HTTPStatus

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_IMF = re.compile(
    r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
# RFC 9110 has these words; what Python has of older ones depends on its version.
_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    419: "Page Expired",
    422: "Unprocessable Content",
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
    """Epoch seconds of an HTTP date; None for anything else, the two obsolete forms included."""
    match = _IMF.fullmatch(text.strip())
    if match is None or match.group(2) not in MONTHS:
        return None
    day, _, year, hour, minute, second = (int(g) if g.isdigit() else 0 for g in match.groups())
    month = MONTHS.index(match.group(2)) + 1
    try:
        begun = datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None
    return int(begun.timestamp()) + second if second <= 60 else None


def phrase(status: int) -> str:
    """The words for *status*: `Not Found` for 404, `Error` for a number nobody has named."""
    return _PHRASES.get(status, "Error")


def status_line(status: int) -> str:
    """The status line for *status*, also for a number nobody has named."""
    return STATUS_LINES.get(status, f"{status} Status")
