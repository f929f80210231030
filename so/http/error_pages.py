"""The page that an exception is shown on to the developer; for others there is quiet_page.py.

It stands alone: no script, no external asset. It shows the chain of causes with the lines around
each frame, the request and the queries, all through a `Masker`.
"""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from so.http.quiet_page import page
from so.support.httpwords import status_line
from so.support.markup import Markup, h, join
from so.support.masking import Masker

LINES_AROUND = 6
"""Lines of source shown above and below the one that was running."""

LONGEST_VALUE = 2_000
"""Characters of one value; the rest is cut."""

MOST_FRAMES = 60
"""Frames of one exception; a recursion error would fill the page otherwise."""

_STYLE = """
:root{color-scheme:light dark}
body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1f2933;background:#f7f8fa}
main{max-width:70rem;margin:0 auto;padding:1.5rem}
.id{color:#52606d;font-size:.85rem}
h1{font-size:1.35rem;margin:.2rem 0}h2{font-size:1.05rem;margin:2rem 0 .5rem}
section+section{margin-top:2rem}
pre,code,td,.where{font-family:ui-monospace,monospace;font-size:.82rem}
.message{white-space:pre-wrap;overflow-wrap:anywhere}
.type{color:#ba2525;font-weight:600}
details{background:#fff;border:1px solid #e4e7eb;border-radius:6px;margin:.4rem 0}
summary{padding:.45rem .8rem;cursor:pointer;overflow-wrap:anywhere}
.theirs summary{color:#52606d}
pre{margin:0;padding:.5rem 0;overflow-x:auto;border-top:1px solid #e4e7eb}
pre span{display:block;padding:0 .8rem;white-space:pre}
pre .now{background:#fff3c4}
table{border-collapse:collapse;width:100%;background:#fff;border:1px solid #e4e7eb}
td{border-top:1px solid #e4e7eb;padding:.3rem .6rem;vertical-align:top;overflow-wrap:anywhere}
td:first-child{width:14rem;color:#52606d}
@media screen and (prefers-color-scheme:dark){
body{color:#e4e7eb;background:#1f2933}
details,table{background:#27333f;border-color:#3e4c59}pre,td{border-color:#3e4c59}
pre .now{background:#5c4813}td:first-child,.id{color:#b3bdc8}
.theirs summary{color:#b3bdc8}.type{color:#ff9b9b}}
@media(max-width:40rem){td:first-child{width:7rem}main{padding:1rem}}
"""


def debug_page(
    exc: BaseException,
    status: int,
    request: Any,
    queries: Iterable[Any],
    masker: Masker,
    base_path: Path | None,
    request_id: str,
) -> str:
    """The page for the developer of the application under *base_path*."""
    main = h(
        "main",
        h("p", f"{status_line(status)} · request ", h("code", request_id), class_="id"),
        [_exception(link, masker, base_path) for link in _chain(exc)],
        _request(request, masker),
        _queries(queries, masker),
    )
    return page(f"{type(exc).__name__}: {status}", h("body", main), _STYLE)


def _chain(exc: BaseException) -> list[BaseException]:
    """*exc* and what caused it, nearest first; a circle ends where it closes."""
    links: list[BaseException] = []
    link: BaseException | None = exc
    while link is not None and all(link is not seen for seen in links):
        links.append(link)
        hidden = link.__suppress_context__
        link = link.__cause__ or (None if hidden else link.__context__)
    return links


def _exception(exc: BaseException, masker: Masker, base_path: Path | None) -> Markup:
    name = f"{type(exc).__module__}.{type(exc).__qualname__}"
    frames = [*_unparsed(exc), *_frames(exc.__traceback__)]
    drawn = [_frame(*frame, masker, base_path) for frame in frames[:MOST_FRAMES]]
    notes = getattr(exc, "__notes__", ())
    return h(
        "section",
        h("h1", h("span", name, class_="type")),
        h("p", _cut(masker.text(_text(exc))), class_="message"),
        [h("p", masker.text(str(note)), class_="message") for note in notes],
        drawn,
    )


