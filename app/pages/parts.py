"""The parts that pages are made of: cards, tables, links, buttons. Forms are so/web/forms.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from so import Markup, csrf_field, h, method_field, request

TONES = {
    "approved": "good", "shipped": "good", "finished": "good", "rejected": "bad", "failed": "bad",
    "cancelled": "bad", "submitted": "warn", "open": "warn", "running": "warn",
}  # fmt: skip


def card(*parts: Any, title: str | None = None) -> Markup:
    """A box."""
    return h("section", h("h2", title) if title else None, list(parts), class_="card")


def here(path: str) -> str:
    """*path* as a browser finds it, also where the application lives below a prefix."""
    return request().script_name() + path


def link(text: Any, path: str) -> Markup:
    """A link to a page of this application."""
    return h("a", text, href=here(path))


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


def button(text: str, url: str, *, method: str = "POST", tone: str = "plain") -> Markup:
    """A form that is only its button."""
    return h(
        "form",
        csrf_field(),
        method_field(method) if method != "POST" else None,
        h("button", text, class_=tone or None),
        method="post",
        action=here(url),
    )


def pager(found: Mapping[str, Any]) -> Markup | None:
    """Links to the pages before and after."""
    if found["last_page"] <= 1:
        return None
    at = found["current_page"]
    return h(
        "nav",
        _turn("← Previous", at - 1) if at > 1 else None,
        h("span", f"Page {at} of {found['last_page']}", class_="soft"),
        _turn("Next →", at + 1) if at < found["last_page"] else None,
        class_="pager",
    )


def _turn(text: str, page: int) -> Markup:
    return h("a", text, href=request().full_url_with_query({"page": page}))
