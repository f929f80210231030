"""Rules about uploaded files. What a file is, is read from its content, never from its name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from so.errors import InvalidRuleError
from so.http.validation.fields import At, Params
from so.http.validation.registry import rule
from so.http.validation.values import is_file

IMAGES = frozenset({"jpg", "jpeg", "png", "gif", "bmp", "webp"})

PLAIN_TEXT = frozenset("txt text csv tsv log md ini sql po".split())
"""Extensions whose content is plain text: there the client's name says which of them it is."""

_DIMENSIONS = frozenset("width height min_width max_width min_height max_height ratio".split())


def _is_good(value: Any) -> bool:
    if not is_file(value):
        return False
    check = getattr(value, "is_valid", None)
    return bool(check()) if callable(check) else True


@rule("file")
def file(value: Any, params: Params, at: At) -> bool:
    """A file that arrived whole."""
    return _is_good(value)


def _only_svg(name: str, params: Params) -> None:
    if params not in ((), ("allow_svg",)):
        raise InvalidRuleError("validation rule image knows only the option allow_svg")


@rule("image", check=_only_svg)
def image(value: Any, params: Params, at: At) -> bool:
    """A picture of a kind that browsers show; SVG only if allowed, for it may hold scripts."""
    kinds = IMAGES | ({"svg"} if params else set())
    return _is_good(value) and _extension(value) in kinds


@rule("mimes", least=1)
def mimes(value: Any, params: Params, at: At) -> bool:
    """A file whose content is of one of the kinds, named by extension."""
    if not _is_good(value):
        return False
    wanted = {param.strip().lower() for param in params}
    if wanted & {"jpg", "jpeg"}:
        wanted |= {"jpg", "jpeg"}
    if _extension(value) in wanted:
        return True
    claimed = str(getattr(value, "client_extension", "") or "").lower()
    return claimed in wanted & PLAIN_TEXT and str(value.mime_type).startswith("text/")


@rule("extensions", least=1)
def extensions(value: Any, params: Params, at: At) -> bool:
    """A file whose name ends so; say `mimes` beside it, for a name proves nothing."""
    wanted = {param.strip().lower().removeprefix(".") for param in params}
    claimed = str(getattr(value, "client_extension", "") or "").lower()
    return _is_good(value) and claimed.removeprefix(".") in wanted


def _extension(value: Any) -> str:
    return str(getattr(value, "extension", "") or "").lower().removeprefix(".")


@rule("mimetypes", least=1)
def mimetypes(value: Any, params: Params, at: At) -> bool:
    """A file whose content is of one of the types; `image/*` means every kind of image."""
    if not _is_good(value):
        return False
    found = str(value.mime_type).partition(";")[0].strip().lower()
    return found in params or f"{found.partition('/')[0]}/*" in params


def _known_dimensions(name: str, params: Params) -> None:
    for param in params:
        key, equals, written = str(param).partition("=")
        try:
            _fraction(written)
        except (ValueError, ZeroDivisionError):
            equals = ""
        if key not in _DIMENSIONS or not equals:
            raise InvalidRuleError(
                f"bad parameter {param!r} of dimensions: write one of "
                f"{', '.join(sorted(_DIMENSIONS))} with a number, as in min_width=100"
            )


def _fraction(written: str) -> Fraction:
    """`3/2` or `1.5` as an exact ratio."""
    above, _, below = written.partition("/")
    return Fraction(above) / Fraction(below or 1)


@rule("dimensions", least=1, check=_known_dimensions)
def dimensions(value: Any, params: Params, at: At) -> bool:
    """A picture of such a size in pixels; `ratio` is width to height, right to a pixel."""
    found = value.dimensions() if _is_good(value) and hasattr(value, "dimensions") else None
    if not found:
        return False
    width, height = found
    return all(_holds(str(param), width, height) for param in params)


def _holds(param: str, width: int, height: int) -> bool:
    key, _, written = param.partition("=")
    wanted = _fraction(written)
    if key == "ratio":
        return abs(wanted * height - width) <= 1
    side = width if key.endswith("width") else height
    if key.startswith("min_"):
        return side >= wanted
    return side <= wanted if key.startswith("max_") else side == wanted
