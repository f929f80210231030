"""The parts that pages are made of: tables, figures, states, forms, charts.

Everything is drawn on the server and works without a script. Whatever comes from a row goes through
`h`, which escapes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from so.edge.local import local
from so.support.markup import Markup, h, join

WIDTH, HEIGHT = 300, 64  # of a chart, in its own units
LONG_WORD = 24  # letters
_TAG = re.compile(r"<[^>]*>")
Cell = Callable[[Mapping[str, Any]], object]


def section(title: str, *children: object, id: str | None = None) -> Markup:
    """A titled part of a page; with an *id* it is refreshed in place."""
    heading = h("h2", title)
    return h("section", heading, *children, class_="card", id=id, data_live=bool(id) or None)


def table(
    caption: str, columns: Sequence[tuple[str, str | Cell]], rows: Iterable[Mapping[str, Any]]
) -> Markup:
    """A table that a phone shows as cards; *columns* are (heading, key or function of the row)."""
    body = [
        h(
            "tr",
            [
                _cell(name, shown(row.get(cell) if isinstance(cell, str) else cell(row)))
                for name, cell in columns
            ],
        )
        for row in rows
    ]
    if not body:
        return h("p", "Nothing here.", class_="soft")
    head = h("thead", h("tr", [h("th", name, scope="col") for name, _ in columns]))
    named = h("caption", caption, class_="unseen")
    return h("div", h("table", named, head, h("tbody", body)), class_="wide")


def _cell(name: str, value: object) -> Markup:
    """A cell; one with a word that no column has room for may break it anywhere."""
    inner = join(value if isinstance(value, list | tuple) else [value])
    longest = max(map(len, _TAG.sub(" ", inner).split()), default=0)
    return h("td", inner, data_label=name, class_="long" if longest > LONG_WORD else None)


def row(*children: object) -> Markup:
    """Buttons and links beside each other."""
    return h("div", *children, class_="row")


def shown(value: object) -> object:
    """A value as a person reads it."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, list | tuple) and not any(isinstance(one, Markup) for one in value):
        return ", ".join(map(str, value)) or "–"
    return value


def number(value: float) -> str:
    """A number with the marks of whoever looks; a part of one to one place."""
    return local().number(value, 1 if isinstance(value, float) else None)


def moment(value: datetime | float | str | None) -> Markup:
    """A time by the reader's clock, with its exact form for programs; other text as it is."""
    if value is None or value == "":
        return Markup("–")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return h("span", value)
    when = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    exact = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    here = local()
    text = here.moment(exact, seconds=True)
    return h("time", text, datetime=exact.isoformat(), title=here.zone)


def seconds(value: float | None) -> str:
    """A length of time: `4 s`, `3 min`, `2 h`."""
    if value is None:
        return "–"
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value * 1000:.0f} ms" if 0 < value < 1 else f"{value:.0f} s"


def size(count: float | None) -> str:
    """Bytes for people: `1.5 MB`."""
    if count is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


STATES = {"ok": "In order", "warn": "Look at it", "bad": "Act now"}


def light(state: str, words: str | None = None) -> Markup:
    """A state as a word and a shape, for those who do not see the colour."""
    sign = {"ok": "✓", "warn": "!", "bad": "✗"}[state]
    return h(
        "span",
        h("span", sign, aria_hidden="true"),
        " ",
        words or STATES[state],
        class_=f"light {state}",
    )


def code(text: str) -> list[object]:
    """Words in which commands stand between back quotes, as documents write them."""
    return [h("code", part) if odd % 2 else part for odd, part in enumerate(text.split("`"))]


def tag(text: object, kind: str = "") -> Markup:
    """A short word in a frame."""
    return h("span", text, class_=f"tag {kind}".strip())


def link(text: object, *parts: str, **query: Any) -> Markup:
    """A link to a path, with a query of what is not None."""
    given = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "")}
    url = "".join(parts)
    return h("a", text, href=f"{url}?{urlencode(given)}" if given else url)


