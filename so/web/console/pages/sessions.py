"""Sessions: who is signed in, from where, and an end to it."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, h, join
from so.web.console.parts import filters, moment, section, table
from so.web.console.reading import HOW_MANY, people

TITLE = "Sessions"


def data(app: Any, request: Request) -> dict[str, Any]:
    """Those used last first; those of one user with `user=`; failed logins of the last day."""
    user = request.query("user")
    sessions = app.make("sessions")
    devices = sessions.for_user(user) if user else sessions.active(120)
    rows = [device.to_dict() for device in devices[:HOW_MANY]]
    names = people(app, [row["user_id"] for row in rows])
    return {
        "active": sessions.active(15).count(),
        "filter": {"user": user},
        "sessions": [{**row, "user": names.get(row["user_id"])} for row in rows],
        "logins": _failed_logins(app),
    }


def _failed_logins(app: Any) -> list[dict[str, Any]]:
    rows = app.make("db").table("activity_log").where("log_name", "auth")
    rows = rows.where_in("event", ["failed", "lockout", "locked"]).order_by_desc("id").limit(20)
    return [
        dict(row) for row in rows.get(["id", "event", "description", "causer_label", "created_at"])
    ]


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Devices, then failed logins."""
    search = filters(view.url("/sessions"), [("user", "Key of a user", None)], data["filter"])
    devices = table(
        "Sessions",
        [
            ("User", lambda r: r["user"] or r["user_id"] or "guest"),
            ("Address", "ip"),
            ("Browser", lambda r: (r["user_agent"] or "")[:80]),
            ("Last used", lambda r: moment(r["last_activity"])),
            ("Since", lambda r: moment(r["created_at"])),
            (
                "Actions",
                lambda r: (
                    "this one"
                    if r["current"]
                    else view.button("End", "end-session", handle=r["handle"])
                ),
            ),
            (
                "Actions",
                lambda r: (
                    view.button("End all", "end-user", user=r["user_id"]) if r["user_id"] else ""
                ),
            ),
        ],
        data["sessions"],
    )
    logins = table(
        "Failed logins",
        [
            ("When", "created_at"),
            ("What", "event"),
            ("Who", "causer_label"),
            ("Words", "description"),
        ],
        data["logins"],
    )
    count = h("p", f"{data['active']:,} used in the last 15 minutes.")
    return join(
        [
            section("Signed in", count, search, devices, id="sessions"),
            section("Failed logins and lockouts", logins, id="logins"),
        ]
    )
