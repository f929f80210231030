"""How a user reads numbers, dates and times."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import available_timezones

from app.pages import card, facts, page
from so import Request, Response, Rule, auth, local, redirect
from so.support.formats import LOCALES
from so.web.forms import form

AS_SET = "As the application is set"


def show() -> Response:
    f = form("/preferences", values=auth().user())
    locales = {"": AS_SET, **{tag: locale.name for tag, locale in LOCALES.items()}}
    zones = {"": AS_SET, **{zone: zone for zone in _zones()}}
    example = {
        "An amount": local().money("1234567.5"), "A day": local().date(date(2026, 1, 31)),
        "Now": local().moment(datetime.now(UTC)),
    }  # fmt: skip
    fields = (
        f.select("locale", "Numbers and dates", locales),
        f.select("timezone", "Time zone", zones),
    )
    return page("Numbers, dates and times", card(f(*fields)), card(facts(example), title="So far"))


def update(request: Request) -> Response:
    given = request.validate(
        {
            "locale": ["nullable", Rule.in_(list(LOCALES))],
            "timezone": ["nullable", Rule.in_(_zones())],
        }
    )
    wanted = {name: given.get(name) or None for name in ("locale", "timezone")}
    auth().user().update(wanted)
    return redirect("/preferences").with_("note", "This is how you read them from now on.")


def _zones() -> list[str]:
    """What this machine knows; without the package tzdata that is UTC alone."""
    known = {zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")}
    return ["UTC", *sorted(known)]
