"""The application itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from so.support.formats import LOCALES
from so.support.settings import Settings, choice, listed, switch, text, zone

ENVIRONMENTS = ("production", "staging", "local", "testing")
_SPELLINGS = {
    "prod": "production", "live": "production", "stage": "staging", "dev": "local",
    "development": "local", "test": "testing",
}  # fmt: skip


@dataclass(frozen=True)
class AppSettings(Settings, topic="app", others=True):
    """`config/app.py`; an application may have settings of its own under `app`."""

    name: str = text("SixOrbit ERP", "APP_NAME", "shown in titles and mails")
    env: str = choice(
        "local",
        "APP_ENV",
        "production, staging, local or testing",
        of=ENVIRONMENTS,
        also=_SPELLINGS,
    )
    debug: bool = switch(False, "APP_DEBUG", "true: error pages show code; never in production")
    url: str | None = text(
        None, "APP_URL", "the address in generated URLs; unset: that of each request"
    )
    key: str | None = text(
        None,
        "APP_KEY",
        "signs cookies and URLs; `bin/sixorbit key:generate` makes one",
        secret=True,
    )
    previous_keys: tuple[str, ...] = listed(
        (), "APP_PREVIOUS_KEYS", "still accepted after a change of the key", secret=True
    )
    locale: str = choice(
        "en",
        "APP_LOCALE",
        "how numbers and dates are written for whoever says nothing else, such as de-DE",
        of=LOCALES,
    )
    timezone: str = zone(
        "UTC", "APP_TIMEZONE", "whose clock pages show, such as Europe/Berlin; stored is UTC"
    )
    storage: str = text("storage", "APP_STORAGE", "folder for everything that is written")
    providers: tuple[Any, ...] = listed((), None, "registered in this order, then booted")
    routes: tuple[str, ...] = listed(
        ("app/routes.py",), None, "run when the router is first needed"
    )
    middleware: tuple[Any, ...] = listed((), None, "around every request, outermost first")
