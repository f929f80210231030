"""What of the data was ruled: nothing else comes out of `validated()`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from so.http.validation import paths
from so.http.validation.paths import ABSENT

Excluded = set[tuple[str, ...]]


class _Node:
    """One segment of the ruled paths: whether it is ruled itself, and what is ruled below it."""

    __slots__ = ("below", "ruled")

    def __init__(self) -> None:
        self.ruled = False
        self.below: dict[str, _Node] = {}

    def add(self, segments: tuple[str, ...]) -> None:
        node = self
        for segment in segments:
            node = node.below.setdefault(segment, _Node())
        node.ruled = True

    def child(self, key: str) -> _Node | None:
        """What is ruled under *key*, by its name and by a star together."""
        named, star = self.below.get(key), self.below.get(paths.STAR)
        if named is None or star is None:
            return named or star
        both = _Node()
        both.ruled = named.ruled or star.ruled
        for name in named.below.keys() | star.below.keys():
            one, other = named.below.get(name), star.below.get(name)
            both.below[name] = one or other or _Node()
        return both


def pruned(data: Any, names: Iterable[str], excluded: Excluded) -> Any:
    """The part of *data* that *names* rule, in its own shape, without what was *excluded*."""
    root = _Node()
    for name in names:
        root.add(paths.split(name))
    kept = _prune(data, root, (), excluded)
    return {} if kept is ABSENT else kept


def _prune(value: Any, node: _Node, path: tuple[str, ...], excluded: Excluded) -> Any:
    if excluded and path in excluded:
        return ABSENT
    if not node.below:
        return value
    if isinstance(value, Mapping):
        kept = {key: item for key, item in _below(value.items(), node, path, excluded)}
        return kept if kept or node.ruled else ABSENT
    if isinstance(value, (list, tuple)):
        items = [item for _, item in _below(enumerate(value), node, path, excluded)]
        return items if items or node.ruled else ABSENT
    return value if node.ruled else ABSENT


def _below(
    pairs: Iterable[tuple[Any, Any]], node: _Node, path: tuple[str, ...], excluded: Excluded
) -> Iterable[tuple[Any, Any]]:
    for key, value in pairs:
        child = node.child(str(key))
        if child is not None:
            kept = _prune(value, child, (*path, str(key)) if excluded else (), excluded)
            if kept is not ABSENT:
                yield key, kept
