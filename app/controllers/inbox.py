"""The inbox: reading, marking, deleting one's own notifications."""

from __future__ import annotations

from app.pages import button, card, link, page
from so import Response, auth, h, notifications, redirect


def index() -> Response:
    rows = []
    for found in auth().user().notifications:
        data = found.data
        mark = button("Mark as read", f"/notifications/{found.id}/read") if found.unread() else ""
        rows.append(
            h(
                "tr",
                h("td", found.created_at.strftime("%Y-%m-%d %H:%M")),
                h("td", link(data.get("title", found.type), data.get("url", "#"))),
                h("td", data.get("message", "")),
                h("td", mark),
                h("td", button("Delete", f"/notifications/{found.id}", method="DELETE",
                               tone="danger")),
                class_="unread" if found.unread() else None,
            )
        )  # fmt: skip
    body = h("table", h("tbody", rows)) if rows else h("p", "Nothing here yet.", class_="soft")
    return page("Inbox", card(button("Mark all as read", "/notifications/read")), card(body))


def read(id: str) -> Response:
    notifications().mark_as_read(id, auth().user())
    return redirect("/notifications")


def read_all() -> Response:
    auth().user().mark_all_as_read()
    return redirect("/notifications")


def delete(id: str) -> Response:
    notifications().delete(id, auth().user())
    return redirect("/notifications")
