"""The guides: Markdown files of one folder, by slug, in order, and searchable.

A slug is looked up in the list of files that are there; it never becomes part of a path. Files
are read again when they change, so a guide can be written with the browser beside it.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from so.support.markup import Markup, h, join
from so.support.near import nearest
from so.web.markdown import MarkdownDocument, plain, render

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
LONGEST_QUERY = 100
"""Characters of a search; the rest is left unheeded."""
MOST_HITS = 30
MOST_MOUNTS = 8  # prefixes for which the guides are kept drawn
SNIPPET = 180
"""Characters of text shown with a hit."""

_SECTION = re.compile(r'<h[1-6] id="([^"]+)">(.*?) <a class="anchor".*?</h[1-6]>', re.DOTALL)


@dataclass(frozen=True)
class Section:
    """A part of a guide under one heading, as the search sees it."""

    guide: Guide
    heading: str
    id: str
    text: str

    @cached_property
    def words(self) -> str:
        """Heading and text in lower case."""
        return f"{self.heading} {self.text}".lower()


@dataclass(frozen=True)
class Hit:
    """What a search found: a section, and its words around the match."""

    section: Section
    snippet: Markup


@dataclass(frozen=True, eq=False)
class Guide:
    """One guide: its slug and its source."""

    slug: str
    source: str
    prefix: str
    mount: str = ""

    @cached_property
    def document(self) -> MarkdownDocument:
        """The guide as HTML."""
        return render(self.source, self._link)

    @property
    def title(self) -> str:
        """Its first heading, else the slug in words."""
        return self.document.title or self.slug.replace("-", " ").capitalize()

    @cached_property
    def summary(self) -> str:
        """Its first paragraph in plain words."""
        found = re.search(r"<p>(.*?)</p>", self.document.html, re.DOTALL)
        return plain(found[1]) if found else ""

    @cached_property
    def version(self) -> str:
        """What changes when the source does."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:20]

    @cached_property
    def sections(self) -> list[Section]:
        """Its parts, each under its heading."""
        parts = _SECTION.split(self.document.html)
        found = [Section(self, self.title, "", plain(parts[0]))] if plain(parts[0]) else []
        for id_, heading, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            found.append(Section(self, plain(heading), id_, plain(text)))
        return found

    def _link(self, url: str) -> str:
        """Links from file to file, as a reader of the repository follows them, to our pages; those
        to a path of the application go below its prefix.
        """
        if url.startswith("/") and not url.startswith("//"):
            return self.mount + url
        found = re.fullmatch(r"(?:\./)?([a-z0-9-]+)\.md(#.*)?", url)
        return f"{self.prefix}/{found[1]}{found[2] or ''}" if found else url


class Guides:
    """All guides of a folder."""

    def __init__(
        self, folder: Path, order: Iterable[str] = (), prefix: str = "/docs", mount: str = ""
    ) -> None:
        """The `*.md` files of *folder*, those of *order* first; pages stand under *prefix*.

        *mount* is the prefix of the application, and a part of that.
        """
        self.folder = folder
        self.order = list(order)
        self.prefix, self.mount = prefix, mount
        self._lock = threading.Lock()
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._guides: dict[str, Guide] = {}
        self._mounted: dict[str, Guides] = {}

    def below(self, mount: str) -> Guides:
        """The same guides, with their pages under *mount* (`/erp`), as a proxy shows them."""
        if not mount:
            return self
        found = self._mounted.get(mount)
        if found is None:
            if len(self._mounted) >= MOST_MOUNTS:
                self._mounted.clear()
            found = Guides(self.folder, self.order, mount + self.prefix, mount)
            self._mounted[mount] = found
        return found

    def all(self) -> dict[str, Guide]:
        """Slug → guide, in reading order."""
        seen = tuple(self._files())
        with self._lock:
            if seen != self._seen:
                self._guides = self._read(name for name, _, _ in seen)
                self._seen = seen
            return self._guides

    def find(self, slug: str) -> Guide | None:
        """The guide called *slug*."""
        return self.all().get(slug)

    def nearest(self, slug: str) -> Guide | None:
        """The guide whose name is nearest to *slug*: exact, beginning so, or alike."""
        guides = self.all()
        wanted = slug.lower().strip()
        if wanted in guides:
            return guides[wanted]
        starting = (name for name in guides if wanted and name.startswith(wanted))
        close = next(starting, None) or nearest(wanted, guides)
        return guides[close] if close else None

    def neighbours(self, guide: Guide) -> tuple[Guide | None, Guide | None]:
        """The guides before and after *guide*."""
        guides = list(self.all().values())
        at = guides.index(guide)
        following = guides[at + 1] if at + 1 < len(guides) else None
        return (guides[at - 1] if at else None), following

    def search(self, query: str) -> list[Hit]:
        """The sections that hold every word of *query*, the best first."""
        words = [word for word in query[:LONGEST_QUERY].lower().split() if word]
        if not words:
            return []
        scored = [
            (_score(section, words), section)
            for guide in self.all().values()
            for section in guide.sections
            if all(word in section.words for word in words)
        ]
        scored.sort(key=lambda pair: -pair[0])
        return [Hit(section, _snippet(section, words)) for _, section in scored[:MOST_HITS]]

    def _files(self) -> Iterator[tuple[str, int, int]]:
        """(slug, time of change, size) of each file whose name is a slug."""
        for path in sorted(self.folder.glob("*.md")):
            if SLUG.fullmatch(path.stem):
                found = path.stat()
                yield path.stem, found.st_mtime_ns, found.st_size

    def _read(self, slugs: Iterable[str]) -> dict[str, Guide]:
        known = list(slugs)
        first = [slug for slug in self.order if slug in known]
        ordered = [*first, *(slug for slug in known if slug not in first)]
        return {
            slug: Guide(
                slug, (self.folder / f"{slug}.md").read_text("utf-8-sig"), self.prefix, self.mount
            )
            for slug in ordered
        }


def _score(section: Section, words: list[str]) -> int:
    heading, title = section.heading.lower(), section.guide.title.lower()
    return sum(
        20 * (word in title) + 10 * (word in heading) + min(section.words.count(word), 5)
        for word in words
    )


def _snippet(section: Section, words: list[str]) -> Markup:
    """The text around the first word found, the words marked."""
    lower = section.text.lower()
    places = [lower.find(word) for word in words if word in lower]
    start = max(0, min(places, default=0) - SNIPPET // 3)
    text = section.text[start : start + SNIPPET]
    shown = ("… " if start else "") + text + ("…" if start + SNIPPET < len(section.text) else "")
    return _marked(shown, words)


def _marked(text: str, words: list[str]) -> Markup:
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    parts = re.split(f"({pattern})", text, flags=re.IGNORECASE)
    return join(h("mark", part) if at % 2 else part for at, part in enumerate(parts))
