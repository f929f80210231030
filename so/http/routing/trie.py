"""The tree of routes: which one serves a path, in time that does not grow with their number.

The first registered route that matches wins, although the walk tries literal segments first:
every node knows the lowest and the highest registration number below it. `Tree.quick` answers
nearly every request by one dictionary look-up a segment; where two branches could both serve a
segment it says None, and `Tree.search` walks all branches that could still win.

Percent-decoding, methods and errors are the router's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from so.http.routing.template import (
    Segment,
    compiled,
    segment_pattern,
    stays_in_segment,
    variants,
)

if TYPE_CHECKING:
    from so.http.routing.route import Route

NEVER = 1 << 60
# Keys of the quick dictionaries that no path segment can equal.
ANY, HIT = 0, 1
Quick = dict[Any, Any]
Extract = Callable[[Sequence[str]], dict[str, str] | None]


class RouteHit(NamedTuple):
    """A route at the end of a path: where its parameters stand, or how to extract them."""

    route: Route
    places: tuple[tuple[str, int], ...]
    extract: Extract | None
    order: int


class Edge(NamedTuple):
    """A branch for segments that are not one literal text; `fits` None takes any text."""

    pattern: str
    fits: Callable[[str], re.Match[str] | None] | None
    node: TrieNode


class RouteTail(NamedTuple):
    """A route whose next parameter may span slashes: tried on the whole rest of the path."""

    order: int
    fits: Callable[[str], re.Match[str] | None]
    hit: RouteHit


class TrieNode:
    """One segment deep in the tree."""

    __slots__ = ("edges", "first", "hit", "last", "static", "tails")

    def __init__(self) -> None:
        self.static: dict[str, TrieNode] = {}
        self.edges: list[Edge] = []
        self.tails: list[RouteTail] = []
        self.hit: RouteHit | None = None
        self.first = NEVER
        self.last = -1


class Tree:
    """The routes of one method."""

    def __init__(self) -> None:
        self.root = TrieNode()
        self.quick: Quick = {}
        self._order = count()

    def add(self, route: Route) -> None:
        """Put *route* in, behind those that are in it."""
        # A path that a route serves with and without its optional parameter has it.
        for segments in variants(route.segments):
            _insert(self.root, segments, route, next(self._order))

    def freeze(self) -> None:
        """Derive the quick dictionaries; call it after the last `add`."""
        root = _quick(self.root)
        # Whole paths without a parameter; they begin with a slash, which no segment does.
        whole = {path or "/": hit.route for path, hit in _literal_paths(root, "")}
        self.quick = {**whole, "": root, ANY: MISS, HIT: None}

    def search(self, parts: Sequence[str]) -> tuple[Route, dict[str, str]] | None:
        """The route that wins *parts* and its values.

        *parts*: what stands before the first slash (nothing), then the decoded segments; none of
        them empty, or nothing is found.
        """
        if "" in parts[1:]:
            return None
        best = _search(self.root, parts, 1, None)
        if best is None:
            return None
        params = params_of(best, parts)
        return None if params is None else (best.route, params)


def params_of(hit: RouteHit, parts: Sequence[str]) -> dict[str, str] | None:
    """The values of *hit*'s parameters in *parts*; None if a constraint refuses them."""
    if hit.extract is not None:
        return hit.extract(parts)
    return {name: parts[at] for name, at in hit.places}


def _insert(node: TrieNode, segments: tuple[Segment, ...], route: Route, order: int) -> None:
    places: list[tuple[str, int]] = []
    patterns: list[tuple[int, Segment]] = []
    for at, segment in enumerate(segments, 1):
        _note(node, order)
        if segment.is_literal:
            node = _child(node, segment.text)
            continue
        if _may_span(segment, route.wheres):
            _insert_tail(node, segments, at, route, order)
            return
        node = _edge(node, segment, route)
        names = [p.name for p in segment.parameters]
        if len(segment.parts) == 1:
            places.append((names[0], at))
        if len(segment.parts) > 1 or names[0] in route.wheres:
            patterns.append((at, segment))
    _note(node, order)
    if node.hit is None:
        extract = _extractor(places, patterns, route) if patterns else None
        node.hit = RouteHit(route, tuple(places), extract, order)


def _child(node: TrieNode, text: str) -> TrieNode:
    child = node.static.get(text)
    if child is None:
        child = node.static[text] = TrieNode()
    return child


def _note(node: TrieNode, order: int) -> None:
    if order < node.first:
        node.first = order
    if order > node.last:
        node.last = order


def _may_span(segment: Segment, wheres: Mapping[str, str]) -> bool:
    return any(
        p.name in wheres and not stays_in_segment(wheres[p.name]) for p in segment.parameters
    )


def _edge(node: TrieNode, segment: Segment, route: Route) -> TrieNode:
    plain = len(segment.parts) == 1 and segment.parameters[0].name not in route.wheres
    pattern = "" if plain else segment_pattern(segment, route.wheres)
    for edge in node.edges:
        if edge.pattern == pattern:
            return edge.node
    fits = None if plain else compiled(pattern, route.uri).fullmatch
    edge = Edge(pattern, fits, TrieNode())
    node.edges.append(edge)
    return edge.node


