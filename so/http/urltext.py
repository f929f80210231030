"""Values as they stand in a URL: in its path and in its query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from enum import Enum
from typing import Any
from urllib.parse import quote, urlencode

# What Laravel leaves readable in a path, less the characters that would end it or double as an
# escape (?, # and %).
READABLE = "/@:;,=+!*|&"


def encode(text: str) -> str:
    """*text* for a path."""
    return quote(text, safe=READABLE, errors="replace")


def text_of(value: Any, field: str | None = None) -> str:
    """*value* as it stands in a URL: a model by its route key or *field*, an Enum by value."""
    if field is not None and not isinstance(value, (str, int)):
        return text_of(getattr(value, field))
    for name in ("get_route_key", "get_key"):
        key = getattr(value, name, None)
        if callable(key) and not isinstance(value, type):
            return text_of(key())
    if isinstance(value, Enum):
        return text_of(value.value)
    if isinstance(value, bool):
        return "1" if value else "0"
    return value.isoformat() if isinstance(value, date) else str(value)


def query_string(params: Mapping[str, Any]) -> str:
    """*params* as a query: lists and dicts in brackets, None left out."""
    pairs = [pair for key, value in params.items() for pair in _pairs(str(key), value)]
    return urlencode(pairs, quote_via=quote, errors="replace")


def _pairs(key: str, value: Any) -> Iterable[tuple[str, str]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _pairs(f"{key}[{name}]", inner)
    elif isinstance(value, (list, tuple)):
        for at, inner in enumerate(value):
            yield from _pairs(f"{key}[{at}]", inner)
    else:
        yield key, text_of(value)
