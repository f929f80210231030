"""Status lines: `404 Not Found`."""

from __future__ import annotations

from http import HTTPStatus

STATUS_LINES = {
    status.value: f"{status.value} {status.phrase}" for status in HTTPStatus if status >= 200
}
STATUS_LINES[419] = "419 Page Expired"


def status_line(status: int) -> str:
    """The status line for *status*, also for a number nobody has named."""
    return STATUS_LINES.get(status, f"{status} Status")
