"""Setting up the second factor: a QR code, a code of the app, ten recovery codes."""

from __future__ import annotations

from app.accounts.pages import button, card, link, page
from so import Markup, Request, Response, ValidationException, auth, h, redirect
from so.systems.auth.two_factor import Enrolment
from so.web.forms import form


def show() -> Response:
    """What there is, and what can be done."""
    factor = auth().user().two_factor()
    made = factor.pending()
    if factor.is_on():
        return page("Second factor", _is_on(factor.recovery_codes_left()))
    return page("Second factor", _is_off() if made is None else _to_scan(made))


def _is_off() -> Markup:
    return card(
        h("p", "With a second factor a stolen password is not enough: you type a code of an app."),
        button("Set it up", "/two-factor", tone=""),
    )


def _to_scan(made: Enrolment) -> Markup:
    f = form("/two-factor/confirm")
    return card(
        h("p", "Scan this with your authenticator app, or type the key into it."),
        h("div", made.qr, class_="qr", style="width:14rem;max-width:100%"),
        h("p", "Key: ", h("code", made.secret, id="secret")),
        f(
            f.text("code", "Code of the app", autocomplete="one-time-code", required=True),
            send="Turn it on",
        ),
    )


def _is_on(codes_left: int) -> Markup:
    return card(
        h("p", f"Your second factor is on. {codes_left} recovery codes are left."),
        button("Make new recovery codes", "/two-factor/codes"),
        button("Turn it off", "/two-factor", method="DELETE", tone="danger"),
    )


def start() -> Response:
    """Make a secret."""
    factor = auth().user().two_factor()
    if not factor.is_on():
        factor.start()
    return redirect("/two-factor")


def turn_on(request: Request) -> Response:
    """Turn it on by a code, and show the recovery codes: now and never again."""
    codes = auth().user().two_factor().confirm(request.string("code"))
    if not codes:
        raise ValidationException({"code": "This code is wrong. Is the clock of your phone right?"})
    return _codes_page(codes)


def new_codes() -> Response:
    """Ten other recovery codes."""
    factor = auth().user().two_factor()
    return _codes_page(factor.new_recovery_codes()) if factor.is_on() else redirect("/two-factor")


def _codes_page(codes: list[str]) -> Response:
    return page(
        "Recovery codes",
        card(
            h("p", "Keep these codes where you find them without your phone. Each counts once."),
            h("ul", [h("li", h("code", code)) for code in codes], id="recovery-codes"),
            h("p", link("I have kept them", "/account")),
        ),
    )


def turn_off() -> Response:
    """Turn it off."""
    auth().user().two_factor().off()
    return redirect("/two-factor").with_("note", "Your second factor is off.")
