"""The frame of every page: navigation by what the user may do, messages, one style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.pages.parts import button, here, link
from so import Gate, Markup, Response, auth, config, h, local, request, session
from so.support.formats import locale_named
from so.support.markup import join

STYLE = Path(__file__).with_name("style.css").read_text("utf-8")

MENU = (
    ("Products", "/products", None),
    ("Customers", "/customers", None),
    ("Orders", "/orders", None),
    ("Invoices", "/invoices", None),
    ("Imports", "/imports", "import-orders"),
    ("Reports", "/reports", "make-reports"),
    ("Audit", "/audit", "see-audit"),
    ("Console", "/console", "console.view"),
)
MARK = Markup(
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"'
    ' aria-hidden="true">'
    '<ellipse cx="12" cy="12" rx="10.5" ry="5" transform="rotate(-35 12 12)"/>'
    '<circle cx="12" cy="12" r="3.2" fill="currentColor" stroke="none"/></svg>'
)


def page(
    title: str,
    *parts: Any,
    actions: Sequence[Any] = (),
    within: tuple[str, str] | None = None,
    refresh: int | None = None,
    status: int = 200,
) -> Response:
    """A whole page; *actions* stand beside its title, *within* is the list it belongs to.

    *refresh* are the seconds until the browser asks for it again.
    """
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width,initial-scale=1"),
        h("meta", http_equiv="refresh", content=str(refresh)) if refresh else None,
        h("title", f"{title} · {config('app.name')}"),
        h("link", rel="icon", href=here("/favicon.ico")),
        h("style", Markup(STYLE)),
    )
    body = h(
        "body",
        h("a", "Skip to content", href="#content", class_="skip"),
        _header(),
        h(
            "main",
            _head(title, actions, within),
            _message(),
            list(parts),
            id="content",
            tabindex="-1",
        ),
        _footer(),
    )
    return Response.html("<!doctype html>\n" + h("html", head, body, lang="en"), status)


def _head(title: str, actions: Sequence[Any], within: tuple[str, str] | None) -> Markup:
    trail = h("p", link(*within), " /", class_="trail") if within else None
    shown = [action for action in actions if action is not None]
    beside = h("div", shown, class_="row") if shown else None
    return h("div", h("div", trail, h("h1", title)), beside, class_="head")


def _header() -> Markup:
    user = auth().user()
    brand = h("a", MARK, config("app.name"), href=here("/"), class_="brand")
    if user is None:
        own = h("ul", _entry("Guides", "/docs"), _entry("Log in", "/login"))
        return _bar(brand, h("nav", own, class_="me", aria_label="You"))
    entries = [
        _entry(text, path)
        for text, path, ability in MENU
        if ability is None or Gate.allows(ability)
    ]
    unread = user.unread_count()
    number = h("span", local().number(unread), data_count="")
    seen = {"data_unread": "", "hidden": not unread}  # bell.js counts on
    count = h("span", number, h("span", " unread", class_="unseen"), class_="count", **seen)
    own = h(
        "ul",
        _entry(["Inbox", count], "/notifications"),
        _entry("Guides", "/docs"),
        _entry(user.name, "/account"),
        h("li", button("Log out", "/logout", tone="")),
    )
    menu = h("nav", h("ul", entries), class_="menu", aria_label="Main")
    bell = h("script", src=here("/notifications/bell.js"), defer=True)
    return _bar(brand, menu, h("nav", own, class_="me", aria_label="You"), bell)


def _bar(*parts: Markup) -> Markup:
    return h("header", h("div", *parts, class_="bar"), class_="top")


def _entry(text: Any, path: str) -> Markup:
    at = "/" + request().path().strip("/")
    is_here = at == path or at.startswith(f"{path}/")
    return h("li", h("a", text, href=here(path), aria_current="page" if is_here else None))


def _footer() -> Markup:
    form = local()
    told = f"Numbers and dates: {locale_named(form.locale).name}. Times: {form.zone}."
    change = None if auth().guest() else link("Change", "/preferences")
    return h("footer", h("span", told, " ", change), link("Guides", "/docs"), class_="foot")


def _message() -> Markup | None:
    note, problem = session("note"), session("problem")
    return join(
        [
            h("p", note, class_="note", role="status") if note else None,
            h("p", problem, class_="note bad", role="alert") if problem else None,
        ]
    )
