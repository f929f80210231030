"""Texts against patterns in which `*` stands for any text: `admin/*`, `users.*`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def fits(text: str, patterns: Iterable[str]) -> bool:
    """True if *text* as a whole fits one of *patterns*."""
    return any(text == pattern or _compiled(pattern).fullmatch(text) for pattern in patterns)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)
