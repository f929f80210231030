"""What the client wants to get: the Accept header, read leniently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

FORMATS = {
    "html": ("text/html", "application/xhtml+xml"),
    "txt": ("text/plain",),
    "json": ("application/json", "application/x-json"),
    "xml": ("text/xml", "application/xml", "application/x-xml"),
    "csv": ("text/csv",),
    "js": ("application/javascript", "text/javascript"),
    "css": ("text/css",),
    "pdf": ("application/pdf",),
}
_MOST = 50
_UNWANTED = (0.0, 0)


Range = tuple[str, float]  # a media range and how much it is wanted: 0 is not at all


def accepted(header: str) -> list[Range]:
    """The media ranges of an Accept header, most wanted first; what is malformed counts last."""
    found = []
    for item in header.split(",")[:_MOST]:
        kind, *params = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for param in params:
            name, _, value = param.partition("=")
            if name.strip() == "q":
                quality = _quality(value)
        if kind:
            found.append((kind, quality))
    return sorted(found, key=lambda each: -each[1])


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.001
    return min(max(value, 0.0), 1.0) if value == value else 0.001


def is_json_type(kind: str) -> bool:
    """True for `application/json` and its kin (`…+json`)."""
    return "/json" in kind or "+json" in kind


def _fit(wanted: str, offered: str) -> int:
    """How closely the media range *wanted* fits *offered*: 4 exactly, 0 not at all."""
    if wanted == offered:
        return 4
    if _is_kin(wanted, offered) or _is_kin(offered, wanted):
        return 3
    kind, _, rest = wanted.partition("/")
    if rest == "*" and offered.startswith(f"{kind}/"):
        return 2
    return 1 if wanted in ("*/*", "*") else 0


def _is_kin(special: str, plain: str) -> bool:
    """True for `application/vnd.api+json` beside `application/json`."""
    kind, _, rest = special.partition("/")
    return "+" in rest and plain == f"{kind}/{rest.rpartition('+')[2]}"


def liking(ranges: Sequence[Range], name: str) -> tuple[float, int]:
    """How much the media type or format *name* is wanted, and how early it was named.

    The range that fits best counts (RFC 9110, 12.5.1); without any everything is wanted.
    """
    return max((_liking(ranges, kind) for kind in types_of(name)), default=_UNWANTED)


def _liking(ranges: Sequence[Range], kind: str) -> tuple[float, int]:
    if not ranges:
        return 1.0, 0
    fits = [(_fit(wanted, kind), quality, -at) for at, (wanted, quality) in enumerate(ranges)]
    closeness, quality, place = max(fits)
    return (quality, place) if closeness else _UNWANTED


def best(ranges: Sequence[Range], offered: Iterable[str]) -> str | None:
    """Which of *offered* (media types or format names) suits best; the first if all do."""
    candidates = list(offered)
    found = max(candidates, key=lambda name: liking(ranges, name), default=None)
    return found if found is not None and liking(ranges, found)[0] else None


def types_of(name: str) -> tuple[str, ...]:
    """The media types that *name* (`json` or `application/json`) stands for."""
    return FORMATS.get(name, (name.lower(),))


def format_of(kind: str) -> str | None:
    """The format that the media type *kind* belongs to."""
    if is_json_type(kind):
        return "json"
    return next((name for name, kinds in FORMATS.items() if kind in kinds), None)
