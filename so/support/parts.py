"""A long sequence in parts: what one statement can name, what one reading should hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
IN_A_STATEMENT = 500
"""Values named in one statement: below the placeholders of any SQLite, with room for others."""


def parts(items: Sequence[T], size: int = IN_A_STATEMENT) -> Iterator[Sequence[T]]:
    """*items* in slices of *size*, the last one shorter; none for no items."""
    for at in range(0, len(items), size):
        yield items[at : at + size]
