"""The parts that pages are made of: cards, tables, forms, fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from so import Markup, csrf_field, h, method_field, old, request, session

TONES = {
    "approved": "good", "shipped": "good", "finished": "good", "rejected": "bad", "failed": "bad",
    "cancelled": "bad", "submitted": "warn", "open": "warn", "running": "warn",
}  # fmt: skip


def card(*parts: Any, title: str | None = None) -> Markup:
    """A box."""
    return h("section", h("h2", title) if title else None, list(parts), class_="card")


def link(text: Any, url: str) -> Markup:
    """A link."""
    return h("a", text, href=url)


def tag(status: str) -> Markup:
    """A status, coloured by what it means; the word says it as well."""
    return h("span", status, class_=f"tag {TONES.get(status, 'soft')}")


def money(amount: Any) -> Markup:
    """An amount with separators for thousands."""
    return h("span", f"{amount:,.2f}", class_="num")


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Sequence[int] = ()) -> Any:
    """A table; *numbers* are the columns that stand to the right."""

    def cells(kind: str, values: Sequence[Any]) -> list[Markup]:
        return [
            h(kind, value, class_="num" if at in numbers else None)
            for at, value in enumerate(values)
        ]

    lines = [h("tr", cells("td", row)) for row in rows]
    if not lines:
        return h("p", "Nothing here yet.", class_="soft")
    return h("table", h("thead", h("tr", cells("th", heads))), h("tbody", lines))


def facts(pairs: Mapping[str, Any]) -> Markup:
    """Names and values, one pair a line."""
    return h("dl", [[h("dt", name), h("dd", value)] for name, value in pairs.items()])


def form(
    url: str, *parts: Any, method: str = "POST", send: str = "Save", files: bool = False
) -> Any:
    """A form with its CSRF token; PUT and DELETE travel in a field."""
    return h(
        "form",
        csrf_field(),
        method_field(method) if method != "POST" else None,
        list(parts),
        h("p", h("button", send)) if send else None,
        method="post",
        action=url,
        enctype="multipart/form-data" if files else None,
    )


def button(text: str, url: str, *, method: str = "POST", tone: str = "plain") -> Markup:
    """A form that is only its button."""
    return h(
        "form",
        csrf_field(),
        method_field(method) if method != "POST" else None,
        h("button", text, class_=tone or None),
        method="post",
        action=url,
    )


def field(name: str, label: str, value: Any = "", kind: str = "text", **more: Any) -> Markup:
    """A labelled input with what was typed before and what was wrong with it."""
    typed = old(name, value) if kind not in ("password", "file") else None
    return h(
        "div",
        h("label", label, for_=name),
        h("input", type=kind, id=name, name=name, value=typed, **more),
        _problem(name),
    )


def select(name: str, label: str, options: Iterable[tuple[Any, str]], value: Any = "") -> Markup:
    """A labelled choice of (value, text) pairs."""
    chosen = str(old(name, value))
    choices = [
        h("option", text, value=each, selected=str(each) == chosen) for each, text in options
    ]
    return h(
        "div",
        h("label", label, for_=name),
        h("select", choices, id=name, name=name),
        _problem(name),
    )


def _problem(name: str) -> Markup | None:
    bags = session("errors") or {}
    texts = (bags.get("default", bags) if isinstance(bags, Mapping) else {}).get(name)
    return h("p", texts[0], class_="error") if texts else None


def pager(found: Mapping[str, Any]) -> Markup | None:
    """Links to the pages before and after."""
    if found["last_page"] <= 1:
        return None
    here = found["current_page"]
    return h(
        "nav",
        link("← Previous", request().full_url_with_query({"page": here - 1})) if here > 1 else None,
        h("span", f"Page {here} of {found['last_page']}", class_="soft"),
        link("Next →", request().full_url_with_query({"page": here + 1}))
        if here < found["last_page"]
        else None,
        class_="pager",
    )
