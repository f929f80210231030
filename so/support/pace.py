"""Long work that lets others have their turn."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
LONGEST_REST_SECONDS = 0.25


def paced(parts: Iterable[T]) -> Iterator[T]:
    """*parts* one by one, with a rest after each for twice as long as it took.

    So whoever waits for the same database, which has one writer at a time on SQLite, gets most of
    the time. In real time on purpose: others work in real time as well.
    """
    for part in parts:
        begun = time.monotonic()
        yield part
        time.sleep(min(2 * (time.monotonic() - begun), LONGEST_REST_SECONDS))
