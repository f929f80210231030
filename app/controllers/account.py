"""Logging in and out, and the devices somebody is logged in on."""

from __future__ import annotations

from datetime import UTC, datetime

from app.pages import button, card, facts, page, table
from so import Request, Response, ValidationException, auth, redirect, sessions
from so.web.forms import form

LOGIN = {"email": "required|email", "password": "required|string"}


def login_form() -> Response:
    f = form("/login", rules=LOGIN)
    return page(
        "Log in",
        card(
            f(
                f.text("email", "E-mail", kind="email", autocomplete="username"),
                f.text("password", "Password", kind="password", autocomplete="current-password"),
                f.checkbox("remember", "Remember me"),
                send="Log in",
            )
        ),
    )


def login(request: Request) -> Response:
    given = request.validate(LOGIN)
    given["email"] = given["email"].lower()
    if not auth().attempt(given, remember=request.boolean("remember")):
        raise ValidationException({"email": "These credentials do not match our records."})
    return redirect().intended("/")


def logout() -> Response:
    auth().logout()
    return redirect("/login")


def show() -> Response:
    user = auth().user()
    devices = [
        (
            device.ip_address or "",
            (device.user_agent or "")[:60],
            datetime.fromtimestamp(device.last_activity, UTC).strftime("%Y-%m-%d %H:%M"),
            "this one"
            if device.current
            else button("End", f"/account/devices/{device.handle}", method="DELETE", tone="danger"),
        )
        for device in sessions().for_user(user)
    ]
    return page(
        "Account",
        card(facts({"Name": user.name, "E-mail": user.email, "Role": user.role})),
        card(table(["Address", "Browser", "Last used (UTC)", ""], devices), title="Devices"),
        card(button("Log out everywhere", "/account/logout-everywhere", tone="danger")),
    )


def logout_everywhere() -> Response:
    sessions().logout_everywhere(auth().user())
    auth().logout()
    return redirect("/login")


def revoke(handle: str) -> Response:
    sessions().revoke(handle, auth().user())
    return redirect("/account").with_("note", "The session was ended.")
