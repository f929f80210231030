"""Nested data under dotted keys: `order.lines.0.sku`, and `order.lines.*.sku` for all of them.

A key that is there as it stands, dots and all, comes before its reading as a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from so.support.paths import MISSING, step


def get(data: Any, key: str, default: Any = None) -> Any:
    """What stands at *key*; *default* (called if callable) if nothing does."""
    found = find(data, key)
    if found is not MISSING:
        return found
    return default() if callable(default) else default


def find(data: Any, key: str) -> Any:
    """What stands at *key*; MISSING if nothing does. `*` gives a list, flat over several."""
    if isinstance(data, Mapping) and key in data:
        return data[key]
    if "." not in key and key != "*":
        return step(data, key)
    return _walk(data, key.split("."))


def _walk(data: Any, parts: list[str]) -> Any:
    for at, part in enumerate(parts):
        if part == "*":
            return _each(data, parts[at + 1 :])
        data = step(data, part)
        if data is MISSING:
            return MISSING
    return data


def _each(data: Any, rest: list[str]) -> Any:
    if isinstance(data, Mapping):
        items: Iterable[Any] = data.values()
    elif isinstance(data, (list, tuple)):
        items = data
    else:
        return MISSING
    found = [_walk(item, rest) for item in items]
    kept = [None if value is MISSING else value for value in found]
    if "*" in rest:
        return [one for value in kept for one in (value if isinstance(value, list) else [value])]
    return kept


def put(data: dict[str, Any], key: str, value: Any) -> None:
    """Set *key*, making the dicts on the way."""
    *way, last = key.split(".")
    for part in way:
        inner = data.get(part)
        if not isinstance(inner, dict):
            inner = data[part] = {}
        data = inner
    data[last] = value


def without(data: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """A copy of *data* less what stands at *keys*."""
    result = dict(data)
    for key in keys:
        if key in result:
            del result[key]
        elif "." in key:
            head, _, rest = key.partition(".")
            inner = result.get(head)
            if isinstance(inner, Mapping):
                result[head] = without(inner, [rest])
    return result


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """*under* with *over* laid on it, dicts within each other merged likewise."""
    result = dict(under)
    for key, value in over.items():
        here = result.get(key)
        both = isinstance(here, Mapping) and isinstance(value, Mapping)
        result[key] = merged(here, value) if both else value  # type: ignore[arg-type]
    return result
