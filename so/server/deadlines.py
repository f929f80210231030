"""How long a connection may stay as it is, and what it comes to when it stays longer.

Nothing is closed here: the worker's loop asks twice a second, and acts.
"""

from __future__ import annotations

from enum import Enum

from so.server.connection import (
    APPLICATION,
    BODY,
    HELD,
    LINGERING,
    READING,
    WRITING,
    ClientConnection,
)
from so.server.limits import CheckedLimits

# How long what a client still sends after a refusal is awaited, and read at all.
LINGER_SECONDS = 2.0
LONGEST_LINGER_SECONDS = 30.0
# From when on a body or a response has to keep a certain pace.
DRIP_SECONDS = 60.0
# From when on the system is asked whether a client that takes no more reads at least.
ASK_SECONDS = 1.0
# An idle connection that was busy this lately may have its next request on the way when the worker
# stops, or wants room: it is answered rather than cut off.
LAST_CALL_SECONDS = 1.0


class Due(Enum):
    """What is to be done with a connection."""

    DROP = "close it without a word"
    TIME_OUT = "answer 408"
    GIVE_UP = "answer in place of the application"


def due(
    connection: ClientConnection, now: float, limits: CheckedLimits, *, draining: bool, ending: bool
) -> Due | None:
    """What is to be done with *connection* at *now*; None while it is in time.

    The worker is *draining* while it only finishes, and *ending* when it can't wait any more.
    """
    if ending:
        return _at_the_end(connection)
    state, seconds = connection.state, now - connection.since
    if state == READING:
        return _while_reading(connection, seconds, limits, draining)
    if state == BODY:
        moved = connection.body.size if connection.body else 0
        late = seconds >= limits.body_seconds or drips(connection, now, moved, limits)
        return Due.TIME_OUT if late else None
    if state == WRITING:
        return Due.DROP if _is_unread(connection, seconds, now, limits) else None
    if state == HELD:
        is_stuck = connection.outgoing and seconds >= limits.write_seconds
        return Due.DROP if is_stuck else None
    if state == LINGERING:
        longest = LINGER_SECONDS if draining else LONGEST_LINGER_SECONDS
        late = seconds >= LINGER_SECONDS or now - connection.begun >= longest
        return Due.DROP if late else None
    overdue = state == APPLICATION and connection.exchange and connection.exchange.overdue
    return Due.GIVE_UP if overdue else None


def _at_the_end(connection: ClientConnection) -> Due:
    if connection.state == APPLICATION:
        return Due.GIVE_UP
    is_partial = connection.state in (READING, BODY) and not connection.is_idle
    return Due.TIME_OUT if is_partial else Due.DROP


def _is_unread(
    connection: ClientConnection, seconds: float, now: float, limits: CheckedLimits
) -> bool:
    # The system takes more only when much of its buffer is free, which a slow client that reads
    # all the while may not bring about in time: it is asked.
    if seconds >= ASK_SECONDS and connection.has_read_on():
        connection.since, seconds = now, 0.0
    return seconds >= limits.write_seconds or drips(connection, now, connection.moved, limits)


def _while_reading(
    connection: ClientConnection, seconds: float, limits: CheckedLimits, draining: bool
) -> Due | None:
    if connection.parser.is_idle:
        limit = LAST_CALL_SECONDS if draining else limits.keep_alive_seconds
        return Due.DROP if seconds >= limit else None
    return Due.TIME_OUT if seconds >= limits.head_seconds else None


def drips(connection: ClientConnection, now: float, moved: int, limits: CheckedLimits) -> bool:
    """Whether it moves, but so slowly that it only means to hold the connection."""
    seconds = now - connection.begun - DRIP_SECONDS
    return seconds > 0 and moved < seconds * limits.slowest_bytes_per_second