def _unparsed(exc: BaseException) -> list[tuple[str, int, str]]:
    """Where a file could not be read as Python: no frame was ever there."""
    if isinstance(exc, SyntaxError) and exc.filename and exc.lineno:
        return [(exc.filename, exc.lineno, "this file")]
    return []


def _frames(tb: TracebackType | None) -> list[tuple[str, int, str]]:
    """(file, line, function) of each frame, the innermost first."""
    walked = [(f.f_code.co_filename, line, f.f_code.co_name) for f, line in traceback.walk_tb(tb)]
    return walked[::-1]


def _frame(file: str, line: int, function: str, masker: Masker, base_path: Path | None) -> Markup:
    ours = base_path is not None and Path(file).is_relative_to(base_path)
    shown = str(Path(file).relative_to(base_path)) if base_path is not None and ours else file
    theirs = "site-packages" in file or "/so/" in file or not ours
    return h(
        "details",
        h("summary", h("span", f"{shown}:{line}", class_="where"), f" in {function}"),
        _source(file, line, masker),
        class_="theirs" if theirs else "ours",
        open=not theirs,
    )


def _source(file: str, line: int, masker: Masker) -> Markup:
    first = max(1, line - LINES_AROUND)
    rows = []
    for number in range(first, line + LINES_AROUND + 1):
        text = linecache.getline(file, number)
        if text:
            code = masker.text(text.rstrip("\n"))
            mark = "now" if number == line else None
            rows.append(h("span", f"{number:>5}  {code}", class_=mark))
    return h("pre", rows)


def _request(request: Any, masker: Masker) -> Markup | None:
    if request is None:
        return None
    parts = [
        ("Request", {"method": _ask(request, "method"), "url": _ask(request, "full_url")}),
        ("Headers", _ask(request, "headers")),
        ("Cookies", dict.fromkeys(_mapping(_ask(request, "cookies")), "***")),
        ("Input", _ask(request, "all")),
        ("Route", _route(request)),
    ]
    return join(_table(title, _mapping(values), masker) for title, values in parts)


def _route(request: Any) -> dict[str, object]:
    route = _ask(request, "route")
    names = ("uri", "route_name", "parameters", "middleware_list")
    return {name: getattr(route, name) for name in names if hasattr(route, name)}


def _queries(queries: Iterable[Any], masker: Masker) -> Markup | None:
    rows = []
    for query in queries:
        sql, bindings, milliseconds = _said(query)
        shown = repr(masker.bindings(sql, bindings))
        took = h("td", f"{milliseconds:.2f} ms")
        rows.append(h("tr", took, h("td", masker.text(sql), h("br"), shown)))
    return join([h("h2", f"Queries ({len(rows)})"), h("table", rows)]) if rows else None


def _said(query: Any) -> tuple[str, Iterable[Any], float]:
    """Text, bindings and milliseconds of a query, as an event or as an entry of a log."""
    if isinstance(query, Mapping):
        took = query.get("time", query.get("time_ms", 0))
        return str(query.get("query", query.get("sql", ""))), query.get("bindings", ()), took
    return str(query.sql), query.bindings, getattr(query, "time_ms", 0)


def _table(title: str, values: Mapping[Any, Any], masker: Masker) -> Markup | None:
    if not values:
        return None
    rows = [
        h("tr", h("td", str(name)), h("td", _cut(_shown(masker.mask(value, name)))))
        for name, value in values.items()
    ]
    return join([h("h2", title), h("table", rows)])


def _ask(request: Any, name: str) -> Any:
    """One fact about the request; None when it cannot be read, for that may be the very error."""
    try:
        value = getattr(request, name)
        return value() if callable(value) else value
    except Exception:
        return None


def _mapping(values: Any) -> dict[Any, Any]:
    try:
        return dict(values.items()) if hasattr(values, "items") else dict(values or {})
    except (TypeError, ValueError):
        return {}


def _shown(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} … ({len(text)} in all)"


def _text(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:
        return "(the text of this exception cannot be read)"
