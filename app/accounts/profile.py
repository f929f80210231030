"""The page about oneself: devices, password, address."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.accounts.pages import button, card, facts, link, page, table
from app.accounts.passwords import new_password_fields
from so import (
    Markup,
    Password,
    Request,
    Response,
    accounts,
    auth,
    h,
    local,
    redirect,
    sessions,
)
from so.web.forms import form

CHANGE = {
    "current": "required|current_password",
    "password": ["required", "confirmed", Password.min(1)],
}
ADDRESS = {"email": "required|email|max:190"}


def show() -> Response:
    """Everything about the account of whoever is logged in."""
    user = auth().user()
    factor = "on" if user.two_factor().is_on() else "off"
    confirmed = [] if user.has_verified_email() else [" ", link("(not confirmed)", "/verify-email")]
    return page(
        "Account",
        card(
            facts(
                {
                    "Name": user.name,
                    "E-mail": [user.email, *confirmed, " ", link("Change", "/account/email")],
                    "Second factor": [f"{factor} ", link("Manage", "/two-factor")],
                }
            )
        ),
        card(table(["Device", "Address", "Last used", ""], _devices(user)), title="Devices"),
        card(
            h("p", "Ends the sessions of all devices, this one too."),
            button("Log out everywhere", "/account/logout-everywhere", tone="danger"),
            title="Lost a device?",
        ),
        card(_password_form(), title="Change the password"),
    )


def _devices(user: Any) -> list[Sequence[Any]]:
    return [
        (
            device.name,
            device.ip_address or "",
            local().moment(datetime.fromtimestamp(device.last_activity, UTC)),
            "this one"
            if device.current
            else button("End", f"/account/devices/{device.handle}", method="DELETE", tone="danger"),
        )
        for device in sessions().for_user(user)
    ]


def _password_form() -> Markup:
    f = form("/account/password")
    return f(
        f.text("current", "Current password", kind="password", autocomplete="current-password"),
        *new_password_fields(f),
        send="Change it",
    )


def change_password(request: Request) -> Response:
    """A new password; all other sessions end."""
    given = request.validate(CHANGE, attributes={"current": "current password"})
    accounts().change_password(auth().user(), given["password"])
    return redirect("/account").with_(
        "note", "Your password is changed. Other sessions have ended."
    )


def show_email() -> Response:
    """The form for another address."""
    f = form("/account/email", rules=ADDRESS)
    return page(
        "Change the address",
        card(
            f(
                f.text("email", "New e-mail", kind="email", autocomplete="email"),
                send="Send the link",
            )
        ),
    )


def change_email(request: Request) -> Response:
    """Write to the new address; it counts once its link was followed."""
    given = request.validate(ADDRESS)
    accounts().change_email(auth().user(), given["email"].strip().lower())
    return redirect("/account").with_(
        "note", "Follow the link in the mail to the new address. Until then nothing changes."
    )


def end_device(handle: str) -> Response:
    """End one session."""
    sessions().revoke(handle, auth().user())
    return redirect("/account").with_("note", "The session was ended.")


def logout_everywhere() -> Response:
    """End all of them, this one too."""
    sessions().logout_everywhere(auth().user())
    auth().logout()
    return redirect("/login")
