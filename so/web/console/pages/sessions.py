"""Sessions: who is signed in, from where, and an end to it."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.support.markup import Markup, h, join
from so.web.console.parts import filters, moment, number, row, section, table
from so.web.console.reading import HOW_MANY, masked, people
from so.web.console.trail import decoded

TITLE = "Sessions"
REFUSED = ("failed", "lockout", "locked")
LOGINS = 500  # entries that are looked through for refused ones


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
    """Of the newest entries of the log `auth`: others are too many to look through."""
    columns = ["id", "event", "subject_label", "properties", "created_at"]
    rows = app.make("db").table("activity_log").where("log_name", "auth").order_by_desc("id")
    found = [row for row in rows.limit(LOGINS).get(columns) if row["event"] in REFUSED][:20]
    return [{**row, "properties": masked(decoded(row["properties"]))} for row in found]


_SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "CrOS", "Linux")
_BROWSERS = {
    "Edg/": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}


def browser(agent: str | None) -> str:
    """A browser in words a person reads: Chrome on Windows; another program by its first words."""
    text = agent or ""
    name = next((name for mark, name in _BROWSERS.items() if mark in text), None)
    system = next((system for system in _SYSTEMS if system in text), None)
    return f"{name} on {system}" if name and system else text[:60] or "unknown"


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Devices, then failed logins."""
    search = filters(view.url("/sessions"), [("user", "Number of a user", None)], data["filter"])
    count = h("p", f"{number(data['active'])} used in the last 15 minutes.")
    devices, logins = _devices(data["sessions"], view), _logins(data["logins"])
    return join(
        [
            section("Signed in", count, search, devices, id="sessions"),
            section("Failed logins and lockouts", logins, id="logins"),
        ]
    )


def _devices(sessions: list[dict[str, Any]], view: Any) -> Markup:
    def actions(device: Any) -> Markup:
        user = device["user_id"]
        return row(
            "this one"
            if device["current"]
            else view.button("End", "end-session", handle=device["handle"]),
            view.button("End all", "end-user", user=user) if user else None,
        )

    return table(
        "Sessions",
        [
            ("User", lambda r: r["user"] or r["user_id"] or "guest"),
            ("Address", "ip"),
            ("Browser", lambda r: browser(r["user_agent"])),
            ("Last used", lambda r: moment(r["last_activity"])),
            ("Since", lambda r: moment(r["created_at"])),
            ("Actions", actions),
        ],
        sessions,
    )


def _logins(logins: list[dict[str, Any]]) -> Markup:
    return table(
        "Failed logins",
        [
            ("When", lambda r: moment(r["created_at"])),
            ("What", "event"),
            (
                "Who",
                lambda r: r["subject_label"] or f"account {r['properties'].get('account', '?')}",
            ),
            ("Address", lambda r: r["properties"].get("address")),
            ("Browser", lambda r: browser(r["properties"].get("agent"))),
        ],
        logins,
    )
