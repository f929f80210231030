"""The addresses of accounts. Those that config/auth.py names must stay what it says."""

from __future__ import annotations

from app.accounts import login, passwords, profile, two_factor, verification
from so import Router


def account_routes() -> None:
    """Called by app/routes.py."""
    with Router.group(middleware="web"):
        with Router.group(middleware="guest"):
            Router.get("/login", login.show).name("login")
            Router.post("/login", login.log_in)
            Router.get("/forgot-password", passwords.forgot).name("password.forgot")
            Router.post("/forgot-password", passwords.send_link)
            Router.get("/reset-password/{token}", passwords.reset).name("password.reset")
            Router.post("/reset-password", passwords.set_new)
        Router.get("/two-factor-challenge", login.challenge).name("two-factor.challenge")
        Router.post("/two-factor-challenge", login.take_code)
        with Router.group(middleware="auth"):
            _for_users()


def _for_users() -> None:
    Router.post("/logout", login.log_out).name("logout")
    Router.get("/confirm-password", passwords.confirm).name("password.confirm")
    Router.post("/confirm-password", passwords.take_password)

    Router.get("/verify-email", verification.show).name("verification")
    Router.post("/verify-email", verification.send).middleware("throttle:3,1")
    Router.get("/verify-email/{token}", verification.take_link)

    Router.get("/account", profile.show).name("account")
    Router.post("/account/password", profile.change_password)
    Router.post("/account/logout-everywhere", profile.logout_everywhere)
    Router.delete("/account/devices/{handle}", profile.end_device)
    with Router.group(middleware="confirm"):
        Router.get("/account/email", profile.show_email).name("account.email")
        Router.post("/account/email", profile.change_email)
        Router.get("/two-factor", two_factor.show).name("two-factor")
        Router.post("/two-factor", two_factor.start)
        Router.post("/two-factor/confirm", two_factor.turn_on)
        Router.post("/two-factor/codes", two_factor.new_codes)
        Router.delete("/two-factor", two_factor.turn_off)
