"""The parts that pages are made of: cards, tables, links, buttons. Forms are so/web/forms.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from so import Markup, csrf_field, h, local, method_field, request

TONES = {
    "approved": "good", "shipped": "good", "finished": "good", "in stock": "good",
    "rejected": "bad", "failed": "bad", "cancelled": "bad", "low": "bad", "submitted": "warn",
    "open": "warn", "running": "warn", "waiting": "warn",
}  # fmt: skip


def card(*parts: Any, title: str | None = None, class_: str = "") -> Markup:
    """A box."""
    return h(
        "section", h("h2", title) if title else None, list(parts), class_=f"card {class_}".strip()
    )


def here(path: str) -> str:
    """*path* as a browser finds it, also where the application lives below a prefix."""
    return request().script_name() + path


def link(text: Any, path: str, class_: str | None = None) -> Markup:
    """A link to a page of this application."""
    return h("a", text, href=here(path), class_=class_)


def tag(status: str) -> Markup:
    """A status, coloured by what it means; the word says it as well."""
    return h("span", status, class_=f"tag {TONES.get(status, '')}".strip())


def figure(text: str, number: int, path: str) -> Markup:
    """A number that leads to the list that it counts."""
    inner = (h("b", local().number(number)), h("span", text))
    return h("a", *inner, href=here(path), class_="card figure")


# --- numbers and moments, as whoever looks at them writes them ------------------------------------


def money(amount: Any) -> Markup:
    """An amount to two places."""
    return h("span", local().money(amount), class_="num")


def number(value: Any) -> str:
    """A number with its marks."""
    return local().number(value)


def day(value: date | None) -> Any:
    """A day."""
    return "" if value is None else h("time", local().date(value), datetime=value.isoformat())


def moment(value: datetime | None) -> Any:
    """Day and time on the reader's clock."""
    if value is None:
        return ""
    return h("time", local().moment(value), datetime=value.isoformat(timespec="seconds"))


# --- tables ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """The head of a column: what it is called, and what stands there if that is more than text."""

    label: str
    shown: Any = None
    sorted: str | None = None  # ascending or descending


def table(
    heads: Sequence[str | Head],
    rows: Iterable[Sequence[Any]],
    numbers: Sequence[int] = (),
    *,
    empty: Any = "Nothing here yet.",
    foot: Sequence[Any] | None = None,
) -> Markup:
    """A table, which a phone shows as cards; *numbers* are the columns that stand to the right."""
    columns = [head if isinstance(head, Head) else Head(head) for head in heads]

    def cells(values: Sequence[Any], labels: Sequence[str]) -> list[Markup]:
        return [
            h("td", value, class_="num" if at in numbers else None, data_label=labels[at])
            for at, value in enumerate(values)
        ]

    labels = [column.label for column in columns]
    lines = [h("tr", cells(row, labels)) for row in rows]
    if not lines:
        return h("p", empty, class_="empty")
    names = [
        h("th", column.shown or column.label, class_="num" if at in numbers else None,
          scope="col", aria_sort=column.sorted)
        for at, column in enumerate(columns)
    ]  # fmt: skip
    below = [label if at in numbers else "" for at, label in enumerate(labels)]
    return h(
        "table",
        h("thead", h("tr", names)),
        h("tbody", lines),
        h("tfoot", h("tr", cells(foot, below))) if foot else None,
    )


def facts(pairs: Mapping[str, Any]) -> Markup:
    """Names and values, one pair a line; what has no value is left out."""
    return h(
        "dl",
        [
            [h("dt", name), h("dd", value)]
            for name, value in pairs.items()
            if value not in (None, "")
        ],
    )


def button(
    text: Any, url: str, *, method: str = "POST", tone: str = "plain", label: str | None = None
) -> Markup:
    """A form that is only its button; *label* says more to those who hear it than *text*."""
    return h(
        "form",
        csrf_field(),
        method_field(method) if method != "POST" else None,
        h("button", text, class_=tone or None, aria_label=label),
        method="post",
        action=here(url),
    )


# --- pages of a list ------------------------------------------------------------------------------


def pager(found: Mapping[str, Any]) -> Markup | None:
    """How many there are and which are shown, and a link to each page near by."""
    last, at = found["last_page"], found["current_page"]
    if not found["total"]:
        return None
    shown = f"{number(found['from'])}–{number(found['to'])} of " if found["from"] else ""
    count = h("p", f"{shown}{number(found['total'])}", class_="soft small")
    if last <= 1:
        return h("div", count, class_="pager")
    turns = [
        _turn(str(page), page, at) if page else h("li", h("span", "…")) for page in _near(at, last)
    ]
    if at > 1:
        turns.insert(0, _turn("← Previous", min(at - 1, last), 0))
    if at < last:
        turns.append(_turn("Next →", at + 1, 0))
    return h("div", count, h("nav", h("ul", turns), aria_label="Pages"), class_="pager")


def _near(at: int, last: int) -> list[int]:
    """The numbers of the first, the last and the pages around *at*; 0 where some are left out."""
    pages = sorted({1, last, *(page for page in range(at - 1, at + 2) if 1 <= page <= last)})
    found: list[int] = []
    for page in pages:
        if found and page > found[-1] + 1:
            found.append(0)
        found.append(page)
    return found


def _turn(text: str, page: int, at: int) -> Markup:
    url = request().full_url_with_query({"page": page})
    return h("li", h("a", text, href=url, aria_current="page" if page == at else None))
