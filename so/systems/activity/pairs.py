"""`Pairs`: what changed in a many-to-many relation of an audited model, and the pairs' values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from so.support.masking import Masker

Values = Mapping[str, Any]


class Pairs:
    """One change: the related keys by what became of them, and the pairs before and after."""

    def __init__(
        self,
        model: Any,
        relation: str,
        attached: list[Any],
        detached: list[Any],
        updated: list[Any],
        before: Mapping[Any, Values],
    ) -> None:
        self._relation = relation
        self._related = model.related(relation)
        self._before = before
        self._written = [*attached, *updated]
        really = [key for key in updated if self._differs(key)]
        self.kinds = {"attached": attached, "detached": detached, "updated": really}

    @property
    def event(self) -> str | None:
        """`attached`, `detached` or `updated`; `synced` for several, None for no change at all."""
        given = [kind for kind, keys in self.kinds.items() if keys]
        return None if not given else given[0] if len(given) == 1 else "synced"

    def properties(self, mask: Masker) -> dict[str, Any]:
        """For the entry: the keys, and the further columns of the pairs as they were and are."""
        gone = [*self.kinds["detached"], *self.kinds["updated"]]
        now = [*self.kinds["attached"], *self.kinds["updated"]]
        told = {"pivot": self._told(self._after, now), "pivot_old": self._told(self._before, gone)}
        return {
            "relation": self._relation,
            **self.kinds,
            **{name: mask.named(values) for name, values in told.items() if values},
        }

    @cached_property
    def _after(self) -> dict[Any, Values]:
        """The pairs that were written, as they are now."""
        if not self._written:
            return {}
        column = self._related.related_pivot_key
        found = self._related.pivot_query().where_in(column, self._written).use_write().get()
        keys = {str(key): key for key in self._written}
        return {keys.get(str(row[column]), row[column]): row for row in found}

    def _differs(self, key: Any) -> bool:
        before, after = self._before.get(key), self._after.get(key)
        if before is None or after is None:
            return True
        stamps = self._related._pivot_stamps or ()  # that a pair was touched is no change
        names = {*self._further(before), *self._further(after)}.difference(stamps)
        return any(before.get(name) != after.get(name) for name in names)

    def _told(self, pairs: Mapping[Any, Values], keys: list[Any]) -> dict[str, Values]:
        told = {str(key): self._further(pairs[key]) for key in keys if key in pairs}
        return {
            key: kept
            for key, values in told.items()
            if (kept := {name: value for name, value in values.items() if value is not None})
        }

    def _further(self, pair: Values) -> dict[str, Any]:
        own = (self._related.foreign_key, self._related.related_pivot_key)
        return {name: value for name, value in pair.items() if name not in own}
