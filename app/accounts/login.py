"""Logging in and out, and the code of the second factor between the two."""

from __future__ import annotations

from app.accounts.pages import card, link, page
from so import Request, Response, ValidationException, auth, h, redirect
from so.web.forms import form

LOGIN = {"email": "required|string", "password": "required|string"}
CODE = {"code": "required|string"}


def show() -> Response:
    """The form."""
    f = form("/login", rules=LOGIN)
    return page(
        "Log in",
        card(
            f(
                f.text("email", "E-mail", kind="email", autocomplete="username"),
                f.text("password", "Password", kind="password", autocomplete="current-password"),
                f.checkbox("remember", "Remember me"),
                send="Log in",
            ),
            h("p", link("Forgot your password?", "/forgot-password")),
        ),
    )


def log_in(request: Request) -> Response:
    """Log in, or go on to the code."""
    given = request.validate(LOGIN)
    answer = auth().attempt(given, remember=request.boolean("remember"))
    if answer == "two_factor":
        return redirect("/two-factor-challenge")
    if not answer:
        raise ValidationException({"email": "These credentials do not match our records."})
    return redirect().intended("/")


def log_out() -> Response:
    """End this session."""
    auth().logout()
    return redirect("/login")


def challenge() -> Response:
    """The form for the code."""
    if not auth().awaits_code() and auth().guest():
        return redirect("/login")
    f = form("/two-factor-challenge", rules=CODE)
    return page(
        "Second factor",
        card(
            h("p", "Type the code that your authenticator app shows, or a recovery code."),
            f(
                f.text("code", "Code", autocomplete="one-time-code", autofocus=True),
                send="Go on",
            ),
        ),
    )


def take_code(request: Request) -> Response:
    """Complete the login."""
    if not auth().awaits_code() and auth().guest():
        return redirect("/login")
    if not auth().two_factor(request.validate(CODE)["code"]):
        raise ValidationException({"code": "This code is wrong, or was used already."})
    return redirect().intended("/")
