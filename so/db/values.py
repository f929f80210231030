"""What may be bound to a statement, and how it is written: the same on both engines.

Python values become one of None, bool, int, float, str, bytes and Decimal here; the engines'
dialects only write those down. Anything else is a TypeError before a statement runs. One table
says how, for a query in the making (`bindable`) and for the driver (`plain`).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final, TypeVar
from uuid import UUID

from so.support.codec import dumps, to_jsonable

R = TypeVar("R")
Bindings = Any
"""A sequence for `?`, a mapping for `:name`."""

PLAIN: Final[frozenset[type]] = frozenset((int, str, type(None), bytes, bool))
"""Types that every driver takes as they are."""
KEPT: Final[frozenset[type]] = PLAIN | {float, Decimal, datetime, date, time, timedelta}
"""Types that a query keeps as they are until the dialect, and its connection's zone, are known."""
SIMPLE: Final[frozenset[type]] = KEPT - {bool, type(None)}
"""What a comparison looks at no further: not None (is null) and not bool (JSON booleans)."""


def datetime_text(value: datetime, zone: tzinfo = UTC) -> str:
    """`YYYY-MM-DD HH:MM:SS.ffffff` in *zone*; a datetime without a zone counts as UTC."""
    if value.tzinfo is not None or zone is not UTC:
        value = in_zone(value, zone)
    return value.replace(tzinfo=None).isoformat(" ", "microseconds")


def in_zone(value: datetime, zone: tzinfo) -> datetime:
    """The same moment in *zone*; a datetime without a zone counts as UTC, here and in casts."""
    return (value.replace(tzinfo=UTC) if value.tzinfo is None else value).astimezone(zone)


def time_text(value: time) -> str:
    """`HH:MM:SS`, with microseconds when there are any."""
    return value.replace(tzinfo=None).isoformat()


def interval_text(value: timedelta) -> str:
    """`[-]HH:MM:SS[.ffffff]`, hours beyond 24 allowed, as MySQL writes TIME."""
    micros = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    seconds, fraction = divmod(abs(micros), 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return ("-" if micros < 0 else "") + text + (f".{fraction:06}" if fraction else "")


def decimal_text(value: Decimal) -> str:
    """The digits, never an exponent: `0.00001`, `1000`."""
    return format(value, "f")


def _finite(value: Any) -> Any:
    if not math.isfinite(value):
        raise ValueError(f"cannot store {value!r}: a column holds finite numbers or NULL")
    return value


def json_text(value: Any) -> str:
    """*value* as the JSON text a column stores: compact, Unicode as it is.

    Raises TypeError for what JSON cannot say, NaN and infinity included.
    """
    try:
        return dumps(value)
    except ValueError as error:
        raise TypeError(f"cannot store {value!r:.80} as JSON: {error}") from error


_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[[Any, tzinfo | None], Any]], ...] = (
    (bool, lambda v, zone: bool(v)),
    (enum.Enum, lambda v, zone: plain(v.value, zone)),
    (int, lambda v, zone: int(v)),
    (float, lambda v, zone: float(_finite(v))),
    (str, lambda v, zone: str.__str__(v)),
    (bytes, lambda v, zone: bytes(v)),
    (Decimal, lambda v, zone: v if zone is None else _finite(v)),
    (datetime, lambda v, zone: v if zone is None else datetime_text(v, zone)),
    (date, lambda v, zone: v if zone is None else v.isoformat()),
    (time, lambda v, zone: v if zone is None else time_text(v)),
    (timedelta, lambda v, zone: v if zone is None else interval_text(v)),
    (UUID, lambda v, zone: str(v)),
    ((dict, list, tuple), lambda v, zone: json_text(v)),
    (PurePath, lambda v, zone: str(v)),
    ((bytearray, memoryview), lambda v, zone: bytes(v)),
)
_by_type: dict[type, Callable[[Any, tzinfo | None], Any]] = {}


def bindable(value: Any) -> Any:
    """*value* as a query carries it: an Enum's value, a UUID's text, a dict's JSON, …

    Decimals and times stay what they are until the dialect is known. Raises TypeError for what no
    column can hold, before anything is sent.
    """
    return value if type(value) in KEPT else plain(value, None)


def json_scalar(value: Any) -> Any:
    """A single value as a place inside JSON holds it: Decimal and times as text."""
    return bindable(to_jsonable(value))


def plain(value: Any, zone: tzinfo | None = UTC) -> Any:
    """*value* as None, bool, int, float, str, bytes or Decimal; TypeError if it is none of them.

    Times are written in *zone*; without one they, and decimals, are left for later.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    writer = _by_type.get(kind)
    if writer is None:
        writer = _by_type[kind] = _writer_for(value)
    return writer(value, zone)


def _writer_for(value: Any) -> Callable[[Any, tzinfo | None], Any]:
    for kinds, writer in _WRITERS:
        if isinstance(value, kinds):
            return writer
    raise TypeError(
        f"cannot bind a value of type {type(value).__name__}: {value!r:.80}; give text, a number, "
        "a date or time, bytes, an Enum, a UUID, a Path, or a dict or list to be stored as JSON"
    )


def written_size(value: Any) -> int:
    """About how many bytes *value* takes in the text of a statement, and never fewer."""
    if isinstance(value, str):
        size = len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
        return size + value.count("'") + value.count("\\") + 4
    if isinstance(value, bytes | bytearray):
        return len(value) + value.count(b"'") + value.count(b"\\") + 12
    if isinstance(value, dict | list | tuple):
        return written_size(dumps(value))
    if isinstance(value, memoryview | PurePath | enum.Enum):
        return written_size(plain(value))
    return 40 if not isinstance(value, int | Decimal) else len(str(value)) + 4


def in_parts(
    rows: list[R], most_rows: int, most_bytes: int | None, values: Callable[[R], Iterable[Any]]
) -> Iterator[list[R]]:
    """*rows* cut so that each part fits one statement, by number and by what *values* take.

    A row that is larger than *most_bytes* by itself goes alone: only the server can judge it.
    """
    if most_bytes is None:
        for at in range(0, len(rows), most_rows):
            yield rows[at : at + most_rows]
        return
    start = size = 0
    for at, row in enumerate(rows):
        own = sum(map(written_size, values(row)))
        if at > start and (at - start >= most_rows or size + own > most_bytes):
            yield rows[start:at]
            start, size = at, 0
        size += own
    if start < len(rows):
        yield rows[start:]
