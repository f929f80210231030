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


def accepted(header: str) -> list[str]:
    """The media types of an Accept header, most wanted first; what is malformed counts last."""
    found = []
    for at, item in enumerate(header.split(",")[:_MOST]):
        kind, *params = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for param in params:
            name, _, value = param.partition("=")
            if name.strip() == "q":
                quality = _quality(value)
        if kind and quality > 0:
            found.append((-quality, at, kind))
    return [kind for _, _, kind in sorted(found)]


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.001
    return min(max(value, 0.0), 1.0) if value == value else 0.001


def is_json_type(kind: str) -> bool:
    """True for `application/json` and its kin (`…+json`)."""
    return "/json" in kind or "+json" in kind


def matches(wanted: str, offered: str) -> bool:
    """True if the media range *wanted* covers *offered*."""
    if wanted in ("*/*", "*", offered):
        return True
    kind, _, rest = wanted.partition("/")
    return rest == "*" and offered.startswith(f"{kind}/")


def best(wanted: Sequence[str], offered: Iterable[str]) -> str | None:
    """Which of *offered* (media types or format names) suits best; the first if all do."""
    candidates = list(offered)
    if not wanted:
        return candidates[0] if candidates else None
    for kind in wanted:
        for candidate in candidates:
            if any(matches(kind, name) for name in types_of(candidate)):
                return candidate
    return None


def types_of(name: str) -> tuple[str, ...]:
    """The media types that *name* (`json` or `application/json`) stands for."""
    return FORMATS.get(name, (name.lower(),))


def format_of(kind: str) -> str | None:
    """The format that the media type *kind* belongs to."""
    if is_json_type(kind):
        return "json"
    return next((name for name, kinds in FORMATS.items() if kind in kinds), None)
