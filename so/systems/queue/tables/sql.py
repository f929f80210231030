"""Reading from the writer, and trying again: what every statement of the queue goes through."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from so.errors import (
    ConcurrencyError,
    DatabaseError,
    LostConnectionError,
    UnavailableError,
)

R = TypeVar("R")
log = logging.getLogger("so.queue")
_LONGEST_PAUSE = 2.0
PATIENCE = 60.0
"""Seconds that a statement of the queue is tried again for."""


def read(conn: Any, sql: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Rows of a query as tuples, never from a replica: it may not have heard yet."""
    found: list[tuple[Any, ...]] = conn.select_tuples(sql, bindings, False)
    return found


class Retry:
    """Runs queue transactions until they go through; an outage never counts against a job."""

    def __init__(
        self,
        patience: float = PATIENCE,
        on_retry: Callable[[str], None] | None = None,
        *,
        outlasts: bool = False,
    ) -> None:
        """Give up after *patience* seconds; tell *on_retry* "conflict", "lost" or "refused".

        With *outlasts* it is tried again, too, while nothing can be written: a switchover makes a
        server read-only for some seconds, and a disk may be full for a while.
        """
        self.patience = patience
        self.on_retry = on_retry
        self._outlasts = outlasts
        self.lost = False
        """Whether an earlier try may have taken effect, with only its answer lost."""
        self.away = False
        """Whether the database was not there, or took nothing, in the last call."""
        self.tries = 0
        """How often the last call has failed."""

    def __call__(
        self, conn: Any, work: Callable[[], R], *, patience: Callable[[], float] = lambda: math.inf
    ) -> R:
        """The result of *work*, run again until the database is there and takes it.

        *work* must be safe to run when an earlier try took effect and only its answer was lost;
        `self.lost` tells it whether that may be so. In a transaction of the caller it runs once.
        The shorter *patience* counts, here or of the whole, which may change meanwhile.
        """
        self.lost, self.away, self.tries = False, False, 0
        if conn.in_transaction:
            return work()
        begun = time.monotonic()
        while True:
            try:
                return work()
            except DatabaseError as error:
                conn.roll_back(0)
                if not self._passes(error):
                    raise
                self._note(error)
                if time.monotonic() >= begun + min(self.patience, patience()):
                    raise
                is_conflict = isinstance(error, ConcurrencyError)
            longest = 0.02 if is_conflict else min(_LONGEST_PAUSE, 0.02 * 2 ** min(self.tries, 10))
            time.sleep(random.uniform(0.001, longest))  # noqa: S311 - jitter

    def _passes(self, error: DatabaseError) -> bool:
        if self._outlasts:
            return isinstance(error, UnavailableError)
        return isinstance(error, (ConcurrencyError, LostConnectionError))

    def _note(self, error: DatabaseError) -> None:
        is_lost = isinstance(error, LostConnectionError)
        is_conflict = isinstance(error, ConcurrencyError)
        self.lost = self.lost or is_lost
        self.away = self.away or not is_conflict
        if self.on_retry is not None:
            self.on_retry("conflict" if is_conflict else "lost" if is_lost else "refused")
        # A line for the 1st, 2nd, 4th, 8th … failure: an outage must not fill the log.
        if not is_conflict and self.tries & (self.tries - 1) == 0:
            what = "is not there" if is_lost else "takes nothing now"
            log.warning("queue: the database %s, trying again: %s", what, error)
        self.tries += 1
