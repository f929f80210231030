"""Logging in and out, and the devices somebody is logged in on."""

from __future__ import annotations

from datetime import UTC, datetime

from app.pages import button, card, facts, field, form, page, table
from so import Request, Response, ValidationException, auth, h, redirect, sessions


def login_form() -> Response:
    return page(
        "Log in",
        card(
            form(
                "/login",
                field("email", "E-mail", kind="email", required=True, autocomplete="username"),
                field(
                    "password",
                    "Password",
                    kind="password",
                    required=True,
                    autocomplete="current-password",
                ),
                h("label", h("input", type="checkbox", name="remember", value="1"), " Remember me"),
                send="Log in",
            )  # fmt: skip
        ),
    )


def login(request: Request) -> Response:
    given = request.validate({"email": "required|email", "password": "required|string"})
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
