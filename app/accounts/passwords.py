"""Forgotten passwords, and the password asked for once more."""

from __future__ import annotations

from typing import Any

from app.accounts.pages import card, link, page
from so import (
    Markup,
    Password,
    Request,
    Response,
    ValidationException,
    accounts,
    auth,
    h,
    redirect,
)
from so.web.forms import Form, form

ADDRESS = {"email": "required|email"}
# The rest of what a password must be, such as not used before, is for accounts() to say.
NEW = {"token": "required|string", "password": ["required", "confirmed", Password.min(1)]}


def forgot() -> Response:
    """The form that asks for the address."""
    f = form("/forgot-password", rules=ADDRESS)
    return page(
        "Forgotten password",
        card(
            h("p", "Tell us your address, and we send you a link to set a new password."),
            f(
                f.text("email", "E-mail", kind="email", autocomplete="username"),
                send="Send the link",
            ),
        ),
    )


def send_link(request: Request) -> Response:
    """The same answer for everybody, known or not."""
    given = request.validate(ADDRESS)
    accounts().send_reset(given["email"])
    return redirect("/forgot-password").with_(
        "note", "If there is an account with this address, a link is on its way to it."
    )


def reset(token: str) -> Response:
    """The form for a new password; the token travels on in a field, out of every log."""
    if not accounts().can_reset(token):
        return page(
            "Set a new password",
            card(
                h("p", "This link was used already, or its time is over."),
                h("p", link("Ask for another", "/forgot-password")),
            ),
            status=410,
        )
    f = form("/reset-password")
    return page(
        "Set a new password",
        card(f(f.hidden("token", token), *new_password_fields(f), send="Set the password")),
    )


def new_password_fields(f: Form) -> list[Markup]:
    """The new password, twice."""
    more: dict[str, Any] = {"kind": "password", "autocomplete": "new-password", "required": True}
    return [
        f.text("password", "New password", **more),
        f.text("password_confirmation", "The same again", **more),
    ]


def set_new(request: Request) -> Response:
    """Set it; the link is used up."""
    given = request.validate(NEW)
    accounts().reset(given["token"], given["password"])
    return redirect("/login").with_("note", "Your new password is set. You can log in with it now.")


def confirm() -> Response:
    """The form that asks for the password once more."""
    f = form("/confirm-password")
    return page(
        "Confirm your password",
        card(
            h("p", "What you are about to do needs your password once more."),
            f(
                f.text("password", "Password", kind="password", autocomplete="current-password"),
                send="Confirm",
            ),
        ),
    )


def take_password(request: Request) -> Response:
    """Go on to the page that asked."""
    if not auth().confirm(request.string("password")):
        raise ValidationException({"password": "The password is incorrect."})
    return redirect().intended("/account")
