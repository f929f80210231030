"""The page that a person gets for an error: what happened in their words, and where to go now.

It stands alone: no script, no external asset, no database. An application draws its own by
`app/errors/404.py` (so/http/errors.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from so.support.httpwords import status_line
from so.support.markup import Markup, h

STYLE = """
:root{color-scheme:light dark;--ink:#16202b;--soft:#556170;--line:#dce2e9;--back:#f4f6f9;
--card:#fff;--accent:#0b5a88;--on:#fff}
@media screen and (prefers-color-scheme:dark){
:root{--ink:#e5eaf0;--soft:#a2aebb;--line:#354049;--back:#13191f;
--card:#1c242c;--accent:#7cbfef;--on:#0c151d}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.6 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);
background:var(--back);overflow-wrap:break-word}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:4px}
header{background:var(--card);border-bottom:1px solid var(--line);padding:.8rem 1.25rem}
header a{color:inherit;font-weight:700;text-decoration:none}
main{max-width:36rem;margin:12vh auto 3rem;padding:0 1.25rem}
.code{margin:0;color:var(--soft);font-weight:650;letter-spacing:.04em}
h1{font-size:1.75rem;line-height:1.2;letter-spacing:-.015em;margin:.2rem 0 .8rem}
p{margin:0 0 .8rem}.soft,.id{color:var(--soft);font-size:.92rem}
.row{display:flex;flex-wrap:wrap;gap:.7rem;margin:1.5rem 0 1.8rem}
.row a{border:1px solid var(--accent);border-radius:7px;padding:.45rem 1rem;text-decoration:none}
.row a:first-child{background:var(--accent);color:var(--on)}
code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.9em;overflow-wrap:anywhere}
"""

_GONE = "The address may be mistyped, or what was here has been removed."
_TRY = "Please go back and try again. If it stays like this, tell whoever looks after this system."
WORDS: dict[int, tuple[str, str]] = {
    400: ("We could not read that", _TRY),
    401: ("Please log in", "This page is for people who are logged in."),
    403: ("You may not see this", "Your account has no right to it. Ask whoever gives out rights."),
    404: ("There is no such page", _GONE),
    405: ("That does not work here", "This address is not meant to be opened like that."),
    409: ("Somebody was quicker", "It is no longer as you saw it. Go back and look at it anew."),
    410: ("This is no longer here", _GONE),
    413: ("That is too large", "Please send less at once."),
    414: ("That address is too long", _TRY),
    419: (
        "This page was open for too long",
        "For your safety nothing was done. Go back, look at what you typed, and send it again.",
    ),
    422: ("Something is missing or wrong", "Go back and correct it."),
    429: ("That was too often", "Please wait a moment before you try again."),
    431: ("Your browser sent too much", "Delete the cookies of this site and try again."),
    500: (
        "Something went wrong on our side",
        "It is not your fault, and it has been written down. Please try again in a while.",
    ),
    503: (
        "We are back in a moment",
        "This system is busy or being looked after. Please try again.",
    ),
}
_WITH_LOGIN = (401, 403, 419)


@dataclass(frozen=True)
class Way:
    """Where somebody goes from here: the first page of all at *root*, *back*, or to the *login*.

    What is None is left out.
    """

    brand: str = ""
    root: str = "/"
    back: str | None = None
    login: str | None = None


def quiet_page(
    status: int,
    request_id: str,
    way: Way,
    *,
    words: str = "",
    detail: str = "",
    errors: Mapping[str, Iterable[str]] | None = None,
) -> str:
    """The page for *status*, with the id to quote to support.

    *words* are those of the application, if it has any; *detail* is for whoever develops it.
    """
    title, advice = _words(status)
    listed = [h("li", text) for texts in (errors or {}).values() for text in texts]
    main = h(
        "main",
        h("p", str(status), class_="code"),
        h("h1", title),
        h("p", words or advice),
        h("ul", listed) if listed else None,
        h("p", detail, class_="soft") if detail else None,
        h("div", _links(status, way), class_="row"),
        h("p", "If you ask for help, give this number: ", h("code", request_id), class_="id"),
    )
    brand = h("header", h("a", way.brand, href=way.root)) if way.brand else None
    return page(status_line(status), h("body", brand, main), STYLE)


def _words(status: int) -> tuple[str, str]:
    known = WORDS.get(status)
    return known or WORDS[500 if status >= 500 else 400]


def _links(status: int, way: Way) -> list[Markup]:
    login = way.login if status in _WITH_LOGIN else None
    offers = [
        ("Back to where you were", way.back),
        ("Log in", login) if status != 403 else ("Log in as somebody else", login),
        ("To the first page", way.root),
    ]
    return [h("a", text, href=url) for text, url in offers if url]


def page(title: str, body: Markup, style: str) -> str:
    """A document that no search engine keeps."""
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width,initial-scale=1"),
        h("meta", name="robots", content="noindex"),
        h("title", title),
        h("style", Markup(style)),
    )
    return "<!doctype html>\n" + h("html", head, body, lang="en")
