"""Reading from the writer, and trying again: what every statement of the queue goes through."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from so.errors import (
    ConcurrencyError,
    LostConnectionError,
    ReadOnlyError,
    StatementTimeoutError,
)

R = TypeVar("R")
log = logging.getLogger("so.queue")
_LONGEST_PAUSE = 2.0
OUTAGES = (ConcurrencyError, LostConnectionError, ReadOnlyError, StatementTimeoutError)
"""What a database suffers by itself; any other error is the fault of what was to be stored."""


def read(conn: Any, sql: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Rows of a query as tuples, never from a replica: it may not have heard yet."""
    found: list[tuple[Any, ...]] = conn.select_tuples(sql, bindings, False)
    return found


def marks(count: int) -> str:
    """`?, ?, ?`, *count* of them."""
    return ", ".join("?" * count)


class Retry:
    """Runs queue transactions until they go through; conflicts never count against a job."""

    def __init__(self, patience: float = 60.0, on_retry: Callable[[str], None] | None = None):
        """Give up after *patience* seconds; tell *on_retry* "conflict" or "lost" each time."""
        self.patience = patience
        self.on_retry = on_retry
        self.lost = False
        self.gave_up = False

    def __call__(self, conn: Any, work: Callable[[], R]) -> R:
        """The result of *work*, run again after a deadlock, a busy database, a lost connection.

        *work* must be safe to run when an earlier try took effect and only its answer was lost;
        `self.lost` tells it whether that may be so. In a transaction of the caller it runs once.
        """
        self.lost = False
        if conn.in_transaction:
            return work()
        deadline, tries = time.monotonic() + self.patience, 0
        while True:
            try:
                return work()
            except (ConcurrencyError, LostConnectionError) as error:
                conn.roll_back(0)
                self._note(error, tries)
                if time.monotonic() >= deadline or self.gave_up:
                    raise
            tries += 1
            longest = 0.02 if not self.lost else min(_LONGEST_PAUSE, 0.02 * 2 ** min(tries, 10))
            time.sleep(random.uniform(0.001, longest))  # noqa: S311 - jitter

    def _note(self, error: Exception, tries: int) -> None:
        lost = isinstance(error, LostConnectionError)
        self.lost = self.lost or lost
        if self.on_retry is not None:
            self.on_retry("lost" if lost else "conflict")
        # A line for the 1st, 2nd, 4th, 8th … failure: an outage must not fill the log.
        if lost and tries & (tries - 1) == 0:
            log.warning("queue: the database is not there, trying again: %s", error)
