"""Notifications: what went out by which channel, what did not and why, what nobody has read."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, join
from so.web.console.parts import facts, light, section, table
from so.web.console.reading import HOW_MANY

TITLE = "Notifications"


def data(app: Any, request: Request) -> dict[str, Any]:
    """The newest deliveries and the newest notifications."""
    db = app.make("db")
    rows = db.table("notification_deliveries").order_by_desc("sent_at").limit(HOW_MANY)
    told = [dict(row) for row in rows.get()]
    for row in told:  # what was said is not for whoever looks after the machine
        row["may_resend"] = row["status"] == "failed" and row.pop("payload") is not None
        row.pop("payload", None)
    columns = [
        "id",
        "type",
        "notifiable_type",
        "notifiable_id",
        "category",
        "read_at",
        "created_at",
    ]
    newest = db.table("notifications").order_by_desc("created_at").limit(HOW_MANY)
    return {
        "deliveries": told,
        "notifications": [dict(row) for row in newest.get(columns)],
    }


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Deliveries, then the inbox rows."""
    unread = sum(1 for row in data["notifications"] if row["read_at"] is None)
    deliveries = table(
        "Deliveries",
        [
            ("Notification", "notification_id"),
            ("Channel", "channel"),
            (
                "State",
                lambda r: light(
                    "ok"
                    if r["status"] == "sent"
                    else "bad"
                    if r["status"] in ("failed", "refused")
                    else "warn",
                    r["status"],
                ),
            ),
            ("Reason", lambda r: r.get("reason")),
            ("When (UTC)", lambda r: str(r["sent_at"] or "–")[:19]),
            (
                "",
                lambda r: (
                    view.button(
                        "Send again", "resend", id=r["notification_id"], channel=r["channel"]
                    )
                    if r["may_resend"]
                    else ""
                ),
            ),
        ],
        data["deliveries"],
    )
    newest = table(
        "Notifications",
        [
            ("What", "type"),
            ("To", lambda r: f"{r['notifiable_type']}:{r['notifiable_id']}"),
            ("Category", "category"),
            ("Read", lambda r: str(r["read_at"] or "–")[:19]),
            ("Made (UTC)", lambda r: str(r["created_at"])[:19]),
        ],
        data["notifications"],
    )
    return join(
        [
            section("Deliveries", deliveries, id="deliveries"),
            section(
                "Inboxes", facts({f"Unread of the newest {HOW_MANY}": unread}), newest, id="newest"
            ),
        ]
    )