def figure(title: str, value: object, href: str, note: object = None) -> Markup:
    """A number that leads to its list."""
    inner = [h("span", title, class_="soft"), h("strong", shown(value))]
    if note is not None:
        inner.append(h("small", note))
    return h("a", inner, href=href, class_="figure")


def facts(pairs: Mapping[str, object]) -> Markup:
    """Names and values below each other."""
    return h("dl", [[h("dt", name), h("dd", shown(value))] for name, value in pairs.items()])


def progress(done: int, total: int | None, label: str) -> Markup:
    """How far something is; without a total only how much."""
    if not total:
        return Markup(number(done))
    share = h("progress", f"{100 * done // total} %", value=done, max=total, aria_label=label)
    return h("span", share, f" {number(done)} of {number(total)}", class_="progress")


def filters(
    action: str,
    fields: Sequence[tuple[str, str, object]],
    current: Mapping[str, Any],
    kept: Mapping[str, Any] | None = None,
) -> Markup:
    """A form of search fields: (name, label, choices or None for text); *kept* goes with them."""
    inner = [h("input", type="hidden", name=n, value=v) for n, v in (kept or {}).items()]
    for name, label, choices in fields:
        value = current.get(name) or ""
        if choices is None:
            box = h("input", name=name, value=value, maxlength="200")
        elif choices == "date":
            box = h("input", name=name, value=value, type="date")
        else:
            box = h(
                "select",
                [
                    h("option", text or "any", value=text, selected=text == value or None)
                    for text in ("", *choices)  # type: ignore[misc]  # an iterable of texts
                ],
                name=name,
            )
        inner.append(h("label", h("span", label), box))
    inner.append(h("button", "Show", class_="plain"))
    return h("form", inner, method="get", action=action, class_="filters", role="search")


def older(
    url: str, next_: object, current: Mapping[str, Any], *, is_search: bool = False
) -> Markup:
    """A link to the rows before the last one shown; a search stops at so many rows."""
    if next_ is None:
        return Markup("")
    kept = {name: value for name, value in current.items() if value not in (None, "", next_)}
    words = "Search on in older ones" if is_search else "Older"
    return h("p", link(words, url, **{**kept, "before": next_}), class_="pager")


# --- charts ---------------------------------------------------------------------------------------


def chart(
    title: str, lines: Mapping[str, Sequence[float | None]], href: str, unit: str = ""
) -> Markup:
    """Lines over the last day as a picture, with its newest figures in words."""
    values = [value for line in lines.values() for value in line if value is not None]
    top = max(values, default=0) or 1
    drawn = [
        h("path", d=_path(line, top), class_=f"line l{number}")
        for number, line in enumerate(lines.values())
        if any(value is not None for value in line)
    ]
    newest = {
        name: next((v for v in reversed(line) if v is not None), None)
        for name, line in lines.items()
    }
    words = join(
        [
            h("span", f"{name} {_rounded(value)}{unit}", class_=f"key l{number}")
            for number, (name, value) in enumerate(newest.items())
        ],
        " ",
    )
    picture = h(
        "svg",
        [h("title", f"{title} of the last 24 hours, at most {_rounded(top)}{unit}"), *drawn],
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
    )
    if not drawn:
        picture = h("p", "No history yet: workers write it, a row a minute.", class_="soft")
    return h("a", [h("span", title), picture, h("small", words)], href=href, class_="chart")


def _rounded(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.2g}"


def _path(line: Sequence[float | None], top: float) -> str:
    """The line as moves and strokes; where nothing is known there is a gap."""
    steps, pen_is_up = [], True
    for number, value in enumerate(line):
        if value is None:
            pen_is_up = True
            continue
        x = WIDTH * number / max(len(line) - 1, 1)
        y = HEIGHT - 2 - (HEIGHT - 4) * value / top
        steps.append(f"{'M' if pen_is_up else 'L'}{x:.1f} {y:.1f}")
        pen_is_up = False
    return "".join(steps)
