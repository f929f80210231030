"""Markdown to HTML for our own guides: the common subset, with everything else escaped.

Headings with ids, paragraphs, nested lists, task lists, fenced code, tables, block quotes, rules,
links, images, code, bold, italic, struck text, hard breaks. HTML in the source is shown as text,
comments are dropped. Links may be rewritten by the caller, who knows where its pages are.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from so.support.markup import Markup, escape, h, join
from so.web.highlight import highlighted

Link = Callable[[str], str]

_FENCE = re.compile(r"( {0,3})(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}")
_ITEM = re.compile(r"( {0,3})([-*+]|\d{1,9}[.)])(?:( +)(.*)|)")
_QUOTE = re.compile(r" {0,3}> ?(.*)")
_DELIMITERS = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_TASK = re.compile(r"\[([ xX])\] +")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_INLINE_TAG = re.compile(r"</?(?:a|code|del|em|mark|span|strong)\b[^>]*>")

_INLINE = re.compile(
    r"(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|!\[(?P<alt>[^\]]*)\]\((?P<source>[^()\s]*)(?:\s+\"(?P<title>[^\"]*)\")?\)"
    r"|\[(?P<text>(?:[^\[\]`\\]|\\.|`[^`]*`|!?\[[^\]]*\](?:\([^)]*\))?)*)\]"
    r"\(\s*(?P<href>(?:[^()\s]|\([^()\s]*\))*)(?:\s+\"[^\"]*\")?\s*\)"
    r"|<(?P<auto>https?://[^\s<>]+|[\w.+-]+@[\w-]+\.[\w.-]+)>"
    r"|(?P<bare>\bhttps?://[^\s<>()\[\]\"'`*|]+[^\s<>()\[\]\"'`*|.,;:!?])"
    r"|\*\*(?P<strong>(?=\S).+?(?<=\S))\*\*(?!\*)"
    r"|(?<!\w)__(?P<strong_>(?=\S).+?(?<=\S))__(?!\w)"
    r"|\*(?P<em>(?=[^\s*]).*?(?<=[^\s*]))\*(?!\*)"
    r"|(?<!\w)_(?P<em_>(?=[^\s_]).*?(?<=[^\s_]))_(?!\w)"
    r"|~~(?P<struck>(?=\S).+?(?<=\S))~~"
    r"|(?P<break>(?: {2,}|\\)\n)",
    re.DOTALL,
)

_SAFE_SCHEMES: Final = ("http:", "https:", "mailto:")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: its level (1 to 6), its words, and the id it can be linked by."""

    level: int
    text: str
    id: str


