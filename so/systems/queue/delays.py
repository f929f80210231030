"""How long something waits: seconds, timedeltas and datetimes, and pauses between attempts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil, isfinite
from typing import Any

from so.errors import QueueError

LONGEST_DELAY = 50 * 365 * 86_400
"""Seconds; moments are kept in 32 bits."""


@dataclass(frozen=True)
class Exponential:
    """Seconds before attempt n + 1: base × factorⁿ⁻¹, at most *cap*; with *jitter*, up to it."""

    base: float = 1
    factor: float = 2
    cap: float = 3600
    jitter: bool = True

    def seconds(self, attempt: int) -> float:
        """The pause after the failed attempt number *attempt* (1 is the first)."""
        longest = min(self.cap, self.base * self.factor ** min(attempt - 1, 64))
        # Full jitter: spreads a thundering herd evenly, which a fixed share on top would not.
        return random.uniform(0, longest) if self.jitter else longest  # noqa: S311


def exponential(
    base: float = 1, factor: float = 2, cap: float = 3600, jitter: bool = True
) -> Exponential:
    """A growing pause between attempts, for `backoff`: `backoff = exponential(5, cap=600)`."""
    return Exponential(base, factor, cap, jitter)


Seconds = float | timedelta
Backoff = Seconds | Sequence[Seconds] | Sequence[float] | Exponential


def seconds_of(delay: Any, now: float) -> float:
    """Seconds from *now*, for seconds, a timedelta or a datetime (naive counts as UTC)."""
    if delay is None:
        return 0.0
    if isinstance(delay, timedelta):
        seconds: Any = delay.total_seconds()
    elif isinstance(delay, datetime):
        aware = delay if delay.tzinfo else delay.replace(tzinfo=UTC)
        seconds = aware.timestamp() - now
    else:
        seconds = delay
    number = isinstance(seconds, (int, float, Decimal)) and not isinstance(seconds, bool)
    if not number or not isfinite(seconds):
        raise QueueError(
            f"cannot delay a job by {delay!r}: give seconds, a timedelta or a datetime"
        )
    if seconds > LONGEST_DELAY:
        raise QueueError(f"cannot delay a job by {delay!r}: give at most 50 years")
    return float(seconds)


def plain_seconds(value: Any, setting: str, *, least: float | None = None) -> Any:
    """The *setting* of a job, given as seconds or a timedelta, in seconds; None stays None."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if least is not None and isinstance(value, (int, float)) and value < least:
        raise QueueError(f"cannot use {value!r} as {setting}: give {least} seconds or more")
    if isinstance(value, bool) or not (value is None or isinstance(value, (int, float))):
        raise QueueError(f"cannot use {value!r} as {setting}: give seconds or a timedelta")
    return value


def plain_count(value: Any, setting: str) -> Any:
    """The *setting* of a job that is a whole number, or None; QueueError for anything else."""
    if isinstance(value, bool) or not (value is None or isinstance(value, int) and value >= 0):
        raise QueueError(f"cannot use {value!r} as {setting}: give a whole number from 0")
    return value


def due_at(delay: Any, now: float) -> int:
    """The whole second in which something delayed by *delay* may start, never earlier."""
    seconds = seconds_of(delay, now)
    return int(now) if seconds <= 0 else ceil(now + seconds)


def plain_backoff(backoff: Backoff) -> Any:
    """*backoff* as JSON has it."""
    if isinstance(backoff, Exponential):
        return {
            "base": backoff.base,
            "factor": backoff.factor,
            "cap": backoff.cap,
            "jitter": backoff.jitter,
        }
    if isinstance(backoff, (list, tuple)):
        return [plain_seconds(seconds, "backoff") for seconds in backoff]
    return plain_seconds(backoff, "backoff")


def backoff_seconds(backoff: Any, attempt: int) -> float:
    """The pause after the failed attempt number *attempt*, from what the payload says."""
    seconds = backoff
    if isinstance(backoff, Mapping):
        try:
            seconds = Exponential(**backoff).seconds(attempt)
        except OverflowError:
            seconds = backoff.get("cap", LONGEST_DELAY)
    elif isinstance(backoff, (list, tuple)):
        seconds = backoff[min(attempt, len(backoff)) - 1] if backoff else 0
    return float(min(seconds or 0, LONGEST_DELAY))
