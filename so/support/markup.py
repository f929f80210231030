"""HTML that cannot forget to escape: `h("a", name, href=url)` builds, `escape` quotes.

A `Markup` is text that is HTML already; every other value is escaped where it enters, and a
`javascript:` URL never becomes a link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

VOID_ELEMENTS = frozenset("area base br col embed hr img input link meta source track wbr".split())

_URL_ATTRIBUTES = frozenset("action data formaction href poster src xlink:href".split())
# Browsers skip controls and spaces in front of a scheme, and tabs and line ends anywhere in it.
_SCRIPT = re.compile(
    r"[\x00-\x20]*" + r"[\t\r\n]*".join("javascript") + r"[\t\r\n]*:"
    r"|[\x00-\x20]*" + r"[\t\r\n]*".join("vbscript") + r"[\t\r\n]*:",
    re.IGNORECASE,
)


class Markup(str):
    """Text that is HTML already and is never escaped again."""

    __slots__ = ()

    def __html__(self) -> str:
        """The markup itself; the protocol by which other builders know it."""
        return self

    def __add__(self, other: str) -> Markup:
        """Join with *other*, which is escaped unless it is Markup too."""
        return Markup(str.__add__(self, escape(other)))


def escape(value: object) -> Markup:
    """*value* as HTML text: Markup as it is, None as nothing, all else with `& < > " '` quoted."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup("")
    own = getattr(value, "__html__", None)
    return Markup(own() if callable(own) else _quoted(str(value)))


def _quoted(text: str) -> str:
    """As `html.escape` does it; that module brings half a megabyte of names along."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#x27;")


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """All *parts*, escaped as needed, in a row; None is left out."""
    return Markup(escape(separator).join(escape(part) for part in parts if part is not None))


def h(tag: str, *children: object, **attributes: Any) -> Markup:
    """The element *tag* with *children* and *attributes*.

    `class_="x"`, `for_="y"` and `data_id=1` become class, for and data-id; True writes the bare
    attribute, False and None leave it out. Children may be lists. A URL that would run a script
    is written as `#`.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID_ELEMENTS:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(_flat(children))}</{tag}>")


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    # Not an error: a bad value in one stored row would take the page away from everybody.
    if name in _URL_ATTRIBUTES and _SCRIPT.match(str(value)):
        value = "#"
    return f' {name}="{escape(value)}"'


def _flat(children: Iterable[object]) -> Iterable[object]:
    for child in children:
        if isinstance(child, (list, tuple)):
            yield from _flat(child)
        else:
            yield child
