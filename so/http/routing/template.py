"""URI templates: `users/{id}/files/{name}.{ext?}` read into segments.

A segment is literal text, one parameter, or text and parameters mixed (`{a}.{b}`, `v{n}`). What
a parameter may hold is decided by the route's constraints; a parameter without one holds any
text but a slash. The tree over segments is in trie.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from so.errors import RouteDefinitionError

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"([A-Za-z_]\w*)(?::([A-Za-z_]\w*))?(\?)?", re.ASCII)
MAX_OPTIONAL = 5

# Text that surely cannot match a slash: letters, digits, harmless escapes, simple classes,
# groups and counts. All else is taken to match one and is tried on the rest of the path.
_WITHIN_SEGMENT = re.compile(
    r"(?:\\[dw.\-+_]"
    r"|\[-?(?:\\[dw.\-+_]|[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_.+,:@ ])*-?\]"
    r"|\[\^/[^\]\\]*\]"
    r"|\(\?:|[A-Za-z0-9_\-(),:@|+*?{} ])*"
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One `{name}`, `{name:column}` or `{name?}`."""

    name: str
    field: str | None
    optional: bool


class Segment:
    """What stands between two slashes: literal texts (str) and parameters, in order.

    is_optional: one optional parameter and nothing else, so that its slash is optional too.
    """

    __slots__ = ("is_literal", "is_optional", "parameters", "parts", "text")

    def __init__(self, text: str, parts: tuple[str | Parameter, ...]) -> None:
        self.text = text
        self.parts = parts
        self.parameters = tuple(part for part in parts if isinstance(part, Parameter))
        self.is_literal = not self.parameters
        self.is_optional = len(parts) == 1 and any(p.optional for p in self.parameters)


@lru_cache(maxsize=2048)
def parse(uri: str) -> tuple[Segment, ...]:
    """The segments of *uri* (no slash at either end); RouteDefinitionError if malformed."""
    if not uri:
        return ()
    segments = tuple(_segment(text, uri) for text in uri.split("/"))
    seen: set[str] = set()
    for parameter in (p for segment in segments for p in segment.parameters):
        if parameter.name in seen:
            raise RouteDefinitionError(
                f"the route {uri!r} has the parameter {{{parameter.name}}} twice: rename one"
            )
        seen.add(parameter.name)
    if sum(segment.is_optional for segment in segments) > MAX_OPTIONAL:
        raise RouteDefinitionError(
            f"the route {uri!r} has more than {MAX_OPTIONAL} optional segments: split it"
        )
    return segments


def _segment(text: str, uri: str) -> Segment:
    if "{" not in text and "}" not in text:
        return Segment(text, (text,))
    parts: list[str | Parameter] = []
    end = 0
    for match in PLACEHOLDER.finditer(text):
        parts += _literal(text[end : match.start()], uri)
        parts.append(_parameter(match.group(1), uri))
        end = match.end()
    parts += _literal(text[end:], uri)
    return Segment(text, tuple(parts))


def _literal(text: str, uri: str) -> list[str]:
    if "{" in text or "}" in text:
        raise RouteDefinitionError(f"the route {uri!r} has an unpaired brace in {text!r}")
    return [text] if text else []


def _parameter(text: str, uri: str) -> Parameter:
    match = _NAME.fullmatch(text)
    if match is None:
        raise RouteDefinitionError(
            f"the route {uri!r} has the parameter {{{text}}}: write {{name}}, {{name?}} or "
            "{name:column} with letters, digits and _"
        )
    return Parameter(match.group(1), match.group(2), match.group(3) is not None)


def variants(segments: tuple[Segment, ...]) -> Iterator[tuple[Segment, ...]]:
    """*segments* with and without its optional ones, the longest first."""
    if not any(segment.is_optional for segment in segments):
        yield segments
        return
    choices = [((s,), ()) if s.is_optional else ((s,),) for s in segments]
    for chosen in product(*choices):
        yield tuple(segment for kept in chosen for segment in kept)


def stays_in_segment(pattern: str) -> bool:
    """False if *pattern* might match a slash, so that its parameter may span segments."""
    return _WITHIN_SEGMENT.fullmatch(pattern) is not None


def segment_pattern(segment: Segment, wheres: Mapping[str, str], named: bool = False) -> str:
    """The regular expression of *segment*; *named* gives each parameter a group of its name."""
    written: list[str] = []
    for at, part in enumerate(segment.parts):
        if isinstance(part, str):
            written.append(re.escape(part))
            continue
        opening = f"(?P<{part.name}>" if named else "(?:"
        group = f"{opening}{_inner(part, wheres, segment.parts[at + 1 :])})"
        if part.optional and at:
            # The separator goes with the optional parameter: `{name}.{ext?}` serves `readme`.
            before = segment.parts[at - 1]
            if isinstance(before, str):
                written[-1] = re.escape(before[:-1])
                group = re.escape(before[-1]) + group
            group = f"(?:{group})?"
        written.append(group)
    return "".join(written)


def _inner(part: Parameter, wheres: Mapping[str, str], after: tuple[str | Parameter, ...]) -> str:
    own = wheres.get(part.name)
    if own is not None:
        return own
    # Stopping at the next literal character keeps the match linear and makes `a.tar.gz` under
    # `{name}.{ext}` read as name `a`, ext `tar.gz`, as Laravel does.
    following = after[0] if after else ""
    stop = re.escape(following[0]) if isinstance(following, str) and following else ""
    return f"[^/{stop}]+"


def compiled(pattern: str, uri: str) -> re.Pattern[str]:
    """*pattern* compiled; RouteDefinitionError names the route if it cannot be."""
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise RouteDefinitionError(
            f"the constraint {pattern!r} of route {uri!r} is not a regular expression: {error}"
        ) from error
