"""The guides at /docs: index, pages, search; as HTML, Markdown or JSON."""

from __future__ import annotations

import hashlib
from typing import Any

from so.errors import NotFoundException
from so.http.request import Request
from so.http.response import JsonResponse, Response
from so.support.markup import Markup, h, join
from so.web.guides import Guide, Guides, Hit
from so.web.layout import Layout, PageOfDocs

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'"
)


class DocsSite:
    """The actions behind /docs."""

    def __init__(self, guides: Guides, brand: str, application: str = "Home") -> None:
        """Show *guides* under the name *brand*, with a way back to the *application*."""
        self.guides = guides
        self.brand = brand
        self.application = application

    def index(self, request: Request) -> Response:
        """All guides with their first words."""
        guides = list(self._here(request).all().values())
        form = _format(request)
        if form == "json":
            return _answer(request, JsonResponse({"guides": [self._entry(g) for g in guides]}))
        if form == "md":
            return _answer(request, _markdown(f"# {self.brand}\n\n" + _list_of(guides)))
        cards = [
            h(
                "li",
                h("a", h("strong", g.title), h("span", g.summary), href=_url(g)),
            )
            for g in guides
        ]
        body = join([h("h1", self.brand), h("ul", cards, class_="cards")])
        return self._page(request, PageOfDocs("", body))

    def show(self, request: Request, page: str) -> Response:
        """One guide; 404 for a name that none has."""
        guides = self._here(request)
        guide = guides.find(page)
        if guide is None:
            near = guides.nearest(page)
            mend = f" Did you mean {_url(near)}?" if near else ""
            raise NotFoundException(f"There is no guide called {page!r}.{mend}")
        form = _format(request)
        if form == "md":
            return _answer(request, _markdown(guide.source))
        if form == "json":
            return _answer(request, JsonResponse(self._whole(guides, guide)))
        headings = [
            (heading.level, heading.text, heading.id)
            for heading in guide.document.headings
            if heading.level in (2, 3)
        ]
        body = join([guide.document.html, self._turn(guides, guide)])
        return self._page(request, PageOfDocs(guide.title, body, guide.slug, headings))

    def search(self, request: Request) -> Response:
        """The sections that hold every word of `?q=`."""
        query = str(request.query("q") or "")
        hits = self._here(request).search(query)
        if _format(request) == "json":
            found = [self._found(hit) for hit in hits]
            return _answer(request, JsonResponse({"query": query, "results": found}))
        said = f"{len(hits)} found for “{query}”" if query.strip() else "Search the guides"
        nothing = query.strip() and not hits
        hint = h("p", "Nothing holds all of these words; try fewer.") if nothing else None
        body = join([h("h1", said), hint, *(self._hit(hit) for hit in hits)])
        return self._page(request, PageOfDocs("Search", body, query=query))

    def picture(self, request: Request, name: str) -> Response:
        """A picture of `pictures/` beside the guides; 404 for a name that none has."""
        found = {path.name: path for path in (self.guides.folder / "pictures").glob("*.png")}
        if name not in found:
            raise NotFoundException(f"There is no picture called {name!r}.")
        response: Response = Response.file(found[name])
        return response.header("Cache-Control", "no-cache")

    # --- parts ------------------------------------------------------------------------------------

    def _here(self, request: Request) -> Guides:
        """The guides with their pages where this request's client finds them."""
        return self.guides.below(request.script_name())

    def _page(self, request: Request, page: PageOfDocs) -> Response:
        guides = self._here(request)
        listed = [(guide.slug, guide.title) for guide in guides.all().values()]
        home = (self.application, request.script_name() + "/")
        layout = Layout(self.brand, guides.prefix, home, listed)
        response = Response.html(layout.draw(page)).header("Content-Security-Policy", POLICY)
        return _answer(request, response)

    def _turn(self, guides: Guides, guide: Guide) -> Markup:
        before, after = guides.neighbours(guide)
        links = [
            h("a", h("small", word), other.title, href=_url(other), rel=rel)
            for other, word, rel in ((before, "Previous", "prev"), (after, "Next", "next"))
            if other is not None
        ]
        return h("nav", links, class_="turn", aria_label="Previous and next")

    def _hit(self, hit: Hit) -> Markup:
        section = hit.section
        link = h("a", section.heading, href=self._section_url(hit))
        return h(
            "section",
            link,
            h("span", f" in {section.guide.title}", class_="from"),
            h("p", hit.snippet),
            class_="hit",
        )

    def _section_url(self, hit: Hit) -> str:
        anchor = f"#{hit.section.id}" if hit.section.id else ""
        return _url(hit.section.guide) + anchor

    def _entry(self, guide: Guide) -> dict[str, Any]:
        return {
            "slug": guide.slug,
            "title": guide.title,
            "summary": guide.summary,
            "url": _url(guide),
        }

    def _whole(self, guides: Guides, guide: Guide) -> dict[str, Any]:
        before, after = guides.neighbours(guide)
        headings = [
            {"level": heading.level, "text": heading.text, "id": heading.id}
            for heading in guide.document.headings
        ]
        return {
            **self._entry(guide),
            "markdown": guide.source,
            "html": guide.document.html,
            "headings": headings,
            "previous": before and _url(before),
            "next": after and _url(after),
        }

    def _found(self, hit: Hit) -> dict[str, Any]:
        section = hit.section
        return {
            "guide": section.guide.slug,
            "title": section.guide.title,
            "heading": section.heading,
            "url": self._section_url(hit),
            "text": section.text[:300],
        }


def _format(request: Request) -> str:
    """html, md or json: what `?format=` or the client asks for."""
    wanted = request.query("format")
    if wanted in ("md", "json", "html"):
        return str(wanted)
    return "json" if request.expects_json() else "html"


def _url(guide: Guide) -> str:
    return f"{guide.prefix}/{guide.slug}"


def _markdown(source: str) -> Response:
    return Response(source, 200, {"Content-Type": "text/markdown; charset=utf-8"})


def _list_of(guides: list[Guide]) -> str:
    return "".join(f"- [{g.title}]({_url(g)}): {g.summary}\n" for g in guides)


def _answer(request: Request, response: Response) -> Response:
    """*response* under a name for its version, or 304 where the client holds it already."""
    response.etag(hashlib.sha256(response.body).hexdigest()[:32])
    response.header("Cache-Control", "no-cache").header("Vary", "Accept")
    response.not_modified(request)
    return response
