"""Keeps secrets out of the trail: that they changed stays visible, what they were does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from so.support.masking import MASK, SECRET_NAMES

ERASED = "[erased]"  # stands where a personal value was


class Mask:
    """Replaces values by `***` under names that contain a pattern, at any depth."""

    def __init__(self, patterns: Iterable[str] | None = None) -> None:
        names = SECRET_NAMES if patterns is None else patterns
        self._patterns = tuple(name.lower().replace("-", "_") for name in names)
        self._known: dict[str, bool] = {}

    def hides(self, name: str) -> bool:
        """True if what stands under *name* is secret."""
        known = self._known.get(name)
        if known is None:
            plain = name.lower().replace("-", "_")
            known = any(pattern in plain for pattern in self._patterns)
            if len(self._known) < 10_000:
                self._known[name] = known
        return known

    def apply(self, value: Any, hidden: Iterable[str] = ()) -> Any:
        """*value* with every secret replaced; *hidden* names are secret as well."""
        names = frozenset(hidden)
        if isinstance(value, Mapping):
            return {
                key: MASK
                if item is not None and (str(key) in names or self.hides(str(key)))
                else self.apply(item, names)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.apply(item, names) for item in value]
        return value
