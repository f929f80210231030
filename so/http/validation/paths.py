"""Finding values in nested data by dotted paths: `address.city`, `items.*.sku`.

A `*` stands for every item of a list or mapping. Expansion walks the data once per pattern and
shares what patterns have in common, so its cost grows with the data and not with its square.
A dot or star that belongs to a key is written `\\.` and `\\*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from so.support.paths import numbered_step

STAR: Final = "*"

Indexes = tuple[Any, ...]
Level = list[tuple[Indexes, Any]]


class _Absent:
    """The type of ABSENT: there is no such key, which is not the same as None."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = _Absent()

_DOT = re.compile(r"(?<!\\)\.")


@lru_cache(maxsize=2048)
def split(path: str) -> tuple[str, ...]:
    """The segments of *path*; escaped dots and stars come out as they are meant."""
    return tuple(
        part if part == STAR else part.replace("\\.", ".").replace("\\*", STAR)
        for part in _DOT.split(path)
    )


def step(container: Any, segment: str) -> Any:
    """What *container* holds under *segment*, or ABSENT."""
    return numbered_step(container, segment, ABSENT)


def find(data: Any, segments: tuple[str, ...]) -> Any:
    """The value at *segments*, or ABSENT."""
    for segment in segments:
        data = step(data, segment)
        if data is ABSENT:
            return ABSENT
    return data


def children(container: Any) -> Iterator[tuple[Any, Any]]:
    """(key, item) of a list or mapping; nothing of anything else."""
    if isinstance(container, Mapping):
        return iter(container.items())
    if isinstance(container, (list, tuple)):
        return iter(enumerate(container))
    return iter(())


class Expansion:
    """Every place of *data* that patterns stand for, with shared beginnings walked only once."""

    def __init__(self, data: Any) -> None:
        """Expand over *data*, which must not change meanwhile."""
        self._levels: dict[tuple[str, ...], Level] = {(): [((), data)]}

    def places(self, segments: tuple[str, ...]) -> Level:
        """(keys that the stars stand for, value or ABSENT) for each place *segments* match."""
        known = self._levels.get(segments)
        if known is not None:
            return known
        level = self._next(self.places(segments[:-1]), segments[-1])
        if segments[-1] == STAR:
            self._levels[segments] = level
        return level

    @staticmethod
    def _next(level: Level, segment: str) -> Level:
        if segment == STAR:
            return [
                ((*indexes, key), item)
                for indexes, container in level
                for key, item in children(container)
            ]
        return [(indexes, step(container, segment)) for indexes, container in level]


def fill(segments: tuple[str, ...], indexes: Indexes) -> tuple[str, ...]:
    """*segments* with their stars replaced by *indexes* in turn; stars beyond them stay."""
    if STAR not in segments:
        return segments
    rest = iter(indexes)
    return tuple(str(next(rest, STAR)) if part == STAR else part for part in segments)