def _extractor(
    places: list[tuple[str, int]], patterns: list[tuple[int, Segment]], route: Route
) -> Extract:
    """Checks the constrained segments and reads those with several parts."""
    checks = [
        (
            at,
            compiled(segment_pattern(segment, route.wheres, named=True), route.uri).fullmatch,
            [parameter.name for parameter in segment.parameters],
        )
        for at, segment in patterns
    ]

    def extract(parts: Sequence[str]) -> dict[str, str] | None:
        params = {name: parts[at] for name, at in places}
        for at, fits, names in checks:
            match = fits(parts[at])
            if match is None:
                return None
            params.update(_given(match, names))
        return params

    return extract


def _given(match: re.Match[str], names: Iterable[str]) -> dict[str, str]:
    return {name: match[name] for name in names if match[name] is not None}


def _insert_tail(
    node: TrieNode, segments: tuple[Segment, ...], at: int, route: Route, order: int
) -> None:
    def pattern(of: tuple[Segment, ...], named: bool) -> str:
        return "/".join(segment_pattern(segment, route.wheres, named) for segment in of)

    whole = compiled(pattern(segments, named=True), route.uri).fullmatch
    names = [parameter.name for segment in segments for parameter in segment.parameters]

    def extract(parts: Sequence[str]) -> dict[str, str] | None:
        match = whole("/".join(parts[1:]))
        return None if match is None else _given(match, names)

    fits = compiled(pattern(segments[at - 1 :], named=False), route.uri).fullmatch
    node.tails.append(RouteTail(order, fits, RouteHit(route, (), extract, order)))


# --- the exact walk -------------------------------------------------------------------------------


def _search(
    node: TrieNode, parts: Sequence[str], at: int, best: RouteHit | None
) -> RouteHit | None:
    """The hit below *node* that comes before *best*, else *best*."""
    limit = NEVER if best is None else best.order
    if at == len(parts):
        if node.hit is not None and node.hit.order < limit:
            best = node.hit
    elif node.first < limit:
        best = _search_below(node, parts, at, best)
    # The slash before the tail must be there: `/files/{path}` does not serve `/files`.
    return _search_tails(node, parts, at, best) if node.tails and at < len(parts) else best


def _search_below(
    node: TrieNode, parts: Sequence[str], at: int, best: RouteHit | None
) -> RouteHit | None:
    part = parts[at]
    child = node.static.get(part)
    if child is not None:
        best = _search(child, parts, at + 1, best)
    for edge in node.edges:
        if best is not None and edge.node.first >= best.order:
            continue
        if edge.fits is None or edge.fits(part) is not None:
            best = _search(edge.node, parts, at + 1, best)
    return best


def _search_tails(
    node: TrieNode, parts: Sequence[str], at: int, best: RouteHit | None
) -> RouteHit | None:
    rest = "/".join(parts[at:])
    for tail in node.tails:
        if (best is None or tail.order < best.order) and tail.fits(rest) is not None:
            best = tail.hit
    return best


# --- the quick dictionaries -----------------------------------------------------------------------


def _nowhere(hit: Any) -> Quick:
    """A dictionary in which every path ends with *hit*."""
    node: Quick = {HIT: hit}
    node[ANY] = node[""] = node
    return node


MISS = _nowhere(None)  # no route, for sure
_UNSURE = _nowhere(False)  # only the exact walk can tell


def _literal_paths(node: Quick, path: str) -> Iterator[tuple[str, RouteHit]]:
    """The paths below *node* that hold no parameter, and what they hit."""
    if node[HIT] and not node[HIT].places and node[HIT].extract is None:
        yield path, node[HIT]
    for text, child in node.items():
        if isinstance(text, str) and text:
            yield from _literal_paths(child, f"{path}/{text}")


def _quick(node: TrieNode, is_sure: bool = True) -> Quick:
    """*node* as {segment: child, ANY: child for other texts, HIT: the route ending here}.

    HIT is None where there is none, False where only the exact walk can tell. *is_sure* is False
    below a node where another branch might match what this one does not.
    """
    edges, tails = node.edges, node.tails
    first_tail = min([tail.order for tail in tails], default=NEVER)
    first_other = min([edge.node.first for edge in edges], default=first_tail)
    miss = MISS if is_sure and not tails else _UNSURE
    quick: Quick = {ANY: miss, HIT: miss[HIT], "": miss}
    for text, child in node.static.items():
        # A branch registered before something in here could win: leave it to the exact walk.
        before = child.last < min(first_other, first_tail)
        quick[text] = _quick(child, miss is MISS and not edges) if before else _UNSURE
    if len(edges) == 1 and edges[0].node.last < first_tail:
        # What a constraint refuses is refused by the hit's `extract`.
        quick[ANY] = _quick(edges[0].node, miss is MISS)
    elif edges:
        quick[ANY] = _UNSURE
    if node.hit is not None:
        # A slash at the end is an empty segment, which no parameter may take.
        quick[""] = {HIT: node.hit, ANY: miss, "": miss}
        quick[HIT] = node.hit
    return quick
