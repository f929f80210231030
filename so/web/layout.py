"""The page around a guide: header with search, list of guides, contents, previous and next.

One style sheet inside the page, no script, no font and no picture from anywhere: it works on a
machine without a network, on a phone, in the dark, and on paper.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from so.support.markup import Markup, h

STYLE = """
:root{color-scheme:light dark;--ink:#1f2933;--soft:#616e7c;--line:#e4e7eb;--back:#fff;
--tint:#f5f7fa;--link:#0b69a3;--mark:#fff3c4;--c:#5b6875;--s:#0c6b58;--k:#8719e0;--n:#ab091e}
@media screen and (prefers-color-scheme:dark){
:root{--ink:#e4e7eb;--soft:#9aa5b1;--line:#3e4c59;--back:#1b242d;
--tint:#25303b;--link:#62b0e8;--mark:#5c4813;--c:#9aa7b4;--s:#6fcf97;--k:#cf9bff;--n:#ff9b9b}}
*{box-sizing:border-box}
html{scroll-padding-top:4.5rem}
body{margin:0;font:16px/1.65 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);
background:var(--back)}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:3px}
.skip{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.skip:focus{width:auto;height:auto;clip-path:none;left:1rem;top:.5rem;z-index:9;background:var(--back)}
header{position:sticky;top:0;z-index:5;display:flex;gap:1rem;align-items:center;
padding:.6rem 1.2rem;background:var(--back);border-bottom:1px solid var(--line)}
header .home{white-space:nowrap}
header .brand{font-weight:700;color:var(--ink);white-space:nowrap}
header form{margin-left:auto;display:flex;flex:0 1 20rem}
header .to-guides{display:none}
input[type=search]{width:100%;font:inherit;padding:.35rem .7rem;color:inherit;
background:var(--tint);border:1px solid var(--line);border-radius:6px}
.frame{display:grid;grid-auto-flow:column;grid-template-columns:15rem minmax(0,1fr) 14rem;
gap:2.5rem;max-width:86rem;margin:0 auto;padding:0 1.2rem}
nav.guides{order:-1}
nav.guides,nav.contents{position:sticky;top:3.6rem;align-self:start;max-height:calc(100vh - 3.6rem);
overflow:auto;padding:1.5rem 0;font-size:.92rem}
nav ul{list-style:none;margin:0;padding:0}nav li{margin:.15rem 0}
nav a{display:block;padding:.15rem .5rem;border-radius:5px;color:var(--soft)}
nav a[aria-current]{color:var(--link);background:var(--tint);font-weight:600}
nav.contents .l3{padding-left:.9rem}nav h2{font-size:.8rem;margin:0 0 .4rem .5rem;color:var(--soft)}
main{padding:1.5rem 0 4rem;min-width:0}
main h1{font-size:2rem;line-height:1.25;margin:.2rem 0 1rem}
main h2{font-size:1.4rem;margin:2.4rem 0 .7rem;padding-top:.6rem;border-top:1px solid var(--line)}
main h3{font-size:1.12rem;margin:1.8rem 0 .4rem}
.anchor{color:var(--line);opacity:0;font-weight:400}:is(h1,h2,h3,h4):hover .anchor{opacity:1}
code,pre,kbd{font-family:ui-monospace,"SF Mono",Menlo,Consolas,monospace;font-size:.88em}
:not(pre)>code{background:var(--tint);border-radius:4px;padding:.1em .35em;overflow-wrap:anywhere}
td code{overflow-wrap:normal}
pre{background:var(--tint);border:1px solid var(--line);border-radius:8px;padding:.9rem 1.1rem;
overflow-x:auto;line-height:1.5}
.c{color:var(--c);font-style:italic}.s{color:var(--s)}.k{color:var(--k)}.n{color:var(--n)}
.table{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.94em}
th,td{text-align:left;padding:.45rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}
th{white-space:nowrap}.center{text-align:center}.right{text-align:right}
blockquote{margin:1rem 0;padding:.1rem 1.1rem;border-left:3px solid var(--link);color:var(--soft)}
img{max-width:100%;height:auto}hr{border:0;border-top:1px solid var(--line);margin:2rem 0}
hr+h2{border-top:0;margin-top:0}li.task{list-style:none;margin-left:-1.3rem}mark{background:var(--mark);color:inherit}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(16rem,1fr));gap:1rem;padding:0;
list-style:none}
.cards a{display:block;height:100%;padding:1rem 1.1rem;border:1px solid var(--line);
border-radius:8px;color:inherit}
.cards strong{color:var(--link);display:block}.cards span,.hit p,.from{color:var(--soft)}
.cards span{font-size:.92rem;display:-webkit-box;-webkit-line-clamp:4;-webkit-box-orient:vertical;
overflow:hidden}
.hit{margin:1.3rem 0}.hit p{margin:.2rem 0}.from{font-size:.9rem}
.turn{display:flex;justify-content:space-between;gap:1rem;margin-top:3rem;padding-top:1rem;
border-top:1px solid var(--line)}.turn a:last-child{text-align:right;margin-left:auto}
.turn small{display:block;color:var(--soft)}
@media(max-width:70rem){.frame{grid-template-columns:14rem minmax(0,1fr)}nav.contents{display:none}}
@media(max-width:46rem){.frame{display:block;padding:0 .9rem}main{padding:.8rem 0 2rem}
nav.guides{position:static;padding:1rem 0 3rem;max-height:none;border-top:1px solid var(--line)}
main h1{font-size:1.6rem}header{padding:.5rem .9rem;flex-wrap:wrap;gap:.3rem .9rem}
header form{flex:1 1 100%;order:3}header .to-guides{display:block}}
@media print{header,nav,.turn,.anchor{display:none!important}.frame{display:block}}
"""


@dataclass(frozen=True)
class PageOfDocs:
    """What one page shows: its title, its body, and where it stands among the others."""

    title: str
    body: Markup
    current: str = ""
    contents: list[tuple[int, str, str]] = field(default_factory=list)
    query: str = ""


@dataclass(frozen=True)
class Layout:
    """The frame that all pages share."""

    brand: str
    prefix: str
    home: tuple[str, str]  # the application's name and where it begins
    guides: list[tuple[str, str]]

    def draw(self, page: PageOfDocs) -> str:
        """The whole document."""
        head = h(
            "head",
            h("meta", charset="utf-8"),
            h("meta", name="viewport", content="width=device-width,initial-scale=1"),
            h("title", f"{page.title} · {self.brand}" if page.title else self.brand),
            h("style", Markup(STYLE)),
        )
        frame = h(
            "div",
            h("main", page.body, id="content"),
            self._guides(page.current),
            _contents(page.contents),
            class_="frame",
        )
        skip = h("a", "Skip to content", href="#content", class_="skip")
        body = h("body", skip, self._header(page.query), frame)
        return "<!doctype html>\n" + h("html", head, body, lang="en")

    def _header(self, query: str) -> Markup:
        field_ = h(
            "input",
            type="search",
            name="q",
            value=query or None,
            placeholder="Search the guides",
            aria_label="Search the guides",
            maxlength="100",
        )
        return h(
            "header",
            h("a", "← ", self.home[0], href=self.home[1], class_="home"),
            h("a", self.brand, href=self.prefix, class_="brand"),
            h("a", "Guides", href="#guides", class_="to-guides"),
            h("form", field_, action=f"{self.prefix}/search", role="search"),
        )

    def _guides(self, current: str) -> Markup:
        links = [
            h(
                "li",
                h(
                    "a",
                    title,
                    href=f"{self.prefix}/{slug}",
                    aria_current="page" if slug == current else None,
                ),
            )
            for slug, title in self.guides
        ]
        inner = [h("h2", "Guides"), h("ul", links)]
        return h("nav", inner, class_="guides", id="guides", aria_label="Guides")


def _contents(headings: list[tuple[int, str, str]]) -> Markup:
    links = [
        h("li", h("a", text, href=f"#{id_}", class_=f"l{level}")) for level, text, id_ in headings
    ]
    inner = [h("h2", "On this page"), h("ul", links)] if len(links) > 1 else []
    return h("nav", inner, class_="contents", aria_label="On this page")
