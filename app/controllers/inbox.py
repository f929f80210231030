"""The inbox: reading, marking, deleting one's own notifications."""

from __future__ import annotations

from typing import Any

from app.pages import button, card, link, moment, page, pager
from so import Response, auth, h, notifications, redirect

PER_PAGE = 25


def index() -> Response:
    user = auth().user()
    found = user.related("notifications").paginate(PER_PAGE)
    rows = [_row(each) for each in found["data"]]
    body = (
        h("table", h("tbody", rows), class_="inbox")
        if rows
        else h("p", "Nothing here yet.", class_="empty")
    )
    read_all = button("Mark all as read", "/notifications/read") if user.unread_count() else None
    return page("Inbox", card(body, pager(found)), actions=[read_all])


def _row(found: Any) -> Any:
    data = found.data
    title = data.get("title", found.type)
    mark = None
    if found.unread():
        mark = button(
            "Mark as read", f"/notifications/{found.id}/read", tone="plain small",
            label=f"Mark as read: {title}",
        )  # fmt: skip
    gone = button(
        "Delete", f"/notifications/{found.id}", method="DELETE", tone="danger small",
        label=f"Delete: {title}",
    )  # fmt: skip
    return h(
        "tr",
        h("td", moment(found.created_at), class_="soft"),
        h("td", link(title, data["url"]) if data.get("url") else title),
        h("td", data.get("message", "")),
        h("td", h("div", mark, gone, class_="row")),
        class_="unread" if found.unread() else "unread-pad",
    )


def read(id: str) -> Response:
    notifications().mark_as_read(id, auth().user())
    return redirect().back("/notifications")


def read_all() -> Response:
    auth().user().mark_all_as_read()
    return redirect("/notifications")


def delete(id: str) -> Response:
    notifications().delete(id, auth().user())
    return redirect().back("/notifications")
