"""Notifications: what went out by which channel, what did not and why, what nobody has read."""

from __future__ import annotations

from collections import Counter
from typing import Any

from so.http.request import Request
from so.support.markup import Markup, join
from so.web.console.parts import (
    facts,
    light,
    moment,
    number,
    section,
    table,
)
from so.web.console.reading import HOW_MANY, people, user_type

TITLE = "Notifications"
UNREAD = 10_000  # that are counted
LOOKED_AT = 500  # newest ones, among which the fullest inboxes are found
INBOX = ("id", "type", "notifiable_type", "notifiable_id", "category", "read_at", "created_at")
KINDS = {"sent": "ok", "failed": "bad", "refused": "bad"}


def data(app: Any, request: Request) -> dict[str, Any]:
    """The newest deliveries and the newest notifications; how many are unread, and whose most."""
    db = app.make("db")
    rows = db.table("notification_deliveries").order_by_desc("sent_at").limit(HOW_MANY)
    told = [dict(row) for row in rows.get()]
    for row in told:  # what was said is not for whoever looks after the machine
        row["may_resend"] = row["status"] == "failed" and row.pop("payload") is not None
        row.pop("payload", None)
    newest = [
        dict(row)
        for row in db.table("notifications")
        .order_by_desc("created_at")
        .limit(LOOKED_AT)
        .get(list(INBOX))
    ]
    _name_inboxes(app, [*told, *newest])
    some = "select 1 as one from notifications where read_at is null limit ?"
    count = int(db.scalar(f"select count(*) from ({some}) as n", [UNREAD]))  # noqa: S608 - fixed
    return {
        "deliveries": told,
        "unread": {"count": count, "capped": count >= UNREAD, "inboxes": _fullest(newest)},
        "notifications": newest[:HOW_MANY],
    }


def _name_inboxes(app: Any, rows: list[dict[str, Any]]) -> None:
    """Put `inbox` into each row: the name of the user whose it is, else its type and key."""
    kind = user_type(app)
    names = people(app, [r["notifiable_id"] for r in rows if r["notifiable_type"] == kind])
    for row in rows:
        named = names.get(str(row["notifiable_id"])) if row["notifiable_type"] == kind else None
        row["inbox"] = named or f"{row['notifiable_type']}:{row['notifiable_id']}"


def _fullest(newest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The inboxes with the most unread ones among the newest."""
    counts = Counter(row["inbox"] for row in newest if row["read_at"] is None)
    return [{"inbox": inbox, "unread": count} for inbox, count in counts.most_common(20)]


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Deliveries, unread ones by inbox, then the newest."""
    return join(
        [
            section("Deliveries", _deliveries(data["deliveries"], view), id="deliveries"),
            section("Unread", *_unread(data["unread"]), id="unread"),
            section("Newest in the inboxes", _inboxes(data["notifications"]), id="newest"),
        ]
    )


def _deliveries(rows: list[dict[str, Any]], view: Any) -> Markup:
    def again(row: Any) -> Any:
        fields = {"id": row["notification_id"], "channel": row["channel"]}
        return view.button("Send again", "resend", **fields) if row["may_resend"] else ""

    return table(
        "Deliveries",
        [
            ("Notification", "notification_id"),
            ("What", "type"),
            ("To", lambda r: r["inbox"] if r["notifiable_type"] else "an address"),
            ("Channel", "channel"),
            ("State", lambda r: light(KINDS.get(r["status"], "warn"), r["status"])),
            ("Reason", "reason"),
            ("When", lambda r: moment(r["sent_at"])),
            *([("Actions", again)] if view.may_operate else []),
        ],
        rows,
    )


def _unread(unread: dict[str, Any]) -> list[Markup]:
    count = f"{number(unread['count'])}{'+' if unread['capped'] else ''}"
    columns: list[Any] = [("Inbox", "inbox"), (f"Unread of the newest {LOOKED_AT}", "unread")]
    return [facts({"In all inboxes": count}), table("Unread", columns, unread["inboxes"])]


def _inboxes(rows: list[dict[str, Any]]) -> Markup:
    return table(
        "Notifications",
        [
            ("What", "type"),
            ("To", "inbox"),
            ("Category", "category"),
            ("Read", lambda r: moment(r["read_at"])),
            ("Made", lambda r: moment(r["created_at"])),
        ],
        rows,
    )