@dataclass(slots=True)
class MarkdownDocument:
    """A rendered text with its headings in order."""

    html: Markup
    headings: list[Heading] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The words of the first heading of the highest level; empty without any."""
        return next((heading.text for heading in self.headings if heading.level == 1), "")


def render(source: str, link: Link = str) -> MarkdownDocument:
    """*source* as HTML; every link goes through *link* first."""
    document = MarkdownDocument(Markup(""))
    lines = _COMMENT.sub("", source).expandtabs(4).replace("\r\n", "\n").split("\n")
    document.html = _Blocks(document, link).render(lines)
    return document


def plain(markup: str) -> str:
    """The words of *markup* on one line."""
    return " ".join(html.unescape(_TAG.sub(" ", _INLINE_TAG.sub("", markup))).split())


def slug(text: str) -> str:
    """*text* as an id: lower-case words joined by hyphens."""
    words = re.sub(r"[^\w\s-]", "", text.lower()).split()
    return "-".join(words) or "section"


class _Blocks:
    """Turns lines into blocks; what is nested (lists, quotes) goes through it again."""

    def __init__(self, document: MarkdownDocument, link: Link) -> None:
        self.document = document
        self.link = link

    def render(self, lines: list[str], tight: bool = False) -> Markup:
        """The blocks in *lines*; in a *tight* list item paragraphs stand without `<p>`."""
        return join(self._blocks(lines, tight), "\n")

    def _blocks(self, lines: list[str], tight: bool) -> Iterator[Markup]:
        at = 0
        while at < len(lines):
            if not lines[at].strip():
                at += 1
                continue
            block, at = self._block(lines, at, tight)
            yield block

    def _block(self, lines: list[str], at: int, tight: bool) -> tuple[Markup, int]:
        line = lines[at]
        heading = _HEADING.fullmatch(line)
        if heading:
            return self._heading(len(heading[1]), heading[2]), at + 1
        if _FENCE.fullmatch(line):
            return self._fence(lines, at)
        if _RULE.fullmatch(line):
            return h("hr"), at + 1
        if _QUOTE.fullmatch(line):
            return self._quote(lines, at)
        if _ITEM.fullmatch(line):
            return self._list(lines, at)
        if _is_table(lines, at):
            return self._table(lines, at)
        return self._paragraph(lines, at, tight)

    # --- blocks ---------------------------------------------------------------------------------

    def _heading(self, level: int, text: str) -> Markup:
        inner = self.inline(text)
        words = plain(inner)
        id_ = self._unique(slug(words))
        self.document.headings.append(Heading(level, words, id_))
        anchor = h("a", "#", class_="anchor", href=f"#{id_}", aria_hidden="true", tabindex="-1")
        return h(f"h{level}", inner, " ", anchor, id=id_)

    def _unique(self, wanted: str) -> str:
        taken = {heading.id for heading in self.document.headings}
        number, found = 1, wanted
        while found in taken:
            number += 1
            found = f"{wanted}-{number}"
        return found

    def _fence(self, lines: list[str], at: int) -> tuple[Markup, int]:
        opening = _FENCE.fullmatch(lines[at])
        assert opening is not None
        indent, marks, language = len(opening[1]), opening[2], opening[3]
        closing = re.compile(rf" {{0,3}}{re.escape(marks[0])}{{{len(marks)},}}\s*")
        body = []
        at += 1
        while at < len(lines) and not closing.fullmatch(lines[at]):
            body.append(_outdented(lines[at], indent))
            at += 1
        code = highlighted("\n".join(body) + "\n", language)
        kind = f"language-{language}" if language else None
        return h("pre", h("code", code, class_=kind), tabindex="0"), at + 1

    def _quote(self, lines: list[str], at: int) -> tuple[Markup, int]:
        inner = []
        while at < len(lines) and lines[at].strip():
            quoted = _QUOTE.fullmatch(lines[at])
            if quoted is None and _starts_block(lines, at):
                break
            inner.append(quoted[1] if quoted else lines[at])
            at += 1
        return h("blockquote", self.render(inner)), at

    def _paragraph(self, lines: list[str], at: int, tight: bool) -> tuple[Markup, int]:
        first = at
        at += 1
        while at < len(lines) and lines[at].strip() and not _starts_block(lines, at):
            at += 1
        ended = [line.lstrip() for line in lines[first:at]]
        inner = self.inline("\n".join(ended).rstrip())
        return (inner if tight else h("p", inner)), at

    # --- lists ----------------------------------------------------------------------------------

    def _list(self, lines: list[str], at: int) -> tuple[Markup, int]:
        first = _ITEM.fullmatch(lines[at])
        assert first is not None
        kind = first[2][-1]
        items: list[list[str]] = []
        loose = False
        while at < len(lines):
            item = _ITEM.fullmatch(lines[at])
            if item is None or item[2][-1] != kind or _RULE.fullmatch(lines[at]):
                break
            body, at, gap = _item_lines(lines, at, item)
            items.append(body)
            loose = loose or gap
        drawn = [self._item(body, not loose) for body in items]
        if kind not in ".)":
            return h("ul", drawn), at
        start = int(first[2][:-1])
        return h("ol", drawn, start=start if start != 1 else None), at

    def _item(self, body: list[str], tight: bool) -> Markup:
        task = _TASK.match(body[0]) if body else None
        if task is None:
            return h("li", self.render(body, tight))
        box = h("input", type="checkbox", disabled=True, checked=task[1] != " ")
        body = [body[0][task.end() :], *body[1:]]
        return h("li", box, " ", self.render(body, tight), class_="task")

    # --- tables ---------------------------------------------------------------------------------

    def _table(self, lines: list[str], at: int) -> tuple[Markup, int]:
        sides = [_side(cell) for cell in _cells(lines[at + 1])]
        head = self._row("th", _cells(lines[at]), sides)
        rows = []
        at += 2
        while at < len(lines) and lines[at].strip() and "|" in lines[at]:
            rows.append(self._row("td", _cells(lines[at]), sides))
            at += 1
        table = h("table", h("thead", head), h("tbody", rows) if rows else None)
        return h("div", table, class_="table"), at

    def _row(self, tag: str, cells: list[str], sides: list[str | None]) -> Markup:
        padded = cells[: len(sides)] + [""] * (len(sides) - len(cells))
        pairs = zip(padded, sides, strict=True)
        return h("tr", [h(tag, self.inline(cell), class_=side) for cell, side in pairs])

    # --- inline ---------------------------------------------------------------------------------

    def inline(self, text: str) -> Markup:
        """*text* with its spans drawn and everything else escaped."""
        parts: list[object] = []
        end = 0
        for found in _INLINE.finditer(text):
            parts += [text[end : found.start()], self._span(found)]
            end = found.end()
        return join([*parts, text[end:]])

    def _span(self, found: re.Match[str]) -> Markup:
        name = found.lastgroup or ""
        draw = self._spans().get(name)
        return draw(found) if draw is not None else escape(found[0])

    def _spans(self) -> dict[str, Callable[[re.Match[str]], Markup]]:
        return {
            "escape": lambda found: escape(found["escape"][1]),
            "code": lambda found: h("code", _code(found["code"])),
            "source": self._image,
            "title": self._image,
            "href": lambda found: self._anchor(found["href"], self.inline(found["text"])),
            "auto": lambda found: self._anchor(found["auto"], escape(found["auto"])),
            "bare": lambda found: self._anchor(found["bare"], escape(found["bare"])),
            "break": lambda found: h("br"),
            **{
                group: partial(self._wrapped, tag, group)
                for group, tag in (
                    ("strong", "strong"),
                    ("strong_", "strong"),
                    ("em", "em"),
                    ("em_", "em"),
                    ("struck", "del"),
                )
            },
        }

    def _wrapped(self, tag: str, group: str, found: re.Match[str]) -> Markup:
        return h(tag, self.inline(found[group]))

    def _image(self, found: re.Match[str]) -> Markup:
        source = _safe(self.link(found["source"]))
        return h("img", src=source, alt=found["alt"], title=found["title"], loading="lazy")

    def _anchor(self, url: str, inner: Markup) -> Markup:
        if "@" in url and "/" not in url and ":" not in url:
            url = f"mailto:{url}"
        return h("a", inner, href=_safe(self.link(url)))


def _item_lines(lines: list[str], at: int, item: re.Match[str]) -> tuple[list[str], int, bool]:
    """The lines of one list item set out, where it ends, and whether blank lines part it."""
    spaces = len(item[3] or " ")
    width = len(item[1]) + len(item[2]) + (spaces if spaces <= 4 else 1)
    body = [item[4] or ""]
    at += 1
    gap = waiting = False
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            waiting = True
            body.append("")
        elif len(line) - len(line.lstrip()) >= width:
            inner = line[width:]
            gap = gap or (waiting and not inner[0].isspace() and not _ITEM.fullmatch(inner))
            waiting = False
            body.append(line[width:])
        elif waiting or _starts_block(lines, at):
            break
        else:
            body.append(line.lstrip())
        at += 1
    follows = at < len(lines) and _ITEM.fullmatch(lines[at]) is not None
    return body, at, gap or (waiting and follows)


def _starts_block(lines: list[str], at: int) -> bool:
    """True if the line at *at* ends the paragraph before it."""
    line = lines[at]
    patterns = (_HEADING, _FENCE, _RULE, _QUOTE)
    if any(pattern.fullmatch(line) for pattern in patterns) or _is_table(lines, at):
        return True
    item = _ITEM.fullmatch(line)
    return item is not None and bool(item[4])


def _is_table(lines: list[str], at: int) -> bool:
    if "|" not in lines[at] or at + 1 >= len(lines) or "-" not in lines[at + 1]:
        return False
    if _DELIMITERS.fullmatch(lines[at + 1]) is None:
        return False
    return len(_cells(lines[at])) == len(_cells(lines[at + 1]))


def _cells(line: str) -> list[str]:
    """The cells of a table row; a bar inside code or behind a backslash parts nothing."""
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    cells, code, start = [], False, 0
    for at, char in enumerate(line):
        if char == "`":
            code = not code
        elif char == "|" and not code and line[at - 1 : at] != "\\":
            cells.append(line[start:at])
            start = at + 1
    return [cell.strip().replace("\\|", "|") for cell in [*cells, line[start:]]]


def _side(cell: str) -> str | None:
    if cell.endswith(":"):
        return "center" if cell.startswith(":") else "right"
    return None


def _code(text: str) -> str:
    """A code span's text: one space inside the ticks is not part of it."""
    text = text.replace("\n", " ")
    padded = text.startswith(" ") and text.endswith(" ") and text.strip()
    return text[1:-1] if padded else text


def _outdented(line: str, indent: int) -> str:
    return line[indent:] if not line[:indent].strip() else line


def _safe(url: str) -> str:
    """*url*, unless it names a scheme that could run something."""
    head = re.match(r"[^/?#]*:", url)
    if head is not None and head[0].lower() not in _SAFE_SCHEMES:
        return "#"
    return url
