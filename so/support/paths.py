"""One step of a dotted path: what a mapping or a list holds under one part of it.

Settings, session data, request input, validated data and collections all read `order.lines.0.sku`
by this step, so they agree on what counts as the number of an item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MISSING: Any = object()
"""Nothing is there, which is not the same as None."""
_MOST_DIGITS = 9  # no list is longer, and reading a number of any length would cost as much


def position(part: str) -> int | None:
    """The number that *part* is, as the place of an item; None if it is no such thing."""
    fits = part.isascii() and part.isdecimal() and len(part) <= _MOST_DIGITS
    return int(part) if fits else None


def step(place: Any, part: str, missing: Any = MISSING) -> Any:
    """What *place* holds under *part*; *missing* if that is nothing."""
    if isinstance(place, Mapping):
        return place.get(part, missing)
    if isinstance(place, (list, tuple)):
        at = position(part)
        if at is not None and at < len(place):
            return place[at]
    return missing


def numbered_step(place: Any, part: str, missing: Any = MISSING) -> Any:
    """As `step`, where the key of a mapping may be a number as well."""
    found = step(place, part, missing)
    at = position(part) if found is missing and isinstance(place, Mapping) else None
    return found if at is None else place.get(at, missing)


def find(data: Any, key: str) -> Any:
    """What stands at *key*, or MISSING: as it is spelled, dots and all, else as a path."""
    if isinstance(data, Mapping) and key in data:
        return data[key]
    for part in key.split("."):
        data = step(data, part)
        if data is MISSING:
            return MISSING
    return data
