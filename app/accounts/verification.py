"""Confirming an address: the page that waits for it, and the link in the mail."""

from __future__ import annotations

from app.accounts.pages import button, card, page
from so import Response, accounts, auth, h, redirect


def show() -> Response:
    """Says what is missing."""
    if auth().user().has_verified_email():
        return redirect("/account")
    return page(
        "Confirm your address",
        card(
            h("p", f"Please follow the link in the mail to {auth().user().email}."),
            button("Send the mail again", "/verify-email"),
        ),
    )


def send() -> Response:
    """Send the link."""
    auth().user().send_email_verification()
    return redirect("/verify-email").with_("note", "The mail is on its way.")


def take_link(token: str) -> Response:
    """Confirm the address, if the link is that of whoever is logged in."""
    accounts().verify(token, auth().user())
    return redirect("/account").with_("note", "Your address is confirmed.")
